//! A value that is never printed: not in logs, errors, the API or the printed configuration.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

#[derive(Clone)]
pub struct Secret {
    value: String,
    /// The file that it was read from: every request reads it anew, since tokens of service accounts expire.
    file: Option<PathBuf>,
}

impl Secret {
    /// What stands for a secret wherever one would be printed.
    pub const REDACTED: &str = "***";

    /// A secret of fewer characters is not replaced in texts.
    const SHORTEST_HIDDEN: usize = 4;

    #[must_use]
    pub fn new(value: String) -> Self {
        Self { value, file: None }
    }

    #[must_use]
    pub fn of_file(value: String, file: PathBuf) -> Self {
        Self { value, file: Some(file) }
    }

    /// The secret itself, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// A text of the other side that may quote what it was sent, without it. One that is too short stays: replacing it would
    /// blot out parts of other words, and who sees where that happened knows the secret.
    #[must_use]
    pub fn hidden_in(&self, text: String) -> String {
        if self.value.chars().count() < Self::SHORTEST_HIDDEN {
            text
        } else {
            text.replace(&self.value, Self::REDACTED)
        }
    }
}

/// Two secrets are equal when they have one value, wherever each was read.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::REDACTED)
    }
}
