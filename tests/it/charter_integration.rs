//! A30: one suite of what the contract promises, for any Charter at any address.

use mape_k::charter_sandbox::{self, Options};
use mape_k::domain::action::{Action, RebalanceStrategy};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fake_charter::FakeCharter;

/// One of each of the nine actions, as every Charter that the project knows takes them.
pub fn nine_actions() -> Vec<Action> {
    vec![
        Action::ScaleUp { replicas: 5 },
        Action::ScaleDown { replicas: 2 },
        Action::RestartService { service: Some("validator".into()), graceful: true },
        Action::ApplyPolicy { policy_set: "baseline".into() },
        Action::BypassValidation { validation_type: "schema".into(), duration_seconds: 900 },
        Action::ThrottleRequests { rate_limit: 800.0, duration_seconds: 900 },
        Action::ActivateEmergencyOverride { duration_seconds: 900 },
        Action::RebalanceLoad { strategy: RebalanceStrategy::LeastLoaded },
        Action::UpdateConfiguration {
            settings: json!({"queue_limit": 4000}).as_object().expect("a map").clone(),
        },
    ]
}

struct Caller<'a> {
    http: Client,
    base: &'a str,
    key: &'a str,
}

impl Caller<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).bearer_auth(self.key).send().await.expect("an answer")
    }

    async fn post(&self, path: &str, key: Uuid, body: &Value) -> Response {
        let request = self.request(Method::POST, path).bearer_auth(self.key);
        let request = request.header("Idempotency-Key", key.to_string());
        let request = if body.is_null() { request } else { request.json(body) };
        let response = request.send().await.expect("an answer");
        assert_eq!(
            response.headers().get("idempotency-key").and_then(|value| value.to_str().ok()),
            Some(key.to_string().as_str()),
            "{path}: every keyed answer carries the key back"
        );
        response
    }

    async fn replicas(&self) -> u64 {
        let state = json_of(self.get("/api/v1/committee/state").await, &[200]).await;
        assert!(
            ["normal", "degraded", "critical", "recovering"]
                .contains(&state["status"].as_str().expect("a status")),
            "{state}"
        );
        assert!(state["healthy_nodes"].is_u64() && state["timestamp"].is_string(), "{state}");
        state["replicas"].as_u64().expect("a count")
    }

    async fn policies(&self) -> Vec<Value> {
        let listed = json_of(self.get("/api/v1/policies").await, &[200]).await;
        listed.as_array().expect("an array").clone()
    }
}

async fn json_of(response: Response, statuses: &[u16]) -> Value {
    let (url, status) = (response.url().clone(), response.status().as_u16());
    let text = response.text().await.expect("a body");
    assert!(statuses.contains(&status), "{url}: {status} {text}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{url}: {e}: {text}"))
}

async fn error_of(response: Response, status: u16) {
    let body = json_of(response, &[status]).await;
    assert!(body["error"].is_string() && body["code"].is_string(), "{body}");
}

/// Everything that client and Charter have agreed on; `key` is the one that Charter was configured with.
pub async fn charter_contract(base: &str, key: &str) {
    let caller = Caller { http: Client::new(), base, key };
    open_calls(&caller).await;
    keys_are_asked_for(&caller).await;
    validation(&caller).await;
    policies_come_and_go(&caller).await;
    committee(&caller).await;
    let violations = json_of(caller.get("/api/v1/violations").await, &[200]).await;
    for violation in violations.as_array().expect("an array") {
        assert!(violation["violation_id"].is_string() && violation["severity"].is_string());
    }
}

async fn open_calls(caller: &Caller<'_>) {
    let health = caller.request(Method::GET, "/health").send().await.expect("an answer");
    assert_eq!(json_of(health, &[200]).await["status"], "ok");
    let metrics = caller.request(Method::GET, "/metrics").send().await.expect("an answer");
    assert_eq!(metrics.status().as_u16(), 200);
    let text = metrics.text().await.expect("a text");
    assert!(text.contains("westworld_charter_committee_size"), "{text}");
}

async fn keys_are_asked_for(caller: &Caller<'_>) {
    let calls = [
        (Method::GET, "/api/v1/policies"),
        (Method::POST, "/api/v1/policies/apply"),
        (Method::POST, "/api/v1/policies/p-1/rollback"),
        (Method::GET, "/api/v1/committee/state"),
        (Method::POST, "/api/v1/committee/scale"),
        (Method::POST, "/api/v1/committee/restart"),
        (Method::GET, "/api/v1/violations"),
    ];
    for (method, path) in calls {
        let bare = caller.request(method.clone(), path).json(&json!({"replicas": 4}));
        error_of(bare.send().await.expect("an answer"), 401).await;
        let wrong = caller.request(method, path).bearer_auth("wrong").json(&json!({"replicas": 4}));
        error_of(wrong.send().await.expect("an answer"), 401).await;
    }
}

async fn validation(caller: &Caller<'_>) {
    let validate = |policy: Value| async move {
        let request = caller.request(Method::POST, "/api/v1/policies/validate").json(&policy);
        request.send().await.expect("an answer")
    };
    for action in nine_actions() {
        let policy = serde_json::to_value(&action).expect("JSON");
        assert_eq!(
            json_of(validate(policy).await, &[200]).await,
            json!({"valid": true}),
            "{action}"
        );
    }
    for policy in [json!({"action": "dance"}), json!({"action": "scale_up", "replicas": 100_000})] {
        let said = json_of(validate(policy).await, &[422]).await;
        assert_eq!((&said["valid"], &said["code"]), (&json!(false), &json!("invalid_policy")));
        assert!(said["error"].is_string(), "{said}");
    }
}

async fn policies_come_and_go(caller: &Caller<'_>) {
    for action in nine_actions() {
        match action {
            Action::ScaleUp { .. } | Action::ScaleDown { .. } | Action::RestartService { .. } => {}
            _ => applied_listed_rolled_back(caller, &action).await,
        }
    }
    let unknown = "/api/v1/policies/no-such-policy/rollback";
    error_of(caller.post(unknown, Uuid::new_v4(), &Value::Null).await, 404).await;
}

async fn applied_listed_rolled_back(caller: &Caller<'_>, action: &Action) {
    let policy = serde_json::to_value(action).expect("JSON");
    let body = json!({
        "policy": policy, "timestamp": "2026-01-01T00:00:00Z", "source": "mape_k_executor"
    });
    let (path, key) = ("/api/v1/policies/apply", Uuid::new_v4());
    let first = json_of(caller.post(path, key, &body).await, &[200, 201]).await;
    let listed = caller.policies().await;
    let again = json_of(caller.post(path, key, &body).await, &[200, 201]).await;
    assert_eq!(first, again, "{action}: a repeat of a key gets the first answer again");
    assert_eq!(listed.len(), caller.policies().await.len(), "{action}: and changes nothing");
    let id = first["policy_id"].as_str().expect("an id");
    let entry = listed.iter().find(|entry| entry["policy_id"] == id).expect("listed");
    for (name, value) in policy.as_object().expect("flat") {
        let (there, wanted) = (&entry[name], value);
        let equal = there == wanted || there.as_f64().is_some_and(|n| Some(n) == wanted.as_f64());
        // Settings hold numbers, which may come back as 4000.0.
        let equal = equal || name == "settings" && there["queue_limit"].as_f64() == Some(4000.0);
        assert!(equal, "{action}: {name} is listed as {there}");
    }
    let status = entry["status"].as_str().expect("a status");
    assert!(["pending", "approved", "active"].contains(&status), "{action}: {status}");
    let path = format!("/api/v1/policies/{id}/rollback");
    let undone = caller.post(&path, Uuid::new_v4(), &Value::Null).await;
    assert!(matches!(undone.status().as_u16(), 200 | 201), "{action}: {undone:?}");
    error_of(caller.post(&path, Uuid::new_v4(), &Value::Null).await, 409).await;
}

async fn committee(caller: &Caller<'_>) {
    let before = caller.replicas().await;
    let (path, key) = ("/api/v1/committee/scale", Uuid::new_v4());
    let up = json!({"replicas": before + 1});
    let first = caller.post(path, key, &up).await;
    assert!(matches!(first.status().as_u16(), 200 | 201), "{first:?}");
    assert_eq!(caller.replicas().await, before + 1);
    let back = caller.post(path, Uuid::new_v4(), &json!({"replicas": before})).await;
    assert!(matches!(back.status().as_u16(), 200 | 201), "{back:?}");
    let repeat = caller.post(path, key, &up).await;
    assert!(matches!(repeat.status().as_u16(), 200 | 201), "{repeat:?}");
    assert_eq!(caller.replicas().await, before, "a repeat of a key changes nothing");
    error_of(caller.post(path, Uuid::new_v4(), &json!({"replicas": 0})).await, 400).await;
    error_of(caller.post(path, Uuid::new_v4(), &json!({"replicas": 100_000})).await, 400).await;
    let restart = json!({"graceful": true, "timeout": 30, "service": "validator"});
    let restarted = caller.post("/api/v1/committee/restart", Uuid::new_v4(), &restart).await;
    assert!(matches!(restarted.status().as_u16(), 200..=202), "{restarted:?}");
}

#[tokio::test]
async fn a30_the_scripted_fake_keeps_the_contract() {
    let fake = FakeCharter::start().await;
    fake.world().api_key = Some("the-key".into());
    charter_contract(&fake.base, "the-key").await;
}

#[tokio::test]
async fn a30_the_reference_charter_keeps_the_contract() {
    let options = Options { api_key: Some("the-key".into()), ..Options::default() };
    charter_contract(&reference(options).await, "the-key").await;
}

/// A reference Charter of its own on a free port, served until the test ends.
pub async fn reference(options: Options) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(charter_sandbox::serve(listener, options, std::future::pending()));
    base
}
