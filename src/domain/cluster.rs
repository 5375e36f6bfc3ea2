//! What the API server says there is, trimmed to what findings need; `src/monitor/cluster` fills it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::reading::ReadFailure;
use super::{Labels, time::Time};

/// The kinds that are watched; the names are those of `kubernetes.kinds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[derive(EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    Pods,
    Events,
    Nodes,
    Deployments,
    StatefulSets,
    DaemonSets,
    ReplicaSets,
    ReplicationControllers,
    Jobs,
    CronJobs,
    #[serde(rename = "persistentvolumeclaims")]
    #[strum(serialize = "persistentvolumeclaims")]
    Claims,
}

impl Kind {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    /// Kinds that roles of earlier versions do not grant.
    pub const OPTIONAL: [Self; 3] =
        [Self::ReplicaSets, Self::ReplicationControllers, Self::CronJobs];

    /// Kinds that say who owns a pod: while one of them cannot be read, its pods go by another name.
    pub const OWNERS_OF_PODS: [Self; 3] =
        [Self::Jobs, Self::ReplicaSets, Self::ReplicationControllers];

    /// Kinds that say how many replicas are wanted and ready.
    pub const WORKLOADS: [Self; 5] = [
        Self::Deployments,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::ReplicaSets,
        Self::ReplicationControllers,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The label by which the owner of an object says how freely this daemon may act on it: `off`, `suggest` or `auto`.
pub const ACT_LABEL: &str = "mape-k.io/act";

/// What one cycle read of the cluster: the watch caches as they stand, and which of them cannot be relied on.
#[derive(Clone, Debug, Default)]
pub struct ClusterReading {
    pub cluster: Cluster,
    /// When the caches were read; `None`: nobody says, and nothing is concluded from how it was before.
    pub read_at: Option<Time>,
    /// The kinds that the configuration asks for, without the optional ones that the API server refuses.
    pub expected: BTreeSet<Kind>,
    /// Optional kinds that are read, each with a namespace in which the API server refuses them: there it is as if nobody
    /// had asked for them.
    pub left_out: BTreeSet<(Kind, String)>,
    /// Those of them that cannot be read, with the reason; their objects are left out of `cluster`.
    pub failures: BTreeMap<Kind, ReadFailure>,
    /// Objects of kinds that can be read that cannot be read themselves; they are left out of `cluster`.
    pub unread: Vec<UnreadObject>,
    /// The namespace that this daemon runs in itself; `None`: it runs outside, or does not know.
    pub own_namespace: Option<String>,
}

impl ClusterReading {
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.failures.is_empty() && self.unread.is_empty()
    }

    /// Whether the kind is read, or was to be, in this namespace. `None`: in any.
    #[must_use]
    pub fn is_expected(&self, kind: Kind, namespace: Option<&str>) -> bool {
        let is_left_out = |namespace: &str| self.left_out.contains(&(kind, namespace.to_owned()));
        self.expected.contains(&kind) && !namespace.is_some_and(is_left_out)
    }

    /// Whether an object of this kind may be there without being in `cluster`. `namespace`: that of the object, if it has
    /// one.
    #[must_use]
    pub fn is_hidden(&self, kind: Kind, namespace: Option<&str>) -> bool {
        let may_be_it = |object: &UnreadObject| {
            object.kind == kind
                && (object.namespace.is_empty()
                    || namespace.is_none_or(|own| own == object.namespace))
        };
        self.is_expected(kind, namespace)
            && (self.failures.contains_key(&kind) || self.unread.iter().any(may_be_it))
    }

    /// Nothing at all could be read: there is nothing to assess.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        !self.expected.is_empty() && self.expected.iter().all(|k| self.failures.contains_key(k))
    }
}

/// An object that the API server lists and that cannot be read: a field of it is not what the API says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnreadObject {
    pub kind: Kind,
    /// Empty for a node, and where even the namespace cannot be read.
    pub namespace: String,
    /// Empty where even the name cannot be read.
    pub name: String,
    /// The field and what is wrong with it.
    pub cause: String,
}

impl std::fmt::Display for UnreadObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, namespace, name, cause } = self;
        let name = if name.is_empty() { "(without a name)" } else { name };
        let slash = if namespace.is_empty() { "" } else { "/" };
        write!(f, "{} {namespace}{slash}{name}: {cause}", kind.as_str())
    }
}

/// Trimmed objects. They are shared with the watch caches: an object is never copied for a cycle.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub pods: Vec<Arc<Pod>>,
    pub events: Vec<Arc<Event>>,
    pub nodes: Vec<Arc<Node>>,
    /// Of [`Kind::WORKLOADS`].
    pub workloads: Vec<Arc<Workload>>,
    pub empty_sets: Vec<Arc<EmptySet>>,
    pub jobs: Vec<Arc<Job>>,
    pub cron_jobs: Vec<Arc<CronJob>>,
    pub claims: Vec<Arc<Claim>>,
}

/// Where a word stands that Kubernetes chooses and no list of ours has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum WordKind {
    PodPhase,
    PodReason,
    WaitingReason,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownWord {
    pub kind: WordKind,
    pub word: String,
}

/// Who made an object, and so answers for it. A kind that has the name of one that we know and is of another API group is
/// written with its group, as kubectl has it: `StatefulSet.apps.kruise.io`.
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
    /// Its priority class is one of the system's own: the cluster needs it to work.
    pub is_critical: bool,
    /// The workload; a replica set's pod belongs to its deployment.
    pub owner: Option<Owner>,
    /// `Always`: it is to run for good. Else it is there for one piece of work.
    pub restart_policy: RestartPolicy,
    /// A release tool made it for one moment of a release: a test, a migration.
    pub is_hook: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr)]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    ReplicationController,
}

impl WorkloadKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub namespace: String,
    pub name: String,
    /// Who made a replica set or replication controller; the other kinds answer for themselves.
    pub owner: Option<Owner>,
    pub created_at: Option<Time>,
    /// Of the object and of its pod template: a catalogue's selector may name either. Of [`ACT_LABEL`] the object's own,
    /// unless the template says `off`.
    pub labels: Labels,
    /// Its pods' priority class is one of the system's own.
    pub is_critical: bool,
    pub generation: i64,
    pub observed_generation: i64,
    pub desired: u32,
    /// How many the owner of a set wants in all its sets, where the set says so.
    pub owner_desired: Option<u32>,
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

/// A replica set or replication controller that wants no pods and has none, of an owner whose kind is not watched: it says
/// whose the pods are that it left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct EmptySet {
    pub kind: WorkloadKind,
    pub namespace: String,
    pub name: String,
    pub owner: Owner,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub name: String,
    /// Its [`ACT_LABEL`]; other labels of nodes are not kept.
    pub act: Option<String>,
    pub created_at: Option<Time>,
    pub unschedulable: bool,
    /// It is on its way out: it is being deleted, or an autoscaler or its cloud has marked it.
    pub is_being_removed: bool,
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
pub struct CronJob {
    pub namespace: String,
    pub name: String,
    /// Its [`ACT_LABEL`]; other labels of cron jobs are not kept.
    pub act: Option<String>,
    /// When a run of it last completed.
    pub last_success: Option<Time>,
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
    /// The component that wrote it: `kubelet`, `default-scheduler`, …; empty: it does not say.
    pub source: String,
    pub last_at: Option<Time>,
}
