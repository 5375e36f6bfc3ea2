//! The records that the pages are written from: one quiet system, and what each test changes about it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use mape_k::domain::action::{Action, ActionKind, Risk};
use mape_k::domain::analysis::PatternKind;
use mape_k::domain::charter::{CommitteeState, CommitteeStatus};
use mape_k::domain::cycle::basis::{ActiveViolation, Basis, Concluded, Proposed, SourceRead};
use mape_k::domain::cycle::{
    CandidateReport, CandidateResult, CycleReport, CycleStatus, Hold, Phase,
};
use mape_k::domain::execution::{
    ActionRecord, ActionState, Execution, ExecutionMode, ExecutionStatus,
};
use mape_k::domain::guard::{Guard, GuardReading};
use mape_k::domain::outcome::{Outcome, OutcomeType, PendingVerification};
use mape_k::domain::policy::{Approval, Policy, Priority};
use mape_k::domain::reading::Source;
use mape_k::domain::rule::{Comparison, Severity};
use mape_k::domain::target::Target;
use mape_k::domain::{CHARTER, Cause};
use uuid::Uuid;

use crate::server::api::cycle;
use crate::server::noon;

pub const EXECUTION: Uuid = Uuid::from_u128(0xe);
pub const POLICY: Uuid = Uuid::from_u128(0xb);
pub const KEY: Uuid = Uuid::from_u128(0x4);
pub const LATENCY: &str = "3fa2b1c04d5e6f70";

/// A cycle that read everything well and found nothing.
pub fn quiet() -> CycleReport {
    let sources = [Source::Prometheus, Source::Alertmanager];
    CycleReport {
        id: "20261118_112640".to_owned(),
        number: 42,
        duration_seconds: 0.12,
        phases: Phase::ALL.map(|phase| (phase, 0.02)).to_vec(),
        basis: Some(Basis {
            sources: sources
                .map(|source| SourceRead { source, error: None, last_read: None })
                .to_vec(),
            rules: 4,
            rules_good: 4,
            series_expected: 12,
            series_seen: 12,
            charter: Some(CommitteeState {
                status: CommitteeStatus::Normal,
                replicas: 4,
                healthy_nodes: 4,
            }),
            ..Basis::default()
        }),
        ..cycle(0)
    }
}

/// The latency rule broken for four minutes, and what was concluded from it.
pub fn slow() -> CycleReport {
    let mut report =
        CycleReport { status: CycleStatus::Completed, violations: 1, actionable: 1, ..quiet() };
    let basis = report.basis.as_mut().expect("quiet has one");
    basis.violations = vec![latency()];
    basis.causes = vec![concluded(Cause::VALIDATION_LATENCY, CHARTER, 8)];
    basis.causes_total = 1;
    report
}

/// `slow` with these remedies weighed.
pub fn weighed(candidates: Vec<CandidateReport>) -> CycleReport {
    CycleReport { candidates, ..slow() }
}

pub fn latency() -> ActiveViolation {
    ActiveViolation {
        fingerprint: LATENCY.to_owned(),
        name: "validation_latency at charter (validation_type policy)".to_owned(),
        severity: Severity::Warning,
        source: Source::Prometheus,
        rule: "validation_latency".to_owned(),
        component: Some(CHARTER.to_owned()),
        value: Some(1.8),
        threshold: Some(1.0),
        comparison: Some(Comparison::Gt),
        active_since: noon() - TimeDelta::minutes(4),
        actionable: true,
        flapping: false,
        confirmed: true,
        no_evidence: None,
    }
}

pub fn failing(component: &str, value: f64) -> ActiveViolation {
    ActiveViolation {
        fingerprint: format!("{:016x}", component.len() * 7919),
        name: format!("failure_rate at {component}"),
        rule: "failure_rate".to_owned(),
        component: Some(component.to_owned()),
        value: Some(value),
        threshold: Some(0.1),
        active_since: noon() - TimeDelta::seconds(60),
        ..latency()
    }
}

pub fn concluded(cause: &str, component: &str, occurrences: u32) -> Concluded {
    Concluded {
        is_treated_elsewhere: false,
        cause: Cause::new(cause),
        component: component.to_owned(),
        confidence: 0.75,
        patterns: vec![PatternKind::Sustained],
        occurrences,
        critical: false,
        evidence: 1,
    }
}

pub fn candidate(
    cause: &str,
    action: ActionKind,
    planned: Option<Action>,
    verdict: CandidateResult,
) -> CandidateReport {
    let cost = action.default_cost();
    CandidateReport {
        cause: Cause::new(cause),
        component: CHARTER.to_owned(),
        action,
        planned,
        cause_confidence: 0.75,
        effectiveness: 1.0,
        benefit: 0.75,
        cost,
        score: 0.75 - cost,
        occurrences: 8,
        guards: Vec::new(),
        verdict,
    }
}

/// `scale_up` to six for the latency, with what each guard said of it: passed, but for `held`.
pub fn scale_up(verdict: CandidateResult, held: &[GuardReading]) -> CandidateReport {
    let passed = [
        GuardReading::passed(Guard::Pause, "not paused"),
        GuardReading::passed(Guard::Mode, "act"),
        GuardReading::passed(Guard::Charter, "answered"),
        GuardReading::passed(Guard::Freshness, "12 of 12 series fresh").with(1.0, 0.8),
        GuardReading::passed(Guard::Storm, "1 of 6 components sick").with(0.167, 0.55),
        GuardReading::passed(Guard::Breaker, "0 degradations in the last 10 verdicts")
            .with(0.0, 2.0),
        GuardReading::passed(Guard::Cooldown, "not done here before"),
        GuardReading::passed(Guard::Budget, "2 actions in the last hour").with(2.0, 6.0),
        GuardReading::passed(Guard::Conflict, "nothing is taking effect"),
        GuardReading::passed(Guard::Approval, "approved by auto"),
    ];
    let guards = passed.into_iter().map(|reading| {
        let holding = held.iter().find(|h| h.guard == reading.guard);
        holding.cloned().unwrap_or(reading)
    });
    let action = Action::ScaleUp { replicas: 6 };
    let scale_up = candidate(Cause::VALIDATION_LATENCY, ActionKind::ScaleUp, Some(action), verdict);
    CandidateReport { guards: guards.collect(), ..scale_up }
}

/// Held back by one guard that says why.
pub fn scale_up_held(reading: GuardReading) -> CandidateReport {
    let reason = reading.held.expect("a reading that holds");
    scale_up(held(reason, &reading.detail), &[reading])
}

pub fn held(reason: Hold, detail: &str) -> CandidateResult {
    CandidateResult::Held { reason, detail: detail.to_owned() }
}

pub fn throttle(verdict: CandidateResult) -> CandidateReport {
    let action = Action::ThrottleRequests { rate_limit: 400.0, duration_seconds: 900 };
    candidate(Cause::VALIDATION_LATENCY, ActionKind::ThrottleRequests, Some(action), verdict)
}

pub fn proposed(approval: Approval) -> Proposed {
    Proposed {
        plan_hash: policy(approval).hash(),
        id: POLICY,
        revision: 1,
        cause: Cause::new(Cause::VALIDATION_LATENCY),
        component: CHARTER.to_owned(),
        action: ActionKind::ScaleUp,
        approval,
    }
}

pub fn policy(approval: Approval) -> Policy {
    Policy {
        id: POLICY,
        revision: 1,
        cause: Cause::new(Cause::VALIDATION_LATENCY),
        component: CHARTER.to_owned(),
        cause_confidence: 0.75,
        actions: vec![Action::ScaleUp { replicas: 6 }],
        expected_impact: "scale_up to 6 replicas should end validation_latency at charter (1 violation behind it)"
            .to_owned(),
        risk: Risk::Low,
        cost: 0.15,
        benefit: 0.75,
        score: 0.6,
        approval,
        priority: Priority::High,
        evidence: vec![LATENCY.to_owned()],
        labels: std::collections::BTreeMap::default(),
        created_at: noon(),
        updated_at: noon(),
        decided_at: None,
        decided_by: None,
        decision_reason: None,
        earlier: Vec::new(),
        plan_hash: String::new(),
        grant: None,
    }
}

/// `scale_up` to six, applied at the second try and waiting for its verdict.
pub fn execution() -> Execution {
    let mut record = ActionRecord::new(Action::ScaleUp { replicas: 6 }, KEY);
    record.state = ActionState::Verifying;
    record.tries = 2;
    crate::fake_charter::kept(&mut record, |prior| prior.replicas = Some(4));
    record.started_at = Some(noon());
    record.ended_at = Some(noon() + TimeDelta::milliseconds(350));
    Execution {
        id: EXECUTION,
        policy_id: POLICY,
        cause: Cause::new(Cause::VALIDATION_LATENCY),
        component: CHARTER.to_owned(),
        status: ExecutionStatus::Completed,
        mode: ExecutionMode::Transactional,
        actions: vec![record],
        success_rate: 1.0,
        error: None,
        approved_by: Some("ada".to_owned()),
        interrupted: false,
        started_at: noon(),
        ended_at: Some(noon() + TimeDelta::milliseconds(400)),
    }
}

pub fn verification() -> PendingVerification {
    PendingVerification {
        execution_id: EXECUTION,
        policy_id: POLICY,
        cause: Cause::new(Cause::VALIDATION_LATENCY),
        component: CHARTER.to_owned(),
        actions: vec![ActionKind::ScaleUp],
        target: Target::Charter(None),
        before: [LATENCY.to_owned()].into(),
        rules: ["validation_latency".to_owned()].into(),
        witness: Some(LATENCY.to_owned()),
        metric_before: Some(1.8),
        intent_at: noon(),
        applied_at: noon(),
        settled_at: noon() + TimeDelta::seconds(400),
        judge_by: noon() + TimeDelta::seconds(1_000),
        expected_replicas: Some(6),
        first_look: None,
        clear_at: None,
        measured: BTreeSet::new(),
        yardstick: None,
        first_values: BTreeMap::new(),
    }
}

pub fn outcome(outcome_type: OutcomeType) -> Outcome {
    Outcome {
        id: Uuid::from_u128(5),
        policy_id: POLICY,
        execution_id: EXECUTION,
        cause: Cause::new(Cause::VALIDATION_LATENCY),
        component: CHARTER.to_owned(),
        action_type: ActionKind::ScaleUp,
        outcome_type,
        metric_before: Some(1.8),
        metric_after: Some(0.4),
        violations_before: 1,
        violations_after: 0,
        judged_at: noon() + TimeDelta::seconds(70),
        target: Target::Charter(None),
        settled_at: noon(),
        reason: "violations: 1 before, 0 after".to_owned(),
        time_to_effect_seconds: Some(45.0),
        verification: None,
        recurred: None,
    }
}
