//! Where a reloaded configuration waits for the cycle in hand to end.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::cycle::Renewal;

/// Holds one renewal: a newer one takes the place of one that the loop has not taken yet. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Renewals {
    newest: Arc<Mutex<Option<Box<Renewal>>>>,
    offered: Arc<Notify>,
}

impl Renewals {
    /// The loop takes it before its next cycle.
    pub fn offer(&self, renewal: Renewal) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(renewal));
        self.offered.notify_one();
    }

    /// The newest one, once there is one.
    pub(super) async fn next(&self) -> Renewal {
        loop {
            let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner).take();
            match newest {
                Some(renewal) => return *renewal,
                None => self.offered.notified().await,
            }
        }
    }
}
