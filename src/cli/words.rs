//! Times, spans and values as the commands print them.

use serde_json::Value;

use crate::domain::time::{Time, since, text};
use crate::explain::span;

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
