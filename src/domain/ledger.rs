//! What the guards remember: actions of the last day, and each system's breaker and storm. In the store, so that a restart
//! neither refills a budget nor closes a breaker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::action::ActionKind;
use super::outcome::{OutcomeType, PendingVerification};
use super::target::{System, Target};
use super::{Cause, time::Time};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Ledger {
    /// Oldest first; written with the intent, so that what may have been sent is counted whatever happens next.
    pub entries: Vec<Entry>,
    /// A system without one has a closed breaker.
    pub breakers: BTreeMap<System, Breaker>,
    pub storms: BTreeMap<System, Storm>,
}

/// As the store has it. The version before knew Charter alone: its `breaker` and `storm` are Charter's.
#[derive(Deserialize)]
struct Stored {
    entries: Vec<Entry>,
    #[serde(default)]
    breakers: BTreeMap<System, Breaker>,
    #[serde(default)]
    storms: BTreeMap<System, Storm>,
    #[serde(default)]
    breaker: Option<Breaker>,
    #[serde(default)]
    storm: Option<Storm>,
}

impl From<Stored> for Ledger {
    fn from(stored: Stored) -> Self {
        let Stored { entries, mut breakers, mut storms, breaker, storm } = stored;
        if let Some(breaker) = breaker {
            breakers.entry(System::Charter).or_insert(breaker);
        }
        if let Some(storm) = storm {
            storms.entry(System::Charter).or_insert(storm);
        }
        Self { entries, breakers, storms }
    }
}

/// One action that was sent, or may have been.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub execution_id: Uuid,
    pub at: Time,
    pub action: ActionKind,
    pub target: Target,
    pub cause: Cause,
    pub end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Not known yet; see [`Entry::has_failed`].
    Open,
    /// Surely nothing was sent: no failure of the action's, and no part of any budget.
    Unsent,
    /// The execution failed, was undone or cut off.
    Failed,
    Judged(OutcomeType),
}

impl Entry {
    /// Did it end without success? An end that is never verified counts, and so does an inconclusive result.
    #[must_use]
    pub fn has_failed(&self, verifications: &[PendingVerification]) -> bool {
        match self.end {
            End::Open => verifications.iter().all(|j| j.execution_id != self.execution_id),
            End::Unsent => false,
            End::Failed => true,
            // Giving back treats nothing, so that nobody can say that it helped.
            End::Judged(OutcomeType::Unknown) => self.cause.0 != Cause::SCALE_BACK,
            End::Judged(verdict) => match verdict {
                OutcomeType::Ineffective | OutcomeType::Degradation | OutcomeType::Unknown => true,
                OutcomeType::Success | OutcomeType::Partial => false,
            },
        }
    }

    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        self.end == End::Judged(OutcomeType::Success)
    }
}

/// Stops every action on its system when our own actions there do harm, or no good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breaker {
    /// Entries before this do not count: they opened it once already.
    pub counts_from: Option<Time>,
    pub tripped: Option<Tripped>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tripped {
    pub at: Time,
    /// Half-open from then on: one action that can be undone may go out, and its result decides.
    pub until: Time,
    pub why: String,
}

/// Most of the system is sick at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    pub since: Time,
    /// The most components that were known in it: with far fewer nobody can say that it has ended. Of Kubernetes the
    /// workloads that there are.
    pub components: usize,
    pub sick: usize,
    /// Those that began to be sick just now.
    pub firing: usize,
    /// Of Kubernetes: its nodes, and those that are not ready.
    #[serde(default)]
    pub nodes: usize,
    #[serde(default)]
    pub not_ready: usize,
    /// Since when both shares have been below half of their limit.
    pub calm_since: Option<Time>,
    /// When it was throttled: once in a storm. Only Charter can be throttled.
    #[serde(default)]
    pub throttled_at: Option<Time>,
}

impl Ledger {
    /// The wall clock may have been set back since it was written: nothing in it lies after `now`, and the breaker is
    /// open for no longer than it was meant to be.
    pub fn not_after(&mut self, now: Time) {
        for entry in &mut self.entries {
            entry.at = entry.at.min(now);
        }
        for breaker in self.breakers.values_mut() {
            breaker.counts_from = breaker.counts_from.map(|at| at.min(now));
            if let Some(tripped) = &mut breaker.tripped
                && tripped.at > now
            {
                tripped.until = now + (tripped.until - tripped.at);
                tripped.at = now;
            }
        }
        for storm in self.storms.values_mut() {
            storm.since = storm.since.min(now);
            storm.calm_since = storm.calm_since.map(|at| at.min(now));
        }
    }

    /// Why and until when this system's breaker is open or half-open; `None`: it is closed.
    #[must_use]
    pub fn tripped(&self, system: System) -> Option<&Tripped> {
        self.breakers.get(&system)?.tripped.as_ref()
    }

    #[must_use]
    pub fn storm(&self, system: System) -> Option<&Storm> {
        self.storms.get(&system)
    }

    /// The system that an execution's actions change; `None`: nothing is remembered of it any more.
    #[must_use]
    pub fn system_of(&self, execution_id: Uuid) -> Option<System> {
        let own = self.entries.iter().find(|e| e.execution_id == execution_id);
        own.map(|entry| entry.target.system())
    }

    /// What may have been sent, oldest first.
    #[must_use]
    pub fn sent(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|e| e.end != End::Unsent)
    }
}
