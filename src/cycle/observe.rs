//! The first phase: everything read in one go, under one deadline.

use std::collections::BTreeSet;

use super::Cycle;
use super::recall::Recalled;
use crate::analyzer::Changes;
use crate::domain::alert::{AlertStatus, InboxAlert};
use crate::domain::charter::CharterView;
use crate::domain::cycle::Trigger;
use crate::domain::reading::{CounterBaseline, RuleStatus, Snapshot};
use crate::domain::rule::Measure;
use crate::domain::time::{Time, since};
use crate::domain::violation::Violation;
use crate::monitor::alerts;

/// Charter's own measure of what it serves: throttling is computed from it.
const SERVED_METRIC: &str = "westworld_charter_throughput_ops_per_sec";

/// What one cycle saw.
#[derive(Debug)]
pub(super) struct Seen {
    pub trigger: Trigger,
    pub snapshot: Snapshot,
    pub charter: CharterView,
    /// The inbox as it was read: after the cycle these are taken in.
    pub inbox: Vec<InboxAlert>,
    /// Filled by the tracker's result.
    pub rules: Vec<RuleStatus>,
    /// When the oldest critical alert arrived that no cycle has taken in.
    pub woken_by: Option<Time>,
}
