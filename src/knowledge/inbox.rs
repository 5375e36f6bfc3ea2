//! The inbox: alerts as the webhook delivered them, each key taken in once, until a cycle has seen them.
//!
//! Identity is fingerprint + `starts_at`; resolved is final for it. What an alert means is the monitor's business.

use std::sync::atomic::Ordering;

use super::Knowledge;
use super::documents::{Document, FIRING, RESOLVED};
use super::store::{Collection, StoreError, When, Written};
use crate::domain::alert::{AlertStatus, InboxAlert};

/// What became of one delivered alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// New, or the resolution of one that was firing; a cycle has to see it.
    Accepted,
    /// Known already, or a late firing of one that has resolved.
    Duplicate,
}

/// Keys of alerts that fire or that no cycle has seen: kept at most, and read at most by one cycle. As many that are done
/// are kept beside them.
pub const MAX_ALERTS: usize = 100_000;

/// Alerts that a replica takes in before it counts again: by so many for each replica the bound may be passed, which the
/// prune allows for, and one count costs as much as taking in a few.
const COUNTED_AGAIN: usize = 1_000;

/// A few milliseconds of the one writer, as one delivery takes: those that wait beside a cycle are not kept waiting for
/// all of its alerts.
const MARKED_AT_ONCE: usize = 100;

/// A few milliseconds of decoding, and then other tasks get their turn; no more than these are held twice.
const READ_AT_ONCE: usize = 1_000;

impl Knowledge {
    /// Stores delivered alerts in one transaction; once this returns they survive a crash. One answer an alert.
    ///
    /// With [`MAX_ALERTS`] kept that are still of use, what is said of known ones is stored and a new one is an error:
    /// nothing that was acknowledged is ever dropped for one that comes later.
    pub async fn take_in(&self, alerts: &[InboxAlert]) -> Result<Vec<Intake>, StoreError> {
        if !self.has_room(alerts.len()).await? {
            return self.take_in_known(alerts).await;
        }
        // Two writes for each alert, of which at most one takes effect and makes it accepted. The second write of a
        // firing one only keeps its key young: an alert that fires for days must not be taken for a new one.
        let mut batch = self.batch();
        for alert in alerts {
            let alert = InboxAlert { processed: false, ..alert.clone() };
            match alert.status {
                AlertStatus::Firing => {
                    batch.put_if(&alert, When::Absent);
                    batch.touch(&alert, FIRING);
                }
                AlertStatus::Resolved => {
                    batch.put_if(&alert, When::Absent);
                    batch.put_if(&alert, When::Tag(FIRING.to_owned()));
                }
            }
        }
        let written = self.commit(batch).await?;
        Ok(alerts
            .iter()
            .zip(written.chunks_exact(2))
            .map(|(alert, written)| {
                let accepted = match alert.status {
                    AlertStatus::Firing => written[0] == Written::Done,
                    AlertStatus::Resolved => written.contains(&Written::Done),
                };
                if accepted { Intake::Accepted } else { Intake::Duplicate }
            })
            .collect())
    }

    /// Counts only when what was left at the last count is used up: each alert takes one place at most, and places only
    /// become free meanwhile. Where other replicas take alerts in too, each counts again soon.
    async fn has_room(&self, wanted: usize) -> Result<bool, StoreError> {
        let left = &self.alerts_left;
        if left.load(Ordering::Relaxed) < wanted {
            let open = self.store.count(Collection::Alerts, FIRING).await?
                + self.store.count(Collection::Alerts, RESOLVED).await?;
            let free = MAX_ALERTS.saturating_sub(open);
            let ours = if self.is_shared() { free.min(wanted.max(COUNTED_AGAIN)) } else { free };
            left.store(ours, Ordering::Relaxed);
        }
        let taken = |left: usize| left.checked_sub(wanted);
        Ok(left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok())
    }

    async fn take_in_known(&self, alerts: &[InboxAlert]) -> Result<Vec<Intake>, StoreError> {
        let mut batch = self.batch();
        for alert in alerts {
            let alert = InboxAlert { processed: false, ..alert.clone() };
            match alert.status {
                AlertStatus::Firing => batch.touch(&alert, FIRING),
                AlertStatus::Resolved => batch.put_if(&alert, When::Tag(FIRING.to_owned())),
            }
        }
        let mut taken = Vec::with_capacity(alerts.len());
        for (alert, written) in alerts.iter().zip(self.commit(batch).await?) {
            let known = written == Written::Done
                || self.store.get(Collection::Alerts, &Document::key(alert)).await?.is_some();
            if !known {
                return Err(StoreError::Full { store: self.name.to_string(), kept: MAX_ALERTS });
            }
            let news = written == Written::Done && alert.status == AlertStatus::Resolved;
            taken.push(if news { Intake::Accepted } else { Intake::Duplicate });
        }
        Ok(taken)
    }

    /// Every alert that is firing, and every resolved one that no cycle has taken in; in order of arrival.
    pub async fn inbox(&self) -> Result<Vec<InboxAlert>, StoreError> {
        let mut alerts = self.newest(FIRING, MAX_ALERTS).await?;
        alerts.extend(self.newest(RESOLVED, MAX_ALERTS - alerts.len()).await?);
        alerts.reverse();
        alerts.sort_by_key(|alert| alert.received_at);
        Ok(alerts)
    }

    async fn newest(&self, tag: &str, limit: usize) -> Result<Vec<InboxAlert>, StoreError> {
        let (mut alerts, mut after) = (Vec::new(), None);
        while alerts.len() < limit {
            let at_once = READ_AT_ONCE.min(limit - alerts.len());
            let page = self.page(Some(tag), after, at_once).await?;
            alerts.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(alerts)
    }

    /// Says that Alertmanager's list has these alerts, which an earlier cycle has taken in.
    pub async fn mark_listed(&self, alerts: &[InboxAlert]) -> Result<(), StoreError> {
        for alerts in alerts.chunks(MARKED_AT_ONCE) {
            let mut batch = self.batch();
            for alert in alerts {
                batch.put_if(alert, When::Tag(alert.tag().to_owned()));
            }
            self.commit(batch).await?;
        }
        Ok(())
    }

    /// Says that a cycle has taken in these alerts as they were read; returns how many that were new to it.
    ///
    /// One that resolved since it was read stays unprocessed: that cycle has not seen its resolution.
    pub async fn mark_processed(&self, alerts: &[InboxAlert]) -> Result<usize, StoreError> {
        let mut marked = 0;
        for alerts in alerts.chunks(MARKED_AT_ONCE) {
            let mut batch = self.batch();
            for alert in alerts.iter().filter(|alert| !alert.processed) {
                let as_read = alert.tag().to_owned();
                batch.put_if(&InboxAlert { processed: true, ..alert.clone() }, When::Tag(as_read));
            }
            let written = self.commit(batch).await?;
            marked += written.into_iter().filter(|written| *written == Written::Done).count();
        }
        Ok(marked)
    }
}
