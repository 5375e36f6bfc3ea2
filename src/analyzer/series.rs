//! The causal detector's series: the charter-wide worst latency and each component's failure rate, a point a
//! scheduled cycle.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::settings::Causal;
use crate::domain::CHARTER;
use crate::domain::reading::{RuleReading, RuleStatus, SeriesHistory};
use crate::domain::time::{Time, since};

/// One series per component, and the latency they are compared with.
#[derive(Debug)]
pub(super) struct CausalSeries {
    settings: Causal,
    pub latency: VecDeque<(Time, f64)>,
    pub failures: BTreeMap<String, VecDeque<(Time, f64)>>,
    last_push: Option<Time>,
    asked: bool,
}

/// Components compared at most; a bound under a label explosion.
const MAX_COMPONENTS: usize = 1_000;

impl CausalSeries {
    pub(super) fn new(settings: Causal) -> Self {
        Self {
            settings,
            latency: VecDeque::new(),
            failures: BTreeMap::new(),
            last_push: None,
            asked: false,
        }
    }

    /// From when on the past is wanted: at the start, and after a gap of more than three intervals.
    pub(super) fn wants_history(
        &self,
        now: Time,
        interval: Duration,
        step: Duration,
    ) -> Option<Time> {
        if !self.settings.enabled {
            return None;
        }
        let gap = match self.last_push {
            None => !self.asked,
            Some(at) => since(now, at) > interval * 3,
        };
        let span = step * u32::try_from(self.settings.window).unwrap_or(u32::MAX);
        gap.then(|| now - span)
    }

    /// Takes the answer of one range query in: it replaces what was there.
    pub(super) fn extend(&mut self, history: &[SeriesHistory]) {
        if history.is_empty() {
            return;
        }
        self.asked = true;
        self.latency.clear();
        self.failures.clear();
        let mut worst: BTreeMap<Time, f64> = BTreeMap::new();
        for series in history {
            if series.rule == self.settings.latency {
                for (at, value) in &series.points {
                    let entry = worst.entry(*at).or_insert(*value);
                    *entry = entry.max(*value);
                }
            } else if series.rule == self.settings.failure && self.failures.len() < MAX_COMPONENTS {
                let component = series.labels.get("component").map_or(CHARTER, String::as_str);
                self.failures.insert(component.to_owned(), series.points.iter().copied().collect());
            }
        }
        self.latency = worst.into_iter().collect();
        self.bound();
    }

    /// Adds this cycle's point of every series that was read well.
    pub(super) fn push(&mut self, readings: &[RuleReading], rules: &[RuleStatus], now: Time) {
        for (reading, status) in readings.iter().zip(rules) {
            let Ok(points) = &reading.points else { continue };
            if !status.good {
                continue;
            }
            if reading.rule.name == self.settings.latency {
                let worst = points.iter().map(|p| p.value).reduce(f64::max);
                self.latency.extend(worst.map(|value| (now, value)));
            } else if reading.rule.name == self.settings.failure {
                for point in points {
                    let component = reading
                        .rule
                        .component
                        .of(&point.labels)
                        .unwrap_or_else(|| CHARTER.to_owned());
                    if self.failures.len() < MAX_COMPONENTS
                        || self.failures.contains_key(&component)
                    {
                        self.failures.entry(component).or_default().push_back((now, point.value));
                    }
                }
            }
        }
        self.last_push = Some(now);
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
        let newest = self.latency.front().map(|(at, _)| *at);
        // A component that has no point as young as our oldest latency is gone.
        self.failures.retain(|_, s| s.back().map(|(at, _)| *at) >= newest);
    }
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
