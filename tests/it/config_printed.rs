//! The effective configuration: printed, loaded again, checked by check-config and scaled.

use std::collections::BTreeSet;
use std::time::Duration;

use mape_k::cli::Output;
use mape_k::cli::check_config::check;
use mape_k::config::Config;
use mape_k::domain::secret::Secret;
use serde_json::Value;
use url::Url;

use crate::config::{accepted, parse, printed};

#[test]
fn a02_the_effective_configuration_prints_a_cycle_every_30_seconds() {
    let yaml = Config::default().to_yaml().expect("prints");
    assert!(yaml.contains("\n  loop_interval: 30\n"), "{yaml}");
    assert_eq!(printed(&accepted(""))["orchestrator"]["loop_interval"], 30);
}

#[test]
fn what_is_printed_loads_again_as_the_same() {
    let mine = r#"
orchestrator: {mode: staging, loop_interval: 1.5, log_level: debug}
monitor:
  source: prometheus
  scope: {cluster: "no", zone: "1"}
  metrics:
    - {name: "a: b", metric: m, labels: {quantile: "0.95"}, aggregate: avg, by: [x], increase_over: 10m,
       comparison: le, threshold: 1e-9, component: "null", cause: "*"}
  queries:
    - {name: q, promql: 'max(x{a="b"}) # c', comparison: ge, threshold: -5}
    - {name: c, promql: absent(up), present: up, severity: critical, component_label: pod}
plan:
  cost_model: {scale_up: 0.2}
  give_back: {after: 1h}
  strategies:
    slow: [{action: update_configuration, settings: {a: 1, b: [x, {c: null}], d: "1"}}]
    validation_latency: []
execute: {idempotent_charter: true, charter_url: "http://charter:8000/base/"}
alertmanager:
  handlers: [{pattern: "x:", rule: q, ignore: true}]
  ignore: []
kubernetes: {namespaces: [shop], kinds: [statefulsets, claims], kubeconfig: "/a b"}
escalation: {default_tier: P1, reports_dir: null, business_hours: {start: "22:30", end: "06:00", time_zone: Asia/Kolkata, days: [sat, mon]}}
slack: {channels: {critical: '#no', infrastructure: C01, test: "1"}}
notify: {alertmanager: {enabled: true}}
github: {owner: "1", repository: "0.1"}
logging: {file: "logs/a b.log"}
"#;
    for config in [Config::default(), accepted(mine)] {
        let yaml = config.to_yaml().expect("prints");
        assert_eq!(accepted(&yaml), config, "{yaml}");
    }
}

#[test]
fn secrets_and_passwords_are_never_printed_and_their_stars_never_loaded() {
    let config = accepted(
        "monitor: {bearer_token: hunter1, prometheus_url: 'http://me:hunter2@prom:9090'}\n\
         execute: {charter_api_key: hunter3}\nalertmanager: {webhook_token: hunter4}\napi: {token: hunter5, read_token: hunter6}\n\
         slack: {token: hunter7, webhook_url: 'https://hooks.example/hunter8'}\ngithub: {token: hunter9}",
    );
    assert_eq!(config.monitor.bearer_token.as_ref().map(Secret::expose), Some("hunter1"));
    assert_eq!(config.monitor.prometheus_url.as_ref().and_then(Url::password), Some("hunter2"));
    let yaml = config.to_yaml().expect("prints");
    assert!(!yaml.contains("hunter"), "{yaml}");
    let errors = parse(&yaml).expect_err("the stars are no secrets");
    let paths: Vec<_> = errors.problems.iter().map(|problem| problem.path.as_str()).collect();
    let secrets = [
        "monitor.prometheus_url",
        "monitor.bearer_token",
        "execute.charter_api_key",
        "alertmanager.webhook_token",
        "api.token",
        "api.read_token",
        "slack.token",
        "slack.webhook_url",
        "github.token",
    ];
    assert_eq!(paths, secrets, "{errors}");
}

/// Issue 14, "speed": a new duration is divided, or is named here as one that belongs to the world.
#[test]
fn scaling_divides_every_duration_except_the_worlds_own() {
    let config = accepted("plan: {give_back: {after: 1h}}");
    let (before, after) = (durations(&config), durations(&config.scaled(30.0)));
    let unchanged: BTreeSet<&str> = before
        .iter()
        .zip(&after)
        .filter(|((_, before), (_, after))| *before > 0.0 && (before - after).abs() < 1e-9)
        .map(|((name, _), _)| name.as_str())
        .collect();
    let worlds = [
        "execute.policy_timeout",
        "execute.timeout_seconds",
        "escalation.timeout",
        "knowledge.alert_retention",
        "knowledge.retention",
        "monitor.max_skew",
        "monitor.query_timeout",
        "orchestrator.leader_lease",
    ];
    assert_eq!(unchanged, worlds.into());
    assert_eq!(before.len(), after.len());
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        let is_divided = (before / 30.0 - after).abs() < 1e-6;
        assert!(is_divided || unchanged.contains(name.as_str()), "{name}: {before} s, {after} s");
    }
    assert!(before.len() > 60, "{before:?}");
}

/// Every duration of every section in seconds, those that are no keys among them, by section and field.
fn durations(config: &Config) -> Vec<(String, f64)> {
    let sections = [
        ("orchestrator", format!("{:#?}", config.orchestrator)),
        ("monitor", format!("{:#?}", config.monitor)),
        ("analyze", format!("{:#?}", config.analyze)),
        ("plan", format!("{:#?}", config.plan)),
        ("execute", format!("{:#?}", config.execute)),
        ("knowledge", format!("{:#?}", config.knowledge)),
        ("alertmanager", format!("{:#?}", config.alertmanager)),
        ("api", format!("{:#?}", config.api)),
        ("kubernetes", format!("{:#?}", config.kubernetes)),
        ("escalation", format!("{:#?}", config.escalation)),
        ("slack", format!("{:#?}", config.slack)),
        ("notify", format!("{:#?}", config.notify)),
        ("github", format!("{:#?}", config.github)),
        ("logging", format!("{:#?}", config.logging)),
    ];
    let mut found = Vec::new();
    for (section, text) in sections {
        let mut field = "";
        for line in text.lines() {
            let value = match line.trim().split_once(": ") {
                Some((name, value)) => {
                    field = name;
                    value
                }
                None => line.trim(),
            };
            found.extend(seconds(value).map(|seconds| (format!("{section}.{field}"), seconds)));
        }
    }
    found
}

/// `1.5s,`, `500ms,`: as a duration shows itself.
fn seconds(value: &str) -> Option<f64> {
    let value = value.trim_end_matches(',');
    [("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9), ("s", 1.0)]
        .into_iter()
        .find_map(|(unit, factor)| Some(value.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

/// No duration becomes zero, temporary states stay whole seconds within their limit, and what is printed is still accepted.
#[test]
fn a_scaled_configuration_is_still_accepted() {
    for speed in [1.0, 1.7, 7.0, 30.0, 77.7, 300.0] {
        for text in ["", "plan: {give_back: {after: 1ms}}", "alertmanager: {wake_gap: 0}"] {
            let scaled = accepted(text).scaled(speed);
            let yaml = scaled.to_yaml().expect("prints");
            let (again, _) = parse(&yaml).unwrap_or_else(|errors| panic!("at {speed}: {errors}"));
            assert_eq!(again.to_yaml().expect("prints"), yaml, "at {speed}");
            let limit = scaled.plan.guardrails.temporary_limit;
            for strategy in scaled.plan.strategies.values().flatten() {
                let lasts = strategy.duration_seconds.unwrap_or(Duration::from_secs(1));
                assert!(lasts <= limit && lasts.subsec_nanos() == 0, "at {speed}: {lasts:?}");
            }
        }
    }
    let text = "plan: {strategies: {slow: [{action: throttle_requests, duration_seconds: 2}]}}";
    let scaled = accepted(text).scaled(30.0);
    let lasts = scaled.plan.strategies.values().flatten().filter_map(|s| s.duration_seconds).min();
    assert_eq!(lasts, Some(Duration::from_secs(1)));
}

/// The values that the demo has always had.
#[test]
fn the_demo_divides_by_thirty_and_leaves_the_time_outs_of_calls() {
    let config = accepted("plan: {give_back: {after: 1h}}");
    let scaled = config.scaled(30.0);
    let (before, after) = (printed(&config), printed(&scaled));
    let timeouts = [
        "monitor.query_timeout",
        "execute.timeout_seconds",
        "execute.policy_timeout",
        "escalation.timeout",
        "knowledge.retention",
        "orchestrator.leader_lease",
    ];
    let changed = [
        "orchestrator.loop_interval",
        "monitor.poll_interval",
        "analyze.algorithms.temporal.window",
        "analyze.algorithms.frequency.window",
        "analyze.flapping.window",
        "analyze.flapping.clear",
        "analyze.flapping.quiet",
        "plan.approval_ttl",
        "plan.give_back.after",
        "execute.settle_default",
        "execute.settle.scale_up",
        "execute.settle.scale_down",
        "knowledge.judge_limit",
        "alertmanager.wake_gap",
        "api.stall_after",
        "escalation.interval",
        "escalation.repeat_after",
        "github.window",
    ];
    let at = |config: &Value, path: &str| {
        config
            .pointer(&format!("/{}", path.replace('.', "/")))
            .and_then(Value::as_f64)
            .expect("a number")
    };
    for path in changed {
        assert!((at(&before, path) / 30.0 - at(&after, path)).abs() < 1e-6, "{path}");
    }
    for path in timeouts {
        assert!((at(&before, path) - at(&after, path)).abs() < 1e-9, "{path}");
    }
    let secs = Duration::from_secs;
    assert_eq!(scaled.monitor.max_skew, secs(30));
    assert_eq!(scaled.analyze.interval, secs(1));
    assert_eq!(scaled.analyze.poll_interval, secs(1));
    assert_eq!(scaled.analyze.forget_after, secs(20));
    assert_eq!(scaled.analyze.missing_after, secs(10));
    assert_eq!(scaled.analyze.never_seen_after, secs(20));
    assert_eq!(scaled.analyze.occurrence_window, secs(10));
    assert_eq!(scaled.plan.incident_gap, secs(20));
    assert_eq!(scaled.plan.rejection_holds, secs(120));
    assert_eq!(scaled.plan.resize_settle, secs(6));
    assert_eq!(scaled.knowledge.alert_retention, secs(86_400));
    assert_eq!(scaled.alertmanager.trust_absence_after, secs(6));
    let windows: Vec<_> =
        scaled.monitor.rules.iter().filter_map(|rule| rule.increase_over()).collect();
    assert_eq!(windows, [secs(10)]);
    let temporary: Vec<_> =
        scaled.plan.strategies.values().flatten().filter_map(|s| s.duration_seconds).collect();
    assert_eq!(temporary, [secs(30); 3]);
    // The original is not touched: rules are shared.
    assert!(config.monitor.rules.iter().any(|rule| rule.increase_over() == Some(secs(300))));
}

#[test]
fn check_config_prints_what_stands_or_everything_that_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.yaml");
    let checked = |text: &str, output| {
        std::fs::write(&path, text).expect("written");
        let mut out = Vec::new();
        let valid = check(Some(&path), &|_| None, output, &mut out).expect("printed");
        (valid, String::from_utf8(out).expect("text"))
    };
    let (valid, text) = checked("orchestrator: {loop_interval: 90}", Output::Text);
    assert!(valid);
    assert!(text.starts_with("# warning: orchestrator.loop_interval, line 1: "), "{text}");
    assert!(text.contains("loop_interval: 90"), "{text}");
    assert_eq!(accepted(&text), accepted("orchestrator: {loop_interval: 90}"));

    let (valid, text) = checked("api: {port: x}\nplan:\n  min_score: .nan", Output::Text);
    assert!(!valid);
    assert!(text.contains("2 errors") && text.contains("mine.yaml"), "{text}");
    assert!(
        text.contains("api.port, line 1: ") && text.contains("plan.min_score, line 3: "),
        "{text}"
    );

    let (valid, text) = checked("api: {port: 1, token: hunter2}", Output::Json);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert!(valid && report["valid"] == true && report["config"]["api"]["port"] == 1);
    assert!(!text.contains("hunter2"));

    let (valid, text) = checked("api:\n  prot: 1", Output::Json);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert!(!valid && report["valid"] == false);
    assert_eq!(report["errors"][0]["path"], "api.prot");
    assert_eq!(report["errors"][0]["from"]["line"], 2);
}
