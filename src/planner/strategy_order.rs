//! Whose turn it is in a cause's list, by what was tried in its treatment.

use std::collections::BTreeSet;

use super::candidate::said;
use super::settings::Strategy;
use crate::domain::action::ActionKind;
use crate::domain::outcome::{OutcomeType, PendingVerification};
use crate::domain::treatment::{Attempt, Treatment};

/// An action that nothing follows is tried at most so often in a treatment; every other one at most so often without
/// a clear result, so that failing and half-working actions end too.
const MAX_TRIES: usize = 3;

pub(super) enum StrategyOrder {
    Now,
    /// Its predecessor neither had a result without success nor was impossible.
    Later(ActionKind),
    TriedOut(String),
}

pub(super) fn turn(
    strategy: &Strategy,
    all: &[Strategy],
    treatment: &Treatment,
    verifications: &[PendingVerification],
    impossible: &BTreeSet<ActionKind>,
) -> StrategyOrder {
    let kind = strategy.action;
    let followed = all.iter().any(|s| s.after == Some(kind));
    let tried = Tried::of(treatment, verifications, kind);
    let of = said(treatment);
    if followed && tried.without_success {
        return StrategyOrder::TriedOut(format!(
            "it did not help against {of}: the next action's turn has come"
        ));
    }
    if !followed && tried.degraded {
        return StrategyOrder::TriedOut(format!(
            "it made things worse when it was tried against {of}"
        ));
    }
    if !followed && tried.tries >= MAX_TRIES {
        return StrategyOrder::TriedOut(format!(
            "tried {} times against {of}, at most {MAX_TRIES}",
            tried.tries
        ));
    }
    if tried.inconclusive >= MAX_TRIES {
        let unclear = tried.inconclusive;
        return StrategyOrder::TriedOut(format!(
            "tried {unclear} times without a clear result against {of}, at most {MAX_TRIES}"
        ));
    }
    match strategy.after {
        Some(before)
            if !Tried::of(treatment, verifications, before).without_success
                && !impossible.contains(&before) =>
        {
            StrategyOrder::Later(before)
        }
        Some(_) | None => StrategyOrder::Now,
    }
}

/// What a treatment says of one action.
struct Tried {
    tries: usize,
    /// Neither a success nor a result against it: each try counts towards the bound, none calls the next action.
    inconclusive: usize,
    /// Its result was ineffective or degradation.
    without_success: bool,
    degraded: bool,
}

impl Tried {
    fn of(treatment: &Treatment, verifications: &[PendingVerification], kind: ActionKind) -> Self {
        let own = || treatment.attempts.iter().filter(|a| a.action == kind);
        let judged = |verdict| own().any(|a| a.verdict == Some(verdict));
        let degraded = judged(OutcomeType::Degradation);
        Self {
            tries: own().count(),
            inconclusive: own().filter(|a| is_inconclusive(a, verifications)).count(),
            without_success: degraded || judged(OutcomeType::Ineffective),
            degraded,
        }
    }
}

fn is_inconclusive(attempt: &Attempt, verifications: &[PendingVerification]) -> bool {
    match attempt.verdict {
        Some(OutcomeType::Partial | OutcomeType::Unknown) => true,
        Some(OutcomeType::Success | OutcomeType::Ineffective | OutcomeType::Degradation) => false,
        // Failed, or cut off by the end of a process: nobody will judge it any more.
        None => attempt.failed || !verifications.iter().any(|j| j.policy_id == attempt.policy_id),
    }
}
