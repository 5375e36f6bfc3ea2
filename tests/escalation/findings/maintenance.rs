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
