//! A51: every key is accepted and effective.

use std::collections::BTreeSet;

use mape_k::config::Config;
use serde_json::{Value, json};

use crate::config::{accepted, key_paths, printed};

/// A value that is not the default, for every key that is printed as it is given.
const AS_GIVEN: &[(&str, &str)] = &[
    ("orchestrator.mode", "staging"),
    ("orchestrator.plan_threshold", "7"),
    ("orchestrator.auto_approve", "true"),
    ("orchestrator.log_level", "debug"),
    ("monitor.source", "scrape"),
    ("monitor.prometheus_url", "https://prom.example/base"),
    ("monitor.scrape_url", "http://charter:8000/metrics"),
    ("monitor.scope", "{cluster: eu}"),
    ("monitor.min_coverage", "0.5"),
    (
        "monitor.metrics",
        "[{name: mine, metric: m, labels: {a: b}, aggregate: min, by: [c], increase_over: 120, comparison: lt, \
             threshold: 2.0, severity: critical, component: x, cause: slow}]",
    ),
    ("analyze.pattern_history_limit", "50"),
    ("analyze.algorithms.temporal.enabled", "false"),
    ("analyze.algorithms.temporal.sensitivity", "0.5"),
    ("analyze.algorithms.temporal.window", "90"),
    ("analyze.algorithms.temporal.min_onsets", "4"),
    ("analyze.algorithms.spatial.enabled", "false"),
    ("analyze.algorithms.spatial.sensitivity", "0.5"),
    ("analyze.algorithms.spatial.min_violations", "4"),
    ("analyze.algorithms.causal.enabled", "false"),
    ("analyze.algorithms.causal.sensitivity", "0.5"),
    ("analyze.algorithms.causal.correlation_threshold", "0.9"),
    ("analyze.algorithms.causal.latency", "throughput"),
    ("analyze.algorithms.causal.failure", "throughput"),
    ("analyze.algorithms.causal.window", "40"),
    ("analyze.algorithms.causal.min_points", "15"),
    ("analyze.algorithms.frequency.enabled", "false"),
    ("analyze.algorithms.frequency.sensitivity", "0.5"),
    ("analyze.algorithms.frequency.anomaly_threshold", "9"),
    ("analyze.algorithms.sustained.enabled", "false"),
    ("analyze.algorithms.sustained.sensitivity", "0.5"),
    ("analyze.algorithms.sustained.cycles", "2"),
    ("analyze.algorithms.sustained.of", "5"),
    ("analyze.flapping.returns", "4"),
    ("plan.cost_model", "{scale_up: 0.2}"),
    ("plan.benefit_target", "0.9"),
    ("plan.min_confidence", "0.7"),
    ("plan.min_score", "0.1"),
    ("plan.max_policies_per_analysis", "3"),
    ("plan.scaling.factor", "2.0"),
    ("plan.scaling.min_replicas", "2"),
    ("plan.scaling.max_replicas", "30"),
    ("guardrails.mode", "observe"),
    ("guardrails.auto_approve_high_risk", "true"),
    ("guardrails.forbidden_actions", "[restart_service]"),
    ("guardrails.actions_per_incident", "3"),
    ("guardrails.actions_per_cause_per_day", "5"),
    ("guardrails.failures_per_remedy", "2"),
    ("guardrails.budget.per_hour", "4"),
    ("guardrails.budget.per_target_per_hour", "2"),
    ("guardrails.budget.overrides_per_day", "1"),
    ("guardrails.fleet.share", "0.2"),
    ("guardrails.fleet.redundancy_groups", "[[a, b]]"),
    ("guardrails.breaker.degradations", "3"),
    ("guardrails.breaker.of", "12"),
    ("guardrails.breaker.ineffective", "4"),
    ("guardrails.storm.firing", "0.4"),
    ("guardrails.storm.unhealthy", "0.6"),
    ("guardrails.storm.min_components", "6"),
    ("guardrails.storm.min_sick", "4"),
    ("guardrails.kubernetes.per_hour", "9"),
    ("guardrails.kubernetes.per_namespace_per_hour", "3"),
    ("guardrails.kubernetes.per_workload_per_hour", "1"),
    ("guardrails.kubernetes.at_once", "2"),
    ("guardrails.kubernetes.at_once_per_namespace", "2"),
    ("guardrails.kubernetes.protected_namespaces", "[kube-*, payments]"),
    ("guardrails.kubernetes.storm.not_ready", "0.3"),
    ("guardrails.kubernetes.storm.min_nodes", "3"),
    ("guardrails.kubernetes.storm.sick", "0.2"),
    ("guardrails.kubernetes.storm.min_workloads", "9"),
    ("execute.charter_url", "http://charter:1"),
    ("execute.timeout_seconds", "5"),
    ("execute.policy_timeout", "90"),
    ("execute.max_retries", "5"),
    ("execute.rollback_enabled", "false"),
    ("execute.execution_mode", "best_effort"),
    ("execute.idempotent_charter", "false"),
    ("execute.settle_default", "60"),
    (
        "hooks",
        "[{name: mine, component: x, validate: [a], apply: [a, b], probe: [c], undo: {url: 'http://x/y', method: PUT}, \
         timeout: 5, cost: 0.1, risk: low, settle: 7, idempotent: true, environment: [A_B]}]",
    ),
    ("knowledge.database", "memory"),
    ("knowledge.sqlite_path", "/tmp/k.db"),
    ("knowledge.postgres_url", "postgres://db:5432/mape_k?sslmode=verify-full"),
    ("knowledge.pattern_learning_enabled", "false"),
    ("knowledge.confidence_saturation_point", "10"),
    ("knowledge.outcome_history_limit", "10"),
    ("knowledge.insight_generation_enabled", "false"),
    ("alertmanager.enabled", "false"),
    ("alertmanager.url", "http://am:1"),
    ("alertmanager.webhook_host", "0.0.0.0"),
    ("alertmanager.webhook_port", "0"),
    ("alertmanager.webhook_path", "/hook"),
    ("alertmanager.receiver", "mape-k"),
    ("alertmanager.wake_gap", "0"),
    ("alertmanager.max_body_bytes", "1024"),
    (
        "alertmanager.handlers",
        "[{pattern: p, cause: c, rule: throughput, component: x, component_label: l, target: {kind: Pod, namespace_label: ns, name_label: p}, severity: info, ignore: true}]",
    ),
    ("alertmanager.severities", "{fyi: info, sev9: critical}"),
    ("alertmanager.ignore", "[A]"),
    ("api.host", "'::1'"),
    ("api.port", "0"),
    ("api.rate_limit", "50"),
    ("api.allowed_hosts", "[mape-k.example, mape-k]"),
    ("api.cors_origins", "['https://dashboard.example', 'http://localhost:3000']"),
    ("kubernetes.enabled", "true"),
    ("kubernetes.kubeconfig", "/tmp/kubeconfig"),
    ("kubernetes.namespaces", "[shop, web]"),
    ("kubernetes.kinds", "[statefulsets, persistentvolumeclaims]"),
    ("kubernetes.cluster", "eu-1"),
    ("kubernetes.log_lines", "20"),
    ("escalation.services_file", "/tmp/services.yaml"),
    ("escalation.default_tier", "P2"),
    ("escalation.business_hours.start", "'08:30'"),
    ("escalation.business_hours.end", "'18:00'"),
    ("escalation.business_hours.time_zone", "Europe/Berlin"),
    ("escalation.business_hours.days", "[mon, sun]"),
    ("escalation.reports_dir", "/tmp/reports"),
    ("escalation.reports_max_files", "100"),
    ("orchestrator.environment", "prod-eu"),
    ("slack.enabled", "true"),
    ("slack.api_url", "http://slack.example:1/api"),
    ("slack.channels.critical", "'#c'"),
    ("slack.channels.infrastructure", "'#i'"),
    ("slack.channels.test", "C012345"),
    ("slack.test_mode", "true"),
    ("notify.alertmanager.enabled", "true"),
    ("notify.alertmanager.url", "http://am:1"),
    ("github.enabled", "true"),
    ("github.api_url", "https://git.example/api/v3"),
    ("github.owner", "me"),
    ("github.repository", "my.repo"),
    ("logging.level", "'warn,mape_k=debug'"),
    ("logging.format", "text"),
    ("logging.file", "/tmp/l.log"),
    ("logging.max_bytes", "2048"),
    ("logging.backup_count", "0"),
];

/// The same for those that are printed otherwise: durations in seconds, secrets as stars. The last is JSON.
const OTHERWISE: &[(&str, &str, &str)] = &[
    ("orchestrator.loop_interval", "1m", "60"),
    ("orchestrator.leader_lease", "1m", "60"),
    ("monitor.poll_interval", "15s", "15"),
    ("monitor.query_timeout", "2500ms", "2.5"),
    ("monitor.bearer_token", "secret", "\"***\""),
    (
        "monitor.http",
        "{headers: {X-Scope-OrgID: team}}",
        r#"{"headers": {"X-Scope-OrgID": "***"}}"#,
    ),
    (
        "monitor.queries",
        "[{name: mine, promql: up, comparison: ge, threshold: 3}, {name: o, promql: a, present: b, component_label: c}]",
        r#"[ {"name": "mine", "promql": "up", "comparison": "ge", "threshold": 3.0, "severity": "warning", "component_label": "component"}, {"name": "o", "promql": "a", "present": "b", "severity": "warning", "component_label": "c"} ]"#,
    ),
    ("analyze.algorithms.frequency.window", "10m", "600"),
    ("analyze.flapping.window", "20m", "1200"),
    ("analyze.flapping.clear", "20m", "1200"),
    ("analyze.flapping.quiet", "1m", "60"),
    ("plan.approval_ttl", "1h", "3600"),
    ("plan.give_back.after", "1h", "3600"),
    ("guardrails.temporary_limit", "20m", "1200"),
    ("guardrails.cooldown.shortest", "1m", "60"),
    ("guardrails.cooldown.longest", "2h", "7200"),
    ("guardrails.cooldown.opposite", "5m", "300"),
    ("guardrails.budget.override_gap", "1h", "3600"),
    ("guardrails.breaker.open_for", "1h", "3600"),
    ("guardrails.storm.within", "2m", "120"),
    ("guardrails.storm.leave_after", "10m", "600"),
    ("guardrails.kubernetes.storm.within", "2m", "120"),
    ("guardrails.kubernetes.storm.leave_after", "10m", "600"),
    ("execute.charter_api_key", "secret", "\"***\""),
    (
        "execute.http",
        "{headers: {X-Scope-OrgID: team}}",
        r#"{"headers": {"X-Scope-OrgID": "***"}}"#,
    ),
    ("execute.settle.scale_up", "1m", "60"),
    ("execute.settle.scale_down", "1m", "60"),
    ("execute.settle.restart_service", "1m", "60"),
    ("execute.settle.apply_policy", "2m", "120"),
    ("execute.settle.bypass_validation", "2m", "120"),
    ("execute.settle.throttle_requests", "2m", "120"),
    ("execute.settle.activate_emergency_override", "2m", "120"),
    ("execute.settle.rebalance_load", "2m", "120"),
    ("execute.settle.update_configuration", "2m", "120"),
    ("knowledge.retention", "7d", "604800"),
    ("knowledge.judge_limit", "5m", "300"),
    ("alertmanager.webhook_token", "secret", "\"***\""),
    (
        "alertmanager.http",
        "{headers: {X-Scope-OrgID: team}}",
        r#"{"headers": {"X-Scope-OrgID": "***"}}"#,
    ),
    ("api.token", "secret", "\"***\""),
    ("api.read_token", "secret", "\"***\""),
    ("api.stall_after", "10m", "600"),
    ("escalation.timeout", "30s", "30"),
    ("escalation.interval", "10m", "600"),
    ("escalation.repeat_after", "1h", "3600"),
    ("slack.token", "secret", "\"***\""),
    ("slack.webhook_url", "'https://hooks.example/secret'", "\"***\""),
    ("slack.http", "{headers: {X-Scope-OrgID: team}}", r#"{"headers": {"X-Scope-OrgID": "***"}}"#),
    (
        "notify.alertmanager.http",
        "{headers: {X-Scope-OrgID: team}}",
        r#"{"headers": {"X-Scope-OrgID": "***"}}"#,
    ),
    ("github.http", "{headers: {X-Scope-OrgID: team}}", r#"{"headers": {"X-Scope-OrgID": "***"}}"#),
    ("github.token", "secret", "\"***\""),
    ("github.window", "12h", "43200"),
];

/// Key, value, and what is then printed.
fn keys() -> Vec<(&'static str, &'static str, Value)> {
    let as_given = AS_GIVEN
        .iter()
        .map(|(key, text)| (*key, *text, serde_yaml::from_str(text).expect("a value")));
    let otherwise = OTHERWISE
        .iter()
        .map(|(key, text, json)| (*key, *text, serde_json::from_str(json).expect("JSON")));
    as_given.chain(otherwise).collect()
}

/// The file with this one key in it, as nested sections, and whatever the key cannot be without.
fn file_with(key: &str, value: &str) -> String {
    if key == "monitor.source" {
        return "monitor: {source: scrape, scrape_url: 'http://charter:8000/metrics'}".to_owned();
    }
    if key == "monitor.metrics" {
        // The causal detector's rules are gone with the shipped ones.
        return format!(
            "monitor: {{metrics: {value}}}\nanalyze: {{algorithms: {{causal: {{enabled: false}}}}}}"
        );
    }
    match key {
        "slack.enabled" => "slack: {enabled: true, token: x}".to_owned(),
        "github.enabled" => "github: {enabled: true, owner: me, repository: mine}".to_owned(),
        _ => nested(key, value),
    }
}

/// `a: {b: {c: value}}` for the key a.b.c.
pub fn nested(key: &str, value: &str) -> String {
    key.rsplit('.').fold(value.to_owned(), |inside, name| format!("{{{name}: {inside}}}"))
}

#[test]
fn a51_every_key_is_accepted_and_effective() {
    for (key, value, expected) in keys() {
        let pointer = format!("/{}", key.replace('.', "/"));
        let file = file_with(key, value);
        let config = accepted(&file);
        let shown = printed(&config);
        assert_eq!(shown.pointer(&pointer), Some(&expected), "{file}");
        let default = printed(&Config::default());
        assert_ne!(
            default.pointer(&pointer),
            Some(&expected),
            "{key}: the test's value is the default"
        );
        assert_ne!(config, Config::default(), "{key}");
    }
}

/// `plan.strategies` is shown below, `api.tls`, which needs files, in `access::tls`.
#[test]
fn a51_no_key_is_left_out_of_the_table() {
    let tested: BTreeSet<_> = keys().into_iter().map(|(key, _, _)| key.to_owned()).collect();
    let all = key_paths(&printed(&Config::default()));
    let left_out: Vec<_> = all.difference(&tested).map(String::as_str).collect();
    assert_eq!(left_out, ["api.tls", "plan.strategies"]);
    let unknown: Vec<_> = tested.difference(&all).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn a51_a_cause_given_in_strategies_replaces_that_causes_list_only() {
    let config = accepted(
        "plan:\n  strategies:\n    validation_latency:\n      - {action: throttle_requests, rate_limit: 50, duration_seconds: 5m}\n\
        \x20     - {action: bypass_validation, validation_type: v, duration_seconds: 60, after: throttle_requests}\n\
        \x20   mine:\n      - {action: restart_service, service: all, graceful: false}\n      - {action: scale_down, replicas: 2}\n\
        \x20     - {action: apply_policy, policy_set: strict}\n      - {action: rebalance_load, strategy: round_robin}\n\
        \x20     - {action: update_configuration, settings: {a: 1}}\n    cascade_failure: []\n",
    );
    let shown = printed(&config)["plan"]["strategies"].clone();
    assert_eq!(
        shown["validation_latency"],
        json!([
            {"action": "throttle_requests", "rate_limit": 50.0, "duration_seconds": 300},
            {"action": "bypass_validation", "after": "throttle_requests", "validation_type": "v", "duration_seconds": 60},
        ])
    );
    assert_eq!(
        shown["mine"],
        json!([
            {"action": "restart_service", "service": "all", "graceful": false},
            {"action": "scale_down", "replicas": 2},
            {"action": "apply_policy", "policy_set": "strict"},
            {"action": "rebalance_load", "strategy": "round_robin"},
            {"action": "update_configuration", "settings": {"a": 1}},
        ])
    );
    assert_eq!(shown["cascade_failure"], json!([]));
    let default = printed(&Config::default());
    assert_eq!(shown["system_overload"], default["plan"]["strategies"]["system_overload"]);
}

#[test]
fn a51_the_address_of_postgresql_may_be_in_a_file_and_its_password_is_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("url");
    std::fs::write(&path, "postgres://me:s3cret@db/mape_k?sslmode=require\n").expect("written");
    let config = accepted(&format!(
        "knowledge: {{database: postgres, postgres_url_file: {}}}",
        path.display()
    ));
    let url = config.knowledge.postgres_url.as_ref().expect("an address");
    assert_eq!(url.expose().password(), Some("s3cret"));
    let shown = "postgres://***@db/mape_k?sslmode=require";
    assert_eq!(printed(&config)["knowledge"]["postgres_url"], shown);
    assert!(!format!("{config:?} {:?}", config.knowledge).contains("s3cret"));
    assert!(format!("{:?}", config.knowledge).contains(shown));
}

#[test]
fn queries_stand_beside_the_shipped_rules() {
    let config =
        accepted("monitor: {queries: [{name: q, promql: up, comparison: lt, threshold: 1}]}");
    let names: Vec<_> = config.monitor.rules.iter().map(|rule| rule.name.as_str()).collect();
    let shipped =
        ["validation_latency", "failure_rate", "throughput", "critical_policy_violations"];
    assert_eq!(names[..4], shipped);
    assert_eq!(names[4..], ["q"]);
}
