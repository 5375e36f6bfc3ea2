//! The page of one violation: since when, whether it counts, what it is evidence for, and what was done about it.

use serde_json::json;

use super::cycle::escalation;
use super::unread::{Unread, unread};
use super::weighed::{as_well, by_nearness, name, sentence};
use super::{Explanation, Kind, Page, verified, weighed, words};
use crate::domain::analysis::{Analysis, RootCause};
use crate::domain::cycle::{CandidateReport, CandidateResult, CycleReport};
use crate::domain::legible;
use crate::domain::need::Need;
use crate::domain::outcome::PendingVerification;
use crate::domain::rule::Severity;
use crate::domain::time::{self, Time, since};
use crate::domain::treatment::Treatment;
use crate::domain::violation::Violation;
use crate::domain::{CHARTER, Cause};

/// Attempts of a treatment that are shown; a treatment has a few at most.
const ATTEMPTS: usize = 8;
const ESCALATIONS: usize = 5;

#[derive(Debug)]
pub struct ViolationFacts<'a> {
    pub now: Time,
    pub violation: &'a Violation,
    /// The latest cycle, and its analysis if it is still kept.
    pub report: Option<&'a CycleReport>,
    pub analysis: Option<&'a Analysis>,
    /// The newest first.
    pub treatments: &'a [Treatment],
    pub verifications: &'a [PendingVerification],
    /// Open ones whose evidence it is.
    pub escalations: &'a [Need],
}

/// Why an active violation is no evidence for anything; `None` when it is. `unread`: why it could not be read.
pub(super) fn left_out(
    severity: Severity,
    actionable: bool,
    flapping: bool,
    confirmed: bool,
    unread: Option<String>,
) -> Option<String> {
    let why = if !actionable {
        "it is only shown: its cause is not known, or it belongs to another system"
    } else if severity < Severity::Warning {
        "it is for information only"
    } else if flapping {
        "it is flapping, and no action is taken until it is steady"
    } else if !confirmed {
        return Some(unread.unwrap_or_else(|| {
            "it could not be read as violated in that cycle (unconfirmed)".to_owned()
        }));
    } else {
        return None;
    };
    Some(why.to_owned())
}

#[must_use]
pub fn violation(facts: &ViolationFacts<'_>) -> Explanation {
    let violation = facts.violation;
    let roots = roots(facts);
    let candidates = candidates(facts, &roots);
    let mut page = Page::begin(&in_short(facts, &roots, &candidates));
    page.section("Seen");
    seen(&mut page, facts);
    page.section("Concluded");
    for root in &roots {
        conclusion(&mut page, root, facts.analysis);
    }
    page.section("Weighed in the latest cycle");
    let policies = facts.report.and_then(|r| r.basis.as_ref()).map(|b| b.policies.as_slice());
    let said = by_nearness(&candidates).first().map(|c| &c.verdict);
    weighed::tell(&mut page, &candidates, policies.unwrap_or_default(), said);
    page.section("What was tried");
    let treatments = treatments(facts, &roots);
    for treatment in &treatments {
        attempts(&mut page, treatment, facts);
    }
    page.section("People are asked for");
    for record in facts.escalations.iter().take(ESCALATIONS) {
        page.item(&escalation(record));
    }
    let left_out = facts.escalations.len().saturating_sub(ESCALATIONS);
    if left_out > 0 {
        page.item(&format!("… and {left_out} more (GET /api/v1/incidents)."));
    }
    let raw = json!({
        "violation": violation,
        "root_causes": roots,
        "candidates": candidates,
        "incidents": treatments,
        "escalations": facts.escalations,
        "cycle_id": facts.report.map(|r| &r.id),
    });
    let state = if violation.cleared_at.is_some() { "cleared" } else { "active" };
    let place = violation
        .component
        .as_ref()
        .map(|c| format!(" at {}", legible::name(c)))
        .unwrap_or_default();
    let title = format!("Violation {}{place}: {state}", legible::name(&violation.rule));
    page.end(Kind::Violation, violation.fingerprint.clone(), &title, raw)
}

/// Why an active one was not read in the latest cycle, if it was not.
fn not_read<'a>(facts: &ViolationFacts<'a>) -> Option<Unread<'a>> {
    let violation = facts.violation;
    let waits = violation.cleared_at.is_none() && !violation.confirmed;
    facts.report.filter(|_| waits).and_then(|r| unread(r, violation.source, &violation.rule))
}

fn roots<'a>(facts: &ViolationFacts<'a>) -> Vec<&'a RootCause> {
    let own = &facts.violation.fingerprint;
    let roots = facts.analysis.into_iter().flat_map(|a| &a.root_causes);
    roots.filter(|r| r.evidence.contains(own)).collect()
}

/// The actions that were weighed for the causes it is evidence for, there or for Charter as a whole.
fn candidates(facts: &ViolationFacts<'_>, roots: &[&RootCause]) -> Vec<CandidateReport> {
    let candidates = facts.report.into_iter().flat_map(|r| &r.candidates);
    let about = |c: &&CandidateReport| {
        roots
            .iter()
            .any(|r| r.cause == c.cause && (r.component == c.component || c.component == CHARTER))
    };
    candidates.filter(about).cloned().collect()
}

/// The newest of each of its causes.
fn treatments<'a>(facts: &ViolationFacts<'a>, roots: &[&RootCause]) -> Vec<&'a Treatment> {
    let mut causes: Vec<&Cause> = roots.iter().map(|r| &r.cause).collect();
    causes.extend(facts.violation.cause.as_ref());
    causes.sort_unstable();
    causes.dedup();
    // One that ended before it began, or is of another target, is another story.
    let began = facts.violation.detected_at;
    let target = facts.violation.target.as_ref();
    let is_there = |one: &Treatment| match (target, &one.target) {
        (Some(target), Some(_)) => one.is_of(&one.cause, target),
        _ => true,
    };
    let newest = |cause| {
        let is_own = |one: &&Treatment| &one.cause == cause && one.last_evidence_at >= began;
        facts.treatments.iter().find(|one| is_own(one) && is_there(one))
    };
    causes.into_iter().filter_map(newest).collect()
}

fn in_short(
    facts: &ViolationFacts<'_>,
    roots: &[&RootCause],
    candidates: &[CandidateReport],
) -> Vec<String> {
    let violation = facts.violation;
    if let Some(cleared) = violation.cleared_at {
        let lasted = words::span(since(cleared, violation.active_since));
        let text = format!("It cleared {}, after {lasted}.", words::at(cleared, facts.now));
        return vec![text];
    }
    let lasted = words::span(since(facts.now, violation.active_since));
    let unread = not_read(facts);
    let value = words::reading(violation.value, violation.comparison, violation.threshold);
    let mut said = vec![match &unread {
        None => {
            let value = value.map_or_else(String::new, |v| format!(" ({v})"));
            format!("It has been active for {lasted}{value}.")
        }
        Some(unread) => {
            let when = unread.when();
            let value =
                value.map_or_else(String::new, |v| format!(" (was {v} when last read{when})"));
            format!(
                "It has counted as active for {lasted}{value}; whether it still is active is UNKNOWN."
            )
        }
    }];
    let known = violation.no_evidence.clone().filter(|_| unread.is_none());
    let left_out = known.or_else(|| {
        left_out(
            violation.severity,
            violation.actionable,
            violation.flapping,
            violation.confirmed,
            unread.map(|unread| unread.why()),
        )
    });
    said.push(match (left_out, roots, by_nearness(candidates).first()) {
        (Some(why), _, _) => format!("Nothing is done about it because {why}."),
        (None, [], _) => "It counts, but is evidence for no cause yet: a violation that is not critical has to last \
                          some scheduled cycles first (analyze.algorithms.sustained)."
            .to_owned(),
        (None, [root, ..], None) => format!(
            "It is evidence for {}. The latest cycle weighed no action for that: none is configured (plan.strategies), or the \
             cycle could not plan.",
            root.cause
        ),
        (None, _, Some(nearest)) => match &nearest.verdict {
            CandidateResult::Chosen => format!("The latest cycle chose {}.", name(nearest)),
            CandidateResult::Outranked { .. }
            | CandidateResult::Held { .. }
            | CandidateResult::Impossible { .. }
            | CandidateResult::Ineligible { .. } => {
                format!(
                    "The nearest action is {}. {}{}",
                    name(nearest),
                    sentence(nearest),
                    as_well(nearest)
                )
            }
        },
    });
    said
}

fn seen(page: &mut Page, facts: &ViolationFacts<'_>) {
    let violation = facts.violation;
    let tense = match (violation.cleared_at, not_read(facts)) {
        (Some(_), _) => "When last read as violated: ".to_owned(),
        (None, Some(unread)) => format!("When last read{}: ", unread.when()),
        (None, None) => String::new(),
    };
    page.say(&format!("{tense}{}.", words::without_stop(&violation.description)));
    page.say(&format!(
        "Severity {}, from {}; first read as violated {}, active since {}.",
        violation.severity.as_str(),
        violation.source.as_str(),
        words::at(violation.detected_at, facts.now),
        time::text(violation.active_since)
    ));
    let cause = violation.cause.as_ref().filter(|c| !c.is_unknown());
    page.say(&match cause {
        Some(cause) => format!("It names its own cause: {cause}."),
        None => "It names no cause.".to_owned(),
    });
    page.say(&format!("Fingerprint {}, id {}.", violation.fingerprint, violation.id));
}

fn conclusion(page: &mut Page, root: &RootCause, analysis: Option<&Analysis>) {
    let patterns: Vec<&str> = root.patterns.iter().map(|p| p.as_str()).collect();
    page.item(&format!(
        "Evidence for {} at {}, confidence {:.2} ({}), with {}, seen {}.",
        root.cause,
        legible::name(&root.component),
        root.confidence,
        words::list(&patterns),
        words::count(root.evidence.len(), "violation"),
        words::times(root.occurrences.into())
    ));
    let patterns = analysis.into_iter().flat_map(|a| &a.patterns);
    let own = patterns.filter(|p| p.cause == root.cause && p.component == root.component);
    for pattern in own.take(root.patterns.len()) {
        page.under(&format!("{}: {}.", pattern.kind.as_str(), pattern.hypothesis));
    }
}

fn attempts(page: &mut Page, treatment: &Treatment, facts: &ViolationFacts<'_>) {
    let exhausted =
        if treatment.exhausted { "; no action is left, and it needs a person" } else { "" };
    page.say(&format!(
        "Treatment {} began {}{exhausted}.",
        treatment.cause,
        words::at(treatment.opened_at, facts.now)
    ));
    for attempt in treatment.attempts.iter().rev().take(ATTEMPTS) {
        page.item(&verified::attempt(attempt, facts.verifications, facts.now));
    }
    if treatment.attempts.is_empty() {
        page.item("Nothing was tried yet.");
    }
}
