//! A28: time-outs, lost answers and retries. Never a blind second POST.

use std::time::Instant;

use mape_k::actuators::charter::Call;
use mape_k::actuators::charter::Prior;
use mape_k::domain::execution::{ActionState as S, ExecutionStatus};
use mape_k::executor::{Idempotency, Settings};

use serde_json::json;

use super::*;
use crate::fake_charter::StrategyOrder;

fn one_key(fake: &FakeCharter, call: Call) -> usize {
    let seen = fake.seen_of(call);
    assert!(seen.iter().all(|s| s.key.is_some() && s.key == seen[0].key), "one key: {seen:?}");
    assert!(seen.iter().all(|s| s.body == seen[0].body), "the same bytes: {seen:?}");
    seen.len()
}

/// The calls to Charter as far as they matter to the order of looking and sending.
fn looked_before_each_repeat(fake: &FakeCharter, send: Call, look: Call) {
    let calls: Vec<Call> =
        fake.calls().into_iter().filter(|call| *call == send || *call == look).collect();
    assert!(!calls.windows(2).any(|pair| pair == [send, send]), "a blind second POST: {calls:?}");
}

#[tokio::test]
async fn a28_a_hang_on_validate_fails_at_the_timeout() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Validate, vec![StrategyOrder::Hang; 3]);
    let started = Instant::now();
    let execution = run(&executor(settings(&fake.base)), vec![throttle()]).await;
    println!("three validations at 1 s each given up after {:?}", started.elapsed());
    assert_eq!(states(&execution), [S::Refused]);
    assert!(execution.error.expect("an error").contains("timeout_seconds"));
    assert_eq!(fake.calls(), [Call::Validate; 3], "retried freely, and nothing sent");
}

#[tokio::test]
async fn a28_a_policy_s_time_bounds_it_whatever_hangs() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Validate, vec![StrategyOrder::Hang; 3]);
    let executor = executor(Settings {
        timeout_seconds: Duration::from_secs(30),
        policy_timeout: Duration::from_millis(600),
        ..settings(&fake.base)
    });
    let started = Instant::now();
    let execution = run(&executor, vec![throttle()]).await;
    println!("a policy of 0.6 s given up after {:?}", started.elapsed());
    assert_eq!(states(&execution), [S::Refused]);
    assert!(execution.error.expect("an error").contains("policy_timeout"));
    assert!(started.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn a28_a_hang_on_apply_that_took_effect_is_found_by_looking() {
    for turn in [
        StrategyOrder::DoThenHang,
        StrategyOrder::DoThenReset,
        StrategyOrder::DoThenAnswer(502),
        StrategyOrder::DoThenAnswer(504),
    ] {
        let fake = keyless_fake().await;
        // One like it from before must not be taken for ours.
        fake.world().policies.push(json!({
            "policy_id": "old", "status": "active", "action": "throttle_requests",
            "rate_limit": 800, "duration_seconds": 900
        }));
        fake.script(Call::Apply, [turn.clone()]);
        let execution = run(&executor(settings(&fake.base)), vec![throttle()]).await;
        assert_eq!(execution.status, ExecutionStatus::Completed, "{turn:?}: {execution:?}");
        assert_eq!(Prior::of(&execution.actions[0]).policy_id.as_deref(), Some("p-2"));
        assert_eq!(one_key(&fake, Call::Apply), 1, "{turn:?}: not sent again");
    }
}

#[tokio::test]
async fn a28_an_apply_that_is_surely_not_there_is_sent_again_under_the_same_key() {
    let answered = [StrategyOrder::Answer(500, json!({})), StrategyOrder::Nonsense(200)];
    let under_way = [StrategyOrder::Hang, StrategyOrder::Reset];
    let cases = answered.map(|turn| (turn, Idempotency::No)).into_iter();
    // What may still arrive does no harm at a Charter that honours the key.
    for (turn, honours) in cases.chain(under_way.map(|turn| (turn, Idempotency::Yes))) {
        let fake = FakeCharter::start().await;
        fake.world().honours_keys = honours == Idempotency::Yes;
        fake.script(Call::Apply, [turn.clone()]);
        let settings = Settings { idempotent_charter: honours, ..settings(&fake.base) };
        let execution = run(&executor(settings), vec![throttle()]).await;
        assert_eq!(execution.status, ExecutionStatus::Completed, "{turn:?}: {execution:?}");
        assert_eq!(one_key(&fake, Call::Apply), 2, "{turn:?}");
        assert_eq!(fake.policies().len(), 1);
        looked_before_each_repeat(&fake, Call::Apply, Call::Policies);
    }
}

/// Not there when looked for, and there a moment later: a second try would have been a second effect.
#[tokio::test]
async fn s02_what_may_still_arrive_at_a_charter_without_keys_is_not_sent_again() {
    for turn in [
        StrategyOrder::Hang,
        StrategyOrder::Reset,
        StrategyOrder::HangThenDo(Duration::from_millis(1_100)),
    ] {
        let fake = keyless_fake().await;
        fake.script(Call::Apply, [turn.clone()]);
        let execution = run(&executor(settings(&fake.base)), vec![throttle()]).await;
        assert_eq!(states(&execution), [S::Unknown], "{turn:?}: {execution:?}");
        assert_eq!(one_key(&fake, Call::Apply), 1, "{turn:?}");
        let error = execution.error.expect("an error");
        assert!(error.contains("may still arrive"), "{error}");
    }
}

#[tokio::test]
async fn a28_what_cannot_be_told_is_unknown_and_not_sent_again() {
    let unreadable = || vec![StrategyOrder::Answer(500, json!({})); 3];
    let cases = [
        (restart("validator"), Call::Restart, Call::Violations),
        (throttle(), Call::Apply, Call::Policies),
        (scale_up(5), Call::Scale, Call::CommitteeState),
    ];
    for (action, call, look) in cases {
        let fake = keyless_fake().await;
        fake.script(call, [StrategyOrder::DoThenHang]);
        // The read before sending is answered, the look after it is not.
        fake.script(look, [StrategyOrder::Normal]);
        fake.script(look, unreadable());
        let execution = run(&executor(settings(&fake.base)), vec![action.clone()]).await;
        assert_eq!(states(&execution), [S::Unknown], "{action}: {execution:?}");
        assert_eq!(execution.status, ExecutionStatus::Failed);
        assert!(execution.has_unknown());
        assert_eq!(one_key(&fake, call), 1, "{action}");
    }
}

#[tokio::test]
async fn a28_a_charter_known_to_honour_keys_is_asked_again_where_looking_tells_nothing() {
    for (setting, learnt, tries) in [
        (Idempotency::Auto, true, 2),
        (Idempotency::Auto, false, 1),
        (Idempotency::Yes, false, 2),
        (Idempotency::No, true, 1),
    ] {
        let fake = FakeCharter::start().await;
        let executor = executor(Settings { idempotent_charter: setting, ..settings(&fake.base) });
        if learnt {
            run(&executor, vec![throttle()]).await;
        }
        fake.script(Call::Restart, [StrategyOrder::DoThenHang]);
        let execution = run(&executor, vec![restart("validator")]).await;
        assert_eq!(one_key(&fake, Call::Restart), tries, "{setting:?} learnt {learnt}");
        assert_eq!(fake.restarts(), ["validator"], "restarted once, whatever was sent");
        let state = if tries == 2 { S::Applied } else { S::Unknown };
        assert_eq!(states(&execution), [state], "{setting:?} learnt {learnt}");
    }
}

#[tokio::test]
async fn a28_503_503_200_succeeds_under_one_key() {
    let busy = StrategyOrder::Answer(503, json!({"error": "busy", "code": "busy"}));
    for (action, call) in
        [(throttle(), Call::Apply), (scale_up(5), Call::Scale), (restart("auditor"), Call::Restart)]
    {
        let fake = keyless_fake().await;
        fake.script(call, [busy.clone(), busy.clone()]);
        let execution = run(&executor(settings(&fake.base)), vec![action.clone()]).await;
        assert_eq!(execution.status, ExecutionStatus::Completed, "{action}: {execution:?}");
        assert_eq!((one_key(&fake, call), execution.actions[0].tries), (3, 3), "{action}");
    }
    let fake = keyless_fake().await;
    fake.script(Call::Apply, vec![busy; 3]);
    let execution = run(&executor(settings(&fake.base)), vec![throttle()]).await;
    assert_eq!((states(&execution), one_key(&fake, Call::Apply)), (vec![S::Refused], 3));
    assert!(execution.error.expect("an error").contains("503: busy"));
}

#[tokio::test]
async fn a28_400_is_not_retried() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Apply, [StrategyOrder::Answer(400, json!({"error": "no", "code": "bad"}))]);
    let execution = run(&executor(settings(&fake.base)), vec![throttle()]).await;
    assert_eq!((states(&execution), one_key(&fake, Call::Apply)), (vec![S::Refused], 1));
    assert!(execution.error.expect("an error").contains("400 bad: no"));
}

#[tokio::test]
async fn a28_three_hangs_in_a_row_end_as_unknown() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Apply, vec![StrategyOrder::Hang; 3]);
    let settings = Settings { idempotent_charter: Idempotency::Yes, ..settings(&fake.base) };
    let execution = run(&executor(settings), vec![throttle()]).await;
    assert_eq!(states(&execution), [S::Unknown], "the last may still be on its way");
    assert_eq!(one_key(&fake, Call::Apply), 3);
    looked_before_each_repeat(&fake, Call::Apply, Call::Policies);
}

#[tokio::test]
async fn a_size_that_somebody_else_sets_meanwhile_is_not_fought_over() {
    let fake = keyless_fake().await;
    fake.script(Call::Scale, [StrategyOrder::Hang]);
    let base = fake.base.clone();
    let running =
        tokio::spawn(async move { run(&executor(settings(&base)), vec![scale_up(5)]).await });
    while fake.seen_of(Call::Scale).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.world().replicas = 9;
    let execution = running.await.expect("it runs");
    assert_eq!(states(&execution), [S::Unknown]);
    assert_eq!((fake.replicas(), one_key(&fake, Call::Scale)), (9, 1));
}

#[tokio::test]
async fn an_undo_whose_answer_is_lost_is_looked_for_as_well() {
    let fake = keyless_fake().await;
    fake.script(
        Call::Apply,
        [StrategyOrder::Normal, StrategyOrder::Answer(400, json!({"error": "no", "code": "bad"}))],
    );
    fake.script(Call::Rollback, [StrategyOrder::DoThenHang]);
    let execution = run(&executor(settings(&fake.base)), vec![throttle(), baseline()]).await;
    assert_eq!(states(&execution), [S::Undone, S::Refused]);
    assert_eq!(execution.status, ExecutionStatus::RolledBack);
    assert_eq!(one_key(&fake, Call::Rollback), 1);
}

#[tokio::test]
async fn after_an_unknown_result_best_effort_touches_the_same_ground_no_more() {
    let fake = keyless_fake().await;
    fake.script(Call::Restart, [StrategyOrder::DoThenHang]);
    let actions = vec![restart("validator"), restart("auditor"), throttle()];
    let execution = run(&executor(best_effort(&fake.base)), actions).await;
    assert_eq!(states(&execution), [S::Unknown, S::Applied, S::Refused]);
    assert_eq!(fake.seen_of(Call::Apply).len(), 0);
}
