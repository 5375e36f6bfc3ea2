//! Pods: what keeps them from running, or from being gone.

use super::containers;
use super::index::{Index, is_ready};
use super::symptom::{Symptom, Who};
use super::{PATIENCE, RECENT, STARTING, TERMINATION_MARGIN};
use crate::domain::cluster::{ContainerState, Pod};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Time, after, since};

pub(super) fn look<'a>(index: &Index<'a>, symptoms: &mut Vec<Symptom<'a>>) {
    for (who, pods) in index.owners() {
        let is_off = index.workload(who).is_some_and(|workload| workload.desired == 0);
        for pod in pods {
            if let Some(delete_by) = pod.delete_by {
                symptoms.extend(stuck(index, who, pod, delete_by));
            } else if !is_off && !index.jobs.is_made_good(pod) {
                look_at(index, who, pod, symptoms);
            }
        }
    }
}

fn look_at<'a>(index: &Index<'a>, who: Who<'a>, pod: &'a Pod, symptoms: &mut Vec<Symptom<'a>>) {
    match pod.phase.as_str() {
        "Succeeded" => {}
        // What others of its owner have taken over from is past.
        "Failed" if index.is_complete(who) => {}
        "Failed" if pod.reason == "Evicted" && is_tried_again(index, who, pod) => {}
        "Failed" if pod.reason == "Evicted" => symptoms.extend(evicted(index, who, pod)),
        "Failed" => containers::look_at_the_dead(index, who, pod, symptoms),
        phase => {
            let before = symptoms.len();
            containers::look(index, who, pod, symptoms);
            if phase == "Pending" && symptoms.len() == before {
                symptoms.extend(pending(index, who, pod));
            }
        }
    }
}

/// On its way out it may fail as it likes, but not stay.
fn stuck<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    pod: &'a Pod,
    delete_by: Time,
) -> Option<Symptom<'a>> {
    let is_stuck = index.now > after(delete_by, TERMINATION_MARGIN);
    let node = pod.node.as_deref().map_or_else(String::new, |node| format!(" on node {node}"));
    is_stuck.then(|| {
        let words = format!(
            "{} is stuck terminating{node}: it should have been gone by {}.",
            pod.name,
            delete_by.format("%Y-%m-%d %H:%M:%S UTC")
        );
        symptom(who, FindingKind::StuckTerminating, pod, words, Some(delete_by))
    })
}

/// A newer pod of the same job runs well, or is through.
fn is_tried_again<'a>(index: &Index<'a>, who: Who<'a>, pod: &Pod) -> bool {
    let is_a_jobs = pod.owner.as_ref().is_some_and(|owner| owner.kind == "Job");
    let is_better = |other: &&Pod| {
        other.owner == pod.owner
            && other.created_at > pod.created_at
            && (is_ready(other) || other.phase == "Succeeded")
    };
    is_a_jobs && index.pods(who).iter().any(is_better)
}

/// Nothing replaces a pod of its own; of an owner's pods the old evictions are past.
fn evicted<'a>(index: &Index<'a>, who: Who<'a>, pod: &'a Pod) -> Option<Symptom<'a>> {
    let condition = |name: &str| pod.conditions.iter().find(|c| c.name == name);
    let at = condition("DisruptionTarget").or_else(|| condition("Ready")).and_then(|c| c.since);
    let is_past = who.kind != "Pod" && at.is_some_and(|at| since(index.now, at) > RECENT);
    (!is_past).then(|| {
        let node =
            pod.node.as_deref().map_or_else(String::new, |node| format!(" from node {node}"));
        let words = format!("{} was evicted{node}: {}", pod.name, pod.message);
        symptom(who, FindingKind::Evicted, pod, words, at)
    })
}

/// Not placed on a node after the first moment, or placed and not started in a reasonable time.
fn pending<'a>(index: &Index<'a>, who: Who<'a>, pod: &'a Pod) -> Option<Symptom<'a>> {
    let scheduled = pod.conditions.iter().find(|c| c.name == "PodScheduled");
    let is_past = |at: Option<Time>, limit| at.is_none_or(|at| since(index.now, at) > limit);
    if pod.node.is_none() && scheduled.is_none_or(|c| c.status != Some(true)) {
        let at = scheduled.and_then(|c| c.since).or(pod.created_at);
        // A gate is an intention: whoever set it will lift it.
        let is_gated = scheduled.is_some_and(|c| c.reason == "SchedulingGated");
        if is_gated || !is_past(at, STARTING) {
            return None;
        }
        let words = match scheduled {
            Some(c) => format!("{} cannot be scheduled ({}): {}", pod.name, c.reason, c.message),
            None => format!("{} has not been looked at by any scheduler.", pod.name),
        };
        return Some(symptom(who, FindingKind::Pending, pod, words, at));
    }
    let at = started_to_start(pod);
    if !is_past(at, PATIENCE) {
        return None;
    }
    let node = pod.node.as_deref().unwrap_or("its node");
    let why = match index.pod_event(pod, |event| event.is_warning) {
        Some(event) => format!("{}: {}", event.reason, event.message),
        None => waits_for(pod),
    };
    let words = format!("{} is on {node} and has not started: {why}", pod.name);
    Some(symptom(who, FindingKind::Pending, pod, words, at))
}

fn waits_for(pod: &Pod) -> String {
    let running = pod
        .init_containers
        .iter()
        .find(|c| !c.ready && matches!(c.state, ContainerState::Running { .. }));
    if let Some(init) = running {
        return format!("its init container {} still runs.", init.name);
    }
    let waiting = pod.containers.iter().find_map(|container| match &container.state {
        ContainerState::Waiting { reason, message } => {
            Some(format!("container {} waits, {reason} {message}", container.name))
        }
        ContainerState::Running { .. } | ContainerState::Terminated(_) => None,
    });
    waiting.unwrap_or_else(|| "its kubelet says nothing of its containers.".to_owned())
}

/// When its containers' turn began: placed on its node, and through with its init containers.
pub(super) fn started_to_start(pod: &Pod) -> Option<Time> {
    let passed = pod
        .conditions
        .iter()
        .filter(|c| c.status == Some(true) && matches!(&*c.name, "PodScheduled" | "Initialized"));
    passed.filter_map(|c| c.since).max().or(pod.created_at)
}

fn symptom<'a>(
    who: Who<'a>,
    kind: FindingKind,
    pod: &'a Pod,
    words: String,
    since: Option<Time>,
) -> Symptom<'a> {
    Symptom {
        who,
        kind,
        subject: &pod.name,
        pods: vec![&pod.name],
        container: None,
        words,
        exit_code: None,
        since,
    }
}
