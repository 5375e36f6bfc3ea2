//! Alertmanager's API: what it says is active now, and how long it has been up. The webhook is only the wake-up.
//!
//! One entry that cannot be read fails the whole list: left out it would look absent, and absent means clear.

use std::sync::Arc;
use std::time::Duration;

use reqwest::RequestBuilder;
use serde::Deserialize;
use tokio::time::Instant;

use super::AlertmanagerSettings;
use super::http::{Budget, Peer, Reply};
use super::webhook::derived_fingerprint;
use crate::clock::Clock;
use crate::domain::Labels;
use crate::domain::alert::{AlertListing, ListedAlert};
use crate::domain::reading::{FailureKind, ReadFailure, Source};
use crate::domain::time::{Time, since};
use crate::wire::{Access, Wire};

#[derive(Debug)]
pub struct Alertmanager {
    peer: Peer,
    /// Our receiver's name as the regular expression that matches it alone.
    receiver: Option<String>,
    clock: Clock,
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
    #[serde(default, rename = "silencedBy")]
    silenced_by: Option<Vec<String>>,
    #[serde(default, rename = "inhibitedBy")]
    inhibited_by: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Status {
    /// When it started, by its own clock.
    uptime: Time,
}

impl Alertmanager {
    #[must_use]
    pub fn over(wire: Arc<dyn Wire>, settings: &AlertmanagerSettings, clock: Clock) -> Self {
        let url = settings.url.clone();
        let access =
            Access { section: "alertmanager", http: settings.http.as_deref(), token: None };
        let peer = Peer::new(Source::Alertmanager, url, "alertmanager.url", access, wire);
        let receiver = settings.receiver.as_deref().map(|name| format!("^{}$", escaped(name)));
        Self { peer, receiver, clock }
    }

    /// The list first and the status after it: an Alertmanager that restarts between them is then seen as young, and
    /// the empty list of a restart is never believed.
    pub async fn list(&self, deadline: Instant) -> Result<AlertListing, ReadFailure> {
        let budget = Budget::of_one_cycle();
        let asked_at = self.clock.now();
        let mut pairs = vec![("active", "true"), ("silenced", "false"), ("inhibited", "false")];
        pairs.extend(self.receiver.as_deref().map(|name| ("receiver", name)));
        let request = self.peer.get("api/v2/alerts", &pairs);
        let (_, alerts) =
            self.ask(request, "GET /api/v2/alerts", &budget, deadline, decode_list).await?;
        let request = self.peer.get("api/v2/status", &[]);
        let (reply, started) =
            self.ask(request, "GET /api/v2/status", &budget, deadline, decode_start).await?;
        // Both of its own clock, so that no skew makes it look older than it is.
        let now = reply.date.unwrap_or_else(|| self.clock.now());
        let up_for: Duration = since(now, started);
        Ok(AlertListing { asked_at, up_for, alerts })
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

/// The active alerts of an answer to `GET /api/v2/alerts`. Pure.
pub fn decode_list(body: &[u8]) -> Result<Vec<ListedAlert>, serde_json::Error> {
    let listed: Vec<Gettable> = serde_json::from_slice(body)?;
    Ok(listed.into_iter().filter(Gettable::is_active).map(Gettable::into).collect())
}

/// When it started, from an answer to `GET /api/v2/status`. Pure.
pub fn decode_start(body: &[u8]) -> Result<Time, serde_json::Error> {
    serde_json::from_slice::<Status>(body).map(|status| status.uptime)
}

impl Gettable {
    /// The request already leaves these out; an older server may not know its parameters.
    fn is_active(&self) -> bool {
        let named = |by: &Option<Vec<String>>| by.as_ref().is_some_and(|ids| !ids.is_empty());
        !named(&self.status.silenced_by) && !named(&self.status.inhibited_by)
    }
}

impl From<Gettable> for ListedAlert {
    fn from(alert: Gettable) -> Self {
        let fingerprint = if alert.fingerprint.is_empty() {
            derived_fingerprint(&alert.labels)
        } else {
            alert.fingerprint
        };
        Self {
            fingerprint,
            starts_at: alert.starts_at,
            labels: alert.labels,
            annotations: alert.annotations,
            receivers: alert.receivers.into_iter().map(|receiver| receiver.name).collect(),
        }
    }
}

/// Alertmanager's `receiver` parameter is a regular expression (RE2); a name stands for itself in it.
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
