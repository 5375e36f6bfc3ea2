//! What one watcher has seen, and whether it can be relied on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::WatchTimeouts;
use super::failure::{Fault, Subject};
use super::trim::{Trimmed, Unread};
use crate::domain::cluster::{Kind, UnreadObject};
use crate::domain::reading::{FailureKind, ReadFailure};
use crate::domain::time::{Time, since};

/// By `namespace/name`, so that what is read has an order.
type Objects = BTreeMap<String, Trimmed>;

/// At some 2 kB each 100 MB: a cluster of this size is watched by namespace.
pub(super) const MAX_OBJECTS: usize = 50_000;

/// The newest warnings; a thousand failing pods have one or two each.
const MAX_EVENTS: usize = 2_000;

/// The API server itself forgets events after an hour by default.
const EVENT_AGE: Duration = Duration::from_secs(60 * 60);

/// Objects of a kind that may be unreadable before the kind as a whole counts as unreadable: as many as a person can be
/// shown, and as the log gets lines of at once.
const MAX_UNREAD: usize = 100;

/// What a list or a watch brought, one by one.
#[derive(Debug)]
pub(super) struct Listed {
    kind: Kind,
    objects: Objects,
    /// Those that cannot be read, under the key that they would have.
    unread: BTreeMap<String, UnreadObject>,
}

impl Listed {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, objects: Objects::new(), unread: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, key: String, object: Trimmed) {
        self.unread.remove(&key);
        if object == Trimmed::Nothing {
            self.objects.remove(&key);
            return;
        }
        self.objects.insert(key, object);
    }

    /// What was known of it before is known no more.
    pub(super) fn skip(&mut self, unread: Unread) {
        let key = unread.key();
        self.objects.remove(&key);
        let Unread { namespace, name, cause, version: _ } = unread;
        self.unread.insert(key, UnreadObject { kind: self.kind, namespace, name, cause });
    }

    fn remove(&mut self, key: &str) {
        self.objects.remove(key);
        self.unread.remove(key);
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Refuses a kind of which too much cannot be read.
    pub(super) fn check(&self) -> Result<(), Fault> {
        match self.unread.values().next() {
            Some(first) if self.unread.len() > MAX_UNREAD => {
                let what =
                    format!("more than {MAX_UNREAD} of them cannot be read, the first is {first}");
                Err(Fault::new(FailureKind::Nonsense, what))
            }
            _ => Ok(()),
        }
    }

    /// Drops the oldest events beyond [`MAX_EVENTS`]; other kinds are left as they are.
    pub(super) fn keep_newest_events(&mut self) {
        if self.kind != Kind::Events || self.objects.len() <= MAX_EVENTS {
            return;
        }
        let excess = self.objects.len() - MAX_EVENTS;
        let mut events: Vec<(Option<Time>, String)> = self
            .objects
            .iter()
            .filter_map(|(key, object)| match object {
                Trimmed::Event(event) => Some((event.last_at, key.clone())),
                _ => None,
            })
            .collect();
        events.sort_unstable();
        for (_, key) in events.into_iter().take(excess) {
            self.objects.remove(&key);
        }
    }
}

#[derive(Debug)]
pub(super) struct Cache {
    subject: Subject,
    state: Mutex<State>,
    settled: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    held: Listed,
    began: Instant,
    listed: bool,
    /// When they were last known to be what the API server has.
    current_at: Instant,
    /// The last try, if it failed, and since when tries have.
    failing: Option<(Instant, Fault)>,
}

impl Cache {
    pub(super) fn new(subject: Subject, settled: Arc<Notify>) -> Self {
        let now = Instant::now();
        let state = State {
            held: Listed::new(subject.kind),
            began: now,
            listed: false,
            current_at: now,
            failing: None,
        };
        Self { subject, state: Mutex::new(state), settled }
    }

    pub(super) fn kind(&self) -> Kind {
        self.subject.kind
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// A whole list takes the place of what was there, at once.
    pub(super) fn replace(&self, listed: Listed) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.held, listed);
        let fresh =
            state.held.unread.iter().filter(|(key, one)| before.unread.get(*key) != Some(one));
        let fresh: Vec<UnreadObject> = fresh.map(|(_, one)| one.clone()).collect();
        state.listed = true;
        state.current_at = Instant::now();
        // Who may list but not watch is not well yet: the watch that follows will tell.
        let recovered = state.failing.take_if(|(_, fault)| !fault.is_final()).is_some();
        drop(state);
        fresh.iter().for_each(say);
        self.settle(recovered);
    }

    /// One object was added or has changed. Says whether there is room for it.
    pub(super) fn apply(&self, key: String, object: Trimmed) -> bool {
        let mut state = self.state();
        state.held.add(key, object);
        state.held.keep_newest_events();
        state.held.len() <= MAX_OBJECTS
    }

    /// One object was added or has changed, and cannot be read.
    pub(super) fn skip(&self, unread: Unread) -> Result<(), Fault> {
        let key = unread.key();
        let mut state = self.state();
        let before = state.held.unread.get(&key).cloned();
        state.held.skip(unread);
        let fresh = state.held.unread.get(&key).filter(|now| before.as_ref() != Some(now)).cloned();
        let checked = state.held.check();
        drop(state);
        fresh.iter().for_each(say);
        checked
    }

    pub(super) fn remove(&self, key: &str) {
        self.state().held.remove(key);
    }

    /// The API server accepted a watch or spoke on it: up to here nothing is missing.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        state.current_at = Instant::now();
        let recovered = state.failing.take().is_some();
        drop(state);
        self.settle(recovered);
    }

    fn settle(&self, recovered: bool) {
        if recovered {
            tracing::info!(asked = self.subject.scope(), "kubernetes can be read again");
        }
        self.settled.notify_waiters();
    }

    pub(super) fn failed(&self, fault: Fault) {
        let mut state = self.state();
        let first = state.failing.is_none();
        let since = state.failing.take().map_or_else(Instant::now, |(since, _)| since);
        let failure = self.subject.failure(&fault, since.elapsed());
        state.failing = Some((since, fault));
        drop(state);
        if first {
            tracing::warn!(cause = failure.text, "kubernetes cannot be read");
        }
        self.settled.notify_waiters();
    }

    /// Listed, or known not to be to be had.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.state();
        state.listed || state.failing.is_some()
    }

    /// The API server has none of it for this account, and has never had. Once it was listed, a refusal is a failure: its
    /// objects are still there.
    pub(super) fn was_always_refused(&self) -> bool {
        let state = self.state();
        !state.listed && state.failing.as_ref().is_some_and(|(_, fault)| fault.is_refusal())
    }

    /// The objects, and those that cannot be read, if they can be relied on.
    pub(super) fn objects(
        &self,
        patience: &WatchTimeouts,
        now: Time,
    ) -> Result<(Vec<Trimmed>, Vec<UnreadObject>), ReadFailure> {
        let state = self.state();
        if let Some((since, fault)) = &state.failing
            && (!state.listed || fault.is_final() || since.elapsed() >= patience.grace)
        {
            return Err(self.subject.failure(fault, since.elapsed()));
        }
        if !state.listed {
            let fault = Fault::new(FailureKind::Timeout, "it was not listed yet");
            return Err(self.subject.failure(&fault, state.began.elapsed()));
        }
        if state.current_at.elapsed() > patience.stale() {
            let fault = Fault::new(FailureKind::Timeout, "nothing was heard of it");
            return Err(self.subject.failure(&fault, state.current_at.elapsed()));
        }
        let fresh = |object: &&Trimmed| match object {
            Trimmed::Event(event) => event.last_at.is_some_and(|at| since(now, at) <= EVENT_AGE),
            _ => true,
        };
        let objects = state.held.objects.values().filter(fresh).cloned().collect();
        Ok((objects, state.held.unread.values().cloned().collect()))
    }

    /// Every change above is whole before the lock is let go, so that a panic elsewhere leaves nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Once for each object, for as long as the same is wrong with it.
fn say(unread: &UnreadObject) {
    tracing::warn!(
        object = %unread,
        "an object of the cluster cannot be read: mape-k finds no trouble of it"
    );
}
