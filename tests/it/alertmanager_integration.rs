//! A real Alertmanager with the shipped files: Prometheus' alerts arrive, a restart forgets them, nonsense is refused.
//! Its webhook into a cycle that heals is in `end_to_end::full_pipeline`, our own alerts there in `tests/escalation`.

use std::time::Duration;

use serde_json::json;

use crate::support::alertmanager::Alertmanager;
use crate::support::config::Targets;
use crate::support::eventually::eventually;
use crate::support::ports::free_port;
use crate::support::prometheus::{Pace, Prometheus};

const SOON: Duration = Duration::from_secs(30);

fn names(alerts: &[serde_json::Value]) -> Vec<&str> {
    alerts.iter().filter_map(|alert| alert["labels"]["alertname"].as_str()).collect()
}

/// The shipped rules see that nobody listens at Charter's address; the alert arrives at Alertmanager.
#[tokio::test]
async fn a_shipped_alert_travels_from_prometheus_to_alertmanager() {
    let alertmanager = Alertmanager::start("http://127.0.0.1:9/webhooks/alerts", None).await;
    let nobody = || format!("127.0.0.1:{}", free_port());
    let (charter, mape_k) = (nobody(), nobody());
    let targets = Targets {
        charter: &charter,
        mape_k: &mape_k,
        alertmanager: &alertmanager.server.address(),
    };
    let pace = Pace { interval: Some(Duration::from_secs(1)), rule_for: Some(Duration::ZERO) };
    let prometheus = Prometheus::start(&targets, &pace).await;

    let alert = eventually(SOON, "CharterAPIDown at Alertmanager", async || {
        let alerts = alertmanager.alerts().await?;
        let found =
            alerts.iter().find(|alert| alert["labels"]["alertname"] == "CharterAPIDown").cloned();
        found.ok_or_else(|| format!("{:?}\n{}", names(&alerts), prometheus.server.tail()))
    })
    .await;

    assert_eq!(alert["labels"]["instance"], charter.as_str());
    let receivers: Vec<&str> = alert["receivers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|receiver| receiver["name"].as_str())
        .collect();
    assert!(receivers.contains(&"mape-k"), "{receivers:?}");
}

/// Ground for the rule that an empty list after Alertmanager's own restart clears nothing.
#[tokio::test]
async fn alertmanager_forgets_its_alerts_in_a_restart() {
    let wait = Some(Duration::from_millis(100));
    let mut alertmanager = Alertmanager::start("http://127.0.0.1:9/webhooks/alerts", wait).await;
    let alert = json!([{ "labels": { "alertname": "Handmade", "severity": "warning" } }]);
    alertmanager.post_alerts(&alert).await.expect("the alert is taken");
    eventually(SOON, "the alert is listed", async || {
        let alerts = alertmanager.alerts().await?;
        if names(&alerts) == ["Handmade"] { Ok(()) } else { Err(format!("{alerts:?}")) }
    })
    .await;

    alertmanager.server.stop().await;
    alertmanager.server.start().await;

    assert_eq!(alertmanager.alerts().await, Ok(Vec::new()));
    let status = alertmanager.server.get("/api/v2/status").await.expect("a status");
    assert!(status["uptime"].is_string(), "{status}");
}

#[tokio::test]
async fn alertmanager_refuses_a_malformed_alert_with_its_reason() {
    let alertmanager = Alertmanager::start("http://127.0.0.1:9/webhooks/alerts", None).await;
    let refused = alertmanager.post_alerts(&json!([{ "labels": {} }])).await;
    assert!(refused.as_ref().is_err_and(|error| error.contains("400")), "{refused:?}");
}
