//! Why replicas are missing: what keeps the controller from making pods, and what the pods' own objects say.

use std::collections::BTreeMap;

use super::cause::{joined, of_pod, preemption};
use super::index::Index;
use super::sets::itself;
use super::symptom::Who;
use super::workloads::not_ready;
use super::{EXPLAINS, RECENT};
use crate::domain::cluster::Workload;
use crate::domain::time::{Time, since};

/// What was found of each pod, by namespace and name.
pub(super) type Ailing<'a> = BTreeMap<(&'a str, &'a str), String>;

/// Causes in one reason; more than one is rare, and a message has no room for more.
const CAUSES: usize = 2;

/// `failed`: what was found of its newest failed pod; `begin`: since when replicas are missing. Without a final stop.
pub(super) fn why<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    workload: &'a Workload,
    failed: Option<&str>,
    ailing: &Ailing<'a>,
    begin: Option<Time>,
) -> String {
    let condition = |name: &str, status| {
        let found = workload.conditions.iter().find(|c| c.name == name && c.status == Some(status));
        found.map(|c| joined(&[&c.reason, &c.message], ": "))
    };
    let not_made = condition("ReplicaFailure", true)
        .or_else(|| refusal(index, itself(workload), begin).map(|(words, _)| words));
    let of_pods = failed.map(str::to_owned).or_else(|| of_live_pods(index, who, ailing));
    let causes = [not_made, of_pods, preemption(index, who)].into_iter().flatten();
    let causes: Vec<String> = causes.filter(|cause| !cause.is_empty()).take(CAUSES).collect();
    if causes.is_empty() {
        return condition("Available", false).unwrap_or_default();
    }
    joined(&causes.iter().map(String::as_str).collect::<Vec<_>>(), ". ")
}

/// What its controller said when it could not make a pod, and when it last did. It tries again after up to 1000 s, so
/// that this explains for longer than other events do, unless a pod was made since.
pub(super) fn refusal<'a>(
    index: &Index<'a>,
    owner: Who<'a>,
    begin: Option<Time>,
) -> Option<(String, Time)> {
    let refusals = index.events(owner).iter().copied();
    let refusals = refusals.filter(|event| event.is_warning && event.reason.starts_with("Failed"));
    let event = refusals.max_by_key(|event| event.last_at)?;
    let at = event.last_at?;
    let age = since(index.now, at);
    let made = index.pods(owner).iter().filter_map(|pod| pod.created_at).max();
    let lasts = begin.is_none_or(|begin| at >= begin) && made.is_none_or(|made| made < at);
    let explains = age <= EXPLAINS || age <= RECENT && lasts;
    explains.then(|| (joined(&[&event.reason, &event.message], ": "), at))
}

/// The first finding about one of its pods; else the first pod whose object says more than that it is not ready.
fn of_live_pods<'a>(index: &Index<'a>, who: Who<'a>, ailing: &Ailing<'a>) -> Option<String> {
    let found = not_ready(index, who).find_map(|pod| ailing.get(&(&*pod.namespace, &*pod.name)));
    found.cloned().or_else(|| {
        let causes = not_ready(index, who).map(|pod| (pod, of_pod(index, pod)));
        let mut telling = causes.filter(|(_, cause)| cause.is_telling);
        telling.next().map(|(pod, cause)| joined(&[&pod.name, &cause.words], ": "))
    })
}
