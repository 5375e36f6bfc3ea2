//! Alerts of the inbox and of Alertmanager's list, merged and classified. Pure.
//!
//! Alertmanager holds one alert for each fingerprint, so the last delivery of a fingerprint is the inbox's word and its
//! older episodes are over. The webhook is the wake-up and the list the truth: only what the list has is evidence, in
//! the list's own words, and only while Alertmanager does not hold it back.

mod known;
mod routing;

use std::collections::{BTreeMap, BTreeSet};

pub use self::known::KnownAlerts;
pub use self::routing::{Meaning, Routing, ignored, is_own, name_of, wakes};

use crate::domain::Labels;
use crate::domain::alert::{
    Alert, AlertClass, AlertListing, AlertRoute, AlertState, AlertStatus, AlertView, InboxAlert,
    ListedAlert, NoEvidence,
};
use crate::domain::reading::ReadFailure;
use crate::domain::time::Time;
use crate::monitor::webhook;

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

/// Time intervals named for one alert.
const MUTED_BY: usize = 5;

/// The view of one cycle, and what the next one needs to know of it.
#[derive(Debug, Default)]
pub struct Seen {
    pub view: AlertView,
    /// Keys of the list's entries that a delivery has outweighed, as long as the list has them.
    pub outweighed: BTreeSet<String>,
}

/// The alerts of one cycle: every one of the inbox, of the list, and those still open of which neither says anything any more.
#[must_use]
pub fn view(input: ViewInput<'_>) -> Seen {
    let Some(listing) = input.listing else { return Seen::default() };
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
    let mut unknown_severities = UnknownSeverities::default();
    let mut outweighed = input.known.outweighed.clone();
    if listing.is_ok() {
        let keys: BTreeSet<String> = listed.values().map(|entry| entry.key()).collect();
        outweighed.retain(|key| keys.contains(key));
    }
    let mut alerts = Vec::with_capacity(inbox.len() + listed.len());
    for delivered in inbox {
        let superseded = newest[delivered.fingerprint.as_str()].key() != delivered.key();
        let in_list = listed.get(delivered.fingerprint.as_str()).copied();
        let word = if superseded {
            Word { state: AlertState::Clear, no_evidence: None, same: None }
        } else {
            last_word(delivered, in_list, listing, input)
        };
        if let Some(entry) = word.same {
            listed.remove(delivered.fingerprint.as_str());
            if word.state == AlertState::Clear {
                outweighed.insert(entry.key());
            }
        }
        alerts.push(from_inbox(delivered, word, input, &mut unknown_severities));
    }
    if let Ok(listing) = listing {
        let keys: BTreeSet<String> = if listing.tells_muting {
            BTreeSet::new()
        } else {
            input.inbox.iter().map(InboxAlert::key).collect()
        };
        for alert in listed.values() {
            alerts.push(from_list(alert, listing, &keys, input, &mut unknown_severities));
        }
    }
    let told: BTreeSet<String> = alerts.iter().map(|alert| alert.key.clone()).collect();
    let (gone, why) = absent(listing, input.routing);
    alerts.extend(input.known.open.values().filter(|alert| !told.contains(&alert.key)).map(
        |alert| Alert { state: gone, no_evidence: why.clone(), onset: false, ..alert.clone() },
    ));
    let view = AlertView {
        alerts,
        failure: listing.err().cloned(),
        absence_proves_clear: gone == AlertState::Clear,
        muting_unnotified: listing.is_ok_and(|l| !l.tells_muting && !l.alerts.is_empty()),
        unknown_severities: unknown_severities.0,
    };
    Seen { view, outweighed }
}

/// What is to be believed of the last delivery of a fingerprint.
struct Word<'a> {
    state: AlertState,
    no_evidence: Option<NoEvidence>,
    /// The list's entry of the same alert.
    same: Option<&'a ListedAlert>,
}

fn last_word<'a>(
    delivered: &InboxAlert,
    in_list: Option<&'a ListedAlert>,
    listing: Result<&AlertListing, &ReadFailure>,
    input: ViewInput<'_>,
) -> Word<'a> {
    let plain = |state, no_evidence, same| Word { state, no_evidence, same };
    let Ok(list) = listing else {
        return match delivered.status {
            AlertStatus::Resolved => plain(AlertState::Clear, None, None),
            AlertStatus::Firing => {
                plain(AlertState::Unconfirmed, Some(NoEvidence::ListUnread), None)
            }
        };
    };
    let asked_later = list.asked_at > delivered.received_at;
    match (delivered.status, in_list) {
        // Merging two senders' alerts moves the beginning back, never forward: a later one is another episode.
        (_, Some(entry)) if asked_later && entry.starts_at > delivered.starts_at => {
            plain(AlertState::Clear, None, None)
        }
        // The resolve came after the list was asked for, so the list's entry may be the past: for one cycle. However often
        // a sender repeats itself, it does not hide a second time what the list still has.
        (AlertStatus::Resolved, Some(entry))
            if !asked_later && !input.known.was_outweighed(&entry.key()) =>
        {
            plain(AlertState::Clear, None, Some(entry))
        }
        // Also after a resolve: an alert that had only timed out comes back under the same name.
        (_, Some(entry)) => {
            let (state, why) = held_back(entry, list, true, input);
            plain(state, why, Some(entry))
        }
        (AlertStatus::Resolved, None) => plain(AlertState::Clear, None, None),
        (AlertStatus::Firing, None) if !asked_later => {
            plain(AlertState::Unconfirmed, Some(NoEvidence::NotListedYet), None)
        }
        (AlertStatus::Firing, None) => match absent(listing, input.routing) {
            (AlertState::Clear, _) if !delivered.listed => {
                plain(AlertState::Unconfirmed, Some(NoEvidence::Unlisted), None)
            }
            (state, why) => plain(state, why, None),
        },
    }
}

/// What absence from the list means: nothing while the list is unread or its Alertmanager young.
fn absent(
    listing: Result<&AlertListing, &ReadFailure>,
    routing: Routing<'_>,
) -> (AlertState, Option<NoEvidence>) {
    match listing {
        Ok(listing) if listing.up_for >= routing.settings.trust_absence_after => {
            (AlertState::Clear, None)
        }
        Ok(_) => (AlertState::Unconfirmed, Some(NoEvidence::ListYoung)),
        Err(_) => (AlertState::Unconfirmed, Some(NoEvidence::ListUnread)),
    }
}

/// Does Alertmanager itself hold this alert back from us? `delivered`: a webhook of ours brought it.
fn held_back(
    entry: &ListedAlert,
    listing: &AlertListing,
    delivered: bool,
    input: ViewInput<'_>,
) -> (AlertState, Option<NoEvidence>) {
    let held = |why| (AlertState::HeldBack, Some(NoEvidence::HeldBack(why)));
    if let Some(why) = &entry.suppressed {
        return held(why.clone());
    }
    let settings = input.routing.settings;
    let ours = |route: &&AlertRoute| match &settings.receiver {
        Some(receiver) => *receiver == route.receiver,
        None => {
            settings.webhook_token.is_some() && input.learnt_receivers.contains(&route.receiver)
        }
    };
    let mut routes: Vec<&AlertRoute> = entry.routes.iter().filter(ours).collect();
    // One open route to our receiver is enough. Names learnt from payloads of anybody prove nothing, since a sender makes
    // them up: without the key and without a token, every muted route holds the alert back.
    let known = !routes.is_empty();
    if !known {
        routes = entry.routes.iter().collect();
    }
    let (muted, open): (Vec<&AlertRoute>, Vec<&AlertRoute>) =
        routes.into_iter().partition(|route| !route.muted_by.is_empty());
    if !muted.is_empty() && (!known || open.is_empty()) {
        let intervals: BTreeSet<&str> =
            muted.iter().flat_map(|route| &route.muted_by).map(String::as_str).collect();
        let intervals: Vec<&str> = intervals.into_iter().take(MUTED_BY).collect();
        let muted = format!("muted by time interval {}", intervals.join(", "));
        if !open.is_empty() {
            return (AlertState::HeldBack, Some(NoEvidence::RouteUnknown(muted)));
        }
        return held(muted);
    }
    let is_proof = delivered && settings.authenticates_webhooks();
    if !listing.tells_muting && !is_proof {
        return (AlertState::HeldBack, Some(NoEvidence::MutingUnknown));
    }
    (AlertState::Firing, None)
}

fn from_inbox(
    delivered: &InboxAlert,
    word: Word<'_>,
    input: ViewInput<'_>,
    unknown_severities: &mut UnknownSeverities,
) -> Alert {
    let key = delivered.key();
    // What the first list since the start holds was there before us, delivered or not.
    let in_first_list = word.same.is_some() && !input.known.has_listed();
    let is_new = !delivered.processed || input.known.awaits(&key);
    let onset =
        word.state == AlertState::Firing && is_new && !input.known.contains(&key) && !in_first_list;
    // A delivery may carry anything under the name of an alert that is listed.
    let (labels, annotations) = match word.same {
        Some(entry) => (&entry.labels, &entry.annotations),
        None => (&delivered.labels, &delivered.annotations),
    };
    let meaning = match word.same {
        None => input.routing.of_delivery(delivered),
        Some(entry) => input.routing.meaning(&entry.labels, &entry.annotations, true),
    };
    if !delivered.processed {
        unknown_severities.count(meaning.unknown_severity.as_deref());
    }
    let identity = (key, delivered.fingerprint.clone(), delivered.received_at);
    alert(identity, (labels, annotations), meaning, (word.state, word.no_evidence), onset)
}

fn from_list(
    listed: &ListedAlert,
    listing: &AlertListing,
    delivered: &BTreeSet<String>,
    input: ViewInput<'_>,
    unknown_severities: &mut UnknownSeverities,
) -> Alert {
    let key = listed.key();
    // With a receiver of our own the list was asked for what is routed to it.
    let routed = input.routing.settings.receiver.is_some()
        || listed.receivers.iter().any(|name| input.learnt_receivers.contains(name));
    let is_new = !input.known.contains(&key);
    let asked_at = listing.asked_at;
    let (state, why) = held_back(listed, listing, delivered.contains(&key), input);
    let onset = state == AlertState::Firing && is_new && input.known.witnessed(asked_at);
    let meaning = input.routing.meaning(&listed.labels, &listed.annotations, routed);
    if is_new {
        unknown_severities.count(meaning.unknown_severity.as_deref());
    }
    let received_at = input.known.first_seen(&key).unwrap_or(asked_at);
    let identity = (key, listed.fingerprint.clone(), received_at);
    alert(identity, (&listed.labels, &listed.annotations), meaning, (state, why), onset)
}

fn alert(
    (key, fingerprint, received_at): (String, String, Time),
    (labels, annotations): (&Labels, &Labels),
    meaning: Meaning,
    (state, no_evidence): (AlertState, Option<NoEvidence>),
    onset: bool,
) -> Alert {
    let name = webhook::shortened(name_of(labels));
    let description = ["summary", "description", "message"]
        .iter()
        .find_map(|key| annotations.get(*key).filter(|text| !text.is_empty()))
        .cloned()
        .unwrap_or_else(|| format!("alert {name}"));
    let Meaning { severity, cause, rule, component, target, class, .. } = meaning;
    Alert {
        key,
        fingerprint,
        name,
        labels: if class == AlertClass::TooLarge {
            webhook::naming(labels)
        } else {
            labels.clone()
        },
        description,
        severity,
        cause,
        rule,
        component,
        target,
        class,
        state,
        no_evidence,
        onset,
        received_at,
    }
}

/// Words that nobody knows, bounded: a sender makes up as many as it likes.
#[derive(Default)]
struct UnknownSeverities(BTreeMap<String, u64>);

impl UnknownSeverities {
    const WORDS: usize = 100;
    const CHARS: usize = 64;

    fn count(&mut self, word: Option<&str>) {
        let Some(word) = word else { return };
        let word: String = word.chars().take(Self::CHARS).collect();
        let known = if self.0.len() < Self::WORDS || self.0.contains_key(&word) {
            word
        } else {
            "others".to_owned()
        };
        *self.0.entry(known).or_default() += 1;
    }
}
