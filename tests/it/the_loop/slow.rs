//! A store that is slow: nothing is decided on half of what is known, and what changed is stored all the same.

use std::sync::Arc;

use mape_k::domain::incident::Incident;
use serde_json::json;

use super::faulty::Faulty;
use super::reloading::{by_hand, cycle};
use super::world::World;

/// More than one transaction of five seconds takes, at [`RECORD`] each.
const MANY: usize = 250;

/// Milliseconds.
const RECORD: u64 = 30;

/// Milliseconds: a recall has more than six calls, and what comes before it two at most.
const CALL: u64 = 2_400;

/// The inbox is not in what was seen when the recall comes too late: nothing is done in that cycle.
#[tokio::test]
async fn a_cycle_whose_inbox_came_too_late_decides_nothing() {
    let world = World::new().await;
    let store = Arc::new(Faulty::default());
    let mut parts = by_hand(&world, store.clone()).await;
    let term = parts.terms.borrow().clone().expect("it leads");
    parts.cycle.lead(term).await.expect("taken up");
    world.latency(1.5);
    cycle(&mut parts).await;
    cycle(&mut parts).await;
    assert!(world.changes().is_empty(), "not yet");
    store.takes(CALL, 0);
    let report = cycle(&mut parts).await;
    let error = report.error.expect("it says why");
    assert!(error.contains("no answer within 15 s"), "{error}");
    assert!(world.changes().is_empty(), "nothing is done");
    // The twin: with a store that answers in time it acts.
    store.takes(0, 0);
    for _ in 0..10 {
        if world.changes().is_empty() {
            cycle(&mut parts).await;
        }
    }
    assert_eq!(world.changes(), ["scale 5"]);
}

/// All the incidents of a storm are more than a slow store takes in five seconds.
#[tokio::test]
async fn a_slow_store_takes_the_incidents_of_a_storm() {
    let mut world = World::new().await;
    world.rule_without_cause("seconds");
    let store = Arc::new(Faulty::default());
    let mut parts = by_hand(&world, store.clone()).await;
    let term = parts.terms.borrow().clone().expect("it leads");
    parts.cycle.lead(term).await.expect("taken up");
    for n in 0..MANY {
        world.set("seconds", &json!({"component": format!("shop-{n}")}), 1.0);
    }
    store.takes(0, RECORD);
    let mut stored = 0;
    for _ in 0..5 {
        cycle(&mut parts).await;
        stored = parts.knowledge.all::<Incident>(None).await.expect("readable").len();
        if stored >= MANY && parts.cycle.may_be_renewed() {
            return;
        }
    }
    panic!("{stored} of {MANY} incidents are stored; all: {}", parts.cycle.may_be_renewed());
}
