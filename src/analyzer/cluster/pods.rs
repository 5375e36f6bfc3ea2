//! Pods: what keeps them from running, or from being gone.

use std::time::Duration;

use super::cause::{in_parentheses, joined, of_pod, warning};
use super::index::{Index, is_ready, not_ready_since};
use super::symptom::{Symptom, Who};
use super::{PATIENCE, STARTING, TERMINATION_MARGIN, containers, failed, nodes};
use crate::domain::cluster::{ContainerState, Pod};
use crate::domain::finding::FindingKind;
use crate::domain::time::{self, Time, after, since};

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
        // A release tool's own, which tells of it itself.
        _ if pod.is_hook && pod.owner.is_none() => {}
        // Whether anybody misses a workload's pod is seen by its replicas.
        "Failed" if index.workload(who).is_some() => {}
        "Failed" => failed::look(index, who, pod, symptoms),
        _ if containers::is_pod_done(pod) => {}
        phase => {
            let before = symptoms.len();
            containers::look(index, who, pod, symptoms);
            if symptoms.len() > before {
                return;
            }
            symptoms.extend(if phase == "Pending" {
                pending(index, who, pod)
            } else {
                not_ready(index, who, pod)
            });
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
        let stuck = format!(
            "{} is stuck terminating{node}: it should have been gone by {}",
            pod.name,
            time::text(delete_by)
        );
        let words =
            format!("{}.", joined(&[&stuck, &warning(index, pod).unwrap_or_default()], "; "));
        symptom(who, FindingKind::StuckTerminating, pod, words, Some(delete_by))
    })
}

/// Not placed on a node after the first moment, or placed and not started in a reasonable time.
fn pending<'a>(index: &Index<'a>, who: Who<'a>, pod: &'a Pod) -> Option<Symptom<'a>> {
    let scheduled = pod.conditions.iter().find(|c| c.name == "PodScheduled");
    if pod.node.is_none() && scheduled.is_none_or(|c| c.status != Some(true)) {
        let at = scheduled.and_then(|c| c.since).or(pod.created_at);
        // A gate is an intention: whoever set it will lift it.
        let is_gated = scheduled.is_some_and(|c| c.reason == "SchedulingGated");
        let limit = if nodes::is_made_for(index, pod) { PATIENCE } else { STARTING };
        if is_gated || !is_past(index, at, limit) {
            return None;
        }
        let words = match scheduled {
            Some(c) => {
                let why = in_parentheses(&[&c.reason]);
                let cannot = format!("{} cannot be scheduled{why}", pod.name);
                format!("{}.", joined(&[&cannot, &c.message], ": "))
            }
            None => format!("{} has not been looked at by any scheduler.", pod.name),
        };
        return Some(symptom(who, FindingKind::Pending, pod, words, at));
    }
    let at = started_to_start(pod);
    if !is_past(index, at, PATIENCE) {
        return None;
    }
    let node = pod.node.as_deref().unwrap_or("its node");
    let why = of_pod(index, pod).words;
    let why = if why.is_empty() { "its kubelet says nothing of its containers" } else { &why };
    let words = format!("{} is on {node} and has not started: {why}.", pod.name);
    Some(symptom(who, FindingKind::Pending, pod, words, at))
}

/// Not ready for minutes, whatever its object shows, and nothing else was found that says why.
fn not_ready<'a>(index: &Index<'a>, who: Who<'a>, pod: &'a Pod) -> Option<Symptom<'a>> {
    let at = not_ready_since(pod);
    if is_ready(pod) || !is_past(index, at, PATIENCE) || containers::is_starting(index, pod) {
        return None;
    }
    // The node is a finding of its own, and whoever owns the pod replaces it; nothing replaces a pod of its own.
    if index.dark_node_of(pod).is_some() && pod.owner.is_some() {
        return None;
    }
    let all = || pod.init_containers.iter().chain(&pod.containers);
    let mut held_by = all().filter(|c| !c.ready && !containers::is_done(c)).peekable();
    let is_held = held_by.peek().is_some();
    if !is_held && all().any(|c| !c.ready) && pod.gates.is_empty() {
        return None;
    }
    let all_run = held_by.all(|c| matches!(c.state, ContainerState::Running { .. }));
    let kind = if all_run { FindingKind::ProbeFailing } else { FindingKind::Pending };
    let on = pod.node.as_deref().map_or_else(String::new, |node| format!(" on {node}"));
    let phase = if pod.phase == "Running" { "" } else { &*format!("phase {}", pod.phase) };
    let own = in_parentheses(&[phase, &pod.reason, &pod.message]);
    let not_ready = format!("{}{on} is not ready{own}", pod.name);
    let words = format!("{}.", joined(&[&not_ready, &of_pod(index, pod).words], ": "));
    Some(symptom(who, kind, pod, words, at))
}

fn is_past(index: &Index<'_>, at: Option<Time>, limit: Duration) -> bool {
    at.is_none_or(|at| since(index.now, at) > limit)
}

/// When its containers' turn began: placed on its node, and through with its init containers.
pub(super) fn started_to_start(pod: &Pod) -> Option<Time> {
    let passed = pod
        .conditions
        .iter()
        .filter(|c| c.status == Some(true) && matches!(&*c.name, "PodScheduled" | "Initialized"));
    passed.filter_map(|c| c.since).max().or(pod.created_at)
}

pub(super) fn symptom<'a>(
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
