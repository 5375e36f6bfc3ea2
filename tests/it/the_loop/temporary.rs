//! S09: bypass, throttle and override end when they were meant to, whatever Charter does and whichever process is there
//! then; their verdict stands, and nothing that is not ours is touched.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use mape_k::actuators::charter::Call;
use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::expiring_action::ExpiringAction;
use mape_k::domain::outcome::{Outcome, PendingVerification};
use mape_k::domain::pause::Pause;
use mape_k::domain::time::Time;
use mape_k::executor::undo_key;
use mape_k::knowledge::{Fact, Knowledge};
use mape_k::planner::guardrails::Mode;
use serde_json::{Value, json};

use super::world::World;
use crate::fake_charter::StrategyOrder;

/// Longer than settling and judging take here, by far.
const LASTS: Duration = Duration::from_secs(12);

/// A world whose one remedy for latency is this temporary action. Its Charter ends nothing by itself.
async fn world(kind: ActionKind, lasts: Duration) -> World {
    let mut world = World::new().await;
    world.charter.world().ends_temporary = false;
    world.on_disk();
    world.dare();
    let strategies = &mut world.config.plan.strategies;
    let throttle = strategies.values().flatten().find(|s| s.action == ActionKind::ThrottleRequests);
    let mut remedy = throttle.expect("a shipped throttle").clone();
    remedy.action = kind;
    remedy.after = None;
    remedy.duration_seconds = Some(lasts);
    remedy.validation_type = (kind == ActionKind::BypassValidation).then(|| "schema".to_owned());
    strategies.insert(Cause::new(Cause::VALIDATION_LATENCY), vec![remedy]);
    world
}

async fn applied(world: &World) {
    world.latency(1.5);
    world.until("applied", async || world.changes().len() == 1).await;
    world.latency(0.2);
}

async fn judged(world: &World) {
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    assert_eq!(world.items("outcomes").await[0]["outcome_type"], "success");
    assert_eq!(action(world).await["state"], "judged", "in force still, so not closed");
    assert_eq!(followed(world).await, 1);
}

async fn action(world: &World) -> Value {
    world.items("executions").await.pop().expect("an execution")["actions"][0].clone()
}

async fn state_is(world: &World, state: &str) {
    world.until(state, async || action(world).await["state"] == state).await;
}

async fn followed(world: &World) -> usize {
    world.knowledge().all::<ExpiringAction>(None).await.expect("the store").len()
}

/// Rolled back once, under the undo's own key, and at its time.
fn rolled_back_once(world: &World) {
    let (applied, undone) =
        (world.charter.seen_of(Call::Apply), world.charter.seen_of(Call::Rollback));
    assert_eq!((applied.len(), undone.len()), (1, 1));
    let key = applied[0].key.as_ref().expect("a key").parse().expect("a UUID");
    assert_eq!(undone[0].key, Some(undo_key(key).to_string()));
    assert!(world.charter.policies().iter().all(|p| p["status"] == "rolled_back"));
}

#[tokio::test]
async fn s09_each_is_ended_at_its_expiry_by_us_if_charter_does_not() {
    let kinds = [
        (ActionKind::ThrottleRequests, "throttle_requests"),
        (ActionKind::BypassValidation, "bypass_validation"),
        (ActionKind::ActivateEmergencyOverride, "activate_emergency_override"),
    ];
    let runs = kinds.map(|(kind, name)| async move {
        let mut world = world(kind, LASTS).await;
        world.start().await;
        applied(&world).await;
        judged(&world).await;
        assert_eq!(world.changes(), [name], "before its time nothing is sent");
        state_is(&world, "undone").await;
        let action = action(&world).await;
        let time = |key: &str| action[key].as_str().and_then(|at| at.parse::<Time>().ok());
        assert!(time("ended_at") >= time("expires_at"), "too early: {action}");
        rolled_back_once(&world);
        world.cycles(3).await;
        assert_eq!(followed(&world).await, 0);
        assert_eq!(world.changes(), [name, "rollback"]);
        // Ending it is no failure, no second verdict, and nobody's business.
        assert_eq!(world.items("outcomes").await.len(), 1);
        assert_eq!(world.items("executions").await[0]["status"], "completed");
        assert_eq!(world.items("needs").await, Vec::<Value>::new());
        world.stop().await;
    });
    futures::future::join_all(runs).await;
}

#[tokio::test]
async fn s09_what_charter_ends_by_itself_is_closed_without_a_call() {
    let mut world = world(ActionKind::ThrottleRequests, LASTS).await;
    world.charter.world().ends_temporary = true;
    world.start().await;
    applied(&world).await;
    judged(&world).await;
    state_is(&world, "closed").await;
    assert_eq!((world.changes(), followed(&world).await), (vec!["throttle_requests".into()], 0));
    world.stop().await;
}

#[tokio::test]
async fn s09_it_is_ended_by_the_process_that_is_there_then() {
    let mut world = world(ActionKind::ThrottleRequests, LASTS).await;
    // Somebody else's, of the same kind and as long in force: never touched.
    let theirs = json!({"policy_id": "theirs", "status": "active", "action": "throttle_requests",
                        "rate_limit": 100, "duration_seconds": 1});
    world.charter.world().policies.push(theirs.clone());
    world.start().await;
    applied(&world).await;
    judged(&world).await;
    world.crash().await;
    tokio::time::sleep(LASTS).await;
    assert_eq!(world.changes(), ["throttle_requests"]);
    world.start().await;
    state_is(&world, "undone").await;
    world.cycles(3).await;
    assert_eq!(world.changes(), ["throttle_requests", "rollback"]);
    assert_eq!(world.charter.policies()[0], theirs);
    assert_eq!(world.charter.policies()[1]["status"], "rolled_back");
    world.stop().await;
}

/// Left by a process that died before it heard that it is in force: found, and ended all the same.
#[tokio::test]
async fn s09_one_that_a_dead_process_left_unknown_is_found_and_ended() {
    let mut world = world(ActionKind::ThrottleRequests, Duration::from_secs(3)).await;
    world.charter.script(Call::Apply, [StrategyOrder::DoThenHang]);
    world.config.execute.timeout_seconds = Duration::from_mins(1);
    world.config.execute.policy_timeout = Duration::from_mins(1);
    world.start().await;
    applied(&world).await;
    world.crash().await;
    world.start().await;
    state_is(&world, "undone").await;
    rolled_back_once(&world);
    world.cycles(2).await;
    assert_eq!(followed(&world).await, 0);
    world.stop().await;
}

/// Killed while it was being ended: gone on with, under the same key.
#[tokio::test]
async fn s09_an_end_that_was_cut_is_gone_on_with() {
    let mut world = world(ActionKind::ThrottleRequests, Duration::from_secs(3)).await;
    world.charter.script(Call::Rollback, [StrategyOrder::Hang]);
    world.config.execute.timeout_seconds = Duration::from_mins(1);
    world.config.execute.policy_timeout = Duration::from_mins(1);
    world.start().await;
    applied(&world).await;
    world.until("being ended", async || world.changes().len() == 2).await;
    world.crash().await;
    world.start().await;
    state_is(&world, "undone").await;
    let keys: Vec<_> = world.charter.seen_of(Call::Rollback).into_iter().map(|s| s.key).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
    assert_eq!(world.charter.world().effects.len(), 2, "applied once, ended once");
    world.stop().await;
}

/// Over before it could be judged: nothing is learned of it.
#[tokio::test]
async fn s09_one_that_is_over_before_its_verdict_spoils_no_statistics() {
    let mut world = world(ActionKind::ThrottleRequests, Duration::from_secs(1)).await;
    let settle = &mut world.config.execute.settle;
    settle.insert(ActionKind::ThrottleRequests, Duration::from_secs(20));
    world.start().await;
    applied(&world).await;
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    let outcome = world.items("outcomes").await.remove(0);
    assert_eq!(outcome["outcome_type"], "unknown");
    assert!(
        outcome["reason"].to_string().contains("ended before its result could be verified"),
        "{outcome}"
    );
    let (_, statistics) = world.get("/api/v1/statistics").await;
    let runs = statistics["knowledge"].as_array().into_iter().flatten().map(|s| &s["runs"]);
    assert!(runs.clone().all(|n| n == 0), "{statistics}");
    state_is(&world, "undone").await;
    assert_eq!(world.changes(), ["throttle_requests", "rollback"]);
    world.stop().await;
}

/// Its end took effect and the answer was lost with the process: seen in the list, not asked for again.
#[tokio::test]
async fn s09_an_end_that_took_effect_unseen_is_not_repeated() {
    let mut world = world(ActionKind::ThrottleRequests, Duration::from_secs(3)).await;
    world.charter.script(Call::Rollback, [StrategyOrder::DoThenHang]);
    world.config.execute.timeout_seconds = Duration::from_mins(1);
    world.config.execute.policy_timeout = Duration::from_mins(1);
    world.start().await;
    applied(&world).await;
    world.until("being ended", async || world.changes().len() == 2).await;
    world.crash().await;
    world.start().await;
    state_is(&world, "undone").await;
    rolled_back_once(&world);
    world.stop().await;
}

/// What passes is no end: told while it lasts, and ended as soon as Charter takes it, under the same key.
#[tokio::test]
async fn s09_a_passing_failure_of_its_end_is_gone_on_with() {
    let mut world = world(ActionKind::ThrottleRequests, LASTS).await;
    world.charter.script(Call::Rollback, vec![StrategyOrder::Answer(503, json!({})); 12]);
    world.start().await;
    applied(&world).await;
    judged(&world).await;
    world.until("told", async || world.is_open("outcome_unknown").await).await;
    assert_eq!(action(&world).await["state"], "undo_sent");
    assert_eq!(followed(&world).await, 1, "forgotten");
    state_is(&world, "undone").await;
    world.until("over", async || followed(&world).await == 0).await;
    let keys: BTreeSet<_> =
        world.charter.seen_of(Call::Rollback).into_iter().map(|s| s.key).collect();
    assert_eq!((keys.len(), world.charter.world().effects.len()), (1, 2));
    assert!(!world.is_open("breaker").await, "a passing failure is no failure");
    world.stop().await;
}

/// Paused between the decision to end it and the call.
#[tokio::test]
async fn s09_a_pause_while_it_is_being_ended_puts_the_end_off() {
    let mut world = world(ActionKind::ThrottleRequests, Duration::from_secs(3)).await;
    world.charter.script(Call::Rollback, [StrategyOrder::Answer(503, json!({}))]);
    world.start().await;
    applied(&world).await;
    world.until("being ended", async || !world.charter.seen_of(Call::Rollback).is_empty()).await;
    put_pause(&world, an_hour()).await;
    world.cycles(4).await;
    let sent = world.charter.seen_of(Call::Rollback).len();
    assert_eq!(action(&world).await["state"], "undo_sent");
    world.until("told", async || world.is_open("outcome_unknown").await).await;
    assert_eq!(world.charter.seen_of(Call::Rollback).len(), sent, "sent while paused");
    put_pause(&world, Value::Null).await;
    state_is(&world, "undone").await;
    world.stop().await;
}

/// A Charter that has forgotten its policies gave the id to somebody else's.
#[tokio::test]
async fn s09_an_id_that_is_somebody_else_s_by_now_is_closed_without_a_call() {
    for theirs in [
        None,
        Some(json!({"policy_id": "p-1", "status": "active",
                                     "action": "rebalance_load", "strategy": "round_robin"})),
    ] {
        let mut world = world(ActionKind::ThrottleRequests, LASTS).await;
        world.start().await;
        applied(&world).await;
        judged(&world).await;
        world.charter.world().policies = theirs.iter().cloned().collect();
        state_is(&world, "closed").await;
        world.cycles(2).await;
        assert_eq!(world.changes(), ["throttle_requests"]);
        assert_eq!(world.charter.policies(), theirs.into_iter().collect::<Vec<_>>());
        assert_eq!(followed(&world).await, 0);
        world.stop().await;
    }
}

/// Ended before its verdict, and then a crash: nothing is learned of it, and the verdict is not lost.
#[tokio::test]
async fn s09_one_that_was_ended_before_its_verdict_is_judged_after_a_crash() {
    let mut world = world(ActionKind::ThrottleRequests, Duration::from_secs(3)).await;
    let settle = &mut world.config.execute.settle;
    settle.insert(ActionKind::ThrottleRequests, Duration::from_mins(5));
    world.start().await;
    applied(&world).await;
    let verification =
        world.knowledge().all::<PendingVerification>(None).await.expect("the store").remove(0);
    state_is(&world, "undone").await;
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    world.stop().await;
    // As the store is when the process dies between the end and the verdict of the next cycle.
    let knowledge = Knowledge::open(&world.config.knowledge).await.expect("the store");
    let mut batch = knowledge.batch();
    for outcome in knowledge.all::<Outcome>(None).await.expect("the store") {
        batch.delete::<Outcome>(outcome.id.to_string());
    }
    batch.put(&verification);
    knowledge.commit(batch).await.expect("a commit");
    knowledge.close().await;
    world.start().await;
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    assert_eq!(world.items("outcomes").await[0]["outcome_type"], "unknown");
    assert!(!world.is_open("action_failed").await, "it did not fail");
    world.stop().await;
}

/// A rollback that Charter refuses is told once, for as long as it is in force, and left to a person.
#[tokio::test]
async fn s09_an_end_that_fails_is_told_once() {
    let mut world = world(ActionKind::ThrottleRequests, LASTS).await;
    let refusal = StrategyOrder::Answer(403, json!({"error": "frozen", "code": "frozen"}));
    world.charter.script(Call::Rollback, vec![refusal; 10]);
    world.config.plan.incident_gap = Duration::from_secs(1);
    world.start().await;
    applied(&world).await;
    judged(&world).await;
    state_is(&world, "undo_failed").await;
    let quiet = world.now() + TimeDelta::seconds(3);
    world.until("quiet for long", async || world.now() > quiet).await;
    world.cycles(6).await;
    assert_eq!(world.changes(), ["throttle_requests", "rollback"]);
    assert_eq!(world.open_escalations().await, ["breaker", "outcome_unknown"]);
    let told = world.items("needs?open=true").await;
    let about = told.iter().find(|e| e["reason"] == "outcome_unknown").expect("just seen");
    assert!(about["detail"].to_string().contains("frozen"), "{about}");
    assert_eq!(world.metric("mape_k_escalations_total{reason=\"outcome_unknown\"}").await, 1);
    // Told anew by the next process too; over when a person has ended it.
    world.stop().await;
    world.start().await;
    world.cycles(6).await;
    assert!(world.is_open("outcome_unknown").await, "forgotten by a restart");
    world.charter.world().policies[0]["status"] = json!("rolled_back");
    world.until("closed", async || !world.is_open("outcome_unknown").await).await;
    assert_eq!(world.changes(), ["throttle_requests", "rollback"]);
    world.stop().await;
}

/// Charter says that it rolled it back, and lists it as in force: a person is told, and nothing is sent for it again.
#[tokio::test]
async fn s09_what_is_in_force_against_the_journal_is_told() {
    let mut world = world(ActionKind::ThrottleRequests, Duration::from_secs(3)).await;
    world.charter.script(Call::Rollback, [StrategyOrder::Answer(200, json!({}))]);
    world.start().await;
    applied(&world).await;
    state_is(&world, "undone").await;
    world.stop().await;
    world.start().await;
    world.until("told", async || world.is_open("outcome_unknown").await).await;
    let told = world.items("needs?open=true").await;
    assert!(told[0]["detail"].to_string().contains("p-1"), "{told:?}");
    world.cycles(3).await;
    assert_eq!(world.changes(), ["throttle_requests", "rollback"]);
    world.stop().await;
}

#[tokio::test]
async fn s09_while_a_person_s_pause_holds_nothing_is_ended() {
    let mut world = world(ActionKind::ThrottleRequests, Duration::from_secs(3)).await;
    world.start().await;
    applied(&world).await;
    put_pause(&world, an_hour()).await;
    world.until("told that it is overdue", async || world.is_open("outcome_unknown").await).await;
    let told = world.items("needs?open=true").await;
    let about = told.iter().find(|e| e["reason"] == "outcome_unknown").expect("just seen");
    assert!(about["detail"].to_string().contains("should have ended"), "{about}");
    assert_eq!(world.changes(), ["throttle_requests"]);
    put_pause(&world, Value::Null).await;
    state_is(&world, "undone").await;
    world.stop().await;
}

#[tokio::test]
async fn s09_mode_observe_ends_nothing() {
    let mut world = world(ActionKind::ThrottleRequests, Duration::from_secs(3)).await;
    world.start().await;
    applied(&world).await;
    world.crash().await;
    world.config.plan.guardrails.mode = Mode::Observe;
    tokio::time::sleep(Duration::from_secs(4)).await;
    world.start().await;
    world.cycles(4).await;
    assert_eq!(world.changes(), ["throttle_requests"]);
    world.stop().await;
}

fn an_hour() -> Value {
    let now = Utc::now();
    let until = now + TimeDelta::hours(1);
    let pause = Pause { by: "alice".into(), reason: "look".into(), since: now, until };
    serde_json::to_value(pause).expect("JSON")
}

async fn put_pause(world: &World, value: Value) {
    let mut batch = world.knowledge().batch();
    batch.put(&Fact { name: Fact::PAUSE.to_owned(), value, at: Utc::now() });
    world.knowledge().commit(batch).await.expect("a commit");
}
