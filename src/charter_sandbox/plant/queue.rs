//! A service's queue: first in, first out, remembered as cohorts of one step each, so that a wait is exact.

use std::collections::VecDeque;

/// Less than this of an operation is rounding, not work.
const DUST: f64 = 1e-9;

#[derive(Debug, Clone, Copy)]
struct Cohort {
    arrived: f64,
    count: f64,
}

/// What one step took from the queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::charter_sandbox) struct Taken {
    pub count: f64,
    pub mean_wait: f64,
}

#[derive(Debug, Default)]
pub(in crate::charter_sandbox) struct Queue {
    cohorts: VecDeque<Cohort>,
    length: f64,
}

impl Queue {
    pub fn length(&self) -> f64 {
        self.length
    }

    /// How long the operation at the head has waited.
    pub fn age(&self, now: f64) -> f64 {
        self.cohorts.front().map_or(0.0, |cohort| now - cohort.arrived)
    }

    pub fn push(&mut self, now: f64, count: f64) {
        if count > DUST {
            self.cohorts.push_back(Cohort { arrived: now, count });
            self.length += count;
        }
    }

    /// Takes up to `capacity` operations from the head.
    pub fn take(&mut self, now: f64, capacity: f64) -> Taken {
        let mut left = capacity;
        let mut waited = 0.0;
        while left > DUST
            && let Some(head) = self.cohorts.front_mut()
        {
            let count = head.count.min(left);
            waited += count * (now - head.arrived);
            left -= count;
            head.count -= count;
            if head.count <= DUST {
                self.cohorts.pop_front();
            }
        }
        let count = capacity - left.max(0.0);
        self.length = if self.cohorts.is_empty() { 0.0 } else { self.length - count };
        Taken { count, mean_wait: if count > DUST { waited / count } else { 0.0 } }
    }

    /// Turns the youngest arrivals away until at most `limit` are queued; returns how many.
    pub fn overflow(&mut self, limit: f64) -> f64 {
        let mut excess = (self.length - limit).max(0.0);
        let turned_away = excess;
        while excess > DUST
            && let Some(tail) = self.cohorts.back_mut()
        {
            let count = tail.count.min(excess);
            tail.count -= count;
            excess -= count;
            if tail.count <= DUST {
                self.cohorts.pop_back();
            }
        }
        self.length -= turned_away;
        turned_away
    }
}
