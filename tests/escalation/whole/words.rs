//! W03, W04: words that nobody has seen reach people with their cause, and are counted once.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::town::Town;
use crate::notify::fake_slack::Asked;

/// A replica of payments that has waited for this for half an hour.
fn waiting(reason: &str) -> Value {
    let since = (Utc::now() - TimeDelta::minutes(30)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "payments-6d4b8c7f95-x2x2x", "namespace": "shop", "uid": "x", "creationTimestamp": since,
            "labels": { "app": "payments", "pod-template-hash": "6d4b8c7f95" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "payments-6d4b8c7f95", "uid": "r", "controller": true }] },
        "spec": { "nodeName": "n1", "containers": [{ "name": "app" }] },
        "status": { "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": since }],
            "containerStatuses": [{ "name": "app", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": reason, "message": "restoring from node n7" } } }] },
    })
}

#[tokio::test]
async fn w03_an_unknown_waiting_reason_reaches_people_with_its_words_and_is_counted_once() {
    const COUNTED: &str = "mape_k_cluster_unknown_words_total{kind=\"waiting_reason\"}";
    let town = Town::new().await;
    town.deployment("payments", 0, 1, 30);
    town.api.put(waiting("CheckpointRestoring"));
    let mut running = town.start().await;
    running.cycle_until("it is told", |report| report.escalation_decision.is_some()).await;
    for _ in 0..3 {
        running.cycle().await;
    }
    let told: String = town.posted().iter().map(Asked::shown).collect();
    assert!(told.contains("CheckpointRestoring: restoring from node n7"), "{told}");
    assert!((running.metric(COUNTED) - 1.0).abs() < f64::EPSILON, "once, however many cycles");

    // Twin: a word that is known.
    town.api.put(waiting("ContainerCreating"));
    for _ in 0..3 {
        running.cycle().await;
    }
    assert!((running.metric(COUNTED) - 1.0).abs() < f64::EPSILON);
    running.stop().await;
}
