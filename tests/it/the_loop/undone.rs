//! Invariant 10: what did harm is undone once, by whichever process is there then, or handed to a person.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use mape_k::actuators::charter::Call;
use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::follow_ups::FollowUps;
use mape_k::domain::pause::Pause;
use mape_k::knowledge::Fact;
use mape_k::planner::guardrails::Mode;
use serde_json::{Value, json};

use super::world::World;
use crate::fake_charter::StrategyOrder;

const DONE_AND_UNDONE: [&str; 2] = ["rebalance_load", "rollback"];

/// Rebalancing is the one remedy there is: it can be taken back.
async fn world() -> World {
    world_with(Cause::SYSTEM_OVERLOAD).await
}

/// The first remedy that is shipped for that cause is the one there is for slow validation.
async fn world_with(cause: &str) -> World {
    let mut world = World::new().await;
    world.on_disk();
    for strategies in world.config.plan.strategies.values_mut() {
        strategies.clear();
    }
    let shipped = mape_k::config::Config::default().plan.strategies;
    let remedy = shipped[&Cause::new(cause)][0].clone();
    world.config.plan.strategies.insert(Cause::new(Cause::VALIDATION_LATENCY), vec![remedy]);
    world
}

/// Rebalanced for slow validation, and since then a component fails too.
async fn harmed(world: &World) {
    world.latency(1.5);
    world.until("acted", async || world.changes().len() == 1).await;
    world.failure_rate("validator", 0.5);
}

async fn judged(world: &World) {
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    assert_eq!(world.items("outcomes").await[0]["outcome_type"], "degradation");
}

async fn action(world: &World) -> Value {
    world.items("executions").await.pop().expect("an execution")["actions"][0].clone()
}

async fn told(world: &World) -> String {
    let open = world.items("needs?open=true").await;
    let record = open.iter().find(|e| e["reason"] == "degradation");
    record.map(|e| e["detail"].to_string()).unwrap_or_default()
}

async fn owed(world: &World) -> usize {
    let kept = world.knowledge().fact::<FollowUps>(FollowUps::FACT).await.expect("the store");
    kept.unwrap_or_default().undoings.len()
}

async fn put_pause(world: &World, value: Value) {
    let mut batch = world.knowledge().batch();
    batch.put(&Fact { name: Fact::PAUSE.to_owned(), value, at: Utc::now() });
    world.knowledge().commit(batch).await.expect("a commit");
}

fn an_hour() -> Value {
    let now = Utc::now();
    let until = now + TimeDelta::hours(1);
    let pause = Pause { by: "alice".into(), reason: "look".into(), since: now, until };
    serde_json::to_value(pause).expect("JSON")
}

#[tokio::test]
async fn s07_a_degradation_is_undone_once_and_told() {
    let mut world = world().await;
    world.start().await;
    harmed(&world).await;
    world.until("undone", async || action(&world).await["state"] == "undone").await;
    judged(&world).await;
    world.until("settled", async || owed(&world).await == 0).await;
    world.cycles(6).await;
    assert_eq!(world.changes(), DONE_AND_UNDONE);
    assert!(told(&world).await.contains("it was undone"), "{}", told(&world).await);
    world.stop().await;
}

/// The undo has to settle as an action has: what heals meanwhile would be put down to the next remedy.
#[tokio::test]
async fn s07_the_next_remedy_waits_until_the_undo_has_settled() {
    let mut world = world().await;
    let shipped = mape_k::config::Config::default().plan.strategies;
    let latency = Cause::new(Cause::VALIDATION_LATENCY);
    let mut throttle = shipped[&latency][1].clone();
    throttle.after = Some(ActionKind::RebalanceLoad);
    world.config.plan.strategies.get_mut(&latency).expect("there").push(throttle);
    world.start().await;
    harmed(&world).await;
    world.until("the next one", async || world.changes().len() == 3).await;
    assert_eq!(world.changes(), ["rebalance_load", "rollback", "throttle_requests"]);
    let waited = world.reports().await.iter().any(|r| format!("{r:?}").contains("harm was undone"));
    assert!(waited, "it was due, and held");
    world.stop().await;
}

/// More is broken since it was scaled, which may be the load: that is no moment to take replicas away.
#[tokio::test]
async fn s07_capacity_that_was_added_is_not_taken_away_when_more_is_broken() {
    let mut world = world_with(Cause::VALIDATION_LATENCY).await;
    world.start().await;
    harmed(&world).await;
    judged(&world).await;
    world.until("told", async || world.is_open("degradation").await).await;
    assert!(told(&world).await.contains("added capacity"), "{}", told(&world).await);
    world.cycles(4).await;
    assert_eq!((world.changes(), owed(&world).await), (vec!["scale 5".to_owned()], 0));
    assert_eq!(action(&world).await["state"], "closed");
    world.stop().await;
}

/// Its undo took effect and the process died before it heard of it.
#[tokio::test]
async fn s07_an_undo_of_harm_that_was_cut_is_gone_on_with_and_not_repeated() {
    let mut world = world().await;
    world.config.execute.timeout_seconds = Duration::from_mins(1);
    world.config.execute.policy_timeout = Duration::from_mins(1);
    world.start().await;
    harmed(&world).await;
    world.charter.script(Call::Rollback, [StrategyOrder::DoThenHang]);
    world.until("being undone", async || world.changes().len() == 2).await;
    world.crash().await;
    world.start().await;
    world.until("undone", async || action(&world).await["state"] == "undone").await;
    world.until("settled", async || owed(&world).await == 0).await;
    world.cycles(3).await;
    assert_eq!(world.charter.world().effects.len(), 2, "done once, undone once");
    world.stop().await;
}

/// It was begun in time, and Charter never says what became of it: never given up, nothing else is done there, told.
#[tokio::test]
async fn s07_an_undo_of_harm_whose_end_stays_unknown_is_told_and_gone_on_with() {
    let mut world = world().await;
    world.config.execute.timeout_seconds = Duration::from_millis(500);
    world.start().await;
    harmed(&world).await;
    world.charter.script(Call::Rollback, vec![StrategyOrder::Hang; 1_000]);
    world.until("told", async || world.is_open("outcome_unknown").await).await;
    let open = world.items("needs?open=true").await;
    let record = open.iter().find(|e| e["reason"] == "outcome_unknown").expect("just seen");
    assert!(record["detail"].to_string().contains("its undo was begun"), "{record}");
    assert_eq!(
        (action(&world).await["state"].clone(), owed(&world).await),
        (json!("undo_sent"), 1)
    );
    world.charter.world().unscript(Call::Rollback);
    world.until("undone", async || action(&world).await["state"] == "undone").await;
    world.until("settled", async || owed(&world).await == 0).await;
    assert_eq!(world.charter.world().effects.len(), 2, "done once, undone once");
    world.stop().await;
}

#[tokio::test]
async fn s07_while_paused_harm_is_not_undone_and_afterwards_it_is() {
    let mut world = world().await;
    world.config.knowledge.judge_limit = Duration::from_mins(5);
    world.start().await;
    harmed(&world).await;
    put_pause(&world, an_hour()).await;
    judged(&world).await;
    world.cycles(4).await;
    assert_eq!((world.changes().len(), owed(&world).await), (1, 1));
    put_pause(&world, Value::Null).await;
    world.until("undone", async || action(&world).await["state"] == "undone").await;
    assert_eq!(world.changes(), DONE_AND_UNDONE);
    world.stop().await;
}

/// Paused for longer than a verdict may wait: a person's.
#[tokio::test]
async fn s07_harm_that_cannot_be_undone_in_time_is_a_person_s() {
    let mut world = world().await;
    world.start().await;
    harmed(&world).await;
    put_pause(&world, an_hour()).await;
    judged(&world).await;
    world.until("given up", async || owed(&world).await == 0).await;
    assert_eq!(action(&world).await["state"], "closed");
    assert!(told(&world).await.contains("not undone in time"), "{}", told(&world).await);
    put_pause(&world, Value::Null).await;
    world.cycles(4).await;
    assert!(!world.changes().contains(&"rollback".to_owned()), "{:?}", world.changes());
    world.stop().await;
}

/// Charter refuses.
#[tokio::test]
async fn s07_an_undo_of_harm_that_fails_opens_the_breaker_and_calls_a_person() {
    let mut world = world().await;
    world.start().await;
    harmed(&world).await;
    let refusal = StrategyOrder::Answer(403, json!({"error": "frozen", "code": "frozen"}));
    world.charter.script(Call::Rollback, vec![refusal; 10]);
    world.until("failed", async || action(&world).await["state"] == "undo_failed").await;
    world.until("told", async || world.is_open("breaker").await).await;
    assert!(world.is_open("outcome_unknown").await && world.is_open("degradation").await);
    world.cycles(4).await;
    assert_eq!(world.changes(), DONE_AND_UNDONE, "asked for once");
    world.stop().await;
}

/// What a person has to decide, a person undoes too.
#[tokio::test]
async fn s07_in_mode_suggest_and_without_rollback_harm_is_a_person_s() {
    let suggest = async {
        let mut world = world().await;
        world.config.plan.guardrails.mode = Mode::Suggest;
        world.config.execute.rails.suggest = true;
        world.start().await;
        world.latency(1.5);
        world.until("asked", async || world.is_open("approval_needed").await).await;
        let policy = world.items("policies").await.remove(0);
        let id = policy["id"].as_str().expect("an id");
        let answer = json!({"revision": policy["revision"], "by": "alice"});
        world.post(&format!("/api/v1/policies/{id}/approve"), &answer).await;
        handed_over(world, "suggest").await;
    };
    let forbidden = async {
        let mut world = world().await;
        world.config.execute.rollback_enabled = false;
        world.start().await;
        handed_over(world, "rollback_enabled").await;
    };
    tokio::join!(suggest, forbidden);
}

async fn handed_over(mut world: World, why: &str) {
    harmed(&world).await;
    judged(&world).await;
    world.until("told", async || world.is_open("degradation").await).await;
    assert!(told(&world).await.contains(why), "{}", told(&world).await);
    world.cycles(3).await;
    assert_eq!(world.changes().len(), 1);
    assert_eq!(action(&world).await["state"], "closed");
    world.stop().await;
}
