//! Did it help? Looks at an applied execution after its settle time and gives the result in the second good cycle.
//!
//! Pure. Missing data makes the result `unknown`, which is decided first; samples from before the end of settling never
//! count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::recovery::verify;
use crate::domain::cluster::ClusterReading;
use crate::domain::finding::FindingKind;
use crate::domain::ledger::{End, Entry};
use crate::domain::outcome::{OutcomeType, PendingVerification};
use crate::domain::reading::{RuleStatus, Source};
use crate::domain::target::System;
use crate::domain::time::{Time, after};
use crate::domain::verification::{Baseline, Verification};
use crate::domain::violation::Violation;

/// What one cycle saw, as far as verification needs it.
#[derive(Debug)]
pub struct CycleView<'a> {
    pub now: Time,
    /// Only scheduled cycles count.
    pub scheduled: bool,
    /// All active violations.
    pub active: &'a [Violation],
    pub rules: &'a [RuleStatus],
    /// Rules that count increases over a window.
    pub counters: &'a BTreeSet<String>,
    /// Violations closed because nobody can see them any more.
    pub vanished: &'a [String],
    pub alerts_read: bool,
    /// `None`: Kubernetes is not looked at.
    pub cluster: Option<&'a ClusterReading>,
    /// Charter's size, when it answered.
    pub replicas: Option<u32>,
    pub poll_interval: Duration,
    /// Every series that verification asks for, if this cycle read it well.
    pub values: &'a BTreeMap<String, f64>,
    /// What we have sent of late.
    pub sent: &'a [Entry],
}

#[derive(Clone, Debug, PartialEq)]
pub struct VerificationResult {
    pub outcome: OutcomeType,
    pub violations_after: usize,
    pub reason: String,
    /// `None` where nothing could be looked at.
    pub verification: Option<Verification>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// Not yet; the record to keep.
    Waiting(PendingVerification),
    Verified(PendingVerification, VerificationResult),
}

/// A counter's own window is never shorter than this many polls, so its result waits for so many.
const COUNTER_POLLS: u32 = 3;

const TOO_FEW_CYCLES: &str =
    "not verified in time: fewer than two cycles since it was due could read all that it needs";

#[must_use]
pub fn look(verification: &PendingVerification, sight: &CycleView<'_>) -> Look {
    let mut verification = verification.clone();
    let unknown = |verification: PendingVerification, reason: &str| {
        let after = verification.first_look.as_ref().map_or(0, BTreeSet::len);
        Look::Verified(
            verification,
            VerificationResult {
                outcome: OutcomeType::Unknown,
                violations_after: after,
                reason: reason.to_owned(),
                verification: None,
            },
        )
    };
    if let Some(lost) = sight.vanished.iter().find(|fp| verification.before.contains(*fp)) {
        let reason = format!(
            "violation {lost} can no longer be observed: its series was missing for too long, or Alertmanager silences its alert"
        );
        return unknown(verification, &reason);
    }
    let counted: Vec<&Violation> =
        sight.active.iter().filter(|v| v.counts() && v.lies_on(&verification.target)).collect();
    if !counted.is_empty() {
        verification.clear_at = None;
    } else if blind_spot(&verification, &counted, sight, verification.applied_at).is_none()
        && out_of_sight(&verification, sight).is_none()
    {
        // The effect may show long before the result is due.
        verification.clear_at.get_or_insert(sight.now);
    }
    let blind = blind_spot(&verification, &counted, sight, verification.settled_at)
        .or_else(|| too_early_to_count(&verification, &counted, sight))
        .or_else(|| out_of_sight(&verification, sight));
    if sight.now < verification.settled_at {
        return Look::Waiting(verification);
    }
    let too_late = sight.now > verification.judge_by;
    if too_late || !sight.scheduled || blind.is_some() {
        return match blind {
            _ if !too_late => Look::Waiting(verification),
            Some(spot) => unknown(verification, &format!("not verified in time: {spot}")),
            None => unknown(verification, TOO_FEW_CYCLES),
        };
    }
    match (verification.expected_replicas, sight.replicas) {
        (Some(_), None) => return Look::Waiting(verification),
        (Some(expected), Some(present)) if expected != present => {
            let reason =
                format!("{present} replicas instead of {expected}: somebody else changed the size");
            return unknown(verification, &reason);
        }
        _ => {}
    }
    let mut others = others(&verification, sight, verification.intent_at);
    if let Some(other) = others.find(|e| e.target.overlaps(&verification.target)) {
        let reason = format!(
            "another change was made at {} before the result was known",
            other.target.component()
        );
        return unknown(verification, &reason);
    }
    drop(others);
    let seen: BTreeSet<String> = counted.iter().map(|v| v.fingerprint.clone()).collect();
    let values = scored(&verification, sight);
    let Some(first) = &verification.first_look else {
        verification.first_look = Some(seen);
        verification.first_values = values;
        return Look::Waiting(verification);
    };
    let after = first.union(&seen).count();
    let before = verification.before.len();
    let counted_as = classify(before, after);
    if counted_as == OutcomeType::Unknown {
        return unknown(
            verification,
            "no violation was active before the action, so its effect is unknown",
        );
    }
    // What was done elsewhere just before may still have been settling.
    let settle = verification.settled_at - verification.applied_at;
    let since_settling = verification.intent_at - settle;
    let guard = newly_broken(&verification, first, &counted);
    let (outcome, measured) = verify(
        counted_as,
        verification.yardstick.as_ref(),
        &verification.first_values,
        &values,
        &touched(&verification, sight, since_settling),
        guard,
    );
    let mut reason = format!("violations: {before} before, {after} after");
    if let Some(why) = measured.lowered_because() {
        reason = format!("{reason}; {why}");
    }
    let result = VerificationResult {
        outcome,
        violations_after: after,
        reason,
        verification: Some(measured),
    };
    Look::Verified(verification, result)
}

/// What this cycle read of the baseline's series and its control.
fn scored(verification: &PendingVerification, sight: &CycleView<'_>) -> BTreeMap<String, f64> {
    let Some(Baseline::Scored(score)) = &verification.yardstick else { return BTreeMap::new() };
    let control = score.control.iter().map(|c| &c.series);
    let asked = std::iter::once(&score.series).chain(control);
    asked.filter_map(|fp| Some((fp.clone(), *sight.values.get(fp)?))).collect()
}

/// A rule that this target did not violate before the action, and violated in both cycles that verify. Alerts follow rules
/// of their own and come late: they count, but are no guard.
fn newly_broken<'a>(
    verification: &PendingVerification,
    first: &BTreeSet<String>,
    counted: &[&'a Violation],
) -> Option<&'a str> {
    let new = counted.iter().find(|v| {
        v.source != Source::Alertmanager
            && !verification.rules.contains(&v.rule)
            && first.contains(&v.fingerprint)
            && v.active_since > verification.applied_at
    });
    new.map(|v| v.rule.as_str())
}

/// What other executions have done after `from`.
fn others<'a>(
    verification: &PendingVerification,
    sight: &CycleView<'a>,
    from: Time,
) -> impl Iterator<Item = &'a Entry> + use<'a> {
    let own = verification.execution_id;
    let sent = sight.sent.iter().filter(|e| e.end != End::Unsent);
    sent.filter(move |e| e.at > from && e.execution_id != own)
}

/// The components where that was, by which a control is left out.
fn touched(
    verification: &PendingVerification,
    sight: &CycleView<'_>,
    from: Time,
) -> BTreeSet<String> {
    others(verification, sight, from).map(|e| e.target.component().to_owned()).collect()
}

/// A series behind the evidence that this cycle did not read: its violation may be gone, or only out of sight.
fn out_of_sight(verification: &PendingVerification, sight: &CycleView<'_>) -> Option<String> {
    let lost = verification.measured.iter().find(|fp| !sight.values.contains_key(*fp))?;
    Some(format!("the series of violation {lost} is missing"))
}

/// Rules with counted violations in the scope, before or now.
fn rules<'a>(
    verification: &'a PendingVerification,
    counted: &[&'a Violation],
) -> BTreeSet<&'a str> {
    let now_broken = counted.iter().map(|v| v.rule.as_str());
    verification.rules.iter().map(String::as_str).chain(now_broken).collect()
}

/// Why this cycle is not good for the scope: the first of its rules that was not read well, or from samples older
/// than `oldest`.
fn blind_spot(
    verification: &PendingVerification,
    counted: &[&Violation],
    sight: &CycleView<'_>,
    oldest: Time,
) -> Option<String> {
    for name in rules(verification, counted) {
        let Some(status) = sight.rules.iter().find(|s| s.rule == name) else {
            match unlisted(name, verification, sight) {
                Some(why) => return Some(why),
                None => continue,
            }
        };
        if !status.good {
            let problem = status.problem.as_deref().unwrap_or("its data is missing");
            return Some(format!("rule {name}: {problem}"));
        }
        if status.oldest_sample.is_some_and(|at| at < oldest) {
            return Some(format!("rule {name}: its samples are older than the end of settling"));
        }
    }
    let unconfirmed = counted.iter().find(|v| v.source == Source::Alertmanager && !v.confirmed);
    unconfirmed.map(|v| format!("alert {} cannot be confirmed", v.rule))
}

/// Why nobody can say how an alert is, or a finding on something of the cluster.
fn unlisted(
    name: &str,
    verification: &PendingVerification,
    sight: &CycleView<'_>,
) -> Option<String> {
    let of_cluster = verification.target.system() == System::Kubernetes;
    let Some(kind) = FindingKind::of_cluster(name).filter(|_| of_cluster) else {
        let why = format!("alert {name} cannot be confirmed: Alertmanager was not read");
        return (!sight.alerts_read).then_some(why);
    };
    let reading = sight.cluster?;
    kind.is_hidden(reading, verification.target.namespace()).then(|| {
        let failed = reading.failures.values().next().map(|failure| failure.text.as_str());
        let why = failed.unwrap_or("an object of the cluster cannot be read");
        format!("finding {name} cannot be checked: {why}")
    })
}

/// A counter rule looks at what came after settling, and needs a window of its own for that.
fn too_early_to_count(
    verification: &PendingVerification,
    counted: &[&Violation],
    sight: &CycleView<'_>,
) -> Option<String> {
    let own_window = after(verification.settled_at, sight.poll_interval * COUNTER_POLLS);
    let rule =
        rules(verification, counted).into_iter().find(|name| sight.counters.contains(*name))?;
    (sight.now < own_window).then(|| {
        format!(
            "rule {rule} counts over a window that is not full since settling: too early to say"
        )
    })
}

/// Did the action help, by the count of violations: `before` were active at the intent, `after` in either of the two good
/// cycles that verify.
///
/// Missing data and foreign changes never come here: they are [`OutcomeType::Unknown`] whatever was counted.
#[must_use]
pub fn classify(before: usize, after: usize) -> OutcomeType {
    if before == 0 {
        // Whatever is broken now, the action was not taken against it.
        OutcomeType::Unknown
    } else if after == 0 {
        OutcomeType::Success
    } else if after > before {
        OutcomeType::Degradation
    } else if after <= before / 2 {
        // Whole halves: of 5, leaving 2 is at least half gone and leaving 3 is not.
        OutcomeType::Partial
    } else {
        OutcomeType::Ineffective
    }
}
