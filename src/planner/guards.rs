//! The guards: pure predicates over one action that is due, asked in the order of [`Guard::ALL`]; all fail closed.
//!
//! Each gives a reading with the number it looked at and its limit. The first that holds decides; the others are read
//! all the same, because an operator wants to know what else stands in the way. What only Charter and the store can say
//! (validation, the journal) is asked by the executor.

mod approval;
mod breaker;
mod budget;
mod conflict;
mod cooldown;
mod freshness;
mod kubernetes;
mod neighbours;
mod storm;

use std::time::Duration;

use super::PlanInput;
use super::guardrails::Mode;
use crate::domain::Cause;
use crate::domain::action::Action;
use crate::domain::cycle::Hold;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::ledger::Entry;
use crate::domain::target::System;
use crate::domain::time::since;

pub(super) use breaker::is_half_open;
pub use breaker::{judged, relax, trip};
pub(super) use conflict::settling;
pub(super) use cooldown::{failures_in_a_row, for_the_cause};
pub use storm::{step as storm, step_cluster as cluster_storm};

/// Why something is held, in words.
pub(super) type Held = (Hold, String);

/// What the guards are asked about.
pub(super) struct Subject<'a> {
    pub cause: &'a Cause,
    pub component: &'a str,
    pub action: &'a Action,
    /// Fingerprints behind it; empty where the reason is that nothing is wrong.
    pub evidence: &'a [String],
}

/// What every guard says of it, in their order.
pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> Vec<GuardReading> {
    let reading = |guard| match guard {
        Guard::Pause => pause(input),
        Guard::Mode => mode(input),
        Guard::Leader => leader(input),
        Guard::Charter => charter(input, subject),
        Guard::Kubernetes => kubernetes::read(input, subject),
        Guard::OptIn => kubernetes::opt_in(input, subject),
        Guard::Protected => kubernetes::protected(input, subject),
        Guard::Freshness => freshness::read(input, subject),
        Guard::Storm => storm::read(input, subject),
        Guard::Breaker => breaker::read(input, subject),
        Guard::Cooldown => cooldown::read(input, subject),
        Guard::Budget => budget::read(input, subject),
        Guard::Conflict => conflict::read(input, subject),
        Guard::Approval => approval::read(input, subject),
    };
    Guard::ALL.into_iter().map(reading).collect()
}

/// The first guard that holds, with its words.
pub(super) fn first_held(readings: &[GuardReading]) -> Option<Held> {
    readings.iter().find_map(|r| r.held.map(|hold| (hold, r.detail.clone())))
}

fn pause(input: &PlanInput<'_>) -> GuardReading {
    match input.pause.filter(|p| p.holds(input.now)) {
        Some(pause) => GuardReading::held(Guard::Pause, Hold::Paused, pause.to_string()),
        None => GuardReading::passed(Guard::Pause, "nobody has paused the loop"),
    }
}

fn mode(input: &PlanInput<'_>) -> GuardReading {
    let passed = |detail| GuardReading::passed(Guard::Mode, detail);
    match input.settings.guardrails.mode {
        Mode::Observe => GuardReading::held(
            Guard::Mode,
            Hold::ModeObserve,
            "guardrails.mode is observe: no action is sent",
        ),
        Mode::Suggest => passed("guardrails.mode is suggest: a person decides"),
        Mode::Act => passed("guardrails.mode is act"),
    }
}

fn leader(input: &PlanInput<'_>) -> GuardReading {
    match &input.lead.barred {
        Some(why) => GuardReading::held(Guard::Leader, Hold::NotLeading, why.clone()),
        None if input.lead.shared => GuardReading::passed(
            Guard::Leader,
            format!("this mape-k leads with epoch {}", input.lead.epoch),
        ),
        None => GuardReading::passed(Guard::Leader, "no other mape-k shares the store"),
    }
}

fn charter(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    if subject.action.kind().system() != System::Charter {
        return GuardReading::passed(Guard::Charter, "the action does not change Charter");
    }
    match &input.charter.state {
        Ok(state) => GuardReading::passed(
            Guard::Charter,
            format!(
                "Charter answers: {} of {} nodes are healthy",
                state.healthy_nodes, state.replicas
            ),
        ),
        Err(error) => GuardReading::held(Guard::Charter, Hold::CharterUnreachable, error.clone()),
    }
}

/// Entries of the last `window` on targets of this system.
fn lately<'a>(
    input: &PlanInput<'a>,
    system: System,
    window: Duration,
) -> impl Iterator<Item = &'a Entry> {
    let now = input.now;
    let own = move |e: &&Entry| e.target.system() == system && since(now, e.at) < window;
    input.ledger.sent().filter(own)
}

/// 90 s, 15 min, 2 h: as people say it.
fn spell(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}
