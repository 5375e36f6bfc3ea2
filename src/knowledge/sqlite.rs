//! The store in a SQLite file: one writer connection, two readers beside it, every write durable when it returns.
//!
//! Write-ahead log with `synchronous = FULL`: a commit is on disk before anything is sent to Charter, and a process
//! that is killed at any moment leaves whole transactions only. SQL stays in this file.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Connection as _, QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::store::{Bound, Collection, Query, Record, Store, StoreError, When, Write, Written};
use crate::domain::time::Time;

const READERS: u32 = 2;

/// Another process (a backup, `sqlite3` by hand) may hold the file for a moment. Longer is an error; below the 10 s of
/// `ACQUIRE_TIMEOUT`, so that one waiting writer is told of the lock and not of the queue behind it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the write-ahead log may keep on disk after a checkpoint, in bytes: 64 MiB, some 100,000 alerts.
const LOG_LIMIT: &str = "67108864";

/// Rows put by one statement. Each statement is a trip to the connection's own thread, and a storm opens thousands of
/// violations in one cycle; more rows than this save next to nothing.
const ROWS: usize = 50;

const UNAVAILABLE: &str =
    "Check that the path exists, is writable and has free space (knowledge.sqlite_path)";

#[derive(Debug)]
pub struct SqliteStore {
    /// The path, for messages.
    name: String,
    /// One connection: SQLite has one writer at a time, and waiting here is fair and bounded.
    writer: SqlitePool,
    readers: SqlitePool,
    /// Held while this store is open: another process on the same file would act a second time.
    lock: Mutex<Option<File>>,
}

impl SqliteStore {
    /// Opens the file, creates it and its folder where they are missing, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(|error| StoreError::Unavailable {
                store: name.clone(),
                what: "created",
                cause: error.to_string(),
                advice: UNAVAILABLE,
            })?;
        }
        let lock = lock(path, &name)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("journal_size_limit", LOG_LIMIT);
        let writing = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let opened = |error: sqlx::Error| unavailable(&name, "opened", &error);
        let writer = pool(1).connect_with(writing).await.map_err(opened)?;
        sqlx::migrate!("src/knowledge/migrations/sqlite").run(&writer).await.map_err(|error| {
            match error {
                sqlx::migrate::MigrateError::Execute(error) => opened(error),
                error => StoreError::Unavailable {
                    store: name.clone(),
                    what: "brought up to date",
                    cause: error.to_string(),
                    advice: UNAVAILABLE,
                },
            }
        })?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await.map_err(opened)?;
        let store = Self { name, writer, readers, lock: Mutex::new(Some(lock)) };
        // What can be opened but not written is told at the start, not at the first fault.
        store.check().await?;
        Ok(store)
    }

    fn writing(&self, error: &sqlx::Error) -> StoreError {
        unavailable(&self.name, "written", error)
    }

    /// Gives the writer back to its pool, or after a failure gives it up, so that the next write opens a new one: on a
    /// full disk SQLite ends a transaction by itself, sqlx still counts it and would refuse every later one.
    fn keep<T>(
        &self,
        writer: PoolConnection<Sqlite>,
        result: Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        result.map_err(|error| {
            drop(writer.detach());
            self.writing(&error)
        })
    }

    fn reading(&self, error: &sqlx::Error) -> StoreError {
        unavailable(&self.name, "read", error)
    }

    fn record(&self, collection: Collection, row: &SqliteRow) -> Result<Record, StoreError> {
        let key: String = row.try_get("key").map_err(|error| self.reading(&error))?;
        let corrupt = |cause: String| StoreError::Corrupt {
            store: self.name.clone(),
            collection: collection.as_str(),
            key: key.clone(),
            cause,
        };
        let columns = || -> Result<_, sqlx::Error> {
            Ok((
                row.try_get::<i64, _>("at")?,
                row.try_get("tag")?,
                row.try_get("body")?,
                row.try_get("sequence")?,
                row.try_get("version")?,
            ))
        };
        let (at, tag, body, sequence, version) = columns().map_err(|e| corrupt(e.to_string()))?;
        let at = DateTime::from_timestamp_micros(at)
            .ok_or_else(|| corrupt(format!("{at} is no time")))?;
        Ok(Record { key, tag, at, body, sequence, version })
    }
}

/// The lock lies beside the file and ends with the process, however that ends.
fn lock(path: &Path, name: &str) -> Result<File, StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let unavailable = |cause: std::io::Error| StoreError::Unavailable {
        store: name.to_owned(),
        what: "locked",
        cause: cause.to_string(),
        advice: UNAVAILABLE,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(beside)
        .map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            store: name.to_owned(),
            own: "a file of its own (knowledge.sqlite_path)",
        }),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // Connections to a file do not go stale, so none is tested or replaced before use.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

fn unavailable(store: &str, what: &'static str, error: &sqlx::Error) -> StoreError {
    let cause = match error {
        // SQLite's own words, and the code that tells one "disk I/O error" from another.
        sqlx::Error::Database(error) => {
            format!("{} (SQLite code {})", error.message(), error.code().unwrap_or_default())
        }
        sqlx::Error::PoolTimedOut => {
            format!("busy with other writes for {} s", ACQUIRE_TIMEOUT.as_secs())
        }
        error => error.to_string(),
    };
    StoreError::Unavailable { store: store.to_owned(), what, cause, advice: UNAVAILABLE }
}

/// A put without a condition, which may share a statement with others.
struct Row {
    collection: Collection,
    key: String,
    tag: String,
    at: Time,
    body: String,
}

/// Applies unconditional puts in order and empties `rows`: a full set in one statement, fewer one by one, so that few
/// texts are ever prepared.
async fn put_rows(
    connection: &mut SqliteConnection,
    rows: &mut Vec<Row>,
) -> Result<(), sqlx::Error> {
    if rows.len() < ROWS {
        for Row { collection, key, tag, at, body } in rows.drain(..) {
            let write = Write::Put { collection, key, tag, at, body, when: When::Always };
            apply(&mut *connection, write).await?;
        }
        return Ok(());
    }
    let mut query =
        QueryBuilder::new("INSERT INTO records (collection, key, tag, at, body, version) ");
    query.push_values(rows.drain(..), |mut values, row| {
        values
            .push_bind(row.collection.as_str())
            .push_bind(row.key)
            .push_bind(row.tag)
            .push_bind(row.at.timestamp_micros())
            .push_bind(row.body)
            .push("1");
    });
    query.push(
        " ON CONFLICT (collection, key) DO UPDATE
         SET tag = excluded.tag, at = excluded.at, body = excluded.body, version = version + 1",
    );
    query.build().execute(connection).await?;
    Ok(())
}

/// Applies one write; its condition is part of the statement.
async fn apply(connection: &mut SqliteConnection, write: Write) -> Result<Written, sqlx::Error> {
    let query = match write {
        Write::Put { collection, key, tag, at, body, when } => {
            let sql = match when {
                When::Always => {
                    "INSERT INTO records (collection, key, tag, at, body, version) VALUES (?1, ?2, ?3, ?4, ?5, 1)
                     ON CONFLICT (collection, key) DO UPDATE
                     SET tag = excluded.tag, at = excluded.at, body = excluded.body, version = version + 1"
                }
                When::Absent => {
                    "INSERT INTO records (collection, key, tag, at, body, version) VALUES (?1, ?2, ?3, ?4, ?5, 1)
                     ON CONFLICT (collection, key) DO NOTHING"
                }
                When::Tag(_) => {
                    "UPDATE records SET tag = ?3, at = ?4, body = ?5, version = version + 1
                     WHERE collection = ?1 AND key = ?2 AND tag = ?6"
                }
                When::Version(_) => {
                    "UPDATE records SET tag = ?3, at = ?4, body = ?5, version = version + 1
                     WHERE collection = ?1 AND key = ?2 AND version = ?6"
                }
            };
            let query = sqlx::query(sql)
                .bind(collection.as_str())
                .bind(key)
                .bind(tag)
                .bind(at.timestamp_micros())
                .bind(body);
            match when {
                When::Always | When::Absent => query,
                When::Tag(tag) => query.bind(tag),
                When::Version(version) => query.bind(version),
            }
        }
        Write::Touch { collection, key, tag, at } => sqlx::query(
            "UPDATE records SET at = ?4 WHERE collection = ?1 AND key = ?2 AND tag = ?3",
        )
        .bind(collection.as_str())
        .bind(key)
        .bind(tag)
        .bind(at.timestamp_micros()),
        Write::Delete { collection, key } => {
            sqlx::query("DELETE FROM records WHERE collection = ?1 AND key = ?2")
                .bind(collection.as_str())
                .bind(key)
                .execute(connection)
                .await?;
            return Ok(Written::Done);
        }
    };
    let changed = query.execute(connection).await?.rows_affected();
    Ok(if changed == 0 { Written::Skipped } else { Written::Done })
}

/// Deletes at most `at_most` of what a bound leaves out; the tag of each.
async fn prune(
    connection: &mut SqliteConnection,
    bound: &Bound,
    at_most: usize,
) -> Result<Vec<String>, sqlx::Error> {
    let sql = if bound.tag.is_some() {
        "DELETE FROM records WHERE sequence IN (
             SELECT sequence FROM records WHERE collection = ?1 AND tag = ?5 AND at < ?2
             UNION ALL
             SELECT sequence FROM (SELECT sequence FROM records WHERE collection = ?1 AND tag = ?5
                                   ORDER BY sequence DESC LIMIT -1 OFFSET ?3)
             LIMIT ?4)
         RETURNING tag"
    } else {
        "DELETE FROM records WHERE sequence IN (
             SELECT sequence FROM records WHERE collection = ?1 AND at < ?2
             UNION ALL
             SELECT sequence FROM (SELECT sequence FROM records WHERE collection = ?1
                                   ORDER BY sequence DESC LIMIT -1 OFFSET ?3)
             LIMIT ?4)
         RETURNING tag"
    };
    let query = sqlx::query_scalar(sql)
        .bind(bound.collection.as_str())
        .bind(bound.not_before.map_or(i64::MIN, |time| time.timestamp_micros()))
        .bind(count(bound.newest))
        .bind(count(at_most));
    let query = match &bound.tag {
        Some(tag) => query.bind(tag),
        None => query,
    };
    query.fetch_all(connection).await
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[async_trait]
impl Store for SqliteStore {
    /// The last connection that closes moves the write-ahead log into the file.
    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        let mut connection = self.writer.acquire().await.map_err(|error| self.writing(&error))?;
        let all = async {
            // Immediate: the lock is taken before the first condition is looked at. Dropped without a commit,
            // on an error or when the caller goes away, the transaction is rolled back.
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let mut written = Vec::with_capacity(writes.len());
            let mut rows = Vec::new();
            for write in writes {
                if let Write::Put { collection, key, tag, at, body, when: When::Always } = write {
                    rows.push(Row { collection, key, tag, at, body });
                    written.push(Written::Done);
                    if rows.len() < ROWS {
                        continue;
                    }
                    put_rows(&mut transaction, &mut rows).await?;
                } else {
                    put_rows(&mut transaction, &mut rows).await?;
                    written.push(apply(&mut transaction, write).await?);
                }
            }
            put_rows(&mut transaction, &mut rows).await?;
            transaction.commit().await?;
            Ok(written)
        };
        let written = all.await;
        self.keep(connection, written)
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Record>, StoreError> {
        sqlx::query("SELECT * FROM records WHERE collection = ?1 AND key = ?2")
            .bind(collection.as_str())
            .bind(key)
            .fetch_optional(&self.readers)
            .await
            .map_err(|error| self.reading(&error))?
            .map(|row| self.record(collection, &row))
            .transpose()
    }

    async fn list(&self, collection: Collection, query: Query) -> Result<Vec<Record>, StoreError> {
        let sql = if query.tag.is_some() {
            "SELECT * FROM records WHERE collection = ?1 AND sequence < ?2 AND tag = ?4
             ORDER BY sequence DESC LIMIT ?3"
        } else {
            "SELECT * FROM records WHERE collection = ?1 AND sequence < ?2
             ORDER BY sequence DESC LIMIT ?3"
        };
        let rows = sqlx::query(sql)
            .bind(collection.as_str())
            .bind(query.after.unwrap_or(i64::MAX))
            .bind(count(query.limit));
        let rows = match query.tag {
            Some(tag) => rows.bind(tag),
            None => rows,
        };
        rows.fetch_all(&self.readers)
            .await
            .map_err(|error| self.reading(&error))?
            .iter()
            .map(|row| self.record(collection, row))
            .collect()
    }

    async fn count(&self, collection: Collection, tag: &str) -> Result<usize, StoreError> {
        let sql = "SELECT COUNT(*) FROM records WHERE collection = ?1 AND tag = ?2";
        let query = sqlx::query_scalar::<_, i64>(sql).bind(collection.as_str()).bind(tag);
        let rows = query.fetch_one(&self.readers).await.map_err(|error| self.reading(&error))?;
        Ok(usize::try_from(rows).unwrap_or_default())
    }

    async fn prune(
        &self,
        bound: &Bound,
        at_most: usize,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut connection = self.writer.acquire().await.map_err(|error| self.writing(&error))?;
        let tags = prune(&mut connection, bound, at_most).await;
        let mut dropped = BTreeMap::new();
        for tag in self.keep(connection, tags)? {
            *dropped.entry(tag).or_default() += 1;
        }
        Ok(dropped)
    }

    // A real commit: only that meets a full disk, a file made read-only or a lock that does not go away.
    async fn check(&self) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO write_check (id, checks) VALUES (1, 1)
             ON CONFLICT (id) DO UPDATE SET checks = checks + 1",
        )
        .execute(&self.writer)
        .await
        .map_err(|error| self.writing(&error))?;
        Ok(())
    }
}
