//! score = benefit − cost. Benefit is how sure we are of the cause times how well the action has worked for it.

use std::cmp::Ordering;

use super::settings::Settings;
use crate::domain::Cause;
use crate::domain::action::{ActionKind, Risk};
use crate::domain::outcome::ActionStatistics;
use crate::domain::time::Time;

/// What was learned of the action for the cause; 1 when nothing is known.
#[must_use]
pub fn effectiveness(
    statistics: &[ActionStatistics],
    cause: &Cause,
    action: ActionKind,
    settings: &Settings,
) -> f64 {
    if !settings.learning {
        return 1.0;
    }
    statistics
        .iter()
        .find(|s| &s.cause == cause && s.action == action)
        .map_or(1.0, |s| s.effectiveness)
}

/// min(0.95, cause confidence × effectiveness).
#[must_use]
pub fn benefit(cause_confidence: f64, effectiveness: f64, settings: &Settings) -> f64 {
    (cause_confidence * effectiveness).min(settings.benefit_target)
}

/// Score, then lower cost, lower risk, older.
#[must_use]
pub fn order(a: (f64, f64, Risk, Time), b: (f64, f64, Risk, Time)) -> Ordering {
    grid(b.0)
        .total_cmp(&grid(a.0))
        .then(grid(a.1).total_cmp(&grid(b.1)))
        .then(a.2.cmp(&b.2))
        .then(a.3.cmp(&b.3))
}

/// Numbers that differ by less than a millionth are equal: 0.9 − 0.3 and 0.75 − 0.15 are both 0.6.
fn grid(number: f64) -> f64 {
    (number * 1e6).round()
}
