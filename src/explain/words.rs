//! The words of a page: times, numbers, lists and the width of a line.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::action::{Action, ActionKind};
use crate::domain::need::{Need, NeedReason};
use crate::domain::rule::Comparison;
use crate::domain::time::{self, Time, since};

/// What the fingerprint of an alert's own violation begins with.
const ALERT: &str = "alert-";

/// Text cut into lines of at most `width`, the first after `first`, the others after `rest`. A word that is wider than
/// a line is broken.
pub(super) fn wrapped(text: &str, width: usize, first: &str, rest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let room = width.saturating_sub(line.chars().count() + usize::from(!empty));
            if word.len() <= room {
                if !empty {
                    line.push(' ');
                }
                line.extend(word.drain(..));
                empty = false;
            } else if empty {
                line.extend(word.drain(..room.clamp(1, word.len())));
                lines.push(std::mem::replace(&mut line, rest.to_owned()));
            } else {
                lines.push(std::mem::replace(&mut line, rest.to_owned()));
                empty = true;
            }
        }
    }
    if !empty {
        lines.push(line);
    }
    lines
}

/// `45 s`, `3 min`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn span(span: Duration) -> String {
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

/// `2026-11-22T03:15:00Z (3 min ago)`.
pub(super) fn at(at: Time, now: Time) -> String {
    let ago = if at > now {
        format!("in {}", span(since(at, now)))
    } else {
        format!("{} ago", span(since(now, at)))
    };
    format!("{} ({ago})", time::text(at))
}

/// `1 violation`, `2 violations`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// `once`, `8 times`.
pub(crate) fn times(n: u64) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}

/// `is` or `are`.
pub(super) fn are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

/// At most three decimals, none that say nothing.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `1.8 > 1`: the value and the limit that it broke.
pub(super) fn reading(
    value: Option<f64>,
    comparison: Option<Comparison>,
    threshold: Option<f64>,
) -> Option<String> {
    let (value, threshold) = (value?, threshold?);
    let symbol = comparison.map_or("against", Comparison::symbol);
    Some(format!("{} {symbol} {}", number(value), number(threshold)))
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list<S: AsRef<str>>(parts: &[S]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}

/// As much of a fingerprint as names it: eight characters of it, after what an alert's begins with.
pub(crate) fn short(fingerprint: &str) -> &str {
    const ENOUGH: usize = 8;
    let start = if fingerprint.starts_with(ALERT) { ALERT.len() } else { 0 };
    fingerprint.get(..start + ENOUGH).unwrap_or(fingerprint)
}

/// The commands, without our name, that answer a need or show what it is about.
pub(crate) fn answers(need: &Need) -> Vec<String> {
    let one = match (need.reason, &need.approval) {
        (NeedReason::ApprovalNeeded, Some(asked)) => {
            let hash = &asked.hash;
            return vec![format!("approve {hash}"), format!("reject {hash} --reason TEXT")];
        }
        // A record of an earlier version: the proposals are on that page.
        (NeedReason::ApprovalNeeded, None) => "status".to_owned(),
        (NeedReason::OutcomeUnknown | NeedReason::ActionFailed, _)
            if need.subject.parse::<Uuid>().is_ok() =>
        {
            format!("explain action {}", need.subject)
        }
        _ => need.evidence.first().map_or_else(
            || "explain".to_owned(),
            |fingerprint| format!("explain violation {}", short(fingerprint)),
        ),
    };
    vec![one]
}

/// A text of somebody else's that becomes the end of a sentence.
pub(super) fn without_stop(text: &str) -> &str {
    text.trim_end().trim_end_matches(['.', '?'])
}

/// With parameters where they are known.
pub(super) fn action(planned: Option<&Action>, kind: ActionKind) -> String {
    planned.map_or_else(|| kind.to_string(), ToString::to_string)
}

pub(crate) fn actions(actions: &[Action]) -> String {
    actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ")
}
