//! Why a pod is not ready, in the words of its own object: the states of its containers, its conditions, and the newest
//! warning about it.
//!
//! The state decides that something is wrong; a warning is often all that says what.

use super::containers::is_done;
use super::index::{Index, is_ready};
use super::symptom::Who;
use crate::domain::cluster::{Condition, Container, ContainerState, Event, Pod, Terminated};

/// Reasons in which a container waits at every start.
const STARTS: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Components that place, make, move or run pods and their volumes. Schedulers, provisioners and autoscalers of others end
/// with what they are.
const RUNNERS: [&str; 16] = [
    "kubelet",
    "attachdetach-controller",
    "persistentvolume-controller",
    "replicaset-controller",
    "replication-controller",
    "deployment-controller",
    "statefulset-controller",
    "daemonset-controller",
    "job-controller",
    "cronjob-controller",
    "node-controller",
    "taint-eviction-controller",
    "resource_claim",
    "controllermanager",
    "kube-controller-manager",
    "karpenter",
];
const RUNNERS_END: [&str; 4] = ["scheduler", "provisioner", "attacher", "autoscaler"];

/// Why a pod is not ready.
#[derive(Debug)]
pub(super) struct Cause {
    pub words: String,
    /// It says more than that the pod starts or does not pass its probe.
    pub is_telling: bool,
}

/// What is said, joined; an empty text leaves no trace.
pub(super) fn joined(texts: &[&str], by: &str) -> String {
    let said = texts.iter().map(|text| text.trim().trim_end_matches('.'));
    said.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(by)
}

/// As [`joined`], in parentheses after a blank.
pub(super) fn in_parentheses(texts: &[&str]) -> String {
    let said = joined(texts, ": ");
    if said.is_empty() { said } else { format!(" ({said})") }
}

/// Without number and time, which change with every restart while nothing else does.
pub(super) fn ended(end: &Terminated) -> String {
    let reason = in_parentheses(&[&end.reason]);
    joined(&[&format!("ended with exit code {}{reason}", end.exit_code), &end.message], ": ")
}

pub(super) fn of_pod<'a>(index: &Index<'a>, pod: &'a Pod) -> Cause {
    if let Some(node) = index.dark_node_of(pod) {
        return Cause { words: format!("its node {node} is not ready"), is_telling: true };
    }
    let (state, is_plain) = state(pod).unwrap_or_default();
    let conditions = conditions(pod);
    let warning = warning(index, pod).unwrap_or_default();
    Cause {
        is_telling: !(state.is_empty() || is_plain)
            || !conditions.is_empty()
            || !warning.is_empty(),
        words: joined(&[&state, &conditions, &warning], "; "),
    }
}

/// The container that keeps the pod from being ready, and whether every start looks like that.
fn state(pod: &Pod) -> Option<(String, bool)> {
    let blocks = |container: &&Container| !container.ready && !is_done(container);
    let init = pod.init_containers.iter().find(blocks).map(|c| (c, "init container"));
    let others = pod.containers.iter().filter(blocks);
    // One that runs is closer to being ready than one that does not.
    let other = others.min_by_key(|c| matches!(c.state, ContainerState::Running { .. }));
    let (container, role) = init.or(other.map(|c| (c, "container")))?;
    let name = &container.name;
    let before = container.last.as_ref().map(|end| format!("it {} before", ended(end)));
    let (words, is_plain) = match &container.state {
        ContainerState::Waiting { reason, message } if reason.is_empty() && message.is_empty() => {
            (format!("the kubelet reports no state of {role} {name}"), false)
        }
        ContainerState::Waiting { reason, message } => (
            format!("{role} {name} waits{}", in_parentheses(&[reason, message])),
            STARTS.contains(&reason.as_str()) && message.is_empty() && before.is_none(),
        ),
        ContainerState::Running { .. } if role == "init container" => {
            (format!("its init container {name} still runs"), false)
        }
        ContainerState::Running { .. } => {
            return Some((format!("container {name} runs and is not ready"), true));
        }
        ContainerState::Terminated(end) => {
            let words = format!("{role} {name} has not been started again since it {}", ended(end));
            return Some((words, false));
        }
    };
    Some((joined(&[&words, before.as_deref().unwrap_or_default()], "; "), is_plain))
}

/// Of the pod: that it is being taken away, and what it waits for although its containers are ready.
fn conditions(pod: &Pod) -> String {
    let mut said: Vec<String> = disruption(pod).into_iter().collect();
    let named = |name: &str| pod.conditions.iter().find(|c| c.name == name);
    if !is_ready(pod) && pod.containers.iter().all(|c| c.ready || is_done(c)) {
        let ready = named("Ready");
        let own = ready.map(|c| joined(&[&c.reason, &c.message], ": ")).unwrap_or_default();
        let gates = pod.gates.iter().filter_map(|gate| match named(gate) {
            Some(condition) if condition.status == Some(true) => None,
            Some(Condition { reason, message, .. })
                if !(reason.is_empty() && message.is_empty()) =>
            {
                Some(format!("{gate} is not True{}", in_parentheses(&[reason, message])))
            }
            _ if own.contains(gate) => None,
            Some(_) => Some(format!("readiness gate {gate} is not True")),
            None => Some(format!("readiness gate {gate} has never been set")),
        });
        let gates: Vec<String> = gates.collect();
        said.push(own);
        said.extend(gates);
    }
    joined(&said.iter().map(String::as_str).collect::<Vec<_>>(), "; ")
}

/// Who takes the pod away: the scheduler for another pod, the kubelet, a taint, a drain.
pub(super) fn disruption(pod: &Pod) -> Option<String> {
    let target = pod.conditions.iter().find(|c| c.name == "DisruptionTarget");
    let target = target.filter(|c| c.status == Some(true))?;
    Some(joined(&["DisruptionTarget", &target.reason, &target.message], ": "))
}

/// The newest warning about the pod that explains something, by those who run it if they have written any.
pub(super) fn warning<'a>(index: &Index<'a>, pod: &'a Pod) -> Option<String> {
    let warnings = index.pod_warnings(pod);
    // The first of the least: the newest is kept.
    let best = warnings.iter().min_by_key(|event| (is_by_a_bystander(event), says_little(event)));
    best.map(|event| joined(&[&event.reason, &event.message], ": "))
}

/// Written by somebody who neither places, makes nor runs pods, such as a policy engine that reports on all of them.
fn is_by_a_bystander(event: &Event) -> bool {
    let source = &*event.source;
    !(source.is_empty()
        || RUNNERS.contains(&source)
        || RUNNERS_END.iter().any(|end| source.ends_with(end)))
}

/// Warnings that come beside a cause and name none.
fn says_little(event: &Event) -> bool {
    matches!(
        &*event.reason,
        "BackOff" | "DNSConfigForming" | "MissingClusterDNS" | "FailedToRetrieveImagePullSecret"
    ) || matches!(&*event.message, "Error: ErrImagePull" | "Error: ImagePullBackOff")
}

/// What the registry or the runtime said about an image: while the kubelet backs off, only its event keeps that.
pub(super) fn pull_error<'a>(index: &Index<'a>, pod: &'a Pod, message: &str) -> Option<&'a str> {
    // A newer kubelet repeats the error itself.
    let is_notified = !message.is_empty()
        && (!message.starts_with("Back-off") || message.contains("ErrImagePull: "));
    if is_notified {
        return None;
    }
    let image = message.split('"').nth(1).unwrap_or_default();
    let is_it = |event: &&&Event| {
        event.message.starts_with("Failed to pull image") && event.message.contains(image)
    };
    index.pod_warnings(pod).iter().find(is_it).map(|event| event.message.as_str())
}

/// A lifecycle hook that failed: the kubelet kills the container for it.
pub(super) fn hook_error<'a>(index: &Index<'a>, pod: &'a Pod) -> Option<String> {
    let warnings = index.pod_warnings(pod);
    let hook = warnings
        .iter()
        .find(|event| event.reason.starts_with("Failed") && event.reason.ends_with("Hook"));
    hook.map(|event| joined(&[&event.reason, &event.message], ": "))
}

/// A pod of the owner that had to make room for another one: it goes, or has gone and left the scheduler's event.
pub(super) fn preemption<'a>(index: &Index<'a>, who: Who<'a>) -> Option<String> {
    let mut leaving = index.pods(who).iter().filter(|pod| pod.delete_by.is_some());
    let of_pod = leaving.find_map(|pod| Some(format!("{}: {}", pod.name, disruption(pod)?)));
    of_pod.or_else(|| {
        let is_own = |event: &&Event| {
            event.namespace == who.namespace
                && event.about.kind == "Pod"
                && is_pod_of(who, index.set_names(who), &event.about.name)
        };
        let newest = index.preemptions().filter(is_own).max_by_key(|event| event.last_at)?;
        Some(format!("{}: {}", newest.about.name, joined(&[&newest.reason, &newest.message], ": ")))
    })
}

/// By its name, which is all that an event keeps of a pod that is gone: it begins with that of the owner, or of the set in
/// between.
fn is_pod_of(who: Who, sets: &[&str], pod: &str) -> bool {
    // Kubernetes makes names without vowels, so that they do not read like words.
    let is_made = |part: &str| {
        !part.is_empty() && part.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c))
    };
    let after = |name: &str| pod.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    if sets.iter().any(|set| after(set).is_some_and(is_made)) {
        return true;
    }
    let Some(rest) = after(who.name) else { return false };
    match who.kind {
        "StatefulSet" => rest.parse::<u32>().is_ok(),
        "Deployment" => {
            rest.split_once('-').is_some_and(|(hash, own)| is_made(hash) && is_made(own))
        }
        _ => is_made(rest),
    }
}
