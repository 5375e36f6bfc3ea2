//! Which of the candidates goes out, and what is said of the rest.

use mape_k::domain::CHARTER;
use mape_k::domain::action::{Action, ActionKind, Risk};
use mape_k::domain::cycle::{CandidateResult, Hold};
use mape_k::domain::policy::Approval;
use mape_k::planner::{Strategy, order};

use super::world::{LATENCY, MISCONFIGURED, OVERLOAD, World, action, start, verdict};

/// A20: the higher score goes out; the other is reported with who outranked it and by how much.
#[test]
fn a20_the_best_policy_goes_out_and_the_other_says_why_not() {
    let mut world = World::with(LATENCY, CHARTER);
    world.add(MISCONFIGURED, "p1", 0.80);
    let plan = world.plan();
    assert_eq!(action(&plan), Some(ActionKind::ScaleUp));
    let score = plan.chosen.as_ref().expect("a policy").score;
    let outranked = CandidateResult::Outranked { by: ActionKind::ScaleUp, score };
    assert_eq!(verdict(&plan, ActionKind::ApplyPolicy), &outranked);
    assert_eq!(verdict(&plan, ActionKind::ScaleUp), &CandidateResult::Chosen);
    let executed = plan.policies.iter().filter(|p| p.approval == Approval::Executed);
    assert_eq!(executed.count(), 1, "one policy a cycle");
    assert_eq!(plan.policies.len(), 2, "the other is recorded too");
}

/// When a person has put a lesser one first, the report names that one and its score.
#[test]
fn outranked_names_the_real_winner() {
    let mut world = World::with(MISCONFIGURED, "p1").by_hand();
    world.pass();
    world.decide(Approval::Approved);
    world.settings.auto_approve = true;
    world.add(LATENCY, CHARTER, 0.9);
    let plan = world.plan();
    assert_eq!(action(&plan), Some(ActionKind::ApplyPolicy));
    let score = plan.chosen.as_ref().expect("a policy").score;
    let outranked = CandidateResult::Outranked { by: ActionKind::ApplyPolicy, score };
    assert_eq!(verdict(&plan, ActionKind::ScaleUp), &outranked);
}

/// The best of a cause waits: its rivals for the cause wait with it, another cause's do not.
#[test]
fn rivals_wait_while_the_best_of_their_cause_is_held_back() {
    let mut world = World::with(OVERLOAD, "a");
    world.strategy(
        OVERLOAD,
        vec![Strategy::new(ActionKind::RebalanceLoad), Strategy::new(ActionKind::RestartService)],
    );
    // Restarting scores .55, rebalancing .50; a restart of another service does not stand in its way.
    assert_eq!(action(&world.plan()), Some(ActionKind::RestartService));
    world.settings.cost_model.insert(ActionKind::RestartService, 0.3);
    world.blocked = vec![mape_k::domain::target::Target::service("b")];
    let plan = world.plan();
    assert!(plan.chosen.is_none(), "{:?}", plan.chosen);
    for kind in [ActionKind::RebalanceLoad, ActionKind::RestartService] {
        let held = verdict(&plan, kind);
        assert!(
            matches!(held, CandidateResult::Held { reason: Hold::OutcomeUnknown, .. }),
            "{held:?}"
        );
    }
    // The other way round the best is free to go, and only the rival is held.
    world.settings.cost_model.clear();
    assert_eq!(action(&world.plan()), Some(ActionKind::RestartService));
}

/// A best candidate that waits for a person holds its rivals for the same cause and component too.
#[test]
fn rivals_wait_while_the_best_waits_for_a_person() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    world.strategy(
        LATENCY,
        vec![Strategy::new(ActionKind::ScaleUp), Strategy::new(ActionKind::RebalanceLoad)],
    );
    let plan = world.cycle();
    for kind in [ActionKind::ScaleUp, ActionKind::RebalanceLoad] {
        let held = verdict(&plan, kind);
        assert!(
            matches!(held, CandidateResult::Held { reason: Hold::ApprovalPending, .. }),
            "{held:?}"
        );
    }
    assert_eq!(plan.policies.len(), 1, "one open policy a cause and component");
}

/// An impossible best lets the next count, in the same cycle.
#[test]
fn an_impossible_best_lets_the_next_count() {
    let mut world = World::with(LATENCY, CHARTER);
    world.size(20);
    let plan = world.plan();
    assert!(matches!(verdict(&plan, ActionKind::ScaleUp), CandidateResult::Impossible { .. }));
    assert_eq!(action(&plan), Some(ActionKind::ThrottleRequests));
}

/// However many components show the cause, Charter as a whole is treated once.
#[test]
fn one_policy_however_many_components_show_the_cause() {
    let mut world = World::new();
    for n in 0..4 {
        world.add(OVERLOAD, &format!("s{n}"), 0.75).occurrences = 1;
    }
    let plan = world.plan();
    assert_eq!(plan.policies.len(), 1);
    let policy = &plan.policies[0];
    assert_eq!((policy.component.as_str(), policy.evidence.len()), (CHARTER, 4));
}

/// Score, then lower cost, lower risk, older; equal scores are equal however their sums were made.
#[test]
fn ties_go_to_lower_cost_then_lower_risk_then_older() {
    let (early, late) = (start(), start() + std::time::Duration::from_secs(1));
    let ordered = [
        (0.7, 0.9, Risk::High, late),
        (0.75 - 0.15, 0.15, Risk::High, late),
        (0.9 - 0.3, 0.25, Risk::Low, early),
        (0.6, 0.25, Risk::Low, late),
        (0.6, 0.25, Risk::Medium, early),
        (0.5, 0.1, Risk::Low, early),
    ];
    for pair in ordered.windows(2) {
        assert_eq!(order(pair[0], pair[1]), std::cmp::Ordering::Less, "{pair:?}");
        assert_eq!(order(pair[1], pair[0]), std::cmp::Ordering::Greater, "{pair:?}");
    }
    assert_eq!(order(ordered[0], ordered[0]), std::cmp::Ordering::Equal);
}

/// The older of two equal policies goes first, whichever component's name comes first.
#[test]
fn the_older_of_equal_policies_goes_first() {
    let mut world = World::with(MISCONFIGURED, "z").by_hand();
    world.pass();
    world.add(MISCONFIGURED, "a", 0.75);
    world.settings.auto_approve = true;
    let chosen = world.plan().chosen.expect("a policy");
    assert_eq!(chosen.component, "z");
    assert_eq!(chosen.actions, [Action::ApplyPolicy { policy_set: "baseline".to_owned() }]);
}
