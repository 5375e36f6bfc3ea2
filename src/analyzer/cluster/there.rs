//! Everything that a finding may be about, to know a finding that has ended from one whose owner is gone; and which
//! workloads suffer on one node alone.

use std::collections::{BTreeMap, BTreeSet};

use super::index::{is_ready, owner_of};
use super::jobs::{self, Jobs};
use super::sets;
use super::symptom::Who;
use crate::domain::cluster::{ClusterReading, Workload};
use crate::domain::incident::Anchor;
use crate::domain::target::Target;

/// Every owner that is there, by its namespace (empty: a node) and its name as findings write it. A workload that was scaled
/// to zero is not: that nothing is missing of it any more is no recovery.
pub(in crate::analyzer) fn owners(reading: &ClusterReading) -> BTreeSet<(&str, String)> {
    let cluster = &reading.cluster;
    let jobs = Jobs::new(&cluster.jobs, &cluster.cron_jobs);
    let by_name = sets::by_name(reading);
    let pods = cluster.pods.iter().map(|pod| owner_of(pod, &jobs, &by_name));
    let workloads = cluster.workloads.iter().map(|workload| sets::who_of(workload));
    let runs = cluster.jobs.iter().map(|job| jobs::who_of(job));
    let cron_jobs = cluster.cron_jobs.iter().map(|cron_job| Who {
        namespace: &cron_job.namespace,
        kind: "CronJob",
        name: &cron_job.name,
    });
    let claims = cluster.claims.iter().map(|claim| Who {
        namespace: &claim.namespace,
        kind: "PersistentVolumeClaim",
        name: &claim.name,
    });
    let nodes =
        cluster.nodes.iter().map(|node| Who { namespace: "", kind: "Node", name: &node.name });
    let sets = by_name.values().copied();
    let all = pods.chain(workloads).chain(sets).chain(runs).chain(cron_jobs).chain(claims);
    let mut owners: BTreeSet<(&str, String)> =
        all.chain(nodes).map(|who| (who.namespace, who.to_string())).collect();
    let is_off = |workload: &Workload| workload.owner.is_none() && workload.desired == 0;
    for workload in cluster.workloads.iter().filter(|workload| is_off(workload)) {
        let who = sets::who_of(workload);
        owners.remove(&(who.namespace, who.to_string()));
    }
    owners
}

/// Workloads all of whose unready pods are on one node, with that node.
#[must_use]
pub fn confined(reading: &ClusterReading) -> BTreeMap<Anchor, Anchor> {
    let cluster = &reading.cluster;
    let jobs = Jobs::new(&cluster.jobs, &cluster.cron_jobs);
    let by_name = sets::by_name(reading);
    let mut nodes: BTreeMap<Who<'_>, BTreeSet<Option<&str>>> = BTreeMap::new();
    for pod in cluster.pods.iter().filter(|pod| pod.phase != "Succeeded" && !is_ready(pod)) {
        nodes.entry(owner_of(pod, &jobs, &by_name)).or_default().insert(pod.node.as_deref());
    }
    let on_one = |(who, nodes): (Who<'_>, BTreeSet<Option<&str>>)| {
        let node = nodes.first().copied().flatten().filter(|_| nodes.len() == 1)?;
        let workload = Target::kubernetes(Some(who.namespace), who.kind, who.name);
        let node = Target::kubernetes(None, "Node", node);
        Some((Anchor::of(&workload), Anchor::of(&node)))
    };
    nodes.into_iter().filter_map(on_one).collect()
}
