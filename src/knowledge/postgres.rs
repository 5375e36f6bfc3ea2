//! The store in a PostgreSQL database: one session writes and holds the lock on the store, a few others read.
//!
//! ```text
//! open ─▶ session: lock ─▶ migrations ─▶ leave our token
//! write ─▶ session (lost: a new one, lock again) ─▶ one statement: is the token ours? then the batch
//! ```
//!
//! Two daemons on one store would act twice, so two things keep the second one out. The *lock* is the server's advisory
//! lock of the writing session: whoever wants to write has it, and when the session ends, however that happens, the lock
//! is gone with the only way to write. The *token* says who opened the store last: after a lost session another process
//! may have held it and acted, and what this process remembers from before is no base for acting. Every write compares
//! the token within its own transaction, so a daemon that was out is refused for good, even where the lock says nothing (a
//! pooler that hands out sessions by transaction, a restored server).
//!
//! One writer at a time also makes `sequence` rise in the order in which commits become visible: numbers handed out to
//! transactions side by side would be seen out of order, and a page of a list would miss records for ever.
//! SQL stays in this file and in migrations/postgres.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow, Postgres,
};
use sqlx::query::QueryScalar;
use sqlx::{ConnectOptions as _, Connection as _, FromRow};
use tokio::sync::Mutex;
use tokio::time::timeout;
use uuid::Uuid;

use super::settings::PostgresUrl;
use super::store::{Bound, Collection, Query, Record, Store, StoreError, Write, Written};
use crate::domain::address;
use crate::domain::secret::Secret;

mod columns;

use columns::{Columns, count, read_record, stored};

const READERS: u32 = 2;

/// Every call has ended by then, connecting and waiting for its turn included: below the 10 s that the webhook and the
/// API give the store, so that people are told the store's reason and not just that it is late.
const CALL: Duration = Duration::from_secs(8);

/// For the lock and the tables at the start, where nobody waits but the supervisor.
const OPEN: Duration = Duration::from_secs(30);

/// "mape-k\0\0": the name of the lock, within the one database.
const LOCK: i64 = 0x6d61_7065_2d6b_0000;

/// Ours, raised by `hold` in migrations/postgres.
const SUPERSEDED: &str = "MK001";
/// PostgreSQL's lock_not_available: `lock_timeout` is over.
const LOCKED: &str = "55P03";

/// Of every session. The server ends what hangs before [`CALL`] is over, and finds out within half a minute that a
/// machine has vanished, so that its lock is free for the next one.
const SESSION: [(&str, &str); 12] = [
    ("application_name", "mape-k"),
    ("search_path", "mape_k"),
    ("client_min_messages", "warning"),
    ("default_transaction_isolation", "read committed"),
    ("statement_timeout", "5s"),
    // A session of ours that was just cut needs a moment to end and to let go of the lock. Within the 2 s of /health.
    ("lock_timeout", "1s"),
    // Everything here has its index; a plan made while the store was empty would read all of it for hours.
    ("enable_seqscan", "off"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "25000"),
];

const UNAVAILABLE: &str = "Check that the server runs, takes connections and writes, and has free space, and that user and database are right (knowledge.postgres_url)";

pub struct PostgresStore {
    /// The address without user and password, for messages.
    name: String,
    /// What no message may repeat.
    password: Option<Secret>,
    options: PgConnectOptions,
    /// Who we are to the store: of this process and opening alone.
    token: String,
    writer: Mutex<Writer>,
    readers: PgPool,
}

/// The session that holds the lock. It is taken out for the time of a call and put back after a whole one: what was cut
/// in the middle is never used again, and the server rolls back what it was about.
enum Writer {
    Ready(PgConnection),
    Lost,
    Closed,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Takes the store for this process, and makes its tables or brings them up to date.
    pub async fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_url(url.expose());
        let mut store = Self {
            name: url.to_string(),
            password: address::password(url.expose()),
            options: PgConnectOptions::new_without_pgpass(),
            token: Uuid::new_v4().to_string(),
            writer: Mutex::new(Writer::Lost),
            readers: PgPoolOptions::new().connect_lazy_with(PgConnectOptions::new_without_pgpass()),
        };
        store.options = options.map_err(|error| store.failed("opened", &error))?.options(SESSION);
        // Read in turn, by connections that are asked whether they still live: the server may have been away.
        store.readers = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(CALL)
            .connect_lazy_with(store.options.clone());
        let session = store.bounded(OPEN, "opened", store.prepare()).await?;
        *store.writer.get_mut() = Writer::Ready(session);
        // What can be opened but not read or written is told at the start, not at the first fault.
        store.check().await?;
        store.get(Collection::Facts, "").await?;
        Ok(store)
    }

    async fn prepare(&self) -> Result<PgConnection, StoreError> {
        let opened = |error: sqlx::Error| self.failed("opened", &error);
        let mut session = self.lock().await?;
        let encoding: String = sqlx::query_scalar("SHOW server_encoding")
            .fetch_one(&mut session)
            .await
            .map_err(opened)?;
        if encoding != "UTF8" {
            let cause = format!("its encoding is {encoding}; mape-k needs a database in UTF8");
            return Err(self.unavailable("opened", cause));
        }
        // Asked first: who may not create schemas may still use one that an administrator made.
        let there: bool = sqlx::query_scalar("SELECT to_regnamespace('mape_k') IS NOT NULL")
            .fetch_one(&mut session)
            .await
            .map_err(opened)?;
        if !there {
            sqlx::raw_sql("CREATE SCHEMA mape_k").execute(&mut session).await.map_err(opened)?;
        }
        sqlx::migrate!("src/knowledge/migrations/postgres").run(&mut session).await.map_err(
            |error| match error {
                MigrateError::Execute(error) => opened(error),
                error => self.unavailable("brought up to date", error.to_string()),
            },
        )?;
        sqlx::query(
            "INSERT INTO holder (id, token, since, checks) VALUES (1, $1, now(), 0)
             ON CONFLICT (id) DO UPDATE SET token = excluded.token, since = excluded.since",
        )
        .bind(&self.token)
        .execute(&mut session)
        .await
        .map_err(opened)?;
        Ok(session)
    }

    /// A new session that holds the lock.
    async fn lock(&self) -> Result<PgConnection, StoreError> {
        let opened = |error: sqlx::Error| self.failed("opened", &error);
        let mut session = self.options.connect().await.map_err(opened)?;
        // Acknowledged is on disk, whatever the server's default.
        sqlx::query(
            "SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off'",
        )
        .execute(&mut session)
        .await
        .map_err(opened)?;
        match sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut session).await {
            Ok(_) => Ok(session),
            Err(sqlx::Error::Database(error)) if is(&*error, LOCKED) => Err(StoreError::InUse {
                store: self.name.clone(),
                own: "a database of its own (knowledge.postgres_url)",
            }),
            Err(error) => Err(self.failed("locked", &error)),
        }
    }

    /// The session to write with, in working order: nothing has been sent yet when a dead one is replaced.
    async fn session(&self, writer: &mut Writer) -> Result<PgConnection, StoreError> {
        match mem::replace(writer, Writer::Lost) {
            Writer::Ready(mut session) => {
                if session.ping().await.is_ok() {
                    return Ok(session);
                }
            }
            Writer::Lost => {}
            Writer::Closed => {
                *writer = Writer::Closed;
                return Err(self.unavailable("written", "it is closed".to_owned()));
            }
        }
        self.lock().await
    }

    /// One statement, which is one transaction, on the session that holds the lock. A statement that failed takes its
    /// session with it: the next call begins with a new one.
    async fn write_with<T>(
        &self,
        statement: QueryScalar<'_, Postgres, T, PgArguments>,
    ) -> Result<Vec<T>, StoreError>
    where
        T: Send + Unpin,
        (T,): for<'r> FromRow<'r, PgRow>,
    {
        let all = async {
            let mut writer = self.writer.lock().await;
            let mut session = self.session(&mut writer).await?;
            let rows = statement.fetch_all(&mut session).await.map_err(|error| match error {
                sqlx::Error::Database(error) if is(&*error, SUPERSEDED) => {
                    StoreError::Superseded { store: self.name.clone() }
                }
                error => self.failed("written", &error),
            })?;
            *writer = Writer::Ready(session);
            Ok(rows)
        };
        self.bounded(CALL, "written", all).await
    }

    async fn bounded<T>(
        &self,
        limit: Duration,
        what: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(limit, work).await.unwrap_or_else(|_| {
            Err(self.unavailable(what, format!("no answer within {} s", limit.as_secs())))
        })
    }

    fn failed(&self, what: &'static str, error: &sqlx::Error) -> StoreError {
        let cause = match error {
            sqlx::Error::Database(error) => format!(
                "{} (PostgreSQL code {})",
                error.message(),
                error.code().unwrap_or_default()
            ),
            sqlx::Error::PoolTimedOut => format!("no connection within {} s", CALL.as_secs()),
            error => error.to_string(),
        };
        self.unavailable(what, cause)
    }

    fn unavailable(&self, what: &'static str, cause: String) -> StoreError {
        let cause = match &self.password {
            Some(password) => password.hidden_in(cause),
            None => cause,
        };
        StoreError::Unavailable { store: self.name.clone(), what, cause, advice: UNAVAILABLE }
    }
}

fn is(error: &dyn DatabaseError, code: &str) -> bool {
    error.code().is_some_and(|found| found == code)
}

#[async_trait]
impl Store for PostgresStore {
    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        let columns = Columns::of(writes);
        let statement =
            sqlx::query_scalar("SELECT write_batch($1, $2, $3, $4, $5, $6, $7, $8, $9)")
                .bind(&self.token)
                .bind(&columns.whats)
                .bind(&columns.collections)
                .bind(&columns.keys)
                .bind(&columns.tags)
                .bind(&columns.ats)
                .bind(&columns.bodies)
                .bind(&columns.if_tags)
                .bind(&columns.if_versions);
        let done: Vec<Vec<bool>> = self.write_with(statement).await?;
        let written = |done| if done { Written::Done } else { Written::Skipped };
        Ok(done.into_iter().flatten().map(written).collect())
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Record>, StoreError> {
        let read = sqlx::query("SELECT * FROM records WHERE collection = $1 AND key = $2")
            .bind(collection.as_str())
            .bind(stored(key))
            .fetch_optional(&self.readers);
        let read = async { read.await.map_err(|error| self.failed("read", &error)) };
        let row = self.bounded(CALL, "read", read).await?;
        row.map(|row| read_record(&self.name, collection, &row)).transpose()
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
        let read = async { read.await.map_err(|error| self.failed("read", &error)) };
        let rows = self.bounded(CALL, "read", read).await?;
        rows.iter().map(|row| read_record(&self.name, collection, row)).collect()
    }

    async fn count(&self, collection: Collection, tag: &str) -> Result<usize, StoreError> {
        let sql = "SELECT COUNT(*) FROM records WHERE collection = $1 AND tag = $2";
        let read = sqlx::query_scalar::<_, i64>(sql)
            .bind(collection.as_str())
            .bind(stored(tag))
            .fetch_one(&self.readers);
        let read = async { read.await.map_err(|error| self.failed("read", &error)) };
        let rows = self.bounded(CALL, "read", read).await?;
        Ok(usize::try_from(rows).unwrap_or_default())
    }

    async fn prune(
        &self,
        bound: &Bound,
        at_most: usize,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let statement = sqlx::query_scalar("SELECT prune_records($1, $2, $3, $4, $5, $6)")
            .bind(&self.token)
            .bind(bound.collection.as_str())
            .bind(bound.tag.as_deref().map(stored))
            .bind(count(bound.newest))
            .bind(bound.not_before.map_or(i64::MIN, |time| time.timestamp_micros()))
            .bind(count(at_most));
        let tags: Vec<String> = self.write_with(statement).await?;
        let mut dropped = BTreeMap::new();
        for tag in tags {
            *dropped.entry(columns::given(tag)).or_default() += 1;
        }
        Ok(dropped)
    }

    // A real commit: only that meets a full disk, a standby or another process that took the store.
    async fn check(&self) -> Result<(), StoreError> {
        let statement = sqlx::query_scalar::<_, ()>("SELECT check_write($1)").bind(&self.token);
        self.write_with(statement).await.map(drop)
    }

    async fn close(&self) {
        let writer = mem::replace(&mut *self.writer.lock().await, Writer::Closed);
        if let Writer::Ready(session) = writer {
            // Ended or cut, the server lets go of the lock.
            session.close().await.ok();
        }
        self.readers.close().await;
    }
}
