//! From the API server's JSON to the values of [`crate::domain::cluster`]: pure, and the only place that knows its fields.
//!
//! The structs here name what findings need and nothing else, so that the decoder skips managed fields, specs, env and
//! annotations without ever holding them: an object of 10 kB leaves some hundred bytes. What is read from a watch, from a
//! list and from `kubectl get -o json` goes through the same code. Leaves out what is asked and when.

mod others;
mod pod;
mod workload;

use std::sync::Arc;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

pub(super) use self::others::{ClaimWire, EventWire, JobWire, NodeWire};
pub(super) use self::pod::PodWire;
pub(super) use self::workload::{DaemonSetWire, DeploymentWire, StatefulSetWire};
use crate::domain::Labels;
use crate::domain::cluster::{
    Claim, Cluster, Condition, Event, Job, Kind, Node, Owner, Pod, Workload,
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
    Claim(Arc<Claim>),
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
            Self::Claim(claim) => cluster.claims.push(claim),
        }
    }
}

/// Why an object of a kind cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("this is not one of the API server's {}: {cause}", kind.as_str())]
pub struct Error {
    pub kind: Kind,
    cause: serde_json::Error,
}

/// Trims one object, as an item of `kubectl get -o json` has it.
pub fn trim_json(kind: Kind, object: serde_json::Value) -> Result<Trimmed, Error> {
    fn decode<W: Wire>(object: serde_json::Value) -> Result<Trimmed, serde_json::Error> {
        serde_json::from_value::<Slim<W>>(object).map(|slim| slim.object)
    }
    match kind {
        Kind::Pods => decode::<PodWire>(object),
        Kind::Events => decode::<EventWire>(object),
        Kind::Nodes => decode::<NodeWire>(object),
        Kind::Deployments => decode::<DeploymentWire>(object),
        Kind::StatefulSets => decode::<StatefulSetWire>(object),
        Kind::DaemonSets => decode::<DaemonSetWire>(object),
        Kind::Jobs => decode::<JobWire>(object),
        Kind::Claims => decode::<ClaimWire>(object),
    }
    .map_err(|cause| Error { kind, cause })
}

/// The fields of one kind that are read.
pub(super) trait Wire: DeserializeOwned {
    fn meta(&self) -> &Meta;
    fn trim(self) -> Trimmed;
}

/// One object of a list or a watch: what is kept of it, and where it belongs.
#[derive(Debug)]
pub(super) struct Slim<W> {
    /// `namespace/name`.
    pub key: String,
    /// Where a watch goes on after it.
    pub version: String,
    pub object: Trimmed,
    kind: std::marker::PhantomData<W>,
}

/// The client asks for it; the fields that were read need not be.
impl<W> Clone for Slim<W> {
    fn clone(&self) -> Self {
        let Self { key, version, object, kind } = self;
        Self { key: key.clone(), version: version.clone(), object: object.clone(), kind: *kind }
    }
}

impl<'de, W: Wire> Deserialize<'de> for Slim<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = W::deserialize(deserializer)?;
        let meta = wire.meta();
        if meta.name.is_empty() {
            return Err(D::Error::custom("metadata.name is empty"));
        }
        let key = format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name);
        let version = meta.resource_version.clone().unwrap_or_default();
        Ok(Self { key, version, object: wire.trim(), kind: std::marker::PhantomData })
    }
}

/// `metadata`, as far as it is read. Everything that the API server may leave out or write as null is an option.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
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

/// The one annotation that is read; the others are skipped.
#[derive(Debug, Deserialize)]
struct Annotations {
    /// The container that kubectl means when nobody names one; injectors of sidecars set it.
    #[serde(rename = "kubectl.kubernetes.io/default-container")]
    default_container: Option<String>,
}

#[derive(Debug, Deserialize)]
struct OwnerReference {
    kind: String,
    name: String,
    controller: Option<bool>,
}

impl Meta {
    /// Who controls it: by the mark, else the first that is named.
    fn controller(&self) -> Option<Owner> {
        let owners = self.owner_references.as_deref().unwrap_or_default();
        owners
            .iter()
            .find(|owner| owner.controller == Some(true))
            .or(owners.first())
            .map(|owner| Owner { kind: owner.kind.clone(), name: owner.name.clone() })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
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

/// A count; one below zero, which the API server does not write, is none.
fn count(number: Option<i64>) -> u32 {
    u32::try_from(number.unwrap_or_default().max(0)).unwrap_or(u32::MAX)
}
