//! R03: how much of the cluster is sick, as a storm of Kubernetes is told by it.

use std::time::Duration;

use mape_k::analyzer::cluster::{Onsets, findings, health};
use mape_k::domain::catalogue::Catalogue;
use mape_k::domain::cluster::{ClusterReading, Kind};
use mape_k::domain::fleet::ClusterHealth;
use mape_k::domain::reading::{FailureKind, ReadFailure};
use serde_json::{Value, json};

use super::fixtures::{now, reading_of};
use super::made::{ago, container, deployment, node, of, pod, waiting};

const WITHIN: Duration = Duration::from_secs(300);

fn counted(reading: &ClusterReading) -> Option<ClusterHealth> {
    let found = findings(reading, &Catalogue::default(), &Onsets::default(), now());
    health(reading, &found, WITHIN, now())
}

fn read(objects: &[Value]) -> ClusterReading {
    ClusterReading { read_at: Some(now()), ..reading_of(objects.to_vec()) }
}

/// Down since so many minutes.
fn down(name: &str, minutes: i64) -> Value {
    let mut deployment = deployment(name, 3, 0);
    deployment["status"]["conditions"][1]["lastTransitionTime"] = ago(minutes);
    deployment
}

#[test]
fn r03_nodes_that_join_or_leave_are_no_part_of_a_storm() {
    let mut joins = node("n3", false);
    joins["metadata"]["creationTimestamp"] = ago(1);
    let mut leaves = node("n4", false);
    leaves["metadata"]["deletionTimestamp"] = ago(1);
    let mut cordoned = node("n5", false);
    cordoned["spec"]["unschedulable"] = json!(true);
    let all = read(&[node("n1", true), node("n2", false), joins, leaves, cordoned]);
    let seen = counted(&all).expect("it was read");
    assert_eq!((seen.nodes, seen.not_ready), (3, 2));
    let well = counted(&read(&[node("n1", true), node("n2", true)])).expect("it was read");
    assert_eq!((well.nodes, well.not_ready), (2, 0));
}

#[test]
fn r03_workloads_count_once_and_only_those_that_became_sick_just_now() {
    let pulls = container("c", false, waiting("ErrImagePull", "no"));
    let mut young = of("Deployment", "a", pod("a-1", "Pending", Some(2), &[pulls]));
    young["metadata"]["creationTimestamp"] = ago(2);
    for condition in young["status"]["conditions"].as_array_mut().expect("a list") {
        condition["lastTransitionTime"] = ago(2);
    }
    let all = [
        deployment("well", 3, 3),
        down("long", 60),
        down("a", 2),
        down("b", 4),
        // Two kinds of one owner are one workload.
        young,
        // A job is no workload.
        json!({ "kind": "Job", "metadata": { "name": "j", "namespace": "shop", "creationTimestamp": ago(3) },
            "status": { "failed": 1, "conditions": [{ "type": "Failed", "status": "True", "lastTransitionTime": ago(2) }] } }),
    ];
    let seen = counted(&read(&all)).expect("it was read");
    assert_eq!((seen.workloads, seen.sick_lately), (4, 2));
}

#[test]
fn r03_what_could_not_be_read_is_said_and_nothing_is_known_before_the_first_lists() {
    let mut reading = read(&[node("n1", true), deployment("well", 3, 3)]);
    assert!(counted(&reading).expect("it was read").is_whole);
    let failure = ReadFailure { kind: FailureKind::Server, text: "403 Forbidden".to_owned() };
    for kind in [Kind::Nodes, Kind::Deployments, Kind::StatefulSets, Kind::Pods] {
        reading.failures = [(kind, failure.clone())].into();
        assert!(!counted(&reading).expect("the rest was read").is_whole, "{kind:?}");
    }
    reading.failures = [(Kind::Claims, failure)].into();
    assert!(counted(&reading).expect("it was read").is_whole, "nothing behind the numbers");
    reading.read_at = None;
    assert_eq!(counted(&reading), None);
}
