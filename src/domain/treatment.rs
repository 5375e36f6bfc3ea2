//! A treatment: the attempts at one cause on one target, from its first evidence until a while without any.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::ActionKind;
use super::analysis::RootCause;
use super::outcome::OutcomeType;
use super::target::Target;
use super::{Cause, time::Time};

/// One try of one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    pub action: ActionKind,
    pub policy_id: Uuid,
    pub at: Time,
    /// `None` while it is being verified, or when its execution failed.
    pub verdict: Option<OutcomeType>,
    /// Its execution failed or was rolled back.
    pub failed: bool,
}

/// The attempts for one cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Treatment {
    pub id: Uuid,
    pub cause: Cause,
    /// `None`: a record of the version before, which counts for every target of its cause.
    #[serde(default)]
    pub target: Option<Target>,
    /// The incident that its evidence lies in; `None` before that is known.
    #[serde(default)]
    pub incident: Option<String>,
    pub opened_at: Time,
    pub last_evidence_at: Time,
    pub attempts: Vec<Attempt>,
    /// Actions that could not be planned: their successors' turn has come.
    pub impossible: BTreeSet<ActionKind>,
    /// No candidate was left: no more calls until it ends.
    pub exhausted: bool,
}

impl Treatment {
    /// Are this cause and target its own? One whose target contains the other's, or the reverse, is the same.
    #[must_use]
    pub fn is_of(&self, cause: &Cause, target: &Target) -> bool {
        let is_there = |own: &Target| own.contains(target) || target.contains(own);
        self.cause == *cause && self.target.as_ref().is_some_and(is_there)
    }

    #[must_use]
    pub fn has_root(&self, root: &RootCause) -> bool {
        root.target.as_ref().is_some_and(|target| self.is_of(&root.cause, target))
    }
}
