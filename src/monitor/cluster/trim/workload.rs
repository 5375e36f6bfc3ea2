//! Deployments, stateful sets, daemon sets, replica sets and replication controllers: how many are wanted, how many there
//! are, how many may be away.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::{ConditionWire, HttpTransport, Meta, Trimmed, conditions, count, is_of_the_system};
use crate::domain::Labels;
use crate::domain::cluster::{ACT_LABEL, EmptySet, Owner, Workload, WorkloadKind};

/// What the API server writes where nobody has said anything (a deployment).
const DEFAULT_PROGRESS_SECONDS: i64 = 600;

/// The API's way of saying that a rollout has no deadline: the largest 32-bit number.
const NO_DEADLINE: i64 = i32::MAX as i64;

#[derive(Debug, Deserialize)]
pub(in crate::monitor::cluster) struct DeploymentWire(Parts);

#[derive(Debug, Deserialize)]
pub(in crate::monitor::cluster) struct StatefulSetWire(Parts);

#[derive(Debug, Deserialize)]
pub(in crate::monitor::cluster) struct DaemonSetWire(Parts);

#[derive(Debug, Deserialize)]
pub(in crate::monitor::cluster) struct ReplicaSetWire(Parts);

#[derive(Debug, Deserialize)]
pub(in crate::monitor::cluster) struct ReplicationControllerWire(Parts);

#[derive(Debug, Deserialize)]
struct Parts {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    replicas: Option<i64>,
    paused: Option<bool>,
    progress_deadline_seconds: Option<i64>,
    /// A deployment's.
    strategy: Option<Strategy>,
    /// A stateful or daemon set's.
    update_strategy: Option<Strategy>,
    template: Option<Template>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Strategy {
    #[serde(rename = "type")]
    name: Option<String>,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RollingUpdate {
    max_unavailable: Option<Share>,
    max_surge: Option<Share>,
    /// A stateful set's: pods with a lower ordinal keep the old revision.
    partition: Option<i64>,
}

/// A number of pods, or a percentage of those that are wanted.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Share {
    Number(i64),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
struct Template {
    #[serde(default)]
    metadata: TemplateMeta,
    #[serde(default)]
    spec: TemplateSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateSpec {
    priority_class_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct TemplateMeta {
    labels: Option<Labels>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    observed_generation: Option<i64>,
    replicas: Option<i64>,
    ready_replicas: Option<i64>,
    updated_replicas: Option<i64>,
    current_revision: Option<String>,
    update_revision: Option<String>,
    desired_number_scheduled: Option<i64>,
    number_ready: Option<i64>,
    updated_number_scheduled: Option<i64>,
    conditions: Option<Vec<ConditionWire>>,
}

macro_rules! workload {
    ($wire:ty, $kind:expr) => {
        impl HttpTransport for $wire {
            fn meta(&self) -> &Meta {
                &self.0.metadata
            }

            fn trim(self) -> Trimmed {
                trim($kind, self.0)
            }
        }
    };
}

workload!(DeploymentWire, WorkloadKind::Deployment);
workload!(StatefulSetWire, WorkloadKind::StatefulSet);
workload!(DaemonSetWire, WorkloadKind::DaemonSet);
workload!(ReplicaSetWire, WorkloadKind::ReplicaSet);
workload!(ReplicationControllerWire, WorkloadKind::ReplicationController);

fn trim(kind: WorkloadKind, parts: Parts) -> Trimmed {
    let is_a_set = matches!(kind, WorkloadKind::ReplicaSet | WorkloadKind::ReplicationController);
    let owner = is_a_set.then(|| parts.metadata.owner_of_set()).flatten();
    let Parts { metadata, spec, status } = parts;
    // Nobody said how many: one.
    let wanted = spec.replicas.or(Some(1));
    let (desired, ready, updated) = match kind {
        WorkloadKind::DaemonSet => {
            (status.desired_number_scheduled, status.number_ready, status.updated_number_scheduled)
        }
        // A revision of its own: all that it has is of that one.
        WorkloadKind::ReplicaSet | WorkloadKind::ReplicationController => {
            (wanted, status.ready_replicas, wanted)
        }
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => {
            (wanted, status.ready_replicas, status.updated_replicas)
        }
    };
    if is_a_set && count(desired) == 0 && count(status.replicas) == 0 {
        return empty_set(kind, metadata, owner);
    }
    // What is being deleted is to have none: its pods go, and one that stays is found as stuck.
    let desired = if metadata.deletion_timestamp.is_some() { 0 } else { count(desired) };
    let mut labels = metadata.labels.unwrap_or_default();
    let own_act = labels.get(ACT_LABEL).cloned();
    let template = spec.template.unwrap_or_default();
    // The pods carry the template's; where both name a label, selectors mean theirs.
    labels.extend(template.metadata.labels.unwrap_or_default());
    if let Some(act) = own_act
        && labels.get(ACT_LABEL).is_none_or(|of_pods| of_pods != "off")
    {
        labels.insert(ACT_LABEL.to_owned(), act);
    }
    let strategy = spec.strategy.or(spec.update_strategy).unwrap_or_default();
    let deadline = spec.progress_deadline_seconds.unwrap_or(DEFAULT_PROGRESS_SECONDS);
    let owner_desired =
        metadata.annotations.and_then(|annotations| annotations.desired_replicas?.parse().ok());
    Trimmed::Workload(Arc::new(Workload {
        kind,
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name,
        owner,
        created_at: metadata.creation_timestamp,
        labels,
        is_critical: is_of_the_system(template.spec.priority_class_name.as_deref()),
        generation: metadata.generation.unwrap_or_default(),
        observed_generation: status.observed_generation.unwrap_or_default(),
        desired,
        owner_desired,
        ready: count(ready),
        updated: count(updated),
        is_between_revisions: status.current_revision != status.update_revision,
        to_update: to_update(&strategy, desired),
        update_revision: status.update_revision.unwrap_or_default(),
        max_unavailable: max_unavailable(kind, &strategy, desired),
        progress_deadline: (kind == WorkloadKind::Deployment && deadline < NO_DEADLINE)
            .then(|| Duration::from_secs(u64::from(count(Some(deadline))))),
        paused: spec.paused.unwrap_or_default(),
        conditions: conditions(status.conditions),
    }))
}

/// A deployment's pods carry its name themselves.
fn empty_set(kind: WorkloadKind, metadata: Meta, owner: Option<Owner>) -> Trimmed {
    match owner.filter(|owner| owner.kind != "Deployment") {
        Some(owner) => Trimmed::EmptySet(Arc::new(EmptySet {
            kind,
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name,
            owner,
        })),
        None => Trimmed::Nothing,
    }
}

fn to_update(strategy: &Strategy, desired: u32) -> u32 {
    if strategy.name.as_deref() == Some("OnDelete") {
        return 0;
    }
    let kept = strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition);
    desired.saturating_sub(count(kept))
}

/// As the controllers themselves reckon it.
fn max_unavailable(kind: WorkloadKind, strategy: &Strategy, desired: u32) -> u32 {
    match strategy.name.as_deref() {
        Some("Recreate") => return desired,
        // Nothing is taken away but by a person's hand.
        Some("OnDelete") => return 0,
        _ => {}
    }
    let rolling = strategy.rolling_update.as_ref();
    let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
    match kind {
        WorkloadKind::Deployment => {
            let quarter = Share::Text("25%".to_owned());
            let away = unavailable.unwrap_or(&quarter).of(desired, false);
            let more = surge.unwrap_or(&quarter).of(desired, true);
            // Without any room a rollout could not go on: the controller takes one away.
            if away == 0 && more == 0 { 1 } else { away }
        }
        WorkloadKind::StatefulSet => unavailable.map_or(1, |share| share.of(desired, false)).max(1),
        WorkloadKind::DaemonSet => {
            let away = unavailable.map_or(1, |share| share.of(desired, true));
            let more = surge.map_or(0, |share| share.of(desired, true));
            if away == 0 && more == 0 { 1 } else { away }
        }
        WorkloadKind::ReplicaSet | WorkloadKind::ReplicationController => 0,
    }
    .min(desired)
}

impl Share {
    fn of(&self, desired: u32, round_up: bool) -> u32 {
        match self {
            Self::Number(number) => count(Some(*number)),
            Self::Text(text) => match text.strip_suffix('%') {
                Some(percent) => {
                    let hundredths =
                        percent.parse::<u32>().map_or(0, u64::from) * u64::from(desired);
                    let whole = if round_up { hundredths.div_ceil(100) } else { hundredths / 100 };
                    u32::try_from(whole).unwrap_or(u32::MAX)
                }
                None => text.parse().unwrap_or(0),
            },
        }
    }
}
