//! W05: what was never up, and whose nodes are still coming, has the patience that a joining node has.

use chrono::TimeDelta;
use mape_k::analyzer::cluster::{Onsets, findings};
use mape_k::domain::catalogue::Catalogue;
use mape_k::domain::finding::Finding;
use serde_json::{Value, json};

use super::fixtures::{find, now, reading_of};
use super::made::{
    ago, condition, container, deployment, node, of, pod, running, said, waiting, warning,
};

const POD: &str = "web-6d4b8c7f95-x2x2x";

/// Its only pod, two minutes old.
fn replica(mut pod: Value) -> Value {
    pod["metadata"]["creationTimestamp"] = ago(2);
    of("Deployment", "web", pod)
}

fn creating() -> Value {
    let state = waiting("ContainerCreating", "");
    let mut pod = replica(pod(POD, "Pending", Some(1), &[container("c", false, state)]));
    pod["status"]["conditions"] =
        json!([condition("PodScheduled", true, 1), condition("Ready", false, 1)]);
    pod
}

fn unscheduled() -> Value {
    let mut pod = replica(pod(POD, "Pending", None, &[]));
    pod["spec"].as_object_mut().expect("spec").remove("nodeName");
    let refused =
        said(condition("PodScheduled", false, 2), "Unschedulable", "0/3 nodes are available");
    pod["status"]["conditions"] = json!([refused]);
    pod
}

fn joined(minutes: i64) -> Value {
    let mut node = node("n1", true);
    node["metadata"]["creationTimestamp"] = ago(minutes);
    node
}

/// What an autoscaler writes about the pod.
fn says(reason: &str, minutes: i64) -> Value {
    let mut event = warning(POD, reason, "pod triggered scale-up", minutes);
    event["type"] = json!("Normal");
    event
}

/// The deployment wanted this many at the looks so many minutes ago, and wants one now.
fn seen(looks: &[(i64, u32)], objects: &[Value]) -> Vec<Finding> {
    let mut onsets = Onsets::default();
    for (minutes, desired) in looks {
        let mut before = reading_of([deployment("web", *desired, *desired)]);
        before.read_at = Some(now() - TimeDelta::minutes(*minutes));
        onsets.update(&[], &before);
    }
    let mut all = vec![deployment("web", 1, 0)];
    all.extend_from_slice(objects);
    findings(&reading_of(all), &Catalogue::default(), &onsets, now())
}

#[test]
fn w05_what_rose_from_zero_waits_for_the_node_that_joins() {
    let pods = [joined(1), creating()];
    let from_zero: [&[(i64, u32)]; 3] = [&[(60, 0), (2, 1)], &[(60, 5), (30, 0), (3, 1)], &[]];
    for looks in from_zero {
        assert!(seen(looks, &pods).is_empty(), "{looks:?}: {:#?}", seen(looks, &pods));
        let old_node = seen(looks, &[joined(60), creating()]);
        assert!(old_node.iter().any(Finding::is_down), "{looks:?}: its node is there for long");
    }
    // It rose again while it came up.
    assert!(seen(&[(60, 0), (3, 1), (1, 2)], &pods).is_empty());
    for looks in [&[(60, 1), (2, 1)][..], &[(60, 0), (30, 1)], &[(60, 1), (2, 2)]] {
        assert!(seen(looks, &pods).iter().any(Finding::is_down), "{looks:?}: it was up before");
    }
    // One of its pods is on another node, or fails, or none can be made.
    let mut elsewhere = creating();
    elsewhere["metadata"]["name"] = json!("web-6d4b8c7f95-y2y2y");
    elsewhere["spec"]["nodeName"] = json!("n2");
    assert!(
        seen(&[], &[joined(1), node("n2", true), creating(), elsewhere])
            .iter()
            .any(Finding::is_down)
    );
    let mut misnamed = creating();
    misnamed["status"]["containerStatuses"][0]["state"] =
        waiting("CreateContainerConfigError", "secret \"web\" not found");
    assert!(seen(&[], &[joined(1), misnamed]).iter().any(Finding::is_down));
    assert!(seen(&[], &[joined(1)]).iter().any(Finding::is_down), "it has no pod");
}

#[test]
fn w05_what_is_new_waits_for_the_node_that_joins_for_five_minutes() {
    let made = |minutes: i64| {
        let mut new = deployment("web", 1, 0);
        new["metadata"]["creationTimestamp"] = ago(minutes);
        new["status"]["conditions"] = json!([said(
            condition("Progressing", true, minutes),
            "ReplicaSetUpdated",
            "progressing"
        )]);
        find(&reading_of([new, joined(1), creating()]))
    };
    assert!(made(2).is_empty(), "{:#?}", made(2));
    assert!(made(4).is_empty());
    assert!(made(6).iter().any(Finding::is_down));
}

#[test]
fn w05_a_pod_for_which_an_autoscaler_makes_a_node_is_not_pending_yet() {
    for word in ["TriggeredScaleUp", "Nominated"] {
        let all = [unscheduled(), says(word, 1)];
        assert!(seen(&[(60, 0), (2, 1)], &all).is_empty(), "{word}");
        assert!(find(&reading_of([unscheduled(), says(word, 1)])).is_empty(), "{word}");
        // It has not come after five minutes.
        let mut old = unscheduled();
        old["metadata"]["creationTimestamp"] = ago(6);
        old["status"]["conditions"][0]["lastTransitionTime"] = ago(6);
        let found = seen(&[(60, 0), (6, 1)], &[old, says(word, 5)]);
        let kinds: Vec<&str> = found.iter().map(|f| f.kind.as_str()).collect();
        assert_eq!(kinds, ["pending", "replicas_missing"], "{word}");
    }
    // Nobody makes one, or nobody can any more, or it is made for another pod.
    let mut for_another = says("TriggeredScaleUp", 1);
    for_another["involvedObject"]["name"] = json!("other");
    for events in [
        vec![],
        vec![says("NotTriggerScaleUp", 1)],
        vec![says("TriggeredScaleUp", 2), says("NotTriggerScaleUp", 1)],
        vec![for_another],
    ] {
        let mut all = vec![unscheduled()];
        all.extend(events);
        let found = seen(&[(60, 0), (2, 1)], &all);
        assert!(found.iter().any(Finding::is_down), "{found:#?}");
    }
    // What runs beside it is degraded as before, and not yet for one that is only wanted in addition.
    let ready = of(
        "Deployment",
        "web",
        pod("web-w", "Running", None, &[container("c", true, running(60))]),
    );
    let degraded = |event: &str| {
        find(&reading_of([deployment("web", 2, 1), ready.clone(), unscheduled(), says(event, 1)]))
    };
    assert!(degraded("TriggeredScaleUp").is_empty(), "{:#?}", degraded("TriggeredScaleUp"));
    assert!(degraded("NotTriggerScaleUp").iter().any(Finding::is_degraded));
}
