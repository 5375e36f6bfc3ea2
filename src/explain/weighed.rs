//! One weighed remedy in sentences: what it would be, its numbers, what each guard said, what became of it.

use super::verdict::{hold, impossibility, ineligibility};
use super::words;
use super::{Meaning, Page};
use crate::domain::cycle::basis::Proposed;
use crate::domain::cycle::{CandidateReport, Hold, Verdict};
use crate::domain::guard::GuardReading;

/// Remedies told in full; a typical cycle weighs one to four.
const IN_FULL: usize = 4;
/// Those told in one line each after them; the rest is counted.
const IN_A_LINE: usize = 6;

/// `scale_up to 6 replicas for validation_latency at charter`.
pub(super) fn name(candidate: &CandidateReport) -> String {
    let action = words::action(candidate.planned.as_ref(), candidate.action);
    format!("{action} for {} at {}", candidate.cause, candidate.component)
}

/// The remedies in the order of how near they were to being done.
pub(super) fn by_nearness(candidates: &[CandidateReport]) -> Vec<&CandidateReport> {
    let rank = |c: &CandidateReport| match c.verdict {
        Verdict::Chosen => 0,
        Verdict::Outranked { .. } => 1,
        Verdict::Held { .. } => 2,
        Verdict::Ineligible { .. } => 3,
        Verdict::Impossible { .. } => 4,
    };
    let mut sorted: Vec<&CandidateReport> = candidates.iter().collect();
    sorted.sort_by(|a, b| rank(a).cmp(&rank(b)).then(b.score.total_cmp(&a.score)));
    sorted
}

pub(super) fn tell(page: &mut Page, candidates: &[CandidateReport], policies: &[Proposed]) {
    let sorted = by_nearness(candidates);
    for (position, candidate) in sorted.iter().enumerate() {
        if position < IN_FULL {
            page.item(&format!("{}: {}.", name(candidate), numbers(candidate)));
            for line in fate(candidate, policies) {
                page.under(&line);
            }
        } else if position < IN_FULL + IN_A_LINE {
            let (score, short) = (candidate.score, word(&candidate.verdict));
            page.item(&format!(
                "{}: benefit {:.2} − cost {:.2} = score {score:.2}, {short}.",
                name(candidate),
                candidate.benefit,
                candidate.cost
            ));
        }
    }
    let untold = sorted.len().saturating_sub(IN_FULL + IN_A_LINE);
    if untold > 0 {
        page.item(&format!("… and {untold} more; /api/v1/cycles has all of them."));
    }
}

fn numbers(candidate: &CandidateReport) -> String {
    let CandidateReport { cause_confidence, effectiveness, benefit, cost, score, .. } = candidate;
    let capped = if cause_confidence * effectiveness > benefit + 0.005 {
        format!(", at most {benefit:.2}")
    } else {
        String::new()
    };
    format!(
        "benefit {benefit:.2} (confidence {cause_confidence:.2} × effectiveness {effectiveness:.2}{capped}) − cost \
         {cost:.2} = score {score:.2}; seen {}",
        times(candidate.occurrences)
    )
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

/// What became of it, a line each: guards, verdict, what would change it.
fn fate(candidate: &CandidateReport, policies: &[Proposed]) -> Vec<String> {
    let mut lines: Vec<String> = guards(&candidate.guards).into_iter().collect();
    let mut verdict = sentence(&candidate.verdict);
    if let Some(policy) = policy_of(candidate, policies) {
        verdict.push_str(&format!(" Policy {} revision {}.", policy.id, policy.revision));
    }
    lines.push(verdict);
    lines
}

pub(super) fn policy_of<'a>(
    candidate: &CandidateReport,
    policies: &'a [Proposed],
) -> Option<&'a Proposed> {
    policies.iter().find(|p| {
        p.cause == candidate.cause
            && p.component == candidate.component
            && p.action == candidate.action
    })
}

/// A verdict in one word of the API.
fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Chosen => "chosen",
        Verdict::Outranked { .. } => "outranked",
        Verdict::Held { reason, .. } => reason.as_str(),
        Verdict::Impossible { reason, .. } => reason.as_str(),
        Verdict::Ineligible { reason, .. } => reason.as_str(),
    }
}

/// What a verdict means with its detail, and what would change it.
pub(super) fn sentence(verdict: &Verdict) -> String {
    let said = |lead: &str, word: &str, meaning: Meaning, detail: &str| {
        format!("{lead} ({word}): {}. {}", because(meaning, detail), meaning.changes)
    };
    match verdict {
        Verdict::Chosen => "Chosen: the one policy of this cycle.".to_owned(),
        Verdict::Outranked { by, score } => format!(
            "Outranked: {by} scored higher ({score:.2}), and a cycle carries out one policy. It is weighed again \
             in the next cycle."
        ),
        Verdict::Held { reason, detail } => {
            said("Held back", reason.as_str(), hold(*reason), detail)
        }
        Verdict::Impossible { reason, detail } => {
            said("Impossible", reason.as_str(), impossibility(*reason), detail)
        }
        Verdict::Ineligible { reason, detail } => {
            said("Not now", reason.as_str(), ineligibility(*reason), detail)
        }
    }
}

/// The meaning with its numbers, as it follows "because".
pub(super) fn because(meaning: Meaning, detail: &str) -> String {
    let detail = words::without_stop(detail);
    if detail.is_empty() {
        meaning.because.to_owned()
    } else {
        format!("{} ({detail})", meaning.because)
    }
}

/// Each guard with what it looked at; those that hold it back stand first.
fn guards(readings: &[GuardReading]) -> Option<String> {
    let told = |held: bool| -> Vec<String> {
        readings.iter().filter(|r| r.held.is_some() == held).map(reading).collect()
    };
    let (holding, passed) = (told(true), told(false));
    match (holding.is_empty(), passed.is_empty()) {
        (true, true) => None,
        (true, false) => Some(format!("All guards let it pass: {}.", passed.join("; "))),
        (false, true) => Some(format!("Guards that hold it: {}.", holding.join("; "))),
        (false, false) => Some(format!(
            "Guards that hold it: {}. Passed: {}.",
            holding.join("; "),
            passed.join("; ")
        )),
    }
}

fn reading(reading: &GuardReading) -> String {
    let name = reading.guard.as_str();
    let by = match reading.held {
        Some(hold) if hold.as_str() != name => format!(" ({})", hold.as_str()),
        Some(_) | None => String::new(),
    };
    let numbers = match (reading.value, reading.limit) {
        (Some(value), Some(limit)) => {
            format!(" [{}, limit {}]", words::number(value), words::number(limit))
        }
        (Some(value), None) => format!(" [{}]", words::number(value)),
        (None, _) => String::new(),
    };
    format!("{name}{by}: {}{numbers}", words::without_stop(&reading.detail))
}

/// Held back for a word of a person that can be given now.
pub(super) fn waits_for_approval(candidate: &CandidateReport) -> bool {
    matches!(candidate.verdict, Verdict::Held { reason: Hold::ApprovalPending, .. })
}
