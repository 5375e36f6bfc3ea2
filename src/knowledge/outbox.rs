//! The outbox in the store: messages on their way to people, oldest first.
//!
//! The cycle puts a message in with its incidents, in one transaction, and the notifier's worker claims it there before
//! it sends it. An entry is deleted when the incidents and the cycle's report say what became of it.

use super::documents::Document;
use super::store::{Collection, StoreError};
use super::{Knowledge, Unread};
use crate::domain::outbox::Outgoing;
use crate::domain::time::Time;

/// More than the outbox may hold.
const ALL: usize = 10_000;

impl Document for Outgoing {
    const COLLECTION: Collection = Collection::Outbox;

    fn key(&self) -> String {
        self.id.clone()
    }

    fn at(&self) -> Time {
        self.message.at
    }
}

impl Knowledge {
    /// All entries in the order in which they were put in, and beside them what this version cannot read.
    pub async fn outbox(&self) -> Result<(Vec<Outgoing>, Vec<Unread>), StoreError> {
        let (mut entries, unread) = self.survey::<Outgoing>(None, ALL).await?;
        entries.reverse();
        Ok((entries, unread))
    }
}
