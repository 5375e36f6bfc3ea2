//! S13, the bad days of PostgreSQL: the server killed, stopped, hanging, reading only; the way to it cut, secured,
//! refused; several replicas at once. Each is a clear error in time, and nothing is half written.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mape_k::domain::policy::Policy;
use mape_k::knowledge::postgres::PostgresStore;
use mape_k::knowledge::store::{Collection, Query, Store, StoreError, When, Write};
use mape_k::knowledge::{Database, Knowledge, Settings};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::timeout;

use crate::store_contract::put;
use crate::support::eventually::eventually;
use crate::support::ports::free_port;
use crate::support::postgres::{Postgres, address, connect, database};

const BATCH: usize = 10;

/// Every call is promised to end within 8 s; this is for a machine that is busy.
const BOUNDED: Duration = Duration::from_secs(40);
const SOON: Duration = Duration::from_mins(1);

fn batch(number: usize) -> Vec<Write> {
    (0..BATCH).map(|n| put(&format!("{number}-{n}"), "t", "{}", When::Absent)).collect()
}

async fn count(store: &PostgresStore) -> usize {
    let all = Query { limit: 1_000_000, ..Query::default() };
    store.list(Collection::Policies, all).await.expect("a list").len()
}

async fn open(url: &str) -> Result<PostgresStore, StoreError> {
    timeout(BOUNDED, PostgresStore::open(&address(url))).await.expect("opening is bounded")
}

async fn refused(url: &str, words: &[&str]) {
    says(&open(url).await.expect_err("refused"), words);
}

fn says(error: &StoreError, words: &[&str]) {
    let text = error.to_string();
    println!("{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
}

async fn sql(session: &mut PgConnection, statement: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(session).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// The server's process behind the writing session: the one that said last that the store can be written.
async fn writer(admin: &mut PgConnection) -> Option<i32> {
    sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mape-k'
         AND (query LIKE '%write_check%' OR query LIKE '%write_batch%')",
    )
    .fetch_optional(admin)
    .await
    .expect("pg_stat_activity")
}

/// Ends the writing session, as an administrator or a broken network does.
async fn cut(admin: &mut PgConnection) {
    let pid = writer(admin).await.expect("somebody writes");
    sql(admin, &format!("SELECT pg_terminate_backend({pid})")).await;
    eventually(SOON, "the session is gone", async || match writer(admin).await {
        Some(found) if found == pid => Err(format!("{pid} is there")),
        _ => Ok(()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s13_a_server_killed_while_it_is_written_to_loses_nothing_it_acknowledged() {
    let mut server = Postgres::start().await;
    let store = Arc::new(open(&server.url()).await.expect("opened"));
    for life in 0..3 {
        let before = count(&store).await;
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let writing = tokio::spawn({
            let (store, acknowledged) = (store.clone(), acknowledged.clone());
            async move {
                for number in 0.. {
                    if let Err(error) = store.write(batch(life * 1_000_000 + number)).await {
                        return error;
                    }
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                unreachable!("nothing stopped it")
            }
        });
        eventually(SOON, "25 batches", async || {
            let so_far = acknowledged.load(Ordering::SeqCst);
            if so_far >= 25 { Ok(()) } else { Err(so_far) }
        })
        .await;
        server.crash().await;
        let error = timeout(BOUNDED, writing).await.expect("bounded").expect("no panic");
        says(&error, &["127.0.0.1", "knowledge.postgres_url"]);
        server.start_again().await;
        // The same store goes on by itself.
        let found = count(&store).await;
        let acknowledged = acknowledged.load(Ordering::SeqCst) * BATCH;
        assert!(found - before >= acknowledged, "{found} - {before} of {acknowledged}");
        assert_eq!(found % BATCH, 0, "no half batch");
        store.check().await.expect("it can be written again");
    }
}

#[tokio::test]
async fn s13_a_server_that_is_away_is_an_error_in_time_and_works_again_by_itself() {
    let mut server = Postgres::start().await;
    let store = open(&server.url()).await.expect("opened");
    store.write(batch(0)).await.expect("written");
    for _ in 0..2 {
        server.stop().await;
        let get = store.get(Collection::Policies, "0-0");
        let (write, check, get) =
            timeout(BOUNDED, async { tokio::join!(store.write(batch(1)), store.check(), get) })
                .await
                .expect("bounded");
        says(&write.expect_err("a write"), &["cannot be", "127.0.0.1", "Check that the server"]);
        says(&check.expect_err("a check"), &["127.0.0.1"]);
        says(&get.expect_err("a read"), &["cannot be read"]);
        server.start_again().await;
        // Not one call fails for a connection that died while nobody used it.
        store.check().await.expect("checked");
        assert_eq!(count(&store).await, BATCH);
    }
    store.write(batch(1)).await.expect("written");
    assert_eq!(count(&store).await, 2 * BATCH);
}

#[tokio::test]
async fn s13_a_session_that_hangs_is_an_error_in_time_and_leaves_a_whole_batch_or_none() {
    let url = database().await;
    let store = open(&url).await.expect("opened");
    let mut admin = connect(&url).await;
    let pid = writer(&mut admin).await.expect("the writer").to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
        assert!(sent.success());
    };
    signal("STOP");
    let error = timeout(BOUNDED, store.write(batch(0))).await.expect("bounded").unwrap_err();
    says(&error, &["no answer within 8 s"]);
    signal("CONT");
    eventually(SOON, "the store works again", async || store.check().await).await;
    assert_eq!(count(&store).await % BATCH, 0);
}

#[tokio::test]
async fn s13_a_transaction_of_somebody_else_is_waited_for_and_then_reported() {
    let url = database().await;
    let store = open(&url).await.expect("opened");
    store.write(batch(0)).await.expect("written");
    let mut other = connect(&url).await;
    sql(&mut other, "BEGIN; LOCK TABLE mape_k.records IN SHARE MODE").await;
    let (write, reads) = tokio::join!(timeout(BOUNDED, store.write(batch(1))), count(&store));
    says(&write.expect("bounded").unwrap_err(), &["written", "lock timeout", "55P03"]);
    assert_eq!(reads, BATCH, "reading goes on");
    sql(&mut other, "ROLLBACK").await;
    store.write(batch(1)).await.expect("written");
    assert_eq!(count(&store).await, 2 * BATCH);
}

#[tokio::test]
async fn s13_a_lost_session_is_replaced_by_itself() {
    let url = database().await;
    let store = open(&url).await.expect("opened");
    let mut admin = connect(&url).await;
    for number in 0..3 {
        cut(&mut admin).await;
        store.write(batch(number)).await.expect("written on a new session");
    }
    assert_eq!(count(&store).await, 3 * BATCH);
    store.close().await;
    assert!(store.check().await.is_err(), "nothing works afterwards");
}

/// Replicas that start together make the tables once, and then take turns: none waits for a sequence of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s13_several_replicas_open_a_new_database_at_once_and_write_side_by_side() {
    let url = database().await;
    let opened = (0..4).map(|_| open(&url));
    let stores: Vec<Arc<PostgresStore>> = futures::future::join_all(opened)
        .await
        .into_iter()
        .map(|store| Arc::new(store.expect("opened")))
        .collect();
    let writing: Vec<_> = stores
        .iter()
        .enumerate()
        .map(|(replica, store)| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..25 {
                    store.write(batch(replica * 1_000 + n)).await.expect("written");
                }
            })
        })
        .collect();
    let mut seen = Vec::new();
    while seen.len() < stores.len() * 25 * BATCH {
        let all = Query { limit: 1_000_000, ..Query::default() };
        let all = stores[0].list(Collection::Policies, all).await.expect("a list");
        let now: Vec<i64> = all.iter().rev().map(|record| record.sequence).collect();
        assert!(now.starts_with(&seen), "one came between those seen before");
        seen = now;
        tokio::task::yield_now().await;
    }
    for writing in writing {
        writing.await.expect("no panic");
    }
}

/// The leader's renewals have a session of their own: a write that hangs does not cost it the lease.
#[tokio::test]
async fn s03_a_writing_session_that_hangs_does_not_make_the_lease_late() {
    let url = database().await;
    let store = open(&url).await.expect("opened");
    let lease = Duration::from_mins(1);
    let epoch = store.lead("a", lease).await.expect("asked").epoch;
    let mut admin = connect(&url).await;
    let pid = writer(&mut admin).await.expect("the writer").to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
        assert!(sent.success());
    };
    signal("STOP");
    let (write, renewed) =
        tokio::join!(timeout(BOUNDED, store.write(batch(0))), store.lead("a", lease));
    assert!(write.expect("bounded").is_err());
    assert_eq!(renewed.map(|lease| (lease.is_ours, lease.epoch)).ok(), Some((true, epoch)));
    signal("CONT");
    eventually(SOON, "the store works again", async || store.check().await).await;
}

#[tokio::test]
async fn a_server_that_only_reads_is_told_at_the_start_and_by_every_check() {
    let url = database().await;
    let mut admin = connect(&url).await;
    let store = open(&url).await.expect("opened");
    let name = url.rsplit('/').next().expect("a name");
    sql(&mut admin, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    cut(&mut admin).await;
    says(&store.check().await.unwrap_err(), &["written", "read-only"]);
    store.close().await;
    refused(&url, &["read-only"]).await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_or_another_encoding_is_refused() {
    let url = database().await;
    drop(open(&url).await.expect("opened"));
    let mut admin = connect(&url).await;
    sql(
        &mut admin,
        "INSERT INTO mape_k._sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'from the future', TRUE, '', 0)",
    )
    .await;
    refused(&url, &["brought up to date", "99"]).await;
    let name = format!("{}_ascii", url.rsplit('/').next().expect("a name"));
    let create = format!("CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0");
    sql(&mut admin, &create).await;
    refused(&format!("{url}_ascii"), &["SQL_ASCII", "UTF8"]).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named() {
    let url = database().await;
    let store = open(&url).await.expect("opened");
    store.write(vec![put("odd", "pending", r#"{"half":"#, When::Always)]).await.expect("written");
    store.close().await;
    let settings = Settings {
        database: Database::Postgres,
        postgres_url: Some(address(&url)),
        ..Settings::default()
    };
    let knowledge = Knowledge::open(&settings).await.expect("opened");
    let error = knowledge.all::<Policy>(None).await.unwrap_err();
    says(&error, &["policies record odd", "127.0.0.1"]);
    sql(&mut connect(&url).await, &format!("UPDATE mape_k.records SET at = {}", i64::MAX)).await;
    let error = knowledge.get::<Policy>("odd").await.unwrap_err();
    says(&error, &["policies record odd", "is not a time"]);
}

#[tokio::test]
async fn whom_the_server_does_not_let_in_is_told_why_and_no_password_is_repeated() {
    let server = Postgres::start().await;
    let mut admin = connect(&server.url()).await;
    let rules = "host all secretive 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    std::fs::write(server.data().join("pg_hba.conf"), rules).expect("the rules");
    sql(&mut admin, "CREATE ROLE secretive LOGIN PASSWORD 'right'; CREATE ROLE limited LOGIN")
        .await;
    sql(&mut admin, "SELECT pg_reload_conf()").await;
    let wrong = server.url_of("secretive:pLaNtEd");
    eventually(SOON, "the rules hold", async || match open(&wrong).await {
        Err(error) if error.to_string().contains("password authentication failed") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    for text in [format!("{:?}", open(&wrong).await), open(&wrong).await.unwrap_err().to_string()] {
        assert!(!text.contains("pLaNtEd") && text.contains("28P01"), "{text}");
    }
    refused(&server.url_of("limited"), &["permission denied", "42501"]).await;
    refused(&format!("{}_not", server.url()), &["does not exist", "3D000"]).await;
    let nobody = format!("postgres://me:pLaNtEd@127.0.0.1:{}/mape_k", free_port());
    refused(&nobody, &["***@127.0.0.1", "opened", "refused", "knowledge.postgres_url"]).await;

    sql(&mut admin, "CREATE SCHEMA mape_k AUTHORIZATION limited").await;
    let limited = open(&server.url_of("limited")).await.expect("a schema of its own is enough");
    limited.write(batch(0)).await.expect("written");
    limited.close().await;
    sql(&mut admin, "DROP SCHEMA mape_k CASCADE; GRANT CREATE ON DATABASE mape_k TO secretive")
        .await;
    let store = open(&server.url_of("secretive:right")).await.expect("the right password");
    assert!(!format!("{store:?}").contains("right"));
}

#[tokio::test]
async fn the_way_to_the_server_is_secured_where_the_address_asks_for_it() {
    let mut server = Postgres::start().await;
    refused(&format!("{}?sslmode=require", server.url()), &["does not support TLS"]).await;

    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (server.data().join("server.crt"), server.data().join("server.key"));
    std::fs::write(&certificate, cert.pem()).expect("written");
    std::fs::write(&key, signing_key.serialize_pem()).expect("written");
    server.give(&key);
    let mut settings = OpenOptions::new()
        .append(true)
        .open(server.data().join("postgresql.conf"))
        .expect("the settings");
    settings.write_all(b"ssl = on\n").expect("written");
    server.stop().await;
    server.start_again().await;

    let trusting =
        format!("{}?sslmode=verify-full&sslrootcert={}", server.url(), certificate.display());
    let store = open(&trusting).await.expect("a certificate that we were given");
    store.write(batch(0)).await.expect("written");
    let secured: Vec<bool> = sqlx::query_scalar(
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'mape-k'",
    )
    .fetch_all(&mut connect(&server.url()).await)
    .await
    .expect("pg_stat_ssl");
    assert!(!secured.is_empty() && secured.iter().all(|ssl| *ssl), "{secured:?}");
    store.close().await;
    refused(&format!("{}?sslmode=verify-full", server.url()), &["opened", "ertificate"]).await;
}
