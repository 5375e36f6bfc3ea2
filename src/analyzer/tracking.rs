//! Which violations are active: opens, confirms, clears and forgets them from one snapshot after another.
//!
//! A fold over snapshots: the same snapshots give the same result. Owns the memory that this needs (when a series
//! was last seen clear, which series are expected, onsets, occurrences); leaves what they mean to the detectors.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use uuid::Uuid;

use super::broken;
use super::coverage::RuleMemory;
use super::series::CausalSeries;
use super::settings::Settings;
use crate::domain::cycle::Trigger;
use crate::domain::reading::{RuleReading, RuleStatus, Snapshot, Source};
use crate::domain::time::{Time, since};
use crate::domain::violation::{TrackedViolation, Violation};

/// A witnessed beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct Onset {
    pub at: Time,
    pub fingerprint: String,
    /// It names a cause; such evidence works through `sustained` alone.
    pub names_cause: bool,
    pub counts: bool,
}

/// One violation with the memory that the detectors need.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub record: TrackedViolation,
    pub active: bool,
    /// Cycles in which it was confirmed: the number of the scheduled cycle (`None` for a woken one) and the time.
    pub marks: VecDeque<(Option<u64>, Time)>,
    /// Its series or alert was last there at all.
    pub last_seen: Time,
}

/// What changed in one cycle.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Fingerprints of violations that became active.
    pub opened: Vec<String>,
    /// Seen clear in good data.
    pub cleared: Vec<Violation>,
    /// Closed because their series was unseen for too long, or their rule is gone: no success, judged unknown.
    pub vanished: Vec<String>,
    pub rules: Vec<RuleStatus>,
}

/// The memory of the analyzer.
#[derive(Debug)]
pub struct Tracker {
    pub(super) settings: Settings,
    started_at: Time,
    pub(super) violations: BTreeMap<String, Tracked>,
    rules: HashMap<String, RuleMemory>,
    pub(super) onsets: VecDeque<Onset>,
    pub(super) series: CausalSeries,
    /// Scheduled cycles so far.
    pub(super) scheduled: u64,
    /// Fingerprints whose stored record is out of date.
    unsaved: BTreeSet<String>,
}

/// Onsets kept at most: far above any threshold, and a bound under a storm.
const MAX_ONSETS: usize = 10_000;

impl Tracker {
    /// Takes up what the store knew to be active; none of it has an onset.
    #[must_use]
    pub fn new(settings: Settings, started_at: Time, stored: Vec<TrackedViolation>) -> Self {
        let violations = stored
            .into_iter()
            .map(|record| {
                let tracked = Tracked {
                    active: record.violation.cleared_at.is_none(),
                    marks: VecDeque::new(),
                    last_seen: started_at,
                    record,
                };
                (tracked.record.violation.fingerprint.clone(), tracked)
            })
            .collect();
        let series = CausalSeries::new(settings.algorithms.causal.clone());
        Self {
            settings,
            started_at,
            violations,
            rules: HashMap::new(),
            onsets: VecDeque::new(),
            series,
            scheduled: 0,
            unsaved: BTreeSet::new(),
        }
    }

    /// Takes one snapshot in. `new_id` names violations that open.
    pub fn observe(
        &mut self,
        snapshot: &Snapshot,
        trigger: Trigger,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> Changes {
        let now = snapshot.at;
        let scheduled = match trigger {
            Trigger::Scheduled => {
                self.scheduled += 1;
                Some(self.scheduled)
            }
            Trigger::Woken => None,
        };
        for tracked in self.violations.values_mut() {
            tracked.record.violation.confirmed = false;
        }
        let mut changes = Changes::default();
        let source = snapshot.metrics_source();
        for reading in &snapshot.readings {
            let status = self.observe_rule(source, reading, now, &mut changes, new_id);
            changes.rules.push(status);
        }
        super::alerts::observe(self, snapshot, &mut changes, new_id);
        self.forget(snapshot, &mut changes);
        self.mark(scheduled, now);
        self.series.extend(&snapshot.history);
        if scheduled.is_some() {
            self.series.push(&snapshot.readings, &changes.rules, now);
        }
        changes
    }

    /// Violations that are active now, confirmed or not.
    pub fn active(&self) -> impl Iterator<Item = &Violation> {
        self.violations.values().filter(|t| t.active).map(|t| &t.record.violation)
    }

    /// The last value read of a violation, active or lately cleared.
    #[must_use]
    pub fn value(&self, fp: &str) -> Option<f64> {
        self.violations.get(fp).and_then(|t| t.record.violation.value)
    }

    /// Does the causal detector need the past (after a start or a gap)? From when on?
    #[must_use]
    pub fn wants_history(&self, now: Time) -> Option<Time> {
        self.series.wants_history(now, self.settings.interval, self.settings.poll_interval)
    }

    /// Records that the store does not have yet. Call [`Tracker::saved`] once they are durable.
    #[must_use]
    pub fn unsaved(&self) -> Vec<(String, Option<&TrackedViolation>)> {
        self.unsaved
            .iter()
            .map(|fp| (fp.clone(), self.violations.get(fp).map(|t| &t.record)))
            .collect()
    }

    pub fn saved(&mut self) {
        self.unsaved.clear();
    }

    fn observe_rule(
        &mut self,
        source: Source,
        reading: &RuleReading,
        now: Time,
        changes: &mut Changes,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> RuleStatus {
        let memory = self.rules.entry(reading.rule.name.clone()).or_default();
        let (status, fresh) = memory.observe(reading, now, self.started_at, &self.settings);
        let (comparison, threshold) = reading.rule.limit();
        let mut answered: BTreeSet<&str> = BTreeSet::new();
        for (fp, point) in &fresh {
            answered.insert(fp.as_str());
            if comparison.breaks(point.value, threshold) {
                let last_clear = self.rules[&reading.rule.name].last_clear(fp);
                let beginning = Beginning { now, last_clear, good: status.good, onset: None };
                let described = || broken::violation(source, &reading.rule, point, fp, now);
                self.broken(fp, beginning, described, changes, new_id);
            } else if status.good {
                if let Some(memory) = self.rules.get_mut(&reading.rule.name) {
                    memory.clear(fp, now);
                }
                self.clear(fp, now, changes);
            }
            // Cleared ones too: the value after an action is read from them.
            if let Some(tracked) = self.violations.get_mut(fp) {
                tracked.record.violation.value = Some(point.value);
            }
        }
        if status.good && reading.empty_is_clear {
            // A condition answers only what holds: whatever it no longer answers is clear.
            let gone: Vec<String> = self
                .violations
                .values()
                .filter(|t| t.active && t.record.violation.rule == reading.rule.name)
                .map(|t| t.record.violation.fingerprint.clone())
                .filter(|fp| !answered.contains(fp.as_str()))
                .collect();
            for fp in gone {
                if let Some(memory) = self.rules.get_mut(&reading.rule.name) {
                    memory.clear(&fp, now);
                }
                self.clear(&fp, now, changes);
            }
        }
        status
    }

    /// A violation reads broken: open it, or keep it open and confirm it.
    pub(super) fn broken(
        &mut self,
        fp: &str,
        beginning: Beginning,
        describe: impl FnOnce() -> Violation,
        changes: &mut Changes,
        new_id: &mut dyn FnMut() -> Uuid,
    ) {
        let now = beginning.now;
        if let Some(tracked) = self.violations.get_mut(fp)
            && tracked.active
        {
            tracked.last_seen = now;
            tracked.record.violation.confirmed = beginning.good;
            if tracked.record.clear_since.take().is_some() {
                // A flapping violation came back while it still counted as active.
                tracked.record.returns.push(now);
                trim(&mut tracked.record.returns, now, &self.settings);
                self.unsaved.insert(fp.to_owned());
            }
            return;
        }
        let mut violation = describe();
        violation.id = new_id();
        violation.confirmed = beginning.good;
        let before = self.violations.remove(fp);
        let mut returns = before.as_ref().map(|t| t.record.returns.clone()).unwrap_or_default();
        let cleared_at = before.as_ref().and_then(|t| t.record.violation.cleared_at);
        if cleared_at.is_some() {
            returns.push(now);
        }
        trim(&mut returns, now, &self.settings);
        violation.flapping = returns.len() >= self.settings.flapping.returns;
        let quiet = cleared_at.is_none_or(|at| since(now, at) > self.settings.flapping.quiet);
        let witnessed = beginning.onset.unwrap_or_else(|| {
            beginning.last_clear.is_some_and(|at| since(now, at) <= self.settings.interval * 3)
        });
        if beginning.good && witnessed && quiet && self.onsets.len() < MAX_ONSETS {
            self.onsets.push_back(Onset {
                at: now,
                fingerprint: fp.to_owned(),
                names_cause: violation.cause.is_some(),
                counts: violation.counts(),
            });
        }
        changes.opened.push(fp.to_owned());
        self.unsaved.insert(fp.to_owned());
        self.violations.insert(
            fp.to_owned(),
            Tracked {
                record: TrackedViolation { violation, returns, clear_since: None },
                active: true,
                marks: VecDeque::new(),
                last_seen: now,
            },
        );
    }

    /// A violation reads clear in good data.
    pub(super) fn clear(&mut self, fp: &str, now: Time, changes: &mut Changes) {
        let Some(tracked) = self.violations.get_mut(fp).filter(|t| t.active) else { return };
        tracked.last_seen = now;
        if tracked.record.violation.flapping {
            let since_clear = *tracked.record.clear_since.get_or_insert(now);
            if since(now, since_clear) < self.settings.flapping.clear {
                return;
            }
        }
        close(tracked, now);
        changes.cleared.push(tracked.record.violation.clone());
        self.unsaved.insert(fp.to_owned());
    }

    /// Closes what nobody can see any more, and drops what cleared so long ago that no return counts.
    fn forget(&mut self, snapshot: &Snapshot, changes: &mut Changes) {
        let now = snapshot.at;
        let rules: BTreeSet<&str> =
            snapshot.readings.iter().map(|r| r.rule.name.as_str()).collect();
        let mut gone = Vec::new();
        for (fp, tracked) in &mut self.violations {
            let violation = &tracked.record.violation;
            if !tracked.active {
                let cleared = violation.cleared_at.unwrap_or(now);
                if since(now, cleared) > self.settings.flapping.window {
                    gone.push(fp.clone());
                }
                continue;
            }
            if violation.source == Source::Alertmanager {
                continue;
            }
            if self.rules.get(&violation.rule).is_some_and(|memory| memory.saw(fp, now)) {
                tracked.last_seen = now;
            }
            let rule_gone = !rules.contains(violation.rule.as_str());
            if rule_gone || since(now, tracked.last_seen) >= self.settings.forget_after {
                changes.vanished.push(fp.clone());
                gone.push(fp.clone());
            }
        }
        for fp in gone {
            self.violations.remove(&fp);
            self.unsaved.insert(fp);
        }
        let horizon =
            self.settings.algorithms.frequency.window.max(self.settings.algorithms.temporal.window);
        while self.onsets.front().is_some_and(|o| since(now, o.at) > horizon) {
            self.onsets.pop_front();
        }
    }

    /// Closes one violation as vanished, at once.
    pub(super) fn drop_violation(&mut self, fp: &str, changes: &mut Changes) {
        if self.violations.get(fp).is_some_and(|t| t.active) {
            self.violations.remove(fp);
            changes.vanished.push(fp.to_owned());
            self.unsaved.insert(fp.to_owned());
        }
    }

    /// Occurrences: one per scheduled cycle; a woken cycle adds only a violation's first.
    fn mark(&mut self, scheduled: Option<u64>, now: Time) {
        let window = occurrence_window(&self.settings);
        for tracked in self.violations.values_mut().filter(|t| t.active) {
            while tracked.marks.front().is_some_and(|(_, at)| since(now, *at) > window) {
                tracked.marks.pop_front();
            }
            if tracked.record.violation.confirmed
                && (scheduled.is_some() || tracked.marks.is_empty())
            {
                tracked.marks.push_back((scheduled, now));
            }
        }
    }
}

/// How a broken reading came about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    pub now: Time,
    /// When the same series was last seen clear in good data.
    pub last_clear: Option<Time>,
    pub good: bool,
    /// Alerts say themselves whether they are witnessed beginnings.
    pub onset: Option<bool>,
}

/// Occurrences count within the larger of five minutes and four intervals.
pub(super) fn occurrence_window(settings: &Settings) -> std::time::Duration {
    settings.occurrence_window.max(settings.interval * 4)
}

fn close(tracked: &mut Tracked, now: Time) {
    tracked.active = false;
    tracked.marks.clear();
    let violation = &mut tracked.record.violation;
    violation.cleared_at = Some(now);
    violation.confirmed = false;
    if std::mem::take(&mut violation.flapping) {
        tracked.record.returns.clear();
    }
    tracked.record.clear_since = None;
}

fn trim(returns: &mut Vec<Time>, now: Time, settings: &Settings) {
    returns.retain(|at| since(now, *at) <= settings.flapping.window);
}
