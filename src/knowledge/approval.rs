//! A person's word on a pending policy: compare and set, so that what was read is what is decided.

use uuid::Uuid;

use super::Knowledge;
use super::store::{StoreError, When, Written};
use crate::domain::grant::Grant;
use crate::domain::policy::{Approval, Policy};
use crate::domain::time::{Time, after};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Approve,
    Reject,
}

/// Who decided, and why where they said so.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    pub name: &'a str,
    pub reason: Option<&'a str>,
}

impl<'a> From<&'a str> for By<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, reason: None }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    #[error(
        "policy {id} is not known; list the pending ones with GET /api/v1/policies?approval=pending"
    )]
    NotFound { id: Uuid },
    #[error(
        "policy {} is {} and no longer waits for a decision: nothing was changed",
        present.id,
        present.approval.as_str()
    )]
    NotPending { present: Box<Policy> },
    #[error(
        "policy {} is at revision {} and the decision named revision {named}: read it again and decide on the present one",
        present.id,
        present.revision
    )]
    OtherRevision { named: u32, present: Box<Policy> },
    #[error(
        "policy {} hashes to {} and the decision named {named}: read it again and decide on the present one",
        present.id,
        present.plan_hash
    )]
    OtherHash { named: String, present: Box<Policy> },
    #[error("policy {} kept changing while it was decided: nothing was changed, try again", present.id)]
    Busy { present: Box<Policy> },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The loop refreshes a pending policy once a cycle, so a second try already meets a quiet record.
const TRIES: usize = 3;

impl Knowledge {
    /// Approves or rejects the pending policy `id` as it stands at `revision` and, if it is named, with a hash that
    /// begins with `plan_hash`. An approval is a grant of exactly that, and ends.
    pub async fn decide_policy(
        &self,
        id: Uuid,
        revision: u32,
        plan_hash: Option<&str>,
        decision: Decision,
        by: impl Into<By<'_>>,
        now: Time,
    ) -> Result<Policy, DecisionError> {
        let key = id.to_string();
        let By { name, reason } = by.into();
        for _ in 0..TRIES {
            let (present, version) =
                self.get::<Policy>(&key).await?.ok_or(DecisionError::NotFound { id })?;
            if present.approval != Approval::Pending {
                return Err(DecisionError::NotPending { present: Box::new(present) });
            }
            if present.revision != revision {
                return Err(DecisionError::OtherRevision {
                    named: revision,
                    present: Box::new(present),
                });
            }
            let hash = present.hash();
            let present = Policy { plan_hash: hash.clone(), ..present };
            if let Some(named) = plan_hash.filter(|named| !hash.starts_with(named)) {
                let named = named.to_owned();
                return Err(DecisionError::OtherHash { named, present: Box::new(present) });
            }
            let grant = Grant {
                revision,
                plan_hash: hash,
                by: name.to_owned(),
                at: now,
                expires_at: after(now, self.settings.approval_ttl),
            };
            let (approval, grant) = match decision {
                Decision::Approve => (Approval::Approved, Some(grant)),
                Decision::Reject => (Approval::Rejected, None),
            };
            let decided = Policy {
                approval,
                grant,
                updated_at: now,
                decided_at: Some(now),
                decided_by: Some(name.to_owned()),
                decision_reason: reason.map(str::to_owned),
                ..present
            };
            let mut batch = self.batch();
            batch.put_if(&decided, When::Version(version));
            if self.commit(batch).await? == [Written::Done] {
                return Ok(decided);
            }
        }
        let (present, _) = self.get::<Policy>(&key).await?.ok_or(DecisionError::NotFound { id })?;
        Err(DecisionError::Busy { present: Box::new(present) })
    }
}
