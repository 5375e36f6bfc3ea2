//! How Charter is reached: the part of the `execute` section that is its own.

use std::time::Duration;

use serde::{Serialize, Serializer};
use url::Url;

use crate::domain::secret::Secret;
use crate::http::HttpSettings;

/// Does this Charter honour `Idempotency-Key`?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Known once an answer has carried the key back.
    Auto,
    Yes,
    No,
}

impl Serialize for Idempotency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub url: Url,
    pub api_key: Option<Secret>,
    pub http: Option<Box<HttpSettings>>,
    /// Of one call.
    pub timeout: Duration,
    /// Of one read, in all.
    pub tries: u32,
    pub idempotency: Idempotency,
}
