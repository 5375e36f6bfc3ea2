//! What this version cannot read of open work refuses the start, all of it named at once; history does not.

use chrono::{TimeDelta, Utc};
use mape_k::clock::Clock;
use mape_k::daemon::Daemon;
use mape_k::knowledge::store::Collection;
use serde_json::{Value, json};

use super::{Form, Stored, fill, records, world};
use crate::the_loop::world::World;

async fn refusal(world: &World) -> String {
    let start = Daemon::start(world.config.clone(), Clock::start()).await;
    start.map(drop).expect_err("it starts").to_string()
}

fn unreadable(collection: Collection, key: &str, tag: &str) -> Stored {
    let body = json!({"id": key, "of": "version 9"});
    Stored { collection, key: key.into(), tag: tag.into(), at: Utc::now(), body }
}

fn fact(name: &str, value: &Value) -> Stored {
    let body = json!({"name": name, "value": value, "at": Utc::now()});
    Stored { body, ..unreadable(Collection::Facts, name, "") }
}

/// One of each kind of open work.
fn open() -> Vec<Stored> {
    use Collection as C;
    vec![
        unreadable(C::Executions, "e-1", "in_progress"),
        unreadable(C::Executions, "e-2", "pending"),
        unreadable(C::Policies, "p-1", "pending"),
        unreadable(C::Policies, "p-2", "approved"),
        unreadable(C::Policies, "p-3", "rejected"),
        unreadable(C::Verifications, "j-1", ""),
        unreadable(C::ExpiringActions, "t-1", ""),
        unreadable(C::Treatments, "i-1", ""),
        unreadable(C::Violations, "v-1", "active"),
        unreadable(C::Needs, "n-1", "open"),
        fact("ledger", &json!({"entries": [{"target": 7}]})),
        fact("aftermath", &json!({"successes": "none"})),
        fact("pause", &json!({"by": 7})),
    ]
}

#[tokio::test]
async fn r11_open_work_that_cannot_be_read_refuses_the_start_with_one_list() {
    for form in [Form::Before, Form::BeforeInPostgres] {
        let world = world(&["judging"], form).await;
        // An execution that is over, and on which the verdict is still to be given.
        let mut judged =
            records(&["judging"]).into_iter().filter(|r| r.collection == Collection::Executions);
        let judged = Stored { body: json!("damaged"), ..judged.next().expect("one") };
        let (open, judged_key) = (open(), judged.key.clone());
        fill(&world, open.iter().cloned().chain([judged]).collect()).await;
        let said = refusal(&world).await;
        println!("{said}");
        for record in &open {
            let line = format!("\n  {} {}: ", record.collection.as_str(), record.key);
            assert!(said.contains(&line), "{form:?}: {line} is not in {said}");
        }
        assert!(said.contains(&format!("executions {judged_key}: ")), "{form:?}: {said}");
        assert!(said.contains("14 records") && said.contains("OPERATIONS.md"), "{form:?}: {said}");
        assert!(world.charter.seen().is_empty(), "{form:?}: Charter was asked");
    }
}

/// Each by itself, so that none hides behind another.
#[tokio::test]
async fn r11_each_kind_of_open_work_refuses_the_start() {
    for record in open() {
        let world = world(&["closed"], Form::Before).await;
        let (collection, key) = (record.collection.as_str(), record.key.clone());
        fill(&world, vec![record]).await;
        let said = refusal(&world).await;
        assert!(said.contains("1 record of open work"), "{said}");
        assert!(said.contains(&format!("{collection} {key}: ")), "{said}");
    }
}

#[tokio::test]
async fn r11_a_long_list_is_cut() {
    let world = world(&["closed"], Form::Before).await;
    let key = |n: usize| format!("p-{n:04}");
    let many = (0..300).map(|n| unreadable(Collection::Policies, &key(n), "pending"));
    fill(&world, many.collect()).await;
    let said = refusal(&world).await;
    assert!(said.contains("300 records") && said.contains("and 280 more"), "{said}");
    assert!(said.lines().count() <= 25, "{said}");
}

/// The past is no work: it starts, acts, and gives results.
#[tokio::test]
async fn r11_history_that_cannot_be_read_does_not_refuse_the_start() {
    use Collection as C;
    for form in [Form::Before, Form::BeforeInPostgres] {
        let mut world = world(&["judging", "temporary due"], form).await;
        let old = Utc::now() - TimeDelta::hours(25);
        let history = [
            unreadable(C::Executions, "e-1", "completed"),
            unreadable(C::Executions, "e-2", "failed"),
            unreadable(C::Executions, "e-3", "rolled_back"),
            unreadable(C::Policies, "p-1", "executed"),
            unreadable(C::Policies, "p-2", "expired"),
            Stored { at: old, ..unreadable(C::Policies, "p-3", "rejected") },
            Stored { at: old, ..unreadable(C::Treatments, "i-1", "") },
            unreadable(C::Violations, "v-1", "cleared"),
            unreadable(C::Outcomes, "o-1", "success"),
            unreadable(C::Needs, "n-1", "closed"),
            unreadable(C::Analyses, "a-1", ""),
        ];
        fill(&world, history.to_vec()).await;
        world.charter.world().replicas = 5;
        super::lists(&world, &[("ours", super::throttle())]);
        world.start().await;
        world.until("ended", async || world.changes() == ["rollback"]).await;
        let verifications = async || {
            world
                .knowledge()
                .all::<mape_k::domain::outcome::PendingVerification>(None)
                .await
                .expect("read")
        };
        world.until("a result", async || verifications().await.is_empty()).await;
        // The sweep over the newest executions comes every 20 cycles.
        world.cycles(22).await;
        let view = world.get("/api/v1/state").await.1;
        assert_eq!(view["last_error"], Value::Null, "{form:?}: {view}");
        world.stop().await;
    }
}
