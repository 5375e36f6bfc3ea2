//! S03 at Charter: every change says under which leadership it is sent, and a Charter that has heard of a later one ends
//! everything: nothing took effect, nothing was undone, nothing more is sent.

use mape_k::actuators::charter::Call;
use mape_k::domain::execution::{ActionState as S, ExecutionStatus};
use serde_json::json;

use super::*;
use crate::fake_charter::StrategyOrder;

fn stale() -> StrategyOrder {
    StrategyOrder::Answer(
        409,
        json!({"error": "epoch 7 is over, 8 has been seen", "code": "stale_epoch"}),
    )
}

fn leading(fake: &FakeCharter, epoch: Option<u64>) -> Executor {
    let mut executor = executor(settings(&fake.base));
    executor.speak_with(epoch);
    executor
}

#[tokio::test]
async fn s03_every_change_carries_the_epoch_and_nothing_else_does() {
    let refusal = StrategyOrder::Answer(400, json!({"error": "not today", "code": "refused"}));
    for epoch in [Some(7), None] {
        let fake = FakeCharter::start().await;
        fake.script(Call::Apply, [StrategyOrder::Normal, refusal.clone()]);
        // Scaled, throttled, refused; rolled back and scaled back.
        let actions = vec![scale_up(5), throttle(), baseline()];
        let execution = run(&leading(&fake, epoch), actions).await;
        assert_eq!(execution.status, ExecutionStatus::RolledBack);
        let wanted = epoch.map(|epoch: u64| epoch.to_string());
        let mut changing = 0;
        for seen in fake.seen() {
            let changes =
                matches!(seen.call, Call::Apply | Call::Rollback | Call::Scale | Call::Restart);
            changing += usize::from(changes);
            assert_eq!(seen.epoch, wanted.clone().filter(|_| changes), "{seen:?}");
        }
        assert_eq!(changing, 5);
    }
}

#[tokio::test]
async fn s03_a_stale_epoch_is_refused_for_good_and_nothing_more_is_sent() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Apply, [stale()]);
    let ledger = Ledger::new();
    let actions = vec![scale_up(5), throttle(), baseline()];
    let stop = CancellationToken::new();
    let execution = run_with(&leading(&fake, Some(7)), actions, &ledger, &stop).await;
    assert_eq!(fake.changes().len(), 2, "neither again, nor the next, nor an undo");
    assert_eq!(fake.replicas(), 5, "what the one who leads takes over stays as it is");
    assert_eq!(states(&execution), [S::Applied, S::Refused, S::Refused]);
    assert!(!execution.actions[1].invalid, "it says nothing of the action");
    let error = execution.error.expect("it says why");
    assert!(error.contains("epoch 7") && error.contains("8 has been seen"), "{error}");
    let said = ledger.superseded.lock().unwrap().clone();
    assert!(said.len() == 1 && said[0].contains("8 has been seen"), "{said:?}");
}

/// A rollback that Charter answers with another 409 is done; this one is not.
#[tokio::test]
async fn s03_a_stale_epoch_at_a_rollback_is_no_undo() {
    let fake = FakeCharter::start().await;
    let refusal = StrategyOrder::Answer(400, json!({"error": "not today", "code": "refused"}));
    fake.script(Call::Apply, [StrategyOrder::Normal, refusal]);
    fake.script(Call::Rollback, [stale()]);
    let actions = vec![throttle(), baseline()];
    let execution = run(&leading(&fake, Some(7)), actions).await;
    assert_eq!(states(&execution), [S::UndoSent, S::Refused]);
    assert_eq!(fake.policies()[0]["status"], "active");
    assert_eq!(execution.status, ExecutionStatus::Failed);
    assert_eq!(fake.seen_of(Call::Rollback).len(), 1);
}
