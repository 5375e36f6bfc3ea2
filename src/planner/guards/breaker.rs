//! The breaker of a system: our own actions on it have done harm, or no good, or could not be undone or written down.
//! Nothing more is done to that system; the others go on.
//!
//! ```text
//! closed ─(2 degradations of 10, 5 without effect in a row, failed undo, journal error)─▶ open ─(30 min)─▶ half-open
//!    ▲                                                                                     ▲                  │
//!    ├──────────── half-open for 30 min without a bad word ────────────────────────────────┼──────────────────┤
//!    └──────────── one reversible action: success or partial ──────────────────────────────┼──────────────────┤
//!                                                                  ineffective, degradation └──────────────────┘
//! ```

use std::time::Duration;

use uuid::Uuid;

use super::{Subject, spell};
use crate::domain::cycle::Hold;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::ledger::{Breaker, End, Entry, Ledger, Tripped};
use crate::domain::outcome::OutcomeType;
use crate::domain::target::System;
use crate::domain::time::{Time, after, since};
use crate::planner::PlanInput;
use crate::planner::guardrails;

/// Opens the breaker of this system, or keeps it open for longer.
pub fn trip(
    ledger: &mut Ledger,
    system: System,
    settings: &guardrails::Breaker,
    why: String,
    now: Time,
) {
    let tripped = Tripped { at: now, until: after(now, settings.open_for), why };
    ledger.breakers.insert(system, Breaker { counts_from: Some(now), tripped: Some(tripped) });
}

/// Half-open for as long again without a bad word, it closes: nothing stays open for ever.
pub fn relax(ledger: &mut Ledger, settings: &guardrails::Breaker, now: Time) {
    let closes = |t: &Tripped| now >= after(t.until, settings.open_for);
    for breaker in ledger.breakers.values_mut() {
        if breaker.tripped.as_ref().is_some_and(closes) {
            *breaker = Breaker { counts_from: Some(now), tripped: None };
        }
    }
}

pub(in crate::planner) fn is_half_open(input: &PlanInput<'_>, system: System) -> bool {
    input.ledger.tripped(system).is_some_and(|t| input.now >= t.until)
}

/// Takes one result in: an execution's entries end, and the breaker of their system opens or closes by it.
pub fn judged(
    ledger: &mut Ledger,
    settings: &guardrails::Breaker,
    execution_id: Uuid,
    verdict: OutcomeType,
    now: Time,
) {
    let Some(system) = ledger.system_of(execution_id) else { return };
    let mut probed = false;
    let half_open_since = ledger.tripped(system).map(|t| t.until);
    for entry in ledger.entries.iter_mut().filter(|e| e.execution_id == execution_id) {
        entry.end = End::Judged(verdict);
        probed |= half_open_since.is_some_and(|since| entry.at >= since);
    }
    match verdict {
        OutcomeType::Success | OutcomeType::Partial if probed => {
            let closed = Breaker { counts_from: Some(now), tripped: None };
            ledger.breakers.insert(system, closed);
        }
        OutcomeType::Ineffective | OutcomeType::Degradation if probed => {
            let why =
                format!("the one action tried while half-open had the result {}", verdict.as_str());
            trip(ledger, system, settings, why, now);
        }
        OutcomeType::Success
        | OutcomeType::Partial
        | OutcomeType::Ineffective
        | OutcomeType::Degradation
        | OutcomeType::Unknown => {
            if ledger.tripped(system).is_none()
                && let Some(why) = too_bad(ledger, system, settings)
            {
                trip(ledger, system, settings, why, now);
            }
        }
    }
}

/// Do the last results open it?
fn too_bad(ledger: &Ledger, system: System, settings: &guardrails::Breaker) -> Option<String> {
    let counts_from = ledger.breakers.get(&system).and_then(|b| b.counts_from);
    let counts =
        |e: &&Entry| e.target.system() == system && counts_from.is_none_or(|from| e.at > from);
    let verdicts = || {
        ledger.entries.iter().rev().filter(counts).filter_map(|e| match e.end {
            End::Judged(OutcomeType::Unknown) | End::Open | End::Unsent | End::Failed => None,
            End::Judged(verdict) => Some(verdict),
        })
    };
    let last: Vec<OutcomeType> = verdicts().take(settings.of).collect();
    let degraded = last.iter().filter(|v| **v == OutcomeType::Degradation).count();
    if degraded >= settings.degradations {
        return Some(format!("{degraded} of the last {} results were degradation", last.len()));
    }
    let in_vain = verdicts()
        .take_while(|v| matches!(v, OutcomeType::Ineffective | OutcomeType::Degradation))
        .count();
    (in_vain >= settings.ineffective).then(|| format!("{in_vain} actions in a row did not help"))
}

pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    let held = |detail| GuardReading::held(Guard::Breaker, Hold::BreakerOpen, detail);
    let system = subject.action.target().system();
    let Some(tripped) = input.ledger.tripped(system) else {
        return GuardReading::passed(Guard::Breaker, "closed");
    };
    let why = &tripped.why;
    let left = since(tripped.until, input.now);
    if left > Duration::ZERO {
        let open = since(input.now, tripped.at).as_secs_f64();
        let limit = since(tripped.until, tripped.at).as_secs_f64();
        return held(format!("open for {} more: {why}", spell(left))).with(open, limit);
    }
    let probing = input.ledger.entries.iter().any(|e| {
        e.target.system() == system
            && e.at >= tripped.until
            && e.end == End::Open
            && input.verifications.iter().any(|j| j.execution_id == e.execution_id)
    });
    if probing {
        return held(format!(
            "half-open, and its one action is still being verified; opened by: {why}"
        ));
    }
    if !input.settings.is_reversible(subject.action.kind()) {
        return held(format!("half-open: only an action that can be undone; opened by: {why}"));
    }
    GuardReading::passed(
        Guard::Breaker,
        format!("half-open: one reversible action; opened by: {why}"),
    )
}
