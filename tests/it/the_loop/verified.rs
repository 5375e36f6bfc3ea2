//! S07: a verdict is measured, and taken back when it does not last; what heals by itself is counted.

use std::time::Duration;

use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::ledger::{Breaker, Ledger, Tripped};
use mape_k::domain::outcome::Outcome;
use mape_k::domain::target::System;
use mape_k::domain::violation::TrackedViolation;
use mape_k::knowledge::Fact;
use mape_k::knowledge::learning::statistics;
use mape_k::planner::guardrails::Mode;
use serde_json::{Value, json};

use super::fakes::Mood;
use super::world::World;

const FLEET: [&str; 10] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];
const FAILURE_RATE: &str = "westworld_charter_failure_rate";

async fn verdict(world: &World) -> Value {
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    world.items("outcomes").await.remove(0)
}

/// One remedy, and a success that is watched for so long.
async fn watched_for(gap: Duration) -> World {
    let mut world = World::new().await;
    // No second verdict comes in between.
    world.config.plan.strategies.values_mut().for_each(|s| s.truncate(1));
    world.config.plan.incident_gap = gap;
    world
}

/// Slow until it was scaled, and then judged a success.
async fn healed(world: &World) {
    world.latency(1.5);
    world.until("scaled", async || world.changes().len() == 1).await;
    world.latency(0.2);
    assert_eq!(verdict(world).await["outcome_type"], "success");
}

async fn taken_back(world: &World) -> Value {
    world.latency(1.5);
    world
        .until("taken back", async || {
            world.items("outcomes").await.last().is_some_and(|o| o["recurred"].is_object())
        })
        .await;
    world.items("outcomes").await.pop().expect("just seen")
}

async fn run_of_scaling(world: &World) -> Value {
    let (_, all) = world.get("/api/v1/statistics").await;
    let known = all["knowledge"].as_array().cloned().unwrap_or_default();
    known.into_iter().find(|k| k["action"] == "scale_up").unwrap_or_default()
}

/// Once, whatever process is there then; with everything that followed from the success.
#[tokio::test]
async fn s07_the_same_violation_back_takes_the_success_back() {
    tokio::join!(back_again(false), back_again(true));
}

async fn back_again(restarted: bool) {
    let mut world = watched_for(Duration::from_mins(1)).await;
    world.on_disk();
    world.start().await;
    healed(&world).await;
    world.until("learned", async || run_of_scaling(&world).await["successes"] == 1).await;
    if restarted {
        world.crash().await;
        world.start().await;
        world.cycles(1).await;
    }
    let outcome = taken_back(&world).await;
    assert_eq!(outcome["outcome_type"], "ineffective", "{outcome}");
    assert_eq!(outcome["recurred"]["was"], "success");
    assert!(outcome["reason"].to_string().contains("recurred"), "{outcome}");
    world.until("unlearned", async || run_of_scaling(&world).await["successes"] == 0).await;
    assert!(world.is_open("ineffective").await, "a person is told");
    let id = outcome["execution_id"].as_str().expect("an id");
    let (_, page) = world.get(&format!("/api/v1/explain/actions/{id}")).await;
    assert!(page.to_string().contains("it was corrected at"), "{page}");
    // Neither seen again nor learned again.
    world.stop().await;
    world.start().await;
    world.cycles(2).await;
    let learned = run_of_scaling(&world).await;
    assert_eq!(learned["successes"], 0, "{learned}");
    let outcomes = world.knowledge().all::<Outcome>(None).await.expect("the store");
    let natural = world.knowledge().natural().await.expect("the store");
    let replayed = statistics(&outcomes, &natural.counts, 30);
    let known = world.knowledge().statistics().await.expect("the store");
    assert_eq!(known, replayed, "the records alone give what was learned");
    let told = world.metric("mape_k_escalations_total{reason=\"ineffective\"}").await;
    assert_eq!(told, 0, "by this process");
    world.stop().await;
}

/// The process died before it had stored that the violation was clear: its record says that it was active all the time.
#[tokio::test]
async fn s07_a_violation_that_is_back_takes_the_success_back_though_its_record_never_was_clear() {
    let mut world = watched_for(Duration::from_mins(1)).await;
    world.on_disk();
    world.start().await;
    healed(&world).await;
    world.cycles(1).await;
    let cleared = world.knowledge().all::<TrackedViolation>(Some("cleared")).await;
    let mut record = cleared.expect("the store").remove(0);
    record.violation.cleared_at = None;
    let mut batch = world.knowledge().batch();
    batch.put(&record);
    world.knowledge().commit(batch).await.expect("a commit");
    world.crash().await;
    world.latency(1.5);
    world.start().await;
    assert_eq!(taken_back(&world).await["outcome_type"], "ineffective");
    world.stop().await;
}

/// Half-open, the one action's success closes the breaker; when that is taken back, it is open again.
#[tokio::test]
async fn s07_a_success_that_closed_the_breaker_opens_it_when_it_is_taken_back() {
    let mut world = watched_for(Duration::from_mins(1)).await;
    world.config.plan.guardrails.breaker.open_for = Duration::from_mins(10);
    world.start().await;
    let now = world.now();
    let tripped = Some(Tripped { at: now, until: now, why: "it did harm".to_owned() });
    let breaker = Breaker { counts_from: Some(now), tripped };
    let value = serde_json::to_value(Ledger {
        breakers: [(System::Charter, breaker)].into(),
        ..Ledger::default()
    })
    .expect("JSON");
    let mut batch = world.knowledge().batch();
    batch.put(&Fact { name: "ledger".to_owned(), value, at: now });
    world.knowledge().commit(batch).await.expect("a commit");
    let breaker = async |world: &World| {
        let ledger = world.knowledge().fact::<Ledger>("ledger").await.expect("the store");
        ledger.expect("a ledger").tripped(System::Charter).cloned()
    };
    healed(&world).await;
    assert_eq!(breaker(&world).await, None, "it helped");
    taken_back(&world).await;
    let tripped = breaker(&world).await.expect("open again");
    assert!(tripped.why.contains("did not help for long"), "{tripped:?}");
    world.until("told", async || world.is_open("breaker").await).await;
    world.stop().await;
}

/// The metrics were away when its watch would have ended.
#[tokio::test]
async fn s07_a_violation_that_came_back_while_nobody_could_look_takes_the_success_back() {
    let mut world = watched_for(Duration::from_secs(5)).await;
    world.start().await;
    healed(&world).await;
    world.prometheus.be(Mood::Answers(503)).await;
    let over = world.now() + Duration::from_secs(6);
    world.until("its watch would be over", async || world.now() > over).await;
    world.latency(1.5);
    world.prometheus.be(Mood::Well).await;
    assert_eq!(taken_back(&world).await["outcome_type"], "ineffective");
    world.stop().await;
}

/// A throttle is over: what comes back then says nothing of what it did while it was in force.
#[tokio::test]
async fn s07_what_comes_back_after_a_throttle_has_ended_takes_nothing_back() {
    let mut world = World::new().await;
    let strategies = &mut world.config.plan.strategies;
    let all = strategies.values().flatten();
    let throttle = all.clone().find(|s| s.action == ActionKind::ThrottleRequests);
    let mut throttle = throttle.expect("a shipped throttle").clone();
    throttle.after = None;
    throttle.duration_seconds = Some(Duration::from_secs(8));
    strategies.insert(Cause::new(Cause::VALIDATION_LATENCY), vec![throttle]);
    world.config.plan.incident_gap = Duration::from_mins(1);
    world.start().await;
    healed(&world).await;
    world
        .until("over", async || {
            let executions = world.items("executions").await;
            executions.last().is_some_and(|e| e["actions"][0]["state"] == "closed")
        })
        .await;
    world.latency(1.5);
    world.until("back", async || !world.violations().await.is_empty()).await;
    world.cycles(3).await;
    let outcome = world.items("outcomes").await.pop().expect("an outcome");
    assert_eq!(outcome["outcome_type"], "success", "{outcome}");
    world.stop().await;
}

/// Ten components, of which a restart treats the one that fails.
async fn fleet() -> World {
    let mut world = World::new().await;
    let all = world.config.plan.strategies.values().flatten();
    let restart = all.clone().find(|s| s.action == ActionKind::RestartService);
    let mut restart = restart.expect("a shipped restart").clone();
    restart.after = None;
    world.config.plan.strategies.insert(Cause::new(Cause::SYSTEM_OVERLOAD), vec![restart]);
    for component in FLEET {
        world.failure_rate(component, 0.01);
    }
    world.start().await;
    world
}

async fn restarted(world: &World) {
    world.until("restarted", async || world.changes() == ["restart c0"]).await;
}

#[tokio::test]
async fn s07_an_action_whose_data_vanished_is_never_a_success() {
    let world = &mut fleet().await;
    world.failure_rate("c0", 0.5);
    restarted(world).await;
    // It reads well once, and then nobody can see it any more; all others are there.
    world.failure_rate("c0", 0.01);
    world.until("clear", async || world.violations().await.is_empty()).await;
    world.prometheus.state().lose(FAILURE_RATE, &json!({"component": "c0"}));
    let outcome = verdict(world).await;
    assert_eq!(outcome["outcome_type"], "unknown", "{outcome}");
    assert!(outcome["reason"].to_string().contains("is missing"), "{outcome}");
    world.stop().await;
}

#[tokio::test]
async fn s07_a_control_that_recovered_as_much_lowers_the_class_and_names_the_number() {
    let world = &mut fleet().await;
    // Enough normal times to measure against.
    world.cycles(14).await;
    for component in FLEET {
        world.failure_rate(component, if component == "c0" { 0.105 } else { 0.099 });
    }
    restarted(world).await;
    for component in FLEET {
        world.failure_rate(component, 0.01);
    }
    let outcome = verdict(world).await;
    assert_eq!(outcome["violations_after"], 0, "{outcome}");
    assert_eq!(outcome["outcome_type"], "ineffective", "{outcome}");
    let verification = &outcome["verification"];
    assert_eq!(verification["counted"], "success");
    assert!(verification["control"].as_f64() > Some(0.9), "{outcome}");
    assert!(outcome["reason"].to_string().contains("elsewhere"), "{outcome}");
    let id = outcome["execution_id"].as_str().expect("an id");
    let (_, page) = world.get(&format!("/api/v1/explain/actions/{id}")).await;
    assert!(page.to_string().contains("normal times"), "{page}");
    world.stop().await;
}

#[tokio::test]
async fn s07_what_was_measured_before_a_restart_is_judged_after_it() {
    let mut world = World::new().await;
    world.on_disk();
    world.start().await;
    world.cycles(14).await;
    world.latency(1.5);
    world.until("scaled", async || world.changes().len() == 1).await;
    world.crash().await;
    // Below the limit, but hardly better than before.
    world.latency(0.95);
    world.start().await;
    let outcome = verdict(&world).await;
    assert_eq!(outcome["outcome_type"], "partial", "{outcome}");
    assert!(outcome["verification"]["recovery"].as_f64() < Some(0.5), "{outcome}");
    assert!(outcome["reason"].to_string().contains("counted as success, lowered"), "{outcome}");
    world.stop().await;
}

async fn episodes(world: &World) -> usize {
    world.knowledge().natural().await.expect("the store").open.len()
}

/// A person has it in hand: what is mended by hand has not recovered by itself.
#[tokio::test]
async fn what_clears_while_a_person_has_paused_the_loop_is_not_counted() {
    let mut world = World::new().await;
    world.config.plan.guardrails.mode = Mode::Observe;
    world.start().await;
    world.latency(1.5);
    world.until("an episode", async || episodes(&world).await == 1).await;
    let pause = json!({"by": "alice", "reason": "by hand", "duration_seconds": 600});
    world.post("/api/v1/pause", &pause).await;
    world.until("no episode", async || episodes(&world).await == 0).await;
    world.cycles(3).await;
    world.latency(0.2);
    world.until("clear", async || world.violations().await.is_empty()).await;
    world.cycles(3).await;
    let natural = world.knowledge().natural().await.expect("the store");
    assert_eq!((natural.open.len(), natural.counts.len()), (0, 0));
    world.stop().await;
}

/// Observed only: it cleared before a remedy would have been judged.
#[tokio::test]
async fn what_clears_while_nothing_may_be_done_is_counted() {
    let mut world = World::new().await;
    world.config.plan.guardrails.mode = Mode::Observe;
    // However long the start takes.
    world.config.knowledge.judge_limit = Duration::from_mins(5);
    world.on_disk();
    world.start().await;
    world.latency(1.5);
    world.until("an episode", async || episodes(&world).await == 1).await;
    world.crash().await;
    world.latency(0.2);
    world.start().await;
    let counted = async |world: &World| {
        let (_, all) = world.get("/api/v1/statistics").await;
        all["natural_recovery"][0].clone()
    };
    world.until("counted", async || counted(&world).await["episodes"] == 1).await;
    let count = counted(&world).await;
    assert_eq!((&count["cause"], &count["recovered"]), (&json!("validation_latency"), &json!(1)));
    assert_eq!(world.changes(), Vec::<String>::new());
    world.stop().await;
}
