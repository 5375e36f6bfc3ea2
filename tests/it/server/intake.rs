//! Alertmanager's webhook, with recorded payloads.

use std::path::Path;
use std::time::Duration;

use mape_k::domain::Labels;
use mape_k::domain::secret::Secret;
use mape_k::knowledge::{Database, Fact, Knowledge, Settings as KnowledgeSettings};
use mape_k::monitor::{self, AlertmanagerSettings, Handler};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Setup, Surface, read};
use crate::support::eventually::eventually;
use crate::support::postgres;
use crate::support::tools::root;

/// A36: recorded payloads of version 4 are answered with 200 once they are stored, and counted exactly.
#[tokio::test]
async fn a36_recorded_payloads_are_stored_counted_and_acknowledged() {
    let surface = Surface::start().await;
    for file in [
        "webhook_critical_firing.json",
        "webhook_group_of_three_firing.json",
        "webhook_critical_resolved.json",
        "webhook_group_one_of_three_resolved.json",
    ] {
        let (status, body) = surface.post_alerts(fixture(file)).await;
        assert_eq!((status, body), (StatusCode::OK, json!({"status": "ok"})), "{file}");
    }
    // One, three, its resolution, and of the last three one resolution and two repeats.
    assert_eq!(
        counted(&surface).await,
        Counted { received: 8, accepted: 6, duplicate: 2, ..Counted::default() }
    );
    assert_eq!(surface.knowledge.inbox().await.expect("the inbox").len(), 4, "a key is one alert");
    assert_eq!(surface.metric("mape_k_webhook_requests_total{code=\"200\"}").await, 4);
    assert_eq!(surface.metric("mape_k_inbox_depth").await, 6);
    surface.stop().await;
}

/// A36: fields that version 4 does not have, and a missing fingerprint, are tolerated.
#[tokio::test]
async fn a36_unknown_fields_and_a_missing_fingerprint_are_tolerated() {
    let surface = Surface::start().await;
    for file in ["webhook_unknown_fields.json", "webhook_without_fingerprint.json"] {
        assert_eq!(surface.post_alerts(fixture(file)).await.0, StatusCode::OK, "{file}");
    }
    assert_eq!(counted(&surface).await.received, 2);
}

/// To a sender that knows only doubles, and to a JSON Schema, these are whole numbers too.
#[tokio::test]
async fn a_count_of_truncated_alerts_may_be_written_as_a_double() {
    let surface = Surface::start().await;
    for count in ["0", "3.0", "-0.0", "-0", "9007199254740992.0"] {
        let payload = format!(r#"{{"version": "4", "alerts": [], "truncatedAlerts": {count}}}"#);
        let (status, answer) = surface.post_alerts(payload).await;
        assert_eq!(status, StatusCode::OK, "{count}: {answer}");
    }
    surface.stop().await;
}

/// A37: what is no payload is a 400 that says why, and leaves nothing behind.
#[tokio::test]
async fn a37_malformed_payloads_are_refused_whole() {
    let surface = Surface::start().await;
    for body in [
        fixture("invalid_malformed.json"),
        fixture("invalid_alerts_not_a_list.json"),
        b"<html>".to_vec(),
        Vec::new(),
        vec![0xff; 64],
    ] {
        let (status, answer) = surface.post_alerts(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(!answer["error"].as_str().expect("a text").is_empty());
    }
    assert_eq!(counted(&surface).await, Counted::default());
    assert_eq!(surface.metric("mape_k_intake_rejections_total{reason=\"malformed\"}").await, 5);
    assert!(surface.knowledge.inbox().await.expect("the inbox").is_empty());
}

/// A37: one bad alert among three is counted and skipped; the other two are stored.
#[tokio::test]
async fn a37_one_bad_alert_of_three_leaves_two() {
    let surface = Surface::start().await;
    assert_eq!(surface.post_alerts(fixture("one_bad_of_three.json")).await.0, StatusCode::OK);
    assert_eq!(
        counted(&surface).await,
        Counted { received: 3, accepted: 2, invalid: 1, ..Counted::default() }
    );
    assert_eq!(surface.knowledge.inbox().await.expect("the inbox").len(), 2);
}

/// A38, the intake's half: a firing critical alert wakes the loop, with and without a handler; a repeat, a resolution
/// and a warning do not.
#[tokio::test]
async fn a38_a_critical_alert_wakes_the_loop_once() {
    let handled = AlertmanagerSettings {
        handlers: vec![handler("policyviolations")],
        ..AlertmanagerSettings::default()
    };
    for alertmanager in [AlertmanagerSettings::default(), handled] {
        let surface = Setup { alertmanager, ..Setup::default() }.serve().await;
        for (file, wakes) in [
            ("webhook_group_of_three_firing.json", false),
            ("webhook_critical_firing.json", true),
            ("webhook_critical_firing.json", false),
            ("webhook_critical_resolved.json", false),
            ("webhook_critical_firing.json", false),
        ] {
            assert_eq!(surface.post_alerts(fixture(file)).await.0, StatusCode::OK);
            assert_eq!(surface.woken(), wakes, "{file}");
        }
    }
}

/// A67, the intake's half: own, ignored and foreign alerts are counted as what they are and wake nobody.
#[tokio::test]
async fn a67_own_ignored_and_foreign_alerts_wake_nobody() {
    let alertmanager = AlertmanagerSettings {
        handlers: vec![Handler { ignore: true, ..handler("policyviolations") }],
        ..AlertmanagerSettings::default()
    };
    let ignoring = Setup { alertmanager, ..Setup::default() }.serve().await;
    assert_eq!(ignoring.post_alerts(fixture("webhook_own.json")).await.0, StatusCode::OK);
    assert_eq!(counted(&ignoring).await, Counted { received: 1, own: 1, ..Counted::default() });
    assert_eq!(
        ignoring.post_alerts(fixture("webhook_critical_firing.json")).await.0,
        StatusCode::OK
    );
    assert_eq!(
        counted(&ignoring).await,
        Counted { received: 2, own: 1, ignored: 1, ..Counted::default() }
    );
    assert!(!ignoring.woken());
    assert!(ignoring.knowledge.inbox().await.expect("the inbox").is_empty());

    let scope = Labels::from([("policy_id".to_owned(), "another".to_owned())]);
    let monitor = monitor::Settings { scope, ..monitor::Settings::default() };
    let elsewhere = Setup { monitor, ..Setup::default() }.serve().await;
    assert_eq!(
        elsewhere.post_alerts(fixture("webhook_critical_firing.json")).await.0,
        StatusCode::OK
    );
    assert_eq!(
        counted(&elsewhere).await,
        Counted { received: 1, accepted: 1, ..Counted::default() }
    );
    assert!(!elsewhere.woken());
}

/// Alerts that the payload leaves out are asked for at once.
#[tokio::test]
async fn a_truncated_payload_is_stored_and_wakes_the_loop() {
    let surface = Surface::start().await;
    assert_eq!(surface.post_alerts(fixture("webhook_truncated.json")).await.0, StatusCode::OK);
    assert_eq!(counted(&surface).await.accepted, 2);
    assert!(surface.woken());
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413_and_asks_for_an_api_read() {
    let alertmanager =
        AlertmanagerSettings { max_body_bytes: 10_000, ..AlertmanagerSettings::default() };
    let surface = Setup { alertmanager, ..Setup::default() }.serve().await;
    assert_eq!(
        surface.post_alerts(fixture("webhook_critical_firing.json")).await.0,
        StatusCode::OK
    );
    assert!(surface.woken());
    let (status, answer) = surface.post_alerts(vec![b' '; 10_001]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer["error"].as_str().expect("a text").contains("max_body_bytes"));
    assert!(surface.woken());
    assert_eq!(surface.metric("mape_k_intake_rejections_total{reason=\"too_large\"}").await, 1);
    // One that does not say how long it is.
    let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1000]));
    let endless = reqwest::Body::wrap_stream(futures::StreamExt::take(chunks, 12));
    assert_eq!(surface.post_alerts(endless).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_503_which_alertmanager_repeats() {
    let surface = Surface::start().await;
    let mut stream = TcpStream::connect(surface.address).await.expect("a connection");
    let head =
        "POST /webhooks/alerts HTTP/1.1\r\nhost: mape-k\r\ncontent-length: 500\r\n\r\n{\"alerts\":";
    stream.write_all(head.as_bytes()).await.expect("a head");
    let began = Instant::now();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(100), stream.read_to_string(&mut answer))
        .await
        .expect("an answer in bounded time")
        .expect("a text");
    println!("a slow body: answered after {:.1} s", began.elapsed().as_secs_f64());
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
    assert_eq!(surface.metric("mape_k_intake_rejections_total{reason=\"too_slow\"}").await, 1);
    // Meanwhile and afterwards others are served.
    assert_eq!(
        surface.post_alerts(fixture("webhook_critical_firing.json")).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn with_a_webhook_token_nothing_is_taken_in_without_it() {
    let alertmanager = AlertmanagerSettings {
        webhook_token: Some(Secret::new("s3cret".to_owned())),
        ..AlertmanagerSettings::default()
    };
    let surface = Setup { alertmanager, ..Setup::default() }.serve().await;
    for token in [None, Some("wrong")] {
        let mut request = surface.alerts_request(fixture("webhook_critical_firing.json"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(
            read(request.send().await.expect("an answer")).await.0,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(counted(&surface).await, Counted::default());
    assert!(!surface.woken());
    let request =
        surface.alerts_request(fixture("webhook_critical_firing.json")).bearer_auth("s3cret");
    assert_eq!(read(request.send().await.expect("an answer")).await.0, StatusCode::OK);
    assert_eq!(counted(&surface).await.accepted, 1);
}

/// A store that cannot be written: 503 with Retry-After, and the sender's retry loses nothing.
#[tokio::test]
async fn a_store_failure_is_a_503_and_a_retry_is_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("knowledge.db");
    let settings = KnowledgeSettings { sqlite_path: path.clone(), ..KnowledgeSettings::default() };
    let knowledge = Knowledge::open(&settings).await.expect("a store");
    let surface = Setup { knowledge, ..Setup::default() }.serve().await;
    let holder = hold(&path).await;
    let request = surface.alerts_request(fixture("webhook_critical_firing.json"));
    let response = request.send().await.expect("an answer");
    assert!(response.headers().contains_key("retry-after"));
    let (status, answer) = read(response).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(!surface.woken());
    assert_eq!(surface.metric("mape_k_intake_rejections_total{reason=\"store_failed\"}").await, 1);
    let (status, health) = surface.get("/health").await;
    assert_eq!(
        (status, &health["components"]["store"]["status"]),
        (StatusCode::OK, &"degraded".into())
    );
    holder.close().await.expect("let go");
    assert_eq!(
        surface.post_alerts(fixture("webhook_critical_firing.json")).await.0,
        StatusCode::OK
    );
    assert_eq!(counted(&surface).await, Counted { received: 2, accepted: 1, ..Counted::default() });
    assert!(surface.woken());
}

/// Sockets that name a length and send nothing take the room of what they sent.
#[tokio::test]
async fn s12_a_length_that_is_only_said_takes_no_room() {
    let surface = Surface::start().await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(begun(&surface, 4_194_304).await);
    }
    let (status, said) = surface.post_alerts(fixture("webhook_critical_firing.json")).await;
    assert_eq!(status, StatusCode::OK, "{said}");
}

/// A request that has begun: the daemon asks for its body once there is room for one.
async fn begun(surface: &Surface, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(surface.address).await.expect("a connection");
    let head = format!(
        "POST /webhooks/alerts HTTP/1.1\r\nhost: mape-k\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("a head");
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.expect("100 Continue");
    assert!(asked.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&asked));
    stream
}

/// More at once than there is room for is 503 with Retry-After, never 429, and room comes back.
#[tokio::test]
async fn more_than_there_is_room_for_is_a_503() {
    let max_body_bytes = 100_000;
    let alertmanager = AlertmanagerSettings { max_body_bytes, ..AlertmanagerSettings::default() };
    let surface = Setup { alertmanager, ..Setup::default() }.serve().await;
    let mut slow = Vec::new();
    for _ in 0..16 {
        let mut stream = begun(&surface, max_body_bytes).await;
        stream.write_all(&vec![b' '; max_body_bytes - 1]).await.expect("all but the last byte");
        slow.push(stream);
    }
    eventually(Duration::from_secs(5), "what was sent has taken the room", async || {
        let request = surface.alerts_request(fixture("webhook_critical_firing.json"));
        let response = request.send().await.expect("an answer");
        match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(response.headers().contains_key("retry-after"));
                Ok(())
            }
            status => Err(status),
        }
    })
    .await;
    drop(slow);
    eventually(Duration::from_secs(10), "room again", async || {
        match surface.post_alerts(fixture("webhook_critical_firing.json")).await {
            (StatusCode::OK, _) => Ok(()),
            (status, _) => Err(status),
        }
    })
    .await;
}

/// The names of receivers that bring us alerts are learnt once and kept.
#[tokio::test]
async fn the_receiver_of_an_accepted_payload_is_learnt() {
    let surface = Surface::start().await;
    for file in
        ["webhook_critical_firing.json", "webhook_truncated.json", "webhook_critical_resolved.json"]
    {
        assert_eq!(surface.post_alerts(fixture(file)).await.0, StatusCode::OK);
    }
    let fact =
        surface.knowledge.get::<Fact>(Fact::RECEIVERS).await.expect("read").expect("learnt").0;
    assert_eq!(fact.value, json!(["mape-k", "truncating"]));
}

/// A sender that makes receivers up cannot fill the store with them; its alerts are stored all the same.
#[tokio::test]
async fn no_more_than_50_receivers_are_learnt() {
    let surface = Surface::start().await;
    for number in 0..60 {
        let mut payload: Value =
            serde_json::from_slice(&fixture("webhook_critical_firing.json")).expect("a payload");
        payload["receiver"] = format!("receiver-{number:02}").into();
        payload["alerts"][0]["fingerprint"] = format!("{number:016x}").into();
        assert_eq!(surface.post_alerts(payload.to_string()).await.0, StatusCode::OK);
    }
    let fact =
        surface.knowledge.get::<Fact>(Fact::RECEIVERS).await.expect("read").expect("learnt").0;
    assert_eq!(fact.value.as_array().expect("a list").len(), 50);
    assert_eq!(surface.knowledge.inbox().await.expect("the inbox").len(), 60);
}

/// Batches of 100 posted by many senders at once: each alert is stored once and counted once.
#[tokio::test]
async fn a_storm_of_batches_is_stored_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = KnowledgeSettings {
        sqlite_path: folder.path().join("knowledge.db"),
        ..KnowledgeSettings::default()
    };
    let postgres = KnowledgeSettings {
        database: Database::Postgres,
        postgres_url: Some(postgres::address(&postgres::database().await)),
        ..KnowledgeSettings::default()
    };
    for settings in [sqlite, postgres] {
        let knowledge = Knowledge::open(&settings).await.expect("a store");
        let surface = Setup { knowledge, ..Setup::default() }.serve().await;
        let began = Instant::now();
        let posts = (0..50).map(|batch| surface.post_alerts(batch_of_100(batch)));
        for (status, body) in futures::future::join_all(posts).await {
            assert_eq!(status, StatusCode::OK, "{body}");
        }
        let took = began.elapsed().as_secs_f64();
        println!("{:?}: 50 payloads of 100 alerts, {:.1} a second", settings.database, 50.0 / took);
        assert_eq!(
            counted(&surface).await,
            Counted { received: 5000, accepted: 5000, ..Counted::default() }
        );
        assert_eq!(surface.knowledge.inbox().await.expect("the inbox").len(), 5000);
    }
}

fn batch_of_100(batch: usize) -> Vec<u8> {
    let mut payload: Value =
        serde_json::from_slice(&fixture("webhook_group_of_three_firing.json")).expect("a payload");
    let alert = payload["alerts"][0].clone();
    let alerts = (0..100).map(|number| {
        let mut alert = alert.clone();
        alert["fingerprint"] = format!("{:016x}", batch * 100 + number).into();
        alert
    });
    payload["alerts"] = alerts.collect();
    payload.to_string().into_bytes()
}

fn handler(pattern: &str) -> Handler {
    Handler {
        pattern: pattern.to_owned(),
        cause: None,
        rule: None,
        component: None,
        component_label: "component".to_owned(),
        target: None,
        severity: None,
        ignore: false,
    }
}

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let path = root().join("tests/fixtures/alertmanager").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Another process that holds the file's write lock.
pub async fn hold(path: &Path) -> SqliteConnection {
    let url = format!("sqlite://{}", path.display());
    let mut holder = SqliteConnection::connect(&url).await.expect("a second connection");
    holder.execute("BEGIN IMMEDIATE").await.expect("the write lock");
    holder
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) received: u64,
    pub(super) accepted: u64,
    pub(super) duplicate: u64,
    pub(super) invalid: u64,
    pub(super) own: u64,
    pub(super) ignored: u64,
}

pub(super) async fn counted(surface: &Surface) -> Counted {
    let outcome = async |name: &str| {
        surface.metric(&format!("mape_k_alerts_total{{outcome=\"{name}\"}}")).await
    };
    Counted {
        received: surface.metric("mape_k_alerts_received_total").await,
        accepted: outcome("accepted").await,
        duplicate: outcome("duplicate").await,
        invalid: outcome("invalid").await,
        own: outcome("own").await,
        ignored: outcome("ignored").await,
    }
}
