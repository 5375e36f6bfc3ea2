//! The executor against the reference Charter over HTTP: two readings of one contract.

use mape_k::actuators::charter::PolicyStatus;
use mape_k::charter_sandbox::Options;
use mape_k::domain::execution::{ActionState as S, ExecutionStatus};
use mape_k::domain::secret::Secret;
use mape_k::executor::Settings;
use uuid::Uuid;

use super::*;
use crate::charter_integration::{nine_actions, reference};
use crate::support::eventually::eventually;

/// Time enough for a loaded machine; nothing here hangs.
fn patient(base: &str) -> Settings {
    Settings {
        timeout_seconds: Duration::from_secs(30),
        policy_timeout: Duration::from_secs(60),
        charter_api_key: Some(Secret::new("the-key".into())),
        ..settings(base)
    }
}

async fn with_key() -> String {
    reference(Options { api_key: Some("the-key".into()), ..Options::default() }).await
}

#[tokio::test]
async fn a15_the_reference_charter_takes_each_of_the_nine_actions_and_their_undo() {
    for action in nine_actions() {
        let base = with_key().await;
        let (executor, reader) = (executor(patient(&base)), super::charter(&patient(&base)));
        let before = reader.client().committee_state().await.expect("a state").replicas;
        // No Charter takes this one, so the first is undone.
        let execution = run(&executor, vec![action.clone(), scale_up(100_000)]).await;
        let undone = match action {
            Action::RestartService { .. } => S::Applied,
            _ => S::Undone,
        };
        assert_eq!(states(&execution), [undone, S::Refused], "{action}: {execution:?}");
        let client = reader.client();
        assert_eq!(client.committee_state().await.expect("a state").replicas, before, "{action}");
        let listed = client.policies().await.expect("a list");
        assert!(
            listed.iter().all(|policy| policy.status == PolicyStatus::RolledBack),
            "{listed:?}"
        );
    }
}

#[tokio::test]
async fn a23_a24_a25_policies_committee_and_violations_of_the_reference_charter() {
    let key = Some("the-key".to_owned());
    let options = Options { api_key: key, sandbox: true, speed: 10.0, ..Options::default() };
    let base = reference(options).await;
    let reader = super::charter(&patient(&base));
    let client = reader.client();
    let id = client.apply(&throttle(), now(), Uuid::new_v4()).await.expect("applied");
    assert!(client.honours_keys());
    let listed = client.policies().await.expect("a list");
    let entry = listed.iter().find(|policy| policy.policy_id == id).expect("listed");
    assert_eq!(entry.body["action"], "throttle_requests");
    client.rollback(&id, Uuid::new_v4()).await.expect("rolled back");
    let again = client.rollback(&id, Uuid::new_v4()).await.expect_err("not active any more");
    assert_eq!(again.refused_with(), Some(409));
    let unknown = client.rollback("no-such", Uuid::new_v4()).await.expect_err("unknown");
    assert_eq!(unknown.refused_with(), Some(404));

    let replicas =
        super::charter(&patient(&base)).observe(now()).await.state.expect("both answer").replicas;
    client.scale(replicas + 1, Uuid::new_v4()).await.expect("scaled");
    assert_eq!(client.committee_state().await.expect("a state").replicas, replicas + 1);
    let outside = client.scale(100_000, Uuid::new_v4()).await.expect_err("outside");
    assert_eq!(outside.refused_with(), Some(400));
    client.restart(Some("validator"), true, Uuid::new_v4()).await.expect("restarted");
    assert!(client.violations().await.expect("a list").is_empty(), "nothing is violated yet");
    let fault = serde_json::json!({"fault": "misconfigured_policy"});
    let order = reqwest::Client::new().post(format!("{base}/sandbox/faults")).json(&fault);
    assert_eq!(order.send().await.expect("an answer").status(), 201);
    eventually(Duration::from_secs(60), "a violation is listed", async || {
        let listed = client.violations().await.map_err(|e| e.to_string())?;
        listed.first().map(|v| v.severity.clone()).ok_or("none yet".to_owned())
    })
    .await;
}

#[tokio::test]
async fn a29_the_reference_charter_and_a_wrong_key() {
    let base = with_key().await;
    let wrong = Some(Secret::new("wrong".into()));
    let executor = executor(Settings { charter_api_key: wrong, ..patient(&base) });
    let execution = run(&executor, vec![scale_up(5)]).await;
    assert_eq!(execution.status, ExecutionStatus::Failed);
    assert!(execution.error.expect("an error").contains("execute.charter_api_key"));
}
