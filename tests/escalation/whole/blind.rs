//! B37: blind, or with hands tied: one finding of the daemon's own, told once, and its end.

use mape_k::domain::cycle::{CycleReport, CycleStatus};
use mape_k::domain::decision::Sev;
use mape_k::domain::finding::{FindingKind, IncidentClass};
use mape_k::domain::need::NeedReason;
use serde_json::{Value, json};

use super::loops::World;
use super::town::{Running, Town};
use crate::cluster::api_server::{Cut, Mood};

fn own(running: &Running) -> Vec<FindingKind> {
    let people = &running.view().people;
    let kinds = people.findings.iter().map(|finding| finding.kind);
    kinds.filter(|kind| kind.class() == IncidentClass::Loop).collect()
}

const BLIND: FindingKind = FindingKind::Loop(NeedReason::Blind);

#[tokio::test]
async fn b37_three_failed_cycles_in_a_row_are_told_once_and_so_is_their_end() {
    let mut town = Town::new().await;
    town.api.down();
    let mut running = town.start().await;
    for _ in 0..2 {
        assert_eq!(running.cycle().await.escalation_decision, None);
        assert!(own(&running).is_empty());
    }
    let report = running.cycle().await;
    assert_eq!(own(&running), [BLIND]);
    let decision = report.escalation_decision.expect("the third is told");
    assert_eq!((decision.severity, decision.should_notify), (Sev::Sev2, true));
    assert_eq!(decision.affected_services, ["mape-k"]);
    let told = town.posted();
    assert_eq!(told.len(), 1);
    assert!(told[0].shown().contains("every cycle has failed"), "{}", told[0].shown());
    for _ in 0..3 {
        running.cycle().await;
    }
    assert!(town.posted().is_empty(), "once");
    town.api.up().await;
    let healthy = |report: &CycleReport| report.status == CycleStatus::Healthy;
    running.cycle_until("it sees again", healthy).await;
    assert!(own(&running).is_empty());
    let told = town.posted();
    assert_eq!(told.len(), 1, "its end, once");
    assert!(told[0].body["thread_ts"].is_string(), "in the thread: {:#}", told[0].body);
    let open = running.view().people.incidents.clone();
    assert!(open.is_empty(), "{open:#?}");
}

#[tokio::test]
async fn b37_blind_while_a_p0_was_down_is_sev_1() {
    let mut town = Town::new().await;
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    running.cycle().await;
    town.posted();
    // Metrics can no longer be read, the cluster can: cycles fail for the other half.
    town.loops.prometheus.be(super::fakes::Mood::Answers(500)).await;
    for _ in 0..2 {
        running.cycle().await;
    }
    let report = running.cycle().await;
    assert_eq!(report.status, CycleStatus::Failed);
    let decision = report.escalation_decision.expect("a decision");
    assert_eq!(decision.severity, Sev::Sev1, "{decision:?}");
    assert!(decision.affected_services.contains(&"mape-k".to_owned()));
}

#[tokio::test]
async fn b37_a_loop_that_wants_to_act_and_cannot_reach_charter_says_so_in_the_third_cycle() {
    let mut world = World::new().await;
    world.config.slack.enabled = false;
    world.latency(1.5);
    // Nobody listens there.
    world.config.execute.charter_url = Some("http://127.0.0.1:1".parse().expect("a URL"));
    world.start().await;
    world
        .until("its hands are tied", async || {
            world.open_escalations().await.contains(&"hands_tied".to_owned())
        })
        .await;
    let incidents = world.items("incidents?open=true").await;
    let is_tied = |incident: &&Value| {
        let needs = incident["needs"].as_array().into_iter().flatten();
        needs.into_iter().any(|need| need["reason"] == "hands_tied")
    };
    let tied: Vec<_> = incidents.iter().filter(is_tied).collect();
    assert_eq!(tied.len(), 1, "{incidents:#?}");
    assert_eq!(tied[0]["severity"], "SEV-2");
    world.stop().await;
}

/// `MapeKSourceStale` goes by these, for the cluster too.
#[tokio::test]
async fn b37_the_cluster_is_a_source_whose_readings_and_failures_are_counted() {
    let well = "mape_k_source_last_success_timestamp_seconds{source=\"kubernetes\"}";
    let failed = "mape_k_source_errors_total{kind=\"server\",source=\"kubernetes\"}";
    let mut town = Town::new().await;
    town.api.lists("jobs", Mood::Refuses(403));
    let mut running = town.start().await;
    let forbidden = |report: &CycleReport| report.error.as_ref().is_some_and(|e| e.contains("403"));
    running.cycle_until("one kind is refused", forbidden).await;
    let before = running.metric(failed);
    running.cycle().await;
    assert!(running.metric(well) < 0.5 && (running.metric(failed) - before - 1.0).abs() < 0.5);
    town.api.lists("jobs", Mood::Well);
    let healthy = |report: &CycleReport| report.status == CycleStatus::Healthy;
    running.cycle_until("every kind is read", healthy).await;
    let failures = running.metric(failed);
    running.cycle().await;
    assert!(running.metric(well) > 1e9 && (running.metric(failed) - failures).abs() < 0.5);

    running.stop().await;
    town.loops.config.kubernetes.enabled = false;
    let mut elsewhere = town.start().await;
    elsewhere.cycle().await;
    assert!(elsewhere.metric(well) + elsewhere.metric(failed) < 0.5, "nobody looks at it");
}

/// W05: one object that cannot be read fails nothing, and lets nobody say that all is well.
#[tokio::test]
async fn w05_a_broken_object_is_shown_and_ends_no_incident_that_it_may_hide() {
    let town = Town::new().await;
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    running.cycle_until("payments is down", |report| !report.findings.is_empty()).await;
    assert_eq!(town.posted().len(), 1);
    town.api.put(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "payments", "namespace": "shop"}, "spec": {"replicas": "two"},
    }));
    let unread = |report: &CycleReport| !report.unread_objects.is_empty();
    let report = running.cycle_until("it cannot be read", unread).await;
    assert_eq!((report.status, &report.error), (CycleStatus::Completed, &None));
    let [said] = &report.unread_objects[..] else { panic!("{:?}", report.unread_objects) };
    assert!(said.starts_with("deployments shop/payments: spec.replicas: invalid type"), "{said}");
    let problem = running.view().people.cluster_problem.clone().expect("health shows it");
    assert!(problem.contains(said.as_str()), "{problem}");
    let gauge = "mape_k_unread_objects{kind=\"deployments\"}";
    assert!((running.metric(gauge) - 1.0).abs() < 0.1);
    for _ in 0..3 {
        running.cycle().await;
    }
    assert_eq!(running.view().people.incidents.len(), 1, "nobody has seen that it is well");
    assert!(town.posted().is_empty());

    town.deployment("payments", 2, 2, 0);
    let healthy = |report: &CycleReport| report.status == CycleStatus::Healthy;
    running.cycle_until("it is read, and well", healthy).await;
    assert!(running.view().people.incidents.is_empty());
    assert!(running.view().people.cluster_problem.is_none() && running.metric(gauge) < 0.1);
}

/// W05: a role of an earlier version is enough.
#[tokio::test]
async fn w05_cycles_are_healthy_without_the_right_to_read_the_later_kinds() {
    let town = Town::new().await;
    for kind in ["replicasets", "replicationcontrollers", "cronjobs"] {
        town.api.lists(kind, Mood::Refuses(403));
    }
    let mut running = town.start().await;
    assert_eq!(running.cycle().await.status, CycleStatus::Healthy);
    town.api.lists("daemonsets", Mood::Refuses(403));
    town.api.cut("daemonsets", Cut::Gone);
    let failed = |report: &CycleReport| report.status == CycleStatus::Failed;
    running.cycle_until("an earlier kind is refused", failed).await;
}
