//! The plan linter: reads a finished plan against rules that the planner's own code does not share.
//!
//! It computes nothing; it refuses. A plan it refuses is not executed, and the cycle ends as an error.

use super::{Plan, PlanInput};
use crate::domain::Cause;
use crate::domain::action::{Action, Risk};

/// Every rule that the plan breaks, in words; empty for a plan that may be executed.
#[must_use]
pub fn check(input: &PlanInput<'_>, plan: &Plan) -> Vec<String> {
    let Some(policy) = &plan.chosen else { return Vec::new() };
    let mut broken = Vec::new();
    let mut refuse = |holds: bool, text: &str| {
        if !holds {
            broken.push(format!("policy {} for {}: {text}", policy.id, policy.cause));
        }
    };
    refuse(!policy.actions.is_empty(), "it has no action");
    refuse(policy.score > input.settings.min_score, "its score is not above min_score");
    refuse(
        (0.0..=1.0).contains(&policy.benefit) && policy.benefit.is_finite(),
        "its benefit is no share",
    );
    refuse(
        policy.cause.0 == Cause::GIVE_BACK
            || policy.evidence.iter().any(|fp| {
                input
                    .violations
                    .get(fp.as_str())
                    .is_some_and(|v| v.confirmed && v.counts() && !v.flapping)
            }),
        "none of its evidence was read as broken in this cycle",
    );
    refuse(input.charter.state.is_ok(), "Charter's state is not known");
    refuse(policy.decided_by.is_some() && policy.decided_at.is_some(), "nobody approved it");
    let incident = plan.incidents.iter().chain(input.incidents).find(|i| i.cause == policy.cause);
    refuse(!incident.is_some_and(|i| i.exhausted), "its incident has no remedy left");
    for action in &policy.actions {
        let scope = action.scope();
        refuse(
            !input.judgings.iter().any(|j| j.scope.overlaps(&scope)),
            "its ground is being judged",
        );
        refuse(
            !input.blocked.iter().any(|b| b.overlaps(&scope)),
            "its ground has an action of unknown result",
        );
        refuse(action.risk() < Risk::High || policy.risk == Risk::High, "it hides a high risk");
        let scaling = &input.settings.scaling;
        if let (Action::ScaleUp { replicas } | Action::ScaleDown { replicas }, Ok(state)) =
            (action, &input.charter.state)
        {
            refuse(
                (scaling.min_replicas..=scaling.max_replicas).contains(replicas),
                "its size is outside the limits",
            );
            match action {
                Action::ScaleUp { .. } => {
                    refuse(*replicas > state.replicas, "it scales up to no more than is there");
                }
                _ => refuse(*replicas < state.replicas, "it scales down to no less than is there"),
            }
        }
    }
    broken
}
