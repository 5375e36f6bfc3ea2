//! /metrics.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use mape_k::clock::Clock;
use mape_k::domain::cycle::{Phase, Trigger};
use mape_k::domain::execution::{Execution, ExecutionStatus};
use mape_k::domain::need::NeedReason;
use mape_k::domain::reading::Source;
use mape_k::domain::rule::Severity;
use mape_k::metrics::Metrics;
use mape_k::metrics::labels::{Call, CallStatus};

use super::api::{cycle, execution};
use super::{Surface, healthy_view, violation};
use crate::support::tools::promtool_check_metrics;

/// A40: every required series is there before anything happened, and promtool finds nothing to say.
#[tokio::test]
async fn a40_every_series_exists_from_the_start_and_promtool_accepts_them() {
    let surface = Surface::start().await;
    for series in [
        "mape_k_loop_duration_seconds_count",
        "mape_k_policy_executions_total{status=\"success\"}",
        "mape_k_policy_executions_total{status=\"failed\"}",
        "charter_api_response_duration_seconds_count",
        "charter_api_response_duration_seconds_sum",
        "mape_k_alerts_received_total",
        "mape_k_alerts_processed_total",
        "mape_k_alerts_total{outcome=\"accepted\"}",
        "mape_k_alerts_total{outcome=\"duplicate\"}",
        "mape_k_alerts_total{outcome=\"invalid\"}",
        "mape_k_alerts_total{outcome=\"own\"}",
        "mape_k_alerts_total{outcome=\"ignored\"}",
        "mape_k_escalations_total{reason=\"remedies_exhausted\"}",
    ] {
        assert_eq!(surface.metric(series).await, 0, "{series}");
    }
    let response = surface.http.get(surface.url("/metrics")).send().await.expect("an answer");
    assert!(response.headers()["content-type"].to_str().expect("text").starts_with("text/plain"));
    let mut text = response.text().await.expect("a text");
    let said = promtool_check_metrics(&text);
    assert_eq!(said, Ok(String::new()));

    // The check itself is not asleep.
    writeln!(text, "# TYPE wrong_name counter\nwrong_name 1").expect("a line");
    assert!(promtool_check_metrics(&text).is_err());
}

/// What the stages report moves the series that the alerts and dashboards read.
#[tokio::test]
async fn reported_values_move_their_series() {
    let surface = Surface::start().await;
    let metrics = &surface.metrics;
    for status in [
        ExecutionStatus::InProgress,
        ExecutionStatus::Completed,
        ExecutionStatus::Failed,
        ExecutionStatus::RolledBack,
    ] {
        metrics.execution(&Execution { status, ..execution() });
    }
    let mut report = cycle(1);
    report.trigger = Trigger::Woken;
    report.phases = vec![(Phase::Monitor, 0.01)];
    metrics.cycle(&report);
    metrics.charter_call(Call::Validate, CallStatus::Timeout, Duration::from_secs(30));
    metrics.escalation_opened(NeedReason::RemediesExhausted);
    metrics.escalations_open(&[NeedReason::RemediesExhausted, NeedReason::RemediesExhausted]);
    metrics.view(&healthy_view(surface.handle.now()));
    metrics.alerts_accepted(3);
    metrics.alerts_processed(2);
    metrics.inbox_depth(1);
    metrics.alerts_lost(5);
    for (series, value) in [
        ("mape_k_policy_executions_total{status=\"success\"}", 1),
        ("mape_k_policy_executions_total{status=\"failed\"}", 2),
        ("mape_k_actions_total{action=\"scale_up\",state=\"intent\"}", 3),
        ("mape_k_loop_duration_seconds_count", 1),
        ("mape_k_phase_duration_seconds_count{phase=\"monitor\"}", 1),
        ("mape_k_cycles_total{status=\"healthy\"}", 1),
        ("mape_k_cycles_woken_total", 1),
        ("charter_api_response_duration_seconds_sum", 30),
        ("mape_k_charter_calls_total{call=\"validate\",result=\"timeout\"}", 1),
        ("mape_k_escalations_total{reason=\"remedies_exhausted\"}", 1),
        ("mape_k_escalations_open{reason=\"remedies_exhausted\"}", 2),
        ("mape_k_charter_up", 1),
        ("mape_k_source_series_expected{source=\"prometheus\"}", 9),
        ("mape_k_alerts_processed_total", 2),
        ("mape_k_inbox_depth", 1),
        ("mape_k_alerts_lost_total", 5),
    ] {
        assert_eq!(surface.metric(series).await, value, "{series}");
    }
}

/// What a follower cannot know it shows as one that never led; only when something last went well stays true.
#[test]
fn a_daemon_that_follows_shows_what_one_shows_that_never_led() {
    let now = Clock::start().now();
    let metrics = Metrics::new(now);
    let never_led = metrics.gather();
    let mut view = healthy_view(now);
    view.sources[0].missing = 3;
    view.failed_cycles = 2;
    view.violations.push(violation(1, Severity::Critical, Source::Prometheus, None));
    metrics.view(&view);
    metrics.escalations_open(&[NeedReason::Blind]);
    metrics.inbox_depth(1);
    metrics.paused(true);
    metrics.catalogue(false);
    metrics.notifications_backed_up(2);
    assert!(gauges(&metrics.gather()).difference(&gauges(&never_led)).count() >= 10);
    metrics.follows();
    assert_eq!(gauges(&metrics.gather()), gauges(&never_led));
    assert!(!metrics.gather().contains("mape_k_last_cycle_timestamp_seconds 0"));
}

/// Every line of a gauge, but of those that are times.
fn gauges(page: &str) -> BTreeSet<&str> {
    let types =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" gauge"));
    let names: BTreeSet<&str> = types
        .filter(|name| !name.ends_with("_seconds") || name.ends_with("_skew_seconds"))
        .collect();
    let name = |line: &str| line.find(['{', ' ']).map(|end| line[..end].to_owned());
    page.lines().filter(|line| name(line).is_some_and(|n| names.contains(n.as_str()))).collect()
}

/// A finding in the cluster is shown among the violations; the gauge counts what is acted on.
#[test]
fn findings_in_the_cluster_are_not_counted_as_violations() {
    let now = Clock::start().now();
    let metrics = Metrics::new(now);
    let mut view = healthy_view(now);
    for source in [Source::Kubernetes, Source::Alertmanager] {
        view.violations.push(violation(1, Severity::Critical, source, None));
    }
    metrics.view(&view);
    let line = "mape_k_violations_active{severity=\"critical\"} 1";
    assert!(metrics.gather().lines().any(|l| l == line), "{}", metrics.gather());
}
