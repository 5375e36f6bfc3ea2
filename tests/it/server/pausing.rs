//! Pausing and resuming, over the API and by the commands that use it.

use std::time::Duration;

use mape_k::cli::client::{Client, ClientError};
use mape_k::cli::{Cli, Output, pause, status};
use mape_k::domain::policy::Approval;
use mape_k::domain::secret::Secret;
use mape_k::knowledge::{Knowledge, Settings as KnowledgeSettings};
use mape_k::server::Settings;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};

use super::decisions::{kept, policy, store};
use super::{Setup, Surface, read};

async fn post(surface: &Surface, path: &str, body: Value) -> (StatusCode, Value) {
    read(surface.http.post(surface.url(path)).json(&body).send().await.expect("an answer")).await
}

fn asked(by: &str, reason: &str, seconds: i64) -> Value {
    json!({"by": by, "reason": reason, "duration_seconds": seconds})
}

/// S04: also before any cycle has run; who, why and until when are seen at once.
#[tokio::test]
async fn s04_a_pause_says_who_why_and_until_when_and_a_second_replaces_it() {
    let surface = Surface::start().await;
    let (status, first) = post(&surface, "/api/v1/pause", asked(" ada ", "deploying", 60)).await;
    assert_eq!(status, StatusCode::OK, "{first}");
    assert_eq!((&first["replaced"], &first["paused"]["by"]), (&Value::Null, &json!("ada")));
    assert_eq!(surface.metric("mape_k_paused").await, 1);
    assert!(!surface.woken());
    let (status, second) = post(&surface, "/api/v1/pause", asked("bob", "still", 604_800)).await;
    assert_eq!(status, StatusCode::OK, "{second}");
    assert_eq!(second["replaced"], first["paused"]);
    assert_eq!(surface.get("/api/v1/state").await.1["paused"], second["paused"]);

    let (status, ended) = post(&surface, "/api/v1/resume", json!({"by": "ada"})).await;
    assert_eq!((status, &ended["resumed"]), (StatusCode::OK, &second["paused"]));
    assert!(surface.woken(), "the next cycle comes at once");
    assert_eq!(surface.metric("mape_k_paused").await, 0);
    assert_eq!(surface.get("/api/v1/state").await.1["paused"], Value::Null);
    let (status, again) = post(&surface, "/api/v1/resume", json!({"by": "ada"})).await;
    assert_eq!((status, &again["resumed"]), (StatusCode::OK, &Value::Null));
}

/// The end that is later stands, and the answer says so, over the API and by the command.
#[tokio::test]
async fn s04_a_second_and_shorter_pause_does_not_shorten_the_first() {
    let surface = Surface::start().await;
    let (_, first) = post(&surface, "/api/v1/pause", asked("ada", "deploying", 7200)).await;
    assert_eq!(first["later_end_kept"], false);
    let (status, second) = post(&surface, "/api/v1/pause", asked("bob", "looking", 60)).await;
    assert_eq!((status, &second["later_end_kept"]), (StatusCode::OK, &json!(true)), "{second}");
    assert_eq!(second["paused"]["until"], first["paused"]["until"]);
    assert_eq!(second["paused"]["by"], "bob");
    let client = Client::new(&surface.url(""), None);
    let minute = Duration::from_secs(60);
    let mut out = Vec::new();
    pause::pause(&client, "x", minute, false, "eve", Output::Text, &mut out).await.expect("paused");
    let said = String::from_utf8(out).expect("a text");
    assert!(
        said.contains("the later end of the earlier pause applies") && said.contains("--replace"),
        "{said}"
    );
    let mut out = Vec::new();
    pause::pause(&client, "x", minute, true, "eve", Output::Json, &mut out).await.expect("paused");
    let replaced: Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(replaced["later_end_kept"], false);
    assert_ne!(replaced["paused"]["until"], first["paused"]["until"]);
}

/// The pause is what was asked for; a record beside it that cannot be read does not make it fail.
#[tokio::test]
async fn s04_a_pause_is_answered_although_the_executions_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("knowledge.db");
    let settings = KnowledgeSettings { sqlite_path: path.clone(), ..KnowledgeSettings::default() };
    let knowledge = Knowledge::open(&settings).await.expect("a store");
    let surface = Setup { knowledge, ..Setup::default() }.serve().await;
    let url = format!("sqlite://{}", path.display());
    let mut by_hand = SqliteConnection::connect(&url).await.expect("a second connection");
    let damaged = "INSERT INTO records (collection, key, tag, at, version, body)
                   VALUES ('executions', 'x', 'in_progress', 0, 1, 'damaged')";
    by_hand.execute(damaged).await.expect("written");
    by_hand.close().await.expect("closed");
    let (status, answer) = post(&surface, "/api/v1/pause", asked("ada", "x", 60)).await;
    assert_eq!((status, &answer["under_way"]), (StatusCode::OK, &Value::Null), "{answer}");
    assert_eq!(surface.get("/api/v1/state").await.1["paused"], answer["paused"]);
    let client = Client::new(&surface.url(""), None);
    let (minute, mut out) = (Duration::from_secs(60), Vec::new());
    pause::pause(&client, "x", minute, false, "eve", Output::Text, &mut out).await.expect("paused");
    assert!(String::from_utf8(out).expect("a text").contains("could not be read"));
    surface.stop().await;
}

#[tokio::test]
async fn a_pause_without_name_reason_or_an_end_changes_nothing() {
    let surface = Surface::start().await;
    for (body, named) in [
        (json!({"reason": "x", "duration_seconds": 60}), "by"),
        (json!({"by": "ada", "duration_seconds": 60}), "reason"),
        (json!({"by": "ada", "reason": "x"}), "duration_seconds"),
        (asked("", "x", 60), "by"),
        (asked("Auto", "x", 60), "by"),
        (asked("ada", " ", 60), "reason"),
        (asked("ada", "two\nlines", 60), "reason"),
        (asked("ada", &"x".repeat(501), 60), "reason"),
        (asked("ada", "x", 0), "duration_seconds"),
        (asked("ada", "x", -1), "duration_seconds"),
        (asked("ada", "x", 604_801), "duration_seconds"),
        (json!({"by": "ada", "reason": "x", "duration_seconds": 60, "force": 1}), "force"),
    ] {
        let (status, answer) = post(&surface, "/api/v1/pause", body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
        assert!(answer["error"].as_str().expect("a text").contains(named), "{body}: {answer}");
    }
    assert_eq!(post(&surface, "/api/v1/resume", json!({})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(surface.get("/api/v1/state").await.1["paused"], Value::Null);
    assert_eq!(surface.metric("mape_k_paused").await, 0);
}

#[tokio::test]
async fn pausing_and_resuming_need_the_token() {
    let api = Settings { token: Some(Secret::new("s3cret".to_owned())), ..Settings::default() };
    let surface = Setup { api, ..Setup::default() }.serve().await;
    let (status, _) = post(&surface, "/api/v1/pause", asked("eve", "x", 60)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&surface, "/api/v1/resume", json!({"by": "eve"})).await.0, status);
    assert_eq!(surface.get("/api/v1/state").await.1["paused"], Value::Null);
}

#[tokio::test]
async fn the_pause_and_resume_commands_say_what_holds() {
    let surface = Surface::start().await;
    let client = Client::new(&surface.url(""), None);
    let hour = pause::duration("1h").expect("an hour");
    let paused = async |reason: &str, format| {
        let mut out = Vec::new();
        pause::pause(&client, reason, hour, false, "ada", format, &mut out).await.expect("paused");
        String::from_utf8(out).expect("a text")
    };
    let said = paused("deploying", Output::Text).await;
    assert!(said.starts_with("paused by ada until ") && said.contains("deploying"), "{said}");
    let said = paused("longer", Output::Text).await;
    assert!(said.contains("it replaces: paused by ada"), "{said}");
    let data: Value = serde_json::from_str(&paused("again", Output::Json).await).expect("JSON");
    assert_eq!(data["replaced"]["reason"], "longer");

    let mut out = Vec::new();
    status::run(&client, Output::Text, &mut out).await.expect("a status");
    let said = String::from_utf8(out).expect("a text");
    assert!(said.contains("paused by ada until ") && said.contains("mape-k resume"), "{said}");

    let resumed = async || {
        let mut out = Vec::new();
        pause::resume(&client, "bob", Output::Text, &mut out).await.expect("resumed");
        String::from_utf8(out).expect("a text")
    };
    assert!(resumed().await.starts_with("resumed by bob; it was paused by ada"));
    assert!(resumed().await.contains("was not paused"));

    surface.stop().await;
    let gone = pause::resume(&client, "bob", Output::Text, &mut Vec::new()).await;
    assert!(matches!(gone, Err(ClientError::Unreachable { .. })), "{gone:?}");
}

#[test]
fn the_command_line_takes_whole_times_within_bounds_and_asks_for_a_reason() {
    use clap::Parser as _;
    let parsed = |args: &[&str]| Cli::try_parse_from([&["mape-k"], args].concat());
    assert!(parsed(&["pause", "--reason", "x", "--replace"]).is_ok());
    assert!(parsed(&["pause", "--reason", "x", "--for", "30m", "--by", "ada"]).is_ok());
    assert!(parsed(&["resume", "--by", "ada", "--url", "http://localhost:1"]).is_ok());
    assert!(parsed(&["pause"]).is_err(), "why is asked");
    assert_eq!(pause::duration("90s"), Ok(Duration::from_secs(90)));
    assert_eq!(pause::duration("7d"), Ok(Duration::from_secs(604_800)));
    assert_eq!(pause::duration("1h30m"), Ok(Duration::from_secs(5_400)));
    assert!(parsed(&["pause", "--reason", "x", "--for", "1h30m"]).is_ok());
    for wrong in ["0", "0s", "500ms", "8d", "soon", "-1h", "", "30m1h", "1h1h", "1h30", "1.5h"] {
        assert!(parsed(&["pause", "--reason", "x", &format!("--for={wrong}")]).is_err(), "{wrong}");
    }
    // `--for 2` once meant two seconds.
    let bare = parsed(&["pause", "--reason", "x", "--for", "2"]).expect_err("two of what?");
    assert!(bare.to_string().contains("2 has no unit"), "{bare}");
}

/// An approval is of what was read: another hash is a 409 that shows the present one.
#[tokio::test]
async fn an_approval_that_names_another_hash_is_a_409() {
    let surface = Surface::start().await;
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    let path = format!("/api/v1/policies/{id}/approve");
    let hash = policy(1, Approval::Pending).hash();
    let named = |hash: &str| json!({"revision": 2, "by": "ada", "plan_hash": hash});
    let (status, body) = post(&surface, &path, named(&"0".repeat(64))).await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    assert_eq!(body["present"]["plan_hash"], json!(hash));
    for wrong in ["", "abc", &hash[..7], &"0".repeat(65)] {
        let (status, body) = post(&surface, &path, named(wrong)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {body}");
    }
    assert_eq!(kept(&surface.knowledge, id).await.approval, Approval::Pending);
    assert!(!surface.woken());

    let (status, body) = post(&surface, &path, named(&hash[..8])).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let grant = kept(&surface.knowledge, id).await.grant.expect("a grant");
    assert_eq!((grant.revision, grant.by.as_str(), &grant.plan_hash), (2, "ada", &hash));
    assert_eq!((grant.expires_at - grant.at).num_seconds(), 900, "plan.approval_ttl");
}
