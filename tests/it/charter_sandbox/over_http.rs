//! The reference Charter behind a real socket: headers, bounds, metrics, speed, stopping.

use std::collections::BTreeSet;
use std::time::Duration;

use mape_k::charter_sandbox::{Options, serve};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A Charter on a free port.
struct Served {
    url: String,
    client: Client,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), mape_k::charter_sandbox::Error>>,
}

async fn served(options: Options) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        // The sender gone means the same as a message: stop.
        let _ = stopped.await;
    };
    Served {
        url,
        client: Client::new(),
        stop,
        serving: tokio::spawn(serve(listener, options, shutdown)),
    }
}

impl Served {
    async fn text(&self, path: &str) -> String {
        let answer =
            self.client.get(format!("{}{path}", self.url)).send().await.expect("an answer");
        answer.text().await.expect("a body")
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).expect("JSON")
    }
}

#[tokio::test]
async fn keys_fences_and_the_bearer_travel_in_headers() {
    let charter =
        served(Options { api_key: Some("secret".to_owned()), sandbox: true, ..Options::default() })
            .await;
    let scale = |epoch: &'static str| {
        charter
            .client
            .post(format!("{}/api/v1/committee/scale", charter.url))
            .header("Idempotency-Key", format!("key-{epoch}"))
            .header("X-Fence-Epoch", epoch)
            .json(&json!({ "replicas": 5 }))
    };
    let refused = scale("2").send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let accepted = scale("2").bearer_auth("secret").send().await.expect("an answer");
    assert_eq!(accepted.status(), StatusCode::OK);
    assert_eq!(
        accepted.headers().get("idempotency-key").map(reqwest::header::HeaderValue::as_bytes),
        Some(&b"key-2"[..])
    );
    assert_eq!(accepted.headers()["content-type"], "application/json");
    let outdated = scale("1").bearer_auth("secret").send().await.expect("an answer");
    assert_eq!(outdated.status(), StatusCode::CONFLICT);
    let audit = charter.json("/sandbox/audit").await;
    let effects = audit
        .as_array()
        .expect("entries")
        .iter()
        .filter(|entry| !entry["effect"].is_null())
        .count();
    assert_eq!(effects, 1, "{audit}");
}

#[tokio::test]
async fn an_oversized_body_is_refused_with_413() {
    let charter = served(Options::default()).await;
    let answer = charter
        .client
        .post(format!("{}/api/v1/policies/validate", charter.url))
        .body(vec![b' '; 70_000])
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["code"], "too_large");
}

#[tokio::test]
async fn every_label_set_is_there_from_the_first_scrape_with_help_and_type() {
    let charter = served(Options::default()).await;
    let text = charter.text("/metrics").await;
    let series: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').expect("a value").0)
        .collect();
    let mut wanted = BTreeSet::new();
    for component in ["validator", "enforcer", "auditor"] {
        wanted.insert(format!("failure_rate{{component=\"{component}\"}}"));
        wanted.insert(format!("throughput_ops_per_sec{{component=\"{component}\"}}"));
        for action in ["deny", "shed", "restart"] {
            let labels = format!("action_type=\"{action}\",node_or_service=\"{component}\"");
            wanted.insert(format!("enforcement_actions_total{{{labels}}}"));
        }
    }
    for severity in ["critical", "warning"] {
        wanted.insert(format!("audit_committee_notifications_total{{severity=\"{severity}\"}}"));
        for (id, name) in [
            ("schema-admission", "Schema admission"),
            ("access-control", "Access control"),
            ("audit-retention", "Audit retention"),
        ] {
            let labels =
                format!("severity=\"{severity}\",policy_id=\"{id}\",policy_name=\"{name}\"");
            wanted.insert(format!("policy_violations_total{{{labels}}}"));
        }
    }
    wanted.insert("committee_size".to_owned());
    wanted.insert("emergency_override_active_count".to_owned());
    let mut summary = |name: &str, label: Option<String>| {
        for quantile in ["0.5", "0.95", "0.99"] {
            let labels = label
                .iter()
                .cloned()
                .chain([format!("quantile=\"{quantile}\"")])
                .collect::<Vec<_>>();
            wanted.insert(format!("{name}{{{}}}", labels.join(",")));
        }
        for part in ["sum", "count"] {
            wanted.insert(
                label
                    .as_ref()
                    .map_or(format!("{name}_{part}"), |l| format!("{name}_{part}{{{l}}}")),
            );
        }
    };
    for kind in ["schema", "signature", "consensus"] {
        summary("validation_latency_seconds", Some(format!("validation_type=\"{kind}\"")));
    }
    summary("enforcement_latency_seconds", None);
    summary("committee_decision_duration_seconds", Some("committee_id=\"main\"".to_owned()));
    let wanted: BTreeSet<String> =
        wanted.into_iter().map(|series| format!("westworld_charter_{series}")).collect();
    assert_eq!(series, wanted.iter().map(String::as_str).collect());

    let described: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(described.len(), 10, "{described:?}");
    assert_eq!(text.lines().filter(|line| line.starts_with("# HELP ")).count(), 10);
}

#[tokio::test]
async fn plant_time_follows_the_wall_clock_at_the_speed_asked_for() {
    let charter = served(Options { sandbox: true, speed: 600.0, ..Options::default() }).await;
    let answer = charter
        .client
        .post(format!("{}/sandbox/faults", charter.url))
        .json(&json!({ "fault": "overload" }))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    let broken = async {
        loop {
            let state = charter.json("/sandbox/state").await;
            let failing = |component: &Value| {
                component["failure_rate"].as_f64().is_some_and(|rate| rate > 0.10)
            };
            if state["components"]
                .as_array()
                .is_some_and(|components| components.iter().all(failing))
            {
                break state;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let state = tokio::time::timeout(Duration::from_secs(30), broken)
        .await
        .expect("the overload shows in time");
    println!("overload shows after {} plant seconds", state["plant_seconds"]);
}

#[tokio::test]
async fn serving_ends_when_asked_to() {
    let charter = served(Options::default()).await;
    assert_eq!(charter.json("/health").await, json!({ "status": "ok" }));
    drop(charter.client);
    charter.stop.send(()).expect("still serving");
    let ended =
        tokio::time::timeout(Duration::from_secs(10), charter.serving).await.expect("ends in time");
    ended.expect("no panic").expect("no error");
}
