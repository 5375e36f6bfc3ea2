//! Alertmanager's list over HTTP, joined with an inbox into a snapshot.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use mape_k::clock::Clock;
use mape_k::domain::alert::{AlertClass, AlertState, NoEvidence};
use mape_k::domain::reading::{FailureKind, Snapshot, Source};
use mape_k::monitor::webhook::decode;
use mape_k::monitor::{AlertmanagerSettings, Monitor, Settings};
use serde_json::{Value, json};

use super::INTERVAL;
use super::fake::{Call, Fake, Reply, ok, prometheus};

const LISTED: &str = r#"[{"fingerprint":"f1","startsAt":"2023-11-14T22:13:20.000Z","endsAt":"2123-11-14T22:13:20.000Z",
  "updatedAt":"2023-11-14T22:13:20.000Z","generatorURL":"http://p","annotations":{"summary":"slow"},
  "labels":{"alertname":"HighLatency","severity":"critical","cause":"validation_latency","component":"charter"},
  "receivers":[{"name":"team.a"}],"status":{"state":"active","silencedBy":[],"inhibitedBy":[]}},
 {"fingerprint":"f2","startsAt":"2023-11-14T22:13:20.000Z","annotations":{},"labels":{"alertname":"Quiet","cause":"x"},
  "receivers":[],"status":{"state":"suppressed","silencedBy":["s1"],"inhibitedBy":[]}}]"#;

fn answer(call: &Call, list: &str, up_for: TimeDelta) -> Reply {
    match call.path.as_str() {
        "/api/v2/alerts" => ok(list),
        "/api/v2/alerts/groups" => Reply::With(404, "404 page not found".to_owned()),
        "/api/v2/status" => {
            ok(format!(r#"{{"uptime":"{}","cluster":{{}}}}"#, (Utc::now() - up_for).to_rfc3339()))
        }
        _ => prometheus(call, &[]),
    }
}

fn monitor(fake: &Fake, receiver: Option<&str>) -> Monitor {
    let settings = Settings {
        prometheus_url: Some(fake.url.clone()),
        query_timeout: Duration::from_secs(2),
        ..Settings::default()
    };
    let receiver = receiver.map(str::to_owned);
    let alertmanager =
        AlertmanagerSettings { url: fake.url.clone(), receiver, ..AlertmanagerSettings::default() };
    Monitor::new(settings, alertmanager, INTERVAL, Clock::start()).expect("a monitor")
}

async fn snapshot(fake: &Fake, receiver: Option<&str>, inbox: &str) -> Snapshot {
    let mut monitor = monitor(fake, receiver);
    let delivery = decode(inbox.as_bytes(), Clock::start().now()).expect("a good payload");
    let observation = monitor.observe(&[], None).await;
    monitor.snapshot(observation, &delivery.alerts, &BTreeSet::new())
}

const EMPTY_INBOX: &str = r#"{"alerts":[]}"#;
const ONE_DELIVERED: &str = r#"{"receiver":"team.a","alerts":[{"status":"firing","labels":{"alertname":"Gone"},
  "startsAt":"2023-11-14T22:13:20.000Z","fingerprint":"f9"}]}"#;

/// The same alerts as the groups of 0.28.
fn groups() -> String {
    let mut alerts: Value = serde_json::from_str(LISTED).expect("JSON");
    for alert in alerts.as_array_mut().expect("a list") {
        alert["status"]["mutedBy"] = json!([]);
    }
    json!([{"labels": {}, "receiver": {"name": "team.a"}, "alerts": alerts}]).to_string()
}

#[tokio::test]
async fn what_is_listed_is_read_and_what_is_silenced_is_told_as_such() {
    let fake = Fake::start(|call| match call.path.as_str() {
        "/api/v2/alerts/groups" => ok(groups()),
        _ => answer(call, "", TimeDelta::hours(1)),
    })
    .await;
    let seen = snapshot(&fake, Some("team.a"), EMPTY_INBOX).await;
    assert!(seen.sources.iter().any(|s| s.source == Source::Alertmanager && s.result == Ok(())));
    assert_eq!(seen.alerts.failure, None);
    let alert = &seen.alerts.alerts[..];
    assert_eq!(alert.len(), 2, "{alert:?}");
    assert_eq!((alert[1].name.as_str(), alert[1].state), ("Quiet", AlertState::HeldBack));
    assert_eq!((alert[0].name.as_str(), alert[0].state), ("HighLatency", AlertState::Firing));
    assert_eq!((alert[0].class, alert[0].onset), (AlertClass::Actionable, false));
    assert_eq!(alert[0].description, "slow");

    let calls = fake.calls();
    let list = calls.iter().find(|call| call.path == "/api/v2/alerts/groups").expect("asked");
    assert_eq!(list.pairs["receiver"], r"^team\.a$");
    assert!(calls.iter().all(|call| call.path != "/api/v2/alerts"), "the groups are enough");
}

/// W01: the recorded answer of 0.28 beside its list, which shows the muted alert as active.
#[tokio::test]
async fn w01_the_groups_tell_what_a_time_interval_mutes() {
    let muted = include_str!("../../fixtures/alertmanager/groups_muted.json");
    let fake = Fake::start(move |call| match call.path.as_str() {
        "/api/v2/alerts/groups" => ok(muted),
        _ => answer(call, LISTED, TimeDelta::hours(1)),
    })
    .await;
    let seen = snapshot(&fake, None, EMPTY_INBOX).await;
    let alerts = &seen.alerts.alerts[..];
    assert_eq!((alerts.len(), alerts[0].state), (1, AlertState::HeldBack), "{alerts:?}");
    let why = alerts[0].no_evidence.as_ref().expect("a reason").to_string();
    assert!(why.contains("muted by time interval weekend"), "{why}");
    assert!(!seen.alerts.muting_unnotified);
}

/// W01: a server without groups, or with groups that do not tell what is muted, is read by its plain list, and what only that
/// has is no evidence; one whose groups fail is not read at all.
#[tokio::test]
async fn w01_the_plain_list_is_read_where_the_groups_do_not_tell_and_not_where_they_fail() {
    let of_old = groups().replace(r#","mutedBy":[]"#, "").replace(r#""mutedBy":[],"#, "");
    assert!(!of_old.contains("mutedBy"));
    for groups in [
        Reply::With(404, "404 page not found".to_owned()),
        Reply::With(405, String::new()),
        Reply::With(501, String::new()),
        // Allowed to read the list alone.
        Reply::With(403, "no".to_owned()),
        Reply::With(401, String::new()),
        ok("[]"),
        ok(of_old.clone()),
        // Some entries tell it.
        ok(of_old.replace(r#""silencedBy":["s1"]"#, r#""mutedBy":[],"silencedBy":["s1"]"#)),
    ] {
        let said = groups.clone();
        let fake = Fake::start(move |call| match call.path.as_str() {
            "/api/v2/alerts/groups" => groups.clone(),
            _ => answer(call, LISTED, TimeDelta::hours(1)),
        })
        .await;
        let seen = snapshot(&fake, None, EMPTY_INBOX).await;
        let states: Vec<AlertState> = seen.alerts.alerts.iter().map(|a| a.state).collect();
        assert_eq!(states, [AlertState::HeldBack; 2], "{said:?}");
        assert!(seen.alerts.muting_unnotified, "{said:?}");
        // The same, delivered.
        let mut alerts: Value = serde_json::from_str(LISTED).expect("JSON");
        for alert in alerts.as_array_mut().expect("a list") {
            alert["status"] = json!("firing");
        }
        let delivered = json!({"receiver": "team.a", "alerts": alerts}).to_string();
        let seen = snapshot(&fake, None, &delivered).await;
        assert_eq!(seen.alerts.alerts[0].state, AlertState::Firing, "{said:?}");
        assert_eq!(seen.alerts.alerts[1].state, AlertState::HeldBack, "{said:?}: silenced");
    }
    for groups in [
        Reply::With(500, "boom".to_owned()),
        Reply::With(503, String::new()),
        Reply::With(429, "slow down".to_owned()),
        Reply::With(408, String::new()),
        Reply::With(400, "bad request".to_owned()),
        Reply::With(418, String::new()),
        Reply::With(302, String::new()),
        Reply::With(204, String::new()),
        ok(LISTED),
        ok("<html>"),
        ok(r#"{"status":"success"}"#),
        Reply::Hang,
    ] {
        let fake = Fake::start(move |call| match call.path.as_str() {
            "/api/v2/alerts/groups" => groups.clone(),
            _ => answer(call, LISTED, TimeDelta::hours(1)),
        })
        .await;
        let seen = snapshot(&fake, None, ONE_DELIVERED).await;
        let failure = seen.alerts.failure.as_ref().expect("told");
        assert!(failure.text.contains("GET /api/v2/alerts/groups"), "{failure}");
        assert_eq!(seen.alerts.alerts[0].state, AlertState::Unconfirmed);
    }
}

/// The same credentials may read nothing: the list is as unread as the groups.
#[tokio::test]
async fn w01_a_refusal_of_both_is_an_unread_list() {
    for status in [401, 403] {
        let fake = Fake::start(move |call| match call.path.as_str() {
            "/api/v2/alerts/groups" | "/api/v2/alerts" => Reply::With(status, "no".to_owned()),
            _ => answer(call, "", TimeDelta::hours(1)),
        })
        .await;
        let seen = snapshot(&fake, None, ONE_DELIVERED).await;
        assert!(seen.alerts.failure.is_some());
        assert_eq!(seen.alerts.alerts[0].no_evidence, Some(NoEvidence::ListUnread));
    }
}

/// W01: once a server has told what is muted, nothing makes its plain list, which shows muted alerts as active, be read.
#[tokio::test]
async fn w01_a_server_that_has_told_muting_is_never_read_by_its_plain_list_again() {
    let of_old = groups().replace(r#","mutedBy":[]"#, "").replace(r#""mutedBy":[],"#, "");
    for later in [
        Reply::With(404, "404 page not found".to_owned()),
        Reply::With(403, String::new()),
        ok(of_old),
    ] {
        let said = later.clone();
        let now: Arc<Mutex<Reply>> = Arc::new(Mutex::new(ok(groups())));
        let groups_now = now.clone();
        let fake = Fake::start(move |call| match call.path.as_str() {
            "/api/v2/alerts/groups" => groups_now.lock().expect("no panic before").clone(),
            _ => answer(call, LISTED, TimeDelta::hours(1)),
        })
        .await;
        let mut monitor = monitor(&fake, None);
        let mut read = async || {
            let observation = monitor.observe(&[], None).await;
            monitor.snapshot(observation, &[], &BTreeSet::new()).alerts
        };
        assert_eq!(read().await.alerts[0].state, AlertState::Firing);
        *now.lock().expect("no panic before") = later;
        let seen = read().await;
        assert!(seen.failure.is_some(), "{said:?}");
        assert_eq!(seen.alerts[0].state, AlertState::Unconfirmed, "{said:?}");
        // Nothing fires any more: that is what it says, and no doubt about it.
        *now.lock().expect("no panic before") = ok("[]");
        let seen = read().await;
        assert!(seen.failure.is_none() && !seen.muting_unnotified, "{said:?}");
        assert_eq!(seen.alerts[0].state, AlertState::Clear, "{said:?}");
        assert!(fake.calls().iter().all(|call| call.path != "/api/v2/alerts"), "{said:?}");
    }
}

#[tokio::test]
async fn absence_is_believed_only_of_an_alertmanager_that_has_been_up_for_three_minutes() {
    for (up_for, state) in [
        (TimeDelta::seconds(170), AlertState::Unconfirmed),
        // Old enough to be believed, and it never had this one.
        (TimeDelta::seconds(190), AlertState::Unconfirmed),
    ] {
        let fake = Fake::start(move |call| answer(call, "[]", up_for)).await;
        let seen = snapshot(&fake, None, ONE_DELIVERED).await;
        assert_eq!(seen.alerts.alerts[0].state, state);
        let unlisted = seen.alerts.alerts[0].no_evidence == Some(NoEvidence::Unlisted);
        assert_eq!(
            (seen.alerts.absence_proves_clear, unlisted),
            (up_for >= TimeDelta::minutes(3), up_for >= TimeDelta::minutes(3))
        );
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_leaves_alerts_unconfirmed_and_metrics_alone() {
    for (list, kind) in [
        (Reply::With(500, "boom".to_owned()), FailureKind::Server),
        (ok("<html>"), FailureKind::Nonsense),
        (ok(r#"[{"labels":{"alertname":"no start"}}]"#), FailureKind::Nonsense),
        (Reply::Hang, FailureKind::Timeout),
    ] {
        let fake = Fake::start(move |call| match call.path.as_str() {
            "/api/v2/alerts" => list.clone(),
            _ => answer(call, "", TimeDelta::hours(1)),
        })
        .await;
        let seen = snapshot(&fake, None, ONE_DELIVERED).await;
        let failure = seen.alerts.failure.as_ref().expect("told");
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.text.contains("alertmanager at http://"), "{failure}");
        assert!(failure.text.contains("GET /api/v2/alerts"), "{failure}");
        assert_eq!(seen.alerts.alerts[0].state, AlertState::Unconfirmed);
        assert!(seen.readings.iter().all(|reading| reading.points.is_ok()));
    }
}
