//! How each system is changed: the trait that the executor drives, and one implementation a system.
//!
//! ```text
//! validate ─▶ prepare ─▶ (journal) ─▶ apply ─┬─▶ applied, refused, conflict
//!                                            └─▶ no answer ─▶ probe ─▶ found, absent, foreign, cannot tell
//!                                  compare ─▶ (journal) ─▶ undo ─▶ likewise
//! ```
//! An actuator says what one call came to and what the system shows now. Order, journal, grants, retries of a change and
//! time are the executor's. What proves and undoes the effect travels in `prior`: the actuator writes and reads it, the
//! journal keeps it.

pub mod charter;
pub mod hook;
pub(crate) mod retry;
mod turned_off;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::action::Action;
use crate::domain::time::Time;
use crate::domain::{Cause, Labels};
pub use turned_off::TurnedOff;

/// One action of one execution, as every try of it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub action: &'a Action,
    /// The idempotency key; an undo has its own.
    pub key: Uuid,
    /// The epoch of leadership; `None` where nobody else can lead.
    pub epoch: Option<u64>,
    pub cause: &'a Cause,
    /// What every violation behind it says of itself.
    pub labels: &'a Labels,
    /// When it was first to be sent: the same for every try, so that every try sends the same bytes.
    pub at: Time,
}

/// Which change a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Apply,
    Undo,
}

/// What the system itself says of an action before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validation {
    Valid,
    /// It would be refused as it stands, now and later.
    Invalid(String),
}

/// Why nothing is sent. Another look in the next cycle may find it different, so no attempt is counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unprepared(pub String);

/// How much of a call that failed may have taken effect unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// None of it: not sent, or refused.
    None,
    /// The system answered, but not with what the contract knows: nothing is under way any more.
    Answered,
    /// The request may still arrive or be worked on.
    UnderWay,
}

/// Whose decision ended a call, where somebody decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The action as it stands: it would be refused again.
    Invalid,
    /// Somebody changed the target since it was prepared: prepare again in the next cycle.
    Conflict,
    /// What should be undone is in effect no more.
    Gone,
    /// Says nothing of the action and passes: a wrong key, too many calls.
    Passing,
    /// A later leader has spoken: nothing more may be sent by this one.
    Superseded,
    Other,
}

/// A call that did not come to what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// Who was asked what, what came of it, and what to look at.
    pub text: String,
    pub doubt: Doubt,
    /// Somebody decided: the same call again gets the same answer.
    pub refusal: Option<Refusal>,
}

/// What the system shows of a change whose answer was lost.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// It took effect; with what `prior` is from now on.
    Found(Value),
    Absent,
    /// It was taken and is not in force.
    Ended(String),
    /// Somebody else changed the same thing: not to be sent again, whatever the system promises.
    Foreign(String),
    CannotTell(String),
}

/// What undoing comes to at this moment. Nothing is undone that somebody else has changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is still ours: the undo may be sent.
    Ours,
    /// Nothing of ours is left to undo.
    Over(String),
    /// Somebody else has changed it since.
    Foreign(String),
    CannotTell(String),
}

/// Whether what was done can be undone at all, by its record alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undoable {
    Yes,
    /// It would take away capacity that was added.
    Shrinks,
    No(&'static str),
}

#[async_trait]
pub trait Actuator: Debug + Send + Sync {
    /// The time-out of one call. A change that is still absent that long after a first look never arrived.
    fn timeout(&self, action: &Action) -> Duration;

    /// Is a repeated key known to be given the first answer again?
    fn honours_keys(&self, action: &Action) -> bool;

    /// Does a second arrival of this change nothing more, even where keys are ignored?
    fn is_repeatable(&self, step: Step, action: &Action) -> bool;

    fn undoable(&self, action: &Action, prior: &Value) -> Undoable;

    /// The system's own check of exactly this action. `Err`: it could not be checked, which says nothing of the action.
    async fn validate(&self, request: &Request<'_>) -> Result<Validation, Failure>;

    /// Reads what proves the effect later and undoes it.
    async fn prepare(&self, request: &Request<'_>) -> Result<Value, Unprepared>;

    /// Sends once. Answers what `prior` is from now on.
    async fn apply(&self, request: &Request<'_>, prior: &Value) -> Result<Value, Failure>;

    async fn probe(&self, step: Step, request: &Request<'_>, prior: &Value) -> Probe;

    async fn compare(&self, request: &Request<'_>, prior: &Value) -> Comparison;

    /// Sends once, under the undo's own key.
    async fn undo(&self, request: &Request<'_>, prior: &Value) -> Result<(), Failure>;
}
