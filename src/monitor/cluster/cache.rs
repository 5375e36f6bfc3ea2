//! What one watcher has seen, and whether it can be relied on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Patience;
use super::failure::{Fault, Subject};
use super::trim::Trimmed;
use crate::domain::cluster::Kind;
use crate::domain::reading::{FailureKind, ReadFailure};
use crate::domain::time::{Time, since};

/// By `namespace/name`, so that what is read has an order.
pub(super) type Objects = BTreeMap<String, Trimmed>;

/// At some 2 kB each 100 MB: a cluster of this size is watched by namespace.
pub(super) const MAX_OBJECTS: usize = 50_000;

/// The newest warnings; a thousand failing pods have one or two each.
const MAX_EVENTS: usize = 2_000;

/// The API server itself forgets events after an hour by default.
const EVENT_AGE: Duration = Duration::from_secs(60 * 60);

#[derive(Debug)]
pub(super) struct Cache {
    subject: Subject,
    state: Mutex<State>,
    settled: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    objects: Objects,
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
            objects: Objects::new(),
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
    pub(super) fn replace(&self, objects: Objects) {
        let mut state = self.state();
        state.objects = objects;
        state.listed = true;
        state.current_at = Instant::now();
        // Who may list but not watch is not well yet: the watch that follows will tell.
        let recovered = state.failing.take_if(|(_, fault)| !fault.is_final()).is_some();
        drop(state);
        self.settle(recovered);
    }

    /// One object was added or has changed. Says whether there is room for it.
    pub(super) fn apply(&self, key: String, object: Trimmed) -> bool {
        let mut state = self.state();
        state.objects.insert(key, object);
        keep_newest_events(self.kind(), &mut state.objects);
        state.objects.len() <= MAX_OBJECTS
    }

    pub(super) fn remove(&self, key: &str) {
        self.state().objects.remove(key);
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

    /// The objects, if they can be relied on.
    pub(super) fn objects(
        &self,
        patience: &Patience,
        now: Time,
    ) -> Result<Vec<Trimmed>, ReadFailure> {
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
        Ok(state.objects.values().filter(fresh).cloned().collect())
    }

    /// Every change above is whole before the lock is let go, so that a panic elsewhere leaves nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the oldest events beyond [`MAX_EVENTS`]; other kinds are left as they are.
pub(super) fn keep_newest_events(kind: Kind, objects: &mut Objects) {
    if kind != Kind::Events || objects.len() <= MAX_EVENTS {
        return;
    }
    let excess = objects.len() - MAX_EVENTS;
    let mut events: Vec<(Option<Time>, String)> = objects
        .iter()
        .filter_map(|(key, object)| match object {
            Trimmed::Event(event) => Some((event.last_at, key.clone())),
            _ => None,
        })
        .collect();
    events.sort_unstable();
    for (_, key) in events.into_iter().take(excess) {
        objects.remove(&key);
    }
}
