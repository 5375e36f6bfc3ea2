//! What the monitor watches: one rule, its reading's shape and the threshold it breaks at.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::speed::{Divide, divided};
use super::target::TargetLabels;
use super::{Cause, Labels};

/// How bad it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How the value breaks the threshold: greater, greater or equal, less, less or equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    Gt,
    Ge,
    Lt,
    Le,
}

impl Comparison {
    #[must_use]
    pub fn breaks(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Gt => value > threshold,
            Self::Ge => value >= threshold,
            Self::Lt => value < threshold,
            Self::Le => value <= threshold,
        }
    }

    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Lt => "<",
            Self::Le => "<=",
        }
    }

    /// How far past the threshold: larger is worse, whatever the direction.
    #[must_use]
    pub fn excess(self, value: f64, threshold: f64) -> f64 {
        match self {
            Self::Gt | Self::Ge => value - threshold,
            Self::Lt | Self::Le => threshold - value,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Aggregate {
    Max,
    Sum,
    Avg,
    Min,
}

impl Aggregate {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Where a violation's component comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ComponentFrom {
    #[serde(rename = "component")]
    Fixed(String),
    #[serde(rename = "component_label")]
    Label(String),
}

impl ComponentFrom {
    #[must_use]
    pub fn of(&self, labels: &Labels) -> Option<String> {
        match self {
            Self::Fixed(name) => Some(name.clone()),
            Self::Label(label) => labels.get(label).filter(|v| !v.is_empty()).cloned(),
        }
    }
}

/// A rule over one metric; evaluated alike from Prometheus and from direct scrapes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricRule {
    pub metric: String,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// Labels kept by the aggregate. `cluster`, `charter` and `job` are always kept beside them, so that two
    /// systems behind one reading are seen (`ambiguous_scope`) and never merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// With this the value is the counter's increase over the window, not the sample itself.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "super::time::optional_seconds"
    )]
    pub increase_over: Option<Duration>,
    pub comparison: Comparison,
    pub threshold: f64,
}

divided!(MetricRule { increase_over } unchanged { metric, labels, aggregate, by, comparison, threshold });

/// Labels that tell one controlled system from another.
pub const IDENTITY_LABELS: [&str; 3] = ["cluster", "charter", "job"];

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Measure {
    Metric(MetricRule),
    /// The user's PromQL with our threshold; an empty answer is missing data.
    Query {
        promql: String,
        comparison: Comparison,
        threshold: f64,
    },
    /// A bare condition: any answered series breaks. Its empty answer is clear only while `present` answers something;
    /// without `present` an empty answer clears nothing and verifies nothing.
    Condition {
        promql: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        present: Option<String>,
    },
}

impl Divide for Measure {
    fn divide(&mut self, speed: f64) {
        match self {
            Self::Metric(rule) => rule.divide(speed),
            // A duration in the user's own PromQL is text.
            Self::Query { promql: _, comparison: _, threshold: _ }
            | Self::Condition { promql: _, present: _ } => {}
        }
    }
}

/// Serialized as the configuration has it, with the keys that it uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    pub name: String,
    #[serde(flatten)]
    pub measure: Measure,
    pub severity: Severity,
    #[serde(flatten)]
    pub component: ComponentFrom,
    /// Which labels name the Kubernetes object that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetLabels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

divided!(Rule { measure } unchanged { name, severity, component, target, cause });

impl Rule {
    #[must_use]
    pub fn metric_name(&self) -> &str {
        match &self.measure {
            Measure::Metric(rule) => &rule.metric,
            Measure::Query { promql, .. } | Measure::Condition { promql, .. } => promql,
        }
    }

    /// The counter window of a rule with `increase_over`.
    #[must_use]
    pub fn increase_over(&self) -> Option<Duration> {
        match &self.measure {
            Measure::Metric(rule) => rule.increase_over,
            Measure::Query { .. } | Measure::Condition { .. } => None,
        }
    }

    /// Threshold and comparison; a bare condition answers 1 for "holds" against > 0.
    #[must_use]
    pub fn limit(&self) -> (Comparison, f64) {
        match &self.measure {
            Measure::Metric(rule) => (rule.comparison, rule.threshold),
            Measure::Query { comparison, threshold, .. } => (*comparison, *threshold),
            Measure::Condition { .. } => (Comparison::Gt, 0.0),
        }
    }
}
