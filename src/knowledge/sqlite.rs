//! The store in a SQLite file: one writer connection, two readers beside it, every write durable when it returns.
//!
//! Write-ahead log with `synchronous = FULL`: a commit is on disk before anything is sent to Charter, and a process
//! that is killed at any moment leaves whole transactions only. SQL stays in this file and in `statements`.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Connection as _, Row as _, Sqlite};

use super::lease::{Lease, Seat, host_name};
use super::store::{Bound, Collection, Query, Record, Store, StoreError, When, Write, Written};

mod statements;

use statements::{ROWS, Row, apply, count, prune, put_rows};

const READERS: u32 = 2;

/// Another process (a backup, `sqlite3` by hand) may hold the file for a moment. Longer is an error; below the 10 s of
/// `ACQUIRE_TIMEOUT`, so that one waiting writer gets the error of the lock and not of the queue behind it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the write-ahead log may keep on disk after a checkpoint, in bytes: 64 MiB, some 100,000 alerts.
const LOG_LIMIT: &str = "67108864";

/// Alerts, decisions and what people wrote: the owner's alone.
const FILE_MODE: u32 = 0o600;

/// A host's name has 64 characters at most.
const HOLDER_LENGTH: u64 = 200;

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
    /// Nobody else has the file open, so that the lease of a process that died is nobody's. Touched only by who has the
    /// writer.
    seat: Mutex<Seat>,
}

impl SqliteStore {
    /// Opens the file, creates it and its folder where they are missing, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        if let Some(parent) = path.parent() {
            let mut folder = tokio::fs::DirBuilder::new();
            folder.recursive(true).mode(0o700).create(parent).await.map_err(|error| {
                StoreError::Unavailable {
                    store: name.clone(),
                    what: "created",
                    cause: error.to_string(),
                    advice: UNAVAILABLE,
                }
            })?;
        }
        let lock = lock(path, &name)?;
        // SQLite would make it readable by everybody; its log and shared memory take the mode of the file.
        // What fails here fails there too, and SQLite says why.
        let _ = File::options().create_new(true).write(true).mode(FILE_MODE).open(path);
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
        let store =
            Self { name, writer, readers, lock: Mutex::new(Some(lock)), seat: Mutex::default() };
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

    fn seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
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
            .ok_or_else(|| corrupt(format!("{at} is not a time")))?;
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
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(FILE_MODE)
        .open(beside)
        .map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => {
            // Who reads it is another one that is refused; it is refused as well where this cannot be written.
            let _ = file.set_len(0).and_then(|()| file.write_all(holder().as_bytes()));
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.take(HOLDER_LENGTH).read_to_string(&mut holder);
            if !holder.is_empty() {
                holder = format!(" ({holder})");
            }
            Err(StoreError::InUse { store: name.to_owned(), holder })
        }
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

/// Where this process is found.
fn holder() -> String {
    format!("host {}, process {}", host_name(), std::process::id())
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

#[async_trait]
impl Store for SqliteStore {
    /// The last connection that closes moves the write-ahead log into the file.
    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn lead(&self, holder: &str, ttl: Duration) -> Result<Lease, StoreError> {
        let mut connection = self.writer.acquire().await.map_err(|error| self.writing(&error))?;
        let now = sqlx::query_scalar::<_, i64>("SELECT unixepoch()").fetch_one(&mut *connection);
        let now = now.await.map_err(|error| self.writing(&error))?;
        Ok(self.seat().lead(holder, ttl, u64::try_from(now).unwrap_or_default()))
    }

    async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        self.seat().resign(holder);
        Ok(())
    }

    async fn wake(&self) -> Result<(), StoreError> {
        self.seat().wake();
        Ok(())
    }

    async fn write_under(
        &self,
        fence: Option<u64>,
        writes: Vec<Write>,
    ) -> Result<Vec<Written>, StoreError> {
        let mut connection = self.writer.acquire().await.map_err(|error| self.writing(&error))?;
        self.seat().admits(&self.name, fence)?;
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

    async fn prune_under(
        &self,
        fence: Option<u64>,
        bound: &Bound,
        at_most: usize,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut connection = self.writer.acquire().await.map_err(|error| self.writing(&error))?;
        self.seat().admits(&self.name, fence)?;
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
