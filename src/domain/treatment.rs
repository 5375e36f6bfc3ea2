//! An incident of the loop: a cause, from its first evidence until a while without any, whatever the component.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::ActionKind;
use super::outcome::OutcomeType;
use super::{Cause, time::Time};

/// One try of one action in an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    pub action: ActionKind,
    pub policy_id: Uuid,
    pub at: Time,
    /// `None` while it is being judged, or when its execution failed.
    pub verdict: Option<OutcomeType>,
    /// Its execution failed or was rolled back.
    pub failed: bool,
}

/// What was tried for one cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Treatment {
    pub id: Uuid,
    pub cause: Cause,
    pub opened_at: Time,
    pub last_evidence_at: Time,
    pub attempts: Vec<Attempt>,
    /// Actions that could not be planned in this incident: their successors' turn has come.
    pub impossible: BTreeSet<ActionKind>,
    /// No candidate was left: no more calls until it ends.
    pub exhausted: bool,
}
