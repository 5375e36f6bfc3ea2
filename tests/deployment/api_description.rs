//! The OpenAPI description against the running daemon: it lists what is served, and answers are as it says. What random
//! requests are answered is `scripts/check-api.sh`'s to find.

mod held;
mod reference;

#[path = "../it/the_loop/fakes.rs"]
#[allow(dead_code, reason = "shared with the other test binaries")]
mod fakes;
#[path = "../it/the_loop/world.rs"]
#[allow(dead_code, reason = "shared with the other test binaries")]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::StatusCode;
use serde_json::{Value, json};

use held::Held;
use world::World;

const ALERTS: &str = "/webhooks/alerts";

fn description() -> Value {
    mape_k::server::description::document()
}

/// Every call as `GET /health`, with its operation.
fn calls(description: &Value) -> BTreeMap<String, &Value> {
    let paths = description["paths"].as_object().expect("paths");
    let mut calls = BTreeMap::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("a path's methods") {
            calls.insert(format!("{} {path}", method.to_uppercase()), operation);
        }
    }
    calls
}

#[test]
fn d07_the_description_is_valid_openapi_3_1_and_every_reference_leads_somewhere() {
    let description = description();
    let official = include_str!("../fixtures/openapi/schema-3.1.json");
    let official: Value = serde_json::from_str(official).expect("the schema of OpenAPI 3.1");
    let validator = jsonschema::validator_for(&official).expect("the schema of OpenAPI 3.1");
    let errors: Vec<String> = validator
        .iter_errors(&description)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let schemas = description["components"]["schemas"].as_object().expect("schemas");
    for (name, schema) in schemas {
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let text = description.to_string();
    for inner in ["[`", "`None`", "`Some", "::"] {
        assert!(!text.contains(inner), "a description speaks of the code: {inner}");
    }
    let mut named = BTreeSet::new();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let reference = reference.split('"').next().expect("a closed text");
        let pointer = reference.strip_prefix('#').expect("a reference into the document");
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
        named.insert(pointer.rsplit('/').next().expect("a name").to_owned());
    }
    let unused: Vec<_> = schemas.keys().filter(|name| !named.contains(*name)).collect();
    assert!(unused.is_empty(), "described and never answered: {unused:?}");
}

#[test]
fn d07_every_call_parameter_and_answer_says_what_it_means() {
    let description = description();
    let calls = calls(&description);
    let mut ids = BTreeSet::new();
    for (call, operation) in &calls {
        let says = |value: &Value, what: &str| {
            assert!(value.as_str().is_some_and(|text| text.len() > 3), "{call}: {what}");
        };
        says(&operation["summary"], "no summary");
        says(&operation["tags"][0], "no tag");
        assert!(
            ids.insert(operation["operationId"].to_string()),
            "{call}: its operationId is another's"
        );
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            says(&parameter["description"], &format!("{} has no description", parameter["name"]));
        }
        for (status, answer) in operation["responses"].as_object().expect("answers") {
            says(&answer["description"], &format!("{status} has no description"));
        }
    }
    for (name, schema) in description["components"]["schemas"].as_object().expect("schemas") {
        let page = name.starts_with("List_");
        assert!(page || schema["description"].is_string(), "{name} has no description");
    }
}

/// A path that is described and not served is answered 404 with another text; one that is served and not described
/// cannot be: the router is made of the described handlers, and no source adds a route beside them.
#[tokio::test]
async fn d07_exactly_the_described_calls_are_served() {
    let mut world = World::new().await;
    world.start().await;
    let description = description();
    for (path, item) in description["paths"].as_object().expect("paths") {
        if path == ALERTS {
            continue;
        }
        let asked = path.replace("{id}", "x");
        let (status, answer) = world.ask(&asked, &json!({})).await;
        let posts = item.get("post").is_some();
        let expected = match path.as_str() {
            // The one that reads no body.
            "/-/reload" => StatusCode::OK,
            _ if posts => StatusCode::BAD_REQUEST,
            _ => StatusCode::METHOD_NOT_ALLOWED,
        };
        assert_eq!(status, expected, "POST {asked}: {answer}");
        if posts {
            let (status, answer) = world.get(&asked).await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "GET {asked}: {answer}");
        }
    }
    let (status, served) = world.get("/api/v1/openapi.json").await;
    assert_eq!((status, served), (StatusCode::OK, description));
    world.stop().await;
    let default = mape_k::monitor::AlertmanagerSettings::default().webhook_path;
    assert_eq!(default, ALERTS, "the described path is the configuration's default");
}

/// A fault healed, one that lasts, an alert that nobody knows, and a policy that waits: no list is empty.
#[tokio::test]
async fn d07_real_answers_are_as_described_and_hold_no_field_beside() {
    let mut world = World::new().await;
    world.on_disk();
    world.start().await;
    world.cycles(1).await;
    let mut held = Held::new(description());
    held.every_get(&world, &[]).await;

    world.latency(1.8);
    world.until("it acted", async || !world.changes().is_empty()).await;
    held.every_get(&world, &[]).await;
    world.latency(0.2);
    world.until("it is judged", async || !world.items("outcomes").await.is_empty()).await;
    let disk = json!({"alertname": "DiskFull", "severity": "critical", "component": "charter"});
    world.alertmanager.state().fire("disk", &disk);
    world.deliver("firing", "disk", &disk).await;
    world.until("people are told", async || !world.items("incidents").await.is_empty()).await;
    world.failure_rate("validator", 0.5);
    world.until("a violation", async || !world.violations().await.is_empty()).await;
    let filled = ["executions", "outcomes", "insights", "incidents", "cycles"];
    world.until("what was learned", async || !world.items("insights").await.is_empty()).await;
    held.every_get(&world, &filled).await;

    // A person's turn.
    world.failure_rate("validator", 0.01);
    world.stop().await;
    world.ask_first();
    world.start().await;
    world.latency(1.8);
    let pending = "policies?approval=pending";
    world.until("a policy waits", async || !world.items(pending).await.is_empty()).await;
    held.every_get(&world, &["violations", "analyses", "policies"]).await;
    let policies = world.items("policies?limit=1").await;
    let id = policies[0]["id"].as_str().expect("an id");
    let approve = "/api/v1/policies/{id}/approve";
    let other = json!({"revision": 4_000_000_000_u32, "by": "anna"});
    held.post(&world, approve, id, &other, StatusCode::CONFLICT).await;
    let none = "00000000-0000-0000-0000-000000000000";
    held.post(&world, approve, none, &other, StatusCode::NOT_FOUND).await;
    held.post(&world, approve, id, &json!({"by": 1}), StatusCode::BAD_REQUEST).await;
    let pause = json!({"by": "anna", "reason": "a new release", "duration_seconds": 1800});
    held.post(&world, "/api/v1/pause", "", &pause, StatusCode::OK).await;
    held.every_get(&world, &[]).await;
    held.post(&world, "/api/v1/pause", "", &pause, StatusCode::OK).await;
    held.post(&world, "/api/v1/resume", "", &json!({"by": "anna"}), StatusCode::OK).await;
    held.post(&world, "/-/reload", "", &json!({}), StatusCode::OK).await;
    // On a busy machine a policy may expire while it is looked at, and another wait after it.
    let reject = "/api/v1/policies/{id}/reject";
    world
        .until("one is rejected", async || {
            let Some(policy) = world.items(pending).await.pop() else { return false };
            let id = policy["id"].as_str().expect("an id");
            let decision = json!({"revision": policy["revision"], "by": "anna"});
            let (status, answer) = world.ask(&reject.replace("{id}", id), &decision).await;
            held.answered(&format!("POST {reject}"), Some(&decision), status, &answer);
            status == StatusCode::OK
        })
        .await;
    for bad in ["violations?limit=0", "cycles?after=x", "policies?approval=maybe", "cycles?x=1"] {
        let (status, answer) = world.get(&format!("/api/v1/{bad}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let path = format!("/api/v1/{}", bad.split('?').next().expect("a path"));
        held.answer(&format!("GET {path}"), status, &answer);
    }
    for (path, asked) in
        [("/api/v1/cycles/{id}", "cycles/x"), ("/api/v1/explain/actions/{id}", "explain/actions/x")]
    {
        let (status, answer) = world.get(&format!("/api/v1/{asked}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        held.answer(&format!("GET {path}"), status, &answer);
    }
    world.stop().await;
    held.all_were_asked();
    reference::keep_examples(held.examples());
}

/// What a short test does not bring about: values from JSON and back, as the API would serve them.
#[test]
fn d07_values_of_bad_days_are_as_described() {
    held::values_of_bad_days(&description());
}

#[test]
fn d07_the_api_reference_is_the_one_that_the_code_makes() {
    reference::is_current(&description());
}
