//! Enough of the evidence of an action was read in this very cycle: half blind, nothing is done.

use super::Subject;
use crate::domain::cycle::Hold;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::time::since;
use crate::domain::violation::Violation;
use crate::planner::PlanInput;

pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    if subject.action.kind().spec().shrinks {
        let whole = nothing_behind(input);
        if whole.held.is_some() {
            return whole;
        }
    }
    let behind = || {
        let found = subject.evidence.iter().filter_map(|fp| input.violations.get(fp.as_str()));
        found.copied().filter(|v| v.counts() && !v.flapping)
    };
    let all = behind().count();
    if all == 0 {
        return nothing_behind(input);
    }
    let read = behind().filter(|v| v.confirmed).count();
    let share = read as f64 / all as f64;
    let oldest = behind().filter_map(|v| age(input, v)).max();
    let age = oldest
        .map(|age| format!(", the oldest sample of their rules {age} s old"))
        .unwrap_or_default();
    let least = input.settings.min_coverage * 100.0;
    let detail = format!(
        "{read} of {all} violations behind it were read in this cycle, at least {least:.0} % needed{age}"
    );
    let reading = if share >= input.settings.min_coverage {
        GuardReading::passed(Guard::Freshness, detail)
    } else {
        GuardReading::held(Guard::Freshness, Hold::StaleData, detail)
    };
    reading.with(share, input.settings.min_coverage)
}

/// A reason that is the absence of violations, and an action that takes capacity away, need every rule to have been read.
fn nothing_behind(input: &PlanInput<'_>) -> GuardReading {
    // A bare condition that answers nothing has no reading that could be good, and none that is missing.
    match input.rules.iter().find(|rule| !rule.good && rule.problem.is_some()) {
        None => GuardReading::passed(Guard::Freshness, "every rule was read whole"),
        Some(bad) => GuardReading::held(
            Guard::Freshness,
            Hold::StaleData,
            format!("rule {} was not read whole", bad.rule),
        ),
    }
}

fn age(input: &PlanInput<'_>, violation: &Violation) -> Option<u64> {
    let rule = input.rules.iter().find(|r| r.rule == violation.rule)?;
    rule.oldest_sample.map(|at| since(input.now, at).as_secs())
}
