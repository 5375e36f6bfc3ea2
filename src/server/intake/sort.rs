//! Sorts a payload's alerts: those to store, those that ask for a cycle at once, and those that go no further.

use tokio::sync::oneshot;

use super::body::Room;
use super::writer::Delivery;
use crate::domain::alert::InboxAlert;
use crate::domain::time::Time;
use crate::metrics::labels::AlertOutcome;
use crate::monitor::alerts::{Routing, ignored, is_own, name_of, wakes};
use crate::monitor::webhook::{self, DecodeError};

/// One payload, sorted. Nothing in it is lost: its parts add up to what was received.
#[derive(Debug)]
pub(super) struct Sorted {
    alerts: Vec<InboxAlert>,
    urgent: Vec<bool>,
    too_large: Vec<Option<String>>,
    receiver: String,
    truncated: bool,
    invalid: u64,
    own: u64,
    ignored: u64,
}

impl Sorted {
    pub fn received(&self) -> u64 {
        self.alerts.len() as u64 + self.invalid + self.own + self.ignored
    }

    pub fn into_delivery(
        self,
        room: Room,
        answer: oneshot::Sender<Result<(), String>>,
    ) -> Delivery {
        Delivery {
            alerts: self.alerts,
            urgent: self.urgent,
            too_large: self.too_large,
            receiver: self.receiver,
            truncated: self.truncated,
            left_out: [
                (AlertOutcome::Invalid, self.invalid),
                (AlertOutcome::Own, self.own),
                (AlertOutcome::Ignored, self.ignored),
            ],
            room,
            answer,
        }
    }
}

/// Decodes and sorts. An ignored alert is not stored: Alertmanager's list shows it for as long as it fires.
pub(super) fn sort(body: &[u8], routing: Routing<'_>, now: Time) -> Result<Sorted, DecodeError> {
    let delivery = webhook::decode(body, now)?;
    let mut sorted = Sorted {
        alerts: Vec::with_capacity(delivery.alerts.len()),
        urgent: Vec::with_capacity(delivery.alerts.len()),
        too_large: Vec::with_capacity(delivery.alerts.len()),
        receiver: delivery.receiver,
        truncated: delivery.truncated > 0,
        invalid: delivery.invalid as u64,
        own: 0,
        ignored: 0,
    };
    for alert in delivery.alerts {
        if is_own(&alert.labels) {
            sorted.own += 1;
        } else if ignored(&alert.labels, routing.settings) {
            sorted.ignored += 1;
        } else {
            sorted.urgent.push(wakes(&alert, routing));
            sorted.too_large.push(alert.too_large.then(|| name_of(&alert.labels).to_owned()));
            sorted.alerts.push(alert);
        }
    }
    Ok(sorted)
}
