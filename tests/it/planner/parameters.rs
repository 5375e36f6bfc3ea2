//! Computed parameters, and what makes an action impossible.

use std::time::Duration;

use mape_k::domain::CHARTER;
use mape_k::domain::action::{Action, ActionKind};
use mape_k::domain::cycle::{CandidateResult, Impossibility};
use mape_k::planner::{Plan, Strategy};

use super::world::{CASCADE, LATENCY, MISCONFIGURED, OVERLOAD, World, verdict};

fn impossible(plan: &Plan, kind: ActionKind) -> Option<Impossibility> {
    match verdict(plan, kind) {
        CandidateResult::Impossible { reason, .. } => Some(*reason),
        _ => None,
    }
}

/// ceil(present × 1.5), at least one more, at most double, within the limits.
#[test]
fn the_scale_target_is_half_as_much_again_within_bounds() {
    let target = |world: &World| match world.plan().chosen.map(|p| p.actions[0].clone()) {
        Some(Action::ScaleUp { replicas }) => Some(replicas),
        _ => None,
    };
    let mut world = World::with(LATENCY, CHARTER);
    for (present, wanted) in [(1, 2), (2, 3), (3, 5), (4, 6), (13, 20), (14, 20), (19, 20)] {
        world.size(present);
        assert_eq!(target(&world), Some(wanted), "from {present}");
    }
    world.size(4);
    for (factor, wanted) in [(1.0, 5), (0.1, 5), (9.0, 8), (f64::NAN, 5), (f64::INFINITY, 8)] {
        world.settings.scaling.factor = factor;
        assert_eq!(target(&world), Some(wanted), "by {factor}");
    }
    let fixed = |replicas| vec![Strategy { replicas, ..Strategy::new(ActionKind::ScaleUp) }];
    world.strategy(LATENCY, fixed(Some(7)));
    assert_eq!(target(&world), Some(7));
    world.strategy(LATENCY, fixed(Some(15)));
    assert_eq!(target(&world), Some(8), "at most double");
    world.strategy(LATENCY, fixed(Some(4)));
    assert_eq!(impossible(&world.plan(), ActionKind::ScaleUp), Some(Impossibility::AtLimit));
}

#[test]
fn no_scaling_when_the_size_is_unknown_or_outside_the_limits() {
    let mut world = World::with(LATENCY, CHARTER);
    world.settings.scaling.min_replicas = 3;
    let (unknown, limit) = (Impossibility::SizeUnknown, Impossibility::AtLimit);
    // Below the limits is no exhausted capacity.
    let below = Impossibility::Invalid;
    for (present, wanted) in [(0, unknown), (2, below), (20, limit), (25, limit)] {
        world.size(present);
        assert_eq!(impossible(&world.plan(), ActionKind::ScaleUp), Some(wanted), "{present}");
    }
}

/// 0.8 of what was served, unless a limit is configured; without either there is no throttling.
#[test]
fn throttling_leaves_four_fifths_of_what_was_served() {
    let mut world = World::with(CASCADE, "ingest");
    for served in [None, Some(0.0), Some(f64::NAN)] {
        world.served = served;
        let throttle = impossible(&world.plan(), ActionKind::ThrottleRequests);
        assert_eq!(throttle, Some(Impossibility::ParameterMissing), "{served:?}");
    }
    let list = vec![Strategy {
        rate_limit: Some(50.0),
        duration_seconds: Some(Duration::from_millis(1500)),
        ..Strategy::new(ActionKind::ThrottleRequests)
    }];
    world.strategy(CASCADE, list);
    let chosen = world.plan().chosen.expect("a configured limit");
    let wanted = Action::ThrottleRequests { rate_limit: 50.0, duration_seconds: 2 };
    assert_eq!(chosen.actions, [wanted]);
}

/// A required parameter that is neither computed nor configured: no candidate.
#[test]
fn a_required_parameter_must_be_configured() {
    for kind in [
        ActionKind::ApplyPolicy,
        ActionKind::BypassValidation,
        ActionKind::ThrottleRequests,
        ActionKind::ActivateEmergencyOverride,
        ActionKind::UpdateConfiguration,
        ActionKind::ScaleDown,
    ] {
        let mut world = World::with(MISCONFIGURED, "p1");
        world.strategy(MISCONFIGURED, vec![Strategy::new(kind)]);
        let plan = world.plan();
        assert_eq!(impossible(&plan, kind), Some(Impossibility::ParameterMissing), "{kind}");
        assert!(plan.policies.is_empty());
    }
}

/// A restart names the policy's component, gently; none for Charter as a whole unless configured.
#[test]
fn a_restart_names_the_component() {
    let restart = |service: Option<&str>| {
        let service = service.map(str::to_owned);
        vec![Strategy { service, ..Strategy::new(ActionKind::RestartService) }]
    };
    let planned = |component: &str, service: Option<&str>| {
        let mut world = World::with(OVERLOAD, component);
        world.settings.guardrails.auto_approve_high_risk = true;
        world.strategy(OVERLOAD, restart(service));
        let plan = world.plan();
        let action = plan.chosen.as_ref().map(|p| p.actions[0].clone());
        action.ok_or_else(|| impossible(&plan, ActionKind::RestartService))
    };
    let named = |name: &str| Action::RestartService { service: Some(name.into()), graceful: true };
    assert_eq!(planned("ingest", None), Ok(named("ingest")));
    assert_eq!(planned(CHARTER, None), Err(Some(Impossibility::ParameterMissing)));
    assert_eq!(planned(CHARTER, Some("db")), Ok(named("db")));
    let all = Action::RestartService { service: None, graceful: true };
    assert_eq!(planned(CHARTER, Some("all")), Ok(all));
}
