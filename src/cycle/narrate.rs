//! Fills the report of a running cycle with what each phase found.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::act::ExecutionResult;
use super::observe::Seen;
use super::run::Run;
use crate::analyzer::{Changes, Tracker};
use crate::domain::alert::{Alert, AlertClass, AlertState};
use crate::domain::analysis::{Analysis, RootCause};
use crate::domain::cycle::basis::{ActiveViolation, Basis, Concluded, Proposed, SourceRead};
use crate::domain::cycle::{CandidateReport, CandidateResult, CycleStatus, Hold, Phase};
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::pause::Pause;
use crate::domain::policy::{Approval, Policy};
use crate::domain::reading::Source;
use crate::domain::rule::Severity;
use crate::domain::time::Time;
use crate::domain::violation::Violation;
use crate::incidents;
use crate::planner::{self, Plan};

/// Examples kept in a report: enough to see what happened, bounded under a storm.
const EXAMPLES: usize = 20;

impl Run<'_> {
    pub(super) fn saw(
        &mut self,
        tracker: &Tracker,
        seen: &Seen,
        changes: &Changes,
        (analysis, plan): (&Analysis, &planner::Settings),
        last_read: &BTreeMap<Source, Time>,
    ) {
        let report = &mut self.report;
        // Findings are reported by themselves.
        let own = || tracker.active().filter(|v| !v.is_finding());
        let opened: BTreeSet<&str> = changes.opened.iter().map(String::as_str).collect();
        let is_new = |v: &&Violation| opened.contains(v.fingerprint.as_str());
        let cleared = || changes.cleared.iter().filter(|v| !v.is_finding());
        report.violations = own().count();
        report.actionable = own().filter(|v| v.counts()).count();
        report.opened = own().filter(is_new).count();
        report.cleared = cleared().count();
        let describe = |v: &Violation| v.description.clone();
        report.opened_examples = own().filter(is_new).take(EXAMPLES).map(describe).collect();
        report.cleared_examples = cleared().take(EXAMPLES).map(describe).collect();
        report.analysis_id = Some(analysis.id);
        report.basis = Some(basis(tracker, seen, changes, (analysis, plan), last_read));
        let unread = seen.snapshot.sources.iter().filter(|s| s.result.is_err());
        // A critical alert that nobody can confirm is no health either, though nothing may be done about it.
        let unconfirmed =
            |v: &Violation| v.severity == Severity::Critical && v.no_evidence.is_some();
        let mut healthy = report.actionable == 0 && !own().any(unconfirmed);
        for source in unread {
            healthy = false;
            report.error = source.result.as_ref().err().map(|e| e.text.clone());
            match source.source {
                Source::Prometheus | Source::Scrape => {
                    report.status = CycleStatus::Failed;
                    report.phase = Some(Phase::Monitor);
                    return;
                }
                Source::Alertmanager | Source::Kubernetes => {}
            }
        }
        for rule in changes.rules.iter().filter(|rule| rule.problem.is_some()) {
            // Missing is never healthy, and no error while it is only awaited.
            healthy = false;
            if !rule.is_awaited {
                report.error = report.error.take().or_else(|| rule.problem.clone());
            }
        }
        if let Some(error) = seen.charter.problem() {
            report.error.get_or_insert_with(|| error.clone());
        }
        report.status = if healthy { CycleStatus::Healthy } else { CycleStatus::Completed };
    }

    /// `known` are the policies as they were before the plan.
    pub(super) fn planned(&mut self, plan: &Plan, known: &[Policy], pause: Option<&Pause>) {
        self.report.candidates.clone_from(&plan.candidates);
        self.report.policies_generated = plan.generated;
        if let Some(basis) = &mut self.report.basis {
            basis.paused = pause.filter(|p| p.holds(self.report.started_at)).cloned();
            basis.policies =
                plan.candidates.iter().filter_map(|c| proposed(c, plan, known)).collect();
            basis.policies.truncate(Basis::POLICIES);
        }
    }

    /// The plan broke a rule of its own check: a defect, so a person has to look, and nothing of it is executed.
    pub(super) fn refused(&mut self, broken: &[String]) {
        let error = format!(
            "the plan failed its own check, which is a defect, and nothing was executed: {}. Please report this",
            broken.join("; ")
        );
        tracing::error!(error, "plan refused");
        self.report.status = CycleStatus::Error;
        self.report.phase = Some(Phase::Plan);
        self.report.error = Some(error);
    }

    pub(super) fn executed(&mut self, carried: &ExecutionResult) {
        self.report.execution_id = carried.execution().map(|e| e.id);
        let ExecutionResult::Left(reason, detail) = carried else { return };
        // Chosen is what was begun: whoever reads the report must not believe that this was.
        let chosen =
            self.report.candidates.iter_mut().filter(|c| c.verdict == CandidateResult::Chosen);
        for candidate in chosen {
            candidate.verdict = CandidateResult::Held { reason: *reason, detail: detail.clone() };
            let since = candidate.guards.iter_mut().filter(|r| r.guard == Guard::Pause);
            for reading in since.filter(|_| *reason == Hold::Paused) {
                *reading = GuardReading::held(Guard::Pause, *reason, detail.clone());
            }
        }
    }

    pub(super) fn escalated(&mut self, changes: &incidents::Changes) {
        self.report.escalations_opened = changes.opened.iter().map(|e| e.id).collect();
        self.report.escalations_closed = changes.closed.iter().map(|e| e.id).collect();
    }
}

/// What a page about this cycle needs beyond the report's own numbers.
fn basis(
    tracker: &Tracker,
    seen: &Seen,
    changes: &Changes,
    (analysis, plan): (&Analysis, &planner::Settings),
    last_read: &BTreeMap<Source, Time>,
) -> Basis {
    let rules = &changes.rules;
    // A finding that an action may treat is one of the reasons; the others stand in the report's findings.
    let shown = |v: &&Violation| !v.is_finding() || v.counts();
    let mut violations: Vec<&Violation> = tracker.active().filter(shown).collect();
    violations.sort_by_key(|v| (Reverse(v.counts()), Reverse(v.severity), v.active_since));
    let mut causes: Vec<&RootCause> = analysis.root_causes.iter().collect();
    causes.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let alerts: Vec<String> = seen.snapshot.alerts.alerts.iter().filter_map(no_evidence).collect();
    Basis {
        sources: seen
            .snapshot
            .sources
            .iter()
            .map(|s| SourceRead {
                source: s.source,
                error: s.result.as_ref().err().map(|e| e.text.clone()),
                last_read: last_read.get(&s.source).copied().filter(|_| s.result.is_err()),
            })
            .collect(),
        rules: rules.len(),
        rules_good: rules.iter().filter(|r| r.good).count(),
        series_expected: rules.iter().map(|r| r.expected).sum(),
        series_seen: rules.iter().map(|r| r.seen).sum(),
        rule_problems: rules
            .iter()
            .filter_map(|r| r.problem.as_ref().map(|problem| format!("{}: {problem}", r.rule)))
            .take(Basis::PROBLEMS)
            .collect(),
        charter: seen.charter.state.as_ref().ok().cloned(),
        charter_error: seen.charter.problem().cloned(),
        violations: violations.into_iter().take(Basis::VIOLATIONS).map(active).collect(),
        alerts_total: alerts.len(),
        alerts: alerts.into_iter().take(Basis::ALERTS).collect(),
        causes_total: causes.len(),
        causes: causes.into_iter().take(Basis::CAUSES).map(|root| concluded(root, plan)).collect(),
        ..Basis::default()
    }
}

/// An alert that may be firing and that nothing is done about, with the reason.
fn no_evidence(alert: &Alert) -> Option<String> {
    let why = match (alert.class, alert.state, &alert.no_evidence) {
        (_, AlertState::Clear, _) => return None,
        (AlertClass::Actionable | AlertClass::UnknownCause, _, Some(why)) => why.to_string(),
        (AlertClass::MissingData, ..) => "Grafana reports missing data, not trouble".to_owned(),
        (AlertClass::TooLarge, ..) => "its labels are too large to keep".to_owned(),
        _ => return None,
    };
    let place = alert.component.as_ref().map(|name| format!(" at {name}")).unwrap_or_default();
    let name: String = format!("{}{place}", alert.name).chars().take(Basis::NAME).collect();
    Some(format!("{name}: {why}"))
}

fn active(violation: &Violation) -> ActiveViolation {
    // Descriptions begin with rule, place and what tells it apart, and go on with the value.
    let name = violation.description.split(": ").next().unwrap_or(&violation.rule);
    ActiveViolation {
        name: name.chars().take(Basis::NAME).collect(),
        fingerprint: violation.fingerprint.clone(),
        severity: violation.severity,
        source: violation.source,
        rule: violation.rule.clone(),
        component: violation.component.clone(),
        value: violation.value,
        threshold: violation.threshold,
        comparison: violation.comparison,
        active_since: violation.active_since,
        actionable: violation.actionable,
        flapping: violation.flapping,
        confirmed: violation.confirmed,
        no_evidence: violation.no_evidence.clone(),
    }
}

fn concluded(root: &RootCause, plan: &planner::Settings) -> Concluded {
    Concluded {
        cause: root.cause.clone(),
        component: root.component.clone(),
        confidence: root.confidence,
        patterns: root.patterns.clone(),
        occurrences: root.occurrences,
        critical: root.critical,
        is_treated_elsewhere: root.target.as_ref().is_some_and(|target| {
            plan.strategies.contains_key(&root.cause) && !plan.treats(&root.cause, target)
        }),
        evidence: root.evidence.len(),
    }
}

/// The policy of an action: as the plan leaves it, else as it was known. One that has ended is another story, but for the
/// rejection that holds it back.
fn proposed(candidate: &CandidateReport, plan: &Plan, known: &[Policy]) -> Option<Proposed> {
    let rejected =
        matches!(candidate.verdict, CandidateResult::Held { reason: Hold::Rejected, .. });
    let policy = plan.policies.iter().chain(known).find(|p| {
        let matters = match p.approval {
            Approval::Pending | Approval::Approved | Approval::Executed => true,
            Approval::Rejected => rejected,
            Approval::Expired | Approval::Superseded => false,
        };
        matters
            && p.cause == candidate.cause
            && p.component == candidate.component
            && p.actions.iter().any(|a| a.kind() == candidate.action)
    })?;
    Some(Proposed {
        id: policy.id,
        revision: policy.revision,
        plan_hash: policy.plan_hash.clone(),
        cause: policy.cause.clone(),
        component: policy.component.clone(),
        action: candidate.action,
        approval: policy.approval,
    })
}
