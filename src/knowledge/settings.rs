//! The `knowledge` section of the configuration with its defaults.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    Memory,
    Sqlite,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub database: Database,
    pub sqlite_path: PathBuf,
    pub pattern_learning_enabled: bool,
    pub confidence_saturation_point: u32,
    pub outcome_history_limit: usize,
    pub insight_generation_enabled: bool,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub retention: Duration,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub judge_limit: Duration,
    /// How long a delivered alert's key is kept (loop.md; not a key).
    #[serde(skip)]
    pub alert_retention: Duration,
    /// `plan.approval_ttl`: how long a person's approval holds.
    #[serde(skip)]
    pub approval_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: Database::Sqlite,
            sqlite_path: PathBuf::from("./data/knowledge.db"),
            pattern_learning_enabled: true,
            confidence_saturation_point: 30,
            outcome_history_limit: 1000,
            insight_generation_enabled: true,
            retention: Duration::from_secs(30 * 24 * 3600),
            judge_limit: Duration::from_secs(600),
            alert_retention: Duration::from_secs(24 * 3600),
            approval_ttl: Duration::from_secs(15 * 60),
        }
    }
}
