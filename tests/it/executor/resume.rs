//! An execution that a dead process left, taken up again: looked for, taken back, or left as it is. Never sent again.

use mape_k::actuators::charter::Prior;
use mape_k::domain::execution::ActionState as S;
use mape_k::domain::execution::{ActionRecord, ExecutionStatus};
use mape_k::executor::undo_key;

use chrono::TimeDelta;
use serde_json::json;

use super::*;
use crate::fake_charter::StrategyOrder;

/// As the journal has it after the settling at a start; sent long ago.
fn left(mode: ExecutionMode, actions: Vec<(Action, ActionState)>) -> Execution {
    let policy = policy(actions.iter().map(|(action, _)| action.clone()).collect());
    let keys = keys(actions.len());
    let mut execution = Execution::intended(&policy, Uuid::new_v4(), &keys, mode, now());
    for (record, (_, state)) in execution.actions.iter_mut().zip(actions) {
        record.state = state;
        record.sent_at = Some(now() - TimeDelta::minutes(5));
        record.absent_since = (state == S::Unknown).then(|| now() - TimeDelta::minutes(4));
        crate::fake_charter::kept(record, |prior| prior.replicas = Some(3));
        crate::fake_charter::kept(record, |prior| {
            prior.listed = (state == S::Unknown).then(|| ["old".to_owned()].into());
        });
    }
    execution.status = ExecutionStatus::Failed;
    execution.interrupted = true;
    execution
}

async fn resumed(fake: &FakeCharter, execution: Execution) -> (Execution, Vec<Vec<ActionState>>) {
    let ledger = Ledger::new();
    let stop = CancellationToken::new();
    let executor = executor(settings(&fake.base));
    let after = executor.resume(execution, &ledger, &stop, &now).await;
    (after, ledger.states())
}

fn listed(id: &str, status: &str) -> serde_json::Value {
    json!({"policy_id": id, "status": status, "action": "throttle_requests", "rate_limit": 800, "duration_seconds": 900})
}

#[tokio::test]
async fn what_is_found_is_applied_with_charter_s_id_and_ends_when_it_was_asked_to() {
    let fake = FakeCharter::start().await;
    fake.world().policies.extend([listed("old", "active"), listed("new", "active")]);
    let execution = left(ExecutionMode::Transactional, vec![(throttle(), S::Unknown)]);
    let sent_at = execution.actions[0].sent_at.expect("a time");
    let (after, written) = resumed(&fake, execution).await;
    assert_eq!((states(&after), after.status), (vec![S::Applied], ExecutionStatus::Completed));
    assert_eq!(Prior::of(&after.actions[0]).policy_id.as_deref(), Some("new"));
    assert_eq!(after.actions[0].expires_at, Some(sent_at + TimeDelta::seconds(900)));
    assert_eq!((after.error, Prior::of(&after.actions[0]).listed), (None, None));
    assert_eq!(written, [[S::Applied], [S::Applied]]);
    assert_eq!(fake.calls(), [Call::Policies], "looked at, nothing sent");
}

#[tokio::test]
async fn what_is_not_there_never_arrived_and_the_rest_of_a_transaction_is_taken_back() {
    let fake = FakeCharter::start().await;
    fake.world().replicas = 5;
    fake.world().policies.push(listed("old", "active"));
    let half = vec![(scale_up(5), S::Applied), (throttle(), S::Unknown)];
    let (after, written) = resumed(&fake, left(ExecutionMode::Transactional, half.clone())).await;
    assert_eq!(states(&after), [S::Undone, S::Refused]);
    assert_eq!(after.status, ExecutionStatus::RolledBack);
    assert_eq!((fake.replicas(), fake.policies().len()), (3, 1));
    assert!(written.contains(&vec![S::UndoSent, S::Refused]), "before it is sent: {written:?}");

    fake.world().replicas = 5;
    let (after, _) = resumed(&fake, left(ExecutionMode::BestEffort, half)).await;
    assert_eq!((states(&after), fake.replicas()), (vec![S::Applied, S::Refused], 5));
    assert_eq!(after.status, ExecutionStatus::Failed);
}

#[tokio::test]
async fn what_cannot_be_told_stays_unknown_and_nothing_is_written_or_undone() {
    type Change = fn(&mut ActionRecord);
    let young = |record: &mut ActionRecord| record.absent_since = Some(now());
    let unlisted =
        |record: &mut ActionRecord| crate::fake_charter::kept(record, |prior| prior.listed = None);
    let sizeless = |record: &mut ActionRecord| {
        crate::fake_charter::kept(record, |prior| prior.replicas = None);
    };
    let nothing = |_: &mut ActionRecord| {};
    let cases: [(&str, Action, Change, u32); 6] = [
        ("it may still arrive", throttle(), young, 5),
        ("the list was not read before", throttle(), unlisted, 5),
        ("the size before is not known", scale_up(4), sizeless, 5),
        ("somebody else has another size", scale_up(4), nothing, 9),
        ("a restart leaves no trace", restart("validator"), nothing, 5),
        ("two are like it", baseline(), nothing, 5),
    ];
    for (why, action, change, replicas) in cases {
        let fake = FakeCharter::start().await;
        fake.world().replicas = replicas;
        let like = |id| json!({"policy_id": id, "status": "active", "action": "apply_policy", "policy_set": "baseline"});
        fake.world().policies.extend([like("a"), like("b")]);
        let half = vec![(scale_up(5), S::Applied), (action, S::Unknown)];
        let mut execution = left(ExecutionMode::Transactional, half);
        change(&mut execution.actions[1]);
        let (after, written) = resumed(&fake, execution.clone()).await;
        assert_eq!(after, execution, "{why}");
        assert!(written.is_empty() && fake.changes().is_empty(), "{why}");
    }
}

#[tokio::test]
async fn an_undo_that_was_cut_goes_on_under_the_same_key() {
    let fake = FakeCharter::start().await;
    fake.world().replicas = 5;
    fake.world().policies.push(listed("p-1", "active"));
    let half = vec![(scale_up(5), S::Applied), (throttle(), S::UndoSent), (baseline(), S::Refused)];
    let mut execution = left(ExecutionMode::Transactional, half);
    crate::fake_charter::kept(&mut execution.actions[1], |prior| {
        prior.policy_id = Some("p-1".into());
    });
    let (after, _) = resumed(&fake, execution.clone()).await;
    assert_eq!(states(&after), [S::Undone, S::Undone, S::Refused]);
    assert_eq!(after.status, ExecutionStatus::RolledBack);
    let keys: Vec<_> = fake.seen().into_iter().filter_map(|seen| seen.key).collect();
    let expected = [1, 0].map(|index: usize| undo_key(execution.actions[index].key).to_string());
    assert_eq!(keys, expected, "in reverse, each under its undo's own key");
}

/// Compare and restore: the size only while it is ours, a policy only by its own id.
#[tokio::test]
async fn what_somebody_else_has_changed_since_is_not_touched() {
    let fake = FakeCharter::start().await;
    fake.world().replicas = 9;
    fake.world().policies.extend([listed("ours", "rolled_back"), listed("theirs", "active")]);
    let half = vec![(scale_up(5), S::UndoSent), (throttle(), S::Applied), (baseline(), S::Refused)];
    let mut execution = left(ExecutionMode::Transactional, half);
    crate::fake_charter::kept(&mut execution.actions[1], |prior| {
        prior.policy_id = Some("ours".into());
    });
    let (after, _) = resumed(&fake, execution).await;
    assert_eq!(states(&after), [S::UndoFailed, S::Undone, S::Refused]);
    assert!(after.has_unknown() && after.is_known(), "nothing more will be found out: a person's");
    assert!(after.error.expect("an error").contains("somebody else changed the size"));
    assert_eq!(fake.replicas(), 9);
    assert_eq!(fake.policies()[1]["status"], "active");
    assert_eq!(fake.changes(), [""; 0], "what is not in force is not rolled back again");
}

/// Between two tries of an undo somebody else may change the size: it is compared again before each.
#[tokio::test]
async fn a_size_is_compared_again_before_an_undo_is_repeated() {
    let fake = FakeCharter::start().await;
    fake.world().replicas = 5;
    fake.script(Call::Scale, [StrategyOrder::Answer(503, json!({}))]);
    let half = vec![(scale_up(5), S::Applied), (baseline(), S::Refused)];
    let execution = left(ExecutionMode::Transactional, half);
    let base = fake.base.clone();
    let resuming = tokio::spawn(async move {
        let executor = executor(settings(&base));
        executor.resume(execution, &Ledger::new(), &CancellationToken::new(), &now).await
    });
    while fake.seen_of(Call::Scale).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.world().replicas = 8;
    let after = resuming.await.expect("it runs");
    assert_eq!(states(&after), [S::UndoFailed, S::Refused]);
    assert_eq!((fake.replicas(), fake.seen_of(Call::Scale).len()), (8, 1));
}

async fn resumed_under(fake: &FakeCharter, execution: Execution, says: Option<&str>) -> Execution {
    let ledger = says.map_or_else(Ledger::new, |why| Ledger::halting_after(0, Ok(why)));
    let executor = executor(Settings { max_retries: 1, ..settings(&fake.base) });
    executor.resume(execution, &ledger, &CancellationToken::new(), &now).await
}

/// How long ago it was sent says nothing of a time in which nobody looked: the first look is no proof.
#[tokio::test]
async fn s02_what_is_not_there_is_lost_only_at_a_second_look_well_after_the_first() {
    let fake = FakeCharter::start().await;
    let mut execution = left(ExecutionMode::BestEffort, vec![(scale_up(5), S::Unknown)]);
    execution.actions[0].absent_since = None;
    let (after, written) = resumed(&fake, execution).await;
    assert_eq!(states(&after), [S::Unknown]);
    assert!(after.actions[0].absent_since.is_some() && !written.is_empty(), "not written down");
    let (again, written) = resumed(&fake, after.clone()).await;
    assert_eq!((&again, written.len()), (&after, 0), "too soon after it");
    let mut later = after;
    later.actions[0].absent_since = Some(now() - TimeDelta::seconds(2));
    let (lost, _) = resumed(&fake, later).await;
    assert_eq!(states(&lost), [S::Refused]);
}

/// What passes ends no undo: what was not begun stays as it was, what was begun goes on under the same key.
#[tokio::test]
async fn s09_a_passing_failure_ends_no_undo() {
    let busy = || StrategyOrder::Answer(503, json!({}));
    let slow = || StrategyOrder::Answer(429, json!({"error": "too many", "code": "rate_limited"}));
    let lost = || StrategyOrder::Answer(401, json!({"error": "no key", "code": "unauthorized"}));
    let cases: [(&str, Call, StrategyOrder, S); 6] = [
        ("the rollback is not served", Call::Rollback, busy(), S::UndoSent),
        ("too many calls", Call::Rollback, slow(), S::UndoSent),
        ("a key to be corrected", Call::Rollback, lost(), S::UndoSent),
        ("its answer is lost", Call::Rollback, StrategyOrder::Reset, S::UndoSent),
        ("a gateway gave up", Call::Rollback, StrategyOrder::Answer(502, json!({})), S::UndoSent),
        ("the list is not read", Call::Policies, busy(), S::Applied),
    ];
    for (why, call, turn, state) in cases {
        let fake = FakeCharter::start().await;
        fake.world().policies.push(listed("p-1", "active"));
        let half = vec![(throttle(), S::Applied), (baseline(), S::Refused)];
        let mut execution = left(ExecutionMode::Transactional, half);
        crate::fake_charter::kept(&mut execution.actions[0], |prior| {
            prior.policy_id = Some("p-1".into());
        });
        fake.script(call, [turn]);
        let put_off = resumed_under(&fake, execution, None).await;
        assert_eq!(states(&put_off), [state, S::Refused], "{why}: {put_off:?}");
        assert!(put_off.interrupted && put_off.is_open(), "{why}: forgotten");
        let ended = resumed_under(&fake, put_off, None).await;
        assert_eq!(states(&ended), [S::Undone, S::Refused], "{why}");
        assert!(!ended.interrupted, "{why}");
        let keys: std::collections::BTreeSet<_> =
            fake.seen_of(Call::Rollback).into_iter().map(|seen| seen.key).collect();
        assert_eq!(keys.len(), 1, "{why}: one undo, one key");
    }
}

#[tokio::test]
async fn s09_a_size_that_cannot_be_read_ends_no_undo() {
    let fake = FakeCharter::start().await;
    fake.world().replicas = 5;
    fake.script(Call::CommitteeState, [StrategyOrder::Answer(503, json!({}))]);
    let half = vec![(scale_up(5), S::Applied), (baseline(), S::Refused)];
    let put_off = resumed_under(&fake, left(ExecutionMode::Transactional, half), None).await;
    assert_eq!((states(&put_off), fake.replicas()), (vec![S::Applied, S::Refused], 5));
    assert!(put_off.interrupted);
    let ended = resumed_under(&fake, put_off, None).await;
    assert_eq!((states(&ended), fake.replicas()), (vec![S::Undone, S::Refused], 3));
}

/// A pause leaves what it finds, and what it interrupted is still to be done when it is over.
#[tokio::test]
async fn s01_a_pause_or_a_stop_concludes_nothing() {
    let fake = FakeCharter::start().await;
    fake.world().replicas = 5;
    for state in [S::Applied, S::UndoSent] {
        let half = vec![(scale_up(5), state), (baseline(), S::Refused)];
        let execution = left(ExecutionMode::Transactional, half);
        let paused = resumed_under(&fake, execution, Some("paused by alice")).await;
        assert_eq!(states(&paused), [state, S::Refused]);
        assert!(paused.interrupted, "{state:?}: taken for concluded");
    }
    assert_eq!(fake.changes(), [""; 0]);
}

/// A Charter that has forgotten its policies gives their ids anew: the one there now is somebody else's.
#[tokio::test]
async fn s01_an_id_that_names_another_policy_by_now_is_not_rolled_back() {
    let fake = FakeCharter::start().await;
    let theirs = json!({"policy_id": "p-1", "status": "active", "action": "throttle_requests", "rate_limit": 50, "duration_seconds": 900});
    fake.world().policies.push(theirs.clone());
    for state in [S::Applied, S::UndoSent] {
        let half = vec![(throttle(), state), (baseline(), S::Refused)];
        let mut execution = left(ExecutionMode::Transactional, half);
        crate::fake_charter::kept(&mut execution.actions[0], |prior| {
            prior.policy_id = Some("p-1".into());
        });
        let (after, _) = resumed(&fake, execution).await;
        assert_eq!(states(&after), [S::Undone, S::Refused], "ours is gone");
    }
    assert_eq!((fake.policies(), fake.changes()), (vec![theirs], Vec::<String>::new()));
}

/// Stopped while Charter works on the rollback: the next process goes on with it.
#[tokio::test]
async fn s09_a_stop_while_an_undo_hangs_ends_no_undo() {
    let fake = FakeCharter::start().await;
    fake.world().policies.push(listed("p-1", "active"));
    fake.script(Call::Rollback, [StrategyOrder::Hang]);
    let half = vec![(throttle(), S::Applied), (baseline(), S::Refused)];
    let mut execution = left(ExecutionMode::Transactional, half);
    crate::fake_charter::kept(&mut execution.actions[0], |prior| {
        prior.policy_id = Some("p-1".into());
    });
    let stop = CancellationToken::new();
    let patient = Settings {
        timeout_seconds: Duration::from_secs(30),
        policy_timeout: Duration::from_secs(60),
        ..settings(&fake.base)
    };
    let (executor, ledger) = (executor(patient), Ledger::new());
    let stopping = async {
        fake.hangs().await;
        stop.cancel();
    };
    let (after, ()) = tokio::join!(executor.resume(execution, &ledger, &stop, &now), stopping);
    assert_eq!(states(&after), [S::UndoSent, S::Refused]);
    assert!(after.interrupted);
    let ended = resumed_under(&fake, after, None).await;
    assert_eq!((states(&ended), ended.interrupted), (vec![S::Undone, S::Refused], false));
}
