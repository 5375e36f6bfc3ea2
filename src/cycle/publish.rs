//! The end of a cycle: what has to be kept is stored, what is to be seen is published.

use std::time::Duration;

use super::memory::Memory;
use super::observe::Seen;
use super::{Cycle, Run};
use crate::analyzer::Changes;
use crate::domain::alert::AlertClass;
use crate::domain::analysis::Analysis;
use crate::domain::cycle::{CycleReport, CycleStatus, Phase};
use crate::domain::reading::{RuleStatus, Source};
use crate::domain::time::Time;
use crate::domain::view::{LoopView, RuleHealth, ShownAlert, SourceStatus};
use crate::domain::violation::TrackedViolation;
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
/// Alerts shown at most.
const SHOWN_ALERTS: usize = 1_000;

impl Cycle {
    /// Stores what the cycle changed: the active set, the inbox, insights. The report follows at the very end.
    pub(super) async fn save(
        &mut self,
        seen: &Seen,
        analysis: &Analysis,
    ) -> Result<(), StoreError> {
        // Each record stands for itself. After a failure all are written again, after a crash the next reading finds
        // what is missing or over.
        for records in self.tracker.unsaved().chunks(SAVED_AT_ONCE) {
            let mut batch = self.knowledge.batch();
            for (fingerprint, record) in records {
                match record {
                    Some(record) => batch.put(*record),
                    None => batch.delete::<TrackedViolation>(fingerprint),
                }
            }
            self.knowledge.commit(batch).await?;
        }
        self.tracker.saved();
        let mut batch = self.knowledge.batch();
        batch.put(&shortened(analysis));
        self.knowledge.commit(batch).await?;
        self.metrics.analysis(analysis);
        self.knowledge.mark_listed(&seen.newly_listed).await?;
        let processed = self.knowledge.mark_processed(&seen.inbox).await?;
        self.metrics.alerts_processed(processed as u64);
        if self.memory.number.is_multiple_of(INSIGHTS_EVERY) {
            let learned = self.learned().await?;
            self.knowledge.refresh_insights(&learned, seen.snapshot.at).await?;
        }
        if self.memory.number % PRUNE_EVERY == 1 {
            self.prune(seen.snapshot.at).await?;
        }
        Ok(())
    }

    /// Applies the store's bounds and tells of alerts that were given up for them, also when it then failed.
    async fn prune(&self, now: Time) -> Result<(), StoreError> {
        let limit = self.config.analyze.pattern_history_limit;
        let mut pruned = Pruned::default();
        let done = self.knowledge.prune(now, limit, &mut pruned).await;
        self.metrics.alerts_lost(pruned.alerts_lost);
        if pruned.alerts_lost > 0 {
            tracing::warn!(
                alerts = pruned.alerts_lost,
                kept = MAX_ALERTS,
                "alerts were dropped that still fired or that no cycle had seen: there are more than the store keeps"
            );
        }
        done
    }

    /// Closes the report, stores it, and makes the view that everybody else sees.
    pub(super) async fn finish(&mut self, mut run: Run<'_>) -> (CycleReport, LoopView) {
        run.leave();
        run.report.duration_seconds = run.started.elapsed().as_secs_f64();
        let mut batch = self.knowledge.batch();
        batch.put(&run.report);
        if let Err(error) = self.knowledge.commit(batch).await {
            self.store_failed(StoreOperation::Write, &error);
            run.view.store_error.get_or_insert(error.to_string());
            if run.report.status != CycleStatus::Failed {
                run.report.status = CycleStatus::Error;
            }
            run.report.error.get_or_insert(error.to_string());
            run.report.phase.get_or_insert(Phase::Knowledge);
            run.report.failed_cycles = run.report.failed_cycles.max(self.memory.failed_cycles + 1);
        }
        self.memory.failed_cycles = run.report.failed_cycles;
        self.people.file(&run.report).await;
        let Run { report, mut view, clock, .. } = run;
        let now = clock.now();
        match report.status {
            CycleStatus::Healthy | CycleStatus::Completed => {
                self.memory.last_good_cycle = Some(now);
            }
            CycleStatus::Failed | CycleStatus::Error => {}
        }
        self.memory.last_error.clone_from(&report.error);
        say(&report);
        view.running = true;
        view.iteration = report.number;
        view.started_at = self.memory.started_at;
        view.last_update = Some(now);
        view.last_good_cycle = self.memory.last_good_cycle;
        view.last_status = Some(report.status);
        view.last_error.clone_from(&self.memory.last_error);
        view.policies_generated = self.memory.policies_generated;
        view.policies_executed = self.memory.policies_executed;
        view.people = self.people.shown();
        view.violations = self.tracker.active().cloned().collect();
        // While the store fails the last known stand: none would say that nothing was ever judged.
        if let Ok(learned) = self.learned().await {
            self.memory.shown_learned = learned;
        }
        view.statistics.clone_from(&self.memory.shown_learned);
        view.failed_cycles = self.memory.failed_cycles;
        view.interval = self.config.orchestrator.loop_interval;
        self.metrics.cycle(&report);
        self.metrics.view(&view);
        (report, view)
    }
}

impl Run<'_> {
    /// What the view shows of this cycle's reading.
    pub(super) fn show(&mut self, seen: &Seen, changes: &Changes, memory: &Memory) {
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
                    last_read: memory.last_read.get(&reading.source).copied(),
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
            "cycle failed: the cluster could not be read whole, so nothing is called healthy"
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
            "cycle broke off"
        ),
    }
}
