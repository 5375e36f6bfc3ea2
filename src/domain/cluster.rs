//! What the API server says there is, trimmed to what findings need; `src/monitor/cluster` fills it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::reading::ReadFailure;
use super::{Labels, time::Time};

/// The kinds that are watched; the names are those of `kubernetes.kinds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Pods,
    Events,
    Nodes,
    Deployments,
    StatefulSets,
    DaemonSets,
    Jobs,
    #[serde(rename = "persistentvolumeclaims")]
    Claims,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Pods,
        Self::Events,
        Self::Nodes,
        Self::Deployments,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::Jobs,
        Self::Claims,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Events => "events",
            Self::Nodes => "nodes",
            Self::Deployments => "deployments",
            Self::StatefulSets => "statefulsets",
            Self::DaemonSets => "daemonsets",
            Self::Jobs => "jobs",
            Self::Claims => "persistentvolumeclaims",
        }
    }
}

/// What one cycle read of the cluster: the watch caches as they stand, and which of them cannot be relied on.
#[derive(Clone, Debug, Default)]
pub struct ClusterReading {
    pub cluster: Cluster,
    /// The kinds that the configuration asks for.
    pub expected: BTreeSet<Kind>,
    /// Those of them that cannot be read, with the reason; their objects are left out of `cluster`.
    pub failures: BTreeMap<Kind, ReadFailure>,
}

impl ClusterReading {
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.failures.is_empty()
    }

    /// Nothing at all could be read: there is nothing to assess.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        !self.expected.is_empty() && self.expected.iter().all(|k| self.failures.contains_key(k))
    }
}

/// Trimmed objects. They are shared with the watch caches: an object is never copied for a cycle.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub pods: Vec<Arc<Pod>>,
    pub events: Vec<Arc<Event>>,
    pub nodes: Vec<Arc<Node>>,
    /// Deployments, stateful sets and daemon sets.
    pub workloads: Vec<Arc<Workload>>,
    pub jobs: Vec<Arc<Job>>,
    pub claims: Vec<Arc<Claim>>,
}

/// Where a word stands that Kubernetes chooses and no list of ours has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WordKind {
    PodPhase,
    PodReason,
    WaitingReason,
}

impl WordKind {
    pub const ALL: [Self; 3] = [Self::PodPhase, Self::PodReason, Self::WaitingReason];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PodPhase => "pod_phase",
            Self::PodReason => "pod_reason",
            Self::WaitingReason => "waiting_reason",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownWord {
    pub kind: WordKind,
    pub word: String,
}

/// Who made an object, and so answers for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `Job`, …, `Pod` for a pod of its own.
    pub kind: String,
    pub name: String,
}

/// A condition of an object's status.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub name: String,
    /// `None`: Unknown.
    pub status: Option<bool>,
    pub reason: String,
    pub message: String,
    /// Its last transition.
    pub since: Option<Time>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub labels: Labels,
    /// The workload; a replica set's pod belongs to its deployment.
    pub owner: Option<Owner>,
    pub node: Option<String>,
    pub phase: String,
    /// `Evicted`, `NodeLost`, …
    pub reason: String,
    pub message: String,
    pub created_at: Option<Time>,
    /// When it is to be gone: the deletion's time with its grace in it, as the API server writes it.
    pub delete_by: Option<Time>,
    pub conditions: Vec<Condition>,
    pub init_containers: Vec<Container>,
    pub containers: Vec<Container>,
    /// Names of the volume claims it mounts.
    pub claims: Vec<String>,
    /// Condition types of its readiness gates: it is ready only once each of them is True.
    pub gates: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    pub name: String,
    pub ready: bool,
    pub restarts: u32,
    pub state: ContainerState,
    /// How it ended the last time.
    pub last: Option<Terminated>,
    /// What the kubelet does once it has ended.
    pub restart_policy: RestartPolicy,
    /// The pod is there for it; the others (proxies, log shippers) only serve it.
    pub is_main: bool,
}

/// When the kubelet starts a container again that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    #[default]
    Always,
    OnFailure,
    Never,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ContainerState {
    Waiting { reason: String, message: String },
    Running { since: Option<Time> },
    Terminated(Terminated),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Terminated {
    pub exit_code: i32,
    /// `OOMKilled`, `Error`, `Completed`, …
    pub reason: String,
    pub message: String,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

impl WorkloadKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub namespace: String,
    pub name: String,
    /// Of the object and of its pod template: a catalogue's selector may name either.
    pub labels: Labels,
    pub generation: i64,
    pub observed_generation: i64,
    pub desired: u32,
    pub ready: u32,
    pub updated: u32,
    /// A stateful set's: it goes from one revision to another. `updated` alone does not tell, for the controller leaves
    /// pods that terminate out of it.
    pub is_between_revisions: bool,
    /// How many replicas the rollout is to bring to the new revision: fewer than desired under a partition, none where
    /// pods are replaced by hand (`OnDelete`).
    pub to_update: u32,
    /// The revision that a stateful set's new pods are of, as their label `controller-revision-hash` has it.
    pub update_revision: String,
    /// How many may be away during a rollout; all of them when it recreates.
    pub max_unavailable: u32,
    /// How long a rollout may take without progress.
    pub progress_deadline: Option<std::time::Duration>,
    pub paused: bool,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub name: String,
    pub created_at: Option<Time>,
    pub unschedulable: bool,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub namespace: String,
    pub name: String,
    pub labels: Labels,
    /// Its cron job.
    pub owner: Option<Owner>,
    pub created_at: Option<Time>,
    pub active: u32,
    pub failed: u32,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub namespace: String,
    pub name: String,
    pub labels: Labels,
    /// `Pending`, `Bound`, `Lost`.
    pub phase: String,
    pub storage_class: String,
    pub created_at: Option<Time>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub namespace: String,
    /// What it is about.
    pub about: Owner,
    pub about_uid: String,
    /// `Unhealthy`, `FailedScheduling`, `BackOff`, …
    pub reason: String,
    pub message: String,
    pub is_warning: bool,
    pub last_at: Option<Time>,
}
