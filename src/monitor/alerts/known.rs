//! Which alerts this process has seen before, so that a new alert is distinguished from one that was firing already.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Seen;
use crate::domain::alert::{Alert, AlertListing, AlertState, NoEvidence};
use crate::domain::time::{Time, since};

/// As long as the store keeps the inbox's keys.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// As many as the store keeps.
const KEPT: usize = 100_000;

/// Filled at start with what the store knows, then by every cycle. Only [`note`](Self::note) writes it.
#[derive(Debug)]
pub struct KnownAlerts {
    seen: BTreeMap<String, Heard>,
    /// Not clear in the last view: when neither the list nor the inbox has one any more, this still does.
    pub(super) open: BTreeMap<String, Alert>,
    /// Keys of the last list's entries that a delivery has outweighed once: it does not do so again.
    pub(super) outweighed: BTreeSet<String>,
    listed_at: Option<Time>,
    /// A list read longer ago than this cannot witness a beginning: 3 intervals of the loop.
    witness: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    first: Time,
    last: Time,
}

impl KnownAlerts {
    #[must_use]
    pub fn new(loop_interval: Duration) -> Self {
        Self {
            seen: BTreeMap::new(),
            open: BTreeMap::new(),
            outweighed: BTreeSet::new(),
            listed_at: None,
            witness: loop_interval * 3,
        }
    }

    /// Everything heard before a gap in which nobody listened.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.open.clear();
        self.outweighed.clear();
        self.listed_at = None;
    }

    /// What the store knew when this process started.
    pub fn remember(&mut self, keys: impl IntoIterator<Item = String>, at: Time) {
        self.seen.extend(keys.into_iter().map(|key| (key, Heard { first: at, last: at })));
    }

    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.seen.contains_key(key)
    }

    pub(super) fn first_seen(&self, key: &str) -> Option<Time> {
        self.seen.get(key).map(|seen| seen.first)
    }

    /// Has a delivery outweighed the list on this entry since the list has it?
    pub(super) fn was_outweighed(&self, key: &str) -> bool {
        self.outweighed.contains(key)
    }

    /// Delivered while the last list was being read, so that this cycle is the first that can say whether it fires.
    pub(super) fn awaits(&self, key: &str) -> bool {
        let held = self.open.get(key);
        held.is_some_and(|alert| alert.no_evidence == Some(NoEvidence::NotListedYet))
    }

    /// Was the list read at all since the start? What the first one holds was there before us.
    pub(super) fn has_listed(&self) -> bool {
        self.listed_at.is_some()
    }

    /// Was the list read so lately that what is new in it now began in between?
    pub(super) fn witnessed(&self, now: Time) -> bool {
        self.listed_at.is_some_and(|at| since(now, at) <= self.witness)
    }

    /// Takes in a cycle's view after it was made.
    pub fn note(&mut self, seen: &Seen, listing: Option<&AlertListing>, now: Time) {
        let view = &seen.view;
        self.outweighed.clone_from(&seen.outweighed);
        if let Some(listing) = listing {
            self.listed_at = Some(listing.asked_at);
        }
        self.open = view
            .alerts
            .iter()
            .filter(|alert| alert.state != AlertState::Clear)
            .map(|alert| (alert.key.clone(), alert.clone()))
            .collect();
        // What is unconfirmed stays unknown: it begins for us when it is confirmed.
        for alert in view.alerts.iter().filter(|alert| alert.state != AlertState::Unconfirmed) {
            self.seen
                .entry(alert.key.clone())
                .and_modify(|seen| seen.last = now)
                .or_insert(Heard { first: now, last: now });
        }
        self.seen.retain(|_, seen| since(now, seen.last) <= KEPT_FOR);
        if self.seen.len() > KEPT {
            let mut by_age: Vec<(Time, String)> =
                self.seen.iter().map(|(key, seen)| (seen.last, key.clone())).collect();
            by_age.sort_unstable();
            for (_, key) in by_age.into_iter().take(self.seen.len() - KEPT) {
                self.seen.remove(&key);
            }
        }
    }
}
