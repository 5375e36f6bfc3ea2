//! Nodes that are not ready, what presses on them, and what they excuse of the pods on them.

use super::PATIENCE;
use super::index::Index;
use super::symptom::{Symptom, Who};
use crate::domain::cluster::{Condition, Node, Pod};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Time, since};

const PRESSURES: [&str; 4] =
    ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];

/// A node that says nothing of itself is not ready.
pub(super) fn is_ready(node: &Node) -> bool {
    node.conditions.iter().any(|c| c.name == "Ready" && c.status == Some(true))
}

/// It was made a few minutes ago: what is to run on it is still coming up.
pub(super) fn joins(node: &Node, now: Time) -> bool {
    node.created_at.is_some_and(|at| since(now, at) < PATIENCE)
}

/// An autoscaler makes a node for the pod: it has said so, and not said since that it cannot.
pub(super) fn is_made_for<'a>(index: &Index<'a>, pod: &'a Pod) -> bool {
    let words = ["TriggeredScaleUp", "Nominated", "NotTriggerScaleUp"];
    let newest = index.pod_event(pod, |event| words.contains(&&*event.reason));
    newest.is_some_and(|event| event.reason != "NotTriggerScaleUp")
}

/// It is on a node that joins, or has none and gets one that an autoscaler makes.
pub(super) fn awaits_its_node<'a>(index: &Index<'a>, pod: &'a Pod) -> bool {
    if pod.node.is_some() {
        return index.node_of(pod).is_some_and(|node| joins(node, index.now));
    }
    let is_new = pod.created_at.is_some_and(|at| since(index.now, at) < PATIENCE);
    is_new && is_made_for(index, pod)
}

/// What a pod shows because its node joins or is being removed. A pod that comes and goes with its node (a daemon set's, a
/// static one) shows nothing of interest on one that is being removed. On one that joins every pod may take as long to
/// start as its node, and those may also fail until its network and its mounts are there.
pub(super) fn excuses<'a>(index: &Index<'a>, symptom: &Symptom<'a>) -> bool {
    let is_excused = |pod: &&'a Pod| {
        let Some(node) = index.node_of(pod) else { return false };
        let owner = pod.owner.as_ref().map(|owner| owner.kind.as_str());
        let is_its_nodes = matches!(owner, Some("DaemonSet" | "Node"));
        let may_start = match symptom.kind {
            FindingKind::CrashLoop | FindingKind::InitFailed => is_its_nodes,
            FindingKind::ImagePull
            | FindingKind::ConfigError
            | FindingKind::OomKilled
            | FindingKind::Evicted
            | FindingKind::StuckTerminating => false,
            _ => true,
        };
        (is_its_nodes && node.is_being_removed) || (may_start && joins(node, index.now))
    };
    let pods = index.pods(symptom.who).iter();
    let mut shown = pods.filter(|pod| symptom.pods.contains(&&*pod.name)).peekable();
    shown.peek().is_some() && shown.all(is_excused)
}

pub(super) fn look<'a>(index: &Index<'a>, symptoms: &mut Vec<Symptom<'a>>) {
    for node in &index.reading.cluster.nodes {
        let symptom = |kind, words, since| Symptom {
            who: Who { namespace: "", kind: "Node", name: &node.name },
            kind,
            subject: &node.name,
            pods: Vec::new(),
            container: None,
            words,
            exit_code: None,
            since,
        };
        // One that joins is not ready yet, and has no network.
        if joins(node, index.now) && !is_ready(node) {
            continue;
        }
        if !is_ready(node) {
            let ready = node.conditions.iter().find(|c| c.name == "Ready");
            let on_purpose = match (node.is_being_removed, node.unschedulable) {
                (true, _) => " It is being removed.",
                (false, true) => " It is cordoned.",
                (false, false) => "",
            };
            let words = match ready {
                Some(ready) => {
                    let state = if ready.status.is_none() { "Unknown" } else { "False" };
                    format!(
                        "The node is not ready (Ready is {state}): {}.{on_purpose}",
                        own_words(ready)
                    )
                }
                None => format!("The node has no condition Ready.{on_purpose}"),
            };
            symptoms.push(symptom(FindingKind::NodeNotReady, words, ready.and_then(|c| c.since)));
        }
        let pressing: Vec<&Condition> = node
            .conditions
            .iter()
            .filter(|c| c.status == Some(true) && PRESSURES.contains(&c.name.as_str()))
            .collect();
        if !pressing.is_empty() {
            let words: Vec<String> =
                pressing.iter().map(|c| format!("{}: {}", c.name, own_words(c))).collect();
            let since = pressing.iter().filter_map(|c| c.since).min();
            let words = format!("The node reports {}.", words.join("; "));
            symptoms.push(symptom(FindingKind::NodePressure, words, since));
        }
    }
}

fn own_words(condition: &Condition) -> String {
    let message = condition.message.trim_end_matches('.');
    match (condition.reason.is_empty(), message.is_empty()) {
        (true, true) => "no reason given".to_owned(),
        (false, true) => condition.reason.clone(),
        (true, false) => message.to_owned(),
        (false, false) => format!("{}, {message}", condition.reason),
    }
}
