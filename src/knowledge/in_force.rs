//! Actions at work, so far as the journal knows: temporary ones that are in force, and those whose result is not known yet.
//! Ending and verifying them is the cycle's.

use super::Knowledge;
use super::store::StoreError;
use crate::domain::execution::{Execution, ExecutionStatus};
use crate::domain::expiring_action::{ExpiringAction, InForce};
use crate::domain::outcome::PendingVerification;
use crate::domain::time::Time;
use crate::domain::under_way::UnderWay;

/// Shown at once: one target has one action at a time, and no budget admits so many in the time of a verification.
const SHOWN: usize = 50;

impl Knowledge {
    /// What ends first first, at most [`InForce::SHOWN`].
    pub async fn in_force(&self) -> Result<Vec<InForce>, StoreError> {
        let mut followed = self.all::<ExpiringAction>(None).await?;
        followed.sort_by_key(|temporary| temporary.expires_at);
        let mut found = Vec::new();
        for temporary in followed.iter().take(InForce::SHOWN) {
            let stored = self.get::<Execution>(&temporary.execution_id.to_string()).await?;
            found.extend(stored.and_then(|(execution, _)| InForce::of(temporary, &execution)));
        }
        Ok(found)
    }

    /// What has begun and has no result yet, oldest first.
    pub async fn under_way(&self, now: Time) -> Result<Vec<UnderWay>, StoreError> {
        let mut found = Vec::new();
        for verification in self.all::<PendingVerification>(None).await?.iter().take(SHOWN) {
            let stored = self.get::<Execution>(&verification.execution_id.to_string()).await?;
            found.extend(stored.map(|(e, _)| UnderWay::verifying(verification, &e, now)));
        }
        for status in [ExecutionStatus::Pending, ExecutionStatus::InProgress] {
            let running = self.all::<Execution>(Some(status.into())).await?;
            let is_known = |e: &&Execution| !found.iter().any(|one| one.execution_id == e.id);
            let new: Vec<_> = running.iter().filter(is_known).map(UnderWay::executing).collect();
            found.extend(new);
        }
        found.sort_by_key(|one| one.since);
        found.truncate(SHOWN);
        Ok(found)
    }
}
