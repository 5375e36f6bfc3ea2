//! Every call of the control API, as its table says: answers, refusals, keys, fencing, access, audit.

use std::time::Duration;

use mape_k::charter_sandbox::service::{Request, Response};
use mape_k::charter_sandbox::{Charter, Error, Options};
use serde_json::{Value, json};

const APPLY: &str = "/api/v1/policies/apply";
const SCALE: &str = "/api/v1/committee/scale";
const RESTART: &str = "/api/v1/committee/restart";
const STATE: &str = "/api/v1/committee/state";

fn charter() -> Charter {
    Charter::simulated(Options {
        sandbox: true,
        ..Options::default()
    })
    .expect("valid options")
}

fn get(charter: &Charter, path: &str) -> Value {
    let answer = charter.call(&Request::get(path));
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

fn post(charter: &Charter, path: &str, body: &Value) -> Response {
    charter.call(&Request::post(path, body))
}

fn applying(policy: &Value) -> Value {
    json!({ "policy": policy, "timestamp": "2026-01-01T00:00:00Z", "source": "mape_k_executor" })
}

fn throttle() -> Value {
    json!({ "action": "throttle_requests", "rate_limit": 800.0, "duration_seconds": 60 })
}

#[track_caller]
fn assert_refused(answer: &Response, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.json()["code"].as_str()),
        (status, Some(code)),
        "{}",
        answer.body
    );
    assert!(
        answer.json()["error"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{}",
        answer.body
    );
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
    charter.advance(Duration::from_secs(61));
    assert_eq!(get(&charter, "/api/v1/policies"), json!([]));
    assert_refused(
        &post(
            &charter,
            &format!("/api/v1/policies/{id}/rollback"),
            &json!({}),
        ),
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
        &post(
            &charter,
            APPLY,
            &applying(&json!({ "action": "scale_up", "replicas": 5 })),
        ),
        400,
        "wrong_call",
    );
    assert_refused(
        &post(&charter, APPLY, &applying(&json!({ "action": "dance" }))),
        422,
        "invalid_policy",
    );
    assert_refused(
        &post(&charter, APPLY, &json!({ "policy": throttle() })),
        400,
        "invalid_body",
    );
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
    charter.advance(Duration::from_secs(10));
    let booting = get(&charter, STATE);
    assert_eq!(
        (
            &booting["status"],
            &booting["replicas"],
            &booting["healthy_nodes"]
        ),
        (&json!("recovering"), &json!(5), &json!(3))
    );
    charter.advance(Duration::from_secs(40));
    let ready = get(&charter, STATE);
    assert_eq!(
        (&ready["status"], &ready["healthy_nodes"]),
        (&json!("normal"), &json!(5))
    );
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
    assert_refused(
        &post(&charter, SCALE, &json!({ "replicas": "five" })),
        400,
        "invalid_body",
    );
}

#[test]
fn a_restart_is_accepted_for_a_known_service_or_for_all() {
    let charter = charter();
    for body in [
        json!({ "graceful": true, "timeout": 30, "service": "auditor" }),
        json!({ "graceful": true }),
    ] {
        assert_eq!(post(&charter, RESTART, &body).status, 202);
        charter.advance(Duration::from_secs(1));
        assert_eq!(get(&charter, STATE)["status"], "recovering");
        charter.advance(Duration::from_secs(60));
        assert_eq!(get(&charter, STATE)["status"], "normal");
    }
    assert_refused(
        &post(&charter, RESTART, &json!({ "service": "nobody" })),
        404,
        "unknown_service",
    );
    assert_refused(
        &post(&charter, RESTART, &json!({ "timeout": 0 })),
        400,
        "invalid_timeout",
    );
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
    charter.advance(Duration::from_secs(300));
    let listed = get(&charter, "/api/v1/violations");
    let violations = listed.as_array().expect("an array");
    assert!(violations.len() >= 2, "{listed}");
    assert!(
        violations
            .iter()
            .all(|one| one["severity"] == "critical" && one["policy_id"] == "audit-retention")
    );
    assert_eq!(
        violations[violations.len() - 1]["violation_id"],
        "violation-1"
    );
}

#[test]
fn a_repeated_key_gets_the_first_answer_and_changes_nothing() {
    let charter = charter();
    let first = charter.call(&Request::post(APPLY, &applying(&throttle())).with_key("k-1"));
    let again = charter.call(&Request::post(APPLY, &applying(&throttle())).with_key("k-1"));
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(again.idempotency_key.as_deref(), Some("k-1"));
    assert_eq!(
        get(&charter, "/api/v1/policies").as_array().map(Vec::len),
        Some(1)
    );

    charter.call(&Request::post(SCALE, &json!({ "replicas": 5 })).with_key("k-2"));
    charter.call(&Request::post(SCALE, &json!({ "replicas": 3 })).with_key("k-3"));
    let late = charter.call(&Request::post(SCALE, &json!({ "replicas": 5 })).with_key("k-2"));
    assert_eq!(
        late.json(),
        json!({ "replicas": 5, "previous_replicas": 3 })
    );
    assert_eq!(
        get(&charter, STATE)["replicas"],
        3,
        "a repeat takes no effect"
    );

    let refused = charter.call(&Request::post(SCALE, &json!({ "replicas": 99 })).with_key("k-4"));
    let again = charter.call(&Request::post(SCALE, &json!({ "replicas": 4 })).with_key("k-4"));
    assert_eq!(
        (refused.status, refused.body),
        (again.status, again.body),
        "a refusal is an answer too"
    );
    let long =
        charter.call(&Request::post(SCALE, &json!({ "replicas": 4 })).with_key(&"k".repeat(129)));
    assert_refused(&long, 400, "invalid_idempotency_key");
}

#[test]
fn a_charter_that_ignores_keys_sends_none_back_and_acts_again() {
    let charter = Charter::simulated(Options {
        honour_keys: false,
        ..Options::default()
    })
    .expect("valid options");
    let first = charter.call(&Request::post(APPLY, &applying(&throttle())).with_key("k-1"));
    let again = charter.call(&Request::post(APPLY, &applying(&throttle())).with_key("k-1"));
    assert_eq!(first.idempotency_key, None);
    assert_ne!(first.body, again.body);
}

#[test]
fn keys_are_forgotten_oldest_first_beyond_ten_thousand() {
    let charter = charter();
    let scale = |replicas: u32, key: &str| {
        charter
            .call(&Request::post(SCALE, &json!({ "replicas": replicas })).with_key(key))
            .json()
    };
    assert_eq!(scale(4, "first")["previous_replicas"], 3);
    for number in 0..10_000 {
        scale(4, &format!("k-{number}"));
    }
    assert_eq!(
        scale(4, "first")["previous_replicas"],
        4,
        "forgotten, so it acts anew"
    );
    assert_eq!(scale(5, "k-9999")["replicas"], 4, "still known");
}

#[test]
fn a_smaller_fence_epoch_never_writes() {
    let charter = charter();
    let scale = |replicas: u32, epoch: &str| {
        let mut request = Request::post(SCALE, &json!({ "replicas": replicas }))
            .with_key(&format!("{replicas}-{epoch}"));
        request.fence_epoch = Some(epoch.to_owned());
        charter.call(&request)
    };
    assert_eq!(scale(4, "7").status, 200);
    assert_refused(&scale(5, "6"), 409, "stale_epoch");
    assert_refused(&scale(5, "six"), 400, "invalid_epoch");
    assert_eq!(get(&charter, STATE)["replicas"], 4);
    assert_eq!(scale(5, "7").status, 200);
    assert_eq!(scale(6, "8").status, 200);
    assert_refused(&scale(4, "7"), 409, "stale_epoch");
}

#[test]
fn with_a_key_configured_only_health_metrics_and_validate_are_open() {
    let options = Options {
        api_key: Some("secret".to_owned()),
        ..Options::default()
    };
    assert!(!format!("{options:?}").contains("secret"));
    let charter = Charter::simulated(options).expect("valid options");
    let validate = Request::post("/api/v1/policies/validate", &throttle());
    for open in [Request::get("/health"), Request::get("/metrics"), validate] {
        assert_eq!(charter.call(&open).status, 200, "{}", open.path);
    }
    let guarded = [
        Request::get("/api/v1/policies"),
        Request::get(STATE),
        Request::get("/api/v1/violations"),
        Request::post(APPLY, &applying(&throttle())),
        Request::post(SCALE, &json!({ "replicas": 5 })),
        Request::post(RESTART, &json!({ "graceful": true })),
    ];
    for mut request in guarded {
        for wrong in [None, Some("Bearer wrong"), Some("secret")] {
            request.authorization = wrong.map(str::to_owned);
            assert_refused(&charter.call(&request), 401, "unauthorized");
        }
        request.authorization = Some("Bearer secret".to_owned());
        assert!(
            charter.call(&request).status.is_success(),
            "{}",
            request.path
        );
    }
}

#[test]
fn unknown_paths_and_methods_are_named_and_the_sandbox_is_shut_by_default() {
    let charter = Charter::simulated(Options::default()).expect("valid options");
    for path in ["/", "/api/v1/policy", "/sandbox/state", "/sandbox/faults"] {
        assert_refused(&charter.call(&Request::get(path)), 404, "not_found");
    }
    assert_refused(
        &charter.call(&Request::get(APPLY)),
        405,
        "method_not_allowed",
    );
}

#[test]
fn the_sandbox_injects_lists_and_withdraws_faults() {
    let charter = charter();
    let order = json!({ "fault": "slow_leak", "component": "auditor", "magnitude": 0.8, "duration_seconds": 500 });
    let answer = post(&charter, "/sandbox/faults", &order);
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (201, json!({ "id": "fault-1" }))
    );
    let listed = get(&charter, "/sandbox/faults");
    assert_eq!(
        (&listed[0]["fault"], &listed[0]["component"]),
        (&json!("slow_leak"), &json!("auditor"))
    );
    charter.advance(Duration::from_secs(120));
    assert_eq!(
        get(&charter, "/sandbox/state")["components"][2]["instances_sick"],
        3
    );
    assert_eq!(
        charter
            .call(&Request::delete("/sandbox/faults/fault-1"))
            .status,
        200
    );
    assert_refused(
        &charter.call(&Request::delete("/sandbox/faults/fault-1")),
        404,
        "unknown_fault",
    );
    assert_eq!(
        get(&charter, "/sandbox/state")["components"][2]["instances_sick"],
        0
    );

    let refused = [
        json!({ "fault": "overload", "component": "auditor" }),
        json!({ "fault": "overload", "magnitude": 0.5 }),
        json!({ "fault": "telemetry_gap", "magnitude": 1 }),
        json!({ "fault": "shared_shock", "duration_seconds": 0 }),
        json!({ "fault": "slow_leak", "component": "charter" }),
    ];
    for order in refused {
        assert_refused(
            &post(&charter, "/sandbox/faults", &order),
            422,
            "invalid_fault",
        );
    }
    assert_refused(
        &post(&charter, "/sandbox/faults", &json!({ "fault": "gremlins" })),
        400,
        "invalid_body",
    );
    for _ in 0..32 {
        assert_eq!(
            post(&charter, "/sandbox/faults", &json!({ "fault": "overload" })).status,
            201
        );
    }
    assert_refused(
        &post(&charter, "/sandbox/faults", &json!({ "fault": "overload" })),
        409,
        "too_many_faults",
    );
}

#[test]
fn a_withdrawn_fault_takes_its_change_back() {
    for fault in [
        "overload",
        "misconfigured_policy",
        "hot_shard",
        "bad_configuration",
        "shared_shock",
    ] {
        let charter = charter();
        charter.advance(Duration::from_secs(60));
        post(&charter, "/sandbox/faults", &json!({ "fault": fault }));
        charter.advance(Duration::from_secs(60));
        charter.call(&Request::delete("/sandbox/faults/fault-1"));
        charter.advance(Duration::from_secs(180));
        let state = get(&charter, "/sandbox/state");
        for component in state["components"].as_array().expect("components") {
            assert!(
                component["failure_rate"]
                    .as_f64()
                    .is_some_and(|rate| rate < 0.02),
                "{fault}: {component}"
            );
        }
    }
}

#[test]
fn the_audit_shows_every_call_and_names_an_effect_once_per_key() {
    let charter = charter();
    let mut scale = Request::post(SCALE, &json!({ "replicas": 5 })).with_key("k-1");
    scale.fence_epoch = Some("3".to_owned());
    charter.call(&scale);
    charter.call(&scale);
    charter.call(&Request::get(STATE));
    charter.call(&Request::post(SCALE, &json!({ "replicas": 99 })));
    let audit = get(&charter, "/sandbox/audit");
    let entries = audit.as_array().expect("entries");
    assert_eq!(entries.len(), 4, "{audit}");
    let first = &entries[0];
    assert_eq!(
        (&first["method"], &first["path"]),
        (&json!("POST"), &json!(SCALE))
    );
    assert_eq!(
        (&first["key"], &first["epoch"]),
        (&json!("k-1"), &json!("3"))
    );
    assert_eq!(
        (&first["body"], &first["status"]),
        (&json!({ "replicas": 5 }), &json!(200))
    );
    assert_eq!(first["effect"], "replicas 3 -> 5");
    assert!(
        entries[1..].iter().all(|entry| entry["effect"].is_null()),
        "{audit}"
    );
    assert_eq!(entries[3]["status"], 400);
    for _ in 0..10_100 {
        charter.call(&Request::get("/health"));
    }
    assert_eq!(
        get(&charter, "/sandbox/audit").as_array().map(Vec::len),
        Some(10_000),
        "the oldest go first"
    );
}

#[test]
fn durations_are_the_callers_seconds_whatever_the_speed() {
    let charter = Charter::simulated(Options {
        speed: 30.0,
        ..Options::default()
    })
    .expect("valid options");
    post(&charter, APPLY, &applying(&throttle()));
    charter.advance(Duration::from_secs(59 * 30));
    assert_eq!(
        get(&charter, "/api/v1/policies").as_array().map(Vec::len),
        Some(1)
    );
    charter.advance(Duration::from_secs(2 * 30));
    assert_eq!(
        get(&charter, "/api/v1/policies").as_array().map(Vec::len),
        Some(0)
    );
}

#[test]
fn impossible_options_are_refused() {
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = Charter::simulated(Options {
            speed,
            ..Options::default()
        });
        assert!(matches!(refused, Err(Error::Speed(_))), "{speed}");
    }
    let refused = Charter::new(Options {
        api_key: Some(String::new()),
        ..Options::default()
    });
    assert!(matches!(refused, Err(Error::EmptyApiKey)));
}
