//! The first sentences of a cycle's page: what was done, or why nothing was.

use super::candidate::{hold, impossibility, ineligibility};
use super::cycle::CycleFacts;
use super::weighed::{as_well, because, by_nearness, detail, name, policy_of};
use super::{Meaning, verified, words};
use crate::domain::cycle::basis::Basis;
use crate::domain::cycle::condition::{Condition, State};
use crate::domain::cycle::{
    CandidateReport, CandidateResult, CycleReport, CycleStatus, Hold, Ineligibility, Phase,
};
use crate::domain::execution::ExecutionStatus;
use crate::domain::grant::Grant;
use crate::domain::legible;

/// The result in the title, and the sentences under it.
pub(super) fn in_short(facts: &CycleFacts<'_>) -> (String, Vec<String>) {
    let report = facts.report;
    if report.execution_id.is_some() {
        let (title, mut said) = done(facts);
        said.extend(not_known(report.condition().unknown, &said));
        return (title, said);
    }
    if begun_without_result(report) {
        let text =
            "The cycle broke off while it carried out its action: the journal has what was sent \
                    (GET /api/v1/executions), and the next cycle settles it before it plans."
                .to_owned();
        return ("broke off while acting".to_owned(), vec![text, problem(report)]);
    }
    let reason = reason(report);
    let Condition { wrong, unknown, .. } = report.condition();
    let mut said = vec![format!("Nothing was done because {reason}.")];
    said.extend(more(report));
    // What the reason does not say: it may stand for one trouble of several.
    if let Some(incidents) = wrong.last().filter(|_| !report.incidents.is_empty())
        && !reason.contains(incidents)
    {
        said.push(format!("{incidents}."));
    }
    said.extend(not_known(unknown, &said));
    ("nothing was done".to_owned(), said)
}

/// Of what could not be read, all that is not said yet.
fn not_known(mut unknown: Vec<String>, said: &[String]) -> Option<String> {
    // One error, said once: it is the tail of its phrase.
    let is_said = |why: &String| {
        let error = why.split_once(": ").map_or(why.as_str(), |(_, error)| error);
        said.iter().any(|sentence| sentence.contains(words::without_stop(error)))
    };
    unknown.retain(|why| !is_said(why));
    (!unknown.is_empty()).then(|| format!("Whether more is wrong is UNKNOWN: {}.", all(&unknown)))
}

fn done(facts: &CycleFacts<'_>) -> (String, Vec<String>) {
    let chosen = chosen(facts.report);
    let what = facts
        .execution
        .map(verified::actions)
        .or_else(|| chosen.map(|c| words::action(c.planned.as_ref(), c.action)));
    let what = what.unwrap_or_else(|| "an action".to_owned());
    let why = chosen.map_or_else(String::new, |c| {
        let among = match facts.report.candidates.len() {
            1 => "the only action weighed".to_owned(),
            n => format!("the best in turn of {n} actions"),
        };
        format!(
            " for {} at {}, {among} (score {:.2})",
            c.cause,
            legible::name(&c.component),
            c.score
        )
    });
    let Some(execution) = facts.execution else {
        let text = format!("{what} was begun{why}. Its journal is no longer kept.");
        return (format!("{what} was begun"), vec![text]);
    };
    let error = || {
        let error = execution.error.as_deref().unwrap_or("no reason was recorded");
        words::without_stop(error).to_owned()
    };
    let (title, text) = match execution.status {
        ExecutionStatus::Completed => {
            (format!("{what} was done"), format!("{what} was done{why}."))
        }
        ExecutionStatus::Failed => {
            (format!("{what} failed"), format!("{what} was tried{why}, and failed: {}.", error()))
        }
        ExecutionStatus::RolledBack => (
            format!("{what} was undone"),
            format!("{what} was tried{why}, failed and was undone: {}.", error()),
        ),
        ExecutionStatus::Pending | ExecutionStatus::InProgress => {
            (format!("{what} is under way"), format!("{what} is under way{why}."))
        }
    };
    (title, vec![text])
}

fn chosen(report: &CycleReport) -> Option<&CandidateReport> {
    report.candidates.iter().find(|c| c.verdict == CandidateResult::Chosen)
}

/// The store failed between the decision and the result.
pub(super) fn begun_without_result(report: &CycleReport) -> bool {
    report.status == CycleStatus::Error
        && report.phase == Some(Phase::Knowledge)
        && chosen(report).is_some()
        && report.phases.iter().any(|(phase, _)| *phase == Phase::Execute)
}

fn all(phrases: &[String]) -> String {
    let phrases: Vec<&str> = phrases.iter().map(|phrase| words::without_stop(phrase)).collect();
    phrases.join("; ")
}

fn problem(report: &CycleReport) -> String {
    let error = report.error.as_deref().unwrap_or("no error was recorded");
    format!("The error was: {}.", words::without_stop(error))
}

/// As it follows "Nothing was done because".
fn reason(report: &CycleReport) -> String {
    let error = words::without_stop(report.error.as_deref().unwrap_or("no error was recorded"));
    match (report.status, report.phase) {
        // The metrics were read, or the loop had acted by then.
        (
            CycleStatus::Failed | CycleStatus::Error,
            Some(Phase::K8sAnalyzer | Phase::Escalation | Phase::Notification),
        )
        | (CycleStatus::Healthy | CycleStatus::Completed, _) => undecided(report),
        // Without the metrics what the cluster shows is still weighed.
        (CycleStatus::Failed, _) if !report.candidates.is_empty() => undecided(report),
        (CycleStatus::Failed, _) => {
            format!(
                "what is wrong is UNKNOWN, and without metrics nothing is planned: the metrics could not be read: {error}"
            )
        }
        (CycleStatus::Error, Some(Phase::Plan)) => error.to_owned(),
        (CycleStatus::Error, Some(Phase::Monitor)) => format!("the cycle was cut short: {error}"),
        (CycleStatus::Error, Some(Phase::Knowledge)) => format!(
            "the store could not be read or written, and no action is taken that cannot be recorded: {error}"
        ),
        (CycleStatus::Error, Some(Phase::Analyze | Phase::Execute) | None) => {
            format!("the cycle broke off: {error}")
        }
    }
}

fn undecided(report: &CycleReport) -> String {
    if chosen(report).is_some() {
        return "its action was not begun: the daemon was stopping, or a person had decided on it meanwhile"
            .to_owned();
    }
    match deciding(&report.candidates) {
        Some(candidate) => waits(candidate),
        None => unweighed(report),
    }
}

/// Whose result says best why nothing was done: the nearest to being done; among those that are not eligible, that a
/// person has it says more than whose turn it is.
fn deciding(candidates: &[CandidateReport]) -> Option<&CandidateReport> {
    let weight = |candidate: &CandidateReport| match &candidate.verdict {
        CandidateResult::Ineligible { reason, .. } => match reason {
            Ineligibility::RemediesExhausted => 0,
            Ineligibility::AmbiguousScope => 1,
            Ineligibility::TooFewOccurrences
            | Ineligibility::LowConfidence
            | Ineligibility::Unconfirmed => 2,
            Ineligibility::LowScore => 3,
            Ineligibility::TriedOut => 4,
            Ineligibility::OverTheLimit => 5,
            Ineligibility::NotItsTurn => 6,
        },
        CandidateResult::Chosen
        | CandidateResult::Outranked { .. }
        | CandidateResult::Held { .. }
        | CandidateResult::Impossible { .. } => 0,
    };
    let sorted = by_nearness(candidates);
    let nearest = *sorted.first()?;
    if !matches!(nearest.verdict, CandidateResult::Ineligible { .. }) {
        return Some(nearest);
    }
    sorted
        .into_iter()
        .filter(|c| matches!(c.verdict, CandidateResult::Ineligible { .. }))
        .min_by_key(|c| weight(c))
}

/// The result that the first sentences explain.
pub(super) fn explained(report: &CycleReport) -> Option<&CandidateResult> {
    let ran = matches!(report.status, CycleStatus::Healthy | CycleStatus::Completed);
    let deciding = deciding(&report.candidates).filter(|_| ran && report.execution_id.is_none());
    deciding.map(|candidate| &candidate.verdict)
}

fn waits(candidate: &CandidateReport) -> String {
    let detail = detail(candidate);
    match &candidate.verdict {
        // Never without a chosen one.
        CandidateResult::Chosen | CandidateResult::Outranked { .. } => {
            "another action came first".to_owned()
        }
        CandidateResult::Held { reason, .. } => because(hold(*reason), &detail),
        CandidateResult::Impossible { reason, .. } => {
            format!("no action is possible: {}", because(impossibility(*reason), &detail))
        }
        CandidateResult::Ineligible { reason, .. } => because(ineligibility(*reason), &detail),
    }
}

/// Nothing was weighed at all.
fn unweighed(report: &CycleReport) -> String {
    if report.violations == 0 {
        let Condition { state, wrong, unknown } = report.condition();
        return match state {
            State::Clear => "nothing is wrong: no violation is active".to_owned(),
            State::Unknown => format!("whether anything is wrong is UNKNOWN: {}", all(&unknown)),
            State::Wrong => {
                format!("no rule is violated and no alert counts; what is wrong: {}", all(&wrong))
            }
        };
    }
    if report.actionable == 0 {
        return match report.violations {
            1 => "the one active violation does not count: it is for information only, not confirmed, or not ours"
                .to_owned(),
            n => format!(
                "none of the {n} active violations counts: each is for information only, not confirmed, or not ours"
            ),
        };
    }
    let Some(basis) = &report.basis else {
        return "no action was weighed for the active violations".to_owned();
    };
    if basis.causes.is_empty() { inconclusive(report, basis) } else { untreated(basis) }
}

fn inconclusive(report: &CycleReport, basis: &Basis) -> String {
    let counted: Vec<_> = basis.violations.iter().filter(|v| v.counts()).collect();
    let n = words::count(report.actionable, "violation");
    if !counted.is_empty() && counted.iter().all(|v| v.flapping) {
        return format!(
            "{n} {} flapping, and no action is taken until it is steady",
            words::are(report.actionable)
        );
    }
    if !counted.is_empty() && counted.iter().all(|v| !v.confirmed) {
        return format!(
            "none of the active violations ({n}) could be read as violated in this cycle"
        );
    }
    format!(
        "it is too early: {n} {} active and ours to treat, but no detector sees a pattern yet. One that is not \
         critical has to last some cycles first (analyze.algorithms.sustained)",
        words::are(report.actionable)
    )
}

fn untreated(basis: &Basis) -> String {
    let mut causes: Vec<&str> = basis.causes.iter().map(|c| c.cause.0.as_str()).collect();
    causes.sort_unstable();
    causes.dedup();
    let elsewhere: Vec<&str> = causes
        .iter()
        .copied()
        .filter(|cause| basis.causes.iter().any(|c| c.cause.0 == *cause && c.is_treated_elsewhere))
        .collect();
    if elsewhere.len() == causes.len() {
        return format!(
            "the actions that plan.strategies names for {} cannot change its target; it needs people",
            words::list(&causes)
        );
    }
    format!(
        "no action is configured for {} (plan.strategies); it needs people",
        words::list(&causes)
    )
}

/// What waits, and what would change that.
fn more(report: &CycleReport) -> Option<String> {
    let candidate = deciding(&report.candidates)?;
    match &candidate.verdict {
        CandidateResult::Chosen | CandidateResult::Outranked { .. } => None,
        CandidateResult::Held { reason, .. } => {
            let policies = report.basis.as_ref().map(|b| b.policies.as_slice()).unwrap_or_default();
            let policy =
                policy_of(candidate, policies).filter(|_| *reason == Hold::ApprovalPending);
            let commands = policy.map_or_else(String::new, |policy| {
                let hash = policy.plan_hash.get(..Grant::SHOWN);
                let named = hash.map_or_else(|| policy.id.to_string(), str::to_owned);
                format!(" mape-k approve {named} or mape-k reject {named}")
            });
            Some(format!(
                "What waits is {}. {}{}{commands}",
                name(candidate),
                hold(*reason).changes,
                as_well(candidate)
            ))
        }
        CandidateResult::Impossible { reason, .. } => {
            Some(nearest(candidate, impossibility(*reason)))
        }
        CandidateResult::Ineligible { reason, .. } => {
            Some(nearest(candidate, ineligibility(*reason)))
        }
    }
}

fn nearest(candidate: &CandidateReport, meaning: Meaning) -> String {
    format!("The nearest action is {}. {}", name(candidate), meaning.changes)
}
