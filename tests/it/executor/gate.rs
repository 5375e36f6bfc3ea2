//! The executor's last line: nothing is sent without a grant of exactly this, against the guardrails, or while paused.

use mape_k::actuators::charter::Call;
use mape_k::domain::action::{ActionKind, Risk};
use mape_k::domain::execution::{ActionState as S, ExecutionStatus};
use mape_k::executor::Rails;
use serde_json::json;

use super::*;
use crate::fake_charter::StrategyOrder;

const PAUSED: &str = "paused by ada until 2026-11-22T04:00:00Z: deploying";

fn three() -> Vec<Action> {
    vec![scale_up(5), throttle(), baseline()]
}

fn overriding() -> Vec<Action> {
    vec![Action::ActivateEmergencyOverride { duration_seconds: 900 }]
}

async fn under(fake: &FakeCharter, rails: Rails, policy: &Policy) -> Execution {
    let executor = executor(Settings { rails, ..settings(&fake.base) });
    carry_out(&executor, policy, &Ledger::new(), &CancellationToken::new()).await
}

/// Runs three actions at a Charter whose loop is halted from so many journal records on.
async fn halted(
    fake: &FakeCharter,
    records: usize,
    says: Result<&str, &str>,
) -> (Execution, Ledger) {
    let ledger = Ledger::halting_after(records, says);
    let executor = executor(settings(&fake.base));
    let execution = run_with(&executor, three(), &ledger, &CancellationToken::new()).await;
    assert_eq!(ledger.records.lock().unwrap().last(), Some(&execution), "all of it is written");
    (execution, ledger)
}

/// S04: paused after the first of three: the second is not sent, the first is left as it is, and the end says why.
#[tokio::test]
async fn s04_paused_between_two_actions_nothing_more_is_sent_and_nothing_undone() {
    // Four records an action: begun or the one before, validated, sent, applied. At the sixth the second action's try
    // is already in the journal.
    for records in [4, 5, 6] {
        let fake = FakeCharter::start().await;
        let (execution, _) = halted(&fake, records, Ok(PAUSED)).await;
        assert_eq!(fake.changes(), [r#"{"replicas":5}"#], "after {records} records");
        assert_eq!(execution.status, ExecutionStatus::Failed);
        assert_eq!(states(&execution), [S::Applied, S::Refused, S::Refused]);
        assert_eq!(execution.actions[1].tries, 0, "no try was made");
        let error = execution.error.expect("it says why");
        assert!(error.contains(&format!("in effect, not undone: {PAUSED}")), "{error}");
        assert!(error.contains(&format!("not sent: {PAUSED}")), "{error}");
    }
}

#[tokio::test]
async fn s04_paused_before_the_first_not_even_validation_is_asked() {
    let fake = FakeCharter::start().await;
    let (execution, _) = halted(&fake, 0, Ok(PAUSED)).await;
    assert_eq!((execution.status, fake.calls()), (ExecutionStatus::Failed, vec![]));
}

/// Paused while a failed policy is taken back: what is in effect stays.
#[tokio::test]
async fn s04_paused_before_the_undo_nothing_is_undone() {
    for records in [7, 9] {
        let fake = FakeCharter::start().await;
        fake.script(
            Call::Apply,
            [StrategyOrder::Answer(400, json!({"error": "no", "code": "refused"}))],
        );
        let (execution, _) = halted(&fake, records, Ok(PAUSED)).await;
        assert_eq!((fake.changes().len(), fake.replicas()), (2, 5), "after {records} records");
        assert_eq!(execution.status, ExecutionStatus::Failed);
        assert!(execution.error.expect("it says why").contains(PAUSED));
    }
}

/// A call that came to nothing is not tried again once the loop is paused.
#[tokio::test]
async fn s04_paused_between_two_tries_there_is_no_second() {
    let fake = FakeCharter::start().await;
    fake.script(
        Call::Scale,
        [StrategyOrder::Answer(503, json!({"error": "busy", "code": "busy"}))],
    );
    let (execution, _) = halted(&fake, 4, Ok(PAUSED)).await;
    assert_eq!((fake.changes().len(), fake.replicas()), (1, 3));
    assert_eq!((states(&execution)[0], execution.actions[0].tries), (S::Refused, 1));
}

/// Whether it is paused cannot be read: that is no leave to act.
#[tokio::test]
async fn s04_a_store_that_cannot_say_stops_everything() {
    for (records, sent) in [(0, 0), (3, 0), (4, 1), (6, 1)] {
        let fake = FakeCharter::start().await;
        let (execution, _) = halted(&fake, records, Err("the record is damaged")).await;
        assert_eq!(fake.changes().len(), sent, "after {records} records");
        assert_eq!(execution.status, ExecutionStatus::Failed);
        assert!(execution.error.expect("it says why").contains("the record is damaged"));
        assert!(!execution.actions.iter().any(|a| a.state == S::Sent));
    }
}

/// An approval binds what was seen: any other policy than that is refused, and Charter hears nothing of it.
#[tokio::test]
async fn a_policy_without_a_grant_of_exactly_this_is_never_sent() {
    type Case = (fn(&mut Policy), &'static str);
    let cases: [Case; 8] = [
        (|p| p.grant = None, "nobody has approved it"),
        (|p| p.revision = 2, "ada approved revision 1, and this is revision 2"),
        (|p| p.actions[0] = scale_up(20), "hash to"),
        (|p| p.actions.push(baseline()), "hash to"),
        (|p| p.component = "ingest".to_owned(), "hash to"),
        (|p| p.cause = Cause::new("another"), "hash to"),
        (|p| p.id = Uuid::new_v4(), "hash to"),
        (
            |p| p.grant.as_mut().expect("one").expires_at = now() - Duration::from_millis(1),
            "the approval by ada expired at",
        ),
    ];
    for (change, why) in cases {
        let fake = FakeCharter::start().await;
        let mut policy = policy(vec![scale_up(5)]);
        change(&mut policy);
        let execution = under(&fake, Rails::default(), &policy).await;
        assert_eq!(execution.status, ExecutionStatus::Failed);
        let error = execution.error.expect("it says why");
        assert!(error.contains(why), "not for {why:?}: {error}");
        assert_eq!(fake.calls(), vec![], "no call may happen");
    }
}

/// The hash is of numbers as they are: what the store gives back is what was approved.
#[test]
fn a_policy_that_was_stored_hashes_as_before() {
    for n in 1..2_000 {
        let rate_limit = 0.8 * (997.0 + f64::from(n) / 7.0);
        let policy = policy(vec![Action::ThrottleRequests { rate_limit, duration_seconds: 900 }]);
        let stored = serde_json::to_string(&policy).expect("JSON");
        let stored: Policy = serde_json::from_str(&stored).expect("a policy");
        assert_eq!(stored, policy);
        assert!(stored.granted(now()).is_ok(), "{rate_limit}");
    }
}

/// An approval that ends between two actions ends there; what was done under it is taken back as after any failure.
#[tokio::test]
async fn an_approval_that_expires_between_two_actions_carries_no_further() {
    let fake = FakeCharter::start().await;
    let policy = policy(three());
    let later = || if fake.changes().is_empty() { now() } else { now() + Duration::from_secs(901) };
    let executor = executor(settings(&fake.base));
    let (ledger, stop) = (Ledger::new(), CancellationToken::new());
    let execution =
        executor.execute(&policy, Uuid::new_v4(), keys(3), &ledger, &stop, &later).await;
    assert_eq!(execution.status, ExecutionStatus::RolledBack);
    assert_eq!(fake.changes(), [r#"{"replicas":5}"#, r#"{"replicas":3}"#]);
    assert!(execution.error.expect("it says why").contains("expired"));
}

/// High risk waits for a person, whatever the record calls it, unless the configuration says otherwise in so many words.
#[tokio::test]
async fn high_risk_is_not_sent_on_the_loops_own_approval() {
    let by_itself = |risk| approved("auto", Policy { risk, ..undecided(overriding()) });
    for risk in [Risk::Low, Risk::High] {
        let fake = FakeCharter::start().await;
        let execution = under(&fake, Rails::default(), &by_itself(risk)).await;
        assert!(
            execution.error.expect("it says why").contains("guardrails.auto_approve_high_risk")
        );
        assert_eq!(fake.calls(), vec![], "no call may happen");
    }
    let fake = FakeCharter::start().await;
    let execution = under(&fake, Rails::default(), &policy(overriding())).await;
    assert_eq!(execution.approved_by.as_deref(), Some("ada"));
    assert_eq!((execution.status, fake.changes().len()), (ExecutionStatus::Completed, 1));
    let said = Rails { auto_approve_high_risk: true, ..Rails::default() };
    let execution = under(&fake, said, &by_itself(Risk::High)).await;
    assert_eq!(execution.approved_by.as_deref(), Some("auto"));
    assert_eq!((execution.status, fake.changes().len()), (ExecutionStatus::Completed, 2));
}

/// The guardrails hold here too, however the policy came.
#[tokio::test]
async fn what_the_guardrails_forbid_is_not_sent_though_it_is_approved() {
    let forbidden = [ActionKind::ScaleUp].into();
    let asks = [ActionKind::ScaleUp].into();
    let cases = [
        (Rails { asks, ..Rails::default() }, "auto", "waits for a person each time"),
        (Rails { observe: true, ..Rails::default() }, "ada", "guardrails.mode is observe"),
        (Rails { forbidden, ..Rails::default() }, "ada", "guardrails.forbidden_actions"),
        (Rails { suggest: true, ..Rails::default() }, "auto", "guardrails.mode is suggest"),
    ];
    for (rails, by, why) in cases {
        let fake = FakeCharter::start().await;
        let policy = approved(by, undecided(vec![scale_up(5)]));
        let execution = under(&fake, rails, &policy).await;
        assert_eq!(execution.status, ExecutionStatus::Failed);
        let error = execution.error.expect("it says why");
        assert!(error.contains(why), "not for {why:?}: {error}");
        assert_eq!(fake.calls(), vec![], "no call may happen");
    }
    let fake = FakeCharter::start().await;
    let suggest = Rails { suggest: true, ..Rails::default() };
    let execution = under(&fake, suggest, &policy(vec![scale_up(5)])).await;
    assert_eq!(execution.status, ExecutionStatus::Completed, "a person approved it");
}
