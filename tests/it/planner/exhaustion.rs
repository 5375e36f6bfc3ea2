//! Whose turn it is, how often something is tried, and when a person is told that nothing is left.

use mape_k::domain::CHARTER;
use mape_k::domain::action::ActionKind::{
    self, ActivateEmergencyOverride, ApplyPolicy, RebalanceLoad, RestartService, ScaleUp,
    ThrottleRequests,
};
use mape_k::domain::cycle::{CandidateResult, Impossibility, Ineligibility};
use mape_k::domain::outcome::OutcomeType::{Degradation, Ineffective, Partial, Success, Unknown};
use mape_k::planner::{Concern, Plan};

use super::world::{CASCADE, LATENCY, MISCONFIGURED, OVERLOAD, World, action, verdict};

fn exhausted(plan: &Plan) -> bool {
    plan.concerns.iter().any(|c| matches!(c, Concern::RemediesExhausted { .. }))
}

fn at_capacity(plan: &Plan) -> bool {
    plan.concerns.iter().any(|c| matches!(c, Concern::CapacityExhausted { .. }))
}

/// The next remedy's turn comes only when its predecessor was judged ineffective or made things worse.
#[test]
fn the_next_remedy_comes_after_a_verdict_against_the_first() {
    for against in [Ineffective, Degradation] {
        for (cause, first, next) in [
            (LATENCY, ScaleUp, ThrottleRequests),
            (CASCADE, ThrottleRequests, ActivateEmergencyOverride),
            (OVERLOAD, RebalanceLoad, RestartService),
        ] {
            let mut world = World::with(cause, "ingest");
            world.settings.guardrails.auto_approve_high_risk = true;
            let plan = world.plan();
            assert_eq!(action(&plan), Some(first));
            let later = verdict(&plan, next);
            let not_its_turn = Ineligibility::NotItsTurn;
            assert!(
                matches!(later, CandidateResult::Ineligible { reason, .. } if *reason == not_its_turn)
            );
            assert_eq!(world.actions(2, against), [Some(first), Some(next)]);
        }
    }
}

/// Neither a success nor a verdict without an answer calls the next remedy; the latter ends after three tries.
#[test]
fn inconclusive_results_end_after_three_tries_and_call_nothing_stronger() {
    for unclear in [Partial, Unknown] {
        let mut world = World::with(OVERLOAD, "ingest");
        let tried = world.actions(4, unclear);
        assert_eq!(tried, [Some(RebalanceLoad), Some(RebalanceLoad), Some(RebalanceLoad), None]);
        assert!(exhausted(&world.plan()));
    }
    let mut world = World::with(OVERLOAD, "ingest");
    assert_eq!(world.actions(3, Success), [Some(RebalanceLoad); 3]);
    assert!(!exhausted(&world.plan()));
}

/// An execution that fails is tried again, three times at most.
#[test]
fn a_failing_execution_is_tried_three_times() {
    let mut world = World::with(LATENCY, CHARTER);
    let tried: Vec<Option<ActionKind>> = (0..4)
        .map(|_| {
            let done = action(&world.cycle());
            world.failed();
            done
        })
        .collect();
    assert_eq!(tried, [Some(ScaleUp), Some(ScaleUp), Some(ScaleUp), None]);
    assert!(exhausted(&world.plan()));
}

/// An attempt that a crash cut off, with nobody left to judge it, counts towards the bound as well.
#[test]
fn attempts_that_a_crash_cut_off_are_bounded_too() {
    let mut world = World::with(LATENCY, CHARTER);
    for _ in 0..3 {
        assert_eq!(action(&world.cycle()), Some(ScaleUp));
        world.verifications.clear();
    }
    assert_eq!(action(&world.cycle()), None);
}

/// A66: a remedy that nothing follows is tried three times, after a degradation once; then a person is told in every
/// cycle, and nothing more is called in this incident.
#[test]
fn a66_the_last_remedy_is_tried_three_times_and_then_a_person_is_told() {
    let mut world = World::with(LATENCY, CHARTER);
    let throttle = Some(ThrottleRequests);
    let tried = world.actions(5, Ineffective);
    assert_eq!(tried, [Some(ScaleUp), throttle, throttle, throttle, None]);
    for _ in 0..5 {
        let plan = world.cycle();
        assert!(plan.chosen.is_none() && exhausted(&plan));
        assert!(plan.treatments[0].exhausted);
    }
    let mut world = World::with(MISCONFIGURED, "p1");
    assert_eq!(world.actions(2, Degradation), [Some(ApplyPolicy), None]);
    assert!(exhausted(&world.plan()));
}

/// No more calls in this incident, even when something becomes possible again; a new incident starts afresh.
#[test]
fn an_exhausted_incident_stays_so_until_it_ends() {
    let mut world = World::with(MISCONFIGURED, "p1");
    world.actions(4, Ineffective);
    world.settings.strategies.clear();
    world.settings.strategies = mape_k::planner::Settings::default().strategies;
    world.strategy(MISCONFIGURED, vec![mape_k::planner::Strategy::new(RebalanceLoad)]);
    let plan = world.plan();
    assert!(plan.chosen.is_none() && exhausted(&plan));
    let rebalance = verdict(&plan, RebalanceLoad);
    let told = Ineligibility::RemediesExhausted;
    assert!(matches!(rebalance, CandidateResult::Ineligible { reason, .. } if *reason == told));
    world.wait(600 - 30 - 1);
    assert!(world.plan().chosen.is_none(), "less than ten minutes without evidence");
    world.wait(1);
    assert_eq!(action(&world.plan()), Some(RebalanceLoad), "ten minutes: a new incident");
}

/// Nothing is exhausted while the last try is being judged, nor while the cause is merely unripe.
#[test]
fn judging_and_unripe_causes_exhaust_nothing() {
    let mut world = World::with(MISCONFIGURED, "p1");
    world.actions(2, Ineffective);
    assert_eq!(action(&world.cycle()), Some(ApplyPolicy));
    let plan = world.cycle();
    assert!(!exhausted(&plan) && !plan.treatments[0].exhausted, "the third is being judged");
    world.judged(Ineffective);
    world.roots[0].occurrences = 2;
    assert!(!exhausted(&world.plan()), "too few occurrences to say so");
    world.roots[0].occurrences = 3;
    assert!(exhausted(&world.plan()));
}

/// A remedy that is impossible ends the list as well: several components sick, rebalancing did not help.
#[test]
fn a_cause_that_is_not_confined_is_not_restarted_but_escalated() {
    let mut world = World::with(OVERLOAD, "a");
    world.add(OVERLOAD, "b", 0.75);
    assert_eq!(world.actions(2, Ineffective), [Some(RebalanceLoad), None]);
    let plan = world.plan();
    assert!(exhausted(&plan));
    let mut world = World::with(OVERLOAD, "a");
    world.add(OVERLOAD, "b", 0.75);
    let restart = verdict(&world.plan(), RestartService).clone();
    let reason = Impossibility::NotConfined;
    assert!(matches!(restart, CandidateResult::Impossible { reason: r, .. } if r == reason));
}

/// What Charter refused as invalid is not asked again; the next remedy's turn has come.
#[test]
fn a_refused_action_lets_the_next_count() {
    let mut world = World::with(LATENCY, CHARTER);
    world.pass();
    world.failed();
    world.treatments[0].impossible.insert(ScaleUp);
    let plan = world.plan();
    assert_eq!(action(&plan), Some(ThrottleRequests));
    let refused = verdict(&plan, ScaleUp);
    assert!(matches!(refused, CandidateResult::Impossible { reason: Impossibility::Invalid, .. }));
}

/// At the limit with the cause still there people are told; not while something may yet take effect.
#[test]
fn capacity_is_called_exhausted_once_nothing_can_take_effect_any_more() {
    let mut world = World::with(LATENCY, CHARTER);
    world.size(15);
    assert_eq!(action(&world.cycle()), Some(ScaleUp));
    world.size(20);
    assert!(!at_capacity(&world.plan()), "the step to the limit is still being judged");
    world.judged(Ineffective);
    assert_eq!(action(&world.plan()), Some(ThrottleRequests));
    world.treatments.clear();
    let plan = world.plan();
    assert!(at_capacity(&plan) && action(&plan) == Some(ThrottleRequests));
    world.roots[0].occurrences = 1;
    assert!(!at_capacity(&world.plan()), "too few occurrences to call anybody");
}

/// A success keeps the remedy in play: the same incident may need it again.
#[test]
fn evidence_within_ten_minutes_is_the_same_incident() {
    let mut world = World::with(LATENCY, CHARTER);
    let first = world.plan().treatments[0].id;
    world.pass();
    world.judged(Success);
    world.wait(500);
    assert_eq!(world.plan().treatments[0].attempts.len(), 1);
    world.wait(100);
    let plan = world.plan();
    assert!(plan.treatments[0].attempts.is_empty() && plan.treatments[0].id != first);
}
