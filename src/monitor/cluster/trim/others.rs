//! Nodes, jobs, cron jobs, volume claims and events.

use std::sync::Arc;

use serde::Deserialize;

use super::{ConditionWire, HttpTransport, Meta, Trimmed, conditions, count, text};
use crate::domain::cluster::{ACT_LABEL, Claim, CronJob, Event, Job, Node, Owner};
use crate::domain::time::Time;

/// Taints by which an autoscaler, or the cloud under it, says that it is taking the node away. Not among them are a mere
/// candidate (`DeletionCandidateOfClusterAutoscaler`) and a machine that somebody has switched off
/// (`node.cloudprovider.kubernetes.io/shutdown`): nobody has promised that it goes on purpose.
const REMOVAL_TAINTS: [&str; 8] = [
    "ToBeDeletedByClusterAutoscaler",
    "karpenter.sh/disrupted",
    // Of its versions before 1.0.
    "karpenter.sh/disruption",
    "cloud.google.com/impending-node-termination",
    "aws-node-termination-handler/spot-itn",
    "aws-node-termination-handler/asg-lifecycle-termination",
    "aws-node-termination-handler/scheduled-maintenance",
    "aws-node-termination-handler/rebalance-recommendation",
];

#[derive(Debug, Deserialize)]
pub(in crate::monitor::cluster) struct NodeWire {
    metadata: Meta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
struct NodeSpec {
    unschedulable: Option<bool>,
    taints: Option<Vec<Taint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Taint {
    key: String,
}

#[derive(Debug, Default, Deserialize)]
struct NodeStatus {
    conditions: Option<Vec<ConditionWire>>,
}

impl HttpTransport for NodeWire {
    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self) -> Trimmed {
        // Without a finalizer a node is gone at once: one that is still there while it is deleted is being drained.
        let is_deleted = self.metadata.deletion_timestamp.is_some();
        let taints = self.spec.taints.unwrap_or_default();
        let is_marked = taints.iter().any(|taint| REMOVAL_TAINTS.contains(&taint.key.as_str()));
        Trimmed::Node(Arc::new(Node {
            is_being_removed: is_deleted || is_marked,
            act: self.metadata.labels.and_then(|mut labels| labels.remove(ACT_LABEL)),
            name: self.metadata.name,
            created_at: self.metadata.creation_timestamp,
            unschedulable: self.spec.unschedulable.unwrap_or_default(),
            conditions: conditions(self.status.conditions),
        }))
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::monitor::cluster) struct JobWire {
    metadata: Meta,
    #[serde(default)]
    status: JobStatus,
}

#[derive(Debug, Default, Deserialize)]
struct JobStatus {
    active: Option<i64>,
    failed: Option<i64>,
    conditions: Option<Vec<ConditionWire>>,
}

impl HttpTransport for JobWire {
    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self) -> Trimmed {
        let owner = self.metadata.controller();
        let Self { metadata, status } = self;
        Trimmed::Job(Arc::new(Job {
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name,
            labels: metadata.labels.unwrap_or_default(),
            owner,
            created_at: metadata.creation_timestamp,
            active: count(status.active),
            failed: count(status.failed),
            conditions: conditions(status.conditions),
        }))
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::monitor::cluster) struct CronJobWire {
    metadata: Meta,
    #[serde(default)]
    status: CronJobStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CronJobStatus {
    last_successful_time: Option<Time>,
}

impl HttpTransport for CronJobWire {
    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self) -> Trimmed {
        Trimmed::CronJob(Arc::new(CronJob {
            namespace: self.metadata.namespace.unwrap_or_default(),
            name: self.metadata.name,
            act: self.metadata.labels.and_then(|mut labels| labels.remove(ACT_LABEL)),
            last_success: self.status.last_successful_time,
        }))
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::monitor::cluster) struct ClaimWire {
    metadata: Meta,
    #[serde(default)]
    spec: ClaimSpec,
    #[serde(default)]
    status: ClaimStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSpec {
    storage_class_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct ClaimStatus {
    phase: Option<String>,
}

impl HttpTransport for ClaimWire {
    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self) -> Trimmed {
        let Self { metadata, spec, status } = self;
        Trimmed::Claim(Arc::new(Claim {
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name,
            labels: metadata.labels.unwrap_or_default(),
            phase: status.phase.unwrap_or_default(),
            storage_class: spec.storage_class_name.unwrap_or_default(),
            created_at: metadata.creation_timestamp,
        }))
    }
}

/// An event of the core API. Newer writers leave the old times empty and fill `series` and `eventTime`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::monitor::cluster) struct EventWire {
    metadata: Meta,
    #[serde(default)]
    involved_object: ObjectReference,
    reason: Option<String>,
    message: Option<String>,
    #[serde(rename = "type")]
    weight: Option<String>,
    first_timestamp: Option<Time>,
    last_timestamp: Option<Time>,
    event_time: Option<Time>,
    series: Option<Series>,
    source: Option<EventSource>,
    /// What newer writers fill instead of `source`.
    reporting_component: Option<String>,
}

#[derive(Debug, Deserialize)]
struct EventSource {
    component: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct ObjectReference {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    last_observed_time: Option<Time>,
}

impl HttpTransport for EventWire {
    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self) -> Trimmed {
        let about = self.involved_object;
        let series = self.series.as_ref();
        let source =
            self.source.and_then(|source| source.component).filter(|name| !name.is_empty());
        let times = [
            series.and_then(|series| series.last_observed_time),
            self.last_timestamp,
            self.event_time,
            self.first_timestamp,
            self.metadata.creation_timestamp,
        ];
        Trimmed::Event(Arc::new(Event {
            namespace: about.namespace.or(self.metadata.namespace).unwrap_or_default(),
            about: Owner {
                kind: about.kind.unwrap_or_default(),
                name: about.name.unwrap_or_default(),
            },
            about_uid: about.uid.unwrap_or_default(),
            reason: text(self.reason),
            message: text(self.message),
            is_warning: self.weight.as_deref() == Some("Warning"),
            source: text(source.or(self.reporting_component)),
            last_at: times.into_iter().flatten().max(),
        }))
    }
}
