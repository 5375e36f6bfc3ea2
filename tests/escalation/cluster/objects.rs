//! Objects as the API server writes them, with all the ballast that they come with.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

pub fn pod(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "uid": format!("uid-of-{name}"),
            "labels": { "app": "shop" }, "creationTimestamp": "2026-11-22T11:00:00Z" },
        "spec": { "nodeName": "node-1", "containers": [{ "name": "main", "image": "shop:1" }] },
        "status": { "phase": "Running", "containerStatuses": [{
            "name": "main", "ready": true, "restartCount": 0,
            "state": { "running": { "startedAt": "2026-11-22T11:00:05Z" } } }] },
    })
}

pub fn warning(name: &str, last_at: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "type": "Warning",
        "metadata": { "name": name, "namespace": "shop" },
        "involvedObject": { "kind": "Pod", "name": "web", "namespace": "shop", "uid": "uid-of-web" },
        "reason": "Unhealthy", "message": "Readiness probe failed", "count": 7,
        "firstTimestamp": "2026-11-22T10:00:00Z", "lastTimestamp": last_at,
    })
}

/// A deployment of the shop that has been as it is for so many minutes.
pub fn deployment(name: &str, ready: u32, desired: u32, minutes: i64) -> Value {
    let since = (Utc::now() - TimeDelta::minutes(minutes)).format("%Y-%m-%dT%H:%M:%SZ");
    let since = since.to_string();
    let available = if ready == desired { "True" } else { "False" };
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 3,
                     "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": name}},
        "spec": {"replicas": desired, "progressDeadlineSeconds": 600,
                 "selector": {"matchLabels": {"app": name}},
                 "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                 "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": []}}},
        "status": {"observedGeneration": 3, "replicas": desired, "updatedReplicas": desired,
                   "readyReplicas": ready, "availableReplicas": ready, "unavailableReplicas": desired - ready,
                   "conditions": [
            {"type": "Available", "status": available, "reason": "MinimumReplicas", "message": "replicas",
             "lastTransitionTime": since, "lastUpdateTime": since},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": "done",
             "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"},
        ]},
    })
}

/// One of every kind, smallest form.
pub fn one_of_each() -> Vec<Value> {
    let of = |version: &str, kind: &str, namespace: Value, rest: Value| {
        let mut object = json!({ "apiVersion": version, "kind": kind,
            "metadata": { "name": "one", "namespace": namespace } });
        for (key, value) in rest.as_object().expect("an object") {
            object[key] = value.clone();
        }
        object
    };
    vec![
        pod("shop", "one"),
        warning("one", "2026-11-22T11:59:00Z"),
        of("v1", "Node", Value::Null, json!({})),
        of("apps/v1", "Deployment", json!("shop"), json!({ "spec": { "replicas": 2 } })),
        of("apps/v1", "StatefulSet", json!("shop"), json!({})),
        of("apps/v1", "DaemonSet", json!("shop"), json!({})),
        of("apps/v1", "ReplicaSet", json!("shop"), json!({ "spec": { "replicas": 2 } })),
        of("v1", "ReplicationController", json!("shop"), json!({ "spec": { "replicas": 2 } })),
        of("batch/v1", "Job", json!("shop"), json!({})),
        of("batch/v1", "CronJob", json!("shop"), json!({})),
        of("v1", "PersistentVolumeClaim", json!("shop"), json!({ "status": { "phase": "Bound" } })),
    ]
}

/// A pod of a deployment with two containers, as large as they are in production: some 10 kB of JSON.
pub fn large_pod(index: usize) -> Value {
    let deployment = format!("service-{:03}", index / 5);
    let hash = "6c9f7d8b54";
    let name = format!("{deployment}-{hash}-{index:05}");
    let env: Vec<Value> = (0..18)
        .map(|at| json!({ "name": format!("SETTING_NUMBER_{at}"), "value": format!("https://setting-{at}.example.internal:8443/path") }))
        .collect();
    let mounts: Vec<Value> = (0..6)
        .map(|at| json!({ "name": format!("volume-{at}"), "mountPath": format!("/etc/service/config-{at}"), "readOnly": true }))
        .collect();
    let container = |name: &str| {
        json!({ "name": name, "image": format!("registry.example.internal/team/{name}@sha256:2f1c3a0b9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a"),
            "imagePullPolicy": "IfNotPresent", "env": env, "volumeMounts": mounts,
            "ports": [{ "containerPort": 8080, "name": "http", "protocol": "TCP" }],
            "resources": { "limits": { "cpu": "1", "memory": "512Mi" }, "requests": { "cpu": "100m", "memory": "256Mi" } },
            "livenessProbe": { "httpGet": { "path": "/healthz", "port": 8080, "scheme": "HTTP" }, "periodSeconds": 10, "failureThreshold": 3 },
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File" })
    };
    let status = |name: &str| {
        json!({ "name": name, "ready": true, "started": true, "restartCount": 1,
            "image": "registry.example.internal/team/service", "imageID": "sha256:2f1c3a0b9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a",
            "containerID": "containerd://0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "state": { "running": { "startedAt": "2026-11-22T09:00:00Z" } },
            "lastState": { "terminated": { "exitCode": 1, "reason": "Error", "startedAt": "2026-11-22T08:00:00Z", "finishedAt": "2026-11-22T08:59:00Z" } } })
    };
    let condition = |name: &str| json!({ "type": name, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-11-22T09:00:10Z" });
    let field =
        |at: usize| (format!("f:setting-{at}"), json!({ ".": {}, "f:name": {}, "f:value": {} }));
    let fields: serde_json::Map<String, Value> = (0..30).map(field).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "generateName": format!("{deployment}-{hash}-"),
            "uid": format!("4b0d2b4e-8f7a-4a53-9d55-{index:012}"), "creationTimestamp": "2026-11-22T09:00:00Z",
            "labels": { "app.kubernetes.io/name": deployment, "app.kubernetes.io/part-of": "shop",
                "app.kubernetes.io/managed-by": "Helm", "pod-template-hash": hash },
            "annotations": { "checksum/config": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "prometheus.io/scrape": "true" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{deployment}-{hash}"),
                "uid": "9d55-4b0d", "controller": true, "blockOwnerDeletion": true }],
            "managedFields": [
                { "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": "2026-11-22T09:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": fields } },
                { "manager": "kubelet", "operation": "Update", "apiVersion": "v1", "subresource": "status", "fieldsType": "FieldsV1", "fieldsV1": { "f:status": { "f:conditions": {} } } }],
        },
        "spec": {
            "nodeName": format!("node-{}", index % 20), "serviceAccountName": "service", "restartPolicy": "Always",
            "containers": [container("service"), container("proxy")],
            "volumes": (0..6).map(|at| json!({ "name": format!("volume-{at}"), "configMap": { "name": format!("config-{at}"), "defaultMode": 420 } })).collect::<Vec<_>>(),
            "tolerations": [{ "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }],
        },
        "status": {
            "phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.1.0.1", "qosClass": "Burstable", "startTime": "2026-11-22T09:00:00Z",
            "conditions": [condition("PodScheduled"), condition("Initialized"), condition("ContainersReady"), condition("Ready")],
            "containerStatuses": [status("service"), status("proxy")],
        },
    })
}
