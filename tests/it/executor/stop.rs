//! A49: the process is told to stop in the middle of an execution.

use std::time::Instant;

use mape_k::actuators::charter::Call;
use mape_k::domain::execution::{ActionState as S, ExecutionStatus};
use mape_k::executor::Settings;

use super::*;
use crate::fake_charter::StrategyOrder;

/// Runs the actions and stops as soon as Charter sees this call.
async fn stopped_at(fake: &FakeCharter, call: Call, actions: Vec<Action>) -> (Execution, Ledger) {
    let stop = CancellationToken::new();
    let ledger = Ledger::new();
    let executor = executor(Settings {
        timeout_seconds: Duration::from_secs(30),
        policy_timeout: Duration::from_secs(60),
        ..settings(&fake.base)
    });
    let watching = async {
        while fake.seen_of(call).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        Instant::now()
    };
    let (execution, since) = tokio::join!(run_with(&executor, actions, &ledger, &stop), watching);
    println!("ended {:?} after the stop", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(100), "ten times what A49 allows");
    let last = ledger.records.lock().unwrap().last().cloned();
    assert_eq!(last.as_ref(), Some(&execution), "all of it is in the journal");
    (execution, ledger)
}

#[tokio::test]
async fn a49_a_call_in_flight_is_given_time_to_finish() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Scale, [StrategyOrder::Late(Duration::from_millis(500))]);
    let (execution, _) = stopped_at(&fake, Call::Scale, vec![scale_up(5)]).await;
    assert_eq!(execution.status, ExecutionStatus::Completed);
}

#[tokio::test]
async fn a49_no_new_action_is_started_and_the_earlier_ones_are_undone() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Scale, [StrategyOrder::Late(Duration::from_millis(500))]);
    let (execution, _) = stopped_at(&fake, Call::Scale, vec![scale_up(5), throttle()]).await;
    assert_eq!(states(&execution), [S::Undone, S::Refused]);
    assert_eq!(execution.status, ExecutionStatus::RolledBack);
    assert!(execution.error.expect("an error").contains("the process is stopping"));
    assert_eq!((fake.replicas(), fake.seen_of(Call::Apply).len()), (3, 0));
}

#[tokio::test]
async fn a49_what_does_not_finish_is_recorded_as_unknown_and_the_earlier_ones_are_undone() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Apply, [StrategyOrder::Hang]);
    let (execution, _) = stopped_at(&fake, Call::Apply, vec![scale_up(5), throttle()]).await;
    assert_eq!(states(&execution), [S::Undone, S::Unknown]);
    assert_eq!(execution.status, ExecutionStatus::Failed, "nobody knows about the second");
    assert_eq!((fake.replicas(), fake.seen_of(Call::Apply).len()), (3, 1));
}

#[tokio::test]
async fn a49_a_stop_before_anything_was_sent_sends_nothing() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Validate, [StrategyOrder::Hang]);
    let (execution, _) = stopped_at(&fake, Call::Validate, vec![scale_up(5)]).await;
    assert_eq!(states(&execution), [S::Refused]);
    assert_eq!(fake.changes().len(), 0);
}
