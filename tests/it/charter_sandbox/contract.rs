//! Every call of the control API, as its table says: what it answers, what it changes, what it refuses.

use std::time::Duration;

use mape_k::charter_sandbox::service::{Request, Response};
use mape_k::charter_sandbox::{Charter, Options};
use serde_json::{Value, json};

pub const APPLY: &str = "/api/v1/policies/apply";
pub const SCALE: &str = "/api/v1/committee/scale";
pub const RESTART: &str = "/api/v1/committee/restart";
pub const STATE: &str = "/api/v1/committee/state";

pub fn charter() -> Charter {
    Charter::simulated(Options { sandbox: true, ..Options::default() }).expect("valid options")
}

pub fn get(charter: &Charter, path: &str) -> Value {
    let answer = charter.call(&Request::get(path));
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

pub fn post(charter: &Charter, path: &str, body: &Value) -> Response {
    charter.call(&Request::post(path, body))
}

pub fn applying(policy: &Value) -> Value {
    json!({ "policy": policy, "timestamp": "2026-01-01T00:00:00Z", "source": "mape_k_executor" })
}

pub fn throttle() -> Value {
    json!({ "action": "throttle_requests", "rate_limit": 800.0, "duration_seconds": 60 })
}

#[track_caller]
pub fn assert_refused(answer: &Response, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.json()["code"].as_str()),
        (status, Some(code)),
        "{}",
        answer.body
    );
    assert!(
        answer.json()["error"].as_str().is_some_and(|text| !text.is_empty()),
        "{}",
        answer.body
    );
}

pub fn wait(charter: &Charter, seconds: u64) {
    charter.advance(Duration::from_secs(seconds));
}

#[test]
fn the_nine_actions_are_valid_with_their_parameters_and_nothing_else_is() {
    let charter = charter();
    let validate = |policy: &Value| post(&charter, "/api/v1/policies/validate", policy);
    let valid = [
        json!({ "action": "scale_up", "replicas": 5 }),
        json!({ "action": "scale_down", "replicas": 2 }),
        json!({ "action": "restart_service", "service": "validator", "graceful": true }),
        json!({ "action": "restart_service", "service": "all", "graceful": false }),
        json!({ "action": "apply_policy", "policy_set": "baseline" }),
        json!({ "action": "bypass_validation", "validation_type": "schema", "duration_seconds": 60 }),
        throttle(),
        json!({ "action": "activate_emergency_override", "duration_seconds": 900 }),
        json!({ "action": "rebalance_load", "strategy": "round_robin" }),
        json!({ "action": "update_configuration", "settings": { "operation_timeout_ms": 400 } }),
    ];
    for policy in valid {
        let answer = validate(&policy);
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (200, json!({ "valid": true })),
            "{policy}"
        );
    }
    let invalid = [
        json!({ "action": "scale_up", "replicas": 21 }),
        json!({ "action": "scale_down", "replicas": 0 }),
        json!({ "action": "scale_up" }),
        json!({ "action": "scale_up", "replicas": 5, "because": "typo" }),
        json!({ "action": "restart_service", "service": "charter" }),
        json!({ "action": "apply_policy", "policy_set": "drifted" }),
        json!({ "action": "bypass_validation", "validation_type": "all", "duration_seconds": 60 }),
        json!({ "action": "throttle_requests", "rate_limit": 0, "duration_seconds": 60 }),
        json!({ "action": "throttle_requests", "rate_limit": 800 }),
        json!({ "action": "activate_emergency_override", "duration_seconds": -1 }),
        json!({ "action": "rebalance_load", "strategy": "random" }),
        json!({ "action": "update_configuration", "settings": {} }),
        json!({ "action": "update_configuration", "settings": { "colour": 1 } }),
        json!({ "action": "update_configuration", "settings": { "queue_limit": "many" } }),
        json!({ "action": "reboot_the_world" }),
        json!([]),
    ];
    for policy in invalid {
        let answer = validate(&policy);
        assert_refused(&answer, 422, "invalid_policy");
        assert_eq!(answer.json()["valid"], false, "{policy}");
    }
}

#[test]
fn an_applied_policy_is_listed_until_it_expires_or_is_rolled_back() {
    let charter = charter();
    let id = post(&charter, APPLY, &applying(&throttle())).json()["policy_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let listed = get(&charter, "/api/v1/policies");
    let wanted = json!([{ "policy_id": id, "action": "throttle_requests", "rate_limit": 800.0, "duration_seconds": 60.0,
        "status": "active" }]);
    assert_eq!(listed, wanted);
    let rollback = format!("/api/v1/policies/{id}/rollback");
    assert_eq!(post(&charter, &rollback, &json!({})).status, 200);
    assert_eq!(get(&charter, "/api/v1/policies"), json!([]));
    assert_refused(&post(&charter, &rollback, &json!({})), 409, "not_active");

    let id = post(&charter, APPLY, &applying(&throttle())).json()["policy_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    wait(&charter, 61);
    assert_eq!(get(&charter, "/api/v1/policies"), json!([]));
    assert_refused(
        &post(&charter, &format!("/api/v1/policies/{id}/rollback"), &json!({})),
        409,
        "not_active",
    );
    for unknown in ["policy-99", "policy-0", "nonsense"] {
        let path = format!("/api/v1/policies/{unknown}/rollback");
        assert_refused(&post(&charter, &path, &json!({})), 404, "unknown_policy");
    }
}

#[test]
fn what_cannot_be_applied_is_refused_with_its_reason() {
    let charter = charter();
    assert_refused(
        &post(&charter, APPLY, &applying(&json!({ "action": "scale_up", "replicas": 5 }))),
        400,
        "wrong_call",
    );
    assert_refused(
        &post(&charter, APPLY, &applying(&json!({ "action": "dance" }))),
        422,
        "invalid_policy",
    );
    assert_refused(&post(&charter, APPLY, &json!({ "policy": throttle() })), 400, "invalid_body");
    let mut broken = Request::post(APPLY, &json!({}));
    broken.body = b"{\"policy\":".to_vec();
    assert_refused(&charter.call(&broken), 400, "invalid_body");
    assert_eq!(get(&charter, "/api/v1/policies"), json!([]));
}

#[test]
fn scaling_names_an_absolute_size_and_the_new_replicas_boot_first() {
    let charter = charter();
    let answer = post(&charter, SCALE, &json!({ "replicas": 5 }));
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({ "replicas": 5, "previous_replicas": 3 }))
    );
    wait(&charter, 10);
    let booting = get(&charter, STATE);
    assert_eq!(
        (&booting["status"], &booting["replicas"], &booting["healthy_nodes"]),
        (&json!("recovering"), &json!(5), &json!(3))
    );
    wait(&charter, 40);
    let ready = get(&charter, STATE);
    assert_eq!((&ready["status"], &ready["healthy_nodes"]), (&json!("normal"), &json!(5)));
    assert!(
        ready["timestamp"]
            .as_str()
            .is_some_and(|at| chrono::DateTime::parse_from_rfc3339(at).is_ok())
    );
    for replicas in [0, 21, -1] {
        assert_refused(
            &post(&charter, SCALE, &json!({ "replicas": replicas })),
            400,
            "replicas_out_of_range",
        );
    }
    assert_refused(&post(&charter, SCALE, &json!({ "replicas": "five" })), 400, "invalid_body");
}

#[test]
fn a_restart_is_accepted_for_a_known_service_or_for_all() {
    let charter = charter();
    for body in [
        json!({ "graceful": true, "timeout": 30, "service": "auditor" }),
        json!({ "graceful": true }),
    ] {
        assert_eq!(post(&charter, RESTART, &body).status, 202);
        wait(&charter, 1);
        assert_eq!(get(&charter, STATE)["status"], "recovering");
        wait(&charter, 60);
        assert_eq!(get(&charter, STATE)["status"], "normal");
    }
    assert_refused(
        &post(&charter, RESTART, &json!({ "service": "nobody" })),
        404,
        "unknown_service",
    );
    assert_refused(&post(&charter, RESTART, &json!({ "timeout": 0 })), 400, "invalid_timeout");
}

#[test]
fn violations_are_listed_with_their_policy_newest_first() {
    let charter = charter();
    assert_eq!(get(&charter, "/api/v1/violations"), json!([]));
    post(
        &charter,
        "/sandbox/faults",
        &json!({ "fault": "misconfigured_policy", "component": "auditor" }),
    );
    wait(&charter, 300);
    let listed = get(&charter, "/api/v1/violations");
    let violations = listed.as_array().expect("an array");
    assert!(violations.len() >= 2, "{listed}");
    assert!(
        violations
            .iter()
            .all(|one| one["severity"] == "critical" && one["policy_id"] == "audit-retention")
    );
    assert_eq!(violations[violations.len() - 1]["violation_id"], "violation-1");
}

#[test]
fn unknown_paths_and_methods_are_named_and_the_sandbox_is_shut_by_default() {
    let charter = Charter::simulated(Options::default()).expect("valid options");
    for path in [
        "/",
        "/api/v1/policy",
        "//api/v1/committee/state",
        "/api/v1/committee/state/",
        "/sandbox/state",
        "/sandbox/faults",
    ] {
        assert_refused(&charter.call(&Request::get(path)), 404, "not_found");
    }
    assert_refused(&charter.call(&Request::get(APPLY)), 405, "method_not_allowed");
}

#[test]
fn durations_are_the_callers_seconds_whatever_the_speed() {
    let charter =
        Charter::simulated(Options { speed: 30.0, ..Options::default() }).expect("valid options");
    post(&charter, APPLY, &applying(&throttle()));
    wait(&charter, 59 * 30);
    assert_eq!(get(&charter, "/api/v1/policies").as_array().map(Vec::len), Some(1));
    wait(&charter, 2 * 30);
    assert_eq!(get(&charter, "/api/v1/policies").as_array().map(Vec::len), Some(0));
}
