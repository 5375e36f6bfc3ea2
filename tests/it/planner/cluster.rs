//! Hooks whose target is in Kubernetes: the label `mape-k.io/act`, protected objects, targets that nobody can see, budget
//! and storm of Kubernetes. In each test the twin acts in the same world without the reason that holds.

use chrono::TimeDelta;
use mape_k::domain::Cause;
use mape_k::domain::action::{ActionKind, HookName, Risk};
use mape_k::domain::cluster::{Cluster, ClusterReading, Kind};
use mape_k::domain::cycle::{CandidateResult, Hold};
use mape_k::domain::fleet::ClusterHealth;
use mape_k::domain::guard::Guard;
use mape_k::domain::ledger::{End, Storm};
use mape_k::domain::outcome::OutcomeType::Success;
use mape_k::domain::policy::Approval;
use mape_k::domain::reading::{FailureKind, ReadFailure};
use mape_k::domain::target::System;
use mape_k::monitor::cluster::trim::trim_json;
use mape_k::planner::check;
use mape_k::planner::guardrails::{ClusterStorm, Mode};
use mape_k::planner::guards::cluster_storm;
use serde_json::{Value, json};

use super::guards::did;
use super::systems::with_hook;
use super::world::{LATENCY, World, action, report, start, verification};

const DEPLOYMENT: &str = "kubernetes/shop/deployment/cart";

fn labelled(act: Option<&str>) -> Value {
    act.map_or_else(|| json!({}), |act| json!({ "mape-k.io/act": act }))
}

/// Its own label, that of its pod template, and its pods' priority class.
pub fn deployment(own: Option<&str>, template: Option<&str>, class: Option<&str>) -> (Kind, Value) {
    let object = json!({
        "metadata": { "name": "cart", "namespace": "shop", "labels": labelled(own) },
        "spec": { "replicas": 3, "template": {
            "metadata": { "labels": labelled(template) }, "spec": { "priorityClassName": class } } },
        "status": { "readyReplicas": 3 },
    });
    (Kind::Deployments, object)
}

fn pod(name: &str, own: Option<&str>, owner: (&str, &str)) -> (Kind, Value) {
    let mut labels = labelled(own);
    labels["pod-template-hash"] = json!("6d4b8c7f95");
    let object = json!({
        "metadata": { "name": name, "namespace": "shop", "uid": name, "labels": labels,
            "ownerReferences": [{ "kind": owner.0, "name": owner.1, "controller": true }] },
        "spec": { "containers": [] }, "status": { "phase": "Running" },
    });
    (Kind::Pods, object)
}

pub fn reading(objects: impl IntoIterator<Item = (Kind, Value)>) -> ClusterReading {
    let mut cluster = Cluster::default();
    for (kind, object) in objects {
        trim_json(kind, object).expect("an object of Kubernetes").add_to(&mut cluster);
    }
    let expected = Kind::ALL.into();
    ClusterReading { cluster, expected, read_at: Some(start()), ..ClusterReading::default() }
}

/// The hook of this target, with a person's approval of it, in this cluster.
fn approved(target: &str, reading: ClusterReading) -> (World, ActionKind) {
    let (mut world, kind) = with_hook("restart-cart", target, "cart");
    world.cluster = Some(reading);
    world.pass();
    world.decide(Approval::Approved);
    (world, kind)
}

/// What the policy would be held by, and what that guard says; `None`: it is carried out.
fn held(world: &World, kind: ActionKind) -> Option<(Hold, String)> {
    let plan = world.plan();
    let CandidateResult::Held { reason, detail } = &report(&plan, kind).verdict else {
        assert_eq!(action(&plan), Some(kind), "{:?}", report(&plan, kind).verdict);
        return None;
    };
    assert!(plan.chosen.is_none());
    Some((*reason, detail.clone()))
}

#[track_caller]
pub fn is_held(world: &World, kind: ActionKind, hold: Hold, says: &str) {
    let (reason, detail) = held(world, kind).expect("it is held");
    assert!(reason == hold && detail.contains(says), "{reason:?}: {detail}");
}

/// §6: the most restrictive of mode, approval and label. Namespaces' labels are not read, so that even `auto` asks.
#[test]
fn r03_an_action_on_kubernetes_waits_for_a_person_whatever_its_label_says() {
    for act in [None, Some("suggest"), Some("auto")] {
        let (mut world, kind) = with_hook("restart-cart", DEPLOYMENT, "cart");
        world.cluster = Some(reading([deployment(act, None, None)]));
        assert!(world.settings.auto_approve);
        is_held(&world, kind, Hold::ApprovalPending, "waits for a person");
        world.pass();
        world.decide(Approval::Approved);
        assert_eq!(held(&world, kind), None, "{act:?}: approved, it goes out");
    }
    // The twin on a system of its own goes out by itself, and not when mode, approval or the hook says otherwise.
    let (world, kind) = with_hook("restart-cart", "hook/restart-cart/cart", "cart");
    assert_eq!(held(&world, kind), None);
    let mut suggest = world.clone();
    suggest.settings.guardrails.mode = Mode::Suggest;
    let mut by_hand = world.clone().by_hand();
    by_hand.settings.auto_approve = false;
    let mut blind = world.clone();
    blind.settings.hooks.get_mut(&kind).expect("there").has_probe = false;
    let mut risky = world.clone();
    risky.settings.hooks.get_mut(&kind).expect("there").risk = Risk::High;
    for world in [suggest, by_hand, blind, risky] {
        is_held(&world, kind, Hold::ApprovalPending, "waits for a person");
    }
}

#[test]
fn r03_off_on_the_object_or_its_template_holds_what_a_person_approved() {
    for (own, template) in [
        (Some("off"), None),
        (None, Some("off")),
        (Some("off"), Some("auto")),
        (Some("auto"), Some("off")),
        (Some("Off"), None),
        (Some("disabled"), None),
    ] {
        let (mut world, kind) = approved(DEPLOYMENT, reading([deployment(None, None, None)]));
        assert_eq!(held(&world, kind), None);
        let sound = world.plan();
        world.cluster = Some(reading([deployment(own, template, None)]));
        is_held(&world, kind, Hold::OptedOut, "mape-k.io/act is");
        let refused = world.ask(|input| check(input, &sound));
        assert!(!refused.is_empty(), "{own:?} {template:?}: the linter lets it pass");
    }
}

#[test]
fn r03_the_nearest_label_counts_and_a_pod_without_one_has_its_owners() {
    let target = "kubernetes/shop/pod/cart-6d4b8c7f95-x";
    let of_cart = ("ReplicaSet", "cart-6d4b8c7f95");
    let there = |own, above| {
        reading([pod("cart-6d4b8c7f95-x", own, of_cart), deployment(above, None, None)])
    };
    let (mut world, kind) = approved(target, there(None, None));
    for (own, above, goes) in [
        (None, None, true),
        (None, Some("off"), false),
        (Some("suggest"), Some("off"), true),
        (Some("off"), Some("auto"), false),
    ] {
        world.cluster = Some(there(own, above));
        assert_eq!(held(&world, kind).is_none(), goes, "{own:?} below {above:?}");
    }
    // While nobody can read its owner nobody knows that the owner says nothing.
    world.cluster = Some(reading([pod("cart-6d4b8c7f95-x", None, of_cart)]));
    assert_eq!(held(&world, kind), None, "its deployment is gone");
    let failure = ReadFailure { kind: FailureKind::Server, text: "403 Forbidden".to_owned() };
    world.cluster.as_mut().expect("there").failures.insert(Kind::Deployments, failure);
    is_held(&world, kind, Hold::ClusterUnreadable, "owner");
}

#[test]
fn r03_labels_of_nodes_and_jobs_are_obeyed_too() {
    let node =
        |act| (Kind::Nodes, json!({ "metadata": { "name": "n1", "labels": labelled(act) } }));
    let job = |act| {
        let metadata = json!({ "name": "load", "namespace": "shop", "labels": labelled(act),
            "ownerReferences": [{ "kind": "CronJob", "name": "nightly", "controller": true }] });
        (Kind::Jobs, json!({ "metadata": metadata }))
    };
    let nightly = |act| {
        let metadata = json!({ "name": "nightly", "namespace": "shop", "labels": labelled(act) });
        (Kind::CronJobs, json!({ "metadata": metadata }))
    };
    let (mut world, kind) = approved("kubernetes/node/n1", reading([node(None)]));
    assert_eq!(held(&world, kind), None);
    world.cluster = Some(reading([node(Some("off"))]));
    is_held(&world, kind, Hold::OptedOut, "off");
    let both = |own, above| reading([job(own), nightly(above)]);
    let (mut world, kind) = approved("kubernetes/shop/job/load", both(None, None));
    assert_eq!(held(&world, kind), None);
    for (own, above) in [(Some("off"), None), (None, Some("off"))] {
        world.cluster = Some(both(own, above));
        is_held(&world, kind, Hold::OptedOut, "off");
    }
}

#[test]
fn r03_a_target_that_the_caches_do_not_have_is_held() {
    let (world, kind) = approved(DEPLOYMENT, reading([deployment(None, None, None)]));
    assert_eq!(held(&world, kind), None);
    let sound = world.plan();
    let in_world = |cluster: Option<ClusterReading>| {
        let mut world = world.clone();
        world.cluster = cluster;
        assert!(!world.ask(|input| check(input, &sound)).is_empty() || world.cluster.is_some());
        world
    };
    is_held(&in_world(None), kind, Hold::ClusterUnreadable, "guards cannot be asked");
    is_held(&in_world(Some(reading([]))), kind, Hold::TargetMissing, "have no kubernetes/shop");
    let mut elsewhere = deployment(None, None, None);
    elsewhere.1["metadata"]["namespace"] = json!("dev");
    is_held(&in_world(Some(reading([elsewhere]))), kind, Hold::TargetMissing, "have no");
    let mut set = deployment(None, None, None);
    set.0 = Kind::StatefulSets;
    is_held(&in_world(Some(reading([set]))), kind, Hold::TargetMissing, "have no");
    // Nobody listed anything yet, the kind is refused, or it is not asked for.
    let mut early = reading([deployment(None, None, None)]);
    early.read_at = None;
    is_held(&in_world(Some(early)), kind, Hold::ClusterUnreadable, "is not known");
    let mut refused = reading([]);
    let failure = ReadFailure { kind: FailureKind::Server, text: "403 Forbidden".to_owned() };
    refused.failures.insert(Kind::Deployments, failure);
    is_held(&in_world(Some(refused)), kind, Hold::ClusterUnreadable, "403 Forbidden");
    let mut unwatched = reading([]);
    unwatched.expected.remove(&Kind::Deployments);
    is_held(&in_world(Some(unwatched)), kind, Hold::TargetMissing, "not watched");
    // A kind that nobody ever watches.
    let rollout = "kubernetes/shop/rollout/cart";
    let (mut world, kind) = with_hook("restart-cart", rollout, "cart");
    world.cluster = Some(reading([deployment(None, None, None)]));
    is_held(&world, kind, Hold::TargetMissing, "no rollout is ever watched");
}

#[test]
fn r03_what_is_protected_is_held_even_when_a_person_approved_it() {
    let there = || reading([deployment(None, None, None)]);
    let (mut world, kind) = approved(DEPLOYMENT, there());
    assert_eq!(held(&world, kind), None);
    let own = ClusterReading { own_namespace: Some("shop".to_owned()), ..there() };
    world.cluster = Some(own);
    is_held(&world, kind, Hold::Protected, "mape-k itself");
    let critical = deployment(None, None, Some("system-cluster-critical"));
    world.cluster = Some(reading([critical]));
    is_held(&world, kind, Hold::Protected, "priority class");
    world.cluster = Some(reading([deployment(None, None, Some("high-priority"))]));
    assert_eq!(held(&world, kind), None, "a class of the user's own");
    let namespaces = &mut world.settings.guardrails.kubernetes.protected_namespaces;
    namespaces.push("sho*".to_owned());
    is_held(&world, kind, Hold::Protected, "protected_namespaces");
    world.settings.guardrails.kubernetes.protected_namespaces = vec!["shop-eu".to_owned()];
    assert_eq!(held(&world, kind), None, "another namespace");
    // By default Kubernetes' own; and what a kubelet makes from a file.
    let mut proxy = deployment(None, None, None);
    proxy.1["metadata"]["namespace"] = json!("kube-system");
    let (mut world, kind) = with_hook("x", "kubernetes/kube-system/deployment/cart", "cart");
    world.cluster = Some(reading([proxy]));
    is_held(&world, kind, Hold::Protected, "kube-system");
    let target = "kubernetes/shop/pod/etcd-n1";
    let (mut world, kind) =
        approved(target, reading([pod("etcd-n1", None, ("StatefulSet", "etcd"))]));
    assert_eq!(held(&world, kind), None);
    world.cluster = Some(reading([pod("etcd-n1", None, ("Node", "n1"))]));
    is_held(&world, kind, Hold::Protected, "kubelet");
}

/// The guards of Kubernetes say nothing of what is elsewhere, whether Kubernetes is watched or not.
#[test]
fn r03_the_guards_of_kubernetes_are_not_asked_of_charter_and_other_hooks() {
    let mut world = World::with(LATENCY, "charter");
    let plan = world.plan();
    assert_eq!(action(&plan), Some(ActionKind::ScaleUp));
    for guard in [Guard::Kubernetes, Guard::OptIn, Guard::Protected] {
        let readings = &report(&plan, ActionKind::ScaleUp).guards;
        let reading = readings.iter().find(|r| r.guard == guard).expect("it is shown");
        assert_eq!(reading.detail, "the target is not in Kubernetes");
    }
    world.cluster = Some(ClusterReading::default());
    assert!(world.plan().chosen.is_some());
    let storm = |world: &mut World| {
        let health = sick(4, 2, 9, 0);
        let rails = ClusterStorm::default();
        let storm = cluster_storm(None, &health, &rails, world.now).expect("it begins");
        world.ledger.storms.insert(System::Kubernetes, storm);
    };
    storm(&mut world);
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp));
    let (mut world, kind) = approved(DEPLOYMENT, reading([deployment(None, None, None)]));
    storm(&mut world);
    is_held(&world, kind, Hold::Storm, "2 of 4 nodes NotReady");
}

#[test]
fn r03_kubernetes_has_a_budget_of_its_own_by_namespace_and_workload() {
    let hook = |n| ActionKind::Hook(HookName::new(n).expect("a name"));
    let (world, kind) = approved(DEPLOYMENT, reading([deployment(None, None, None)]));
    let spent = |targets: &[&str]| {
        let mut world = world.clone();
        for (n, target) in (0..).zip(targets) {
            did(&mut world, hook("other"), target, "other", 3000 + n, End::Judged(Success));
        }
        held(&world, kind)
    };
    let of = |namespace: &str, n: usize| -> Vec<String> {
        (0..n).map(|i| format!("kubernetes/{namespace}/deployment/d{i}")).collect()
    };
    let as_text = |all: &[String]| spent(&all.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(as_text(&of("shop", 3)), None);
    let (hold, detail) = as_text(&of("shop", 4)).expect("held");
    assert_eq!(hold, Hold::BudgetExhausted);
    assert!(detail.contains("4 of 4 actions in namespace shop"), "{detail}");
    assert_eq!(as_text(&of("dev", 11)), None, "eleven elsewhere");
    let (_, detail) = as_text(&of("dev", 12)).expect("held");
    assert!(detail.contains("12 of 12"), "{detail}");
    // Its pods count as the workload; a node with whatever runs on it does not, nor does a namesake of another namespace.
    assert_eq!(spent(&[DEPLOYMENT]), None);
    let (_, detail) = spent(&[DEPLOYMENT, "kubernetes/shop/pod/cart-6d4-x"]).expect("held");
    assert!(detail.contains("2 of 2"), "{detail}");
    assert_eq!(
        spent(&["kubernetes/node/n1", "kubernetes/node/n2", "kubernetes/dev/deployment/cart"]),
        None
    );
}

#[test]
fn r03_three_unverified_actions_on_kubernetes_at_once_and_one_in_a_namespace() {
    let (world, kind) = approved(DEPLOYMENT, reading([deployment(None, None, None)]));
    let policy = world.plan().chosen.expect("chosen");
    let busy = |targets: &[&str]| {
        let mut world = world.clone();
        for target in targets {
            let mut verification = verification(&policy, world.now);
            verification.cause = Cause::new("elsewhere");
            verification.target = target.parse().expect("a target");
            world.verifications.push(verification);
        }
        held(&world, kind)
    };
    let deployment = |namespace: &str| format!("kubernetes/{namespace}/deployment/d");
    let (a, b, c) = (deployment("a"), deployment("b"), deployment("c"));
    assert_eq!(busy(&[&a, &b]), None, "unrelated targets go side by side");
    let (hold, detail) = busy(&[&a, &b, &c]).expect("held");
    assert_eq!(hold, Hold::FleetLimit);
    assert!(detail.contains("3 of at most 3"), "{detail}");
    let (hold, detail) = busy(&["kubernetes/shop/deployment/d"]).expect("held");
    assert_eq!(hold, Hold::FleetLimit);
    assert!(detail.contains("namespace shop"), "{detail}");
    assert_eq!(busy(&["charter/a", "charter/b", "hook/x/y"]), None, "other systems do not count");
    // Contained and container, whoever is first.
    for other in ["kubernetes/shop/pod/cart-6d4-x", "kubernetes/node/n1", DEPLOYMENT] {
        assert_eq!(busy(&[other]).expect("held").0, Hold::Verifying, "{other}");
    }
}

fn sick(nodes: usize, not_ready: usize, workloads: usize, sick_lately: usize) -> ClusterHealth {
    ClusterHealth { nodes, not_ready, workloads, sick_lately, is_whole: true }
}

#[test]
fn r03_a_storm_of_the_cluster_begins_above_its_numbers_and_not_at_them() {
    let begins = |health| cluster_storm(None, &health, &ClusterStorm::default(), start()).is_some();
    assert!(begins(sick(9, 2, 100, 0)), "22 % of the nodes");
    assert!(!begins(sick(10, 2, 100, 0)), "20 % is not above 20 %");
    assert!(!begins(sick(3, 1, 100, 0)), "one node is no storm, whatever its share");
    assert!(begins(sick(10, 0, 20, 5)) && !begins(sick(10, 0, 20, 4)), "five at least");
    assert!(begins(sick(10, 0, 100, 10)) && !begins(sick(10, 0, 100, 9)), "a tenth of a hundred");
    assert!(!begins(ClusterHealth::default()), "nothing there, nothing sick");
}

#[test]
fn r03_a_storm_of_the_cluster_ends_when_it_was_calm_in_sight_for_five_minutes() {
    let rails = ClusterStorm::default();
    let later = |storm: &Storm, health, seconds| {
        cluster_storm(Some(storm.clone()), &health, &rails, start() + TimeDelta::seconds(seconds))
    };
    let rages = cluster_storm(None, &sick(10, 3, 100, 0), &rails, start()).expect("it begins");
    for still in [sick(20, 3, 100, 0), sick(10, 0, 100, 5)] {
        assert_eq!(later(&rages, still, 30).expect("it goes on").calm_since, None, "{still:?}");
    }
    // Calm, two ways: below half the share, or fewer than make a storm at all.
    for calm in [sick(50, 4, 100, 4), sick(10, 1, 100, 4)] {
        let first = later(&rages, calm, 30).expect("not at once");
        assert!(later(&first, calm, 329).is_some());
        assert!(later(&first, calm, 330).is_none(), "{calm:?}");
        // A part of the cluster that nobody can read has not recovered; what is gone is gone.
        let hidden = ClusterHealth { is_whole: false, ..calm };
        assert_eq!(later(&first, hidden, 330).expect("it goes on").calm_since, None);
        let shrunk = ClusterHealth { nodes: calm.nodes - calm.nodes / 10, workloads: 90, ..calm };
        assert!(later(&first, shrunk, 330).is_none(), "{shrunk:?}");
    }
}
