//! One line of the log a minute for what a stranger can cause as often as they like, with the number of times.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines: a stranger who causes them must not fill the log.
const EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct LogThrottle(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    logged: Option<Instant>,
    since: u64,
}

impl LogThrottle {
    /// It happened once more. `Some`: it is time for a line, and it has happened so often since the last one.
    pub fn count(&self, now: Instant) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.since += 1;
        if counted.logged.is_some_and(|logged| now.duration_since(logged) < EVERY) {
            return None;
        }
        counted.logged = Some(now);
        Some(std::mem::take(&mut counted.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S14: a flood is one line a minute, which says how often it was.
    #[test]
    fn s14_a_flood_is_one_line_a_minute_with_its_count() {
        let (throttle, start) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.count(start), Some(1));
        let lines = (1..=300)
            .filter_map(|second| throttle.count(start + Duration::from_millis(200 * second)));
        assert_eq!(lines.collect::<Vec<u64>>(), [300]);
    }
}
