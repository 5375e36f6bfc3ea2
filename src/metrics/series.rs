//! The series of [`super::Metrics`], by their subject, with names, help and buckets.

use prometheus::{Gauge, Histogram, IntCounter};

use super::family::{CounterTable, Counters, Families, GaugeTable, Gauges, Histograms};
use super::labels::{
    ActionLabel, AlertOutcome, Call, CallStatus, CandidateLabel, CauseLabel, ExecutionResult,
    IntakeRejection, NotificationResult, StoreOperation, WakeReason, WebhookStatus,
};
use crate::domain::analysis::PatternKind;
use crate::domain::cluster::Kind;
use crate::domain::cycle::{CycleStatus, Hold, Phase};
use crate::domain::execution::ActionState;
use crate::domain::message::NotifierName;
use crate::domain::need::NeedReason;
use crate::domain::outcome::OutcomeType;
use crate::domain::reading::{FailureKind, Source};
use crate::domain::rule::Severity;

/// From a millisecond (an idle cycle) to the 60 s that a policy may take.
const CYCLE_BUCKETS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// From a local answer to the 30 s at which a call is given up.
const CALL_BUCKETS: [f64; 13] =
    [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The loop itself: cycles, phases, what they found.
#[derive(Debug)]
pub(super) struct LoopSeries {
    pub loop_duration: Histogram,
    pub phase_duration: Histograms<Phase>,
    pub cycles: Counters<CycleStatus>,
    pub cycles_woken: IntCounter,
    pub last_cycle: Gauge,
    pub paused: Gauge,
    pub leader: Gauge,
    pub wakeups: Counters<WakeReason>,
    pub violations: Gauges<Severity>,
    pub patterns: Counters<PatternKind>,
    pub candidates: Counters<CandidateLabel>,
    pub blocked: Counters<Hold>,
    pub store_errors: Counters<StoreOperation>,
    pub catalogue_accepted: Gauge,
    pub reload_successful: Gauge,
    pub reloaded_at: Gauge,
}

impl LoopSeries {
    pub fn new(f: &Families) -> Self {
        Self {
            loop_duration: f.histogram(
                "mape_k_loop_duration_seconds",
                "Time of one whole cycle.",
                &CYCLE_BUCKETS,
            ),
            phase_duration: f.histograms(
                "mape_k_phase_duration_seconds",
                "Time of one phase of a cycle.",
                "phase",
                &CYCLE_BUCKETS,
            ),
            cycles: f.counters("mape_k_cycles_total", "Cycles by how they ended.", "status"),
            cycles_woken: f.counter(
                "mape_k_cycles_woken_total",
                "Cycles that ran before their time because something woke the loop.",
            ),
            last_cycle: f.gauge(
                "mape_k_last_cycle_timestamp_seconds",
                "When a cycle last was healthy or completed; 0 before the first.",
            ),
            paused: f.gauge(
                "mape_k_paused",
                "1 while a person's pause is in effect and no action is sent; else 0.",
            ),
            leader: f
                .gauge("mape_k_leader", "1 while this process is the leader, which alone may act; else 0."),
            wakeups: f.counters(
                "mape_k_wakeups_total",
                "Requests to run a cycle early, before they were merged.",
                "reason",
            ),
            violations: f.gauges(
                "mape_k_violations_active",
                "Violations active after the last cycle; findings of the cluster are in mape_k_findings_active.",
                "severity",
            ),
            patterns: f.counters("mape_k_patterns_total", "Patterns found, by detector.", "kind"),
            candidates: f.counters(
                "mape_k_candidates_total",
                "Candidates by their result and its reason.",
                "verdict",
            ),
            blocked: f.counters(
                "mape_k_blocked_total",
                "Candidates that a guard held, by guard, counted in every cycle in which it did.",
                "reason",
            ),
            store_errors: f.counters(
                "mape_k_store_errors_total",
                "Failures of the knowledge store.",
                "operation",
            ),
            catalogue_accepted: f.gauge(
                "mape_k_catalogue_last_reload_successful",
                "1 while the service catalogue's file is as it was last accepted; 0 when its last change was refused.",
            ),
            reload_successful: f.gauge(
                "mape_k_config_last_reload_successful",
                "1 when the last reload of the configuration was accepted, or none was asked for; 0 when it was refused.",
            ),
            reloaded_at: f.gauge(
                "mape_k_config_last_reload_success_timestamp_seconds",
                "When the configuration was last accepted, at the start or by a reload.",
            ),
        }
    }
}

/// What was done about it: policies, actions, results, calls to Charter, needs.
#[derive(Debug)]
pub(super) struct ActionSeries {
    pub policy_executions: Counters<ExecutionResult>,
    pub actions: CounterTable<ActionLabel, ActionState>,
    pub outcomes: Counters<OutcomeType>,
    pub remedy_runs: GaugeTable<CauseLabel, ActionLabel>,
    pub remedy_effectiveness: GaugeTable<CauseLabel, ActionLabel>,
    pub escalations: Counters<NeedReason>,
    pub escalations_open: Gauges<NeedReason>,
    pub charter_duration: Histogram,
    pub charter_calls: CounterTable<Call, CallStatus>,
    pub charter_up: Gauge,
}

impl ActionSeries {
    pub fn new(f: &Families) -> Self {
        Self {
            policy_executions: f.counters(
                "mape_k_policy_executions_total",
                "Executed policies; failed includes rolled back.",
                "status",
            ),
            actions: f.table(
                "mape_k_actions_total",
                "Actions by the state in which their execution left them.",
                ["action", "state"],
            ),
            outcomes: f.counters("mape_k_outcomes_total", "Verified actions by their result.", "type"),
            remedy_runs: f.gauge_table(
                "mape_k_remedy_runs",
                "Verified runs of an action for a cause that are still remembered.",
                ["cause", "action"],
                0.0,
            ),
            remedy_effectiveness: f.gauge_table(
                "mape_k_remedy_effectiveness",
                "Learned effectiveness of an action for a cause, 0 to 1; 1 before its first verified run.",
                ["cause", "action"],
                1.0,
            ),
            escalations: f.counters("mape_k_escalations_total", "Needs opened: what a person was asked for.", "reason"),
            escalations_open: f.gauges(
                "mape_k_escalations_open",
                "Needs open now.",
                "reason",
            ),
            charter_duration: f.histogram(
                "charter_api_response_duration_seconds",
                "Time until Charter answered one call, or until the call was given up.",
                &CALL_BUCKETS,
            ),
            charter_calls: f.table(
                "mape_k_charter_calls_total",
                "Calls to Charter by how it answered.",
                ["call", "result"],
            ),
            charter_up: f
                .gauge("mape_k_charter_up", "1 if Charter answered in the last cycle, else 0."),
        }
    }
}

/// How well the sources could be read.
#[derive(Debug)]
pub(super) struct SourceSeries {
    pub source_last_success: Gauges<Source>,
    pub source_errors: CounterTable<Source, FailureKind>,
    pub series_expected: Gauges<Source>,
    pub series_missing: Gauges<Source>,
    pub source_skew: Gauges<Source>,
    pub rules_missing: Gauge,
    pub unread_objects: Gauges<Kind>,
}

impl SourceSeries {
    pub fn new(f: &Families) -> Self {
        Self {
            source_last_success: f.gauges(
                "mape_k_source_last_success_timestamp_seconds",
                "When a source was last read completely; 0 before the first time.",
                "source",
            ),
            source_errors: f.table(
                "mape_k_source_errors_total",
                "Readings of a source that failed.",
                ["source", "kind"],
            ),
            series_expected: f.gauges(
                "mape_k_source_series_expected",
                "Series that the rules of a source expected in the last cycle.",
                "source",
            ),
            series_missing: f.gauges(
                "mape_k_source_series_missing",
                "Expected series that the last cycle did not see.",
                "source",
            ),
            source_skew: f.gauges(
                "mape_k_source_clock_skew_seconds",
                "The source's clock minus ours.",
                "source",
            ),
            rules_missing: f.gauge(
                "mape_k_rules_without_good_data",
                "Rules whose data was not good in the last cycle.",
            ),
            unread_objects: f.gauges(
                "mape_k_unread_objects",
                "Objects of the cluster that the last cycle could not read and skipped; the log names each.",
                "kind",
            ),
        }
    }
}

/// The webhook and its alerts.
#[derive(Debug)]
pub(super) struct IntakeSeries {
    pub alerts_received: IntCounter,
    pub alerts_processed: IntCounter,
    pub alerts_lost: IntCounter,
    pub alerts_too_large: IntCounter,
    pub alerts_of_unknown_severity: IntCounter,
    pub alerts: Counters<AlertOutcome>,
    pub intake_rejections: Counters<IntakeRejection>,
    pub webhook_requests: Counters<WebhookStatus>,
    pub inbox_depth: Gauge,
    pub webhook_to_call: Histogram,
}

impl IntakeSeries {
    pub fn new(f: &Families) -> Self {
        Self {
            alerts_received: f.counter(
                "mape_k_alerts_received_total",
                "Alerts of authenticated, parsed webhook payloads.",
            ),
            alerts_processed: f.counter(
                "mape_k_alerts_processed_total",
                "Accepted alerts that a cycle has taken in.",
            ),
            alerts_lost: f.counter(
                "mape_k_alerts_lost_total",
                "Accepted alerts dropped while firing or before a cycle had seen them, because the store holds as many as it may.",
            ),
            alerts_too_large: f.counter(
                "mape_k_alerts_too_large_total",
                "Accepted alerts whose labels are too large to keep: shown and escalated, never acted on.",
            ),
            alerts_of_unknown_severity: f.counter(
                "mape_k_alerts_unknown_severity_total",
                "Alerts whose severity is a word that alertmanager.severities does not know; they count as warnings.",
            ),
            alerts: f.counters(
                "mape_k_alerts_total",
                "Received alerts by their outcome.",
                "outcome",
            ),
            intake_rejections: f.counters(
                "mape_k_intake_rejections_total",
                "Webhook requests of which nothing was stored.",
                "reason",
            ),
            webhook_requests: f.counters(
                "mape_k_webhook_requests_total",
                "Webhook requests by answered status.",
                "code",
            ),
            inbox_depth: f
                .gauge("mape_k_inbox_depth", "Accepted alerts that no cycle has taken in yet."),
            webhook_to_call: f.histogram(
                "mape_k_webhook_to_charter_call_seconds",
                "From the arrival of an alert to the first call to Charter of the cycle it woke.",
                &CALL_BUCKETS,
            ),
        }
    }
}

/// Notifying people.
#[derive(Debug)]
pub(super) struct NotifySeries {
    pub notifications: CounterTable<NotifierName, NotificationResult>,
    pub notification_duration: Histograms<NotifierName>,
    pub backed_up: Gauge,
    pub unknown_slack_errors: IntCounter,
}

impl NotifySeries {
    pub fn new(f: &Families) -> Self {
        Self {
            notifications: f.table(
                "mape_k_notifications_total",
                "Attempts to send a message by notifier and how they ended; those given up without an attempt count once.",
                ["notifier", "result"],
            ),
            notification_duration: f.histograms(
                "mape_k_notification_duration_seconds",
                "Time until a notifier's server confirmed a message, or until it was given up.",
                "notifier",
                &CALL_BUCKETS,
            ),
            backed_up: f.gauge(
                "mape_k_notifications_backed_up",
                "Messages in the outbox that no notifier has confirmed yet.",
            ),
            unknown_slack_errors: f.counter(
                "mape_k_slack_unknown_errors_total",
                "Refusals by Slack with an error that mape-k does not know.",
            ),
        }
    }
}
