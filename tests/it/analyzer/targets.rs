//! targets.md 1: which Kubernetes object a rule's series or an alert is about, by their labels, and what is not ours.

use std::sync::Arc;

use mape_k::analyzer::Settings;
use mape_k::domain::Cause;
use mape_k::domain::alert::Alert;
use mape_k::domain::rule::{ComponentFrom, Rule, Severity};
use mape_k::domain::target::{Systems, Target, TargetLabels};

use super::world::{BROKEN, Series, World, alert, labels, naming};

fn of_deployment() -> TargetLabels {
    TargetLabels {
        kind: "Deployment".to_owned(),
        namespace_label: Some("namespace".to_owned()),
        name_label: "deployment".to_owned(),
    }
}

/// Critical, so that one cycle is enough to conclude; its cause has remedies of Charter's.
fn rule(target: TargetLabels) -> Rule {
    Rule {
        severity: Severity::Critical,
        target: Some(target),
        ..naming("cart_slow", Cause::VALIDATION_LATENCY)
    }
}

fn settings(charter: bool, cluster: Option<&str>) -> Settings {
    let systems = Systems { charter, cluster: cluster.map(str::to_owned), ..Systems::default() };
    Settings { systems: Arc::new(systems), ..Settings::default() }
}

fn seen(pairs: &[(&str, &str)]) -> Vec<Series> {
    vec![Series { labels: labels(pairs), value: BROKEN, age: 5 }]
}

fn cart() -> Target {
    Target::kubernetes(Some("shop"), "Deployment", "cart")
}

type Labelled = Vec<(&'static str, &'static str)>;

/// Labels of a series, and the target that they name where this cluster is called `eu-1`.
fn cases() -> Vec<(Labelled, Option<Target>)> {
    let plain = [("namespace", "shop"), ("deployment", "cart")];
    let with = |more: &[(&'static str, &'static str)]| [&plain[..], more].concat();
    vec![
        (with(&[]), Some(cart())),
        (with(&[("cluster", "eu-1")]), Some(cart())),
        (with(&[("exported_cluster", "eu-1")]), Some(cart())),
        // Another cluster's, whichever label says so.
        (with(&[("cluster", "us-1")]), None),
        (with(&[("cluster", "eu-1"), ("exported_cluster", "us-1")]), None),
        (with(&[("cluster", "us-1"), ("exported_cluster", "eu-1")]), None),
        // What the series itself said, before Prometheus put the labels of the exporter over it.
        (
            vec![
                ("namespace", "monitoring"),
                ("exported_namespace", "shop"),
                ("deployment", "kube-state-metrics"),
                ("exported_deployment", "cart"),
            ],
            Some(cart()),
        ),
        (vec![("namespace", "shop"), ("exported_deployment", "cart")], Some(cart())),
        // A name or a namespace that is not there names nothing.
        (vec![("namespace", "shop")], None),
        (vec![("deployment", "cart")], None),
        (vec![("namespace", "shop"), ("deployment", "")], None),
        (vec![("exported_namespace", ""), ("namespace", "shop"), ("deployment", "cart")], None),
    ]
}

#[test]
fn a_rules_labels_name_its_target_and_anothers_cluster_is_left_alone() {
    for (pairs, expected) in cases() {
        for charter in [true, false] {
            let settings = settings(charter, Some("eu-1"));
            let mut world = World::with(settings).watch(rule(of_deployment()), seen(&pairs));
            let cycle = world.cycle();
            assert_eq!(world.only().target, expected, "{pairs:?}");
            let [root] = cycle.analysis.root_causes.as_slice() else { panic!("{pairs:?}") };
            assert_eq!(root.target, expected, "what is concluded of it too: {pairs:?}");
            // Never Charter's, although the cause has remedies there: shown under the object's name or the rule's.
            let name = if expected.is_some() { "cart" } else { "cart_slow" };
            assert_eq!(root.component, name, "{pairs:?}");
        }
    }
}

#[test]
fn without_a_cluster_of_our_own_every_cluster_label_is_anothers() {
    for (pairs, expected) in cases() {
        let names = |label: &str| pairs.iter().any(|(name, _)| *name == label);
        let expected = expected.filter(|_| !names("cluster") && !names("exported_cluster"));
        let mut world =
            World::with(settings(false, None)).watch(rule(of_deployment()), seen(&pairs));
        world.cycle();
        assert_eq!(world.only().target, expected, "{pairs:?}");
    }
}

#[test]
fn a_node_has_no_namespace_and_a_pod_has_one() {
    let node = TargetLabels {
        kind: "Node".to_owned(),
        namespace_label: None,
        name_label: "node".to_owned(),
    };
    let pod =
        TargetLabels { kind: "Pod".to_owned(), name_label: "pod".to_owned(), ..of_deployment() };
    for (target, pairs, expected) in [
        (node, vec![("node", "n1"), ("namespace", "shop")], "kubernetes/node/n1"),
        (pod, vec![("pod", "cart-1"), ("namespace", "shop")], "kubernetes/shop/pod/cart-1"),
    ] {
        let mut world = World::with(settings(false, None)).watch(rule(target), seen(&pairs));
        world.cycle();
        assert_eq!(
            world.only().target.as_ref().map(ToString::to_string).as_deref(),
            Some(expected)
        );
    }
}

/// An alert's handler does the same.
#[test]
fn an_alerts_labels_name_its_target_too() {
    for (pairs, expected) in cases() {
        for named in [true, false] {
            let mut world = World::with(settings(false, Some("eu-1")));
            let target = named.then(of_deployment);
            world.view.alerts = vec![Alert { labels: labels(&pairs), target, ..alert("CartSlow") }];
            world.cycle();
            let expected = expected.clone().filter(|_| named);
            assert_eq!(world.only().target, expected, "{pairs:?}");
        }
    }
}

/// Without a component, and without a target: about Charter as a whole, or without Charter about itself.
#[test]
fn a_rule_that_names_nothing_is_about_charter_or_about_itself() {
    for (charter, component, target) in
        [(true, "charter", Some(Target::Charter(None))), (false, "backlog", None)]
    {
        let component_of = ComponentFrom::Label("component".to_owned());
        let rule = Rule {
            severity: Severity::Critical,
            component: component_of,
            ..naming("backlog", "slow")
        };
        let mut world = World::with(settings(charter, None)).watch(rule, seen(&[("queue", "q1")]));
        let cycle = world.cycle();
        let root = cycle.root("slow", component).expect("concluded under that name");
        assert_eq!((&root.target, &world.only().target), (&target, &target));
    }
}

/// What a restart finds in the store is not Charter's until its rule is read again.
#[test]
fn a_restart_keeps_the_target_of_what_it_cannot_read_yet() {
    let pairs = [("namespace", "shop"), ("deployment", "cart")];
    let mut world = World::with(settings(true, None)).watch(rule(of_deployment()), seen(&pairs));
    world.cycle();
    world.restart();
    world.outage();
    world.cycle();
    assert_eq!(world.only().target, Some(cart()), "unread");
    world.answer("cart_slow", seen(&pairs));
    // The rule was changed meanwhile: the reading decides.
    world.replace_rule(Rule { target: None, ..rule(of_deployment()) });
    world.cycle();
    assert_eq!(world.only().target, Some(Target::Charter(None)), "read");
}
