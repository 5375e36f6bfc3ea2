//! What is recorded when the process dies, or the store refuses a write, between two lines; and that nothing is done
//! twice for it, and nobody left untold.

use std::time::Duration;

use mape_k::actuators::charter::Call;
use mape_k::clock::Clock;
use mape_k::control_loop::once;
use mape_k::daemon::assemble;
use mape_k::domain::action::ActionKind;
use mape_k::domain::cycle::Trigger;
use mape_k::domain::execution::{ActionState, Execution, ExecutionStatus};
use mape_k::domain::outcome::PendingVerification;
use mape_k::domain::policy::{Approval, Policy};
use mape_k::knowledge::{Decision, Knowledge};
use serde_json::json;
use sqlx::{Connection, SqliteConnection};
use tokio_util::sync::CancellationToken;

use super::world::World;
use crate::fake_charter::StrategyOrder;

/// Killed while the change was on its way, and somebody else has changed the size since: not known, told, not sent again.
#[tokio::test]
async fn a_crash_while_sending_that_cannot_be_told_ends_as_unknown_and_is_not_repeated() {
    let mut world = crashed_while_sending(StrategyOrder::DoThenHang).await;
    world.charter.world().replicas = 4;
    world.start().await;
    world.cycles(6).await;
    assert_eq!(world.changes(), ["scale 5"], "sent again after the crash");
    let execution = &world.items("executions").await[0];
    assert_eq!(
        (&execution["status"], &execution["actions"][0]["state"]),
        (&json!("failed"), &json!("unknown"))
    );
    assert_eq!(world.open_escalations().await, ["action_failed", "outcome_unknown"]);
    assert_eq!(world.metric("mape_k_escalations_total{reason=\"outcome_unknown\"}").await, 1);
    let held = world.verdict_on("scale_up").await;
    assert_eq!(held["reason"], "outcome_unknown", "{held}");
    // Healed all the same: what waits for its quiet time is still counted as open.
    world.latency(0.2);
    world
        .until("the failure is closed", async || {
            world.open_escalations().await == ["outcome_unknown"]
        })
        .await;
    world.cycles(1).await;
    assert_eq!(world.metric("mape_k_escalations_open{reason=\"outcome_unknown\"}").await, 1);
    world.until("it was quiet for long", async || world.open_escalations().await.is_empty()).await;
    world.cycles(1).await;
    assert_eq!(world.metric("mape_k_escalations_open{reason=\"outcome_unknown\"}").await, 0);
    assert!(world.items("outcomes").await.is_empty());
    let execution = &world.items("executions").await[0];
    assert_eq!(execution["actions"][0]["state"], "closed", "with its escalation");
    assert!(
        world.knowledge().all::<PendingVerification>(None).await.expect("the store").is_empty()
    );
    world.stop().await;
}

/// Killed after the executor had written that the end is unknown, before the cycle had: still told, still blocked.
#[tokio::test]
async fn a_crash_before_the_result_is_recorded_leaves_nobody_untold() {
    let mut world = crashed_while_sending(StrategyOrder::Hang).await;
    world.charter.world().replicas = 4;
    let knowledge = Knowledge::open(&world.config.knowledge).await.expect("the store");
    let mut execution = knowledge.all::<Execution>(None).await.expect("the store").remove(0);
    execution.actions[0].advance(ActionState::Unknown).expect("sent may become unknown");
    execution.status = ExecutionStatus::Failed;
    let mut batch = knowledge.batch();
    batch.put(&execution);
    knowledge.commit(batch).await.expect("a commit");
    knowledge.close().await;
    world.start().await;
    world.cycles(5).await;
    assert_eq!(world.open_escalations().await, ["action_failed", "outcome_unknown"]);
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// Killed between the durable intent and the first byte: nothing was sent, so it is done now, once.
#[tokio::test]
async fn a_crash_right_after_the_intent_is_done_afresh() {
    let mut world = crashed_while_sending(StrategyOrder::Hang).await;
    let knowledge = Knowledge::open(&world.config.knowledge).await.expect("the store");
    let execution = knowledge.all::<Execution>(None).await.expect("the store").remove(0);
    let mut batch = knowledge.batch();
    batch.delete::<Execution>(execution.id.to_string());
    knowledge.commit(batch).await.expect("a commit");
    assert_eq!(knowledge.all::<PendingVerification>(None).await.expect("the store").len(), 1);
    knowledge.close().await;
    world.charter.world().seen.clear();
    world.start().await;
    world.until("it is done", async || !world.changes().is_empty()).await;
    world.latency(0.2);
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    assert_eq!(world.changes(), ["scale 5"]);
    assert_eq!(world.items("outcomes").await.len(), 1);
    assert!(world.open_escalations().await.is_empty());
    world.stop().await;
}

pub async fn crashed_while_sending(turn: StrategyOrder) -> World {
    let mut world = World::new().await;
    world.on_disk();
    world.config.plan.incident_gap = Duration::from_secs(3);
    world.config.execute.timeout_seconds = Duration::from_mins(1);
    world.config.execute.policy_timeout = Duration::from_mins(1);
    world.charter.script(Call::Scale, [turn]);
    world.start().await;
    world.latency(1.5);
    world.until("it is on its way", async || !world.changes().is_empty()).await;
    world.crash().await;
    world
}

/// The action took effect and its result cannot be stored: it is neither repeated nor forgotten, and judged once.
#[tokio::test]
async fn a_result_that_cannot_be_stored_is_not_repeated_and_judged_once() {
    let mut world = World::new().await;
    world.on_disk();
    world.charter.script(Call::Scale, [StrategyOrder::Late(Duration::from_secs(1))]);
    world.config.execute.policy_timeout = Duration::from_secs(3);
    world.start().await;
    world.latency(1.5);
    world.until("it is on its way", async || !world.changes().is_empty()).await;
    // The judging is written again with the result.
    refuse(&world, "judgings").await;
    world.until("the store failed", async || failed(&world).await).await;
    world.cycles(3).await;
    assert_eq!(world.changes(), ["scale 5"]);
    accept(&world, "judgings").await;
    world.latency(0.2);
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    world.cycles(2).await;
    assert_eq!(world.items("outcomes").await.len(), 1);
    assert_eq!(world.items("outcomes").await[0]["outcome_type"], "success");
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// An end that is not known and that nobody can be told of, since the store refuses: nothing is done until it can.
#[tokio::test]
async fn an_unknown_end_that_cannot_be_told_blocks_until_it_can() {
    let mut world = World::new().await;
    world.dare();
    world.on_disk();
    world.config.execute.timeout_seconds = Duration::from_millis(500);
    world.config.execute.idempotent_charter = mape_k::executor::Idempotency::No;
    // A restart leaves no trace at Charter, so a lost answer cannot be looked up.
    let strategies = &mut world.config.plan.strategies;
    let mut restart = strategies
        .values()
        .flatten()
        .find(|s| s.action == ActionKind::RestartService)
        .expect("a shipped restart")
        .clone();
    restart.after = None;
    restart.service = Some("all".to_owned());
    strategies.insert(mape_k::domain::Cause::new("validation_latency"), vec![restart]);
    world.charter.script(Call::Restart, [StrategyOrder::DoThenHang]);
    world.start().await;
    world.cycles(1).await;
    refuse(&world, "escalations").await;
    world.latency(1.5);
    world.until("the store failed", async || failed(&world).await).await;
    world.cycles(5).await;
    assert_eq!(world.changes(), ["restart all"], "acted again although nobody could be told");
    accept(&world, "escalations").await;
    world.until("it is told", async || world.is_open("outcome_unknown").await).await;
    world.cycles(3).await;
    let open = world.open_escalations().await;
    assert_eq!(open, ["action_failed", "breaker", "outcome_unknown"]);
    assert_eq!(world.changes(), ["restart all"]);
    world.stop().await;
}

/// A verdict and the person it calls are stored together or not at all.
#[tokio::test]
async fn a_verdict_that_cannot_be_told_is_not_lost() {
    let mut world = World::new().await;
    world.on_disk();
    world.start().await;
    world.latency(1.5);
    world.until("scaled", async || !world.changes().is_empty()).await;
    world.cycles(1).await;
    refuse(&world, "escalations").await;
    world.until("the store failed", async || failed(&world).await).await;
    world.cycles(2).await;
    assert!(world.items("outcomes").await.is_empty(), "judged, and nobody told");
    accept(&world, "escalations").await;
    world.until("it is told", async || world.is_open("ineffective").await).await;
    assert_eq!(world.items("outcomes").await.len(), 1);
    world.stop().await;
}

async fn failed(world: &World) -> bool {
    world.get("/api/v1/state").await.1["last_status"] == "error"
}

/// The store refuses every write to one collection, as a full disk would at that moment.
async fn refuse(world: &World, collection: &str) {
    for (when, name) in [("INSERT", "i"), ("UPDATE", "u")] {
        sql(
            world,
            &format!(
                "CREATE TRIGGER refuse_{collection}_{name} BEFORE {when} ON records WHEN NEW.collection = '{collection}'
                 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
            ),
        )
        .await;
    }
}

async fn accept(world: &World, collection: &str) {
    for name in ["i", "u"] {
        sql(world, &format!("DROP TRIGGER refuse_{collection}_{name}")).await;
    }
}

async fn sql(world: &World, statement: &str) {
    let url = format!("sqlite://{}", world.config.knowledge.sqlite_path.display());
    let mut connection = SqliteConnection::connect(&url).await.expect("the store's file");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await
        .expect("a statement");
    connection.close().await.expect("closed");
}

/// Stopped between a person's approval and its execution: the policy stays approved for the next process.
#[tokio::test]
async fn a_policy_that_stopping_kept_from_execution_stays_approved() {
    let mut world = World::new().await;
    world.on_disk();
    world.ask_first();
    let config = std::sync::Arc::new(world.config.clone());
    let mut parts = assemble(&config, Clock::start()).await.expect("the parts");
    let stop = CancellationToken::new();
    world.latency(1.5);
    let pending = loop {
        once(&mut parts.cycle, &parts.publisher, Trigger::Scheduled, &stop).await.expect("a cycle");
        let pending = parts.knowledge.all::<Policy>(Some("pending")).await.expect("the store");
        if let Some(policy) = pending.into_iter().next() {
            break policy;
        }
        assert!(parts.handle.view().iteration < 10, "never proposed");
    };
    let now = parts.handle.now();
    let approve = Decision::Approve;
    let (id, revision) = (pending.id, pending.revision);
    let approved = parts.knowledge.decide_policy(id, revision, None, approve, "sre", now);
    approved.await.expect("approved");
    stop.cancel();
    once(&mut parts.cycle, &parts.publisher, Trigger::Scheduled, &stop).await.expect("a cycle");
    let (policy, _) = parts
        .knowledge
        .get::<Policy>(&pending.id.to_string())
        .await
        .expect("the store")
        .expect("it");
    assert_eq!(policy.approval, Approval::Approved);
    assert!(world.changes().is_empty());
    drop(parts);
    world.start().await;
    world.until("executed", async || !world.changes().is_empty()).await;
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}
