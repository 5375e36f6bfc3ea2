//! The arithmetic of the scorecard: from what was recorded to its figures.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::course::IncidentHistory;
use super::measured::Record;
use super::price::{STEP, Sample};

/// Good for so long is recovered.
const RECOVERED: f64 = 600.0;

/// An action is held against the run without any for so long.
const FOLLOWED: f64 = 300.0;

/// More operations fail than without: by over 2 % of all in the mean, or two more bad looks of twenty.
const WORSE_FAILING: f64 = 0.02;
const WORSE_LOOKS: usize = 2;

/// One incident under one controller.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub bad: f64,
    pub price: f64,
    pub actions: usize,
    pub harmful: usize,
    pub noise: usize,
    pub was_bad: bool,
    /// Seconds from the fault.
    pub detected: Option<f64>,
    pub mitigated: Option<f64>,
    /// Good in the last ten minutes.
    pub resolved: bool,
    /// None where no cause would be right.
    pub attributed: Option<bool>,
    pub pages: usize,
}

/// Of an episode, which has one incident.
pub fn figures(course: &IncidentHistory, record: &Record, noop: &Record) -> Figures {
    let incident = &course.incidents[0];
    let (bad, price) = sums(record, 0.0, course.seconds);
    let since = incident.at;
    let was_bad = record.samples.iter().any(|sample| sample.at >= since && sample.bad);
    let first_bad =
        record.samples.iter().find(|sample| sample.at >= since && sample.bad).map(|s| s.at);
    let mut figures = Figures {
        bad,
        price,
        actions: record.changes.len(),
        was_bad,
        detected: record.detected,
        mitigated: first_bad.and_then(|at| recovers(&record.samples, at)).map(|at| at - since),
        resolved: within(record, course.seconds - RECOVERED, course.seconds).all(|s| !s.bad),
        attributed: incident.cause().map(|cause| record.cause.as_deref() == Some(cause)),
        pages: record.pages,
        ..Figures::default()
    };
    for change in &record.changes {
        let until = change.at + FOLLOWED;
        let (own, none) = (after(record, change.at, until), after(noop, change.at, until));
        let soonest = |record: &Record| recovers(&record.samples, change.at);
        if own.0 >= none.0 + WORSE_LOOKS || own.1 > none.1 + WORSE_FAILING {
            figures.harmful += 1;
        } else if let Some(without) = soonest(noop) {
            let with = soonest(record).unwrap_or(f64::INFINITY);
            figures.noise += usize::from(without <= with + 2.0 * STEP);
        } else {
            figures.noise += usize::from(soonest(record).is_none());
        }
    }
    figures
}

fn within(record: &Record, from: f64, until: f64) -> impl Iterator<Item = &Sample> {
    record.samples.iter().filter(move |sample| sample.at >= from && sample.at < until)
}

/// Bad looks, and the mean share that fails.
fn after(record: &Record, from: f64, until: f64) -> (usize, f64) {
    let samples: Vec<&Sample> = within(record, from, until).collect();
    let bad = samples.iter().filter(|sample| sample.bad).count();
    let failing: f64 = samples.iter().map(|sample| sample.failing).sum();
    (bad, failing / samples.len().max(1) as f64)
}

/// Bad-minutes, and the price of what was done.
pub fn sums(record: &Record, from: f64, until: f64) -> (f64, f64) {
    let bad = within(record, from, until).filter(|sample| sample.bad).count();
    let side: f64 = within(record, from, until).map(|sample| sample.side).sum();
    let changes = record.changes.iter().filter(|change| change.at >= from && change.at < until);
    let price: f64 = changes.map(|change| change.price).sum();
    // The sum of nothing is −0.
    (bad as f64 * STEP / 60.0, 0.0 + side + price)
}

/// From when on it was good for ten minutes.
pub fn recovers(samples: &[Sample], from: f64) -> Option<f64> {
    let mut good_since = None;
    for sample in samples.iter().filter(|sample| sample.at >= from) {
        if sample.bad {
            good_since = None;
            continue;
        }
        let since = *good_since.get_or_insert(sample.at);
        if sample.at - since >= RECOVERED {
            return Some(since);
        }
    }
    None
}

/// What is compared in one unit: no-op, the controller and the oracle in the same incident.
#[derive(Clone, Copy, Debug)]
pub struct Trio {
    pub noop: f64,
    pub own: f64,
    pub oracle: f64,
}

/// Under so many bad-minutes an incident the oracle has nothing to gain, and a share of it says nothing.
const NOTHING_TO_GAIN: f64 = 2.0;

/// (B_noop − B − A) / (B_noop − B_oracle − A_oracle), over the sums of all incidents of a class.
pub fn u_net(trios: &[Trio]) -> Option<f64> {
    let sum = |of: fn(&Trio) -> f64| trios.iter().map(of).sum::<f64>();
    let to_gain = sum(|trio| trio.noop - trio.oracle);
    let gained = sum(|trio| trio.noop - trio.own);
    (to_gain > NOTHING_TO_GAIN * trios.len() as f64).then(|| gained / to_gain)
}

/// From the 5th to the 95th percentile over 1,000 draws of as many incidents.
pub fn interval(trios: &[Trio]) -> Option<(f64, f64)> {
    u_net(trios)?;
    let mut rng = StdRng::seed_from_u64(1);
    let mut drawn: Vec<f64> = (0..1_000)
        .filter_map(|_| {
            let again: Vec<Trio> =
                trios.iter().map(|_| trios[rng.random_range(0..trios.len())]).collect();
            u_net(&again)
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    Some((drawn[drawn.len() / 20], drawn[drawn.len() - 1 - drawn.len() / 20]))
}

pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
