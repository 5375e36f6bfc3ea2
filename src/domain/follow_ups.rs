//! What a result leaves to be done: a success that may still be withdrawn, a degradation that has to be undone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::action::ActionKind;
use super::target::Target;
use super::{Cause, time::Time};

/// One record in the store, written with the result itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FollowUps {
    pub successes: Vec<WatchedSuccess>,
    pub undoings: Vec<PendingRollback>,
    /// Harm that was undone and has not settled; an entry that has settled goes with the next write.
    #[serde(default)]
    pub undone: Vec<Undone>,
}

/// A success: the same violation back before `until` takes it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchedSuccess {
    pub execution_id: Uuid,
    pub policy_id: Uuid,
    pub cause: Cause,
    pub component: String,
    pub actions: Vec<ActionKind>,
    pub outcomes: Vec<Uuid>,
    /// The violations that the verification found clear, by fingerprint.
    pub evidence: BTreeSet<String>,
    /// It was the one tried while the breaker was half-open, and closed it.
    #[serde(default)]
    pub closed_breaker: bool,
    /// Somebody else's change of size ends the watch: what comes back after it is not the action's fault.
    pub expected_replicas: Option<u32>,
    pub judged_at: Time,
    pub until: Time,
}

/// An execution that did harm, and of which something may still be in effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingRollback {
    pub execution_id: Uuid,
    /// If it is not begun by then, a person is asked: the system has changed meanwhile.
    pub until: Time,
}

/// An undo changes Charter as an action does: what is seen before it has settled is neither's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    #[serde(alias = "scope")]
    pub target: Target,
    pub at: Time,
    pub settled_at: Time,
}

impl FollowUps {
    /// Its name among the facts of the store.
    pub const FACT: &str = "aftermath";
    /// Violations remembered with one result: a part of a storm's is enough to see that it lasts.
    pub const EVIDENCE: usize = 200;
    /// Successes watched at once; at six actions an hour there is one or two.
    pub const WATCHED: usize = 50;
}
