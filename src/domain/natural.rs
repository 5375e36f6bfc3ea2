//! What clears by itself: episodes in which a remedy was due and nothing was done, counted for each cause.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Cause, time::Time};

/// Raw counts; they are corrected for when statistics are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Natural {
    pub counts: BTreeMap<Cause, NaturalCount>,
    /// One a cause at most.
    pub open: Vec<Episode>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NaturalCount {
    pub episodes: u32,
    pub recovered: u32,
    /// The last incident counted: each counts once, else one long outage would count as hundreds.
    pub incident: Option<Uuid>,
}

/// A remedy was due, and a guard, the mode or an approval that nobody gave held it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    pub cause: Cause,
    pub incident: Uuid,
    pub since: Time,
    /// When the remedy, carried out then, would have been judged; once it has cleared, how long its success would have been
    /// watched.
    pub due: Time,
    /// Clear when its verdict would have come. Back before `due`, it did not recover.
    #[serde(default)]
    pub cleared: bool,
    pub evidence: BTreeSet<String>,
}

impl NaturalCount {
    /// Episodes without a recovery that are taken as seen before the first one, so that few episodes say little: eight
    /// of eight are one half.
    const PRIOR: u32 = 8;

    /// How likely the cause's violations clear by themselves; never 1.
    #[must_use]
    pub fn probability(&self) -> f64 {
        f64::from(self.recovered) / (f64::from(self.episodes) + f64::from(Self::PRIOR))
    }
}

impl Natural {
    /// Violations remembered of one episode.
    pub const EVIDENCE: usize = 200;
}
