//! A person's no. Their yes belongs to the policy and is read when it is proposed.

use super::Subject;
use crate::domain::cycle::Hold;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::policy::{Approval, Policy};
use crate::domain::time::{self, after, since};
use crate::planner::PlanInput;

pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    let same = |p: &&Policy| &p.cause == subject.cause && p.component == subject.component;
    match input.policies.iter().filter(same).find(|p| rejection_holds(input, p)) {
        Some(policy) => {
            GuardReading::held(Guard::Approval, Hold::Rejected, rejection(input, policy))
        }
        None => GuardReading::passed(Guard::Approval, "nobody has rejected it"),
    }
}

/// A rejection holds while a violation that it was about is still active: one that cleared and came back is a new
/// question.
fn rejection_holds(input: &PlanInput<'_>, policy: &Policy) -> bool {
    policy.approval == Approval::Rejected
        && policy.decided_at.is_some_and(|decided| {
            since(input.now, decided) < input.settings.rejection_holds
                && policy.evidence.iter().any(|fp| {
                    input.violations.get(fp.as_str()).is_some_and(|v| v.active_since <= decided)
                })
        })
}

fn rejection(input: &PlanInput<'_>, policy: &Policy) -> String {
    let until = policy.decided_at.map(|at| after(at, input.settings.rejection_holds));
    let until = until.map(time::text).unwrap_or_default();
    let by = policy.decided_by.as_deref().unwrap_or("a person");
    format!("rejected by {by}; holds until it clears, at most until {until}")
}
