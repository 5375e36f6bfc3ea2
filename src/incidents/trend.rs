//! Where incidents are heading, by assessments: the last cycle of each `escalation.interval`, the last five of them, and
//! 24 hours for what came back.
//!
//! Pure, and the whole history is a value that is stored. Bound: five points for each incident of the last 24 hours.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::incident::worse;
use crate::domain::finding::IncidentClass;
use crate::domain::incident::{Anchor, Incident, Numbers};
use crate::domain::time::{Time, since};
pub use crate::domain::trend::{Heading, TrendAnalysis, TrendOf};

const ASSESSMENTS: usize = 5;
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Fewer points say nothing of a rate.
const POINTS_OF_A_RATE: usize = 3;

/// The history of assessments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// The last intervals in which there was an assessment, as numbers since 1970.
    slots: Vec<i64>,
    histories: Vec<History>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct History {
    #[serde(default)]
    anchor: Anchor,
    incident: String,
    service: String,
    class: IncidentClass,
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    slot: i64,
    at: Time,
    numbers: Numbers,
}

impl Trend {
    /// Takes this cycle for the assessment of its interval, instead of an earlier cycle of the same that had other numbers.
    pub(super) fn note<'a>(
        &mut self,
        open: impl Iterator<Item = &'a Incident>,
        interval: Duration,
        now: Time,
    ) {
        let slot = slot(now, interval);
        // An earlier version kept them by service and class.
        self.histories.retain(|history| !history.anchor.is_unknown());
        // What lies ahead was written by a clock that has been set back since.
        self.slots.retain(|known| *known <= slot);
        if self.slots.last() != Some(&slot) {
            self.slots.push(slot);
        }
        let excess = self.slots.len().saturating_sub(ASSESSMENTS);
        self.slots.drain(..excess);
        let open: Vec<(Anchor, &Incident)> =
            open.map(|incident| (incident.anchor.clone(), incident)).collect();
        let is_open: BTreeSet<&Anchor> = open.iter().map(|(key, _)| key).collect();
        for history in &mut self.histories {
            let is_open = is_open.contains(&history.anchor);
            history.points.retain(|point| {
                (is_open || point.slot != slot) && point.slot <= slot && since(now, point.at) < KEPT
            });
        }
        let mut by_key: BTreeMap<Anchor, usize> =
            self.histories.iter().enumerate().map(|(i, h)| (h.anchor.clone(), i)).collect();
        for (key, incident) in open {
            let index = *by_key.entry(key).or_insert_with(|| {
                self.histories.push(History {
                    incident: String::new(),
                    anchor: incident.anchor.clone(),
                    service: incident.service.clone(),
                    class: incident.class,
                    points: Vec::new(),
                });
                self.histories.len() - 1
            });
            let history = &mut self.histories[index];
            history.incident.clone_from(&incident.id);
            let (point, hours) =
                (Point { slot, at: now, numbers: incident.numbers }, window_hours(interval));
            match history.points.last_mut().filter(|last| last.slot == slot) {
                Some(last) if is_other(&point.numbers, &last.numbers, hours) => *last = point,
                Some(_) => {}
                None => history.points.push(point),
            }
            let excess = history.points.len().saturating_sub(ASSESSMENTS);
            history.points.drain(..excess);
        }
        self.histories.retain(|history| !history.points.is_empty());
    }

    /// When each had how many restarts, at the last assessments before this one.
    pub(super) fn restarts(
        &self,
        interval: Duration,
        now: Time,
    ) -> BTreeMap<Anchor, Vec<(Time, u32)>> {
        let this = slot(now, interval);
        let first = self.slots.first().copied().unwrap_or(this);
        let restarts = |history: &History| {
            let points = history.points.iter();
            let lately = points.filter(|point| point.slot >= first && point.slot != this);
            lately.map(|point| (point.at, point.numbers.restarts)).collect()
        };
        self.histories.iter().map(|history| (history.anchor.clone(), restarts(history))).collect()
    }

    /// What is open now, and what was lately.
    pub(super) fn analysis(&self, interval: Duration, now: Time) -> TrendAnalysis {
        let this = slot(now, interval);
        let incidents = self.histories.iter().filter_map(|history| {
            let (heading, detail) = self.heading(history, this, interval)?;
            Some(TrendOf {
                incident: history.incident.clone(),
                service: history.service.clone(),
                class: history.class,
                heading,
                detail,
            })
        });
        TrendAnalysis { assessments: self.slots.len(), incidents: incidents.collect() }
    }

    fn heading(
        &self,
        history: &History,
        this: i64,
        interval: Duration,
    ) -> Option<(Heading, Option<String>)> {
        let last = history.points.last()?;
        let is_lately = self.slots.contains(&last.slot);
        if last.slot != this {
            return is_lately.then_some((Heading::Resolved, None));
        }
        let Some(before) = history.points.iter().rev().nth(1) else {
            return Some((Heading::New, None));
        };
        if self.slots.contains(&before.slot)
            && let Some(what) = worse(&last.numbers, &before.numbers, window_hours(interval))
        {
            return Some((Heading::Worsening, Some(what)));
        }
        Some((Heading::Recurring, None))
    }
}

/// A rate falls from cycle to cycle while nothing happens: that alone is no other assessment.
fn is_other(now: &Numbers, before: &Numbers, window_hours: f64) -> bool {
    let same_rate = Numbers { restart_rate: now.restart_rate, ..*before };
    same_rate != *now || worse(now, before, window_hours).is_some()
}

/// Restarts an hour since the first of `past`.
pub(super) fn restart_rate(past: &[(Time, u32)], restarts: u32, now: Time) -> Option<f64> {
    let (first, _) = *past.first()?;
    if past.len() + 1 < POINTS_OF_A_RATE {
        return None;
    }
    // A pod that was replaced counts from nothing again: what is gained is the sum of the rises.
    let counts = || past.iter().map(|(_, count)| *count).chain([restarts]);
    let gained: u32 = counts().zip(counts().skip(1)).map(|(a, b)| b.saturating_sub(a)).sum();
    let hours = since(now, first).as_secs_f64() / 3600.0;
    (hours > 0.0).then(|| f64::from(gained) / hours)
}

/// The time over which a rate is taken.
pub(super) fn window_hours(interval: Duration) -> f64 {
    interval.as_secs_f64() * (ASSESSMENTS - 1) as f64 / 3600.0
}

/// The number of the interval, since 1970.
pub(super) fn slot(now: Time, interval: Duration) -> i64 {
    let seconds = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX).max(1);
    now.timestamp().div_euclid(seconds)
}
