//! Objects made for one test: the least that the API server would send.

use mape_k::domain::finding::Finding;
use serde_json::{Value, json};

use super::fixtures::{find, line, minutes_ago, reading_of};

/// So many minutes before the tests' now, as the API writes it.
pub fn ago(minutes: i64) -> Value {
    json!(minutes_ago(minutes).format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

pub fn condition(name: &str, status: bool, minutes: i64) -> Value {
    let status = if status { "True" } else { "False" };
    json!({ "type": name, "status": status, "lastTransitionTime": ago(minutes) })
}

/// A condition with its reason and message.
pub fn said(mut condition: Value, reason: &str, message: &str) -> Value {
    condition["reason"] = json!(reason);
    condition["message"] = json!(message);
    condition
}

pub fn running(minutes: i64) -> Value {
    json!({ "running": { "startedAt": ago(minutes) } })
}

pub fn waiting(reason: &str, message: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": message } })
}

/// It ran from and to so many minutes ago.
pub fn ended(code: i32, reason: &str, from: i64, to: i64) -> Value {
    json!({ "terminated": { "exitCode": code, "reason": reason, "startedAt": ago(from), "finishedAt": ago(to) } })
}

pub fn container(name: &str, ready: bool, state: Value) -> Value {
    let mut status = json!({ "name": name, "ready": ready, "restartCount": 0, "lastState": {} });
    status["state"] = state;
    status
}

/// A pod of its own that was placed ten hours ago, and has been as ready as it is now for so many minutes.
pub fn pod(name: &str, phase: &str, ready: Option<i64>, containers: &[Value]) -> Value {
    let specs: Vec<Value> = containers.iter().map(|c| json!({ "name": c["name"] })).collect();
    let is_ready = ready.is_none();
    json!({
        "kind": "Pod",
        "metadata": { "name": name, "namespace": "shop", "uid": name, "creationTimestamp": ago(600), "labels": {} },
        "spec": { "nodeName": "n1", "restartPolicy": "Always", "containers": specs },
        "status": { "phase": phase, "containerStatuses": containers, "conditions": [
            condition("PodScheduled", true, 600), condition("Initialized", true, 600),
            condition("Ready", is_ready, ready.unwrap_or(600)),
        ] },
    })
}

/// The same as a replica of that owner.
pub fn of(kind: &str, owner: &str, mut pod: Value) -> Value {
    let (kind, name) = if kind == "Deployment" {
        pod["metadata"]["labels"]["pod-template-hash"] = json!("6d4b8c7f95");
        ("ReplicaSet", format!("{owner}-6d4b8c7f95"))
    } else {
        (kind, owner.to_owned())
    };
    pod["metadata"]["ownerReferences"] =
        json!([{ "kind": kind, "name": name, "controller": true }]);
    pod
}

/// A deployment that has been through with its rollouts for long.
pub fn deployment(name: &str, desired: u32, ready: u32) -> Value {
    let available = condition("Available", ready == desired, 30);
    json!({
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": "shop", "generation": 1, "creationTimestamp": ago(6000) },
        "spec": { "replicas": desired },
        "status": { "observedGeneration": 1, "replicas": desired, "updatedReplicas": desired, "readyReplicas": ready,
            "conditions": [
                said(condition("Progressing", true, 6000), "NewReplicaSetAvailable", "done"),
                said(available, "MinimumReplicas", "Deployment does not have minimum availability."),
            ] },
    })
}

pub fn node(name: &str, ready: bool) -> Value {
    json!({
        "kind": "Node", "metadata": { "name": name, "creationTimestamp": ago(6000) }, "spec": {},
        "status": { "conditions": [condition("Ready", ready, 20)] },
    })
}

/// A warning about a pod.
pub fn warning(pod: &str, reason: &str, message: &str, minutes: i64) -> Value {
    json!({
        "kind": "Event", "metadata": { "name": format!("{pod}.{reason}.{minutes}"), "namespace": "shop" },
        "involvedObject": { "kind": "Pod", "namespace": "shop", "name": pod, "uid": pod },
        "type": "Warning", "reason": reason, "message": message, "lastTimestamp": ago(minutes),
    })
}

pub fn found(objects: &[Value]) -> Vec<Finding> {
    find(&reading_of(objects.iter().cloned()))
}

pub fn lines(objects: &[Value]) -> Vec<String> {
    found(objects).iter().map(line).collect()
}

/// The reason of the finding of that kind.
pub fn reason(kind: &str, objects: &[Value]) -> String {
    let all = found(objects);
    let finding = all.iter().find(|finding| finding.kind.as_str() == kind);
    finding.unwrap_or_else(|| panic!("{kind} is not among {all:#?}")).reason.clone()
}
