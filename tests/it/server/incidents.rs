//! Incidents over the API: with needs, treatments, notifications and links; and lists in which one record is damaged.

use chrono::TimeDelta;
use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::decision::Sev;
use mape_k::domain::incident::{Incident, RankedCause, Resolution};
use mape_k::domain::message::{Notified, NotifierName};
use mape_k::domain::need::{ApprovalRequest, Need, NeedReason};
use mape_k::domain::policy::{Approval, Policy};
use mape_k::domain::treatment::{Attempt, Treatment};
use mape_k::knowledge::store::{Collection, Store, When, Write};
use mape_k::knowledge::{Database, Knowledge, Settings};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{cycle, escalation};
use super::{Setup, Surface, assert_fields, healthy_view, noon};

const CART: &str = "INC-20261118_110640-001";
const BILLING: &str = "INC-20261118_110640-002";
const MERGED: &str = "INC-20261118_110000-001";
const OVER: &str = "INC-20261118_100000-001";

pub(super) fn incident(id: &str, anchor: &str, cause: &str) -> Incident {
    let bare = json!({
        "id": id, "anchor": anchor, "title": format!("{cause} at {anchor}"), "status": "needs_attention",
        "service": anchor, "class": "violation", "severity": "SEV-2", "since": noon(), "opened_at": noon(),
        "last_seen_at": noon(), "numbers": { "pods": 0, "restarts": 0 }, "evidence": [],
    });
    let mut incident: Incident = serde_json::from_value(bare).expect("an incident");
    incident.causes =
        vec![RankedCause { cause: Cause::new(cause), confidence: 0.8, since: noon() }];
    incident
}

fn need(number: u64, of: &str, is_open: bool) -> Need {
    Need {
        incident: Some(of.to_owned()),
        cause: Some(Cause::new("slow")),
        ..escalation(number, is_open)
    }
}

fn proposal() -> Policy {
    let mut policy = super::decisions::policy(1, Approval::Pending);
    (policy.cause, policy.component) = (Cause::new("slow"), "ledger".to_owned());
    policy
}

fn tried(number: u128, of: &str) -> Treatment {
    let attempts: [Attempt; 0] = [];
    let treatment = json!({
        "id": Uuid::from_u128(number), "cause": "slow", "opened_at": noon(), "last_evidence_at": noon(),
        "attempts": attempts, "impossible": [], "exhausted": false, "incident": of,
    });
    serde_json::from_value(treatment).expect("a treatment")
}

/// R05 and the first point: an incident carries its needs with the command that answers each, what was tried, who
/// was notified, and the incidents that share its cause; an answered need is among them and resolves nothing.
#[tokio::test]
async fn r05_an_incident_is_served_with_all_that_belongs_to_it() {
    let surface = Surface::start().await;
    let mut batch = surface.knowledge.batch();
    let mut told = incident(CART, "kubernetes/shop/deployment/cart", "slow");
    told.notified_at = Some(noon());
    told.notified.insert(NotifierName::Slack, Notified::Delivered { at: noon() });
    batch.put(&told);
    batch.put(&incident(BILLING, "component/billing", "slow"));
    let mut over = incident(OVER, "component/db1", "slow");
    over.ended_at = Some(noon());
    batch.put(&over);
    let mut approval = need(0, CART, true);
    approval.reason = NeedReason::ApprovalNeeded;
    let proposal = proposal();
    approval.approval = Some(ApprovalRequest {
        policy: proposal.id,
        revision: proposal.revision,
        hash: proposal.short_hash(),
        expires_at: noon(),
    });
    batch.put(&approval);
    batch.put(&need(1, CART, true));
    batch.put(&need(2, CART, false));
    batch.put(&need(3, BILLING, true));
    let attempt = Attempt {
        action: ActionKind::ScaleUp,
        policy_id: Uuid::nil(),
        at: noon(),
        verdict: None,
        failed: true,
    };
    let treatment = json!({
        "id": Uuid::from_u128(7), "cause": "slow", "opened_at": noon(), "last_evidence_at": noon(),
        "attempts": [attempt], "impossible": [], "exhausted": false, "incident": CART,
    });
    batch.put(&serde_json::from_value::<Treatment>(treatment).expect("a treatment"));
    // What was tried for the same cause elsewhere is not this incident's; what was tried in one that it took in is.
    let mut merged = incident(MERGED, "component/cart-1", "slow");
    (merged.ended_at, merged.resolution) =
        (Some(noon()), Some(Resolution::MergedInto(CART.to_owned())));
    batch.put(&merged);
    batch.put(&tried(8, BILLING));
    batch.put(&tried(9, MERGED));
    batch.put(&Need { incident: None, ..need(4, CART, true) });
    surface.knowledge.commit(batch).await.expect("stored");
    let view = healthy_view(surface.handle.now());
    surface.publish(view.clone());

    let (_, one) = surface.get(&format!("/api/v1/incidents/{CART}")).await;
    assert_fields(
        &one,
        "id anchor title status severity since resolved_at resolution evidence timeline causes needs treatments \
         notification linked",
    );
    let needs = one["needs"].as_array().expect("needs");
    let closed = needs.iter().filter(|need| need["closed_at"].is_string());
    assert_eq!((needs.len(), closed.count()), (3, 1), "{one:#}");
    assert_eq!(one["resolved_at"], Value::Null, "an answered need resolves nothing");
    let command = |reason: &str| {
        let of = |need: &&Value| need["reason"] == reason && need["closed_at"].is_null();
        needs.iter().find(of).map(|need| need["command"].clone()).expect("the need")
    };
    let hash = proposal.short_hash();
    let answer = format!("mape-k approve {hash}, or mape-k reject {hash} --reason TEXT");
    assert_eq!(command("approval_needed"), answer);
    assert_eq!(command("unknown_cause"), "mape-k explain violation f1");
    let treatments = one["treatments"].as_array().expect("treatments");
    let ids: Vec<&Value> = treatments.iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(Uuid::from_u128(9)), &json!(Uuid::from_u128(7))], "{one:#}");
    assert_eq!(treatments[1]["attempts"][0]["action"], "scale_up");
    assert_eq!(one["linked"][0]["id"], BILLING, "{one:#}");
    assert_eq!(one["linked"].as_array().map(Vec::len), Some(1), "none that is resolved: {one:#}");
    assert_eq!(one["notification"], "notified 2026-11-18T11:06:40Z by slack");

    let (open, _) = surface.items("/api/v1/incidents?open=true").await;
    let (resolved, _) = surface.items("/api/v1/incidents?open=false").await;
    let ids = |items: &[Value]| items.iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(
        (ids(&open), ids(&resolved)),
        (vec![BILLING.into(), CART.into()], vec![MERGED.into(), OVER.into()])
    );
    assert_eq!(open[1]["needs"].as_array().map(Vec::len), Some(2), "the open ones");
    assert_eq!(open[0]["notification"], "not notified yet");

    // R10: a need that no incident has is not lost.
    let (_, status) = surface.get("/api/v1/status").await;
    let alone = status["needs_without_incident"].as_array().expect("needs");
    assert_eq!(alone.len(), 1, "{status:#}");
    assert_eq!(alone[0]["id"], json!(need(4, CART, true).id));

    // R08: nobody is notified where nobody could be; what a notifier confirmed before stays so.
    let knowledge = surface.knowledge.clone();
    surface.stop().await;
    let surface = Setup { knowledge, notifiers: Vec::new(), ..Setup::default() }.serve().await;
    surface.publish(view);
    let (_, one) = surface.get(&format!("/api/v1/incidents/{CART}")).await;
    assert_eq!(one["notification"], "notified 2026-11-18T11:06:40Z by slack");
    let (_, one) = surface.get(&format!("/api/v1/incidents/{BILLING}")).await;
    assert_eq!(one["notification"], "nobody is notified: no notifier is configured");
    let (_, status) = surface.get("/api/v1/status").await;
    assert_eq!(status["not_notified"], "nobody is notified: no notifier is configured");

    let (status, _) = surface.get("/api/v1/incidents/INC-1").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    for gone in ["/api/v1/escalations", "/api/v1/escalations?open=true"] {
        assert_eq!(surface.get(gone).await.0, StatusCode::NOT_FOUND, "{gone}");
    }
    surface.stop().await;
}

/// R10: the numbers of an open incident are those of the last cycle, on every page alike.
#[tokio::test]
async fn r10_an_open_incident_is_served_with_the_numbers_of_the_last_cycle() {
    let surface = Surface::start().await;
    let mut batch = surface.knowledge.batch();
    batch.put(&incident(BILLING, "component/billing", "slow"));
    surface.knowledge.commit(batch).await.expect("stored");
    let mut worse = incident(BILLING, "component/billing", "slow");
    worse.title = "slow at component/billing: 2 > 1".to_owned();
    let mut newer = healthy_view(surface.handle.now());
    newer.people.incidents = vec![worse.clone()];
    surface.publish(newer);
    let (open, _) = surface.items("/api/v1/incidents?open=true").await;
    let (_, one) = surface.get(&format!("/api/v1/incidents/{BILLING}")).await;
    assert_eq!((&open[0]["title"], &one["title"]), (&json!(worse.title), &json!(worse.title)));
    surface.stop().await;
}

/// Of a page with one damaged record the others are served, and that one is named; a page without one names none.
#[tokio::test]
async fn a_record_that_cannot_be_read_is_named_and_hides_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("knowledge.db");
    let store = mape_k::knowledge::sqlite::SqliteStore::open(&path).await.expect("a store");
    let damaged = |collection, key: &str| Write::Put {
        collection,
        key: key.to_owned(),
        tag: "open".to_owned(),
        at: noon() + TimeDelta::seconds(1),
        body: "{\"id\": 7".to_owned(),
        when: When::Always,
    };
    let writes = vec![damaged(Collection::Cycles, "torn"), damaged(Collection::Incidents, "torn")];
    store.write(writes).await.expect("written");
    store.close().await;
    let settings =
        Settings { database: Database::Sqlite, sqlite_path: path, ..Settings::default() };
    let knowledge = Knowledge::open(&settings).await.expect("a store");
    let mut batch = knowledge.batch();
    batch.put(&cycle(1));
    batch.put(&incident(CART, "component/cart", "slow"));
    knowledge.commit(batch).await.expect("stored");
    let surface = Setup { knowledge, ..Setup::default() }.serve().await;
    for path in ["/api/v1/cycles", "/api/v1/incidents", "/api/v1/incidents?open=true"] {
        let (status, page) = surface.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {page}");
        assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{path}: {page}");
        let unread = page["unread"][0].as_str().unwrap_or_default();
        assert!(unread.starts_with("torn: "), "{path}: {page}");
    }
    let (_, policies) = surface.get("/api/v1/policies").await;
    assert_eq!(policies["unread"], json!([]));
    let (status, page) = surface.get("/api/v1/explain").await;
    assert_eq!(status, StatusCode::OK, "the newest cycle that can be read: {page}");
    surface.stop().await;
}

/// "Resolved" is said of evidence that was read as clear alone; how any other incident ended is said as it was.
#[tokio::test]
async fn explain_says_how_an_incident_ended_and_calls_only_clear_evidence_resolved() {
    let surface = Surface::start().await;
    surface.publish(healthy_view(surface.handle.now()));
    let cases = [
        (None, None, "open since"),
        (Some(noon()), Some(Resolution::Clear), "resolved 2026-11-18T11:06:40Z"),
        (Some(noon()), Some(Resolution::Vanished), "its evidence is gone"),
        (
            Some(noon()),
            Some(Resolution::MergedInto(BILLING.to_owned())),
            "was merged into incident INC",
        ),
    ];
    for (ended_at, resolution, said) in cases {
        let mut one = incident(CART, "component/cart", "slow");
        (one.ended_at, one.resolution) = (ended_at, resolution.clone());
        let mut batch = surface.knowledge.batch();
        batch.put(&one);
        surface.knowledge.commit(batch).await.expect("stored");
        let (status, page) = surface.get(&format!("/api/v1/explain/incidents/{CART}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let text = page["text"].as_str().expect("a page");
        let flowed = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flowed.contains(said), "{said}: {text}");
        let is_clear = resolution == Some(Resolution::Clear);
        assert_eq!(flowed.contains("was resolved"), is_clear, "{text}");
        let notification = match (ended_at, &resolution) {
            (None, _) => "Not notified yet.",
            (_, Some(Resolution::MergedInto(_))) => "Nobody was notified: it was merged into",
            _ => "Nobody was notified: no notifier was configured when it was due.",
        };
        assert!(flowed.contains(notification), "{text}");
    }
    surface.stop().await;
}

/// R08: what nobody is notified of, or was, is said with the reason.
#[test]
fn r08_why_nobody_is_notified_is_said() {
    let one = |severity, ended: bool| {
        let mut one = incident(CART, "component/cart", "slow");
        (one.severity, one.ended_at) = (severity, ended.then(noon));
        (one.resolution, one.notified_at) = (ended.then_some(Resolution::Clear), None);
        one.notified.clear();
        one
    };
    let was_mild = "nobody was notified: it was a SEV-4, and people are notified from SEV-3 on";
    for (severity, ended, said) in [
        (Sev::Sev4, false, "nobody is notified of a SEV-4"),
        (Sev::Sev4, true, was_mild),
        (Sev::Sev3, false, "not notified yet"),
    ] {
        assert_eq!(one(severity, ended).notification(true), said);
    }
    let mut waits = one(Sev::Sev3, false);
    waits.is_queued = true;
    assert_eq!(waits.notification(true), "not notified yet: it waits for business hours");
    waits.ended_at = Some(noon());
    waits.severity = Sev::Sev4;
    assert_eq!(waits.notification(true), "not notified yet: it waits for business hours");
    waits.ended_at = None;
    let becomes = "not notified yet: it is a SEV-4 now, and people are notified of it when it is resolved or becomes worse";
    assert_eq!(waits.notification(true), becomes);
    let mut muted = one(Sev::Sev2, false);
    muted.course.is_muted = true;
    let held = "nobody is notified while Alertmanager holds back its alerts";
    assert_eq!(muted.notification(true), held);
}
