//! The five detectors: temporal, spatial, causal, frequency and sustained. Each reads the tracker's memory and
//! answers with patterns; distinct fingerprints and scheduled cycles count, repeats never do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::series::correlation;
use super::tracked::Tracked;
use super::tracking::Tracker;
use crate::domain::analysis::{Pattern, PatternKind};
use crate::domain::rule::Severity;
use crate::domain::target::{System, Target};
use crate::domain::time::{Time, since};
use crate::domain::violation::Violation;
use crate::domain::{CHARTER, Cause};

/// Every enabled detector's patterns, in the order of the table.
pub(super) fn detect(tracker: &Tracker, now: Time) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    patterns.extend(temporal(tracker, now));
    patterns.extend(spatial(tracker));
    patterns.extend(causal(tracker));
    patterns.extend(frequency(tracker, now));
    patterns.extend(sustained(tracker));
    patterns
}

/// Evidence: actionable, warning or worse, read as broken in this very cycle, and not flapping.
pub(super) fn is_evidence(violation: &Violation) -> bool {
    violation.counts() && violation.confirmed && !violation.flapping
}

fn evidence(tracker: &Tracker) -> impl Iterator<Item = (&String, &Tracked)> {
    tracker.violations.iter().filter(|(_, t)| t.active && is_evidence(&t.record.violation))
}

/// The shapes that four of the detectors look for are Charter's: what other systems show is `sustained` or nothing.
fn of_charter(tracker: &Tracker) -> impl Iterator<Item = (&String, &Tracked)> {
    evidence(tracker).filter(|(_, t)| is_of_charter(&t.record.violation))
}

pub(super) fn is_of_charter(violation: &Violation) -> bool {
    violation.target.as_ref().is_some_and(|target| target.system() == System::Charter)
}

/// Distinct violations that began inside one window ending now. One that is found to flap meanwhile is none.
fn began(tracker: &Tracker, window: Duration, now: Time) -> BTreeSet<&str> {
    let flapping =
        |fp: &str| tracker.violations.get(fp).is_some_and(|t| t.record.violation.flapping);
    tracker
        .onsets
        .iter()
        .filter(|o| o.counts && since(now, o.at) <= window)
        .map(|o| o.fingerprint.as_str())
        .filter(|fp| !flapping(fp))
        .collect()
}

fn owned(fingerprints: BTreeSet<&str>) -> Vec<String> {
    fingerprints.into_iter().map(str::to_owned).collect()
}

fn temporal(tracker: &Tracker, now: Time) -> Option<Pattern> {
    let settings = &tracker.settings.algorithms.temporal;
    if !settings.enabled {
        return None;
    }
    let found = began(tracker, settings.window, now);
    (found.len() >= settings.min_onsets).then(|| Pattern {
        kind: PatternKind::Temporal,
        confidence: settings.sensitivity,
        hypothesis: "cascade failure in progress".to_owned(),
        cause: Cause::new(Cause::CASCADE_FAILURE),
        component: CHARTER.to_owned(),
        target: Some(Target::Charter(None)),
        evidence: owned(found),
    })
}

fn frequency(tracker: &Tracker, now: Time) -> Option<Pattern> {
    let settings = &tracker.settings.algorithms.frequency;
    if !settings.enabled {
        return None;
    }
    let found = began(tracker, settings.window, now);
    (found.len() > settings.anomaly_threshold).then(|| Pattern {
        kind: PatternKind::Frequency,
        confidence: settings.sensitivity,
        hypothesis: "system overload or health issue".to_owned(),
        cause: Cause::new(Cause::SYSTEM_OVERLOAD),
        component: CHARTER.to_owned(),
        target: Some(Target::Charter(None)),
        evidence: owned(found),
    })
}

fn spatial(tracker: &Tracker) -> Vec<Pattern> {
    let settings = &tracker.settings.algorithms.spatial;
    if !settings.enabled {
        return Vec::new();
    }
    let mut by_component: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (fp, tracked) in of_charter(tracker) {
        if let Some(component) = tracked.record.violation.component.as_deref() {
            by_component.entry(component).or_default().push(fp.clone());
        }
    }
    by_component
        .into_iter()
        .filter(|(_, found)| found.len() >= settings.min_violations)
        .map(|(component, evidence)| Pattern {
            kind: PatternKind::Spatial,
            confidence: settings.sensitivity,
            hypothesis: "policy misconfiguration".to_owned(),
            cause: Cause::new(Cause::POLICY_MISCONFIGURATION),
            component: component.to_owned(),
            target: Some(Target::service(component)),
            evidence,
        })
        .collect()
}

fn causal(tracker: &Tracker) -> Option<Pattern> {
    let settings = &tracker.settings.algorithms.causal;
    if !settings.enabled {
        return None;
    }
    let latency: Vec<&String> = of_charter(tracker)
        .filter(|(_, t)| t.record.violation.rule == settings.latency)
        .map(|(fp, _)| fp)
        .collect();
    let mut failures: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for (fp, tracked) in of_charter(tracker) {
        let violation = &tracked.record.violation;
        if violation.rule == settings.failure {
            let component = violation.component.as_deref().unwrap_or(CHARTER);
            failures.entry(component).or_default().push(fp);
        }
    }
    if latency.is_empty() && failures.is_empty() {
        return None;
    }
    let series = &tracker.series;
    let onset = |fp: &str| tracker.violations.get(fp).map(|t| t.record.violation.active_since);
    let first_slow = latency.iter().filter_map(|fp| onset(fp)).min();
    // What was broken before anything was slow, slowness did not break.
    let was_first = |fp: &str| first_slow.is_some_and(|slow| onset(fp).is_some_and(|at| at < slow));
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for (component, failure) in &series.failures {
        let broken = failures.get(component.as_str()).cloned().unwrap_or_default();
        let is_effect = !broken.iter().any(|fp| was_first(fp));
        if (latency.is_empty() && broken.is_empty()) || !is_effect {
            continue;
        }
        let r = correlation(&series.latency, failure, settings.min_points);
        if r.is_some_and(|r| r >= settings.correlation_threshold) {
            found.extend(latency.iter().chain(&broken).map(|fp| fp.as_str()));
        }
    }
    (!found.is_empty()).then(|| Pattern {
        kind: PatternKind::Causal,
        confidence: settings.sensitivity,
        hypothesis: "high latency blocks enforcement".to_owned(),
        cause: Cause::new(Cause::VALIDATION_LATENCY),
        component: CHARTER.to_owned(),
        target: Some(Target::Charter(None)),
        evidence: owned(found),
    })
}

fn sustained(tracker: &Tracker) -> Vec<Pattern> {
    let settings = &tracker.settings.algorithms.sustained;
    if !settings.enabled {
        return Vec::new();
    }
    let oldest = tracker.scheduled.saturating_sub(settings.of as u64);
    let mut found: BTreeMap<(Cause, &str, Option<Target>), Vec<String>> = BTreeMap::new();
    for (fp, tracked) in evidence(tracker) {
        let violation = &tracked.record.violation;
        let cycles = tracked.marks.iter().filter(|(n, _)| n.is_some_and(|n| n > oldest)).count();
        if cycles >= settings.cycles || violation.severity == Severity::Critical {
            let cause = violation.cause.clone().unwrap_or_else(Cause::unknown);
            let unnamed = violation.target.as_ref().map_or(&*violation.rule, Target::component);
            let component = violation.component.as_deref().unwrap_or(unnamed);
            let key = (cause, component, violation.target.clone());
            found.entry(key).or_default().push(fp.clone());
        }
    }
    found
        .into_iter()
        .map(|((cause, component, target), evidence)| Pattern {
            kind: PatternKind::Sustained,
            confidence: settings.sensitivity,
            hypothesis: format!("{cause} persists at {component}"),
            cause,
            component: component.to_owned(),
            target,
            evidence,
        })
        .collect()
}
