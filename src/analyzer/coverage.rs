//! What a rule's reading is worth: which of its series are expected, which are there, and whether that is enough.

use std::collections::HashMap;

use super::settings::Settings;
use crate::domain::reading::{Point, RuleReading, RuleStatus};
use crate::domain::rule::Measure;
use crate::domain::time::{Time, since};
use crate::domain::violation::fingerprint;

/// A series is expected when any of so many last good cycles saw it.
const EXPECTED_FOR: u64 = 10;

/// What is remembered of one rule's series.
#[derive(Debug, Default)]
pub(super) struct RuleMemory {
    series: HashMap<String, Series>,
    good_cycles: u64,
    ever_seen: bool,
    missing_since: Option<Time>,
}

#[derive(Debug)]
struct Series {
    /// The good cycle (by number) that last saw it.
    good_cycle: u64,
    seen_at: Time,
    clear_at: Option<Time>,
}

impl RuleMemory {
    /// Weighs one reading; returns its status and the fresh points under their fingerprints.
    pub(super) fn observe<'a>(
        &mut self,
        reading: &'a RuleReading,
        now: Time,
        started_at: Time,
        settings: &Settings,
    ) -> (RuleStatus, Vec<(String, &'a Point)>) {
        let rule = &reading.rule;
        let stale_after = settings.poll_interval * 2;
        let answered = reading.points.as_deref().unwrap_or_default();
        let fresh: Vec<(String, &Point)> = answered
            .iter()
            .filter(|point| since(now, point.sampled_at) <= stale_after)
            .map(|point| (fingerprint(&rule.name, &point.labels), point))
            .collect();
        let stale = answered.len() - fresh.len();
        // Forgotten: nobody expects a series that has been gone for so long.
        self.series.retain(|_, s| since(now, s.seen_at) < settings.forget_after);
        let condition = matches!(rule.measure, Measure::Condition { .. });
        let oldest = self.good_cycles.saturating_sub(EXPECTED_FOR);
        let is_expected = |s: &Series| s.good_cycle > oldest;
        let expected =
            if condition { 0 } else { self.series.values().filter(|s| is_expected(s)).count() };
        let there =
            fresh.iter().filter(|(fp, _)| self.series.get(fp).is_some_and(is_expected)).count();
        let covered = expected == 0 || there as f64 >= settings.min_coverage * expected as f64;
        let answers = !fresh.is_empty() || (condition && reading.empty_is_clear);
        let good = reading.points.is_ok() && answers && covered;
        if good {
            self.good_cycles += 1;
        }
        for (fp, _) in &fresh {
            let series = self.series.entry(fp.clone()).or_insert(Series {
                good_cycle: 0,
                seen_at: now,
                clear_at: None,
            });
            series.seen_at = now;
            if good {
                series.good_cycle = self.good_cycles;
            }
        }
        if answers {
            self.ever_seen = true;
            self.missing_since = None;
        } else if self.missing_since.is_none() {
            self.missing_since = Some(if self.ever_seen { now } else { started_at });
        }
        // A bare condition without `present` cannot be told from missing data: it is never reported as missing.
        let bare = matches!(&rule.measure, Measure::Condition { present: None, .. });
        let limit = if self.ever_seen { settings.missing_after } else { settings.never_seen_after };
        let missing_too_long =
            !bare && self.missing_since.is_some_and(|at| since(now, at) >= limit);
        let problem = match &reading.points {
            Err(failure) => Some(failure.text.clone()),
            Ok(_) if good || bare => None,
            Ok(_) if !answers && self.ever_seen => Some(format!(
                "no series of rule {} is there any more; missing is not healthy",
                rule.name
            )),
            Ok(_) if !answers && rule.increase_over().is_some() => Some(format!(
                "rule {} has no increase yet, which takes two samples: if it stays so, is `{}` the right name, and is it scraped?",
                rule.name,
                rule.metric_name()
            )),
            Ok(_) if !answers => Some(format!(
                "rule {} has no series yet: if it stays so, is `{}` the right name, and is it scraped?",
                rule.name,
                rule.metric_name()
            )),
            Ok(_) => Some(format!(
                "only {there} of {expected} expected series of rule {} are there and fresh ({stale} stale)",
                rule.name
            )),
        };
        let status = RuleStatus {
            rule: rule.name.clone(),
            good,
            expected,
            seen: fresh.len(),
            oldest_sample: fresh.iter().map(|(_, point)| point.sampled_at).min(),
            missing_since: self.missing_since,
            missing_too_long,
            problem,
        };
        (status, fresh)
    }

    /// When this series was last seen clear in good data.
    pub(super) fn last_clear(&self, fp: &str) -> Option<Time> {
        self.series.get(fp).and_then(|s| s.clear_at)
    }

    /// This series reads clear in good data.
    pub(super) fn clear(&mut self, fp: &str, now: Time) {
        // A condition's series that no longer answers is unknown to the map until now.
        self.series
            .entry(fp.to_owned())
            .or_insert(Series { good_cycle: self.good_cycles, seen_at: now, clear_at: None })
            .clear_at = Some(now);
    }

    /// Was this series there, fresh, in the reading of this moment?
    pub(super) fn saw(&self, fp: &str, now: Time) -> bool {
        self.series.get(fp).is_some_and(|s| s.seen_at == now)
    }
}
