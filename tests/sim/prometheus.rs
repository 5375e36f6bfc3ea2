//! Prometheus as far as the loop asks it: scrapes every 15 s, keeps ten minutes, answers the generated queries over
//! its HTTP API. What it cannot answer is a defect of the simulation and panics.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mape_k::domain::Labels;
use mape_k::monitor::scrape::exposition::Sample;
use serde_json::{Value, json};

pub const SCRAPE_SECONDS: f64 = 15.0;

/// An instant query looks back so far for the last sample of a series.
const LOOKBACK: f64 = 300.0;

const KEPT: f64 = 700.0;

#[derive(Default)]
pub struct Prometheus {
    metrics: BTreeMap<String, BTreeMap<Labels, VecDeque<(f64, f64)>>>,
}

impl Prometheus {
    /// A scrape that came back whole; a series that is not in it has ended. NaN is kept as it is.
    pub fn scraped(&mut self, at: f64, samples: Vec<Sample>) {
        let mut seen: BTreeMap<String, BTreeSet<Labels>> = BTreeMap::new();
        for sample in samples {
            let mut labels = sample.labels;
            labels.insert("job".to_owned(), "charter".to_owned());
            seen.entry(sample.name.clone()).or_default().insert(labels.clone());
            let series = self.metrics.entry(sample.name).or_default().entry(labels).or_default();
            while series.front().is_some_and(|(t, _)| *t < at - KEPT) {
                series.pop_front();
            }
            series.push_back((at, sample.value));
        }
        for (name, series) in &mut self.metrics {
            let alive = seen.get(name);
            series.retain(|labels, _| alive.is_some_and(|alive| alive.contains(labels)));
        }
    }

    /// The target did not answer: all of its series end.
    pub fn target_down(&mut self) {
        self.metrics.clear();
    }

    /// The value of each series of an instant query.
    pub fn instant(&self, query: &str, at: f64) -> Vec<(Labels, f64)> {
        let (aggregate, by, inner) = match query.split_once(" by (") {
            Some((aggregate, rest)) => {
                let (by, rest) = rest.split_once(") (").expect("what is aggregated");
                let by: Vec<&str> = by.split(", ").filter(|name| !name.is_empty()).collect();
                (Some(aggregate), by, rest.strip_suffix(')').expect("the end of an aggregate"))
            }
            None => (None, Vec::new(), query),
        };
        let rows = if let Some(rest) = inner.strip_prefix("timestamp(") {
            self.select(rest.trim_end_matches(')'), at, |_, last| Some(last.0))
        } else if let Some(rest) = inner.strip_prefix("increase(") {
            let (selector, window) = rest.trim_end_matches(')').rsplit_once('[').expect("a window");
            let window = seconds(window.trim_end_matches(']'));
            self.select(selector, at, |points, _| increase(points, at - window, at))
        } else {
            self.select(inner, at, |_, last| Some(last.1))
        };
        match aggregate {
            Some(aggregate) => folded(aggregate, &by, rows),
            None => rows,
        }
    }

    fn select(
        &self,
        selector: &str,
        at: f64,
        read: impl Fn(&VecDeque<(f64, f64)>, (f64, f64)) -> Option<f64>,
    ) -> Vec<(Labels, f64)> {
        let (name, matchers) = selector.split_once('{').unwrap_or((selector, ""));
        let matchers: Vec<(&str, bool, &str)> = matchers
            .trim_end_matches('}')
            .split(',')
            .filter(|matcher| !matcher.is_empty())
            .map(|matcher| {
                let (label, value) = matcher.split_once('=').expect("a matcher");
                (label.trim_end_matches('!'), !label.ends_with('!'), value.trim_matches('"'))
            })
            .collect();
        let series = self.metrics.get(name).into_iter().flatten();
        series
            .filter(|(labels, _)| {
                matchers.iter().all(|(label, equal, value)| {
                    (labels.get(*label).map_or("", String::as_str) == *value) == *equal
                })
            })
            .filter_map(|(labels, points)| {
                let last = *points.iter().rev().find(|(t, _)| *t <= at)?;
                if at - last.0 > LOOKBACK {
                    return None;
                }
                Some((labels.clone(), read(points, last)?))
            })
            .collect()
    }

    /// The answer of /api/v1/query or /api/v1/query_range.
    pub fn answer(&self, pairs: &BTreeMap<String, String>, now: f64, epoch: f64) -> Value {
        let query = &pairs["query"];
        let data = |kind: &str, result: Value| json!({"status": "success", "data": {"resultType": kind, "result": result}});
        let Some(step) = pairs.get("step") else {
            if query == "time()" {
                return data("scalar", json!([epoch + now, (epoch + now).to_string()]));
            }
            let stamps = query.contains("timestamp(");
            let rows: Vec<Value> = self
                .instant(query, now)
                .into_iter()
                .map(|(labels, value)| {
                    let value = if stamps { value + epoch } else { value };
                    json!({"metric": labels, "value": [epoch + now, value.to_string()]})
                })
                .collect();
            return data("vector", json!(rows));
        };
        let seconds = |name: &str| pairs[name].parse::<f64>().expect("seconds") - epoch;
        let step: f64 = step.parse().expect("a step");
        let mut rows: BTreeMap<Labels, Vec<Value>> = BTreeMap::new();
        let mut at = seconds("start");
        while at <= seconds("end") {
            for (labels, value) in self.instant(query, at) {
                rows.entry(labels).or_default().push(json!([epoch + at, value.to_string()]));
            }
            at += step;
        }
        let rows: Vec<Value> = rows
            .into_iter()
            .map(|(labels, values)| json!({"metric": labels, "values": values}))
            .collect();
        data("matrix", json!(rows))
    }
}

/// `300s` or `90500ms`.
fn seconds(duration: &str) -> f64 {
    let number = |text: &str| text.parse::<f64>().expect("a number");
    match duration.strip_suffix("ms") {
        Some(millis) => number(millis) / 1000.0,
        None => number(duration.trim_end_matches('s')),
    }
}

/// As Prometheus does it but for the extrapolation at the edges: a fall is a reset.
fn increase(points: &VecDeque<(f64, f64)>, from: f64, to: f64) -> Option<f64> {
    let within: Vec<f64> =
        points.iter().filter(|(t, _)| *t >= from && *t <= to).map(|(_, value)| *value).collect();
    if within.len() < 2 {
        return None;
    }
    Some(
        within
            .windows(2)
            .map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] })
            .sum(),
    )
}

fn folded(aggregate: &str, by: &[&str], rows: Vec<(Labels, f64)>) -> Vec<(Labels, f64)> {
    let mut groups: BTreeMap<Labels, f64> = BTreeMap::new();
    for (labels, value) in rows {
        let kept = labels.into_iter().filter(|(name, _)| by.contains(&name.as_str())).collect();
        groups
            .entry(kept)
            .and_modify(|so_far| {
                *so_far = match aggregate {
                    "max" => so_far.max(value),
                    "min" => so_far.min(value),
                    "sum" => *so_far + value,
                    other => panic!("the simulated Prometheus knows no {other}"),
                };
            })
            .or_insert(value);
    }
    groups.into_iter().collect()
}
