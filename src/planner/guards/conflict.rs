//! Something is still taking effect on the same ground, or its end is not known, or enough of the fleet is in hand.

use std::collections::BTreeSet;

use super::{Held, Subject};
use crate::domain::aftermath::Undone;
use crate::domain::charter::CommitteeStatus;
use crate::domain::cycle::Hold;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::target::Target;
use crate::domain::time::{Time, since};
use crate::planner::PlanInput;

pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    let target = subject.action.target();
    let held = settling(input, &target).or_else(|| unknown(input, &target));
    if let Some((hold, detail)) = held {
        return GuardReading::held(Guard::Conflict, hold, detail);
    }
    fleet(input, &target)
}

/// Something is still taking effect on this ground: an action of ours, its undo, or a change of size.
pub(in crate::planner) fn settling(input: &PlanInput<'_>, target: &Target) -> Option<Held> {
    if let Some(judging) = input.judgings.iter().find(|j| j.target.overlaps(target)) {
        let left = since(judging.settled_at, input.now).as_secs();
        let actions: Vec<&str> = judging.actions.iter().map(|a| a.as_str()).collect();
        return Some((
            Hold::Judging,
            format!("{} is being judged, {left} s of its settle time left", actions.join(", ")),
        ));
    }
    let unsettled = |u: &&Undone| u.target.overlaps(target) && input.now < u.settled_at;
    if let Some(undone) = input.undone.iter().find(unsettled) {
        let left = since(undone.settled_at, input.now).as_secs();
        return Some((
            Hold::InFlight,
            format!("harm was undone there, {left} s until that settles"),
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

fn unknown(input: &PlanInput<'_>, target: &Target) -> Option<Held> {
    input.blocked.iter().any(|blocked| blocked.overlaps(target)).then(|| {
        let detail = "an earlier action there ended without a known result; a person has been told";
        (Hold::OutcomeUnknown, detail.to_owned())
    })
}

/// A service in hand counts whether it looks healthy or not.
fn fleet(input: &PlanInput<'_>, target: &Target) -> GuardReading {
    let rails = &input.settings.guardrails.fleet;
    let free = || GuardReading::passed(Guard::Conflict, "nothing is taking effect on this ground");
    let Target::Charter(Some(service)) = target else { return free() };
    let grounds = input.judgings.iter().map(|j| &j.target).chain(input.blocked);
    let in_hand: BTreeSet<&str> = grounds.map(Target::component).collect();
    let sibling = rails.redundancy_groups.iter().filter(|group| group.contains(service));
    if let Some(other) = sibling.flatten().find(|name| in_hand.contains(name.as_str())) {
        let detail = format!("{other} of the same redundancy group is in hand");
        return GuardReading::held(Guard::Conflict, Hold::FleetLimit, detail);
    }
    let share = (input.fleet.components as f64 * rails.share).floor();
    let limit = share.max(1.0);
    let count = in_hand.len() as f64;
    if count >= limit {
        let detail = format!("{count} of at most {limit} components are in hand");
        return GuardReading::held(Guard::Conflict, Hold::FleetLimit, detail).with(count, limit);
    }
    free().with(count, limit)
}
