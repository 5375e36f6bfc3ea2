//! The numbers behind a result in sentences: how far the score recovered, and what it was compared with.

use super::words;
use crate::domain::outcome::Outcome;
use crate::domain::time;
use crate::domain::verification::Verification;

/// What was measured, and whether the result was corrected afterwards; empty when nothing is known.
pub(super) fn of(outcome: &Outcome) -> String {
    let measured = outcome.verification.as_ref().map(sentence).unwrap_or_default();
    let recurred = outcome.recurred.as_ref().map(|r| {
        format!(
            " The first result was {}; it was corrected at {} because the same violation was active again.",
            r.was.as_str(),
            time::text(r.at)
        )
    });
    format!("{measured}{}", recurred.unwrap_or_default())
}

fn sentence(v: &Verification) -> String {
    if let Some(why) = v.unscored {
        return format!(" No recovery was measured: {}.", why.why());
    }
    let (Some(before), Some(after)) = (v.before, v.after) else { return String::new() };
    let (Some(base), Some(sigma), Some(recovery)) = (v.base, v.sigma, v.recovery) else {
        return format!(
            " Its score was {} before and {} after; too little of normal times is known to say how far it recovered.",
            words::number(before),
            words::number(after)
        );
    };
    let control = match v.control {
        Some(control) => format!(
            ", less {control:.2} that recovered elsewhere ({})",
            words::count(v.controls, "component")
        ),
        None => ", with no component outside the action's reach to compare with".to_owned(),
    };
    let placebo = match v.placebo {
        Some(share) => format!(
            " A change as large came by itself in {:.0} % of {} times without an action.",
            share * 100.0,
            v.placebo_times
        ),
        None => String::new(),
    };
    format!(
        " Its score was {} before, {} in normal times (sigma {}) and {} after: recovery {recovery:.2} of 1{control}.{placebo}",
        words::number(before),
        words::number(base),
        words::number(sigma),
        words::number(after)
    )
}
