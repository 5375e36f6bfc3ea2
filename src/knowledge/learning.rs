//! What outcomes teach: per cause and action how often it helped, and how much of its promise the planner may believe.
//!
//! Computed afresh from the kept outcomes each time, so nothing is ever learned twice. What clears by itself is taken off:
//! with `p` the chance of that, `q = (s − p)/(1 − p)` is what the action adds, and stands where `s` stood. It is believed
//! as far as all `n` runs go: were only the `n·(1 − p)` counted that were not to clear anyway, `1 − p` would cancel out.

use std::collections::BTreeMap;

use crate::domain::Cause;
use crate::domain::action::ActionKind;
use crate::domain::natural::NaturalCount;
use crate::domain::outcome::{ActionStatistics, Outcome, OutcomeType};

#[derive(Default)]
struct Tally {
    runs: u32,
    successes: u32,
    partials: u32,
    effects: Vec<f64>,
}

/// Ordered by cause and action. `saturation` is the number of verified runs from which experience counts in full.
#[must_use]
pub fn statistics(
    outcomes: &[Outcome],
    natural: &BTreeMap<Cause, NaturalCount>,
    saturation: u32,
) -> Vec<ActionStatistics> {
    let mut tallies: BTreeMap<(&Cause, ActionKind), Tally> = BTreeMap::new();
    for outcome in outcomes {
        if outcome.outcome_type == OutcomeType::Unknown {
            continue;
        }
        let tally = tallies.entry((&outcome.cause, outcome.action_type)).or_default();
        tally.runs += 1;
        match outcome.outcome_type {
            OutcomeType::Success => {
                tally.successes += 1;
                tally.effects.extend(outcome.time_to_effect_seconds);
            }
            OutcomeType::Partial => tally.partials += 1,
            OutcomeType::Ineffective | OutcomeType::Degradation | OutcomeType::Unknown => {}
        }
    }
    tallies
        .into_iter()
        .map(|((cause, action), tally)| {
            let natural = natural.get(cause).map_or(0.0, NaturalCount::probability);
            tally.into_statistics(cause.clone(), action, natural, saturation)
        })
        .collect()
}

impl Tally {
    fn into_statistics(
        self,
        cause: Cause,
        action: ActionKind,
        natural: f64,
        saturation: u32,
    ) -> ActionStatistics {
        let runs = f64::from(self.runs);
        let successes = f64::from(self.successes);
        let believed = |n: f64| (n / f64::from(saturation.max(1))).min(1.0);
        let score = (successes + 0.5 * f64::from(self.partials)) / runs;
        let added = ((score - natural) / (1.0 - natural)).clamp(0.0, 1.0);
        ActionStatistics {
            cause,
            action,
            runs: self.runs,
            successes: self.successes,
            partials: self.partials,
            success_rate: successes / runs,
            mean_time_to_effect_seconds: (!self.effects.is_empty())
                .then(|| self.effects.iter().sum::<f64>() / self.effects.len() as f64),
            confidence: believed(runs),
            effectiveness: 1.0 - believed(runs) * (1.0 - added),
            natural_recovery: natural,
        }
    }
}
