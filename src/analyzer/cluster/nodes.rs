//! Nodes that are not ready, and what presses on them.

use super::PATIENCE;
use super::index::Index;
use super::symptom::{Symptom, Who};
use crate::domain::cluster::{Condition, Node};
use crate::domain::finding::FindingKind;
use crate::domain::time::since;

const PRESSURES: [&str; 4] =
    ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];

/// A node that says nothing of itself is not ready.
pub(super) fn is_ready(node: &Node) -> bool {
    node.conditions.iter().any(|c| c.name == "Ready" && c.status == Some(true))
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
        let is_young = node.created_at.is_some_and(|at| since(index.now, at) < PATIENCE);
        // One that joins is not ready yet, and has no network.
        if is_young && !is_ready(node) {
            continue;
        }
        if !is_ready(node) {
            let ready = node.conditions.iter().find(|c| c.name == "Ready");
            let cordoned = if node.unschedulable { " It is cordoned." } else { "" };
            let words = match ready {
                Some(ready) => {
                    let state = if ready.status.is_none() { "Unknown" } else { "False" };
                    format!(
                        "The node is not ready (Ready is {state}): {}.{cordoned}",
                        own_words(ready)
                    )
                }
                None => format!("The node has no condition Ready.{cordoned}"),
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
