//! Alerts: as delivered to the inbox, as Alertmanager lists them, and as the loop sees them after classification.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::reading::ReadFailure;
use super::rule::Severity;
use super::{Cause, Labels, time::Time};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    Firing,
    Resolved,
}

/// One alert as it stands in the inbox. Identity is fingerprint + `starts_at`; resolved is final for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxAlert {
    pub fingerprint: String,
    pub starts_at: Time,
    pub status: AlertStatus,
    pub labels: Labels,
    pub annotations: Labels,
    /// The receiver named by the payload that carried it.
    pub receiver: String,
    /// When it arrived here; arrival decides time, `starts_at` is only part of the name.
    pub received_at: Time,
    /// A cycle has taken it in.
    pub processed: bool,
}

impl InboxAlert {
    /// The deduplication key.
    #[must_use]
    pub fn key(&self) -> String {
        alert_key(&self.fingerprint, self.starts_at)
    }
}

#[must_use]
pub fn alert_key(fingerprint: &str, starts_at: Time) -> String {
    format!("{fingerprint}@{}", starts_at.timestamp_micros())
}

/// One entry of `GET /api/v2/alerts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAlert {
    pub fingerprint: String,
    pub starts_at: Time,
    pub labels: Labels,
    pub annotations: Labels,
    pub receivers: Vec<String>,
}

/// What Alertmanager itself says is active, not silenced and not inhibited.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertListing {
    /// On our clock, when the list was asked for: alerts delivered later are not in it.
    pub asked_at: Time,
    /// How long this Alertmanager has been up; absence proves nothing before it has been up long enough.
    pub up_for: std::time::Duration,
    pub alerts: Vec<ListedAlert>,
}

/// What may be done with an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertClass {
    /// Its cause is known: evidence like a rule's violation.
    Actionable,
    /// Routed to us, cause unknown: recorded, and escalated when critical.
    UnknownCause,
    /// Not routed to us and of unknown cause: shown only.
    NotOurs,
    /// Carries a scope label with another value: shown only.
    Foreign,
    /// Named by `alertmanager.ignore` or a handler with `ignore`: shown only.
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Alertmanager's own list holds it now (or it arrived after the list was asked for).
    Firing,
    /// Resolved, or absent from the list of an Alertmanager that has been up long enough.
    Clear,
    /// Delivered once, but the list cannot be read or cannot be trusted yet.
    Unconfirmed,
}

/// One alert after classification.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub key: String,
    pub fingerprint: String,
    pub name: String,
    pub labels: Labels,
    pub description: String,
    pub severity: Severity,
    pub cause: Option<Cause>,
    /// The rule it names (handler or label `rule`), if that rule exists.
    pub rule: Option<String>,
    pub component: Option<String>,
    pub class: AlertClass,
    pub state: AlertState,
    /// First delivery of an alert that neither the store nor the list read at start knew.
    pub onset: bool,
    pub received_at: Time,
}

/// Everything known of alerts in one cycle.
#[derive(Clone, Debug, Default)]
pub struct AlertView {
    pub alerts: Vec<Alert>,
    /// Why the list could not be read, if it could not. With Alertmanager off this is `None` and there are no alerts.
    pub failure: Option<ReadFailure>,
    /// The list was read from an Alertmanager that has been up long enough: what is not in it is clear.
    pub absence_proves_clear: bool,
}
