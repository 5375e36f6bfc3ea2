//! The end of a cycle: what has to be kept is stored, what is to be seen is published.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kit::Kit;
use super::observe::Seen;
use super::run::Run;
use crate::analyzer::{Changes, Tracker};
use crate::domain::alert::AlertClass;
use crate::domain::analysis::Analysis;
use crate::domain::cycle::{CycleReport, CycleStatus, Phase, Trigger};
use crate::domain::outcome::ActionStatistics;
use crate::domain::reading::{RuleStatus, Source};
use crate::domain::time::Time;
use crate::domain::view::{self, LoopView, RuleHealth, ShownAlert, SourceStatus};
use crate::domain::violation::{TrackedViolation, Violation};
use crate::knowledge::{MAX_ALERTS, Pruned, StoreError};
use crate::metrics::labels::StoreOperation;

/// Insights are refreshed every so many cycles (loop.md).
const INSIGHTS_EVERY: u64 = 5;
/// Bounds of the store are applied every so many cycles: ten minutes at the default interval.
const PRUNE_EVERY: u64 = 20;
/// Evidence kept with a stored analysis; the loop itself works on all of it.
const STORED_EVIDENCE: usize = 200;
/// Violations stored in one transaction: some ten milliseconds of the one writer, and then deliveries get in between.
const SAVED_AT_ONCE: usize = 500;
/// The cycles go on although the store does not take their reports.
const REPORTED_WITHIN: Duration = Duration::from_secs(5);
/// Alerts shown at most.
const SHOWN_ALERTS: usize = 1_000;

/// What the other stages have to show at the end of a cycle.
pub(super) struct Shown {
    pub people: view::NotificationView,
    pub violations: Vec<Violation>,
    /// `None`: the store could not say it.
    pub learned: Option<Vec<ActionStatistics>>,
    pub policies_generated: u64,
    pub policies_executed: u64,
}

/// Which cycle it is, and how the loop has fared.
#[derive(Debug, Default)]
pub(super) struct Publish {
    number: u64,
    last_second: String,
    in_second: u32,
    /// What outcomes teach, as last shown.
    shown_learned: Vec<ActionStatistics>,
    started_at: Option<Time>,
    last_good_cycle: Option<Time>,
    /// Cycles that failed or broke off since.
    pub failed_cycles: u64,
    last_error: Option<String>,
}

impl Publish {
    /// After others may have led, of whose cycles `newest` was the last: what was counted goes on, names too, so that none
    /// is given twice when leaders change within a second. Everything else is from before.
    pub fn afresh(&mut self, newest: Option<&CycleReport>) {
        let (last_second, place) = newest
            .map_or(("", "1"), |report| report.id.split_once('-').unwrap_or((&report.id, "1")));
        *self = Self {
            number: self.number,
            last_second: last_second.to_owned(),
            in_second: place.parse().unwrap_or(1),
            started_at: self.started_at,
            // What failed before goes on failing until a cycle does not.
            failed_cycles: newest.map_or(0, |report| report.failed_cycles),
            ..Self::default()
        };
    }

    /// The report of the next cycle, with its number and name.
    pub fn next_cycle(&mut self, trigger: Trigger, now: Time) -> CycleReport {
        self.number += 1;
        self.started_at.get_or_insert(now);
        let second = now.format("%Y%m%d_%H%M%S").to_string();
        if second == self.last_second {
            self.in_second += 1;
        } else {
            self.in_second = 1;
            self.last_second.clone_from(&second);
        }
        let id = if self.in_second == 1 { second } else { format!("{second}-{}", self.in_second) };
        CycleReport {
            id,
            number: self.number,
            trigger,
            started_at: now,
            failed_cycles: self.failed_cycles,
            ..CycleReport::default()
        }
    }

    /// Insights are due for a refresh.
    pub fn is_insight_due(&self) -> bool {
        self.number.is_multiple_of(INSIGHTS_EVERY)
    }

    /// Stores what the cycle changed: the active set, the inbox, insights. The report follows at the very end.
    pub async fn save(
        &self,
        kit: &Kit,
        tracker: &mut Tracker,
        learned: Option<Vec<ActionStatistics>>,
        seen: &Seen,
        analysis: &Analysis,
    ) -> Result<(), StoreError> {
        // Each record stands for itself. After a failure all are written again, after a crash the next reading finds
        // what is missing or over.
        for records in tracker.unsaved().chunks(SAVED_AT_ONCE) {
            let mut batch = kit.knowledge.batch();
            for (fingerprint, record) in records {
                match record {
                    Some(record) => batch.put(*record),
                    None => batch.delete::<TrackedViolation>(fingerprint),
                }
            }
            kit.knowledge.commit(batch).await?;
        }
        tracker.saved();
        let mut batch = kit.knowledge.batch();
        batch.put(&shortened(analysis));
        kit.knowledge.commit(batch).await?;
        kit.metrics.analysis(analysis);
        kit.knowledge.mark_listed(&seen.newly_listed).await?;
        let processed = kit.knowledge.mark_processed(&seen.inbox).await?;
        kit.metrics.alerts_processed(processed as u64);
        if let Some(learned) = learned {
            kit.knowledge.refresh_insights(&learned, seen.snapshot.at).await?;
        }
        if self.number % PRUNE_EVERY == 1 {
            prune(kit, seen.snapshot.at).await?;
        }
        Ok(())
    }

    /// Closes the report and stores it.
    pub async fn close(&mut self, kit: &Kit, run: &mut Run<'_>) {
        run.leave();
        run.report.duration_seconds = run.started.elapsed().as_secs_f64();
        let mut batch = kit.knowledge.batch();
        batch.put(&run.report);
        let stored = kit.knowledge.answers(REPORTED_WITHIN, kit.knowledge.commit(batch)).await;
        if let Err(error) = stored {
            kit.store_failed(StoreOperation::Write, &error);
            run.view.store_error.get_or_insert(error.to_string());
            if run.report.status != CycleStatus::Failed {
                run.report.status = CycleStatus::Error;
            }
            run.report.error.get_or_insert(error.to_string());
            run.report.phase.get_or_insert(Phase::Knowledge);
            run.report.failed_cycles = run.report.failed_cycles.max(self.failed_cycles + 1);
        }
        self.failed_cycles = run.report.failed_cycles;
    }

    /// The view that everybody else sees.
    pub fn publish(&mut self, kit: &Kit, run: Run<'_>, shown: Shown) -> (CycleReport, LoopView) {
        let Run { report, mut view, clock, .. } = run;
        let now = clock.now();
        match report.status {
            CycleStatus::Healthy | CycleStatus::Completed => {
                self.last_good_cycle = Some(now);
            }
            CycleStatus::Failed | CycleStatus::Error => {}
        }
        self.last_error.clone_from(&report.error);
        say(&report);
        view.running = true;
        view.iteration = report.number;
        view.started_at = self.started_at;
        view.last_update = Some(now);
        view.last_good_cycle = self.last_good_cycle;
        view.last_status = Some(report.status);
        view.last_error.clone_from(&self.last_error);
        view.policies_generated = shown.policies_generated;
        view.policies_executed = shown.policies_executed;
        view.people = shown.people;
        view.violations = shown.violations;
        // While the store fails the last known stand: none would say that nothing was ever judged.
        if let Some(learned) = shown.learned {
            self.shown_learned = learned;
        }
        view.statistics.clone_from(&self.shown_learned);
        view.failed_cycles = self.failed_cycles;
        view.condition = Some(report.condition());
        view.interval = kit.config.orchestrator.loop_interval;
        kit.metrics.cycle(&report);
        kit.metrics.view(&view);
        (report, view)
    }
}

/// Applies the store's bounds and reports alerts that were given up for them, also when it then failed.
async fn prune(kit: &Kit, now: Time) -> Result<(), StoreError> {
    let limit = kit.config.analyze.pattern_history_limit;
    let mut pruned = Pruned::default();
    let done = kit.knowledge.prune(now, limit, &mut pruned).await;
    kit.metrics.alerts_lost(pruned.alerts_lost);
    if pruned.alerts_lost > 0 {
        tracing::warn!(
            alerts = pruned.alerts_lost,
            kept = MAX_ALERTS,
            "alerts were dropped that still fired or that no cycle had seen: there are more than the store keeps"
        );
    }
    done
}

impl Run<'_> {
    /// What the view shows of this cycle's reading.
    pub(super) fn show(
        &mut self,
        seen: &Seen,
        changes: &Changes,
        last_read: &BTreeMap<Source, Time>,
    ) {
        let view = &mut self.view;
        view.charter = seen.charter.is_on.then(|| seen.charter.clone());
        view.rules = changes.rules.iter().map(rule_health).collect();
        let expected: usize = changes.rules.iter().map(|r| r.expected).sum();
        let present: usize = changes.rules.iter().map(|r| r.seen).sum();
        view.sources = seen
            .snapshot
            .sources
            .iter()
            .map(|reading| {
                let of_rules = reading.source != Source::Alertmanager;
                let series = |n: usize| if of_rules { n } else { 0 };
                SourceStatus {
                    source: reading.source,
                    last_read: last_read.get(&reading.source).copied(),
                    expected: series(expected),
                    seen: series(present),
                    missing: series(expected.saturating_sub(present)),
                    clock_skew_seconds: reading.skew,
                    error: reading.result.as_ref().err().map(|e| e.text.clone()),
                }
            })
            .collect();
        view.alerts = seen
            .snapshot
            .alerts
            .alerts
            .iter()
            .filter(|a| a.class != AlertClass::Actionable || a.no_evidence.is_some())
            .take(SHOWN_ALERTS)
            .map(|alert| ShownAlert {
                name: alert.name.clone(),
                class: alert.class,
                state: alert.state,
                severity: alert.severity,
                description: alert.description.clone(),
                no_evidence: alert.no_evidence.as_ref().map(ToString::to_string),
            })
            .collect();
    }
}

fn rule_health(status: &RuleStatus) -> RuleHealth {
    RuleHealth {
        rule: status.rule.clone(),
        good: status.good,
        expected: status.expected,
        seen: status.seen,
        problem: status.problem.clone(),
    }
}

fn shortened(analysis: &Analysis) -> Analysis {
    let mut analysis = analysis.clone();
    for pattern in &mut analysis.patterns {
        pattern.evidence.truncate(STORED_EVIDENCE);
    }
    for root in &mut analysis.root_causes {
        root.evidence.truncate(STORED_EVIDENCE);
    }
    analysis
}

/// One line a cycle: quiet cycles whisper, failures are warnings (ERROR is for what a person must act on now).
fn say(report: &CycleReport) {
    let took = Duration::from_secs_f64(report.duration_seconds.max(0.0)).as_millis();
    // Wider numbers would stand as text in the JSON log.
    let took = u64::try_from(took).unwrap_or(u64::MAX);
    match report.status {
        CycleStatus::Healthy => {
            tracing::debug!(
                cycle = report.id,
                number = report.number,
                took_ms = took,
                "cycle healthy"
            );
        }
        CycleStatus::Completed => tracing::info!(
            cycle = report.id,
            number = report.number,
            took_ms = took,
            violations = report.violations,
            actionable = report.actionable,
            opened = report.opened,
            cleared = report.cleared,
            policies = report.policies_generated,
            error = report.error,
            "cycle completed"
        ),
        CycleStatus::Failed if report.phase == Some(Phase::K8sAnalyzer) => tracing::warn!(
            cycle = report.id,
            number = report.number,
            phase = Phase::K8sAnalyzer.as_str(),
            error = report.error,
            "cycle failed: some of the cluster could not be read, so nothing is reported as healthy"
        ),
        CycleStatus::Failed => tracing::warn!(
            cycle = report.id,
            number = report.number,
            phase = report.phase.map(Phase::as_str),
            error = report.error,
            "cycle failed: metrics could not be read, and nothing was done about what they would show"
        ),
        CycleStatus::Error => tracing::warn!(
            cycle = report.id,
            number = report.number,
            phase = report.phase.map(Phase::as_str),
            error = report.error,
            "the cycle broke off; what it had not stored is decided again in the next cycle"
        ),
    }
}
