//! Alerts among the violations: an alert that names a rule confirms the rule's violations and counts for nothing
//! itself; one with a cause of its own is a violation; the rest is listed.

use uuid::Uuid;

use super::tracking::{Beginning, Changes, Tracker};
use crate::domain::Labels;
use crate::domain::alert::{Alert, AlertClass, AlertState};
use crate::domain::reading::{RuleStatus, Snapshot, Source};
use crate::domain::time::Time;
use crate::domain::violation::Violation;

pub(super) fn observe(
    tracker: &mut Tracker,
    snapshot: &Snapshot,
    changes: &mut Changes,
    new_id: &mut dyn FnMut() -> Uuid,
) {
    let now = snapshot.at;
    let view = &snapshot.alerts;
    let mut known: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    for alert in &view.alerts {
        let shown = match alert.class {
            AlertClass::Actionable | AlertClass::UnknownCause => true,
            AlertClass::NotOurs | AlertClass::Foreign | AlertClass::Ignored => false,
        };
        if !shown {
            continue;
        }
        let fp = alert_fingerprint(&alert.fingerprint);
        known.insert(fp.clone());
        let stands_alone = alert
            .rule
            .as_deref()
            .is_none_or(|rule| reading_is_missing(tracker, rule, alert, &changes.rules));
        match alert.state {
            _ if !stands_alone => tracker.drop_violation(&fp, changes),
            AlertState::Clear => tracker.clear(&fp, now, changes),
            AlertState::Firing => {
                let beginning =
                    Beginning { now, last_clear: None, good: true, onset: Some(alert.onset) };
                tracker.broken(&fp, beginning, || violation(alert, &fp, now), changes, new_id);
            }
            AlertState::Unconfirmed => {
                let beginning =
                    Beginning { now, last_clear: None, good: false, onset: Some(false) };
                tracker.broken(&fp, beginning, || violation(alert, &fp, now), changes, new_id);
            }
        }
    }
    if view.absence_proves_clear {
        let gone: Vec<String> = tracker
            .active()
            .filter(|v| v.source == Source::Alertmanager && !known.contains(&v.fingerprint))
            .map(|v| v.fingerprint.clone())
            .collect();
        for fp in gone {
            tracker.clear(&fp, now, changes);
        }
    }
}

/// The rule that an alert names cannot be read for the alert's series: only then does the alert stand for itself.
fn reading_is_missing(
    tracker: &Tracker,
    rule: &str,
    alert: &Alert,
    statuses: &[RuleStatus],
) -> bool {
    let good = statuses.iter().any(|s| s.rule == rule && s.good);
    // A violation of the rule that this alert agrees with is active: the alert only confirms it.
    let told = tracker.active().any(|v| {
        v.source != Source::Alertmanager && v.rule == rule && agrees(&alert.labels, &v.labels)
    });
    !good && !told
}

/// No label that both carry differs.
fn agrees(a: &Labels, b: &Labels) -> bool {
    a.iter().all(|(key, value)| b.get(key).is_none_or(|other| other == value))
}

/// The violation fingerprint of an alert with this fingerprint of Alertmanager's.
#[must_use]
pub fn alert_fingerprint(fingerprint: &str) -> String {
    format!("alert-{fingerprint}")
}

fn violation(alert: &Alert, fp: &str, now: Time) -> Violation {
    Violation {
        id: Uuid::nil(),
        fingerprint: fp.to_owned(),
        severity: alert.severity,
        source: Source::Alertmanager,
        rule: alert.rule.clone().unwrap_or_else(|| alert.name.clone()),
        metric: String::new(),
        value: None,
        threshold: None,
        comparison: None,
        component: alert.component.clone(),
        labels: alert.labels.clone(),
        description: if alert.description.is_empty() {
            format!("alert {} is firing", alert.name)
        } else {
            format!("alert {}: {}", alert.name, alert.description)
        },
        cause: alert.cause.clone(),
        detected_at: now,
        active_since: now,
        cleared_at: None,
        flapping: false,
        actionable: alert.class == AlertClass::Actionable,
        confirmed: false,
    }
}
