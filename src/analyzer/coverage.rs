//! What a rule's reading is worth: which of its series are expected, which are there, and whether that is enough.

use std::collections::HashMap;

use super::settings::Settings;
use crate::domain::Labels;
use crate::domain::reading::{Point, RuleReading, RuleStatus};
use crate::domain::rule::Measure;
use crate::domain::time::{Time, after, since};
use crate::domain::violation::fingerprint;

/// One reading, weighed.
#[derive(Debug)]
pub(super) struct Weighed<'a> {
    pub status: RuleStatus,
    /// Points young enough to be believed, under their fingerprints.
    pub fresh: Vec<(String, &'a Point)>,
    /// Fingerprints that answered with a sample too old to say anything.
    pub stale: Vec<String>,
}

/// A series is expected when any of so many last good cycles saw it.
const EXPECTED_FOR: u64 = 10;

/// Labels named of a series that is there instead of an expected one, and characters of each value.
const NAMED_LABELS: usize = 4;
const NAMED_CHARS: usize = 60;

/// What is remembered of one rule's series.
#[derive(Debug, Default)]
pub(super) struct RuleMemory {
    series: HashMap<String, Series>,
    good_cycles: u64,
    /// The last good one.
    good_at: Option<Time>,
    ever_seen: bool,
    missing_since: Option<Time>,
    /// The last reading, answered or not.
    observed_at: Option<Time>,
    /// When a bare condition was last proven answerable: what it did not answer then was clear.
    unanswered_is_clear_at: Option<Time>,
}

#[derive(Debug)]
struct Series {
    /// The good cycle (by number) that last saw it.
    good_cycle: u64,
    seen_at: Time,
    value: f64,
    clear_at: Option<Time>,
}

impl RuleMemory {
    /// Weighs one reading.
    pub(super) fn observe<'a>(
        &mut self,
        reading: &'a RuleReading,
        now: Time,
        started_at: Time,
        settings: &Settings,
    ) -> Weighed<'a> {
        let rule = &reading.rule;
        let stale_after = settings.stale_after();
        let answered = reading.points.as_deref().unwrap_or_default();
        let named = |point: &'a Point| (fingerprint(&rule.name, &point.labels), point);
        let (fresh, stale): (Vec<_>, Vec<_>) = answered
            .iter()
            .map(named)
            .partition(|(_, point)| since(now, point.sampled_at) <= stale_after);
        let stale: Vec<String> = stale.into_iter().map(|(fp, _)| fp).collect();
        // While the query itself fails nobody can say that a series is gone: that time does not count.
        if reading.points.is_err()
            && let Some(at) = self.observed_at
        {
            let blind = since(now, at);
            self.series.values_mut().for_each(|s| s.seen_at = after(s.seen_at, blind));
        }
        self.observed_at = Some(now);
        // Forgotten: nobody expects a series that has been gone for so long.
        self.series.retain(|_, s| since(now, s.seen_at) < settings.forget_after);
        let condition = matches!(rule.measure, Measure::Condition { .. });
        let oldest = self.good_cycles.saturating_sub(EXPECTED_FOR);
        let is_expected = |s: &Series| s.good_cycle > oldest;
        let expected =
            if condition { 0 } else { self.series.values().filter(|s| is_expected(s)).count() };
        let there =
            fresh.iter().filter(|(fp, _)| self.series.get(fp).is_some_and(is_expected)).count();
        let unexpected: Vec<&Labels> = fresh
            .iter()
            .filter(|(fp, _)| !self.series.get(fp).is_some_and(is_expected))
            .map(|(_, point)| {
                let point: &'a Point = point;
                &point.labels
            })
            .collect();
        // A quotient, not a product: 12 of 15 divide to exactly the 0.8 that the configuration says.
        let covered = expected == 0 || there as f64 / expected as f64 >= settings.min_coverage;
        let answers = !fresh.is_empty() || (condition && reading.empty_is_clear);
        let good = reading.points.is_ok() && answers && covered;
        if good {
            self.good_cycles += 1;
            self.good_at = Some(now);
        }
        for (fp, point) in &fresh {
            let series = self.series.entry(fp.clone()).or_insert(Series {
                good_cycle: 0,
                seen_at: now,
                value: point.value,
                clear_at: None,
            });
            (series.seen_at, series.value) = (now, point.value);
            if good {
                series.good_cycle = self.good_cycles;
            }
        }
        // The empty answer of a bare condition without `present` cannot be told from missing data: only when it is not
        // answered at all is it missing.
        let bare = matches!(&rule.measure, Measure::Condition { present: None, .. });
        if answers || (bare && reading.points.is_ok()) {
            self.ever_seen = true;
            self.missing_since = None;
        } else if self.missing_since.is_none() {
            self.missing_since = Some(if self.ever_seen { now } else { started_at });
        }
        let limit = if self.ever_seen { settings.missing_after } else { settings.never_seen_after };
        let missing_too_long = self.missing_since.is_some_and(|at| since(now, at) >= limit);
        let problem = match &reading.points {
            Err(failure) => Some(failure.text.clone()),
            Ok(_) if good || bare => None,
            Ok(_) if !answers => Some(unanswered(reading, self.ever_seen)),
            Ok(_) => Some(format!(
                "only {there} of {expected} expected series of rule {} are there and fresh ({} stale){}",
                rule.name,
                stale.len(),
                instead(&unexpected)
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
            is_awaited: reading.points.is_ok() && !self.ever_seen && !missing_too_long,
            problem,
        };
        Weighed { status, fresh, stale }
    }

    /// When this series was last seen clear in good data, before this reading.
    pub(super) fn last_clear(&self, fp: &str) -> Option<Time> {
        self.series.get(fp).and_then(|s| s.clear_at).max(self.unanswered_is_clear_at)
    }

    /// The value of a series in the reading of `now`, if that was good.
    pub(super) fn value_at(&self, fp: &str, now: Time) -> Option<f64> {
        let series = self.series.get(fp)?;
        let read = self.good_at == Some(now) && series.good_cycle == self.good_cycles;
        read.then_some(series.value)
    }

    /// This series reads clear in good data.
    pub(super) fn clear(&mut self, fp: &str, now: Time) {
        if let Some(series) = self.series.get_mut(fp) {
            series.clear_at = Some(now);
        }
    }

    /// A bare condition answered in good data: whatever it did not answer is clear.
    pub(super) fn rest_is_clear(&mut self, now: Time) {
        self.unanswered_is_clear_at = Some(now);
    }
}

/// Why a rule that answers nothing may do so, by what is known of it.
fn unanswered(reading: &RuleReading, ever_seen: bool) -> String {
    let rule = &reading.rule;
    let (name, metric) = (&rule.name, rule.metric_name());
    if let Some(change) = &reading.label_change {
        return format!(
            "no series of rule {name} is there, and `{metric}` has others: a label value changed, or is not the rule's \
             ({change}); missing is not healthy"
        );
    }
    if ever_seen {
        return format!("no series of rule {name} is there any more; missing is not healthy");
    }
    let what = if rule.increase_over().is_some() {
        "increase yet, which takes two samples"
    } else {
        "series yet"
    };
    format!(
        "rule {name} has no {what}: if it stays so, is `{metric}` the right name, and is it scraped?"
    )
}

/// Series that are there in the place of expected ones.
fn instead(unexpected: &[&Labels]) -> String {
    let Some(first) = unexpected.first() else { return String::new() };
    let value = |value: &str| value.chars().take(NAMED_CHARS).collect::<String>();
    let named: Vec<String> =
        first.iter().take(NAMED_LABELS).map(|(k, v)| format!("{k}={:?}", value(v))).collect();
    format!(
        "; {} others are there, so a label value changed (now {})",
        unexpected.len(),
        named.join(", ")
    )
}
