//! Whose a pod is, when no deployment, stateful set or daemon set is; and which run makes up for a failed one (W05).

use mape_k::analyzer::cluster::{Onsets, findings};
use mape_k::domain::catalogue::{Catalogue, Tier};
use mape_k::domain::cluster::{ClusterReading, Kind, UnreadObject};
use mape_k::domain::finding::{Finding, FindingKind};
use mape_k::domain::reading::{FailureKind, ReadFailure};
use serde_json::{Value, json};

use super::fixtures::{find, line, now, objects, reading, reading_of, reading_without, service};
use super::made::{ago, condition, container, of, pod, waiting};

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
            set["metadata"]["ownerReferences"][0]["apiVersion"] = json!("apps/v1");
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
    unasked.cluster.empty_sets.clear();
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
    // Nowhere, or not in this namespace.
    for left_out in [false, true] {
        let without = |path: &str| {
            let mut reading = reading_without(path, &[Kind::CronJobs]);
            reading.failures.clear();
            if left_out {
                reading.left_out = [(Kind::CronJobs, "shop".to_owned())].into();
                let failure = ReadFailure { kind: FailureKind::Server, text: "500".to_owned() };
                reading.failures.insert(Kind::CronJobs, failure);
            } else {
                reading.expected.remove(&Kind::CronJobs);
            }
            lines(&reading)
        };
        assert!(without(newer).is_empty());
        assert_eq!(without(deleted).len(), 1);
    }
}

#[test]
fn w05_while_cron_jobs_cannot_be_read_no_run_of_one_newly_counts_as_failed() {
    let path = "quiet/cron_job_whose_later_success_is_deleted";
    let broken = |namespace: &str| {
        let mut reading = reading_without(path, &[Kind::CronJobs]);
        reading.failures.clear();
        reading.unread = vec![UnreadObject {
            kind: Kind::CronJobs,
            namespace: namespace.to_owned(),
            name: "backup".to_owned(),
            cause: "status.lastSuccessfulTime: it is no time".to_owned(),
        }];
        reading
    };
    let unread = reading_without(path, &[Kind::CronJobs]);
    assert!(lines(&unread).is_empty());
    assert!(lines(&broken("shop")).is_empty());
    let failed = ["job_failed backup - [backup-29364000-y1y1y]"];
    assert_eq!(lines(&broken("bank")), failed, "it is not its namespace's");
    // What was found before goes on.
    let mut onsets = Onsets::default();
    let known = broken("bank");
    onsets.update(&find(&known), &known);
    let again = findings(&unread, &Catalogue::default(), &onsets, now());
    assert_eq!(again.iter().map(line).collect::<Vec<_>>(), failed);
    // Seen or not, its beginning is kept.
    onsets.update(&[], &unread);
    assert_eq!(onsets.len(), 1);
    // A job of its own needs no cron job to say that it failed.
    let mut own = reading_of(changed(path, |object| {
        if object["kind"] == "Job" {
            object["metadata"]["ownerReferences"] = json!([]);
        }
    }));
    own.cluster.cron_jobs.clear();
    own.failures = unread.failures;
    assert_eq!(lines(&own), ["job_failed backup-29364000 - [backup-29364000-y1y1y]"]);
}

/// A run of the cron job `backup`, from and to so many minutes ago.
fn run(name: &str, condition_of: &str, from: i64, to: i64) -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "namespace": "shop", "creationTimestamp": ago(from),
            "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "CronJob", "name": "backup", "controller": true }] },
        "status": { "failed": 1, "conditions": [condition(condition_of, true, to)] } })
}

fn cron_job(last_success: i64) -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "backup", "namespace": "shop" },
        "status": { "lastSuccessfulTime": ago(last_success) } })
}

#[test]
fn w05_an_older_run_that_took_longer_makes_up_for_nothing_while_it_is_there_to_be_asked() {
    let failed = run("backup-2", "Failed", 50, 40);
    for done in ["Complete", "SuccessCriteriaMet"] {
        let slow = run("backup-1", done, 60, 30);
        let found = lines(&reading_of([slow, failed.clone(), cron_job(30)]));
        assert_eq!(found, ["job_failed backup - []"], "it began before");
        let newer = run("backup-3", done, 45, 30);
        assert!(lines(&reading_of([newer, failed.clone(), cron_job(30)])).is_empty());
    }
    // A run that is deleted by now completed after the slow one; or only the time is left.
    let slow = run("backup-1", "Complete", 60, 30);
    assert!(lines(&reading_of([slow, failed.clone(), cron_job(20)])).is_empty());
    assert!(lines(&reading_of([failed, cron_job(30)])).is_empty());
}

#[test]
fn w05_a_kind_of_another_group_is_not_the_one_that_is_watched() {
    let crashing = |kind: &str, version: &str| {
        let state = waiting("CrashLoopBackOff", "");
        let pod = pod("db-0", "Running", Some(25), &[container("c", false, state)]);
        let mut pod = of(kind, "db", pod);
        pod["metadata"]["ownerReferences"][0]["apiVersion"] = json!(version);
        pod
    };
    for (kind, version, group, own) in [
        ("StatefulSet", "apps.kruise.io/v1beta1", "apps.kruise.io", "apps/v1"),
        ("DaemonSet", "apps.kruise.io/v1alpha1", "apps.kruise.io", "extensions/v1beta1"),
        ("Job", "batch.volcano.sh/v1alpha1", "batch.volcano.sh", "batch/v1"),
        ("ReplicaSet", "example.com/v1", "example.com", "apps/v1"),
    ] {
        let found = find(&reading_of([crashing(kind, version)]));
        let owner = format!("{kind}.{group}/db");
        assert_eq!(owners(&found), [("crash_loop", owner.as_str())]);
        assert!(found[0].is_down(), "it wants at least the pod that it has: {:?}", found[0]);
        // Twin: the one that is watched, and is not there to say what it wants.
        let found = find(&reading_of([crashing(kind, own)]));
        let owner = format!("{kind}/db");
        assert_eq!(owners(&found), [("crash_loop", owner.as_str())]);
        assert_eq!(found[0].desired, None);
    }
    // A namesake that is done makes up for nothing.
    let done = |version: &str| {
        let job = json!({ "apiVersion": "batch/v1", "kind": "Job",
            "metadata": { "name": "db", "namespace": "shop", "creationTimestamp": ago(90) },
            "status": { "conditions": [condition("Complete", true, 10)] } });
        lines(&reading_of([job, crashing("Job", version)]))
    };
    assert_eq!(done("batch.volcano.sh/v1alpha1"), ["crash_loop db 0/1 [db-0]"]);
    assert!(done("batch/v1").is_empty());
    // A set of somebody else's Deployment answers for it.
    let set = |version: &str| {
        let set = changed(OF_A_ROLLOUT, |set| {
            set["metadata"]["ownerReferences"][0]["kind"] = json!("Deployment");
            set["metadata"]["ownerReferences"][0]["apiVersion"] = json!(version);
        });
        owners(&find(&reading_of(set))).first().map(|(_, owner)| (*owner).to_owned())
    };
    assert_eq!(set("example.com/v1").as_deref(), Some("Deployment.example.com/web"));
    assert_eq!(set("apps/v1"), None);
}

#[test]
fn w05_where_the_right_to_read_sets_is_missing_in_a_namespace_its_pods_are_counted() {
    let mut elsewhere = reading_of(canary_since("2026-11-02T09:40:00Z"));
    elsewhere.cluster.workloads.clear();
    elsewhere.cluster.empty_sets.clear();
    let desired = |reading: &ClusterReading| {
        find(reading).iter().map(|finding| finding.desired).collect::<Vec<_>>()
    };
    elsewhere.left_out = [(Kind::ReplicaSets, "bank".to_owned())].into();
    assert_eq!(desired(&elsewhere), [None]);
    elsewhere.left_out = [(Kind::ReplicaSets, "shop".to_owned())].into();
    assert_eq!(desired(&elsewhere), [Some(1)]);
}
