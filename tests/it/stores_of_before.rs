//! R11: a store of the version before, in every open state of journal, policy and temporary action. Today's loop takes it up
//! as that version's own promises say, in SQLite and in PostgreSQL; what it cannot read refuses the start, whole.
//!
//! Each case is played three times: as that version wrote it in both stores, and its twin as today's types write it.

mod held;
mod incidents;
mod journal;
mod policies;
mod read;
mod refused;
mod temporaries;

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use mape_k::domain::execution::Execution;
use mape_k::domain::follow_ups::FollowUps;
use mape_k::domain::ledger::Ledger;
use mape_k::domain::outcome::{Outcome, PendingVerification};
use mape_k::domain::policy::Policy;
use mape_k::domain::time::Time;
use mape_k::domain::violation::TrackedViolation;
use mape_k::executor::undo_key;
use mape_k::knowledge::Database;
use mape_k::knowledge::postgres::PostgresStore;
use mape_k::knowledge::sqlite::SqliteStore;
use mape_k::knowledge::store::{Collection, Store, When, Write};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::the_loop::world::World;

const WRITTEN: &str = include_str!("../fixtures/stores/version_1.jsonl");

/// When the fixture was written.
const WRITTEN_AT: &str = "2026-03-01T03:00:00Z";

/// Names that no record of today has.
const OLD_NAMES: [&str; 6] = [
    "\"prior_replicas\"",
    "\"listed_before\"",
    "\"charter_policy_id\"",
    "\"scope\"",
    "\"breaker\"",
    "\"storm\"",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// In SQLite, as the version before wrote it.
    Before,
    BeforeInPostgres,
    /// The twin: in SQLite, as this version writes it.
    Today,
}

const FORMS: [Form; 3] = [Form::Before, Form::BeforeInPostgres, Form::Today];

#[derive(Clone, Debug)]
struct Stored {
    collection: Collection,
    key: String,
    tag: String,
    at: Time,
    body: Value,
}

/// The records of these cases, their times moved to the present; of all cases without a name.
fn records(cases: &[&str]) -> Vec<Stored> {
    let written_at: Time = WRITTEN_AT.parse().expect("a time");
    let by = Utc::now() - written_at;
    let found: Vec<Stored> = WRITTEN
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|line| cases.is_empty() || cases.iter().any(|case| line["case"] == *case))
        .map(|mut line| {
            moved(&mut line, by);
            let text = |name: &str| line[name].as_str().expect("a text").to_owned();
            let collection = Collection::ALL.into_iter().find(|c| c.as_str() == text("collection"));
            Stored {
                collection: collection.expect("a collection"),
                key: text("key"),
                tag: text("tag"),
                at: text("at").parse().expect("a time"),
                body: line["body"].clone(),
            }
        })
        .collect();
    assert!(found.len() >= cases.len(), "no such case: {cases:?}");
    found
}

fn moved(value: &mut Value, by: chrono::TimeDelta) {
    match value {
        Value::String(text) if text.starts_with("2026-0") => {
            if let Ok(at) = text.parse::<Time>() {
                *text = (at + by).to_rfc3339_opts(SecondsFormat::AutoSi, true);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| moved(item, by)),
        Value::Object(fields) => fields.values_mut().for_each(|field| moved(field, by)),
        _ => {}
    }
}

/// As this version writes what it has read.
fn rewritten(record: Stored) -> Stored {
    fn again<T: DeserializeOwned + Serialize>(body: &Value) -> Value {
        let read: T = serde_json::from_value(body.clone()).expect("it is read");
        serde_json::to_value(read).expect("JSON")
    }
    let mut body = match record.collection {
        Collection::Executions => again::<Execution>(&record.body),
        Collection::Verifications => again::<PendingVerification>(&record.body),
        Collection::Outcomes => again::<Outcome>(&record.body),
        Collection::Violations => again::<TrackedViolation>(&record.body),
        Collection::Policies => rehashed(&record.body),
        _ => record.body.clone(),
    };
    match body["name"].as_str() {
        Some("ledger") => body["value"] = again::<Ledger>(&body["value"]),
        Some("aftermath") => body["value"] = again::<FollowUps>(&body["value"]),
        _ => {}
    }
    let text = body.to_string();
    assert!(OLD_NAMES.iter().all(|name| !text.contains(name)), "{text}");
    Stored { body, ..record }
}

/// Its hash as this version makes it, and the approval of just that.
fn rehashed(body: &Value) -> Value {
    let mut policy: Policy = serde_json::from_value(body.clone()).expect("it is read");
    let hash = policy.hash();
    let before = std::mem::replace(&mut policy.plan_hash, hash);
    for grant in policy.grant.iter_mut().filter(|grant| grant.plan_hash == before) {
        grant.plan_hash.clone_from(&policy.plan_hash);
    }
    serde_json::to_value(policy).expect("JSON")
}

/// Puts records into the store of this world, which has not been started yet.
async fn fill(world: &World, stored: Vec<Stored>) {
    let put = |record: Stored| Write::Put {
        collection: record.collection,
        key: record.key,
        tag: record.tag,
        at: record.at,
        body: record.body.to_string(),
        when: When::Always,
    };
    let store: Box<dyn Store> = match &world.config.knowledge.postgres_url {
        Some(url) if world.config.knowledge.database == Database::Postgres => {
            Box::new(PostgresStore::open(url).await.expect("the store"))
        }
        _ => Box::new(
            SqliteStore::open(&world.config.knowledge.sqlite_path).await.expect("the store"),
        ),
    };
    store.write(stored.into_iter().map(put).collect()).await.expect("filled");
    store.close().await;
}

/// A world whose store holds these cases, not started yet. Nothing is broken, and a person is asked first.
async fn world(cases: &[&str], form: Form) -> World {
    let mut world = World::new().await;
    world.ask_first();
    world.config.execute.timeout_seconds = Duration::from_millis(500);
    world.charter.world().ends_temporary = false;
    match form {
        Form::Before | Form::Today => world.on_disk(),
        Form::BeforeInPostgres => _ = world.on_postgres().await,
    }
    let mut stored = records(cases);
    if form == Form::Today {
        stored = stored.into_iter().map(rewritten).collect();
    }
    fill(&world, stored).await;
    world
}

/// Plays it in every form, side by side: most of each is waiting.
async fn each(play: impl AsyncFn(Form)) {
    futures::future::join_all(FORMS.map(|form| play(form))).await;
}

/// Charter lists these under an id each; active.
fn lists(world: &World, policies: &[(&str, Value)]) {
    let mut charter = world.charter.world();
    charter.policies = policies
        .iter()
        .map(|(id, body)| {
            let mut policy = body.clone();
            policy["policy_id"] = json!(id);
            policy["status"] = json!("active");
            policy
        })
        .collect();
}

fn baseline() -> Value {
    json!({"action": "apply_policy", "policy_set": "baseline"})
}

fn throttle() -> Value {
    json!({"action": "throttle_requests", "rate_limit": 800.0, "duration_seconds": 900})
}

async fn execution(world: &World) -> Value {
    let all = world.items("executions").await;
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

async fn states(world: &World) -> Vec<String> {
    let execution = execution(world).await;
    let actions = execution["actions"].as_array().expect("actions");
    actions.iter().map(|a| a["state"].as_str().expect("a state").to_owned()).collect()
}

async fn states_are(world: &World, wanted: &[&str]) {
    world.until(&format!("{wanted:?}"), async || states(world).await == wanted).await;
}

async fn is_given_a_result(world: &World, outcome: &str, target: &str) {
    world.until("a result", async || !world.items("outcomes").await.is_empty()).await;
    let outcomes = world.items("outcomes").await;
    let said = (outcomes[0]["outcome_type"].as_str(), outcomes[0]["target"].as_str());
    assert_eq!((outcomes.len(), said), (1, (Some(outcome), Some(target))), "{outcomes:?}");
}

/// The key under which the n-th action of the one execution is undone.
async fn undo_key_of(world: &World, nth: usize) -> Option<String> {
    let key = execution(world).await["actions"][nth]["key"].as_str()?.parse().ok()?;
    Some(undo_key(key).to_string())
}
