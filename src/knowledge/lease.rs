//! Who leads: the lease of a store, and the term of leadership that this process holds by it.
//!
//! ```text
//! elector ─ lead(holder, ttl) ─▶ store's lease row ─▶ Lease ─▶ Term: epoch, valid until
//! cycle ─▶ Knowledge::leading(term) ─▶ every write carries the epoch; every call asks whether the term still holds
//! ```
//! Three things keep an old leader from acting, each where the one before cannot: the term's own end, by this process's
//! monotonic clock; the store, which compares the epoch in the transaction of every write; Charter, by its header.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::store::StoreError;
use crate::domain::leader::Lead;
use crate::domain::time::Time;

/// The name of this machine, by which people find who leads and who has a store open.
#[must_use]
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "a host without a name".to_owned() } else { name.to_owned() }
}

/// The lease as the store has it, after one has asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Does the one who asked have it?
    pub is_ours: bool,
    /// Rises with every change of holder.
    pub epoch: u64,
    pub holder: String,
    /// Until it is free for others, by the store's own clock at the moment of the answer.
    pub expires_in: Duration,
    /// How often a cycle was asked for since the store was made: by a replica that does not lead.
    pub wakes: u64,
    /// The store's own time at the answer; `None` where its clock is this machine's.
    pub at: Option<Time>,
}

/// The lease of a store that only this process can open.
#[derive(Debug, Default)]
pub(super) struct Seat {
    held: Option<(String, Instant)>,
    epoch: u64,
    wakes: u64,
}

/// A lease that nobody else can take: a hundred years.
pub(super) const FOR_GOOD: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Seat {
    /// A new epoch is never below `least`.
    pub fn lead(&mut self, holder: &str, ttl: Duration, least: u64) -> Lease {
        let now = Instant::now();
        let present = self.held.take().filter(|(of, until)| of == holder || *until > now);
        let (of, until) = match present {
            Some((of, until)) if of != holder => (of, until),
            Some((of, _)) => (of, now + ttl),
            None => {
                self.epoch = least.max(self.epoch + 1);
                (holder.to_owned(), now + ttl)
            }
        };
        let is_ours = of == holder;
        self.held = Some((of.clone(), until));
        let expires_in = until.saturating_duration_since(now);
        Lease { is_ours, epoch: self.epoch, holder: of, expires_in, wakes: self.wakes, at: None }
    }

    pub fn resign(&mut self, holder: &str) {
        self.held.take_if(|(of, _)| of == holder);
    }

    pub fn wake(&mut self) {
        self.wakes += 1;
    }

    /// May a write under this fence take effect in the store of that name?
    pub fn admits(&self, store: &str, fence: Option<u64>) -> Result<(), StoreError> {
        match fence.filter(|epoch| *epoch != self.epoch) {
            Some(epoch) => Err(StoreError::Superseded { store: store.to_owned(), epoch }),
            None => Ok(()),
        }
    }
}

/// One unbroken leadership of this process. Clones share its end.
#[derive(Clone, Debug)]
pub struct Term {
    epoch: u64,
    shared: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// `None`: nobody else can lead.
    until: Option<Instant>,
    /// Charter has seen a larger epoch; what it said.
    refused: Option<String>,
}

impl Term {
    /// Of a store that only this process has open.
    #[must_use]
    pub fn alone(epoch: u64) -> Self {
        Self::new(epoch, None)
    }

    /// `until` counts from before the lease was asked for, so that the store's comes no sooner.
    #[must_use]
    pub fn until(epoch: u64, until: Instant) -> Self {
        Self::new(epoch, Some(until))
    }

    fn new(epoch: u64, until: Option<Instant>) -> Self {
        let state = Arc::new(Mutex::new(State { until, refused: None }));
        Self { epoch, shared: until.is_some(), state }
    }

    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The epoch that Charter gets with every change; `None` where nobody else can lead.
    #[must_use]
    pub fn told(&self) -> Option<u64> {
        self.shared.then_some(self.epoch)
    }

    pub fn renew(&self, until: Instant) {
        self.state().until = Some(until);
    }

    /// Another one leads.
    pub fn end(&self) {
        self.state().until = Some(Instant::now());
    }

    /// Charter has been called by a later leader: nothing more is sent in this term, whatever the store says.
    pub fn refuse(&self, said: &str) {
        self.state().refused.get_or_insert_with(|| said.to_owned());
    }

    /// Is it valid at this instant?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.state().until.is_none_or(|until| Instant::now() < until)
    }

    /// Why nothing may be sent at this instant.
    #[must_use]
    pub fn barred(&self) -> Option<String> {
        let state = self.state();
        if let Some(said) = &state.refused {
            return Some(format!(
                "Charter refuses calls of this mape-k (epoch {}), because a later leader has called it: {said}. Nothing is sent to Charter. If no other mape-k leads, the database was restored from before that leader: restart mape-k",
                self.epoch
            ));
        }
        let over = state.until.and_then(|until| Instant::now().checked_duration_since(until))?;
        Some(format!(
            "this mape-k (epoch {}) has been without a valid lease for {:.1} s and sends nothing: another mape-k may lead by now",
            self.epoch,
            over.as_secs_f64()
        ))
    }

    #[must_use]
    pub fn lead(&self) -> Lead {
        Lead { epoch: self.epoch, shared: self.shared, barred: self.barred() }
    }

    // Nothing that holds the lock can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
