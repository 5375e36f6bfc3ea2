//! The `logging` section of the configuration with its defaults.

use std::path::PathBuf;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Json,
    Text,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub level: String,
    pub format: LogFormat,
    pub file: Option<PathBuf>,
    pub max_bytes: usize,
    pub backup_count: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Json,
            file: None,
            max_bytes: 10 * 1024 * 1024,
            backup_count: 5,
        }
    }
}
