//! What was sent and whether it helped, in sentences that several pages share.

use super::{measured, words};
use crate::domain::execution::{ActionRecord, ActionState, Execution, ExecutionStatus};
use crate::domain::legible;
use crate::domain::outcome::{ActionStatistics, Outcome, OutcomeType, PendingVerification};
use crate::domain::time::{self, Time, since};
use crate::domain::treatment::Attempt;

/// What a status means.
pub(super) fn status(status: ExecutionStatus) -> &'static str {
    match status {
        ExecutionStatus::Pending => "recorded, not begun",
        ExecutionStatus::InProgress => "under way",
        ExecutionStatus::Completed => "carried out",
        ExecutionStatus::Failed => "failed",
        ExecutionStatus::RolledBack => "failed and undone",
    }
}

/// Where an action stands in the journal, and what that means for Charter.
pub(super) fn state(state: ActionState) -> &'static str {
    match state {
        ActionState::Intent => "intended: recorded, nothing sent",
        ActionState::Validated => "validated: its system would accept it, nothing changed",
        ActionState::Sent => "sent: its effect is not known yet",
        ActionState::Applied => "applied: it is in effect",
        ActionState::Refused => "refused: it did not take effect",
        ActionState::Unknown => {
            "unknown: it may or may not have taken effect; a person has to look"
        }
        ActionState::Verifying => "verifying: it is in effect and waits for its result",
        ActionState::Verified => "verified",
        ActionState::Closed => "closed: applied and verified",
        ActionState::UndoSent => "being undone: whether that took effect is not known yet",
        ActionState::Undone => "undone: what it changed is as before",
        ActionState::UndoFailed => "undo failed: it may still be in effect; a person has to look",
    }
}

pub(super) fn result(result: OutcomeType) -> &'static str {
    match result {
        OutcomeType::Success => "success: every violation that counts cleared",
        OutcomeType::Partial => "partial: at least half of it cleared",
        OutcomeType::Ineffective => "ineffective: it did not help",
        OutcomeType::Degradation => "degradation: more was wrong than before",
        OutcomeType::Unknown => "unknown: nobody can say whether it helped",
    }
}

/// One action of the journal in one line.
pub(super) fn record(record: &ActionRecord) -> String {
    let tries = match record.tries {
        0 => String::new(),
        tries => format!(", {}", words::count(tries as usize, "try").replace("trys", "tries")),
    };
    // An undo leaves how it ended there: the state says that.
    let error = record.error.as_deref().filter(|_| record.state != ActionState::Undone);
    let error = error.map(|e| format!(" Error: {e}"));
    format!(
        "{}: {}{}{tries}.{}",
        record.action,
        state(record.state),
        in_force(record),
        error.unwrap_or_default()
    )
}

/// A call ends at once, what it set does not.
fn in_force(record: &ActionRecord) -> String {
    let Some(until) = record.expires_at.map(time::text) else { return String::new() };
    match record.state {
        ActionState::Applied | ActionState::Verifying | ActionState::Verified => {
            format!(", in force until {until}")
        }
        ActionState::Closed => format!(", was in force until {until}"),
        ActionState::UndoSent | ActionState::UndoFailed => {
            format!(", in force until {until} if it was not undone")
        }
        ActionState::Intent
        | ActionState::Validated
        | ActionState::Sent
        | ActionState::Refused
        | ActionState::Unknown
        | ActionState::Undone => String::new(),
    }
}

pub(super) fn actions(execution: &Execution) -> String {
    let actions: Vec<String> = execution.actions.iter().map(|a| a.action.to_string()).collect();
    actions.join(", then ")
}

pub(super) fn outcome(outcome: &Outcome, now: Time) -> String {
    let values = match (outcome.metric_before, outcome.metric_after) {
        (Some(before), Some(after)) => format!(
            " The worst value was {} before and {} after.",
            words::number(before),
            words::number(after)
        ),
        (Some(before), None) => {
            format!(" The worst value was {} before.", words::number(before))
        }
        (None, _) => String::new(),
    };
    let effect = outcome
        .time_to_effect_seconds
        .map(|s| format!(" Every violation had cleared {s:.0} s after it."))
        .unwrap_or_default();
    format!(
        "{} for {} at {} had the result {} ({}), {}.{values}{effect}{}",
        outcome.action_type,
        outcome.cause,
        legible::name(&outcome.component),
        result(outcome.outcome_type),
        words::without_stop(&outcome.reason),
        words::at(outcome.judged_at, now),
        measured::of(outcome)
    )
}

pub(super) fn verification(verification: &PendingVerification, now: Time) -> String {
    let settling = if verification.settled_at > now {
        format!("its settle time ends in {}", words::span(since(verification.settled_at, now)))
    } else {
        "its settle time has ended".to_owned()
    };
    format!(
        "It has no result yet: {settling}; the second good cycle after that verifies it. Without one by {} the result is \
         unknown.",
        time::text(verification.judge_by)
    )
}

/// One try of an incident.
pub(super) fn attempt(
    attempt: &Attempt,
    verifications: &[PendingVerification],
    now: Time,
) -> String {
    let came = match (attempt.verdict, attempt.failed) {
        (Some(kind), _) => result(kind),
        (None, true) => "failed",
        (None, false) if verifications.iter().any(|j| j.policy_id == attempt.policy_id) => {
            "waits for its result"
        }
        (None, false) => "without a result",
    };
    format!(
        "{} {}: {came}. Policy {}.",
        attempt.action,
        words::at(attempt.at, now),
        attempt.policy_id
    )
}

pub(super) fn learned(statistics: &ActionStatistics) -> String {
    let natural = if statistics.natural_recovery > 0.0 {
        format!(", less the {:.0} % that clear by themselves", statistics.natural_recovery * 100.0)
    } else {
        String::new()
    };
    format!(
        "{} for {}: {} of {} verified runs helped, {} in part{natural}; so its effectiveness counts as {:.2}.",
        statistics.action,
        statistics.cause,
        statistics.successes,
        statistics.runs,
        statistics.partials,
        statistics.effectiveness
    )
}
