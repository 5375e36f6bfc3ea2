//! Payloads of Alertmanager's webhook, good and bad.

use proptest::prelude::*;

use mape_k::domain::Labels;
use mape_k::domain::alert::{AlertStatus, InboxAlert};
use mape_k::domain::time::Time;
use mape_k::monitor::webhook::{
    MAX_ANNOTATION_BYTES, MAX_LABELS, NAMING_BYTES, decode, derived_fingerprint,
};

fn now() -> Time {
    Time::from_timestamp(1_700_000_000, 0).expect("valid")
}

/// A payload as Alertmanager 0.25 sends it, with these alerts.
fn payload(alerts: &str) -> String {
    format!(
        r#"{{"receiver":"mape-k","status":"firing","version":"4","groupKey":"{{}}:{{}}","truncatedAlerts":2,
        "groupLabels":{{}},"commonLabels":{{}},"commonAnnotations":{{}},"externalURL":"http://am","novel":[1],"alerts":[{alerts}]}}"#
    )
}

const GOOD: &str = r#"{"status":"firing","labels":{"alertname":"HighLatency","severity":"critical"},"annotations":{"summary":"slow"},
    "startsAt":"2023-11-14T22:13:20.123Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p","fingerprint":"a1b2"}"#;

fn one(alert: &str) -> InboxAlert {
    let delivery = decode(payload(alert).as_bytes(), now()).expect("a good payload");
    assert_eq!((delivery.seen, delivery.invalid), (1, 0), "{alert}");
    delivery.alerts.into_iter().next().expect("one alert")
}

/// A36: a recorded payload, unknown fields and all.
#[test]
fn a_good_payload_is_decoded() {
    let delivery = decode(payload(GOOD).as_bytes(), now()).expect("good");
    assert_eq!((delivery.receiver.as_str(), delivery.truncated), ("mape-k", 2));
    let alert = &delivery.alerts[0];
    assert_eq!(alert.status, AlertStatus::Firing);
    assert_eq!(alert.fingerprint, "a1b2");
    assert_eq!(alert.received_at, now());
    assert_eq!(alert.annotations["summary"], "slow");
}

/// A36: as Alertmanager 0.25 really sent it for an alert that its API listed as `2edc7dee1d0ac18c` of receiver
/// `team.a`, begun at `2026-11-21T23:45:44.224Z`.
#[test]
fn a_recorded_payload_names_the_alert_as_the_api_does() {
    let recorded = r#"{"receiver":"team\\.a","status":"firing","alerts":[{"status":"firing","labels":{
        "alertname":"HighLatency","q":"a\"é\nb","rule":"validation_latency","severity":"critical"},
        "annotations":{"summary":"slow"},"startsAt":"2026-11-21T23:45:44.224357878Z","endsAt":"0001-01-01T00:00:00Z",
        "generatorURL":"http://prometheus.example/graph","fingerprint":"2edc7dee1d0ac18c"}],"groupLabels":{},
        "commonLabels":{},"commonAnnotations":{},"externalURL":"http://am","version":"4","groupKey":"{}:{}",
        "truncatedAlerts":0}"#;
    let delivery = decode(recorded.as_bytes(), now()).expect("good");
    assert_eq!(delivery.receiver, "team.a");
    let alert = &delivery.alerts[0];
    let listed: Time = "2026-11-21T23:45:44.224Z".parse().expect("a time");
    assert_eq!(alert.key(), mape_k::domain::alert::alert_key("2edc7dee1d0ac18c", listed));
    assert_eq!(derived_fingerprint(&alert.labels), "2edc7dee1d0ac18c");
}

/// A37: one bad of three leaves two.
#[test]
fn one_bad_alert_costs_only_itself() {
    for bad in [
        "7",
        "{}",
        r#"{"status":"maybe","labels":{"a":"b"},"startsAt":"2023-11-14T22:13:20Z"}"#,
        r#"{"status":"firing","labels":{},"startsAt":"2023-11-14T22:13:20Z"}"#,
        r#"{"status":"firing","labels":{"a":1},"startsAt":"2023-11-14T22:13:20Z"}"#,
        r#"{"status":"firing","labels":{"a":"b"},"startsAt":"yesterday"}"#,
        r#"{"status":"firing","labels":{"a":"b"}}"#,
    ] {
        let body = payload(&format!("{GOOD},{bad},{GOOD}"));
        let delivery = decode(body.as_bytes(), now()).expect("good");
        assert_eq!((delivery.alerts.len(), delivery.invalid, delivery.seen), (2, 1, 3), "{bad}");
        assert_eq!(delivery.alerts[0].key(), delivery.alerts[1].key(), "duplicates share a key");
    }
}

/// A37: malformed and cut off payloads are refused with what to do.
#[test]
fn what_is_no_payload_is_refused() {
    let whole = payload(GOOD);
    for body in
        ["", "[]", "<html>", r#"{"alerts":{}}"#, r#"{"receiver":"x"}"#, &whole[..whole.len() - 9]]
    {
        let error = decode(body.as_bytes(), now()).expect_err(body).to_string();
        assert!(error.contains("webhook_configs"), "{error}");
    }
}

#[test]
fn a_missing_fingerprint_is_the_one_that_alertmanager_would_give() {
    let without = GOOD.replace(r#","fingerprint":"a1b2""#, "");
    // FNV-1a over alertname 0xff HighLatency 0xff severity 0xff critical 0xff.
    assert_eq!(one(&without).fingerprint, derived_fingerprint(&one(GOOD).labels));
    assert_eq!(derived_fingerprint(&Labels::new()), "cbf29ce484222325");
}

#[test]
fn without_a_status_an_end_in_year_one_is_open() {
    let without = GOOD.replacen(r#""status":"firing","#, "", 1);
    assert_eq!(one(&without).status, AlertStatus::Firing);
    let ended = without.replace("0001-01-01T00:00:00Z", "2023-11-14T22:13:19Z");
    assert_eq!(one(&ended).status, AlertStatus::Resolved);
}

#[test]
fn labels_are_bounded_and_long_annotations_cut() {
    let long = "é".repeat(10_000);
    let wordy = GOOD.replace("slow", &long);
    assert_eq!(one(&wordy).annotations["summary"].len(), MAX_ANNOTATION_BYTES);
    let large = GOOD.replace("HighLatency", &long);
    let kept = one(&large);
    assert!(kept.too_large, "{kept:?}");
    assert_eq!(kept.labels["alertname"].len(), NAMING_BYTES);
    assert_eq!(kept.labels["severity"], "critical");
    let many: Vec<String> = (0..=MAX_LABELS).map(|n| format!(r#","l{n}":"v""#)).collect();
    let many = many.concat();
    let wide =
        one(&GOOD.replace(r#""severity":"critical""#, &format!(r#""severity":"critical"{many}"#)));
    assert!(wide.too_large && wide.labels.len() == 2, "{wide:?}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes, now());
    }

    #[test]
    fn every_alert_is_counted_once(
        alerts in prop::collection::vec(r#"(\{"status":"(firing|x)","labels":\{("a":"b")?\},"startsAt":"(2023-11-14T22:13:20Z|)"\}|null|[0-9]|"[a-z]*")"#, 0..8)
    ) {
        let delivery = decode(payload(&alerts.join(",")).as_bytes(), now()).expect("well-formed JSON");
        prop_assert_eq!(delivery.alerts.len() + delivery.invalid, alerts.len());
        prop_assert_eq!(delivery.seen, alerts.len());
    }
}
