//! W04, W05: pods that have ended for good, and the pods that stand in for them.

use mape_k::domain::finding::FindingSeverity;
use serde_json::{Value, json};

use super::made::{
    ago, condition, container, deployment, ended, found, lines, of, pod, reason, running, said,
    warning,
};

/// Turned away by its node, or ended by it, so many minutes ago: no container has run.
fn rejected(name: &str, why: &str, message: &str, minutes: i64) -> Value {
    let mut pod = pod(name, "Failed", Some(minutes), &[]);
    pod["metadata"]["creationTimestamp"] = ago(minutes);
    pod["status"]["reason"] = json!(why);
    pod["status"]["message"] = json!(message);
    pod["status"]["conditions"] = json!([condition("PodScheduled", true, minutes)]);
    pod
}

fn replica(pod: Value) -> Value {
    of("Deployment", "web", pod)
}

fn well(name: &str) -> Value {
    replica(pod(name, "Running", None, &[container("c", true, running(500))]))
}

#[test]
fn w03_a_failed_pod_of_its_own_is_down_whatever_its_reason() {
    let cases = [
        ("Preempting", "Preempted in order to admit critical pod"),
        ("Terminated", "Pod was terminated in response to imminent node shutdown."),
        ("NodeShutdown", "Pod was rejected as the node is shutting down."),
        ("OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 110"),
        ("QuantumDecoherence", "nobody has ever seen this"),
        ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"),
    ];
    for (why, message) in cases {
        let mut pod = rejected("feed", why, message, 14);
        // Some kubelets leave it ready.
        pod["status"]["conditions"] = json!([condition("Ready", true, 300)]);
        let all = found(&[pod]);
        assert_eq!(all.len(), 1, "{why}: {all:#?}");
        assert_eq!(all[0].kind.as_str(), "pod_failed");
        assert!(all[0].is_down() && all[0].severity == FindingSeverity::Critical, "{all:#?}");
        let words = format!("feed failed on node n1: {why}: {}.", message.trim_end_matches('.'));
        assert_eq!(all[0].reason, words);
    }
    assert!(lines(&[pod("done", "Succeeded", Some(14), &[])]).is_empty(), "its twin succeeded");
}

#[test]
fn w03_a_failed_pod_without_a_reason_says_how_its_container_ended() {
    let mut crashed = pod(
        "feed",
        "Failed",
        Some(14),
        &[
            container("istio-proxy", false, ended(143, "Error", 300, 14)),
            container("app", false, ended(3, "Error", 300, 14)),
        ],
    );
    crashed["spec"]["restartPolicy"] = json!("Never");
    crashed["status"]["containerStatuses"][1]["state"]["terminated"]["message"] =
        json!("panic: no route");
    let finding = &found(&[crashed.clone()])[0];
    assert_eq!(
        finding.reason,
        "feed failed on node n1: container app ended with exit code 3 (Error): panic: no route."
    );
    assert_eq!(finding.exit_code, Some(3));
    assert!(finding.recommendation.contains("logs feed -c app"), "{}", finding.recommendation);

    let mut silent = crashed.clone();
    silent["status"] = json!({ "phase": "Failed" });
    assert_eq!(
        reason("pod_failed", &[silent.clone()]),
        "feed failed on node n1: its object does not say why."
    );
    let told = warning("feed", "NodeNotReady", "Node is not ready", 3);
    assert!(reason("pod_failed", &[silent, told]).contains("NodeNotReady: Node is not ready"));

    let mut taken = crashed;
    taken["status"]["conditions"] = json!([said(
        condition("DisruptionTarget", true, 14),
        "DeletionByTaintManager",
        "Taint manager: deleting due to NoExecute taint"
    )]);
    assert!(reason("pod_failed", &[taken]).contains("DeletionByTaintManager: Taint manager"));
}

#[test]
fn w04_missing_replicas_name_the_newest_rejection_and_leftovers_stay_quiet() {
    let old = replica(rejected(
        "web-6d4b8c7f95-aaaaa",
        "NodeAffinity",
        "Pod was rejected: old news",
        3000,
    ));
    let fresh = |n: i64| {
        let name = format!("web-6d4b8c7f95-b{n:04}");
        replica(rejected(&name, "OutOfcpu", "Node didn't have enough resource: cpu", n))
    };
    let mut objects = vec![deployment("web", 2, 1), well("web-6d4b8c7f95-w"), old];
    objects.extend((1..=12).map(fresh));
    let all = found(&objects);
    let kinds: Vec<_> = all.iter().map(|f| (f.kind.as_str(), f.pods.len())).collect();
    assert_eq!(kinds, [("pod_failed", 12), ("replicas_missing", 0)]);
    for finding in &all {
        assert!(
            finding.reason.contains("web-6d4b8c7f95-b0001 failed on node n1: OutOfcpu"),
            "{finding:#?}"
        );
        assert!(!finding.reason.contains("old news"), "{finding:#?}");
    }
    assert_eq!(all[0].severity, FindingSeverity::High);
    assert!(all[0].reason.ends_with("12 pods in all."), "{}", all[0].reason);

    // Twin: all replicas are there.
    objects[0] = deployment("web", 1, 1);
    assert!(lines(&objects).is_empty());
}

#[test]
fn w04_an_old_rejection_counts_while_nothing_has_replaced_it() {
    let old = || replica(rejected("web-6d4b8c7f95-x", "Preempting", "Preempted", 300));
    let quota = |mut deployment: Value| {
        let failure = said(
            condition("ReplicaFailure", true, 290),
            "FailedCreate",
            "pods \"web\" is forbidden: exceeded quota: compute",
        );
        deployment["status"]["conditions"].as_array_mut().expect("conditions").push(failure);
        deployment
    };
    let objects = [quota(deployment("web", 2, 1)), well("web-6d4b8c7f95-w"), old()];
    assert_eq!(
        lines(&objects),
        ["pod_failed web 1/2 [web-6d4b8c7f95-x]", "replicas_missing web 1/2 []"]
    );
    let missing = reason("replicas_missing", &objects);
    for words in ["exceeded quota: compute", "web-6d4b8c7f95-x failed on node n1: Preempting"] {
        assert!(missing.contains(words), "{missing}");
    }
    // Twin: another pod stands in for it, and is what is missing.
    let standing_in = replica(pod(
        "web-6d4b8c7f95-y",
        "Running",
        Some(30),
        &[container("c", false, running(30))],
    ));
    let objects = [deployment("web", 2, 1), well("web-6d4b8c7f95-w"), old(), standing_in];
    assert_eq!(
        lines(&objects),
        ["probe_failing web 1/2 [web-6d4b8c7f95-y]", "replicas_missing web 1/2 [web-6d4b8c7f95-y]"]
    );
}

#[test]
fn w05_a_rollout_within_its_limits_makes_no_leftover_a_finding() {
    let rolling = |max_unavailable: u32| {
        let mut deployment = deployment("web", 3, 2);
        deployment["spec"]["strategy"] = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": max_unavailable } });
        deployment["status"]["conditions"][0] =
            said(condition("Progressing", true, 1), "ReplicaSetUpdated", "is progressing");
        let young = |mut pod: Value| {
            pod["metadata"]["creationTimestamp"] = ago(1);
            pod
        };
        let starting = young(replica(pod(
            "web-6d4b8c7f95-s",
            "Running",
            Some(1),
            &[container("c", false, running(1))],
        )));
        let leftover = replica(rejected(
            "web-6d4b8c7f95-l",
            "OutOfmemory",
            "Node didn't have enough resource: memory",
            20,
        ));
        lines(&[deployment, well("web-6d4b8c7f95-v"), well("web-6d4b8c7f95-w"), starting, leftover])
    };
    let is_failed = |line: &String| line.starts_with("pod_failed");
    assert!(!rolling(1).iter().any(is_failed), "{:?}", rolling(1));
    assert!(rolling(0).iter().any(is_failed), "{:?}", rolling(0));
}

#[test]
fn w05_a_jobs_failed_pods_are_the_jobs_matter() {
    let job = json!({
        "kind": "Job", "metadata": { "name": "load", "namespace": "shop", "creationTimestamp": ago(30) },
        "spec": {}, "status": { "failed": 1, "active": 1 },
    });
    let pod = of(
        "Job",
        "load",
        rejected("load-x", "OutOfcpu", "Node didn't have enough resource: cpu", 20),
    );
    assert!(lines(&[job, pod.clone()]).is_empty());
    let mut alone = pod;
    alone["metadata"].as_object_mut().expect("metadata").remove("ownerReferences");
    assert_eq!(lines(&[alone]), ["pod_failed load-x 0/1 [load-x]"]);
}

#[test]
fn w05_a_static_pod_that_the_kubelet_turned_away_is_down() {
    let mirror = of(
        "Node",
        "n1",
        rejected("kube-scheduler-n1", "UnexpectedAdmissionError", "Allocate failed", 20),
    );
    assert_eq!(lines(&[mirror]), ["pod_failed kube-scheduler-n1 0/1 [kube-scheduler-n1]"]);
}

/// A replica of an owner whose kind is not watched, made so many minutes ago.
fn custom(kind: &str, made: i64, mut pod: Value) -> Value {
    pod["metadata"]["creationTimestamp"] = ago(made);
    of(kind, "web", pod)
}

#[test]
fn w04_an_owner_that_is_not_watched_misses_the_pods_that_it_has_lost() {
    let live = |name: &str, made| {
        custom("CloneSet", made, pod(name, "Running", None, &[container("c", true, running(5))]))
    };
    for (why, message) in [
        ("OutOfcpu", "Node didn't have enough resource: cpu"),
        ("NodeAffinity", "Predicate NodeAffinity failed"),
        ("NodeShutdown", "Pod was rejected as the node is shutting down."),
        ("Evicted", "The node was low on resource: memory."),
        ("QuantumDecoherence", "nobody has ever seen this"),
    ] {
        // Old enough that only its being unreplaced makes it one.
        let lost = || custom("CloneSet", 90, rejected("web-lost", why, message, 90));
        let kind = if why == "Evicted" { "evicted" } else { "pod_failed" };
        let beside = |others: &[Value]| {
            let mut all = vec![lost()];
            all.extend_from_slice(others);
            lines(&all)
        };
        let expected = |replicas: &str| [format!("{kind} web {replicas} [web-lost]")];
        assert_eq!(beside(&[]), expected("0/1"), "{why}: it was the only one");
        let siblings = [live("web-a", 600), live("web-b", 500)];
        assert_eq!(beside(&siblings), expected("2/3"), "{why}");
        let replaced = [live("web-a", 600), live("web-b", 500), live("web-c", 89)];
        assert!(beside(&replaced).is_empty(), "{why}: a newer one has taken its place");

        let mut task = lost();
        task["spec"]["restartPolicy"] = json!("Never");
        assert!(lines(&[task.clone()]).is_empty(), "{why}: a step of a workflow");
        let waits = custom("CloneSet", 2, pod("web-w", "Pending", Some(2), &[]));
        assert!(!lines(&[task, waits]).iter().any(|line| line.starts_with(kind)), "{why}");
    }
}

#[test]
fn w04_each_newer_pod_takes_the_place_of_one_that_failed() {
    let lost = |n: i64| {
        let name = format!("web-x{n:03}x");
        custom("CloneSet", n, rejected(&name, "OutOfcpu", "not enough cpu", n))
    };
    let live = |made| {
        let pod = pod("web-live", "Running", None, &[container("c", true, running(5))]);
        custom("CloneSet", made, pod)
    };
    // Tried again and again for one replica, at last with success.
    let mut tries: Vec<Value> = (20..60).map(lost).collect();
    assert!(lines(&tries)[0].starts_with("pod_failed web 0/1"), "{:?}", lines(&tries));
    tries.push(live(10));
    assert!(lines(&tries).is_empty(), "{:?}", lines(&tries));
    // Two were lost together, and one is back.
    let mut second = lost(20);
    second["metadata"]["name"] = json!("web-second");
    let both = [lost(20), second, live(10)];
    assert!(lines(&both)[0].starts_with("pod_failed web 1/2"), "{:?}", lines(&both));
    // By number, a newer one of another number is none of its business.
    let numbered = |name: &str, pod: Value, made| {
        let mut pod = custom("StrimziPodSet", made, pod);
        pod["metadata"]["name"] = json!(name);
        pod
    };
    let broker = numbered("web-2", rejected("web-2", "OutOfcpu", "not enough cpu", 90), 90);
    let other = numbered("web-1", live(10), 10);
    assert_eq!(lines(&[broker, other]), ["pod_failed web 1/2 [web-2]"]);
}

fn advice(objects: &[Value]) -> String {
    found(objects)[0].recommendation.clone()
}

#[test]
fn w05_the_advice_fits_a_pod_that_its_sidecar_keeps_alive_and_one_that_the_kubelet_makes() {
    let with_sidecar = |owner: &str| {
        let mut pod = pod(
            "load-x",
            "Running",
            Some(30),
            &[
                container("app", false, ended(3, "Error", 300, 30)),
                container("istio-proxy", true, running(300)),
            ],
        );
        pod["spec"]["restartPolicy"] = json!("Never");
        if owner.is_empty() { pod } else { of(owner, "load", pod) }
    };
    for owner in ["Job", "Workflow"] {
        let words = advice(&[with_sidecar(owner)]);
        for part in
            ["logs load-x -c app`", "end the sidecar, or delete the pod", "delete pod load-x`"]
        {
            assert!(words.contains(part), "{owner}: {words}");
        }
        assert!(!words.contains("capacity"), "{words}");
    }
    assert!(advice(&[with_sidecar("")]).contains("make it again"));
    let turned_away = replica(rejected("web-6d4b8c7f95-x", "OutOfcpu", "not enough cpu", 9));
    assert!(advice(&[deployment("web", 1, 0), turned_away]).contains("capacity"));

    for why in ["UnexpectedAdmissionError", "Evicted"] {
        let mut pod = rejected("etcd-n1", why, "Allocate failed", 20);
        assert!(!advice(&[pod.clone()]).contains("kubelet of"), "{why}: its twin");
        pod["metadata"]["ownerReferences"] =
            json!([{ "kind": "Node", "name": "n1", "controller": true }]);
        let words = advice(&[pod]);
        assert!(words.contains("kubelet of n1 makes this static pod"), "{words}");
        assert!(!words.contains("make it again"), "{words}");
    }
}
