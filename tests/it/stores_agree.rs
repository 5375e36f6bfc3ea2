//! S13: memory, SQLite and PostgreSQL give the same answers to the same random history of writes, prunes and lists.

use mape_k::knowledge::memory::MemoryStore;
use mape_k::knowledge::postgres::PostgresStore;
use mape_k::knowledge::sqlite::SqliteStore;
use mape_k::knowledge::store::{Bound, Collection, Query, Store, When, Write};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::store_contract::time;
use crate::support::postgres::{address, database};

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Write>),
    Prune(Bound),
    /// A list of everything, then the page after its n-th record.
    List(Collection, Option<String>, usize),
}

fn collection() -> impl Strategy<Value = Collection> {
    prop::sample::select(vec![Collection::Policies, Collection::Outcomes])
}

fn word(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(of).prop_map(str::to_owned)
}

fn key() -> impl Strategy<Value = String> {
    word(&["a", "b", "c", "d", "e"])
}

fn tag() -> impl Strategy<Value = String> {
    word(&["", "open", "closed"])
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        3 => Just(When::Always),
        1 => Just(When::Absent),
        1 => tag().prop_map(When::Tag),
        1 => (1_i64..4).prop_map(When::Version),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    let put = (collection(), key(), tag(), 0_i64..20, 0_u8..9, when()).prop_map(
        |(collection, key, tag, at, body, when)| Write::Put {
            collection,
            key,
            tag,
            at: time(at),
            body: body.to_string(),
            when,
        },
    );
    let touch = (collection(), key(), tag(), 0_i64..20)
        .prop_map(|(collection, key, tag, at)| Write::Touch { collection, key, tag, at: time(at) });
    let delete =
        (collection(), key()).prop_map(|(collection, key)| Write::Delete { collection, key });
    prop_oneof![6 => put, 1 => touch, 1 => delete]
}

fn step() -> impl Strategy<Value = Step> {
    let bound = (collection(), prop::option::of(tag()), 0_usize..6, prop::option::of(0_i64..20))
        .prop_map(|(collection, tag, newest, not_before)| {
            Step::Prune(Bound { collection, tag, newest, not_before: not_before.map(time) })
        });
    prop_oneof![
        4 => prop::collection::vec(write(), 0..12).prop_map(Step::Write),
        1 => bound,
        2 => (collection(), prop::option::of(tag()), 0_usize..6).prop_map(|(c, t, n)| Step::List(c, t, n)),
    ]
}

/// The answer in words; a sequence is only an order, so it is left out.
async fn answer(store: &dyn Store, step: Step) -> String {
    match step {
        Step::Write(writes) => format!("{:?}", store.write(writes).await.unwrap()),
        Step::Prune(bound) => format!("{:?} dropped", store.prune(&bound, 100).await.unwrap()),
        Step::List(collection, tag, place) => {
            let all = Query { tag, after: None, limit: 100 };
            let whole = store.list(collection, all.clone()).await.unwrap();
            let after = whole.get(place).map(|record| record.sequence);
            let page = store.list(collection, Query { after, limit: 2, ..all }).await.unwrap();
            let mut lines: Vec<String> = Vec::new();
            for record in whole.iter().chain(&page) {
                let got = store.get(collection, &record.key).await.unwrap();
                assert_eq!(got.as_ref(), Some(record), "get and list agree");
                lines.push(format!(
                    "{} {} {} {} {}",
                    record.key, record.tag, record.at, record.body, record.version
                ));
            }
            lines.join("\n")
        }
    }
}

#[test]
fn s13_memory_sqlite_and_postgresql_answer_every_history_alike() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let postgres = runtime.block_on(async {
        PostgresStore::open(&address(&database().await)).await.expect("opened")
    });
    let config =
        ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let histories = prop::collection::vec(step(), 1..16);
    let agree = |steps: Vec<Step>| {
        runtime.block_on(agree(&postgres, steps));
        Ok(())
    };
    TestRunner::new(config).run(&histories, agree).unwrap();
}

async fn agree(postgres: &PostgresStore, steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(&folder.path().join("knowledge.db")).await.unwrap();
    let memory = MemoryStore::default();
    // A server's database is used by one history after the other; a bound of none empties it.
    for collection in Collection::ALL {
        let none = Bound { collection, tag: None, newest: 0, not_before: None };
        postgres.prune(&none, usize::MAX).await.unwrap();
    }
    let look = Collection::ALL.map(|collection| Step::List(collection, None, 1));
    for step in steps.into_iter().chain(look) {
        let expected = answer(&memory, step.clone()).await;
        assert_eq!(expected, answer(&sqlite, step.clone()).await, "SQLite after {step:?}");
        assert_eq!(expected, answer(postgres, step.clone()).await, "PostgreSQL after {step:?}");
    }
}
