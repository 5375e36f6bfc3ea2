//! A policy's life: proposed, refreshed in place, revised when its actions change, expired or superseded.

use uuid::Uuid;

use super::candidate::Contender;
use super::parameters::still_fits;
use super::{Plan, PlanInput};
use crate::domain::action::Action;
use crate::domain::cycle::CandidateReport;
use crate::domain::grant::Grant;
use crate::domain::policy::{Approval, EarlierRevision, Policy, Priority};
use crate::domain::time::{Time, after, since};
use crate::domain::{Cause, Labels};

/// Computed parameters of a pending policy stay until they differ by more than this share.
const TOLERANCE: f64 = 0.2;

fn is_auto(policy: &Policy) -> bool {
    policy.decided_by.as_deref() == Some(Grant::AUTO)
}

pub(super) fn is_approved_by_person(policy: &Policy) -> bool {
    policy.approval == Approval::Approved && !is_auto(policy)
}

/// The open policy of a cause and component, unless its time has run out.
pub(super) fn open_policy<'a>(
    input: &PlanInput<'a>,
    cause: &Cause,
    component: &str,
) -> Option<&'a Policy> {
    input.policies.iter().find(|p| {
        p.approval.is_open() && &p.cause == cause && p.component == component && !is_over(input, p)
    })
}

/// This contender's open policy with its numbers refreshed, or a new one that takes another's place.
pub(super) fn propose(
    input: &PlanInput<'_>,
    contender: &Contender<'_>,
    plan: &mut Plan,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Policy {
    if let Some(own) = contender.own() {
        return refreshed(input, own, contender);
    }
    if let Some(other) = contender.open {
        plan.policies.push(closed(other, Approval::Superseded, input.now));
    }
    plan.generated += 1;
    let report = &contender.report;
    let policy = Policy {
        id: new_id(),
        revision: 1,
        cause: report.cause.clone(),
        component: report.component.clone(),
        cause_confidence: report.cause_confidence,
        actions: vec![contender.action.clone()],
        expected_impact: impact(&contender.action, contender),
        risk: contender.action.risk(),
        cost: report.cost,
        benefit: report.benefit,
        score: report.score,
        approval: Approval::Pending,
        priority: priority(contender),
        evidence: contender.evidence.clone(),
        labels: common_labels(input, &contender.evidence),
        created_at: input.now,
        updated_at: input.now,
        decided_at: None,
        decided_by: None,
        decision_reason: None,
        earlier: Vec::new(),
        plan_hash: String::new(),
        grant: None,
    };
    decided_by_mode(input, Policy { plan_hash: policy.hash(), ..policy })
}

/// Refreshes the numbers of an open policy whose contender is held back; nothing is proposed anew.
pub(super) fn refresh(input: &PlanInput<'_>, contender: &Contender<'_>, plan: &mut Plan) {
    let Some(own) = contender.own() else { return };
    let policy = refreshed(input, own, contender);
    // A better rival may have taken its place just now.
    if &policy != own && plan.policies.iter().all(|p| p.id != own.id) {
        plan.policies.push(policy);
    }
}

/// Open policies that nobody decided in time, or whose reason is gone.
pub(super) fn expire(input: &PlanInput<'_>, plan: &mut Plan) {
    let over = input.policies.iter().filter(|p| p.approval.is_open() && is_over(input, p));
    plan.policies.extend(over.map(|p| closed(p, Approval::Expired, input.now)));
}

fn closed(policy: &Policy, approval: Approval, now: Time) -> Policy {
    let decided_at = policy.decided_at.or(Some(now));
    Policy { approval, updated_at: now, decided_at, ..policy.clone() }
}

/// Too old without being executed, or none of its evidence is active.
fn is_over(input: &PlanInput<'_>, policy: &Policy) -> bool {
    let decided = if is_approved_by_person(policy) { policy.decided_at } else { None };
    let from = decided.unwrap_or(policy.created_at);
    let gone = policy.cause.0 != Cause::SCALE_BACK
        && !policy.evidence.iter().any(|fp| input.violations.contains_key(fp.as_str()));
    gone || since(input.now, from) >= input.settings.approval_ttl
}

fn refreshed(input: &PlanInput<'_>, open: &Policy, contender: &Contender<'_>) -> Policy {
    let report = &contender.report;
    let mut policy = open.clone();
    policy.cause_confidence = report.cause_confidence;
    policy.cost = report.cost;
    policy.benefit = report.benefit;
    policy.score = report.score;
    policy.priority = priority(contender);
    policy.evidence.clone_from(&contender.evidence);
    policy.labels = common_labels(input, &contender.evidence);
    // What a person looks at, or has approved, stays as it is for as long as it is nearly right and still fits.
    let stays = |action: &Action| {
        action == &contender.action
            || (!is_auto(open)
                && about_equal(action, &contender.action)
                && still_fits(input, action))
    };
    if !open.actions.iter().all(stays) {
        let actions = std::mem::replace(&mut policy.actions, vec![contender.action.clone()]);
        let (revision, plan_hash) = (policy.revision, open.hash());
        policy.earlier.push(EarlierRevision { revision, plan_hash, actions });
        let surplus = policy.earlier.len().saturating_sub(EarlierRevision::KEPT);
        policy.earlier.drain(..surplus);
        policy.risk = contender.action.risk();
        policy.revision += 1;
        // An approval names a revision: this one has not been approved by anybody.
        policy = undecided(policy);
    }
    policy.plan_hash = policy.hash();
    policy.expected_impact = impact(&policy.actions[0], contender);
    let mut policy = decided_by_mode(input, policy);
    if &policy != open {
        policy.updated_at = input.now;
    }
    policy
}

/// The present mode decides, also for policies that an earlier process left open under another one; and an approval
/// counts only with a grant of exactly this that still holds.
fn decided_by_mode(input: &PlanInput<'_>, policy: Policy) -> Policy {
    let by_itself = input.settings.auto_approves(&policy);
    let stands = policy.granted(input.now).is_ok_and(|grant| by_itself || !grant.is_auto());
    let policy = match policy.approval {
        Approval::Approved if !stands => undecided(policy),
        _ => policy,
    };
    if policy.approval != Approval::Pending || !by_itself {
        return policy;
    }
    let grant = Grant {
        revision: policy.revision,
        plan_hash: policy.plan_hash.clone(),
        by: Grant::AUTO.to_owned(),
        at: input.now,
        expires_at: after(input.now, input.settings.approval_ttl),
    };
    Policy {
        approval: Approval::Approved,
        decided_at: Some(grant.at),
        decided_by: Some(grant.by.clone()),
        grant: Some(grant),
        ..policy
    }
}

/// What all of the evidence says alike.
fn common_labels(input: &PlanInput<'_>, evidence: &[String]) -> Labels {
    let mut all = evidence.iter().filter_map(|fp| input.violations.get(fp.as_str()));
    let mut common = all.next().map(|v| v.labels.clone()).unwrap_or_default();
    for violation in all {
        common.retain(|name, value| violation.labels.get(name) == Some(value));
    }
    common
}

fn undecided(policy: Policy) -> Policy {
    Policy {
        approval: Approval::Pending,
        decided_at: None,
        decided_by: None,
        grant: None,
        ..policy
    }
}

/// The same action with its computed parameter, which drifts from cycle to cycle, within the tolerance.
fn about_equal(old: &Action, new: &Action) -> bool {
    match (old, new) {
        (Action::ScaleUp { replicas: old }, Action::ScaleUp { replicas: new }) => {
            within_tolerance(f64::from(*old), f64::from(*new))
        }
        (
            Action::ThrottleRequests { rate_limit: old, duration_seconds: lasted },
            Action::ThrottleRequests { rate_limit: new, duration_seconds: lasts },
        ) => lasted == lasts && within_tolerance(*old, *new),
        _ => old == new,
    }
}

fn within_tolerance(old: f64, new: f64) -> bool {
    (old - new).abs() <= TOLERANCE * old.abs()
}

fn impact(action: &Action, contender: &Contender<'_>) -> String {
    let CandidateReport { cause, component, .. } = &contender.report;
    let behind = contender.evidence.len();
    let behind =
        if behind == 1 { "1 violation".to_owned() } else { format!("{behind} violations") };
    format!("{action} should end {cause} at {component} ({behind} behind it)")
}

/// Critical with a critical violation behind it, else by score.
fn priority(contender: &Contender<'_>) -> Priority {
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
