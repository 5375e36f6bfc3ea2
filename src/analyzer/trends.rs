//! The last readings of every series that has a threshold, broken or not: what verification measures recoveries on.
//!
//! One reading a scheduled good cycle, and at a start what a source knows of the time before. Leaves out bare conditions, whose value says nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::reading::{Point, RuleReading, SeriesHistory};
use crate::domain::rule::{Measure, Rule};
use crate::domain::time::{Time, since};
use crate::domain::violation::fingerprint;

/// Readings kept of a series: an hour at the default interval, enough for 50 placebo times beside a settling of 3 min.
const READINGS: usize = 120;
/// Series remembered: with 24 bytes a reading they stay below 6 MB. Beyond it new ones are not, and say so.
const SERIES: usize = 2_000;

#[derive(Debug, Default)]
pub(super) struct Trends {
    series: HashMap<String, Trend>,
}

/// One series.
#[derive(Debug)]
pub struct Trend {
    pub rule: Arc<Rule>,
    pub component: Option<String>,
    /// The last good reading, of a woken cycle too.
    pub latest: (Time, f64),
    /// Oldest first.
    pub readings: VecDeque<(Time, f64)>,
}

impl Trends {
    /// Takes up the past of a series of which nothing is known yet, where a source has it: after a start, or a change
    /// of leader, its normal level is known at once.
    pub(super) fn recall(&mut self, history: &[SeriesHistory], rules: &[RuleReading], now: Time) {
        for past in history {
            let rule = rules.iter().map(|r| &r.rule).find(|rule| rule.name == past.rule);
            let fp = fingerprint(&past.rule, &past.labels);
            let Some(rule) = rule.filter(|_| !self.series.contains_key(&fp)) else { continue };
            for (at, value) in past.points.iter().filter(|(at, _)| *at < now) {
                let point = Point { labels: past.labels.clone(), value: *value, sampled_at: *at };
                self.read(rule, &fp, &point, *at, true);
            }
        }
    }

    /// Takes one point of a rule that was read well in.
    pub(super) fn read(
        &mut self,
        rule: &Arc<Rule>,
        fp: &str,
        point: &Point,
        now: Time,
        scheduled: bool,
    ) {
        if matches!(rule.measure, Measure::Condition { .. }) {
            return;
        }
        if !self.series.contains_key(fp) {
            if self.series.len() >= SERIES {
                return;
            }
            let trend = Trend {
                rule: Arc::clone(rule),
                component: rule.component.of(&point.labels),
                latest: (now, point.value),
                readings: VecDeque::new(),
            };
            self.series.insert(fp.to_owned(), trend);
        }
        let Some(trend) = self.series.get_mut(fp) else { return };
        trend.latest = (now, point.value);
        if scheduled {
            if trend.readings.len() == READINGS {
                trend.readings.pop_front();
            }
            trend.readings.push_back((now, point.value));
        }
    }

    /// Drops what has not been read for as long as a whole ring takes: none of it would be near any intent.
    pub(super) fn forget(&mut self, now: Time, interval: Duration) {
        let span = interval * u32::try_from(READINGS).expect("a small number");
        self.series.retain(|_, trend| since(now, trend.latest.0) <= span);
    }

    pub(super) fn get(&self, fp: &str) -> Option<&Trend> {
        self.series.get(fp)
    }

    /// Of one rule, in the order of their fingerprints.
    pub(super) fn of_rule(&self, rule: &str) -> Vec<(&String, &Trend)> {
        let mut own: Vec<_> = self.series.iter().filter(|(_, t)| t.rule.name == rule).collect();
        own.sort_by_key(|(fp, _)| *fp);
        own
    }
}
