//! The `monitor` and `alertmanager` sections of the configuration, with their defaults and the shipped rules.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use url::Url;

use super::severities::Severities;
use crate::domain::rule::{
    Aggregate, Comparison, ComponentFrom, Measure, MetricRule, Rule, Severity,
};
use crate::domain::secret::Secret;
use crate::domain::speed::divided;
use crate::domain::target::TargetLabels;
use crate::domain::{CHARTER, Cause, Labels};
use crate::http::{Access, HttpSettings};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricsSource {
    Prometheus,
    Scrape,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub source: MetricsSource,
    /// `None`: no metrics are read.
    #[serde(serialize_with = "crate::domain::address::serialize_optional")]
    pub prometheus_url: Option<Url>,
    #[serde(serialize_with = "crate::domain::address::serialize_optional")]
    pub scrape_url: Option<Url>,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub poll_interval: Duration,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub query_timeout: Duration,
    pub bearer_token: Option<Secret>,
    /// How the server is reached, and the credentials it gets.
    pub http: Option<Box<HttpSettings>>,
    pub scope: Labels,
    pub min_coverage: f64,
    /// `monitor.metrics` and then `monitor.queries`, in the order of the configuration.
    #[serde(flatten, serialize_with = "apart")]
    pub rules: Vec<Arc<Rule>>,
    /// Largest accepted difference between a source's clock and ours (loop.md; not a key).
    #[serde(skip)]
    pub max_skew: Duration,
}

divided!(Settings { poll_interval, rules } unchanged {
    source, prometheus_url, scrape_url, bearer_token, http, scope, min_coverage,
    // The time-out of a call, and how far apart two clocks may be: neither network nor clocks become faster.
    query_timeout, max_skew,
});

/// The rules as the configuration has them.
fn apart<S: Serializer>(rules: &[Arc<Rule>], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Sections<'a> {
        metrics: Vec<&'a Rule>,
        queries: Vec<&'a Rule>,
    }
    let rules = rules.iter().map(Arc::as_ref);
    let (metrics, queries) = rules.partition(|rule| matches!(rule.measure, Measure::Metric(_)));
    Sections { metrics, queries }.serialize(serializer)
}

impl Settings {
    /// How its server is asked.
    #[must_use]
    pub fn access(&self) -> Access<'_> {
        Access { section: "monitor", http: self.http.as_deref(), token: self.bearer_token.as_ref() }
    }

    /// The server that the metrics come from; `None`: no metrics are read.
    #[must_use]
    pub fn server(&self) -> Option<&Url> {
        match self.source {
            MetricsSource::Prometheus => self.prometheus_url.as_ref(),
            MetricsSource::Scrape => self.scrape_url.as_ref(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            source: MetricsSource::Prometheus,
            prometheus_url: Some(Url::parse("http://localhost:9090").expect("a constant URL")),
            scrape_url: None,
            poll_interval: Duration::from_secs(30),
            query_timeout: Duration::from_secs(10),
            bearer_token: None,
            http: None,
            scope: Labels::new(),
            min_coverage: 0.8,
            rules: shipped_rules(),
            max_skew: Duration::from_secs(30),
        }
    }
}

/// The four rules about Charter that apply while the configuration has no `monitor.metrics`.
#[must_use]
pub fn shipped_rules() -> Vec<Arc<Rule>> {
    let label = |key: &str, value: &str| Labels::from([(key.to_owned(), value.to_owned())]);
    let rule = |name: &str, measure, severity, component, cause: Option<&str>| {
        Arc::new(Rule {
            target: None,
            name: name.to_owned(),
            measure: Measure::Metric(measure),
            severity,
            component,
            cause: cause.map(Cause::new),
        })
    };
    let measure = |metric: &str, comparison, threshold| MetricRule {
        metric: format!("westworld_charter_{metric}"),
        labels: Labels::new(),
        aggregate: None,
        by: Vec::new(),
        increase_over: None,
        comparison,
        threshold,
    };
    let by_component = || ComponentFrom::Label("component".to_owned());
    vec![
        rule(
            "validation_latency",
            MetricRule {
                labels: label("quantile", "0.95"),
                aggregate: Some(Aggregate::Max),
                by: vec!["validation_type".to_owned()],
                ..measure("validation_latency_seconds", Comparison::Gt, 1.0)
            },
            Severity::Warning,
            ComponentFrom::Fixed(CHARTER.to_owned()),
            Some(Cause::VALIDATION_LATENCY),
        ),
        rule(
            "failure_rate",
            measure("failure_rate", Comparison::Gt, 0.10),
            Severity::Warning,
            by_component(),
            Some(Cause::SYSTEM_OVERLOAD),
        ),
        rule(
            "throughput",
            measure("throughput_ops_per_sec", Comparison::Lt, 100.0),
            Severity::Info,
            by_component(),
            None,
        ),
        rule(
            "critical_policy_violations",
            MetricRule {
                labels: label("severity", "critical"),
                aggregate: Some(Aggregate::Sum),
                by: vec!["policy_id".to_owned()],
                increase_over: Some(Duration::from_secs(300)),
                ..measure("policy_violations_total", Comparison::Gt, 0.0)
            },
            Severity::Critical,
            ComponentFrom::Label("policy_id".to_owned()),
            Some(Cause::POLICY_MISCONFIGURATION),
        ),
    ]
}

/// One entry of `alertmanager.handlers`: the first whose pattern is in the alert's name wins.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Handler {
    pub pattern: String,
    pub cause: Option<Cause>,
    pub rule: Option<String>,
    pub component: Option<String>,
    pub component_label: String,
    /// Which labels of the alert name the Kubernetes object that it is about.
    pub target: Option<TargetLabels>,
    pub severity: Option<Severity>,
    pub ignore: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertmanagerSettings {
    pub enabled: bool,
    #[serde(serialize_with = "crate::domain::address::serialize")]
    pub url: Url,
    /// How the server is reached, and the credentials it gets.
    pub http: Option<Box<HttpSettings>>,
    pub webhook_host: String,
    pub webhook_port: u16,
    pub webhook_path: String,
    pub webhook_token: Option<Secret>,
    pub receiver: Option<String>,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub wake_gap: Duration,
    pub max_body_bytes: usize,
    /// What the words of label `severity` mean.
    pub severities: Severities,
    pub handlers: Vec<Handler>,
    pub ignore: Vec<String>,
    /// Absence from the list proves a clear only after Alertmanager has been up this long (loop.md; not a key).
    #[serde(skip)]
    pub trust_absence_after: Duration,
    /// A delivered alert that the list never had is a person's after this long (not a key): Alertmanager's usual
    /// `group_interval`, within which it delivers that an alert has resolved.
    #[serde(skip)]
    pub confirm_within: Duration,
}

divided!(AlertmanagerSettings { wake_gap, trust_absence_after, confirm_within } unchanged {
    enabled, url, http, webhook_host, webhook_port, webhook_path, webhook_token, receiver, max_body_bytes, severities, handlers,
    ignore,
});

impl Default for AlertmanagerSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            url: Url::parse("http://localhost:9093").expect("a constant URL"),
            http: None,
            webhook_host: "127.0.0.1".to_owned(),
            webhook_port: 5000,
            webhook_path: "/webhooks/alerts".to_owned(),
            webhook_token: None,
            receiver: None,
            wake_gap: Duration::from_secs(5),
            max_body_bytes: 4 * 1024 * 1024,
            severities: Severities::default(),
            handlers: Vec::new(),
            ignore: vec!["Watchdog".to_owned(), "InfoInhibitor".to_owned()],
            trust_absence_after: Duration::from_secs(180),
            confirm_within: Duration::from_mins(5),
        }
    }
}

impl AlertmanagerSettings {
    /// Webhooks are taken from this machine alone.
    #[must_use]
    pub fn is_on_loopback(&self) -> bool {
        let host = &self.webhook_host;
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// Is a delivery known to come from Alertmanager? By the token, or because only this machine can send one.
    #[must_use]
    pub fn authenticates_webhooks(&self) -> bool {
        self.webhook_token.is_some() || self.is_on_loopback()
    }
}
