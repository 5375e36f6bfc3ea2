//! What a store is used for: the loop in the world's own time, or rehearsals at N times the speed of life.
//!
//! A rehearsal on production's store would recover production's open actions against another Charter, and production would
//! plan by what was learned from that one. So a store has one use, which its first rehearsal writes down.

use serde_json::Value;

use super::documents::Fact;
use super::store::{Collection, Query};
use super::{Knowledge, StoreError};
use crate::domain::time::Time;

const NORMAL: &str = "normal run";
const REHEARSAL: &str = "rehearsal (mape-k run --speed)";

impl Knowledge {
    /// Refuses a store of the other use. To be asked before anything is written, the lease included.
    pub async fn reserve_for(&self, is_rehearsal: bool, now: Time) -> Result<(), StoreError> {
        let is_marked = self.get::<Fact>(Fact::REHEARSAL).await?.is_some();
        let refused =
            |has, wanted| Err(StoreError::OtherUse { store: self.name.to_string(), has, wanted });
        match (is_rehearsal, is_marked) {
            (false, true) => refused(REHEARSAL, NORMAL),
            (true, false) if self.holds_anything().await? => refused(NORMAL, REHEARSAL),
            (true, false) => {
                let name = Fact::REHEARSAL.to_owned();
                let mut batch = self.batch();
                batch.put(&Fact { name, value: Value::Bool(true), at: now });
                self.commit(batch).await.map(drop)
            }
            (false, false) | (true, true) => Ok(()),
        }
    }

    /// Any record: a normal run may have taken in alerts or a pause before its first cycle ended.
    async fn holds_anything(&self) -> Result<bool, StoreError> {
        for collection in Collection::ALL {
            let query = Query { limit: 1, ..Query::default() };
            if !self.store.list(collection, query).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
