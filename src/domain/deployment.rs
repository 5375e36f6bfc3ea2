//! A change that was deployed: a commit that touches a service's part of the repository.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::Time;

/// A commit that was deployed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Commit {
    pub sha: String,
    pub author: String,
    /// The first line of what it says.
    pub title: String,
    /// When it was committed.
    pub at: Time,
    /// Number and title of the pull request that brought it.
    pub pull_request: Option<(u64, String)>,
    /// The first of them; empty where GitHub could not be asked.
    pub files: Vec<String>,
    /// It may have changed more than that.
    #[serde(default)]
    pub has_more_files: bool,
    pub url: String,
}

/// How likely a commit is behind an incident, by the time between them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Correlation {
    Low,
    Medium,
    /// 5 to 30 minutes before the onset.
    High,
}

/// The deployment that may be behind an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suspect {
    pub correlation: Correlation,
    pub commit: Commit,
}
