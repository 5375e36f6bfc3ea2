//! Where a reloaded configuration waits for the cycle in hand to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::cycle::Renewal;

/// Holds one renewal: a newer one takes the place of one that the loop has not taken yet. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Renewals {
    newest: Arc<Mutex<Option<Box<Renewal>>>>,
    offered: Arc<Notify>,
    needs_store: Arc<AtomicBool>,
}

impl Renewals {
    /// The loop takes it before its next cycle. Answers whether it replaced one, which is never taken then.
    pub fn offer(&self, renewal: Renewal) -> bool {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = newest.replace(Box::new(renewal));
        self.offered.notify_one();
        replaced.is_some()
    }

    /// What a renewal that is not in effect yet waits for.
    #[must_use]
    pub fn wait_for(&self) -> &'static str {
        if self.needs_store.load(Ordering::Relaxed) {
            "the knowledge store to take the incidents that are kept in memory only"
        } else {
            "the cycle in hand to end"
        }
    }

    /// Whether the store must be written before the loop can take one.
    pub(super) fn need_store(&self, need: bool) {
        self.needs_store.store(need, Ordering::Relaxed);
    }

    /// The newest one, once there is one.
    pub(super) async fn next(&self) -> Renewal {
        loop {
            match self.take_if(true) {
                Some(renewal) => return renewal,
                None => self.offered.notified().await,
            }
        }
    }

    /// The newest one, if there is one and the loop `may` take it now.
    pub(super) fn take_if(&self, may: bool) -> Option<Renewal> {
        if !may {
            return None;
        }
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner).take();
        newest.map(|renewal| *renewal)
    }
}
