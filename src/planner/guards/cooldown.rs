//! The same action on the same target not too soon again, later after every failure; and not its opposite either.

use super::{Subject, lately, spell};
use crate::domain::Cause;
use crate::domain::action::{Action, ActionKind};
use crate::domain::cycle::Hold;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::ledger::Entry;
use crate::domain::time::{self, since};
use crate::planner::PlanInput;

pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    let kind = subject.action.kind();
    let rails = &input.settings.guardrails.cooldown;
    let last_of = |wanted| entries(input, subject.action, wanted).next();
    if let Some(opposite) = kind.opposite()
        && let Some(last) = last_of(opposite)
    {
        let gone = since(input.now, last.at);
        if gone < rails.opposite {
            let detail = format!(
                "{opposite} was done {} ago; its opposite not within {}",
                spell(gone),
                spell(rails.opposite)
            );
            return GuardReading::held(Guard::Cooldown, Hold::OppositeDirection, detail)
                .with(gone.as_secs_f64(), rails.opposite.as_secs_f64());
        }
    }
    let Some(last) = last_of(kind) else {
        let day = time::day(input.settings.guardrails.budget.day.as_secs_f64());
        return GuardReading::passed(Guard::Cooldown, format!("no {kind} there in the last {day}"));
    };
    let failures = streak(input, entries(input, subject.action, kind));
    let settle = input.settings.settle.get(&kind).copied().unwrap_or_else(|| kind.default_settle());
    // 2^12 of the shortest is far beyond the longest.
    let wait = rails.shortest.max(settle).saturating_mul(1 << failures.min(12));
    let wait = wait.min(rails.longest.max(settle));
    let gone = since(input.now, last.at);
    let after = match failures {
        0 => String::new(),
        n => format!(" after {n} failures in a row"),
    };
    let detail =
        format!("last {kind} there {} ago, {} between two{after}", spell(gone), spell(wait));
    let reading = if gone < wait {
        GuardReading::held(Guard::Cooldown, Hold::Cooldown, detail)
    } else {
        GuardReading::passed(Guard::Cooldown, detail)
    };
    reading.with(gone.as_secs_f64(), wait.as_secs_f64())
}

/// How often in a row, within a day, this action has failed for this cause on this target.
pub(in crate::planner) fn failures_in_a_row(
    input: &PlanInput<'_>,
    cause: &Cause,
    action: &Action,
) -> u32 {
    streak(input, entries(input, action, action.kind()).filter(|e| &e.cause == cause))
}

/// How many actions this cause has had on this target within a day, whatever came of them.
pub(in crate::planner) fn for_the_cause(
    input: &PlanInput<'_>,
    cause: &Cause,
    action: &Action,
) -> usize {
    let target = action.target();
    let own = |e: &&Entry| &e.cause == cause && e.target == target;
    lately(input, target.system(), input.settings.guardrails.budget.day).filter(own).count()
}

/// Newest first, on the target of `action`.
fn entries<'a>(
    input: &PlanInput<'a>,
    action: &Action,
    kind: ActionKind,
) -> impl Iterator<Item = &'a Entry> {
    let target = action.target();
    let day = input.settings.guardrails.budget.day;
    let now = input.now;
    let ours = move |e: &&Entry| e.action == kind && e.target == target;
    input.ledger.entries.iter().rev().filter(move |e| since(now, e.at) < day).filter(ours)
}

fn streak<'a>(input: &PlanInput<'_>, newest_first: impl Iterator<Item = &'a Entry>) -> u32 {
    let row = newest_first.take_while(|e| !e.has_succeeded());
    u32::try_from(row.filter(|e| e.has_failed(input.verifications)).count()).unwrap_or(u32::MAX)
}
