//! How findings are grouped, weighed, dated and remembered.

use chrono::TimeDelta;
use mape_k::analyzer::cluster::{Onsets, findings, log_of};
use mape_k::domain::catalogue::{Catalogue, Service, Tier};
use mape_k::domain::cluster::ClusterReading;
use mape_k::domain::finding::{Finding, FindingKind, FindingSeverity};
use serde_json::{Value, json};

use super::fixtures::{
    find, kind_of, line, minutes_ago, names, now, objects, reading, reading_of, service,
};

fn the(kind: FindingKind, reading: &ClusterReading) -> Finding {
    let found = find(reading);
    let lines: Vec<String> = found.iter().map(line).collect();
    let finding = found.into_iter().find(|finding| finding.kind == kind);
    finding.unwrap_or_else(|| panic!("{} is not among {lines:?}", kind.as_str()))
}

fn knowing(service: Service) -> Catalogue {
    Catalogue { services: vec![service], ..Catalogue::default() }
}

/// The objects of a fixture with this change made to those of a kind.
fn changed(path: &str, kind: &str, change: impl Fn(&mut Value)) -> ClusterReading {
    let mut objects = objects(path);
    objects.iter_mut().filter(|object| object["kind"] == kind).for_each(change);
    reading_of(objects)
}

#[test]
fn pods_of_one_deployment_are_one_finding_with_twenty_of_them_named() {
    let crashing = "found/crash_loop_one_of_two_containers";
    let pod = objects(crashing).pop().expect("its last object is a pod");
    assert_eq!(pod["kind"], "Pod");
    let many = (0..25).map(|n| {
        let mut pod = pod.clone();
        pod["metadata"]["name"] = json!(format!("web-7c9d8b6f5-x{n:03}"));
        pod
    });
    let deployment = objects(crashing).into_iter().filter(|object| object["kind"] == "Deployment");
    let found = find(&reading_of(deployment.chain(many)));
    let kinds: Vec<FindingKind> = found.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::CrashLoop, FindingKind::ReplicasMissing]);
    for finding in &found {
        assert_eq!(finding.owner, "Deployment/web");
        assert_eq!(finding.pods.len(), 20);
        assert!(finding.reason.contains("25 pods"), "{}", finding.reason);
    }
    assert_eq!(found[0].restarts, 25 * 4, "restarts of all of them");
}

#[test]
fn two_owners_are_two_findings_and_namespaces_keep_namesakes_apart() {
    let path = "found/config_error_key_missing";
    let elsewhere = objects(path).into_iter().map(|mut object| {
        object["metadata"]["namespace"] = json!("staging");
        object
    });
    let found = find(&reading_of(objects(path).into_iter().chain(elsewhere)));
    let of: Vec<_> = found.iter().map(|f| (f.namespace.as_deref(), f.kind.as_str())).collect();
    let kinds = ["config_error", "replicas_missing"];
    let expected = ["shop", "staging"].map(|ns| kinds.map(|kind| (Some(ns), kind)));
    assert_eq!(of, expected.concat());
}

#[test]
fn b13_all_pods_running_and_ready_is_healthy_whatever_the_events_say() {
    let events: Vec<Value> = names("found")
        .iter()
        .flat_map(|file| objects(&format!("found/{file}")))
        .filter(|object| object["kind"] == "Event")
        .collect();
    assert!(events.len() >= 5, "the fixtures have events");
    let healthy = objects("quiet/current_state_beats_fresh_warnings");
    let pod =
        healthy.iter().find(|object| object["kind"] == "Pod").expect("there is a pod").clone();
    let about_it = events.into_iter().map(|mut event| {
        event["involvedObject"]["name"] = pod["metadata"]["name"].clone();
        event["involvedObject"]["uid"] = pod["metadata"]["uid"].clone();
        event["involvedObject"]["kind"] = json!("Pod");
        event["lastTimestamp"] = json!("2026-11-02T09:59:59Z");
        event
    });
    let found = find(&reading_of(healthy.into_iter().chain(about_it)));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn an_event_about_a_namesake_before_it_says_nothing_of_a_pod() {
    let path = "found/probe_failing_readiness";
    let namesake =
        changed(path, "Event", |event| event["involvedObject"]["uid"] = json!("another"));
    let finding = the(FindingKind::ProbeFailing, &namesake);
    assert!(!finding.reason.contains("503"), "{}", finding.reason);
}

#[test]
fn b13_a_p0_with_none_of_two_ready_is_down_by_a_recreate_rollout_too() {
    let path = "found/replicas_missing_down_by_a_recreate_rollout";
    let finding = the(FindingKind::ReplicasMissing, &reading(path));
    assert!(finding.is_down() && !finding.within_rollout);
    assert_eq!(finding.severity, FindingSeverity::Critical);
}

#[test]
fn severity_follows_what_is_missing() {
    let cases = [
        ("crash_loop_whole_stateful_set", FindingKind::CrashLoop, FindingSeverity::Critical),
        ("crash_loop_half_of_a_deployment", FindingKind::CrashLoop, FindingSeverity::High),
        ("crash_loop_while_a_surge_rolls_out", FindingKind::CrashLoop, FindingSeverity::High),
        ("oom_killed_and_running_again", FindingKind::OomKilled, FindingSeverity::Warning),
        ("rollout_stuck_quota", FindingKind::RolloutStuck, FindingSeverity::High),
        ("job_failed", FindingKind::JobFailed, FindingSeverity::High),
        ("claim_lost_of_nobody", FindingKind::ClaimLost, FindingSeverity::Critical),
        ("claim_pending_provisioning_fails", FindingKind::ClaimPending, FindingSeverity::Warning),
        ("node_not_ready_unknown", FindingKind::NodeNotReady, FindingSeverity::High),
        ("node_not_ready_while_cordoned", FindingKind::NodeNotReady, FindingSeverity::Info),
        ("node_pressure_pid", FindingKind::NodePressure, FindingSeverity::Warning),
    ];
    for (file, kind, severity) in cases {
        let finding = the(kind, &reading(&format!("found/{file}")));
        assert_eq!(finding.severity, severity, "{file}");
    }
}

#[test]
fn an_owner_that_is_not_watched_wants_at_least_the_pods_it_has() {
    let path = "found/crash_loop_one_of_two_containers";
    let custom = changed(path, "Pod", |pod| {
        pod["metadata"]["ownerReferences"][0] = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "name": "web", "controller": true
        });
    });
    let finding = the(FindingKind::CrashLoop, &custom);
    assert_eq!((finding.owner.as_str(), finding.pods.len()), ("CloneSet/web", 2));
    assert!(finding.is_down(), "none of its two pods is ready");
}

#[test]
fn only_a_cron_jobs_newer_run_makes_up_for_a_failed_one() {
    let made_by = |kind: &str| {
        let path = "quiet/cron_job_whose_newer_run_succeeded";
        let jobs = changed(path, "Job", |job| {
            job["metadata"]["ownerReferences"][0]["kind"] = json!(kind);
        });
        find(&jobs).len()
    };
    assert_eq!(made_by("CronJob"), 0);
    assert_eq!(made_by("Workflow"), 1);
}

#[test]
fn a_crash_in_a_rollout_within_its_limits_is_told_as_such() {
    let rolling = the(FindingKind::CrashLoop, &reading("found/crash_loop_while_a_surge_rolls_out"));
    assert!(rolling.within_rollout);
    let stuck = the(FindingKind::CrashLoop, &reading("found/rollout_stuck_stateful_set"));
    assert!(!stuck.within_rollout, "its deadline is over");
}

#[test]
fn a_rollout_that_takes_more_away_than_it_may_is_no_excuse() {
    let path = "quiet/rollout_within_its_bounds";
    let strict = changed(path, "Deployment", |deployment| {
        deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] = json!(0);
    });
    let finding = the(FindingKind::ReplicasMissing, &strict);
    assert_eq!((finding.ready, finding.desired), (Some(3), Some(4)));
    assert!(!finding.within_rollout);
}

#[test]
fn the_service_is_the_catalogues_by_name_or_by_selector() {
    let crashing = reading("found/crash_loop_half_of_a_deployment");
    let with = |service| {
        let found = findings(&crashing, &knowing(service), &Onsets::default(), now());
        (found[0].service.clone(), found[0].priority)
    };
    assert_eq!(with(service("web", Tier::P0)), ("web".to_owned(), Some(Tier::P0)));
    let selected = Service {
        selector: [("app".to_owned(), "web".to_owned())].into(),
        ..service("storefront", Tier::P1)
    };
    assert_eq!(with(selected), ("storefront".to_owned(), Some(Tier::P1)));
    let elsewhere = Service { namespace: "staging".to_owned(), ..service("web", Tier::P0) };
    assert_eq!(with(elsewhere), ("web".to_owned(), None));
}

#[test]
fn data_of_a_data_layer_is_at_risk_when_a_claim_is_lost_or_a_node_dark() {
    let data = Service { data_layer: true, ..service("db", Tier::P1) };
    let risk = |path: &str, service: Service| {
        let found = findings(&reading(path), &knowing(service), &Onsets::default(), now());
        found.into_iter().find_map(|finding| finding.data_at_risk)
    };
    let lost = "found/claim_lost_under_a_running_stateful_set";
    assert!(risk(lost, data).is_some_and(|risk| risk.contains("data-db-0")));
    assert_eq!(risk(lost, service("db", Tier::P1)), None, "it holds no data");

    let dark = "found/replicas_missing_daemon_set_pod_on_a_dead_node";
    let logs = Service {
        namespace: "kube-system".to_owned(),
        data_layer: true,
        ..service("logs", Tier::P1)
    };
    assert!(risk(dark, logs).is_some_and(|risk| risk.contains("worker-2")));
}

#[test]
fn it_counts_from_the_first_observation_or_from_the_objects_own_time_if_that_is_earlier() {
    let crashing = reading("found/crash_loop_half_of_a_deployment");
    let first = find(&crashing);
    assert_eq!(first[0].since, minutes_ago(31), "the pod's own");

    let mut onsets = Onsets::default();
    onsets.update(&first, &crashing);
    // The pod has been ready for a moment since: its own time has moved, what was seen has not.
    let later = changed("found/crash_loop_half_of_a_deployment", "Pod", |pod| {
        for condition in pod["status"]["conditions"].as_array_mut().into_iter().flatten() {
            condition["lastTransitionTime"] = json!("2026-11-02T09:59:00Z");
        }
    });
    let again = findings(&later, &Catalogue::default(), &onsets, now() + TimeDelta::minutes(1));
    assert!(again.iter().all(|finding| finding.since == minutes_ago(31)), "{again:?}");
}

#[test]
fn onsets_survive_a_restart_and_forget_what_is_gone() {
    let lost = reading("found/claim_lost_of_nobody");
    let mut onsets = Onsets::default();
    onsets.update(&find(&lost), &lost);
    let stored = serde_json::to_string(&onsets).expect("onsets can be stored");
    let mut restored: Onsets = serde_json::from_str(&stored).expect("and read back");
    assert_eq!(restored, onsets);
    let later = now() + TimeDelta::hours(2);
    let found = findings(&lost, &Catalogue::default(), &restored, later);
    assert_eq!(found[0].since, now(), "not the time of the restart");

    let healthy = reading("quiet/node_cordoned_and_well");
    restored.update(&find(&healthy), &healthy);
    assert!(restored.is_empty());
}

#[test]
fn onsets_are_bounded_and_the_oldest_stay() {
    let lost = reading("found/claim_lost_of_nobody");
    let one = find(&lost).remove(0);
    let many: Vec<Finding> = (0..10_005)
        .map(|n| Finding {
            owner: format!("PersistentVolumeClaim/c{n:05}"),
            since: now() - TimeDelta::seconds(n),
            ..one.clone()
        })
        .collect();
    let mut onsets = Onsets::default();
    onsets.update(&many, &lost);
    assert_eq!(onsets.len(), 10_000);
    assert_eq!(onsets.of(&many[0]), None, "the newest");
    assert_eq!(onsets.of(&many[10_004]), Some(many[10_004].since), "the oldest");
}

#[test]
fn how_long_it_was_degraded_is_not_how_long_it_is_down() {
    let degraded = reading("found/pending_unschedulable");
    let mut onsets = Onsets::default();
    onsets.update(&find(&degraded), &degraded);
    // The others go too, a minute before the next look.
    let mut objects = objects("found/pending_unschedulable");
    for object in &mut objects {
        if object["kind"] == "Deployment" {
            object["status"]["readyReplicas"] = json!(0);
            continue;
        }
        for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
            if condition["type"] == "Ready" {
                condition["status"] = json!("False");
                condition["lastTransitionTime"] = json!("2026-11-02T09:59:00Z");
            }
        }
    }
    let found = findings(&reading_of(objects), &Catalogue::default(), &onsets, now());
    let missing =
        found.iter().find(|f| f.kind == FindingKind::ReplicasMissing).expect("it is down");
    assert!(missing.is_down());
    assert_eq!(missing.since, minutes_ago(1));
}

#[test]
fn the_log_that_tells_is_that_of_the_container_and_run_that_failed() {
    let log = |path: &str, kind| {
        let reading = reading(path);
        log_of(&reading, &the(kind, &reading)).map(|log| (log.pod, log.container, log.previous))
    };
    let told = |pod: &str, container: &str, previous| {
        Some((pod.to_owned(), container.to_owned(), previous))
    };
    assert_eq!(
        log("found/crash_loop_one_of_two_containers", FindingKind::CrashLoop),
        told("web-7c9d8b6f5-aaaaa", "proxy", true)
    );
    assert_eq!(
        log("found/init_failed_once", FindingKind::InitFailed),
        told("db-0", "restore", false)
    );
    assert_eq!(
        log("found/probe_failing_readiness", FindingKind::ProbeFailing),
        told("web-7c9d8b6f5-bbbbb", "app", false)
    );
    assert_eq!(log("found/config_error_key_missing", FindingKind::ConfigError), None);
}

#[test]
fn the_fixtures_are_of_every_kind_that_is_read() {
    let kinds: std::collections::BTreeSet<_> = names("found")
        .iter()
        .flat_map(|file| objects(&format!("found/{file}")))
        .map(|object| kind_of(&object))
        .collect();
    assert_eq!(kinds, mape_k::domain::cluster::Kind::ALL.into());
}
