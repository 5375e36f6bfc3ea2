//! The inbox: which deliveries are news, what a cycle still has to see, and how long keys are kept.

use std::time::{Duration, Instant};

use mape_k::domain::Labels;
use mape_k::domain::alert::{AlertStatus, InboxAlert};
use mape_k::domain::time::{Time, after};
use mape_k::knowledge::{Database, Intake, Knowledge, MAX_ALERTS, StoreError};

use crate::knowledge_facade::{DAY, on_both, pruned, settings};
use crate::store_contract::time;

pub fn alert(fingerprint: &str, status: AlertStatus, received_at: Time) -> InboxAlert {
    InboxAlert {
        fingerprint: fingerprint.into(),
        starts_at: time(-60),
        status,
        labels: Labels::from([
            ("alertname".into(), "CharterValidationLatencyHigh".into()),
            ("severity".into(), "critical".into()),
            ("component".into(), "charter".into()),
        ]),
        annotations: Labels::from([(
            "summary".into(),
            "95th percentile of validation latency is above one second".into(),
        )]),
        receiver: "mape-k".into(),
        received_at,
        processed: false,
        listed: false,
        too_large: false,
    }
}

#[tokio::test]
async fn an_alert_is_taken_in_once_and_resolved_is_final() {
    use AlertStatus::{Firing, Resolved};
    use Intake::{Accepted, Duplicate};
    on_both(async |knowledge| {
        let deliver =
            async |status, at| knowledge.take_in(&[alert("a", status, time(at))]).await.unwrap()[0];
        assert_eq!(deliver(Firing, 0).await, Accepted);
        assert_eq!(deliver(Firing, 1).await, Duplicate);
        assert_eq!(deliver(Resolved, 2).await, Accepted);
        assert_eq!(deliver(Resolved, 3).await, Duplicate);
        assert_eq!(deliver(Firing, 4).await, Duplicate, "late");
        // The same fingerprint that starts again is another alert.
        let again = InboxAlert { starts_at: time(5), ..alert("a", Firing, time(6)) };
        assert_eq!(knowledge.take_in(&[again]).await.unwrap(), [Accepted]);
    })
    .await;
}

#[tokio::test]
async fn one_payload_may_carry_an_alert_twice_and_one_that_resolved_unseen() {
    use AlertStatus::{Firing, Resolved};
    use Intake::{Accepted, Duplicate};
    on_both(async |knowledge| {
        let at = time(0);
        let taken = knowledge
            .take_in(&[
                alert("a", Firing, at),
                alert("a", Firing, at),
                alert("b", Resolved, at),
                alert("a", Resolved, at),
                alert("b", Firing, at),
            ])
            .await
            .unwrap();
        assert_eq!(taken, [Accepted, Duplicate, Accepted, Accepted, Duplicate]);
        assert_eq!(knowledge.take_in(&[]).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn the_inbox_holds_what_fires_and_what_no_cycle_has_seen() {
    use AlertStatus::{Firing, Resolved};
    on_both(async |knowledge| {
        let alerts = [
            alert("a", Firing, time(0)),
            alert("b", Resolved, time(1)),
            alert("c", Firing, time(2)),
        ];
        knowledge.take_in(&alerts).await.unwrap();
        let read = knowledge.inbox().await.unwrap();
        assert_eq!(read, alerts, "in order of arrival");
        assert_eq!(knowledge.mark_processed(&read).await.unwrap(), 3);
        let names: Vec<_> = knowledge
            .inbox()
            .await
            .unwrap()
            .into_iter()
            .map(|a| (a.fingerprint, a.processed))
            .collect();
        assert_eq!(
            names,
            [("a".into(), true), ("c".into(), true)],
            "what resolved and was seen is done"
        );
        let seen = knowledge.inbox().await.unwrap();
        assert_eq!(knowledge.mark_processed(&seen).await.unwrap(), 0, "each is counted once");
        knowledge.take_in(&[alert("a", Resolved, time(9))]).await.unwrap();
        assert!(!knowledge.inbox().await.unwrap()[1].processed, "its resolution is news");
        assert_eq!(
            knowledge.take_in(&[alert("b", Firing, time(9))]).await.unwrap(),
            [Intake::Duplicate]
        );
    })
    .await;
}

#[tokio::test]
async fn a_resolution_that_arrives_while_a_cycle_runs_is_left_for_the_next_one() {
    use AlertStatus::{Firing, Resolved};
    on_both(async |knowledge| {
        knowledge.take_in(&[alert("a", Firing, time(0))]).await.unwrap();
        let read = knowledge.inbox().await.unwrap();
        knowledge.take_in(&[alert("a", Resolved, time(1))]).await.unwrap();
        assert_eq!(knowledge.mark_processed(&read).await.unwrap(), 0);
        let left = knowledge.inbox().await.unwrap();
        assert_eq!((left[0].status, left[0].processed), (Resolved, false));
    })
    .await;
}

#[tokio::test]
async fn alert_keys_are_kept_a_day_from_when_they_were_last_heard_of() {
    use AlertStatus::{Firing, Resolved};
    on_both(async |knowledge| {
        knowledge
            .take_in(&[
                alert("silent", Firing, time(0)),
                alert("repeated", Firing, time(0)),
                alert("over", Resolved, time(0)),
                alert("unseen", Resolved, time(0)),
            ])
            .await
            .unwrap();
        let mut seen = knowledge.inbox().await.unwrap();
        seen.retain(|alert| alert.fingerprint != "unseen");
        assert_eq!(knowledge.mark_processed(&seen).await.unwrap(), 3);
        knowledge.take_in(&[alert("repeated", Firing, time(DAY / 2))]).await.unwrap();
        assert_eq!(pruned(&knowledge, time(DAY)).await, 0, "a day is not over");
        assert_eq!(pruned(&knowledge, time(DAY + 1)).await, 2);
        let mut left: Vec<_> =
            knowledge.inbox().await.unwrap().into_iter().map(|a| a.fingerprint).collect();
        left.sort();
        assert_eq!(left, ["repeated", "unseen"]);
    })
    .await;
}

/// S12: what was acknowledged is never dropped for what comes later: a full inbox takes in what is said of known alerts
/// and refuses new ones, until some have ended.
#[tokio::test]
async fn s12_a_full_inbox_refuses_new_alerts_and_drops_none() {
    use AlertStatus::{Firing, Resolved};
    use Intake::{Accepted, Duplicate};
    let knowledge = Knowledge::in_memory();
    let storm: Vec<_> = (0..MAX_ALERTS).map(|n| alert(&n.to_string(), Firing, time(1))).collect();
    knowledge.take_in(&storm).await.unwrap();
    let new = [alert("new", Firing, time(2))];
    for refused in [&new[..], &[alert("7", Firing, time(2)), new[0].clone()]] {
        let error = knowledge.take_in(refused).await.expect_err("full");
        assert!(matches!(error, StoreError::Full { kept: MAX_ALERTS, .. }), "{error}");
    }
    let known = [alert("7", Firing, time(3)), alert("8", Resolved, time(3))];
    assert_eq!(knowledge.take_in(&known).await.unwrap(), [Duplicate, Accepted]);
    assert!(knowledge.take_in(&new).await.is_err(), "no cycle has seen the resolution");
    assert_eq!(pruned(&knowledge, time(4)).await, 0);
    let seen = knowledge.inbox().await.unwrap();
    assert_eq!(seen.len(), MAX_ALERTS);
    knowledge.mark_processed(&seen).await.unwrap();
    assert_eq!(knowledge.take_in(&new).await.unwrap(), [Accepted]);
    assert!(knowledge.take_in(&[alert("newer", Firing, time(5))]).await.is_err());
}

/// Nothing is asserted of the rate; it is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_taken_in_by_the_hundred_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let knowledge = Knowledge::open(&settings(Database::Sqlite, folder.path())).await.unwrap();
    let batches: Vec<Vec<_>> = (0..100)
        .map(|b| {
            (0..100).map(|n| alert(&format!("{b}-{n}"), AlertStatus::Firing, time(0))).collect()
        })
        .collect();
    let mut slowest = Duration::ZERO;
    let start = Instant::now();
    for batch in &batches {
        let begun = Instant::now();
        assert_eq!(knowledge.take_in(batch).await.unwrap(), [Intake::Accepted; 100]);
        slowest = slowest.max(begun.elapsed());
    }
    let took = start.elapsed();
    println!(
        "10000 alerts in batches of 100: {:.0} alerts/s, slowest batch {slowest:?}",
        10_000.0 / took.as_secs_f64()
    );
    let start = Instant::now();
    let inbox = knowledge.inbox().await.unwrap();
    assert_eq!(inbox.len(), 10_000);
    println!("inbox of 10000 alerts read in {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(knowledge.mark_processed(&inbox).await.unwrap(), 10_000);
    println!("10000 alerts marked in {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(pruned(&knowledge, after(time(0), Duration::from_secs(25 * 3600))).await, 10_000);
    println!("10000 alerts pruned in {:?}", start.elapsed());
}
