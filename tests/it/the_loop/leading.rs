//! S03 in the loop: it acts only while it leads, at the very instant of every call; what it follows it shows; and who
//! begins to lead takes up what the one before left.

use std::sync::Arc;
use std::time::Duration;

use mape_k::actuators::charter::Call;
use mape_k::clock::Clock;
use mape_k::control_loop::once;
use mape_k::daemon::{self, Parts, assemble_in};
use mape_k::domain::cycle::{CycleReport, Trigger};
use mape_k::knowledge::memory::MemoryStore;
use mape_k::knowledge::store::Store;
use mape_k::knowledge::{Knowledge, Settings, Term};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::elected::pair;
use super::world::{World, verdict_on};
use crate::fake_charter::StrategyOrder;
use crate::support::eventually::eventually;

const LONG: Duration = Duration::from_mins(10);

/// A loop on a store that others share, and that store.
pub async fn shared(world: &World) -> (Parts, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::shared());
    (on(world, store.clone()).await, store)
}

async fn on(world: &World, store: Arc<MemoryStore>) -> Parts {
    let knowledge = Knowledge::with_store(store.clone(), &Settings::default(), "shared");
    let config = Arc::new(world.config.clone());
    let outside = daemon::World::default();
    let parts = assemble_in(outside, knowledge, &config, Clock::start()).await.expect("the parts");
    // These tests say who leads.
    store.resign(&parts.handle.leader().holder).await.expect("resigned");
    parts
}

async fn cycle(parts: &mut Parts) -> CycleReport {
    let stop = CancellationToken::new();
    once(&mut parts.cycle, &parts.publisher, Trigger::Scheduled, &stop).await.expect("a cycle")
}

/// Cycles until the fault has been seen often enough to be acted on.
async fn until_ripe(parts: &mut Parts) -> CycleReport {
    for _ in 0..2 {
        cycle(parts).await;
    }
    cycle(parts).await
}

#[tokio::test]
async fn s03_a_leader_whose_time_is_over_plans_and_sends_nothing() {
    let world = World::new().await;
    let (mut parts, store) = shared(&world).await;
    let epoch = store.lead("us", LONG).await.expect("asked").epoch;
    let term = Term::until(epoch, Instant::now() + LONG);
    parts.cycle.lead(term.clone()).await.expect("taken up");
    world.latency(1.5);
    term.end();
    let report = until_ripe(&mut parts).await;
    let verdict = verdict_on(&report, "scale_up");
    assert_eq!(verdict["reason"], "not_leading", "{verdict}");
    assert_eq!(world.changes(), Vec::<String>::new());
    term.renew(Instant::now() + LONG);
    cycle(&mut parts).await;
    assert_eq!(world.changes(), ["scale 5"], "the same term, renewed before anybody else led");
    assert_eq!(world.charter.seen_of(Call::Scale)[0].epoch, Some(epoch.to_string()));
}

/// Stopped in the middle of acting: the last look comes after everything that can take time.
#[tokio::test]
async fn s03_a_leader_whose_time_ends_while_charter_validates_does_not_send() {
    let world = World::new().await;
    let (mut parts, store) = shared(&world).await;
    let epoch = store.lead("us", LONG).await.expect("asked").epoch;
    let term = Term::until(epoch, Instant::now() + LONG);
    parts.cycle.lead(term.clone()).await.expect("taken up");
    world.latency(1.5);
    world.charter.script(Call::Validate, [StrategyOrder::Late(Duration::from_millis(500))]);
    let ends = async {
        eventually(super::world::PATIENCE, "validated", async || {
            let asked = world.charter.seen_of(Call::Validate).len();
            if asked > 0 { Ok(()) } else { Err(asked) }
        })
        .await;
        term.end();
    };
    let (report, ()) = tokio::join!(until_ripe(&mut parts), ends);
    assert_eq!(world.changes(), Vec::<String>::new());
    let id = report.execution_id.expect("it had begun").to_string();
    let found = parts.knowledge.get::<mape_k::domain::execution::Execution>(&id).await;
    let (execution, _) = found.expect("readable").expect("kept");
    let error = execution.error.expect("it says why");
    assert!(error.contains("not sent") && error.contains("without a valid lease"), "{error}");
}

/// The lease may be another's while this process still believes in its own: then the store says so.
#[tokio::test]
async fn s03_a_leader_that_another_has_followed_writes_nothing_and_sends_nothing() {
    let world = World::new().await;
    let (mut parts, store) = shared(&world).await;
    let epoch = store.lead("us", LONG).await.expect("asked").epoch;
    parts.cycle.lead(Term::until(epoch, Instant::now() + LONG)).await.expect("taken up");
    world.latency(1.5);
    for _ in 0..2 {
        cycle(&mut parts).await;
    }
    store.resign("us").await.expect("resigned");
    store.lead("them", LONG).await.expect("asked");
    let before = parts.knowledge.all::<CycleReport>(None).await.expect("reports").len();
    for _ in 0..3 {
        let report = cycle(&mut parts).await;
        let error = report.error.expect("it says why");
        assert!(error.contains("took over the lead from this one"), "{error}");
    }
    assert_eq!(world.changes(), Vec::<String>::new());
    let after = parts.knowledge.all::<CycleReport>(None).await.expect("reports").len();
    assert_eq!(after, before, "not even a report");
    let metrics = parts.metrics.gather();
    for operation in ["read", "write"] {
        let none = format!("mape_k_store_errors_total{{operation=\"{operation}\"}} 0\n");
        assert!(metrics.contains(&none), "the store is well: {metrics}");
    }
}

/// A database older than what Charter has seen: the store calls it the leader, Charter does not.
#[tokio::test]
async fn s03_a_leader_that_charter_does_not_take_for_one_acts_no_more_and_says_so() {
    let world = World::new().await;
    let (mut parts, store) = shared(&world).await;
    let epoch = store.lead("us", LONG).await.expect("asked").epoch;
    let term = Term::until(epoch, Instant::now() + LONG);
    parts.cycle.lead(term).await.expect("taken up");
    let stale = json!({"error": "epoch 1 is over, 9 has been seen", "code": "stale_epoch"});
    world.charter.script(Call::Scale, [StrategyOrder::Answer(409, stale)]);
    world.latency(1.5);
    until_ripe(&mut parts).await;
    assert_eq!(world.changes(), ["scale 5"]);
    let report = until_ripe(&mut parts).await;
    assert_eq!(world.changes(), ["scale 5"], "and no other");
    let verdict = verdict_on(&report, "scale_up");
    assert_eq!(verdict["reason"], "not_leading", "{verdict}");
    assert!(verdict.to_string().contains("9 has been seen"), "{verdict}");
    let told = parts.knowledge.all::<mape_k::domain::need::Need>(None).await;
    let told = format!("{told:?}");
    assert!(told.contains("ActionFailed") && told.contains("9 has been seen"), "{told}");
}

/// What is broken when the leader changes is active without an onset, and what the old one began is settled first.
#[tokio::test]
async fn s03_who_begins_to_lead_takes_up_what_the_one_before_left() {
    let world = World::new().await;
    let (mut first, store) = shared(&world).await;
    let epoch = store.lead("first", LONG).await.expect("asked").epoch;
    first.cycle.lead(Term::until(epoch, Instant::now() + LONG)).await.expect("taken up");
    let mut second = on(&world, store.clone()).await;
    world.latency(1.5);
    world.charter.script(Call::Scale, [StrategyOrder::DoThenHang]);
    let acts = async {
        until_ripe(&mut first).await;
        unreachable!("its call is never answered")
    };
    tokio::select! {
        () = acts => {}
        // It dies with the call under way.
        () = world.charter.hangs() => {}
    }
    store.resign("first").await.expect("resigned");
    let next = store.lead("second", LONG).await.expect("asked").epoch;
    second.cycle.lead(Term::until(next, Instant::now() + LONG)).await.expect("taken up");
    let report = cycle(&mut second).await;
    assert_eq!(world.changes(), ["scale 5"], "it is found, and not sent again");
    assert_eq!((report.opened, report.violations), (0, 1), "active from before: no onset");
    let judged = second.knowledge.all::<mape_k::domain::outcome::PendingVerification>(None).await;
    assert_eq!(judged.expect("readable").len(), 1, "it is judged by the one that found it");
}

/// Two whole daemons over one database: the one that leads runs cycles, the other shows what it follows.
#[tokio::test]
async fn s03_a_follower_runs_no_cycles_is_ready_and_answers_from_the_store() {
    let (mut leader, mut follower, _) = Box::pin(pair(Clock::start())).await;
    follower.until("it is ready", async || follower.get("/ready").await.0.is_success()).await;
    leader.latency(1.5);
    leader.until("scaled", async || leader.changes() == ["scale 5"]).await;
    leader.until("seen", async || leader.violations().await.len() == 1).await;
    assert_eq!(follower.iteration(), 0, "no cycle");
    let (_, state) = follower.get("/api/v1/state").await;
    let (_, leads) = leader.get("/api/v1/state").await;
    assert_eq!((&state["leading"], &leads["leading"]), (&json!(false), &json!(true)));
    assert_eq!(state["leader"], leads["leader"], "{state} {leads}");
    assert_eq!(state["leader"]["known"], true);
    assert_eq!(follower.violations().await.len(), 1, "as the leader stored it");
    let (_, health) = follower.get("/health").await;
    assert_eq!(health["status"], "ok", "{health}");
    assert!(health["components"]["leader"]["detail"].as_str().is_some_and(|d| d.contains("leads")));
    assert_eq!(leader.metric("mape_k_leader").await, 1);
    assert_eq!(follower.metric("mape_k_leader").await, 0);
    // An alert and a person's word at the follower reach the leader.
    let woken = leader.metric("mape_k_cycles_woken_total").await;
    let labels = json!({"alertname": "Odd", "severity": "critical"});
    follower.deliver("firing", "odd", &labels).await;
    leader.until("woken", async || leader.metric("mape_k_cycles_woken_total").await > woken).await;
    let shown = async || leader.get("/api/v1/state").await.1["alerts_total"] == 1;
    leader.until("the alert is seen there", shown).await;
    // Numbers that only cycles would set right again do not stand at the follower for ever.
    let body = json!({"by": "ada", "reason": "deploying", "duration_seconds": 600});
    assert!(follower.post("/api/v1/pause", &body).await.is_success());
    assert!(leader.post("/api/v1/resume", &json!({"by": "ada"})).await.is_success());
    for gauge in ["mape_k_inbox_depth", "mape_k_paused"] {
        follower.until(gauge, async || follower.metric(gauge).await == 0).await;
    }
    // And who stops in order hands over at once.
    let began = Instant::now();
    leader.stop().await;
    follower.until("it leads", async || follower.iteration() > 0).await;
    println!("S03 handed over {} ms after the stop began", began.elapsed().as_millis());
    let (_, state) = follower.get("/api/v1/state").await;
    assert_eq!(state["leading"], true);
    assert!(state["leader"]["epoch"].as_u64() > leads["leader"]["epoch"].as_u64(), "{state}");
    assert_eq!(
        follower.changes().len(),
        0,
        "its Charter is another one in this test: judged, not repeated"
    );
    follower.stop().await;
}
