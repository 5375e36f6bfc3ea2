//! Whatever a finding may be about, so that one that is over can be told from one whose owner is gone.

use std::collections::BTreeSet;

use super::index::owner_of;
use super::jobs::{self, Jobs};
use super::sets;
use super::symptom::Who;
use crate::domain::cluster::ClusterReading;

/// Every owner that is there, by its namespace (empty: a node) and its name as findings write it.
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
    all.chain(nodes).map(|who| (who.namespace, who.to_string())).collect()
}
