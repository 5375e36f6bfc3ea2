//! The causal detector's series: the charter-wide worst latency and each component's failure rate, a point a
//! scheduled cycle.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::settings::Causal;
use crate::domain::CHARTER;
use crate::domain::reading::{RuleReading, RuleStatus, SeriesHistory, Snapshot};
use crate::domain::time::{Time, since};

/// One series per component, and the latency they are compared with.
#[derive(Debug)]
pub(super) struct CausalSeries {
    settings: Causal,
    pub latency: VecDeque<(Time, f64)>,
    pub failures: BTreeMap<String, VecDeque<(Time, f64)>>,
    /// When one of the two rules was last read well.
    last_read: Option<Time>,
    /// Neither rule is configured: there is nothing to compare.
    absent: bool,
}

/// Components compared at most; a bound under a label explosion.
const MAX_COMPONENTS: usize = 1_000;

impl CausalSeries {
    pub(super) fn new(settings: Causal) -> Self {
        Self {
            settings,
            latency: VecDeque::new(),
            failures: BTreeMap::new(),
            last_read: None,
            absent: false,
        }
    }

    /// From when on the past is wanted: at the start, and after a gap of more than three intervals.
    pub(super) fn wants_history(
        &self,
        now: Time,
        interval: Duration,
        step: Duration,
    ) -> Option<Time> {
        if !self.settings.enabled || self.absent {
            return None;
        }
        let gap = self.last_read.is_none_or(|at| since(now, at) > interval * 3);
        let span = step.saturating_mul(u32::try_from(self.settings.window).unwrap_or(u32::MAX));
        gap.then(|| chrono::TimeDelta::from_std(span).map_or(now, |span| now - span))
    }

    /// Takes the history in, where there is one, and this cycle's points.
    pub(super) fn observe(
        &mut self,
        snapshot: &Snapshot,
        rules: &[RuleStatus],
        scheduled: bool,
        stale_after: Duration,
    ) {
        let readings = &snapshot.readings;
        self.absent = !readings.iter().any(|r| self.is_latency(&r.rule.name))
            && !readings.iter().any(|r| self.is_failure(&r.rule.name));
        self.extend(&snapshot.history, readings);
        if scheduled {
            self.push(readings, rules, snapshot.at, stale_after);
        }
    }

    fn is_latency(&self, rule: &str) -> bool {
        rule == self.settings.latency
    }

    fn is_failure(&self, rule: &str) -> bool {
        rule == self.settings.failure
    }

    /// Takes the answer of one range query in: it replaces what was there.
    fn extend(&mut self, history: &[SeriesHistory], readings: &[RuleReading]) {
        if history.is_empty() {
            return;
        }
        self.latency.clear();
        self.failures.clear();
        let mut latency: BTreeMap<Time, f64> = BTreeMap::new();
        let mut failures: BTreeMap<String, BTreeMap<Time, f64>> = BTreeMap::new();
        for series in history {
            if self.is_latency(&series.rule) {
                series.points.iter().for_each(|point| worst(&mut latency, *point));
            } else if self.is_failure(&series.rule) {
                let rule = readings.iter().find(|r| r.rule.name == series.rule).map(|r| &r.rule);
                let component = rule
                    .and_then(|rule| rule.component.of(&series.labels))
                    .unwrap_or_else(|| CHARTER.to_owned());
                if failures.len() < MAX_COMPONENTS || failures.contains_key(&component) {
                    let own = failures.entry(component).or_default();
                    series.points.iter().for_each(|point| worst(own, *point));
                }
            }
        }
        self.latency = latency.into_iter().collect();
        self.failures = failures
            .into_iter()
            .map(|(component, points)| (component, points.into_iter().collect()))
            .collect();
        self.bound();
    }

    /// Adds this cycle's point of every series that was read well.
    fn push(
        &mut self,
        readings: &[RuleReading],
        rules: &[RuleStatus],
        now: Time,
        stale_after: Duration,
    ) {
        for (reading, _) in readings.iter().zip(rules).filter(|(_, status)| status.good) {
            let (latency, failure) =
                (self.is_latency(&reading.rule.name), self.is_failure(&reading.rule.name));
            if !latency && !failure {
                continue;
            }
            self.last_read = Some(now);
            let fresh = reading
                .points
                .iter()
                .flatten()
                .filter(|point| since(now, point.sampled_at) <= stale_after);
            if latency {
                let worst = fresh.map(|p| p.value).reduce(f64::max);
                self.latency.extend(worst.map(|value| (now, value)));
                continue;
            }
            let mut by_component: BTreeMap<String, f64> = BTreeMap::new();
            for point in fresh {
                let component =
                    reading.rule.component.of(&point.labels).unwrap_or_else(|| CHARTER.to_owned());
                let entry = by_component.entry(component).or_insert(point.value);
                *entry = entry.max(point.value);
            }
            for (component, value) in by_component {
                if self.failures.len() < MAX_COMPONENTS || self.failures.contains_key(&component) {
                    self.failures.entry(component).or_default().push_back((now, value));
                }
            }
        }
        self.bound();
    }

    fn bound(&mut self) {
        let window = self.settings.window;
        let bound = |series: &mut VecDeque<(Time, f64)>| {
            while series.len() > window {
                series.pop_front();
            }
        };
        bound(&mut self.latency);
        self.failures.values_mut().for_each(bound);
        let oldest = self.latency.front().map(|(at, _)| *at);
        // A component that has no point as young as our oldest latency is gone.
        self.failures.retain(|_, s| s.back().map(|(at, _)| *at) >= oldest);
    }
}

/// Of several series at one moment the worst counts.
fn worst(points: &mut BTreeMap<Time, f64>, (at, value): (Time, f64)) {
    let entry = points.entry(at).or_insert(value);
    *entry = entry.max(value);
}

/// The highest correlation of first differences over lags 0..=4, the failure following the latency, on at least
/// `min_points` points that both have. `None` where there is too little or nothing moves.
pub(super) fn correlation(
    latency: &VecDeque<(Time, f64)>,
    failure: &VecDeque<(Time, f64)>,
    min_points: usize,
) -> Option<f64> {
    let (latency, failure) = align(latency, failure);
    let differences = |s: &[f64]| s.windows(2).map(|w| w[1] - w[0]).collect::<Vec<f64>>();
    let (dl, df) = (differences(&latency), differences(&failure));
    (0..=4usize)
        .filter(|lag| latency.len() >= min_points + lag)
        .filter_map(|lag| pearson(&dl[..dl.len() - lag], &df[lag..]))
        .reduce(f64::max)
}

/// Points of both series at the same moments, in order; cycles that miss either are left out.
fn align(a: &VecDeque<(Time, f64)>, b: &VecDeque<(Time, f64)>) -> (Vec<f64>, Vec<f64>) {
    let other: BTreeMap<Time, f64> = b.iter().copied().collect();
    a.iter().filter_map(|(at, x)| other.get(at).map(|y| (*x, *y))).unzip()
}

fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    if x.len() < 2 {
        return None;
    }
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let cov: f64 = x.iter().zip(y).map(|(a, b)| (a - mx) * (b - my)).sum();
    let vx: f64 = x.iter().map(|a| (a - mx).powi(2)).sum();
    let vy: f64 = y.iter().map(|b| (b - my).powi(2)).sum();
    let scale = (vx * vy).sqrt();
    (scale > f64::EPSILON).then(|| cov / scale)
}
