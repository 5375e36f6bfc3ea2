//! The numbers behind a verdict in sentences: how far the score came back, and what was held against that.

use super::words;
use crate::domain::outcome::Outcome;
use crate::domain::time;
use crate::domain::verification::Verification;

/// What was measured, and what became of the verdict afterwards; empty when nothing is known.
pub(super) fn of(outcome: &Outcome) -> String {
    let measured = outcome.verification.as_ref().map(sentence).unwrap_or_default();
    let recurred = outcome.recurred.as_ref().map(|r| {
        format!(
            " It was judged {} first; that was taken back at {} because the same violation was back.",
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
            " Its score was {} before and {} after; too little is known of normal times to say how far it recovered.",
            words::number(before),
            words::number(after)
        );
    };
    let control = match v.control {
        Some(control) => format!(
            ", {control:.2} taken off for what recovered elsewhere ({})",
            words::count(v.controls, "component")
        ),
        None => ", with nothing outside the action's reach to compare with".to_owned(),
    };
    let placebo = match v.placebo {
        Some(share) => format!(
            " As large a change came in {:.0} % of {} times at which nothing was done.",
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
