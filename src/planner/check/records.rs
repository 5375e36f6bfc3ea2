//! What the plan would leave in the store agrees with itself and with the records of before.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::super::guardrails::Mode;
use super::super::{Plan, PlanInput};
use super::Broken;
use crate::domain::action::{Action, Risk};
use crate::domain::cycle::CandidateResult;
use crate::domain::policy::{Approval, Policy};
use crate::domain::target::Target;

pub(super) fn check(input: &PlanInput<'_>, plan: &Plan, broken: &mut Broken) {
    let stored: BTreeMap<Uuid, &Policy> = input.policies.iter().map(|p| (p.id, p)).collect();
    let mut after = stored.clone();
    for policy in &plan.policies {
        let twice = plan.policies.iter().filter(|p| p.id == policy.id).count() > 1;
        broken.unless(!twice, "a policy is recorded twice");
        after.insert(policy.id, policy);
        match stored.get(&policy.id) {
            Some(before) => {
                broken.unless(*before != policy, "an unchanged policy is written");
                let open = matches!(before.approval, Approval::Pending | Approval::Approved);
                broken.unless(open, "a decided policy is changed");
                let revised = before.actions != policy.actions;
                broken.unless(
                    policy.revision == before.revision + u32::from(revised),
                    "the revision does not follow the actions",
                );
            }
            None => broken.unless(policy.revision == 1, "a new policy is not revision 1"),
        }
        let alive = policy.approval.is_open() || policy.approval == Approval::Executed;
        broken.unless(
            !alive || policy.plan_hash == policy.hash(),
            "the hash is not that of what would be done",
        );
        broken.unless(policy.approval != Approval::Rejected, "only people reject");
        let approved = matches!(policy.approval, Approval::Approved | Approval::Executed);
        broken.unless(!approved || is_approved(input, &stored, policy), "nobody approved a policy");
    }
    let open: Vec<&&Policy> = after
        .values()
        .filter(|p| matches!(p.approval, Approval::Pending | Approval::Approved))
        .collect();
    let pairs = open.iter().map(|p| (&p.cause, &p.component));
    let distinct: std::collections::BTreeSet<_> = pairs.collect();
    broken.unless(distinct.len() == open.len(), "two policies are open for a cause and component");

    let new = plan.policies.iter().filter(|p| !stored.contains_key(&p.id)).count();
    broken.unless(new == plan.generated, "the number of new policies is not that reported");
    broken.unless(new <= input.settings.max_policies_per_analysis, "too many new policies");

    let executed: Vec<Uuid> =
        plan.policies.iter().filter(|p| p.approval == Approval::Executed).map(|p| p.id).collect();
    let chosen: Vec<Uuid> = plan.chosen.iter().map(|p| p.id).collect();
    broken.unless(executed == chosen, "the executed policy is not the chosen one");
    let reported = plan.candidates.iter().filter(|c| c.verdict == CandidateResult::Chosen).count();
    broken.unless(reported == chosen.len(), "the report does not say what was chosen");
}

/// By the mode, or by a person who approved exactly these actions; with a grant that says so and still holds.
fn is_approved(input: &PlanInput<'_>, stored: &BTreeMap<Uuid, &Policy>, policy: &Policy) -> bool {
    let by_person = stored.get(&policy.id).is_some_and(|before| {
        before.approval == Approval::Approved
            && before.revision == policy.revision
            && before.actions == policy.actions
            && before.decided_by == policy.decided_by
            && before.grant == policy.grant
    });
    let Some(grant) = &policy.grant else { return false };
    let bound = grant.revision == policy.revision
        && grant.plan_hash == policy.hash()
        && policy.decided_by.as_ref() == Some(&grant.by)
        && policy.decided_at == Some(grant.at);
    if !bound || input.now >= grant.expires_at {
        return false;
    }
    let rails = &input.settings.guardrails;
    let risky = policy.risk == Risk::High || policy.actions.iter().any(|a| a.risk() == Risk::High);
    match grant.by.as_str() {
        "auto" => {
            policy.actions.iter().all(|action| may_go_by_itself(input, action))
                && rails.mode == Mode::Act
                && input.settings.auto_approve
                && (!risky || rails.auto_approve_high_risk)
        }
        _ => by_person,
    }
}

/// A hook that can be found again and undone may, one on Kubernetes never.
fn may_go_by_itself(input: &PlanInput<'_>, action: &Action) -> bool {
    let Action::Hook { target, .. } = action else { return true };
    let spec = input.settings.hooks.get(&action.kind());
    spec.is_some_and(|hook| hook.has_probe && hook.has_undo)
        && !matches!(target, Target::Kubernetes { .. })
}
