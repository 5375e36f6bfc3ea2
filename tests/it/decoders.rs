//! S14: whatever bytes arrive, by the webhook or as answers of Prometheus, Alertmanager and Charter: no decoder panics,
//! none gives a value that breaks what is promised of it. Noise, and real payloads with something changed in them.

use mape_k::actuators::charter::{Opinion, decode};
use mape_k::domain::time::Time;
use mape_k::monitor::prometheus::wire::{self, Answer};
use mape_k::monitor::scrape::exposition;
use mape_k::monitor::{alertmanager, webhook};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::support::tools::root;

/// What has broken decoders before: numbers that are none, depth, escapes, cut texts.
const HOSTILE: [&str; 18] = [
    "NaN",
    "-Inf",
    "1e999",
    "-0",
    "18446744073709551616",
    "null",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    "é",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"a\":",
    "}",
    "\"NaN\"",
    "0001-01-01T00:00:00Z",
    "+262143-12-31T23:59:59.999999999Z",
];

/// One change: at a place, over a length, with something put there.
#[derive(Clone, Debug)]
enum Change {
    Cut(Index),
    Remove(Index, usize),
    Repeat(Index, usize),
    Put(Index, Vec<u8>),
    Flip(Index, u8),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| index.index(bytes.len() + 1);
        match self {
            Self::Cut(index) => bytes.truncate(at(index)),
            Self::Remove(index, length) => {
                let start = at(index);
                bytes.drain(start..(start + length).min(bytes.len()));
            }
            Self::Repeat(index, length) => {
                let start = at(index);
                let piece = bytes[start..(start + length).min(bytes.len())].to_vec();
                bytes.splice(start..start, piece);
            }
            Self::Put(index, piece) => {
                let start = at(index);
                bytes.splice(start..start, piece.iter().copied());
            }
            Self::Flip(index, with) => {
                if !bytes.is_empty() {
                    let at = index.index(bytes.len());
                    bytes[at] ^= with;
                }
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    let hostile = select(&HOSTILE[..]).prop_map(|text| text.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 1..8);
    prop_oneof![
        1 => index().prop_map(Change::Cut),
        2 => (index(), 1_usize..40).prop_map(|(at, length)| Change::Remove(at, length)),
        2 => (index(), 1_usize..400).prop_map(|(at, length)| Change::Repeat(at, length)),
        3 => (index(), hostile).prop_map(|(at, piece)| Change::Put(at, piece)),
        1 => (index(), noise).prop_map(|(at, piece)| Change::Put(at, piece)),
        2 => (index(), 1_u8..).prop_map(|(at, with)| Change::Flip(at, with)),
    ]
}

/// Noise now and then, else one of the originals with a few changes.
fn bytes(originals: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (select(originals), prop::collection::vec(change(), 0..6));
    let changed = changed.prop_map(|(mut bytes, changes)| {
        for change in changes {
            change.apply(&mut bytes);
        }
        bytes
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..400), 7 => changed]
}

fn fixtures(folder: &str, begin: &str) -> Vec<Vec<u8>> {
    let folder = root().join("tests/fixtures").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(begin)))
        .collect();
    assert!(!files.is_empty(), "no fixture {begin}… in {}", folder.display());
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("a fixture")).collect()
}

fn now() -> Time {
    Time::from_timestamp(1_795_000_000, 0).expect("a time")
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn s14_any_webhook_is_decoded_within_its_bounds(body in bytes(fixtures("alertmanager", ""))) {
        let Ok(delivery) = webhook::decode(&body, now()) else { return Ok(()) };
        prop_assert_eq!(delivery.alerts.len() + delivery.invalid, delivery.seen);
        prop_assert!(delivery.seen <= body.len(), "no more alerts than bytes");
        prop_assert!(delivery.receiver.len() <= 1024);
        for alert in &delivery.alerts {
            prop_assert!(!alert.labels.is_empty() && alert.labels.len() <= 128);
            let bytes: usize = alert.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(bytes <= 16 * 1024);
            let bytes: usize = alert.annotations.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(alert.annotations.len() <= 32 && bytes <= 16 * 1024);
            prop_assert!((1..=64).contains(&alert.fingerprint.len()));
            // A key that orders and compares: it must be the same when the alert is read back.
            let kept: serde_json::Value = serde_json::to_value(alert).expect("an alert can be kept");
            let read: mape_k::domain::alert::InboxAlert = serde_json::from_value(kept).expect("and read back");
            prop_assert_eq!(read.key(), alert.key());
        }
    }

    #[test]
    fn s14_any_list_of_alertmanager_is_decoded_or_refused(body in bytes(fixtures("alertmanager", "api_"))) {
        if let Ok(alerts) = alertmanager::decode_list(&body) {
            prop_assert!(alerts.len() <= body.len());
            prop_assert!(alerts.iter().all(|alert| !alert.fingerprint.is_empty()));
        }
        let _ = alertmanager::decode_start(&body);
    }

    #[test]
    fn s14_any_groups_of_alertmanager_are_decoded_or_refused(body in bytes(fixtures("alertmanager", "groups_"))) {
        if let Ok(groups) = alertmanager::decode_groups(&body) {
            prop_assert_eq!(groups.tells_muting.is_none(), groups.alerts.is_empty());
            prop_assert!(groups.alerts.iter().all(|alert| !alert.fingerprint.is_empty() && !alert.routes.is_empty()));
        }
    }

    #[test]
    fn s14_any_answer_of_prometheus_holds_finite_numbers_or_is_refused(body in bytes(fixtures("prometheus", ""))) {
        match wire::decode(&body) {
            Ok(Answer::Vector(rows)) => {
                prop_assert!(rows.len() <= body.len());
                prop_assert!(rows.iter().all(|(labels, value)| value.is_finite() && !labels.contains_key("__name__")));
            }
            Ok(Answer::Scalar(value)) => prop_assert!(value.is_none_or(f64::is_finite)),
            Ok(Answer::Matrix(rows)) => {
                let points = rows.iter().flat_map(|(_, points)| points);
                prop_assert!(points.clone().count() <= body.len());
                prop_assert!(points.clone().all(|(at, value)| at.is_finite() && value.is_finite()));
            }
            Err(unusable) => prop_assert!(!unusable.what.is_empty()),
        }
        let _ = wire::error_text(&body);
    }

    #[test]
    fn s14_any_exposition_is_taken_whole_or_not_at_all(body in bytes(fixtures("prometheus", "exposition"))) {
        let text = String::from_utf8_lossy(&body);
        match exposition::parse(&text, |_| true) {
            Ok(samples) => {
                prop_assert!(samples.len() <= text.lines().count());
                prop_assert!(samples.iter().all(|sample| !sample.name.is_empty()));
                prop_assert!(samples.iter().all(|sample| sample.labels.keys().all(|name| !name.is_empty())));
            }
            Err(error) => prop_assert!((1..=text.split('\n').count()).contains(&error.line)),
        }
    }

    #[test]
    fn s14_any_answer_of_charter_is_understood_or_refused(
        body in bytes(charter_answers()), status in select(vec![200_u16, 201, 204, 422])
    ) {
        let _ = (decode::health(&body), decode::acknowledged(&body), decode::committee_state(&body));
        if let Ok(id) = decode::applied(&body) {
            prop_assert!((1..=256).contains(&id.len()) && id != "." && id != "..", "{id:?}");
        }
        match decode::verdict(status, &body) {
            Ok(Opinion::Valid) => prop_assert!(status != 422, "422 is a no"),
            Ok(Opinion::Invalid { error, code }) => {
                for text in [Some(error), code].into_iter().flatten() {
                    prop_assert!(text.chars().count() <= 300 && !text.chars().any(char::is_control), "{text:?}");
                }
            }
            Err(error) => prop_assert!(!error.is_empty() && status != 422),
        }
        for listed in [decode::policies(&body).map(|l| l.len()), decode::violations(&body).map(|l| l.len())] {
            prop_assert!(listed.unwrap_or_default() <= body.len());
        }
    }
}

/// One of each, as the contract has them.
fn charter_answers() -> Vec<Vec<u8>> {
    [
        r#"{"status":"ok"}"#,
        r#"{"valid":true,"error":null,"code":null}"#,
        r#"{"valid":false,"error":"replicas must be 1 to 20","code":"out_of_range"}"#,
        r#"{"policy_id":"pol-00000017","status":"active"}"#,
        r#"{"status":"normal","replicas":3,"healthy_nodes":3}"#,
        r#"[{"policy_id":"p-1","status":"active","action":"scale_up","replicas":5},{"policy_id":"p-2","status":"rolled_back","action":"throttle_requests","rate_limit":50.0}]"#,
        r#"[{"violation_id":"v-1","severity":"critical","metric":"failure_rate","value":0.25}]"#,
        r#"{"error":"not found","code":"unknown_policy"}"#,
        "",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Every alert carries its receiver: a long name beside many alerts must not become as many long names.
#[test]
fn s14_a_receivers_name_is_cut_before_every_alert_carries_it() {
    let alert = r#"{"labels":{"a":"b"},"startsAt":"2026-01-01T00:00:00Z"}"#;
    let receiver = "é".repeat(10_000);
    let body = format!(r#"{{"receiver":"{receiver}","alerts":[{alert},{alert}]}}"#);
    let delivery = webhook::decode(body.as_bytes(), now()).expect("a payload");
    assert_eq!(delivery.receiver.len(), 1024);
    assert!(delivery.alerts.iter().all(|alert| alert.receiver == delivery.receiver));
}
