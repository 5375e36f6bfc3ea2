//! A51: what is wrong never starts, and is told at once with line and path.

use mape_k::config::{Config, Origin};
use proptest::prelude::*;

use crate::config::parse;
use crate::config_keys::nested;

/// The paths refused in this text.
fn refused(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.problems.into_iter().map(|problem| problem.path).collect(),
    }
}

#[test]
fn a51_all_errors_are_told_at_once_with_line_and_path() {
    let text = "\
orchestrator:
  loop_interval: 301
  plan_treshold: 3
monitor:
  poll_interval: soon
  metrics:
    - {name: a, metric: m, comparison: gt, threshold: 1}
    - name: b
      metric: m
      comparison: gt
      threshold: .nan
    - {name: a, metric: m, comparison: above, threshold: 1}
plan:
  scaling: {min_replicas: 9, max_replicas: 3}
execute:
  charter_url: charter:8000
api:
  port: 70000
logging:
  level: [info]
surprise: 1
";
    let errors = parse(text).expect_err("refused");
    let found: Vec<_> =
        errors.problems.iter().map(|problem| (problem.path.as_str(), problem.origin)).collect();
    let line = Origin::Line;
    assert_eq!(
        found,
        [
            ("orchestrator.loop_interval", line(2)),
            ("orchestrator.plan_treshold", line(3)),
            ("monitor.poll_interval", line(5)),
            ("monitor.metrics[1].threshold", line(11)),
            ("monitor.metrics[2].name", line(12)),
            ("monitor.metrics[2].comparison", line(12)),
            ("plan.scaling.min_replicas", line(14)),
            ("execute.charter_url", line(16)),
            ("api.port", line(18)),
            ("logging.level", line(20)),
            ("surprise", line(21)),
        ],
        "{errors}"
    );
    let report = errors.to_string();
    for told in [
        "11 errors",
        "did you mean plan_threshold?",
        "monitor.metrics[1].threshold, line 11: NaN given; accepted: a finite number",
        "70000 given; accepted: a whole number from 0 to 65535",
        "accepted: gt, ge, lt, le",
    ] {
        assert!(report.contains(told), "{told}\n{report}");
    }
}

#[test]
fn a51_a_wrong_environment_variable_is_named() {
    let env = |name: &str| match name {
        "MAPE_K_INTERVAL" => Some("0".to_owned()),
        "WEBHOOK_PORT" => Some("http".to_owned()),
        "CHARTER_API_KEY" => Some("hunter 2".to_owned()),
        _ => None,
    };
    let report =
        Config::parse("orchestrator: {loop_interval: -1}", &env).expect_err("refused").to_string();
    for told in [
        "orchestrator.loop_interval, line 1: -1 given",
        "orchestrator.loop_interval, from MAPE_K_INTERVAL: \"0\" given",
        "alertmanager.webhook_port, from WEBHOOK_PORT: \"http\" given",
        "execute.charter_api_key, from CHARTER_API_KEY: ",
    ] {
        assert!(report.contains(told), "{told}\n{report}");
    }
    assert!(!report.contains("hunter"), "{report}");
}

/// One wrong thing a line: its text and the path that must be refused.
const IMPOSSIBLE: &[(&str, &str)] = &[
    ("orchestrator: {loop_interval: 0}", "orchestrator.loop_interval"),
    ("orchestrator: {loop_interval: -30}", "orchestrator.loop_interval"),
    ("orchestrator: {loop_interval: .inf}", "orchestrator.loop_interval"),
    ("orchestrator: {loop_interval: null}", "orchestrator.loop_interval"),
    ("orchestrator: {loop_interval: 301s}", "orchestrator.loop_interval"),
    ("orchestrator: {plan_threshold: 0}", "orchestrator.plan_threshold"),
    ("orchestrator: {plan_threshold: 2.5}", "orchestrator.plan_threshold"),
    ("orchestrator: {mode: Production}", "orchestrator.mode"),
    ("orchestrator: {auto_approve: yes}", "orchestrator.auto_approve"),
    ("orchestrator: {log_level: loud}", "orchestrator.log_level"),
    ("orchestrator: [1]", "orchestrator"),
    ("monitor: {source: graphite}", "monitor.source"),
    ("monitor: {source: scrape}", "monitor.scrape_url"),
    (
        "monitor: {source: scrape, scrape_url: 'http://x/metrics', queries: [{name: a, promql: up, present: up}]}",
        "monitor.queries",
    ),
    ("monitor: {prometheus_url: localhost}", "monitor.prometheus_url"),
    ("monitor: {prometheus_url: 'file:///etc/passwd'}", "monitor.prometheus_url"),
    ("monitor: {prometheus_url: 'http://x?y=1'}", "monitor.prometheus_url"),
    ("monitor: {min_coverage: 1.1}", "monitor.min_coverage"),
    ("monitor: {min_coverage: -0.1}", "monitor.min_coverage"),
    ("monitor: {min_coverage: '0.5'}", "monitor.min_coverage"),
    ("monitor: {scope: {'bad{label': x}}", "monitor.scope.bad{label"),
    ("monitor: {scope: {cluster: 1}}", "monitor.scope.cluster"),
    ("monitor: {metrics: {name: a}}", "monitor.metrics"),
    ("monitor: {metrics: [null]}", "monitor.metrics[0]"),
    ("monitor: {metrics: [{name: a, metric: m, comparison: gt}]}", "monitor.metrics[0]"),
    (
        "monitor: {metrics: [{name: a, metric: 'm{}', comparison: gt, threshold: 1}]}",
        "monitor.metrics[0].metric",
    ),
    (
        "monitor: {metrics: [{name: a, metric: m, comparison: gt, threshold: .inf}]}",
        "monitor.metrics[0].threshold",
    ),
    (
        "monitor: {metrics: [{name: a, metric: m, comparison: gt, threshold: 1, aggregate: median}]}",
        "monitor.metrics[0].aggregate",
    ),
    (
        "monitor: {metrics: [{name: a, metric: m, comparison: gt, threshold: 1, by: [x]}]}",
        "monitor.metrics[0].by",
    ),
    (
        "monitor: {metrics: [{name: a, metric: m, comparison: gt, threshold: 1, increase_over: 45}]}",
        "monitor.metrics[0].increase_over",
    ),
    (
        "monitor: {metrics: [{name: a, metric: m, comparison: gt, threshold: 1, component: x, component_label: y}]}",
        "monitor.metrics[0].component_label",
    ),
    (
        "monitor: {metrics: [{name: a, metric: m, comparison: gt, threshold: 1, severity: fatal}]}",
        "monitor.metrics[0].severity",
    ),
    (
        "monitor: {queries: [{name: throughput, promql: up, present: up}]}",
        "monitor.queries[0].name",
    ),
    ("monitor: {queries: [{name: a, promql: up, threshold: 1}]}", "monitor.queries[0].threshold"),
    (
        "monitor: {queries: [{name: a, promql: up, comparison: gt}]}",
        "monitor.queries[0].comparison",
    ),
    (
        "monitor: {queries: [{name: a, promql: up, comparison: gt, threshold: 1, present: up}]}",
        "monitor.queries[0].present",
    ),
    (
        "analyze: {algorithms: {sustained: {cycles: 5, of: 4}}}",
        "analyze.algorithms.sustained.cycles",
    ),
    (
        "analyze: {algorithms: {temporal: {sensitivity: 1.5}}}",
        "analyze.algorithms.temporal.sensitivity",
    ),
    (
        "analyze: {algorithms: {temporal: {sensitivity: .nan}}}",
        "analyze.algorithms.temporal.sensitivity",
    ),
    ("analyze: {algorithms: {temporal: {window: 0}}}", "analyze.algorithms.temporal.window"),
    ("analyze: {algorithms: {causal: {window: 10}}}", "analyze.algorithms.causal.min_points"),
    ("analyze: {algorithms: {causal: {latency: latency}}}", "analyze.algorithms.causal.latency"),
    ("analyze: {algorithms: {fourier: {}}}", "analyze.algorithms.fourier"),
    ("analyze: {flapping: {returns: 0}}", "analyze.flapping.returns"),
    ("plan: {min_confidence: 2}", "plan.min_confidence"),
    ("plan: {cost_model: {scale_sideways: 0.1}}", "plan.cost_model.scale_sideways"),
    ("plan: {cost_model: {scale_up: -1}}", "plan.cost_model.scale_up"),
    ("plan: {cost_model: {scale_up: .nan}}", "plan.cost_model.scale_up"),
    ("plan: {scaling: {factor: 1}}", "plan.scaling.factor"),
    ("plan: {scaling: {min_replicas: 0}}", "plan.scaling.min_replicas"),
    ("plan: {scaling: {min_replicas: 21}}", "plan.scaling.min_replicas"),
    ("plan: {strategies: {x: [{action: explode}]}}", "plan.strategies.x[0].action"),
    ("plan: {strategies: {x: [{after: scale_up}]}}", "plan.strategies.x[0]"),
    (
        "plan: {strategies: {x: [{action: scale_up, after: scale_down}]}}",
        "plan.strategies.x[0].after",
    ),
    (
        "plan: {strategies: {x: [{action: scale_up, after: scale_up}]}}",
        "plan.strategies.x[0].after",
    ),
    (
        "plan: {strategies: {x: [{action: scale_up, rate_limit: 5}]}}",
        "plan.strategies.x[0].rate_limit",
    ),
    (
        "plan: {strategies: {x: [{action: throttle_requests, duration_seconds: 0}]}}",
        "plan.strategies.x[0].duration_seconds",
    ),
    (
        "plan: {strategies: {x: [{action: update_configuration, settings: {a: .nan}}]}}",
        "plan.strategies.x[0].settings.a",
    ),
    ("plan: {strategies: {unknown: [{action: scale_up}]}}", "plan.strategies.unknown"),
    ("execute: {max_retries: 0}", "execute.max_retries"),
    ("execute: {idempotent_charter: maybe}", "execute.idempotent_charter"),
    ("execute: {settle: {nap: 5}}", "execute.settle.nap"),
    ("execute: {settle: {scale_up: -5}}", "execute.settle.scale_up"),
    ("execute: {timeout_seconds: 0}", "execute.timeout_seconds"),
    ("knowledge: {database: oracle}", "knowledge.database"),
    ("knowledge: {sqlite_path: ''}", "knowledge.sqlite_path"),
    ("knowledge: {database: postgres}", "knowledge.postgres_url"),
    ("knowledge: {postgres_url: 'mysql://db/k'}", "knowledge.postgres_url"),
    ("knowledge: {postgres_url: 'postgres://db'}", "knowledge.postgres_url"),
    ("knowledge: {postgres_url: 'postgres://***@db/k'}", "knowledge.postgres_url"),
    ("knowledge: {postgres_url: 'postgres://db/k?password=x'}", "knowledge.postgres_url"),
    ("knowledge: {postgres_url: 'postgres://db/k?sslmode=maybe'}", "knowledge.postgres_url"),
    ("knowledge: {postgres_url_file: /nonexistent}", "knowledge.postgres_url_file"),
    ("knowledge: {outcome_history_limit: 0}", "knowledge.outcome_history_limit"),
    ("knowledge: {retention: 0}", "knowledge.retention"),
    ("alertmanager: {webhook_port: -1}", "alertmanager.webhook_port"),
    ("alertmanager: {webhook_port: 65536}", "alertmanager.webhook_port"),
    ("alertmanager: {webhook_path: alerts}", "alertmanager.webhook_path"),
    ("alertmanager: {webhook_path: '/{*all}'}", "alertmanager.webhook_path"),
    ("alertmanager: {webhook_port: 8001, webhook_path: /metrics}", "alertmanager.webhook_path"),
    ("alertmanager: {webhook_port: 8001, webhook_host: 0.0.0.0}", "alertmanager.webhook_host"),
    ("alertmanager: {webhook_host: 'localhost:5000'}", "alertmanager.webhook_host"),
    ("alertmanager: {max_body_bytes: 99999999999}", "alertmanager.max_body_bytes"),
    ("alertmanager: {handlers: [{pattern: ''}]}", "alertmanager.handlers[0].pattern"),
    ("alertmanager: {handlers: [{cause: x}]}", "alertmanager.handlers[0]"),
    ("alertmanager: {handlers: [{pattern: x, rule: latency}]}", "alertmanager.handlers[0].rule"),
    ("alertmanager: {ignore: [1]}", "alertmanager.ignore[0]"),
    ("alertmanager: {severities: {page: loud}}", "alertmanager.severities.page"),
    ("alertmanager: {severities: {WAKE: critical, wake: warning}}", "alertmanager.severities.wake"),
    ("alertmanager: {severities: {\"\": info}}", "alertmanager.severities."),
    ("api: {token: ''}", "api.token"),
    ("api: {stall_after: 0}", "api.stall_after"),
    ("logging: {format: xml}", "logging.format"),
    ("logging: {max_bytes: 0}", "logging.max_bytes"),
    ("logging: {level: 'info,=x=y'}", "logging.level"),
    ("5", ""),
    ("- a\n- b", ""),
];

#[test]
fn a51_the_impossible_is_refused() {
    for (text, path) in IMPOSSIBLE {
        assert_eq!(refused(text), [(*path).to_owned()].to_vec(), "{text}\n{:?}", parse(text));
    }
}

/// Issue 14: whoever reaches the webhook starts cycles; where nobody approves what they do, that is this machine or whoever has
/// the token.
#[test]
fn auto_approve_with_an_open_webhook_is_refused_with_both_ways_out() {
    let with = |auto: &str, webhook: &str| {
        parse(&format!("orchestrator: {{{auto}}}\nalertmanager: {{{webhook}}}"))
    };
    for auto in ["auto_approve: true", "mode: staging"] {
        for host in ["0.0.0.0", "10.0.0.7", "'::'", "mape-k.internal"] {
            let error = with(auto, &format!("webhook_host: {host}")).expect_err(host).to_string();
            for said in
                ["alertmanager.webhook_token", "webhook_token_file", "webhook_host: 127.0.0.1"]
            {
                assert!(error.contains(said), "{auto}, {host}: {error}");
            }
        }
        for fine in [
            "",
            "webhook_host: 127.0.0.1",
            "webhook_host: '::1'",
            "webhook_host: localhost",
            "webhook_host: 127.8.0.1",
            "webhook_host: 0.0.0.0, webhook_token: secret",
            "webhook_host: 0.0.0.0, enabled: false",
        ] {
            with(auto, fine).unwrap_or_else(|errors| panic!("{auto}, {fine}: {errors}"));
        }
        // On the API's listener it has the API's address.
        let shared = |api: &str| {
            parse(&format!(
                "orchestrator: {{{auto}}}\nalertmanager: {{webhook_port: 8001}}\napi: {{{api}}}"
            ))
        };
        let open = shared("host: 0.0.0.0").expect_err("open").to_string();
        assert!(open.contains("alertmanager.webhook_token"), "{open}");
        shared("").expect("the default is this machine alone");
    }
    for asks in ["auto_approve: false", "mode: production", "mode: staging, auto_approve: false"] {
        with(asks, "webhook_host: 0.0.0.0").unwrap_or_else(|errors| panic!("{asks}: {errors}"));
    }
    let env = |name: &str| (name == "MAPE_K_AUTO_APPROVE").then(|| "true".to_owned());
    let open = "alertmanager: {webhook_host: 0.0.0.0}";
    assert!(mape_k::config::Config::parse(open, &env).is_err(), "whatever says so");
}

#[test]
fn remedies_that_wait_for_each_other_are_refused() {
    let circle = "plan: {strategies: {x: [{action: scale_up, after: restart_service}, {action: restart_service, \
                  after: apply_policy}, {action: apply_policy, policy_set: a, after: scale_up}]}}";
    assert_eq!(refused(circle).len(), 3, "{:?}", parse(circle));
    let chain = "plan: {strategies: {x: [{action: scale_up}, {action: restart_service, after: scale_up}, \
                 {action: apply_policy, policy_set: a, after: restart_service}]}}";
    assert_eq!(refused(chain), Vec::<String>::new());
}

#[test]
fn a51_duplicate_keys_are_refused_with_both_lines() {
    let text = "api:\n  port: 1\n  port: 2\nplan:\n  cost_model: {scale_up: 0.1, scale_up: 0.2}\napi: {}\n";
    let report = parse(text).expect_err("refused").to_string();
    for told in [
        "api.port, line 3: given twice; first in line 2",
        "plan.cost_model.scale_up, line 5: given twice; first in line 5",
        "api, line 6: given twice; first in line 1",
    ] {
        assert!(report.contains(told), "{told}\n{report}");
    }
}

#[test]
fn every_section_refuses_unknown_keys() {
    let sections = [
        "orchestrator",
        "monitor",
        "analyze",
        "analyze.algorithms",
        "analyze.algorithms.temporal",
        "analyze.algorithms.spatial",
        "analyze.algorithms.causal",
        "analyze.algorithms.frequency",
        "analyze.algorithms.sustained",
        "analyze.flapping",
        "plan",
        "plan.scaling",
        "plan.give_back",
        "execute",
        "knowledge",
        "alertmanager",
        "api",
        "kubernetes",
        "escalation",
        "escalation.business_hours",
        "slack",
        "slack.channels",
        "notify",
        "notify.alertmanager",
        "github",
        "logging",
    ];
    for section in sections {
        let unknown = format!("{section}.zzz");
        assert_eq!(refused(&nested(&unknown, "1")), [unknown]);
    }
    assert_eq!(
        refused("monitor: {queries: [{name: a, promql: b, present: c, zzz: 1}]}"),
        ["monitor.queries[0].zzz"]
    );
    assert_eq!(
        refused("alertmanager: {handlers: [{pattern: a, zzz: 1}]}"),
        ["alertmanager.handlers[0].zzz"]
    );
    assert_eq!(
        refused("plan: {strategies: {x: [{action: scale_up, zzz: 1}]}}"),
        ["plan.strategies.x[0].zzz"]
    );
}

#[test]
fn what_is_doubtful_is_warned_about() {
    let warned = |text: &str| -> Vec<String> {
        let (_, warnings) = parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        warnings.into_iter().map(|warning| warning.path).collect()
    };
    assert_eq!(
        warned("orchestrator: {loop_interval: 61}"),
        ["orchestrator.loop_interval", "analyze.algorithms.temporal.window"]
    );
    assert_eq!(warned("orchestrator: {loop_interval: 60}"), Vec::<String>::new());
    assert_eq!(
        warned("monitor: {queries: [{name: a, promql: absent(up)}]}"),
        ["monitor.queries[0]"]
    );
    let metrics = "monitor: {metrics: [{name: a, metric: m, comparison: gt, threshold: 1, increase_over: 80}]}";
    let paths = warned(metrics);
    assert!(paths.contains(&"monitor.metrics[0].increase_over".to_owned()), "{paths:?}");
    // The shipped rules that the causal detector compares are gone.
    assert!(paths.contains(&"analyze.algorithms.causal.latency".to_owned()), "{paths:?}");
    assert_eq!(
        warned("plan: {strategies: {x: [{action: apply_policy}]}}"),
        ["plan.strategies.x[0]"]
    );
    assert_eq!(warned("api: {stall_after: 20}"), ["api.stall_after"]);
}

#[test]
fn broken_yaml_is_told_with_its_line() {
    let errors = parse("api:\n  port: [1\n").expect_err("refused");
    assert_eq!(errors.problems.len(), 1);
    assert!(matches!(errors.problems[0].origin, Origin::Line(2..=3)), "{errors}");
    assert!(errors.to_string().contains("not valid YAML"), "{errors}");
    // A bomb of aliases or of depth is bounded.
    assert!(parse(&format!("a: {}", "[".repeat(100_000))).is_err());
    let bomb: String = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        text + &format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)
    });
    assert!(parse(&bomb).is_err());
}

proptest! {
    #[test]
    fn a51_no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    /// Anything in the place of any value: refused or accepted, and what is accepted prints and loads again.
    #[test]
    fn a51_no_value_makes_it_panic(
        key in prop::sample::select(vec![
            "orchestrator: {loop_interval", "monitor: {metrics", "monitor: {scope", "monitor: {prometheus_url",
            "plan: {strategies", "plan: {cost_model", "execute: {settle", "alertmanager: {handlers",
            "alertmanager: {webhook_path", "logging: {level", "knowledge: {sqlite_path", "api: {host",
            "kubernetes: {kinds", "escalation: {business_hours", "slack: {channels", "github: {owner",
        ]),
        value in "[\\[\\]{}:, a-z0-9.*&!'\"\n-]{0,40}",
    ) {
        if let Ok((config, _)) = parse(&format!("{key}: {value}}}")) {
            let yaml = config.to_yaml().expect("prints");
            if !yaml.contains("***") {
                let again = parse(&yaml).map(|(config, _)| config);
                prop_assert_eq!(again, Ok(config));
            }
        }
    }
}
