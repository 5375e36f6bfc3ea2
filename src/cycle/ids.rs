//! Where a cycle's new ids and keys come from: the world, or a counter where every run must be the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

#[derive(Clone, Debug, Default)]
pub enum Ids {
    #[default]
    World,
    /// Shared by all who must not give out the same twice.
    Counted(Arc<AtomicU64>),
}

impl Ids {
    /// For a record; in order of time.
    #[must_use]
    pub fn id(&self) -> Uuid {
        match self {
            Self::World => Uuid::now_v7(),
            Self::Counted(count) => counted(count),
        }
    }

    /// An idempotency key, which nobody can guess.
    #[must_use]
    pub fn key(&self) -> Uuid {
        match self {
            Self::World => Uuid::new_v4(),
            Self::Counted(count) => counted(count),
        }
    }
}

fn counted(count: &AtomicU64) -> Uuid {
    Uuid::from_u128(u128::from(count.fetch_add(1, Ordering::Relaxed) + 1))
}
