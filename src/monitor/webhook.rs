//! Alertmanager's webhook payload, version 4, decoded into inbox alerts. Pure: intake stores what comes out of it.
//!
//! Alerts and payloads are the outside world's: what is unknown is tolerated, one bad alert costs only itself, and
//! everything that is kept has a bound.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::Labels;
use crate::domain::alert::{AlertStatus, InboxAlert};
use crate::domain::time::Time;

/// Up to 100,000 alerts are kept for 24 h. Real ones carry some 20 labels of under 1 KiB together; with these bounds
/// even hostile ones stay under 100,000 × 32 KiB. Labels are the alert's identity and are never cut: of an alert with too
/// many or too large ones only what names it is kept, so that it can be shown and escalated, and never acted on.
pub const MAX_LABELS: usize = 128;
const MAX_LABEL_BYTES: usize = 16 * 1024;

/// What names an alert that is too large.
const NAMING: [&str; 4] = ["alertname", "severity", "origin", "component"];
pub const NAMING_BYTES: usize = 256;

/// Annotations are for people to read, so the first of them are kept and a long one is cut: no alert is lost for a
/// long text.
const MAX_ANNOTATIONS: usize = 32;
pub const MAX_ANNOTATION_BYTES: usize = 4 * 1024;
pub const MAX_ANNOTATION_BYTES_IN_ALL: usize = 16 * 1024;

/// Every alert carries it: uncut, a name of 2 MiB beside 30,000 small alerts would be 60 GB.
const MAX_RECEIVER_BYTES: usize = 1024;

/// One payload, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub receiver: String,
    /// The good ones, in order; two of the same key are the store's to tell apart.
    pub alerts: Vec<InboxAlert>,
    /// Alerts that cannot be used.
    pub invalid: usize,
    /// Alerts that Alertmanager left out (`truncatedAlerts`): above 0 the API has to be read at once.
    pub truncated: u64,
    /// Good and invalid together.
    pub seen: usize,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the payload is not an Alertmanager webhook of version 4: {cause}. Point a receiver's webhook_configs at this path"
)]
pub struct DecodeError {
    #[from]
    cause: serde_json::Error,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    receiver: Option<String>,
    #[serde(
        default,
        rename = "truncatedAlerts",
        deserialize_with = "crate::domain::whole::optional"
    )]
    truncated_alerts: Option<u64>,
    alerts: Vec<Value>,
}

#[derive(Deserialize)]
struct WireAlert {
    #[serde(default)]
    status: Option<AlertStatus>,
    labels: Labels,
    #[serde(default)]
    annotations: Option<Labels>,
    #[serde(rename = "startsAt")]
    starts_at: Time,
    #[serde(default, rename = "endsAt")]
    ends_at: Option<Time>,
    #[serde(default)]
    fingerprint: Option<String>,
}

/// Decodes a payload that arrived at `received_at`.
pub fn decode(body: &[u8], received_at: Time) -> Result<Delivery, DecodeError> {
    let payload: Payload = serde_json::from_slice(body)?;
    let receiver = cut(unquoted(&payload.receiver.unwrap_or_default()), MAX_RECEIVER_BYTES);
    let seen = payload.alerts.len();
    let alerts: Vec<InboxAlert> = payload
        .alerts
        .into_iter()
        .filter_map(|alert| {
            let alert = serde_json::from_value::<WireAlert>(alert).ok()?;
            inbox_alert(alert, &receiver, received_at)
        })
        .collect();
    let invalid = seen - alerts.len();
    let truncated = payload.truncated_alerts.unwrap_or(0);
    Ok(Delivery { receiver, alerts, invalid, truncated, seen })
}

fn inbox_alert(alert: WireAlert, receiver: &str, received_at: Time) -> Option<InboxAlert> {
    if alert.labels.is_empty() {
        return None;
    }
    let status = alert.status.unwrap_or_else(|| match alert.ends_at {
        // Go's zero time, year 1, stands for an alert that has no end.
        Some(end) if end > Time::UNIX_EPOCH && end <= received_at => AlertStatus::Resolved,
        _ => AlertStatus::Firing,
    });
    let fingerprint = match alert.fingerprint {
        // As long as one of Alertmanager's; a longer one would be an unbounded key.
        Some(given) if !given.is_empty() && given.len() <= 64 => given,
        _ => derived_fingerprint(&alert.labels),
    };
    // The API tells the same beginning in milliseconds, the webhook in nanoseconds: finer than the API the two would
    // be two alerts.
    let starts_at = Time::from_timestamp_millis(alert.starts_at.timestamp_millis())?;
    let too_large = is_too_large(&alert.labels);
    Some(InboxAlert {
        fingerprint,
        starts_at,
        status,
        labels: if too_large { naming(&alert.labels) } else { alert.labels },
        annotations: bounded(alert.annotations.unwrap_or_default()),
        receiver: receiver.to_owned(),
        received_at,
        processed: false,
        listed: false,
        too_large,
    })
}

/// Too large to keep whole.
#[must_use]
pub fn is_too_large(labels: &Labels) -> bool {
    let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    labels.len() > MAX_LABELS || bytes > MAX_LABEL_BYTES
}

/// What is kept of labels that are too large. The scope and what a handler would look for are not among them.
#[must_use]
pub fn naming(labels: &Labels) -> Labels {
    let of = |name: &&str| labels.get_key_value(*name);
    NAMING.iter().filter_map(of).map(|(name, value)| (name.clone(), shortened(value))).collect()
}

/// A name as it is shown.
#[must_use]
pub fn shortened(name: &str) -> String {
    cut(name.to_owned(), NAMING_BYTES)
}

/// Alertmanager puts its receiver's name through Go's regexp.QuoteMeta here and nowhere else: `team.a` comes as
/// `team\.a`, and would never be found among the receivers that its API lists.
fn unquoted(receiver: &str) -> String {
    let mut name = String::with_capacity(receiver.len());
    let mut chars = receiver.chars();
    while let Some(c) = chars.next() {
        name.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    name
}

fn bounded(annotations: Labels) -> Labels {
    let mut left = MAX_ANNOTATION_BYTES_IN_ALL;
    annotations
        .into_iter()
        .filter(|(name, _)| name.len() <= MAX_ANNOTATION_BYTES)
        .take(MAX_ANNOTATIONS)
        .map_while(|(name, value)| {
            let value = cut(value, MAX_ANNOTATION_BYTES);
            left = left.checked_sub(name.len() + value.len())?;
            Some((name, value))
        })
        .collect()
}

fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// The fingerprint that Alertmanager itself gives these labels (FNV-1a over the sorted pairs, each closed by 0xff), so
/// that an alert delivered without one is the same as the one that its API lists.
#[must_use]
pub fn derived_fingerprint(labels: &Labels) -> String {
    const OFFSET: u64 = 14_695_981_039_346_656_037;
    const PRIME: u64 = 1_099_511_628_211;
    let bytes = labels
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])
        .flat_map(|text| text.iter().copied().chain([0xff]));
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
}
