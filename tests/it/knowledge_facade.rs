//! What the loop, the intake and people see of knowledge; each test runs over memory and over SQLite.

use std::path::Path;

use mape_k::domain::Cause;
use mape_k::domain::action::{Action, ActionKind, Risk};
use mape_k::domain::alert::AlertStatus;
use mape_k::domain::need::{Need, NeedReason};
use mape_k::domain::outcome::{Insight, Outcome, OutcomeType};
use mape_k::domain::policy::{Approval, Policy, Priority};
use mape_k::domain::time::Time;
use mape_k::knowledge::{
    Database, Decision, DecisionError, Fact, Intake, Knowledge, Pruned, Settings, When, Written,
};
use uuid::Uuid;

use crate::inbox::alert;
use crate::learning::outcome;
use crate::store_contract::time;

pub const DAY: i64 = 24 * 3600;

pub fn settings(database: Database, folder: &Path) -> Settings {
    Settings { database, sqlite_path: folder.join("knowledge.db"), ..Settings::default() }
}

/// How many records the bounds dropped.
pub async fn pruned(knowledge: &Knowledge, now: Time) -> u64 {
    let mut pruned = Pruned::default();
    knowledge.prune(now, 100, &mut pruned).await.unwrap();
    assert_eq!(pruned.alerts_lost, 0);
    pruned.records
}

pub async fn on_both(test: impl AsyncFn(Knowledge)) {
    let folder = tempfile::tempdir().unwrap();
    for database in [Database::Memory, Database::Sqlite] {
        println!("over {database:?}");
        test(Knowledge::open(&settings(database, folder.path())).await.unwrap()).await;
    }
}

fn policy(number: u128, approval: Approval) -> Policy {
    Policy {
        id: Uuid::from_u128(number),
        revision: 2,
        cause: Cause::new(Cause::VALIDATION_LATENCY),
        component: "charter".into(),
        cause_confidence: 0.75,
        actions: vec![Action::ScaleUp { replicas: 3 }],
        expected_impact: "latency back under its threshold".into(),
        risk: Risk::Low,
        cost: 0.15,
        benefit: 0.75,
        score: 0.6,
        approval,
        priority: Priority::High,
        evidence: vec!["f".into()],
        labels: std::collections::BTreeMap::default(),
        created_at: time(0),
        updated_at: time(0),
        decided_at: None,
        decided_by: None,
        decision_reason: None,
        earlier: Vec::new(),
        plan_hash: String::new(),
        grant: None,
    }
}

fn escalation(number: u128, closed_at: Option<Time>) -> Need {
    Need {
        approval: None,
        target: None,
        incident: None,
        id: Uuid::from_u128(number),
        reason: NeedReason::UnknownCause,
        cause: None,
        component: None,
        subject: "a rule".into(),
        detail: "nobody knows why".into(),
        evidence: vec![],
        opened_at: time(0),
        closed_at,
        times_seen: 1,
        last_active_at: time(0),
    }
}

async fn save<T: mape_k::knowledge::Document>(knowledge: &Knowledge, documents: &[T]) {
    let mut batch = knowledge.batch();
    for document in documents {
        batch.put(document);
    }
    knowledge.commit(batch).await.unwrap();
}

#[tokio::test]
async fn documents_come_back_equal_and_page_by_page() {
    on_both(async |knowledge| {
        let policies: Vec<_> = (0..5).map(|n| policy(n, Approval::Pending)).collect();
        save(&knowledge, &policies).await;
        let key = policies[0].id.to_string();
        assert_eq!(knowledge.get::<Policy>(&key).await.unwrap(), Some((policies[0].clone(), 1)));
        assert_eq!(knowledge.get::<Policy>("nobody").await.unwrap(), None);
        let first = knowledge.page::<Policy>(Some("pending"), None, 3).await.unwrap();
        assert_eq!(first.items, [policies[4].clone(), policies[3].clone(), policies[2].clone()]);
        let last = knowledge.page::<Policy>(Some("pending"), first.next, 3).await.unwrap();
        assert_eq!(last.items, [policies[1].clone(), policies[0].clone()]);
        assert_eq!(last.next, None);
        assert_eq!(knowledge.all::<Policy>(Some("approved")).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_ends_with_the_last_record_has_no_next() {
    on_both(async |knowledge| {
        save(&knowledge, &[policy(1, Approval::Pending), policy(2, Approval::Pending)]).await;
        assert_eq!(knowledge.page::<Policy>(None, None, 2).await.unwrap().next, None);
        assert!(knowledge.page::<Policy>(None, None, 1).await.unwrap().next.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_batch_writes_facts_under_conditions_and_an_empty_one_writes_nothing() {
    on_both(async |knowledge| {
        assert_eq!(knowledge.commit(knowledge.batch()).await.unwrap(), []);
        let fact = |value: u32| Fact { name: "size".into(), value: value.into(), at: time(0) };
        let mut batch = knowledge.batch();
        batch.put(&fact(1));
        batch.put_if(&fact(2), When::Absent);
        batch.delete::<Policy>("nobody");
        assert!(!batch.is_empty());
        let written = knowledge.commit(batch).await.unwrap();
        assert_eq!(written, [Written::Done, Written::Skipped, Written::Done]);
        assert_eq!(knowledge.get::<Fact>("size").await.unwrap(), Some((fact(1), 1)));
    })
    .await;
}

#[tokio::test]
async fn a_pending_policy_is_decided_once_at_the_revision_that_was_read() {
    on_both(async |knowledge| {
        save(
            &knowledge,
            &[
                policy(1, Approval::Pending),
                policy(2, Approval::Pending),
                policy(3, Approval::Executed),
            ],
        )
        .await;
        let decide = async |number, revision, decision| {
            knowledge
                .decide_policy(Uuid::from_u128(number), revision, None, decision, "ann", time(9))
                .await
        };
        let approved = decide(1, 2, Decision::Approve).await.unwrap();
        assert_eq!(approved.approval, Approval::Approved);
        assert_eq!(
            (approved.decided_by.as_deref(), approved.decided_at),
            (Some("ann"), Some(time(9)))
        );
        let stored = knowledge.get::<Policy>(&approved.id.to_string()).await.unwrap().unwrap().0;
        assert_eq!(stored, approved);
        assert_eq!(decide(2, 2, Decision::Reject).await.unwrap().approval, Approval::Rejected);

        assert!(matches!(
            decide(1, 2, Decision::Reject).await,
            Err(DecisionError::NotPending { .. })
        ));
        assert!(matches!(
            decide(3, 2, Decision::Approve).await,
            Err(DecisionError::NotPending { .. })
        ));
        assert!(matches!(
            decide(4, 2, Decision::Approve).await,
            Err(DecisionError::NotFound { .. })
        ));
    })
    .await;
}

#[tokio::test]
async fn a_decision_on_an_older_revision_is_answered_with_the_present_one() {
    on_both(async |knowledge| {
        save(&knowledge, &[policy(1, Approval::Pending)]).await;
        let error = knowledge
            .decide_policy(Uuid::from_u128(1), 1, None, Decision::Approve, "ann", time(9))
            .await
            .unwrap_err();
        let DecisionError::OtherRevision { named: 1, present } = error else { panic!("{error}") };
        assert_eq!(*present, policy(1, Approval::Pending));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_people_who_decide_at_once_one_is_refused() {
    on_both(async |knowledge| {
        for number in 0..10 {
            save(&knowledge, &[policy(number, Approval::Pending)]).await;
            let id = Uuid::from_u128(number);
            let (yes, no) = tokio::join!(
                knowledge.decide_policy(id, 2, None, Decision::Approve, "ann", time(9)),
                knowledge.decide_policy(id, 2, None, Decision::Reject, "bob", time(9)),
            );
            assert!(yes.is_ok() != no.is_ok(), "{yes:?} {no:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_open_outlives_the_retention_and_what_is_over_does_not() {
    on_both(async |knowledge| {
        let all: Vec<_> = Approval::ALL.into_iter().zip(1..).map(|(a, n)| policy(n, a)).collect();
        save(&knowledge, &all).await;
        save(&knowledge, &[escalation(1, None), escalation(2, Some(time(5)))]).await;
        save(&knowledge, &[outcome(1, ActionKind::ScaleUp, OutcomeType::Success)]).await;
        assert_eq!(pruned(&knowledge, time(29 * DAY)).await, 0);
        assert_eq!(pruned(&knowledge, time(31 * DAY)).await, 5);
        let open: Vec<_> =
            knowledge.all::<Policy>(None).await.unwrap().into_iter().map(|p| p.approval).collect();
        assert_eq!(open, [Approval::Approved, Approval::Pending]);
        assert_eq!(knowledge.all::<Need>(None).await.unwrap(), [escalation(1, None)]);
        assert_eq!(
            knowledge.all::<Outcome>(None).await.unwrap().len(),
            1,
            "kept by number, not by age"
        );
    })
    .await;
}

/// A35
#[tokio::test]
async fn a35_the_1001st_outcome_evicts_the_oldest() {
    on_both(async |knowledge| {
        let failed = outcome(0, ActionKind::ScaleUp, OutcomeType::Ineffective);
        let cured = (1..=1000).map(|n| outcome(n, ActionKind::ScaleUp, OutcomeType::Success));
        let all: Vec<_> = std::iter::once(failed.clone()).chain(cured).collect();
        save(&knowledge, &all[..1000]).await;
        assert_eq!(pruned(&knowledge, time(0)).await, 0);
        assert_eq!(knowledge.statistics().await.unwrap()[0].successes, 999);
        save(&knowledge, &all[1000..]).await;
        let before = knowledge.statistics().await.unwrap();
        assert_eq!((before[0].runs, before[0].successes), (1000, 1000));
        assert_eq!(pruned(&knowledge, time(0)).await, 1);
        assert_eq!(knowledge.get::<Outcome>(&failed.id.to_string()).await.unwrap(), None);
        assert_eq!(knowledge.statistics().await.unwrap(), before);
    })
    .await;
}

/// A35
#[tokio::test]
async fn a35_a_restart_finds_the_same_statistics_and_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Database::Sqlite, folder.path());
    let verdicts = OutcomeType::ALL.into_iter().cycle().take(77).zip(1..);
    let outcomes: Vec<_> = verdicts.map(|(v, n)| outcome(n, ActionKind::ScaleUp, v)).collect();
    let before = {
        let knowledge = Knowledge::open(&settings).await.unwrap();
        save(&knowledge, &outcomes).await;
        save(&knowledge, &[policy(1, Approval::Pending)]).await;
        knowledge.take_in(&[alert("a", AlertStatus::Firing, time(0))]).await.unwrap();
        knowledge.statistics().await.unwrap()
    };
    let knowledge = Knowledge::open(&settings).await.unwrap();
    assert_eq!(knowledge.statistics().await.unwrap(), before);
    assert_eq!(knowledge.all::<Policy>(None).await.unwrap(), [policy(1, Approval::Pending)]);
    let repeated = knowledge.take_in(&[alert("a", AlertStatus::Firing, time(1))]).await.unwrap();
    assert_eq!(repeated, [Intake::Duplicate]);
    assert_eq!(knowledge.inbox().await.unwrap().len(), 1);
}

async fn refresh(knowledge: &Knowledge, now: Time) -> Result<usize, mape_k::knowledge::StoreError> {
    knowledge.refresh_insights(&knowledge.statistics().await?, now).await
}

/// A34
#[tokio::test]
async fn a34_insights_are_kept_by_cause_and_action_and_written_only_when_they_say_something_new() {
    on_both(async |knowledge| {
        assert_eq!(refresh(&knowledge, time(0)).await.unwrap(), 0);
        save(&knowledge, &[outcome(1, ActionKind::ScaleUp, OutcomeType::Success)]).await;
        assert_eq!(refresh(&knowledge, time(1)).await.unwrap(), 1);
        assert_eq!(refresh(&knowledge, time(2)).await.unwrap(), 0);
        assert_eq!(knowledge.all::<Insight>(None).await.unwrap()[0].updated_at, time(1));
        save(&knowledge, &[outcome(2, ActionKind::ScaleUp, OutcomeType::Ineffective)]).await;
        assert_eq!(refresh(&knowledge, time(3)).await.unwrap(), 1);
        let said = knowledge.all::<Insight>(None).await.unwrap();
        assert_eq!(said.len(), 1);
        assert!(said[0].title.contains("50 %"), "{}", said[0].title);
    })
    .await;
}

#[tokio::test]
async fn learning_and_insights_can_be_turned_off() {
    let settings = Settings {
        database: Database::Memory,
        pattern_learning_enabled: false,
        insight_generation_enabled: false,
        ..Settings::default()
    };
    let knowledge = Knowledge::open(&settings).await.unwrap();
    save(&knowledge, &[outcome(1, ActionKind::ScaleUp, OutcomeType::Success)]).await;
    assert_eq!(knowledge.statistics().await.unwrap(), []);
    assert_eq!(refresh(&knowledge, time(0)).await.unwrap(), 0);
}
