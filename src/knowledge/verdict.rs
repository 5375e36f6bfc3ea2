//! Did the action help? A verdict from counted violations before and after; when to judge is the cycle's business.

use crate::domain::outcome::OutcomeType;

/// `before` were active at the intent, `after` in either of the two good cycles that judge.
///
/// Missing data and foreign changes never come here: they are [`OutcomeType::Unknown`] whatever was counted.
#[must_use]
pub fn classify(before: usize, after: usize) -> OutcomeType {
    if before == 0 {
        // Whatever is broken now, the action was not taken against it.
        OutcomeType::Unknown
    } else if after == 0 {
        OutcomeType::Success
    } else if after > before {
        OutcomeType::Degradation
    } else if after <= before / 2 {
        // Whole halves: of 5, leaving 2 is at least half gone and leaving 3 is not.
        OutcomeType::Partial
    } else {
        OutcomeType::Ineffective
    }
}
