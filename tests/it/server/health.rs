//! /health and /ready.

use std::time::Duration;

use chrono::TimeDelta;
use mape_k::clock::Clock;
use mape_k::domain::cycle::CycleStatus;
use mape_k::domain::reading::Source;
use mape_k::domain::view::{RuleHealth, SourceStatus};
use mape_k::server::Settings;
use reqwest::StatusCode;

use super::{Setup, Surface, assert_fields, healthy_view};
use crate::support::eventually::eventually;

#[tokio::test]
async fn a_loop_with_everything_well_is_ok_and_ready() {
    let surface = Surface::start().await;
    surface.publish(healthy_view(surface.handle.now()));
    let (status, health) = surface.get("/health").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(health["status"], "ok", "{health}");
    assert_fields(&health, "status version uptime_seconds components");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    let (status, ready) = surface.get("/ready").await;
    assert_eq!((status, &ready["ready"]), (StatusCode::OK, &true.into()), "{ready}");
    surface.stop().await;
}

#[tokio::test]
async fn before_the_first_cycle_it_lives_but_is_not_ready() {
    let surface = Surface::start().await;
    let (status, health) = surface.get("/health").await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &"degraded".into()));
    let (status, ready) = surface.get("/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let missing = ready["missing"].to_string();
    assert!(missing.contains("cycle") && missing.contains("charter"), "{missing}");
}

/// A60: Charter down degrades health, which stays 200, and makes /ready name it.
#[tokio::test]
async fn a60_charter_down_is_degraded_and_not_ready() {
    let surface = Surface::start().await;
    let mut view = healthy_view(surface.handle.now());
    view.charter.as_mut().expect("Charter").state =
        Err("GET http://charter:8000/health: connection refused".to_owned());
    surface.publish(view);
    let (status, health) = surface.get("/health").await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &"degraded".into()));
    assert_eq!(health["components"]["charter"]["status"], "degraded");
    let (status, ready) = surface.get("/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        ready["missing"],
        serde_json::json!(["charter: GET http://charter:8000/health: connection refused"])
    );
}

/// A60: a loop that does not move makes /health 503, and one beat of it makes it 200 again.
#[tokio::test]
async fn a60_a_stalled_loop_is_503_until_it_moves() {
    let api = Settings { stall_after: Duration::from_secs(1), ..Settings::default() };
    let surface = Setup { api, ..Setup::default() }.serve().await;
    surface.publish(healthy_view(surface.handle.now()));
    let health = eventually(Duration::from_secs(10), "a stalled loop", async || {
        let (status, health) = surface.get("/health").await;
        if status == StatusCode::SERVICE_UNAVAILABLE { Ok(health) } else { Err(health) }
    })
    .await;
    assert_eq!(health["components"]["loop"]["status"], "stalled");
    surface.publisher.heartbeat.beat();
    assert_eq!(surface.get("/health").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_good_cycle_counts_for_three_intervals() {
    let surface = Surface::start().await;
    for (seconds, expected) in [(85, StatusCode::OK), (95, StatusCode::SERVICE_UNAVAILABLE)] {
        let mut view = healthy_view(surface.handle.now());
        view.last_good_cycle = Some(surface.handle.now() - TimeDelta::seconds(seconds));
        view.last_status = Some(CycleStatus::Failed);
        surface.publish(view);
        let (status, ready) = surface.get("/ready").await;
        assert_eq!(status, expected, "{seconds} s: {ready}");
    }
}

#[tokio::test]
async fn a_source_in_error_missing_series_and_bad_rules_each_degrade_health() {
    let surface = Setup { clock: Clock::start(), ..Setup::default() }.serve().await;
    let now = surface.handle.now();
    let source = |missing, error: Option<&str>| SourceStatus {
        source: Source::Prometheus,
        last_read: Some(now),
        expected: 9,
        seen: 9 - missing,
        missing,
        clock_skew_seconds: None,
        error: error.map(str::to_owned),
    };
    for (sources, rules, component) in [
        (vec![source(0, Some("timed out"))], vec![], "prometheus"),
        (vec![source(2, None)], vec![], "prometheus"),
        (
            vec![source(0, None)],
            vec![RuleHealth {
                rule: "failure_rate".to_owned(),
                good: false,
                expected: 3,
                seen: 0,
                problem: None,
            }],
            "rules",
        ),
    ] {
        let mut view = healthy_view(now);
        view.sources = sources;
        view.rules = rules;
        surface.publish(view);
        let (status, health) = surface.get("/health").await;
        assert_eq!((status, &health["status"]), (StatusCode::OK, &"degraded".into()));
        assert_eq!(health["components"][component]["status"], "degraded", "{health}");
    }
}

/// R08 and the third point: nobody who could be notified is a warning that makes nothing unwell; what is off says so;
/// without a rule or a cluster it is UNKNOWN whether anything is wrong. Twins: with a notifier, a rule, a cluster.
#[tokio::test]
async fn r08_health_says_what_is_off_unknown_and_that_nobody_is_notified() {
    let surface = Surface::start().await;
    let mut view = healthy_view(surface.handle.now());
    surface.publish(view.clone());
    let (_, health) = surface.get("/health").await;
    assert_eq!(health["components"]["notification"], serde_json::Value::Null, "{health}");
    assert_eq!((&health["status"], &health["environment"]), (&"ok".into(), &"prod-eu".into()));
    let (_, status) = surface.get("/api/v1/status").await;
    assert_eq!((&status["environment"], &status["not_notified"]), (&"prod-eu".into(), &().into()));
    surface.stop().await;
    let surface = Setup { notifiers: Vec::new(), ..Setup::default() }.serve().await;
    surface.publish(view.clone());
    let (_, health) = surface.get("/health").await;
    let notification = &health["components"]["notification"];
    assert_eq!(notification["status"], "warning", "{health}");
    assert_eq!(notification["detail"], "nobody is notified: no notifier is configured");
    assert_eq!(health["status"], "ok", "{health}");
    surface.stop().await;

    let surface = Setup { kubernetes: false, ..Setup::default() }.serve().await;
    view.rules.clear();
    surface.publish(view.clone());
    let (_, health) = surface.get("/health").await;
    assert_eq!(health["components"]["kubernetes"]["status"], "off", "{health}");
    let rules = &health["components"]["rules"];
    assert_eq!(rules["status"], "degraded", "{health}");
    assert!(rules["detail"].as_str().is_some_and(|text| text.contains("UNKNOWN")), "{health}");
    view.rules = vec![RuleHealth {
        rule: "failure_rate".to_owned(),
        good: true,
        expected: 3,
        seen: 3,
        problem: None,
    }];
    surface.publish(view);
    let (_, health) = surface.get("/health").await;
    assert_eq!(health["components"]["rules"]["status"], "ok", "{health}");
    surface.stop().await;
}
