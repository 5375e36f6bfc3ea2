//! Replica sets and replication controllers: whose they are, and those of one owner as one workload.
//!
//! One of a deployment is its deployment's matter. Any other answers for itself, or for an owner whose kind is not watched
//! (an Argo Rollout, a DeploymentConfig), as far as its sets tell of it: what they want and have together.

use std::collections::{BTreeMap, HashMap};

use super::symptom::Who;
use crate::domain::cluster::{ClusterReading, Kind, Pod, Workload, WorkloadKind};

/// The label by which a replica set of a deployment distinguishes its pods from those of its siblings.
const TEMPLATE_HASH: &str = "pod-template-hash";

pub(super) fn who_of(workload: &Workload) -> Who<'_> {
    let (kind, name) = match &workload.owner {
        Some(owner) => (&*owner.kind, &*owner.name),
        None => (workload.kind.as_str(), &*workload.name),
    };
    Who { namespace: &workload.namespace, kind, name }
}

/// Under its own name, not its owner's: events are about it.
pub(super) fn itself(workload: &Workload) -> Who<'_> {
    Who { namespace: &workload.namespace, kind: workload.kind.as_str(), name: &workload.name }
}

/// All workloads but the sets of owners that are workloads themselves.
pub(super) fn answering(reading: &ClusterReading) -> impl Iterator<Item = &Workload> {
    let is_watched = reading.expected.contains(&Kind::Deployments);
    let answers = move |workload: &&Workload| {
        !is_watched || workload.owner.as_ref().is_none_or(|owner| owner.kind != "Deployment")
    };
    reading.cluster.workloads.iter().map(|workload| &**workload).filter(answers)
}

/// One workload for each owner of several sets.
pub(super) fn joined(reading: &ClusterReading) -> Vec<Workload> {
    let mut owners: BTreeMap<Who, Vec<&Workload>> = BTreeMap::new();
    for set in answering(reading).filter(|workload| workload.owner.is_some()) {
        owners.entry(who_of(set)).or_default().push(set);
    }
    owners.into_values().filter(|sets| sets.len() > 1).filter_map(join).collect()
}

/// How many replicas the owner of several sets wants: the sum counts a surge, and a revision that is only being previewed,
/// as replicas that somebody misses. Where the owner does not say it, the largest set's wish is enough once it is met.
fn wanted(active: &[&Workload], ready: u32, sum: u32) -> u32 {
    if let Some(said) = active.iter().rev().find_map(|set| set.owner_desired) {
        return said;
    }
    let largest = active.iter().map(|set| set.desired).max().unwrap_or(0);
    if ready >= largest { largest } else { sum }
}

/// Several revisions that want pods are a rollout, as far as anybody can say from outside. That it is stuck nobody can:
/// its own controller may hold a canary for days.
fn join(mut sets: Vec<&Workload>) -> Option<Workload> {
    sets.sort_by(|a, b| a.created_at.cmp(&b.created_at).then_with(|| a.name.cmp(&b.name)));
    let active: Vec<&Workload> = sets.iter().copied().filter(|set| set.desired > 0).collect();
    let newest = active.last().or(sets.last()).copied()?;
    let is_between_revisions = active.len() > 1;
    let sum =
        |of: fn(&Workload) -> u32| sets.iter().fold(0, |sum: u32, set| sum.saturating_add(of(set)));
    // What one has beyond its wish is on its way out.
    let ready = sum(|set| set.ready.min(set.desired));
    let desired = wanted(&active, ready, sum(|set| set.desired));
    Some(Workload {
        created_at: sets.iter().filter_map(|set| set.created_at).min(),
        generation: sets.iter().map(|set| set.generation).sum(),
        observed_generation: sets.iter().map(|set| set.observed_generation).sum(),
        desired,
        ready: ready.min(desired),
        updated: if is_between_revisions { 0 } else { desired },
        is_between_revisions,
        max_unavailable: if is_between_revisions { newest.desired.min(desired) } else { 0 },
        conditions: sets.iter().flat_map(|set| set.conditions.clone()).collect(),
        ..newest.clone()
    })
}

/// Every set under its own name, and who answers for it.
fn all(reading: &ClusterReading) -> impl Iterator<Item = (Who<'_>, Who<'_>)> {
    let is_a_set = |workload: &&Workload| {
        matches!(workload.kind, WorkloadKind::ReplicaSet | WorkloadKind::ReplicationController)
    };
    let sets = reading.cluster.workloads.iter().map(|workload| &**workload).filter(is_a_set);
    let empty = reading.cluster.empty_sets.iter().map(|set| {
        let who = |kind, name| Who { namespace: &set.namespace, kind, name };
        (who(set.kind.as_str(), &*set.name), who(&*set.owner.kind, &*set.owner.name))
    });
    sets.map(|set| (itself(set), who_of(set))).chain(empty)
}

/// Who answers for a set, by its namespace, kind and name.
pub(super) type Sets<'a> = HashMap<(&'a str, &'a str, String), Who<'a>>;

pub(super) fn by_name(reading: &ClusterReading) -> Sets<'_> {
    all(reading).map(|(set, who)| ((set.namespace, set.kind, set.name.to_owned()), who)).collect()
}

/// The names of the sets of each owner.
pub(super) fn names(reading: &ClusterReading) -> HashMap<Who<'_>, Vec<&str>> {
    let mut names: HashMap<Who, Vec<&str>> = HashMap::new();
    for (set, who) in all(reading) {
        names.entry(who).or_default().push(set.name);
    }
    names
}

/// Who answers for a pod by its set. A set may have lost its deployment, and keeps the name that it had from it.
pub(super) fn owner_of<'a>(pod: &'a Pod, sets: &Sets<'a>) -> Option<Who<'a>> {
    let owner = pod.owner.as_ref()?;
    let name = match owner.kind.as_str() {
        "ReplicaSet" | "ReplicationController" => owner.name.clone(),
        "Deployment" => format!("{}-{}", owner.name, pod.labels.get(TEMPLATE_HASH)?),
        _ => return None,
    };
    let kind = if owner.kind == "Deployment" { "ReplicaSet" } else { &owner.kind };
    sets.get(&(&*pod.namespace, kind, name)).copied()
}
