//! Whose a pod is, when no deployment, stateful set or daemon set is; and which run makes up for a failed one (W05).

use mape_k::analyzer::cluster::{Onsets, findings};
use mape_k::domain::catalogue::{Catalogue, Tier};
use mape_k::domain::cluster::{ClusterReading, Kind};
use mape_k::domain::finding::{Finding, FindingKind};
use serde_json::{Value, json};

use super::fixtures::{find, line, now, objects, reading, reading_of, reading_without, service};

/// The objects of a fixture with this change made to each.
fn changed(path: &str, change: impl Fn(&mut Value)) -> Vec<Value> {
    let mut objects = objects(path);
    objects.iter_mut().for_each(change);
    objects
}

fn lines(reading: &ClusterReading) -> Vec<String> {
    find(reading).iter().map(line).collect()
}

fn owners(found: &[Finding]) -> Vec<(&str, &str)> {
    found.iter().map(|finding| (finding.kind.as_str(), finding.owner.as_str())).collect()
}

const OF_ITS_OWN: &str = "found/replicas_missing_replica_set_of_its_own";
const OF_A_ROLLOUT: &str = "found/replicas_missing_replica_set_of_a_rollout";

#[test]
fn w05_a_set_without_a_deployment_is_a_workload_with_its_condition_as_the_reason() {
    for (path, owner) in [(OF_ITS_OWN, "ReplicaSet/web-abc"), (OF_A_ROLLOUT, "Rollout/web")] {
        let found = find(&reading(path));
        assert_eq!(owners(&found), [("replicas_missing", owner)]);
        assert!(found[0].is_down());
        assert!(
            found[0].reason.contains("FailedCreate: pods \"web-abc-\" is forbidden"),
            "{found:?}"
        );
        assert!(found[0].recommendation.contains("-n shop describe "), "{found:?}");
    }
    // By its owner's name it is the catalogue's service.
    let catalogue = Catalogue { services: vec![service("web", Tier::P0)], ..Catalogue::default() };
    let found = findings(&reading(OF_A_ROLLOUT), &catalogue, &Onsets::default(), now());
    assert_eq!(found[0].priority, Some(Tier::P0));
}

#[test]
fn w05_a_set_that_wants_nothing_or_has_all_or_is_a_deployments_is_none() {
    let off = changed(OF_ITS_OWN, |set| set["spec"]["replicas"] = json!(0));
    assert!(lines(&reading_of(off)).is_empty());
    let deleted = changed(OF_ITS_OWN, |set| {
        set["metadata"]["deletionTimestamp"] = json!("2026-11-02T09:59:00Z");
    });
    assert!(lines(&reading_of(deleted)).is_empty());
    let whole = changed(OF_ITS_OWN, |set| {
        set["status"] = json!({ "observedGeneration": 1, "replicas": 2, "readyReplicas": 2 });
    });
    assert!(lines(&reading_of(whole)).is_empty());
    let of_a_deployment = || {
        changed(OF_A_ROLLOUT, |set| {
            set["metadata"]["ownerReferences"][0]["kind"] = json!("Deployment");
        })
    };
    assert!(lines(&reading_of(of_a_deployment())).is_empty(), "its deployment says it");
    let mut unasked = reading_of(of_a_deployment());
    unasked.expected.remove(&Kind::Deployments);
    assert_eq!(owners(&find(&unasked)), [("replicas_missing", "Deployment/web")]);
    let mut unread = reading_of(of_a_deployment());
    unread.failures = reading_without(OF_A_ROLLOUT, &[Kind::Deployments]).failures;
    assert!(lines(&unread).is_empty(), "nobody knows what its deployment wants");
}

const CANARY: &str = "quiet/canary_of_a_rollout_that_starts";

/// The canary's pod is so old, and no longer new.
fn canary_since(at: &str) -> Vec<Value> {
    changed(CANARY, |object| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if name.contains("7c9d8b6f5") {
            object["metadata"]["creationTimestamp"] = json!(at);
            for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
                condition["lastTransitionTime"] = json!(at);
            }
        }
    })
}

#[test]
fn w05_the_sets_of_one_owner_are_one_workload_and_two_revisions_a_rollout() {
    assert!(lines(&reading(CANARY)).is_empty(), "ten minutes, as any rollout");
    let found = find(&reading_of(canary_since("2026-11-02T09:40:00Z")));
    let missing = found.iter().find(|f| f.kind == FindingKind::ReplicasMissing).expect("missing");
    assert_eq!(
        (missing.owner.as_str(), missing.ready, missing.desired),
        ("Rollout/web", Some(2), Some(3))
    );
    assert_eq!(missing.pods, ["web-7c9d8b6f5-ccccc"]);
    assert!(found.iter().all(|f| f.kind != FindingKind::RolloutStuck), "a canary may wait");
    // A surplus of the old revision stands for nothing of the new one.
    let surplus = changed(CANARY, |object| {
        if object["kind"] == "ReplicaSet" && object["metadata"]["name"] == "web-6d9c8b7f5" {
            object["spec"]["replicas"] = json!(0);
        }
    });
    assert!(find(&reading_of(surplus)).iter().any(Finding::is_down));
}

#[test]
fn w05_a_pod_is_its_sets_owners_also_when_the_set_has_lost_its_deployment() {
    // `kubectl delete deployment web --cascade=orphan`: the pods still have the labels that it gave them.
    let orphaned = |file: &str| {
        let mut all = objects(file);
        all.retain(|object| object["kind"] != "Deployment");
        all.push(json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": { "name": "web-7c9d8b6f5", "namespace": "shop", "generation": 1 },
            "spec": { "replicas": 2 }, "status": { "observedGeneration": 1, "replicas": 2, "readyReplicas": 1 } }));
        find(&reading_of(all))
    };
    let found = orphaned("found/crash_loop_half_of_a_deployment");
    let owner = "ReplicaSet/web-7c9d8b6f5";
    assert_eq!(owners(&found), [("crash_loop", owner), ("replicas_missing", owner)]);
    assert!(found.iter().all(Finding::is_degraded));
    // Sets are not read: its pods say whose they were, and nobody knows of how many.
    let mut without =
        reading_without("found/crash_loop_half_of_a_deployment", &[Kind::ReplicaSets]);
    without.cluster.workloads.clear();
    assert_eq!(owners(&find(&without)), [("crash_loop", "Deployment/web")]);
}

#[test]
fn w05_without_the_right_to_read_sets_an_owner_has_at_least_the_pods_that_it_has() {
    let mut unasked = reading_of(canary_since("2026-11-02T09:40:00Z"));
    unasked.expected.remove(&Kind::ReplicaSets);
    unasked.cluster.workloads.clear();
    let found = find(&unasked);
    assert!(!found.is_empty());
    assert!(found.iter().all(|f| f.owner == "ReplicaSet/web-7c9d8b6f5"), "{:?}", owners(&found));
}

#[test]
fn w05_a_run_that_failed_before_a_newer_success_is_over_and_one_after_it_is_not() {
    let path = "quiet/cron_job_whose_later_success_is_deleted";
    assert!(lines(&reading(path)).is_empty());
    let with_success = |at: Value| {
        let runs = changed(path, |object| {
            if object["kind"] == "CronJob" {
                object["status"]["lastSuccessfulTime"] = at.clone();
            }
        });
        lines(&reading_of(runs))
    };
    let failed = ["job_failed backup - [backup-29364000-y1y1y]"];
    assert_eq!(with_success(Value::Null), failed, "it never succeeded");
    assert_eq!(with_success(json!("2026-10-31T10:05:00Z")), failed, "the run before");
    assert_eq!(with_success(json!("2026-11-01T10:05:00Z")), failed, "one that ran beside it");
    assert!(with_success(json!("2026-11-01T10:11:00Z")).is_empty());
    // Another cron job's, or another namespace's, makes up for nothing.
    for (field, value) in [("name", "restore"), ("namespace", "bank")] {
        let runs = changed(path, |object| {
            if object["kind"] == "CronJob" {
                object["metadata"][field] = json!(value);
            }
        });
        assert_eq!(lines(&reading_of(runs)), failed, "{field}");
    }
}

#[test]
fn w05_without_the_right_to_read_cron_jobs_the_newer_run_decides_alone() {
    let newer = "quiet/cron_job_whose_newer_run_succeeded";
    let deleted = "quiet/cron_job_whose_later_success_is_deleted";
    for is_failure in [true, false] {
        let without = |path: &str| {
            let mut reading = reading_without(path, &[Kind::CronJobs]);
            if !is_failure {
                reading.failures.clear();
                reading.expected.remove(&Kind::CronJobs);
            }
            lines(&reading)
        };
        assert!(without(newer).is_empty());
        assert_eq!(without(deleted).len(), 1);
    }
}
