//! Where a time-out keeps backups from being sent for a while: the message may have arrived, and would be told again in
//! every cycle. New messages are tried all the same.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::NotifyError;
use crate::domain::message::NotifierName;

/// Two cycles at the least; at the most what people who wait for Slack to be well again bear.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// By notifier and lane, of which there is one for each channel.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<BTreeMap<(NotifierName, String), Pause>>);

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    length: Duration,
}

impl Pauses {
    /// Takes note of what became of a message: a time-out begins a pause, longer than the last; a confirmation ends it.
    pub fn note<T>(&self, name: NotifierName, lane: String, result: &Result<T, NotifyError>) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name, lane);
        match result {
            Ok(_) => _ = pauses.remove(&key),
            Err(NotifyError::Timeout(_)) => {
                let now = Instant::now();
                let length = match pauses.get(&key) {
                    None => SHORTEST,
                    // One more of the same trouble.
                    Some(pause) if now < pause.until => pause.length,
                    Some(pause) => (pause.length * 2).min(LONGEST),
                };
                pauses.insert(key, Pause { until: now + length, length });
            }
            Err(_) => {}
        }
    }

    pub fn holds(&self, name: NotifierName, lane: &str) -> bool {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = pauses.get(&(name, lane.to_owned()));
        pause.is_some_and(|pause| Instant::now() < pause.until)
    }
}
