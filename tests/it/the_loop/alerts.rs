//! A67: alerts that are no reason to act, and violations that are no reason to act on.

use std::time::Duration;

use mape_k::domain::Labels;
use serde_json::{Value, json};

use super::world::World;

/// A67: foreign, own, silenced and ignored alerts: no violation, no call, nobody called; each is counted or shown.
#[tokio::test]
async fn a67_foreign_own_silenced_and_ignored_alerts_move_nothing() {
    let mut world = World::new().await;
    world.config.monitor.scope = Labels::from([("cluster".to_owned(), "ours".to_owned())]);
    world.start().await;
    world.cycles(1).await;
    let alert = |name: &str, more: Value| {
        let mut labels = json!({"alertname": name, "severity": "critical", "cause": "validation_latency",
                                "component": "charter"});
        let more = more.as_object().expect("labels").clone();
        labels.as_object_mut().expect("labels").extend(more);
        labels
    };
    let foreign = alert("HighLatency", json!({"cluster": "theirs"}));
    let own = alert("MapeKDegraded", json!({"origin": "mape-k"}));
    let ignored = alert("Watchdog", json!({}));
    let silenced = alert("HandledAlready", json!({}));
    world.alertmanager.state().fire("foreign", &foreign);
    world.alertmanager.state().fire("own", &own);
    world.alertmanager.state().fire("ignored", &ignored);
    world.alertmanager.state().silence("silenced", &silenced);
    for (fingerprint, labels) in
        [("foreign", &foreign), ("own", &own), ("ignored", &ignored), ("silenced", &silenced)]
    {
        world.deliver("firing", fingerprint, labels).await;
    }
    world.cycles(4).await;
    let (_, state) = world.get("/api/v1/state").await;
    let shown = state["alerts"].as_array().expect("alerts");
    assert!(
        shown.iter().any(|a| a["name"] == "HighLatency" && a["class"] == "foreign"),
        "{shown:?}"
    );
    assert_eq!(world.metric("mape_k_alerts_total{outcome=\"own\"}").await, 1);
    assert_eq!(world.metric("mape_k_alerts_total{outcome=\"ignored\"}").await, 1);
    assert_eq!(world.metric("mape_k_alerts_received_total").await, 4);
    assert_eq!(world.violations().await.len(), 0);
    assert_eq!(world.items("needs").await.len(), 0);
    assert!(world.changes().is_empty());
    world.stop().await;
}

/// A critical alert without a known cause is for a person until it is over; Charter is not called.
#[tokio::test]
async fn an_unknown_critical_alert_is_escalated_until_it_is_over() {
    let mut world = World::new().await;
    world.start().await;
    world.cycles(1).await;
    let labels = json!({"alertname": "DiskFull", "severity": "critical", "component": "charter"});
    world.alertmanager.state().fire("disk", &labels);
    world.deliver("firing", "disk", &labels).await;
    world.until("it is escalated", async || world.is_open("unknown_alert").await).await;
    world.cycles(3).await;
    assert_eq!(world.metric("mape_k_escalations_total{reason=\"unknown_alert\"}").await, 1);
    world.alertmanager.state().resolve("disk");
    world.deliver("resolved", "disk", &labels).await;
    world.until("it is closed", async || world.open_escalations().await.is_empty()).await;
    assert!(world.changes().is_empty());
    world.stop().await;
}

/// A67: what keeps coming back is planned for by nobody, told once, and active until it has been clear for long.
#[tokio::test]
async fn a67_a_flapping_violation_is_told_once_and_left_alone() {
    let mut world = World::new().await;
    // Returns are counted over this time; a busy machine must not stretch them out of it.
    world.config.analyze.flapping.window = Duration::from_mins(2);
    world.config.analyze.flapping.clear = Duration::from_secs(2);
    world.config.plan.incident_gap = Duration::from_secs(2);
    world.start().await;
    world.cycles(1).await;
    for _ in 0..3 {
        world.latency(1.5);
        world.until("broken", async || !world.violations().await.is_empty()).await;
        world.latency(0.2);
        world.until("clear", async || world.violations().await.is_empty()).await;
    }
    world.latency(1.5);
    world.until("it is told", async || world.is_open("flapping").await).await;
    world.cycles(5).await;
    assert_eq!(world.violations().await[0]["flapping"], true);
    assert_eq!(world.open_escalations().await, ["flapping"]);
    assert_eq!(world.metric("mape_k_escalations_total{reason=\"flapping\"}").await, 1);
    world.latency(0.2);
    world.cycles(1).await;
    assert_eq!(world.violations().await.len(), 1, "clear for a moment only");
    world.until("clear for long", async || world.violations().await.is_empty()).await;
    world.until("it is closed", async || world.open_escalations().await.is_empty()).await;
    assert!(world.changes().is_empty());
    world.stop().await;
}

/// A67: two systems behind one plan, and nothing says which is ours: nothing is called, a person is told.
#[tokio::test]
async fn a67_an_ambiguous_scope_is_told_and_nothing_is_called() {
    let mut world = World::new().await;
    for job in ["charter-a", "charter-b"] {
        world.set(
            "westworld_charter_validation_latency_seconds",
            &json!({"validation_type": "policy", "job": job}),
            1.5,
        );
    }
    world.start().await;
    world.until("it is told", async || world.is_open("ambiguous_scope").await).await;
    world.cycles(4).await;
    assert_eq!(world.open_escalations().await, ["ambiguous_scope"]);
    let detail = world.items("needs?open=true").await[0]["detail"].to_string();
    assert!(
        detail.contains("charter-a, charter-b") && detail.contains("monitor.scope"),
        "{detail}"
    );
    assert!(world.changes().is_empty());
    assert!(world.items("policies").await.is_empty());
    world.stop().await;
}

/// A67: an alert that names a rule is no violation beside the rule's: whichever comes first, and however long it lasts,
/// there is one, and it clears with the rule.
#[tokio::test]
async fn a67_an_alert_and_its_rule_are_one_violation() {
    let mut world = World::new().await;
    world.ask_first();
    let labels = json!({"alertname": "SlowValidation", "severity": "critical", "rule": "validation_latency"});
    world.start().await;
    world.cycles(1).await;
    // Alert first.
    world.alertmanager.state().fire("slow", &labels);
    world.deliver("firing", "slow", &labels).await;
    world.cycles(2).await;
    assert_eq!(world.violations().await.len(), 0, "the rule's own reading decides");
    world.latency(1.5);
    world.cycles(2).await;
    only_the_rule(&world.violations().await);
    // The alert outlasts the rule.
    world.latency(0.2);
    world.cycles(1).await;
    assert_eq!(world.violations().await.len(), 0, "cleared with the rule");
    world.cycles(2).await;
    assert_eq!(world.violations().await.len(), 0);
    world.alertmanager.state().resolve("slow");
    world.deliver("resolved", "slow", &labels).await;
    // Rule first.
    world.latency(1.5);
    world.cycles(1).await;
    world.alertmanager.state().fire("slow again", &labels);
    world.deliver("firing", "slow again", &labels).await;
    world.cycles(2).await;
    only_the_rule(&world.violations().await);
    assert!(world.changes().is_empty());
    world.stop().await;
}

fn only_the_rule(violations: &[Value]) {
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0]["source"], "prometheus");
    assert_eq!(violations[0]["rule"], "validation_latency");
    assert_eq!(violations[0]["severity"], "warning", "the rule's severity, not the alert's");
}

/// Missing data is never healthy: told after a while, for a rule that was there and for one that never was.
#[tokio::test]
async fn missing_data_is_told_until_it_is_back() {
    let mut world = World::new().await;
    world.rule_without_cause("never_exported");
    world.start().await;
    world.cycles(1).await;
    world.prometheus.state().remove("westworld_charter_failure_rate");
    world
        .until("both are told", async || {
            world.open_escalations().await == ["data_missing", "data_missing"]
        })
        .await;
    let open = world.items("needs?open=true").await;
    let mut subjects: Vec<&str> = open.iter().filter_map(|e| e["subject"].as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["failure_rate", "never_exported"]);
    let (status, health) = world.get("/health").await;
    assert_eq!((status.as_u16(), &health["status"]), (200, &json!("degraded")));
    let last = world.reports().await.pop().expect("a report");
    assert_eq!(serde_json::to_value(last.status).expect("JSON"), "completed", "never healthy");
    world.failure_rate("enforcer", 0.01);
    world.until("one is back", async || world.open_escalations().await == ["data_missing"]).await;
    world.set("never_exported", &json!({"component": "x"}), 0.0);
    world.until("both are back", async || world.open_escalations().await.is_empty()).await;
    assert!(world.changes().is_empty());
    world.stop().await;
}
