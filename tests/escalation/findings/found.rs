//! Every fixture and what is found in it: a line a fixture.

use std::collections::BTreeSet;

use mape_k::domain::finding::FindingKind;

use super::fixtures::{find, line, names, now, objects, reading, reading_of};

/// File; what is found, one line each (kind, service, ready/desired, pods); words of the first one's reason.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

#[rustfmt::skip]
const FOUND: &[Case] = &[
    ("admission_rejected_none_ready", &["pod_failed render 0/1 [render-c2fmdgcwph-5hbtn,render-c2fmdgcwph-mm8l4,render-c2fmdgcwph-n9ftj,render-c2fmdgcwph-qp89x,render-c2fmdgcwph-tc99r,render-c2fmdgcwph-zcprn]", "replicas_missing render 0/1 []"], &["OutOfcpu", "Node didn't have enough resource: cpu", "render-c2fmdgcwph-zcprn", "6 pods in all"]),
    ("admission_rejected_one_missing", &["pod_failed render 1/2 [render-c2fmdgcwph-5hbtn,render-c2fmdgcwph-n9ftj,render-c2fmdgcwph-qp89x,render-c2fmdgcwph-tc99r,render-c2fmdgcwph-zcprn]", "replicas_missing render 1/2 []"], &["UnexpectedAdmissionError", "smarter-devices/kvm"]),
    ("claim_lost_of_nobody", &["claim_lost archive - []"], &["archive has lost its volume"]),
    ("claim_lost_under_a_running_stateful_set", &["claim_lost db 1/1 [db-0]"], &["data-db-0 has lost its volume"]),
    ("claim_pending_and_a_pod_waits", &["pending db 0/1 [db-0]", "replicas_missing db 0/1 [db-0]", "claim_pending db 0/1 [db-0]"], &["Unschedulable", "unbound immediate"]),
    ("claim_pending_provisioning_fails", &["claim_pending exports - []"], &["nfs", "ProvisioningFailed", "ResourceExhausted"]),
    ("config_error_key_missing", &["config_error api 0/1 [api-7c9d8b6f5-aaaaa]", "replicas_missing api 0/1 [api-7c9d8b6f5-aaaaa]"], &["CreateContainerConfigError", "couldn't find key url"]),
    ("config_error_secret_missing", &["config_error web 1/2 [web-7c9d8b6f5-bbbbb]", "replicas_missing web 1/2 [web-7c9d8b6f5-bbbbb]"], &["secret \"web-tls\" not found"]),
    ("crash_loop_between_two_restarts", &["crash_loop web 0/1 [web-7c9d8b6f5-aaaaa]", "replicas_missing web 0/1 [web-7c9d8b6f5-aaaaa]"], &["between two crashes", "exit code 1"]),
    ("crash_loop_half_of_a_deployment", &["crash_loop web 1/2 [web-7c9d8b6f5-bbbbb]", "replicas_missing web 1/2 [web-7c9d8b6f5-bbbbb]"], &["CrashLoopBackOff", "exit code 1 (Error)", "panic: no route to db"]),
    ("crash_loop_killed_by_its_liveness_probe", &["crash_loop web 0/1 [web-7c9d8b6f5-aaaaa]", "replicas_missing web 0/1 [web-7c9d8b6f5-aaaaa]"], &["exit code 137 (Error)", "Liveness probe failed"]),
    ("crash_loop_one_of_two_containers", &["crash_loop web 0/2 [web-7c9d8b6f5-aaaaa,web-7c9d8b6f5-bbbbb]", "replicas_missing web 0/2 [web-7c9d8b6f5-aaaaa,web-7c9d8b6f5-bbbbb]"], &["container proxy", "2 pods in all"]),
    ("crash_loop_pod_of_its_own", &["crash_loop debug 0/1 [debug]"], &["debug, container app"]),
    ("crash_loop_while_a_surge_rolls_out", &["crash_loop web 3/3 [web-5b8f7d4c9-ddddd]"], &["CrashLoopBackOff"]),
    ("crash_loop_whole_stateful_set", &["crash_loop db 0/1 [db-0]", "replicas_missing db 0/1 [db-0]"], &["db-0, container app", "exit code 2"]),
    ("evicted_and_not_replaced", &["pending web 1/2 [web-7c9d8b6f5-ccccc]", "evicted web 1/2 [web-7c9d8b6f5-bbbbb]", "replicas_missing web 1/2 [web-7c9d8b6f5-ccccc]"], &["Unschedulable", "Insufficient cpu"]),
    ("evicted_pod_of_its_own", &["evicted report 0/1 [report]"], &["report was evicted from node worker-1", "low on resource: memory"]),
    ("evicted_pod_of_its_own_by_memory", &["evicted price-feed 0/1 [price-feed]"], &["price-feed was evicted from node", "low on resource: memory"]),
    ("image_pull_back_off", &["image_pull web 1/2 [web-5b8f7d4c9-bbbbb]", "rollout_stuck web 1/2 [web-5b8f7d4c9-bbbbb]", "replicas_missing web 1/2 [web-5b8f7d4c9-bbbbb]"], &["ImagePullBackOff", "web:9.9.9"]),
    ("image_pull_error_of_a_daemon_set", &["image_pull logs 2/3 [logs-3]", "replicas_missing logs 2/3 [logs-3]"], &["ErrImagePull", "403 Forbidden"]),
    ("init_failed_back_off", &["init_failed web 1/2 [web-7c9d8b6f5-bbbbb]", "replicas_missing web 1/2 [web-7c9d8b6f5-bbbbb]"], &["init container migrate", "CrashLoopBackOff"]),
    ("init_failed_once", &["init_failed db 0/1 [db-0]", "replicas_missing db 0/1 [db-0]"], &["init container restore", "exit code 3", "no backup found"]),
    ("job_failed", &["job_failed import - [import-x1x1x,import-x2x2x]"], &["The job import failed", "BackoffLimitExceeded", "4 failed pods"]),
    ("job_failed_after_its_cron_jobs_last_success", &["job_failed backup - [backup-29365440-y1y1y]"], &["backup-29365440"]),
    ("job_failed_by_its_deadline", &["job_failed reindex - []"], &["DeadlineExceeded"]),
    ("job_failed_newest_run_of_a_cron_job", &["job_failed backup - [backup-29365440-y1y1y]"], &["backup-29365440"]),
    ("long_lived_pod_restarted_by_sigterm", &["probe_failing search 2/3 [search-9l9nxbbmht-76jr6]", "replicas_missing search 2/3 [search-9l9nxbbmht-76jr6]"], &["runs and is not ready"]),
    ("long_lived_pod_restarted_with_its_node", &["probe_failing search 2/3 [search-9l9nxbbmht-76jr6]", "replicas_missing search 2/3 [search-9l9nxbbmht-76jr6]"], &["runs and is not ready", "statuscode: 503"]),
    ("node_not_ready_network_plugin", &["node_not_ready worker-2 - []"], &["Ready is False", "KubeletNotReady", "cni plugin not initialized"]),
    ("node_not_ready_really_lost", &["node_not_ready ip-10-20-9-201.example.internal - []", "replicas_missing node-agent 2/3 [node-agent-7jsbr]"], &["Ready is Unknown"]),
    ("node_not_ready_removed_by_cluster_autoscaler", &["node_not_ready ip-10-20-9-201.example.internal - []"], &["It is being removed."]),
    ("node_not_ready_removed_by_karpenter", &["node_not_ready ip-10-20-9-201.example.internal - []"], &["It is being removed."]),
    ("node_not_ready_unknown", &["node_not_ready worker-2 - []"], &["Ready is Unknown", "Kubelet stopped posting"]),
    ("node_not_ready_while_cordoned", &["node_not_ready worker-2 - []"], &["PLEG", "cordoned"]),
    ("node_pressure_memory_and_disk", &["node_pressure worker-1 - []"], &["MemoryPressure", "DiskPressure", "insufficient memory"]),
    ("node_pressure_network_unavailable", &["node_pressure worker-1 - []"], &["NetworkUnavailable", "NoRouteCreated"]),
    ("node_pressure_pid", &["node_pressure worker-1 - []"], &["PIDPressure"]),
    ("old_revision_on_delete", &["probe_failing orders-db 2/3 [orders-db-0]", "replicas_missing orders-db 2/3 [orders-db-0]"], &["the database system is starting up"]),
    ("old_revision_under_a_partition", &["probe_failing orders-db 2/3 [orders-db-0]", "replicas_missing orders-db 2/3 [orders-db-0]"], &["the database system is starting up"]),
    ("oom_killed_and_running_again", &["oom_killed web 2/2 [web-7c9d8b6f5-bbbbb]"], &["OOMKilled", "exit code 137", "runs again"]),
    ("oom_killed_in_a_loop", &["crash_loop web 1/2 [web-7c9d8b6f5-bbbbb]", "oom_killed web 1/2 [web-7c9d8b6f5-bbbbb]", "replicas_missing web 1/2 [web-7c9d8b6f5-bbbbb]"], &["CrashLoopBackOff", "OOMKilled"]),
    ("oom_killed_stateful_set_waits_for_restart", &["oom_killed cache 0/1 [cache-0]", "replicas_missing cache 0/1 [cache-0]"], &["cache-0", "OOMKilled"]),
    ("pending_init_container_hangs", &["pending web 0/1 [web-7c9d8b6f5-aaaaa]", "replicas_missing web 0/1 [web-7c9d8b6f5-aaaaa]"], &["worker-1", "init container wait-for-db still runs"]),
    ("pending_unschedulable", &["pending web 2/3 [web-7c9d8b6f5-ccccc]", "replicas_missing web 2/3 [web-7c9d8b6f5-ccccc]"], &["Unschedulable", "3 Insufficient cpu"]),
    ("pending_volume_cannot_be_attached", &["pending db 0/1 [db-0]", "replicas_missing db 0/1 [db-0]"], &["FailedAttachVolume", "Multi-Attach"]),
    ("pending_volume_not_mounted_after_a_reboot", &["pending ledger 0/1 [ledger-0]", "replicas_missing ledger 0/1 [ledger-0]"], &["ContainerCreating", "FailedMount", "Failed to find device path /dev/xvdaa"]),
    ("pod_failed_of_its_own_exit_1", &["pod_failed price-feed 0/1 [price-feed]"], &["container app ended with exit code 1 (Error): panic: upstream closed"]),
    ("pod_failed_of_its_own_node_shutdown", &["pod_failed price-feed 0/1 [price-feed]"], &["Terminated: Pod was terminated in response to imminent node shutdown."]),
    ("pod_failed_of_its_own_preempting", &["pod_failed price-feed 0/1 [price-feed]"], &["Preempting: Preempted in order to admit critical pod."]),
    ("probe_failing_events_long_gone", &["probe_failing logs 1/2 [logs-2]", "replicas_missing logs 1/2 [logs-2]"], &["logs-2, container app", "no event says why"]),
    ("probe_failing_liveness", &["probe_failing web 0/1 [web-7c9d8b6f5-aaaaa]", "replicas_missing web 0/1 [web-7c9d8b6f5-aaaaa]"], &["Liveness probe failed", "deadline exceeded"]),
    ("probe_failing_readiness", &["probe_failing web 1/2 [web-7c9d8b6f5-bbbbb]", "replicas_missing web 1/2 [web-7c9d8b6f5-bbbbb]"], &["Readiness probe failed", "statuscode: 503"]),
    ("probe_failing_startup", &["probe_failing db 0/1 [db-0]", "replicas_missing db 0/1 [db-0]"], &["Startup probe failed", "connection refused"]),
    ("readiness_gate_never_set", &["probe_failing gateway 1/2 [gateway-f9jr9ddddk-vrt5d]", "replicas_missing gateway 1/2 [gateway-f9jr9ddddk-vrt5d]"], &["ReadinessGatesNotReady", "target-health.elbv2.k8s.aws/k8s-shop-gateway-3f2a91cc04"]),
    ("replicas_missing_beyond_max_unavailable", &["probe_failing web 2/4 [web-5b8f7d4c9-ccccc,web-5b8f7d4c9-ddddd]", "replicas_missing web 2/4 [web-5b8f7d4c9-ccccc,web-5b8f7d4c9-ddddd]"], &["2 pods in all"]),
    ("replicas_missing_daemon_set_pod_on_a_dead_node", &["node_not_ready worker-2 - []", "replicas_missing logs 1/2 [logs-2]"], &["Kubelet stopped posting"]),
    ("replicas_missing_down_by_a_recreate_rollout", &["replicas_missing web 0/2 [web-5b8f7d4c9-aaaaa,web-5b8f7d4c9-bbbbb]"], &["0 of 2 replicas of Deployment/web are ready", "minimum availability"]),
    ("replicas_missing_none_ready", &["replicas_missing web 0/2 []"], &["0 of 2", "FailedCreate", "exceeded quota"]),
    ("replicas_missing_replica_set_of_a_rollout", &["replicas_missing web 0/2 []"], &["0 of 2 replicas of Rollout/web are ready", "FailedCreate", "exceeded quota"]),
    ("replicas_missing_replica_set_of_its_own", &["replicas_missing web-abc 0/2 []"], &["0 of 2 replicas of ReplicaSet/web-abc are ready", "FailedCreate", "exceeded quota"]),
    ("replicas_missing_replication_controller_of_a_deployment_config", &["replicas_missing web 1/2 []"], &["1 of 2 replicas of DeploymentConfig/web are ready", "admission webhook"]),
    ("rollout_stuck_deployment", &["probe_failing web 4/4 [web-5b8f7d4c9-eeeee]", "rollout_stuck web 4/4 [web-5b8f7d4c9-eeeee]"], &["runs and is not ready"]),
    ("rollout_stuck_quota", &["rollout_stuck api 2/2 []"], &["ProgressDeadlineExceeded", "has timed out progressing"]),
    ("rollout_stuck_stateful_set", &["crash_loop db 2/3 [db-2]", "rollout_stuck db 2/3 [db-2]", "replicas_missing db 2/3 [db-2]"], &["CrashLoopBackOff"]),
    ("running_phase_empty_state", &["pending p4 0/1 [p4]"], &["reports no state of init container ic1"]),
    ("running_phase_sandbox_fails", &["pending a 0/1 [a]"], &["ContainerCreating", "FailedCreatePodSandBox", "calico"]),
    ("running_phase_sandbox_fails_in_a_deployment", &["pending web 1/2 [web-abc-0]", "replicas_missing web 1/2 [web-abc-0]"], &["FailedCreatePodSandBox", "calico"]),
    ("running_phase_terminated", &["pending my-pod 0/1 [my-pod]"], &["has not been started again since it ended with exit code 1 (Error)"]),
    ("stuck_terminating_of_one_that_is_off", &["stuck_terminating web 0/0 [web-7c9d8b6f5-aaaaa]"], &["stuck terminating", "09:20:00"]),
    ("stuck_terminating_on_a_dead_node", &["node_not_ready worker-3 - []", "stuck_terminating web 2/2 [web-7c9d8b6f5-ccccc]"], &["Kubelet stopped posting"]),
    ("stuck_terminating_stateful_set", &["stuck_terminating db 1/2 [db-1]", "replicas_missing db 1/2 []"], &["db-1 is stuck terminating on node worker-1", "09:52:00"]),
];

#[test]
fn b13_each_fixture_shows_exactly_what_is_wrong_in_it() {
    let mut wrong = Vec::new();
    for (file, lines, words) in FOUND {
        let found = find(&reading(&format!("found/{file}")));
        let is: Vec<String> = found.iter().map(line).collect();
        if is != *lines {
            wrong.push(format!("{file}: {is:#?}"));
        }
        for (word, reason) in
            words.iter().filter_map(|word| found.first().map(|f| (word, &f.reason)))
        {
            if !reason.contains(word) {
                wrong.push(format!("{file}: {word:?} is not in {reason:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn b13_a_look_alike_is_not_a_finding() {
    let files = names("quiet");
    assert!(files.len() >= 30, "the look-alikes are there");
    for file in files {
        let found: Vec<String> =
            find(&reading(&format!("quiet/{file}"))).iter().map(line).collect();
        assert!(found.is_empty(), "{file} is called {found:?}");
    }
}

#[test]
fn every_fixture_is_in_the_table() {
    let table: BTreeSet<String> = FOUND.iter().map(|(file, ..)| (*file).to_owned()).collect();
    assert_eq!(table, names("found").into_iter().collect());
}

#[test]
fn every_kind_occurs_in_two_fixtures_at_least() {
    for kind in FindingKind::CLUSTER {
        let shows = |lines: &&[&str]| {
            lines.iter().any(|line| line.split(' ').next() == Some(kind.as_str()))
        };
        let count = FOUND.iter().filter(|(_, lines, _)| shows(lines)).count();
        assert!(count >= 2, "{} occurs in {count} fixtures", kind.as_str());
    }
}

#[test]
fn every_finding_says_what_it_is_and_what_to_do() {
    for (file, ..) in FOUND {
        for finding in find(&reading(&format!("found/{file}"))) {
            let kind = finding.kind.as_str();
            assert!(!finding.reason.is_empty(), "{file}: {kind} has no reason");
            assert!(finding.reason.chars().count() <= 500, "{file}: {kind} tells a novel");
            assert!(finding.recommendation.contains("kubectl "), "{file}: {kind} advises nothing");
            let blanks = [finding.reason.as_str(), &finding.recommendation];
            assert!(
                blanks.iter().all(|text| !text.contains("  ") && !text.contains("<pod>")),
                "{file}: {blanks:?}"
            );
        }
    }
}

#[test]
fn the_order_in_which_objects_arrive_changes_nothing() {
    for (file, ..) in FOUND {
        let path = format!("found/{file}");
        let reversed = find(&reading_of(objects(&path).into_iter().rev()));
        assert_eq!(reversed, find(&reading(&path)), "{file}");
        assert!(reversed.iter().all(|finding| finding.since <= now()), "{file}: from the future");
    }
}
