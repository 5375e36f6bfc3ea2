//! The store in a PostgreSQL database, which several daemons share: one of them leads, by the lease.
//!
//! ```text
//! open ─▶ migrations ─▶ one session writes, one asks for the lease, a few others read
//! write ─▶ one statement: lock the lease row ─▶ is the fence's epoch the one that leads? ─▶ the batch
//! ```
//!
//! Every writer, whether it leads or only takes alerts in, locks the lease's row first. So a write under a fence takes
//! effect only while its epoch leads; and `sequence` rises in the order in which commits become visible: numbers handed
//! out to transactions side by side would be seen out of order, and a page of a list would miss records for ever.
//! The lease has a session of its own, so that a queue of writes does not make the leader late.
//! SQL stays in this file and in migrations/postgres.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::settings::PostgresUrl;
use super::store::{Bound, Collection, Lease, Query, Record, Store, StoreError, Write, Written};
use crate::domain::address;

mod columns;
mod session;

use columns::{Columns, count, read_record, stored};
use session::{CALL, Server, Session};

const READERS: u32 = 2;

/// For the tables at the start, where nobody waits but the supervisor: another replica may be making them just now.
const OPEN: Duration = Duration::from_secs(30);

pub struct PostgresStore {
    server: Arc<Server>,
    writer: Session,
    elector: Session,
    readers: PgPool,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("name", &self.server.name).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Makes the tables or brings them up to date. Does not take the lease.
    pub async fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        let server = Arc::new(Server::new(
            url.to_string(),
            address::password(url.expose()),
            PgConnectOptions::from_url(url.expose()),
        )?);
        // Read in turn, by connections that are asked whether they still live: the server may have been away.
        let readers = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(CALL)
            .connect_lazy_with(server.options.clone());
        let (writer, elector) = (Session::of(&server), Session::of(&server));
        let store = Self { server, writer, elector, readers };
        store.server.bounded(OPEN, "opened", store.prepare()).await?;
        // What can be opened but not read or written is told at the start, not at the first fault.
        store.check().await?;
        store.get(Collection::Facts, "").await?;
        Ok(store)
    }

    /// Does the server let us in? Nothing is made or changed.
    pub async fn probe(url: &PostgresUrl) -> Result<(), StoreError> {
        let server = Server::new(
            url.to_string(),
            address::password(url.expose()),
            PgConnectOptions::from_url(url.expose()),
        )?;
        let asked = async {
            let mut session = server.connect().await?;
            session.ping().await.map_err(|error| server.failed("opened", &error))
        };
        server.bounded(CALL, "opened", asked).await
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let opened = |error: sqlx::Error| self.server.failed("opened", &error);
        let mut session = self.server.connect().await?;
        // Another replica that starts at the same time holds the migrations' own lock for as long as it needs.
        sqlx::raw_sql("SET lock_timeout = '25s'; SET statement_timeout = '25s'")
            .execute(&mut session)
            .await
            .map_err(opened)?;
        let encoding: String = sqlx::query_scalar("SHOW server_encoding")
            .fetch_one(&mut session)
            .await
            .map_err(opened)?;
        if encoding != "UTF8" {
            let cause = format!("its encoding is {encoding}; mape-k needs a database in UTF8");
            return Err(self.server.unavailable("opened", cause));
        }
        // Asked first: who may not create schemas may still use one that an administrator made.
        if !has_schema(&mut session).await.map_err(opened)? {
            let made = sqlx::raw_sql("CREATE SCHEMA mape_k").execute(&mut session).await;
            // Another replica may have been faster.
            if let Err(error) = made
                && !has_schema(&mut session).await.map_err(opened)?
            {
                return Err(opened(error));
            }
        }
        sqlx::migrate!("src/knowledge/migrations/postgres").run(&mut session).await.map_err(
            |error| match error {
                MigrateError::Execute(error) => opened(error),
                error => self.server.unavailable("brought up to date", error.to_string()),
            },
        )?;
        session.close().await.ok();
        Ok(())
    }

    async fn reading<T>(
        &self,
        read: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let read = async { read.await.map_err(|error| self.server.failed("read", &error)) };
        self.server.bounded(CALL, "read", read).await
    }
}

async fn has_schema(session: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regnamespace('mape_k') IS NOT NULL").fetch_one(session).await
}

/// Epochs and times are far from where the two kinds of number differ.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[async_trait]
impl Store for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    async fn lead(&self, holder: &str, ttl: Duration) -> Result<Lease, StoreError> {
        let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let statement = sqlx::query("SELECT * FROM lead($1, $2)").bind(stored(holder)).bind(ttl);
        let rows = self.elector.run(statement, None).await?;
        let read = || -> Result<Lease, sqlx::Error> {
            let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            Ok(Lease {
                is_ours: row.try_get("is_ours")?,
                epoch: unsigned(row.try_get("epoch")?),
                holder: row.try_get("holder").map(columns::given)?,
                expires_in: Duration::from_millis(unsigned(row.try_get("expires_in")?)),
                wakes: unsigned(row.try_get("wakes")?),
                at: DateTime::from_timestamp_micros(row.try_get("at")?),
            })
        };
        read().map_err(|error| self.server.failed("led", &error))
    }

    async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        let sql = "UPDATE lease SET holder = '', expires = '-infinity' WHERE holder = $1";
        self.elector.run(sqlx::query(sql).bind(stored(holder)), None).await.map(drop)
    }

    async fn wake(&self) -> Result<(), StoreError> {
        let statement = sqlx::query("UPDATE lease SET wakes = wakes + 1");
        self.writer.run(statement, None).await.map(drop)
    }

    async fn write_under(
        &self,
        fence: Option<u64>,
        writes: Vec<Write>,
    ) -> Result<Vec<Written>, StoreError> {
        let columns = Columns::of(writes);
        let statement = sqlx::query("SELECT write_batch($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(fence.map(signed))
            .bind(&columns.whats)
            .bind(&columns.collections)
            .bind(&columns.keys)
            .bind(&columns.tags)
            .bind(&columns.ats)
            .bind(&columns.bodies)
            .bind(&columns.if_tags)
            .bind(&columns.if_versions);
        let rows = self.writer.run(statement, fence).await?;
        let done = rows.iter().map(|row| row.try_get::<Vec<bool>, _>(0));
        let done: Vec<Vec<bool>> = done
            .collect::<Result<_, _>>()
            .map_err(|error| self.server.failed("written", &error))?;
        let written = |done| if done { Written::Done } else { Written::Skipped };
        Ok(done.into_iter().flatten().map(written).collect())
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Record>, StoreError> {
        let read = sqlx::query("SELECT * FROM records WHERE collection = $1 AND key = $2")
            .bind(collection.as_str())
            .bind(stored(key))
            .fetch_optional(&self.readers);
        let row = self.reading(read).await?;
        row.map(|row| read_record(&self.server.name, collection, &row)).transpose()
    }

    async fn list(&self, collection: Collection, query: Query) -> Result<Vec<Record>, StoreError> {
        let sql = if query.tag.is_some() {
            "SELECT * FROM records WHERE collection = $1 AND sequence < $2 AND tag = $4
             ORDER BY sequence DESC LIMIT $3"
        } else {
            "SELECT * FROM records WHERE collection = $1 AND sequence < $2
             ORDER BY sequence DESC LIMIT $3"
        };
        let read = sqlx::query(sql)
            .bind(collection.as_str())
            .bind(query.after.unwrap_or(i64::MAX))
            .bind(count(query.limit));
        let read = match &query.tag {
            Some(tag) => read.bind(stored(tag)),
            None => read,
        };
        let read = read.fetch_all(&self.readers);
        let rows = self.reading(read).await?;
        rows.iter().map(|row| read_record(&self.server.name, collection, row)).collect()
    }

    async fn count(&self, collection: Collection, tag: &str) -> Result<usize, StoreError> {
        let sql = "SELECT COUNT(*) FROM records WHERE collection = $1 AND tag = $2";
        let read = sqlx::query_scalar::<_, i64>(sql)
            .bind(collection.as_str())
            .bind(stored(tag))
            .fetch_one(&self.readers);
        let rows = self.reading(read).await?;
        Ok(usize::try_from(rows).unwrap_or_default())
    }

    async fn prune_under(
        &self,
        fence: Option<u64>,
        bound: &Bound,
        at_most: usize,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let statement = sqlx::query("SELECT prune_records($1, $2, $3, $4, $5, $6)")
            .bind(fence.map(signed))
            .bind(bound.collection.as_str())
            .bind(bound.tag.as_deref().map(stored))
            .bind(count(bound.newest))
            .bind(bound.not_before.map_or(i64::MIN, |time| time.timestamp_micros()))
            .bind(count(at_most));
        let mut dropped = BTreeMap::new();
        for row in self.writer.run(statement, fence).await? {
            let tag = row.try_get(0).map_err(|error| self.server.failed("written", &error))?;
            *dropped.entry(columns::given(tag)).or_default() += 1;
        }
        Ok(dropped)
    }

    // A real commit: only that meets a full disk or a standby.
    async fn check(&self) -> Result<(), StoreError> {
        let statement = sqlx::query("UPDATE write_check SET checks = checks + 1");
        self.writer.run(statement, None).await.map(drop)
    }

    async fn close(&self) {
        self.writer.close().await;
        self.elector.close().await;
        self.readers.close().await;
    }
}
