//! The files of `config/` for Prometheus and Alertmanager: their own checkers accept them, and they say what the daemon
//! relies on. Whether the alerts fire is proved where the servers run.

use std::path::Path;

use serde_json::Value;

use crate::support::config::{list, rules, shipped, shipped_rule_files};
use crate::support::tools::{check, root, tools};

/// The shipped rules of the daemon: name, severity, and the component an alert of it names itself (the others find it
/// on their series).
const SHIPPED_RULES: [(&str, &str, Option<&str>); 4] = [
    ("validation_latency", "warning", Some("charter")),
    ("failure_rate", "warning", None),
    ("throughput", "info", None),
    ("critical_policy_violations", "critical", Some("{{ $labels.policy_id }}")),
];

fn config_folder() -> std::path::PathBuf {
    root().join("config")
}

fn accepted(tool: &Path, args: &[&str]) -> String {
    check(tool, args, &config_folder())
        .unwrap_or_else(|printed| panic!("{args:?} was refused:\n{printed}"))
}

fn charter_alerts() -> Vec<Value> {
    rules(&shipped("rules/charter.yml")).cloned().collect()
}

#[test]
fn promtool_accepts_the_shipped_configuration_and_every_rule_file() {
    let printed = accepted(&tools().promtool, &["check", "config", "prometheus.yml"]);
    assert!(printed.contains("2 rule files found"), "{printed}");
    let files: Vec<String> =
        shipped_rule_files().iter().map(|name| format!("rules/{name}")).collect();
    let mut args = vec!["check", "rules"];
    args.extend(files.iter().map(String::as_str));
    accepted(&tools().promtool, &args);
}

#[test]
fn amtool_accepts_the_shipped_configuration() {
    accepted(&tools().amtool, &["check-config", "alertmanager.yml"]);
}

#[test]
fn prometheus_scrapes_and_evaluates_every_15_seconds() {
    let config = shipped("prometheus.yml");
    assert_eq!(config["global"]["scrape_interval"], "15s");
    assert_eq!(config["global"]["evaluation_interval"], "15s");
    assert_eq!(config["rule_files"][0], "rules/*.yml");
    let targets: Vec<&Value> = list(&config["scrape_configs"])
        .iter()
        .map(|job| &job["static_configs"][0]["targets"][0])
        .collect();
    assert_eq!(targets, ["charter:8000", "mape-k:8001"]);
    assert_eq!(
        config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"][0],
        "alertmanager:9093"
    );
}

#[test]
fn alertmanager_groups_and_delivers_to_the_daemon() {
    let config = shipped("alertmanager.yml");
    assert_eq!(
        config["route"]["group_by"],
        serde_json::json!(["alertname", "cluster", "namespace"])
    );
    let daemon = list(&config["receivers"])
        .iter()
        .find(|receiver| receiver["name"] == "mape-k")
        .expect("a receiver mape-k");
    let hook = &daemon["webhook_configs"][0];
    assert_eq!(hook["url"], "http://mape-k-webhook:5000/webhooks/alerts");
    assert_eq!(hook["send_resolved"], true);
}

#[test]
fn a_critical_alert_waits_at_most_5_seconds_in_its_group() {
    let config = shipped("alertmanager.yml");
    let critical = list(&config["route"]["routes"])
        .iter()
        .find(|route| {
            list(&route["matchers"]).iter().any(|matcher| matcher == "severity=\"critical\"")
        })
        .expect("a route for critical alerts");
    let wait = critical["group_wait"].as_str().expect("a group_wait of its own");
    let seconds: u64 =
        wait.strip_suffix('s').expect("written in seconds").parse().expect("a whole number");
    assert!(seconds <= 5, "group_wait is {wait}");
    assert_eq!(critical["receiver"], "mape-k");
}

/// Asks Alertmanager's own routing, not a reading of the file.
#[test]
fn every_alert_but_the_daemons_own_reaches_the_daemon() {
    for (labels, receivers) in [
        (["severity=warning", "rule=failure_rate"], "mape-k"),
        (["severity=info", "rule=throughput"], "mape-k"),
        (["severity=critical", "rule=critical_policy_violations"], "mape-k"),
        (["severity=critical", "alertname=CharterAPIDown"], "people,mape-k"),
        (["severity=warning", "alertname=SomethingElse"], "people,mape-k"),
        (["severity=critical", "origin=mape-k"], "people"),
    ] {
        let mut args = vec!["config", "routes", "test", "--config.file=alertmanager.yml"];
        args.extend(labels);
        let printed = accepted(&tools().amtool, &args);
        assert_eq!(printed.lines().next(), Some(receivers), "receivers of {labels:?}");
    }
}

#[test]
fn every_shipped_rule_has_exactly_one_alert_with_its_severity_and_component() {
    let alerts = charter_alerts();
    for (name, severity, component) in SHIPPED_RULES {
        let of_rule: Vec<&Value> =
            alerts.iter().filter(|alert| alert["labels"]["rule"] == name).collect();
        assert_eq!(of_rule.len(), 1, "alerts that name the rule {name}");
        assert_eq!(of_rule[0]["labels"]["severity"], severity, "severity of {name}");
        assert_eq!(
            of_rule[0]["labels"].get("component").and_then(Value::as_str),
            component,
            "component of {name}"
        );
    }
}

#[test]
fn an_alert_names_a_rule_that_exists_or_none() {
    for alert in charter_alerts() {
        if let Some(named) = alert["labels"].get("rule") {
            assert!(
                SHIPPED_RULES.iter().any(|(name, ..)| named == name),
                "{} names {named}",
                alert["alert"]
            );
        }
        // A cause would make the daemon act on the alert alone; only its own rules' readings may do that.
        assert_eq!(alert["labels"].get("cause"), None, "{}", alert["alert"]);
    }
}

#[test]
fn every_alert_says_what_is_wrong_and_how_bad() {
    for name in shipped_rule_files() {
        for alert in rules(&shipped(&format!("rules/{name}"))) {
            let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
            assert!(
                ["info", "warning", "critical"].contains(&severity),
                "{}: severity {severity:?}",
                alert["alert"]
            );
            for annotation in ["summary", "description"] {
                assert!(
                    alert["annotations"][annotation].is_string(),
                    "{}: no {annotation}",
                    alert["alert"]
                );
            }
        }
    }
}

/// Without the label the daemon would take an alert about itself for one about its patient.
#[test]
fn every_alert_about_the_daemon_says_so() {
    let file = shipped("rules/mape_k.yml");
    assert!(rules(&file).count() > 0);
    for alert in rules(&file) {
        assert_eq!(alert["labels"]["origin"], "mape-k", "{}", alert["alert"]);
    }
}
