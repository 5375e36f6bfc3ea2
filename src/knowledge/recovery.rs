//! How far a score recovered, against its normal level, against what happened elsewhere, and against doing nothing.
//!
//! Pure. `R = gain / max(excess before, 2σ) − gain elsewhere`; it can only lower the class that the count gave. What
//! cannot be computed lowers nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::outcome::OutcomeType;
use crate::domain::rule::Comparison;
use crate::domain::time::{Time, after, since};
use crate::domain::verification::{Baseline, Lowering, Normal, Score, Verification};

/// Readings behind "before": those that a warning needs to be acted on.
const BEFORE: usize = 3;
/// Readings left out before the violation: what leads up to it is not normal.
const LEAD: usize = 3;
/// Readings behind "normal": 20 minutes by default, and fewer than these say nothing.
const NORMAL: usize = 40;
const MIN_NORMAL: usize = 8;
/// Placebo times below which the share of them says nothing (methods of the field: 50).
const MIN_PLACEBO: usize = 50;
/// A success must be rarer than this among times without an action.
const MAX_PLACEBO: f64 = 0.1;
const SUCCESS: f64 = 0.5;
const PARTIAL: f64 = 0.25;
/// Sigma of a normal distribution for its median absolute deviation.
const MAD_TO_SIGMA: f64 = 1.4826;
/// The floor of sigma, as a share of base and of the limit: a level that never moved is still not known better.
const FLOOR: f64 = 0.01;
/// And as a share of the excess: what is broken moves more than what is well.
const FLOOR_OF_EXCESS: f64 = 0.1;

/// The past of one series at the intent.
#[derive(Debug)]
pub struct Past<'a> {
    /// Oldest first.
    pub readings: &'a [(Time, f64)],
    /// When the violation was first read as broken.
    pub began_at: Time,
    pub comparison: Comparison,
    pub threshold: f64,
    pub settle: Duration,
    /// When something was done, anywhere.
    pub touched: &'a [Time],
}

/// Everything that is known of a series at the intent, but for its control; `None` when it has no reading.
#[must_use]
pub fn score(series: &str, past: &Past<'_>) -> Option<Score> {
    let rising = matches!(past.comparison, Comparison::Gt | Comparison::Ge);
    let broken: Vec<f64> =
        past.readings.iter().filter(|(at, _)| *at >= past.began_at).map(|(_, v)| *v).collect();
    let before = median(&broken[broken.len().saturating_sub(BEFORE)..])?;
    let normal = normal(past, before);
    let placebo = normal.map(|n| placebo(past, rising, n)).unwrap_or_default();
    Some(Score { series: series.to_owned(), rising, before, normal, control: Vec::new(), placebo })
}

/// The level that a series of the control had before the intent.
#[must_use]
pub fn level(readings: &[(Time, f64)]) -> Option<f64> {
    let values: Vec<f64> = readings.iter().rev().take(BEFORE).map(|(_, v)| *v).collect();
    median(&values)
}

fn normal(past: &Past<'_>, before: f64) -> Option<Normal> {
    let healthy = past.readings.iter().take_while(|(at, _)| *at < past.began_at).count();
    let until = healthy.saturating_sub(LEAD);
    let window = &past.readings[until.saturating_sub(NORMAL)..until];
    if window.len() < MIN_NORMAL {
        return None;
    }
    let values: Vec<f64> = window.iter().map(|(_, v)| *v).collect();
    let base = median(&values)?;
    // Broken most of the time is no normal level to come back to.
    if past.comparison.breaks(base, past.threshold) {
        return None;
    }
    let deviations: Vec<f64> = values.iter().map(|v| (v - base).abs()).collect();
    let sigma = [
        MAD_TO_SIGMA * median(&deviations)?,
        FLOOR * base.abs(),
        FLOOR * past.threshold.abs(),
        FLOOR_OF_EXCESS * (before - base).abs(),
    ]
    .into_iter()
    .fold(0.0, f64::max);
    (sigma > 0.0).then_some(Normal { base, sigma })
}

/// The recovery at each earlier time before and after which nothing was done, measured as at the intent.
fn placebo(past: &Past<'_>, rising: bool, normal: Normal) -> Vec<f64> {
    let readings = past.readings;
    let mut found = Vec::new();
    let mut settled = 0;
    for last in BEFORE - 1..readings.len() {
        let at = readings[last].0;
        let due = after(at, past.settle);
        settled = settled.max(last + 1);
        while settled < readings.len() && readings[settled].0 < due {
            settled += 1;
        }
        let Some(looks) = readings.get(settled..settled + 2) else { break };
        let quiet = |t: &Time| since(at, *t) > past.settle || *t > looks[1].0;
        if !past.touched.iter().all(quiet) {
            continue;
        }
        let Some(before) = level(&readings[..=last]) else { continue };
        let after = f64::midpoint(looks[0].1, looks[1].1);
        found.push(gain(rising, before, after) / scale(rising, before, normal));
    }
    found
}

/// Compares, and lowers what the count gave if a number says so. `first` and `second` are the values of the two cycles
/// that verify; `touched` are components at which something else was done meanwhile; `guard` a rule newly violated there.
#[must_use]
pub fn verify(
    counted: OutcomeType,
    yardstick: Option<&Baseline>,
    first: &BTreeMap<String, f64>,
    second: &BTreeMap<String, f64>,
    touched: &BTreeSet<String>,
    guard: Option<&str>,
) -> (OutcomeType, Verification) {
    let mut verification = Verification {
        counted,
        lowered_by: None,
        unscored: None,
        before: None,
        base: None,
        sigma: None,
        after: None,
        recovery: None,
        control: None,
        controls: 0,
        placebo: None,
        placebo_times: 0,
    };
    let mut class = counted;
    match yardstick {
        Some(Baseline::Scored(score)) => {
            let post =
                |series: &String| Some(f64::midpoint(*first.get(series)?, *second.get(series)?));
            measure(score, &post, touched, &mut verification);
            (class, verification.lowered_by) = lowered(counted, score.rising, &verification);
        }
        Some(Baseline::Unscored(why)) => verification.unscored = Some(*why),
        None => {}
    }
    if let Some(rule) = guard.filter(|_| class != OutcomeType::Degradation) {
        class = OutcomeType::Degradation;
        verification.lowered_by = Some(Lowering::Guard(rule.to_owned()));
    }
    (class, verification)
}

fn measure(
    score: &Score,
    post: &dyn Fn(&String) -> Option<f64>,
    touched: &BTreeSet<String>,
    into: &mut Verification,
) {
    into.before = Some(score.before);
    into.after = post(&score.series);
    into.base = score.normal.map(|n| n.base);
    into.sigma = score.normal.map(|n| n.sigma);
    let elsewhere: Vec<f64> = score
        .control
        .iter()
        .filter(|c| !touched.contains(&c.component))
        .filter_map(|c| Some(gain(score.rising, c.before, post(&c.series)?)))
        .collect();
    let (Some(normal), Some(after)) = (score.normal, into.after) else { return };
    let scale = scale(score.rising, score.before, normal);
    let own = gain(score.rising, score.before, after) / scale;
    into.controls = elsewhere.len();
    // What got worse elsewhere proves nothing for the action: taken off, never added.
    into.control = median(&elsewhere).map(|gain| (gain / scale).max(0.0));
    let recovery = own - into.control.unwrap_or(0.0);
    into.recovery = Some(recovery);
    into.placebo_times = score.placebo.len();
    if score.placebo.len() >= MIN_PLACEBO {
        // The whole of it: nothing was taken off at those times either.
        let as_large = score.placebo.iter().filter(|r| **r >= own).count();
        into.placebo = Some(as_large as f64 / score.placebo.len() as f64);
    }
}

fn lowered(
    counted: OutcomeType,
    rising: bool,
    known: &Verification,
) -> (OutcomeType, Option<Lowering>) {
    let (Some(before), Some(after), Some(sigma), Some(recovery)) =
        (known.before, known.after, known.sigma, known.recovery)
    else {
        return (counted, None);
    };
    let worse = -gain(rising, before, after) > 3.0 * sigma;
    match counted {
        OutcomeType::Unknown | OutcomeType::Degradation => (counted, None),
        _ if worse => (OutcomeType::Degradation, Some(Lowering::Worse)),
        OutcomeType::Success | OutcomeType::Partial if recovery < PARTIAL => {
            (OutcomeType::Ineffective, Some(Lowering::Recovery))
        }
        OutcomeType::Success if recovery < SUCCESS => {
            (OutcomeType::Partial, Some(Lowering::Recovery))
        }
        OutcomeType::Success if known.placebo.is_some_and(|p| p > MAX_PLACEBO) => {
            (OutcomeType::Partial, Some(Lowering::Placebo))
        }
        OutcomeType::Success | OutcomeType::Partial | OutcomeType::Ineffective => (counted, None),
    }
}

/// How much better it got.
fn gain(rising: bool, before: f64, after: f64) -> f64 {
    if rising { before - after } else { after - before }
}

/// What a whole recovery would be; noise alone never counts as one.
fn scale(rising: bool, before: f64, normal: Normal) -> f64 {
    gain(rising, before, normal.base).max(2.0 * normal.sigma)
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

impl Verification {
    /// Which number lowered the class, in words; `None` when none did.
    #[must_use]
    pub fn lowered_because(&self) -> Option<String> {
        let number = |n: Option<f64>| n.map_or_else(|| "unknown".to_owned(), |n| format!("{n:.2}"));
        let counted = self.counted.as_str();
        let why = match self.lowered_by.as_ref()? {
            Lowering::Worse => format!(
                "the score is {} after {} before, worse by more than 3 sigma ({})",
                number(self.after),
                number(self.before),
                number(self.sigma)
            ),
            Lowering::Guard(rule) => {
                format!("rule {rule} is violated now and was not before the action")
            }
            Lowering::Recovery => {
                let needed =
                    if self.recovery.is_some_and(|r| r < PARTIAL) { PARTIAL } else { SUCCESS };
                let control = self
                    .control
                    .filter(|c| *c > 0.0)
                    .map(|c| format!(", after {c:.2} is subtracted that recovered elsewhere too"))
                    .unwrap_or_default();
                format!("recovery {} is below {needed:.2}{control}", number(self.recovery))
            }
            Lowering::Placebo => format!(
                "without any action a recovery of that size was seen in a share of {} of {} moments, more than {MAX_PLACEBO:.2}",
                number(self.placebo),
                self.placebo_times
            ),
        };
        Some(format!("counted as {counted}, lowered: {why}"))
    }
}
