//! targets.md 1: the block `target` of rules and alert handlers, and `kubernetes.cluster`.

use mape_k::config::Config;
use mape_k::domain::target::TargetLabels;

use crate::config::{accepted, parse};

/// The same block in each of the three places.
fn placed(target: &str) -> [String; 3] {
    let rule = format!(
        "monitor: {{metrics: [{{name: m, metric: g, comparison: gt, threshold: 1, target: {target}}}]}}"
    );
    let query =
        format!("monitor: {{queries: [{{name: q, promql: up, present: up, target: {target}}}]}}");
    let handler = format!("alertmanager: {{handlers: [{{pattern: cart, target: {target}}}]}}");
    [rule, query, handler]
}

fn targets(config: &Config) -> Vec<&TargetLabels> {
    let rules = config.monitor.rules.iter().filter_map(|rule| rule.target.as_ref());
    rules.chain(config.alertmanager.handlers.iter().filter_map(|h| h.target.as_ref())).collect()
}

#[test]
fn a_target_is_read_in_every_place_and_printed_as_it_was_given() {
    for (text, kind, namespace) in [
        (
            "{kind: Deployment, namespace_label: namespace, name_label: deployment}",
            "Deployment",
            Some("namespace"),
        ),
        ("{kind: StatefulSet, namespace_label: ns, name_label: set}", "StatefulSet", Some("ns")),
        (
            "{kind: PersistentVolumeClaim, namespace_label: namespace, name_label: claim}",
            "PersistentVolumeClaim",
            Some("namespace"),
        ),
        ("{kind: Node, name_label: node}", "Node", None),
        ("{kind: Node, namespace_label: null, name_label: node}", "Node", None),
    ] {
        for text in placed(text) {
            let config = accepted(&text);
            let [target] = targets(&config)[..] else { panic!("one: {text}") };
            assert_eq!(
                (target.kind.as_str(), target.namespace_label.as_deref()),
                (kind, namespace)
            );
            let printed = config.to_yaml().expect("it prints");
            assert_eq!(targets(&accepted(&printed)), targets(&config), "{printed}");
        }
    }
    for none in placed("null").iter().chain([&String::new()]) {
        let config = accepted(none);
        assert!(targets(&config).is_empty(), "{none}");
        accepted(&config.to_yaml().expect("it prints"));
    }
}

#[test]
fn what_is_wrong_with_a_target_is_said_where_it_stands() {
    for (text, says) in [
        ("{namespace_label: namespace, name_label: deployment}", "the key kind is missing"),
        ("{kind: Deployment, name_label: deployment}", "the key namespace_label is missing"),
        (
            "{kind: Pod, namespace_label: null, name_label: pod}",
            "the key namespace_label is missing",
        ),
        ("{kind: Deployment, namespace_label: namespace}", "the key name_label is missing"),
        (
            "{kind: Node, namespace_label: namespace, name_label: node}",
            "a Node lies in no namespace",
        ),
        ("{kind: deployment, namespace_label: n, name_label: d}", "did you mean Deployment?"),
        ("{kind: Deploymnet, namespace_label: n, name_label: d}", "did you mean Deployment?"),
        ("{kind: Secret, namespace_label: n, name_label: d}", "accepted: Deployment, StatefulSet"),
        ("{kind: 7, namespace_label: n, name_label: d}", "accepted: Deployment, StatefulSet"),
        ("{kind: Pod, namespace_label: \"a}b\", name_label: d}", "a label name"),
        ("{kind: Pod, namespace_label: n, name_label: d, namespace: shop}", "unknown key"),
        ("deployment", "a section of keys"),
        ("[]", "a section of keys"),
    ] {
        for text in placed(text) {
            let refused = parse(&text).expect_err(&text).to_string();
            assert!(refused.contains(says) && refused.contains("target"), "{text}: {refused}");
        }
    }
}

/// An aggregate drops every label that `by` does not name: such a rule would never find its target.
#[test]
fn an_aggregate_must_keep_the_labels_of_the_target() {
    let rule = |by: &str| {
        format!(
            "monitor: {{metrics: [{{name: m, metric: g, aggregate: max, by: {by}, comparison: gt, threshold: 1, \
             target: {{kind: Deployment, namespace_label: namespace, name_label: deployment}}}}]}}"
        )
    };
    for by in ["[namespace, deployment]", "[exported_namespace, deployment, pod]"] {
        accepted(&rule(by));
    }
    for (by, label) in
        [("[]", "namespace"), ("[namespace]", "deployment"), ("[deployment, pod]", "namespace")]
    {
        let refused = parse(&rule(by)).expect_err(by).to_string();
        assert!(refused.contains(&format!("does not keep label {label}")), "{refused}");
    }
}

#[test]
fn the_clusters_name_is_what_targets_are_compared_with() {
    assert_eq!(accepted("").analyze.systems.cluster, None);
    let named = accepted("kubernetes: {cluster: eu-1}");
    assert_eq!(named.analyze.systems.cluster.as_deref(), Some("eu-1"));
    assert_eq!(accepted(&named.to_yaml().expect("it prints")).analyze, named.analyze);
    for text in ["kubernetes: {cluster: ''}", "kubernetes: {cluster: [eu]}"] {
        parse(text).expect_err(text);
    }
}
