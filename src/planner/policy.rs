//! A policy's life: proposed, refreshed in place, revised when its actions change, expired or superseded.

use uuid::Uuid;

use super::candidate::Contender;
use super::{Plan, PlanInput};
use crate::domain::Cause;
use crate::domain::action::Action;
use crate::domain::policy::{Approval, Policy, Priority};
use crate::domain::time::since;

/// Who approves when `auto_approve` is on.
pub(super) const AUTO: &str = "auto";

/// Computed parameters of a pending policy stay until they differ by more than this share.
const TOLERANCE: f64 = 0.2;

pub(super) fn approved_by_person(policy: &Policy) -> bool {
    policy.approval == Approval::Approved && policy.decided_by.as_deref() != Some(AUTO)
}

/// The open policy of this contender with its numbers refreshed, or a new one.
pub(super) fn propose(
    input: &PlanInput<'_>,
    contender: &Contender,
    plan: &mut Plan,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Policy {
    if let Some(open) = open_policy(input, contender) {
        if open.actions.len() == 1 && open.actions[0].kind() == contender.action.kind() {
            return refreshed(input, open, contender);
        }
        let mut superseded = open.clone();
        superseded.approval = Approval::Superseded;
        superseded.updated_at = input.now;
        superseded.decided_at = Some(input.now);
        plan.policies.push(superseded);
    }
    plan.generated += 1;
    let report = &contender.report;
    let auto = input.settings.auto_approve;
    Policy {
        id: new_id(),
        revision: 1,
        cause: report.cause.clone(),
        component: report.component.clone(),
        cause_confidence: report.cause_confidence,
        actions: vec![contender.action.clone()],
        expected_impact: impact(contender),
        risk: contender.action.risk(),
        cost: report.cost,
        benefit: report.benefit,
        score: report.score,
        approval: if auto { Approval::Approved } else { Approval::Pending },
        priority: priority(contender),
        evidence: contender.evidence.clone(),
        created_at: input.now,
        updated_at: input.now,
        decided_at: auto.then_some(input.now),
        decided_by: auto.then(|| AUTO.to_owned()),
    }
}

/// Refreshes the numbers of an open policy whose contender is held back; nothing is proposed anew.
pub(super) fn refresh(input: &PlanInput<'_>, contender: &Contender, plan: &mut Plan) {
    if let Some(open) = open_policy(input, contender)
        && open.actions.iter().any(|a| a.kind() == contender.action.kind())
        && !is_over(input, open)
    {
        let policy = refreshed(input, open, contender);
        if &policy != open {
            plan.policies.push(policy);
        }
    }
}

/// Open policies that nobody decided in time, or whose reason is gone.
pub(super) fn expire(input: &PlanInput<'_>, plan: &mut Plan) {
    for policy in input.policies.iter().filter(|p| p.approval.is_open()) {
        let touched = plan.policies.iter().any(|p| p.id == policy.id);
        if !touched && is_over(input, policy) {
            let mut expired = policy.clone();
            expired.approval = Approval::Expired;
            expired.updated_at = input.now;
            plan.policies.push(expired);
        }
    }
}

fn open_policy<'a>(input: &'a PlanInput<'_>, contender: &Contender) -> Option<&'a Policy> {
    input.policies.iter().find(|p| {
        p.approval.is_open()
            && p.cause == contender.report.cause
            && p.component == contender.report.component
            && !is_over(input, p)
    })
}

/// Too old without being executed, or none of its evidence is active.
fn is_over(input: &PlanInput<'_>, policy: &Policy) -> bool {
    let decided = if approved_by_person(policy) { policy.decided_at } else { None };
    let from = decided.unwrap_or(policy.created_at);
    let gone = policy.cause.0 != Cause::GIVE_BACK
        && !policy.evidence.iter().any(|fp| input.violations.contains_key(fp.as_str()));
    gone || since(input.now, from) >= input.settings.approval_ttl
}

fn refreshed(input: &PlanInput<'_>, open: &Policy, contender: &Contender) -> Policy {
    let report = &contender.report;
    let mut policy = open.clone();
    policy.cause_confidence = report.cause_confidence;
    policy.cost = report.cost;
    policy.benefit = report.benefit;
    policy.score = report.score;
    policy.priority = priority(contender);
    policy.evidence.clone_from(&contender.evidence);
    let same = open.actions.len() == 1 && about_equal(&open.actions[0], &contender.action);
    if !same {
        policy.actions = vec![contender.action.clone()];
        policy.risk = contender.action.risk();
        policy.expected_impact = impact(contender);
        policy.revision += 1;
        // An approval names a revision: this one has not been approved by anybody.
        if approved_by_person(open) {
            policy.approval = Approval::Pending;
            policy.decided_at = None;
            policy.decided_by = None;
        }
    }
    if &policy != open {
        policy.updated_at = input.now;
    }
    policy
}

/// The same action with computed parameters within the tolerance.
fn about_equal(a: &Action, b: &Action) -> bool {
    computed_parameter(a).zip(computed_parameter(b)).map_or(a == b, |(old, new)| {
        a.kind() == b.kind() && (old - new).abs() <= TOLERANCE * old.abs()
    })
}

/// The parameter that the planner computes and that may therefore drift from cycle to cycle.
fn computed_parameter(action: &Action) -> Option<f64> {
    match action {
        Action::ScaleUp { replicas } | Action::ScaleDown { replicas } => Some(f64::from(*replicas)),
        Action::ThrottleRequests { rate_limit, .. } => Some(*rate_limit),
        Action::RestartService { .. }
        | Action::ApplyPolicy { .. }
        | Action::BypassValidation { .. }
        | Action::ActivateEmergencyOverride { .. }
        | Action::RebalanceLoad { .. }
        | Action::UpdateConfiguration { .. } => None,
    }
}

fn impact(contender: &Contender) -> String {
    format!(
        "{} should end {} at {} ({} violations behind it)",
        contender.action,
        contender.report.cause,
        contender.report.component,
        contender.evidence.len()
    )
}

/// Critical with a critical violation behind it, else by score.
fn priority(contender: &Contender) -> Priority {
    if contender.critical {
        Priority::Critical
    } else if contender.report.score >= 0.5 {
        Priority::High
    } else if contender.report.score >= 0.25 {
        Priority::Medium
    } else {
        Priority::Low
    }
}
