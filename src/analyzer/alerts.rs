//! Alerts among the violations: an alert that names a rule confirms the rule's violations and counts for nothing
//! itself; one with a cause of its own is a violation; the rest is listed. One that Alertmanager holds back is none; one that
//! its list does not confirm is shown with the reason and is evidence for nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::tracked::Beginning;
use super::tracking::{Changes, Tracker};
use crate::domain::Labels;
use crate::domain::alert::{Alert, AlertClass, AlertState, NoEvidence};
use crate::domain::incident::Absence;
use crate::domain::legible;
use crate::domain::reading::{Snapshot, Source};
use crate::domain::rule::ComponentFrom;
use crate::domain::target::Systems;
use crate::domain::time::Time;
use crate::domain::violation::Violation;

pub(super) fn observe(
    tracker: &mut Tracker,
    snapshot: &Snapshot,
    changes: &mut Changes,
    new_id: &mut dyn FnMut() -> Uuid,
) {
    let now = snapshot.at;
    let systems = tracker.settings.systems.clone();
    let alerts = by_fingerprint(&snapshot.alerts.alerts);
    let rules = index(tracker, snapshot, changes, alerts.values().copied());
    let is_listening = is_listening(snapshot);
    let is_whole = !is_listening || snapshot.alerts.absence_proves_clear;
    let held_back = &mut tracker.held_back;
    held_back.is_known = is_whole;
    let before = std::mem::take(&mut held_back.alerts);
    held_back.over.clear();
    let left = before.into_iter().filter(|fp| !alerts.contains_key(fp));
    if !is_whole {
        held_back.alerts.extend(left);
    } else if is_listening {
        held_back.over.extend(left);
    }
    for (fp, alert) in &alerts {
        if let Some(rule) = alert.rule.as_deref().and_then(|name| rules.get(name)) {
            let told: Vec<&String> = rule.agreeing(&alert.labels).collect();
            if alert.state == AlertState::Firing {
                for own in &told {
                    tracker.confirm(own);
                }
            }
            // The rule's own reading decides; a violation of it that agrees is already there.
            if rule.good || !told.is_empty() {
                tracker.drop_violation(fp, changes);
                continue;
            }
        }
        let beginning = |good, onset| Beginning { now, good, onset };
        tracker.redescribe_alert(fp, alert, changes);
        if alert.state == AlertState::HeldBack {
            tracker.held_back.alerts.insert(fp.clone());
        }
        match alert.state {
            // It may be muted or not: shown with the reason, and evidence for nothing.
            AlertState::HeldBack
                if alert.no_evidence.as_ref().is_some_and(NoEvidence::may_be_muted) =>
            {
                let described = || violation(alert, fp, now, &systems);
                tracker.broken(fp, beginning(false, false), described, changes, new_id);
            }
            // It has not recovered: nothing that was done about it may be called a success.
            AlertState::HeldBack => tracker.drop_violation(fp, changes),
            AlertState::Clear => tracker.clear(fp, now, changes),
            AlertState::Firing => {
                let described = || violation(alert, fp, now, &systems);
                tracker.broken(fp, beginning(true, alert.onset), described, changes, new_id);
            }
            // What was seen clear opens again only when somebody can say so.
            AlertState::Unconfirmed if tracker.violations.get(fp).is_some_and(|t| !t.active) => {}
            AlertState::Unconfirmed => {
                let described = || violation(alert, fp, now, &systems);
                tracker.broken(fp, beginning(false, false), described, changes, new_id);
            }
        }
    }
    let no_evidence = without_evidence(&snapshot.alerts.alerts);
    tracker.onsets.retain(|onset| !no_evidence.contains(&onset.fingerprint));
    absent(tracker, snapshot, &alerts, changes);
}

/// Violation fingerprints of alerts that may fire and that nothing may be done about: their beginnings complete no pattern.
fn without_evidence(alerts: &[Alert]) -> HashSet<String> {
    alerts
        .iter()
        .filter(|alert| alert.state != AlertState::Clear)
        // A delivery that came while the list was being read changes nothing of what is known: the next list does.
        .filter(|alert| alert.no_evidence != Some(NoEvidence::NotListedYet))
        .filter(|alert| alert.class != AlertClass::Actionable || !counts(alert))
        .map(|alert| alert_fingerprint(&alert.fingerprint))
        .collect()
}

fn is_listening(snapshot: &Snapshot) -> bool {
    snapshot.alerts.failure.is_some()
        || snapshot.sources.iter().any(|s| s.source == Source::Alertmanager)
}

/// What is in no list any more: clear where that proves it, vanished where nobody listens to Alertmanager any longer.
fn absent(
    tracker: &mut Tracker,
    snapshot: &Snapshot,
    alerts: &BTreeMap<String, &Alert>,
    changes: &mut Changes,
) {
    let view = &snapshot.alerts;
    let listening = is_listening(snapshot);
    if listening && !view.absence_proves_clear {
        return;
    }
    let gone: Vec<String> = tracker
        .active()
        .filter(|v| v.source == Source::Alertmanager && !alerts.contains_key(&v.fingerprint))
        .map(|v| v.fingerprint.clone())
        .collect();
    for fp in gone {
        if listening {
            tracker.clear(&fp, snapshot.at, changes);
        } else {
            tracker.drop_violation(&fp, changes);
        }
    }
}

/// One alert a fingerprint: its older episodes are over, so the liveliest word on it stands, of two alike the newer.
fn by_fingerprint(alerts: &[Alert]) -> BTreeMap<String, &Alert> {
    let weight = |alert: &Alert| match alert.state {
        AlertState::Firing => 2,
        AlertState::Unconfirmed | AlertState::HeldBack => 1,
        AlertState::Clear => 0,
    };
    let mut by: BTreeMap<String, &Alert> = BTreeMap::new();
    for alert in alerts {
        match alert.class {
            AlertClass::Actionable | AlertClass::UnknownCause => {}
            AlertClass::NotOurs
            | AlertClass::Foreign
            | AlertClass::Ignored
            | AlertClass::MissingData
            | AlertClass::TooLarge => continue,
        }
        let held = by.entry(alert_fingerprint(&alert.fingerprint)).or_insert(alert);
        if (weight(alert), alert.received_at) > (weight(held), held.received_at) {
            *held = alert;
        }
    }
    by
}

/// The active violations of one rule that alerts name. An alert that carries the rule's component label is compared
/// with that component's violations only, so that many alerts of one rule do not meet all of its violations.
struct Named<'a> {
    good: bool,
    component_label: Option<&'a str>,
    by_component: HashMap<Option<String>, Vec<(String, Labels)>>,
}

fn index<'a>(
    tracker: &Tracker,
    snapshot: &'a Snapshot,
    changes: &Changes,
    alerts: impl Iterator<Item = &'a Alert>,
) -> HashMap<&'a str, Named<'a>> {
    let named: HashSet<&str> = alerts.filter_map(|alert| alert.rule.as_deref()).collect();
    let good: HashSet<&str> =
        changes.rules.iter().filter(|s| s.good).map(|s| s.rule.as_str()).collect();
    let mut rules: HashMap<&str, Named<'_>> = snapshot
        .readings
        .iter()
        .filter(|reading| named.contains(reading.rule.name.as_str()))
        .map(|reading| {
            let component_label = match &reading.rule.component {
                ComponentFrom::Label(label) => Some(label.as_str()),
                ComponentFrom::Fixed(_) => None,
            };
            let name = reading.rule.name.as_str();
            let good = good.contains(name);
            (name, Named { good, component_label, by_component: HashMap::new() })
        })
        .collect();
    // Where everything is confirmed there is nothing that an alert could add.
    let open = tracker.active().filter(|v| v.source.is_metrics() && !v.confirmed);
    for violation in open {
        if let Some(rule) = rules.get_mut(violation.rule.as_str()) {
            let component = rule.component_label.and_then(|l| violation.labels.get(l)).cloned();
            let entry = (violation.fingerprint.clone(), violation.labels.clone());
            rule.by_component.entry(component).or_default().push(entry);
        }
    }
    rules
}

impl Named<'_> {
    /// Fingerprints of the violations whose labels these do not contradict.
    fn agreeing(&self, labels: &Labels) -> impl Iterator<Item = &String> {
        let component = self.component_label.and_then(|label| labels.get(label));
        let buckets: Vec<&Vec<(String, Labels)>> = match component {
            // One that carries the label, and those that do not.
            Some(_) => [component.cloned(), None]
                .iter()
                .filter_map(|key| self.by_component.get(key))
                .collect(),
            None => self.by_component.values().collect(),
        };
        let labels = labels.clone();
        buckets.into_iter().flatten().filter(move |(_, own)| agrees(&labels, own)).map(|(fp, _)| fp)
    }
}

/// No label that both carry differs.
fn agrees(a: &Labels, b: &Labels) -> bool {
    a.iter().all(|(key, value)| b.get(key).is_none_or(|other| other == value))
}

/// The alerts that Alertmanager held back when it last said so.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    alerts: BTreeSet<String>,
    /// Those that it no longer had in the last cycle.
    over: BTreeSet<String>,
    /// All that Alertmanager has was read in the last cycle, or nobody listens to it.
    is_known: bool,
}

const ALERT: &str = "alert-";

/// The violation fingerprint of an alert with this fingerprint of Alertmanager's.
#[must_use]
pub fn alert_fingerprint(fingerprint: &str) -> String {
    format!("{ALERT}{fingerprint}")
}

/// What Alertmanager's list, which could be read, does not have counts for nothing. While the list itself cannot be read or
/// relied on, an alert still counts as something that is wrong, and is no evidence either.
fn counts(alert: &Alert) -> bool {
    match &alert.no_evidence {
        None | Some(NoEvidence::ListUnread | NoEvidence::ListYoung) => true,
        Some(
            NoEvidence::HeldBack(_)
            | NoEvidence::MutingUnknown
            | NoEvidence::RouteUnknown(_)
            | NoEvidence::NotListedYet
            | NoEvidence::Unlisted,
        ) => false,
    }
}

impl Tracker {
    /// What it means that a violation of this fingerprint is not among those that count.
    #[must_use]
    pub fn absence(&self, fp: &str) -> Absence {
        if self.held_back.alerts.contains(fp) {
            return Absence::Muted;
        }
        match self.violations.get(fp) {
            Some(tracked) if !tracked.active => Absence::Clear,
            Some(tracked) if tracked.record.violation.counts() => Absence::Unread,
            _ if self.held_back.over.contains(fp) => Absence::Clear,
            _ if fp.starts_with(ALERT) && !self.held_back.is_known => Absence::Unread,
            Some(_) | None => Absence::Vanished,
        }
    }

    /// An active violation follows what its alert is now: unconfirmed, or evidence again.
    fn redescribe_alert(&mut self, fp: &str, alert: &Alert, changes: &mut Changes) {
        let Some(tracked) = self.violations.get_mut(fp).filter(|t| t.active) else { return };
        let violation = &mut tracked.record.violation;
        let actionable = alert.class == AlertClass::Actionable && counts(alert);
        let no_evidence = alert.no_evidence.as_ref().map(ToString::to_string);
        // A delivery that came while the list was being read changes nothing of what is known: the next list does.
        let held = alert.state == AlertState::HeldBack
            && !alert.no_evidence.as_ref().is_some_and(NoEvidence::may_be_muted);
        if held
            || alert.state == AlertState::Clear
            || alert.no_evidence == Some(NoEvidence::NotListedYet)
            || (violation.actionable, &violation.no_evidence) == (actionable, &no_evidence)
        {
            return;
        }
        if violation.actionable && !actionable {
            // It has not recovered: nothing that was done about it may be called a success.
            changes.vanished.push(fp.to_owned());
        }
        violation.actionable = actionable;
        violation.no_evidence = no_evidence;
        self.mark_unsaved(fp);
    }
}

fn violation(alert: &Alert, fp: &str, now: Time, systems: &Systems) -> Violation {
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
        target: systems.target(alert.component.as_deref(), &alert.labels, alert.target.as_ref()),
        labels: alert.labels.clone(),
        description: if alert.description.is_empty() {
            format!("alert {} is firing", legible::name(&alert.name))
        } else {
            format!("alert {}: {}", legible::name(&alert.name), alert.description)
        },
        cause: alert.cause.clone(),
        detected_at: now,
        active_since: now,
        cleared_at: None,
        flapping: false,
        actionable: alert.class == AlertClass::Actionable && counts(alert),
        confirmed: false,
        no_evidence: alert.no_evidence.as_ref().map(ToString::to_string),
    }
}
