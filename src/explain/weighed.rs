//! One weighed action in sentences: its parameters, its numbers, what each guard said, what became of it.

use std::collections::BTreeSet;

use super::candidate::{hold, impossibility, ineligibility};
use super::words;
use super::{Meaning, Page};
use crate::domain::cycle::basis::Proposed;
use crate::domain::cycle::{CandidateReport, CandidateResult};
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::legible;
use crate::domain::target::System;

/// Actions shown in full, those with the same result as one; a typical cycle weighs one to four.
const IN_FULL: usize = 4;
/// Those shown in one line each after them; the rest is counted.
const IN_A_LINE: usize = 4;
/// Components named of actions with the same result.
const NAMED: usize = 4;

/// `scale_up to 6 replicas for validation_latency at charter`.
pub(super) fn name(candidate: &CandidateReport) -> String {
    let action = words::action(candidate.planned.as_ref(), candidate.action);
    format!("{action} for {} at {}", candidate.cause, legible::name(&candidate.component))
}

/// The actions, the nearest to being done first.
pub(super) fn by_nearness(candidates: &[CandidateReport]) -> Vec<&CandidateReport> {
    let rank = |c: &CandidateReport| match c.verdict {
        CandidateResult::Chosen => 0,
        CandidateResult::Outranked { .. } => 1,
        CandidateResult::Held { .. } => 2,
        CandidateResult::Ineligible { .. } => 3,
        CandidateResult::Impossible { .. } => 4,
    };
    let mut sorted: Vec<&CandidateReport> = candidates.iter().collect();
    sorted.sort_by(|a, b| rank(a).cmp(&rank(b)).then(b.score.total_cmp(&a.score)));
    sorted
}

/// The same action for the same cause on several components, with the same result. Never empty.
struct Group<'a>(Vec<&'a CandidateReport>);

impl<'a> Group<'a> {
    fn all(candidates: &'a [CandidateReport]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for candidate in by_nearness(candidates) {
            let same = |group: &&mut Self| fate(group.0[0]) == fate(candidate);
            match groups.iter_mut().find(same) {
                Some(group) => group.0.push(candidate),
                None => groups.push(Self(vec![candidate])),
            }
        }
        groups
    }

    fn name(&self) -> String {
        let first = self.0[0];
        if self.0.len() == 1 {
            return name(first);
        }
        let mut places: Vec<String> =
            self.0.iter().take(NAMED).map(|c| legible::name(&c.component).into_owned()).collect();
        if self.0.len() > NAMED {
            places.push(format!("{} more", self.0.len() - NAMED));
        }
        format!("{} for {} at {}", first.action, first.cause, words::list(&places))
    }
}

/// What became of an action, without the name of its component.
fn fate(candidate: &CandidateReport) -> Vec<String> {
    let CandidateReport { cause, component, action, guards, score, .. } = candidate;
    let nameless = |text: String| text.replace(component.as_str(), "…");
    let mut fate = vec![action.to_string(), cause.to_string(), format!("{score:.2}")];
    fate.extend([candidate.verdict.word().to_owned(), nameless(detail(candidate))]);
    fate.extend(guards.iter().map(|guard| nameless(reading(guard))));
    fate
}

/// `said`: the reason that the page has explained already; each is explained once.
pub(super) fn tell(
    page: &mut Page,
    candidates: &[CandidateReport],
    policies: &[Proposed],
    said: Option<&CandidateResult>,
) {
    let groups = Group::all(candidates);
    let mut explained: BTreeSet<&str> = said.map(CandidateResult::word).into_iter().collect();
    let mut passed_said = false;
    for (position, group) in groups.iter().enumerate() {
        let candidate = group.0[0];
        if position < IN_FULL {
            page.item(&format!("{}: {}.", group.name(), numbers(candidate)));
            let first = explained.insert(candidate.verdict.word());
            let mut result = result(candidate, first);
            let policy = policy_of(candidate, policies);
            if let Some(policy) = policy.filter(|p| !result.contains(&p.id.to_string())) {
                result = format!("{result} Policy {} revision {}.", policy.id, policy.revision);
            }
            page.under(&result);
            // The first sentences of the page have said what holds the nearest one as well.
            let holding = holding(candidate).join("; ");
            let in_short = position == 0 && said == Some(&candidate.verdict);
            if !holding.is_empty() && !in_short {
                page.under(&format!("Also held by {holding}."));
            }
            if let Some(passed) = passed(candidate).filter(|_| !passed_said) {
                page.under(&passed);
                passed_said = true;
            }
        } else if position < IN_FULL + IN_A_LINE {
            page.item(&format!(
                "{}: benefit {:.2} − cost {:.2} = score {:.2}, {}.",
                group.name(),
                candidate.benefit,
                candidate.cost,
                candidate.score,
                candidate.verdict.word()
            ));
        }
    }
    let left_out: usize = groups.iter().skip(IN_FULL + IN_A_LINE).map(|group| group.0.len()).sum();
    if left_out > 0 {
        page.item(&format!("… and {left_out} more; GET /api/v1/cycles lists all of them."));
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
         {cost:.2} = score {score:.2}"
    )
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

/// What became of it, with its detail; with `first` also what that means and what would change it.
fn result(candidate: &CandidateReport, first: bool) -> String {
    let (lead, detail) = match &candidate.verdict {
        CandidateResult::Chosen | CandidateResult::Outranked { .. } => return sentence(candidate),
        CandidateResult::Held { .. } => ("Held back", detail(candidate)),
        CandidateResult::Impossible { .. } => ("Impossible", detail(candidate)),
        CandidateResult::Ineligible { .. } => ("Not eligible", detail(candidate)),
    };
    let plain = format!("{lead} ({}): {detail}.", candidate.verdict.word());
    if first || detail.is_empty() { sentence(candidate) } else { plain }
}

/// What a result means with its detail, and what would change it.
pub(super) fn sentence(candidate: &CandidateReport) -> String {
    let detail = detail(candidate);
    let said = |lead: &str, word: &str, meaning: Meaning| {
        format!("{lead} ({word}): {}. {}", because(meaning, &detail), meaning.changes)
    };
    match &candidate.verdict {
        CandidateResult::Chosen => "Chosen: the one action of this cycle.".to_owned(),
        CandidateResult::Outranked { by, score } => format!(
            "Outranked: {by} scored higher ({score:.2}), and a cycle carries out one action. It is weighed again \
             in the next cycle."
        ),
        CandidateResult::Held { reason, .. } => said("Held back", reason.as_str(), hold(*reason)),
        CandidateResult::Impossible { reason, .. } => {
            said("Impossible", reason.as_str(), impossibility(*reason))
        }
        CandidateResult::Ineligible { reason, .. } => {
            said("Not eligible", reason.as_str(), ineligibility(*reason))
        }
    }
}

/// The detail of the result, in the words of the guard or rule that it comes from.
pub(super) fn detail(candidate: &CandidateReport) -> String {
    match &candidate.verdict {
        CandidateResult::Chosen | CandidateResult::Outranked { .. } => String::new(),
        CandidateResult::Held { detail, .. }
        | CandidateResult::Impossible { detail, .. }
        | CandidateResult::Ineligible { detail, .. } => words::without_stop(detail).to_owned(),
    }
}

/// The guard that the result comes from: the first that holds for that reason.
fn decisive(candidate: &CandidateReport) -> Option<&GuardReading> {
    let CandidateResult::Held { reason, .. } = &candidate.verdict else { return None };
    candidate.guards.iter().find(|reading| reading.held == Some(*reason))
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

/// Those that hold it beside the one that the result comes from.
fn holding(candidate: &CandidateReport) -> Vec<String> {
    let first = decisive(candidate);
    let others = candidate.guards.iter().filter(|r| r.held.is_some() && first != Some(*r));
    others.map(reading).collect()
}

/// What holds it beside the result's own reason, as a sentence of its own after what would change that: none may be
/// taken for the whole answer.
pub(super) fn as_well(candidate: &CandidateReport) -> String {
    let holding = holding(candidate);
    let held = matches!(candidate.verdict, CandidateResult::Held { .. }) && !holding.is_empty();
    if held {
        format!(" It is also held by {}; each has to let it pass.", holding.join("; "))
    } else {
        String::new()
    }
}

/// The guards that let it pass, by name; of the budget it matters how much is left. Said of the nearest action alone:
/// those of the others are among the facts.
fn passed(candidate: &CandidateReport) -> Option<String> {
    // What a guard does not ask of this system it did not let pass either.
    let is_asked = |r: &&GuardReading| {
        r.guard != Guard::Charter || candidate.action.system() == System::Charter
    };
    let asked: Vec<&GuardReading> = candidate.guards.iter().filter(is_asked).collect();
    let passed: Vec<String> = asked
        .iter()
        .filter(|r| r.held.is_none())
        .map(|r| if r.guard == Guard::Budget { reading(r) } else { r.guard.as_str().to_owned() })
        .collect();
    let all = passed.len() == asked.len();
    let lead = if all { "All guards passed" } else { "Guards passed" };
    (!passed.is_empty()).then(|| format!("{lead}: {}.", passed.join(", ")))
}

fn reading(reading: &GuardReading) -> String {
    // Its words carry number and limit; the bare figures are among the facts.
    format!("{} ({})", reading.guard.as_str(), words::without_stop(&reading.detail))
}
