//! From contenders to policies: the best one that everything admits is executed, the rest is reported.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::candidate::{Contender, precedence};
use super::policy;
use super::{Plan, PlanInput};
use crate::domain::Cause;
use crate::domain::cycle::{CandidateReport, CandidateResult, Hold, Ineligibility};
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::policy::{Approval, Policy};

pub(super) fn choose(
    input: &PlanInput<'_>,
    mut contenders: Vec<Contender<'_>>,
    plan: &mut Plan,
    new_id: &mut dyn FnMut() -> Uuid,
) {
    contenders.sort_by(|a, b| precedence(input, a, b));
    let limit = input.settings.max_policies_per_analysis;
    // At most one policy is open per cause and component: that of its best candidate.
    let mut proposed: BTreeMap<(Cause, String), CandidateResult> = BTreeMap::new();
    for contender in contenders {
        let mut guards = contender.report.guards.clone();
        let pair = (contender.report.cause.clone(), contender.report.component.clone());
        let verdict = if let Some((reason, detail)) = &contender.held {
            policy::refresh(input, &contender, plan);
            CandidateResult::Held { reason: *reason, detail: detail.clone() }
        } else if let Some(best) = proposed.get(&pair) {
            beside(best, plan)
        } else if proposed.len() >= limit {
            CandidateResult::Ineligible {
                reason: Ineligibility::OverTheLimit,
                detail: format!("more than {limit} policies"),
            }
        } else {
            let policy = policy::propose(input, &contender, plan, new_id);
            let reading = approval(&policy);
            guards.retain(|g| g.guard != reading.guard);
            guards.push(reading);
            let verdict = admit(input, policy, contender.own(), plan);
            proposed.insert(pair, verdict.clone());
            verdict
        };
        plan.candidates.push(CandidateReport { guards, verdict, ..contender.report });
    }
}

/// The last guard: a person's word, or the mode's.
fn approval(policy: &Policy) -> GuardReading {
    if let (Approval::Approved, Some(by)) = (policy.approval, policy.decided_by.as_deref()) {
        return GuardReading::passed(Guard::Approval, format!("approved by {by}"));
    }
    let (id, revision) = (policy.id, policy.revision);
    let detail = format!("policy {id} revision {revision} waits for a person");
    GuardReading::held(Guard::Approval, Hold::ApprovalPending, detail)
}

/// What becomes of a proposed policy in this cycle; it is recorded if that changes it.
fn admit(
    input: &PlanInput<'_>,
    mut policy: Policy,
    stored: Option<&Policy>,
    plan: &mut Plan,
) -> CandidateResult {
    let verdict = if policy.approval != Approval::Approved {
        let (id, revision) = (policy.id, policy.revision);
        CandidateResult::Held {
            reason: Hold::ApprovalPending,
            detail: format!("policy {id} revision {revision} waits for a person"),
        }
    } else if let Some(chosen) = &plan.chosen {
        outranked(chosen)
    } else {
        policy.approval = Approval::Executed;
        policy.updated_at = input.now;
        plan.chosen = Some(policy.clone());
        CandidateResult::Chosen
    };
    if stored != Some(&policy) {
        plan.policies.push(policy);
    }
    verdict
}

/// A rival for the same cause and component shares the fate of the best one.
fn beside(best: &CandidateResult, plan: &Plan) -> CandidateResult {
    match (best, &plan.chosen) {
        (CandidateResult::Chosen, Some(chosen)) => outranked(chosen),
        _ => best.clone(),
    }
}

fn outranked(chosen: &Policy) -> CandidateResult {
    // A policy that the planner proposes has exactly one action.
    CandidateResult::Outranked { by: chosen.actions[0].kind(), score: chosen.score }
}
