//! Can this version read all that is open in the store? Asked once, before a start takes the lease or writes anything, so
//! that the store of another version is refused whole instead of failing the loop record by record.
//!
//! History that cannot be read is no reason: it is left out and said in the log.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::ledger::LEDGER;
use super::recall::{HISTORY, RECENT, RECLAIMABLE, TREATMENTS, execution_of};
use crate::domain::execution::Execution;
use crate::domain::expiring_action::ExpiringAction;
use crate::domain::follow_ups::FollowUps;
use crate::domain::ledger::Ledger;
use crate::domain::natural::Natural;
use crate::domain::need::Need;
use crate::domain::outcome::{Outcome, PendingVerification};
use crate::domain::pause::Pause;
use crate::domain::policy::{Approval, Policy};
use crate::domain::time::Time;
use crate::domain::treatment::Treatment;
use crate::domain::violation::TrackedViolation;
use crate::knowledge::documents::{ACTIVE, CLEARED, OPEN};
use crate::knowledge::{Document, Fact, Knowledge, StoreError, Unread};
use crate::planner::ReclaimableReplicas;

/// More of one kind are never open at once; what lies beyond is met by the loop itself.
const OPEN_AT_MOST: usize = 10_000;

/// The error names every record that stands in the way.
pub async fn check_open_work(knowledge: &Knowledge, now: Time) -> Result<(), StoreError> {
    let mut survey = Survey { knowledge, refused: Vec::new(), history: Vec::new() };
    for approval in [Approval::Pending, Approval::Approved] {
        survey.open::<Policy>(Some(approval.as_str())).await?;
    }
    survey.mixed::<Policy>(Some(Approval::Rejected.as_str()), RECENT, now - HISTORY).await?;
    for tag in ["pending", "in_progress"] {
        survey.open::<Execution>(Some(tag)).await?;
    }
    let verifications = survey.open::<PendingVerification>(None).await?;
    let temporaries = survey.open::<ExpiringAction>(None).await?;
    let escalations = survey.open::<Need>(Some(OPEN)).await?;
    let aftermath = survey.fact::<FollowUps>(FollowUps::FACT).await?.unwrap_or_default();
    survey.fact::<Ledger>(LEDGER).await?;
    survey.fact::<Option<Pause>>(Fact::PAUSE).await?;
    survey.fact::<ReclaimableReplicas>(RECLAIMABLE).await?;
    survey.fact::<Natural>(Fact::NATURAL).await?;
    survey.mixed::<Treatment>(None, TREATMENTS, now - HISTORY).await?;
    survey.open::<TrackedViolation>(Some(ACTIVE)).await?;
    // Ended ones of which something is still to be verified, ended, found out or undone.
    let named: BTreeSet<Uuid> = verifications
        .iter()
        .map(|verification| verification.execution_id)
        .chain(temporaries.iter().map(|temporary| temporary.execution_id))
        .chain(escalations.iter().filter_map(execution_of))
        .chain(aftermath.undoings.iter().map(|owed| owed.execution_id))
        .collect();
    for id in named {
        survey.one::<Execution>(&id.to_string()).await?;
    }
    survey.history::<TrackedViolation>(Some(CLEARED)).await?;
    survey.history::<Execution>(None).await?;
    survey.history::<Outcome>(None).await?;
    let Survey { refused, history, .. } = survey;
    for Unread { collection, key, cause, .. } in history {
        tracing::warn!(
            collection,
            key,
            cause,
            "a record of the past cannot be read and is left out"
        );
    }
    if refused.is_empty() { Ok(()) } else { Err(knowledge.unreadable(&refused)) }
}

struct Survey<'a> {
    knowledge: &'a Knowledge,
    refused: Vec<Unread>,
    history: Vec<Unread>,
}

impl Survey<'_> {
    async fn open<T: Document>(&mut self, tag: Option<&str>) -> Result<Vec<T>, StoreError> {
        let (items, unread) = self.knowledge.survey(tag, OPEN_AT_MOST).await?;
        self.refused.extend(unread);
        Ok(items)
    }

    /// Open work and history under one tag.
    async fn mixed<T: Document>(
        &mut self,
        tag: Option<&str>,
        limit: usize,
        history: Time,
    ) -> Result<(), StoreError> {
        let (_, unread) = self.knowledge.survey::<T>(tag, limit).await?;
        let (old, new): (Vec<_>, Vec<_>) = unread.into_iter().partition(|one| one.at < history);
        self.refused.extend(new);
        self.history.extend(old);
        Ok(())
    }

    async fn history<T: Document>(&mut self, tag: Option<&str>) -> Result<(), StoreError> {
        let (_, unread) = self.knowledge.survey::<T>(tag, RECENT).await?;
        let known = |one: &Unread| {
            self.refused.iter().any(|r| (r.collection, &r.key) == (one.collection, &one.key))
        };
        let unread: Vec<Unread> = unread.into_iter().filter(|one| !known(one)).collect();
        self.history.extend(unread);
        Ok(())
    }

    async fn one<T: Document>(&mut self, key: &str) -> Result<(), StoreError> {
        let read = self.knowledge.get::<T>(key).await;
        self.note(read).map(drop)
    }

    async fn fact<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, StoreError> {
        let read = self.knowledge.fact::<T>(name).await;
        Ok(self.note(read)?.flatten())
    }

    fn note<T>(&mut self, read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::Corrupt { collection, key, cause, .. }) => {
                self.refused.push(Unread { collection, key, cause, at: Time::MIN_UTC });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
