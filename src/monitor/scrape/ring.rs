//! What the scrape source remembers: the last samples of each wanted series, bounded in time, number and series.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::exposition::Sample;
use crate::domain::Labels;
use crate::domain::time::{Time, since};

/// More series than this is no target for a direct scrape.
pub const MAX_SERIES: usize = 100_000;

/// How much of the past is kept beyond what increase looks at: the causal detector's window of 20 and some.
const HISTORY_POLLS: u32 = 30;

#[derive(Debug)]
pub struct Ring {
    series: BTreeMap<String, BTreeMap<Labels, Series>>,
    last_scrape: Option<Time>,
    poll: Duration,
    retention: Duration,
    max_samples: usize,
}

#[derive(Debug, Default)]
pub struct Series {
    samples: VecDeque<(Time, f64)>,
    seen_at: Option<Time>,
}

impl Ring {
    #[must_use]
    pub fn new(longest_window: Duration, poll: Duration) -> Self {
        let retention = longest_window.max(poll * HISTORY_POLLS) + poll * 2;
        // Kept samples lie half a poll interval apart (see `push`), resets apart: those get the eight.
        let spaced = retention.as_millis() / (poll.as_millis() / 2).max(1);
        let max_samples = usize::try_from(spaced).unwrap_or(usize::MAX).saturating_add(8);
        Self { series: BTreeMap::new(), last_scrape: None, poll, retention, max_samples }
    }

    /// Takes in one scrape; false, and nothing taken, if it or what is remembered has too many series.
    #[must_use]
    pub fn record(&mut self, at: Time, samples: Vec<Sample>) -> bool {
        if samples.len() > MAX_SERIES {
            return false;
        }
        self.forget(at);
        let remembered: usize = self.series.values().map(BTreeMap::len).sum();
        if remembered + samples.len() > 2 * MAX_SERIES {
            // Labels that change with every scrape: the past is of no use then.
            self.series.clear();
        }
        self.last_scrape = Some(at);
        for sample in samples {
            let series =
                self.series.entry(sample.name).or_default().entry(sample.labels).or_default();
            if series.seen_at == Some(at) {
                continue; // Twice in one exposition: as in Prometheus the first counts.
            }
            series.seen_at = Some(at);
            // An exposed timestamp is the sample's age and has to be believed: it may be a stale gateway's.
            let exposed = sample.timestamp_millis.and_then(Time::from_timestamp_millis);
            series.push(exposed.map_or(at, |t| t.min(at)), sample.value, self.poll / 2);
            while series.samples.len() > self.max_samples {
                series.samples.pop_front();
            }
        }
        true
    }

    fn forget(&mut self, now: Time) {
        for of_metric in self.series.values_mut() {
            for series in of_metric.values_mut() {
                while series.samples.len() > 1
                    && series.samples.front().is_some_and(|(t, _)| since(now, *t) > self.retention)
                {
                    series.samples.pop_front();
                }
            }
            of_metric.retain(|_, s| s.seen_at.is_some_and(|t| since(now, t) <= self.retention));
        }
        self.series.retain(|_, of_metric| !of_metric.is_empty());
    }

    pub fn of_metric(&self, name: &str) -> impl Iterator<Item = (&Labels, &Series)> {
        self.series.get(name).into_iter().flatten()
    }

    /// The series' sample as of `at`: now only if the last scrape held it, earlier if it was fresh then.
    #[must_use]
    pub fn sample(&self, series: &Series, at: Time) -> Option<(Time, f64)> {
        if self.last_scrape == Some(at) {
            return series.samples.back().copied().filter(|_| series.seen_at == Some(at));
        }
        let (t, value) = series.samples.iter().rev().find(|(t, _)| *t <= at)?;
        (since(at, *t) <= self.poll * 2).then_some((*t, *value))
    }
}

impl Series {
    /// Cycles may be woken seconds apart; of samples closer than `spacing` the newest stands for them, so that a
    /// window holds a bounded number. A counter's reset is never thinned out: its lost part would be lost for good.
    fn push(&mut self, at: Time, value: f64, spacing: Duration) {
        if let Some((last_at, last)) = self.samples.back().copied() {
            if at <= last_at {
                return; // The same exposed timestamp again: no new sample.
            }
            let before = self.samples.len().checked_sub(2).and_then(|i| self.samples.get(i));
            if before
                .is_some_and(|(t, v)| since(last_at, *t) < spacing && *v <= last && last <= value)
            {
                self.samples.pop_back();
            }
        }
        self.samples.push_back((at, value));
    }

    /// Prometheus' `increase()` over `(at - window, at]`: resets counted, extrapolated to the window's ends as
    /// `extrapolatedRate` of Prometheus 3 does (promql/functions.go). `None` with fewer than two samples.
    #[must_use]
    pub fn increase(&self, at: Time, window: Duration) -> Option<f64> {
        // Signed on purpose: negative means outside the window's end.
        let age = |t: Time| (at - t).num_microseconds().map_or(f64::MAX, |us| us as f64 / 1e6);
        let window = window.as_secs_f64();
        let inside: Vec<(f64, f64)> = self
            .samples
            .iter()
            .map(|(t, value)| (age(*t), *value))
            .filter(|(age, _)| *age >= 0.0 && *age < window)
            .collect();
        let (&(first_age, first), &(last_age, last)) = (inside.first()?, inside.last()?);
        if inside.len() < 2 {
            return None;
        }
        let resets: f64 =
            inside.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum();
        let raw = last - first + resets;
        let sampled = first_age - last_age;
        let average = sampled / (inside.len() - 1) as f64;
        let near = average * 1.1;
        let mut to_start = window - first_age;
        if to_start >= near {
            to_start = average / 2.0;
        }
        // A counter cannot have been below zero: never extrapolated past the moment at which it was.
        if raw > 0.0 && first >= 0.0 {
            to_start = to_start.min(sampled * (first / raw));
        }
        let to_end = if last_age >= near { average / 2.0 } else { last_age };
        Some(raw * (sampled + to_start + to_end) / sampled)
    }
}
