//! How much may be done in an hour and a day, whatever the reasons.

use super::{Subject, lately, spell};
use crate::domain::cycle::Hold;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::time::since;
use crate::planner::PlanInput;

pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    let rails = &input.settings.guardrails.budget;
    let target = subject.action.target();
    let hour = || lately(input, rails.hour);
    let all = hour().count();
    let there = hour().filter(|e| e.target == target).count();
    let counted = |count: usize, limit: u32, what: &str| {
        (count >= limit as usize).then(|| {
            GuardReading::held(
                Guard::Budget,
                Hold::BudgetExhausted,
                format!("{count} of {limit} {what}"),
            )
            .with(count as f64, f64::from(limit))
        })
    };
    let overrides = subject.action.kind().is_override().then(|| {
        let day = || lately(input, rails.day).filter(|e| e.action.is_override());
        let gone = day().map(|e| since(input.now, e.at)).min();
        let too_soon = gone.filter(|gone| *gone < rails.override_gap).map(|gone| {
            let detail = format!(
                "an override was set {} ago, at most one within {}",
                spell(gone),
                spell(rails.override_gap)
            );
            GuardReading::held(Guard::Budget, Hold::BudgetExhausted, detail)
                .with(gone.as_secs_f64(), rails.override_gap.as_secs_f64())
        });
        too_soon.or_else(|| {
            counted(day().count(), rails.overrides_per_day, "overrides in the last day")
        })
    });
    counted(all, rails.per_hour, "actions in the last hour")
        .or_else(|| {
            let what = format!("actions on {target} in the last hour");
            counted(there, rails.per_target_per_hour, &what)
        })
        .or_else(|| overrides.flatten())
        .unwrap_or_else(|| {
            let detail = format!(
                "{all} of {} actions in the last hour, {there} of {} on {target}",
                rails.per_hour, rails.per_target_per_hour
            );
            GuardReading::passed(Guard::Budget, detail).with(all as f64, f64::from(rails.per_hour))
        })
}
