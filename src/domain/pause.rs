//! A person's word that nothing may be done for a while: who, why, until when.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::legible;
use super::time::{self, Time};

/// While it is in effect the loop observes, verifies and plans, and changes no system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    pub by: String,
    pub reason: String,
    pub since: Time,
    /// It ends by itself: a pause that somebody forgot must not switch the loop off for ever.
    pub until: Time,
}

impl Pause {
    pub const SHORTEST: Duration = Duration::from_secs(1);
    /// Over a long weekend and its hand-over; what shall rest for longer is a matter of the configuration
    /// (`guardrails.mode`), where the next person looks for it.
    pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

    #[must_use]
    pub fn holds(&self, now: Time) -> bool {
        now < self.until
    }
}

/// A pause as it is remembered after its end too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseRecord {
    #[serde(flatten)]
    pub pause: Pause,
    /// When a resume or another pause ended it; null: it holds until `until`, or ended then by itself.
    pub ended_at: Option<Time>,
    /// Who ended it before its time.
    pub ended_by: Option<String>,
}

impl PauseRecord {
    #[must_use]
    pub fn end(&self) -> Time {
        self.ended_at.unwrap_or(self.pause.until)
    }
}

impl std::fmt::Display for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let until = time::text(self.until);
        write!(f, "paused by {} until {until}: {}", legible::name(&self.by), self.reason)
    }
}
