//! What a rollout excuses, and what it does not.

use mape_k::analyzer::cluster::{Onsets, findings};
use mape_k::domain::catalogue::{Catalogue, Tier};
use mape_k::domain::cluster::ClusterReading;
use mape_k::domain::decision::Sev;
use mape_k::domain::finding::{Finding, FindingKind};
use mape_k::incidents::severity::{Situation, weigh};
use serde_json::{Value, json};

use super::fixtures::{find, line, now, objects, reading, reading_of, service};

/// The objects of a fixture with this change made to those of a kind.
fn changed(path: &str, kind: &str, change: impl Fn(&mut Value)) -> ClusterReading {
    let mut objects = objects(path);
    objects.iter_mut().filter(|object| object["kind"] == kind).for_each(change);
    reading_of(objects)
}

/// Found again after this was found.
fn after(first: &ClusterReading, then: &ClusterReading) -> Vec<Finding> {
    let mut onsets = Onsets::default();
    onsets.update(&find(first), first);
    findings(then, &Catalogue::default(), &onsets, now())
}

#[test]
fn b14_a_pod_that_leaves_a_stateful_set_of_one_revision_is_no_rollout() {
    // Its node is gone: it leaves, and its controller no longer counts it as updated.
    let leaving = changed("found/stuck_terminating_stateful_set", "Pod", |pod| {
        if pod["metadata"]["deletionTimestamp"].is_string() {
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-02T09:59:50Z");
        }
    });
    let lines: Vec<String> = find(&leaving).iter().map(line).collect();
    assert_eq!(lines, ["replicas_missing db 1/2 []"]);
    assert!(!find(&leaving)[0].within_rollout);
}

#[test]
fn b14_what_was_missing_before_is_missing_until_it_is_there() {
    for excused in [
        "rollout_within_its_bounds",
        "rollout_of_a_stateful_set",
        "rollout_of_a_daemon_set_between_two_pods",
        "scaled_up_a_moment_ago",
        "scaled_up_and_not_yet_observed",
    ] {
        let path = format!("quiet/{excused}");
        assert!(find(&reading(&path)).is_empty(), "{excused}: a beginning is excused");
        for ready in [0, 1] {
            let mut before = objects(&path);
            for object in &mut before {
                // Whatever made it: it was short when it was last looked at.
                for field in ["readyReplicas", "numberReady"] {
                    if object["status"].get(field).is_some() {
                        object["status"][field] = json!(ready);
                    }
                }
                object["spec"]["strategy"]["rollingUpdate"] = json!({ "maxUnavailable": 0 });
            }
            before.retain(|object| object["kind"] != "Pod");
            let still = after(&reading_of(before), &reading(&path));
            let missing = still.iter().find(|f| f.kind == FindingKind::ReplicasMissing);
            let missing = missing.unwrap_or_else(|| panic!("{excused}, {ready}: {still:?}"));
            assert!(missing.is_degraded() && !missing.within_rollout, "{excused}");
        }
    }
}

#[test]
fn b15_a_crash_in_a_rollout_is_a_warning_by_both_halves() {
    let catalogue = Catalogue { services: vec![service("web", Tier::P0)], ..Catalogue::default() };
    let weighed = |reading: &ClusterReading| {
        let found = findings(reading, &catalogue, &Onsets::default(), now());
        let situation =
            Situation { now: now(), catalogue: &catalogue, incidents: &[], p0_was_down: false };
        weigh(&found, &situation)
    };
    let crash = weighed(&reading("found/crash_loop_while_a_surge_rolls_out"));
    assert!(crash[0].finding.within_rollout);
    assert_eq!((crash[0].severity, crash[0].is_excused), (Sev::Sev3, false), "{}", crash[0].reason);
}

/// The objects of a fixture with their times so many seconds earlier than they were made.
fn aged(path: &str, seconds: i64) -> ClusterReading {
    fn age(value: &mut Value, seconds: i64) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|field| age(field, seconds)),
            Value::Array(items) => items.iter_mut().for_each(|item| age(item, seconds)),
            Value::String(text) => {
                if let Ok(at) = text.parse::<mape_k::domain::time::Time>() {
                    *text = (at - chrono::TimeDelta::seconds(seconds))
                        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut objects = objects(path);
    for object in &mut objects {
        age(object, seconds);
    }
    reading_of(objects)
}

#[test]
fn w05_replicas_that_are_wanted_since_a_moment_ago_are_not_missing_and_a_minute_later_they_are() {
    for (file, missing) in [
        ("created_a_moment_ago", "replicas_missing web 0/2"),
        ("scaled_up_from_zero_a_moment_ago", "replicas_missing web 0/2"),
        ("stateful_set_scaled_up_one_by_one", "replicas_missing db 2/5"),
        ("scaled_up_a_moment_ago", "replicas_missing web 2/4"),
    ] {
        let path = format!("quiet/{file}");
        assert!(find(&reading(&path)).is_empty(), "{file}");
        let found: Vec<String> = find(&aged(&path, 60)).iter().map(line).collect();
        assert!(found.iter().any(|line| line.starts_with(missing)), "{file}: {found:?}");
    }
}

#[test]
fn w05_a_wish_that_rose_since_the_last_look_is_a_moment_old_whatever_pods_there_are() {
    let at = |seconds: i64| now() + chrono::TimeDelta::seconds(seconds);
    // A deployment with these, and no pods to tell anything of their age.
    let reading = |desired: u32, ready: u32, seconds: i64| {
        let mut reading =
            changed("quiet/replica_sets_of_a_deployment", "Deployment", |deployment| {
                deployment["spec"]["replicas"] = json!(desired);
                deployment["status"]["readyReplicas"] = json!(ready);
            });
        reading.cluster.pods.clear();
        reading.read_at = Some(at(seconds));
        reading
    };
    let mut onsets = Onsets::default();
    let mut look = |desired, ready, seconds| {
        let reading = reading(desired, ready, seconds);
        let found = findings(&reading, &Catalogue::default(), &onsets, at(seconds));
        onsets.update(&found, &reading);
        found.iter().map(line).collect::<Vec<_>>()
    };
    assert!(look(2, 2, 0).is_empty());
    assert!(look(5, 2, 30).is_empty(), "scaled up");
    assert!(look(5, 2, 31).is_empty(), "a cycle that was woken");
    assert_eq!(look(5, 1, 60), ["replicas_missing web 1/5 []"], "fewer than before");
    assert_eq!(look(5, 4, 80), ["replicas_missing web 4/5 []"], "until all are there");
    assert!(look(5, 5, 120).is_empty());
    assert!(look(0, 0, 150).is_empty(), "off");
    assert!(look(3, 0, 180).is_empty(), "on");
    assert_eq!(look(3, 0, 240), ["replicas_missing web 0/3 []"], "a minute is all it has");
    assert!(look(3, 3, 270).is_empty());
    assert_eq!(look(3, 2, 300), ["replicas_missing web 2/3 []"], "it was wanted all the while");
}

#[test]
fn w05_what_cannot_be_made_is_missing_at_once_and_what_is_replaced_was_wanted_before() {
    let refused = changed("quiet/created_a_moment_ago", "Deployment", |deployment| {
        let conditions = deployment["status"]["conditions"].as_array_mut().expect("conditions");
        conditions
            .push(json!({ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "exceeded quota", "lastTransitionTime": "2026-11-02T09:59:30Z" }));
    });
    assert!(find(&refused).iter().any(Finding::is_down));
    let path = "quiet/scaled_up_from_zero_a_moment_ago";
    let recreated = changed(path, "Deployment", |deployment| {
        for condition in deployment["status"]["conditions"].as_array_mut().into_iter().flatten() {
            if condition["type"] == "Progressing" {
                condition["reason"] = json!("ReplicaSetUpdated");
            }
        }
    });
    assert!(find(&recreated).iter().any(Finding::is_down), "a rollout has taken all away");
    let leaving = changed(path, "Pod", |pod| {
        if pod["metadata"]["name"] == "web-7c9d8b6f5-ccccc" {
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-02T10:00:10Z");
        }
    });
    assert!(find(&leaving).iter().any(Finding::is_down), "somebody deletes them");
    // It has been looked at before, and wanted as many.
    let mut reading = reading(path);
    reading.read_at = Some(now() - chrono::TimeDelta::seconds(90));
    let mut onsets = Onsets::default();
    onsets.update(&[], &reading);
    let found = findings(&reading, &Catalogue::default(), &onsets, now());
    assert!(found.iter().any(Finding::is_down), "all of them were lost");
}
