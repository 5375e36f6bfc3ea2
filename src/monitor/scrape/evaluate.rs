//! A metric rule evaluated on the ring as Prometheus would evaluate its generated PromQL. Pure.

use std::collections::BTreeMap;

use super::ring::Ring;
use crate::domain::Labels;
use crate::domain::reading::Point;
use crate::domain::rule::{Aggregate, IDENTITY_LABELS, MetricRule};
use crate::domain::time::Time;
use crate::monitor::window::Windows;

#[derive(Default)]
struct Group {
    values: Vec<f64>,
    /// The oldest present sample; a group without a present member is absent.
    oldest: Option<Time>,
}

/// Every series of the rule as of `at`.
#[must_use]
pub fn points(
    ring: &Ring,
    metric: &MetricRule,
    scope: &Labels,
    windows: Option<&Windows>,
    at: Time,
) -> Vec<Point> {
    let mut groups: BTreeMap<Labels, Group> = BTreeMap::new();
    for (labels, series) in ring.of_metric(&metric.metric) {
        if !selected(metric, scope, labels) {
            continue;
        }
        let present = ring.sample(series, at);
        let value = match windows {
            None => present.map(|(_, value)| value),
            Some(windows) => series.increase(at, windows.of(|label| labels.get(label).cloned())),
        };
        let group = groups.entry(kept(metric, labels)).or_default();
        group.values.extend(value);
        if let Some((t, _)) = present {
            group.oldest = Some(group.oldest.map_or(t, |oldest| oldest.min(t)));
        }
    }
    groups
        .into_iter()
        .filter_map(|(labels, group)| {
            let value = combined(metric.aggregate, &group.values)?;
            // NaN and infinities are absent, as from Prometheus.
            value.is_finite().then_some(Point { labels, value, sampled_at: group.oldest? })
        })
        .collect()
}

/// The rule's labels have to be there; a scope label is one that Prometheus adds to the target, so here a series
/// without it is this target's own, and only another value is foreign.
fn selected(metric: &MetricRule, scope: &Labels, labels: &Labels) -> bool {
    let value = |key: &String| labels.get(key).map_or("", String::as_str);
    metric.labels.iter().all(|(key, wanted)| value(key) == wanted)
        && scope.iter().all(|(key, wanted)| labels.get(key).is_none_or(|value| value == wanted))
}

fn kept(metric: &MetricRule, labels: &Labels) -> Labels {
    let keep = |key: &str| {
        metric.aggregate.is_none()
            || metric.by.iter().any(|by| by == key)
            || IDENTITY_LABELS.contains(&key)
    };
    labels
        .iter()
        // An empty label is no label.
        .filter(|(key, value)| keep(key) && !value.is_empty())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Max and min pass over NaN unless there is nothing else; sum and avg become NaN.
fn combined(aggregate: Option<Aggregate>, values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let all = values.iter().copied();
    match aggregate {
        None => values.last().copied(),
        Some(Aggregate::Max) => all.reduce(f64::max),
        Some(Aggregate::Min) => all.reduce(f64::min),
        Some(Aggregate::Sum) => Some(all.sum()),
        Some(Aggregate::Avg) => Some(all.sum::<f64>() / values.len() as f64),
    }
}
