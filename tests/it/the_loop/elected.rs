//! S03 between the elector and the loop: how a leadership begins, lapses, is taken back and ends, and what happens to a
//! wake-up meanwhile; and a replica whose clock is not that of the others.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use mape_k::actuators::charter::Call;
use mape_k::clock::Clock;
use mape_k::control_loop::{self, LoopHandle, Terms};
use mape_k::daemon::Parts;
use mape_k::domain::time::Time;
use mape_k::domain::view::LoopView;
use mape_k::knowledge::Term;
use mape_k::knowledge::memory::MemoryStore;
use mape_k::knowledge::store::{Collection, Store, When, Write};
use mape_k::metrics::Metrics;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::raw_sql;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::leading::shared;
use super::world::World;
use crate::fake_charter::StrategyOrder;
use crate::support::postgres::{address, connect};

const LONG: Duration = Duration::from_mins(10);
/// No cycle of its own accord comes in the time of a test.
const NEVER: Duration = Duration::from_hours(1);

/// The elector and the loop of one process, on a store that others share.
struct Replica {
    handle: LoopHandle,
    metrics: Arc<Metrics>,
    terms: Terms,
    /// Hears of every view in turn: this test and the loop share one thread.
    views: watch::Receiver<Arc<LoopView>>,
    store: Arc<MemoryStore>,
    /// Ended with this.
    _tasks: JoinSet<()>,
}

impl Replica {
    async fn start(world: &mut World) -> Self {
        world.config.orchestrator.leader_lease = Duration::from_secs(2);
        let (parts, store) = shared(world).await;
        let Parts { mut cycle, publisher, mut elector, terms, handle, metrics, .. } = parts;
        let views = publisher.view.subscribe();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { elector.run(CancellationToken::new()).await });
        let heard = terms.clone();
        tasks.spawn(async move {
            let stop = CancellationToken::new();
            let run = control_loop::run(&mut cycle, &publisher, heard, NEVER, Duration::ZERO, stop);
            Box::pin(run).await.expect("no panic");
        });
        Self { handle, metrics, terms, views, store, _tasks: tasks }
    }

    fn leads(&self) -> bool {
        self.handle.leader().leads()
    }

    fn iteration(&self) -> u64 {
        self.handle.view().iteration
    }

    fn store_error(&self) -> Option<String> {
        self.handle.view().store_error.clone()
    }

    fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.gather();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in {text}"))
    }

    /// Whoever leads is gone, and another one is there first.
    async fn they_lead(&self) -> u64 {
        self.store.resign(&self.handle.leader().holder).await.expect("resigned");
        let lease = self.store.lead("them", LONG).await.expect("asked");
        assert!(lease.is_ours, "{lease:?}");
        lease.wakes
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let holds = async || if holds().await { Ok(()) } else { Err("not yet") };
    crate::support::eventually::eventually(super::world::PATIENCE, what, holds).await;
}

/// A lease that was renewed too late is the same leadership; the loop hears of it at once and not at its next cycle.
#[tokio::test]
async fn s03_a_leadership_that_lapsed_and_that_nobody_else_took_goes_on_at_once() {
    let mut world = World::new().await;
    let replica = Replica::start(&mut world).await;
    until("a first cycle", async || replica.iteration() > 0).await;
    let term = replica.terms.borrow().clone().expect("it leads");
    term.end();
    // It hears that its time is over by looking.
    let before = replica.iteration();
    replica.handle.wake();
    until("it goes on", async || replica.iteration() > before && term.holds()).await;
    assert_eq!(replica.terms.borrow().as_ref().map(Term::epoch), Some(term.epoch()));
}

#[tokio::test]
async fn s03_a_wake_up_that_comes_when_the_leadership_ends_reaches_the_one_who_leads_then() {
    let mut world = World::new().await;
    let replica = Replica::start(&mut world).await;
    until("a first cycle", async || replica.iteration() > 0).await;
    let before = replica.they_lead().await;
    replica.handle.wake();
    let woken = async || replica.store.lead("them", LONG).await.expect("asked").wakes > before;
    until("they are woken", woken).await;
    until("it follows", async || !replica.leads()).await;
}

#[tokio::test]
async fn s03_who_cannot_take_up_the_store_tries_again_soon_and_follows_well_meanwhile() {
    let mut world = World::new().await;
    let replica = Replica::start(&mut world).await;
    until("a first cycle", async || replica.iteration() > 0).await;
    replica.they_lead().await;
    until("it follows", async || !replica.leads()).await;
    let (collection, key) = (Collection::Executions, "damaged".to_owned());
    let damaged = Write::Put {
        collection,
        key: key.clone(),
        tag: "in_progress".to_owned(),
        at: Utc::now(),
        body: "no JSON".to_owned(),
        when: When::Always,
    };
    replica.store.write(vec![damaged]).await.expect("written");
    replica.store.resign("them").await.expect("resigned");
    let damaged = async || replica.store_error().is_some_and(|e| e.contains("damaged"));
    until("it says why it cannot", damaged).await;
    // What alerts go by moves too, though no cycle runs.
    let failed = "mape_k_cycles_failed_in_a_row";
    until("it is counted", async || replica.metric(failed) >= 2.0).await;
    assert!(replica.metric("mape_k_store_errors_total{operation=\"read\"}") >= 2.0);
    replica.they_lead().await;
    until("that is the leader's now", async || replica.store_error().is_none()).await;
    until("and counts there", async || replica.metric(failed) < 1.0).await;
    replica.store.resign("them").await.expect("resigned");
    let mut views = replica.views.clone();
    let tries = views.wait_for(|view| view.store_error.is_some());
    let tries = timeout(super::world::PATIENCE, tries).await.expect("it tries").expect("the loop");
    assert_eq!(tries.failed_cycles, 1, "people are told anew of a second time");
    drop(tries);
    let mended = Write::Delete { collection, key };
    replica.store.write(vec![mended]).await.expect("written");
    // Not an hour later.
    until("it leads", async || replica.iteration() > 0 && replica.store_error().is_none()).await;
}

/// Two daemons over one database, this one first; and the database's address.
pub(super) async fn pair(clock: Clock) -> (World, World, String) {
    let mut leader = World::new().await;
    let url = leader.on_postgres().await;
    leader.start().await;
    leader.until("it leads", async || leader.get("/ready").await.0.is_success()).await;
    let mut follower = World::new().await;
    follower.config = leader.config.clone();
    follower.config.knowledge.postgres_url = Some(address(&url));
    follower.start_at(clock).await;
    (leader, follower, url)
}

/// The store takes writes of other rows, and nobody can say that they lead.
#[tokio::test]
async fn s03_a_follower_that_knows_of_no_leader_is_not_ready_however_well_the_store_is() {
    let (mut leader, mut follower, url) = Box::pin(pair(Clock::start())).await;
    follower.until("ready", async || follower.get("/ready").await.0.is_success()).await;
    let mut admin = connect(&url).await;
    raw_sql("BEGIN; SELECT FROM mape_k.lease FOR UPDATE").execute(&mut admin).await.expect("held");
    let says = |body: &Value, word: &str| {
        let missing = body["missing"].as_array().expect("a list");
        missing.len() == 1 && missing[0].as_str().is_some_and(|m| m.starts_with(word))
    };
    let missing = async || says(&follower.get("/ready").await.1, "leader: no leader is known");
    follower.until("nobody leads", missing).await;
    assert_eq!(follower.get("/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(leader.get("/ready").await.0, StatusCode::OK);
    // What only cycles set would stand still for ever; and people are alerted to the outage by a count.
    let blank = async || leader.metric("mape_k_charter_up").await == 0;
    leader.until("it shows no more of Charter", blank).await;
    let failures = "mape_k_store_errors_total{operation=\"check\"}";
    assert!(leader.metric(failures).await > 0 && follower.metric(failures).await > 0);
    raw_sql("ROLLBACK").execute(&mut admin).await.expect("let go");
    follower.until("ready again", async || follower.get("/ready").await.0.is_success()).await;
    follower.stop().await;
    leader.stop().await;
}

/// It renews its lease and does nothing: whoever looks at its health must not be told that all is well.
#[tokio::test]
async fn s03_a_leader_that_charter_does_not_take_for_one_is_not_well() {
    let mut world = World::new().await;
    world.on_postgres().await;
    let stale = json!({"error": "epoch 1 is over, 9 has been seen", "code": "stale_epoch"});
    world.charter.script(Call::Scale, [StrategyOrder::Answer(409, stale)]);
    world.start().await;
    world.latency(1.5);
    let leader = async || world.get("/health").await.1["components"]["leader"].clone();
    let told = async || {
        let leader = leader().await;
        leader["status"] == "degraded" && leader.to_string().contains("9 has been seen")
    };
    world.until("its health says so", told).await;
    assert_eq!(world.get("/api/v1/state").await.1["leading"], true);
    world.stop().await;
}

fn at(shift: TimeDelta) -> Clock {
    Clock::starting_at(Utc::now() + shift)
}

fn half_an_hour() -> Value {
    json!({"by": "ada", "reason": "deploying", "duration_seconds": 1800})
}

/// A pause taken by a clock that is an hour behind would be over before it began.
#[tokio::test]
async fn s03_s04_a_follower_with_a_wrong_clock_is_not_ready_and_takes_no_pause() {
    let (mut leader, mut follower, _) = Box::pin(pair(at(TimeDelta::hours(-1)))).await;
    let said = async || {
        let (status, ready) = follower.get("/ready").await;
        status == StatusCode::SERVICE_UNAVAILABLE && ready.to_string().contains("s behind that of")
    };
    follower.until("it says so", said).await;
    let (_, health) = follower.get("/health").await;
    assert_eq!(health["components"]["leader"]["status"], "degraded", "{health}");
    let (status, answer) = follower.ask("/api/v1/pause", &half_an_hour()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(answer.to_string().contains("nothing was changed: the clock"), "{answer}");
    assert_eq!(leader.get("/api/v1/state").await.1["paused"], Value::Null);
    assert_eq!(leader.post("/api/v1/pause", &half_an_hour()).await, StatusCode::OK);
    follower.stop().await;
    leader.stop().await;
}

/// It does nothing by such a clock; the pause must be there for who leads next, by the right one.
#[tokio::test]
async fn s04_a_wrong_clock_does_not_end_a_pause() {
    let mut world = World::new().await;
    world.on_disk();
    world.start().await;
    assert_eq!(world.post("/api/v1/pause", &half_an_hour()).await, StatusCode::OK);
    let paused = async |world: &World| -> Option<Time> {
        let until = world.get("/api/v1/state").await.1["paused"]["until"].clone();
        until.as_str().map(|until| until.parse().expect("a time"))
    };
    let until = paused(&world).await;
    assert!(until.is_some());
    world.stop().await;
    world.start_at(at(TimeDelta::hours(1))).await;
    world.cycles(2).await;
    let state = world.get("/api/v1/state").await.1;
    assert!(state["last_error"].as_str().is_some_and(|e| e.contains("clock")), "{state}");
    world.stop().await;
    world.start().await;
    world.cycles(1).await;
    assert_eq!(paused(&world).await, until);
    world.stop().await;
}
