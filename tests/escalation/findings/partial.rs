//! From what could not be read nothing is concluded.

use mape_k::analyzer::cluster::Onsets;
use mape_k::domain::cluster::Kind;
use mape_k::domain::finding::FindingKind;

use super::fixtures::{find, line, names, reading, reading_without};

const WORKLOADS: [Kind; 5] = Kind::WORKLOADS;

#[test]
fn b03_pods_still_show_what_they_have_when_their_workloads_cannot_be_read() {
    let path = "found/crash_loop_whole_stateful_set";
    let found = find(&reading_without(path, &WORKLOADS));
    let lines: Vec<String> = found.iter().map(line).collect();
    assert_eq!(lines, ["crash_loop db - [db-0]"], "neither down nor well: not known");
}

#[test]
fn b03_workloads_still_say_what_is_missing_when_pods_cannot_be_read() {
    let path = "found/crash_loop_half_of_a_deployment";
    let found = find(&reading_without(path, &[Kind::Pods]));
    let lines: Vec<String> = found.iter().map(line).collect();
    assert_eq!(lines, ["replicas_missing web 1/2 []"]);
    let whole = find(&reading_without("quiet/restarts_long_past", &[Kind::Pods]));
    assert!(whole.is_empty(), "{whole:?}");
}

#[test]
fn b03_without_nodes_no_node_is_called_down_nor_data_at_risk() {
    let path = "found/replicas_missing_daemon_set_pod_on_a_dead_node";
    let found = find(&reading_without(path, &[Kind::Nodes]));
    assert!(found.iter().all(|f| f.kind != FindingKind::NodeNotReady && f.data_at_risk.is_none()));
}

#[test]
fn b03_without_pods_a_claim_pends_only_where_a_warning_says_that_it_cannot_be_had() {
    let claims = |path: &str| {
        let found = find(&reading_without(path, &[Kind::Pods]));
        found.iter().filter(|finding| finding.kind == FindingKind::ClaimPending).count()
    };
    assert_eq!(claims("found/claim_pending_provisioning_fails"), 1);
    assert_eq!(claims("quiet/claim_waits_for_its_first_consumer"), 0, "nobody can say who waits");
}

#[test]
fn b03_the_present_state_is_enough_without_events() {
    for file in names("found") {
        let path = format!("found/{file}");
        let whole: Vec<String> = find(&reading(&path)).iter().map(line).collect();
        let without = find(&reading_without(&path, &[Kind::Events]));
        let without: Vec<String> = without.iter().map(line).collect();
        // What only an event tells: that a provisioner fails.
        if file == "claim_pending_provisioning_fails" {
            assert!(without.len() < whole.len(), "{file}");
        } else {
            assert_eq!(without, whole, "{file}");
        }
    }
}

#[test]
fn b03_a_kind_that_cannot_be_read_makes_no_well_cluster_sick() {
    // What excuses a finding may itself be unread: an eviction whose owner is not known, a job's pod without its job, a
    // startup probe that only an event names.
    let is_excused_by_it = |file: &str, kind: Kind| match kind {
        Kind::Deployments => {
            ["exit_137_of_an_eviction", "turned_off_while_its_last_pod_crashes"].contains(&file)
        }
        Kind::DaemonSets => file == "evicted_from_a_daemon_set_and_replaced",
        Kind::Jobs => {
            ["job_that_failed_pods_and_succeeded", "cron_job_two_failures_then_a_success"]
                .contains(&file)
        }
        Kind::Pods => [
            "rollout_of_a_stateful_set",
            "rollout_of_a_daemon_set_between_two_pods",
            "pending_for_a_few_seconds",
            "scaled_up_a_moment_ago",
            "scaled_up_and_not_yet_observed",
            "stateful_set_scaled_up_one_by_one",
            "replica_sets_of_a_deployment",
            "canary_of_a_rollout_that_starts",
        ]
        .contains(&file),
        Kind::Events => file == "startup_probe_within_its_allowance",
        Kind::Nodes => file == "daemon_set_pod_on_a_node_that_joins",
        Kind::CronJobs
        | Kind::StatefulSets
        | Kind::ReplicaSets
        | Kind::ReplicationControllers
        | Kind::Claims => false,
    };
    for file in names("quiet") {
        for kind in Kind::ALL {
            let found = find(&reading_without(&format!("quiet/{file}"), &[kind]));
            let lines: Vec<String> = found.iter().map(line).collect();
            let is_quiet = lines.is_empty() || is_excused_by_it(&file, kind);
            assert!(is_quiet, "{file} without {}: {lines:?}", kind.as_str());
            assert!(found.iter().all(|finding| !finding.is_down()), "{file}: no false down");
        }
    }
}

#[test]
fn b03_an_onset_is_kept_while_its_kind_cannot_be_read() {
    let path = "found/crash_loop_half_of_a_deployment";
    let whole = reading(path);
    let mut onsets = Onsets::default();
    onsets.update(&find(&whole), &whole);
    let both = onsets.len();
    assert_eq!(both, 2);
    let blind = reading_without(path, &[Kind::Pods]);
    onsets.update(&find(&blind), &blind);
    assert_eq!(onsets.len(), both, "the crash loop was not seen to end");
}

#[test]
fn b03_pods_of_a_workload_that_is_not_asked_for_are_counted_themselves() {
    let path = "found/crash_loop_whole_stateful_set";
    let mut unasked = reading_without(path, &[Kind::StatefulSets]);
    unasked.failures.clear();
    unasked.expected.remove(&Kind::StatefulSets);
    let lines: Vec<String> = find(&unasked).iter().map(line).collect();
    assert_eq!(lines, ["crash_loop db 0/1 [db-0]"]);
}

#[test]
fn b03_a_cron_jobs_onset_is_kept_while_jobs_cannot_be_read() {
    let path = "found/oom_killed_and_running_again";
    let whole = reading(path);
    let mut onsets = Onsets::default();
    onsets.update(&find(&whole), &whole);
    let blind = reading_without(path, &[Kind::Jobs]);
    onsets.update(&[], &blind);
    assert_eq!(onsets.len(), 1, "its pods' owner goes by another name");
}
