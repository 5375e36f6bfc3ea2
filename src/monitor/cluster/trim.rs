//! From the API server's JSON to the values of [`crate::domain::cluster`]: pure, and the only place that knows its fields.
//!
//! The structs here name what findings need and nothing else, so that the decoder skips managed fields, specs, env and
//! annotations without ever holding them: an object of 10 kB leaves some hundred bytes. What is read from a watch, from a
//! list and from `kubectl get -o json` goes through the same code. Leaves out what is asked and when.

mod object;
mod others;
mod pod;
mod workload;

use std::sync::Arc;

use serde::Deserialize;

pub(super) use self::object::{HttpTransport, Unread, read};
use self::object::{decode, without_nulls};
pub(super) use self::others::{ClaimWire, CronJobWire, EventWire, JobWire, NodeWire};
pub(super) use self::pod::PodWire;
pub(super) use self::workload::{
    DaemonSetWire, DeploymentWire, ReplicaSetWire, ReplicationControllerWire, StatefulSetWire,
};
use crate::domain::Labels;
use crate::domain::cluster::{
    Claim, Cluster, Condition, CronJob, EmptySet, Event, Job, Kind, Node, Owner, Pod, Workload,
};
use crate::domain::time::Time;

/// A container may end with 4 kB of last words, an event with pages; a finding shows a line or two.
const TEXT_CHARS: usize = 500;

/// One object as the caches keep it.
#[derive(Clone, Debug, PartialEq)]
pub enum Trimmed {
    Pod(Arc<Pod>),
    Event(Arc<Event>),
    Node(Arc<Node>),
    Workload(Arc<Workload>),
    Job(Arc<Job>),
    CronJob(Arc<CronJob>),
    Claim(Arc<Claim>),
    EmptySet(Arc<EmptySet>),
    /// A replica set that wants no pods and has none: an old revision, of which a deployment keeps ten.
    Nothing,
}

impl Trimmed {
    /// Puts it into its list.
    pub fn add_to(self, cluster: &mut Cluster) {
        match self {
            Self::Pod(pod) => cluster.pods.push(pod),
            Self::Event(event) => cluster.events.push(event),
            Self::Node(node) => cluster.nodes.push(node),
            Self::Workload(workload) => cluster.workloads.push(workload),
            Self::Job(job) => cluster.jobs.push(job),
            Self::CronJob(cron_job) => cluster.cron_jobs.push(cron_job),
            Self::Claim(claim) => cluster.claims.push(claim),
            Self::EmptySet(set) => cluster.empty_sets.push(set),
            Self::Nothing => {}
        }
    }
}

/// Why an object of a kind cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("this is not one of the API server's {}: {cause}", kind.as_str())]
pub struct Error {
    pub kind: Kind,
    /// With the field that it is about.
    cause: String,
}

/// Trims one object, as an item of `kubectl get -o json` has it.
pub fn trim_json(kind: Kind, mut object: serde_json::Value) -> Result<Trimmed, Error> {
    without_nulls(&mut object);
    match kind {
        Kind::Pods => decode::<PodWire>(object),
        Kind::Events => decode::<EventWire>(object),
        Kind::Nodes => decode::<NodeWire>(object),
        Kind::Deployments => decode::<DeploymentWire>(object),
        Kind::StatefulSets => decode::<StatefulSetWire>(object),
        Kind::DaemonSets => decode::<DaemonSetWire>(object),
        Kind::ReplicaSets => decode::<ReplicaSetWire>(object),
        Kind::ReplicationControllers => decode::<ReplicationControllerWire>(object),
        Kind::Jobs => decode::<JobWire>(object),
        Kind::CronJobs => decode::<CronJobWire>(object),
        Kind::Claims => decode::<ClaimWire>(object),
    }
    .map(|slim| slim.object)
    .map_err(|cause| Error { kind, cause })
}

/// `metadata`, as far as it is read. Everything that the API server may leave out or write as null is an option.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    name: String,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    labels: Option<Labels>,
    annotations: Option<Annotations>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    owner_references: Option<Vec<OwnerReference>>,
}

/// The annotations that are read; the others are skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotations {
    /// The container that kubectl means when nobody names one; injectors of sidecars set it.
    #[serde(rename = "kubectl.kubernetes.io/default-container")]
    default_container: Option<String>,
    /// How many replicas an Argo Rollout wants, as its controller writes it to the sets that it scales.
    #[serde(rename = "rollout.argoproj.io/desired-replicas")]
    desired_replicas: Option<String>,
    #[serde(rename = "helm.sh/hook")]
    helm_hook: Option<String>,
    #[serde(rename = "argocd.argoproj.io/hook")]
    argo_hook: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OwnerReference {
    api_version: Option<String>,
    kind: String,
    name: String,
    controller: Option<bool>,
}

impl OwnerReference {
    fn owner(&self) -> Owner {
        let kind = match self.foreign_group() {
            Some(group) => format!("{}.{group}", self.kind),
            None => self.kind.clone(),
        };
        Owner { kind, name: self.name.clone() }
    }

    /// The API group of a kind that is not the one that we know by this name: a Job of Volcano is no Job.
    fn foreign_group(&self) -> Option<&str> {
        let known: &[&str] = match self.kind.as_str() {
            "Pod" | "Node" | "ReplicationController" => &[""],
            // References are never rewritten: old ones have the group that the kinds were in first.
            "Deployment" | "DaemonSet" | "ReplicaSet" => &["apps", "extensions"],
            "StatefulSet" => &["apps"],
            "Job" | "CronJob" => &["batch"],
            _ => return None,
        };
        let version = self.api_version.as_deref()?;
        let group = version.split_once('/').map_or("", |(group, _)| group);
        (!known.contains(&group)).then_some(group)
    }

    fn is_a_deployment(&self) -> bool {
        self.kind == "Deployment" && self.foreign_group().is_none()
    }
}

impl Meta {
    /// Who controls it: by the mark, else the first that is named.
    fn controller(&self) -> Option<Owner> {
        let owners = self.owner_references.as_deref().unwrap_or_default();
        self.marked().or(owners.first()).map(OwnerReference::owner)
    }

    /// Who controls a replica set. An owner that is merely named (to be deleted with it) is not responsible for its pods.
    fn owner_of_set(&self) -> Option<Owner> {
        let mut owners = self.owner_references.as_deref().unwrap_or_default().iter();
        let of_a_deployment = || owners.find(|owner| owner.is_a_deployment());
        self.marked().or_else(of_a_deployment).map(OwnerReference::owner)
    }

    fn marked(&self) -> Option<&OwnerReference> {
        let owners = self.owner_references.as_deref().unwrap_or_default();
        owners.iter().find(|owner| owner.controller == Some(true))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConditionWire {
    #[serde(rename = "type")]
    name: String,
    status: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    last_transition_time: Option<Time>,
}

fn conditions(wire: Option<Vec<ConditionWire>>) -> Vec<Condition> {
    let trim = |wire: ConditionWire| Condition {
        name: wire.name,
        status: match wire.status.as_deref() {
            Some("True") => Some(true),
            Some("False") => Some(false),
            _ => None,
        },
        reason: text(wire.reason),
        message: text(wire.message),
        since: wire.last_transition_time,
    };
    wire.unwrap_or_default().into_iter().map(trim).collect()
}

/// At most [`TEXT_CHARS`] characters of a text that somebody else wrote.
fn text(text: Option<String>) -> String {
    let mut text = text.unwrap_or_default();
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text.shrink_to_fit();
    text
}

/// `system-node-critical` and `system-cluster-critical`, the classes that Kubernetes makes itself.
fn is_of_the_system(priority_class: Option<&str>) -> bool {
    priority_class.is_some_and(|class| class.starts_with("system-"))
}

/// A count; one below zero, which the API server does not write, is none.
fn count(number: Option<i64>) -> u32 {
    u32::try_from(number.unwrap_or_default().max(0)).unwrap_or(u32::MAX)
}
