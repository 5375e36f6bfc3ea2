//! Fills the report of a running cycle with what each phase found.

use std::collections::BTreeSet;

use super::Run;
use super::observe::Seen;
use crate::analyzer::{Changes, Tracker};
use crate::domain::analysis::Analysis;
use crate::domain::cycle::{CycleStatus, Phase};
use crate::domain::execution::Execution;
use crate::domain::reading::Source;
use crate::domain::violation::Violation;
use crate::escalation;
use crate::planner::Plan;

/// Examples kept in a report: enough to see what happened, bounded under a storm.
const EXAMPLES: usize = 20;

impl Run<'_> {
    pub(super) fn saw(
        &mut self,
        tracker: &Tracker,
        seen: &Seen,
        changes: &Changes,
        analysis: &Analysis,
    ) {
        let report = &mut self.report;
        report.violations = tracker.active().count();
        report.actionable = tracker.active().filter(|v| v.counts()).count();
        report.opened = changes.opened.len();
        report.cleared = changes.cleared.len();
        let describe = |v: &Violation| v.description.clone();
        let opened: BTreeSet<&str> = changes.opened.iter().map(String::as_str).collect();
        report.opened_examples = tracker
            .active()
            .filter(|v| opened.contains(v.fingerprint.as_str()))
            .take(EXAMPLES)
            .map(describe)
            .collect();
        report.cleared_examples = changes.cleared.iter().take(EXAMPLES).map(describe).collect();
        report.analysis_id = Some(analysis.id);
        let unread = seen.snapshot.sources.iter().filter(|s| s.result.is_err());
        let mut healthy = report.actionable == 0;
        for source in unread {
            healthy = false;
            report.error = source.result.as_ref().err().map(|e| e.text.clone());
            match source.source {
                Source::Prometheus | Source::Scrape => {
                    report.status = CycleStatus::Failed;
                    report.phase = Some(Phase::Monitor);
                    return;
                }
                Source::Alertmanager => {}
            }
        }
        if let Some(problem) = changes.rules.iter().find_map(|r| r.problem.clone()) {
            // Missing is never healthy.
            healthy = false;
            report.error.get_or_insert(problem);
        }
        if let Err(error) = &seen.charter.state {
            report.error.get_or_insert_with(|| error.clone());
        }
        report.status = if healthy { CycleStatus::Healthy } else { CycleStatus::Completed };
    }

    pub(super) fn planned(&mut self, plan: &Plan) {
        self.report.candidates.clone_from(&plan.candidates);
        self.report.policies_generated = plan.generated;
    }

    /// The plan broke a rule of its own check: a defect, so a person has to look, and nothing of it is executed.
    pub(super) fn refused(&mut self, broken: &[String]) {
        let error = format!(
            "the plan was refused by its own check and nothing was executed: {}. Please report this",
            broken.join("; ")
        );
        tracing::error!(error, "plan refused");
        self.report.status = CycleStatus::Error;
        self.report.phase = Some(Phase::Plan);
        self.report.error = Some(error);
    }

    pub(super) fn executed(&mut self, execution: Option<&Execution>) {
        self.report.execution_id = execution.map(|e| e.id);
    }

    pub(super) fn escalated(&mut self, changes: &escalation::Changes) {
        self.report.escalations_opened = changes.opened.iter().map(|e| e.id).collect();
        self.report.escalations_closed = changes.closed.iter().map(|e| e.id).collect();
    }
}
