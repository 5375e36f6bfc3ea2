//! What wakes the loop, and what a storm of it costs.

use std::time::Duration;

use mape_k::domain::action::ActionKind;
use mape_k::domain::cycle::Trigger;
use mape_k::domain::rule::Severity;
use mape_k::monitor::Handler;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::World;

/// A38: a critical alert starts a cycle within a second, whether a handler knows it or not; its end does not.
#[tokio::test]
async fn a38_a_critical_alert_wakes_the_loop_and_its_end_does_not() {
    let mut world = World::new().await;
    world.interval(Duration::from_mins(2));
    world.config.alertmanager.handlers = vec![Handler {
        pattern: "latency".to_owned(),
        cause: None,
        rule: Some("validation_latency".to_owned()),
        component: None,
        component_label: "component".to_owned(),
        target: None,
        // The rule it names is a warning: the handler says how urgent it is.
        severity: Some(Severity::Critical),
        ignore: false,
    }];
    world.config.alertmanager.handlers.push(Handler {
        pattern: "validator".to_owned(),
        cause: Some(mape_k::domain::Cause::new("validation_latency")),
        rule: None,
        severity: Some(Severity::Critical),
        ..world.config.alertmanager.handlers[0].clone()
    });
    world.start().await;
    world.until("the first cycle", async || world.iteration() == 1).await;
    let handled = json!({"alertname": "ValidatorSlow", "component": "charter"});
    let unhandled = json!({"alertname": "DiskFull", "severity": "critical"});
    for (n, (fingerprint, labels)) in [("a", &handled), ("b", &unhandled)].into_iter().enumerate() {
        world.alertmanager.state().fire(fingerprint, labels);
        let delivered = Instant::now();
        world.deliver("firing", fingerprint, labels).await;
        let expected = n as u64 + 2;
        world.until("a cycle", async || world.iteration() == expected).await;
        let took = delivered.elapsed();
        println!("from delivery to the end of the cycle it started: {} ms", took.as_millis());
        assert!(took < Duration::from_secs(10));
        assert_eq!(world.reports().await.pop().expect("a report").trigger, Trigger::Woken);
    }
    let woken = world.metric("mape_k_wakeups_total{reason=\"critical_alert\"}").await;
    for (fingerprint, labels) in [("a", &handled), ("b", &unhandled)] {
        world.alertmanager.state().resolve(fingerprint);
        world.deliver("resolved", fingerprint, labels).await;
    }
    // What wakes is counted before the webhook answers.
    assert_eq!(world.metric("mape_k_wakeups_total{reason=\"critical_alert\"}").await, woken);
    assert_eq!(world.iteration(), 3);
    world.stop().await;
}

/// A storm of critical alerts is a few cycles, one call and one escalation; every alert is counted and taken in.
#[tokio::test]
async fn a_storm_of_alerts_is_bounded_in_cycles_calls_and_escalations() {
    const PAYLOADS: usize = 20;
    const EACH: usize = 100;
    let mut world = World::new().await;
    // Only wake-ups start cycles, half a second apart.
    world.interval(Duration::from_mins(2));
    world.config.alertmanager.wake_gap = Duration::from_millis(500);
    // A busy machine takes them in before the first call is judged.
    world.config.execute.settle.insert(ActionKind::ScaleUp, Duration::from_mins(5));
    world.start().await;
    world.until("the first cycle", async || world.iteration() == 1).await;
    let began = Instant::now();
    for payload in 0..PAYLOADS {
        let alerts: Vec<(String, Value)> = (0..EACH)
            .map(|n| {
                let instance = format!("{payload}-{n}");
                let labels = if n % 2 == 0 {
                    json!({"alertname": "Unheard", "severity": "critical", "instance": instance})
                } else {
                    json!({"alertname": "Slow", "severity": "critical", "instance": instance,
                           "cause": "validation_latency", "component": "charter"})
                };
                (format!("storm-{instance}"), labels)
            })
            .collect();
        for (fingerprint, labels) in &alerts {
            world.alertmanager.state().fire(fingerprint, labels);
        }
        world.deliver_all("firing", &alerts).await;
    }
    let total = (PAYLOADS * EACH) as u64;
    assert_eq!(world.metric("mape_k_alerts_received_total").await, total);
    assert_eq!(world.metric("mape_k_alerts_total{outcome=\"accepted\"}").await, total);
    world
        .until("all are taken in", async || {
            world.metric("mape_k_alerts_processed_total").await >= total
        })
        .await;
    let took = began.elapsed();
    let cycles = world.iteration() - 1;
    println!("{total} alerts in {} ms, {cycles} cycles", took.as_millis());
    let most = took.as_millis() / 500 + 2;
    assert!(u128::from(cycles) <= most, "{cycles} cycles, {most} would keep the gap");
    assert_eq!(world.metric("mape_k_alerts_processed_total").await, total, "none counted twice");
    assert_eq!(world.changes(), ["scale 5"]);
    assert_eq!(world.open_escalations().await, ["unknown_alert"]);
    for report in world.reports().await {
        let bytes = serde_json::to_vec(&report).expect("JSON").len();
        assert!(bytes < 64 * 1024, "a report of {bytes} bytes");
    }
    world.stop().await;
}
