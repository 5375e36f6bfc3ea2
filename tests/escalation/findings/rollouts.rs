//! What a rollout excuses, and what it does not.

use mape_k::analyzer::cluster::{Onsets, findings};
use mape_k::domain::catalogue::{Catalogue, Tier};
use mape_k::domain::cluster::ClusterReading;
use mape_k::domain::decision::Sev;
use mape_k::domain::finding::{Finding, FindingKind};
use mape_k::escalation::severity::{Situation, weigh};
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
    assert_eq!((crash[0].severity, &crash[0].excuse), (Sev::Sev3, &None), "{}", crash[0].reason);
}
