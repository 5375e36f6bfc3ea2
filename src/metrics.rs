//! What the daemon exports to Prometheus about itself: typed counters, gauges and histograms over a registry of its own.
//!
//! Stages report domain values (`metrics.cycle(&report)`); which series they move is decided here. No globals: one
//! [`Metrics`] is made by the composition root and shared. Leaves out serving them (`server::health`).

mod family;
pub mod labels;
mod notification;
mod series;
mod served;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::{Registry, TextEncoder};

use crate::domain::analysis::Analysis;
use crate::domain::cluster::{Kind, UnreadObject, WordKind};
use crate::domain::cycle::{CandidateResult, CycleReport, Trigger};
use crate::domain::decision::{Decision, Sev};
use crate::domain::execution::{Execution, ExecutionStatus};
use crate::domain::finding::IncidentClass;
use crate::domain::message::NotifierName;
use crate::domain::need::NeedReason;
use crate::domain::outcome::{ActionStatistics, Outcome};
use crate::domain::reading::{FailureKind, Source};
use crate::domain::rule::Severity;
use crate::domain::time::Time;
use crate::domain::view::LoopView;
use family::Families;
use labels::{
    ActionLabel, AlertOutcome, Call, CallStatus, CauseLabel, ExecutionResult, IntakeRejection,
    Label, NotificationResult, StoreOperation, WakeReason, WebhookStatus,
};
use notification::NotificationSeries;
use series::{ActionSeries, IntakeSeries, LoopSeries, NotifySeries, SourceSeries};

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Charter is driven, so that there is something to say of it.
    charter: AtomicBool,
    cycle: LoopSeries,
    action: ActionSeries,
    source: SourceSeries,
    intake: IntakeSeries,
    people: NotificationSeries,
    notify: NotifySeries,
}

impl Metrics {
    /// Creates every series at its zero.
    ///
    /// # Panics
    /// Never in a build whose constant names are valid: the first call of any test would show it.
    #[must_use]
    pub fn new(started_at: Time) -> Arc<Self> {
        Self::of(started_at, true)
    }

    /// The same; without `charter` nothing of it is served.
    #[must_use]
    pub fn of(started_at: Time, charter: bool) -> Arc<Self> {
        let registry = Registry::new();
        let f = Families(&registry);
        f.build_info(env!("CARGO_PKG_VERSION"));
        f.gauge("process_start_time_seconds", "Start of the process since the Unix epoch.")
            .set(unix_seconds(started_at));
        let metrics = Self {
            cycle: LoopSeries::new(&f),
            action: ActionSeries::new(&f),
            source: SourceSeries::new(&f),
            intake: IntakeSeries::new(&f),
            people: NotificationSeries::new(&f),
            notify: NotifySeries::new(&f),
            registry,
            charter: AtomicBool::new(charter),
        };
        // Nothing starts with a catalogue that is refused.
        metrics.catalogue(true);
        metrics.reloaded(started_at);
        Arc::new(metrics)
    }

    /// The text that `/metrics` serves.
    #[must_use]
    pub fn gather(&self) -> String {
        let families = self.registry.gather();
        let families = if self.charter.load(Ordering::Relaxed) {
            families
        } else {
            served::without_charter(families)
        };
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_else(|error| format!("# the metrics cannot be encoded: {error}\n"))
    }

    /// One cycle has ended.
    pub fn cycle(&self, report: &CycleReport) {
        self.cycle.loop_duration.observe(report.duration_seconds);
        for (phase, seconds) in &report.phases {
            self.cycle.phase_duration.observe(*phase, *seconds);
        }
        self.cycle.cycles.add(report.status, 1);
        if report.trigger == Trigger::Woken {
            self.cycle.cycles_woken.inc();
        }
        for candidate in &report.candidates {
            self.cycle.candidates.add((&candidate.verdict).into(), 1);
            if let CandidateResult::Held { reason, .. } = &candidate.verdict {
                self.cycle.blocked.add(*reason, 1);
            }
        }
    }

    /// What the loop shows after a cycle.
    pub fn view(&self, view: &LoopView) {
        for severity in Severity::ALL {
            // What was found in the cluster is shown among them and never acted on: it has a gauge of its own.
            let active = view.violations.iter().filter(|v| {
                v.severity == severity && v.cleared_at.is_none() && v.source != Source::Kubernetes
            });
            self.cycle.violations.set(severity, active.count() as f64);
        }
        if let Some(at) = view.last_good_cycle {
            self.cycle.last_cycle.set(unix_seconds(at));
        }
        for source in &view.sources {
            self.source.series_expected.set(source.source, source.expected as f64);
            self.source.series_missing.set(source.source, source.missing as f64);
            if let Some(skew) = source.clock_skew_seconds {
                self.source.source_skew.set(source.source, skew);
            }
        }
        self.source.rules_missing.set(view.rules.iter().filter(|rule| !rule.good).count() as f64);
        let up = view.charter.as_ref().is_some_and(|charter| charter.state.is_ok());
        self.action.charter_up.set(f64::from(u8::from(up)));
        self.learned(&view.statistics);
        self.failed_in_a_row(view.failed_cycles);
        for class in IncidentClass::ALL {
            let of_class = view.people.findings.iter().filter(|f| f.kind.class() == class);
            self.people.findings.set(class, of_class.count() as f64);
        }
        for severity in Sev::ALL {
            let of_severity = view.people.incidents.iter().filter(|i| i.severity == severity);
            self.people.incidents.set(severity, of_severity.count() as f64);
        }
    }

    /// What results have taught. Causes that only the configuration names share a series, by the weight of their runs.
    fn learned(&self, statistics: &[ActionStatistics]) {
        for cause in CauseLabel::all() {
            for action in ActionLabel::all() {
                let of_both = statistics.iter().filter(|s| {
                    CauseLabel::from(&s.cause) == cause && ActionLabel::from(s.action) == action
                });
                let (runs, believed) = of_both.fold((0.0, 0.0), |(runs, believed), s| {
                    (runs + f64::from(s.runs), believed + f64::from(s.runs) * s.effectiveness)
                });
                let effectiveness = if runs > 0.0 { believed / runs } else { 1.0 };
                self.action.remedy_runs.set(cause, action, runs);
                self.action.remedy_effectiveness.set(cause, action, effectiveness);
            }
        }
    }

    /// A phase or reason of a pod was seen for the first time that no list of ours has.
    pub fn unknown_word(&self, kind: WordKind) {
        self.people.unknown_words.add(kind, 1);
    }

    /// A decision over incidents that are new, worse or due.
    pub fn decided(&self, decision: &Decision) {
        self.people.decisions.add(decision.severity, 1);
        if decision.is_fallback {
            self.people.fallbacks.inc();
        }
    }

    /// A person's pause holds, or none.
    pub fn paused(&self, paused: bool) {
        self.cycle.paused.set(f64::from(u8::from(paused)));
    }

    /// The service catalogue's file is as it was last accepted, or its last change was refused.
    pub fn catalogue(&self, accepted: bool) {
        self.cycle.catalogue_accepted.set(f64::from(u8::from(accepted)));
    }

    /// The configuration was accepted.
    pub fn reloaded(&self, at: Time) {
        self.cycle.reload_successful.set(1.0);
        self.cycle.reloaded_at.set(unix_seconds(at));
    }

    /// A reload was refused: what applied before still does.
    pub fn reload_refused(&self) {
        self.cycle.reload_successful.set(0.0);
    }

    /// A reload may turn Charter on or off.
    pub fn drives_charter(&self, charter: bool) {
        self.charter.store(charter, Ordering::Relaxed);
    }

    /// This process leads, or another.
    pub fn leads(&self, leads: bool) {
        self.cycle.leader.set(f64::from(u8::from(leads)));
    }

    /// It does not lead: what only cycles set would stand still for ever, so it is as before the first cycle. When
    /// something last went well stays true.
    pub fn follows(&self) {
        self.view(&LoopView::default());
        for source in Source::ALL {
            self.source.series_expected.set(source, 0.0);
            self.source.series_missing.set(source, 0.0);
            self.source.source_skew.set(source, 0.0);
        }
        self.escalations_open(&[]);
        self.inbox_depth(0);
        self.paused(false);
        self.catalogue(true);
        self.notifications_backed_up(0);
    }

    /// Cycles that failed since the last good one, those that could not begin among them.
    pub fn failed_in_a_row(&self, cycles: u64) {
        self.people.failed_in_a_row.set(cycles as f64);
    }

    pub fn analysis(&self, analysis: &Analysis) {
        for pattern in &analysis.patterns {
            self.cycle.patterns.add(pattern.kind, 1);
        }
    }

    /// One execution has ended; one that is still under way counts for nothing yet.
    pub fn execution(&self, execution: &Execution) {
        let result = match execution.status {
            ExecutionStatus::Pending | ExecutionStatus::InProgress => return,
            ExecutionStatus::Completed => ExecutionResult::Success,
            ExecutionStatus::Failed | ExecutionStatus::RolledBack => ExecutionResult::Failed,
        };
        self.action.policy_executions.add(result, 1);
        for record in &execution.actions {
            self.action.actions.add(record.action.kind().into(), record.state, 1);
        }
    }

    pub fn outcome(&self, outcome: &Outcome) {
        self.action.outcomes.add(outcome.outcome_type, 1);
    }

    pub fn escalation_opened(&self, reason: NeedReason) {
        self.action.escalations.add(reason, 1);
    }

    /// The reasons of all open escalations, one each.
    pub fn escalations_open(&self, open: &[NeedReason]) {
        for reason in NeedReason::ALL {
            self.action
                .escalations_open
                .set(reason, open.iter().filter(|r| **r == reason).count() as f64);
        }
    }

    pub fn charter_call(&self, call: Call, result: CallStatus, took: Duration) {
        self.action.charter_duration.observe(took.as_secs_f64());
        self.action.charter_calls.add(call, result, 1);
    }

    /// A source was read whole, or failed.
    pub fn source_read(&self, source: Source, failed: Option<FailureKind>, at: Time) {
        match failed {
            None => self.source.source_last_success.set(source, unix_seconds(at)),
            Some(kind) => self.source.source_errors.add(source, kind, 1),
        }
    }

    /// Objects of the cluster that cannot be read now.
    pub fn unread_objects(&self, unread: &[UnreadObject]) {
        for kind in Kind::ALL {
            let count = unread.iter().filter(|object| object.kind == kind).count();
            self.source.unread_objects.set(kind, count as f64);
        }
    }

    /// Alerts of an authenticated, parsed payload, whatever becomes of them.
    pub fn alerts_received(&self, count: u64) {
        self.intake.alerts_received.inc_by(count);
    }

    /// Alerts new to the store: they wait for a cycle.
    pub fn alerts_accepted(&self, count: u64) {
        self.alerts_ended(AlertOutcome::Accepted, count);
        self.intake.inbox_depth.add(count as f64);
    }

    /// What became of alerts whose payload was answered with 200.
    pub fn alerts_ended(&self, outcome: AlertOutcome, count: u64) {
        self.intake.alerts.add(outcome, count);
    }

    pub fn alerts_processed(&self, count: u64) {
        self.intake.alerts_processed.inc_by(count);
    }

    /// Alerts that the store gave up while they fired or before a cycle had seen them.
    pub fn alerts_lost(&self, count: u64) {
        self.intake.alerts_lost.inc_by(count);
    }

    /// Accepted alerts of which only what names them was kept.
    pub fn alerts_too_large(&self, count: u64) {
        self.intake.alerts_too_large.inc_by(count);
    }

    /// Alerts new to the loop whose severity is a word that nobody knows.
    pub fn alerts_of_unknown_severity(&self, count: u64) {
        self.intake.alerts_of_unknown_severity.inc_by(count);
    }

    #[must_use]
    pub fn alert_totals(&self) -> AlertTotals {
        AlertTotals {
            received: self.intake.alerts_received.get(),
            accepted: self.intake.alerts.value(AlertOutcome::Accepted),
            processed: self.intake.alerts_processed.get(),
        }
    }

    /// What a cycle leaves in the inbox.
    pub fn inbox_depth(&self, depth: usize) {
        self.intake.inbox_depth.set(depth as f64);
    }

    pub fn webhook_answered(&self, status: WebhookStatus) {
        self.intake.webhook_requests.add(status, 1);
    }

    pub fn intake_rejected(&self, reason: IntakeRejection) {
        self.intake.intake_rejections.add(reason, 1);
    }

    pub fn woken(&self, reason: WakeReason) {
        self.cycle.wakeups.add(reason, 1);
    }

    /// From the arrival of the alert that woke the loop to the first call to Charter.
    pub fn webhook_to_call(&self, took: Duration) {
        self.intake.webhook_to_call.observe(took.as_secs_f64());
    }

    /// Slack refused a message with an error that nobody here knows.
    pub fn slack_error_unknown(&self) {
        self.notify.unknown_slack_errors.inc();
    }

    /// One message, or one refresh of what stands, has ended at a notifier.
    pub fn notified(&self, notifier: NotifierName, result: NotificationResult, took: Duration) {
        self.notify.notification_duration.observe(notifier, took.as_secs_f64());
        self.notify.notifications.add(notifier, result, 1);
    }

    /// Notifiers that are switched on.
    pub fn notifiers_configured(&self, count: usize) {
        self.people.notifiers.set(count as f64);
    }

    /// A message is not sent any more although nobody confirmed it.
    pub fn notification_given_up(&self, notifier: NotifierName) {
        self.notify.notifications.add(notifier, NotificationResult::GivenUp, 1);
    }

    /// Messages that wait in the outbox.
    pub fn notifications_backed_up(&self, count: usize) {
        self.notify.backed_up.set(count as f64);
    }

    pub fn store_error(&self, operation: StoreOperation) {
        self.cycle.store_errors.add(operation, 1);
    }
}

/// Alerts since the start of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AlertTotals {
    pub received: u64,
    pub accepted: u64,
    pub processed: u64,
}

fn unix_seconds(at: Time) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}
