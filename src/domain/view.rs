//! What the loop publishes after every cycle for the API, health and metrics to read.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::alert::{AlertClass, AlertState};
use super::charter::CharterView;
use super::cycle::CycleStatus;
use super::cycle::condition::Condition;
use super::decision::Decision;
use super::finding::Finding;
use super::incident::{Incident, NOBODY_IS_NOTIFIED};
use super::loop_status::LoopStatus;
use super::message::NotificationResult;
use super::outcome::ActionStatistics;
use super::reading::Source;
use super::rule::Severity;
use super::time::Time;
use super::violation::Violation;

/// One source as health and the API show it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SourceStatus {
    pub source: Source,
    pub last_read: Option<Time>,
    /// Series expected, seen and missing in the last cycle (rules only).
    pub expected: usize,
    pub seen: usize,
    pub missing: usize,
    /// How far its clock is from ours, if it says so.
    pub clock_skew_seconds: Option<f64>,
    pub error: Option<String>,
}

/// One rule whose data is missing, in words.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RuleHealth {
    pub rule: String,
    pub good: bool,
    pub expected: usize,
    pub seen: usize,
    pub problem: Option<String>,
}

/// An alert that is shown only, or waits for people.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ShownAlert {
    pub name: String,
    pub class: AlertClass,
    pub state: AlertState,
    pub severity: Severity,
    pub description: String,
    /// Why it is no evidence for an action although it may be firing.
    pub no_evidence: Option<String>,
}

/// What people are notified of, and what prevents it.
#[derive(Clone, Debug, Default)]
pub struct NotificationView {
    /// Of the last cycle, the loop's own among them.
    pub findings: Vec<Finding>,
    /// Incidents that last.
    pub incidents: Vec<Incident>,
    pub last_decision: Option<Decision>,
    pub last_notification: Option<NotificationResult>,
    /// Cycles since the start in which people were notified, and in which that failed.
    pub sent: u64,
    pub failed: u64,
    /// Why the last notification failed; `None` after one that did not.
    pub not_notified: Option<String>,
    /// The part of the cluster that cannot be read; `None`: all of it can, or the cluster is not watched.
    pub cluster_problem: Option<String>,
    /// Why the catalogue or the files of reports are not as they should be.
    pub problem: Option<String>,
}

impl NotificationView {
    /// Why nobody is notified of anything.
    #[must_use]
    pub fn not_notified(&self, has_notifier: bool) -> Option<String> {
        if !has_notifier {
            return Some(NOBODY_IS_NOTIFIED.to_owned());
        }
        self.not_notified.clone()
    }
}

/// A consistent picture of the loop after one cycle.
#[derive(Clone, Debug, Default)]
pub struct LoopView {
    pub running: bool,
    pub iteration: u64,
    pub started_at: Option<Time>,
    pub last_update: Option<Time>,
    /// When a cycle was last healthy or completed.
    pub last_good_cycle: Option<Time>,
    pub last_status: Option<CycleStatus>,
    pub last_error: Option<String>,
    pub policies_generated: u64,
    pub policies_executed: u64,
    pub violations: Vec<Violation>,
    pub alerts: Vec<ShownAlert>,
    pub sources: Vec<SourceStatus>,
    pub rules: Vec<RuleHealth>,
    pub charter: Option<CharterView>,
    pub statistics: Vec<ActionStatistics>,
    /// `None` before the first cycle, and when the last one broke off.
    pub standing: Option<LoopStatus>,
    /// Why the store could not be read or written in the last cycle.
    pub store_error: Option<String>,
    /// Cycles that failed or broke off since the last healthy or completed one.
    pub failed_cycles: u64,
    pub people: NotificationView,
    /// The condition of the whole; `None` before the first cycle.
    pub condition: Option<Condition>,
    pub interval: Duration,
}
