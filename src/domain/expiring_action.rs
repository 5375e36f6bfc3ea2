//! An action that is in force for a while only, until it is known to be over.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::Action;
use super::execution::{ActionRecord, ActionState, Execution};
use super::time::{self, Time};

/// Names its record in the journal, which has the action's result; in the store from the intent to the end of its effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiringAction {
    /// The action's idempotency key.
    pub key: Uuid,
    pub execution_id: Uuid,
    /// The latest possible end until the action's own is known.
    pub expires_at: Time,
}

/// A temporary action that is at work at Charter, as people are shown it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InForce {
    pub execution_id: Uuid,
    pub action: Action,
    pub until: Time,
    /// Its effect is known; otherwise it may or may not be in force.
    pub certain: bool,
}

impl InForce {
    /// One target has one action at a time: more than this is not normal.
    pub const SHOWN: usize = 10;

    /// `None` when the journal says that it had no effect, or has none any more.
    #[must_use]
    pub fn of(temporary: &ExpiringAction, execution: &Execution) -> Option<Self> {
        let record = execution.actions.iter().find(|a| a.key == temporary.key)?;
        Some(Self {
            execution_id: execution.id,
            action: record.action.clone(),
            until: record.expires_at.unwrap_or(temporary.expires_at),
            certain: at_work(record)?,
        })
    }
}

/// Is it at work, and is that known? `None`: it is not.
fn at_work(record: &ActionRecord) -> Option<bool> {
    match record.state {
        ActionState::Applied | ActionState::Verifying | ActionState::Verified => Some(true),
        ActionState::Sent | ActionState::Unknown | ActionState::UndoSent => Some(false),
        ActionState::Intent
        | ActionState::Validated
        | ActionState::Refused
        | ActionState::Closed
        | ActionState::Undone
        | ActionState::UndoFailed => None,
    }
}

impl std::fmt::Display for InForce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let maybe = if self.certain { "" } else { " (or not: its effect is not known)" };
        write!(f, "{}, until {}{maybe}", self.action, time::text(self.until))
    }
}
