//! How much of the cluster is sick: the numbers that decide whether there is a storm of Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::nodes;
use super::sets::{answering, who_of};
use crate::domain::cluster::{ClusterReading, Kind};
use crate::domain::finding::{Finding, FindingSeverity};
use crate::domain::fleet::ClusterHealth;
use crate::domain::time::{Time, since};

/// `within`: how lately a workload that became sick did so just now. `None`: nobody can say anything of the cluster.
///
/// What cannot be read is not counted: a storm may begin by what can, and does not end.
#[must_use]
pub fn health(
    reading: &ClusterReading,
    findings: &[Finding],
    within: Duration,
    now: Time,
) -> Option<ClusterHealth> {
    if reading.read_at.is_none() || reading.is_unreadable() {
        return None;
    }
    let stays = reading.cluster.nodes.iter();
    let stays = stays.filter(|node| !node.is_being_removed && !nodes::joins(node, now));
    let ready: Vec<bool> = stays.map(|node| nodes::is_ready(node)).collect();
    let workloads: BTreeSet<(&str, String)> =
        answering(reading).map(|w| (w.namespace.as_str(), who_of(w).to_string())).collect();
    // Since when each workload has been sick, and whether it is more than about to be.
    let mut sick: BTreeMap<(&str, String), (Time, bool)> = BTreeMap::new();
    for finding in findings.iter().filter(|f| f.severity != FindingSeverity::Info) {
        let Some(namespace) = finding.namespace.as_deref() else { continue };
        let owner = (namespace, finding.owner.clone());
        if !workloads.contains(&owner) {
            continue;
        }
        let is_sick = finding.severity >= FindingSeverity::High;
        let known = sick.entry(owner).or_insert((finding.since, is_sick));
        *known = (known.0.min(finding.since), known.1 || is_sick);
    }
    let mut behind = [Kind::Nodes, Kind::Pods].into_iter().chain(Kind::WORKLOADS);
    let lately = sick.values().filter(|(from, is_sick)| *is_sick && since(now, *from) <= within);
    Some(ClusterHealth {
        nodes: ready.len(),
        not_ready: ready.iter().filter(|is_ready| !**is_ready).count(),
        workloads: workloads.len(),
        sick_lately: lately.count(),
        is_whole: behind.all(|kind| !reading.is_hidden(kind, None)),
    })
}
