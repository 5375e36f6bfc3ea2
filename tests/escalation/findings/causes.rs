//! W04: the cause that only the objects of the pods name is in the finding about missing replicas, too.

use serde_json::{Value, json};

use super::fixtures::{find, names, objects, reading_of};
use super::made::{
    ago, condition, container, deployment, ended, found, lines, of, pod, reason, running, said,
    waiting, warning,
};

const NAME: &str = "web-6d4b8c7f95-x2x2x";

/// A deployment that lacks this replica.
fn short_of(pod: Value) -> Vec<Value> {
    vec![deployment("web", 2, 1), of("Deployment", "web", pod)]
}

fn both_say(kind: &str, objects: &[Value], words: &[&str]) {
    for kind in [kind, "replicas_missing"] {
        let reason = reason(kind, objects);
        for word in words {
            assert!(reason.contains(word), "{kind}: {word:?} is not in {reason:?}");
        }
    }
}

#[test]
fn w04_a_readiness_gate_is_named_with_what_its_controller_says() {
    let gate = "target-health.elbv2.k8s.aws/tg-1";
    let gated = |message: &str, own: Option<Value>| {
        let mut pod = pod(NAME, "Running", Some(30), &[container("c", true, running(30))]);
        pod["spec"]["readinessGates"] = json!([{ "conditionType": gate }]);
        let conditions = pod["status"]["conditions"].as_array_mut().expect("conditions");
        conditions[2] = said(condition("Ready", false, 30), "ReadinessGatesNotReady", message);
        conditions.extend(own);
        short_of(pod)
    };
    let missing =
        format!("corresponding condition of pod readiness gate \"{gate}\" does not exist.");
    let set = |status| {
        said(
            condition(gate, status, 30),
            "Target.FailedHealthChecks",
            "Health checks failed with these codes: [502]",
        )
    };
    both_say(
        "probe_failing",
        &gated(&missing, None),
        &["ReadinessGatesNotReady", gate, "does not exist"],
    );
    both_say(
        "probe_failing",
        &gated("", None),
        &["ReadinessGatesNotReady", gate, "has never been set"],
    );
    both_say(
        "probe_failing",
        &gated("", Some(set(false))),
        &[gate, "Target.FailedHealthChecks", "[502]"],
    );
    // Twin: ready.
    let mut ready = gated("", Some(set(true)));
    ready[1]["status"]["conditions"][2] = condition("Ready", true, 30);
    ready[0] = deployment("web", 1, 1);
    assert!(lines(&ready).is_empty());
}

#[test]
fn w04_a_failed_hook_is_named() {
    let mut hooked = pod(
        NAME,
        "Running",
        Some(30),
        &[container(
            "c",
            false,
            waiting("PostStartHookError", "Exec lifecycle hook ([/warm]) failed"),
        )],
    );
    both_say("crash_loop", &short_of(hooked.clone()), &["PostStartHookError", "/warm"]);
    hooked["status"]["containerStatuses"][0]["state"] =
        waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container=c");
    hooked["status"]["containerStatuses"][0]["lastState"] = ended(137, "Error", 3, 3);
    let mut objects = short_of(hooked);
    objects.push(warning(
        NAME,
        "FailedPostStartHook",
        "PostStartHook failed: connection refused",
        3,
    ));
    both_say(
        "crash_loop",
        &objects,
        &["FailedPostStartHook: PostStartHook failed: connection refused"],
    );

    let mut stuck = pod("slow", "Running", Some(30), &[container("c", true, running(600))]);
    stuck["metadata"]["deletionTimestamp"] = ago(10);
    let hook = warning("slow", "FailedPreStopHook", "PreStopHook failed: timeout", 3);
    let words = reason("stuck_terminating", &[stuck.clone(), hook]);
    assert!(words.ends_with("; FailedPreStopHook: PreStopHook failed: timeout."), "{words}");
    assert!(reason("stuck_terminating", &[stuck]).ends_with("Z."));
}

#[test]
fn w04_a_pull_that_backs_off_quotes_the_registry() {
    let image = "registry.example/shop/web:9";
    let state = waiting("ImagePullBackOff", &format!("Back-off pulling image \"{image}\""));
    let mut objects = short_of(pod(NAME, "Pending", Some(30), &[container("c", false, state)]));
    both_say("image_pull", &objects, &["ImagePullBackOff", "Back-off pulling image"]);
    let failed = |image: &str, why: &str, minutes| {
        warning(NAME, "Failed", &format!("Failed to pull image \"{image}\": {why}"), minutes)
    };
    objects.extend([
        warning(NAME, "Failed", "Error: ImagePullBackOff", 1),
        warning(NAME, "BackOff", "Back-off pulling image", 1),
        failed("registry.example/other:1", "not this one", 2),
        failed(image, "toomanyrequests: You have reached your pull rate limit", 12),
    ]);
    both_say(
        "image_pull",
        &objects,
        &["ImagePullBackOff, Failed to pull image", "toomanyrequests"],
    );
    for finding in found(&objects) {
        assert!(!finding.reason.contains("not this one"), "{finding:#?}");
    }
}

#[test]
fn w04_who_made_room_for_another_pod_is_named_also_when_it_is_gone() {
    let event = |pod: &str| {
        let mut event = warning(pod, "Preempted", "Preempted by pod shop/urgent on node n1", 2);
        event["type"] = json!("Normal");
        event
    };
    let missing =
        |about: &str| reason("replicas_missing", &[deployment("web", 2, 1), event(about)]);
    assert!(missing("web-6d4b8c7f95-zzzzz").contains("Preempted by pod shop/urgent"));
    for other in ["web-api-6d4b8c7f95-zzzzz", "webster-6d4b8c7f95-zzzzz", "web"] {
        assert!(!missing(other).contains("urgent"), "{other}");
    }
    let mut leaving = pod(NAME, "Running", None, &[container("c", true, running(60))]);
    leaving["metadata"]["deletionTimestamp"] = ago(-1);
    let target = said(
        condition("DisruptionTarget", true, 1),
        "PreemptionByScheduler",
        "default-scheduler: preempting to accommodate a higher priority pod",
    );
    leaving["status"]["conditions"].as_array_mut().expect("conditions").push(target);
    let reason = reason("replicas_missing", &short_of(leaving));
    assert!(reason.contains(NAME) && reason.contains("PreemptionByScheduler"), "{reason}");
}

#[test]
fn w04_a_quota_is_named_before_what_the_pods_say() {
    let mut objects =
        short_of(pod(NAME, "Running", Some(30), &[container("c", false, running(30))]));
    objects[0]["status"]["conditions"].as_array_mut().expect("conditions").push(said(
        condition("ReplicaFailure", true, 30),
        "FailedCreate",
        "exceeded quota: pods",
    ));
    objects.push(warning(NAME, "Unhealthy", "Readiness probe failed: statuscode: 503", 1));
    let reason = reason("replicas_missing", &objects);
    assert!(
        reason.contains("FailedCreate: exceeded quota: pods. web-6d4b8c7f95-x2x2x, container c"),
        "{reason}"
    );
    assert!(reason.contains("statuscode: 503"), "{reason}");
}

#[test]
fn w04_pods_that_merely_start_are_not_given_as_a_cause() {
    let state = json!({ "waiting": { "reason": "ContainerCreating" } });
    let mut starting = pod(NAME, "Pending", Some(2), &[container("c", false, state)]);
    starting["metadata"]["creationTimestamp"] = ago(2);
    starting["status"]["conditions"] = json!([condition("PodScheduled", true, 2)]);
    let words = |objects: &[Value]| reason("replicas_missing", objects);
    let mut objects = short_of(starting);
    assert!(words(&objects).ends_with("minimum availability."), "{}", words(&objects));
    objects.push(warning(NAME, "FailedMount", "secret \"tls\" not found", 1));
    assert!(
        words(&objects).ends_with(
            "container c waits (ContainerCreating); FailedMount: secret \"tls\" not found."
        ),
        "{}",
        words(&objects)
    );
}

/// Every text of every fixture taken away in turn: reasons, messages, both.
#[test]
fn w04_an_empty_message_leaves_no_stray_punctuation() {
    fn blank(value: &mut Value, fields: &[&str], keep: &[&str]) {
        match value {
            Value::Object(map) => {
                for (key, value) in map.iter_mut() {
                    let is_kept = value.as_str().is_some_and(|text| keep.contains(&text));
                    if fields.contains(&key.as_str()) && value.is_string() && !is_kept {
                        *value = json!("");
                    } else {
                        blank(value, fields, keep);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| blank(item, fields, keep)),
            _ => {}
        }
    }
    // Without these words there is nothing to be found.
    let keep = [
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "CreateContainerConfigError",
        "OOMKilled",
        "Evicted",
        "Unhealthy",
        "ProgressDeadlineExceeded",
    ];
    let mut seen = 0;
    for file in names("found") {
        for fields in [&["message"][..], &["reason"], &["message", "reason"]] {
            let mut objects = objects(&format!("found/{file}"));
            for object in &mut objects {
                blank(object, fields, &keep);
            }
            for finding in find(&reading_of(objects)) {
                seen += 1;
                let text = &finding.reason;
                for stray in [
                    "()", "( ", " )", ": .", ": ;", ", .", ", ;", "::", "..", " .", ";.", ":.",
                    "; ;", ": :", ",:", ": )", "(:",
                ] {
                    assert!(
                        !text.contains(stray),
                        "{file} without {fields:?}: {stray:?} in {text:?}"
                    );
                }
                assert!(text.ends_with('.'), "{file}: {text:?}");
            }
        }
    }
    assert!(seen > 200, "{seen} reasons were read");
}

#[test]
fn w04_who_only_watches_names_no_cause_where_one_who_runs_pods_does() {
    let starts = waiting("ContainerCreating", "");
    let pod = pod(NAME, "Pending", Some(30), &[container("c", false, starts)]);
    let by = |source: Option<&str>, field: &str, reason: &str, message: &str, minutes| {
        let mut event = warning(NAME, reason, message, minutes);
        match (source, field) {
            (Some(source), "source") => event["source"] = json!({ "component": source }),
            (Some(source), field) => event[field] = json!(source),
            (None, _) => {}
        }
        event
    };
    let audit = |field| {
        let message = "policy require-limits/check fail: validation error";
        by(Some("kyverno-admission"), field, "PolicyViolation", message, 1)
    };
    for field in ["source", "reportingComponent"] {
        for (source, reason, message) in [
            ("kubelet", "FailedMount", "MountVolume.SetUp failed: secret \"web\" not found"),
            ("attachdetach-controller", "FailedAttachVolume", "Multi-Attach error for volume"),
            ("my-scheduler", "FailedBinding", "0/3 nodes have the device"),
            ("kubelet", "BackOff", "Back-off restarting failed container"),
        ] {
            let mut objects = short_of(pod.clone());
            objects.extend([audit(field), by(Some(source), field, reason, message, 3)]);
            both_say("pending", &objects, &[message]);
            let words = self::reason("pending", &objects);
            assert!(!words.contains("PolicyViolation"), "{words}");
        }
        // With nothing else it is said, and the newest counts where nobody says who wrote it.
        let mut objects = short_of(pod.clone());
        objects.push(audit(field));
        both_say("pending", &objects, &["PolicyViolation"]);
        objects.push(by(None, field, "FailedMount", "of unknown hand", 3));
        both_say("pending", &objects, &["of unknown hand"]);
    }
}

#[test]
fn w05_an_init_container_that_failed_matters_no_more_once_its_pod_is_ready() {
    let with = |ready: Option<i64>| {
        let starts = waiting("PodInitializing", "");
        let state = if ready.is_none() { running(60) } else { starts };
        let mut pod = pod("web-x", "Running", ready, &[container("c", ready.is_none(), state)]);
        pod["spec"]["initContainers"] = json!([{ "name": "warm" }]);
        pod["status"]["initContainerStatuses"] =
            json!([container("warm", false, ended(3, "Error", 90, 80))]);
        lines(&[pod])
    };
    assert!(with(None).is_empty(), "{:?}", with(None));
    assert_eq!(with(Some(30)), ["init_failed web-x 0/1 [web-x]"]);
}
