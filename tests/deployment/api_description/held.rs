//! Holds answers to the description, strictly: a field that is not described is an error, too.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use mape_k::domain::action::Action;
use mape_k::domain::cycle::{CandidateReport, CandidateResult};
use mape_k::domain::execution::ActionRecord;
use mape_k::domain::finding::Finding;
use mape_k::domain::incident::Incident;
use mape_k::domain::outcome::Outcome;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::world::World;
use super::{ALERTS, calls};

/// An answer that is worth showing whole.
const SHORT: usize = 40;

pub struct Held {
    description: Value,
    asked: BTreeSet<String>,
    /// By schema: making one takes longer than using it.
    validators: BTreeMap<String, Validator>,
    /// By call: what was sent, and what was answered.
    examples: BTreeMap<String, Value>,
}

impl Held {
    pub fn new(description: Value) -> Self {
        let (asked, validators) = (BTreeSet::new(), BTreeMap::new());
        Self { description, asked, validators, examples: BTreeMap::new() }
    }

    /// Asks for everything that can be asked for without a body; these lists hold something.
    pub async fn every_get(&mut self, world: &World, filled: &[&str]) {
        let description = self.description.clone();
        for call in calls(&description).keys() {
            let Some(path) = call.strip_prefix("GET ") else { continue };
            if path == "/metrics" {
                self.asked.insert(call.clone());
                assert!(world.metric("mape_k_leader").await <= 1, "the metrics are a text");
                continue;
            }
            for asked in self.asked_for(world, path).await {
                let (status, answer) = world.get(&asked).await;
                self.answered(call, None, status, &answer);
                let list = path.strip_prefix("/api/v1/").unwrap_or_default();
                let items = answer["items"].as_array();
                assert!(
                    !filled.contains(&list) || items.is_some_and(|items| !items.is_empty()),
                    "{asked} is empty"
                );
            }
        }
    }

    /// A path with what there is in the place of `{id}`.
    async fn asked_for(&self, world: &World, path: &str) -> Vec<String> {
        let Some((before, _)) = path.split_once("{id}") else { return vec![path.to_owned()] };
        let (list, key) = match before.trim_end_matches('/').rsplit('/').next() {
            Some("incidents") => ("incidents", "id"),
            Some("cycles") => ("cycles", "id"),
            Some("violations") => ("violations", "fingerprint"),
            Some("policies") => ("policies", "id"),
            Some("actions") => ("executions", "id"),
            other => panic!("{path}: nothing is known to ask {other:?} for"),
        };
        let items = world.items(&format!("{list}?limit=3")).await;
        items.iter().map(|item| format!("{before}{}", item[key].as_str().expect("an id"))).collect()
    }

    pub async fn post(
        &mut self,
        world: &World,
        path: &str,
        id: &str,
        body: &Value,
        expected: StatusCode,
    ) {
        let call = format!("POST {path}");
        let (status, answer) = world.ask(&path.replace("{id}", id), body).await;
        assert_eq!(status, expected, "{call} {body}: {answer}");
        self.answered(&call, Some(body), status, &answer);
    }

    pub fn answered(
        &mut self,
        call: &str,
        body: Option<&Value>,
        status: StatusCode,
        answer: &Value,
    ) {
        self.answer(call, status, answer);
        self.keep(call, body, status, answer);
    }

    /// The answer is one that the description has for this status.
    pub fn answer(&mut self, call: &str, status: StatusCode, answer: &Value) {
        let calls = calls(&self.description);
        let operation = calls.get(call).unwrap_or_else(|| panic!("{call} is not described"));
        let described = &operation["responses"][status.as_str()];
        assert!(described.is_object(), "{call}: {status} is not described: {answer}");
        let schema = &described["content"]["application/json"]["schema"];
        let validator = self
            .validators
            .entry(schema.to_string())
            .or_insert_with(|| strictly(&self.description, schema));
        hold(validator, answer, &format!("{call} {status}"));
        if status == StatusCode::OK {
            self.asked.insert(call.to_owned());
        }
    }

    /// The newest short one.
    fn keep(&mut self, call: &str, body: Option<&Value>, status: StatusCode, answer: &Value) {
        let pretty = serde_json::to_string_pretty(answer).expect("plain data");
        let empty = answer["items"].as_array().is_some_and(Vec::is_empty);
        if status == StatusCode::OK && !empty && pretty.lines().count() <= SHORT {
            let example = json!({"sent": body, "answered": answer});
            self.examples.insert(call.to_owned(), example);
        }
    }

    pub fn all_were_asked(&self) {
        let mut left: Vec<String> = calls(&self.description).into_keys().collect();
        // Approved once is approved for good: the same answer as a rejection's. Alerts were delivered by the world.
        let elsewhere = ["POST /api/v1/policies/{id}/approve", &format!("POST {ALERTS}")];
        left.retain(|call| !self.asked.contains(call) && !elsewhere.contains(&call.as_str()));
        assert!(left.is_empty(), "never answered 200: {left:?}");
    }

    pub fn examples(&self) -> &BTreeMap<String, Value> {
        &self.examples
    }
}

fn strictly(description: &Value, schema: &Value) -> Validator {
    assert!(schema.is_object(), "no schema: {schema}");
    let mut components = description["components"].clone();
    let mut schema = schema.clone();
    strict(&mut components);
    strict(&mut schema);
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": components,
    });
    jsonschema::options()
        .should_validate_formats(true)
        .build(&whole)
        .unwrap_or_else(|error| panic!("{schema}: {error}"))
}

fn hold(validator: &Validator, value: &Value, what: &str) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what} is not as described: {errors:#?}\n{value:#}");
}

/// Every object that lists its fields has no others.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let lists = map.get("properties").is_some_and(Value::is_object);
            if lists && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            map.values_mut().for_each(strict);
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

fn value<T: DeserializeOwned + Serialize>(description: &Value, name: &str, value: &Value) {
    let read: T = serde_json::from_value(value.clone())
        .unwrap_or_else(|error| panic!("{name}: {error}: {value:#}"));
    let served = serde_json::to_value(read).expect("plain data");
    let schema = json!({"$ref": format!("#/components/schemas/{name}")});
    hold(&strictly(description, &schema), &served, name);
}

pub fn values_of_bad_days(description: &Value) {
    let (at, id) = ("2026-11-22T03:00:00.123456789Z", "0190b0a0-0000-7000-8000-000000000001");
    let numbers = json!({"ready": 0, "desired": 2, "pods": 2, "tier": "P0", "restarts": 7, "restart_rate": 3.5});
    for action in [
        json!({"action": "restart_service", "service": "validator", "graceful": true}),
        json!({"action": "restart_service", "graceful": false}),
        json!({"action": "bypass_validation", "validation_type": "policy", "duration_seconds": 60}),
        json!({"action": "throttle_requests", "rate_limit": 12.5, "duration_seconds": 60}),
        json!({"action": "rebalance_load", "strategy": "least_loaded"}),
        json!({"action": "update_configuration", "settings": {"a": {"b": [1, null]}}}),
    ] {
        value::<Action>(description, "Action", &action);
        let record = json!({"action": action, "key": id, "state": "undo_failed", "error": "x", "invalid": true,
            "started_at": at, "ended_at": null, "tries": 3, "sent_at": at, "absent_since": at, "conflict": false,
            "prior": {"version": 1, "replicas": 3}, "undo_under_way": true, "expires_at": at});
        value::<ActionRecord>(description, "ActionRecord", &record);
    }
    for verdict in [
        json!({"verdict": "chosen"}),
        json!({"verdict": "outranked", "by": "scale_up", "score": 0.5}),
        json!({"verdict": "held", "reason": "storm", "detail": "x"}),
        json!({"verdict": "impossible", "reason": "at_limit", "detail": "x"}),
        json!({"verdict": "ineligible", "reason": "not_its_turn", "detail": "x"}),
    ] {
        value::<CandidateResult>(description, "CandidateResult", &verdict);
        let guards = json!([{"guard": "budget", "held": "budget_exhausted", "value": 6.0, "limit": 6.0, "detail": "x"}]);
        let candidate = json!({"cause": "c", "component": "charter", "action": "scale_up", "planned": null,
            "cause_confidence": 0.9, "effectiveness": 1.0, "benefit": 0.9, "cost": 0.1, "score": 0.8,
            "occurrences": 3, "guards": guards, "verdict": verdict});
        value::<CandidateReport>(description, "CandidateReport", &candidate);
    }
    let finding = |kind: &Value| {
        json!({"kind": kind, "severity": "critical", "priority": "P0", "service": "payments", "namespace": "shop",
            "owner": "Deployment/payments", "pods": ["p-1"], "ready": 0, "desired": 2, "restarts": 7,
            "within_rollout": false, "data_at_risk": "x", "reason": "x", "exit_code": -1, "log_lines": ["x"],
            "since": at, "recommendation": "x", "record": id})
    };
    for kind in [json!("crash_loop"), json!({"loop": "blind"})] {
        value::<Finding>(description, "Finding", &finding(&kind));
    }
    let commit = json!({"sha": "abc", "author": "anna", "title": "x", "at": at, "pull_request": [7, "x"],
        "files": ["a"], "has_more_files": true, "url": "https://github.com/x/y"});
    let course = json!({"base": "SEV-1", "is_excused": false, "down_since": at, "short_since": at, "returns": [at],
        "baseline": [numbers, "SEV-2"], "is_raised": true, "decided": "SEV-1", "told_numbers": numbers,
        "told_gist": "x", "shown_gist": "x", "end_told_at": at, "in_backup": true});
    let incident = json!({"id": "INC-20261122_030000-001", "service": "payments", "namespace": "shop",
        "class": "availability", "record": null, "since": at, "opened_at": at, "last_seen_at": at, "ended_at": null,
        "severity": "SEV-1", "numbers": numbers, "findings": [finding(&json!("image_pull"))], "lines": ["x"],
        "thread": {"channel": "C1", "ts": "1.2"}, "told_at": at, "told_severity": "SEV-1", "updated_at": null,
        "edited_at": null, "is_queued": true, "end_is_due": true,
        "suspect": {"correlation": "high", "commit": commit}, "course": course});
    let read: Incident = serde_json::from_value(incident).expect("an incident");
    let mut served = serde_json::to_value(read).expect("plain data");
    (served["needs"], served["notification"]) = (json!([]), json!("not notified yet"));
    let schema = json!({"$ref": "#/components/schemas/Listed"});
    hold(&strictly(description, &schema), &served, "Listed");
    for (scope, lowered) in
        [(json!("charter"), json!("worse")), (json!({"service": "x"}), json!({"guard": "r"}))]
    {
        let verification = json!({"counted": "success", "lowered_by": lowered, "unscored": "alert", "before": 1.0,
            "base": 1.0, "sigma": 0.1, "after": 1.0, "recovery": 0.5, "control": 0.1, "controls": 2, "placebo": 0.2,
            "placebo_times": 60});
        let outcome = json!({"id": id, "policy_id": id, "execution_id": id, "cause": "c", "component": "charter",
            "action_type": "scale_up", "outcome_type": "ineffective", "metric_before": 1.0, "metric_after": null,
            "violations_before": 1, "violations_after": 0, "judged_at": at, "scope": scope, "settled_at": at,
            "reason": "x", "time_to_effect_seconds": null, "verification": verification,
            "recurred": {"at": at, "was": "success", "violation": "f"}});
        value::<Outcome>(description, "Outcome", &outcome);
    }
}
