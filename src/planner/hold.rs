//! What holds an executable action back for a while, with the numbers behind it.

use super::PlanInput;
use crate::domain::Cause;
use crate::domain::action::Scope;
use crate::domain::charter::CommitteeStatus;
use crate::domain::cycle::Hold;
use crate::domain::policy::{Approval, Policy};
use crate::domain::time::{Time, after, since};

pub(super) type Held = (Hold, String);

/// Approval is not among them: it belongs to the policy and not to the ground (see `rank`).
pub(super) fn hold(
    input: &PlanInput<'_>,
    cause: &Cause,
    component: &str,
    scope: &Scope,
) -> Option<Held> {
    if let Err(error) = &input.charter.state {
        return Some((Hold::CharterUnreachable, error.clone()));
    }
    settling(input, scope).or_else(|| unknown(input, scope)).or_else(|| {
        let policy = input
            .policies
            .iter()
            .find(|p| &p.cause == cause && p.component == component && rejection_holds(input, p))?;
        Some((Hold::Rejected, rejection(input, policy)))
    })
}

/// Something is still taking effect on this ground: an action of ours, or a change of size.
pub(super) fn settling(input: &PlanInput<'_>, scope: &Scope) -> Option<Held> {
    if let Some(judging) = input.judgings.iter().find(|j| j.scope.overlaps(scope)) {
        let left = since(judging.settled_at, input.now).as_secs();
        let actions: Vec<&str> = judging.actions.iter().map(|a| a.as_str()).collect();
        return Some((
            Hold::Judging,
            format!("{} is being judged, {left} s of its settle time left", actions.join(", ")),
        ));
    }
    let state = input.charter.state.as_ref().ok()?;
    let recent = |at: Time| since(input.now, at) < input.settings.resize_settle;
    if let Some(resize) = input.last_resize.filter(|r| recent(r.at))
        && state.healthy_nodes < state.replicas
    {
        return Some((
            Hold::InFlight,
            format!(
                "{} of {} nodes are healthy {} s after a change of size",
                state.healthy_nodes,
                state.replicas,
                since(input.now, resize.at).as_secs()
            ),
        ));
    }
    let recovering = state.status == CommitteeStatus::Recovering;
    (recovering && input.recovering_since.is_some_and(recent))
        .then(|| (Hold::InFlight, "Charter says that it is recovering".to_owned()))
}

fn unknown(input: &PlanInput<'_>, scope: &Scope) -> Option<Held> {
    input.blocked.iter().any(|blocked| blocked.overlaps(scope)).then(|| {
        let detail = "an earlier action there ended without a known result; a person has been told";
        (Hold::OutcomeUnknown, detail.to_owned())
    })
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
    let until = until.map(|at| at.format("%H:%M:%S").to_string()).unwrap_or_default();
    let by = policy.decided_by.as_deref().unwrap_or("a person");
    format!("rejected by {by}; holds until it clears, at most until {until} UTC")
}
