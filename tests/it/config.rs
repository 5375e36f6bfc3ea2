//! The configuration: defaults, the shipped file, secrets, the environment, and where the file is.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use mape_k::config::{Config, Errors, Warning};
use mape_k::domain::action::ActionKind;
use mape_k::domain::secret::Secret;
use serde_json::Value;
use url::Url;

const SHIPPED: &str = "config/mape_k_config.yaml";

pub fn parse(text: &str) -> Result<(Config, Vec<Warning>), Errors> {
    Config::parse(text, &|_| None)
}

/// The configuration of a text that must be accepted.
pub fn accepted(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors}")).0
}

pub fn printed(config: &Config) -> Value {
    serde_json::to_value(config).expect("prints")
}

/// Keys whose content is the user's: their own keys are not the configuration's.
const FREE: [&str; 8] = [
    "monitor.scope",
    "monitor.metrics",
    "monitor.queries",
    "plan.cost_model",
    "plan.strategies",
    "alertmanager.severities",
    "alertmanager.handlers",
    "alertmanager.ignore",
];

/// Every key path down to the single values.
pub fn key_paths(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
        match value {
            Value::Object(keys) if !FREE.contains(&path) => {
                for (key, value) in keys {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(value, &path, paths);
                }
            }
            _ => {
                paths.insert(path.to_owned());
            }
        }
    }
    let mut paths = BTreeSet::new();
    walk(value, "", &mut paths);
    paths
}

#[test]
fn an_empty_file_is_the_defaults() {
    for text in ["", "\n", "# only a comment\n", "monitor:\n", "monitor: {}\nplan:\n  # none\n"] {
        assert_eq!(accepted(text), Config::default(), "{text:?}");
    }
}

#[test]
fn a51_the_shipped_file_is_the_defaults_and_names_every_key() {
    let text = std::fs::read_to_string(SHIPPED).expect("the shipped file");
    let (config, warnings) = parse(&text).expect("accepted");
    assert_eq!(config, Config::default());
    assert_eq!(warnings, []);
    let shipped: Value = serde_yaml::from_str(&text).expect("YAML");
    assert_eq!(key_paths(&shipped), key_paths(&printed(&Config::default())));
}

/// The examples in its comments are no lies: uncommented, they are accepted and change nothing.
#[test]
fn the_rules_and_strategies_in_the_shipped_files_comments_are_the_shipped_ones() {
    let text = std::fs::read_to_string(SHIPPED).expect("the shipped file");
    let example = |from: &str, to: &str, key: &str| {
        let start = text.find(from).expect("the example");
        let end = start + text[start..].find(to).expect("its end");
        let lines = text[start..end].lines().map(|line| line.trim_start().trim_start_matches('#'));
        format!("{key}\n{}", lines.collect::<Vec<_>>().join("\n"))
    };
    let metrics = example("  #   - {name: validation_latency", "  # aggregate:", "  metrics:");
    assert_eq!(accepted(&format!("monitor:\n{metrics}")), Config::default());
    let strategies = example("  #   validation_latency:\n", "  # An empty list", "  strategies:");
    assert_eq!(accepted(&format!("plan:\n{strategies}")), Config::default());
    let queries = example("  #   - {name: backlog", "  queries: []", "  queries:");
    assert_eq!(accepted(&format!("monitor:\n{queries}")).monitor.rules.len(), 6);
    let handlers = example("  #   - {pattern: latency", "  # rule: the alert", "  handlers:");
    assert_eq!(accepted(&format!("alertmanager:\n{handlers}")).alertmanager.handlers.len(), 1);
}

#[test]
fn errors_show_no_secret() {
    let errors = parse(
        "monitor: {bearer_token: 'hunter two', prometheus_url: 'ftp://me:hunter2@prom'}\n\
         execute: {charter_api_key: [hunter3], charter_url: 'http://me:hunter/4@x y'}\napi: {token: 123456}",
    )
    .expect_err("refused");
    assert_eq!(errors.problems.len(), 5, "{errors}");
    let report = errors.to_string();
    assert!(!report.contains("hunter") && !report.contains("123456"), "{report}");
}

#[test]
fn a51_a_secret_may_be_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    std::fs::write(&path, "  s3cret\n").expect("written");
    let path = path.display();
    let config = accepted(&format!(
        "monitor: {{bearer_token_file: {path}}}\nexecute: {{charter_api_key: null, charter_api_key_file: {path}}}\n\
         alertmanager: {{webhook_token_file: {path}}}\napi: {{token_file: {path}}}"
    ));
    for secret in [
        &config.monitor.bearer_token,
        &config.execute.charter_api_key,
        &config.alertmanager.webhook_token,
        &config.api.token,
    ] {
        assert_eq!(secret.as_ref().map(Secret::expose), Some("s3cret"));
    }
    let both = format!("api: {{token: a, token_file: {path}}}");
    assert!(parse(&both).expect_err("both").to_string().contains("one of the two"));
    let missing = parse("api: {token_file: /nowhere/key}").expect_err("missing");
    assert!(missing.to_string().contains("/nowhere/key"), "{missing}");
    // The environment stands over the file's file.
    let env = |name: &str| (name == "CHARTER_API_KEY").then(|| "from-env".to_owned());
    let (config, _) =
        Config::parse(&format!("execute: {{charter_api_key_file: {path}}}"), &env).expect("both");
    assert_eq!(config.execute.charter_api_key.as_ref().map(Secret::expose), Some("from-env"));
}

#[test]
fn auto_approve_follows_the_mode_unless_it_is_said() {
    let auto_approve = |text| {
        let config = accepted(text);
        assert_eq!(config.plan.auto_approve, config.orchestrator.auto_approve);
        config.plan.auto_approve
    };
    assert!(!auto_approve("orchestrator: {mode: production}"));
    assert!(auto_approve("orchestrator: {mode: staging}"));
    assert!(auto_approve("orchestrator: {mode: production, auto_approve: true}"));
    assert!(!auto_approve("orchestrator: {mode: staging, auto_approve: false}"));
}

#[test]
fn what_one_section_takes_from_another_is_filled_in() {
    let config = accepted(
        "orchestrator: {loop_interval: 7, plan_threshold: 5, log_level: debug}\n\
         monitor: {poll_interval: 11, min_coverage: 0.5}\n\
         execute: {settle: {scale_up: 77}}\n\
         plan: {approval_ttl: 33}\n\
         guardrails: {mode: suggest, auto_approve_high_risk: true, forbidden_actions: [scale_down]}\n\
         knowledge: {confidence_saturation_point: 9, pattern_learning_enabled: false}",
    );
    assert_eq!(config.knowledge.approval_ttl, Duration::from_secs(33));
    let rails = &config.execute.rails;
    assert!(rails.suggest && !rails.observe && rails.auto_approve_high_risk);
    assert_eq!(rails.forbidden, [ActionKind::ScaleDown].into());
    assert_eq!(config.analyze.interval, Duration::from_secs(7));
    assert_eq!(config.analyze.poll_interval, Duration::from_secs(11));
    assert!((config.analyze.min_coverage - 0.5).abs() < f64::EPSILON);
    assert_eq!(config.plan.plan_threshold, 5);
    assert_eq!(config.plan.resize_settle, Duration::from_secs(77));
    assert_eq!(config.plan.saturation, 9);
    assert!(!config.plan.learning);
    assert_eq!(config.logging.level, "debug");
    // One settle time given leaves the others.
    assert_eq!(config.execute.settle(ActionKind::ScaleDown), Duration::from_secs(300));
}

#[test]
fn durations_are_read_in_every_form() {
    for (text, millis) in [
        ("30", 30_000),
        ("0.5", 500),
        ("\"30\"", 30_000),
        ("30s", 30_000),
        ("500ms", 500),
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("30d", 30 * 86_400_000),
        ("1.5m", 90_000),
        ("\"5 m\"", 300_000),
    ] {
        let config = accepted(&format!("knowledge: {{retention: {text}}}"));
        assert_eq!(config.knowledge.retention, Duration::from_millis(millis), "{text}");
    }
    for text in [
        "5x",
        "m",
        "-5",
        "1e400",
        ".nan",
        ".inf",
        "true",
        "[5]",
        "null",
        "''",
        "5mm",
        "99999999999d",
        "0",
    ] {
        assert!(parse(&format!("knowledge: {{retention: {text}}}")).is_err(), "{text}");
    }
}

#[test]
fn a51_the_environment_stands_over_the_file() {
    let file = "orchestrator: {mode: production, loop_interval: 30, plan_threshold: 3, auto_approve: true, log_level: warn}\n\
                monitor: {prometheus_url: 'http://file:1'}\n\
                execute: {charter_url: 'http://file:2', charter_api_key: file}\n\
                alertmanager: {url: 'http://file:3', webhook_port: 3}\n\
                logging: {level: error}\n";
    let env = |name: &str| {
        let value = match name {
            "ORCHESTRATOR_MODE" => "staging",
            "PROMETHEUS_URL" => "http://env:1/",
            "CHARTER_URL" => "http://env:2",
            "CHARTER_API_KEY" => "12345",
            "ALERTMANAGER_URL" => "http://env:3",
            "WEBHOOK_PORT" => "4",
            "LOG_LEVEL" => "DEBUG",
            "MAPE_K_INTERVAL" => "20s",
            "MAPE_K_THRESHOLD" => "9",
            "MAPE_K_AUTO_APPROVE" => "false",
            _ => return None,
        };
        Some(value.to_owned())
    };
    for file in [file, ""] {
        let (config, warnings) = Config::parse(file, &env).expect("accepted");
        assert_eq!(warnings, []);
        let shown = printed(&config);
        assert_eq!(shown["orchestrator"]["mode"], "staging");
        assert_eq!(shown["orchestrator"]["loop_interval"], 20);
        assert_eq!(shown["orchestrator"]["plan_threshold"], 9);
        assert_eq!(shown["orchestrator"]["auto_approve"], false);
        assert_eq!(shown["monitor"]["prometheus_url"], "http://env:1");
        assert_eq!(shown["execute"]["charter_url"], "http://env:2");
        assert_eq!(shown["alertmanager"]["url"], "http://env:3");
        assert_eq!(shown["alertmanager"]["webhook_port"], 4);
        assert_eq!(shown["logging"]["level"], "DEBUG");
        let key = config.execute.charter_api_key.expect("a key");
        assert_eq!(key.expose(), "12345");
    }
}

#[test]
fn charter_api_url_is_another_name_and_an_empty_variable_is_none() {
    let env = |name: &str| match name {
        "CHARTER_API_URL" => Some("http://other:8000".to_owned()),
        "CHARTER_URL" | "MAPE_K_INTERVAL" => Some(" ".to_owned()),
        _ => None,
    };
    let (config, _) = Config::parse("", &env).expect("accepted");
    assert_eq!(config.execute.charter_url.as_ref().map(Url::as_str), Some("http://other:8000/"));
    assert_eq!(config.orchestrator.loop_interval, Duration::from_secs(30));
    let env = |name: &str| match name {
        "CHARTER_API_URL" => Some("http://one".to_owned()),
        "CHARTER_URL" => Some("http://two".to_owned()),
        _ => None,
    };
    let (config, warnings) = Config::parse("", &env).expect("accepted");
    assert_eq!(config.execute.charter_url.as_ref().map(Url::as_str), Some("http://two/"));
    assert!(warnings[0].to_string().contains("from CHARTER_URL"), "{warnings:?}");
}

#[test]
fn a_trailing_slash_of_a_url_makes_no_difference() {
    for (with, without) in [("http://x:1/", "http://x:1"), ("https://x/a/", "https://x/a")] {
        for key in ["monitor: {prometheus_url", "execute: {charter_url", "alertmanager: {url"] {
            let with = accepted(&format!("{key}: '{with}'}}"));
            assert_eq!(with, accepted(&format!("{key}: '{without}'}}")));
        }
    }
}

#[test]
fn the_file_is_the_named_one_then_the_environments_then_the_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, interval: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("orchestrator: {{loop_interval: {interval}}}"))
            .expect("written");
        path
    };
    let (named, in_env) = (write("named.yaml", 11), write("env.yaml", 12));
    let env = |name: &str| {
        (name == "MAPE_K_CONFIG").then(|| in_env.to_str().expect("Unicode").to_owned())
    };
    let interval = |path: Option<&Path>, env: &dyn Fn(&str) -> Option<String>| {
        Config::load(path, env).expect("accepted").0.orchestrator.loop_interval.as_secs()
    };
    assert_eq!(interval(Some(&named), &env), 11);
    assert_eq!(interval(None, &env), 12);
    // The tests run in the package's folder, whose default file is the shipped one.
    assert_eq!(interval(None, &|_| None), 30);
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let missing = Path::new("/nowhere/mape_k.yaml");
    let errors = Config::load(Some(missing), &|_| None).expect_err("missing");
    assert!(errors.to_string().contains("/nowhere/mape_k.yaml"), "{errors}");
    let env = |name: &str| (name == "MAPE_K_CONFIG").then(|| "/nowhere/env.yaml".to_owned());
    let errors = Config::load(None, &env).expect_err("missing");
    let report = errors.to_string();
    assert!(report.contains("/nowhere/env.yaml") && report.contains("MAPE_K_CONFIG"), "{report}");
}
