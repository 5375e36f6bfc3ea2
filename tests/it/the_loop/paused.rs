//! S04: a person pauses the daemon, and nothing reaches Charter that could change it, until they resume or it ends.

use std::time::Duration;

use mape_k::actuators::charter::Call;
use mape_k::knowledge::Fact;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::world::{World, verdict_on};
use crate::fake_charter::StrategyOrder;

async fn pause(world: &World, seconds: u64) -> Value {
    let body = json!({"by": "ada", "reason": "deploying", "duration_seconds": seconds});
    let (status, answer) = world.ask("/api/v1/pause", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

async fn state(world: &World) -> Value {
    world.get("/api/v1/state").await.1
}

/// Reading goes on; whatever else reaches Charter, validation included, breaks the test.
fn no_call_may_happen(world: &World) {
    let posted: Vec<_> =
        world.charter.seen().into_iter().filter(|seen| seen.method == "POST").collect();
    assert!(posted.is_empty(), "{posted:?}");
    assert!(!world.charter.seen_of(Call::CommitteeState).is_empty(), "it does observe");
}

#[tokio::test]
async fn s04_paused_it_observes_and_never_calls_and_a_restart_changes_nothing() {
    let mut world = World::new().await;
    world.on_disk();
    world.latency(1.5);
    world.start().await;
    // Maybe before the first cycle has ended.
    let answer = pause(&world, 3600).await;
    assert_eq!((&answer["replaced"], &answer["under_way"]), (&Value::Null, &json!([])));
    assert_eq!(answer["paused"]["by"], "ada");
    for _ in 0..2 {
        world.until("it is seen", async || !world.violations().await.is_empty()).await;
        world.cycles(8).await;
        no_call_may_happen(&world);
        assert_eq!(state(&world).await["paused"]["reason"], "deploying");
        assert_eq!(world.metric("mape_k_paused").await, 1);
        let (status, health) = world.get("/health").await;
        assert_eq!(
            (status, &health["components"]["loop"]["status"]),
            (StatusCode::OK, &json!("ok"))
        );
        let said = health["components"]["loop"]["detail"].as_str().expect("it is visible");
        assert!(said.contains("paused by ada") && said.contains("deploying"), "{said}");
        assert_eq!(world.items("executions").await, Vec::<Value>::new());
        assert!(!world.is_open("action_failed").await, "not acting on purpose is no failure");
        world.stop().await;
        world.start().await;
    }
    let (status, answer) = world.ask("/api/v1/resume", &json!({"by": "bob"})).await;
    assert_eq!((status, &answer["resumed"]["by"]), (StatusCode::OK, &json!("ada")));
    world.until("it acts again", async || !world.changes().is_empty()).await;
    assert_eq!(world.changes(), ["scale 5"]);
    assert_eq!(state(&world).await["paused"], Value::Null);
    world.until("the gauge", async || world.metric("mape_k_paused").await == 0).await;
    world.stop().await;
}

#[tokio::test]
async fn s04_a_pause_ends_by_itself() {
    let mut world = World::new().await;
    world.latency(1.5);
    world.start().await;
    // Real seconds: a person's pause is not scaled.
    let until = pause(&world, 4).await["paused"]["until"].clone();
    let until: mape_k::domain::time::Time = serde_json::from_value(until).expect("a time");
    world.until("it acts", async || !world.changes().is_empty()).await;
    assert!(world.now() >= until, "not before its end");
    assert_eq!(world.changes(), ["scale 5"]);
    assert_eq!(state(&world).await["paused"], Value::Null);
    // The cycle that acted may have begun while it held.
    world.until("the gauge", async || world.metric("mape_k_paused").await == 0).await;
    let (fact, _) = world.knowledge().get::<Fact>(Fact::PAUSE).await.expect("read").expect("there");
    assert_eq!(fact.value, Value::Null, "put away");
    world.stop().await;
}

/// The pause comes while the policy is being validated: the call behind it is not sent, and a person is told.
#[tokio::test]
async fn s04_a_pause_in_the_middle_of_an_execution_is_noticed_before_the_next_call() {
    let mut world = World::new().await;
    world.charter.script(Call::Validate, [StrategyOrder::Late(Duration::from_secs(1))]);
    world.latency(1.5);
    world.start().await;
    let validated = async || !world.charter.seen_of(Call::Validate).is_empty();
    world.until("it validates", validated).await;
    let answer = pause(&world, 3600).await;
    let execution = &world.items("executions").await[0];
    assert_eq!(answer["under_way"], json!([execution["id"]]));
    world.until("a person is told", async || world.is_open("action_failed").await).await;
    let execution = &world.items("executions").await[0];
    assert_eq!(
        (&execution["status"], &execution["approved_by"]),
        (&json!("failed"), &json!("auto"))
    );
    let error = execution["error"].as_str().expect("it says why");
    assert!(error.contains("not sent: paused by ada") && error.contains("deploying"), "{error}");
    world.cycles(4).await;
    assert!(world.changes().is_empty());
    world.stop().await;
}

/// A record that nobody can read is no leave to act: nothing is decided until a person has said it anew.
#[tokio::test]
async fn s04_a_damaged_pause_stops_everything_until_somebody_says_it_anew() {
    let mut world = World::new().await;
    world.start().await;
    world.cycles(1).await;
    let name = Fact::PAUSE.to_owned();
    let fact = Fact { name, value: json!({"by": 7}), at: world.now() };
    let mut batch = world.knowledge().batch();
    batch.put(&fact);
    world.knowledge().commit(batch).await.expect("stored");
    world.latency(1.5);
    world.cycles(6).await;
    no_call_may_happen(&world);
    let report = world.reports().await.pop().expect("a report");
    assert!(report.error.expect("it says why").contains("pause"));
    let (status, answer) = world.get("/api/v1/state").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer["error"].as_str().expect("a text").contains("record pause"), "{answer}");
    let (_, health) = world.get("/health").await;
    assert_eq!(health["status"], "degraded");

    assert_eq!(world.ask("/api/v1/resume", &json!({"by": "bob"})).await.0, StatusCode::OK);
    world.until("it acts", async || !world.changes().is_empty()).await;
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// Paused between the plan and its policy: the report does not call chosen what was never begun.
#[tokio::test]
async fn s04_what_was_chosen_before_the_pause_is_reported_as_held_by_it() {
    let mut world = World::new().await;
    world.config.analyze.algorithms.sustained.cycles = 1;
    world.config.plan.plan_threshold = 1;
    world.latency(1.5);
    // The first cycle looks at Charter's list when it has read everything else, the pause included.
    world.charter.script(Call::Policies, [StrategyOrder::Hang]);
    world.start().await;
    world.charter.hangs().await;
    pause(&world, 3600).await;
    world.cycles(1).await;
    let reports = world.reports().await;
    let verdict = verdict_on(&reports[0], "scale_up");
    assert_eq!((&verdict["verdict"], &verdict["reason"]), (&json!("held"), &json!("paused")));
    assert!(verdict["detail"].as_str().is_some_and(|said| said.contains("ada")), "{verdict}");
    assert_eq!(reports[0].execution_id, None);
    let (_, page) = world.get(&format!("/api/v1/explain/cycles/{}", reports[0].id)).await;
    let text = page["text"].as_str().expect("a text");
    assert!(text.contains("Nothing was done because a person has paused the loop"), "{text}");
    no_call_may_happen(&world);
    world.stop().await;
}
