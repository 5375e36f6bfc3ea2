//! A66: what must not happen when an action does not help, is not needed, or cannot be judged.

use std::time::Duration;

use mape_k::domain::action::ActionKind;
use mape_k::domain::outcome::{OutcomeType, PendingVerification};
use mape_k::domain::time::Time;
use serde_json::json;

use super::fakes::Mood;
use super::world::World;

/// A66: remedies that do not help are judged so, tried no fourth time, and then a person is told and nothing is called.
#[tokio::test]
async fn a66_useless_remedies_are_given_up_and_told() {
    let mut world = World::new().await;
    world.start().await;
    world.latency(1.5);
    world.until("no remedy is left", async || world.is_open("remedies_exhausted").await).await;
    let tried = ["scale 5", "throttle_requests", "throttle_requests", "throttle_requests"]
        .map(String::from);
    assert_eq!(world.changes(), tried);
    world.cycles(6).await;
    assert_eq!(world.changes(), tried, "called again after it had given up");
    let outcomes = world.items("outcomes").await;
    assert_eq!(outcomes.len(), 4);
    assert!(outcomes.iter().all(|o| o["outcome_type"] == "ineffective"), "{outcomes:?}");
    assert_eq!(
        world.open_escalations().await,
        ["budget", "ineffective", "ineffective", "remedies_exhausted"],
        "one for each action, one for the hour's budget, and one for the end: {:#?}",
        world.items("needs?open=true").await
    );
    let opened = "mape_k_escalations_total{reason=\"ineffective\"}";
    assert_eq!(world.metric(opened).await, 2);
    for escalation in world.items("needs?open=true").await {
        assert!(escalation["times_seen"].as_u64() >= Some(1), "{escalation}");
    }
    world.stop().await;
}

/// A66: what heals by itself is left alone.
#[tokio::test]
async fn a66_a_fault_that_heals_first_is_left_alone() {
    let mut world = World::new().await;
    world.interval(Duration::from_secs(1));
    world.start().await;
    world.latency(1.5);
    world.until("it is seen", async || !world.violations().await.is_empty()).await;
    world.latency(0.2);
    world.until("it is over", async || world.violations().await.is_empty()).await;
    world.cycles(2).await;
    assert!(world.changes().is_empty());
    assert!(world.items("policies").await.is_empty());
    assert!(world.items("needs").await.is_empty());
    world.stop().await;
}

/// A66: a restart between action and verdict neither repeats the action nor judges it twice.
#[tokio::test]
async fn a66_a_restart_before_the_verdict_makes_one_outcome_and_no_second_call() {
    tokio::join!(restarted_before_the_verdict(true), restarted_before_the_verdict(false));
}

async fn restarted_before_the_verdict(orderly: bool) {
    let mut world = World::new().await;
    world.on_disk();
    // A busy machine starts again within it too.
    world.config.execute.settle.insert(ActionKind::ScaleUp, Duration::from_secs(20));
    world.start().await;
    world.latency(1.5);
    world.until("its end is recorded", async || completed(&world).await == 1).await;
    if orderly {
        world.stop().await;
    } else {
        world.crash().await;
    }
    world.start().await;
    world.cycles(2).await;
    let held = world.verdict_on("scale_up").await;
    assert_eq!((&held["verdict"], &held["reason"]), (&json!("held"), &json!("judging")));
    world.latency(0.2);
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    world.cycles(3).await;
    let outcomes = world.items("outcomes").await;
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0]["outcome_type"], "success");
    assert_eq!(world.changes(), ["scale 5"], "orderly: {orderly}");
    assert!(world.items("needs").await.is_empty());
    world.stop().await;
}

async fn completed(world: &World) -> usize {
    let executions = world.items("executions").await;
    executions.iter().filter(|e| e["status"] == "completed").count()
}

/// A66: without metrics there is no verdict; back in time, the second good cycle judges by its own samples.
#[tokio::test]
async fn a66_metrics_back_in_time_are_judged_in_the_second_good_cycle() {
    let mut world = World::new().await;
    world.start().await;
    let due = blinded_after_the_action(&mut world).await;
    world.until("it is past due", async || world.now() > due).await;
    world.cycles(2).await;
    assert!(world.items("outcomes").await.is_empty(), "judged without data");
    world.latency(0.2);
    let back_at = world.now();
    world.prometheus.be(Mood::Well).await;
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    let outcome = &world.items("outcomes").await[0];
    assert_eq!(outcome["outcome_type"], "success");
    let judged_at: Time = serde_json::from_value(outcome["judged_at"].clone()).expect("a time");
    let reports = world.reports().await;
    let good: Vec<Time> = reports
        .iter()
        .filter(|r| r.started_at > back_at && r.error.is_none())
        .map(|r| r.started_at)
        .collect();
    assert!(judged_at >= good[1], "judged at {judged_at}, good cycles began at {good:?}");
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// A66: metrics that come too late make the verdict unknown, which a person is told.
#[tokio::test]
async fn a66_metrics_that_stay_away_make_the_verdict_unknown() {
    let mut world = World::new().await;
    world.config.knowledge.judge_limit = Duration::from_millis(900);
    world.start().await;
    blinded_after_the_action(&mut world).await;
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    let outcome = &world.items("outcomes").await[0];
    assert_eq!(outcome["outcome_type"], json!(OutcomeType::Unknown.as_str()), "{outcome}");
    assert!(world.is_open("outcome_unknown").await);
    world.cycles(3).await;
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// Prometheus is gone as soon as Charter has been called; returns when the verdict is due.
async fn blinded_after_the_action(world: &mut World) -> Time {
    world.latency(1.5);
    world.until("scaled", async || !world.changes().is_empty()).await;
    world.prometheus.be(Mood::Gone).await;
    world.until("its end is recorded", async || completed(world).await == 1).await;
    world.cycles(1).await;
    let verifications =
        world.knowledge().all::<PendingVerification>(None).await.expect("the store");
    verifications[0].settled_at
}

/// R05: what was tried counts for as long as its incident is open, however long the cause itself has been away.
#[tokio::test]
async fn r05_attempts_count_until_the_incident_is_resolved() {
    let mut world = World::new().await;
    let gap = Duration::from_millis(500);
    world.config.plan.incident_gap = gap;
    world.config.plan.guardrails.actions_per_incident = 1;
    // It keeps the incident of Charter open, and nothing treats it.
    world.rule_without_cause("odd");
    world.set("odd", &json!({"component": "charter"}), 1.0);
    world.start().await;
    world.latency(1.5);
    world.until("scaled", async || world.changes() == ["scale 5"]).await;
    world.latency(0.2);
    world.until("verified", async || !world.items("outcomes").await.is_empty()).await;
    let is_slow = async || world.violations().await.iter().any(|v| v["rule"] != "odd");
    world.until("fast again", async || !is_slow().await).await;
    let since = std::time::Instant::now();
    world.until("the gap is over", async || since.elapsed() > gap * 2).await;
    world.cycles(1).await;
    assert_eq!(world.items("incidents?open=true").await.len(), 1, "it is still open");

    world.latency(1.5);
    world.until("a person has it", async || world.is_open("remedies_exhausted").await).await;
    let needs = world.items("needs?open=true").await;
    assert_eq!(world.changes(), ["scale 5"], "{needs:#?}");
    world.stop().await;
}
