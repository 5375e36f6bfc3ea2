//! What goes over the wire: bodies, headers, keys, and what every answer is taken for.

use std::sync::Arc;
use std::time::Duration;

use mape_k::actuators::charter::{Call, CallStatus};
use mape_k::actuators::charter::{Charter, Prior};
use mape_k::actuators::charter::{Opinion, PolicyStatus};
use mape_k::domain::action::Action;
use mape_k::domain::execution::{ActionState, ExecutionStatus};
use mape_k::domain::secret::Secret;
use mape_k::executor::{Settings, undo_key};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use serde_json::json;

use super::*;
use crate::charter_integration::nine_actions;
use crate::fake_charter::StrategyOrder;

#[tokio::test]
async fn a15_each_of_the_nine_actions_parses_prints_executes_and_undoes_where_it_can() {
    for action in nine_actions() {
        let text = serde_json::to_string(&action).expect("JSON");
        assert_eq!(serde_json::from_str::<Action>(&text).expect("parses"), action);
        assert!(action.to_string().starts_with(action.kind().as_str()), "{action}");

        let fake = FakeCharter::start().await;
        // The second action is invalid, so the first one is undone.
        fake.script(Call::Validate, [StrategyOrder::Normal, invalid()]);
        let execution =
            run(&executor(settings(&fake.base)), vec![action.clone(), baseline()]).await;
        let first = &execution.actions[0];
        let undone = match action {
            Action::ScaleUp { .. } | Action::ScaleDown { .. } => {
                assert_eq!(Prior::of(first).replicas, Some(3));
                fake.replicas() == 3
            }
            Action::RestartService { .. } => {
                assert_eq!(first.state, ActionState::Applied, "a restart cannot be undone");
                assert!(first.error.as_ref().is_some_and(|e| e.contains("cannot be undone")));
                assert_eq!(execution.status, ExecutionStatus::Failed);
                assert_eq!(fake.restarts(), ["validator"]);
                continue;
            }
            _ => fake.world().policies[0]["status"] == "rolled_back",
        };
        assert!(undone, "{action}: {execution:?}");
        assert_eq!(first.state, ActionState::Undone, "{action}");
        assert_eq!(execution.status, ExecutionStatus::RolledBack, "{action}");
    }
}

#[tokio::test]
async fn a21_bodies_on_the_wire_equal_the_contract() {
    let fake = FakeCharter::start().await;
    let executor = executor(Settings {
        timeout_seconds: Duration::from_secs(30),
        ..best_effort(&format!("{}/", fake.base))
    });
    let execution = run(&executor, nine_actions()).await;
    let bodies = [
        (r#"{"action":"scale_up","replicas":5}"#, "/api/v1/committee/scale", r#"{"replicas":5}"#),
        (r#"{"action":"scale_down","replicas":2}"#, "/api/v1/committee/scale", r#"{"replicas":2}"#),
        (
            r#"{"action":"restart_service","service":"validator","graceful":true}"#,
            "/api/v1/committee/restart",
            r#"{"graceful":true,"timeout":30,"service":"validator"}"#,
        ),
        (r#"{"action":"apply_policy","policy_set":"baseline"}"#, APPLY, ""),
        (
            r#"{"action":"bypass_validation","validation_type":"schema","duration_seconds":900}"#,
            APPLY,
            "",
        ),
        (r#"{"action":"throttle_requests","rate_limit":800.0,"duration_seconds":900}"#, APPLY, ""),
        (r#"{"action":"activate_emergency_override","duration_seconds":900}"#, APPLY, ""),
        (r#"{"action":"rebalance_load","strategy":"least_loaded"}"#, APPLY, ""),
        (r#"{"action":"update_configuration","settings":{"queue_limit":4000}}"#, APPLY, ""),
    ];
    assert_eq!(execution.status, ExecutionStatus::Completed, "{execution:?}");
    let validated = fake.seen_of(Call::Validate);
    let changes: Vec<_> = fake.seen().into_iter().filter(|seen| seen.key.is_some()).collect();
    assert_eq!((validated.len(), changes.len()), (9, 9));
    for (i, (policy, path, body)) in bodies.into_iter().enumerate() {
        assert_eq!(validated[i].body, policy);
        assert_eq!((changes[i].method.as_str(), changes[i].path.as_str()), ("POST", path));
        assert_eq!(changes[i].key, Some(execution.actions[i].key.to_string()));
        if path != APPLY {
            assert_eq!(changes[i].body, body);
            continue;
        }
        let sent: Value = serde_json::from_str(&changes[i].body).expect("JSON");
        let at = sent["timestamp"].as_str().expect("a time");
        chrono::DateTime::parse_from_rfc3339(at).expect("RFC 3339");
        let expected =
            format!(r#"{{"policy":{policy},"timestamp":"{at}","source":"mape_k_executor"}}"#);
        assert_eq!(changes[i].body, expected);
    }
}

const APPLY: &str = "/api/v1/policies/apply";

fn invalid() -> StrategyOrder {
    StrategyOrder::Answer(
        422,
        json!({"valid": false, "error": "no such set", "code": "invalid_policy"}),
    )
}

#[tokio::test]
async fn a22_an_invalid_policy_is_not_applied_and_the_reason_is_kept() {
    let refused_with_200 =
        StrategyOrder::Answer(200, json!({"valid": false, "error": "no such set"}));
    for turn in [invalid(), refused_with_200] {
        let fake = FakeCharter::start().await;
        fake.script(Call::Validate, [turn]);
        let execution = run(&executor(settings(&fake.base)), vec![baseline()]).await;
        assert_eq!(states(&execution), [ActionState::Refused]);
        assert_eq!(execution.status, ExecutionStatus::Failed);
        assert!(execution.error.expect("a reason").contains("no such set"));
        assert_eq!(fake.calls(), [Call::Validate], "validated first, then nothing");
    }
}

#[tokio::test]
async fn a23_a24_a25_policies_committee_and_violations_are_read_and_changed() {
    let fake = FakeCharter::start().await;
    let reader = charter(&settings(&fake.base));
    let client = reader.client();
    assert!(!client.honours_keys(), "not known yet");
    let id = client.apply(&throttle(), now(), Uuid::new_v4()).await.expect("applied");
    assert!(client.honours_keys(), "its answer carried the key back");
    let listed = client.policies().await.expect("a list");
    assert_eq!((&listed[0].policy_id, listed[0].status), (&id, PolicyStatus::Active));
    assert_eq!(listed[0].body["action"], "throttle_requests");
    client.rollback(&id, Uuid::new_v4()).await.expect("rolled back");
    assert_eq!(client.policies().await.expect("a list")[0].status, PolicyStatus::RolledBack);
    let again = client.rollback(&id, Uuid::new_v4()).await.expect_err("not active any more");
    assert_eq!(again.refused_with(), Some(409));
    let unknown = client.rollback("a/b ../c", Uuid::new_v4()).await.expect_err("unknown");
    assert_eq!(unknown.refused_with(), Some(404));
    assert!(fake.seen().iter().any(|seen| seen.path.ends_with("/a%2Fb%20..%2Fc/rollback")));

    client.scale(4, Uuid::new_v4()).await.expect("scaled");
    assert_eq!(client.committee_state().await.expect("a state").replicas, 4);
    let outside = client.scale(99, Uuid::new_v4()).await.expect_err("outside");
    assert!(
        outside.to_string().contains("400 out_of_range: replicas must be 1 to 20"),
        "{outside}"
    );
    client.restart(None, false, Uuid::new_v4()).await.expect("restarted");
    let body = &fake.seen_of(Call::Restart)[0].body;
    assert_eq!(body, r#"{"graceful":false,"timeout":1}"#, "no service: the whole committee");

    let violations = client.violations().await.expect("a list");
    assert_eq!((&*violations[0].violation_id, &*violations[0].severity), ("v-1", "critical"));
    assert_eq!(client.validate(&throttle()).await, Ok(Opinion::Valid));
}

#[tokio::test]
async fn a29_the_key_is_sent_and_a_wrong_one_is_a_clear_error_without_a_retry_storm() {
    let fake = FakeCharter::start().await;
    fake.world().api_key = Some("right".into());
    let with_key = |key: &str| Settings {
        charter_api_key: Some(Secret::new(key.into())),
        ..settings(&fake.base)
    };
    let execution = run(&executor(with_key("right")), vec![throttle()]).await;
    assert_eq!(execution.status, ExecutionStatus::Completed);
    for seen in fake.seen() {
        assert_eq!(seen.authorization.as_deref(), Some("Bearer right"), "{seen:?}");
    }

    fake.world().seen.clear();
    let execution = run(&executor(with_key("wr0ng")), vec![throttle()]).await;
    let error = execution.error.clone().expect("an error");
    assert_eq!(states(&execution), [ActionState::Refused]);
    assert!(error.contains("401") && error.contains("execute.charter_api_key"), "{error}");
    assert!(!format!("{execution:?}").contains("wr0ng"), "the key is told to nobody");
    assert_eq!(fake.seen_of(Call::Apply).len(), 1, "401 is final");
    let view = charter(&settings(&fake.base)).observe(now()).await;
    let error = view.state.expect_err("no key");
    assert!(error.contains("none is configured") && error.contains(&fake.base), "{error}");
}

#[tokio::test]
async fn what_charter_quotes_of_our_key_goes_no_further() {
    let fake = FakeCharter::start().await;
    fake.script(
        Call::Apply,
        [StrategyOrder::Answer(400, json!({"error": "bad Bearer s3cret", "code": "x"}))],
    );
    let executor = executor(Settings {
        charter_api_key: Some(Secret::new("s3cret".into())),
        ..settings(&fake.base)
    });
    let execution = run(&executor, vec![throttle()]).await;
    assert!(execution.error.clone().expect("an error").contains("bad Bearer ***"));
    assert!(!format!("{execution:?} {executor:?}").contains("s3cret"));
}

#[tokio::test]
async fn undo_goes_under_a_key_of_its_own_that_follows_from_the_action_s() {
    let fake = FakeCharter::start().await;
    fake.script(Call::Validate, [StrategyOrder::Normal, invalid()]);
    let execution = run(&executor(settings(&fake.base)), vec![throttle(), baseline()]).await;
    let key = execution.actions[0].key;
    let rollback = &fake.seen_of(Call::Rollback)[0];
    assert_eq!(rollback.key, Some(undo_key(key).to_string()));
    assert_ne!(undo_key(key), key);
    assert_eq!(undo_key(key).get_version_num(), key.get_version_num());
    assert_eq!(undo_key(key).get_variant(), key.get_variant());
}

#[tokio::test]
async fn observing_needs_both_health_and_committee_state() {
    let fake = FakeCharter::start().await;
    let watch = Arc::new(Watch::default());
    let charter = Charter::new(&settings(&fake.base).charter().expect("it is on"), watch.clone())
        .expect("Charter");
    let state = charter.observe(now()).await.state.expect("both answer");
    assert_eq!((state.replicas, state.healthy_nodes), (3, 3));
    let mut told = watch.0.lock().unwrap().clone();
    told.sort_unstable();
    let expected = [(Call::Health, CallStatus::Ok), (Call::CommitteeState, CallStatus::Ok)];
    assert_eq!(told, expected, "every call is reported, for the histogram and the heartbeat");

    fake.script(Call::Health, vec![StrategyOrder::Answer(200, json!({"status": "sick"})); 3]);
    let error = charter.observe(now()).await.state.expect_err("not healthy");
    assert!(error.contains("/health") && error.contains("not ok"), "{error}");
    fake.world().forget_script();
    fake.script(Call::CommitteeState, [StrategyOrder::Hang]);
    let error = charter.observe(now()).await.state.expect_err("hangs");
    assert!(error.contains(&fake.base) && error.contains("answer"), "{error}");
}

#[tokio::test]
async fn charter_away_is_an_error_that_names_the_address_and_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://user:pa55@{}", listener.local_addr().expect("an address"));
    drop(listener);
    let charter = charter(&settings(&base));
    let error = charter.observe(now()).await.state.expect_err("refused");
    assert!(error.contains("did not reach Charter") && error.contains("charter_url"), "{error}");
    assert!(!error.contains("pa55"), "{error}");
    let stop = CancellationToken::new();
    let execution =
        run_with(&executor(settings(&base)), vec![scale_up(5)], &Ledger::new(), &stop).await;
    assert_eq!(states(&execution), [ActionState::Refused]);
}
