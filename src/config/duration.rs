//! Durations as people write them: `30`, `0.5`, `"30s"`, `"500ms"`, `"15m"`, `"1h"`, `"30d"`.

use std::time::Duration;

use super::tree::Value;

/// Longer than any duration that makes sense here, short enough that no sum of them overflows: ten years.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 3600);

pub(super) const FORMS: &str =
    "a duration: seconds (30, 0.5) or a number with ms, s, m, h or d (\"30s\", \"5m\", \"30d\")";

/// None for anything that is not a finite duration between zero and ten years.
pub(super) fn parse(value: &Value) -> Option<Duration> {
    let duration = match value {
        Value::Int(seconds) => Duration::from_secs(u64::try_from(*seconds).ok()?),
        Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok()?,
        Value::Text(text) | Value::Word(text) => parse_text(text)?,
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => return None,
    };
    (duration <= LONGEST).then_some(duration)
}

fn parse_text(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number = number.trim_end();
    let millis: u32 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    // Whole numbers stay exact.
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(millis.into()).map(Duration::from_millis);
    }
    let fraction = number.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(fraction * f64::from(millis) / 1_000.0).ok()
}

/// As errors show one: `30 s`.
pub(super) fn show(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
