//! One action of the chosen policy against Charter as it is now and against what its parameters may be.

use super::super::{Plan, PlanInput, Strategy};
use super::Broken;
use crate::domain::action::{Action, ActionKind};
use crate::domain::analysis::RootCause;
use crate::domain::charter::CommitteeStatus;
use crate::domain::follow_ups::Undone;
use crate::domain::policy::Policy;
use crate::domain::target::{System, Target};
use crate::domain::{CHARTER, Labels};

pub(super) fn check(
    input: &PlanInput<'_>,
    plan: &Plan,
    policy: &Policy,
    action: &Action,
    broken: &mut Broken,
) {
    let target = action.target();
    let near = |other: &Target| other.overlaps(&target) || are_neighbours(input, other, &target);
    let judged = input.verifications.iter().any(|j| near(&j.target));
    broken.unless(!judged, "an action on its target is being verified");
    let blocked = input.blocked.iter().any(near);
    broken.unless(!blocked, "its target has an action of unknown result");
    let unsettled = |u: &Undone| near(&u.target) && input.now < u.settled_at;
    broken.unless(!input.undone.iter().any(unsettled), "an undo on its target has not settled");
    turn(input, plan, policy, action.kind(), broken);
    parameters(input, policy, action, broken);
    if action.kind().system() != System::Charter {
        return;
    }
    let Ok(state) = &input.charter.state else {
        broken.unless(false, "Charter's state is not known");
        return;
    };
    let settle = input.settings.resize_settle;
    let resized = input.last_resize.is_some_and(|r| input.now < r.at + settle);
    broken.unless(
        !(resized && state.healthy_nodes < state.replicas),
        "a change of size is still in flight",
    );
    let recovering = input.recovering_since.is_some_and(|at| input.now < at + settle);
    broken.unless(
        !(recovering && state.status == CommitteeStatus::Recovering),
        "Charter is still recovering",
    );
    size(input, state.replicas, action, broken);
}

/// By their bare names: they are one service of two systems, or stand beside each other in the catalogue.
fn are_neighbours(input: &PlanInput<'_>, a: &Target, b: &Target) -> bool {
    let catalogue = input.catalogue;
    let service = |target: &Target| match target {
        Target::Kubernetes { namespace, name, .. } => {
            catalogue.service_of(namespace.as_deref()?, name, &Labels::new())
        }
        Target::Charter(_) | Target::Hook { .. } => catalogue.named(target.component()),
    };
    let (Some(one), Some(other)) = (service(a), service(b)) else { return false };
    (one.name == other.name && a.system() != b.system())
        || one.depends_on.contains(&other.name)
        || other.depends_on.contains(&one.name)
}

/// Its predecessor was tried without success in its treatment, or is impossible.
fn turn(
    input: &PlanInput<'_>,
    plan: &Plan,
    policy: &Policy,
    kind: ActionKind,
    broken: &mut Broken,
) {
    use crate::domain::outcome::OutcomeType::{Degradation, Ineffective};
    let strategies = input.settings.strategies.get(&policy.cause);
    let own: Vec<&Strategy> =
        strategies.into_iter().flatten().filter(|s| s.action == kind).collect();
    let treatment = plan.treatment_of(policy);
    let come = |before: ActionKind| {
        let failed = treatment.is_some_and(|i| {
            i.impossible.contains(&before)
                || i.attempts.iter().any(|a| {
                    a.action == before && matches!(a.verdict, Some(Ineffective | Degradation))
                })
        });
        failed || !is_possible(input, policy, before)
    };
    let in_turn = own.is_empty() || own.iter().any(|s| s.after.is_none_or(come));
    broken.unless(in_turn, "the action that it comes after has not failed");
}

/// Is this action possible at all, as far as its parameters and Charter's size say?
fn is_possible(input: &PlanInput<'_>, policy: &Policy, kind: ActionKind) -> bool {
    if input.settings.guardrails.forbidden_actions.contains(&kind) {
        return false;
    }
    let size = input.charter.state.as_ref().map_or(0, |s| s.replicas);
    let roots: Vec<_> =
        input.root_causes.iter().filter(|r| r.cause == policy.cause && is_of_charter(r)).collect();
    let strategies = input.settings.strategies.get(&policy.cause);
    strategies.into_iter().flatten().filter(|s| s.action == kind).any(|s| match kind {
        ActionKind::ScaleUp => {
            let scaling = &input.settings.scaling;
            (scaling.min_replicas..scaling.max_replicas).contains(&size)
                && size > 0
                && s.replicas.is_none_or(|target| target > size)
        }
        ActionKind::ScaleDown => s.replicas.is_some_and(|target| target < size),
        ActionKind::RestartService => {
            s.service.is_some() || (roots.len() == 1 && roots[0].component != CHARTER)
        }
        ActionKind::ApplyPolicy => s.policy_set.is_some(),
        ActionKind::BypassValidation => s.validation_type.is_some() && s.duration_seconds.is_some(),
        ActionKind::ThrottleRequests => {
            s.duration_seconds.is_some()
                && s.rate_limit.or(input.served_rate).is_some_and(|r| r > 0.0 && r.is_finite())
        }
        ActionKind::ActivateEmergencyOverride => s.duration_seconds.is_some(),
        ActionKind::RebalanceLoad => true,
        ActionKind::UpdateConfiguration => s.settings.is_some(),
        ActionKind::Hook(_) => input.settings.hooks.contains_key(&kind),
    })
}

fn is_of_charter(root: &RootCause) -> bool {
    root.target.as_ref().is_some_and(|target| target.system() == System::Charter)
}

fn parameters(input: &PlanInput<'_>, policy: &Policy, action: &Action, broken: &mut Broken) {
    let whole = policy.component == CHARTER;
    let strategies = input.settings.strategies.get(&policy.cause);
    let configured = |wanted: &str| {
        strategies.into_iter().flatten().any(|s| s.service.as_deref() == Some(wanted))
    };
    match action {
        Action::ScaleUp { .. } | Action::ScaleDown { .. } | Action::RebalanceLoad { .. } => {
            broken.unless(whole, "it changes Charter as a whole for one component");
        }
        Action::ThrottleRequests { rate_limit, duration_seconds } => {
            broken.unless(whole, "it changes Charter as a whole for one component");
            broken.unless(rate_limit.is_finite() && *rate_limit > 0.0, "it throttles to nothing");
            broken.unless(*duration_seconds > 0, "it has no end");
        }
        Action::ActivateEmergencyOverride { duration_seconds } => {
            broken.unless(whole, "it changes Charter as a whole for one component");
            broken.unless(*duration_seconds > 0, "it has no end");
        }
        Action::BypassValidation { duration_seconds, .. } => {
            broken.unless(*duration_seconds > 0, "it has no end");
        }
        Action::RestartService { service: None, .. } => {
            broken.unless(configured("all"), "it restarts everything unasked");
        }
        Action::RestartService { service: Some(service), .. } => {
            let same = |r: &&RootCause| r.cause == policy.cause && is_of_charter(r);
            let causes = input.root_causes.iter().filter(same);
            let confined = service == &policy.component && causes.count() == 1 && !whole;
            broken.unless(
                confined || configured(service),
                "it restarts a service for more than that service's fault",
            );
        }
        Action::ApplyPolicy { policy_set } => {
            broken.unless(!policy_set.is_empty(), "it names no policy set");
        }
        Action::UpdateConfiguration { settings } => {
            broken.unless(!settings.is_empty(), "it sets nothing");
        }
        Action::Hook { target, risk, .. } => {
            let spec = input.settings.hooks.get(&action.kind());
            let same = spec.is_some_and(|spec| (&spec.target, &spec.risk) == (target, risk));
            broken.unless(same, "hooks of the configuration say something else of it");
            let roots = input.root_causes.iter().filter(|r| r.cause == policy.cause);
            let own = |r: &RootCause| r.target.as_ref().is_some_and(|t| target.contains(t));
            broken.unless(roots.into_iter().any(own), "its cause is not on its target");
        }
    }
}

fn size(input: &PlanInput<'_>, present: u32, action: &Action, broken: &mut Broken) {
    let (Action::ScaleUp { replicas } | Action::ScaleDown { replicas }) = action else { return };
    let scaling = &input.settings.scaling;
    let allowed = scaling.min_replicas..=scaling.max_replicas;
    broken.unless(allowed.contains(replicas), "its size is outside the limits");
    broken.unless(present > 0, "the present size is not known");
    if action.kind() == ActionKind::ScaleUp {
        broken.unless(*replicas > present, "it scales up to no more than is there");
        broken.unless(*replicas <= present.saturating_mul(2), "it more than doubles the size");
    } else {
        broken.unless(*replicas < present, "it scales down to no less than is there");
    }
}
