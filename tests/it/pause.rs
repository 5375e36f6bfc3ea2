//! A pause in the store: one at a time, put away once when it is over, an error when it cannot be read.

use mape_k::domain::pause::Pause;
use mape_k::knowledge::{Database, Fact, Knowledge, StoreError};
use serde_json::json;

use crate::knowledge_facade::settings;
use crate::store_contract::time;

fn pause(by: &str, since: i64, until: i64) -> Pause {
    let reason = "deploying".to_owned();
    Pause { by: by.to_owned(), reason, since: time(since), until: time(until) }
}

async fn over_both(test: impl AsyncFn(Knowledge)) {
    let folder = tempfile::tempdir().expect("a folder");
    for database in [Database::Memory, Database::Sqlite] {
        let knowledge = Knowledge::open(&settings(database, folder.path())).await.expect("a store");
        test(knowledge).await;
    }
}

#[tokio::test]
async fn s04_a_pause_holds_until_its_end_and_is_put_away_once() {
    over_both(async |store| {
        assert_eq!(store.paused(time(0)).await.expect("read"), None);
        assert_eq!(store.end_pause(time(0)).await.expect("read"), None);
        let (first, second) = (pause("ada", 0, 10), pause("bob", 5, 20));
        assert_eq!(store.pause(first.clone(), false).await.expect("stored"), (first.clone(), None));
        assert_eq!(store.paused(time(9)).await.expect("read"), Some(first.clone()));
        assert_eq!(store.paused(time(10)).await.expect("read"), None, "over at its end");
        assert_eq!(
            store.pause(second.clone(), false).await.expect("stored"),
            (second.clone(), Some(first))
        );
        assert_eq!(store.end_pause(time(19)).await.expect("read"), None, "it holds");
        assert_eq!(store.end_pause(time(20)).await.expect("written"), Some(second.clone()));
        assert_eq!(store.end_pause(time(21)).await.expect("read"), None, "once");
        store.pause(second.clone(), false).await.expect("stored");
        assert_eq!(store.resume(time(6), "ada").await.expect("written"), Some(second));
        assert_eq!(store.resume(time(7), "ada").await.expect("written"), None);
        assert_eq!(store.paused(time(8)).await.expect("read"), None);
    })
    .await;
}

#[tokio::test]
async fn s04_a_damaged_pause_is_an_error_until_it_is_said_anew() {
    over_both(async |store| {
        for damaged in [json!({"by": "ada"}), json!("yes"), json!(true), json!([])] {
            for anew in [true, false] {
                let name = Fact::PAUSE.to_owned();
                let mut batch = store.batch();
                batch.put(&Fact { name, value: damaged.clone(), at: time(0) });
                store.commit(batch).await.expect("stored");
                let read = store.paused(time(1)).await;
                assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{damaged}: {read:?}");
                assert!(store.end_pause(time(1)).await.is_err(), "{damaged}");
                if anew {
                    let pause = pause("ada", 1, 2);
                    assert_eq!(store.pause(pause.clone(), false).await.expect("stored").1, None);
                    assert_eq!(store.paused(time(1)).await.expect("read"), Some(pause));
                } else {
                    assert_eq!(store.resume(time(1), "ada").await.expect("stored"), None);
                    assert_eq!(store.paused(time(1)).await.expect("read"), None);
                }
            }
        }
    })
    .await;
}

/// Who pauses for an hour need not know that somebody else has for two.
#[tokio::test]
async fn s04_a_shorter_pause_leaves_the_later_end_unless_it_is_to_replace_it() {
    over_both(async |store| {
        let (long, short) = (pause("ada", 0, 100), pause("bob", 5, 20));
        store.pause(long.clone(), false).await.expect("stored");
        let kept = Pause { until: long.until, ..short.clone() };
        let answer = store.pause(short.clone(), false).await.expect("stored");
        assert_eq!(answer, (kept.clone(), Some(long)));
        assert_eq!(store.paused(time(50)).await.expect("read"), Some(kept.clone()));
        let answer = store.pause(short.clone(), true).await.expect("stored");
        assert_eq!(answer, (short.clone(), Some(kept)));
        assert_eq!(store.paused(time(50)).await.expect("read"), None);
        // One that is over has no end to keep.
        let again = pause("ada", 30, 40);
        let answer = store.pause(again.clone(), false).await.expect("stored");
        assert_eq!(answer, (again, None));
    })
    .await;
}
