//! Most of a system sick at once: what ails it is not in any one component, so nothing is done to one. Charter may be
//! throttled, once; people get one page for each system. The other systems go on.

use std::time::Duration;

use super::{Subject, spell};
use crate::domain::action::ActionKind;
use crate::domain::cycle::Hold;
use crate::domain::fleet::{ClusterHealth, Fleet};
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::ledger::Storm;
use crate::domain::target::System;
use crate::domain::time::{Time, since};
use crate::planner::PlanInput;
use crate::planner::guardrails;

/// So much of the storm's fleet must be known for it to be called calm.
const SEEN_AGAIN: f64 = 0.8;

/// The storm after a cycle that saw this fleet.
#[must_use]
pub fn step(
    storm: Option<Storm>,
    fleet: &Fleet,
    settings: &guardrails::Storm,
    now: Time,
) -> Option<Storm> {
    let enough = fleet.components >= settings.min_components;
    let share = |part: usize| part as f64 / fleet.components.max(1) as f64;
    let (sick, firing) = (fleet.sick.len(), fleet.firing.len());
    // Many that begin at once and name one cause have a remedy of their own.
    let scattered = share(firing) > settings.firing && fleet.common_cause.is_none();
    let rages =
        enough && sick >= settings.min_sick && (scattered || share(sick) > settings.unhealthy);
    let mut storm = match storm {
        None if rages => begun(now),
        None => return None,
        Some(storm) => storm,
    };
    storm.components = storm.components.max(fleet.components);
    (storm.sick, storm.firing) = (sick, firing);
    let calm = share(firing) < settings.firing / 2.0 && share(sick) < settings.unhealthy / 2.0;
    // What has vanished has not recovered.
    let seen = fleet.components as f64 >= storm.components as f64 * SEEN_AGAIN;
    let calm = calm && seen;
    goes_on(storm, calm, settings.leave_after, now)
}

/// The storm of Kubernetes after a cycle that saw this much of the cluster.
#[must_use]
pub fn step_cluster(
    storm: Option<Storm>,
    health: &ClusterHealth,
    settings: &guardrails::ClusterStorm,
    now: Time,
) -> Option<Storm> {
    let most_nodes = settings.not_ready * health.nodes as f64;
    let least = settings.sick * health.workloads as f64;
    let least = least.max(settings.min_workloads as f64);
    let (not_ready, sick) = (health.not_ready as f64, health.sick_lately as f64);
    let nodes_rage = health.not_ready >= settings.min_nodes && not_ready > most_nodes;
    let mut storm = match storm {
        None if nodes_rage || sick >= least => begun(now),
        None => return None,
        Some(storm) => storm,
    };
    // The watch caches say what there is: what is gone is gone.
    (storm.components, storm.nodes) = (health.workloads, health.nodes);
    (storm.sick, storm.firing) = (health.sick_lately, health.sick_lately);
    storm.not_ready = health.not_ready;
    // Fewer nodes than make a storm are calm whatever their share: of three nodes one is a third.
    let nodes_calm = health.not_ready < settings.min_nodes || not_ready < most_nodes / 2.0;
    let calm = nodes_calm && sick < least / 2.0 && health.is_whole;
    goes_on(storm, calm, settings.leave_after, now)
}

fn begun(now: Time) -> Storm {
    Storm {
        since: now,
        components: 0,
        sick: 0,
        firing: 0,
        nodes: 0,
        not_ready: 0,
        calm_since: None,
        throttled_at: None,
    }
}

/// It ends once it has been calm for so long.
fn goes_on(mut storm: Storm, calm: bool, leave_after: Duration, now: Time) -> Option<Storm> {
    storm.calm_since = if calm { storm.calm_since.or(Some(now)) } else { None };
    let over = storm.calm_since.is_some_and(|at| since(now, at) >= leave_after);
    (!over).then_some(storm)
}

pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    let system = subject.action.target().system();
    if system == System::Kubernetes {
        return read_cluster(input);
    }
    let settings = &input.settings.guardrails.storm;
    let Some(storm) = input.ledger.storm(system) else {
        let known = Fleet::default();
        let fleet = input.fleets.get(&system).unwrap_or(&known);
        if fleet.components < settings.min_components {
            return GuardReading::passed(
                Guard::Storm,
                format!(
                    "off: {} components are known, and a storm takes at least {}",
                    fleet.components, settings.min_components
                ),
            );
        }
        let share = fleet.sick.len() as f64 / fleet.components as f64;
        let detail = format!(
            "{} of {} components are sick; above {:.0} % is a storm",
            fleet.sick.len(),
            fleet.components,
            settings.unhealthy * 100.0
        );
        return GuardReading::passed(Guard::Storm, detail).with(share, settings.unhealthy);
    };
    let lasts = since(input.now, storm.since);
    let what = format!(
        "a storm for {}: {} of {} components are sick",
        spell(lasts),
        storm.sick,
        storm.components
    );
    let share = storm.sick as f64 / storm.components.max(1) as f64;
    let is_throttle = subject.action.kind() == ActionKind::ThrottleRequests;
    let reading = match (is_throttle, storm.throttled_at.is_some()) {
        (true, false) => GuardReading::passed(
            Guard::Storm,
            format!("{what}; one throttle is allowed in a storm"),
        ),
        (true, true) => GuardReading::held(
            Guard::Storm,
            Hold::Storm,
            format!("{what}; this storm has had its one throttle"),
        ),
        (false, _) => GuardReading::held(
            Guard::Storm,
            Hold::Storm,
            format!("{what}; no action on a single component in a storm"),
        ),
    };
    reading.with(share, settings.unhealthy)
}

fn read_cluster(input: &PlanInput<'_>) -> GuardReading {
    let limit = input.settings.guardrails.kubernetes.storm.not_ready;
    let Some(storm) = input.ledger.storm(System::Kubernetes) else {
        return GuardReading::passed(Guard::Storm, "the cluster is not in a storm");
    };
    let lasts = spell(since(input.now, storm.since));
    let detail = format!(
        "a storm for {lasts}: {} of {} nodes NotReady, {} of {} workloads became sick lately; no action on a single \
         workload in a storm",
        storm.not_ready, storm.nodes, storm.sick, storm.components
    );
    let share = storm.not_ready as f64 / storm.nodes.max(1) as f64;
    GuardReading::held(Guard::Storm, Hold::Storm, detail).with(share, limit)
}
