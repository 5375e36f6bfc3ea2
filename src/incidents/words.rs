//! Durations and lists as people read them.

use std::time::Duration;

/// `45 s`, `3 min`, `2 h 5 min`, `3 d`; rounded down, so that nothing is said to last longer than it does.
pub(super) fn lasting(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => "0 min".to_owned(),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 if minutes % 60 == 0 => format!("{hours} h"),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d"),
    }
}

/// `a, b and 3 more`.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>, at_most: usize) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.iter().take(at_most).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(at_most) {
        0 => shown,
        left => format!("{shown} and {left} more"),
    }
}

/// A sentence without its full stop, so that it can be joined.
pub(super) fn clause(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

/// Whose it is, unless the words say so themselves.
pub(super) fn of_owner(owner: &str, words: &str) -> String {
    if words.contains(owner) { words.to_owned() } else { format!("{owner}: {words}") }
}
