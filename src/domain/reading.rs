//! What the monitor saw in one cycle: raw readings, before anything is concluded from them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::alert::AlertView;
use super::rule::Rule;
use super::target::Target;
use super::{Labels, time::Time};

/// One series of a rule's answer. NaN and infinities never get here: they are absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub labels: Labels,
    pub value: f64,
    /// When the sample was taken, on our clock (our time of the batch less the sample's age by the source's own clock).
    pub sampled_at: Time,
}

/// Why a rule or a source could not be read completely; the text names the source, the query and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct ReadFailure {
    pub kind: FailureKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum FailureKind {
    /// Refused, DNS, TLS, reset: no answer at all.
    Unreachable,
    /// No whole answer by the cycle's deadline.
    Timeout,
    /// The server answered with an error of its own.
    Server,
    /// The answer was not what the API promises (HTML, wrong type, native histogram where a number is needed).
    Nonsense,
    /// The answer came with warnings: it may be partial, so it is dropped whole.
    Partial,
    /// The source's clock and ours differ by more than the limit.
    Skew,
    /// The answer was larger than the bound.
    TooLarge,
}

impl FailureKind {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One rule's answer in one cycle.
#[derive(Clone, Debug)]
pub struct RuleReading {
    pub rule: Arc<Rule>,
    /// Every series the rule has, breaking or not; empty means that nothing answered.
    pub points: Result<Vec<Point>, ReadFailure>,
    /// A bare condition was proven answerable this cycle (its `present` query answered), so an empty answer is clear.
    pub empty_is_clear: bool,
    /// Nothing answered, and the metric has series with other values of the labels that the rule asks for: in words.
    pub label_change: Option<String>,
}

/// After an action a counter rule looks only at what came after settling, on the action's scope.
#[derive(Clone, Debug, PartialEq)]
pub struct CounterBaseline {
    pub target: Target,
    pub settled_at: Time,
}

/// A rule's past, from one range query: used to fill the causal detector after a start or a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesHistory {
    pub rule: String,
    pub labels: Labels,
    pub points: Vec<(Time, f64)>,
}

/// Where it was read.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Source {
    Prometheus,
    Scrape,
    Alertmanager,
    Kubernetes,
}

impl Source {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// It is where the rules are read.
    #[must_use]
    pub fn is_metrics(self) -> bool {
        matches!(self, Self::Prometheus | Self::Scrape)
    }
}

/// How one source did in this cycle.
#[derive(Clone, Debug)]
pub struct SourceReading {
    pub source: Source,
    pub took: Duration,
    /// Its clock less ours in seconds, where it reports it; known too when it is the skew that failed the reading.
    pub skew: Option<f64>,
    pub result: Result<(), ReadFailure>,
}

/// Everything read in one cycle.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub at: Time,
    pub readings: Vec<RuleReading>,
    pub alerts: AlertView,
    pub sources: Vec<SourceReading>,
    /// Filled only when history was asked for.
    pub history: Vec<SeriesHistory>,
}

impl Snapshot {
    /// The rules could not be read.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.sources.iter().any(|s| s.source.is_metrics() && s.result.is_err())
    }

    /// Which source the rules were read from.
    #[must_use]
    pub fn metrics_source(&self) -> Source {
        self.sources.iter().map(|s| s.source).find(|s| s.is_metrics()).unwrap_or(Source::Prometheus)
    }
}

/// How good a rule's reading was in one cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleStatus {
    pub rule: String,
    /// Answered whole, covered and fresh: only then does it open, clear, confirm or verify anything.
    pub good: bool,
    /// Series seen in any of the last ten good cycles.
    pub expected: usize,
    /// How many of those and of new ones were present and fresh.
    pub seen: usize,
    /// The oldest sample behind a good reading; `None` when it has none.
    pub oldest_sample: Option<Time>,
    /// Since when nothing at all of it was there.
    pub missing_since: Option<Time>,
    /// Missing for so long that people must be notified (`data_missing`).
    pub missing_too_long: bool,
    /// Answered, never anything yet, and not for long: a counter has no increase before its second sample.
    pub is_awaited: bool,
    pub problem: Option<String>,
}
