//! Pods: who owns them, what their containers are doing and how those ended.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    ConditionWire, HttpTransport, Meta, Trimmed, conditions, count, is_of_the_system, text,
};
use crate::domain::cluster::{Container, ContainerState, Owner, Pod, RestartPolicy, Terminated};
use crate::domain::time::Time;

/// Names, or last words of names, of containers that serve another one in their pod: service mesh, secrets, databases' proxies,
/// logs, metrics. A pod in which all are of these has no other, so each is its main one.
const SIDECARS: [&str; 14] = [
    "proxy",
    "agent",
    "sidecar",
    "dataplane",
    "exporter",
    "collector",
    "shipper",
    "envoy",
    "daprd",
    "fluent-bit",
    "fluentd",
    "filebeat",
    "promtail",
    "otc-container",
];

/// The label by which a replica set distinguishes its pods from those of its siblings.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// By which Helm knows what it runs beside a release. It is an annotation; some charts write a label.
const HELM_HOOK: &str = "helm.sh/hook";

#[derive(Debug, Deserialize)]
pub(in crate::monitor::cluster) struct PodWire {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    priority_class_name: Option<String>,
    restart_policy: Option<String>,
    init_containers: Option<Vec<ContainerSpec>>,
    containers: Option<Vec<ContainerSpec>>,
    readiness_gates: Option<Vec<Gate>>,
    volumes: Option<Vec<Volume>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerSpec {
    name: String,
    /// `Always` makes an init container a sidecar.
    restart_policy: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Gate {
    condition_type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Volume {
    name: String,
    persistent_volume_claim: Option<ClaimReference>,
    ephemeral: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimReference {
    #[serde(default)]
    claim_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    conditions: Option<Vec<ConditionWire>>,
    init_container_statuses: Option<Vec<ContainerWire>>,
    container_statuses: Option<Vec<ContainerWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerWire {
    name: String,
    ready: Option<bool>,
    restart_count: Option<i64>,
    state: Option<StateWire>,
    last_state: Option<StateWire>,
}

#[derive(Debug, Default, Deserialize)]
struct StateWire {
    waiting: Option<WaitingWire>,
    running: Option<RunningWire>,
    terminated: Option<TerminatedWire>,
}

#[derive(Debug, Default, Deserialize)]
struct WaitingWire {
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunningWire {
    started_at: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TerminatedWire {
    exit_code: i32,
    reason: Option<String>,
    message: Option<String>,
    started_at: Option<Time>,
    finished_at: Option<Time>,
}

impl HttpTransport for PodWire {
    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self) -> Trimmed {
        let owner = workload(&self.metadata);
        let Self { metadata, spec, status } = self;
        // A generic ephemeral volume's claim is named after the pod and the volume.
        let claims = spec.volumes.unwrap_or_default().into_iter().filter_map(|volume| {
            let own = volume.ephemeral.map(|_| format!("{}-{}", metadata.name, volume.name));
            volume.persistent_volume_claim.map(|claim| claim.claim_name).or(own)
        });
        let claims = claims.collect();
        let init = spec.init_containers.unwrap_or_default();
        let specs = spec.containers.unwrap_or_default();
        let of_pod = restart_policy(spec.restart_policy.as_deref());
        // An init container that has succeeded is not started again, whatever the pod's policy is.
        let of_init =
            if of_pod == RestartPolicy::Always { RestartPolicy::OnFailure } else { of_pod };
        let annotations = metadata.annotations.unwrap_or_default();
        let labels = metadata.labels.unwrap_or_default();
        let is_hook = labels.contains_key(HELM_HOOK)
            || annotations.helm_hook.is_some()
            || annotations.argo_hook.is_some();
        let default = annotations.default_container;
        let main = main_containers(&specs, default);
        Trimmed::Pod(Arc::new(Pod {
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name,
            uid: metadata.uid.unwrap_or_default(),
            labels,
            is_critical: is_of_the_system(spec.priority_class_name.as_deref()),
            owner,
            restart_policy: of_pod,
            is_hook,
            node: spec.node_name,
            phase: status.phase.unwrap_or_default(),
            reason: text(status.reason),
            message: text(status.message),
            created_at: metadata.creation_timestamp,
            delete_by: metadata.deletion_timestamp,
            conditions: conditions(status.conditions),
            init_containers: containers(status.init_container_statuses, &init, of_init, &[]),
            containers: containers(status.container_statuses, &specs, of_pod, &main),
            claims,
            gates: spec
                .readiness_gates
                .unwrap_or_default()
                .into_iter()
                .map(|gate| gate.condition_type)
                .collect(),
        }))
    }
}

/// A replica set is named `<deployment>-<hash>` and its pods carry the hash: that says whose a pod is also while replica
/// sets cannot be read.
fn workload(meta: &Meta) -> Option<Owner> {
    let owner = meta.controller()?;
    if owner.kind != "ReplicaSet" {
        return Some(owner);
    }
    let hash = meta.labels.as_ref().and_then(|labels| labels.get(TEMPLATE_HASH));
    let deployment = hash
        .and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'))
        .filter(|name| !name.is_empty());
    match deployment {
        Some(name) => Some(Owner { kind: "Deployment".to_owned(), name: name.to_owned() }),
        // One of its own, without a deployment.
        None => Some(owner),
    }
}

fn restart_policy(text: Option<&str>) -> RestartPolicy {
    match text {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    }
}

/// The one that the pod itself names, else all that are no sidecars by their name.
fn main_containers(specs: &[ContainerSpec], default: Option<String>) -> Vec<String> {
    if let Some(name) = default.filter(|name| specs.iter().any(|spec| spec.name == *name)) {
        return vec![name];
    }
    let names = || specs.iter().map(|spec| spec.name.clone());
    let is_sidecar = |name: &String| {
        let before = SIDECARS.iter().filter_map(|word| name.strip_suffix(word));
        before.into_iter().any(|before| before.is_empty() || before.ends_with('-'))
    };
    let main: Vec<String> = names().filter(|name| !is_sidecar(name)).collect();
    if main.is_empty() { names().collect() } else { main }
}

fn containers(
    wire: Option<Vec<ContainerWire>>,
    specs: &[ContainerSpec],
    of_pod: RestartPolicy,
    main: &[String],
) -> Vec<Container> {
    let own_policy = |name: &str| {
        let spec = specs.iter().find(|spec| spec.name == name);
        spec.and_then(|spec| spec.restart_policy.as_deref())
    };
    let trim = |wire: ContainerWire| Container {
        restart_policy: own_policy(&wire.name)
            .map_or(of_pod, |policy| restart_policy(Some(policy))),
        is_main: main.contains(&wire.name),
        name: wire.name,
        ready: wire.ready.unwrap_or_default(),
        restarts: count(wire.restart_count),
        state: state(wire.state.unwrap_or_default()),
        last: wire.last_state.and_then(|last| last.terminated).map(terminated),
    };
    wire.unwrap_or_default().into_iter().map(trim).collect()
}

/// None of the three means waiting, as the API has it.
fn state(wire: StateWire) -> ContainerState {
    match wire {
        StateWire { terminated: Some(end), .. } => ContainerState::Terminated(terminated(end)),
        StateWire { running: Some(running), .. } => {
            ContainerState::Running { since: running.started_at }
        }
        StateWire { waiting, .. } => {
            let waiting = waiting.unwrap_or_default();
            ContainerState::Waiting { reason: text(waiting.reason), message: text(waiting.message) }
        }
    }
}

fn terminated(wire: TerminatedWire) -> Terminated {
    Terminated {
        exit_code: wire.exit_code,
        reason: text(wire.reason),
        message: text(wire.message),
        started_at: wire.started_at,
        finished_at: wire.finished_at,
    }
}
