//! The effective configuration in the shape of the file: what is printed can be loaded again.
//!
//! Secrets and passwords in URLs are printed as `***`, which loading refuses.

use std::fmt;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use url::Url;

use super::Config;
use crate::domain::rule::{
    Aggregate, Comparison, ComponentFrom, Measure, MetricRule, Rule, Severity,
};
use crate::domain::secret::Secret;
use crate::domain::target::TargetLabels;
use crate::domain::{Cause, Labels, address, time};
use crate::monitor;
use crate::monitor::MetricsSource;
use crate::wire::HttpSettings;

impl Config {
    /// The effective configuration as a configuration file. Fails only for a path that is not Unicode.
    pub fn to_yaml(&self) -> Result<String, serde_yaml::SerializeError> {
        serde_yaml::to_string(self)
    }
}

/// As it is printed: the URLs within would show their passwords.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_yaml().map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            orchestrator,
            monitor,
            analyze,
            plan,
            execute,
            hooks,
            knowledge,
            alertmanager,
            api,
            kubernetes,
            escalation,
            slack,
            notify,
            github,
            logging,
            rehearsal: _,
        } = self;
        let mut file = serializer.serialize_struct("Config", 16)?;
        file.serialize_field("orchestrator", orchestrator)?;
        file.serialize_field("monitor", &MonitorSection::from(monitor))?;
        file.serialize_field("analyze", analyze)?;
        file.serialize_field("plan", plan)?;
        file.serialize_field("guardrails", &plan.guardrails)?;
        file.serialize_field("execute", execute)?;
        file.serialize_field("hooks", hooks)?;
        file.serialize_field("knowledge", knowledge)?;
        file.serialize_field("alertmanager", alertmanager)?;
        file.serialize_field("api", api)?;
        file.serialize_field("kubernetes", kubernetes)?;
        file.serialize_field("escalation", escalation)?;
        file.serialize_field("slack", slack)?;
        file.serialize_field("notify", notify)?;
        file.serialize_field("github", github)?;
        file.serialize_field("logging", logging)?;
        file.end()
    }
}

/// `monitor` with its rules told apart again.
#[derive(Serialize)]
struct MonitorSection<'a> {
    source: MetricsSource,
    #[serde(serialize_with = "address::serialize_optional")]
    prometheus_url: &'a Option<Url>,
    #[serde(serialize_with = "address::serialize_optional")]
    scrape_url: &'a Option<Url>,
    #[serde(serialize_with = "time::seconds")]
    poll_interval: Duration,
    #[serde(serialize_with = "time::seconds")]
    query_timeout: Duration,
    bearer_token: &'a Option<Secret>,
    http: &'a Option<Box<HttpSettings>>,
    scope: &'a Labels,
    min_coverage: f64,
    metrics: Vec<RuleEntry<'a>>,
    queries: Vec<RuleEntry<'a>>,
}

impl<'a> From<&'a monitor::Settings> for MonitorSection<'a> {
    fn from(settings: &'a monitor::Settings) -> Self {
        let monitor::Settings {
            source,
            prometheus_url,
            scrape_url,
            poll_interval,
            query_timeout,
            bearer_token,
            http,
            scope,
            min_coverage,
            rules,
            max_skew: _,
        } = settings;
        let (metrics, queries): (Vec<_>, Vec<_>) =
            rules.iter().partition(|rule| matches!(rule.measure, Measure::Metric(_)));
        let entries = |rules: Vec<&'a std::sync::Arc<Rule>>| {
            rules.into_iter().map(|rule| RuleEntry::from(rule.as_ref())).collect()
        };
        Self {
            source: *source,
            prometheus_url,
            scrape_url,
            poll_interval: *poll_interval,
            query_timeout: *query_timeout,
            bearer_token,
            http,
            scope,
            min_coverage: *min_coverage,
            metrics: entries(metrics),
            queries: entries(queries),
        }
    }
}

/// One rule with the keys that it uses.
#[derive(Serialize)]
struct RuleEntry<'a> {
    name: &'a str,
    #[serde(flatten)]
    measure: MeasureEntry<'a>,
    severity: Severity,
    #[serde(flatten)]
    component: ComponentEntry<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a TargetLabels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a Cause>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ComponentEntry<'a> {
    Fixed { component: &'a str },
    Label { component_label: &'a str },
}

#[derive(Serialize)]
#[serde(untagged)]
enum MeasureEntry<'a> {
    Metric {
        metric: &'a str,
        #[serde(skip_serializing_if = "Labels::is_empty")]
        labels: &'a Labels,
        #[serde(skip_serializing_if = "Option::is_none")]
        aggregate: Option<Aggregate>,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        by: &'a [String],
        #[serde(
            skip_serializing_if = "Option::is_none",
            serialize_with = "time::optional_seconds"
        )]
        increase_over: Option<Duration>,
        comparison: Comparison,
        threshold: f64,
    },
    Query {
        promql: &'a str,
        comparison: Comparison,
        threshold: f64,
    },
    Condition {
        promql: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        present: Option<&'a str>,
    },
}

impl<'a> From<&'a Rule> for RuleEntry<'a> {
    fn from(rule: &'a Rule) -> Self {
        let Rule { name, measure, severity, component, target, cause } = rule;
        Self {
            name,
            measure: MeasureEntry::from(measure),
            severity: *severity,
            component: match component {
                ComponentFrom::Fixed(component) => ComponentEntry::Fixed { component },
                ComponentFrom::Label(label) => ComponentEntry::Label { component_label: label },
            },
            target: target.as_ref(),
            cause: cause.as_ref(),
        }
    }
}

impl<'a> From<&'a Measure> for MeasureEntry<'a> {
    fn from(measure: &'a Measure) -> Self {
        match measure {
            Measure::Metric(MetricRule {
                metric,
                labels,
                aggregate,
                by,
                increase_over,
                comparison,
                threshold,
            }) => Self::Metric {
                metric,
                labels,
                aggregate: *aggregate,
                by,
                increase_over: *increase_over,
                comparison: *comparison,
                threshold: *threshold,
            },
            Measure::Query { promql, comparison, threshold } => {
                Self::Query { promql, comparison: *comparison, threshold: *threshold }
            }
            Measure::Condition { promql, present } => {
                Self::Condition { promql, present: present.as_deref() }
            }
        }
    }
}
