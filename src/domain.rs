//! Plain values that every stage speaks: no I/O, no clock, no randomness, nothing of ours below it.
//!
//! Stages take these values and return these values; wire and row formats stay private to the file that speaks them.

pub mod action;
pub mod address;
pub mod alert;
pub mod analysis;
pub mod catalogue;
pub mod charter;
pub mod cluster;
pub mod cycle;
pub mod decision;
pub mod deployment;
pub mod difference;
pub mod execution;
pub mod expiring_action;
pub mod finding;
pub mod fleet;
pub mod follow_ups;
pub mod grant;
pub mod guard;
pub mod hook;
pub mod incident;
pub mod leader;
pub mod ledger;
pub mod legible;
pub mod loop_status;
pub mod message;
pub mod natural;
pub mod need;
pub mod outbox;
pub mod outcome;
pub mod pause;
pub mod policy;
pub mod reading;
pub mod rule;
pub mod secret;
pub mod speed;
pub mod target;
pub mod time;
pub mod treatment;
pub mod trend;
pub mod under_way;
pub mod verification;
pub mod view;
pub mod violation;
pub mod whole;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Labels of a series or an alert, in a fixed order so that a fingerprint is stable.
pub type Labels = BTreeMap<String, String>;

/// The component name that stands for Charter as a whole.
pub const CHARTER: &str = "charter";

/// The name of what is wrong: one of the shipped causes or one that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Cause(pub String);

impl Cause {
    pub const VALIDATION_LATENCY: &str = "validation_latency";
    pub const POLICY_MISCONFIGURATION: &str = "policy_misconfiguration";
    pub const CASCADE_FAILURE: &str = "cascade_failure";
    pub const SYSTEM_OVERLOAD: &str = "system_overload";
    pub const UNKNOWN: &str = "unknown";
    /// Not a fault: the cause under which surplus replicas are scaled back (`plan.give_back`).
    pub const SCALE_BACK: &str = "give_back";

    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    #[must_use]
    pub fn unknown() -> Self {
        Self::new(Self::UNKNOWN)
    }

    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.0 == Self::UNKNOWN
    }
}

/// As people read it.
impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&legible::name(&self.0))
    }
}
