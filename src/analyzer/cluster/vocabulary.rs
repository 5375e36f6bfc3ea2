//! The words of Kubernetes that tell findings apart, and those of a reading that are none of them.
//!
//! No finding depends on a word being here: a pod that is not ready is found by its state. The list says which words somebody
//! should look at, because a new version of Kubernetes, or another kubelet, has brought them.

use std::collections::BTreeSet;

use crate::domain::cluster::{ClusterReading, ContainerState, Pod, UnknownWord, WordKind};

/// Words of one cycle, and characters of one word: anybody who may write a pod's status chooses them.
const MAX_WORDS: usize = 50;
const MAX_CHARS: usize = 100;

const PHASES: [&str; 6] = ["", "Pending", "Running", "Succeeded", "Failed", "Unknown"];

/// Why the kubelet ended a pod, or did not take it. `OutOfcpu`, `OutOfmemory`, `OutOfpods` and the like are known by their
/// beginning.
const POD_REASONS: [&str; 16] = [
    "",
    "Evicted",
    "Preempting",
    "Terminated",
    "NodeShutdown",
    "Shutdown",
    "NodeLost",
    "NodeAffinity",
    "NodeName",
    "NodePorts",
    "TaintToleration",
    "UnexpectedAdmissionError",
    "TopologyAffinityError",
    "SysctlForbidden",
    "PodOSNotSupported",
    "DeadlineExceeded",
];

const WAITING_REASONS: [&str; 18] = [
    "",
    "ContainerCreating",
    "PodInitializing",
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
    "Completed",
];

/// Each word once, however many pods show it.
#[must_use]
pub fn unknown_words(reading: &ClusterReading) -> BTreeSet<UnknownWord> {
    let mut unknown = BTreeSet::new();
    for word in reading.cluster.pods.iter().flat_map(|pod| words(pod)) {
        if unknown.len() == MAX_WORDS {
            break;
        }
        unknown.insert(word);
    }
    unknown
}

fn words(pod: &Pod) -> impl Iterator<Item = UnknownWord> {
    let is_known_reason = POD_REASONS.contains(&&*pod.reason) || pod.reason.starts_with("OutOf");
    let phase = (!PHASES.contains(&&*pod.phase)).then_some((WordKind::PodPhase, &pod.phase));
    let reason = (!is_known_reason).then_some((WordKind::PodReason, &pod.reason));
    let waiting =
        pod.init_containers.iter().chain(&pod.containers).filter_map(|container| match &container
            .state
        {
            ContainerState::Waiting { reason, .. } if !WAITING_REASONS.contains(&&**reason) => {
                Some((WordKind::WaitingReason, reason))
            }
            _ => None,
        });
    phase
        .into_iter()
        .chain(reason)
        .chain(waiting)
        .map(|(kind, word)| UnknownWord { kind, word: word.chars().take(MAX_CHARS).collect() })
}
