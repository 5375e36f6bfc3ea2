//! What the loop has to know of a hook to decide about it; how it is called is `actuators::hook`'s.

use std::time::Duration;

use serde::Serialize;

use super::action::{HookName, Risk};
use super::target::{System, Target};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HookSpec {
    pub name: HookName,
    /// What it changes.
    pub target: Target,
    pub cost: f64,
    pub risk: Risk,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub settle: Duration,
    /// A lost answer can be cleared up, and what it did can be undone. Without both a person approves every call.
    pub has_probe: bool,
    pub has_undo: bool,
}

impl HookSpec {
    /// Does every call of it wait for a person? In Kubernetes too, as long as nobody reads the label there that allows
    /// actions without one.
    #[must_use]
    pub fn asks(&self) -> bool {
        !(self.has_probe && self.has_undo) || self.target.system() == System::Kubernetes
    }
}
