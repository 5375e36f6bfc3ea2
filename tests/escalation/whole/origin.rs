//! B38: what we escalate through an Alertmanager may come back to our own webhook, and is nothing new there.

use std::time::Duration;

use mape_k::domain::time::Time;
use serde_json::{Value, json};

use super::town::Town;
use crate::support::alertmanager::Alertmanager;
use crate::support::eventually::eventually;
use crate::support::ports::free_port;

const WITHIN: Duration = Duration::from_mins(1);

/// A route as a user may have it by mistake: everything to our own webhook.
fn everything_to(webhook: &str) -> Value {
    json!({
        "route": {"receiver": "mape-k", "group_by": ["..."], "group_wait": "100ms", "group_interval": "200ms",
                  "repeat_interval": "1s"},
        "receivers": [{"name": "mape-k", "webhook_configs": [{"url": webhook, "send_resolved": true}]}],
    })
}

#[tokio::test]
async fn b38_an_escalation_that_comes_back_by_the_webhook_is_no_new_violation() {
    let mut town = Town::new().await;
    town.deployment("payments", 0, 2, 3);
    let port = free_port();
    let webhook = format!("http://127.0.0.1:{port}/webhooks/alerts");
    let alertmanager = Alertmanager::start_with(&everything_to(&webhook)).await;
    let config = &mut town.loops.config;
    config.alertmanager.webhook_port = port;
    config.alertmanager.url = alertmanager.server.url().parse().expect("a URL");
    config.notify.alertmanager.enabled = true;
    town.loops.start().await;
    let ours = eventually(WITHIN, "our alert is there", async || {
        let alerts = alertmanager.alerts().await?;
        alerts.first().cloned().ok_or("none yet".to_owned())
    })
    .await;
    assert_eq!(ours["labels"]["origin"], "mape-k", "{ours:#}");
    assert_eq!(ours["labels"]["service"], "payments");
    let counted = async |outcome: &str| {
        town.loops.metric(&format!("mape_k_alerts_total{{outcome=\"{outcome}\"}}")).await
    };
    town.loops.until("it came back", async || counted("own").await > 0).await;
    town.loops.cycles(5).await;
    assert_eq!(counted("accepted").await, 0, "nothing was taken in");
    let sources: Vec<Value> =
        town.loops.items("violations").await.iter().map(|v| v["source"].clone()).collect();
    assert_eq!(sources, ["kubernetes"], "what is wrong is what was wrong");
    assert_eq!(town.loops.items("incidents?open=true").await.len(), 1);
    assert_eq!(town.loops.open_escalations().await, Vec::<String>::new());
    // It is told as long as it lasts, and ends when it is over.
    let ends: Time = serde_json::from_value(ours["endsAt"].clone()).expect("a time");
    assert!(ends > town.loops.now());
    town.deployment("payments", 2, 2, 0);
    eventually(WITHIN, "it has ended there", async || {
        let alerts = alertmanager.alerts().await?;
        if alerts.is_empty() { Ok(()) } else { Err(format!("{alerts:#?}")) }
    })
    .await;
    town.loops.stop().await;
}
