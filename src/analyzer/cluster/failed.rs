//! Pods that have ended for good (phase Failed): which of them somebody misses, and why they ended.
//!
//! A pod of its own is missed until it is deleted, for nothing replaces it. A workload's pod is missed while replicas are
//! missing; what it left behind beside a whole workload is past. An owner of a kind that is not watched misses each pod
//! that was to run for good and that no newer one has replaced. A job counts its failed pods itself.

use std::time::Duration;

use super::cause::{disruption, ended, joined, warning};
use super::index::{Index, is_ready};
use super::pods::symptom;
use super::symptom::{Symptom, Who};
use super::{RECENT, STARTING, containers};
use crate::domain::cluster::{Container, ContainerState, Pod, RestartPolicy, Terminated};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Time, after, since};

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
    let is_own = who.kind == "Pod" && who.name == pod.name;
    let is_evicted = pod.reason == "Evicted";
    let is_a_jobs = pod.owner.as_ref().is_some_and(|owner| owner.kind == "Job");
    if is_evicted && is_a_jobs && is_tried_again(index, who, pod) {
        return;
    }
    let is_missed = if is_own {
        true
    } else if is_a_jobs {
        is_evicted && is_recent(index, pod)
    } else {
        // What was there for one piece of work (a task, a step) is the matter of whoever asked for that.
        let is_to_run = pod.restart_policy == RestartPolicy::Always;
        let is_counted = index.replicas(who).is_some();
        let is_unreplaced = || index.unreplaced(who).iter().any(|one| std::ptr::eq(*one, pod));
        let is_of_now = is_recent(index, pod) && (is_evicted || is_counted);
        is_to_run && (is_of_now || is_counted && is_unreplaced())
    };
    push(index, who, pod, is_missed, symptoms);
}

/// Of an owner's pods, those that were to run for good, have failed, and have no newer pod in their place. Each pod takes
/// the place of one: it was made after that one, and not long before that one ended (two clocks write these times).
pub(super) fn unreplaced<'a>(pods: &[&'a Pod]) -> Vec<&'a Pod> {
    let counts = |pod: &&&Pod| pod.delete_by.is_none() && pod.phase != "Succeeded";
    let mut made: Vec<_> = pods.iter().filter(counts).map(|pod| pod.created_at).collect();
    made.sort_unstable();
    let earliest = |pod: &Pod| {
        let made = pod.created_at.map(|at| after(at, Duration::from_secs(1)));
        made.max(ended_at(pod).map(|at| at - STARTING))
    };
    let is_lost = |pod: &&&Pod| {
        pod.phase == "Failed" && pod.restart_policy == RestartPolicy::Always && counts(pod)
    };
    let mut lost: Vec<_> = pods.iter().filter(is_lost).map(|pod| (earliest(pod), *pod)).collect();
    // What may stand in for one may stand in for each that ended before it.
    lost.sort_by_key(|(earliest, _)| std::cmp::Reverse(*earliest));
    let mut taken = 0;
    lost.retain(|(earliest, pod)| {
        let newer = made.len() - made.partition_point(|made| made < earliest);
        let is_replaced = newer > taken && !is_numbered(pod);
        taken += usize::from(is_replaced);
        !is_replaced
    });
    lost.into_iter().map(|(_, pod)| pod).collect()
}

/// Its owner counts its pods (`kafka-2`): only one of the same name can take its place.
fn is_numbered(pod: &Pod) -> bool {
    let number = pod.name.rsplit_once('-').map_or("", |(_, number)| number);
    (1..=4).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
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
