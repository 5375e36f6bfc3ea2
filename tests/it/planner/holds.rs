//! What holds planning back for a while.

use std::time::Duration;

use chrono::TimeDelta;
use mape_k::domain::CHARTER;
use mape_k::domain::action::ActionKind;
use mape_k::domain::charter::{CharterView, CommitteeStatus};
use mape_k::domain::cycle::{CandidateResult, Hold};
use mape_k::domain::follow_ups::Undone;
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::policy::Approval;
use mape_k::domain::target::Target;
use mape_k::planner::{Resize, Strategy};

use super::world::{LATENCY, MISCONFIGURED, OVERLOAD, World, action, committee, start, verdict};

fn hold(world: &World, kind: ActionKind) -> Option<Hold> {
    match verdict(&world.plan(), kind) {
        CandidateResult::Held { reason, .. } => Some(*reason),
        _ => None,
    }
}

/// A65: nothing else is planned on Charter's ground while an action is being judged, and the time left is said.
#[test]
fn a65_what_is_being_judged_holds_the_ground() {
    let mut world = World::with(LATENCY, CHARTER);
    world.pass();
    world.add(OVERLOAD, "ingest", 0.75);
    let plan = world.plan();
    assert!(plan.chosen.is_none() && plan.generated == 0);
    for kind in [ActionKind::ScaleUp, ActionKind::RebalanceLoad] {
        let CandidateResult::Held { reason: Hold::Verifying, detail } = verdict(&plan, kind) else {
            panic!("{kind}: {:?}", verdict(&plan, kind))
        };
        assert!(detail.contains("scale_up") && detail.contains("150 s"), "{detail}");
    }
    world.judged(OutcomeType::Success);
    assert!(world.plan().chosen.is_some());
}

/// Only restarts of different services may be judged side by side.
#[test]
fn only_restarts_of_different_services_go_side_by_side() {
    let mut world = World::with(OVERLOAD, "a");
    world.strategy(OVERLOAD, vec![Strategy::new(ActionKind::RestartService)]);
    world.strategy("other", vec![Strategy::new(ActionKind::RestartService)]);
    world.pass();
    assert_eq!(hold(&world, ActionKind::RestartService), Some(Hold::Verifying));
    world.clear();
    world.add("other", "b", 0.75);
    assert_eq!(action(&world.plan()), Some(ActionKind::RestartService));
    world.clear();
    world.add(LATENCY, CHARTER, 0.75);
    assert_eq!(hold(&world, ActionKind::ScaleUp), Some(Hold::Verifying));
}

#[test]
fn ground_with_an_action_of_unknown_result_is_left_alone() {
    let mut world = World::with(LATENCY, CHARTER);
    world.blocked = vec![Target::service("ingest")];
    assert_eq!(hold(&world, ActionKind::ScaleUp), Some(Hold::OutcomeUnknown));
}

#[test]
fn ground_on_which_harm_was_undone_is_left_alone_until_that_settles() {
    let mut world = World::with(LATENCY, CHARTER);
    let settled_at = world.now + TimeDelta::seconds(180);
    world.undone = vec![Undone { target: Target::Charter(None), at: world.now, settled_at }];
    world.wait(179);
    assert_eq!(hold(&world, ActionKind::ScaleUp), Some(Hold::InFlight));
    world.wait(1);
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp));
}

/// A dead node holds planning back only within the settle time of a change of size.
#[test]
fn unhealthy_nodes_after_a_change_of_size_are_in_flight_for_the_settle_time() {
    let mut world = World::with(LATENCY, CHARTER);
    world.charter = committee(CommitteeStatus::Degraded, 6, 4);
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp), "a dead node is no reason");
    world.resize = Some(Resize { at: world.now });
    world.wait(179);
    assert_eq!(hold(&world, ActionKind::ScaleUp), Some(Hold::InFlight));
    world.wait(1);
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp));
    world.resize = Some(Resize { at: world.now });
    world.charter = committee(CommitteeStatus::Normal, 6, 6);
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp), "all of them are there");
}

#[test]
fn a_recovering_charter_holds_at_most_the_settle_time() {
    let mut world = World::with(LATENCY, CHARTER);
    world.charter = committee(CommitteeStatus::Recovering, 4, 4);
    world.recovering_since = Some(world.now);
    world.wait(179);
    assert_eq!(hold(&world, ActionKind::ScaleUp), Some(Hold::InFlight));
    world.wait(1);
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp));
}

/// An unreachable Charter holds everything: nothing is impossible, nothing is exhausted, no turn is passed on.
#[test]
fn an_unreachable_charter_holds_everything() {
    let mut world = World::with(LATENCY, CHARTER);
    world.add(MISCONFIGURED, "p1", 0.8);
    world.charter =
        CharterView { at: start(), is_on: true, state: Err("connection refused".to_owned()) };
    let plan = world.plan();
    assert!(plan.chosen.is_none() && plan.policies.is_empty() && plan.concerns.is_empty());
    assert_eq!(hold(&world, ActionKind::ScaleUp), Some(Hold::CharterUnreachable));
    assert_eq!(hold(&world, ActionKind::ApplyPolicy), Some(Hold::CharterUnreachable));
    let throttle = verdict(&plan, ActionKind::ThrottleRequests);
    assert!(matches!(throttle, CandidateResult::Ineligible { .. }), "{throttle:?}");
}

/// A rejection holds until the violation clears, at most an hour, for its cause and component only.
#[test]
fn a_rejection_holds_until_the_violation_clears_or_an_hour_is_over() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    world.pass();
    world.decide(Approval::Rejected);
    world.settings.auto_approve = true;
    world.wait(3599);
    assert_eq!(hold(&world, ActionKind::ScaleUp), Some(Hold::Rejected));
    let mut other = world.clone();
    other.add(MISCONFIGURED, "p1", 0.75);
    assert_eq!(action(&other.plan()), Some(ActionKind::ApplyPolicy));
    // It cleared and came back: a new question.
    let mut again = world.clone();
    again.violations.values_mut().for_each(|v| v.active_since = again.now);
    assert_eq!(action(&again.plan()), Some(ActionKind::ScaleUp));
    world.wait(1);
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp));
}

/// Nothing is given back by default, and only our own surplus after a long quiet.
#[test]
fn surplus_is_given_back_only_when_configured_quiet_and_ours() {
    let mut world = World::new();
    world.size(6);
    world.surplus =
        Some(mape_k::planner::ReclaimableReplicas { original: 4, ours: 6, given_back: None });
    world.quiet_since = Some(world.now);
    world.wait(3600);
    assert!(world.plan().chosen.is_none(), "off by default");
    world.settings.give_back.after = Some(Duration::from_secs(3600));
    let chosen = world.plan().chosen.expect("it is given back");
    assert_eq!(chosen.actions, [mape_k::domain::action::Action::ScaleDown { replicas: 4 }]);
    let mut early = world.clone();
    early.wait(-1);
    let mut foreign = world.clone();
    foreign.size(7);
    let mut broken = world.clone();
    broken.quiet_since = None;
    for other in [early, foreign, broken] {
        assert!(other.plan().candidates.is_empty());
    }
}
