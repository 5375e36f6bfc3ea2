//! A violation: one rule broken by one series, or one alert.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::reading::Source;
use super::rule::{Comparison, Severity};
use super::target::Target;
use super::{Cause, Labels, time::Time};

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Violation {
    /// One per episode: a violation that comes back after clearing is a new one of the same fingerprint.
    pub id: Uuid,
    /// The same for the same rule and series, or the same alert, across episodes and restarts.
    pub fingerprint: String,
    pub severity: Severity,
    pub source: Source,
    /// Rule name, or the alert's name.
    pub rule: String,
    pub metric: String,
    /// Last value read; an alert has none.
    pub value: Option<f64>,
    pub threshold: Option<f64>,
    pub comparison: Option<Comparison>,
    pub component: Option<String>,
    /// The target of an action against it. `None`: nothing that we can change.
    #[serde(default)]
    pub target: Option<Target>,
    pub labels: Labels,
    pub description: String,
    pub cause: Option<Cause>,
    /// When it was first read as broken in this episode.
    pub detected_at: Time,
    /// When it became active; equal to `detected_at` unless it was known before this process started.
    pub active_since: Time,
    pub cleared_at: Option<Time>,
    pub flapping: bool,
    /// From a rule of `monitor`, or from an alert whose cause is known, and not foreign.
    pub actionable: bool,
    /// Read as broken in this very cycle, in good data. A violation that is active but not confirmed justifies nothing.
    pub confirmed: bool,
    /// Why an alert that may be firing is no evidence: Alertmanager's list does not confirm it.
    #[serde(default)]
    pub no_evidence: Option<String>,
}

impl Violation {
    /// Counted when actions are verified and when a cycle is called healthy: actionable, warning or worse.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.actionable && self.severity >= Severity::Warning
    }

    /// It was found in the cluster. Findings are counted, and called healthy or not, by themselves.
    #[must_use]
    pub fn is_finding(&self) -> bool {
        self.source == Source::Kubernetes
    }

    /// Would an action on this target change what is broken?
    #[must_use]
    pub fn lies_on(&self, target: &Target) -> bool {
        self.target.as_ref().is_some_and(|own| target.contains(own))
    }

    /// It says itself what is wrong; such evidence works through `sustained` alone.
    #[must_use]
    pub fn names_cause(&self) -> bool {
        self.cause.as_ref().is_some_and(|cause| !cause.is_unknown())
    }
}

/// A stable name for a rule and its series.
#[must_use]
pub fn fingerprint(rule: &str, labels: &Labels) -> String {
    // DefaultHasher::new() is SipHash-1-3 with fixed keys: the same text in every process of one build. A change of
    // the standard library would only make active violations new ones, once.
    let mut hasher = DefaultHasher::new();
    rule.hash(&mut hasher);
    labels.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// A violation as the store keeps it: the active ones, and those that cleared so lately that a return still counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackedViolation {
    pub violation: Violation,
    /// When it came back after clearing, newest last; only those inside the flapping window.
    pub returns: Vec<Time>,
    /// Since when it reads clear although it still counts as active, because it is flapping.
    pub clear_since: Option<Time>,
}
