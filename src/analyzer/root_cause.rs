//! From patterns to root causes: who names what, with how much confidence, and what stands behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::detectors::is_evidence;
use super::tracked::occurrence_window;
use super::tracking::Tracker;
use crate::domain::Cause;
use crate::domain::analysis::{Pattern, PatternKind, RootCause};
use crate::domain::rule::Severity;
use crate::domain::target::Target;
use crate::domain::time::{Time, since};

/// What ails, and what: cause, component and target.
type Place = (Cause, String, Option<Target>);

/// Patterns of one cause and component together are one root cause. A pattern counts with the share of its evidence
/// that names no cause: evidence that names one works through `sustained` alone. The causal pattern keeps its full
/// confidence: it compares two named series.
pub(super) fn root_causes(tracker: &Tracker, patterns: &[Pattern], now: Time) -> Vec<RootCause> {
    let onsets: HashMap<&str, bool> =
        tracker.onsets.iter().map(|o| (o.fingerprint.as_str(), o.names_cause)).collect();
    let mut groups: BTreeMap<Place, Vec<(&Pattern, f64)>> = BTreeMap::new();
    for pattern in patterns {
        let confidence = pattern.confidence * weight(tracker, &onsets, pattern);
        if confidence > 0.0 {
            groups
                .entry((pattern.cause.clone(), pattern.component.clone(), pattern.target.clone()))
                .or_default()
                .push((pattern, confidence));
        }
    }
    groups
        .into_iter()
        .map(|((cause, component, target), members)| {
            let evidence: BTreeSet<String> =
                members.iter().flat_map(|(p, _)| p.evidence.iter().cloned()).collect();
            RootCause {
                cause,
                component,
                target,
                confidence: members.iter().map(|(_, c)| *c).fold(0.0, f64::max),
                patterns: members.iter().map(|(p, _)| p.kind).collect(),
                occurrences: occurrences(tracker, &evidence, now),
                critical: evidence.iter().any(|fp| is_critical(tracker, fp)),
                evidence: evidence.into_iter().collect(),
            }
        })
        .collect()
}

fn weight(tracker: &Tracker, onsets: &HashMap<&str, bool>, pattern: &Pattern) -> f64 {
    match pattern.kind {
        PatternKind::Sustained | PatternKind::Causal => 1.0,
        PatternKind::Temporal | PatternKind::Spatial | PatternKind::Frequency => {
            // An onset may have cleared and been forgotten since: then its own word is all there is.
            let names = |fp: &str| match tracker.violations.get(fp) {
                Some(known) => known.record.violation.names_cause(),
                None => onsets.get(fp).copied().unwrap_or(false),
            };
            let unnamed = pattern.evidence.iter().filter(|fp| !names(fp)).count();
            unnamed as f64 / pattern.evidence.len().max(1) as f64
        }
    }
}

fn is_critical(tracker: &Tracker, fp: &str) -> bool {
    tracker.violations.get(fp).is_some_and(|t| {
        is_evidence(&t.record.violation) && t.record.violation.severity == Severity::Critical
    })
}

fn occurrences(tracker: &Tracker, evidence: &BTreeSet<String>, now: Time) -> u32 {
    let window = occurrence_window(&tracker.settings);
    let count: usize = evidence
        .iter()
        .filter_map(|fp| tracker.violations.get(fp))
        .map(|t| t.marks.iter().filter(|(_, at)| since(now, *at) <= window).count())
        .sum();
    u32::try_from(count).unwrap_or(u32::MAX)
}
