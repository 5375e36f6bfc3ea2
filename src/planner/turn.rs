//! Whose turn it is in a cause's list, by what was tried in this incident.

use std::collections::BTreeSet;

use super::settings::Strategy;
use crate::domain::action::ActionKind;
use crate::domain::incident::Incident;
use crate::domain::outcome::OutcomeType;

/// An action is tried at most so often in an incident without a success; one that nothing follows, so often in all.
const MAX_TRIES: usize = 3;

pub(super) enum Turn {
    Now,
    /// Its predecessor has neither been judged without success nor been impossible.
    Later(ActionKind),
    TriedOut(String),
}

pub(super) fn turn(
    strategy: &Strategy,
    all: &[Strategy],
    incident: &Incident,
    impossible: &BTreeSet<ActionKind>,
) -> Turn {
    let kind = strategy.action;
    let followed = all.iter().any(|s| s.after == Some(kind));
    let tried = Tried::of(incident, kind);
    if tried.inconclusive >= MAX_TRIES {
        return Turn::TriedOut(format!(
            "{} times without a success in this incident, at most {MAX_TRIES}",
            tried.inconclusive
        ));
    }
    if followed && tried.without_success {
        return Turn::TriedOut(
            "judged without success in this incident; the next remedy's turn".to_owned(),
        );
    }
    if !followed && tried.degraded {
        return Turn::TriedOut("it made things worse in this incident".to_owned());
    }
    if !followed && tried.tries >= MAX_TRIES {
        return Turn::TriedOut(format!(
            "tried {} times in this incident, at most {MAX_TRIES}",
            tried.tries
        ));
    }
    match strategy.after {
        Some(before)
            if !Tried::of(incident, before).is_spent() && !impossible.contains(&before) =>
        {
            Turn::Later(before)
        }
        Some(_) | None => Turn::Now,
    }
}

/// What an incident says of one action.
struct Tried {
    tries: usize,
    /// Failed to execute, or judged partial or unknown: neither a success nor a reason for the next remedy by itself.
    inconclusive: usize,
    /// Judged ineffective or degradation.
    without_success: bool,
    degraded: bool,
}

impl Tried {
    fn of(incident: &Incident, kind: ActionKind) -> Self {
        let own = || incident.attempts.iter().filter(|a| a.action == kind);
        let judged = |verdict| own().any(|a| a.verdict == Some(verdict));
        let degraded = judged(OutcomeType::Degradation);
        Self {
            tries: own().count(),
            inconclusive: own()
                .filter(|a| {
                    a.failed
                        || matches!(a.verdict, Some(OutcomeType::Partial | OutcomeType::Unknown))
                })
                .count(),
            without_success: degraded || judged(OutcomeType::Ineffective),
            degraded,
        }
    }

    /// The next remedy's turn has come.
    fn is_spent(&self) -> bool {
        self.without_success || self.inconclusive >= MAX_TRIES
    }
}
