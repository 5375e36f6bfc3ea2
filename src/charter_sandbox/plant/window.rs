//! The last 30 s of a service, and the rates and quantiles that are read from it.
//!
//! A quantile is exact, not sampled: an operation's latency is the wait of its step plus an exponential handling time, so
//! the share slower than x is a sum over the steps. Beyond the longest wait that sum is one exponential, which is solved;
//! below it bisection finds the x.

use std::collections::VecDeque;

use super::STEP_SECONDS;

/// Rates and quantiles look back 30 s, in steps of 0.25 s: one scrape interval, so that a cured fault is gone from them one
/// cycle later.
const STEPS: usize = 120;

/// Halvings of the bisection: 40 s / 2^24 is under 3 µs.
const HALVINGS: u32 = 24;

/// exp(-14) is below one in a million: no quantile we export lies beyond that many means.
const TAIL_MEANS: f64 = 14.0;

#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Worked on by an instance.
    pub served: f64,
    /// Served, or turned away with an error.
    pub answered: f64,
    pub failed: f64,
    pub wait: f64,
}

#[derive(Debug, Default)]
pub(in crate::charter_sandbox) struct Window(VecDeque<Sample>);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::charter_sandbox) struct LatencyQuantiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

impl Window {
    pub(super) fn push(&mut self, sample: Sample) {
        if self.0.len() == STEPS {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// Operations served a second.
    pub fn throughput(&self) -> f64 {
        self.sum(|sample| sample.served) / (self.0.len().max(1) as f64 * STEP_SECONDS)
    }

    /// Share of the answers that were errors.
    pub fn failure_rate(&self) -> f64 {
        let answered = self.sum(|sample| sample.answered);
        if answered > 0.0 { self.sum(|sample| sample.failed) / answered } else { 0.0 }
    }

    /// Latencies when handling takes `mean` seconds on average and is given up at `cutoff`.
    pub fn latency(&self, mean: f64, cutoff: f64) -> LatencyQuantiles {
        let steps = self.0.iter().map(|sample| (sample.served, sample.wait));
        quantiles(&steps, mean, cutoff)
    }

    fn sum(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        self.0.iter().map(of).sum()
    }
}

/// How long the committee took to order operations: (count, mean) per step.
#[derive(Debug, Default)]
pub(in crate::charter_sandbox) struct DecisionWindow(VecDeque<(f64, f64)>);

impl DecisionWindow {
    pub(super) fn push(&mut self, count: f64, delay: f64) {
        if self.0.len() == STEPS {
            self.0.pop_front();
        }
        self.0.push_back((count, delay));
    }

    pub fn latency(&self, mean: f64) -> LatencyQuantiles {
        quantiles(&self.0.iter().copied(), mean, f64::INFINITY)
    }
}

fn quantiles(
    steps: &(impl Iterator<Item = (f64, f64)> + Clone),
    mean: f64,
    cutoff: f64,
) -> LatencyQuantiles {
    let total: f64 = steps.clone().map(|(count, _)| count).sum();
    let waits = steps.clone().map(|(_, wait)| wait);
    let fastest = waits.clone().fold(f64::INFINITY, f64::min);
    let slowest = waits.fold(0.0, f64::max);
    // What is slower than the longest wait. From there to the first cutoff all steps fall alike, by exp(-x / mean).
    let beyond: f64 =
        steps.clone().map(|(count, wait)| count * ((wait - slowest) / mean).exp()).sum();
    let at = |share: f64| {
        if total <= 0.0 {
            return 0.0;
        }
        let x = slowest + mean * (beyond / (total * (1.0 - share))).ln();
        if x >= slowest && x < fastest + cutoff {
            x
        } else {
            bisected(steps, mean, cutoff, total * (1.0 - share), slowest)
        }
    };
    LatencyQuantiles { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}

/// Where no more than `wanted` operations are slower.
fn bisected(
    steps: &(impl Iterator<Item = (f64, f64)> + Clone),
    mean: f64,
    cutoff: f64,
    wanted: f64,
    slowest: f64,
) -> f64 {
    let slower_than = |x: f64| -> f64 {
        steps
            .clone()
            .map(|(count, wait)| {
                let handling = x - wait;
                let slower = if handling < 0.0 {
                    1.0
                } else if handling >= cutoff {
                    0.0
                } else {
                    (-handling / mean).exp()
                };
                count * slower
            })
            .sum()
    };
    let mut low = 0.0;
    let mut high = slowest + mean * TAIL_MEANS;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if slower_than(middle) > wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}
