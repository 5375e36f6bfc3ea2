//! Rules on what was scraped, held against values that Prometheus' `increase()` and aggregates give by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mape_k::clock::Clock;
use mape_k::domain::Labels;
use mape_k::domain::reading::Point;
use mape_k::domain::rule::{Aggregate, Comparison, Measure, MetricRule, Rule};
use mape_k::domain::time::{Time, after};
use mape_k::http::{Failure, HttpTransport};
use mape_k::monitor::Settings;
use mape_k::monitor::scrape::Scrape;
use mape_k::monitor::source::MetricSource;
use reqwest::{Client, Request, Response};
use tokio::time::Instant;

/// What the target exposes at this moment.
#[derive(Debug, Default)]
struct Exposed {
    client: Client,
    text: Mutex<String>,
}

#[async_trait]
impl HttpTransport for Exposed {
    fn client(&self) -> &Client {
        &self.client
    }

    async fn send(&self, _: Request) -> Result<Response, Failure> {
        Ok(http::Response::new(self.text.lock().expect("no panic before").clone()).into())
    }
}

fn at(seconds: u64) -> Time {
    after(Time::from_timestamp(1_700_000_000, 0).expect("valid"), Duration::from_secs(seconds))
}

fn rule(aggregate: Option<Aggregate>, by: &[&str]) -> MetricRule {
    MetricRule {
        metric: "m".to_owned(),
        labels: Labels::new(),
        aggregate,
        by: by.iter().map(|&label| label.to_owned()).collect(),
        increase_over: None,
        comparison: Comparison::Gt,
        threshold: 0.0,
    }
}

/// Over 5 minutes.
fn increase() -> MetricRule {
    MetricRule { increase_over: Some(Duration::from_secs(300)), ..rule(None, &[]) }
}

/// A target scraped at these seconds, and a rule about it.
struct Scraped {
    source: Scrape,
    rule: Arc<Rule>,
    last: Vec<Point>,
}

impl Scraped {
    async fn new(rule: MetricRule, scope: &[(&str, &str)], expositions: &[(u64, &str)]) -> Self {
        let rule = Arc::new(super::rule("r", Measure::Metric(rule)));
        let settings = Settings {
            scrape_url: Some("http://target.invalid/metrics".parse().expect("a URL")),
            scope: scope.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            rules: vec![rule.clone()],
            ..Settings::default()
        };
        let (target, clock) = (Arc::new(Exposed::default()), Clock::starting_at(at(0)));
        let source = Scrape::with_transport(target.clone(), &settings, clock).expect("a source");
        let mut scraped = Self { source, rule, last: Vec::new() };
        let start = Instant::now();
        for (seconds, text) in expositions {
            let due = start + Duration::from_secs(*seconds);
            tokio::time::advance(due - Instant::now()).await;
            (*text).clone_into(&mut target.text.lock().expect("no panic before"));
            scraped.last = scraped.read().await;
        }
        scraped
    }

    async fn read(&mut self) -> Vec<Point> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let (mut readings, _) =
            self.source.read(std::slice::from_ref(&self.rule), &[], deadline).await;
        readings.remove(0).points.expect("a good exposition")
    }

    /// The series that the rule has at an earlier moment.
    async fn at(&mut self, seconds: u64) -> usize {
        let (rules, at) = ([self.rule.clone()], at(seconds));
        self.source.history(&rules, at, at, Instant::now()).await.expect("from the ring").len()
    }
}

async fn read(rule: MetricRule, expositions: &[(u64, &str)]) -> Vec<Point> {
    Scraped::new(rule, &[], expositions).await.last
}

async fn value(rule: MetricRule, expositions: &[(u64, &str)]) -> Option<f64> {
    let points = read(rule, expositions).await;
    assert!(points.len() < 2, "{points:?}");
    points.first().map(|point| point.value)
}

async fn counted(values: &[(u64, f64)]) -> Option<f64> {
    let texts: Vec<(u64, String)> = values.iter().map(|(t, v)| (*t, format!("m {v}"))).collect();
    let texts: Vec<(u64, &str)> = texts.iter().map(|(t, text)| (*t, text.as_str())).collect();
    value(increase(), &texts).await
}

fn close(value: Option<f64>, expected: f64) {
    let value = value.expect("a value");
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

#[tokio::test(start_paused = true)]
async fn an_increase_is_extrapolated_to_the_ends_of_its_window() {
    // Samples every 30 s from 0 to 300 s, one a second, far from zero: 10 inside (0, 300], 270 seen over 270 s, and
    // 30 s to the window's start are within 1.1 spacings.
    let steady: Vec<(u64, f64)> =
        (0..=10u32).map(|i| (u64::from(i) * 30, 1000.0 + f64::from(i) * 30.0)).collect();
    close(counted(&steady).await, 300.0);
    // Begun 90 s ago: the start is far, so half a spacing (15 s) is added: 90 · (90 + 15) / 90.
    let young = [(210, 1000.0), (240, 1030.0), (270, 1060.0), (300, 1090.0)];
    close(counted(&young).await, 105.0);
    // The same from 5 on: it was zero 5 s before its first sample, so only those 5 s are added.
    let from_zero = [(210, 5.0), (240, 35.0), (270, 65.0), (300, 95.0)];
    close(counted(&from_zero).await, 95.0);
    close(counted(&[(270, 7.0), (300, 7.0)]).await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_reset_counts_what_came_after_it() {
    // 100 → 130 → (reset) 10 → 40: 30 + 10 + 30 over 90 s; 15 s more at the start.
    let reset = [(210, 100.0), (240, 130.0), (270, 10.0), (300, 40.0)];
    close(counted(&reset).await, 70.0 * 105.0 / 90.0);
}

#[tokio::test(start_paused = true)]
async fn one_sample_is_no_increase() {
    assert_eq!(counted(&[(300, 7.0)]).await, None);
    assert_eq!(counted(&[(0, 1.0), (300, 7.0)]).await, None, "left-open window");
}

#[tokio::test(start_paused = true)]
async fn a_series_that_is_not_in_the_present_scrape_is_absent() {
    let texts = [(0, "m{a=\"1\"} 5\nm{a=\"2\"} 6"), (30, "m{a=\"1\"} 7")];
    let mut plain = Scraped::new(rule(None, &[]), &[], &texts).await;
    assert_eq!(plain.last.len(), 1);
    assert_eq!(plain.at(15).await, 2, "history still holds it");
    assert_eq!(read(increase(), &texts).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn aggregates_keep_by_and_what_tells_systems_apart() {
    let text = "m{cluster=\"x\",a=\"1\",b=\"1\"} 1\nm{cluster=\"x\",a=\"1\",b=\"2\"} 4\nm{cluster=\"y\",a=\"1\",b=\"3\"} 2";
    for (aggregate, x, y) in [
        (Aggregate::Max, 4.0, 2.0),
        (Aggregate::Min, 1.0, 2.0),
        (Aggregate::Sum, 5.0, 2.0),
        (Aggregate::Avg, 2.5, 2.0),
    ] {
        let points = read(rule(Some(aggregate), &["a"]), &[(0, text)]).await;
        assert!(points.iter().all(|point| point.labels.len() == 2), "{points:?}");
        let of: Vec<(&str, f64)> =
            points.iter().map(|point| (point.labels["cluster"].as_str(), point.value)).collect();
        assert_eq!(of, [("x", x), ("y", y)], "{aggregate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nan_is_absent_and_does_not_hide_a_number() {
    let texts = [(0, "m{a=\"1\"} NaN\nm{a=\"2\"} 3\nm{a=\"3\"} +Inf")];
    assert_eq!(read(rule(None, &[]), &texts).await.len(), 1);
    close(value(rule(Some(Aggregate::Min), &[]), &texts).await, 3.0);
    assert_eq!(value(rule(Some(Aggregate::Sum), &[]), &texts).await, None);
}

#[tokio::test(start_paused = true)]
async fn labels_select_and_only_another_scope_is_foreign() {
    let texts = [(0, "m{q=\"0.95\"} 1\nm{q=\"0.5\"} 2\nm{q=\"0.95\",cluster=\"b\"} 3")];
    let labels = Labels::from([("q".to_owned(), "0.95".to_owned())]);
    let wanted = MetricRule { labels, ..rule(None, &[]) };
    let found = Scraped::new(wanted, &[("cluster", "a")], &texts).await.last;
    assert_eq!(found.iter().map(|point| point.value).collect::<Vec<_>>(), [1.0]);
}

#[tokio::test(start_paused = true)]
async fn an_exposed_timestamp_is_the_samples_age() {
    let points = read(rule(None, &[]), &[(100, "m 1 1700000040000")]).await;
    assert_eq!(points[0].sampled_at, at(40));
}

#[tokio::test(start_paused = true)]
async fn woken_scrapes_seconds_apart_do_not_lose_the_window_or_a_reset() {
    // Every second for ten minutes with one reset; kept thinned out, the increase is still that of the whole.
    let climb: Vec<(u64, f64)> = (0..600u32)
        .map(|i| (u64::from(i), f64::from(if i < 500 { 1000 + i } else { i - 500 })))
        .collect();
    let answered = counted(&climb).await.expect("a value");
    assert!((answered - 299.0).abs() < 3.0, "{answered}");
}
