//! Prints one cycle as a person would want to read it: what was seen, decided, done and learned, and why.

use crate::domain::cycle::{CandidateReport, CandidateResult, CycleReport};

/// The lines of one cycle; none for a cycle in which nothing happened.
#[must_use]
pub fn lines(report: &CycleReport) -> Vec<String> {
    let mut lines = seen(report);
    lines.extend(weighed(&report.candidates));
    lines.extend(report.error.iter().map(|error| format!("problem  {error}")));
    lines
}

/// What began and what cleared.
pub(super) fn seen(report: &CycleReport) -> Vec<String> {
    let mut lines = Vec::new();
    for (text, more) in grouped(&report.opened_examples) {
        lines.push(format!("saw      {text}{}", like_it(more)));
    }
    let left_out = report.opened.saturating_sub(report.opened_examples.len());
    if left_out > 0 {
        lines.push(format!("saw      … and {left_out} more"));
    }
    for (text, more) in grouped(&report.cleared_examples) {
        lines.push(format!("cleared  {}{}", name_of(text), like_it(more)));
    }
    lines
}

/// What was weighed, candidates that share their fate on one line.
pub(super) fn weighed(candidates: &[CandidateReport]) -> Vec<String> {
    let mut groups: Vec<(&CandidateReport, Vec<&str>)> = Vec::new();
    for candidate in candidates {
        let same = |known: &CandidateReport| {
            known.action == candidate.action
                && known.cause == candidate.cause
                && fate(&known.verdict) == fate(&candidate.verdict)
        };
        match groups.iter_mut().find(|(known, _)| same(known)) {
            Some((_, components)) => components.push(&candidate.component),
            None => groups.push((candidate, vec![&candidate.component])),
        }
    }
    groups
        .into_iter()
        .map(|(candidate, components)| line(candidate, &components.join(", ")))
        .collect()
}

/// What became of a candidate, without the numbers that change from cycle to cycle.
pub(super) fn fate(verdict: &CandidateResult) -> (&'static str, String) {
    match verdict {
        CandidateResult::Chosen => ("chose", String::new()),
        CandidateResult::Outranked { by, .. } => ("not yet", format!("{by} scores higher")),
        CandidateResult::Held { reason, .. } => ("waits", name(reason)),
        CandidateResult::Impossible { reason, .. } => ("cannot", name(reason)),
        CandidateResult::Ineligible { reason, .. } => ("not now", name(reason)),
    }
}

fn line(candidate: &CandidateReport, components: &str) -> String {
    let what = candidate
        .planned
        .as_ref()
        .map_or_else(|| candidate.action.to_string(), ToString::to_string);
    let (word, reason) = fate(&candidate.verdict);
    let detail = match &candidate.verdict {
        CandidateResult::Chosen => String::new(),
        CandidateResult::Outranked { score, .. } => format!("; {reason} ({score:.2})"),
        CandidateResult::Held { detail, .. }
        | CandidateResult::Impossible { detail, .. }
        | CandidateResult::Ineligible { detail, .. } => format!("; {reason}: {detail}"),
    };
    format!(
        "{word:<8} {what} for {} at {components}: benefit {:.2} − cost {:.2} = {:.2}{detail}",
        candidate.cause, candidate.benefit, candidate.cost, candidate.score
    )
}

/// Texts of the same rule and place together, the first with the number of others.
fn grouped(texts: &[String]) -> Vec<(&str, usize)> {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for text in texts {
        match groups.iter_mut().find(|(known, _)| name_of(known) == name_of(text)) {
            Some((_, more)) => *more += 1,
            None => groups.push((text, 0)),
        }
    }
    groups
}

/// Rule and place, without what distinguishes its series.
fn name_of(text: &str) -> &str {
    let name = text.split_once(':').map_or(text, |(name, _)| name);
    name.split_once(" (").map_or(name, |(name, _)| name)
}

fn like_it(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" (and {more} more like it)") }
}

/// A reason by the name that the API and the metrics use.
fn name(reason: &impl serde::Serialize) -> String {
    serde_json::to_value(reason)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}
