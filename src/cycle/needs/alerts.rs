//! Alerts that people are notified of because the loop does nothing about them: critical ones of unknown cause, too large or
//! not confirmed, and Grafana's reports of missing data.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::analyzer::alert_fingerprint;
use crate::domain::alert::{Alert, AlertClass, AlertState, NoEvidence};
use crate::domain::need::NeedReason as Reason;
use crate::domain::reading::Snapshot;
use crate::domain::rule::Severity;
use crate::domain::time::{Time, since};
use crate::incidents::NeedRequest;
use crate::monitor::AlertmanagerSettings;

/// One record stands for all that Grafana misses: a data source that is away is one trouble of many rules.
const GRAFANA: &str = "grafana";

/// As many of the loop's intervals an alert may go without a word from its list, while that is read again or a webhook is
/// on its way.
const INTERVALS: u32 = 3;

/// Rules of Grafana named in it.
const NAMED: usize = 5;

/// `active`: fingerprints of the active violations. `unconfirmed_since`: what earlier calls noted, of which this one keeps
/// only alerts of this snapshot.
pub(super) fn wanted(
    snapshot: &Snapshot,
    active: &BTreeSet<String>,
    settings: &AlertmanagerSettings,
    interval: Duration,
    unconfirmed_since: &mut BTreeMap<String, Time>,
) -> Vec<NeedRequest> {
    let alerts = &snapshot.alerts.alerts;
    let age = |alert: &Alert| since(snapshot.at, alert.received_at);
    let is_active = |alert: &Alert| active.contains(&alert_fingerprint(&alert.fingerprint));
    let before = std::mem::take(unconfirmed_since);
    for alert in alerts.iter().filter(|alert| unconfirmed(alert).is_some() && is_active(alert)) {
        let began = before.get(&alert.fingerprint).copied().unwrap_or(snapshot.at);
        unconfirmed_since.insert(alert.fingerprint.clone(), began);
    }
    let lasts = |alert: &Alert| {
        // The webhook of an alert that joins a group comes up to a group_interval after the list has it.
        let is_on_its_way = alert.no_evidence == Some(NoEvidence::MutingUnknown);
        let patience = if is_on_its_way { settings.confirm_within } else { Duration::ZERO };
        let began = unconfirmed_since.get(&alert.fingerprint);
        began.is_some_and(|at| since(snapshot.at, *at) > patience.max(interval * INTERVALS))
    };
    let critical = alerts.iter().filter(|alert| alert.severity == Severity::Critical);
    let of_one = critical.filter_map(|alert| match (alert.class, &alert.no_evidence) {
        (AlertClass::TooLarge, _) if is_notified(alert) => Some(one(
            Reason::UnknownAlert,
            alert,
            "critical alert with more labels than are kept (128, 16 KiB together), so that nothing is done about it",
        )),
        (AlertClass::Actionable | AlertClass::UnknownCause, Some(NoEvidence::Unlisted)) => {
            // An alert that came and went before the list was read is no news: its resolution is on the way.
            (age(alert) > settings.confirm_within).then(|| {
                let filter = settings.receiver.as_ref().map_or_else(String::new, |name| {
                    format!(", of which only what is routed to alertmanager.receiver {name:?} is read,")
                });
                let why = format!(
                    "critical alert that only a webhook brought: Alertmanager's list (alertmanager.url){filter} does not \
                     have it, so that nothing is done about it"
                );
                one(Reason::UnconfirmedAlert, alert, &why)
            })
        }
        (AlertClass::Actionable, _) if lasts(alert) => {
            unconfirmed(alert).map(|why| one(Reason::UnconfirmedAlert, alert, why))
        }
        (AlertClass::UnknownCause, why) if is_notified(alert) => {
            // One that cleared long ago and is only unconfirmed since Alertmanager restarted is no news.
            let fresh = age(alert) <= interval * INTERVALS;
            let stands = match why {
                None | Some(NoEvidence::MutingUnknown | NoEvidence::RouteUnknown(_)) => true,
                Some(NoEvidence::ListUnread | NoEvidence::ListYoung) => {
                    fresh || is_active(alert)
                }
                Some(NoEvidence::NotListedYet | NoEvidence::Unlisted | NoEvidence::HeldBack(_)) => false,
            };
            stands.then(|| {
                let why = "critical alert without a known cause (alertmanager.handlers)";
                one(Reason::UnknownAlert, alert, why)
            })
        }
        _ => None,
    });
    of_one.chain(missing_data(alerts)).collect()
}

/// Why nothing is done about an alert that would be acted on, if only somebody confirmed it.
fn unconfirmed(alert: &Alert) -> Option<&'static str> {
    match alert.no_evidence {
        Some(NoEvidence::MutingUnknown) => Some(
            "critical alert that a time interval may mute: this Alertmanager does not say so (0.28 and later do) and no \
             authenticated webhook brought it, so that nothing is done about it. Look whether it is muted; send the webhook of \
             its route here with alertmanager.webhook_token, or upgrade Alertmanager",
        ),
        Some(NoEvidence::RouteUnknown(_)) => Some(
            "critical alert that a time interval mutes on one of its routes and not on another, so that nothing is done about \
             it. Set alertmanager.receiver to the receiver that leads here: then only its routes count",
        ),
        Some(NoEvidence::ListUnread) => Some(
            "critical alert that cannot be confirmed, because Alertmanager's list (alertmanager.url) cannot be read, so that \
             nothing is done about it",
        ),
        Some(NoEvidence::ListYoung) => Some(
            "critical alert that cannot be confirmed, because Alertmanager restarted and its list does not have it, so that \
             nothing is done about it",
        ),
        None | Some(NoEvidence::NotListedYet | NoEvidence::Unlisted | NoEvidence::HeldBack(_)) => {
            None
        }
    }
}

/// Not over, and not one that somebody has silenced.
fn is_notified(alert: &Alert) -> bool {
    match alert.state {
        AlertState::Firing | AlertState::Unconfirmed => true,
        AlertState::HeldBack => alert.no_evidence == Some(NoEvidence::MutingUnknown),
        AlertState::Clear => false,
    }
}

fn one(reason: Reason, alert: &Alert, why: &str) -> NeedRequest {
    let detail = format!("{why}: {}", alert.description);
    NeedRequest {
        component: alert.component.clone(),
        evidence: vec![alert_fingerprint(&alert.fingerprint)],
        ..NeedRequest::new(reason, &alert.name, detail)
    }
}

fn missing_data(alerts: &[Alert]) -> Option<NeedRequest> {
    let missing: Vec<&Alert> = alerts
        .iter()
        .filter(|alert| alert.class == AlertClass::MissingData && is_notified(alert))
        .collect();
    let rules: BTreeSet<&str> = missing
        .iter()
        .map(|alert| alert.labels.get("rulename").map_or(alert.name.as_str(), String::as_str))
        .collect();
    let named: Vec<&str> = rules.iter().take(NAMED).copied().collect();
    let rest = rules.len() - named.len();
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let detail = format!(
        "Grafana has no data for, or cannot evaluate, {}{rest}: missing data is no evidence, and nothing is done \
         about it. Check the data source",
        named.join(", ")
    );
    (!missing.is_empty()).then(|| NeedRequest {
        evidence: missing.iter().map(|alert| alert_fingerprint(&alert.fingerprint)).collect(),
        ..NeedRequest::new(Reason::DataMissing, GRAFANA, detail)
    })
}
