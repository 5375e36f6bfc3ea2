//! Time as values: differences that never go negative, and durations as configuration prints them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serializer;

pub type Time = DateTime<Utc>;

/// The one form in which people read a time: `2026-11-30T01:02:03Z`.
#[must_use]
pub fn text(at: Time) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `hour`, or what of it is left when `mape-k run --speed` divides it: `360 s`. 0 is an hour.
#[must_use]
pub fn hour(seconds: f64) -> String {
    unless_divided("hour", 3600.0, seconds)
}

/// As [`hour`].
#[must_use]
pub fn day(seconds: f64) -> String {
    unless_divided("day", 86_400.0, seconds)
}

fn unless_divided(name: &str, whole: f64, seconds: f64) -> String {
    let is_whole = seconds <= 0.0 || (seconds - whole).abs() < 1.0;
    if is_whole { name.to_owned() } else { format!("{} s", (seconds * 10.0).round() / 10.0) }
}

/// How long after `earlier` is `later`; zero when it is not.
#[must_use]
pub fn since(later: Time, earlier: Time) -> Duration {
    (later - earlier).to_std().unwrap_or(Duration::ZERO)
}

/// `at` plus `by`; saturates at the end of time, which no caller reaches.
#[must_use]
pub fn after(at: Time, by: Duration) -> Time {
    TimeDelta::from_std(by)
        .ok()
        .and_then(|delta| at.checked_add_signed(delta))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Serializes a duration as a number of seconds, whole where it is whole: the form the configuration reads.
pub fn seconds<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    if value.subsec_nanos() == 0 {
        serializer.serialize_u64(value.as_secs())
    } else {
        serializer.serialize_f64(value.as_secs_f64())
    }
}

/// [`seconds`] for a duration that may be absent.
pub fn optional_seconds<S: Serializer>(
    value: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => seconds(value, serializer),
        None => serializer.serialize_none(),
    }
}
