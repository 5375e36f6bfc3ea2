//! Stores what the webhook received, many requests in one transaction, then counts it and wakes the loop.
//!
//! A request only waits for its answer here, so a sender that hangs up early changes nothing: what was stored is also
//! counted and acted on. One commit for all that waits keeps a storm of small payloads as cheap as one large one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::body::Room;
use crate::control_loop::handle::LoopHandle;
use crate::domain::alert::InboxAlert;
use crate::knowledge::{Fact, Intake, Knowledge, StoreError, When, Written};
use crate::metrics::Metrics;
use crate::metrics::labels::{AlertOutcome, StoreOperation, WakeReason};

/// Payloads stored in one transaction at most, and alerts, after which no payload is added: a commit of so many is 80 to
/// 160 ms in a PostgreSQL, for which the journal and the lease of all replicas wait.
const GROUP: usize = 64;
const ALERTS: usize = 1_000;

/// Names kept of receivers that brought us alerts: routes that lead here are a handful; a sender that makes names up
/// cannot fill the store.
const MAX_RECEIVERS: usize = 50;

/// One decoded payload on its way to the store.
#[derive(Debug)]
pub(super) struct Delivery {
    pub alerts: Vec<InboxAlert>,
    /// One for each alert: a critical one that may be acted on, which the loop should see at once.
    pub urgent: Vec<bool>,
    /// One for each alert: the name of one that is too large to keep whole.
    pub too_large: Vec<Option<String>>,
    pub receiver: String,
    pub truncated: bool,
    /// Alerts of the payload that are not stored, by why.
    pub left_out: [(AlertOutcome, u64); 3],
    /// Released when this is dropped: what waits counts for its room.
    pub room: Room,
    pub answer: oneshot::Sender<Result<(), String>>,
}

/// The one task that writes the inbox. The daemon runs it; it ends when the last [`super::Intake`] is gone.
#[derive(Debug)]
pub struct Writer {
    pub(super) deliveries: mpsc::Receiver<Delivery>,
    pub(super) knowledge: Knowledge,
    pub(super) handle: LoopHandle,
    pub(super) metrics: Arc<Metrics>,
    /// It was said that [`MAX_RECEIVERS`] is reached; once a process is enough.
    pub(super) notified_full: bool,
}

fn named(fact: Fact) -> BTreeSet<String> {
    serde_json::from_value(fact.value).unwrap_or_default()
}

impl Writer {
    pub async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        let mut receivers = None;
        while let Some(first) = self.deliveries.recv().await {
            let mut alerts = first.alerts.len();
            group.push(first);
            while group.len() < GROUP
                && alerts < ALERTS
                && let Ok(next) = self.deliveries.try_recv()
            {
                alerts += next.alerts.len();
                group.push(next);
            }
            match self.store(&mut group).await {
                Ok(answers) => {
                    // A name that could not be kept is learnt from the next payload; the alerts are safe either way.
                    if let Err(error) = self.learn(&mut receivers, &group).await {
                        self.metrics.store_error(StoreOperation::Write);
                        tracing::warn!(%error, "the receiver of a payload could not be remembered");
                    }
                    self.settle(group.drain(..), &answers);
                }
                Err(error) => {
                    self.metrics.store_error(StoreOperation::Write);
                    tracing::warn!(%error, payloads = group.len(), "alerts could not be stored");
                    for Delivery { room, answer, .. } in group.drain(..) {
                        drop(room);
                        let _ = answer.send(Err(error.to_string()));
                    }
                }
            }
        }
    }

    async fn store(&self, group: &mut [Delivery]) -> Result<Vec<Intake>, StoreError> {
        let alerts: Vec<InboxAlert> =
            group.iter_mut().flat_map(|delivery| std::mem::take(&mut delivery.alerts)).collect();
        self.knowledge.take_in(&alerts).await
    }

    /// Keeps the names of receivers that accepted payloads carried: by them the cycle knows which alerts are routed to us.
    async fn learn(
        &mut self,
        known: &mut Option<BTreeSet<String>>,
        group: &[Delivery],
    ) -> Result<(), StoreError> {
        let known = match known {
            Some(known) => known,
            None => known.insert(self.known().await?),
        };
        let mut names = known.clone();
        for delivery in group.iter().filter(|delivery| !delivery.receiver.is_empty()) {
            if names.len() < MAX_RECEIVERS {
                names.insert(delivery.receiver.clone());
            } else if !self.notified_full && !names.contains(&delivery.receiver) {
                self.notified_full = true;
                tracing::warn!(
                    kept = MAX_RECEIVERS,
                    receiver = delivery.receiver,
                    "no more receivers are learnt: alerts that only such a receiver lists are shown, not acted on"
                );
            }
        }
        if names == *known {
            return Ok(());
        }
        // Another replica may have learnt some meanwhile; if one does so just now, the next payload tries again.
        let stored = self.knowledge.get::<Fact>(Fact::RECEIVERS).await?;
        let when = stored.as_ref().map_or(When::Absent, |(_, version)| When::Version(*version));
        names.extend(stored.map(|(fact, _)| named(fact)).unwrap_or_default());
        let value = names.iter().cloned().map(Value::String).collect();
        let mut batch = self.knowledge.batch();
        let fact = Fact { name: Fact::RECEIVERS.to_owned(), value, at: self.handle.now() };
        batch.put_if(&fact, when);
        if self.knowledge.commit(batch).await? != [Written::Done] {
            return Ok(());
        }
        tracing::info!(receivers = ?names, "learnt a receiver of ours from the webhook");
        *known = names;
        Ok(())
    }

    async fn known(&self) -> Result<BTreeSet<String>, StoreError> {
        let fact = self.knowledge.get::<Fact>(Fact::RECEIVERS).await?;
        Ok(fact.map(|(fact, _)| named(fact)).unwrap_or_default())
    }

    /// Everything of the group is stored: count it, wake the loop once, answer.
    fn settle(&self, group: impl Iterator<Item = Delivery>, answers: &[Intake]) {
        let mut answers = answers.iter();
        let (mut critical, mut truncated) = (false, false);
        let mut too_large = Vec::new();
        let mut waiting = Vec::new();
        for delivery in group {
            let mut accepted = 0;
            let mut duplicate = 0;
            let of_each = delivery.urgent.iter().zip(delivery.too_large);
            for ((urgent, name), answer) in of_each.zip(answers.by_ref()) {
                match answer {
                    Intake::Accepted => {
                        accepted += 1;
                        critical |= urgent;
                        too_large.extend(name);
                    }
                    Intake::Duplicate => duplicate += 1,
                }
            }
            truncated |= delivery.truncated;
            self.metrics.alerts_accepted(accepted);
            self.metrics.alerts_ended(AlertOutcome::Duplicate, duplicate);
            for (outcome, count) in delivery.left_out {
                self.metrics.alerts_ended(outcome, count);
            }
            drop(delivery.room);
            waiting.push(delivery.answer);
        }
        if let Some(first) = too_large.first() {
            self.metrics.alerts_too_large(too_large.len() as u64);
            tracing::warn!(
                alerts = too_large.len(),
                first,
                "alerts have more labels than are kept (128, 16 KiB together): they are shown, escalated when critical, \
                 and not acted on. Shorten their labels in the rule"
            );
        }
        for (asked, reason) in
            [(critical, WakeReason::CriticalAlert), (truncated, WakeReason::TruncatedPayload)]
        {
            if asked {
                self.metrics.woken(reason);
                self.handle.wake();
            }
        }
        for answer in waiting {
            // Nobody waits any more when the sender hung up; its alerts are stored all the same.
            let _ = answer.send(Ok(()));
        }
    }
}
