//! Did it help? Looks at an applied execution after its settle time and gives the verdict in the second good cycle.
//!
//! Pure. What is not known for sure is `unknown`, decided first; older samples than the end of settling never count.

use std::collections::BTreeSet;
use std::time::Duration;

use super::verdict::classify;
use crate::domain::outcome::{Judging, OutcomeType};
use crate::domain::reading::{RuleStatus, Source};
use crate::domain::time::{Time, after};
use crate::domain::violation::Violation;

/// What one cycle saw, as far as judging needs it.
#[derive(Debug)]
pub struct Sight<'a> {
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
    /// Charter's size, when it answered.
    pub replicas: Option<u32>,
    pub poll_interval: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ruling {
    pub outcome: OutcomeType,
    pub violations_after: usize,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// Not yet; the record to keep.
    Waiting(Judging),
    Ruled(Judging, Ruling),
}

/// A counter's own window is never shorter than this many polls, so its verdict waits for so many.
const COUNTER_POLLS: u32 = 3;

#[must_use]
pub fn look(judging: &Judging, sight: &Sight<'_>) -> Look {
    let mut judging = judging.clone();
    let unknown = |judging: Judging, reason: String| {
        let after = judging.first_look.as_ref().map_or(0, BTreeSet::len);
        Look::Ruled(
            judging,
            Ruling { outcome: OutcomeType::Unknown, violations_after: after, reason },
        )
    };
    if let Some(lost) = sight.vanished.iter().find(|fp| judging.before.contains(*fp)) {
        let reason = format!("violation {lost} vanished: its series was unseen for too long");
        return unknown(judging, reason);
    }
    let counted: Vec<&Violation> = sight
        .active
        .iter()
        .filter(|v| v.counts() && judging.scope.covers(v.component.as_deref()))
        .collect();
    if !counted.is_empty() {
        judging.clear_at = None;
    } else if blind_spot(&judging, &counted, sight, judging.applied_at).is_none() {
        // The effect may show long before the verdict is due.
        judging.clear_at.get_or_insert(sight.now);
    }
    let blind = blind_spot(&judging, &counted, sight, judging.settled_at)
        .or_else(|| too_early_to_count(&judging, &counted, sight));
    if sight.now < judging.settled_at {
        return Look::Waiting(judging);
    }
    let too_late = sight.now > judging.judge_by;
    if too_late || !sight.scheduled || blind.is_some() {
        return match blind {
            _ if !too_late => Look::Waiting(judging),
            Some(spot) => unknown(judging, format!("not judged in time: {spot}")),
            None => unknown(
                judging,
                "not judged in time: no two good cycles since it was due".to_owned(),
            ),
        };
    }
    match (judging.expected_replicas, sight.replicas) {
        (Some(_), None) => return Look::Waiting(judging),
        (Some(expected), Some(present)) if expected != present => {
            let reason = format!(
                "{present} replicas where {expected} were left: somebody else changed the size"
            );
            return unknown(judging, reason);
        }
        _ => {}
    }
    let seen: BTreeSet<String> = counted.iter().map(|v| v.fingerprint.clone()).collect();
    let Some(first) = &judging.first_look else {
        judging.first_look = Some(seen);
        return Look::Waiting(judging);
    };
    let after = first.union(&seen).count();
    let before = judging.before.len();
    let outcome = classify(before, after);
    let reason = match outcome {
        OutcomeType::Unknown => "nothing was broken before, so nothing can be said".to_owned(),
        _ => format!("violations: {before} before, {after} after"),
    };
    Look::Ruled(judging, Ruling { outcome, violations_after: after, reason })
}

/// Rules with counted violations in the scope, before or now.
fn rules<'a>(judging: &'a Judging, counted: &[&'a Violation]) -> BTreeSet<&'a str> {
    let now_broken = counted.iter().map(|v| v.rule.as_str());
    judging.rules.iter().map(String::as_str).chain(now_broken).collect()
}

/// Why this cycle is not good for the scope: the first of its rules that was not read well, or from samples older
/// than `oldest`.
fn blind_spot(
    judging: &Judging,
    counted: &[&Violation],
    sight: &Sight<'_>,
    oldest: Time,
) -> Option<String> {
    for name in rules(judging, counted) {
        let Some(status) = sight.rules.iter().find(|s| s.rule == name) else {
            if !sight.alerts_read {
                return Some(format!(
                    "alert {name} cannot be confirmed: Alertmanager was not read"
                ));
            }
            continue;
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

/// A counter rule looks at what came after settling, and needs a window of its own for that.
fn too_early_to_count(
    judging: &Judging,
    counted: &[&Violation],
    sight: &Sight<'_>,
) -> Option<String> {
    let own_window = after(judging.settled_at, sight.poll_interval * COUNTER_POLLS);
    let rule = rules(judging, counted).into_iter().find(|name| sight.counters.contains(*name))?;
    (sight.now < own_window)
        .then(|| format!("rule {rule} counts what came after settling: too early to tell"))
}
