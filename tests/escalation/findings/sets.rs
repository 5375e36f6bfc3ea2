//! W05: owners whose kind is not watched (an Argo Rollout, a DeploymentConfig), by their sets: whose an old pod is, how many
//! replicas are wanted, who had to make room.

use mape_k::domain::finding::{Finding, FindingKind};
use serde_json::{Value, json};

use super::made::{ago, container, ended, found, lines, pod, running, waiting, warning};

/// A replica set of the Rollout `web`.
fn of_rollout(hash: &str, desired: u32, ready: u32) -> Value {
    set(
        "apps/v1",
        "ReplicaSet",
        &format!("web-{hash}"),
        ("Rollout", "argoproj.io/v1alpha1"),
        desired,
        ready,
    )
}

/// A replication controller of the DeploymentConfig `web`.
fn of_config(number: u32, desired: u32, ready: u32) -> Value {
    let owner = ("DeploymentConfig", "apps.openshift.io/v1");
    set("v1", "ReplicationController", &format!("web-{number}"), owner, desired, ready)
}

fn set(
    version: &str,
    kind: &str,
    name: &str,
    owner: (&str, &str),
    desired: u32,
    ready: u32,
) -> Value {
    json!({ "apiVersion": version, "kind": kind,
        "metadata": { "name": name, "namespace": "shop", "generation": 1, "creationTimestamp": ago(600),
            "ownerReferences": [{ "apiVersion": owner.1, "kind": owner.0, "name": "web", "controller": true }] },
        "spec": { "replicas": desired },
        "status": { "observedGeneration": 1, "replicas": desired, "readyReplicas": ready } })
}

/// As Argo's controller writes it.
fn wanting(mut set: Value, desired: &str) -> Value {
    set["metadata"]["annotations"] = json!({ "rollout.argoproj.io/desired-replicas": desired });
    set
}

fn replica(set: &Value, own: &str, mut pod: Value) -> Value {
    let name = set["metadata"]["name"].as_str().expect("a name");
    pod["metadata"]["name"] = json!(format!("{name}-{own}"));
    pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": set["apiVersion"], "kind": set["kind"],
        "name": name, "controller": true }]);
    pod
}

fn well() -> Value {
    pod("", "Running", None, &[container("c", true, running(500))])
}

fn crashing() -> Value {
    pod("", "Running", Some(25), &[container("c", false, waiting("CrashLoopBackOff", ""))])
}

fn evicted() -> Value {
    let state = ended(137, "Error", 100, 20);
    let mut pod = pod("", "Failed", Some(20), &[container("c", false, state)]);
    pod["status"]["reason"] = json!("Evicted");
    pod["status"]["message"] = json!("The node was low on resource: memory.");
    pod
}

fn owners(found: &[Finding]) -> Vec<(&str, &str)> {
    found.iter().map(|finding| (finding.kind.as_str(), finding.owner.as_str())).collect()
}

#[test]
fn w05_what_an_old_revision_left_behind_is_its_owners() {
    for (old, new, owner) in [
        (of_rollout("5b8f7d4c9", 0, 0), of_rollout("6d9c8b7f5", 2, 2), "Rollout/web"),
        (of_config(3, 0, 0), of_config(4, 2, 2), "DeploymentConfig/web"),
    ] {
        let left = replica(&old, "abcde", evicted());
        let whole = [old.clone(), new.clone(), left.clone()];
        assert!(lines(&whole).is_empty(), "{owner} has all replicas: {:?}", lines(&whole));
        // Twins: it lacks one, or keeps one that does not go.
        let mut short = new.clone();
        short["status"]["readyReplicas"] = json!(1);
        let of_short = found(&[old.clone(), short, left]);
        assert_eq!(owners(&of_short), [("evicted", owner), ("replicas_missing", owner)]);
        let mut stuck = replica(&old, "abcde", well());
        stuck["metadata"]["deletionTimestamp"] = ago(30);
        let of_stuck = found(&[old.clone(), new, stuck]);
        assert_eq!(owners(&of_stuck), [("stuck_terminating", owner)]);
        // It is turned off, and wants none.
        assert!(lines(&[old.clone(), replica(&old, "abcde", evicted())]).is_empty());
    }
}

fn missing(objects: &[Value]) -> Option<(u32, u32)> {
    let all = found(objects);
    let missing = all.iter().find(|finding| finding.kind == FindingKind::ReplicasMissing);
    missing.map(|finding| (finding.ready.expect("known"), finding.desired.expect("known")))
}

#[test]
fn w05_a_surge_or_a_preview_that_fails_is_not_what_the_service_lacks() {
    // Blue and green, three each.
    for said in [true, false] {
        let by = |set: Value| if said { wanting(set, "3") } else { set };
        let preview = || by(of_rollout("7c9d8b6f5", 3, 0));
        let objects = [
            by(of_rollout("6d9c8b7f5", 3, 3)),
            preview(),
            replica(&preview(), "xxxxx", crashing()),
        ];
        let all = found(&objects);
        assert_eq!(owners(&all), [("crash_loop", "Rollout/web")], "the preview's own finding");
        assert_eq!((all[0].ready, all[0].desired), (Some(3), Some(3)));
    }
    let preview = |ready| wanting(of_rollout("7c9d8b6f5", 3, ready), "3");
    let active = |ready| wanting(of_rollout("6d9c8b7f5", 3, ready), "3");
    assert_eq!(missing(&[active(1), preview(0)]), Some((1, 3)));
    assert_eq!(missing(&[active(0), preview(0)]), Some((0, 3)));
    // A canary beside all that are wanted, and one in their place.
    let stable = |desired| wanting(of_rollout("6d9c8b7f5", desired, desired), "4");
    let canary = wanting(of_rollout("7c9d8b6f5", 1, 0), "4");
    let failing = replica(&canary, "xxxxx", crashing());
    assert_eq!(missing(&[stable(4), canary.clone(), failing.clone()]), None);
    assert_eq!(missing(&[stable(3), canary, failing]), Some((3, 4)));
    // A deployer says nothing of its wish: it is the sum of what it wants, unless a whole revision is there.
    assert_eq!(missing(&[of_config(3, 3, 2), of_config(4, 1, 0)]), Some((2, 4)));
    assert_eq!(missing(&[of_config(3, 3, 3), of_config(4, 1, 0)]), None);
}

#[test]
fn w04_who_made_room_is_matched_by_the_sets_of_an_owner() {
    let said = |set: &Value, about: &str| {
        let mut event = warning(about, "Preempted", "Preempted by pod shop/urgent on node n1", 2);
        event["type"] = json!("Normal");
        let all = found(&[set.clone(), event]);
        let missing = all.iter().find(|f| f.kind == FindingKind::ReplicasMissing).expect("missing");
        missing.reason.contains("urgent")
    };
    for (set, name) in [
        (of_rollout("6d9c8b7f5", 2, 1), "web-6d9c8b7f5"),
        (of_config(3, 2, 1), "web-3"),
        (of_config(31, 2, 1), "web-31"),
    ] {
        assert!(said(&set, &format!("{name}-x2x2x")), "{name}");
        for other in ["web-7c9d8b6f5-x2x2x", "web-4-x2x2x", "web-3-deploy", "webs-3-x2x2x"] {
            assert!(!said(&set, other), "{name}: {other}");
        }
    }
}
