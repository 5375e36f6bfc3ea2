//! S05: each guard with its reason and the numbers behind it in the report; and the linter, which counts by itself.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use mape_k::domain::action::ActionKind;
use mape_k::domain::cycle::{CandidateResult, Hold, Impossibility, Ineligibility};
use mape_k::domain::guard::{Guard, GuardReading};
use mape_k::domain::leader::Lead;
use mape_k::domain::ledger::{Breaker, End, Entry, Storm, Tripped};
use mape_k::domain::outcome::OutcomeType::{Degradation, Ineffective, Partial, Success, Unknown};
use mape_k::domain::pause::Pause;
use mape_k::domain::target::{System, Target};
use mape_k::domain::{CHARTER, Cause};
use mape_k::planner::guardrails::Mode;
use mape_k::planner::{Concern, Strategy};
use uuid::Uuid;

use super::world::{CASCADE, LATENCY, OVERLOAD, World, action, report, verdict, verification};

/// An action of so many seconds ago.
pub fn did(world: &mut World, kind: ActionKind, target: &str, cause: &str, ago: i64, end: End) {
    let entry = Entry {
        execution_id: Uuid::from_u128(u128::from(world.ledger.entries.len() as u64) + 1),
        at: world.now - TimeDelta::seconds(ago),
        action: kind,
        target: target.parse().expect("any name is a target's"),
        cause: Cause::new(cause),
        end,
    };
    world.ledger.entries.push(entry);
    world.ledger.entries.sort_by_key(|e| e.at);
}

/// Held for this reason by this guard, and nothing is chosen; the guard's reading is given.
#[track_caller]
fn held(world: &World, kind: ActionKind, guard: Guard, hold: Hold) -> GuardReading {
    let plan = world.plan();
    assert!(plan.chosen.is_none(), "{:?}", plan.chosen);
    let report = report(&plan, kind);
    let CandidateResult::Held { reason, detail } = &report.verdict else {
        panic!("{:?}", report.verdict)
    };
    assert_eq!((*reason, report.guards.len()), (hold, Guard::ALL.len()), "{detail}");
    let reading = report.guards.iter().find(|g| g.guard == guard).expect("it was asked");
    assert_eq!((reading.held, &reading.detail), (Some(hold), detail));
    reading.clone()
}

#[track_caller]
fn numbers(reading: &GuardReading, value: f64, limit: f64) {
    assert_eq!((reading.value, reading.limit), (Some(value), Some(limit)), "{}", reading.detail);
}

#[test]
fn s05_what_no_guard_holds_is_chosen_and_every_guard_is_shown_in_order() {
    let world = World::with(LATENCY, CHARTER);
    let plan = world.plan();
    assert_eq!(action(&plan), Some(ActionKind::ScaleUp));
    let report = report(&plan, ActionKind::ScaleUp);
    let asked: Vec<Guard> = report.guards.iter().map(|g| g.guard).collect();
    assert_eq!(asked, Guard::ALL);
    assert!(report.guards.iter().all(|g| g.held.is_none() && !g.detail.is_empty()));
}

#[test]
fn s04_a_pause_holds_everything_until_it_is_over() {
    let mut world = World::with(LATENCY, CHARTER);
    world.pause = Some(Pause {
        by: "ada".to_owned(),
        reason: "rack move".to_owned(),
        since: world.now,
        until: world.now + TimeDelta::seconds(60),
    });
    let reading = held(&world, ActionKind::ScaleUp, Guard::Pause, Hold::Paused);
    assert!(reading.detail.contains("ada") && reading.detail.contains("rack move"));
    world.wait(60);
    assert!(world.plan().chosen.is_some());
}

#[test]
fn s03_who_may_not_be_the_leader_any_more_chooses_nothing() {
    let mut world = World::with(LATENCY, CHARTER);
    world.lead = Lead { epoch: 7, shared: true, barred: Some("not sure for 1.0 s".to_owned()) };
    held(&world, ActionKind::ScaleUp, Guard::Leader, Hold::NotLeading);
    world.lead.barred = None;
    let plan = world.plan();
    assert_eq!(action(&plan), Some(ActionKind::ScaleUp));
    let readings = &report(&plan, ActionKind::ScaleUp).guards;
    let leader = readings.iter().find(|g| g.guard == Guard::Leader).expect("it was asked");
    assert_eq!(leader.detail, "this mape-k leads with epoch 7");
}

#[test]
fn s10_in_mode_observe_nothing_is_chosen_and_nothing_is_proposed() {
    let mut world = World::with(LATENCY, CHARTER);
    world.settings.guardrails.mode = Mode::Observe;
    held(&world, ActionKind::ScaleUp, Guard::Mode, Hold::ModeObserve);
    assert!(
        world.plan().policies.is_empty(),
        "nothing waits for an approval that would do nothing"
    );
}

#[test]
fn s05_an_unreachable_charter_and_a_rejection_are_guards_too() {
    let mut world = World::with(OVERLOAD, "ingest");
    world.charter.state = Err("connection refused".to_owned());
    let reading = held(&world, ActionKind::RebalanceLoad, Guard::Charter, Hold::CharterUnreachable);
    assert_eq!(reading.detail, "connection refused");
}

#[test]
fn s05_half_blind_is_held_by_the_share_of_the_evidence_that_was_read() {
    let mut world = World::with(OVERLOAD, "a");
    for component in ["b", "c", "d"] {
        world.add(OVERLOAD, component, 0.75);
    }
    world.violations.get_mut("system_overload/a").expect("there").confirmed = false;
    let reading = held(&world, ActionKind::RebalanceLoad, Guard::Freshness, Hold::StaleData);
    numbers(&reading, 0.75, 0.8);
    world.add(OVERLOAD, "e", 0.75);
    assert!(world.plan().chosen.is_some(), "four of five are enough");
}

#[test]
fn s06_in_a_storm_only_throttling_is_let_pass_and_only_once() {
    let mut world = World::with(OVERLOAD, "ingest");
    world.strategy(OVERLOAD, vec![Strategy::new(ActionKind::RestartService)]);
    world.add(CASCADE, CHARTER, 0.85);
    let storm = Storm {
        since: world.now - TimeDelta::seconds(30),
        components: 10,
        sick: 6,
        firing: 6,
        nodes: 0,
        not_ready: 0,
        calm_since: None,
        throttled_at: None,
    };
    world.ledger.storms.insert(System::Charter, storm);
    let plan = world.plan();
    assert_eq!(action(&plan), Some(ActionKind::ThrottleRequests));
    let restart = report(&plan, ActionKind::RestartService);
    assert!(matches!(restart.verdict, CandidateResult::Held { reason: Hold::Storm, .. }));
    let now = world.now;
    world.ledger.storms.get_mut(&System::Charter).expect("it rages").throttled_at = Some(now);
    let reading = held(&world, ActionKind::ThrottleRequests, Guard::Storm, Hold::Storm);
    numbers(&reading, 0.6, 0.55);
}

#[test]
fn s05_an_open_breaker_holds_everything_and_half_open_lets_one_reversible_action_pass() {
    let mut world = World::with(OVERLOAD, "ingest");
    world.strategy(OVERLOAD, vec![Strategy::new(ActionKind::RestartService)]);
    let at = world.now - TimeDelta::seconds(600);
    let until = at + TimeDelta::seconds(1800);
    let tripped =
        Tripped { at, until, why: "2 of the last 10 results were degradation".to_owned() };
    world
        .ledger
        .breakers
        .insert(System::Charter, Breaker { counts_from: Some(at), tripped: Some(tripped) });
    let reading = held(&world, ActionKind::RestartService, Guard::Breaker, Hold::BreakerOpen);
    numbers(&reading, 600.0, 1800.0);
    assert!(reading.detail.contains("20 min more") && reading.detail.contains("degradation"));
    world.wait(1200);
    let reading = held(&world, ActionKind::RestartService, Guard::Breaker, Hold::BreakerOpen);
    assert!(reading.detail.contains("only an action that can be undone"), "{}", reading.detail);
    let ledger = world.ledger.clone();
    let mut world = World::with(LATENCY, CHARTER);
    world.ledger = ledger;
    world.wait(1200);
    let plan = world.plan();
    assert_eq!(action(&plan), Some(ActionKind::ScaleUp));
    // It is out and not judged yet: no second one, on no ground.
    did(&mut world, ActionKind::ScaleUp, CHARTER, LATENCY, 0, End::Open);
    let mut open = verification(plan.chosen.as_ref().expect("chosen"), world.now);
    open.execution_id = world.ledger.entries[0].execution_id;
    open.target = Target::service("elsewhere");
    world.verifications.push(open);
    world.strategy(LATENCY, vec![Strategy::new(ActionKind::ApplyPolicy)]);
    world.settings.strategies.get_mut(&Cause::new(LATENCY)).expect("there")[0].policy_set =
        Some("baseline".to_owned());
    world.wait(400);
    let plan = world.plan();
    let report = report(&plan, ActionKind::ApplyPolicy);
    let breaker = report.guards.iter().find(|g| g.guard == Guard::Breaker).expect("asked");
    assert_eq!(breaker.held, Some(Hold::BreakerOpen), "{}", breaker.detail);
}

#[test]
fn s05_a_cooldown_doubles_with_every_failure_in_a_row_up_to_an_hour() {
    for (failures, wait) in [(0, 300), (1, 600), (2, 1200)] {
        let mut world = World::with(LATENCY, CHARTER);
        did(&mut world, ActionKind::ScaleUp, CHARTER, "other", 20_000, End::Judged(Success));
        for n in 0..failures {
            let ago = 5000 + 100 * n;
            did(&mut world, ActionKind::ScaleUp, CHARTER, "other", ago, End::Judged(Ineffective));
        }
        let last = if failures == 0 { Success } else { Partial };
        did(&mut world, ActionKind::ScaleUp, CHARTER, "other", wait - 1, End::Judged(last));
        let reading = held(&world, ActionKind::ScaleUp, Guard::Cooldown, Hold::Cooldown);
        numbers(&reading, (wait - 1) as f64, wait as f64);
        world.wait(1);
        assert!(world.plan().chosen.is_some(), "{failures} failures: free after {wait} s");
    }
    let mut world = World::with(LATENCY, CHARTER);
    for n in 0..9 {
        did(&mut world, ActionKind::ScaleUp, CHARTER, "other", 3599 + 60 * n, End::Failed);
    }
    let reading = held(&world, ActionKind::ScaleUp, Guard::Cooldown, Hold::Cooldown);
    numbers(&reading, 3599.0, 3600.0);
}

/// pains 3: a result that says nothing counts as a failure and backs off.
#[test]
fn s05_an_inconclusive_result_backs_off_too() {
    for end in [End::Judged(Unknown), End::Failed, End::Open] {
        let mut world = World::with(LATENCY, CHARTER);
        did(&mut world, ActionKind::ScaleUp, CHARTER, "other", 400, end);
        let reading = held(&world, ActionKind::ScaleUp, Guard::Cooldown, Hold::Cooldown);
        numbers(&reading, 400.0, 600.0);
    }
}

#[test]
fn s05_a_settle_time_longer_than_the_shortest_cooldown_is_its_least() {
    let mut world = World::with(LATENCY, CHARTER);
    world.settings.settle.insert(ActionKind::ScaleUp, std::time::Duration::from_secs(700));
    did(&mut world, ActionKind::ScaleUp, CHARTER, LATENCY, 650, End::Judged(Success));
    let reading = held(&world, ActionKind::ScaleUp, Guard::Cooldown, Hold::Cooldown);
    numbers(&reading, 650.0, 700.0);
}

#[test]
fn s05_the_opposite_direction_waits_ten_minutes() {
    let mut world = World::with(LATENCY, CHARTER);
    did(&mut world, ActionKind::ScaleDown, CHARTER, Cause::SCALE_BACK, 599, End::Judged(Success));
    let reading = held(&world, ActionKind::ScaleUp, Guard::Cooldown, Hold::OppositeDirection);
    numbers(&reading, 599.0, 600.0);
    world.wait(1);
    assert!(world.plan().chosen.is_some());
}

#[test]
fn s05_the_hours_budget_counts_everything_and_each_ground() {
    let mut world = World::with(LATENCY, CHARTER);
    for n in 0..6 {
        did(&mut world, ActionKind::RestartService, &format!("s{n}"), OVERLOAD, 3599, End::Open);
    }
    let reading = held(&world, ActionKind::ScaleUp, Guard::Budget, Hold::BudgetExhausted);
    numbers(&reading, 6.0, 6.0);
    world.wait(1);
    assert!(world.plan().chosen.is_some(), "an hour is an hour");

    let mut world = World::with(LATENCY, CHARTER);
    for n in 0..3 {
        did(&mut world, ActionKind::ApplyPolicy, CHARTER, "x", 1000 + n, End::Judged(Success));
    }
    let reading = held(&world, ActionKind::ScaleUp, Guard::Budget, Hold::BudgetExhausted);
    numbers(&reading, 3.0, 3.0);
    assert!(reading.detail.contains("on charter"), "{}", reading.detail);
}

#[test]
fn s05_overrides_have_a_gap_and_a_number_a_day() {
    let mut world = World::with(LATENCY, CHARTER);
    let mut only = Strategy::new(ActionKind::ActivateEmergencyOverride);
    only.duration_seconds = Some(std::time::Duration::from_secs(900));
    world.strategy(LATENCY, vec![only]);
    world.settings.guardrails.auto_approve_high_risk = true;
    let kind = ActionKind::ActivateEmergencyOverride;
    did(&mut world, ActionKind::BypassValidation, CHARTER, "x", 1799, End::Judged(Success));
    let reading = held(&world, kind, Guard::Budget, Hold::BudgetExhausted);
    numbers(&reading, 1799.0, 1800.0);
    did(&mut world, kind, CHARTER, "x", 80_000, End::Judged(Success));
    world.wait(1);
    let reading = held(&world, kind, Guard::Budget, Hold::BudgetExhausted);
    numbers(&reading, 2.0, 2.0);
}

#[test]
fn s05_at_most_a_tenth_of_the_fleet_and_never_two_of_a_redundancy_group() {
    let restart = ActionKind::RestartService;
    let mut world = World::with(OVERLOAD, "a");
    world.strategy(OVERLOAD, vec![Strategy::new(restart)]);
    world.strategy("other", vec![Strategy::new(restart)]);
    world.pass();
    world.clear();
    world.add("other", "b", 0.75);
    assert!(world.plan().chosen.is_some(), "one of 100 is in hand");
    world.fleets.get_mut(&System::Charter).expect("there").components = 19;
    let reading = held(&world, restart, Guard::Conflict, Hold::FleetLimit);
    numbers(&reading, 1.0, 1.0);
    world.fleets.get_mut(&System::Charter).expect("there").components = 100;
    let group: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
    world.settings.guardrails.fleet.redundancy_groups = vec![group];
    let reading = held(&world, restart, Guard::Conflict, Hold::FleetLimit);
    assert!(reading.detail.contains("redundancy group"), "{}", reading.detail);
}

#[test]
fn s05_a_forbidden_action_is_impossible_and_its_successor_has_its_turn() {
    let mut world = World::with(LATENCY, CHARTER);
    world.settings.guardrails.forbidden_actions = [ActionKind::ScaleUp].into();
    let plan = world.plan();
    let reason = Impossibility::Forbidden;
    let out = verdict(&plan, ActionKind::ScaleUp);
    assert!(
        matches!(out, CandidateResult::Impossible { reason: r, .. } if *r == reason),
        "{out:?}"
    );
    assert_eq!(action(&plan), Some(ActionKind::ThrottleRequests));
}

#[test]
fn s08_an_incident_has_four_actions_at_most_and_ends_with_its_history() {
    let mut world = World::with(OVERLOAD, "ingest");
    assert_eq!(world.actions(4, Success), [Some(ActionKind::RebalanceLoad); 4]);
    let plan = world.plan();
    assert!(plan.chosen.is_none());
    let out = verdict(&plan, ActionKind::RebalanceLoad);
    let tried_out = Ineligibility::TriedOut;
    assert!(
        matches!(out, CandidateResult::Ineligible { reason, .. } if *reason == tried_out),
        "{out:?}"
    );
    let Some(Concern::RemediesExhausted { detail, .. }) = plan.concerns.first() else {
        panic!("{:?}", plan.concerns)
    };
    assert_eq!(detail.matches("rebalance_load at").count(), 4, "{detail}");
    assert!(detail.contains("success"), "{detail}");
}

#[test]
fn s08_the_same_ineffective_fix_is_not_tried_a_fourth_time_in_a_new_incident_either() {
    for end in
        [End::Judged(Ineffective), End::Judged(Degradation), End::Judged(Unknown), End::Failed]
    {
        let mut world = World::with(LATENCY, CHARTER);
        did(&mut world, ActionKind::ScaleUp, CHARTER, LATENCY, 80_000, End::Judged(Success));
        for n in 0..3 {
            did(&mut world, ActionKind::ScaleUp, CHARTER, LATENCY, 10_000 + 5_000 * n, end);
        }
        let plan = world.plan();
        assert!(plan.chosen.is_none(), "{end:?}: {:?}", plan.chosen);
        assert!(!plan.concerns.is_empty(), "a person is told");
        world.ledger.entries.remove(1);
        assert!(world.plan().chosen.is_some(), "{end:?}: twice is not three times");
    }
}

/// pains 2: every try succeeds, each incident is a new one, and the leak goes on.
#[test]
fn s08_what_does_not_stay_healed_is_a_persons_after_eight_actions_a_day() {
    let mut world = World::with(OVERLOAD, "ingest");
    for n in 1..=8 {
        did(
            &mut world,
            ActionKind::RebalanceLoad,
            CHARTER,
            OVERLOAD,
            9_000 * n,
            End::Judged(Success),
        );
    }
    let plan = world.plan();
    assert!(plan.chosen.is_none(), "{:?}", plan.chosen);
    assert!(matches!(plan.concerns.first(), Some(Concern::RemediesExhausted { .. })));
    world.ledger.entries.pop();
    assert!(world.plan().chosen.is_some(), "seven are not eight");
}

#[test]
fn s05_what_was_surely_not_sent_is_no_failure_and_no_part_of_a_budget_and_waits_all_the_same() {
    let mut world = World::with(LATENCY, CHARTER);
    for n in 0..6 {
        did(&mut world, ActionKind::ScaleUp, CHARTER, LATENCY, 299 + n, End::Unsent);
    }
    let reading = held(&world, ActionKind::ScaleUp, Guard::Cooldown, Hold::Cooldown);
    numbers(&reading, 299.0, 300.0);
    world.wait(1);
    assert!(world.plan().chosen.is_some());
}

/// Half-open, the cheaper remedy that cannot be taken back does not keep the other one waiting.
#[test]
fn s05_half_open_the_reversible_rival_is_let_past() {
    let mut world = World::with(OVERLOAD, "ingest");
    let both = [ActionKind::RestartService, ActionKind::RebalanceLoad].map(Strategy::new);
    world.strategy(OVERLOAD, both.into());
    assert_eq!(action(&world.plan()), Some(ActionKind::RestartService));
    let at = world.now - TimeDelta::seconds(1800);
    let tripped = Some(Tripped { at, until: world.now, why: "x".to_owned() });
    world.ledger.breakers.insert(System::Charter, Breaker { counts_from: Some(at), tripped });
    assert_eq!(action(&world.plan()), Some(ActionKind::RebalanceLoad));
}

#[test]
fn s05_missing_data_never_shrinks_anything() {
    let mut world = World::new();
    world.settings.give_back.after = Some(std::time::Duration::from_secs(60));
    world.surplus =
        Some(mape_k::planner::ReclaimableReplicas { original: 2, ours: 4, given_back: None });
    world.quiet_since = Some(world.now - TimeDelta::seconds(100));
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleDown));
    world.rules = vec![mape_k::domain::reading::RuleStatus {
        rule: "failure_rate".to_owned(),
        good: false,
        expected: 10,
        seen: 7,
        oldest_sample: None,
        missing_since: None,
        missing_too_long: false,
        is_awaited: false,
        problem: Some("only 7 of 10".to_owned()),
    }];
    let reading = held(&world, ActionKind::ScaleDown, Guard::Freshness, Hold::StaleData);
    assert!(reading.detail.contains("failure_rate"));
}
