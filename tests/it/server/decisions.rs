//! Approving and rejecting, over the API and by the commands that use it.

use std::net::SocketAddr;

use mape_k::cli::Output;
use mape_k::cli::client::{Client, ClientError};
use mape_k::cli::{decide, status};
use mape_k::domain::action::{Action, Risk};
use mape_k::domain::need::Need;
use mape_k::domain::policy::{Approval, Policy, Priority};
use mape_k::domain::secret::Secret;
use mape_k::domain::{CHARTER, Cause};
use mape_k::knowledge::{Decision, Knowledge};
use mape_k::server::Settings;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::escalation;
use super::{Setup, Surface, assert_fields, healthy_view, noon, read};

/// A18, the API's half: a pending policy is listed, approved by a named person at the revision they read, and the loop
/// is woken to execute it.
#[tokio::test]
async fn a18_a_pending_policy_is_approved_and_the_loop_woken() {
    let surface = Surface::start().await;
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    let (pending, _) = surface.items("/api/v1/policies?approval=pending").await;
    assert_fields(
        &pending[0],
        "id revision cause component cause_confidence actions expected_impact risk cost benefit score approval \
         priority",
    );
    assert_eq!(pending[0]["actions"], json!([{"action": "scale_up", "replicas": 5}]));
    assert!(!surface.woken());

    let (status, decided) =
        decide_on(&surface, id, "approve", json!({"revision": 2, "by": "ada"})).await;
    assert_eq!(status, StatusCode::OK, "{decided}");
    assert_eq!((&decided["approval"], &decided["decided_by"]), (&"approved".into(), &"ada".into()));
    assert!(surface.woken(), "the next cycle comes at once");
    assert_eq!(kept(&surface.knowledge, id).await.approval, Approval::Approved);
    assert!(surface.items("/api/v1/policies?approval=pending").await.0.is_empty());

    // Not twice, and not the other way round.
    for verb in ["approve", "reject"] {
        let (status, body) =
            decide_on(&surface, id, verb, json!({"revision": 2, "by": "bob"})).await;
        assert_eq!(status, StatusCode::CONFLICT, "{verb}: {body}");
    }
    assert_eq!(kept(&surface.knowledge, id).await.decided_by.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_rejection_is_recorded_and_wakes_nobody() {
    let surface = Surface::start().await;
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    let (status, _) = decide_on(&surface, id, "reject", json!({"revision": 2, "by": "ada"})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(kept(&surface.knowledge, id).await.approval, Approval::Rejected);
    assert!(!surface.woken());
}

#[tokio::test]
async fn an_older_revision_is_a_409_that_shows_the_present_one() {
    let surface = Surface::start().await;
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    let (status, body) =
        decide_on(&surface, id, "approve", json!({"revision": 1, "by": "ada"})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["present"]["revision"], 2, "{body}");
    assert_eq!(kept(&surface.knowledge, id).await.approval, Approval::Pending);
    assert!(!surface.woken());
}

#[tokio::test]
async fn a_decision_without_name_revision_or_known_id_changes_nothing() {
    let surface = Surface::start().await;
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    for (body, named) in [
        (json!({"revision": 2}), "by"),
        (json!({"revision": 2, "by": " "}), "by"),
        (json!({"by": "ada"}), "revision"),
        (json!({"revision": "two", "by": "ada"}), "revision"),
        (json!({"revision": 2, "by": "ada", "force": true}), "force"),
    ] {
        let (status, answer) = decide_on(&surface, id, "approve", body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
        assert!(answer["error"].as_str().expect("a text").contains(named), "{answer}");
    }
    let url = surface.url("/api/v1/policies/seven/approve");
    let request = surface.http.post(url).json(&json!({"revision": 2, "by": "ada"}));
    assert_eq!(read(request.send().await.expect("an answer")).await.0, StatusCode::BAD_REQUEST);
    let unknown = Uuid::from_u128(99);
    let (status, _) =
        decide_on(&surface, unknown, "approve", json!({"revision": 2, "by": "ada"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // What a web page could make a browser on this machine send.
    let request = surface.http.post(surface.url(&format!("/api/v1/policies/{id}/approve")));
    let request =
        request.header("content-type", "text/plain").body(r#"{"revision":2,"by":"a page"}"#);
    let (status, _) = read(request.send().await.expect("an answer")).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(kept(&surface.knowledge, id).await.approval, Approval::Pending);
}

#[tokio::test]
async fn with_a_token_a_post_needs_it_and_reading_does_not() {
    let api = Settings { token: Some(Secret::new("s3cret".to_owned())), ..Settings::default() };
    let surface = Setup { api, ..Setup::default() }.serve().await;
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    assert_eq!(surface.get("/api/v1/policies").await.0, StatusCode::OK);
    let url = surface.url(&format!("/api/v1/policies/{id}/approve"));
    let body = json!({"revision": 2, "by": "ada"});
    for token in [None, Some("wrong"), Some("s3cret2"), Some("")] {
        let mut request = surface.http.post(&url).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let (status, answer) = read(request.send().await.expect("an answer")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{token:?}");
        assert!(!answer.to_string().contains("s3cret"));
    }
    assert_eq!(kept(&surface.knowledge, id).await.approval, Approval::Pending);
    let request = surface.http.post(&url).json(&body).bearer_auth("s3cret");
    assert_eq!(read(request.send().await.expect("an answer")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn without_a_token_others_than_this_machine_are_told_what_to_configure() {
    let peer: SocketAddr = "192.0.2.7:4711".parse().expect("an address");
    let surface = Setup { peer: Some(peer), ..Setup::default() }.serve().await;
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    let (status, body) =
        decide_on(&surface, id, "approve", json!({"revision": 2, "by": "eve"})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body["error"].as_str().expect("a text").contains("api.token"), "{body}");
    assert_eq!(kept(&surface.knowledge, id).await.approval, Approval::Pending);
    assert_eq!(surface.get("/api/v1/state").await.0, StatusCode::OK, "reading is open");
}

#[tokio::test]
async fn the_approve_and_reject_commands_look_the_revision_up_and_say_what_was_decided() {
    let surface = Surface::start().await;
    let first = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    let second = store(&surface.knowledge, policy(2, Approval::Pending)).await;
    let client = Client::new(&surface.url("/"), None);
    let said =
        command(&client, Decision::Approve, first, None, Output::Text).await.expect("approved");
    assert!(said.contains("approved by ada") && said.contains("scale_up to 5 replicas"), "{said}");
    let said =
        command(&client, Decision::Reject, second, Some(2), Output::Json).await.expect("rejected");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["approval"], "rejected");

    // What is decided already says by whom.
    let again =
        command(&client, Decision::Approve, first, None, Output::Text).await.expect_err("decided");
    assert!(matches!(again, ClientError::NotPending(_)), "{again}");
    assert!(again.to_string().contains("approved by ada"), "{again}");
    let unknown = command(&client, Decision::Approve, Uuid::from_u128(9), None, Output::Text).await;
    assert!(matches!(unknown, Err(ClientError::NoSuchPolicy(_))));
}

#[tokio::test]
async fn the_status_command_shows_health_open_escalations_and_what_waits_for_approval() {
    let surface = Surface::start().await;
    surface.publish(healthy_view(surface.handle.now()));
    let id = store(&surface.knowledge, policy(1, Approval::Pending)).await;
    let mut batch = surface.knowledge.batch();
    let incident = super::incidents::incident("INC-1", "component/ledger", "slow");
    batch.put(&incident);
    batch.put(&Need { incident: Some(incident.id), ..escalation(1, true) });
    surface.knowledge.commit(batch).await.expect("stored");
    let client = Client::new(&surface.url(""), None);
    let mut text = Vec::new();
    status::run(&client, Output::Text, &mut text).await.expect("a status");
    let text = String::from_utf8(text).expect("a text");
    for part in
        [": ok, up 0 h", "cycle 7 healthy", "unknown_cause backlog-1 on ledger", &id.to_string()]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let mut json = Vec::new();
    status::run(&client, Output::Json, &mut json).await.expect("a status");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    assert_fields(&json, "health state statistics needs incidents violations pending_policies");

    surface.stop().await;
    let gone = status::run(&client, Output::Text, &mut Vec::new()).await.expect_err("nobody there");
    assert!(gone.to_string().contains("mape-k run"), "{gone}");
}

async fn command(
    client: &Client,
    decision: Decision,
    id: Uuid,
    revision: Option<u32>,
    format: Output,
) -> Result<String, ClientError> {
    let mut out = Vec::new();
    let named = decide::Named { subject: id.to_string(), revision, plan_hash: None };
    let (by, consent) = ("ada".to_owned(), decide::Consent::Impossible);
    let word = decide::Word { decision, named, by, reason: None, consent };
    decide::run(client, word, format, &mut out).await?;
    Ok(String::from_utf8(out).expect("a text"))
}

pub(super) async fn decide_on(
    surface: &Surface,
    id: Uuid,
    verb: &str,
    body: Value,
) -> (StatusCode, Value) {
    let url = surface.url(&format!("/api/v1/policies/{id}/{verb}"));
    read(surface.http.post(url).json(&body).send().await.expect("an answer")).await
}

pub(super) async fn store(knowledge: &Knowledge, policy: Policy) -> Uuid {
    let mut batch = knowledge.batch();
    batch.put(&policy);
    knowledge.commit(batch).await.expect("stored");
    policy.id
}

pub(super) async fn kept(knowledge: &Knowledge, id: Uuid) -> Policy {
    knowledge.get::<Policy>(&id.to_string()).await.expect("read").expect("kept").0
}

pub(super) fn policy(number: u128, approval: Approval) -> Policy {
    Policy {
        id: Uuid::from_u128(number),
        revision: 2,
        cause: Cause::new("validation_latency"),
        component: CHARTER.to_owned(),
        cause_confidence: 0.75,
        actions: vec![Action::ScaleUp { replicas: 5 }],
        expected_impact: "more replicas share the load".to_owned(),
        risk: Risk::Low,
        cost: 0.15,
        benefit: 0.75,
        score: 0.6,
        approval,
        priority: Priority::High,
        evidence: vec!["f1".to_owned()],
        labels: std::collections::BTreeMap::default(),
        created_at: noon(),
        updated_at: noon(),
        decided_at: None,
        decided_by: None,
        decision_reason: None,
        earlier: Vec::new(),
        plan_hash: String::new(),
        grant: None,
    }
}
