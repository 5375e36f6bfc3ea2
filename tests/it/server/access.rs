//! S14: who may read and who may change something, and how often anybody may ask.

use std::num::NonZeroU32;
use std::time::Duration;

use mape_k::cli::client::Client;
use mape_k::domain::policy::Approval;
use mape_k::domain::secret::Secret;
use mape_k::monitor::AlertmanagerSettings;
use mape_k::server::Settings;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::decisions::{decide_on, kept, policy, store};
use super::intake::fixture;
use super::{ANSWER_WITHIN, Setup, Surface, from_address, read};
use crate::support::eventually::eventually;
use crate::support::routes::api_paths;

const OPERATE: &str = "operate-0123456789abcdef";
const READ: &str = "read-0123456789abcdef";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn both_tokens() -> Settings {
    Settings { token: Some(secret(OPERATE)), read_token: Some(secret(READ)), ..Settings::default() }
}

fn limited_to(requests: u32) -> Settings {
    let rate_limit = NonZeroU32::new(requests).expect("above zero");
    Settings { rate_limit, ..Settings::default() }
}

async fn serve(api: Settings) -> Surface {
    Setup { api, ..Setup::default() }.serve().await
}

async fn call(surface: &Surface, method: &Method, path: &str, token: Option<&str>) -> StatusCode {
    let mut request = surface.http.request(method.clone(), surface.url(path)).json(&json!({}));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.expect("an answer").status()
}

/// Whatever route is added to the API is behind the same door.
#[tokio::test]
async fn s14_every_path_of_the_api_asks_for_a_token() {
    for path in api_paths() {
        assert!(path.starts_with("/api/v1/"), "{path} is outside what the documents call the API");
        // One surface a path: a surface takes only so many wrong tokens.
        let surface = serve(both_tokens()).await;
        let mut served = 0;
        for method in [Method::GET, Method::POST] {
            let code = async |token| call(&surface, &method, &path, token).await;
            served += usize::from(code(Some(OPERATE)).await != StatusCode::METHOD_NOT_ALLOWED);
            for token in [None, Some("wrong"), Some("")] {
                assert_eq!(
                    code(token).await,
                    StatusCode::UNAUTHORIZED,
                    "{method} {path} {token:?}"
                );
            }
            let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
            assert!(!refused.contains(&code(Some(OPERATE)).await), "{method} {path}");
            let with_read = code(Some(READ)).await;
            if method == Method::GET {
                assert!(!refused.contains(&with_read), "{method} {path}: {with_read}");
            } else {
                assert_eq!(with_read, StatusCode::FORBIDDEN, "{method} {path}");
            }
        }
        assert!(served > 0, "{path} is served by neither GET nor POST");
    }
}

#[tokio::test]
async fn s14_the_read_token_changes_nothing_and_is_told_which_token_does() {
    let surface = serve(both_tokens()).await;
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    let url = surface.url(&format!("/api/v1/policies/{id}/approve"));
    let body = json!({"revision": 2, "by": "ada"});
    let request = surface.http.post(&url).json(&body).bearer_auth(READ);
    let (status, answer) = read(request.send().await.expect("an answer")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let said = answer["error"].as_str().expect("a text");
    assert!(said.contains("operate token") && !said.contains(READ), "{said}");
    assert_eq!(kept(&surface.knowledge, id).await.approval, Approval::Pending);
    assert!(!surface.woken());

    let request = surface.http.post(&url).json(&body).bearer_auth(OPERATE);
    assert_eq!(read(request.send().await.expect("an answer")).await.0, StatusCode::OK);
    let kept = kept(&surface.knowledge, id).await;
    assert_eq!(kept.decided_by.as_deref(), Some("ada"), "the approval names who");
}

/// With a read token and no operate token, changes stay with this machine, and the read token is none of it.
#[tokio::test]
async fn s14_a_read_token_alone_opens_no_door_to_changes() {
    let api = Settings { read_token: Some(secret(READ)), ..Settings::default() };
    let peer = "192.0.2.7:4711".parse().expect("an address");
    let surface = Setup { api, peer: Some(peer), ..Setup::default() }.serve().await;
    let path = "/api/v1/policies/7/approve";
    for token in [None, Some(READ), Some("wrong")] {
        let status = call(&surface, &Method::POST, path, token).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{token:?}");
    }
    assert_eq!(call(&surface, &Method::GET, "/api/v1/state", Some(READ)).await, StatusCode::OK);
}

/// The commands on the daemon's own machine: reading takes the read token, a decision there needs none.
#[tokio::test]
async fn s14_the_commands_send_the_read_token_with_questions_only() {
    let api = Settings { read_token: Some(secret(READ)), ..Settings::default() };
    let surface = serve(api).await;
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    let client = Client::new(&surface.url(""), None);
    let refused = client.get::<Value>("api/v1/state").await.expect_err("no token");
    assert!(refused.to_string().contains("api.read_token"), "{refused}");
    let client = client.reading_with(Some(secret(READ)));
    client.get::<Value>("api/v1/state").await.expect("read");
    let path = format!("api/v1/policies/{id}/approve");
    let body = json!({"revision": 2, "by": "ada"});
    client.post::<Value>(&path, body).await.expect("decided on this machine");
}

#[tokio::test]
async fn s14_probes_and_prometheus_need_no_token() {
    let surface = serve(both_tokens()).await;
    for path in ["/health", "/ready", "/metrics"] {
        let status = call(&surface, &Method::GET, path, None).await;
        assert_ne!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

/// `auto` in a record means that no person decided.
#[tokio::test]
async fn s14_nobody_decides_under_the_daemons_own_name() {
    let surface = Surface::start().await;
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    for by in ["auto", "AUTO", " Auto "] {
        for verb in ["approve", "reject"] {
            let body = json!({"revision": 2, "by": by});
            let (status, answer) = decide_on(&surface, id, verb, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{by:?}: {answer}");
            assert!(answer["error"].as_str().expect("a text").contains("by"), "{answer}");
        }
    }
    assert_eq!(kept(&surface.knowledge, id).await.approval, Approval::Pending);
    let (status, _) =
        decide_on(&surface, id, "approve", json!({"revision": 2, "by": "autumn"})).await;
    assert_eq!(status, StatusCode::OK);
}

fn retry_after(headers: &HeaderMap) -> u64 {
    let value = headers.get(RETRY_AFTER).expect("Retry-After").to_str().expect("a number");
    value.parse().expect("whole seconds")
}

#[tokio::test]
async fn s14_who_asks_too_often_is_told_when_to_come_back_and_nobody_else_notices() {
    let surface = serve(limited_to(1)).await;
    let mut refused = 0;
    for _ in 0..50 {
        let url = surface.url("/api/v1/state");
        let answer = surface.http.get(url).send().await.expect("an answer");
        if answer.status() != StatusCode::OK {
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            assert!(retry_after(answer.headers()) >= 1);
            assert!(read(answer).await.1["error"].as_str().expect("a text").contains("rate_limit"));
            refused += 1;
        }
    }
    assert!(refused > 0, "50 requests and a limit of one a second");
    // Neither probes nor another address.
    for path in ["/health", "/metrics"] {
        for _ in 0..5 {
            assert_eq!(call(&surface, &Method::GET, path, None).await, StatusCode::OK, "{path}");
        }
    }
    let answer = from_address(2).get(surface.url("/api/v1/state")).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    eventually(ANSWER_WITHIN, "the first address is served again", async || {
        match surface.get("/api/v1/state").await {
            (StatusCode::OK, _) => Ok(()),
            (status, _) => Err(status),
        }
    })
    .await;
}

#[tokio::test]
async fn s14_guessing_is_bounded_and_holds_up_nobody_with_the_right_token() {
    let surface = serve(both_tokens()).await;
    let mut codes = Vec::new();
    for _ in 0..40 {
        codes.push(call(&surface, &Method::GET, "/api/v1/state", Some("guess")).await);
    }
    assert_eq!(codes[..10], [StatusCode::UNAUTHORIZED; 10]);
    assert!(codes.contains(&StatusCode::TOO_MANY_REQUESTS), "{codes:?}");
    for token in [READ, OPERATE] {
        let status = call(&surface, &Method::GET, "/api/v1/state", Some(token)).await;
        assert_eq!(status, StatusCode::OK);
    }
}

/// Alertmanager drops what is answered 429 and repeats what is answered 503.
#[tokio::test]
async fn s14_the_webhook_is_bounded_by_503_and_takes_nothing_in_meanwhile() {
    let alertmanager = AlertmanagerSettings {
        webhook_token: Some(secret(OPERATE)),
        ..AlertmanagerSettings::default()
    };
    let setup = Setup { alertmanager, api: limited_to(20), ..Setup::default() };
    let surface = setup.serve().await;
    let mut codes = Vec::new();
    for _ in 0..60 {
        let request = surface.alerts_request(fixture("webhook_critical_firing.json"));
        let answer = request.bearer_auth("guess").send().await.expect("an answer");
        codes.push(answer.status());
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(retry_after(answer.headers()) >= 1);
        } else {
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
    }
    assert!(codes.contains(&StatusCode::SERVICE_UNAVAILABLE), "{codes:?}");
    assert_eq!(surface.metric("mape_k_alerts_received_total").await, 0);
    assert!(surface.metric("mape_k_intake_rejections_total{reason=\"too_often\"}").await > 0);
    assert!(surface.knowledge.inbox().await.expect("the inbox").is_empty());
    eventually(Duration::from_secs(30), "the repeated delivery is taken in", async || {
        let request = surface.alerts_request(fixture("webhook_critical_firing.json"));
        match request.bearer_auth(OPERATE).send().await.expect("an answer").status() {
            StatusCode::OK => Ok(()),
            status => Err(status),
        }
    })
    .await;
    assert_eq!(surface.knowledge.inbox().await.expect("the inbox").len(), 1);
}

async fn with_origin(surface: &Surface, method: &Method, path: &str, origin: &str) -> HeaderMap {
    let request = surface.http.request(method.clone(), surface.url(path)).header("origin", origin);
    let request = request.header("access-control-request-method", "GET");
    request.send().await.expect("an answer").headers().clone()
}

fn cors_headers(headers: &HeaderMap) -> Vec<&str> {
    let names = headers.keys().map(reqwest::header::HeaderName::as_str);
    names.filter(|name| name.starts_with("access-control")).collect()
}

#[tokio::test]
async fn s14_without_configured_origins_no_access_control_header_is_ever_sent() {
    let surface = Surface::start().await;
    let own = ["/health", "/ready", "/metrics", "/webhooks/alerts", "/nowhere"];
    for path in own.into_iter().map(str::to_owned).chain(api_paths()) {
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            let headers = with_origin(&surface, &method, &path, "https://evil.example").await;
            assert!(cors_headers(&headers).is_empty(), "{method} {path}: {headers:?}");
        }
    }
}

#[tokio::test]
async fn s14_a_configured_origin_may_read_the_api_and_no_more() {
    let ours = "https://dashboard.example";
    let api = Settings { cors_origins: vec![ours.to_owned()], ..both_tokens() };
    let surface = serve(api).await;
    let path = "/api/v1/state";
    let preflight = with_origin(&surface, &Method::OPTIONS, path, ours).await;
    assert_eq!(preflight["access-control-allow-origin"], ours);
    assert_eq!(preflight["access-control-allow-methods"], "GET");
    assert_eq!(preflight["access-control-allow-headers"], "authorization");
    assert!(!preflight.contains_key("access-control-allow-credentials"));
    let unauthorized = with_origin(&surface, &Method::GET, path, ours).await;
    assert_eq!(unauthorized["access-control-allow-origin"], ours, "the page can read its 401");
    let other = with_origin(&surface, &Method::GET, path, "https://evil.example").await;
    assert!(!other.contains_key("access-control-allow-origin"), "{other:?}");
    for path in ["/health", "/metrics", "/webhooks/alerts"] {
        let headers = with_origin(&surface, &Method::GET, path, ours).await;
        assert!(cors_headers(&headers).is_empty(), "{path}: {headers:?}");
    }
}

/// Issue 14: every path, every method, every credential: the door is the same, whatever is routed behind it.
#[tokio::test]
async fn s14_every_method_on_every_path_meets_the_same_door() {
    let methods =
        ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "POST2"];
    let closed = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
    for path in api_paths() {
        let surface = serve(both_tokens()).await;
        let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
        let path = path.replace("/7", &format!("/{id}"));
        for name in methods {
            let method: Method = name.parse().expect("a method");
            let reads = matches!(name, "GET" | "HEAD" | "OPTIONS");
            for token in [None, Some("wrong")] {
                let status = call(&surface, &method, &path, token).await;
                assert!(closed.contains(&status), "{name} {path} {token:?}: {status}");
            }
            let with_read = call(&surface, &method, &path, Some(READ)).await;
            if reads {
                assert!(!closed.contains(&with_read), "{name} {path}: {with_read}");
                assert_ne!(with_read, StatusCode::FORBIDDEN, "{name} {path}");
            } else {
                assert_eq!(with_read, StatusCode::FORBIDDEN, "{name} {path}");
            }
            // The body is empty, so nothing of a POST is carried out.
            let with_operate = call(&surface, &method, &path, Some(OPERATE)).await;
            assert!(!closed.contains(&with_operate), "{name} {path}: {with_operate}");
            assert_ne!(with_operate, StatusCode::FORBIDDEN, "{name} {path}");
            if !reads && name != "POST" {
                assert_eq!(with_operate, StatusCode::METHOD_NOT_ALLOWED, "{name} {path}");
            }
        }
        let kept = kept(&surface.knowledge, id).await;
        assert_eq!(kept.approval, Approval::Pending, "{path}");
        let resumed = surface.http.get(surface.url("/api/v1/state")).bearer_auth(READ);
        assert_eq!(read(resumed.send().await.expect("an answer")).await.1["paused"], Value::Null);
    }
}

/// Issue 14: a sidecar hands over from 127.0.0.6 what comes from anywhere, and without a token that operates nothing.
#[tokio::test]
async fn s14_what_a_sidecar_hands_over_is_not_from_this_machine() {
    for (from, expected) in [
        ("127.0.0.6:4711", StatusCode::FORBIDDEN),
        ("[::ffff:127.0.0.6]:4711", StatusCode::FORBIDDEN),
        ("127.0.0.1:4711", StatusCode::BAD_REQUEST),
        ("[::1]:4711", StatusCode::BAD_REQUEST),
    ] {
        let peer = Some(from.parse().expect("an address"));
        let surface = Setup { peer, ..Setup::default() }.serve().await;
        let path = "/api/v1/policies/00000000-0000-7000-8000-000000000000/approve";
        assert_eq!(call(&surface, &Method::POST, path, None).await, expected, "{from}");
    }
}
