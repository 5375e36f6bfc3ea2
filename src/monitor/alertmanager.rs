//! Alertmanager's API: its alerts, what holds them back there, and how long it has been up. The webhook is only the wake-up.
//!
//! The groups of its routes are read where they tell which routes a time interval mutes (0.28 and later), else the plain
//! list. What is silenced, inhibited or muted is read too, so that it can be shown with the reason.
//!
//! One entry that cannot be read fails the whole list: left out it would look absent, and absent means clear.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;

use super::AlertmanagerSettings;
use super::http::{Budget, Peer, Reply, shorten};
use super::webhook::derived_fingerprint;
use crate::clock::Clock;
use crate::domain::Labels;
use crate::domain::alert::{AlertListing, AlertRoute, ListedAlert};
use crate::domain::reading::{FailureKind, ReadFailure, Source};
use crate::domain::time::{Time, since};
use crate::http::{Access, HttpTransport};

const LIST: &str = "api/v2/alerts";
const GROUPS: &str = "api/v2/alerts/groups";

/// What Alertmanager holds back, too. Its defaults are the same; other servers may have others.
const EVERYTHING: [(&str, &str); 3] =
    [("active", "true"), ("silenced", "true"), ("inhibited", "true")];

#[derive(Debug)]
pub struct Alertmanager {
    peer: Peer,
    /// Our receiver's name as the regular expression that matches it alone.
    receiver: Option<String>,
    clock: Clock,
    /// It has said in this process which alerts are muted: its plain list, which does not say so, is never read again.
    has_notified_muting: AtomicBool,
}

#[derive(Deserialize)]
struct Gettable {
    #[serde(default)]
    fingerprint: String,
    #[serde(rename = "startsAt")]
    starts_at: Time,
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    #[serde(default)]
    receivers: Vec<Receiver>,
    #[serde(default)]
    status: Suppression,
}

#[derive(Deserialize)]
struct Receiver {
    name: String,
}

#[derive(Default, Deserialize)]
struct Suppression {
    #[serde(default)]
    state: Option<String>,
    #[serde(default, rename = "silencedBy")]
    silenced_by: Option<Vec<String>>,
    #[serde(default, rename = "inhibitedBy")]
    inhibited_by: Option<Vec<String>>,
    /// The time intervals that mute the route; only in groups, and only of a server that reports them.
    #[serde(default, rename = "mutedBy")]
    muted_by: Option<Vec<String>>,
}

/// One entry of `GET /api/v2/alerts/groups`.
#[derive(Deserialize)]
struct Group {
    receiver: Receiver,
    alerts: Vec<Gettable>,
}

#[derive(Deserialize)]
struct Status {
    /// When it started, by its own clock.
    uptime: Time,
}

impl Alertmanager {
    #[must_use]
    pub fn with_transport(
        wire: Arc<dyn HttpTransport>,
        settings: &AlertmanagerSettings,
        clock: Clock,
    ) -> Self {
        let url = settings.url.clone();
        let access =
            Access { section: "alertmanager", http: settings.http.as_deref(), token: None };
        let peer = Peer::new(Source::Alertmanager, url, "alertmanager.url", access, wire);
        let receiver = settings.receiver.as_deref().map(|name| format!("^{}$", escaped(name)));
        Self { peer, receiver, clock, has_notified_muting: AtomicBool::new(false) }
    }

    /// The alerts first and the status after them: an Alertmanager that restarts between them is then seen as young, and
    /// the empty list of a restart is never believed.
    pub async fn list(&self, deadline: Instant) -> Result<AlertListing, ReadFailure> {
        let budget = Budget::of_one_cycle();
        let asked_at = self.clock.now();
        let in_groups = self.groups(&budget, deadline).await?;
        let tells_muting = in_groups.is_some();
        let alerts = if let Some(alerts) = in_groups {
            alerts
        } else {
            let request = self.peer.get(LIST, &self.pairs(&EVERYTHING));
            self.ask(request, "GET /api/v2/alerts", &budget, deadline, decode_list).await?.1
        };
        let request = self.peer.get("api/v2/status", &[]);
        let (reply, started) =
            self.ask(request, "GET /api/v2/status", &budget, deadline, decode_start).await?;
        // Both of its own clock, so that no skew makes it look older than it is.
        let now = reply.date.unwrap_or_else(|| self.clock.now());
        let up_for: Duration = since(now, started);
        Ok(AlertListing { asked_at, up_for, alerts, tells_muting })
    }

    /// The alerts of the groups, `None` where there are no groups or where they do not tell what is muted: an older server,
    /// another one that speaks only a part of this API, or one that allows only the list, which is then asked for.
    ///
    /// Any other answer fails the reading: the plain list of a server that reports it would show muted alerts as active.
    async fn groups(
        &self,
        budget: &Budget,
        deadline: Instant,
    ) -> Result<Option<Vec<ListedAlert>>, ReadFailure> {
        let asked = "GET /api/v2/alerts/groups";
        let pairs: Vec<_> = EVERYTHING.into_iter().chain([("muted", "true")]).collect();
        let request = self.peer.get(GROUPS, &self.pairs(&pairs));
        let reply = self.peer.fetch(request, asked, budget, deadline).await?;
        let notified_before = self.has_notified_muting.load(Ordering::Relaxed);
        if !reply.status.is_success() {
            let has_no_groups = matches!(
                reply.status,
                StatusCode::NOT_FOUND
                    | StatusCode::METHOD_NOT_ALLOWED
                    | StatusCode::NOT_IMPLEMENTED
                    | StatusCode::UNAUTHORIZED
                    | StatusCode::FORBIDDEN
            );
            if has_no_groups && !notified_before {
                return Ok(None);
            }
            let said = String::from_utf8_lossy(&reply.body);
            return Err(self.peer.refused(reply.status, &said, asked));
        }
        let nonsense = |what: &str| self.peer.failure(FailureKind::Nonsense, asked, what);
        match decode_groups(&reply.body) {
            Ok(Groups { alerts, tells_muting: Some(true) }) => {
                self.has_notified_muting.store(true, Ordering::Relaxed);
                Ok(Some(alerts))
            }
            Ok(Groups { alerts, tells_muting: None }) if notified_before => Ok(Some(alerts)),
            Ok(_) if notified_before => Err(nonsense(
                "it no longer says which alerts a time interval mutes, which it did before: if this Alertmanager is meant to be \
                 older, restart mape-k",
            )),
            Ok(_) => Ok(None),
            Err(error) => {
                Err(nonsense(&format!("the answer is not that of Alertmanager's API v2: {error}")))
            }
        }
    }

    fn pairs<'a>(&'a self, pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let receiver = self.receiver.as_deref().map(|name| ("receiver", name));
        pairs.iter().copied().chain(receiver).collect()
    }

    async fn ask<T>(
        &self,
        request: RequestBuilder,
        asked: &str,
        budget: &Budget,
        deadline: Instant,
        decode: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<(Reply, T), ReadFailure> {
        let reply = self.peer.fetch(request, asked, budget, deadline).await?;
        if !reply.status.is_success() {
            let said = String::from_utf8_lossy(&reply.body);
            return Err(self.peer.refused(reply.status, &said, asked));
        }
        let answer = decode(&reply.body).map_err(|error| {
            let what = format!("the answer is not that of Alertmanager's API v2: {error}");
            self.peer.failure(FailureKind::Nonsense, asked, &what)
        })?;
        Ok((reply, answer))
    }
}

/// The alerts of an answer to `GET /api/v2/alerts`. Pure.
pub fn decode_list(body: &[u8]) -> Result<Vec<ListedAlert>, serde_json::Error> {
    let listed: Vec<Gettable> = serde_json::from_slice(body)?;
    Ok(listed.into_iter().map(Gettable::into).collect())
}

/// What an answer to `GET /api/v2/alerts/groups` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    /// Each once, with all of its routes.
    pub alerts: Vec<ListedAlert>,
    /// Whether every entry says which time intervals mute its route; `None` without any entry.
    pub tells_muting: Option<bool>,
}

/// The answer to `GET /api/v2/alerts/groups`. Pure.
pub fn decode_groups(body: &[u8]) -> Result<Groups, serde_json::Error> {
    let groups: Vec<Group> = serde_json::from_slice(body)?;
    let mut tells_muting = None;
    let mut alerts: BTreeMap<String, ListedAlert> = BTreeMap::new();
    for group in groups {
        for alert in group.alerts {
            let tells = alert.status.muted_by.is_some();
            tells_muting = Some(tells && tells_muting.unwrap_or(true));
            let muted_by = alert.status.muted_by.clone().unwrap_or_default();
            let route = AlertRoute { receiver: group.receiver.name.clone(), muted_by };
            let alert = ListedAlert::from(alert);
            let held = alerts.entry(alert.fingerprint.clone()).or_insert(alert);
            held.routes.push(route);
        }
    }
    Ok(Groups { alerts: alerts.into_values().collect(), tells_muting })
}

/// When it started, from an answer to `GET /api/v2/status`. Pure.
pub fn decode_start(body: &[u8]) -> Result<Time, serde_json::Error> {
    serde_json::from_slice::<Status>(body).map(|status| status.uptime)
}

impl Suppression {
    /// The silence or the inhibition that holds an alert back, in words.
    fn words(&self) -> Option<String> {
        let named = |by: &Option<Vec<String>>| by.as_ref().map(|ids| shorten(&ids.join(", ")));
        let by = |what: &str, ids: String| (!ids.is_empty()).then(|| format!("{what} {ids}"));
        named(&self.silenced_by)
            .and_then(|ids| by("silenced by", ids))
            .or_else(|| named(&self.inhibited_by).and_then(|ids| by("inhibited by", ids)))
            .or_else(|| {
                // Some servers say no more than that; a mute of a route is told by the route.
                let held = self.state.as_deref() == Some("suppressed");
                let silent = self.muted_by.as_ref().is_none_or(Vec::is_empty);
                (held && silent).then(|| "suppressed".to_owned())
            })
    }
}

impl From<Gettable> for ListedAlert {
    fn from(alert: Gettable) -> Self {
        let suppressed = alert.status.words();
        let fingerprint = if alert.fingerprint.is_empty() {
            derived_fingerprint(&alert.labels)
        } else {
            alert.fingerprint
        };
        Self {
            fingerprint,
            suppressed,
            routes: Vec::new(),
            starts_at: alert.starts_at,
            labels: alert.labels,
            annotations: alert.annotations,
            receivers: alert.receivers.into_iter().map(|receiver| receiver.name).collect(),
        }
    }
}

/// Alertmanager's `receiver` parameter is a regular expression (RE2); this escapes a name, so that it matches itself alone.
fn escaped(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            let special = r"\.+*?()|[]{}^$".contains(c);
            special.then_some('\\').into_iter().chain([c])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receivers_name_matches_itself_alone() {
        assert_eq!(escaped("team-a.mape/k"), r"team-a\.mape/k");
        assert_eq!(escaped(r"a|b(c)\d"), r"a\|b\(c\)\\d");
    }
}
