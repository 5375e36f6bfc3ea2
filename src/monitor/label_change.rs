//! A rule that answers nothing although its metric has series: which of the labels that it asks for have another value. Pure.

use std::collections::BTreeSet;

use crate::domain::Labels;

/// Values named of one label.
const NAMED: usize = 5;
const NAMED_CHARS: usize = 60;

/// In words, or `None` when nothing differs. `found`: the labels of the metric's series.
#[must_use]
pub fn described(wanted: &Labels, found: &[&Labels]) -> Option<String> {
    if found.is_empty() {
        return None;
    }
    let differing: Vec<String> = wanted
        .iter()
        .filter_map(|(name, wanted)| {
            let value = |labels: &&Labels| labels.get(name).cloned().unwrap_or_default();
            let values: BTreeSet<String> = found.iter().map(value).collect();
            (!values.contains(wanted)).then(|| told(name, wanted, &values))
        })
        .collect();
    if !differing.is_empty() {
        return Some(differing.join("; "));
    }
    // Each value is there, on different series.
    let names: Vec<&str> = wanted.keys().map(String::as_str).collect();
    (names.len() > 1).then(|| format!("no series has all of its values of {}", names.join(", ")))
}

fn told(name: &str, wanted: &str, values: &BTreeSet<String>) -> String {
    let named: Vec<String> = values
        .iter()
        .filter(|value| !value.is_empty())
        .take(NAMED)
        .map(|value| format!("{:?}", value.chars().take(NAMED_CHARS).collect::<String>()))
        .collect();
    if named.is_empty() {
        return format!("the rule asks for {name}={wanted:?}, and the series have no such label");
    }
    let rest = values.len().saturating_sub(NAMED);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("the rule asks for {name}={wanted:?}, and the series have {}{rest}", named.join(", "))
}
