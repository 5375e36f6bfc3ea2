//! The monitor against servers on free ports: what is read, and what becomes of every kind of bad answer.

mod alertmanager;
mod alerts;
mod answers;
mod bad_days;
mod exposition;
pub mod fake;
mod label_change;
mod promql;
mod reading;
mod scrape;
mod scraped_rules;
mod webhook;
mod window;

use std::sync::Arc;
use std::time::Duration;

use mape_k::clock::Clock;
use mape_k::domain::Labels;
use mape_k::domain::reading::{Point, ReadFailure};
use mape_k::domain::rule::{Comparison, ComponentFrom, Measure, MetricRule, Rule, Severity};
use mape_k::monitor::{AlertmanagerSettings, Monitor, Observation, Settings};
use url::Url;

const INTERVAL: Duration = Duration::from_secs(30);

fn without_alertmanager() -> AlertmanagerSettings {
    AlertmanagerSettings { enabled: false, ..AlertmanagerSettings::default() }
}

fn settings(url: &Url, rules: Vec<Rule>) -> Settings {
    Settings {
        prometheus_url: Some(url.clone()),
        rules: rules.into_iter().map(Arc::new).collect(),
        ..Settings::default()
    }
}

fn monitor(settings: Settings) -> Monitor {
    Monitor::new(settings, without_alertmanager(), INTERVAL, Clock::start()).expect("a monitor")
}

async fn observe(settings: Settings) -> Observation {
    monitor(settings).observe(&[], None).await
}

fn rule(name: &str, measure: Measure) -> Rule {
    Rule {
        name: name.to_owned(),
        measure,
        severity: Severity::Warning,
        component: ComponentFrom::Label("component".to_owned()),
        target: None,
        cause: None,
    }
}

fn gauge(name: &str) -> Rule {
    let metric = MetricRule {
        metric: name.to_owned(),
        labels: Labels::new(),
        aggregate: None,
        by: Vec::new(),
        increase_over: None,
        comparison: Comparison::Gt,
        threshold: 1.0,
    };
    rule(name, Measure::Metric(metric))
}

fn points<'a>(seen: &'a Observation, name: &str) -> &'a Result<Vec<Point>, ReadFailure> {
    &seen.readings.iter().find(|reading| reading.rule.name == name).expect("a reading").points
}

fn failure<'a>(seen: &'a Observation, name: &str) -> &'a ReadFailure {
    points(seen, name).as_ref().expect_err("must have failed")
}
