//! The page of one execution: its journal action by action, whether it helped, and what was learned.

use serde_json::json;
use uuid::Uuid;

use super::{Explanation, Kind, Page, verified, words};
use crate::domain::execution::{ActionRecord, ActionState, Execution, ExecutionMode};
use crate::domain::legible;
use crate::domain::outcome::{ActionStatistics, Outcome, PendingVerification};
use crate::domain::policy::Policy;
use crate::domain::time::{Time, since};

#[derive(Debug)]
pub struct ActionFacts<'a> {
    pub now: Time,
    pub execution: &'a Execution,
    /// Set when one action was asked for by its key: the others are left out.
    pub key: Option<Uuid>,
    pub policy: Option<&'a Policy>,
    pub verification: Option<&'a PendingVerification>,
    pub verdicts: &'a [Outcome],
    /// What is known of these actions for this cause.
    pub learned: &'a [ActionStatistics],
}

#[must_use]
pub fn action(facts: &ActionFacts<'_>) -> Explanation {
    let execution = facts.execution;
    let mut page = Page::begin(&in_short(facts));
    page.section("Journal");
    page.say(&format!(
        "Execution {} of policy {}, {}: {}.",
        execution.id,
        execution.policy_id,
        mode(execution.mode),
        times(execution.started_at, execution.ended_at, facts.now)
    ));
    let wanted = |r: &&ActionRecord| facts.key.is_none_or(|key| key == r.key);
    for record in execution.actions.iter().filter(wanted) {
        journal(&mut page, record, facts.now);
    }
    page.section("Why");
    match facts.policy {
        Some(policy) => page.say(&format!(
            "For {} at {}: score {:.2}, decided by {}. More: mape-k explain policy {}",
            policy.cause,
            legible::name(&policy.component),
            policy.score,
            legible::name(policy.decided_by.as_deref().unwrap_or("nobody")),
            policy.id
        )),
        None => page.say(&format!(
            "For {} at {}; its policy is no longer kept.",
            execution.cause,
            legible::name(&execution.component)
        )),
    }
    page.section("Did it help?");
    for verdict in facts.verdicts {
        page.item(&verified::outcome(verdict, facts.now));
    }
    if let Some(verification) = facts.verification {
        page.say(&verified::verification(verification, facts.now));
    }
    if facts.verdicts.is_empty() && facts.verification.is_none() {
        page.say("It has no result: it took no effect that could be verified, or the result is no longer kept.");
    }
    page.section("Learned so far");
    for statistics in facts.learned {
        page.item(&verified::learned(statistics));
    }
    let title = format!("Action {}: {}", execution.id, verified::status(execution.status));
    let raw = json!({
        "execution": execution,
        "policy": facts.policy,
        "judging": facts.verification,
        "verdicts": facts.verdicts,
        "learned": facts.learned,
    });
    page.end(Kind::Action, execution.id.to_string(), &title, raw)
}

fn in_short(facts: &ActionFacts<'_>) -> Vec<String> {
    let execution = facts.execution;
    let error = execution.error.as_deref().map_or_else(String::new, |error| {
        format!(" What went wrong: {}.", words::without_stop(error))
    });
    let helped = facts.verdicts.first().map_or_else(String::new, |outcome| {
        format!(" Result: {}.", verified::result(outcome.outcome_type))
    });
    vec![format!(
        "{} for {} at {}: {}.{error}{helped}",
        verified::actions(execution),
        execution.cause,
        legible::name(&execution.component),
        verified::status(execution.status)
    )]
}

fn journal(page: &mut Page, record: &ActionRecord, now: Time) {
    page.item(&verified::record(record));
    page.under(&format!("Idempotency key {}, the same for every try.", record.key));
    if let Some(started) = record.started_at {
        let until = match record.state {
            // That is when the undo ended: of the call it is not known any more.
            ActionState::UndoSent | ActionState::Undone | ActionState::UndoFailed => {
                let at = |ended| format!("; the undo ended {}", words::at(ended, now));
                let undo = record.ended_at.map(at).unwrap_or_default();
                format!("The call was begun {}{undo}.", words::at(started, now))
            }
            ActionState::Intent
            | ActionState::Validated
            | ActionState::Sent
            | ActionState::Applied
            | ActionState::Refused
            | ActionState::Unknown
            | ActionState::Verifying
            | ActionState::Verified
            | ActionState::Closed => {
                format!("The call was {}.", times(started, record.ended_at, now))
            }
        };
        page.under(&until);
    }
    let prior = record.prior.as_ref().and_then(|prior| prior.as_object());
    for (name, value) in prior.into_iter().flatten() {
        if !matches!(name.as_str(), "version" | "key")
            && let Some(value) = scalar(value)
        {
            page.under(&format!("Kept with it, for an undo: {} {value}.", name.replace('_', " ")));
        }
    }
    if record.invalid {
        page.under("It was refused as it stands; it would be refused again.");
    }
}

/// A number or text; longer things are for programs.
fn scalar(value: &serde_json::Value) -> Option<String> {
    value
        .as_str()
        .map(|text| legible::name(text).into_owned())
        .or_else(|| value.as_u64().map(|n| n.to_string()))
}

fn mode(mode: ExecutionMode) -> &'static str {
    match mode {
        ExecutionMode::Transactional => "undone as a whole if one action fails",
        ExecutionMode::BestEffort => "each action for itself",
    }
}

fn times(started: Time, ended: Option<Time>, now: Time) -> String {
    match ended {
        Some(ended) => {
            let took = since(ended, started).as_secs_f64();
            format!("begun {}, ended after {took:.2} s", words::at(started, now))
        }
        None => format!("begun {}, not ended", words::at(started, now)),
    }
}
