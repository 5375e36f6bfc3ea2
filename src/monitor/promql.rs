//! PromQL generated from rules: one query for values, one for the samples' timestamps. Pure.
//!
//! No threshold gets into a query: a series that is clear must be seen too, or it would look like one that is
//! missing.

use std::fmt::Write as _;
use std::time::Duration;

use super::window::Windows;
use crate::domain::Labels;
use crate::domain::rule::{IDENTITY_LABELS, MetricRule};

/// What is asked for one rule of `monitor.metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queries {
    /// Together they answer every series once; more than one only while a service's window is narrower.
    pub values: Vec<String>,
    /// The oldest sample behind each of these series.
    pub timestamps: String,
}

/// The queries of a rule; `windows` stands for its counter window and is there exactly when it has one.
#[must_use]
pub fn queries(metric: &MetricRule, scope: &Labels, windows: Option<&Windows>) -> Queries {
    let mut matchers: Vec<Matcher> = metric.labels.iter().map(equal).collect();
    // A rule that contradicts the scope keeps both matchers: it then reads nothing, never another's series.
    matchers.extend(scope.iter().filter(|(k, v)| metric.labels.get(*k) != Some(*v)).map(equal));
    let all = selector(&metric.metric, &matchers);
    let values = match windows {
        None => vec![aggregated(metric, &all)],
        Some(windows) => counter_values(metric, &matchers, windows),
    };
    let timestamps = match metric.aggregate {
        Some(_) => format!("min by ({}) (timestamp({all}))", kept_labels(metric).join(", ")),
        None => format!("timestamp({all})"),
    };
    Queries { values, timestamps }
}

/// One series of the rule, whichever it is.
#[must_use]
pub fn any_series(metric: &MetricRule, scope: &Labels) -> String {
    let matchers: Vec<Matcher> = metric.labels.iter().chain(scope).map(equal).collect();
    format!("topk(1, {})", selector(&metric.metric, &matchers))
}

/// The raw samples of one series within the last `window`.
#[must_use]
pub fn samples(metric: &str, labels: &Labels, window: Duration) -> String {
    let matchers: Vec<Matcher> = labels.iter().map(equal).collect();
    format!("{}[{}]", selector(metric, &matchers), duration(window))
}

/// Does this PromQL look back over a window, or from an offset, of its own? What stands in quotes is no part of it.
#[must_use]
pub fn holds_duration(promql: &str) -> bool {
    let (mut bare, mut quote, mut escaped) = (String::new(), None, false);
    for c in promql.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            // A string in backticks has no escapes.
            Some(open) if c == '\\' && open != '`' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None => bare.push(c),
        }
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    bare.contains('[')
        || bare.split(|c| !is_word(c)).any(|word| word.eq_ignore_ascii_case("offset"))
}

/// The labels by which a rule and the scope choose series, and the query for the values that the metric's series have of
/// them; `None` when it takes every series of its metric.
#[must_use]
pub fn chosen_by(metric: &MetricRule, scope: &Labels) -> Option<(Labels, String)> {
    let mut wanted = scope.clone();
    wanted.extend(metric.labels.clone());
    let names: Vec<String> = wanted.keys().map(|name| label_name(name)).collect();
    let query = format!("max by ({}) ({})", names.join(", "), selector(&metric.metric, &[]));
    (!wanted.is_empty()).then_some((wanted, query))
}

fn counter_values(metric: &MetricRule, matchers: &[Matcher], windows: &Windows) -> Vec<String> {
    let query = |more: &[Matcher], window: Duration| {
        let matchers: Vec<Matcher> = matchers.iter().chain(more).cloned().collect();
        let selector = selector(&metric.metric, &matchers);
        aggregated(metric, &format!("increase({selector}[{}])", duration(window)))
    };
    let Some(narrowed) = &windows.narrowed else { return vec![query(&[], windows.base)] };
    let of = |component: &String, operator| Matcher {
        label: narrowed.label.clone(),
        operator,
        value: component.clone(),
    };
    let others: Vec<Matcher> = narrowed.components.keys().map(|name| of(name, "!=")).collect();
    std::iter::once(query(&others, windows.base))
        .chain(narrowed.components.iter().map(|(name, window)| query(&[of(name, "=")], *window)))
        .collect()
}

fn aggregated(metric: &MetricRule, inner: &str) -> String {
    match metric.aggregate {
        Some(aggregate) => {
            format!("{} by ({}) ({inner})", aggregate.as_str(), kept_labels(metric).join(", "))
        }
        None => inner.to_owned(),
    }
}

fn kept_labels(metric: &MetricRule) -> Vec<String> {
    let identity = IDENTITY_LABELS.iter().filter(|name| metric.by.iter().all(|by| by != *name));
    metric.by.iter().map(String::as_str).chain(identity.copied()).map(label_name).collect()
}

#[derive(Clone, Debug)]
struct Matcher {
    label: String,
    operator: &'static str,
    value: String,
}

fn equal((label, value): (&String, &String)) -> Matcher {
    Matcher { label: label.clone(), operator: "=", value: value.clone() }
}

fn selector(metric: &str, matchers: &[Matcher]) -> String {
    let mut parts: Vec<String> = Vec::with_capacity(matchers.len() + 1);
    let plain = is_plain(metric, true);
    if !plain {
        // Names with dots and the like (OpenTelemetry) are not words of the language, but a label's value may hold them.
        parts.push(format!("__name__={}", quoted(metric)));
    }
    parts.extend(
        matchers
            .iter()
            .map(|m| format!("{}{}{}", label_name(&m.label), m.operator, quoted(&m.value))),
    );
    let name = if plain { metric } else { "" };
    if parts.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", parts.join(",")) }
}

fn label_name(label: &str) -> String {
    if is_plain(label, false) { label.to_owned() } else { quoted(label) }
}

/// A word of the language and of the exposition before version 3; metrics may have colons.
pub(super) fn is_plain(name: &str, colon: bool) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    name.chars().all(word) && name.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

/// A PromQL string: Go's escapes.
fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whole seconds where it is whole, else whole milliseconds: PromQL knows nothing finer.
fn duration(window: Duration) -> String {
    match window.as_millis().max(1) {
        millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
        millis => format!("{millis}ms"),
    }
}
