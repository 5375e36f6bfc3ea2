//! S14: no secret comes out. Recognisable ones are planted in every key that takes a secret and in every URL that takes
//! a user and password; then everything that a daemon says is searched for them.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mape_k::cli::Output;
use mape_k::cli::check_config::check;
use mape_k::config::Config;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::fake_charter::FakeCharter;
use crate::support::config::{shipped, write};
use crate::support::eventually::eventually;
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::routes::api_paths;

/// Ten times what a daemon needs for its first cycles.
const SOON: Duration = Duration::from_secs(60);

/// In every planted secret, and nowhere else.
const MARK: &str = "pLaNtEd";

const OPERATE: &str = "pLaNtEd-operate-token-0";

/// Every key of the configuration that holds a secret.
const SECRETS: [(&str, &str); 5] = [
    ("monitor", "bearer_token"),
    ("execute", "charter_api_key"),
    ("alertmanager", "webhook_token"),
    ("api", "token"),
    ("api", "read_token"),
];

/// Every key of the configuration that holds a URL.
const URLS: [(&str, &str); 5] = [
    ("monitor", "prometheus_url"),
    ("monitor", "scrape_url"),
    ("execute", "charter_url"),
    ("alertmanager", "url"),
    ("knowledge", "postgres_url"),
];

fn with_password(url: &str, of: &str) -> String {
    url.replacen("://", &format!("://{MARK}-user-{of}:{MARK}-password-{of}@"), 1)
}

/// The shipped configuration with a secret wherever one may stand.
fn planted(sources: &str, charter: &str) -> Value {
    let mut file = shipped("mape_k_config.yaml");
    for (section, key) in SECRETS {
        file[section][key] = json!(format!("{MARK}-{section}-{key}"));
    }
    file["api"]["token"] = json!(OPERATE);
    for (section, key) in URLS {
        let url = match (section, key) {
            ("execute", _) => charter,
            ("knowledge", _) => "postgres://127.0.0.1:9/mape_k",
            _ => sources,
        };
        file[section][key] = json!(with_password(url, key));
    }
    file["alertmanager"]["http"] = json!({
        "basic_auth": {"username": "me", "password": format!("{MARK}-basic")},
        "headers": {"X-Key": format!("{MARK}-alertmanager-header")},
    });
    file["execute"]["http"] = json!({"headers": {"X-Key": format!("{MARK}-execute-header")}});
    file["monitor"]["http"] = json!({"headers": {"X-Key": format!("{MARK}-monitor-header")}});
    file["knowledge"]["database"] = json!("memory");
    file["logging"]["level"] = json!("debug");
    file["orchestrator"]["loop_interval"] = json!(1);
    file["orchestrator"]["auto_approve"] = json!(true);
    file["monitor"]["query_timeout"] = json!("900ms");
    file["execute"]["timeout_seconds"] = json!("900ms");
    file
}

/// The users and passwords of the file's URLs, as a header carries them.
fn coded(file: &Value) -> Vec<String> {
    let http = reqwest::Client::new();
    let urls = URLS.into_iter().filter(|(section, _)| *section != "knowledge");
    let urls = urls.map(|(section, key)| file[section][key].as_str().expect("a URL").to_owned());
    let basic = format!("http://me:{MARK}-basic@host");
    urls.chain([basic])
        .map(|url| {
            let request = http.get(url).build().expect("a request");
            let header = request.headers()["authorization"].to_str().expect("text").to_owned();
            header.strip_prefix("Basic ").expect("user and password").to_owned()
        })
        .collect()
}

/// Fails on any form of a secret in what was said.
fn assert_clean(what: &str, said: &str, coded: &[String]) {
    for line in said.lines() {
        let leaks = line.contains(MARK) || coded.iter().any(|coded| line.contains(coded));
        assert!(!leaks, "{what}: {line}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Mood {
    /// Refuses, and quotes all that it was sent: the worst that a source can do with our secrets.
    Quoting,
    /// Answers as Prometheus and Alertmanager with nothing wrong.
    Calm,
}

async fn source(mood: Mood) -> (String, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let router = Router::new().fallback(async move |request: Request| answer(mood, &request));
    let served = tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), served.abort_handle())
}

fn answer(mood: Mood, request: &Request) -> Response {
    match mood {
        Mood::Quoting => {
            let said = format!("who are you? {} {:?}", request.uri(), request.headers());
            let body = json!({"status": "error", "errorType": "auth", "error": said});
            (StatusCode::FORBIDDEN, body.to_string()).into_response()
        }
        Mood::Calm => match request.uri().path() {
            "/api/v2/alerts" => "[]".into_response(),
            "/api/v2/status" => {
                json!({"uptime": "2026-01-01T00:00:00Z"}).to_string().into_response()
            }
            _ => json!({"status": "success", "data": {"resultType": "vector", "result": []}})
                .to_string()
                .into_response(),
        },
    }
}

/// Runs a daemon with the file, asks it for everything, and returns all that came out by name.
async fn everything_said(mut file: Value, folder: &Path) -> Vec<(String, String)> {
    let (api, webhook) = (free_port(), free_port());
    file["api"]["port"] = json!(api);
    file["alertmanager"]["webhook_port"] = json!(webhook);
    file["escalation"]["reports_dir"] = json!(folder.join("logs"));
    let config = write(&folder.join("mape_k_config.yaml"), &file);
    let config = config.to_str().expect("a plain path");
    let mut said = Vec::new();
    let mut daemon = Process::start_mape_k(&["run", "--config", config], &[]);
    let http = reqwest::Client::builder().timeout(SOON).build().expect("an HTTP client");
    let base = format!("http://127.0.0.1:{api}");
    let state = format!("{base}/api/v1/state");
    eventually(SOON, "two cycles", async || {
        if let Some(status) = daemon.ended() {
            panic!("the daemon ended ({status})\n{}", daemon.tail());
        }
        let answer =
            http.get(&state).bearer_auth(OPERATE).send().await.map_err(|e| e.to_string())?;
        let state: Value = answer.json().await.map_err(|e| e.to_string())?;
        if state["iteration"].as_u64() >= Some(2) { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    let probes = ["/health", "/ready", "/metrics", "/nowhere"].map(str::to_owned);
    for path in api_paths().into_iter().chain(probes) {
        for (method, token) in [
            (Method::GET, OPERATE),
            (Method::GET, "pLaNtEd-wrong-token"),
            (Method::POST, OPERATE),
            (Method::POST, "pLaNtEd-api-read_token"),
        ] {
            let request = http.request(method.clone(), format!("{base}{path}"));
            let request = request.bearer_auth(token).json(&json!({"revision": 1, "by": "ada"}));
            let answer = request.send().await.expect("an answer");
            let headers = format!("{:?}", answer.headers());
            let text = answer.text().await.expect("text");
            said.push((format!("{method} {path}"), format!("{headers}\n{text}")));
        }
    }
    let hook = format!("http://127.0.0.1:{webhook}/webhooks/alerts");
    let answer = http.post(hook).bearer_auth("pLaNtEd-wrong-token").body("{}").send().await;
    said.push(("webhook".to_owned(), answer.expect("an answer").text().await.expect("text")));
    for arguments in [
        &["check-config"][..],
        &["check-config", "-o", "json"],
        &["observe"],
        &["run", "--once", "-o", "json", "--log-format", "text"],
        &["status"],
        &["status", "--url", "http://pLaNtEd-user:pLaNtEd-password@127.0.0.1:9"],
        &["status", "--token", "pLaNtEd-wrong-token"],
        &["approve", "7", "--by", "ada"],
    ] {
        let arguments = [arguments, &["--config", config]].concat();
        // The ports of a second daemon are not taken: one cycle binds none.
        let finished = Process::start_mape_k(&arguments, &[]).finished(SOON).await;
        said.push((format!("stdout of {}", arguments[0]), finished.stdout));
        said.push((format!("stderr of {}", arguments[0]), finished.stderr));
    }
    daemon.terminate();
    let finished = daemon.finished(SOON).await;
    assert!(finished.stderr.contains("DEBUG"), "the log is not at debug: the scan is blind");
    said.push(("the log".to_owned(), finished.stderr));
    said.push(("standard output".to_owned(), finished.stdout));
    said
}

async fn nothing_leaks(sources: &str, charter: &str, proof: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = planted(sources, charter);
    let said = everything_said(file.clone(), folder.path()).await;
    assert!(
        said.iter().any(|(_, text)| text.contains(proof)),
        "nothing says {proof:?}: the scan is blind"
    );
    let coded = coded(&file);
    for (what, text) in said {
        assert_clean(&what, &text, &coded);
    }
}

#[tokio::test]
async fn s14_no_secret_comes_out_while_nothing_answers() {
    nothing_leaks("http://127.0.0.1:9", "http://127.0.0.1:9", "Connection refused").await;
}

#[tokio::test]
async fn s14_no_secret_comes_out_while_everything_answers() {
    let (calm, server) = source(Mood::Calm).await;
    let charter = FakeCharter::start().await;
    nothing_leaks(&calm, &charter.base, "\"status\":\"ok\"").await;
    server.abort();
}

#[tokio::test]
async fn s14_no_secret_comes_out_when_the_other_side_quotes_it() {
    let (quoting, server) = source(Mood::Quoting).await;
    nothing_leaks(&quoting, &quoting, "who are you?").await;
    server.abort();
}

#[test]
fn s14_a_configuration_with_mistakes_beside_its_secrets_is_refused_without_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wrong.yaml");
    for text in [
        "api: {token: [pLaNtEd-a-b]}",
        "api: {token: {x: pLaNtEd}}",
        "api: {token: 'pLaNtEd with spaces'}",
        "api: {tokn: pLaNtEd}",
        "api: {token: pLaNtEd, token: pLaNtEd2}",
        "api: {token: pLaNtEd\n  port: 1}",
        "api:\n  token: \"pLaNtEd\n  port: [",
        "monitor: {prometheus_url: 'http://me:pLaNtEd@'}",
        "monitor: {prometheus_url: 'ftp://me:pLaNtEd@prom:9090'}",
        "monitor: {prometheus_url: 'me:pLaNtEd@prom:9090'}",
        "monitor: {prometheus_url: 'http://me:pLaNtEd@prom:9090?x'}",
        "monitor: {prometheus_url: 'http://me:p@pLaNtEd:x@prom:nine'}",
        "execute: {charter_url: ['http://me:pLaNtEd@charter']}",
    ] {
        std::fs::write(&path, text).expect("written");
        for output in [Output::Text, Output::Json] {
            let mut out = Vec::new();
            let valid = check(Some(&path), &|_| None, output, &mut out).expect("printed");
            let out = String::from_utf8(out).expect("text");
            assert!(!valid, "{text}: {out}");
            assert!(!out.contains(MARK), "{text}: {out}");
        }
    }
}

/// What a failed assertion or a forgotten `{:?}` would print.
#[test]
fn s14_the_debug_form_of_the_configuration_holds_no_secrets() {
    let file = planted("http://127.0.0.1:9", "http://127.0.0.1:9").to_string();
    let (config, warnings) = Config::parse(&file, &|_| None).expect("accepted");
    for text in [format!("{config:?}"), format!("{config:#?}"), format!("{warnings:?}")] {
        assert!(!text.contains(MARK), "{text}");
    }
    assert!(format!("{config:?}").contains("prometheus_url"));
}
