//! The same rules from a direct scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use mape_k::clock::Clock;
use mape_k::domain::reading::{FailureKind, Source};
use mape_k::domain::rule::{Comparison, Measure};
use mape_k::monitor::{HistoryRequest, MetricsSource, Monitor, Settings};
use url::Url;

use super::fake::{Fake, Reply, ok};
use super::{INTERVAL, failure, gauge, points, rule, without_alertmanager};

fn scraping(url: &Url) -> Settings {
    Settings {
        source: MetricsSource::Scrape,
        scrape_url: Some(url.join("/metrics").expect("a URL")),
        ..Settings::default()
    }
}

fn monitor(settings: Settings, clock: Clock) -> Monitor {
    Monitor::new(settings, without_alertmanager(), INTERVAL, clock).expect("a monitor")
}

const EXPOSITION: &str = r#"# HELP westworld_charter_validation_latency_seconds Latency.
# TYPE westworld_charter_validation_latency_seconds summary
westworld_charter_validation_latency_seconds{quantile="0.5",validation_type="sig"} 3
westworld_charter_validation_latency_seconds{quantile="0.95",validation_type="sig"} 1.5
westworld_charter_validation_latency_seconds{quantile="0.95",validation_type="idle"} NaN
westworld_charter_validation_latency_seconds_count{validation_type="sig"} 9
westworld_charter_failure_rate{component="a"} 0.11
westworld_charter_failure_rate{component="b"} 0.05
"#;

/// A04 by the scrape source: the shipped rules on an exposition, the counter after a second scrape.
#[tokio::test]
async fn the_shipped_rules_read_an_exposition() {
    let scrapes = Arc::new(AtomicU32::new(0));
    let count = scrapes.clone();
    let fake = Fake::start(move |_| {
        let violations = count.fetch_add(1, Ordering::Relaxed) * 2;
        ok(format!(
            "{EXPOSITION}westworld_charter_policy_violations_total{{severity=\"critical\",policy_id=\"p,1\"}} {violations}\n\
             westworld_charter_policy_violations_total{{severity=\"low\",policy_id=\"p2\"}} {violations}\n"
        ))
    })
    .await;
    // Simulated scrapes 30 s apart need simulated time, which real sockets do not keep; a fast poll does.
    let settings = Settings { poll_interval: Duration::from_millis(20), ..scraping(&fake.url) };
    let mut monitor = monitor(settings, Clock::start());
    let first = monitor.observe(&[], None).await;
    assert_eq!(first.sources[0].source, Source::Scrape);
    assert_eq!(first.sources[0].result, Ok(()));
    assert_eq!(
        points(&first, "critical_policy_violations"),
        &Ok(Vec::new()),
        "one sample is no increase"
    );

    let latency = points(&first, "validation_latency").as_ref().expect("read");
    assert_eq!(latency.len(), 1, "NaN is absent: {latency:?}");
    assert_eq!(
        latency[0].labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
        ["validation_type=sig"]
    );
    assert!((latency[0].value - 1.5).abs() < f64::EPSILON);
    assert_eq!(points(&first, "failure_rate").as_ref().expect("read").len(), 2);
    assert_eq!(points(&first, "throughput"), &Ok(Vec::new()), "an unknown metric is missing");

    let second = monitor.observe(&[], None).await;
    let increases = points(&second, "critical_policy_violations").as_ref().expect("read");
    assert_eq!(increases.len(), 1);
    assert_eq!(increases[0].labels["policy_id"], "p,1");
    assert!(increases[0].value > 0.0);
}

#[tokio::test]
async fn history_comes_from_what_was_scraped() {
    let fake = Fake::start(|_| ok(EXPOSITION)).await;
    let clock = Clock::start();
    let settings = Settings { poll_interval: Duration::from_millis(1), ..scraping(&fake.url) };
    let mut monitor = monitor(settings, clock);
    let from = clock.now();
    while clock.now() - from < TimeDelta::milliseconds(50) {
        monitor.observe(&[], None).await;
    }
    let wanted = HistoryRequest { rules: vec!["failure_rate".to_owned()], from };
    let history = monitor.observe(&[], Some(&wanted)).await.history.expect("read");
    let of: Vec<(&str, f64)> = history
        .iter()
        .map(|series| (series.labels["component"].as_str(), series.points[0].1))
        .collect();
    assert_eq!(of, [("a", 0.11), ("b", 0.05)]);
    assert!(history.iter().all(|s| s.rule == "failure_rate" && s.points[0].0 >= from));
}

#[tokio::test]
async fn a_bad_exposition_fails_the_source() {
    for (answer, kind, says) in [
        (ok("<html>login</html>"), FailureKind::Nonsense, "line 1"),
        (ok(format!("{EXPOSITION}broken{{ 1\n")), FailureKind::Nonsense, "line 9"),
        (Reply::With(401, "who are you".to_owned()), FailureKind::Server, "who are you"),
        (Reply::Hang, FailureKind::Timeout, "deadline"),
    ] {
        let fake = Fake::start(move |_| answer.clone()).await;
        let settings =
            Settings { query_timeout: Duration::from_millis(300), ..scraping(&fake.url) };
        let seen = monitor(settings, Clock::start()).observe(&[], None).await;
        let source = seen.sources[0].result.as_ref().expect_err("not read");
        assert_eq!(source.kind, kind, "{source}");
        assert!(source.text.contains(says) && source.text.contains("/metrics"), "{source}");
        assert_eq!(failure(&seen, "failure_rate"), source);
    }
}

#[tokio::test]
async fn a_query_rule_cannot_be_read_from_a_scrape() {
    let fake = Fake::start(|_| ok("g 1\n")).await;
    let measure =
        Measure::Query { promql: "max(g)".to_owned(), comparison: Comparison::Gt, threshold: 1.0 };
    let rules = vec![Arc::new(rule("q", measure)), Arc::new(gauge("g"))];
    let seen =
        monitor(Settings { rules, ..scraping(&fake.url) }, Clock::start()).observe(&[], None).await;
    assert!(failure(&seen, "q").text.contains("monitor.source"));
    assert_eq!(points(&seen, "g").as_ref().expect("read").len(), 1);
}
