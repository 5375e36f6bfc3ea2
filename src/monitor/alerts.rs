//! Alerts of the inbox and of Alertmanager's list, merged and classified. Pure.
//!
//! Alertmanager holds one alert for each fingerprint, so the last delivery of a fingerprint is the inbox's word and its
//! older episodes are over. The webhook is the wake-up and the list the truth: what the list says after a delivery,
//! stands.

mod known;
mod routing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use self::known::KnownAlerts;
pub use self::routing::{Meaning, Routing, ignored, is_own, name_of, wakes};

use crate::domain::Labels;
use crate::domain::alert::{
    Alert, AlertListing, AlertState, AlertStatus, AlertView, InboxAlert, ListedAlert, alert_key,
};
use crate::domain::reading::ReadFailure;
use crate::domain::time::Time;

/// Everything that a view of the alerts depends on.
#[derive(Clone, Copy, Debug)]
pub struct ViewInput<'a> {
    pub inbox: &'a [InboxAlert],
    /// `None` with Alertmanager off.
    pub listing: Option<Result<&'a AlertListing, &'a ReadFailure>>,
    pub known: &'a KnownAlerts,
    /// Receiver names that accepted payloads carried.
    pub learnt_receivers: &'a BTreeSet<String>,
    pub routing: Routing<'a>,
}

/// The alerts of one cycle: every one of the inbox, of the list, and those still open of which neither tells any more.
#[must_use]
pub fn view(input: ViewInput<'_>) -> AlertView {
    let Some(listing) = input.listing else { return AlertView::default() };
    let mut listed: BTreeMap<&str, &ListedAlert> = listing
        .iter()
        .flat_map(|listing| &listing.alerts)
        .filter(|alert| !is_own(&alert.labels))
        .map(|alert| (alert.fingerprint.as_str(), alert))
        .collect();
    let inbox: Vec<&InboxAlert> =
        input.inbox.iter().filter(|alert| !is_own(&alert.labels)).collect();
    let mut newest: BTreeMap<&str, &InboxAlert> = BTreeMap::new();
    for alert in &inbox {
        let held = newest.entry(&alert.fingerprint).or_insert(alert);
        if (alert.received_at, alert.starts_at) > (held.received_at, held.starts_at) {
            *held = alert;
        }
    }
    let mut alerts = Vec::with_capacity(inbox.len() + listed.len());
    for delivered in inbox {
        let superseded = newest[delivered.fingerprint.as_str()].key() != delivered.key();
        let in_list = listed.get(delivered.fingerprint.as_str()).copied();
        let (state, same) = if superseded {
            (AlertState::Clear, false)
        } else {
            delivered_state(delivered, in_list, listing, input.routing)
        };
        if same {
            listed.remove(delivered.fingerprint.as_str());
        }
        alerts.push(from_inbox(delivered, state, same, input));
    }
    if let Ok(listing) = listing {
        alerts.extend(listed.values().map(|alert| from_list(alert, listing.asked_at, input)));
    }
    let told: BTreeSet<String> = alerts.iter().map(|alert| alert.key.clone()).collect();
    let gone = absent(listing, input.routing);
    alerts.extend(
        input.known.open.values().filter(|alert| !told.contains(&alert.key)).map(|alert| Alert {
            state: gone,
            onset: false,
            ..alert.clone()
        }),
    );
    AlertView {
        alerts,
        failure: listing.err().cloned(),
        absence_proves_clear: gone == AlertState::Clear,
    }
}

/// The state of the last delivery of a fingerprint, and whether the list's entry is the same alert.
fn delivered_state(
    delivered: &InboxAlert,
    in_list: Option<&ListedAlert>,
    listing: Result<&AlertListing, &ReadFailure>,
    routing: Routing<'_>,
) -> (AlertState, bool) {
    let asked_later = listing.is_ok_and(|listing| listing.asked_at > delivered.received_at);
    match (delivered.status, in_list) {
        // Merging two senders' alerts moves the beginning back, never forward: a later one is another episode.
        (_, Some(entry)) if asked_later && entry.starts_at > delivered.starts_at => {
            (AlertState::Clear, false)
        }
        // Also after a resolve: an alert that had only timed out comes back under the same name.
        (_, Some(_)) if asked_later => (AlertState::Firing, true),
        // The resolve came after the list was asked for: the list's entry is the past.
        (AlertStatus::Resolved, entry) => (AlertState::Clear, entry.is_some()),
        (AlertStatus::Firing, Some(_)) => (AlertState::Firing, true),
        (AlertStatus::Firing, None) if listing.is_ok() && !asked_later => {
            (AlertState::Firing, false)
        }
        (AlertStatus::Firing, None) => (absent(listing, routing), false),
    }
}

/// What absence from the list means: nothing while the list is unread or its Alertmanager young.
fn absent(listing: Result<&AlertListing, &ReadFailure>, routing: Routing<'_>) -> AlertState {
    match listing {
        Ok(listing) if listing.up_for >= routing.settings.trust_absence_after => AlertState::Clear,
        Ok(_) | Err(_) => AlertState::Unconfirmed,
    }
}

fn from_inbox(
    delivered: &InboxAlert,
    state: AlertState,
    in_list: bool,
    input: ViewInput<'_>,
) -> Alert {
    let key = delivered.key();
    // What the first list since the start holds was there before us, delivered or not.
    let in_first_list = in_list && !input.known.has_listed();
    let onset = state == AlertState::Firing
        && !delivered.processed
        && !input.known.contains(&key)
        && !in_first_list;
    let meaning = input.routing.meaning(&delivered.labels, true);
    let identity = (key, delivered.fingerprint.clone(), delivered.received_at);
    alert(identity, &delivered.labels, &delivered.annotations, meaning, state, onset)
}

fn from_list(listed: &ListedAlert, asked_at: Time, input: ViewInput<'_>) -> Alert {
    let key = alert_key(&listed.fingerprint, listed.starts_at);
    // With a receiver of our own the list was asked for what is routed to it.
    let routed = input.routing.settings.receiver.is_some()
        || listed.receivers.iter().any(|name| input.learnt_receivers.contains(name));
    let onset = !input.known.contains(&key) && input.known.witnessed(asked_at);
    let meaning = input.routing.meaning(&listed.labels, routed);
    let received_at = input.known.first_seen(&key).unwrap_or(asked_at);
    let identity = (key, listed.fingerprint.clone(), received_at);
    alert(identity, &listed.labels, &listed.annotations, meaning, AlertState::Firing, onset)
}

fn alert(
    (key, fingerprint, received_at): (String, String, Time),
    labels: &Labels,
    annotations: &Labels,
    meaning: Meaning,
    state: AlertState,
    onset: bool,
) -> Alert {
    let name = name_of(labels).to_owned();
    let description = ["summary", "description", "message"]
        .iter()
        .find_map(|key| annotations.get(*key).filter(|text| !text.is_empty()))
        .cloned()
        .unwrap_or_else(|| format!("alert {name}"));
    let Meaning { severity, cause, rule, component, class } = meaning;
    Alert {
        key,
        fingerprint,
        name,
        labels: labels.clone(),
        description,
        severity,
        cause,
        rule,
        component,
        class,
        state,
        onset,
        received_at,
    }
}
