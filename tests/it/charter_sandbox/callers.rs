//! What Charter asks of its callers and keeps of them: keys, fencing, access, the sandbox and its audit.

use mape_k::charter_sandbox::service::Request;
use mape_k::charter_sandbox::{Charter, Error, Options};
use serde_json::json;

use super::contract::{
    APPLY, RESTART, SCALE, STATE, applying, assert_refused, charter, get, post, throttle, wait,
};

#[test]
fn a_repeated_key_gets_the_first_answer_and_changes_nothing() {
    let charter = charter();
    let first = charter.call(&Request::post(APPLY, &applying(&throttle())).with_key("k-1"));
    let again = charter.call(&Request::post(APPLY, &applying(&throttle())).with_key("k-1"));
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(again.idempotency_key.as_deref(), Some("k-1"));
    assert_eq!(get(&charter, "/api/v1/policies").as_array().map(Vec::len), Some(1));

    charter.call(&Request::post(SCALE, &json!({ "replicas": 5 })).with_key("k-2"));
    charter.call(&Request::post(SCALE, &json!({ "replicas": 3 })).with_key("k-3"));
    let late = charter.call(&Request::post(SCALE, &json!({ "replicas": 5 })).with_key("k-2"));
    assert_eq!(late.json(), json!({ "replicas": 5, "previous_replicas": 3 }));
    assert_eq!(get(&charter, STATE)["replicas"], 3, "a repeat takes no effect");

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
    let charter = Charter::simulated(Options { honour_keys: false, ..Options::default() })
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
        charter.call(&Request::post(SCALE, &json!({ "replicas": replicas })).with_key(key)).json()
    };
    assert_eq!(scale(4, "first")["previous_replicas"], 3);
    for number in 0..10_000 {
        scale(4, &format!("k-{number}"));
    }
    assert_eq!(scale(4, "first")["previous_replicas"], 4, "forgotten, so it acts anew");
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
    let options = Options { api_key: Some("secret".to_owned()), ..Options::default() };
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
        assert!(charter.call(&request).status.is_success(), "{}", request.path);
    }
}

#[test]
fn the_sandbox_injects_lists_and_withdraws_faults() {
    let charter = charter();
    let order = json!({ "fault": "slow_leak", "component": "auditor", "magnitude": 0.8, "duration_seconds": 500 });
    let answer = post(&charter, "/sandbox/faults", &order);
    assert_eq!((answer.status.as_u16(), answer.json()), (201, json!({ "id": "fault-1" })));
    let listed = get(&charter, "/sandbox/faults");
    assert_eq!(
        (&listed[0]["fault"], &listed[0]["component"]),
        (&json!("slow_leak"), &json!("auditor"))
    );
    wait(&charter, 120);
    assert_eq!(get(&charter, "/sandbox/state")["components"][2]["instances_sick"], 3);
    assert_eq!(charter.call(&Request::delete("/sandbox/faults/fault-1")).status, 200);
    assert_refused(
        &charter.call(&Request::delete("/sandbox/faults/fault-1")),
        404,
        "unknown_fault",
    );
    assert_eq!(get(&charter, "/sandbox/state")["components"][2]["instances_sick"], 0);

    let refused = [
        json!({ "fault": "overload", "component": "auditor" }),
        json!({ "fault": "overload", "magnitude": 0.5 }),
        json!({ "fault": "telemetry_gap", "magnitude": 1 }),
        json!({ "fault": "shared_shock", "duration_seconds": 0 }),
        json!({ "fault": "slow_leak", "component": "charter" }),
    ];
    for order in refused {
        assert_refused(&post(&charter, "/sandbox/faults", &order), 422, "invalid_fault");
    }
    assert_refused(
        &post(&charter, "/sandbox/faults", &json!({ "fault": "gremlins" })),
        400,
        "invalid_body",
    );
    for _ in 0..32 {
        assert_eq!(post(&charter, "/sandbox/faults", &json!({ "fault": "overload" })).status, 201);
    }
    assert_refused(
        &post(&charter, "/sandbox/faults", &json!({ "fault": "overload" })),
        409,
        "too_many_faults",
    );
}

#[test]
fn a_withdrawn_fault_takes_its_change_back() {
    for fault in
        ["overload", "misconfigured_policy", "hot_shard", "bad_configuration", "shared_shock"]
    {
        let charter = charter();
        wait(&charter, 60);
        post(&charter, "/sandbox/faults", &json!({ "fault": fault }));
        wait(&charter, 60);
        charter.call(&Request::delete("/sandbox/faults/fault-1"));
        wait(&charter, 180);
        let state = get(&charter, "/sandbox/state");
        for component in state["components"].as_array().expect("components") {
            assert!(
                component["failure_rate"].as_f64().is_some_and(|rate| rate < 0.02),
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
    assert_eq!((&first["method"], &first["path"]), (&json!("POST"), &json!(SCALE)));
    assert_eq!((&first["key"], &first["epoch"]), (&json!("k-1"), &json!("3")));
    assert_eq!((&first["body"], &first["status"]), (&json!({ "replicas": 5 }), &json!(200)));
    assert_eq!(first["effect"], "replicas 3 -> 5");
    assert!(entries[1..].iter().all(|entry| entry["effect"].is_null()), "{audit}");
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
fn impossible_options_are_refused() {
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = Charter::simulated(Options { speed, ..Options::default() });
        assert!(matches!(refused, Err(Error::Speed(_))), "{speed}");
    }
    let refused = Charter::new(Options { api_key: Some(String::new()), ..Options::default() });
    assert!(matches!(refused, Err(Error::EmptyApiKey)));
}
