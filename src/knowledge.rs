//! Knowledge: the store behind the loop, the journal in it, what was learned from outcomes, and insights.
//!
//! ```text
//! webhook ─▶ inbox ─▶ cycle ─▶ Batch ─▶ commit ─┐
//! people ─▶ decide_policy, pause, resume ───────┼─▶ Store: memory | SQLite | PostgreSQL
//! API, planner ◀─ get, page, statistics ◀───────┘
//! ```
//!
//! [`Knowledge`] speaks domain values, a [`store::Store`] speaks keyed records; between them stands [`Document`].
//! Pure functions beside them: [`verification`] says whether an action helped, [`recovery`] whether its score agrees,
//! [`learning`] computes what follows from the results, and [`insights`] puts that in words.

pub mod documents;
pub mod insights;
pub mod learning;
pub mod lease;
pub mod memory;
pub mod natural;
pub mod postgres;
pub mod recovery;
pub mod report_files;
pub mod settings;
pub mod sqlite;
pub mod store;
pub mod verification;

mod approval;
mod batch;
mod in_force;
mod inbox;
mod outbox;
mod pause;
mod probe;
mod purpose;
mod retention;
mod survey;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::domain::natural::Natural;
use crate::domain::outcome::{ActionStatistics, Insight, Outcome};
use crate::domain::time::Time;

pub use approval::{By, Decision, DecisionError};
pub use batch::Batch;
pub use documents::{Document, Fact};
pub use inbox::{Intake, MAX_ALERTS};
pub use lease::{Lease, Term};
pub use probe::probe;
pub use retention::Pruned;
pub use settings::{Database, Settings};
pub use store::{StoreError, When, Written};
pub use survey::Unread;

use store::{Query, Record, Store};

/// The most documents that [`Knowledge::all`] reads: no collection is allowed to hold more of one kind.
const ALL: usize = 100_000;

/// One page of a list, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; `None` on the last one.
    pub next: Option<i64>,
}

/// Everything the loop knows. Cheap to clone; all clones share one store.
#[derive(Clone, Debug)]
pub struct Knowledge {
    store: Arc<dyn Store>,
    settings: Arc<Settings>,
    name: Arc<str>,
    /// Alerts that may be taken in before the inbox is counted again.
    alerts_left: Arc<AtomicUsize>,
    /// The term under which its writes take effect; `None`: they take effect whichever process leads.
    term: Option<Term>,
}

impl Knowledge {
    /// Opens the store that the configuration names, creating it where it is not there yet.
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        match settings.database {
            Database::Memory => {
                Ok(Self::with_store(Arc::<memory::MemoryStore>::default(), settings, "memory"))
            }
            Database::Sqlite => {
                let store = sqlite::SqliteStore::open(&settings.sqlite_path).await?;
                let name = settings.sqlite_path.display().to_string();
                Ok(Self::with_store(Arc::new(store), settings, &name))
            }
            Database::Postgres => {
                let url = settings.postgres_url.as_ref().ok_or(StoreError::Unnamed)?;
                let store = postgres::PostgresStore::open(url).await?;
                Ok(Self::with_store(Arc::new(store), settings, &url.to_string()))
            }
        }
    }

    /// With default settings, and nothing survives the process.
    #[must_use]
    pub fn in_memory() -> Self {
        let settings = Settings { database: Database::Memory, ..Settings::default() };
        Self::with_store(Arc::<memory::MemoryStore>::default(), &settings, "memory")
    }

    /// On a store that is open already.
    #[must_use]
    pub fn with_store(store: Arc<dyn Store>, settings: &Settings, name: &str) -> Self {
        let alerts_left = Arc::default();
        Self {
            store,
            settings: Arc::new(settings.clone()),
            name: name.into(),
            alerts_left,
            term: None,
        }
    }

    /// The same for the one who leads: all that it writes takes effect only while nobody else has led since.
    #[must_use]
    pub fn leading(&self, term: Term) -> Self {
        Self { term: Some(term), ..self.clone() }
    }

    /// The term under which it writes.
    #[must_use]
    pub fn term(&self) -> Option<&Term> {
        self.term.as_ref()
    }

    /// Does what it holds outlive the process?
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.settings.database != Database::Memory
    }

    /// May other processes have the store open at the same time?
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// Takes or renews the lease of a shared store; see [`Store::lead`].
    pub async fn lead(&self, holder: &str, ttl: Duration) -> Result<Lease, StoreError> {
        self.store.lead(holder, ttl).await
    }

    /// Leads for good: only this process has the store, so that the holder of an older lease has ended.
    pub async fn lead_alone(&self, holder: &str) -> Result<Term, StoreError> {
        let mut lease = self.store.lead(holder, lease::FOR_GOOD).await?;
        if !lease.is_ours {
            self.store.resign(&lease.holder).await?;
            lease = self.store.lead(holder, lease::FOR_GOOD).await?;
        }
        Ok(Term::alone(lease.epoch))
    }

    /// Lets another one lead at once.
    pub async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        self.store.resign(holder).await
    }

    /// Asks the leading process for a cycle.
    pub async fn wake(&self) -> Result<(), StoreError> {
        self.store.wake().await
    }

    /// A store that hangs is one that cannot be used: what was asked of it ends with an error then.
    pub async fn answers<T>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(within, work).await.unwrap_or_else(|_| Err(self.too_late(within)))
    }

    /// What it is when an answer did not come by then, also where it comes after all.
    #[must_use]
    pub fn too_late(&self, within: Duration) -> StoreError {
        StoreError::Unavailable {
            store: self.name.to_string(),
            what: "used",
            cause: format!("no answer within {} s", within.as_secs()),
            advice: "Check that its disk or its server answers",
        }
    }

    fn fence(&self) -> Option<u64> {
        self.term.as_ref().map(Term::epoch)
    }

    pub fn batch(&self) -> Batch {
        Batch::default()
    }

    /// Writes the batch in one durable transaction, one answer a write. An empty batch writes nothing.
    pub async fn commit(&self, batch: Batch) -> Result<Vec<Written>, StoreError> {
        let writes = batch.into_writes()?;
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        self.store.write_under(self.fence(), writes).await
    }

    /// The document with its version, for [`When::Version`].
    pub async fn get<T: Document>(&self, key: &str) -> Result<Option<(T, i64)>, StoreError> {
        match self.store.get(T::COLLECTION, key).await? {
            Some(record) => Ok(Some((self.read(&record)?, record.version))),
            None => Ok(None),
        }
    }

    /// A single fact's value. One that cannot be read is an error, never the same as none.
    pub async fn fact<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let Some((fact, _)) = self.get::<Fact>(name).await? else { return Ok(None) };
        serde_json::from_value(fact.value).map_err(|error| StoreError::Corrupt {
            store: self.name.to_string(),
            collection: Fact::COLLECTION.as_str(),
            key: name.to_owned(),
            cause: error.to_string(),
        })
    }

    /// Newest first; `after` is the `next` of the page before.
    pub async fn page<T: Document>(
        &self,
        tag: Option<&str>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Page<T>, StoreError> {
        let (records, next) = self.records::<T>(tag, after, limit).await?;
        let items = records.iter().map(|record| self.read(record)).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    async fn records<T: Document>(
        &self,
        tag: Option<&str>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<Record>, Option<i64>), StoreError> {
        // One more than asked for tells whether there is a next page.
        let query = Query { tag: tag.map(str::to_owned), after, limit: limit.saturating_add(1) };
        let mut records = self.store.list(T::COLLECTION, query).await?;
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().filter(|_| more).map(|record| record.sequence);
        Ok((records, next))
    }

    /// A whole collection, newest first.
    pub async fn all<T: Document>(&self, tag: Option<&str>) -> Result<Vec<T>, StoreError> {
        Ok(self.page(tag, None, ALL).await?.items)
    }

    /// Can it still be written? An error means that nothing may be sent to Charter.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    /// At the end of the process; see [`Store::close`].
    pub async fn close(&self) {
        self.store.close().await;
    }

    /// What the kept outcomes teach; nothing while `pattern_learning_enabled` is off.
    pub async fn statistics(&self) -> Result<Vec<ActionStatistics>, StoreError> {
        if !self.settings.pattern_learning_enabled {
            return Ok(Vec::new());
        }
        // The limit holds here too: between two prunes there may be more, and a restart must not change a number.
        let limit = self.settings.outcome_history_limit;
        // What was learned is history: an outcome that cannot be read teaches nothing.
        let (outcomes, _) = self.survey::<Outcome>(None, limit).await?;
        let natural = self.natural().await?;
        let saturation = self.settings.confidence_saturation_point;
        Ok(learning::statistics(&outcomes, &natural.counts, saturation))
    }

    /// What cleared by itself, as counted.
    pub async fn natural(&self) -> Result<Natural, StoreError> {
        Ok(self.fact::<Natural>(Fact::NATURAL).await?.unwrap_or_default())
    }

    /// Brings the stored insights in line with the statistics; returns how many said something new.
    pub async fn refresh_insights(
        &self,
        learned: &[ActionStatistics],
        now: Time,
    ) -> Result<usize, StoreError> {
        if !self.settings.insight_generation_enabled {
            return Ok(0);
        }
        let present = self.all::<Insight>(None).await?;
        let mut batch = self.batch();
        for insight in insights::insights(learned, now) {
            let said = present.iter().any(|old| insights::says_the_same(old, &insight));
            if !said {
                batch.put(&insight);
            }
        }
        Ok(self.commit(batch).await?.len())
    }

    fn read<T: Document>(&self, record: &Record) -> Result<T, StoreError> {
        serde_json::from_str(&record.body).map_err(|error| self.damaged::<T>(&record.key, &error))
    }

    fn damaged<T: Document>(&self, key: &str, error: &serde_json::Error) -> StoreError {
        StoreError::Corrupt {
            store: self.name.to_string(),
            collection: T::COLLECTION.as_str(),
            key: key.to_owned(),
            cause: error.to_string(),
        }
    }
}
