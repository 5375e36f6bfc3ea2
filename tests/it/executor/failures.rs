//! When something fails: what is undone, what goes on, and what the journal says at each step.

use mape_k::actuators::charter::Call;
use mape_k::actuators::charter::Prior;
use mape_k::domain::execution::{ActionState as S, ActionState, ExecutionStatus};
use mape_k::executor::{Settings, settle_interrupted};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use serde_json::json;

use super::*;
use crate::fake_charter::StrategyOrder;

fn refusal() -> StrategyOrder {
    StrategyOrder::Answer(400, json!({"error": "not today", "code": "refused"}))
}

#[tokio::test]
async fn a26_the_third_of_three_fails_and_the_first_two_are_undone_in_reverse() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Apply, [StrategyOrder::Normal, refusal()]);
    let actions = vec![scale_up(5), throttle(), baseline()];
    let execution = run(&executor(settings(&fake.base)), actions).await;
    assert_eq!(execution.status, ExecutionStatus::RolledBack);
    assert!((execution.success_rate - 2.0 / 3.0).abs() < 1e-9, "{}", execution.success_rate);
    assert_eq!(states(&execution), [S::Undone, S::Undone, S::Refused]);
    assert!(execution.error.expect("an error").contains("not today"));
    let changes = fake.changes();
    assert_eq!(changes.len(), 5, "{changes:?}");
    assert_eq!(changes[0], r#"{"replicas":5}"#);
    assert!(changes[1].contains("throttle_requests") && changes[2].contains("apply_policy"));
    assert_eq!(changes[3], "/api/v1/policies/p-1/rollback");
    assert_eq!(changes[4], r#"{"replicas":3}"#);
}

#[tokio::test]
async fn a27_best_effort_undoes_nothing_and_runs_the_rest() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Apply, [refusal()]);
    let actions = vec![scale_up(5), throttle(), baseline()];
    let execution = run(&executor(best_effort(&fake.base)), actions).await;
    assert_eq!(execution.status, ExecutionStatus::Failed);
    assert_eq!(states(&execution), [S::Applied, S::Refused, S::Applied]);
    assert_eq!((fake.changes().len(), fake.replicas()), (3, 5));
}

#[tokio::test]
async fn the_journal_knows_of_every_call_before_it_is_sent() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Apply, [refusal()]);
    let ledger = Ledger::new();
    let stop = CancellationToken::new();
    let executor = executor(settings(&fake.base));
    run_with(&executor, vec![scale_up(5), throttle()], &ledger, &stop).await;
    let expected: [[ActionState; 2]; 10] = [
        [S::Intent, S::Intent],
        [S::Validated, S::Intent],
        [S::Sent, S::Intent],
        [S::Applied, S::Intent],
        [S::Applied, S::Validated],
        [S::Applied, S::Sent],
        [S::Applied, S::Refused],
        [S::UndoSent, S::Refused],
        [S::Undone, S::Refused],
        [S::Undone, S::Refused],
    ];
    assert_eq!(ledger.states(), expected);
    let records = ledger.records.lock().unwrap();
    assert_eq!(records[2].actions[0].tries, 1);
    assert_eq!(Prior::of(&records[2].actions[0]).replicas, Some(3), "before it is sent");
    let (last, rest) = records.split_last().expect("records");
    assert!(rest.iter().all(|record| record.status == ExecutionStatus::InProgress));
    assert_eq!(last.status, ExecutionStatus::RolledBack);
}

#[tokio::test]
async fn without_a_journal_nothing_happens_and_when_it_breaks_no_further_call_is_made() {
    // How many records the journal takes, and what may have been sent by then.
    let cases = [(0, 0, S::Refused), (1, 0, S::Refused), (2, 0, S::Refused), (3, 1, S::Applied)];
    for (takes, changes, first) in cases {
        let fake = FakeCharter::start().await;
        let ledger = Ledger::taking(takes);
        let stop = CancellationToken::new();
        let executor = executor(settings(&fake.base));
        let execution = run_with(&executor, vec![throttle(), baseline()], &ledger, &stop).await;
        assert_eq!(fake.changes().len(), changes, "{takes}: {execution:?}");
        assert_eq!(states(&execution), [first, S::Refused], "{takes}");
        assert_eq!(execution.status, ExecutionStatus::Failed);
        assert!(execution.error.expect("an error").contains("disk full"), "{takes}");
        if takes == 0 {
            assert_eq!(fake.calls(), [], "not even validated");
        }
    }
}

#[tokio::test]
async fn undo_leaves_alone_what_somebody_else_has_changed_since() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Apply, [StrategyOrder::Late(Duration::from_millis(200)), refusal()]);
    let base = fake.base.clone();
    let running = tokio::spawn(async move {
        let executor = executor(settings(&base));
        run(&executor, vec![scale_up(5), throttle(), baseline()]).await
    });
    while fake.seen_of(Call::Apply).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.world().replicas = 9;
    let execution = running.await.expect("it runs");
    assert_eq!(states(&execution), [S::UndoFailed, S::Undone, S::Refused]);
    assert_eq!(execution.status, ExecutionStatus::Failed, "not everything was taken back");
    assert!(execution.error.expect("an error").contains("somebody else changed the size"));
    assert_eq!((fake.replicas(), fake.seen_of(Call::Scale).len()), (9, 1));
}

#[tokio::test]
async fn a_refused_undo_is_said_so_and_what_is_not_in_force_counts_as_undone() {
    let fake = FakeCharter::start().await;
    fake.script(
        Call::Apply,
        [StrategyOrder::Normal, StrategyOrder::Normal, StrategyOrder::Normal, refusal()],
    );
    let expired = StrategyOrder::Answer(409, json!({"error": "expired", "code": "not_active"}));
    fake.script(
        Call::Rollback,
        [
            StrategyOrder::Answer(403, json!({"error": "frozen", "code": "x"})),
            StrategyOrder::Answer(404, json!({"error": "gone", "code": "x"})),
            expired,
        ],
    );
    let executor = executor(settings(&fake.base));
    let execution = run(&executor, vec![throttle(), baseline(), baseline(), throttle()]).await;
    assert_eq!(states(&execution), [S::Undone, S::Undone, S::UndoFailed, S::Refused]);
    assert_eq!(execution.status, ExecutionStatus::Failed);
    assert!(execution.error.expect("an error").contains("undo failed"));
}

#[tokio::test]
async fn with_rollback_off_the_earlier_actions_stay_and_the_error_says_so() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Apply, [refusal()]);
    let executor = executor(Settings { rollback_enabled: false, ..settings(&fake.base) });
    let execution = run(&executor, vec![scale_up(5), throttle()]).await;
    assert_eq!(states(&execution), [S::Applied, S::Refused]);
    assert!(execution.error.expect("an error").contains("rollback_enabled"));
    assert_eq!(fake.replicas(), 5);
}

#[tokio::test]
async fn a_scale_that_would_do_the_opposite_by_now_is_not_sent() {
    let fake = FakeCharter::start().await;
    fake.world().replicas = 8;
    let execution = run(&executor(settings(&fake.base)), vec![scale_up(5)]).await;
    assert_eq!(states(&execution), [S::Refused]);
    assert!(execution.error.expect("an error").contains("8 replicas by now"));
    assert_eq!((fake.replicas(), fake.changes().len()), (8, 0));
}

#[tokio::test]
async fn each_action_needs_a_key_of_its_own() {
    let fake = FakeCharter::start().await;
    let executor = executor(settings(&fake.base));
    let key = Uuid::new_v4();
    let ledger = Ledger::new();
    for (actions, keys) in [
        (vec![throttle(), baseline()], vec![key]),
        (vec![throttle(), baseline()], vec![key, key]),
        (vec![], vec![]),
    ] {
        let stop = CancellationToken::new();
        let policy = policy(actions);
        let execution = executor.execute(&policy, Uuid::new_v4(), keys, &ledger, &stop, &now).await;
        assert_eq!(execution.status, ExecutionStatus::Failed);
        assert!(execution.error.expect("an error").contains("its own"));
    }
    assert_eq!(fake.calls(), []);
}

#[tokio::test]
async fn what_a_dead_process_left_running_is_settled_from_the_journal() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Apply, [refusal()]);
    let ledger = Ledger::new();
    let stop = CancellationToken::new();
    let executor = executor(settings(&fake.base));
    run_with(&executor, vec![scale_up(5), throttle()], &ledger, &stop).await;
    let settled = |index: usize| {
        let record = ledger.records.lock().unwrap()[index].clone();
        settle_interrupted(record, now())
    };
    let expected = [
        [S::Refused, S::Refused],
        [S::Refused, S::Refused],
        [S::Unknown, S::Refused],
        [S::Applied, S::Refused],
        [S::Applied, S::Refused],
        [S::Applied, S::Unknown],
        [S::Applied, S::Refused],
        [S::UndoSent, S::Refused],
        [S::Undone, S::Refused],
    ];
    for (index, expected) in expected.into_iter().enumerate() {
        let execution = settled(index);
        assert_eq!(states(&execution), expected, "crashed after record {index}");
        let undone = expected[0] == S::Undone;
        let status = if undone { ExecutionStatus::RolledBack } else { ExecutionStatus::Failed };
        assert_eq!(execution.status, status);
        // What is in effect of half a transaction, or may be, is brought to an end with a look at Charter.
        assert_eq!(execution.is_open(), (2..=7).contains(&index), "crashed after record {index}");
        assert!(execution.error.is_some() && execution.ended_at.is_some());
    }
    let ended = ledger.records.lock().unwrap().last().cloned().expect("a record");
    assert_eq!(settle_interrupted(ended.clone(), now()), ended, "what had ended stays as it was");
}
