//! What people and controllers do on purpose: take a node away, add one, delete a workload, try again.

use mape_k::domain::cluster::ClusterReading;
use mape_k::domain::finding::FindingSeverity;
use serde_json::{Value, json};

use super::fixtures::{find, line, objects, reading_of};

/// The objects of a fixture with this change made to each.
fn changed(path: &str, change: impl Fn(&mut Value)) -> ClusterReading {
    let mut objects = objects(path);
    objects.iter_mut().for_each(change);
    reading_of(objects)
}

fn lines(reading: &ClusterReading) -> Vec<String> {
    find(reading).iter().map(line).collect()
}

#[test]
fn b14_a_daemon_sets_pod_on_a_node_in_maintenance_is_not_missing() {
    let path = "found/replicas_missing_daemon_set_pod_on_a_dead_node";
    let cordon = |object: &mut Value| {
        if object["metadata"]["name"] == "worker-2" {
            object["spec"]["unschedulable"] = json!(true);
        }
    };
    let maintained = changed(path, cordon);
    assert_eq!(lines(&maintained), ["node_not_ready worker-2 - []"]);
    assert_eq!(find(&maintained)[0].severity, FindingSeverity::Info);

    let none_left = changed(path, |object| {
        cordon(object);
        if object["kind"] == "DaemonSet" {
            object["status"]["numberReady"] = json!(0);
        }
    });
    assert!(find(&none_left).iter().any(|f| f.is_down() && f.desired == Some(2)), "down is down");

    let ready_node = changed(path, |object| {
        cordon(object);
        let is_node = object["kind"] == "Node";
        for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
            if is_node && condition["type"] == "Ready" {
                condition["status"] = json!("True");
            }
        }
    });
    let by_itself = ["probe_failing logs 1/2 [logs-2]", "replicas_missing logs 1/2 [logs-2]"];
    assert_eq!(lines(&ready_node), by_itself, "only cordoned");
}

#[test]
fn b13_a_node_that_joins_has_a_few_minutes() {
    let made = |at: &str| {
        let reading = changed("found/node_not_ready_network_plugin", |object| {
            object["metadata"]["creationTimestamp"] = json!(at);
        });
        lines(&reading)
    };
    assert!(made("2026-11-02T09:57:00Z").is_empty());
    assert_eq!(made("2026-11-02T09:55:00Z"), ["node_not_ready worker-2 - []"]);
}

#[test]
fn b13_a_workload_that_is_being_deleted_is_off() {
    let delete = |object: &mut Value| {
        if object["kind"] == "Deployment" {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-02T09:58:00Z");
        }
    };
    assert!(lines(&changed("found/crash_loop_half_of_a_deployment", delete)).is_empty());
    let stuck = changed("found/stuck_terminating_on_a_dead_node", delete);
    let is_stuck = |line: &String| line.starts_with("stuck_terminating web 2/0");
    assert!(lines(&stuck).iter().any(is_stuck), "{:?}", lines(&stuck));
}

#[test]
fn b13_an_evicted_pod_of_a_job_is_made_good_by_one_that_runs_well() {
    let with_retry = |ready: &str, phase: &str| {
        let reading = changed("quiet/job_that_failed_a_pod_and_tries_again", |object| {
            if object["kind"] != "Pod" {
                return;
            }
            if object["status"]["phase"] == "Failed" {
                object["status"]["reason"] = json!("Evicted");
                object["status"]["message"] = json!("The node was low on resource: memory.");
                return;
            }
            object["status"]["phase"] = json!(phase);
            for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
                if condition["type"] == "Ready" {
                    condition["status"] = json!(ready);
                }
            }
        });
        lines(&reading).iter().filter(|line| line.starts_with("evicted")).count()
    };
    assert_eq!(with_retry("True", "Running"), 0);
    assert_eq!(with_retry("False", "Succeeded"), 0);
    assert_eq!(with_retry("False", "Pending"), 1, "nothing has taken over yet");
}

/// A node that an autoscaler takes away, by each way of saying so; and what only looks like it.
#[test]
fn w05_a_node_that_is_being_removed_is_no_trouble_nor_are_its_daemon_sets_pods() {
    let lost = "found/node_not_ready_really_lost";
    let with = |change: &dyn Fn(&mut Value)| {
        changed(lost, |object| {
            if object["metadata"]["name"] == "ip-10-20-9-201.example.internal" {
                change(object);
            }
        })
    };
    let tainted = |key: &str| {
        with(&|node| node["spec"]["taints"] = json!([{ "key": key, "effect": "NoSchedule" }]))
    };
    for key in [
        "ToBeDeletedByClusterAutoscaler",
        "karpenter.sh/disrupted",
        "karpenter.sh/disruption",
        "cloud.google.com/impending-node-termination",
        "aws-node-termination-handler/spot-itn",
        "aws-node-termination-handler/rebalance-recommendation",
    ] {
        let found = find(&tainted(key));
        assert_eq!(found.len(), 1, "{key}: {found:?}");
        assert_eq!(found[0].severity, FindingSeverity::Info, "{key}");
    }
    for key in [
        "DeletionCandidateOfClusterAutoscaler",
        "node.cloudprovider.kubernetes.io/shutdown",
        "node.kubernetes.io/unreachable",
        "dedicated",
    ] {
        let found = find(&tainted(key));
        let severities: Vec<FindingSeverity> = found.iter().map(|f| f.severity).collect();
        assert_eq!(severities, [FindingSeverity::High; 2], "{key}: node and daemon set");
    }
    let deleted = with(&|node| {
        node["metadata"]["deletionTimestamp"] = json!("2026-11-02T09:58:00Z");
        node["metadata"]["finalizers"] = json!(["karpenter.sh/termination"]);
    });
    assert!(find(&deleted).iter().all(|finding| finding.severity == FindingSeverity::Info));
}

#[test]
fn w05_a_removed_node_excuses_its_own_pod_and_no_other() {
    let path = "found/node_not_ready_removed_by_cluster_autoscaler";
    let agent = "node-agent-7jsbr";
    // Its pod there crashes as the node is taken down, or stays; or it is the only one; or it is gone already.
    let crashing = |name: &'static str| {
        changed(path, move |object| {
            if object["metadata"]["name"] == name {
                object["status"]["containerStatuses"][0]["ready"] = json!(false);
                object["status"]["containerStatuses"][0]["state"] =
                    json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } });
            }
        })
    };
    let severe = |reading: &ClusterReading| {
        let found = find(reading);
        let severe = found.iter().filter(|f| f.severity > FindingSeverity::Info);
        severe.map(line).collect::<Vec<_>>()
    };
    assert!(severe(&crashing(agent)).is_empty());
    assert_eq!(
        severe(&crashing("node-agent-65q66")),
        ["crash_loop node-agent 2/2 [node-agent-65q66]"]
    );
    let stuck = changed(path, |object| {
        if object["metadata"]["name"] == agent {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-02T09:30:00Z");
        }
    });
    assert!(severe(&stuck).is_empty());
    let only_one = |is_removed: bool| {
        changed(path, |object| {
            if object["kind"] == "DaemonSet" {
                object["status"] = json!({ "desiredNumberScheduled": 1, "numberReady": 0, "observedGeneration": 4,
                    "updatedNumberScheduled": 1 });
            }
            if object["kind"] == "Node" && !is_removed {
                object["spec"]["taints"] = json!([]);
            }
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            if name.starts_with("node-agent-") && name != agent {
                object["status"]["phase"] = json!("Succeeded");
            }
        })
    };
    assert!(severe(&only_one(true)).is_empty());
    assert!(find(&only_one(false)).iter().any(mape_k::domain::finding::Finding::is_down));
    let mut gone = objects(path);
    gone.retain(|object| object["metadata"]["name"] != agent);
    assert!(severe(&reading_of(gone)).is_empty());
    // One of another node is away too, and the controller no longer counts the one that is removed.
    let another = changed(path, |object| {
        if object["metadata"]["name"] == "node-agent-65q66" {
            for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
                if condition["type"] == "Ready" {
                    condition["status"] = json!("False");
                }
            }
        }
        if object["kind"] == "DaemonSet" {
            object["status"]["desiredNumberScheduled"] = json!(2);
            object["status"]["numberReady"] = json!(1);
        }
    });
    let missing = severe(&another);
    assert!(
        missing.iter().any(|l| l.starts_with("replicas_missing node-agent 1/2")),
        "{missing:?}"
    );
    // What is to run anywhere is missed, wherever it was.
    let web = changed(path, |object| {
        if object["metadata"]["name"] == "web-r728ht7jzv-b7p4n" {
            object["spec"]["nodeName"] = json!("ip-10-20-9-201.example.internal");
            for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
                if condition["type"] == "Ready" {
                    condition["status"] = json!("False");
                }
            }
        }
        if object["kind"] == "Deployment" {
            object["status"]["readyReplicas"] = json!(1);
        }
    });
    assert!(severe(&web).iter().any(|l| l.starts_with("replicas_missing web 1/2")));
}

#[test]
fn w05_pods_of_a_node_that_joins_have_its_patience() {
    let path = "quiet/daemon_set_pod_on_a_node_that_joins";
    let with = |made: &'static str, change: &dyn Fn(&mut Value)| {
        let reading = changed(path, |object| {
            if object["metadata"]["name"] == "worker-2" {
                object["metadata"]["creationTimestamp"] = json!(made);
            }
            if object["metadata"]["name"] == "logs-2" {
                change(object);
            }
        });
        lines(&reading)
    };
    let (joins, joined) = ("2026-11-02T09:56:30Z", "2026-11-02T09:54:30Z");
    assert!(with(joins, &|_| {}).is_empty());
    let found = with(joined, &|_| {});
    assert_eq!(found, ["probe_failing logs 1/2 [logs-2]", "replicas_missing logs 1/2 [logs-2]"]);
    let state = |pod: &mut Value, phase: &str, state: Value| {
        pod["status"]["phase"] = json!(phase);
        pod["status"]["containerStatuses"][0]["restartCount"] = json!(4);
        pod["status"]["containerStatuses"][0]["state"] = state;
    };
    // Its network is not there yet.
    let crashing = |pod: &mut Value| {
        state(
            pod,
            "Running",
            json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } }),
        );
    };
    assert!(with(joins, &crashing).is_empty());
    assert_eq!(with(joined, &crashing)[0], "crash_loop logs 1/2 [logs-2]");
    let creating = |pod: &mut Value| {
        state(pod, "Pending", json!({ "waiting": { "reason": "ContainerCreating" } }));
    };
    assert!(with(joins, &creating).is_empty());
    // No patience helps against a name that is not there, nor a deployment's pod that crashes.
    let misnamed = |pod: &mut Value| {
        let reason = json!({ "waiting": { "reason": "CreateContainerConfigError", "message": "secret not found" } });
        state(pod, "Pending", reason);
    };
    assert_eq!(with(joins, &misnamed)[0], "config_error logs 1/1 [logs-2]");
    let of_a_deployment = |pod: &mut Value| {
        crashing(pod);
        pod["metadata"]["ownerReferences"][0]["kind"] = json!("StatefulSet");
    };
    assert!(with(joins, &of_a_deployment).iter().any(|line| line.starts_with("crash_loop")));
    // Its pod there is not made yet.
    let unmade = |made: &'static str| {
        let mut all = objects(path);
        all.retain(|object| object["metadata"]["name"] != "logs-2");
        for object in &mut all {
            if object["metadata"]["name"] == "worker-2" {
                object["metadata"]["creationTimestamp"] = json!(made);
            }
        }
        lines(&reading_of(all))
    };
    assert!(unmade(joins).is_empty());
    assert_eq!(unmade(joined), ["replicas_missing logs 1/2 []"]);
}

#[test]
fn w05_text_and_numbers_leave_out_the_same_replicas() {
    let mut all = objects("found/replicas_missing_daemon_set_pod_on_a_dead_node");
    let mut joins = all.iter().find(|one| one["kind"] == "Node").expect("a node").clone();
    joins["metadata"]["name"] = json!("worker-9");
    joins["metadata"]["creationTimestamp"] = json!("2026-11-02T09:58:00Z");
    all.push(joins);
    for object in all.iter_mut().filter(|one| one["kind"] == "DaemonSet") {
        object["status"]["desiredNumberScheduled"] = json!(3);
    }
    let found = find(&reading_of(all));
    let missing = found.iter().find(|one| line(one).starts_with("replicas_missing logs 1/2"));
    let missing = missing.unwrap_or_else(|| panic!("{found:#?}"));
    assert!(missing.reason.starts_with("1 of 2 replicas of DaemonSet/logs"), "{}", missing.reason);
}
