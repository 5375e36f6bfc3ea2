//! What each rule asks Prometheus for.

use std::collections::BTreeMap;

use mape_k::domain::Labels;
use mape_k::domain::rule::MetricRule;
use mape_k::domain::rule::{Aggregate, Comparison, Measure};
use mape_k::monitor::promql::{holds_duration, queries};
use mape_k::monitor::settings::shipped_rules;
use mape_k::monitor::window::Narrowed;
use mape_k::monitor::window::Windows;
use std::time::Duration;

fn shipped(name: &str) -> MetricRule {
    let rules = shipped_rules();
    let rule = rules.iter().find(|rule| rule.name == name).expect("a shipped rule");
    match &rule.measure {
        Measure::Metric(metric) => metric.clone(),
        other => panic!("{name} is a metric rule, not {other:?}"),
    }
}

fn plain(seconds: u64) -> Windows {
    Windows { base: Duration::from_secs(seconds), narrowed: None }
}

/// A04: what each shipped rule asks for.
#[test]
fn the_shipped_rules_ask_as_the_table_says() {
    let none = Labels::new();
    let latency = queries(&shipped("validation_latency"), &none, None);
    let metric = "westworld_charter_validation_latency_seconds{quantile=\"0.95\"}";
    let kept = "validation_type, cluster, charter, job";
    assert_eq!(latency.values, [format!("max by ({kept}) ({metric})")]);
    assert_eq!(latency.timestamps, format!("min by ({kept}) (timestamp({metric}))"));

    let failures = queries(&shipped("failure_rate"), &none, None);
    assert_eq!(failures.values, ["westworld_charter_failure_rate"]);
    assert_eq!(failures.timestamps, "timestamp(westworld_charter_failure_rate)");

    let throughput = queries(&shipped("throughput"), &none, None);
    assert_eq!(throughput.values, ["westworld_charter_throughput_ops_per_sec"]);

    let violations = queries(&shipped("critical_policy_violations"), &none, Some(&plain(300)));
    let metric = "westworld_charter_policy_violations_total{severity=\"critical\"}";
    let kept = "policy_id, cluster, charter, job";
    assert_eq!(violations.values, [format!("sum by ({kept}) (increase({metric}[300s]))")]);
    assert_eq!(violations.timestamps, format!("min by ({kept}) (timestamp({metric}))"));
}

#[test]
fn the_scope_is_added_and_values_are_escaped() {
    let scope = Labels::from([("cluster".to_owned(), "a\"b\\c\nd".to_owned())]);
    let asked = queries(&shipped("failure_rate"), &scope, None);
    assert_eq!(asked.values, [r#"westworld_charter_failure_rate{cluster="a\"b\\c\nd"}"#]);
}

#[test]
fn a_rule_that_contradicts_the_scope_keeps_both_matchers() {
    let mut metric = shipped("failure_rate");
    metric.labels.insert("cluster".to_owned(), "b".to_owned());
    let scope = Labels::from([("cluster".to_owned(), "a".to_owned())]);
    let asked = queries(&metric, &scope, None);
    assert_eq!(asked.values, [r#"westworld_charter_failure_rate{cluster="b",cluster="a"}"#]);
}

#[test]
fn a_service_with_a_narrower_window_is_asked_apart() {
    let components = BTreeMap::from([("p1".to_owned(), Duration::from_millis(90_500))]);
    let narrowed = Some(Narrowed { label: "policy_id".to_owned(), components });
    let windows = Windows { base: Duration::from_secs(300), narrowed };
    let asked =
        queries(&shipped("critical_policy_violations"), &Labels::new(), Some(&windows)).values;
    assert_eq!(asked.len(), 2);
    assert!(asked[0].contains(r#"{severity="critical",policy_id!="p1"}[300s]"#), "{asked:?}");
    assert!(asked[1].contains(r#"{severity="critical",policy_id="p1"}[90500ms]"#), "{asked:?}");
}

#[test]
fn a_window_or_an_offset_of_its_own_is_seen_and_one_in_quotes_is_not() {
    for promql in [
        "rate(http_requests_total[5m]) > 1",
        "max_over_time((a / b)[10m:1m])",
        "a - a offset 1h",
        r#"a{b="x\"[5m]"} - a OFFSET 5m"#,
    ] {
        assert!(holds_duration(promql), "{promql}");
    }
    for promql in
        ["up", r#"a{b=~"pod-[0-9]+"}"#, "a{b=~'x[1-2]'}", "a{b=`offset [5m]`}", "log_offset > 3"]
    {
        assert!(!holds_duration(promql), "{promql}");
    }
}

#[test]
fn names_that_are_no_words_of_promql_are_quoted() {
    let metric = MetricRule {
        metric: "charter.failures".to_owned(),
        labels: Labels::from([("http.code".to_owned(), "500".to_owned())]),
        aggregate: Some(Aggregate::Avg),
        by: vec!["job".to_owned(), "k8s.pod".to_owned()],
        increase_over: None,
        comparison: Comparison::Gt,
        threshold: 0.0,
    };
    assert_eq!(
        queries(&metric, &Labels::new(), None).values,
        [
            r#"avg by (job, "k8s.pod", cluster, charter) ({__name__="charter.failures","http.code"="500"})"#
        ]
    );
}
