//! Times, spans and values as the commands print them.

use std::time::Duration;

use serde_json::Value;

use crate::domain::time::{Time, since, text};

/// `45 s`, `3 min`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |many: u64, unit: &str, rest: u64, part: &str| {
        let rest = if rest == 0 { String::new() } else { format!(" {rest} {part}") };
        format!("{many} {unit}{rest}")
    };
    match seconds {
        0..120 => format!("{seconds} s"),
        120..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// `2026-11-30T01:02:03Z (for 3 min)`.
pub(super) fn lasting(from: Time, now: Time) -> String {
    format!("{} (for {})", text(from), span(since(now, from)))
}

/// `2026-11-30T01:02:03Z (in 40 s)`; what has passed is said to have.
pub(super) fn ahead(at: Time, now: Time) -> String {
    if at > now {
        format!("{} (in {})", text(at), span(since(at, now)))
    } else {
        format!("{} ({} ago)", text(at), span(since(now, at)))
    }
}

/// A JSON value in a sentence: texts without quotation marks, nothing as a dash.
pub(super) fn said(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// `once`, `8 times`.
pub(super) fn times(times: u64) -> String {
    if times == 1 { "once".to_owned() } else { format!("{times} times") }
}

/// What has `count` of `what`, in the singular or the plural.
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
