//! Pods that have ended for good (phase Failed): which of them somebody misses, and why they ended.
//!
//! A pod of its own is missed until it is deleted, for nothing replaces it. A workload's pod is missed while replicas are
//! missing; what it left behind beside a whole workload is past. A job counts its failed pods itself.

use super::cause::{disruption, ended, joined, warning};
use super::index::{Index, is_ready};
use super::pods::symptom;
use super::symptom::{Symptom, Who};
use super::{RECENT, containers};
use crate::domain::cluster::{Container, ContainerState, Pod, Terminated};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Time, since};

/// Of whatever is no workload: a pod of its own, a job's pod, a pod whose owner is not watched or cannot be read.
pub(super) fn look<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    pod: &'a Pod,
    symptoms: &mut Vec<Symptom<'a>>,
) {
    // What others of its owner have taken over from is past.
    if index.is_complete(who) {
        return;
    }
    let is_own = who.kind == "Pod";
    let is_evicted = pod.reason == "Evicted";
    let is_a_jobs = pod.owner.as_ref().is_some_and(|owner| owner.kind == "Job");
    if is_evicted && is_a_jobs && is_tried_again(index, who, pod) {
        return;
    }
    let is_missed = if is_evicted {
        is_own || is_recent(index, pod)
    } else {
        is_own || !is_a_jobs && index.replicas(who).is_some() && is_recent(index, pod)
    };
    push(index, who, pod, is_missed, symptoms);
}

/// Of a workload that lacks replicas, the newest first: those that nothing has replaced, and those of the last hour.
pub(super) fn of_workload<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    unreplaced: usize,
    symptoms: &mut Vec<Symptom<'a>>,
) {
    let mut failed: Vec<&Pod> = index
        .pods(who)
        .iter()
        .copied()
        .filter(|pod| pod.phase == "Failed" && pod.delete_by.is_none())
        .collect();
    failed.sort_by(|a, b| ended_at(b).cmp(&ended_at(a)).then_with(|| a.name.cmp(&b.name)));
    for (number, pod) in failed.into_iter().enumerate() {
        let is_missed = number < unreplaced || is_recent(index, pod);
        push(index, who, pod, is_missed, symptoms);
    }
}

fn push<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    pod: &'a Pod,
    is_missed: bool,
    symptoms: &mut Vec<Symptom<'a>>,
) {
    let before = symptoms.len();
    if pod.reason != "Evicted" {
        containers::look_at_the_dead(index, who, pod, symptoms);
    }
    if is_missed && symptoms.len() == before {
        symptoms.push(gone(index, who, pod));
    }
}

fn gone<'a>(index: &Index<'a>, who: Who<'a>, pod: &'a Pod) -> Symptom<'a> {
    let at = ended_at(pod);
    let node = pod.node.as_deref().unwrap_or_default();
    if pod.reason == "Evicted" {
        let from = if node.is_empty() { String::new() } else { format!(" from node {node}") };
        let words = joined(&[&format!("{} was evicted{from}", pod.name), &pod.message], ": ");
        return symptom(who, FindingKind::Evicted, pod, format!("{words}."), at);
    }
    let on = if node.is_empty() { String::new() } else { format!(" on node {node}") };
    let failed = format!("{} failed{on}", pod.name);
    let words = format!("{}.", joined(&[&failed, &why(index, pod)], ": "));
    let container = failing(pod);
    Symptom {
        container: container.map(|(container, _)| &*container.name),
        exit_code: container.map(|(_, end)| end.exit_code),
        ..symptom(who, FindingKind::PodFailed, pod, words, at)
    }
}

/// The pod's own reason and message; where they are empty what its containers, its conditions or a warning say.
fn why<'a>(index: &Index<'a>, pod: &'a Pod) -> String {
    let own = joined(&[&pod.reason, &pod.message], ": ");
    if !pod.message.is_empty() {
        return own;
    }
    let of_container =
        failing(pod).map(|(container, end)| format!("container {} {}", container.name, ended(end)));
    let found = disruption(pod).or(of_container).or_else(|| warning(index, pod));
    let words = found.unwrap_or_default();
    let words = if words.contains(&pod.reason) { words } else { joined(&[&own, &words], ": ") };
    if words.is_empty() { "its object does not say why".to_owned() } else { words }
}

/// The container that made it fail, a main one first.
fn failing(pod: &Pod) -> Option<(&Container, &Terminated)> {
    let all = pod.containers.iter().chain(&pod.init_containers);
    let failed = all.filter_map(|container| match &container.state {
        ContainerState::Terminated(end) if end.exit_code != 0 => Some((container, end)),
        _ => None,
    });
    failed.min_by_key(|(container, _)| !container.is_main)
}

fn is_recent(index: &Index<'_>, pod: &Pod) -> bool {
    ended_at(pod).is_none_or(|at| since(index.now, at) <= RECENT)
}

/// When it ended, by what the kubelet wrote last. One that was never admitted has the times of its beginning only.
fn ended_at(pod: &Pod) -> Option<Time> {
    let named = |name: &str| pod.conditions.iter().find(|c| c.name == name).and_then(|c| c.since);
    let ends = pod.containers.iter().filter_map(|container| match &container.state {
        ContainerState::Terminated(end) => end.finished_at,
        _ => None,
    });
    named("DisruptionTarget").or_else(|| named("Ready")).or_else(|| ends.max()).or(pod.created_at)
}

/// A newer pod of the same job runs well, or is through.
fn is_tried_again<'a>(index: &Index<'a>, who: Who<'a>, pod: &Pod) -> bool {
    let is_better = |other: &&Pod| {
        other.owner == pod.owner
            && other.created_at > pod.created_at
            && (is_ready(other) || other.phase == "Succeeded")
    };
    index.pods(who).iter().any(is_better)
}
