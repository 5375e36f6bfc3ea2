//! Tells one cycle as a person would want to read it: what was seen, decided, done and learned, and why.

use crate::domain::cycle::{CandidateReport, CycleReport, Verdict};

/// The lines of one cycle; none for a cycle in which nothing happened.
#[must_use]
pub fn lines(report: &CycleReport) -> Vec<String> {
    let mut lines = Vec::new();
    for text in &report.opened_examples {
        lines.push(format!("saw      {text}"));
    }
    let more = report.opened.saturating_sub(report.opened_examples.len());
    if more > 0 {
        lines.push(format!("saw      … and {more} more"));
    }
    for text in &report.cleared_examples {
        let name = text.split_once(':').map_or(text.as_str(), |(name, _)| name);
        lines.push(format!("cleared  {name}"));
    }
    lines.extend(report.candidates.iter().map(candidate));
    if let Some(error) = &report.error {
        lines.push(format!("problem  {error}"));
    }
    lines
}

/// One remedy that was weighed, with its numbers and what became of it.
fn candidate(candidate: &CandidateReport) -> String {
    let what = candidate
        .planned
        .as_ref()
        .map_or_else(|| candidate.action.to_string(), ToString::to_string);
    let numbers = format!(
        "{what} for {} at {}: benefit {:.2} − cost {:.2} = {:.2}",
        candidate.cause, candidate.component, candidate.benefit, candidate.cost, candidate.score
    );
    match &candidate.verdict {
        Verdict::Chosen => format!("chose    {numbers}"),
        Verdict::Outranked { by, score } => format!("not yet  {numbers}; {by} scores {score:.2}"),
        Verdict::Held { reason, detail } => {
            format!("waits    {numbers}; {}: {detail}", name(reason))
        }
        Verdict::Impossible { reason, detail } => {
            format!("cannot   {numbers}; {}: {detail}", name(reason))
        }
        Verdict::Ineligible { reason, detail } => {
            format!("not now  {numbers}; {}: {detail}", name(reason))
        }
    }
}

/// A reason by the name that the API and the metrics use.
fn name(reason: &impl serde::Serialize) -> String {
    serde_json::to_value(reason)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}
