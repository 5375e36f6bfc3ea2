//! Natural recovery: episodes in which an action was due and nothing was done, counted for each cause.

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

/// An action was due, and a guard, the mode or a missing approval held it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    pub cause: Cause,
    pub incident: Uuid,
    pub since: Time,
    /// When the action, carried out then, would have been verified; once it has cleared, until when its success would
    /// have been watched.
    pub due: Time,
    /// It was clear when the result would have come. If it is back before `due`, it did not recover.
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
