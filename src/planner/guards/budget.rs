//! How much may be done to a system in an hour and a day, whatever the reasons.

use super::{Subject, lately, spell};
use crate::domain::cycle::Hold;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::ledger::Entry;
use crate::domain::target::{System, Target};
use crate::domain::time::{self, since};
use crate::planner::PlanInput;

pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    let target = subject.action.target();
    if target.system() == System::Kubernetes {
        return read_cluster(input, &target);
    }
    let rails = &input.settings.guardrails.budget;
    let hour = || lately(input, target.system(), rails.hour);
    let last = format!("in the last {}", time::hour(rails.hour.as_secs_f64()));
    let all = hour().count();
    let there = hour().filter(|e| e.target == target).count();
    let overrides = subject.action.kind().is_override().then(|| {
        let day = || lately(input, target.system(), rails.day).filter(|e| e.action.is_override());
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
            let what = format!("overrides in the last {}", time::day(rails.day.as_secs_f64()));
            spent(day().count(), rails.overrides_per_day, &what)
        })
    });
    let on = match target.system() {
        System::Hook => "actions by hooks",
        System::Charter | System::Kubernetes => "actions",
    };
    spent(all, rails.per_hour, &format!("{on} {last}"))
        .or_else(|| {
            let what = format!("actions on {target} {last}");
            spent(there, rails.per_target_per_hour, &what)
        })
        .or_else(|| overrides.flatten())
        .unwrap_or_else(|| {
            let detail = format!(
                "{all} of {} {on} {last}, {there} of {} on {target}",
                rails.per_hour, rails.per_target_per_hour
            );
            GuardReading::passed(Guard::Budget, detail).with(all as f64, f64::from(rails.per_hour))
        })
}

fn read_cluster(input: &PlanInput<'_>, target: &Target) -> GuardReading {
    let rails = &input.settings.guardrails.kubernetes;
    let hour = input.settings.guardrails.budget.hour;
    let last = format!("in the last {}", time::hour(hour.as_secs_f64()));
    let hour = || lately(input, System::Kubernetes, hour);
    let all = hour().count();
    let beside =
        |e: &&Entry| target.namespace().is_some_and(|own| e.target.namespace() == Some(own));
    let in_namespace = hour().filter(beside).count();
    // A pod counts as its workload; a node is nobody's part, though it overlaps with all that may run on it.
    let same = |e: &&Entry| e.target == *target || (beside(e) && e.target.overlaps(target));
    let there = hour().filter(same).count();
    let namespace = target.namespace().unwrap_or_default();
    spent(all, rails.per_hour, &format!("actions on Kubernetes {last}"))
        .or_else(|| {
            let what = format!("actions in namespace {namespace} {last}");
            spent(in_namespace, rails.per_namespace_per_hour, &what)
        })
        .or_else(|| {
            let what = format!("actions on {target} {last}");
            spent(there, rails.per_workload_per_hour, &what)
        })
        .unwrap_or_else(|| {
            let detail = format!(
                "{all} of {} actions on Kubernetes {last}, {in_namespace} of {} in its namespace, {there} of {} \
                 on {target}",
                rails.per_hour, rails.per_namespace_per_hour, rails.per_workload_per_hour
            );
            GuardReading::passed(Guard::Budget, detail).with(all as f64, f64::from(rails.per_hour))
        })
}

/// Held when as many have been done as may be.
fn spent(count: usize, limit: u32, what: &str) -> Option<GuardReading> {
    (count >= limit as usize).then(|| {
        let detail = format!("{count} of {limit} {what}");
        GuardReading::held(Guard::Budget, Hold::BudgetExhausted, detail)
            .with(count as f64, f64::from(limit))
    })
}
