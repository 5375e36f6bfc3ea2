//! R02 in the configuration: Charter turned off, a source left out, and which rules and remedies remain.

use mape_k::config::{Config, Warning};
use mape_k::domain::Cause;

use crate::config::{accepted, parse};

fn rules(config: &Config) -> Vec<&str> {
    config.monitor.rules.iter().map(|rule| rule.name.as_str()).collect()
}

const SHIPPED: [&str; 4] =
    ["validation_latency", "failure_rate", "throughput", "critical_policy_violations"];
const OWN: &str = "[{name: own, metric: m, comparison: gt, threshold: 1}]";

fn texts(warnings: &[Warning]) -> String {
    warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn r02_an_empty_list_of_metrics_is_no_rules_and_no_list_is_the_shipped_ones() {
    for (text, expected) in [
        ("", &SHIPPED[..]),
        ("monitor: {metrics: null}", &SHIPPED),
        ("monitor:\n  metrics:\n  # - {name: own}\n", &SHIPPED),
        ("monitor: {metrics: []}", &[]),
        (&format!("monitor: {{metrics: {OWN}}}"), &["own"]),
        ("execute: {charter_url: null}", &[]),
        ("execute: {charter_url: ~}\nmonitor: {metrics: null}", &[]),
        (&format!("execute: {{charter_url: null}}\nmonitor: {{metrics: {OWN}}}"), &["own"]),
        (
            "execute: {charter_url: null}\nmonitor: {queries: [{name: q, promql: up, present: up}]}",
            &["q"],
        ),
    ] {
        let config = accepted(text);
        assert_eq!(rules(&config), expected, "{text}");
        // What is printed is the same configuration again.
        let printed = config.to_yaml().expect("it prints");
        assert_eq!(rules(&accepted(&printed)), expected, "{printed}");
    }
}

/// The version before took an empty list for the shipped rules: whoever has one must see that it changed.
#[test]
fn r02_an_empty_list_is_said_and_the_key_left_out_is_not() {
    let warned = |text: &str| texts(&parse(text).expect("accepted").1);
    let said = warned("monitor:\n  metrics: []");
    assert!(
        said.contains("monitor.metrics, line 2") && said.contains("Leave the key out"),
        "{said}"
    );
    assert_eq!(warned(""), "");
    let said = warned("execute: {charter_url: null}\nmonitor: {metrics: []}");
    assert!(!said.contains("Charter"), "{said}");
    assert!(said.contains("concludes nothing"), "a Prometheus without a rule: {said}");
}

#[test]
fn r02_without_charter_only_hooks_remain_of_the_strategies() {
    let with = accepted("");
    assert!(with.plan.strategies.contains_key(&Cause::new(Cause::VALIDATION_LATENCY)));
    assert!(with.analyze.systems.charter);
    let text = "hooks: [{name: restart-cart, component: cart, apply: [x]}]\nexecute: {charter_url: null}\nplan:\n  strategies:\n    stuck: [{action: restart_service, service: all}, \
                {action: hook/restart-cart, after: restart_service}]\n    slow: [{action: scale_up}]\n";
    let (without, warnings) = parse(text).expect("accepted");
    assert!(!without.analyze.systems.charter);
    let left: Vec<(String, Vec<String>)> = without
        .plan
        .strategies
        .iter()
        .map(|(cause, list)| (cause.0.clone(), list.iter().map(|s| s.action.to_string()).collect()))
        .filter(|(_, list): &(String, Vec<String>)| !list.is_empty())
        .collect();
    assert_eq!(left, [("stuck".to_owned(), vec!["hook/restart-cart".to_owned()])]);
    let hook = &without.plan.strategies[&Cause::new("stuck")][0];
    assert_eq!(hook.after, None, "what it would wait for is not there");
    let said = texts(&warnings);
    for action in ["restart_service is left out", "scale_up is left out"] {
        assert!(said.contains(action), "{said}");
    }
}

#[test]
fn r02_each_source_alone_is_enough_and_none_of_them_is_refused() {
    let off = "execute: {charter_url: null}\n";
    for text in [
        "alertmanager: {enabled: false}",
        "monitor: {prometheus_url: null}",
        "monitor: {prometheus_url: null}\nalertmanager: {enabled: false}\nkubernetes: {enabled: true}",
        "monitor: {source: scrape, scrape_url: 'http://a:1/metrics'}\nalertmanager: {enabled: false}",
    ] {
        let config = accepted(&format!("{off}{text}"));
        let printed = config.to_yaml().expect("it prints");
        assert_eq!(accepted(&printed).monitor, config.monitor, "{printed}");
        // Charter beside it makes no difference.
        accepted(text);
    }
    for charter in [off, ""] {
        let none = format!(
            "{charter}monitor: {{prometheus_url: null}}\nalertmanager: {{enabled: false}}\n"
        );
        let refused = parse(&none).expect_err("nothing to watch").to_string();
        for key in ["monitor.prometheus_url", "alertmanager.enabled", "kubernetes.enabled"] {
            assert!(refused.contains(key), "{refused}");
        }
    }
}

#[test]
fn r02_rules_that_nothing_reads_and_a_target_that_nobody_scrapes_are_refused() {
    for (text, says) in [
        (format!("monitor: {{prometheus_url: null, metrics: {OWN}}}"), "nothing reads the rules"),
        (
            "monitor: {prometheus_url: null, queries: [{name: q, promql: up}]}".to_owned(),
            "nothing reads the rules",
        ),
        (
            "monitor: {prometheus_url: null, scrape_url: 'http://a:1/metrics'}".to_owned(),
            "source: scrape",
        ),
        ("monitor: {source: scrape, prometheus_url: null}".to_owned(), "monitor.scrape_url"),
    ] {
        let refused = parse(&text).expect_err(&text).to_string();
        assert!(refused.contains(says), "{text}: {refused}");
    }
    // Charter alone of all that is known is watched by Alertmanager's word: no rules, and no complaint.
    assert_eq!(rules(&accepted("monitor: {prometheus_url: null}")), Vec::<&str>::new());
}
