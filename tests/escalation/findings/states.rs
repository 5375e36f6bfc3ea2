//! W03: a pod that is not ready for minutes is a finding, whatever words its object uses.

use std::collections::BTreeSet;

use mape_k::analyzer::cluster::unknown_words;
use mape_k::domain::cluster::WordKind;
use serde_json::{Value, json};

use super::fixtures::reading_of;
use super::made::{
    ago, condition, container, deployment, ended, found, lines, node, of, pod, reason, running,
    waiting, warning,
};

/// A name, what it shows so many minutes after it stopped being ready, and words of the reason.
fn stuck(minutes: i64) -> Vec<(Value, &'static str, Vec<&'static str>)> {
    let one = |name: &str, phase: &str, state: Value| {
        pod(name, phase, Some(minutes), &[container("c", false, state)])
    };
    let mut after_reboot =
        one("rebooted", "Running", json!({ "waiting": { "reason": "ContainerCreating" } }));
    after_reboot["status"]["containerStatuses"][0]["lastState"] =
        ended(255, "Unknown", 300, minutes);
    let mut lost = one("lost", "Unknown", running(300));
    lost["status"]["reason"] = json!("NodeLost");
    lost["status"]["message"] = json!("Node n1 which was running pod lost is unresponsive");
    let mut half = pod(
        "half",
        "Running",
        Some(minutes),
        &[container("app", true, running(300)), container("log", false, json!({}))],
    );
    half["status"]["containerStatuses"][1].as_object_mut().expect("a status").remove("state");
    let mut again = one("again", "Running", json!({ "waiting": { "reason": "PodInitializing" } }));
    again["spec"]["initContainers"] = json!([{ "name": "fetch" }]);
    again["status"]["initContainerStatuses"] = json!([container("fetch", false, running(minutes))]);
    vec![
        (after_reboot, "pending", vec!["c waits (ContainerCreating)", "exit code 255 (Unknown)"]),
        (
            one("word", "Running", waiting("CheckpointRestoring", "restoring from archive")),
            "pending",
            vec!["CheckpointRestoring: restoring from archive"],
        ),
        (
            one("ended", "Running", ended(0, "Completed", 300, minutes)),
            "pending",
            vec!["has not been started again since it ended with exit code 0 (Completed)"],
        ),
        (half, "pending", vec!["reports no state of container log"]),
        (again, "pending", vec!["init container fetch still runs"]),
        (
            one("hibernates", "Hibernating", waiting("", "")),
            "pending",
            vec!["phase Hibernating", "reports no state of container c"],
        ),
        (lost, "probe_failing", vec!["phase Unknown", "NodeLost", "unresponsive"]),
    ]
}

#[test]
fn w03_what_is_not_ready_for_minutes_is_found_whatever_its_object_shows() {
    for (pod, kind, words) in stuck(12) {
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        assert_eq!(lines(std::slice::from_ref(&pod)), [format!("{kind} {name} 0/1 [{name}]")]);
        let reason = reason(kind, &[pod]);
        for word in words {
            assert!(reason.contains(word), "{name}: {word:?} is not in {reason:?}");
        }
    }
    // Twins: a moment ago, and ready since.
    for (pod, ..) in stuck(4) {
        assert!(lines(std::slice::from_ref(&pod)).is_empty(), "{pod:#}");
    }
    for (mut pod, ..) in stuck(12) {
        pod["status"]["conditions"][2]["status"] = json!("True");
        for container in pod["status"]["containerStatuses"].as_array_mut().expect("statuses") {
            container["ready"] = json!(true);
            container["state"] = running(12);
        }
        assert!(lines(std::slice::from_ref(&pod)).is_empty(), "{pod:#}");
    }
}

#[test]
fn w03_the_newest_telling_warning_is_in_the_reason_of_pod_and_replicas() {
    let blocked = || {
        let state = json!({ "waiting": { "reason": "ContainerCreating" } });
        let pod = pod("web-6d4b8c7f95-x", "Running", Some(30), &[container("c", false, state)]);
        of("Deployment", "web", pod)
    };
    let name = "web-6d4b8c7f95-x";
    let objects = [
        deployment("web", 2, 1),
        blocked(),
        warning(name, "FailedCreatePodSandBox", "plugin type=\"calico\" failed (add)", 25),
        warning(name, "FailedMount", "MountVolume.SetUp failed: secret \"tls\" not found", 15),
        // Beside it, and newer.
        warning(name, "DNSConfigForming", "Nameserver limits were exceeded", 1),
        // From the time when it was well, and about a namesake.
        warning(name, "Unhealthy", "Readiness probe failed: long ago", 45),
    ];
    let kinds =
        ["pending web 1/2 [web-6d4b8c7f95-x]", "replicas_missing web 1/2 [web-6d4b8c7f95-x]"];
    assert_eq!(lines(&objects), kinds);
    for finding in found(&objects) {
        assert!(finding.reason.contains("FailedMount: MountVolume.SetUp failed"), "{finding:#?}");
        assert!(!finding.reason.contains("Nameserver"), "{finding:#?}");
        assert!(!finding.reason.contains("long ago"), "{finding:#?}");
    }
    let only_noise = [objects[0].clone(), objects[1].clone(), objects[4].clone()];
    assert!(reason("pending", &only_noise).contains("Nameserver limits"), "better than nothing");
}

#[test]
fn w03_a_container_that_has_done_its_work_keeps_nothing_from_being_ready() {
    let of_two = |policy: &str, code: i32| {
        let mut pod = pod(
            "load",
            "Running",
            Some(30),
            &[
                container("fetch", false, ended(code, "Completed", 40, 30)),
                container("serve", true, running(40)),
            ],
        );
        pod["spec"]["restartPolicy"] = json!(policy);
        lines(&[pod])
    };
    assert!(of_two("OnFailure", 0).is_empty());
    assert!(of_two("Never", 0).is_empty());
    assert_eq!(of_two("Never", 3), ["pod_failed load 0/1 [load]"]);
    assert_eq!(of_two("Always", 0), ["pending load 0/1 [load]"], "it is to run for ever");
    assert_eq!(of_two("OnFailure", 3), ["pending load 0/1 [load]"], "it should be tried again");
}

#[test]
fn w03_a_startup_probe_has_its_allowance() {
    let starting = |restarts: u32| {
        let mut pod = pod("slow", "Running", Some(8), &[container("c", false, running(8))]);
        pod["status"]["containerStatuses"][0]["restartCount"] = json!(restarts);
        lines(&[pod, warning("slow", "Unhealthy", "Startup probe failed: not yet", 1)])
    };
    assert!(starting(0).is_empty());
    assert_eq!(starting(1), ["probe_failing slow 0/1 [slow]"]);
}

#[test]
fn w03_pods_on_a_node_that_is_not_ready_are_explained_by_it_unless_nothing_replaces_them() {
    let on = |ready: bool| {
        let away = || pod("alone", "Running", Some(20), &[container("c", true, running(300))]);
        let mirror = of(
            "Node",
            "n1",
            pod("etcd-n1", "Running", Some(20), &[container("c", true, running(300))]),
        );
        lines(&[node("n1", ready), away(), mirror])
    };
    assert_eq!(on(false), ["node_not_ready n1 - []", "probe_failing alone 0/1 [alone]"]);
    assert_eq!(
        on(true),
        ["probe_failing alone 0/1 [alone]", "probe_failing etcd-n1 0/1 [etcd-n1]"]
    );
}

#[test]
fn w03_what_leaves_or_is_turned_off_is_not_held_to_be_ready() {
    let (pod, ..) = stuck(12).remove(1);
    let mut leaving = pod.clone();
    leaving["metadata"]["deletionTimestamp"] = ago(-1);
    assert!(lines(&[leaving]).is_empty());
    assert!(lines(&[deployment("web", 0, 0), of("Deployment", "web", pod.clone())]).is_empty());
    assert_eq!(lines(&[deployment("web", 1, 1), of("Deployment", "web", pod)]).len(), 1);
}

#[test]
fn w03_a_pod_that_says_nothing_of_being_ready_is_as_ready_as_its_containers() {
    let silent = |ready: bool| {
        let mut pod = pod("virtual", "Running", None, &[container("c", ready, running(60))]);
        pod["status"]["conditions"] = json!([condition("PodScheduled", true, 60)]);
        lines(&[pod]).len()
    };
    assert_eq!((silent(true), silent(false)), (0, 1));
}

#[test]
fn w03_unknown_words_are_listed_once_and_bounded() {
    let pods = |many: usize| {
        reading_of((0..many).map(|n| {
            let state = waiting(&format!("New{}", n % 70), "");
            let mut pod =
                pod(&format!("p{n}"), "Dreaming", Some(9), &[container("c", false, state)]);
            pod["status"]["reason"] = json!("Drowsy");
            pod
        }))
    };
    let few = unknown_words(&pods(2));
    let few: BTreeSet<_> = few.iter().map(|word| (word.kind, word.word.as_str())).collect();
    let expected = [
        (WordKind::PodPhase, "Dreaming"),
        (WordKind::PodReason, "Drowsy"),
        (WordKind::WaitingReason, "New0"),
        (WordKind::WaitingReason, "New1"),
    ];
    assert_eq!(few, expected.into());
    assert_eq!(unknown_words(&pods(500)).len(), 50);

    let known = [
        pod("a", "Running", None, &[container("c", false, waiting("ImagePullBackOff", ""))]),
        pod("b", "Failed", None, &[]),
    ];
    let mut rejected = pod("c", "Failed", None, &[]);
    rejected["status"]["reason"] = json!("OutOfnvidia.com/gpu");
    assert!(unknown_words(&reading_of(known.into_iter().chain([rejected]))).is_empty());
}
