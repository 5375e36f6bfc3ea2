//! Alertmanager's list over HTTP, joined with an inbox into a snapshot.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use mape_k::clock::Clock;
use mape_k::domain::alert::{AlertClass, AlertState};
use mape_k::domain::reading::{FailureKind, Snapshot, Source};
use mape_k::monitor::webhook::decode;
use mape_k::monitor::{AlertmanagerSettings, Monitor, Settings};

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
        "/api/v2/status" => {
            ok(format!(r#"{{"uptime":"{}","cluster":{{}}}}"#, (Utc::now() - up_for).to_rfc3339()))
        }
        _ => prometheus(call, &[]),
    }
}

async fn snapshot(fake: &Fake, receiver: Option<&str>, inbox: &str) -> Snapshot {
    let settings = Settings {
        prometheus_url: fake.url.clone(),
        query_timeout: Duration::from_secs(2),
        ..Settings::default()
    };
    let receiver = receiver.map(str::to_owned);
    let alertmanager =
        AlertmanagerSettings { url: fake.url.clone(), receiver, ..AlertmanagerSettings::default() };
    let clock = Clock::start();
    let mut monitor = Monitor::new(settings, alertmanager, INTERVAL, clock).expect("a monitor");
    let delivery = decode(inbox.as_bytes(), clock.now()).expect("a good payload");
    let observation = monitor.observe(&[], None).await;
    monitor.snapshot(observation, &delivery.alerts, &BTreeSet::new())
}

const EMPTY_INBOX: &str = r#"{"alerts":[]}"#;
const ONE_DELIVERED: &str = r#"{"receiver":"team.a","alerts":[{"status":"firing","labels":{"alertname":"Gone"},
  "startsAt":"2023-11-14T22:13:20.000Z","fingerprint":"f9"}]}"#;

#[tokio::test]
async fn what_is_listed_is_read_and_what_is_silenced_is_not() {
    let fake = Fake::start(|call| answer(call, LISTED, TimeDelta::hours(1))).await;
    let seen = snapshot(&fake, Some("team.a"), EMPTY_INBOX).await;
    assert!(seen.sources.iter().any(|s| s.source == Source::Alertmanager && s.result == Ok(())));
    assert_eq!(seen.alerts.failure, None);
    let alert = &seen.alerts.alerts[..];
    assert_eq!(alert.len(), 1, "{alert:?}");
    assert_eq!((alert[0].name.as_str(), alert[0].state), ("HighLatency", AlertState::Firing));
    assert_eq!((alert[0].class, alert[0].onset), (AlertClass::Actionable, false));
    assert_eq!(alert[0].description, "slow");

    let calls = fake.calls();
    let list = calls.iter().find(|call| call.path == "/api/v2/alerts").expect("asked");
    let pair = |key: &str| list.pairs[key].as_str();
    assert_eq!((pair("active"), pair("silenced"), pair("inhibited")), ("true", "false", "false"));
    assert_eq!(pair("receiver"), r"^team\.a$");
}

#[tokio::test]
async fn absence_is_believed_only_of_an_alertmanager_that_has_been_up_for_three_minutes() {
    for (up_for, state) in [
        (TimeDelta::seconds(170), AlertState::Unconfirmed),
        (TimeDelta::seconds(190), AlertState::Clear),
    ] {
        let fake = Fake::start(move |call| answer(call, "[]", up_for)).await;
        let seen = snapshot(&fake, None, ONE_DELIVERED).await;
        assert_eq!(seen.alerts.alerts[0].state, state);
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
