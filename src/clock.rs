//! Time for the whole process: one wall-clock reading at the start, carried on by the monotonic clock.
//!
//! A wall clock that jumps therefore neither ends a settle time early nor stretches one, and under tokio's paused
//! clock the whole loop runs in simulated time.

use chrono::Utc;
use tokio::time::Instant;

use crate::domain::time::{Time, after};

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Time,
    start: Instant,
}

impl Clock {
    /// Reads the wall clock; call once, in the composition root.
    #[must_use]
    pub fn start() -> Self {
        Self::starting_at(Utc::now())
    }

    #[must_use]
    pub fn starting_at(wall: Time) -> Self {
        Self { wall, start: Instant::now() }
    }

    #[must_use]
    pub fn now(&self) -> Time {
        after(self.wall, self.start.elapsed())
    }
}
