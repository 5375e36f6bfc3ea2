//! Alerts: as delivered to the inbox, as Alertmanager lists them, and as the loop sees them after classification.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::reading::ReadFailure;
use super::rule::Severity;
use super::target::TargetLabels;
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
    /// Alertmanager's list has had it once: from then on its absence there means that it is resolved. Rows of versions that
    /// did not note it count as listed: they are as likely resolved, and nobody is to be paged for them.
    #[serde(default = "noted_as_listed")]
    pub listed: bool,
    /// Its labels were too large to keep; these are its name.
    #[serde(default)]
    pub too_large: bool,
}

fn noted_as_listed() -> bool {
    true
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

/// One alert as Alertmanager's API lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAlert {
    pub fingerprint: String,
    pub starts_at: Time,
    pub labels: Labels,
    pub annotations: Labels,
    pub receivers: Vec<String>,
    /// The silence or the inhibition that holds it back, in words.
    pub suppressed: Option<String>,
    /// The routes that it takes; empty where only the plain list is there.
    pub routes: Vec<AlertRoute>,
}

impl ListedAlert {
    /// As of a delivered alert.
    #[must_use]
    pub fn key(&self) -> String {
        alert_key(&self.fingerprint, self.starts_at)
    }
}

/// One of the groups that hold an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRoute {
    pub receiver: String,
    /// Time intervals that mute this route now.
    pub muted_by: Vec<String>,
}

/// What Alertmanager itself says of its alerts, those that it holds back among them.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertListing {
    /// On our clock, when the list was asked for: alerts delivered later are not in it.
    pub asked_at: Time,
    /// How long this Alertmanager has been up; absence proves nothing before it has been up long enough.
    pub up_for: std::time::Duration,
    pub alerts: Vec<ListedAlert>,
    /// It says which routes a time interval mutes (Alertmanager 0.28 and later).
    pub tells_muting: bool,
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
    /// Grafana's report that a rule has no data or could not be evaluated, whatever labels of the rule it carries:
    /// escalated as missing data.
    MissingData,
    /// Labels beyond the bounds: it is shown, and a person is asked when it is critical.
    TooLarge,
}

/// Whether an alert fires, according to Alertmanager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Alertmanager's own list has it, and nothing there holds it back.
    Firing,
    /// Resolved, or gone from the list of an Alertmanager that has been up long enough.
    Clear,
    /// Delivered, but Alertmanager's list does not confirm it: it is evidence for no action.
    Unconfirmed,
    /// Alertmanager lists it and holds it back, or may do so: it is evidence for no action.
    HeldBack,
}

/// Why an alert that may be firing is no evidence for an action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEvidence {
    /// A silence, an inhibition or a time interval, in words.
    #[error("Alertmanager holds it back: {0}")]
    HeldBack(String),
    #[error(
        "this Alertmanager does not say which alerts a time interval mutes (0.28 and later do), and no authenticated \
         webhook brought it (alertmanager.webhook_token)"
    )]
    MutingUnknown,
    /// The time interval, in words.
    #[error(
        "{0} on one of its routes, another one is open, and alertmanager.receiver does not say which of them leads here"
    )]
    RouteUnknown(String),
    #[error("a webhook brought it after Alertmanager's list was asked for: the next list decides")]
    NotListedYet,
    #[error("only a webhook brought it: Alertmanager's list (alertmanager.url) does not have it")]
    Unlisted,
    #[error("Alertmanager's list, which would confirm it, could not be read")]
    ListUnread,
    #[error("Alertmanager restarted lately, and its list does not have it yet")]
    ListYoung,
}

impl NoEvidence {
    /// Alertmanager lists it, and whether it is muted for us is not known.
    #[must_use]
    pub fn may_be_muted(&self) -> bool {
        matches!(self, Self::MutingUnknown | Self::RouteUnknown(_))
    }
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
    /// Which of its labels name the Kubernetes object that it is about.
    pub target: Option<TargetLabels>,
    pub class: AlertClass,
    pub state: AlertState,
    /// Says why when it is unconfirmed or held back.
    pub no_evidence: Option<NoEvidence>,
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
    /// The list was read from an Alertmanager that has been up long enough: an alert that it lacks is clear.
    pub absence_proves_clear: bool,
    /// The list was read, and does not tell which routes a time interval mutes.
    pub muting_unnotified: bool,
    /// Words of label `severity` that `alertmanager.severities` does not know, each with how many alerts were new with it.
    pub unknown_severities: BTreeMap<String, u64>,
}
