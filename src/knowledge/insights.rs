//! What was learned, in words for people: one insight for each cause and action with a result.

use crate::domain::outcome::{ActionStatistics, Insight};
use crate::domain::time::Time;

/// From this rate on an action is called reliable, below the other it is called doubtful.
const RELIABLE: f64 = 0.8;
const DOUBTFUL: f64 = 0.4;

#[must_use]
pub fn insights(statistics: &[ActionStatistics], now: Time) -> Vec<Insight> {
    statistics
        .iter()
        .filter(|known| known.runs > 0)
        .map(|known| Insight {
            key: format!("{}/{}", known.cause, known.action),
            title: title(known),
            confidence: known.confidence,
            recommendation: recommendation(known),
            updated_at: now,
        })
        .collect()
}

/// Apart from when it was said.
#[must_use]
pub fn says_the_same(old: &Insight, new: &Insight) -> bool {
    *old == Insight { updated_at: old.updated_at, ..new.clone() }
}

fn title(known: &ActionStatistics) -> String {
    let ActionStatistics { cause, action, runs, successes, partials, .. } = known;
    let rate = known.success_rate * 100.0;
    let in_part =
        if *partials > 0 { format!(", and helped in part in {partials}") } else { String::new() };
    let speed = known
        .mean_time_to_effect_seconds
        .map(|seconds| format!("; on average after {seconds:.0} s"))
        .unwrap_or_default();
    format!(
        "{action} cured {cause} in {successes} of {runs} verified runs ({rate:.0} %){in_part}{speed}"
    )
}

fn recommendation(known: &ActionStatistics) -> String {
    let ActionStatistics { cause, action, .. } = known;
    if known.confidence < 0.5 {
        format!("Too few runs to rely on: go on with {action} for {cause} and look again later.")
    } else if known.success_rate >= RELIABLE {
        format!("{action} is reliable against {cause}: keep it first in plan.strategies.{cause}.")
    } else if known.success_rate >= DOUBTFUL {
        format!(
            "{action} helps against {cause} only at times: give plan.strategies.{cause} another action after it."
        )
    } else {
        format!(
            "{action} seldom helps against {cause}: put another action before it in plan.strategies.{cause}, or look for another cause."
        )
    }
}
