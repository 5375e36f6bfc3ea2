//! S13, the store contract: every store answers these tests alike. A new store is one more line at `contract!`.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use mape_k::domain::time::Time;
use mape_k::knowledge::memory::MemoryStore;
use mape_k::knowledge::postgres::PostgresStore;
use mape_k::knowledge::sqlite::SqliteStore;
use mape_k::knowledge::store::{Bound, Collection, Query, Record, Store, When, Write, Written};

use crate::support::postgres::{address, database};

const PLACE: Collection = Collection::Policies;

pub fn time(seconds: i64) -> Time {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

pub fn put(key: &str, tag: &str, body: &str, when: When) -> Write {
    Write::Put {
        collection: PLACE,
        key: key.into(),
        tag: tag.into(),
        at: time(0),
        body: body.into(),
        when,
    }
}

fn put_at(key: &str, tag: &str, at: Time) -> Write {
    Write::Put {
        collection: PLACE,
        key: key.into(),
        tag: tag.into(),
        at,
        body: "{}".into(),
        when: When::Always,
    }
}

async fn record(store: &dyn Store, key: &str) -> Option<Record> {
    store.get(PLACE, key).await.unwrap()
}

async fn keys(store: &dyn Store, query: Query) -> Vec<String> {
    store.list(PLACE, query).await.unwrap().into_iter().map(|record| record.key).collect()
}

async fn dropped(store: &dyn Store, bound: &Bound) -> u64 {
    store.prune(bound, 100).await.unwrap().values().sum()
}

fn everything() -> Query {
    Query { limit: 1000, ..Query::default() }
}

async fn a_record_comes_back_as_it_was_put(store: Arc<dyn Store>) {
    let at = time(7) + TimeDelta::nanoseconds(123_456_789);
    let put = Write::Put {
        collection: PLACE,
        key: "k\u{e9} '\"".into(),
        tag: "open".into(),
        at,
        body: r#"{"text":"'; DROP TABLE records; --"}"#.into(),
        when: When::Always,
    };
    assert_eq!(store.write(vec![put]).await.unwrap(), [Written::Done]);
    let found = record(&*store, "k\u{e9} '\"").await.unwrap();
    assert_eq!(found.tag, "open");
    assert_eq!(found.at, time(7) + TimeDelta::microseconds(123_456), "kept to the microsecond");
    assert_eq!(found.body, r#"{"text":"'; DROP TABLE records; --"}"#);
    assert_eq!(found.version, 1);
    assert_eq!(record(&*store, "another").await, None);
    assert_eq!(store.get(Collection::Outcomes, "k\u{e9} '\"").await.unwrap(), None);
}

/// A sender of alerts chooses their fingerprints, and no store has a character that it may not hold.
async fn any_text_is_kept_as_it_is(store: Arc<dyn Store>) {
    let texts = [
        "\0",
        "a\0b\u{1}0",
        "\u{1}",
        "\u{1}1",
        "\u{1}0",
        "\u{fffd}\u{10ffff}",
        "A",
        "a",
        " a ",
        "\\0",
    ];
    let long = "\u{1f525}".repeat(500);
    let texts = texts.into_iter().chain([long.as_str()]);
    store.write(texts.clone().map(|t| put(t, t, t, When::Absent)).collect()).await.unwrap();
    for text in texts {
        let found = record(&*store, text).await.unwrap();
        assert_eq!(
            (found.key.as_str(), found.tag.as_str(), found.body.as_str()),
            (text, text, text)
        );
        let tagged = Query { tag: Some(text.into()), ..everything() };
        assert_eq!(keys(&*store, tagged).await, [text]);
        let again = put(text, text, "2", When::Tag(text.into()));
        assert_eq!(store.write(vec![again]).await.unwrap(), [Written::Done]);
        let bound =
            Bound { collection: PLACE, tag: Some(text.into()), newest: 0, not_before: None };
        assert_eq!(store.prune(&bound, 9).await.unwrap(), [(text.to_owned(), 1)].into());
    }
}

async fn a_key_may_come_more_than_once_in_a_batch(store: Arc<dyn Store>) {
    let batch = |n: usize| -> Vec<Write> {
        let delete = Write::Delete { collection: PLACE, key: "b".into() };
        let puts = (0..n).map(|n| put("a", "t", &n.to_string(), When::Always));
        puts.chain([put("b", "t", "1", When::Always), delete]).collect()
    };
    for n in [2, 200] {
        let before = record(&*store, "a").await.map_or(0, |record| record.version);
        assert_eq!(store.write(batch(n)).await.unwrap(), vec![Written::Done; n + 2]);
        let found = record(&*store, "a").await.unwrap();
        assert_eq!(found.version, before + i64::try_from(n).unwrap());
        assert_eq!(found.body, (n - 1).to_string());
        assert_eq!(record(&*store, "b").await, None);
    }
    assert_eq!(store.write(Vec::new()).await.unwrap(), []);
}

/// Whoever reads page by page while others write misses nothing: what is seen later has a larger sequence.
async fn sequences_rise_in_the_order_in_which_records_are_seen(store: Arc<dyn Store>) {
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    let key = format!("{writer}-{n}");
                    store.write(vec![put(&key, "t", "{}", When::Absent)]).await.unwrap();
                }
            })
        })
        .collect();
    let mut seen = Vec::new();
    while seen.len() < 160 {
        let all = store.list(PLACE, everything()).await.unwrap();
        let now: Vec<i64> = all.iter().rev().map(|record| record.sequence).collect();
        assert!(now.starts_with(&seen), "one came between those seen before: {seen:?} {now:?}");
        seen = now;
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

/// A caller that goes away takes a whole batch with it or none of it, and the store works on.
async fn a_caller_that_gives_up_leaves_no_half_batch(store: Arc<dyn Store>) {
    for round in 0..20_u64 {
        let keys = (0..10).map(|n| put(&format!("{round}-{n}"), "t", "{}", When::Absent));
        let write = store.write(keys.collect());
        tokio::time::timeout(std::time::Duration::from_micros(150 * round), write).await.ok();
    }
    store.check().await.unwrap();
    let all = store.list(PLACE, everything()).await.unwrap();
    assert_eq!(all.len() % 10, 0, "{}", all.len());
}

async fn every_put_raises_the_version_and_keeps_the_sequence(store: Arc<dyn Store>) {
    store.write(vec![put("a", "t", "1", When::Always)]).await.unwrap();
    let first = record(&*store, "a").await.unwrap();
    store.write(vec![put("a", "u", "2", When::Always)]).await.unwrap();
    let second = record(&*store, "a").await.unwrap();
    assert_eq!((second.version, second.sequence), (2, first.sequence));
    assert_eq!((second.tag.as_str(), second.body.as_str()), ("u", "2"));
}

async fn a_write_whose_condition_fails_is_skipped_alone(store: Arc<dyn Store>) {
    use Written::{Done, Skipped};
    let written = store
        .write(vec![
            put("a", "open", "1", When::Absent),
            put("a", "open", "2", When::Absent),
            put("a", "open", "3", When::Tag("closed".into())),
            put("a", "closed", "4", When::Tag("open".into())),
            put("a", "closed", "5", When::Version(1)),
            put("a", "closed", "6", When::Version(2)),
            put("b", "open", "7", When::Tag("open".into())),
            put("b", "open", "8", When::Version(1)),
            put("c", "open", "9", When::Always),
        ])
        .await
        .unwrap();
    assert_eq!(written, [Done, Skipped, Skipped, Done, Skipped, Done, Skipped, Skipped, Done]);
    let a = record(&*store, "a").await.unwrap();
    assert_eq!((a.body.as_str(), a.version), ("6", 3));
    assert_eq!(record(&*store, "b").await, None);
    assert!(record(&*store, "c").await.is_some());
}

async fn a_touch_moves_the_time_and_nothing_else(store: Arc<dyn Store>) {
    let touch = |tag: &str| Write::Touch {
        collection: PLACE,
        key: "a".into(),
        tag: tag.into(),
        at: time(60),
    };
    assert_eq!(store.write(vec![touch("open")]).await.unwrap(), [Written::Skipped]);
    store.write(vec![put("a", "open", "1", When::Always)]).await.unwrap();
    let before = record(&*store, "a").await.unwrap();
    let written = store.write(vec![touch("closed"), touch("open")]).await.unwrap();
    assert_eq!(written, [Written::Skipped, Written::Done]);
    assert_eq!(record(&*store, "a").await.unwrap(), Record { at: time(60), ..before });
}

async fn what_is_deleted_is_gone_and_comes_back_as_new(store: Arc<dyn Store>) {
    let delete = || Write::Delete { collection: PLACE, key: "a".into() };
    store
        .write(vec![put("a", "t", "1", When::Always), put("b", "t", "1", When::Always)])
        .await
        .unwrap();
    let old = record(&*store, "b").await.unwrap();
    assert_eq!(store.write(vec![delete(), delete()]).await.unwrap(), [Written::Done; 2]);
    assert_eq!(record(&*store, "a").await, None);
    store.write(vec![put("a", "t", "2", When::Absent)]).await.unwrap();
    let new = record(&*store, "a").await.unwrap();
    assert_eq!(new.version, 1);
    assert!(new.sequence > old.sequence);
}

async fn lists_are_newest_first_by_first_insertion(store: Arc<dyn Store>) {
    for key in ["a", "b", "c"] {
        store.write(vec![put(key, "t", "1", When::Always)]).await.unwrap();
    }
    store.write(vec![put("a", "t", "2", When::Always)]).await.unwrap();
    assert_eq!(keys(&*store, everything()).await, ["c", "b", "a"]);
}

async fn a_list_may_be_filtered_by_tag_and_read_page_by_page(store: Arc<dyn Store>) {
    let writes = (0..10)
        .map(|n| put(&n.to_string(), if n % 2 == 0 { "even" } else { "odd" }, "{}", When::Always))
        .collect();
    store.write(writes).await.unwrap();
    let mut query = Query { tag: Some("even".into()), after: None, limit: 2 };
    let mut pages = Vec::new();
    loop {
        let page = store.list(PLACE, query.clone()).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some(last.sequence);
        pages.push(page.iter().map(|record| record.key.clone()).collect::<String>());
        // What arrives between two pages moves nothing.
        store
            .write(vec![put(&format!("new{}", pages.len()), "even", "{}", When::Always)])
            .await
            .unwrap();
    }
    assert_eq!(pages, ["86", "42", "0"]);
}

async fn prune_keeps_the_newest_and_the_young(store: Arc<dyn Store>) {
    let writes = (0..10).map(|n| put_at(&n.to_string(), "t", time(n))).collect();
    store.write(writes).await.unwrap();
    let bound = |newest, not_before| Bound { collection: PLACE, tag: None, newest, not_before };
    assert_eq!(dropped(&*store, &bound(8, None)).await, 2);
    assert_eq!(dropped(&*store, &bound(100, Some(time(5)))).await, 3);
    assert_eq!(keys(&*store, everything()).await, ["9", "8", "7", "6", "5"]);
    assert_eq!(dropped(&*store, &bound(3, Some(time(6)))).await, 2);
    assert_eq!(keys(&*store, everything()).await, ["9", "8", "7"]);
    assert_eq!(dropped(&*store, &bound(3, Some(time(6)))).await, 0);
}

async fn prune_drops_in_steps_and_says_what_it_dropped(store: Arc<dyn Store>) {
    let tags = ["even", "odd"].into_iter().cycle();
    let writes = (0..9).zip(tags).map(|(n, tag)| put_at(&n.to_string(), tag, time(n))).collect();
    store.write(writes).await.unwrap();
    let bound = Bound { collection: PLACE, tag: None, newest: 2, not_before: Some(time(4)) };
    let mut steps = Vec::new();
    let mut tags = std::collections::BTreeMap::new();
    loop {
        let step = store.prune(&bound, 3).await.unwrap();
        if step.is_empty() {
            break;
        }
        steps.push(step.values().sum::<u64>());
        for (tag, count) in step {
            *tags.entry(tag).or_insert(0) += count;
        }
    }
    assert!(steps.iter().all(|step| *step <= 3), "{steps:?}");
    assert_eq!(tags, [("even".to_owned(), 4), ("odd".to_owned(), 3)].into());
    assert_eq!(keys(&*store, everything()).await, ["8", "7"]);
}

async fn prune_touches_no_other_tag_and_no_other_collection(store: Arc<dyn Store>) {
    store
        .write(vec![
            put_at("open", "open", time(0)),
            put_at("closed", "closed", time(0)),
            Write::Put {
                collection: Collection::Outcomes,
                key: "other".into(),
                tag: "closed".into(),
                at: time(0),
                body: "{}".into(),
                when: When::Always,
            },
        ])
        .await
        .unwrap();
    let bound = Bound {
        collection: PLACE,
        tag: Some("closed".into()),
        newest: 0,
        not_before: Some(time(100)),
    };
    assert_eq!(dropped(&*store, &bound).await, 1);
    assert_eq!(keys(&*store, everything()).await, ["open"]);
    assert!(store.get(Collection::Outcomes, "other").await.unwrap().is_some());
}

async fn of_many_that_compare_and_set_at_once_exactly_one_wins(store: Arc<dyn Store>) {
    store.write(vec![put("a", "t", "start", When::Always)]).await.unwrap();
    for round in 1..=5 {
        let racers: Vec<_> = (0..8)
            .map(|n| {
                let store = store.clone();
                let write = put("a", "t", &n.to_string(), When::Version(round));
                tokio::spawn(async move { store.write(vec![write]).await.unwrap()[0] })
            })
            .collect();
        let mut winners = Vec::new();
        for (n, racer) in racers.into_iter().enumerate() {
            if racer.await.unwrap() == Written::Done {
                winners.push(n.to_string());
            }
        }
        let present = record(&*store, "a").await.unwrap();
        assert_eq!(winners, [present.body]);
        assert_eq!(present.version, round + 1);
    }
}

async fn a_batch_is_seen_whole_or_not_at_all(store: Arc<dyn Store>) {
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..50 {
                let body = n.to_string();
                let batch =
                    ["a", "b"].map(|key| put(key, "t", &body, When::Always)).into_iter().collect();
                store.write(batch).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let seen = store.list(PLACE, everything()).await.unwrap();
        let mut bodies: Vec<_> = seen.iter().map(|record| &record.body).collect();
        bodies.dedup();
        assert!(bodies.len() <= 1, "two halves of different batches: {seen:?}");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

async fn a_healthy_store_says_that_it_can_be_written(store: Arc<dyn Store>) {
    store.check().await.unwrap();
    store.check().await.unwrap();
    for collection in Collection::ALL {
        assert_eq!(
            store.list(collection, everything()).await.unwrap(),
            [],
            "a check leaves no record"
        );
    }
}

/// Each behaviour over each store.
macro_rules! contract {
    ($($behaviour:ident),* $(,)?) => {
        mod memory {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour(Arc::new(MemoryStore::shared())).await;
            })*
        }
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("a folder/that is/made.db");
                super::$behaviour(Arc::new(SqliteStore::open(&path).await.unwrap())).await;
            })*
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                let store = PostgresStore::open(&address(&database().await)).await.unwrap();
                super::$behaviour(Arc::new(store)).await;
            })*
        }
    };
}

pub(crate) use contract;

contract!(
    a_record_comes_back_as_it_was_put,
    any_text_is_kept_as_it_is,
    a_key_may_come_more_than_once_in_a_batch,
    sequences_rise_in_the_order_in_which_records_are_seen,
    a_caller_that_gives_up_leaves_no_half_batch,
    every_put_raises_the_version_and_keeps_the_sequence,
    a_write_whose_condition_fails_is_skipped_alone,
    a_touch_moves_the_time_and_nothing_else,
    what_is_deleted_is_gone_and_comes_back_as_new,
    lists_are_newest_first_by_first_insertion,
    a_list_may_be_filtered_by_tag_and_read_page_by_page,
    prune_keeps_the_newest_and_the_young,
    prune_drops_in_steps_and_says_what_it_dropped,
    prune_touches_no_other_tag_and_no_other_collection,
    of_many_that_compare_and_set_at_once_exactly_one_wins,
    a_batch_is_seen_whole_or_not_at_all,
    a_healthy_store_says_that_it_can_be_written,
);
