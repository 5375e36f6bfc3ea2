//! Something is still taking effect on the same target, or its end is not known, or enough of the fleet is in hand.

use std::collections::BTreeSet;

use super::neighbours::overlap;
use super::{Held, Subject};
use crate::domain::action::ActionKind;
use crate::domain::charter::CommitteeStatus;
use crate::domain::cycle::Hold;
use crate::domain::follow_ups::Undone;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::target::{System, Target};
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

/// Something is still taking effect on this target: an action of ours, its undo, or a change of size.
pub(in crate::planner) fn settling(input: &PlanInput<'_>, target: &Target) -> Option<Held> {
    let where_to = |other: &Target| overlap(input, other, target);
    let found = input.verifications.iter().find_map(|j| Some((j, where_to(&j.target)?)));
    if let Some((verification, place)) = found {
        let left = since(verification.settled_at, input.now).as_secs();
        let actions: Vec<&str> = verification.actions.iter().map(ActionKind::as_str).collect();
        let actions = actions.join(", ");
        return Some((
            Hold::Verifying,
            format!("{actions}{place} is being verified, {left} s of its settle time left"),
        ));
    }
    let unsettled = |u: &&Undone| input.now < u.settled_at && where_to(&u.target).is_some();
    if let Some(undone) = input.undone.iter().find(unsettled) {
        let left = since(undone.settled_at, input.now).as_secs();
        return Some((
            Hold::InFlight,
            format!("an action that did harm was undone there; {left} s until that settles"),
        ));
    }
    if target.system() != System::Charter {
        return None;
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
    input.blocked.iter().any(|blocked| overlap(input, blocked, target).is_some()).then(|| {
        let detail = "an earlier action there ended without a known result; a person has been asked to look (outcome_unknown)";
        (Hold::OutcomeUnknown, detail.to_owned())
    })
}

/// How much of the target's system has an action that has no result yet.
fn fleet(input: &PlanInput<'_>, target: &Target) -> GuardReading {
    let grounds = input.verifications.iter().map(|j| &j.target).chain(input.blocked);
    let own: Vec<&Target> = grounds.filter(|t| t.system() == target.system()).collect();
    match target {
        // It overlaps with each of its services.
        Target::Charter(None) => GuardReading::passed(Guard::Conflict, FREE),
        Target::Charter(Some(name)) | Target::Hook { component: name, .. } => {
            share(input, target.system(), name, &own)
        }
        Target::Kubernetes { namespace, .. } => at_once(input, namespace.as_deref(), &own),
    }
}

const FREE: &str = "nothing is taking effect on this target";

/// A component in hand counts whether it looks healthy or not.
fn share(input: &PlanInput<'_>, system: System, name: &str, own: &[&Target]) -> GuardReading {
    let rails = &input.settings.guardrails.fleet;
    let in_hand: BTreeSet<&str> = own.iter().map(|target| target.component()).collect();
    let sibling = rails.redundancy_groups.iter().filter(|group| group.contains(name));
    if let Some(other) = sibling.flatten().find(|name| in_hand.contains(name.as_str())) {
        let detail = format!("{other} of the same redundancy group is in hand");
        return GuardReading::held(Guard::Conflict, Hold::FleetLimit, detail);
    }
    let components = input.fleets.get(&system).map_or(0, |fleet| fleet.components);
    let limit = (components as f64 * rails.share).floor().max(1.0);
    let count = in_hand.len() as f64;
    let reading = if count >= limit {
        let detail = format!("{count} of at most {limit} components are in hand");
        GuardReading::held(Guard::Conflict, Hold::FleetLimit, detail)
    } else {
        GuardReading::passed(Guard::Conflict, FREE)
    };
    reading.with(count, limit)
}

fn at_once(input: &PlanInput<'_>, namespace: Option<&str>, own: &[&Target]) -> GuardReading {
    let rails = &input.settings.guardrails.kubernetes;
    let beside = |target: &&&Target| namespace.is_some() && target.namespace() == namespace;
    let there = own.iter().filter(beside).count();
    let held = |count: usize, limit: usize, place: &str| {
        let detail = format!("{count} of at most {limit} actions {place} have no result yet");
        GuardReading::held(Guard::Conflict, Hold::FleetLimit, detail)
            .with(count as f64, limit as f64)
    };
    if own.len() >= rails.at_once {
        return held(own.len(), rails.at_once, "on Kubernetes");
    }
    if there >= rails.at_once_per_namespace {
        let place = format!("in namespace {}", namespace.unwrap_or_default());
        return held(there, rails.at_once_per_namespace, &place);
    }
    GuardReading::passed(Guard::Conflict, FREE).with(own.len() as f64, rails.at_once as f64)
}
