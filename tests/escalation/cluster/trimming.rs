//! What is kept of an object: what findings need, as the controllers mean it.

use std::time::Duration;

use mape_k::domain::cluster::RestartPolicy::{Always, Never, OnFailure};
use mape_k::domain::cluster::{ContainerState, Kind, Owner, Pod, Workload};
use mape_k::monitor::cluster::trim::{Trimmed, trim_json};
use serde_json::{Value, json};

use super::objects::{large_pod, pod, warning};

fn pod_of(object: Value) -> Pod {
    match trim_json(Kind::Pods, object).expect("a pod") {
        Trimmed::Pod(pod) => (*pod).clone(),
        other => panic!("not a pod: {other:?}"),
    }
}

fn workload(kind: Kind, spec: Value, status: Value) -> Workload {
    let mut object = json!({ "metadata": {
        "name": "w", "namespace": "shop", "labels": { "team": "a", "app": "old" } } });
    object["spec"] = spec;
    object["status"] = status;
    match trim_json(kind, object).expect("a workload") {
        Trimmed::Workload(workload) => (*workload).clone(),
        other => panic!("not a workload: {other:?}"),
    }
}

#[test]
fn nothing_of_the_ballast_of_an_object_is_kept() {
    let object = large_pod(7);
    let before = object.to_string().len();
    let kept = format!("{:?}", pod_of(object));
    for ballast in
        ["SETTING_NUMBER", "f:setting", "checksum", "registry.example", "mountPath", "containerd"]
    {
        assert!(!kept.contains(ballast), "{ballast} in {kept}");
    }
    assert!(before > 8_000 && kept.len() < before / 3, "{before} bytes, {} kept", kept.len());
}

#[test]
fn a_replica_sets_pod_belongs_to_its_deployment() {
    let deployment = Owner { kind: "Deployment".to_owned(), name: "service-001".to_owned() };
    assert_eq!(pod_of(large_pod(7)).owner, Some(deployment));

    let mut alone = large_pod(7);
    alone["metadata"]["labels"] = json!({ "app": "web" });
    let set = Owner { kind: "ReplicaSet".to_owned(), name: "service-001-6c9f7d8b54".to_owned() };
    assert_eq!(pod_of(alone).owner, Some(set), "without the label nothing is guessed");

    let mut pod_of_a_job = pod("shop", "once");
    pod_of_a_job["metadata"]["ownerReferences"] = json!([{ "kind": "ConfigMap", "name": "x" }, { "kind": "Job", "name": "j", "controller": true }]);
    let job = Owner { kind: "Job".to_owned(), name: "j".to_owned() };
    assert_eq!(pod_of(pod_of_a_job).owner, Some(job), "the controller, not whoever else is named");
    assert_eq!(pod_of(pod("shop", "bare")).owner, None);
}

#[test]
fn containers_tell_what_they_do_and_how_they_ended() {
    let mut object = pod("shop", "web");
    object["metadata"]["deletionTimestamp"] = json!("2026-11-22T12:00:30Z");
    object["spec"]["volumes"] = json!([
        { "name": "data", "persistentVolumeClaim": { "claimName": "data-web-0" } },
        { "name": "scratch", "ephemeral": { "volumeClaimTemplate": {} } },
        { "name": "config", "configMap": { "name": "c" } }]);
    object["status"] = json!({ "phase": "Pending", "reason": "Evicted", "message": "x".repeat(5000),
        "conditions": [{ "type": "Ready", "status": "Unknown", "lastTransitionTime": "2026-11-22T11:00:00Z" }],
        "initContainerStatuses": [{ "name": "init", "restartCount": 2,
            "state": { "terminated": { "exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-22T11:00:00Z" } } }],
        "containerStatuses": [
            { "name": "main", "ready": false, "restartCount": 9,
              "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s" } },
              "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } },
            { "name": "none", "state": {} }] });
    let pod = pod_of(object);
    assert_eq!(pod.claims, ["data-web-0", "web-scratch"]);
    assert_eq!(pod.delete_by, "2026-11-22T12:00:30Z".parse().ok());
    assert!(pod.message.chars().count() <= 501, "last words are cut");
    assert_eq!(pod.conditions[0].status, None);
    assert!(
        matches!(&pod.init_containers[0].state, ContainerState::Terminated(end) if end.reason == "Completed")
    );
    let main = &pod.containers[0];
    assert_eq!((main.restarts, main.ready), (9, false));
    assert!(
        matches!(&main.state, ContainerState::Waiting { reason, .. } if reason == "CrashLoopBackOff")
    );
    let last = main.last.as_ref().expect("it ended before");
    assert_eq!((last.exit_code, last.reason.as_str()), (137, "OOMKilled"));
    assert!(
        matches!(&pod.containers[1].state, ContainerState::Waiting { reason, .. } if reason.is_empty())
    );
}

#[test]
fn a_workload_says_how_many_may_be_away() {
    let rolling = |kind, replicas: u32, strategy: &str, unavailable: Value, surge: Value| {
        let mut spec = json!({ "replicas": replicas });
        spec[strategy] = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": unavailable, "maxSurge": surge } });
        workload(kind, spec, json!({ "desiredNumberScheduled": replicas })).max_unavailable
    };
    let null = Value::Null;
    let deployment = |replicas, unavailable, surge| {
        rolling(Kind::Deployments, replicas, "strategy", unavailable, surge)
    };
    assert_eq!(deployment(10, json!("25%"), json!("25%")), 2, "rounded down");
    assert_eq!(deployment(3, null.clone(), null.clone()), 0, "a quarter of three");
    assert_eq!(deployment(4, json!(3), json!(0)), 3);
    assert_eq!(deployment(2, json!(0), json!(0)), 1, "no rollout goes on without room");
    assert_eq!(deployment(2, json!(9), json!(0)), 2, "never more than there are");
    assert_eq!(rolling(Kind::StatefulSets, 5, "updateStrategy", null.clone(), null.clone()), 1);
    assert_eq!(rolling(Kind::DaemonSets, 7, "updateStrategy", json!("20%"), null), 2, "rounded up");
    let recreate = workload(
        Kind::Deployments,
        json!({ "replicas": 4, "strategy": { "type": "Recreate" } }),
        json!({}),
    );
    assert_eq!(recreate.max_unavailable, 4);
    let by_hand = workload(
        Kind::StatefulSets,
        json!({ "updateStrategy": { "type": "OnDelete" } }),
        json!({}),
    );
    assert_eq!((by_hand.max_unavailable, by_hand.desired), (0, 1));
}

#[test]
fn a_workload_says_what_is_wanted_and_what_is_there() {
    let spec = json!({ "replicas": 3, "paused": true, "progressDeadlineSeconds": 120,
        "template": { "metadata": { "labels": { "app": "web" } } } });
    let status = json!({ "observedGeneration": 4, "readyReplicas": 2, "updatedReplicas": 3,
        "conditions": [{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }] });
    let deployment = workload(Kind::Deployments, spec, status);
    assert_eq!((deployment.desired, deployment.ready, deployment.updated), (3, 2, 3));
    assert_eq!(deployment.progress_deadline, Some(Duration::from_secs(120)));
    assert!(deployment.paused);
    assert_eq!(deployment.conditions[0].status, Some(false));
    let labels: Vec<_> =
        deployment.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(labels, ["app=web", "team=a"], "its own and its pods', who are selected by theirs");

    let endless =
        workload(Kind::Deployments, json!({ "progressDeadlineSeconds": 2_147_483_647 }), json!({}));
    assert_eq!(endless.progress_deadline, None);
    let daemons =
        json!({ "desiredNumberScheduled": 4, "numberReady": 3, "updatedNumberScheduled": 1 });
    let daemons = workload(Kind::DaemonSets, json!({}), daemons);
    assert_eq!((daemons.desired, daemons.ready, daemons.updated), (4, 3, 1));
    assert_eq!(daemons.progress_deadline, None);

    let between = |current: &str, update: &str| {
        let status = json!({ "currentRevision": current, "updateRevision": update });
        workload(Kind::StatefulSets, json!({ "replicas": 2 }), status).is_between_revisions
    };
    assert!(between("db-1", "db-2") && !between("db-2", "db-2"));
}

#[test]
fn events_of_old_and_new_writers_tell_when_they_were_last_seen() {
    let event = |object: Value| match trim_json(Kind::Events, object).expect("an event") {
        Trimmed::Event(event) => (*event).clone(),
        other => panic!("not an event: {other:?}"),
    };
    let old = event(warning("e", "2026-11-22T11:30:00Z"));
    assert_eq!(old.last_at, "2026-11-22T11:30:00Z".parse().ok());
    assert!(old.is_warning);
    let mut new = warning("e", "2026-11-22T11:30:00Z");
    for empty in ["firstTimestamp", "lastTimestamp", "count"] {
        new[empty] = Value::Null;
    }
    new["eventTime"] = json!("2026-11-22T11:00:00.123456Z");
    new["series"] = json!({ "count": 12, "lastObservedTime": "2026-11-22T11:45:00.5Z" });
    let new = event(new);
    assert_eq!(new.last_at, "2026-11-22T11:45:00.5Z".parse().ok());
}

#[test]
fn what_is_no_object_of_its_kind_is_refused_by_name() {
    for broken in
        [json!({}), json!({ "metadata": {} }), json!({ "metadata": { "name": "" } }), json!([1])]
    {
        let error = trim_json(Kind::Pods, broken).expect_err("not a pod");
        assert!(error.to_string().contains("pods"), "{error}");
    }
}

#[test]
fn containers_tell_whether_the_pod_is_there_for_them_and_what_follows_their_end() {
    let trimmed = |policy: &str, annotations: Value, names: &[&str]| {
        let named = |name: &&str| json!({ "name": name });
        let mut object = pod("shop", "load");
        object["metadata"]["annotations"] = annotations;
        object["spec"] = json!({ "restartPolicy": policy,
            "readinessGates": [{ "conditionType": "example.com/gate" }],
            "initContainers": [{ "name": "once" }, { "name": "mesh", "restartPolicy": "Always" }],
            "containers": names.iter().map(named).collect::<Vec<_>>() });
        object["status"] = json!({ "initContainerStatuses": [{ "name": "once" }, { "name": "mesh" }],
            "containerStatuses": names.iter().map(named).collect::<Vec<_>>() });
        pod_of(object)
    };
    let main = |pod: &Pod| -> Vec<String> {
        let main = pod.containers.iter().filter(|container| container.is_main);
        main.map(|container| container.name.clone()).collect()
    };
    let annotation = |name: &str| json!({ "kubectl.kubernetes.io/default-container": name });
    let both = ["istio-proxy", "app"];
    assert_eq!(main(&trimmed("Never", Value::Null, &both)), ["app"], "by their names");
    assert_eq!(main(&trimmed("Never", annotation("app"), &["app", "odd"])), ["app"], "it says so");
    assert_eq!(main(&trimmed("Never", annotation("gone"), &["app", "odd"])), ["app", "odd"]);
    assert_eq!(
        main(&trimmed("Never", Value::Null, &["kube-proxy"])),
        ["kube-proxy"],
        "the only one"
    );

    let policies = |policy: &str| {
        let pod = trimmed(policy, Value::Null, &["app"]);
        assert_eq!(pod.gates, ["example.com/gate"]);
        let all = pod.init_containers.iter().chain(&pod.containers);
        all.map(|container| container.restart_policy).collect::<Vec<_>>()
    };
    assert_eq!(policies("Always"), [OnFailure, Always, Always]);
    assert_eq!(policies("OnFailure"), [OnFailure, Always, OnFailure]);
    assert_eq!(policies("Never"), [Never, Always, Never]);
}

#[test]
fn a_workload_says_how_many_replicas_its_rollout_is_for() {
    let to_update = |strategy: Value| {
        let spec = json!({ "replicas": 3, "updateStrategy": strategy });
        let set = workload(Kind::StatefulSets, spec, json!({ "updateRevision": "db-2" }));
        assert_eq!(set.update_revision, "db-2");
        set.to_update
    };
    let partition =
        |at: u32| json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": at } });
    assert_eq!(to_update(Value::Null), 3);
    assert_eq!((to_update(partition(0)), to_update(partition(2))), (3, 1));
    assert_eq!(to_update(partition(7)), 0, "held back as a whole");
    assert_eq!(to_update(json!({ "type": "OnDelete" })), 0);
}

/// `off` on the object or on its pods' template is kept, whichever way the other says; selectors still mean the pods'.
#[test]
fn r03_the_label_by_which_an_owner_says_no_is_kept_from_object_and_template() {
    let of = |own: Value, template: Value| {
        let mut object = json!({ "metadata": { "name": "w", "namespace": "shop" } });
        object["metadata"]["labels"] = own;
        object["spec"] = json!({ "template": { "metadata": { "labels": template } } });
        match trim_json(Kind::StatefulSets, object).expect("a workload") {
            Trimmed::Workload(workload) => workload.labels.clone(),
            other => panic!("not a workload: {other:?}"),
        }
    };
    let act = |value: &str| json!({ "mape-k.io/act": value, "app": value });
    for (own, template, kept) in
        [("off", "auto", "off"), ("auto", "off", "off"), ("suggest", "auto", "suggest")]
    {
        let labels = of(act(own), act(template));
        assert_eq!(labels["mape-k.io/act"], kept, "{own}, {template}");
        assert_eq!(labels["app"], template);
    }
    assert_eq!(of(json!({}), act("off"))["mape-k.io/act"], "off");
}
