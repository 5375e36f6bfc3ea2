//! What it means that something is not found any more: clear, not read, or no longer there.

use std::sync::Arc;

use mape_k::analyzer::There;
use mape_k::domain::Labels;
use mape_k::domain::cluster::{
    Cluster, ClusterReading, Kind, UnreadObject, Workload, WorkloadKind,
};
use mape_k::domain::finding::{Finding, FindingKind};
use mape_k::domain::incident::{Absence, Resolution};
use mape_k::domain::reading::{FailureKind, ReadFailure};

use super::world::{World, finding, night, replicas};

/// By what is read: evidence of each kind needs the kinds that show it and that say whose it is.
#[test]
fn b03_only_what_was_read_whole_can_end() {
    let mut reading = reading();
    let kinds = [
        FindingKind::ReplicasMissing,
        FindingKind::CrashLoop,
        FindingKind::JobFailed,
        FindingKind::ClaimPending,
        FindingKind::NodeNotReady,
    ];
    let unread = |reading: &ClusterReading| {
        let there = There::of(reading);
        let is_unread = |kind: &&FindingKind| {
            there.absence(Some(**kind), Some("shop"), "Deployment/payments") == Absence::Unread
        };
        kinds.iter().filter(is_unread).map(|kind| kind.as_str()).collect::<Vec<_>>()
    };
    assert!(unread(&reading).is_empty());
    let failure = ReadFailure { kind: FailureKind::Server, text: "500".to_owned() };
    reading.failures.insert(Kind::DaemonSets, failure.clone());
    assert_eq!(unread(&reading), ["replicas_missing"]);
    reading.failures = [(Kind::Jobs, failure.clone())].into();
    let without_jobs = ["crash_loop", "job_failed", "claim_pending"];
    assert_eq!(unread(&reading), without_jobs, "a run is under another name without its cron job");
    reading.failures = [(Kind::Pods, failure)].into();
    assert_eq!(unread(&reading), ["crash_loop", "claim_pending"], "a claim is its pods' owner's");
    reading.expected.remove(&Kind::Nodes);
    let there = There::of(&reading);
    let gone = there.absence(Some(FindingKind::NodeNotReady), None, "Node/n1");
    assert_eq!(gone, Absence::Vanished, "nobody asks for nodes any more");
}

/// The payments deployment is there and whole, in a cluster of which all is read.
fn reading() -> ClusterReading {
    let workload = Workload {
        kind: WorkloadKind::Deployment,
        namespace: "shop".to_owned(),
        name: "payments".to_owned(),
        owner: None,
        created_at: None,
        labels: Labels::new(),
        is_critical: false,
        generation: 1,
        observed_generation: 1,
        desired: 2,
        owner_desired: None,
        ready: 2,
        updated: 2,
        is_between_revisions: false,
        to_update: 2,
        update_revision: String::new(),
        max_unavailable: 1,
        progress_deadline: None,
        paused: false,
        conditions: Vec::new(),
    };
    let cluster = Cluster { workloads: vec![Arc::new(workload)], ..Cluster::default() };
    ClusterReading { cluster, expected: Kind::ALL.into(), ..ClusterReading::default() }
}

/// The cluster's word on what is not found any more.
fn as_read(reading: ClusterReading) -> Box<dyn Fn(&Finding) -> Absence> {
    Box::new(move |finding| {
        let there = There::of(&reading);
        there.absence(Some(finding.kind), finding.namespace.as_deref(), &finding.owner)
    })
}

/// An object that breaks must not look like one that is well.
#[test]
fn w05_where_an_object_cannot_be_read_nothing_of_its_namespace_ends() {
    let unread = |kind, namespace: &str| {
        let object = UnreadObject {
            kind,
            namespace: namespace.to_owned(),
            name: "payments".to_owned(),
            cause: "spec.replicas: invalid type".to_owned(),
        };
        ClusterReading { unread: vec![object], ..reading() }
    };
    let is_open_after = |reading: ClusterReading| {
        let mut world = World::new(night());
        let crash = finding("payments", FindingKind::CrashLoop, night());
        world.cycle(&[replicas("payments", 0, 2, night()), crash]).alert();
        world.absence = as_read(reading);
        world.cycles(2, &[]);
        let incident = &world.board.incidents()[0];
        assert_eq!(incident.resolution, (!incident.is_open()).then_some(Resolution::Clear));
        incident.is_open()
    };
    assert!(is_open_after(unread(Kind::Deployments, "shop")));
    assert!(is_open_after(unread(Kind::Pods, "shop")), "its pod may be the one");
    assert!(is_open_after(unread(Kind::Pods, "")), "it may be anywhere");
    assert!(!is_open_after(unread(Kind::Deployments, "bank")), "it ends elsewhere");
    assert!(!is_open_after(unread(Kind::Claims, "shop")), "nor does a claim hide it");
    assert!(!is_open_after(unread(Kind::Events, "shop")), "nor an event");
}

/// R05: an object that was deleted, or a workload that was scaled to zero, has not recovered. The twin is whole again.
#[test]
fn r05_what_is_no_longer_there_is_not_said_to_be_resolved() {
    type Case<'a> = (fn(&mut ClusterReading), &'a str, Resolution);
    let deleted = |reading: &mut ClusterReading| reading.cluster.workloads.clear();
    let off = |reading: &mut ClusterReading| {
        let workload = &mut reading.cluster.workloads[0];
        Arc::make_mut(workload).desired = 0;
    };
    let whole = |_: &mut ClusterReading| {};
    let cases: [Case<'_>; 3] = [
        (deleted, "No longer there: payments: 0 of 2 pods ready", Resolution::Vanished),
        (off, "No longer there: payments: 0 of 2 pods ready", Resolution::Vanished),
        (whole, "Resolved: payments: 0 of 2 pods ready", Resolution::Clear),
    ];
    for (change, title, resolution) in cases {
        let mut world = World::new(night());
        world.cycle(&[replicas("payments", 0, 2, night())]).alert();
        let mut reading = reading();
        change(&mut reading);
        world.absence = as_read(reading);
        let told = world.cycles(1, &[]);
        assert_eq!((told.len(), told[0].title.as_str()), (1, title));
        assert_eq!(world.board.incidents()[0].resolution, Some(resolution));
    }
}

/// Whatever the order of its evidence: what has vanished was not seen clear, and what came back starts anew.
#[test]
fn r05_one_of_two_that_vanished_is_no_success_in_either_order() {
    for first in [FindingKind::ReplicasMissing, FindingKind::CrashLoop] {
        let mut world = World::new(night());
        let crash = finding("payments", FindingKind::CrashLoop, night());
        let both = [replicas("payments", 0, 2, night()), crash];
        world.cycle(&both).alert();
        world.absence =
            Box::new(
                move |finding| {
                    if finding.kind == first { Absence::Vanished } else { Absence::Clear }
                },
            );
        world.cycles(1, &[]);
        assert_eq!(world.board.incidents()[0].resolution, Some(Resolution::Vanished), "{first:?}");
        world.cycles(1, &both);
        assert!(world.board.incidents()[0].is_open(), "back");
        world.absence = Box::new(|_| Absence::Clear);
        world.cycles(1, &[]);
        assert_eq!(world.board.incidents()[0].resolution, Some(Resolution::Clear), "{first:?}");
    }
}
