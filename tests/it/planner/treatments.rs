//! L02: attempts are counted for each cause and target; what bounds an incident counts all of its causes.

use mape_k::domain::action::ActionKind;
use mape_k::domain::cycle::{CandidateResult, Ineligibility};
use mape_k::domain::outcome::OutcomeType::{Ineffective, Success};
use mape_k::domain::target::Target;
use mape_k::domain::treatment::Treatment;
use mape_k::planner::{Strategy, check};

use super::systems::{CART, add_hook, with_hook};
use super::world::{LATENCY, MISCONFIGURED, OVERLOAD, World, action};

fn treatments_of<'a>(world: &'a World, cause: &str) -> Vec<&'a Treatment> {
    world.treatments.iter().filter(|one| one.cause.0 == cause).collect()
}

fn tried_out(world: &World, kind: ActionKind, component: &str) -> Option<String> {
    let plan = world.plan();
    plan.candidates.iter().find_map(|c| match &c.verdict {
        CandidateResult::Ineligible { reason: Ineligibility::TriedOut, detail }
            if c.action == kind && c.component == component =>
        {
            Some(detail.clone())
        }
        _ => None,
    })
}

/// The same cause on two services that are restarted one by one: each has its own tries.
#[test]
fn l02_a_second_fault_has_its_own_attempts_and_is_proposed_in_the_next_cycle() {
    let restart = ActionKind::RestartService;
    let mut world = World::with(OVERLOAD, "a");
    world.strategy(OVERLOAD, vec![Strategy::new(restart)]);
    assert_eq!(world.actions(3, Ineffective), [Some(restart); 3]);
    let why = tried_out(&world, restart, "a").expect("three tries are enough");
    assert!(why.contains("system_overload on charter/a") && why.contains("at most 3"), "{why}");
    // The first is over, and the second service shows the same cause.
    world.clear();
    world.add(OVERLOAD, "b", 0.75);
    let plan = world.cycle();
    assert_eq!(action(&plan), Some(restart), "{:#?}", plan.candidates);
    assert_eq!(
        plan.treatment_of(plan.chosen.as_ref().expect("chosen")).map(|t| t.attempts.len()),
        Some(0)
    );
    let targets: Vec<_> =
        treatments_of(&world, OVERLOAD).into_iter().map(|t| t.target.clone()).collect();
    assert_eq!(targets.len(), 2, "{targets:?}");
    // Back at the first, it is still out.
    world.judged(Ineffective);
    world.clear();
    world.add(OVERLOAD, "a", 0.75);
    assert!(world.plan().chosen.is_none(), "three tries are enough, whatever happened beside it");
}

/// A reload adds an action that changes all of Charter to a cause whose services are treated one by one: they are one
/// treatment from then on, and what was tried for any of them counts.
#[test]
fn l02_treatments_of_single_services_become_one_when_an_action_changes_all_of_charter() {
    let restart = ActionKind::RestartService;
    let mut world = World::with(OVERLOAD, "a");
    world.strategy(OVERLOAD, vec![Strategy::new(restart)]);
    assert_eq!(world.actions(2, Ineffective), [Some(restart); 2]);
    world.clear();
    world.add(OVERLOAD, "b", 0.75);
    assert_eq!(world.actions(1, Ineffective), [Some(restart)]);
    let rebalance = Strategy { after: Some(restart), ..Strategy::new(ActionKind::RebalanceLoad) };
    for target in ["a", "b"] {
        let mut reloaded = world.clone();
        reloaded.strategy(OVERLOAD, vec![Strategy::new(restart), rebalance.clone()]);
        reloaded.clear();
        reloaded.add(OVERLOAD, target, 0.75);
        // [`World::plan`] asserts that the check refuses nothing.
        assert_eq!(action(&reloaded.cycle()), Some(ActionKind::RebalanceLoad), "{target}");
        let attempts = |world: &World, target: Option<&str>| {
            let target = Target::Charter(target.map(str::to_owned));
            let own = treatments_of(world, OVERLOAD).into_iter();
            own.filter(|one| one.target == Some(target.clone())).map(|one| one.attempts.len()).sum()
        };
        assert_eq!(attempts(&reloaded, None), 4, "{target}: all three, and the new one");
        let parts: usize = ["a", "b"].map(|part| attempts(&reloaded, Some(part))).iter().sum();
        assert_eq!(parts, 0, "{target}: each stands in one treatment alone");
        // Later cycles take nothing in twice.
        reloaded.judged(Ineffective);
        reloaded.pass();
        assert_eq!(attempts(&reloaded, None), 4, "{target}");
    }
    // The twin: without that action the second service has its own tries.
    assert_eq!(action(&world.plan()), Some(restart));
}

/// A restart of the second service belongs to the treatment that was the first one's: the plan is not refused.
#[test]
fn l02_a_second_service_is_treated_after_the_target_of_the_first_was_widened() {
    let restart = ActionKind::RestartService;
    let mut world = World::with(OVERLOAD, "a");
    world.strategy(OVERLOAD, vec![Strategy::new(restart)]);
    assert_eq!(world.actions(1, Success), [Some(restart)]);
    let rebalance = Strategy { after: Some(restart), ..Strategy::new(ActionKind::RebalanceLoad) };
    world.strategy(OVERLOAD, vec![Strategy::new(restart), rebalance]);
    world.clear();
    world.add(OVERLOAD, "b", 0.75);
    let plan = world.cycle();
    assert_eq!(action(&plan), Some(restart), "{:#?}", plan.candidates);
    let own = plan.treatment_of(plan.chosen.as_ref().expect("chosen")).expect("its treatment");
    assert_eq!((own.target.clone(), own.attempts.len()), (Some(Target::Charter(None)), 1));
}

/// What one fault waits for holds back nothing of an unrelated one.
#[test]
fn l02_an_unrelated_fault_is_treated_while_the_first_is_verified() {
    let (mut world, hook) = with_hook("restart-cart", "hook/restart-cart/cart", "cart");
    let other =
        add_hook(&mut world, "restart-till", "hook/restart-till/till", "till_is_slow", "till");
    assert_eq!(action(&world.cycle()), Some(hook));
    assert_eq!(action(&world.cycle()), Some(other), "one cycle later");
    assert_eq!(treatments_of(&world, CART)[0].attempts.len(), 1);
}

/// A cause that has an action on Charter as a whole is treated there: what did not help for one service is not tried
/// again for the next.
#[test]
fn l02_charter_as_a_whole_is_one_target_however_many_services_show_the_cause() {
    let mut world = World::with(OVERLOAD, "a");
    assert_eq!(action(&world.cycle()), Some(ActionKind::RebalanceLoad));
    world.judged(Ineffective);
    world.clear();
    world.add(OVERLOAD, "b", 0.75);
    let plan = world.plan();
    assert_ne!(action(&plan), Some(ActionKind::RebalanceLoad));
    assert_eq!(plan.treatments.len(), 1);
    assert_eq!(plan.treatments[0].target, Some(Target::Charter(None)));
    // The twin: without those attempts it is.
    world.treatments.clear();
    assert_eq!(action(&world.plan()), Some(ActionKind::RebalanceLoad));
}

#[test]
fn l02_actions_per_incident_counts_all_causes_of_the_incident() {
    let mut world = World::with(MISCONFIGURED, "p1");
    let lies_in = |world: &mut World, cause: &str, component: &str, incident: &str| {
        world.incidents.insert(format!("{cause}/{component}"), incident.to_owned());
    };
    lies_in(&mut world, MISCONFIGURED, "p1", "INC-1");
    assert_eq!(world.actions(3, Ineffective), [Some(ActionKind::ApplyPolicy); 3]);
    world.clear();
    world.add(LATENCY, "p1", 0.75);
    lies_in(&mut world, LATENCY, "p1", "INC-1");
    let plan = world.cycle();
    assert_eq!(action(&plan), Some(ActionKind::ScaleUp), "the fourth");
    world.judged(Ineffective);
    let why = tried_out(&world, ActionKind::ThrottleRequests, "charter").expect("four are enough");
    assert!(why.contains("4 actions in this incident, at most 4"), "{why}");
    // The linter counts by itself.
    let mut fifth = world.clone();
    fifth.settings.guardrails.actions_per_incident = 5;
    let allowed = fifth.plan();
    assert_eq!(action(&allowed), Some(ActionKind::ThrottleRequests), "{:#?}", allowed.candidates);
    let refused = world.ask(|input| check(input, &allowed));
    assert!(refused.iter().any(|r| r.ends_with("its incident has had its actions")), "{refused:?}");
    // The twin: the same in another incident goes on.
    lies_in(&mut world, LATENCY, "p1", "INC-2");
    assert_eq!(action(&world.plan()), Some(ActionKind::ThrottleRequests));
}

/// R11: a record of the version before has no target; it counts for every target of its cause until it ends.
#[test]
fn r11_a_treatment_without_a_target_counts_for_every_target_of_its_cause() {
    let restart = ActionKind::RestartService;
    let mut world = World::with(OVERLOAD, "a");
    world.strategy(OVERLOAD, vec![Strategy::new(restart)]);
    assert_eq!(world.actions(3, Ineffective), [Some(restart); 3]);
    let mut old = world.treatments.remove(0);
    old.target = None;
    for service in ["a", "b"] {
        let mut before = world.clone();
        before.treatments = vec![old.clone()];
        before.clear();
        before.add(OVERLOAD, service, 0.75);
        assert!(before.plan().chosen.is_none(), "{service}: {:#?}", before.plan().chosen);
        // Stored under its target by then, it goes on counting when the record of before has run out.
        let _ = before.cycle();
        before.treatments.retain(|one| one.target.is_some());
        assert!(before.plan().chosen.is_none(), "{service}");
        let mut ended = before.clone();
        ended.treatments = vec![old.clone()];
        ended.wait(600);
        assert_eq!(action(&ended.plan()), Some(restart), "{service}: it has ended");
    }
}

/// Once a person was asked, each action still says why it is out, with count and limit.
#[test]
fn r05_an_exhausted_treatment_says_what_each_action_came_to() {
    let mut world = World::with(MISCONFIGURED, "p1");
    world.actions(5, Ineffective);
    assert!(world.treatments[0].exhausted);
    let why = tried_out(&world, ActionKind::ApplyPolicy, "p1").expect("it says why");
    assert!(why.contains("tried 3 times") && why.contains("at most 3"), "{why}");
    assert!(why.contains("policy_misconfiguration on charter"), "{why}");
}
