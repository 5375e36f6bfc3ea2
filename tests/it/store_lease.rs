//! S03, S13, the lease: every store answers these tests alike, and beneath every write looks at the epoch.

use std::sync::Arc;
use std::time::Duration;

use mape_k::knowledge::memory::MemoryStore;
use mape_k::knowledge::postgres::PostgresStore;
use mape_k::knowledge::sqlite::SqliteStore;
use mape_k::knowledge::store::{Bound, Collection, Query, Store, StoreError, When, Write, Written};
use mape_k::knowledge::{Knowledge, Settings, Term};
use tokio::time::Instant;

use crate::store_contract::{contract, put};
use crate::support::eventually::eventually;
use crate::support::postgres::{address, connect, database};

const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_mins(1);

fn one(key: &str) -> Vec<Write> {
    vec![put(key, "t", "{}", When::Always)]
}

async fn keys(store: &dyn Store) -> Vec<String> {
    let all = Query { limit: 100, ..Query::default() };
    let mut keys: Vec<String> =
        store.list(Collection::Policies, all).await.unwrap().into_iter().map(|r| r.key).collect();
    keys.sort();
    keys
}

fn everything() -> Bound {
    Bound { collection: Collection::Policies, tag: None, newest: 0, not_before: None }
}

#[track_caller]
fn superseded<T: std::fmt::Debug>(result: Result<T, StoreError>, of: u64) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Superseded { epoch, .. } if epoch == of), "{error}");
    assert!(error.to_string().contains(&of.to_string()), "{error}");
}

async fn one_has_it_and_the_others_hear_who_and_for_how_long(store: Arc<dyn Store>) {
    let first = store.lead("a", LONG).await.unwrap();
    assert!(first.is_ours && first.holder == "a" && first.epoch > 0, "{first:?}");
    let heard = store.lead("b", LONG).await.unwrap();
    assert!(!heard.is_ours, "{heard:?}");
    assert_eq!((heard.holder.as_str(), heard.epoch), ("a", first.epoch));
    assert!(heard.expires_in <= LONG && heard.expires_in > LONG / 2, "{heard:?}");
    let renewed = store.lead("a", LONG).await.unwrap();
    assert_eq!((renewed.is_ours, renewed.epoch), (true, first.epoch), "no change of holder");
}

async fn a_lease_that_is_over_goes_to_who_asks_first_with_a_larger_epoch(store: Arc<dyn Store>) {
    let first = store.lead("a", SHORT).await.unwrap();
    let began = Instant::now();
    let next = eventually(SOON, "the lease is free", async || {
        let lease = store.lead("b", LONG).await.unwrap();
        if lease.is_ours { Ok(lease) } else { Err(lease.holder) }
    })
    .await;
    println!(
        "taken over {} ms after a lease of {} ms",
        began.elapsed().as_millis(),
        SHORT.as_millis()
    );
    assert!(next.epoch > first.epoch);
    let heard = store.lead("a", LONG).await.unwrap();
    assert!(!heard.is_ours && heard.holder == "b", "it does not come back: {heard:?}");
}

/// Nobody else has led: what it remembers still holds.
async fn who_renews_too_late_but_before_others_goes_on_with_its_epoch(store: Arc<dyn Store>) {
    let first = store.lead("a", Duration::from_millis(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let again = store.lead("a", LONG).await.unwrap();
    assert_eq!((again.is_ours, again.epoch), (true, first.epoch));
}

async fn who_resigns_lets_the_next_one_lead_at_once_and_nobody_resigns_for_another(
    store: Arc<dyn Store>,
) {
    let first = store.lead("a", LONG).await.unwrap();
    store.resign("b").await.unwrap();
    assert!(!store.lead("b", LONG).await.unwrap().is_ours);
    store.resign("a").await.unwrap();
    let next = store.lead("b", LONG).await.unwrap();
    assert!(next.is_ours && next.epoch > first.epoch);
}

async fn of_many_that_ask_at_once_exactly_one_leads(store: Arc<dyn Store>) {
    let mut last = 0;
    for _ in 0..10 {
        let asked: Vec<_> = (0..8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.lead(&n.to_string(), LONG).await.unwrap() })
            })
            .collect();
        let mut ours = Vec::new();
        for asked in asked {
            ours.extend(Some(asked.await.unwrap()).filter(|lease| lease.is_ours));
        }
        assert_eq!(ours.len(), 1, "{ours:?}");
        assert!(ours[0].epoch > last);
        last = ours[0].epoch;
        store.resign(&ours[0].holder).await.unwrap();
    }
}

async fn what_a_follower_asks_for_shows_in_the_lease(store: Arc<dyn Store>) {
    let before = store.lead("a", LONG).await.unwrap().wakes;
    store.wake().await.unwrap();
    store.wake().await.unwrap();
    assert_eq!(store.lead("a", LONG).await.unwrap().wakes, before + 2);
    assert_eq!(store.lead("b", LONG).await.unwrap().wakes, before + 2);
}

async fn a_smaller_epoch_writes_and_prunes_nothing_and_whoever_leads_is_not_asked_for_one(
    store: Arc<dyn Store>,
) {
    let old = store.lead("a", LONG).await.unwrap().epoch;
    assert_eq!(store.write_under(Some(old), one("old")).await.unwrap(), [Written::Done]);
    store.resign("a").await.unwrap();
    let new = store.lead("b", LONG).await.unwrap().epoch;
    assert!(new > old);
    superseded(store.write_under(Some(old), one("late")).await, old);
    let many = (0..120).map(|n| put(&n.to_string(), "t", "{}", When::Always)).collect();
    superseded(store.write_under(Some(old), many).await, old);
    superseded(store.prune_under(Some(old), &everything(), 9).await, old);
    superseded(store.write_under(Some(new + 1), one("early")).await, new + 1);
    assert_eq!(keys(&*store).await, ["old"]);
    store.write_under(Some(new), one("new")).await.unwrap();
    // A webhook at a follower, a person's pause.
    store.write(one("anybody")).await.unwrap();
    assert_eq!(keys(&*store).await, ["anybody", "new", "old"]);
    assert_eq!(store.prune_under(Some(new), &everything(), 9).await.unwrap().len(), 1);
    store.check().await.unwrap();
}

/// However a change of leader falls between writes, nothing of the old one comes after it.
async fn no_write_of_an_old_epoch_is_seen_after_the_first_of_a_new_one(store: Arc<dyn Store>) {
    let old = store.lead("a", LONG).await.unwrap().epoch;
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            // Far more than come before the change of leader, and an end for a store without a fence.
            for n in 0..100_000 {
                let written = store.write_under(Some(old), one(&format!("old-{n}"))).await;
                if let Err(error) = written {
                    assert!(matches!(error, StoreError::Superseded { .. }), "{error}");
                    return n;
                }
                tokio::task::yield_now().await;
            }
            0
        })
    };
    eventually(SOON, "some writes", async || match keys(&*store).await.len() {
        0..5 => Err("too few"),
        _ => Ok(()),
    })
    .await;
    store.resign("a").await.unwrap();
    let new = store.lead("b", LONG).await.unwrap().epoch;
    store.write_under(Some(new), one("z-new")).await.unwrap();
    let written = writing.await.unwrap();
    let all = Query { limit: 100_000, ..Query::default() };
    let newest = store.list(Collection::Policies, all).await.unwrap();
    assert_eq!(newest[0].key, "z-new", "of {written} old ones none came later");
}

/// Every clone that leads carries its term; the others write whoever leads.
async fn knowledge_writes_under_its_term(store: Arc<dyn Store>) {
    let knowledge = Knowledge::with_store(store.clone(), &Settings::default(), "under test");
    let old = Term::until(store.lead("a", LONG).await.unwrap().epoch, Instant::now() + LONG);
    let leading = knowledge.leading(old.clone());
    let insight = || mape_k::knowledge::Fact {
        name: "fact".to_owned(),
        value: 1.into(),
        at: crate::store_contract::time(0),
    };
    let batch = || {
        let mut batch = knowledge.batch();
        batch.put(&insight());
        batch
    };
    leading.commit(batch()).await.unwrap();
    store.resign("a").await.unwrap();
    store.lead("b", LONG).await.unwrap();
    superseded(leading.commit(batch()).await, old.epoch());
    let mut pruned = mape_k::knowledge::Pruned::default();
    superseded(leading.prune(crate::store_contract::time(0), 1, &mut pruned).await, old.epoch());
    knowledge.commit(batch()).await.unwrap();
}

contract!(
    one_has_it_and_the_others_hear_who_and_for_how_long,
    a_lease_that_is_over_goes_to_who_asks_first_with_a_larger_epoch,
    who_renews_too_late_but_before_others_goes_on_with_its_epoch,
    who_resigns_lets_the_next_one_lead_at_once_and_nobody_resigns_for_another,
    of_many_that_ask_at_once_exactly_one_leads,
    what_a_follower_asks_for_shows_in_the_lease,
    a_smaller_epoch_writes_and_prunes_nothing_and_whoever_leads_is_not_asked_for_one,
    no_write_of_an_old_epoch_is_seen_after_the_first_of_a_new_one,
    knowledge_writes_under_its_term,
);

/// Charter has seen the epochs of a database that was lost: a new one must not begin below them.
#[tokio::test]
async fn an_epoch_is_never_below_the_time_at_which_it_was_given() {
    let now = || u64::try_from(chrono::Utc::now().timestamp()).unwrap();
    let url = database().await;
    let postgres = PostgresStore::open(&address(&url)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(&folder.path().join("made.db")).await.unwrap();
    for store in [&postgres as &dyn Store, &sqlite] {
        let before = now();
        assert!(store.lead("a", LONG).await.unwrap().epoch >= before, "{store:?}");
    }
    // As an older backup would have it.
    let mut admin = connect(&url).await;
    sqlx::raw_sql("UPDATE mape_k.lease SET epoch = 3, holder = 'gone', expires = now()")
        .execute(&mut admin)
        .await
        .unwrap();
    let before = now();
    assert!(postgres.lead("b", LONG).await.unwrap().epoch >= before);
}

/// Whoever writes holds the row, in a storm of alerts for long: the lease is waited for, and so is the journal.
#[tokio::test]
async fn s03_a_renewal_waits_for_its_turn() {
    let url = database().await;
    let postgres = PostgresStore::open(&address(&url)).await.unwrap();
    let lease = postgres.lead("a", LONG).await.unwrap();
    let mut admin = connect(&url).await;
    sqlx::raw_sql("BEGIN; SELECT FROM mape_k.lease FOR UPDATE").execute(&mut admin).await.unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut admin).await.unwrap();
    };
    let journal = postgres.write_under(Some(lease.epoch), one("intent"));
    let (renewed, written, ()) = tokio::join!(postgres.lead("a", LONG), journal, release);
    assert!(renewed.unwrap().is_ours);
    assert_eq!(written.unwrap(), [Written::Done]);
}

/// A process that was killed has let go of its file, and with it of its lease.
#[tokio::test]
async fn s03_on_sqlite_the_lease_of_a_dead_process_is_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("knowledge.db");
    let first = SqliteStore::open(&path).await.unwrap();
    assert!(first.lead("a", LONG).await.unwrap().is_ours);
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    first.close().await;
    let second = SqliteStore::open(&path).await.unwrap();
    assert!(second.lead("b", LONG).await.unwrap().is_ours);
}

#[tokio::test(start_paused = true)]
async fn s03_a_term_ends_at_its_instant_by_the_monotonic_clock() {
    let term = Term::until(7, Instant::now() + LONG);
    assert!(term.holds() && term.barred().is_none());
    assert_eq!((term.epoch(), term.told()), (7, Some(7)));
    tokio::time::advance(LONG).await;
    assert!(!term.holds());
    assert!(term.barred().expect("it says why").contains("epoch 7"));
    term.renew(Instant::now() + LONG);
    assert!(term.holds() && term.barred().is_none());
    let clone = term.clone();
    clone.end();
    assert!(!term.holds() && term.barred().is_some(), "clones share their end");
    let refused = Term::until(8, Instant::now() + LONG);
    refused.refuse("Charter has seen 9");
    assert!(refused.holds(), "by the store it leads");
    assert!(refused.barred().expect("it says why").contains("Charter has seen 9"));
    assert_eq!(
        Term::alone(1).told(),
        None,
        "Charter is told of no epoch where nobody else can lead"
    );
}
