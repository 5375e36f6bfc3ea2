//! S02: what a process left without a known end is brought to one by Charter's real state, without a person where that is
//! possible, and never by sending it again.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use mape_k::actuators::charter::Call;
use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::execution::ActionState as S;
use mape_k::domain::execution::{Execution, ExecutionMode, ExecutionStatus};
use mape_k::domain::pause::Pause;
use mape_k::knowledge::{Fact, Knowledge};
use serde_json::{Value, json};
use uuid::Uuid;

use super::crash_lines::crashed_while_sending;
use super::world::World;
use crate::executor::{baseline, keys, policy, scale_up};
use crate::fake_charter::StrategyOrder;

async fn execution(world: &World) -> Value {
    world.items("executions").await.pop().expect("the first execution")
}

#[tokio::test]
async fn s02_what_took_effect_unseen_is_found_after_the_restart_and_judged() {
    let mut world = crashed_while_sending(StrategyOrder::DoThenHang).await;
    // Judged from when it was sent: a slow machine may find it late.
    world.config.knowledge.judge_limit = Duration::from_mins(1);
    world.start().await;
    world.until("found", async || execution(&world).await["status"] == "completed").await;
    world.latency(0.2);
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    world.cycles(2).await;
    assert_eq!(world.changes(), ["scale 5"], "sent again");
    let outcomes = world.items("outcomes").await;
    assert_eq!((outcomes.len(), &outcomes[0]["outcome_type"]), (1, &json!("success")));
    assert_eq!(execution(&world).await["actions"][0]["state"], "closed");
    assert_eq!(world.open_escalations().await, Vec::<String>::new());
    let told = world.items("needs").await;
    assert_eq!(told.len(), 2, "a person was told, and told that it is over: {told:?}");
    world.stop().await;
}

/// An old process's request may still be worked on for as long as a call may take.
#[tokio::test]
async fn s02_what_is_not_there_is_called_lost_only_when_its_time_is_over() {
    let mut world = crashed_while_sending(StrategyOrder::Hang).await;
    world.start().await;
    world.cycles(4).await;
    let action = execution(&world).await["actions"][0].clone();
    assert_eq!(action["state"], "unknown", "a call may take a minute: {action}");
    assert!(world.is_open("outcome_unknown").await);
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
    world.config.execute.timeout_seconds = Duration::from_secs(1);
    world.start().await;
    world.until("lost", async || execution(&world).await["actions"][0]["state"] == "refused").await;
    let error = execution(&world).await["actions"][0]["error"].to_string();
    assert!(error.contains("never arrived"), "{error}");
    assert!(!world.is_open("outcome_unknown").await);
    // The cause is still there: decided afresh, as a new execution under a new key.
    world.until("done afresh", async || world.changes().len() == 2).await;
    let sent = world.charter.seen_of(Call::Scale);
    assert_ne!(sent[0].key, sent[1].key);
    assert_eq!(world.charter.world().effects.len(), 1);
    world.stop().await;
}

/// Found so late that what is seen now says nothing of it.
#[tokio::test]
async fn s02_what_is_found_too_late_is_no_success() {
    let mut world = crashed_while_sending(StrategyOrder::DoThenHang).await;
    world.config.knowledge.judge_limit = Duration::ZERO;
    world.config.execute.settle.insert(ActionKind::ScaleUp, Duration::ZERO);
    world.latency(0.2);
    world.start().await;
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    assert_eq!(world.items("outcomes").await[0]["outcome_type"], "unknown");
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// Ten quiet minutes in which nobody could look are no reason to give up.
#[tokio::test]
async fn s02_what_could_not_be_looked_for_is_not_given_up() {
    let mut world = crashed_while_sending(StrategyOrder::DoThenHang).await;
    world.charter.world().replicas = 4;
    world.config.plan.incident_gap = Duration::from_secs(1);
    world.latency(0.2);
    world.start().await;
    world.until("told", async || world.is_open("outcome_unknown").await).await;
    put_pause(&world, &for_an_hour()).await;
    let quiet = world.now() + TimeDelta::seconds(4);
    world.until("quiet for long", async || world.now() > quiet).await;
    assert!(world.is_open("outcome_unknown").await, "given up unseen");
    assert_eq!(execution(&world).await["actions"][0]["state"], "unknown");
    world.charter.world().replicas = 5;
    put_pause(&world, &Value::Null).await;
    world.until("found", async || execution(&world).await["status"] == "completed").await;
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// The webhook repeats itself while the process dies and comes back: one action.
#[tokio::test]
async fn s02_duplicate_webhooks_around_a_crash_are_one_action() {
    let labels = json!({"alertname": "CharterValidationLatencyHigh", "severity": "critical", "cause": "validation_latency"});
    let mut world = World::new().await;
    world.on_disk();
    world.charter.script(Call::Scale, [StrategyOrder::DoThenHang]);
    world.start().await;
    world.alertmanager.state().fire("f-1", &labels);
    for _ in 0..5 {
        world.deliver("firing", "f-1", &labels).await;
    }
    world.until("it is on its way", async || !world.changes().is_empty()).await;
    world.crash().await;
    world.start().await;
    for _ in 0..5 {
        world.deliver("firing", "f-1", &labels).await;
    }
    world.until("found", async || execution(&world).await["status"] == "completed").await;
    world.alertmanager.state().resolve("f-1");
    world.deliver("resolved", "f-1", &labels).await;
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// Half a transaction, as a process leaves it that died between its actions.
async fn half_done(world: &World) -> Uuid {
    let policy = policy(vec![scale_up(5), baseline()]);
    let mode = ExecutionMode::Transactional;
    let mut half = Execution::intended(&policy, Uuid::new_v4(), &keys(2), mode, Utc::now());
    half.status = ExecutionStatus::InProgress;
    let record = &mut half.actions[0];
    crate::fake_charter::kept(record, |prior| prior.replicas = Some(3));
    for state in [S::Validated, S::Sent, S::Applied] {
        record.advance(state).expect("a legal move");
    }
    world.charter.world().replicas = 5;
    let knowledge = Knowledge::open(&world.config.knowledge).await.expect("the store");
    let mut verification = crate::planner::world::verification(&policy, Utc::now());
    verification.execution_id = half.id;
    let mut batch = knowledge.batch();
    batch.put(&half);
    batch.put(&verification);
    knowledge.commit(batch).await.expect("a commit");
    knowledge.close().await;
    half.id
}

async fn put_pause(world: &World, pause: &Value) {
    let mut batch = world.knowledge().batch();
    let fact = Fact { name: Fact::PAUSE.to_owned(), value: pause.clone(), at: Utc::now() };
    batch.put(&fact);
    world.knowledge().commit(batch).await.expect("a commit");
}

fn for_an_hour() -> Value {
    let now = Utc::now();
    let until = now + TimeDelta::hours(1);
    let pause = Pause { by: "alice".into(), reason: "a rehearsal".into(), since: now, until };
    serde_json::to_value(pause).expect("JSON")
}

#[tokio::test]
async fn s01_half_a_transaction_is_taken_back_when_no_pause_holds() {
    let mut world = World::new().await;
    world.on_disk();
    let id = half_done(&world).await;
    let knowledge = Knowledge::open(&world.config.knowledge).await.expect("the store");
    let mut batch = knowledge.batch();
    batch.put(&Fact { name: Fact::PAUSE.to_owned(), value: for_an_hour(), at: Utc::now() });
    knowledge.commit(batch).await.expect("a commit");
    knowledge.close().await;
    world.start().await;
    world.cycles(5).await;
    assert_eq!(world.changes(), Vec::<String>::new(), "undone while paused");
    assert_eq!(execution(&world).await["status"], "failed");
    put_pause(&world, &Value::Null).await;
    world.until("undone", async || execution(&world).await["status"] == "rolled_back").await;
    assert_eq!((world.changes(), world.charter.replicas()), (vec!["scale 3".to_owned()], 3));
    world.cycles(2).await;
    assert!(world.items("outcomes").await.is_empty(), "what is undone is not judged");
    let stored = world.knowledge().get::<Execution>(&id.to_string()).await.expect("the store");
    assert!(!stored.expect("it").0.interrupted);
    world.stop().await;
}

#[tokio::test]
async fn s01_half_a_transaction_that_somebody_else_has_changed_since_is_a_person_s() {
    let mut world = World::new().await;
    world.on_disk();
    half_done(&world).await;
    world.charter.world().replicas = 7;
    world.start().await;
    world.until("told", async || world.is_open("outcome_unknown").await).await;
    world.cycles(3).await;
    assert!(world.is_open("breaker").await, "what cannot be undone stops everything");
    assert_eq!((world.changes(), world.charter.replicas()), (Vec::<String>::new(), 7));
    let execution = execution(&world).await;
    assert_eq!(execution["actions"][0]["state"], "undo_failed");
    assert!(execution["error"].to_string().contains("somebody else changed"), "{execution}");
    assert_eq!(execution["cause"], Cause::SYSTEM_OVERLOAD);
    assert_eq!(world.metric("mape_k_escalations_total{reason=\"outcome_unknown\"}").await, 1);
    world.stop().await;
}
