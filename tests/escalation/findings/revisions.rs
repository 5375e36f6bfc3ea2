//! W05: what is old and what is new: revisions that a rollout leaves alone on purpose, and restarts of long ago.

use mape_k::domain::finding::Finding;
use serde_json::{Value, json};

use super::made::{
    ago, condition, container, deployment, ended, found, lines, of, pod, running, waiting, warning,
};

const OLD: &str = "db-6db564c54d";
const NEW: &str = "db-6787d69f6f";

fn stateful_set(strategy: &Value, ready: u32, updated: u32) -> Value {
    json!({
        "kind": "StatefulSet",
        "metadata": { "name": "db", "namespace": "shop", "generation": 1, "creationTimestamp": ago(6000) },
        "spec": { "replicas": 3, "updateStrategy": strategy },
        "status": { "observedGeneration": 1, "replicas": 3, "readyReplicas": ready, "updatedReplicas": updated,
            "currentRevision": OLD, "updateRevision": NEW },
    })
}

fn partition(at: u32) -> Value {
    json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": at } })
}

/// A pod of that revision, made so many minutes ago; ready since, or not for so long.
fn replica(ordinal: u32, revision: &str, made: i64, not_ready: Option<i64>) -> Value {
    let state = running(made);
    let mut pod = pod(
        &format!("db-{ordinal}"),
        "Running",
        not_ready,
        &[container("c", not_ready.is_none(), state)],
    );
    pod["metadata"]["creationTimestamp"] = ago(made);
    pod["metadata"]["labels"]["controller-revision-hash"] = json!(revision);
    of("StatefulSet", "db", pod)
}

fn kinds(objects: &[Value]) -> Vec<&'static str> {
    found(objects).iter().map(|finding| finding.kind.as_str()).collect()
}

#[test]
fn w05_a_pod_of_the_old_revision_is_no_stuck_rollout_and_one_of_the_new_is() {
    let with_failing = |strategy: &Value, ordinal: u32| {
        let revision = |n: u32| if n == 2 { NEW } else { OLD };
        let pods = (0..3).map(|n| {
            let is_failing = n == ordinal;
            replica(n, revision(n), if is_failing { 25 } else { 3000 }, is_failing.then_some(25))
        });
        let objects: Vec<Value> = [stateful_set(strategy, 2, 1)].into_iter().chain(pods).collect();
        kinds(&objects)
    };
    let failing_probe = ["probe_failing", "replicas_missing"];
    assert_eq!(with_failing(&partition(2), 0), failing_probe);
    assert_eq!(with_failing(&partition(2), 1), failing_probe);
    // The rollout goes on to the second pod, and waits: not for a pod of its own.
    assert_eq!(with_failing(&partition(1), 0), failing_probe);
    // Twin: what it brought does not become ready.
    let stuck = ["probe_failing", "rollout_stuck", "replicas_missing"];
    assert_eq!(with_failing(&partition(2), 2), stuck);
    assert_eq!(with_failing(&partition(0), 2), stuck);
    // By hand there is no rollout at all.
    for ordinal in 0..3 {
        assert_eq!(with_failing(&json!({ "type": "OnDelete" }), ordinal), failing_probe);
    }
}

#[test]
fn w05_a_new_pod_that_was_ready_for_weeks_and_fails_is_no_rollout() {
    let failing = |not_ready: i64| {
        kinds(&[
            stateful_set(&partition(2), 2, 1),
            replica(0, OLD, 9000, None),
            replica(1, OLD, 9000, None),
            replica(2, NEW, 20000, Some(not_ready)),
        ])
    };
    assert_eq!(failing(30), ["probe_failing", "replicas_missing"]);
    assert_eq!(
        failing(20000),
        ["probe_failing", "rollout_stuck", "replicas_missing"],
        "it never was"
    );
}

#[test]
fn w05_a_partition_that_is_reached_excuses_nothing() {
    let moved = |at: u32| {
        kinds(&[
            stateful_set(&partition(at), 2, 1),
            replica(0, OLD, 3, Some(3)),
            replica(1, OLD, 9000, None),
            replica(2, NEW, 9000, None),
        ])
    };
    assert_eq!(moved(2), ["probe_failing", "replicas_missing"]);
    let objects = [
        stateful_set(&partition(0), 2, 1),
        replica(0, OLD, 9000, None),
        replica(1, OLD, 9000, None),
        replica(2, NEW, 3, Some(3)),
    ];
    assert_eq!(kinds(&objects), ["probe_failing"], "a rollout that is under way");
}

#[test]
fn w05_a_daemon_set_that_is_replaced_by_hand_has_no_rollout() {
    let daemons = |strategy: &str| {
        let set = json!({
            "kind": "DaemonSet",
            "metadata": { "name": "logs", "namespace": "shop", "generation": 2, "creationTimestamp": ago(6000) },
            "spec": { "updateStrategy": { "type": strategy } },
            "status": { "observedGeneration": 2, "desiredNumberScheduled": 2, "numberReady": 1, "updatedNumberScheduled": 1 },
        });
        let of_set = |name: &str, made, not_ready: Option<i64>| {
            let mut pod = pod(
                name,
                "Running",
                not_ready,
                &[container("c", not_ready.is_none(), running(made))],
            );
            pod["metadata"]["creationTimestamp"] = ago(made);
            of("DaemonSet", "logs", pod)
        };
        kinds(&[set, of_set("logs-a", 3000, None), of_set("logs-b", 25, Some(25))])
    };
    assert_eq!(daemons("OnDelete"), ["probe_failing", "replicas_missing"]);
    assert_eq!(daemons("RollingUpdate"), ["probe_failing", "rollout_stuck", "replicas_missing"]);
}

#[test]
fn w05_nobody_is_told_to_undo_what_is_not_rolled_out() {
    let crashing = |strategy: &Value, ordinal: u32, revision: &str| {
        let mut pod = replica(ordinal, revision, 25, Some(25));
        pod["status"]["containerStatuses"][0]["state"] = waiting("CrashLoopBackOff", "");
        advice(&found(&[stateful_set(strategy, 2, 1), pod]), "crash_loop")
    };
    assert!(!crashing(&partition(2), 0, OLD).contains("undo"));
    assert!(!crashing(&json!({ "type": "OnDelete" }), 2, NEW).contains("undo"));
    assert!(crashing(&partition(2), 2, NEW).contains("rollout undo sts/db"));

    let of_deployment = |paused: bool| {
        let mut deployment = deployment("web", 2, 1);
        deployment["spec"]["paused"] = json!(paused);
        let state = waiting("CrashLoopBackOff", "");
        let pod = pod("web-6d4b8c7f95-x", "Running", Some(25), &[container("c", false, state)]);
        advice(&found(&[deployment, of("Deployment", "web", pod)]), "crash_loop")
    };
    assert!(of_deployment(false).contains("rollout undo deploy/web"));
    assert!(!of_deployment(true).contains("undo"), "kubectl refuses that");
}

fn advice(found: &[Finding], kind: &str) -> String {
    let finding = found.iter().find(|finding| finding.kind.as_str() == kind);
    finding.unwrap_or_else(|| panic!("{kind} is not among {found:#?}")).recommendation.clone()
}

/// A pod of so many restarts whose last run was from and to so many minutes ago; it runs again and is not ready yet.
fn restarted(made: i64, not_ready: i64, restarts: u32, last: Value) -> Value {
    let mut pod = pod("search", "Running", Some(not_ready), &[container("c", false, running(1))]);
    pod["metadata"]["creationTimestamp"] = ago(made);
    pod["status"]["containerStatuses"][0]["restartCount"] = json!(restarts);
    pod["status"]["containerStatuses"][0]["lastState"] = last;
    pod
}

#[test]
fn w05_one_restart_of_a_pod_that_ran_for_weeks_is_no_crash_loop() {
    let kind = |pod: Value| lines(&[pod]);
    let of_old = |last: Value| kind(restarted(300_000, 2, 5, last));
    let probe = ["probe_failing search 0/1 [search]"];
    let crash = ["crash_loop search 0/1 [search]"];
    assert_eq!(of_old(ended(1, "Error", 60_000, 2)), probe, "it had run for 41 days");
    assert_eq!(of_old(ended(137, "Error", 15, 2)), probe, "longer than the kubelet remembers");
    assert_eq!(
        of_old(ended(1, "Error", 3, 2)),
        probe,
        "one quick end, its restarts are of other days"
    );
    assert_eq!(of_old(ended(255, "Unknown", 3, 2)), probe, "a node's restart");
    let unlocated = json!({ "terminated": { "exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": null, "finishedAt": null } });
    assert_eq!(of_old(unlocated.clone()), probe);
    // Twins: they are of now.
    assert_eq!(
        kind(restarted(300_000, 12, 5, ended(1, "Error", 3, 2))),
        crash,
        "not ready for minutes"
    );
    assert_eq!(kind(restarted(20, 2, 5, ended(1, "Error", 3, 2))), crash, "a young pod");
    assert_eq!(kind(restarted(20, 12, 5, unlocated)), probe, "the node took it, young or not");
    let backs_off = warning("search", "BackOff", "Back-off restarting failed container c", 1);
    let objects = [restarted(300_000, 2, 5, ended(1, "Error", 3, 2)), backs_off];
    assert_eq!(lines(&objects), crash, "the kubelet says so");
    let mut waits = restarted(300_000, 2, 1, ended(1, "Error", 3, 2));
    waits["status"]["containerStatuses"][0]["state"] = waiting("CrashLoopBackOff", "");
    assert_eq!(kind(waits), crash, "and here");
}

#[test]
fn w05_a_pod_whose_main_container_is_through_is_judged_by_it() {
    let with = |policy: &str, default: Option<&str>, main: Value, others: &[(&str, bool)]| {
        let mut containers = vec![container("load", false, main)];
        containers.extend(others.iter().map(|(name, ready)| container(name, *ready, running(60))));
        let mut pod = pod("load-x", "Running", Some(30), &containers);
        pod["spec"]["restartPolicy"] = json!(policy);
        if let Some(name) = default {
            pod["metadata"]["annotations"] =
                json!({ "kubectl.kubernetes.io/default-container": name });
        }
        pod
    };
    let done = || ended(0, "Completed", 60, 30);
    let failed = || ended(4, "Error", 60, 30);
    for (default, sidecar) in [
        (None, "istio-proxy"),
        (None, "linkerd-proxy"),
        (None, "proxy"),
        (None, "agent"),
        (None, "sidecar"),
        (None, "exporter"),
        (Some("load"), "odd-name"),
    ] {
        for policy in ["Never", "OnFailure"] {
            let pod = with(policy, default, done(), &[(sidecar, false)]);
            assert!(lines(&[pod]).is_empty(), "{policy}, {sidecar}: it is done");
        }
        let pod = with("Never", default, failed(), &[(sidecar, true)]);
        assert_eq!(
            lines(std::slice::from_ref(&pod)),
            ["pod_failed load-x 0/1 [load-x]"],
            "{sidecar}"
        );
        let of_job = lines(&[of("Job", "load", pod)]);
        assert_eq!(of_job, ["pod_failed load - [load-x]"], "its job waits for the sidecar");
    }
    // Twins: it is still at work, or is to run for ever.
    let works = with("Never", None, running(60), &[("istio-proxy", true)]);
    assert_eq!(lines(&[works]), ["probe_failing load-x 0/1 [load-x]"]);
    for main in ["haproxy", "reagent"] {
        let beside = with("Never", None, done(), &[(main, false)]);
        assert_eq!(lines(&[beside]), ["probe_failing load-x 0/1 [load-x]"], "{main} is no sidecar");
    }
    let served = with("Always", None, done(), &[("istio-proxy", true)]);
    assert_eq!(lines(&[served]), ["pending load-x 0/1 [load-x]"]);
    // A moment ago: its pod may yet end as a whole.
    let just_now = with("Never", None, ended(4, "Error", 60, 0), &[("istio-proxy", true)]);
    assert!(
        lines(&[of("Job", "load", just_now)]).iter().all(|line| !line.starts_with("pod_failed"))
    );
}

#[test]
fn w05_a_native_sidecar_outlives_nothing() {
    let mut pod = pod(
        "load",
        "Running",
        Some(30),
        &[container("load", false, ended(0, "Completed", 60, 30))],
    );
    pod["spec"]["restartPolicy"] = json!("OnFailure");
    pod["spec"]["initContainers"] = json!([{ "name": "mesh", "restartPolicy": "Always" }]);
    pod["status"]["initContainerStatuses"] = json!([container("mesh", true, running(60))]);
    assert!(lines(std::slice::from_ref(&pod)).is_empty());
    pod["status"]["initContainerStatuses"][0]["state"] = ended(1, "Error", 60, 30);
    pod["status"]["initContainerStatuses"][0]["ready"] = json!(false);
    pod["status"]["containerStatuses"][0] = container("load", true, running(60));
    assert_eq!(lines(&[pod]), ["pending load 0/1 [load]"], "it is to be started again, and is not");
}

#[test]
fn w05_scaling_down_and_draining_are_no_findings() {
    let leaving = |mut pod: Value| {
        pod["metadata"]["deletionTimestamp"] = ago(0);
        pod["status"]["conditions"].as_array_mut().expect("conditions").push(condition(
            "DisruptionTarget",
            true,
            1,
        ));
        of("Deployment", "web", pod)
    };
    let well = |name: &str| pod(name, "Running", None, &[container("c", true, running(500))]);
    let ill = pod("web-6d4b8c7f95-z", "Running", Some(20), &[container("c", false, json!({}))]);
    let objects = [
        deployment("web", 1, 1),
        of("Deployment", "web", well("web-6d4b8c7f95-w")),
        leaving(ill.clone()),
    ];
    assert!(lines(&objects).is_empty(), "{:?}", lines(&objects));
    let staying = [objects[0].clone(), objects[1].clone(), of("Deployment", "web", ill)];
    assert_eq!(lines(&staying), ["pending web 1/1 [web-6d4b8c7f95-z]"]);
}
