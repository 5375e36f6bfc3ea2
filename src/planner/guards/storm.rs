//! Most of the fleet sick at once: what ails it is not in any one component, so nothing is done to one. Only throttling,
//! once; people get one page.

use super::{Subject, spell};
use crate::domain::action::ActionKind;
use crate::domain::cycle::Hold;
use crate::domain::fleet::Fleet;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::ledger::Storm;
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
        None if rages => {
            Storm { since: now, components: 0, sick, firing, calm_since: None, throttled_at: None }
        }
        None => return None,
        Some(storm) => storm,
    };
    storm.components = storm.components.max(fleet.components);
    (storm.sick, storm.firing) = (sick, firing);
    // What has vanished has not recovered.
    let seen = fleet.components as f64 >= storm.components as f64 * SEEN_AGAIN;
    let calm = share(firing) < settings.firing / 2.0 && share(sick) < settings.unhealthy / 2.0;
    let calm = calm && seen;
    storm.calm_since = if calm { storm.calm_since.or(Some(now)) } else { None };
    let over = storm.calm_since.is_some_and(|at| since(now, at) >= settings.leave_after);
    (!over).then_some(storm)
}

pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    let settings = &input.settings.guardrails.storm;
    let Some(storm) = &input.ledger.storm else {
        let fleet = input.fleet;
        if fleet.components < settings.min_components {
            return GuardReading::passed(
                Guard::Storm,
                format!(
                    "off: {} components known, told from {} on",
                    fleet.components, settings.min_components
                ),
            );
        }
        let share = fleet.sick.len() as f64 / fleet.components as f64;
        let detail = format!(
            "{} of {} components sick, a storm above {:.0} %",
            fleet.sick.len(),
            fleet.components,
            settings.unhealthy * 100.0
        );
        return GuardReading::passed(Guard::Storm, detail).with(share, settings.unhealthy);
    };
    let lasts = since(input.now, storm.since);
    let what = format!(
        "a storm since {}: {} of {} components sick",
        spell(lasts),
        storm.sick,
        storm.components
    );
    let share = storm.sick as f64 / storm.components.max(1) as f64;
    let is_throttle = subject.action.kind() == ActionKind::ThrottleRequests;
    let reading = match (is_throttle, storm.throttled_at.is_some()) {
        (true, false) => {
            GuardReading::passed(Guard::Storm, format!("{what}; throttling is let pass, once"))
        }
        (true, true) => GuardReading::held(
            Guard::Storm,
            Hold::Storm,
            format!("{what}; it was throttled in it already"),
        ),
        (false, _) => GuardReading::held(
            Guard::Storm,
            Hold::Storm,
            format!("{what}; nothing is done to one component"),
        ),
    };
    reading.with(share, settings.unhealthy)
}
