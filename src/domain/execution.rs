//! The journal's values: one execution of a policy, its actions and the states they may pass through.
//!
//! ```text
//! intent ─▶ validated ─▶ sent ─┬▶ applied ─▶ judging ─▶ judged ─▶ closed
//!   │           │              ├▶ refused        (undo) applied|judging ─▶ undo_sent ─┬▶ undone
//!   └───────────┴▶ refused     └▶ unknown ─▶ applied | refused | closed               └▶ undo_failed
//! ```
//! An action that expires waits after its result until it ends: `closed` when it ended by itself, `undone` when we ended it.

mod stored;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::Action;
use super::policy::Policy;
use super::{Cause, time::Time};

/// How far an action has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ActionState {
    Intent,
    Validated,
    Sent,
    Applied,
    Refused,
    Unknown,
    #[serde(rename = "judging")]
    #[strum(serialize = "judging")]
    Verifying,
    #[serde(rename = "judged")]
    #[strum(serialize = "judged")]
    Verified,
    Closed,
    UndoSent,
    Undone,
    UndoFailed,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal refuses to move action {key} from {from:?} to {to:?}: this is a defect of mape-k, please report it"
)]
pub struct IllegalTransition {
    pub key: Uuid,
    pub from: ActionState,
    pub to: ActionState,
}

impl ActionState {
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        use ActionState as S;
        match self {
            S::Intent => matches!(to, S::Validated | S::Refused),
            S::Validated => matches!(to, S::Sent | S::Refused),
            S::Sent => matches!(to, S::Applied | S::Refused | S::Unknown),
            S::Unknown => matches!(to, S::Applied | S::Refused | S::Closed),
            S::Applied => matches!(to, S::Verifying | S::UndoSent),
            S::Verifying => matches!(to, S::Verified | S::UndoSent),
            S::Verified => matches!(to, S::Closed | S::UndoSent),
            S::UndoSent => matches!(to, S::Undone | S::UndoFailed),
            S::Refused | S::Closed | S::Undone | S::UndoFailed => false,
        }
    }
}

/// One action of an execution, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(from = "stored::Record")]
pub struct ActionRecord {
    pub action: Action,
    /// The idempotency key: in the store before the first byte is sent, the same for every try.
    pub key: Uuid,
    pub state: ActionState,
    pub error: Option<String>,
    /// Charter refused it in this form (invalid, out of range, unknown): it would be refused again.
    pub invalid: bool,
    /// Somebody changed its target between the look before it and the call: it is no attempt.
    pub conflict: bool,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    /// How often it was sent.
    pub tries: u32,
    /// When it was last sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Time>,
    /// Since when the system is known not to have it: if it still lacks it well after that, the call never arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<Time>,
    /// What proves its effect and undoes it. Its actuator writes and reads it, nobody else.
    #[schema(value_type = Option<Object>)]
    pub prior: Option<Value>,
    /// A try of its undo may still arrive or be worked on: written before the try, taken away when it surely came to nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub undo_under_way: bool,
    /// When a temporary action that took effect has to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

impl ActionRecord {
    #[must_use]
    pub fn new(action: Action, key: Uuid) -> Self {
        Self {
            action,
            key,
            state: ActionState::Intent,
            error: None,
            invalid: false,
            conflict: false,
            started_at: None,
            ended_at: None,
            tries: 0,
            sent_at: None,
            absent_since: None,
            prior: None,
            undo_under_way: false,
            expires_at: None,
        }
    }

    /// The only way to change a state.
    pub fn advance(&mut self, to: ActionState) -> Result<(), IllegalTransition> {
        if !self.state.may_become(to) {
            return Err(IllegalTransition { key: self.key, from: self.state, to });
        }
        // Nothing of it is left to be found or undone.
        if to == ActionState::Refused
            || (self.state, to) == (ActionState::Unknown, ActionState::Closed)
        {
            self.prior = None;
        }
        self.state = to;
        Ok(())
    }

    /// In effect, so far as is known.
    #[must_use]
    pub fn in_effect(&self) -> bool {
        matches!(
            self.state,
            ActionState::Applied
                | ActionState::Verifying
                | ActionState::Verified
                | ActionState::Closed
        )
    }
}

/// How far an execution has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ExecutionStatus {
    Pending,
    InProgress,
    Completed,
    Failed,
    RolledBack,
}

/// `transactional`: one action that fails undoes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionMode {
    Transactional,
    BestEffort,
}

/// A policy carried out, or being so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Execution {
    pub id: Uuid,
    pub policy_id: Uuid,
    pub cause: Cause,
    pub component: String,
    pub status: ExecutionStatus,
    pub mode: ExecutionMode,
    pub actions: Vec<ActionRecord>,
    /// Share of the actions that took effect, whether undone afterwards or not.
    pub success_rate: f64,
    pub error: Option<String>,
    pub started_at: Time,
    pub ended_at: Option<Time>,
    /// Who allowed it; `auto` where the configuration did.
    #[serde(default)]
    pub approved_by: Option<String>,
    /// Its process died in the middle: what it left in effect may still have to be undone, and what follows from its
    /// end is not all recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

impl Execution {
    /// What stands in the store before anything is sent: every action with its key, none begun.
    #[must_use]
    pub fn intended(
        policy: &Policy,
        id: Uuid,
        keys: &[Uuid],
        mode: ExecutionMode,
        at: Time,
    ) -> Self {
        let actions = policy.actions.iter().zip(keys);
        Self {
            id,
            policy_id: policy.id,
            cause: policy.cause.clone(),
            component: policy.component.clone(),
            status: ExecutionStatus::Pending,
            mode,
            actions: actions.map(|(a, key)| ActionRecord::new(a.clone(), *key)).collect(),
            success_rate: 0.0,
            error: None,
            started_at: at,
            ended_at: None,
            approved_by: policy.grant.as_ref().map(|grant| grant.by.clone()),
            interrupted: false,
        }
    }

    /// Actions that ended without a known result: only Charter knows whether they are in effect.
    pub fn unknown_actions(&self) -> impl Iterator<Item = &ActionRecord> {
        self.actions.iter().filter(|a| match a.state {
            ActionState::Unknown | ActionState::UndoFailed => true,
            // A temporary action of an execution that went well is ended by a sweep of its own.
            ActionState::UndoSent => self.status == ExecutionStatus::Failed,
            _ => false,
        })
    }

    /// Did any action end without a known result?
    #[must_use]
    pub fn has_unknown(&self) -> bool {
        self.unknown_actions().next().is_some()
    }

    /// Has it an end that is still to be found out at Charter, or brought about there?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.interrupted || !self.is_known()
    }

    /// Is it known of every action whether it is in effect, or that this cannot be known?
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.unknown_actions().all(|a| a.state == ActionState::UndoFailed)
    }
}
