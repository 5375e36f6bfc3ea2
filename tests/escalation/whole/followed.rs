//! Bad days of one incident: a merge while an approval is pending, and a clock that was set back.

use chrono::{TimeDelta, Utc};
use mape_k::actuators::hook::{Hook, Verb};
use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::domain::Cause;
use mape_k::domain::action::{ActionKind, HookName};
use mape_k::domain::incident::{Happening, Incident};
use mape_k::domain::need::Need;
use mape_k::domain::policy::Policy;
use mape_k::domain::target::Target;
use mape_k::domain::treatment::Treatment;
use mape_k::knowledge::{Decision, Document};
use mape_k::planner::Strategy;
use serde_json::{Value, json};

use super::town::{Running, Town};
use crate::notify::fake_slack::Asked;

/// A hook that restarts `search`: each run is a line of this file. It has no probe, so that a person is asked first.
fn treat(config: &mut Config, file: &std::path::Path) {
    let name = HookName::new("restart-search").expect("a name");
    let target: Target = "kubernetes/shop/deployment/search".parse().expect("a target");
    let script = format!("echo restarted >> {}", file.display());
    let apply = Verb::Command(["/bin/sh", "-c", &script].map(str::to_owned).to_vec());
    let hook = Hook::new(name, target, apply);
    let kind = ActionKind::Hook(name);
    config.plan.hooks.insert(kind, hook.spec());
    config.hooks.hooks.push(hook);
    config.plan.strategies.insert(Cause::new("replicas_missing"), vec![Strategy::new(kind)]);
    config.plan.plan_threshold = 1;
    config.analyze.algorithms.sustained.cycles = 1;
}

fn ago(minutes: i64) -> String {
    (Utc::now() - TimeDelta::minutes(minutes)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn lost_node() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": "n1", "uid": "n1", "creationTimestamp": "2026-01-01T00:00:00Z" },
        "status": { "conditions": [{ "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.",
            "lastTransitionTime": ago(30), "lastHeartbeatTime": ago(31) }] },
    })
}

/// A pod of `search` that is not ready.
fn sick_pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "shop", "uid": name, "creationTimestamp": ago(40),
            "labels": { "app": "search", "pod-template-hash": "6d4b8c7f95" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": "search-6d4b8c7f95", "uid": "r", "controller": true }] },
        "spec": { "nodeName": node, "containers": [{ "name": "app" }] },
        "status": { "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": ago(10) }],
            "containerStatuses": [{ "name": "app", "ready": false, "restartCount": 0,
                "state": { "running": { "startedAt": ago(40) } } }] },
    })
}

async fn stored<T: Document>(running: &Running) -> Vec<T> {
    running.parts.knowledge.all::<T>(None).await.expect("the store answers")
}

async fn pending(running: &mut Running) -> Policy {
    running
        .cycle_until("a person is asked", |report| {
            report.incidents.iter().any(|one| one.title.contains("search"))
                && report.policies_generated == 0
                && report.candidates.iter().any(|one| one.verdict.word() == "approval_pending")
        })
        .await;
    let mut pending =
        running.parts.knowledge.all::<Policy>(Some("pending")).await.expect("policies");
    assert_eq!(pending.len(), 1, "{pending:#?}");
    pending.remove(0)
}

async fn approve(running: &Running, policy: &Policy) {
    let (id, revision, now) = (policy.id, policy.revision, running.parts.handle.now());
    let knowledge = &running.parts.knowledge;
    let decided = knowledge.decide_policy(id, revision, None, Decision::Approve, "sre", now).await;
    decided.expect("it is pending");
}

fn runs(file: &std::path::Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

/// Merge while an approval is pending: it stays approvable and is executed once; need, treatment and what follows belong to
/// the incident that goes on.
#[tokio::test]
async fn r05_a_merge_while_an_approval_is_pending_carries_need_and_treatment_along_and_acts_once() {
    let mut town = Town::new().await;
    let file = town.folder.path().join("runs");
    treat(&mut town.loops.config, &file);
    town.deployment("search", 0, 2, 10);
    town.api.put(lost_node());
    town.api.put(sick_pod("search-a", "n1"));
    town.api.put(sick_pod("search-b", "n2"));
    let mut running = town.start().await;
    let policy = pending(&mut running).await;
    let open = running.view().people.incidents.clone();
    let id = |anchor: &str| {
        let found = open.iter().find(|one| one.anchor.as_str() == anchor);
        found.unwrap_or_else(|| panic!("no {anchor}: {open:#?}")).id.clone()
    };
    let (node, search) = (id("kubernetes/node/n1"), id("kubernetes/shop/deployment/search"));
    let treatments = stored::<Treatment>(&running).await;
    assert_eq!(treatments[0].incident.as_ref(), Some(&search), "{treatments:#?}");

    // Now all of it is on that node.
    town.api.delete("pods", "shop", "search-b");
    let is_one = |one: &mape_k::domain::cycle::CycleReport| one.incidents_open == 1;
    running.cycle_until("they are one", is_one).await;
    let needs = stored::<Need>(&running).await;
    let need = needs.iter().find(|need| need.closed_at.is_none()).expect("it is still asked");
    assert_eq!(need.incident.as_ref(), Some(&node), "{need:#?}");
    let asked = need.approval.as_ref().expect("what is to be approved");
    assert_eq!((asked.policy, asked.revision), (policy.id, policy.revision));
    assert_eq!(asked.hash, policy.short_hash());
    let treatments = stored::<Treatment>(&running).await;
    assert_eq!(treatments.len(), 1, "{treatments:#?}");
    assert_eq!(treatments[0].incident.as_ref(), Some(&node), "{treatments:#?}");

    assert_eq!(runs(&file), 0, "nothing without a person");
    approve(&running, &policy).await;
    for _ in 0..6 {
        running.cycle().await;
    }
    assert_eq!(runs(&file), 1, "exactly once");
    let open = running.view().people.incidents.clone();
    let lines = &open.iter().find(|one| one.id == node).expect("it goes on").timeline;
    for what in [Happening::Approved, Happening::Applied] {
        assert_eq!(
            lines.iter().filter(|line| line.what == what).count(),
            1,
            "{what:?}: {lines:#?}"
        );
    }
    running.stop().await;
}

/// A clock set back an hour, between two processes: what is done, and what is worse than before, people hear at once.
#[tokio::test]
async fn r04_after_a_clock_was_set_back_an_hour_people_hear_of_what_is_done_and_what_is_worse() {
    let mut town = Town::new().await;
    let file = town.folder.path().join("runs");
    town.deployment("search", 0, 2, 10);
    town.deployment("mailer", 1, 2, 90);
    let mut running = town.start_at(Clock::starting_at(Utc::now() + TimeDelta::hours(1))).await;
    running.cycle_until("it is told", |report| report.notifications_sent > 0).await;
    running.stop().await;
    assert!(!town.posted().is_empty());

    treat(&mut town.loops.config, &file);
    let mut running = town.start().await;
    let policy = pending(&mut running).await;
    let open: Vec<Incident> = running.view().people.incidents.clone();
    let now = running.parts.handle.now();
    assert!(open.iter().all(|one| one.opened_at <= now), "nothing begins after now: {open:#?}");
    town.posted();
    approve(&running, &policy).await;
    running.cycle().await;
    let said: String = town.posted().iter().map(Asked::shown).collect();
    assert!(said.contains("approved by sre, applying"), "{said}");
    assert!(said.contains("restart-search"), "what was done: {said}");
    assert_eq!(runs(&file), 1);

    town.deployment("payments", 0, 2, 10);
    running.cycle_until("what is new", |report| report.escalation_decision.is_some()).await;
    let said: String = town.posted().iter().map(Asked::shown).collect();
    assert!(said.contains("payments"), "{said}");
    running.stop().await;
}
