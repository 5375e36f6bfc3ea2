//! The store contract: keyed JSON records in collections, written in one transaction, listed newest first.
//!
//! Deliberately small, so that memory, SQLite and PostgreSQL can be held to one contract suite. What a record
//! means is said by the domain types; which of them are kept for how long is said by [`super::Knowledge`].

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use strum::{IntoStaticStr, VariantArray};

pub use super::lease::Lease;
use crate::domain::time::Time;

/// What kinds of records there are; a closed set, so that no record is without a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Collection {
    Alerts,
    Violations,
    Analyses,
    Policies,
    Executions,
    #[strum(serialize = "judgings")]
    Verifications,
    #[strum(serialize = "temporaries")]
    ExpiringActions,
    Outcomes,
    Insights,
    /// Stored under the name that the first version gave it.
    #[strum(serialize = "incidents")]
    Treatments,
    #[strum(serialize = "escalations")]
    Needs,
    #[strum(serialize = "service_incidents")]
    Incidents,
    /// Messages on their way to people.
    Outbox,
    Cycles,
    /// Single facts by name: learnt receivers, last change of size.
    Facts,
    /// Pauses, those that have ended among them.
    Pauses,
}

impl Collection {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One record as stored. `sequence` is given at first insertion and never changes: it is the order of lists and
/// their cursor. `version` starts at 1 and rises with every put of the key. `at` is kept to the microsecond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: String,
    /// The one thing lists may filter by: `open`/`closed`, an approval, a status.
    pub tag: String,
    pub at: Time,
    pub body: String,
    pub sequence: i64,
    pub version: i64,
}

/// Under which condition a write takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    /// Only if the key is not there.
    Absent,
    /// Only if the key is there with this tag.
    Tag(String),
    /// Only if the key is there with this version.
    Version(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Put {
        collection: Collection,
        key: String,
        tag: String,
        at: Time,
        body: String,
        when: When,
    },
    /// Moves `at` of a record that is there with this tag; body, sequence and version stay: heard of again, nothing new.
    Touch {
        collection: Collection,
        key: String,
        tag: String,
        at: Time,
    },
    /// Has no condition: deleting a missing record succeeds.
    Delete {
        collection: Collection,
        key: String,
    },
}

/// What a conditional write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done,
    /// Its condition did not hold; nothing was changed by it.
    Skipped,
}

/// Which part of a collection to keep; everything else is deleted, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub collection: Collection,
    /// Only records with this tag are bounded; `None` bounds all of the collection.
    pub tag: Option<String>,
    pub newest: usize,
    pub not_before: Option<Time>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub tag: Option<String>,
    /// Only records with a smaller sequence: the `next` of the page before.
    pub after: Option<i64>,
    /// 1..=500 for API pages; internal readers may ask for a whole bounded collection.
    pub limit: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("knowledge store {store} cannot be {what}: {cause}. {advice}")]
    Unavailable { store: String, what: &'static str, cause: String, advice: &'static str },
    #[error(
        "knowledge store {store} holds a {collection} record {key} that cannot be read: {cause}. It was written by another version or damaged"
    )]
    Corrupt { store: String, collection: &'static str, key: String, cause: String },
    #[error(
        "knowledge store {store} holds {count} of open work that this version of mape-k cannot read, so it does not start: it would forget what they have in effect. Nothing in the store was changed. Start the version that wrote them and let it finish its work, or restore a backup; docs/OPERATIONS.md, \"Upgrade\", says how to give up a record:{list}"
    )]
    Unreadable { store: String, count: String, list: String },
    #[error(
        "knowledge store {store} is in use by another mape-k{holder}: two of them would act twice. Stop the other one"
    )]
    InUse { store: String, holder: String },
    #[error(
        "another mape-k on the knowledge store {store} took over the lead from this one (epoch {epoch}): what this one was about to write took no effect, and it does nothing more until it leads again"
    )]
    Superseded { store: String, epoch: u64 },
    #[error(
        "knowledge store {store} holds the records of a {has}, and this process is a {wanted}: neither may learn from the other or recover its open actions. Check the configuration that this one was started with"
    )]
    OtherUse { store: String, has: &'static str, wanted: &'static str },
    #[error("knowledge.database is postgres, and knowledge.postgres_url is not set: set it")]
    Unnamed,
    #[error(
        "{collection} record {key} cannot be serialized: {cause}. This is a defect of mape-k, please report it"
    )]
    Unwritable { collection: &'static str, key: String, cause: String },
    #[error(
        "knowledge store {store} keeps {kept} alerts that fire or that no cycle has seen, and takes no new ones until some of them end. Find what sends so many, and group it or route it elsewhere"
    )]
    Full { store: String, kept: usize },
}

/// One embedded or shared database. Implementations: memory, SQLite, PostgreSQL.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// May other processes have it open at the same time? Then one of them leads, by its lease.
    fn is_shared(&self) -> bool;

    /// Takes the lease if it is free, or renews it, for so long by the store's own clock; and says who has it. A holder
    /// is one start of a process. The epoch rises with every change of holder, and in a store that outlives its process
    /// it is never below the Unix time in seconds at which it was given: one that is made anew, or restored from a
    /// backup, must not stay behind what Charter has seen.
    async fn lead(&self, holder: &str, ttl: Duration) -> Result<Lease, StoreError>;

    /// Gives the lease back, so that the next holder need not wait for its end; does nothing if another holds it.
    async fn resign(&self, holder: &str) -> Result<(), StoreError>;

    /// Asks the leading process for a cycle: it sees that in its next lease.
    async fn wake(&self) -> Result<(), StoreError>;

    /// Applies all writes in one durable transaction, in order; a failed condition skips that write alone. With a
    /// fence, all of it only while the lease has exactly this epoch, looked at in the same transaction; else
    /// [`StoreError::Superseded`].
    async fn write_under(
        &self,
        fence: Option<u64>,
        writes: Vec<Write>,
    ) -> Result<Vec<Written>, StoreError>;

    /// Writes whichever process leads: the webhook's intake and what people decide.
    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        self.write_under(None, writes).await
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Record>, StoreError>;

    /// Newest first.
    async fn list(&self, collection: Collection, query: Query) -> Result<Vec<Record>, StoreError>;

    /// How many records of the collection have this tag.
    async fn count(&self, collection: Collection, tag: &str) -> Result<usize, StoreError>;

    /// Deletes what the bound leaves out, at most so many records, so that other writes get in between; says how many
    /// there were of each tag. Nothing is left out any more when it says nothing. Fenced as a write is.
    async fn prune_under(
        &self,
        fence: Option<u64>,
        bound: &Bound,
        at_most: usize,
    ) -> Result<BTreeMap<String, u64>, StoreError>;

    async fn prune(
        &self,
        bound: &Bound,
        at_most: usize,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        self.prune_under(None, bound, at_most).await
    }

    /// Can it still be written? Asked before anything is sent to Charter and by /health.
    async fn check(&self) -> Result<(), StoreError>;

    /// Puts everything where a copy of the store finds it and lets another process have it. Nothing works afterwards.
    async fn close(&self);
}
