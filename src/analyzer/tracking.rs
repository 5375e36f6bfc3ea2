//! Which violations are active: opens, confirms, clears and forgets them from one snapshot after another.
//!
//! A fold over snapshots: the same snapshots give the same result. Owns the memory that this needs (when a series
//! was last seen clear, which series are expected, onsets, occurrences); leaves what they mean to the detectors.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::alerts::HeldBack;
use super::broken;
use super::coverage::{RuleMemory, Weighed};
use super::detectors::is_of_charter;
use super::fleet::Components;
use super::found::Found;
use super::owners::Owners;
use super::series::CausalSeries;
use super::settings::Settings;
use super::tracked::{Beginning, Origin, Tracked};
use super::trends::{Trend, Trends};
use crate::domain::cycle::Trigger;
use crate::domain::reading::{RuleReading, RuleStatus, Snapshot, Source};
use crate::domain::rule::Measure;
use crate::domain::target::Target;
use crate::domain::time::{Time, after, since};
use crate::domain::violation::{TrackedViolation, Violation};

/// A witnessed beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct Onset {
    pub at: Time,
    pub fingerprint: String,
    /// It names a cause; such evidence works through `sustained` alone.
    pub names_cause: bool,
    /// It is Charter's and counts there.
    pub counts: bool,
}

/// What changed in one cycle.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Fingerprints of violations that became active.
    pub opened: Vec<String>,
    /// Seen clear in good data.
    pub cleared: Vec<Violation>,
    /// Closed because their series was unseen for too long, or their rule is gone: no success, so that the result is unknown.
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
    /// The last snapshot taken in.
    observed_at: Option<Time>,
    pub(super) components: Components,
    trends: Trends,
    /// Of the pods that violations are about.
    owners: Owners,
    pub(super) held_back: HeldBack,
}

/// Onsets kept at most: far above any threshold, and a bound under a storm.
const MAX_ONSETS: usize = 10_000;

impl Tracker {
    /// Takes up what the store knew to be active; none of it has an onset.
    #[must_use]
    pub fn new(settings: Settings, started_at: Time, stored: Vec<TrackedViolation>) -> Self {
        let violations = stored
            .into_iter()
            .map(|mut record| {
                let violation = &mut record.violation;
                let component = violation.component.as_deref();
                // Which systems there are may have changed; what its rule or handler says of it is read with its series.
                if !matches!(violation.target, Some(Target::Kubernetes { .. })) {
                    violation.target = settings.systems.target(component, &violation.labels, None);
                }
                let fp = record.violation.fingerprint.clone();
                (fp, Tracked::restored(record, started_at))
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
            observed_at: None,
            components: Components::default(),
            trends: Trends::default(),
            owners: Owners::default(),
            held_back: HeldBack::default(),
        }
    }

    /// Takes one snapshot in, and what was found in the cluster. `new_id` names violations that open.
    pub fn observe(
        &mut self,
        snapshot: &Snapshot,
        found: &Found<'_>,
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
        self.components.observe(snapshot, &self.settings.systems, self.settings.forget_after);
        let source = snapshot.metrics_source();
        self.trends.recall(&snapshot.history, &snapshot.readings, now);
        for reading in &snapshot.readings {
            let status =
                self.observe_rule(source, reading, now, scheduled.is_some(), &mut changes, new_id);
            changes.rules.push(status);
        }
        self.trends.forget(now, self.settings.interval);
        super::alerts::observe(self, snapshot, &mut changes, new_id);
        self.observe_found(found, now, &mut changes, new_id);
        let tracked = self.violations.values_mut().map(|t| &mut t.record.violation);
        self.owners.resolve(tracked, found.reading, now);
        self.forget(snapshot, &mut changes);
        for tracked in self.violations.values_mut() {
            tracked.mark(scheduled, now, &self.settings);
        }
        let stale_after = self.settings.stale_after();
        self.series.observe(snapshot, &changes.rules, scheduled.is_some(), stale_after);
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

    /// The last readings of a series, where it has a threshold and is remembered.
    #[must_use]
    pub fn trend(&self, fp: &str) -> Option<&Trend> {
        self.trends.get(fp)
    }

    /// All remembered series of one rule, in a fixed order.
    #[must_use]
    pub fn trends_of(&self, rule: &str) -> Vec<(&String, &Trend)> {
        self.trends.of_rule(rule)
    }

    /// The value of a series in the last snapshot, if its rule was read well in it. Of every series, also of one that is
    /// beyond those whose past is remembered.
    #[must_use]
    pub fn read_now(&self, fp: &str) -> Option<f64> {
        let now = self.observed_at?;
        self.rules.values().find_map(|memory| memory.value_at(fp, now))
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

    pub(super) fn mark_unsaved(&mut self, fp: &str) {
        self.unsaved.insert(fp.to_owned());
    }

    pub fn saved(&mut self) {
        self.unsaved.clear();
    }

    fn observe_rule(
        &mut self,
        source: Source,
        reading: &RuleReading,
        now: Time,
        scheduled: bool,
        changes: &mut Changes,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> RuleStatus {
        let rule = &reading.rule;
        let mut memory = self.rules.remove(&rule.name).unwrap_or_default();
        let Weighed { status, fresh, stale } =
            memory.observe(reading, now, self.started_at, &self.settings);
        let (comparison, threshold) = rule.limit();
        let systems = self.settings.systems.clone();
        for (fp, point) in &fresh {
            if status.good {
                self.trends.read(rule, fp, point, now, scheduled);
            }
            // Bad data neither opens nor confirms nor clears: what it shows may be the unlucky part of the whole.
            if status.good && comparison.breaks(point.value, threshold) {
                let onset = memory
                    .last_clear(fp)
                    .is_some_and(|at| since(now, at) <= self.settings.interval * 3);
                let beginning = Beginning { now, good: true, onset };
                let described = || broken::violation(source, rule, point, fp, now, &systems);
                self.broken(fp, beginning, described, changes, new_id);
            } else if status.good {
                memory.clear(fp, now);
                self.clear(fp, now, changes);
            }
            // Cleared ones too: the value after an action is read from them.
            if let Some(tracked) = self.violations.get_mut(fp) {
                tracked.last_seen = now;
                let violation = &mut tracked.record.violation;
                if violation.value != Some(point.value) {
                    violation.value = Some(point.value);
                    if tracked.active {
                        let component = violation.component.as_deref();
                        violation.description =
                            broken::description(rule, &point.labels, component, point.value);
                    }
                }
            }
        }
        if status.good
            && reading.empty_is_clear
            && matches!(rule.measure, Measure::Condition { .. })
        {
            // A condition answers only what holds: whatever it no longer answers is clear.
            let answered: HashSet<&str> =
                fresh.iter().map(|(fp, _)| fp).chain(&stale).map(String::as_str).collect();
            let gone: Vec<String> = self
                .violations
                .values()
                .filter(|t| t.active && t.record.violation.rule == rule.name)
                .filter(|t| t.record.violation.source.is_metrics())
                .map(|t| t.record.violation.fingerprint.clone())
                .filter(|fp| !answered.contains(fp.as_str()))
                .collect();
            for fp in gone {
                self.clear(&fp, now, changes);
            }
            memory.rest_is_clear(now);
        }
        self.rules.insert(rule.name.clone(), memory);
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
            if tracked.origin == Origin::Store {
                tracked.redescribe(describe());
                self.unsaved.insert(fp.to_owned());
            }
            if beginning.good && tracked.record.clear_since.take().is_some() {
                // A flapping violation came back while it still counted as active.
                tracked.record.returns.push(now);
                trim(&mut tracked.record.returns, now, &self.settings);
                self.unsaved.insert(fp.to_owned());
            }
            if beginning.good && tracked.origin == Origin::Unconfirmed {
                tracked.origin = Origin::Seen;
                if beginning.onset {
                    let onset = Onset::of(&tracked.record.violation, now);
                    self.witness(onset);
                }
            }
            return;
        }
        let mut violation = describe();
        violation.id = new_id();
        violation.confirmed = beginning.good;
        let before = self.violations.remove(fp);
        let mut returns = before.as_ref().map(|t| t.record.returns.clone()).unwrap_or_default();
        let cleared_at = before.as_ref().and_then(|t| t.record.violation.cleared_at);
        // What crashes again and again is not well in between: a finding never flaps.
        if cleared_at.is_some() && !violation.is_finding() {
            returns.push(now);
        }
        trim(&mut returns, now, &self.settings);
        violation.flapping = returns.len() >= self.settings.flapping.returns;
        let quiet = cleared_at.is_none_or(|at| since(now, at) > self.settings.flapping.quiet);
        if beginning.good && beginning.onset && quiet {
            let onset = Onset::of(&violation, now);
            self.witness(onset);
        }
        changes.opened.push(fp.to_owned());
        self.unsaved.insert(fp.to_owned());
        let record = TrackedViolation { violation, returns, clear_since: None };
        let mut tracked = Tracked::opened(record, now, before);
        if !beginning.good && quiet {
            tracked.origin = Origin::Unconfirmed;
        }
        self.violations.insert(fp.to_owned(), tracked);
    }

    fn witness(&mut self, onset: Onset) {
        if self.onsets.len() < MAX_ONSETS {
            self.onsets.push_back(onset);
        }
    }

    /// A violation reads clear in good data.
    pub(super) fn clear(&mut self, fp: &str, now: Time, changes: &mut Changes) {
        let Some(tracked) = self.violations.get_mut(fp).filter(|t| t.active) else { return };
        tracked.last_seen = now;
        if tracked.record.violation.flapping {
            if tracked.record.clear_since.is_none() {
                self.unsaved.insert(fp.to_owned());
            }
            let since_clear = *tracked.record.clear_since.get_or_insert(now);
            if since(now, since_clear) < self.settings.flapping.clear {
                return;
            }
        }
        tracked.close(now);
        changes.cleared.push(tracked.record.violation.clone());
        self.unsaved.insert(fp.to_owned());
    }

    /// An alert says so too, in a cycle in which the rule's own reading of this series cannot.
    pub(super) fn confirm(&mut self, fp: &str) {
        // One that reads clear and only counts as active because it is flapping is not broken now.
        if let Some(tracked) =
            self.violations.get_mut(fp).filter(|t| t.active && t.record.clear_since.is_none())
        {
            tracked.record.violation.confirmed = true;
        }
    }

    /// Closes what nobody can see any more, and drops what cleared so long ago that no return counts.
    fn forget(&mut self, snapshot: &Snapshot, changes: &mut Changes) {
        let now = snapshot.at;
        let rules: BTreeSet<&str> =
            snapshot.readings.iter().map(|r| r.rule.name.as_str()).collect();
        let unread: HashSet<&str> = snapshot
            .readings
            .iter()
            .filter(|r| r.points.is_err())
            .map(|r| r.rule.name.as_str())
            .collect();
        let blind = self.observed_at.map_or(Duration::ZERO, |at| since(now, at));
        self.observed_at = Some(now);
        let flapping = &self.settings.flapping;
        let remembered = flapping.window.max(flapping.quiet);
        let mut gone = Vec::new();
        for (fp, tracked) in &mut self.violations {
            let violation = &tracked.record.violation;
            if !tracked.active {
                let cleared = violation.cleared_at.unwrap_or(now);
                if since(now, cleared) > remembered {
                    gone.push(fp.clone());
                }
                continue;
            }
            if !violation.source.is_metrics() {
                continue;
            }
            if unread.contains(violation.rule.as_str()) {
                // Nobody could look: this time is not one in which it was missing.
                tracked.last_seen = after(tracked.last_seen, blind);
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
        let algorithms = &self.settings.algorithms;
        let horizon = algorithms.frequency.window.max(algorithms.temporal.window);
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
}

impl Onset {
    fn of(violation: &Violation, at: Time) -> Self {
        Self {
            at,
            fingerprint: violation.fingerprint.clone(),
            names_cause: violation.names_cause(),
            counts: violation.counts() && !violation.flapping && is_of_charter(violation),
        }
    }
}

fn trim(returns: &mut Vec<Time>, now: Time, settings: &Settings) {
    returns.retain(|at| since(now, *at) <= settings.flapping.window);
}
