//! R03: storm, breaker and budget of one system leave the others alone; each system's own hold it. In each test the twin
//! acts in the same world without the reason that holds.

use std::time::Duration;

use chrono::TimeDelta;
use mape_k::domain::action::{ActionKind, HookName, Risk};
use mape_k::domain::cycle::Hold;
use mape_k::domain::hook::HookSpec;
use mape_k::domain::ledger::{Breaker, End, Entry, Ledger, Storm, Tripped};
use mape_k::domain::outcome::OutcomeType::{Degradation, Ineffective, Success};
use mape_k::domain::target::{System, Target};
use mape_k::domain::time::Time;
use mape_k::domain::{CHARTER, Cause};
use mape_k::planner::guardrails;
use mape_k::planner::guards::{judged, relax, trip};
use mape_k::planner::{Strategy, check};
use serde_json::json;
use uuid::Uuid;

use super::guards::did;
use super::world::{LATENCY, World, action, start, verdict, verification};
use mape_k::domain::cycle::CandidateResult;

pub const CART: &str = "cart_is_slow";

/// A world in which Charter is slow and so is `component` of a hook that has probe and undo.
pub fn with_hook(name: &str, target: &str, component: &str) -> (World, ActionKind) {
    let mut world = World::new();
    let kind = add_hook(&mut world, name, target, CART, component);
    (world, kind)
}

pub fn add_hook(
    world: &mut World,
    name: &str,
    target: &str,
    cause: &str,
    component: &str,
) -> ActionKind {
    let name = HookName::new(name).expect("a name");
    let spec = HookSpec {
        name,
        target: target.parse().expect("any text is a target's"),
        cost: 0.1,
        risk: Risk::Low,
        settle: Duration::from_secs(60),
        has_probe: true,
        has_undo: true,
    };
    let kind = ActionKind::Hook(spec.name);
    let target = spec.target.clone();
    world.settings.hooks.insert(kind, spec);
    world.strategy(cause, vec![Strategy::new(kind)]);
    world.add(cause, component, 0.75).target = Some(target);
    kind
}

/// What a hook of its own system and Charter's own action look like side by side.
fn both() -> (World, ActionKind) {
    let (mut world, hook) = with_hook("restart-cart", "hook/restart-cart/cart", "cart");
    world.add(LATENCY, CHARTER, 0.75);
    (world, hook)
}

fn raging(now: Time) -> Storm {
    Storm {
        since: now - TimeDelta::seconds(30),
        components: 10,
        sick: 6,
        firing: 6,
        nodes: 4,
        not_ready: 2,
        calm_since: None,
        throttled_at: None,
    }
}

fn open(now: Time) -> Breaker {
    let tripped = Tripped { at: now, until: now + TimeDelta::minutes(30), why: "x".to_owned() };
    Breaker { counts_from: Some(now), tripped: Some(tripped) }
}

/// Why this action is held, if it is.
fn hold(world: &World, kind: ActionKind) -> Option<Hold> {
    match verdict(&world.plan(), kind) {
        CandidateResult::Held { reason, .. } => Some(*reason),
        _ => None,
    }
}

/// One hold of the one system and none of the other, and the other way round.
fn each_holds_its_own(hold_it: impl Fn(&mut World, System), reason: Hold) {
    let (world, hook) = both();
    assert_eq!((hold(&world, ActionKind::ScaleUp), hold(&world, hook)), (None, None));
    let mut charter = world.clone();
    hold_it(&mut charter, System::Charter);
    assert_eq!(hold(&charter, ActionKind::ScaleUp), Some(reason));
    assert_eq!(action(&charter.plan()), Some(hook), "the other system goes on");
    let mut hooks = world.clone();
    hold_it(&mut hooks, System::Hook);
    assert_eq!(hold(&hooks, hook), Some(reason));
    assert_eq!(action(&hooks.plan()), Some(ActionKind::ScaleUp), "the other system goes on");
    // The linter counts by itself, and likewise.
    let chosen = world.plan();
    let kind = action(&chosen).expect("one is chosen");
    for (system, held) in
        [(System::Charter, kind == ActionKind::ScaleUp), (System::Hook, kind == hook)]
    {
        let mut later = world.clone();
        hold_it(&mut later, system);
        let refused = later.ask(|input| check(input, &chosen));
        assert_eq!(!refused.is_empty(), held, "{system}: {refused:?}");
    }
}

#[test]
fn r03_a_storm_holds_its_own_system_only() {
    let storm = |world: &mut World, system| {
        world.ledger.storms.insert(system, raging(world.now));
    };
    each_holds_its_own(storm, Hold::Storm);
}

#[test]
fn r03_a_breaker_holds_its_own_system_only() {
    let trip = |world: &mut World, system| {
        world.ledger.breakers.insert(system, open(world.now));
    };
    each_holds_its_own(trip, Hold::BreakerOpen);
}

#[test]
fn r03_a_budget_is_spent_by_its_own_system_only() {
    let spend = |world: &mut World, system| {
        for n in 0..6 {
            let (kind, target) = match system {
                System::Charter => (ActionKind::RestartService, format!("charter/s{n}")),
                _ => (hook_kind("other"), format!("hook/other/c{n}")),
            };
            did(world, kind, &target, "other", 3000 + n, End::Judged(Success));
        }
    };
    each_holds_its_own(spend, Hold::BudgetExhausted);
    let one_short = |world: &mut World, system| {
        spend(world, system);
        world.ledger.entries.pop();
    };
    let (mut world, hook) = both();
    one_short(&mut world, System::Charter);
    one_short(&mut world, System::Hook);
    assert_eq!((hold(&world, ActionKind::ScaleUp), hold(&world, hook)), (None, None));
}

fn hook_kind(name: &str) -> ActionKind {
    ActionKind::Hook(HookName::new(name).expect("a name"))
}

/// The share of the fleet that may be in hand at once is the system's own.
#[test]
fn r03_what_is_in_hand_counts_against_its_own_systems_share() {
    let (mut world, hook) = with_hook("restart-cart", "hook/restart-cart/cart", "cart");
    for fleet in world.fleets.values_mut() {
        fleet.components = 10;
    }
    world.strategy("other", vec![Strategy::new(ActionKind::RestartService)]);
    world.add("other", "validator", 0.75);
    let policy = world.plan().chosen.expect("one is chosen");
    let mut busy = verification(&policy, world.now);
    busy.cause = Cause::new("elsewhere");
    busy.target = Target::service("ingest");
    world.verifications = vec![busy.clone()];
    assert_eq!(hold(&world, ActionKind::RestartService), Some(Hold::FleetLimit));
    assert_eq!(action(&world.plan()), Some(hook));
    busy.target = "hook/other/stock".parse().expect("a target");
    world.verifications = vec![busy];
    assert_eq!(hold(&world, hook), Some(Hold::FleetLimit));
    assert_eq!(action(&world.plan()), Some(ActionKind::RestartService));
}

/// A cause that shows in both systems: what holds its best action in one does not keep the other's waiting.
#[test]
fn r03_one_cause_in_two_systems_is_held_in_the_one_and_treated_in_the_other() {
    let (mut world, hook) = both();
    let strategies = vec![Strategy::new(ActionKind::ScaleUp), Strategy::new(hook)];
    world.strategy(LATENCY, strategies);
    let cart = Target::Hook { hook: None, component: "cart".to_owned() };
    world.clear();
    world.add(LATENCY, CHARTER, 0.75);
    world.add(LATENCY, "cart", 0.75).target = Some(cart);
    for (system, other) in [(System::Charter, hook), (System::Hook, ActionKind::ScaleUp)] {
        let mut world = world.clone();
        world.ledger.breakers.insert(system, open(world.now));
        assert_eq!(action(&world.plan()), Some(other), "{system}");
    }
}

/// Verdicts count for the breaker of the system they were given on.
#[test]
fn r03_verdicts_open_and_close_the_breaker_of_their_own_system() {
    let settings = guardrails::Breaker::default();
    let mut ledger = Ledger::default();
    let mut now = start();
    let mut give = |ledger: &mut Ledger, target: &str, outcome| {
        now += TimeDelta::seconds(60);
        let execution_id = Uuid::from_u128(ledger.entries.len() as u128 + 1);
        ledger.entries.push(Entry {
            execution_id,
            at: now,
            action: ActionKind::ScaleUp,
            target: target.parse().expect("a target"),
            cause: Cause::new("x"),
            end: End::Open,
        });
        judged(ledger, &settings, execution_id, outcome, now);
    };
    // One degradation on each of three systems is two of none.
    for target in ["charter", "hook/restart-cart/cart", "kubernetes/shop/deployment/cart"] {
        give(&mut ledger, target, Degradation);
    }
    assert!(System::ALL.iter().all(|system| ledger.tripped(*system).is_none()));
    give(&mut ledger, "kubernetes/node/n1", Degradation);
    assert!(ledger.tripped(System::Kubernetes).is_some());
    assert!(ledger.tripped(System::Charter).is_none() && ledger.tripped(System::Hook).is_none());
    // A success elsewhere closes nothing, one of its own half-open does.
    let until = ledger.tripped(System::Kubernetes).expect("open").until;
    let mut after = until;
    let mut try_one = |ledger: &mut Ledger, target: &str| {
        after += TimeDelta::seconds(1);
        let execution_id = Uuid::from_u128(ledger.entries.len() as u128 + 1);
        ledger.entries.push(Entry {
            execution_id,
            at: after,
            action: ActionKind::ScaleUp,
            target: target.parse().expect("a target"),
            cause: Cause::new("x"),
            end: End::Open,
        });
        judged(ledger, &settings, execution_id, Success, after);
    };
    try_one(&mut ledger, "hook/restart-cart/cart");
    assert!(ledger.tripped(System::Kubernetes).is_some());
    try_one(&mut ledger, "kubernetes/shop/pod/cart-1");
    assert!(ledger.tripped(System::Kubernetes).is_none());
    // In a row is in a row within the system: Charter's success between them changes nothing.
    let mut ledger = Ledger::default();
    for n in 0..5 {
        give(&mut ledger, "hook/a/b", Ineffective);
        assert_eq!(ledger.tripped(System::Hook).is_some(), n == 4);
        give(&mut ledger, "charter", Success);
    }
    assert!(ledger.tripped(System::Charter).is_none());
    // Each closes by its own time.
    trip(&mut ledger, System::Charter, &settings, "x".to_owned(), start() + TimeDelta::hours(9));
    relax(&mut ledger, &settings, start() + TimeDelta::hours(9) + TimeDelta::minutes(59));
    assert!(ledger.tripped(System::Hook).is_none() && ledger.tripped(System::Charter).is_some());
}

/// A store of the version before: one breaker and one storm at the top, bare component names, Charter's all.
#[test]
fn r11_a_ledger_of_the_version_before_is_read_as_charters() {
    let stored = json!({
        "entries": [
            {
                "execution_id": "6a6f0000-0000-4000-8000-000000000001", "at": "2026-11-18T11:00:00Z",
                "action": "restart_service", "target": "enforcer", "cause": "system_overload",
                "end": {"judged": "degradation"},
            },
            {
                "execution_id": "6a6f0000-0000-4000-8000-000000000002", "at": "2026-11-18T11:01:00Z",
                "action": "scale_up", "target": "charter", "cause": "validation_latency", "end": "open",
            },
        ],
        "breaker": {
            "counts_from": "2026-11-18T11:02:00Z",
            "tripped": {"at": "2026-11-18T11:02:00Z", "until": "2026-11-18T11:32:00Z", "why": "2 of the last 2"},
        },
        "storm": {
            "since": "2026-11-18T11:05:00Z", "components": 10, "sick": 6, "firing": 6, "calm_since": null,
        },
    });
    let ledger: Ledger = serde_json::from_value(stored).expect("it is read");
    let targets: Vec<Target> = ledger.entries.iter().map(|e| e.target.clone()).collect();
    assert_eq!(targets, [Target::service("enforcer"), Target::Charter(None)]);
    assert_eq!(ledger.tripped(System::Charter).expect("open").why, "2 of the last 2");
    assert_eq!(ledger.storm(System::Charter).expect("it rages").sick, 6);
    assert_eq!((ledger.breakers.len(), ledger.storms.len()), (1, 1), "Charter's alone");
    // Written again it is of this version, and nothing is lost.
    let written = serde_json::to_value(&ledger).expect("JSON");
    assert!(written.get("breaker").is_none() && written["breakers"]["charter"].is_object());
    assert_eq!(serde_json::from_value::<Ledger>(written).expect("it is read"), ledger);
    // Closed and calm, as most are.
    let quiet =
        json!({"entries": [], "breaker": {"counts_from": null, "tripped": null}, "storm": null});
    let quiet: Ledger = serde_json::from_value(quiet).expect("it is read");
    assert!(quiet.tripped(System::Charter).is_none() && quiet.storms.is_empty());
}
