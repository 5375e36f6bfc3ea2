//! R09 in the loop: what was open, remembered or in hand before a reload counts after it; and a reload that waits says so.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use mape_k::actuators::charter::Call;
use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::control_loop::{self, once};
use mape_k::cycle::Renewal;
use mape_k::daemon::{self, Parts, assemble_in};
use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::cycle::{CycleReport, Trigger};
use mape_k::domain::ledger::Ledger;
use mape_k::domain::need::{Need, NeedReason};
use mape_k::domain::target::{System, Target};
use mape_k::domain::treatment::Treatment;
use mape_k::knowledge::{Knowledge, Settings, Term};
use mape_k::planner::Strategy;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::elected::pair;
use super::fakes::Mood;
use super::faulty::{Disk, Faulty};
use super::world::World;
use crate::fake_charter::StrategyOrder;
use crate::support::eventually::eventually;

/// A loop whose cycles and reloads a test makes by hand.
pub(super) async fn by_hand(world: &World, store: Arc<Faulty>) -> Parts {
    let knowledge = Knowledge::with_store(store, &Settings::default(), "the test's");
    let config = Arc::new(world.config.clone());
    let outside = daemon::World::default();
    assemble_in(outside, knowledge, &config, Clock::start()).await.expect("the parts")
}

pub(super) async fn cycle(parts: &mut Parts) -> CycleReport {
    let stop = CancellationToken::new();
    once(&mut parts.cycle, &parts.publisher, Trigger::Scheduled, &stop).await.expect("a cycle")
}

fn renewal(parts: &Parts, config: &Config, on_taken: Box<dyn FnOnce() + Send>) -> Renewal {
    let config = Arc::new(config.clone());
    let (stages, ..) = parts.builder.stages(&config, parts.watch.clone()).expect("stages");
    Renewal { config, stages, knowledge: parts.knowledge.clone(), on_taken }
}

/// Reloads between two cycles, as the loop does it.
async fn reload(parts: &mut Parts, config: &Config) {
    let renewal = renewal(parts, config, Box::new(|| {}));
    parts.cycle.renew(renewal);
    let term = parts.terms.borrow().clone().expect("it leads");
    parts.cycle.lead(term).await.expect("taken up");
}

async fn ledger(parts: &Parts) -> Ledger {
    parts.knowledge.fact("ledger").await.expect("readable").expect("kept")
}

/// The journal fails in the middle of an action, and a reload comes before the next cycle: the breaker opens all the same.
#[tokio::test]
async fn r09_a_journal_that_failed_before_a_reload_opens_the_breaker_after_it() {
    let world = World::new().await;
    let store = Arc::new(Faulty::default());
    let mut parts = by_hand(&world, store.clone()).await;
    world.latency(1.5);
    cycle(&mut parts).await;
    cycle(&mut parts).await;
    world.charter.script(Call::Scale, [StrategyOrder::Late(Duration::from_millis(500))]);
    let fails = async {
        eventually(super::world::PATIENCE, "Charter is asked", async || {
            let asked = world.charter.seen_of(Call::Scale).len();
            if asked > 0 { Ok(()) } else { Err(asked) }
        })
        .await;
        store.be(Disk::Fails);
    };
    let (report, ()) = tokio::join!(cycle(&mut parts), fails);
    assert!(report.error.is_some_and(|error| error.contains("its disk fails")));
    store.be(Disk::Well);
    assert_eq!(ledger(&parts).await.tripped(System::Charter), None, "nobody knows of it yet");
    reload(&mut parts, &world.config).await;
    cycle(&mut parts).await;
    let ledger = ledger(&parts).await;
    let tripped = ledger.tripped(System::Charter).expect("the breaker is open");
    assert!(format!("{tripped:?}").contains("journal"), "{tripped:?}");
    assert_eq!(world.changes(), ["scale 5"], "asked once");
}

/// The leader could not store its incidents and then lost its lease: what it left would have to be stored by nobody any more.
#[tokio::test]
async fn r09_a_former_leader_takes_a_reload_although_it_could_not_store_its_incidents() {
    let world = World::new().await;
    let store = Arc::new(Faulty::default());
    let mut parts = by_hand(&world, store.clone()).await;
    let term = parts.terms.borrow().clone().expect("it leads");
    parts.cycle.lead(term).await.expect("taken up");
    cycle(&mut parts).await;
    world.latency(1.5);
    store.be(Disk::Fails);
    while parts.cycle.may_be_renewed() {
        cycle(&mut parts).await;
    }
    store.be(Disk::Well);
    let (is_taken, taken) = oneshot::channel();
    let on_taken = Box::new(move || is_taken.send(()).expect("the test waits for it"));
    let mut config = world.config.clone();
    config.plan.guardrails.forbidden_actions.insert(ActionKind::ScaleUp);
    parts.publisher.renewals.offer(renewal(&parts, &config, on_taken));

    let ran_out = Term::until(1, Instant::now());
    let (terms, led) = watch::channel(Some(ran_out));
    let (view, stop) = (parts.handle.clone(), CancellationToken::new());
    let (interval, gap) = (Duration::from_millis(50), Duration::from_millis(50));
    let (one, publisher) = (&mut parts.cycle, &parts.publisher);
    let run = control_loop::run(one, publisher, led, interval, gap, stop.clone());
    let mut taken = pin!(taken);
    let test = async {
        eventually(super::world::PATIENCE, "it follows", async || {
            if view.view().iteration == 0 { Ok(()) } else { Err("it led") }
        })
        .await;
        let waits = tokio::time::timeout(Duration::from_millis(300), &mut taken).await;
        assert!(waits.is_err(), "nobody else may have led: the store is to have it first");
        assert!(publisher.renewals.wait_for().contains("store"));
        // Now another one leads.
        terms.send_replace(None);
        let taken = tokio::time::timeout(super::world::PATIENCE, &mut taken).await;
        taken.expect("a follower reloads").expect("taken");
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(run, test);
    ended.expect("it stops in order");
}

/// Nothing has been read for a while, people are asked for help, and a reload comes: that need is not answered by it.
#[tokio::test]
async fn r09_a_reload_while_blind_ends_nothing_that_people_were_notified_of() {
    let mut world = World::new().await;
    let mut parts = by_hand(&world, Arc::default()).await;
    cycle(&mut parts).await;
    world.prometheus.be(Mood::Gone).await;
    let blind = async |parts: &Parts| {
        let open = parts.knowledge.all::<Need>(Some("open")).await.expect("readable");
        open.into_iter().find(|need| need.reason == NeedReason::Blind).map(|need| need.id)
    };
    let asked = loop {
        cycle(&mut parts).await;
        if let Some(need) = blind(&parts).await {
            break need;
        }
    };
    reload(&mut parts, &world.config).await;
    let report = cycle(&mut parts).await;
    assert_eq!(blind(&parts).await, Some(asked), "still the same");
    assert!(report.escalations_closed.is_empty(), "{report:#?}");
    // The twin: it is answered once the metrics can be read again.
    world.prometheus.be(Mood::Well).await;
    while blind(&parts).await.is_some() {
        cycle(&mut parts).await;
    }
}

/// The finding of a review: every plan was refused by its own check after such a reload, and nothing was healed any more.
#[tokio::test]
async fn r09_an_action_on_all_of_charter_that_a_reload_adds_refuses_no_plan() {
    let restart = ActionKind::RestartService;
    let cause = || Cause::new("too_slow");
    let mut world = World::new().await;
    world.rule_without_cause("seconds");
    if let Some(rule) = world.config.monitor.rules.last_mut() {
        Arc::make_mut(rule).cause = Some(cause());
    }
    world.config.plan.strategies.insert(cause(), vec![Strategy::new(restart)]);
    world.config.plan.incident_gap = super::world::PATIENCE;
    world.start().await;
    let is_slow = |component: &str, value: f64| {
        world.set("seconds", &json!({"component": component}), value);
    };
    is_slow("validator", 1.0);
    world.until("restarted", async || world.changes() == ["restart validator"]).await;
    is_slow("validator", -1.0);
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;

    let rebalance = Strategy { after: Some(restart), ..Strategy::new(ActionKind::RebalanceLoad) };
    let answer = world
        .reload(|config| {
            config.plan.strategies.insert(cause(), vec![Strategy::new(restart), rebalance]);
        })
        .await;
    assert!(answer["applied_at"].is_string() && answer["waits_for"].is_null(), "{answer}");
    is_slow("enforcer", 1.0);
    let restarted = async || world.changes().contains(&"restart enforcer".to_owned());
    world.until("the other one is restarted", restarted).await;
    let refused = |report: &CycleReport| {
        report.error.as_ref().is_some_and(|error| error.contains("refused by its own check"))
    };
    assert!(!world.reports().await.iter().any(refused), "no plan was refused");
    let treatments = world.knowledge().all::<Treatment>(None).await.expect("readable");
    let [one] = treatments.as_slice() else { panic!("one treatment: {treatments:#?}") };
    assert_eq!(one.target, Some(Target::Charter(None)));
    assert_eq!(one.attempts.len(), 2, "what was tried before counts: {one:#?}");
    world.stop().await;
}

/// The answer, asked once and again, and what is shown meanwhile.
#[tokio::test]
async fn r09_a_reload_that_waits_says_so_until_it_is_in_effect() {
    let mut world = World::new().await;
    world.config.execute.timeout_seconds = Duration::from_secs(60);
    world.config.execute.policy_timeout = Duration::from_secs(60);
    world.charter.script(Call::Scale, [StrategyOrder::Late(Duration::from_secs(15))]);
    world.start().await;
    world.latency(1.5);
    world.until("Charter is asked", async || !world.charter.seen_of(Call::Scale).is_empty()).await;
    let before = world.get("/health").await.1["config_hash"].clone();

    let first = world.reload(|config| config.plan.guardrails.budget.per_hour = 5).await;
    let again = world.reload(|_| {}).await;
    let shown = world.get("/api/v1/config").await.1;
    let health = world.get("/health").await.1;
    assert_eq!(health["config_hash"], before, "the action ends under the one it began with");
    for answer in [&first, &again] {
        assert_eq!(answer["applied_at"], Value::Null, "{answer}");
        assert_eq!(answer["waits_for"], "the cycle in hand to end", "{answer}");
        let key = "guardrails.budget.per_hour";
        assert_eq!(answer["changed"], json!([{"key": key, "from": 6, "to": 5}]), "{answer}");
    }
    let waiting = &shown["reload_waiting"];
    assert_eq!(waiting["config_hash"], first["config_hash"], "{waiting}");
    assert_eq!(waiting["waits_for"], "the cycle in hand to end", "{waiting}");
    assert_eq!(shown["guardrails"]["budget"]["per_hour"], 6, "what is in effect");

    let applies = async || world.get("/health").await.1["config_hash"] == first["config_hash"];
    world.until("it is in effect", applies).await;
    let shown = world.get("/api/v1/config").await.1;
    assert_eq!(shown["reload_waiting"], Value::Null);
    assert_eq!(shown["guardrails"]["budget"]["per_hour"], 5);
    let now = world.reload(|_| {}).await;
    assert!(now["applied_at"].is_string() && now["waits_for"].is_null(), "{now}");
    assert_eq!(now["changed"], json!([]));
    world.stop().await;
}

/// Each replica reloads by itself; one that follows acts by the new configuration once it leads.
#[tokio::test]
async fn r09_a_follower_reloads_and_leads_by_the_new_configuration() {
    let (mut leader, mut follower, _) = Box::pin(pair(Clock::start())).await;
    follower.until("it is ready", async || follower.get("/ready").await.0.is_success()).await;
    let forbids = |config: &mut Config| {
        config.plan.guardrails.forbidden_actions.insert(ActionKind::ScaleUp);
    };
    let answer = follower.reload(forbids).await;
    assert!(answer["applied_at"].is_string(), "{answer}");
    assert_eq!(follower.iteration(), 0, "it follows");
    let hash = async |world: &World| world.get("/health").await.1["config_hash"].clone();
    assert_eq!(hash(&follower).await, answer["config_hash"]);
    assert_ne!(hash(&leader).await, answer["config_hash"], "the other one has its own");
    leader.stop().await;
    follower.until("it leads", async || follower.iteration() > 0).await;
    // Both have one Prometheus and one Charter.
    leader.latency(1.5);
    let weighed = async || {
        let reports = follower.reports().await;
        let last = reports.last().map(|report| json!(report.candidates)).unwrap_or_default();
        last.to_string().contains("guardrails.forbidden_actions forbids it")
    };
    follower.until("it holds to the new one", weighed).await;
    assert!(!leader.changes().iter().any(|change| change.starts_with("scale")));
    // The twin: what it may do it does.
    follower.reload(|config| config.plan.guardrails.forbidden_actions.clear()).await;
    let scaled = async || leader.changes().contains(&"scale 5".to_owned());
    follower.until("scaled", scaled).await;
    follower.stop().await;
}
