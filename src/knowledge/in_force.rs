//! Temporary actions that are at work at Charter, so far as the journal knows. Ending them is the cycle's.

use super::Knowledge;
use super::store::StoreError;
use crate::domain::execution::Execution;
use crate::domain::temporary::{InForce, Temporary};

impl Knowledge {
    /// What ends first first, at most [`InForce::SHOWN`].
    pub async fn in_force(&self) -> Result<Vec<InForce>, StoreError> {
        let mut followed = self.all::<Temporary>(None).await?;
        followed.sort_by_key(|temporary| temporary.expires_at);
        let mut found = Vec::new();
        for temporary in followed.iter().take(InForce::SHOWN) {
            let stored = self.get::<Execution>(&temporary.execution_id.to_string()).await?;
            found.extend(stored.and_then(|(execution, _)| InForce::of(temporary, &execution)));
        }
        Ok(found)
    }
}
