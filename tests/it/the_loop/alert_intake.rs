//! What alerts mean that other senders write: Grafana's missing data, severity words, labels beyond every bound.

use serde_json::{Value, json};

use super::world::World;
use crate::support::tools::root;

/// The alert of a recorded payload.
fn recorded(file: &str) -> Value {
    let path = root().join("tests/fixtures/alertmanager").join(file);
    let text = std::fs::read_to_string(&path).expect("a fixture");
    let payload: Value = serde_json::from_str(&text).expect("JSON");
    payload["alerts"][0].clone()
}

/// W02: Grafana's alerts about missing data carry every label of their rule; whether Alertmanager lists them or Grafana posts
/// them itself, they are one `data_missing` and no call. The same labels under the rule's own name are acted on.
#[tokio::test]
async fn w02_grafanas_no_data_and_error_are_one_data_missing_and_no_call() {
    let mut world = World::new().await;
    world.start().await;
    world.cycles(1).await;
    let (no_data, error) =
        (recorded("grafana_DatasourceNoData.json"), recorded("grafana_DatasourceError.json"));
    assert_eq!(no_data["labels"]["cause"], "validation_latency");
    world.alertmanager.state().fire("no-data", &no_data["labels"]);
    world.deliver("firing", "no-data", &no_data["labels"]).await;
    world.deliver("firing", "error", &error["labels"]).await;
    world.until("it is told", async || world.is_open("data_missing").await).await;
    world.cycles(4).await;
    assert_eq!(world.open_escalations().await, ["data_missing"]);
    assert_eq!(world.metric("mape_k_escalations_total{reason=\"data_missing\"}").await, 1);
    assert_eq!(world.violations().await.len(), 0);
    assert!(world.changes().is_empty());
    let open = world.items("needs?open=true").await.remove(0);
    assert!(
        open["detail"].as_str().is_some_and(|d| d.contains("Charter validation slow")),
        "{open}"
    );

    world.alertmanager.state().resolve("no-data");
    world.deliver("resolved", "no-data", &no_data["labels"]).await;
    world.deliver("resolved", "error", &error["labels"]).await;
    world.until("it is over", async || world.open_escalations().await.is_empty()).await;
    let mut labels = no_data["labels"].clone();
    labels["alertname"] = json!("Charter validation slow");
    world.alertmanager.state().fire("rule", &labels);
    world.deliver("firing", "rule", &labels).await;
    world.until("it is acted on", async || world.changes() == ["scale 5"]).await;
    world.stop().await;
}

/// W03: a word that means "somebody is to be called" is critical and acted on at once; one that nobody knows is a warning,
/// listed and counted.
#[tokio::test]
async fn w03_words_of_severity_are_understood_and_unknown_ones_are_warnings() {
    for word in ["page", "P1", "EMERGENCY", "Error"] {
        let mut world = World::new().await;
        world.start().await;
        world.cycles(1).await;
        let labels = json!({"alertname": "Slow", "severity": word, "cause": "validation_latency",
                            "component": "charter"});
        world.alertmanager.state().fire("slow", &labels);
        world.deliver("firing", "slow", &labels).await;
        world.until(word, async || world.changes() == ["scale 5"]).await;
        assert_eq!(
            world.metric("mape_k_wakeups_total{reason=\"critical_alert\"}").await,
            1,
            "{word}"
        );
        world.stop().await;
    }
    let mut world = World::new().await;
    world.start().await;
    world.cycles(1).await;
    for (name, word) in [("One", "purple"), ("Two", "purple"), ("Three", "ça brûle")] {
        let labels =
            json!({"alertname": name, "severity": word, "cause": "unheard_of", "component": "x"});
        world.alertmanager.state().fire(name, &labels);
        world.deliver("firing", name, &labels).await;
    }
    world.until("they are listed", async || world.violations().await.len() == 3).await;
    world.cycles(3).await;
    assert!(world.violations().await.iter().all(|v| v["severity"] == "warning"));
    assert_eq!(world.metric("mape_k_alerts_unknown_severity_total").await, 3);
    world.stop().await;
}

/// An alert too large to keep is counted, shown by its name and, when critical, told to people; never acted on.
#[tokio::test]
async fn an_alert_too_large_to_keep_is_counted_and_a_persons_when_it_is_critical() {
    let mut world = World::new().await;
    world.start().await;
    world.cycles(1).await;
    let large = |name: &str, severity: &str, padding: usize| {
        json!({"alertname": name, "severity": severity, "cause": "validation_latency", "component": "charter",
               "query": "x".repeat(padding)})
    };
    for (name, severity) in [("TooLarge", "page"), ("TooLargeAndMild", "warning")] {
        let labels = large(name, severity, 20_000);
        world.alertmanager.state().fire(name, &labels);
        world.deliver("firing", name, &labels).await;
    }
    // Many labels of a few bytes each; only the webhook has it.
    let mut many = large("TooMany", "critical", 1);
    for n in 0..200 {
        many[format!("label_{n}")] = json!("v");
    }
    world.deliver("firing", "TooMany", &many).await;
    world
        .until("the critical ones are told", async || {
            world.open_escalations().await == ["unknown_alert", "unknown_alert"]
        })
        .await;
    world.cycles(4).await;
    let open = world.items("needs?open=true").await;
    let mut subjects: Vec<&str> = open.iter().filter_map(|e| e["subject"].as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["TooLarge", "TooMany"]);
    assert_eq!(world.metric("mape_k_alerts_too_large_total").await, 3);
    let (_, state) = world.get("/api/v1/state").await;
    let shown = state["alerts"].as_array().expect("alerts");
    assert_eq!(shown.iter().filter(|a| a["class"] == "too_large").count(), 3, "{shown:?}");
    assert!(world.changes().is_empty());

    for name in ["TooLarge", "TooLargeAndMild"] {
        world.alertmanager.state().resolve(name);
    }
    for (name, labels) in [("TooLarge", large("TooLarge", "page", 20_000)), ("TooMany", many)] {
        world.deliver("resolved", name, &labels).await;
    }
    world.until("they are over", async || world.open_escalations().await.is_empty()).await;
    let small = large("Small", "page", 1_000);
    world.alertmanager.state().fire("small", &small);
    world.deliver("firing", "small", &small).await;
    world.until("it is acted on", async || world.changes() == ["scale 5"]).await;
    world.stop().await;
}
