//! SQLite on bad days: killed, full, locked, read-only, damaged. Each is a clear error and nothing is half written.
//!
//! Full and killed need a process of their own: this binary starts itself again for `a_process_that_keeps_writing`.
//! File permissions do not bind root, so "read-only" is a file whose header says that only a newer SQLite may write it:
//! SQLite itself then refuses every write with SQLITE_READONLY, whoever asks.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mape_k::domain::policy::Policy;
use mape_k::knowledge::sqlite::SqliteStore;
use mape_k::knowledge::store::{Collection, Query, Store, StoreError, When, Write};
use mape_k::knowledge::{Database, Knowledge, Settings};
use sqlx::{Connection, SqliteConnection};

use crate::store_contract::put;

const PATH: &str = "MAPE_K_TEST_STORE";
const BATCH: usize = 10;

fn batch(number: usize) -> Vec<Write> {
    let body = format!("\"{}\"", "x".repeat(500));
    (0..BATCH).map(|n| put(&format!("{number}-{n}"), "t", &body, When::Absent)).collect()
}

async fn count(store: &SqliteStore) -> usize {
    let all = Query { limit: 1_000_000, ..Query::default() };
    store.list(Collection::Policies, all).await.unwrap().len()
}

fn says(error: &StoreError, words: &[&str]) {
    let text = error.to_string();
    for word in words.iter().chain(&["knowledge.sqlite_path"]) {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
}

/// Writes batches until it is killed or refused and says after each how many were acknowledged.
#[tokio::test]
#[ignore = "the other process of the two tests below, which start it"]
async fn a_process_that_keeps_writing() {
    let path = std::env::var(PATH).expect("started by a test of this file");
    let store = SqliteStore::open(Path::new(&path)).await.unwrap();
    for number in 0..20_000 {
        if let Err(error) = store.write(batch(number)).await {
            assert_eq!(count(&store).await, number * BATCH, "reads still work, on whole batches");
            // A check needs less room than a batch, so it may still pass; it does not for ever.
            let mut checks = 0;
            while store.check().await.is_ok() {
                checks += 1;
                assert!(checks < 1000, "a store without room says that it can be written");
            }
            println!("refused: {error}");
            return;
        }
        println!("acknowledged: {}", number + 1);
    }
    panic!("nothing stopped it");
}

/// `limit` is the shell's `ulimit -f`; without SIGXFSZ the write itself fails, as on a full disk.
fn keep_writing(path: &Path, limit: &str) -> Child {
    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
    Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "store_bad_days::a_process_that_keeps_writing",
            "--ignored",
            "--nocapture",
        ])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn acknowledged(lines: &str) -> usize {
    let mut last = lines.lines().rev().filter_map(|line| line.split_once("acknowledged: "));
    last.next().map_or(0, |(_, number)| number.trim().parse().unwrap())
}

/// S12 (the store's part)
#[tokio::test]
async fn a_disk_without_room_refuses_whole_batches_and_keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("knowledge.db");
    // 2048 blocks of 512 bytes: the write-ahead log may not grow over 1 MiB.
    let output = keep_writing(&path, "2048").wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let whole = acknowledged(&said);
    assert!(whole > 0, "{said}");
    let refused =
        said.lines().find(|line| line.contains("refused: ")).expect("an error").to_owned();
    assert!(refused.contains("cannot be written") && refused.contains("free space"), "{refused}");
    println!("after {whole} batches {refused}");

    // With room again it goes on.
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(count(&store).await, whole * BATCH);
    store.write(batch(whole)).await.unwrap();
    assert_eq!(count(&store).await, (whole + 1) * BATCH);
}

/// S12 (the store's part)
#[tokio::test]
async fn a_process_killed_while_it_writes_loses_nothing_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("knowledge.db");
    let mut child = keep_writing(&path, "unlimited");
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while acknowledged(&said) < 25 {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "it ended by itself: {said}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lines.read_to_string(&mut said).unwrap();

    let store = SqliteStore::open(&path).await.unwrap();
    let found = count(&store).await;
    assert!(found >= acknowledged(&said) * BATCH, "{found} of {} batches", acknowledged(&said));
    assert_eq!(found % BATCH, 0, "no half batch");
}

#[tokio::test]
async fn a_store_locked_by_another_process_is_an_error_after_a_while_and_works_again_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("knowledge.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.write(batch(0)).await.unwrap();
    let mut other =
        SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let (write, check, reads) = tokio::join!(store.write(batch(1)), store.check(), count(&store));
    says(&write.unwrap_err(), &["written", "database is locked"]);
    assert!(check.is_err());
    assert_eq!(reads, BATCH, "reading goes on beside a writer");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    store.write(batch(1)).await.unwrap();
    assert_eq!(count(&store).await, 2 * BATCH);
}

#[tokio::test]
async fn a_read_only_store_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("knowledge.db");
    {
        let mut plain = SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.display()))
            .await
            .unwrap();
        sqlx::raw_sql("PRAGMA journal_mode = WAL; CREATE TABLE something (id)")
            .execute(&mut plain)
            .await
            .unwrap();
        plain.close().await.unwrap();
    }
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    // Byte 18 is the file format's write version; above 2 the file "must be treated as read-only".
    file.seek(SeekFrom::Start(18)).unwrap();
    file.write_all(&[3]).unwrap();
    drop(file);
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    says(&error, &["knowledge.db", "readonly"]);
    assert_eq!(std::fs::read(&path).unwrap(), before, "nothing half written");
}

#[tokio::test]
async fn a_place_where_nothing_can_be_made_is_refused_at_the_start() {
    for path in ["/proc/knowledge.db", "/proc/here/knowledge.db"] {
        let error = SqliteStore::open(Path::new(path)).await.unwrap_err();
        says(&error, &[path]);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = SqliteStore::open(&folder.path().join("file/knowledge.db")).await.unwrap_err();
    says(&error, &["created"]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("knowledge.db");
    let text = "these are the notes of somebody else\n".repeat(1000);
    std::fs::write(&path, &text).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    says(&error, &["opened", "not a database"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("knowledge.db");
    drop(SqliteStore::open(&path).await.unwrap());
    let mut other =
        SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&mut other)
    .await
    .unwrap();
    says(&SqliteStore::open(&path).await.unwrap_err(), &["brought up to date", "99"]);
}

#[tokio::test]
async fn a_second_mape_k_on_the_same_file_is_refused_until_the_first_has_closed_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("knowledge.db");
    let first = SqliteStore::open(&path).await.unwrap();
    let refused = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    // Whoever is refused is told whom to stop, and nothing by which two of them would act at once.
    let process = format!("process {}", std::process::id());
    let refused = refused.to_string();
    for said in ["in use by another mape-k (host ", &process, "Stop the other one"] {
        assert!(refused.contains(said), "no {said:?} in {refused}");
    }
    assert!(!refused.contains("of its own") && !refused.contains("sqlite_path"), "{refused}");
    first.write(vec![put("kept", "open", "{}", When::Always)]).await.unwrap();
    first.close().await;
    let log = folder.path().join("knowledge.db-wal");
    assert!(!log.exists(), "a clean end leaves everything in the file itself");
    let second = SqliteStore::open(&path).await.unwrap();
    assert!(second.get(Collection::Policies, "kept").await.unwrap().is_some());
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite_path = folder.path().join("knowledge.db");
    let store = SqliteStore::open(&sqlite_path).await.unwrap();
    store.write(vec![put("odd", "pending", r#"{"half":"#, When::Always)]).await.unwrap();
    store.close().await;
    let settings = Settings { database: Database::Sqlite, sqlite_path, ..Settings::default() };
    let knowledge = Knowledge::open(&settings).await.unwrap();
    let error = knowledge.all::<Policy>(None).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt { collection: "policies", key, .. } if key == "odd"),
        "{error}"
    );
}
