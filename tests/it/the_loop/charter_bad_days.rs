//! A Charter that refuses, hangs, talks nonsense or does not know us, as the loop lives through it: every failure is
//! told in log, API and metrics, and nothing is repeated without end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mape_k::actuators::charter::Call;
use reqwest::StatusCode;
use serde_json::json;

use super::world::World;
use crate::fake_charter::StrategyOrder;

/// More turns than any test plays.
const ALWAYS: usize = 100;

/// What Charter refuses is told and not sent again; the next remedy's turn comes, and then a person's.
#[tokio::test]
async fn a_refusing_charter_is_asked_once_for_each_remedy() {
    let mut world = World::new().await;
    let refusal =
        StrategyOrder::Answer(400, json!({"error": "the committee is frozen", "code": "frozen"}));
    for call in [Call::Scale, Call::Apply] {
        world.charter.script(call, std::iter::repeat_n(refusal.clone(), ALWAYS));
    }
    world.start().await;
    world.latency(1.5);
    world.until("no remedy is left", async || world.is_open("remedies_exhausted").await).await;
    world.cycles(5).await;
    assert_eq!(world.changes(), ["scale 5", "throttle_requests"]);
    assert_eq!(world.open_escalations().await, ["action_failed", "remedies_exhausted"]);
    for execution in world.items("executions").await {
        assert_eq!(execution["status"], "failed");
        let error = execution["error"].to_string();
        assert!(error.contains("400") && error.contains("the committee is frozen"), "{error}");
    }
    assert_eq!(world.metric("mape_k_policy_executions_total{status=\"failed\"}").await, 2);
    assert_eq!(world.metric("mape_k_escalations_total{reason=\"action_failed\"}").await, 1);
    assert!(world.items("outcomes").await.is_empty(), "what was never done is not judged");
    world.stop().await;
}

/// One that never answers a change, or answers it with a page of something else: bounded tries under one key each,
/// told, and then it is left alone.
#[tokio::test]
async fn a_charter_that_hangs_or_answers_nonsense_is_tried_a_bounded_number_of_times() {
    tokio::join!(
        stubborn("hanging", &StrategyOrder::Hang),
        stubborn("nonsense", &StrategyOrder::Nonsense(200))
    );
}

async fn stubborn(what: &str, turn: &StrategyOrder) {
    let mut world = World::new().await;
    world.config.execute.timeout_seconds = Duration::from_millis(200);
    world.config.execute.policy_timeout = Duration::from_secs(2);
    for call in [Call::Scale, Call::Apply] {
        world.charter.script(call, std::iter::repeat_n(turn.clone(), ALWAYS));
    }
    world.start().await;
    world.latency(1.5);
    world
        .until("a person is told", async || {
            let open = world.open_escalations().await;
            let last = open.iter().any(|r| r == "remedies_exhausted");
            last && open.iter().any(|r| r == "action_failed")
        })
        .await;
    let told_after = world.changes().len();
    world.cycles(8).await;
    println!("{what}: {:?}, open {:?}", world.changes(), world.open_escalations().await);
    assert_eq!(world.changes().len(), told_after, "it went on after a person was told");
    let mut tries: BTreeMap<(String, String), BTreeMap<String, usize>> = BTreeMap::new();
    for seen in world.charter.seen().iter().filter(|s| [Call::Scale, Call::Apply].contains(&s.call))
    {
        let key = seen.key.clone().expect("every change carries a key");
        let asked = (format!("{:?}", seen.call), key.clone());
        *tries.entry(asked).or_default().entry(seen.body.clone()).or_default() += 1;
    }
    assert!(tries.values().flat_map(BTreeMap::values).all(|n| *n <= 3), "{tries:?}");
    assert!(tries.values().all(|bodies| bodies.len() == 1), "one key, one request: {tries:?}");
    let scale_keys: BTreeSet<_> = tries.keys().filter(|(call, _)| call == "Scale").collect();
    assert!(scale_keys.len() <= 3, "{tries:?}");
    for execution in world.items("executions").await {
        assert_eq!(execution["status"], "failed");
        assert!(execution["error"].is_string());
    }
    assert!(world.metric("mape_k_policy_executions_total{status=\"failed\"}").await >= 1);
    world.stop().await;
}

/// A wrong key is said clearly wherever one looks, costs one read a cycle and changes nothing.
#[tokio::test]
async fn a_charter_that_does_not_know_us_is_named_and_not_stormed() {
    let mut world = World::new().await;
    world.charter.world().api_key = Some("the right one".to_owned());
    world.start().await;
    world.latency(1.5);
    world.cycles(6).await;
    let (status, health) = world.get("/health").await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &json!("degraded")));
    let detail = health["components"]["charter"]["detail"].to_string();
    assert!(detail.contains("401") && detail.contains("charter_api_key"), "{detail}");
    let (_, state) = world.get("/api/v1/state").await;
    assert!(state["last_error"].to_string().contains("401"), "{state}");
    assert_eq!(world.get("/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let refused = "mape_k_charter_calls_total{call=\"committee_state\",result=\"refused\"}";
    let (asked, cycles) = (world.metric(refused).await, world.iteration());
    assert!(asked <= cycles + 1, "{asked} refused reads in {cycles} cycles");
    let held = world.verdict_on("scale_up").await;
    assert_eq!(held["reason"], "charter_unreachable", "{held}");
    assert!(world.charter.seen().iter().all(|seen| seen.method == "GET"));
    world.stop().await;
}
