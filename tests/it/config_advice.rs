//! Issue 16, point 3: `check-config` warns of disarmed guards, of a missing notifier, and of what leads nowhere. Each warning
//! has its twin: the same without it.

use std::os::unix::fs::PermissionsExt;

use mape_k::config::Config;

/// What is warned of, as `path: text`.
fn advice(text: &str) -> Vec<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let env = |name: &str| (name == "PATH").then(|| path.clone());
    let (config, _) = Config::parse(text, &env).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    config.advice().iter().map(ToString::to_string).collect()
}

const NOTIFIED: &str = "notify: {alertmanager: {enabled: true}}\n";

#[test]
fn nobody_is_notified_without_a_notifier() {
    let said = advice("");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("notify: no notifier is enabled: nobody is notified"), "{said:?}");
    assert!(said[0].contains("Enable slack or notify.alertmanager"), "{said:?}");
    assert_eq!(advice(NOTIFIED), Vec::<String>::new());
    let slack =
        "slack: {enabled: true, token: xoxb-1, channels: {critical: '#a', infrastructure: '#b'}}";
    assert_eq!(advice(slack), Vec::<String>::new());
}

#[test]
fn a_disarmed_guard_is_named_and_an_armed_one_is_not() {
    for (disarmed, armed, key) in [
        ("cooldown: {shortest: 0}", "cooldown: {shortest: 1}", "cooldown.shortest"),
        ("cooldown: {opposite: 0}", "cooldown: {opposite: 1}", "cooldown.opposite"),
        ("budget: {override_gap: 0}", "budget: {override_gap: 1}", "budget.override_gap"),
        ("budget: {per_hour: 120}", "budget: {per_hour: 119}", "budget.per_hour"),
        ("kubernetes: {per_hour: 1000}", "kubernetes: {per_hour: 20}", "kubernetes.per_hour"),
        ("fleet: {share: 1}", "fleet: {share: 0.9}", "fleet.share"),
        (
            "breaker: {degradations: 100, of: 100, ineffective: 100}",
            "breaker: {degradations: 100, of: 100, ineffective: 9}",
            "breaker",
        ),
        ("storm: {firing: 1, unhealthy: 1}", "storm: {firing: 1, unhealthy: 0.9}", "storm"),
        (
            "kubernetes: {storm: {not_ready: 1, sick: 1}}",
            "kubernetes: {storm: {not_ready: 1, sick: 0.5}}",
            "kubernetes.storm",
        ),
        (
            "kubernetes: {protected_namespaces: []}",
            "kubernetes: {protected_namespaces: [kube-*]}",
            "kubernetes.protected_namespaces",
        ),
        ("actions_per_incident: 100", "actions_per_incident: 9", "actions_per_incident"),
        ("failures_per_remedy: 100", "failures_per_remedy: 9", "failures_per_remedy"),
    ] {
        let with = |rails: &str| advice(&format!("{NOTIFIED}guardrails: {{{rails}}}"));
        let said = with(disarmed);
        assert_eq!(said.len(), 1, "{disarmed}: {said:?}");
        let start = format!("guardrails.{key}: the guard is disarmed: ");
        assert!(said[0].starts_with(&start), "{said:?}");
        assert_eq!(with(armed), Vec::<String>::new(), "{armed}");
    }
    let said = advice(&format!("{NOTIFIED}execute: {{rollback_enabled: false}}"));
    assert!(said[0].starts_with("execute.rollback_enabled: "), "{said:?}");
}

#[test]
fn a_cause_that_one_side_alone_names_is_said_with_what_was_meant() {
    let with = |cause: &str, treated: &str| {
        advice(&format!(
            "{NOTIFIED}monitor: {{queries: [{{name: r, promql: up, comparison: lt, threshold: 1, cause: {cause}}}]}}\n\
             plan: {{strategies: {{{treated}: [{{action: scale_up}}]}}}}"
        ))
    };
    let said = with("queue_full", "queue_fulll");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("rule r: ") && said[0].contains("did you mean queue_fulll?"),
        "{said:?}"
    );
    assert!(said[1].starts_with("plan.strategies.queue_fulll: "), "{said:?}");
    assert!(said[1].contains("did you mean queue_full?"), "{said:?}");
    assert_eq!(with("queue_full", "queue_full"), Vec::<String>::new());
    // What the analyzer and Kubernetes name by themselves.
    for own in ["system_overload", "crash_loop"] {
        let said =
            advice(&format!("{NOTIFIED}plan: {{strategies: {{{own}: [{{action: scale_up}}]}}}}"));
        assert_eq!(said, Vec::<String>::new());
    }
    let handler =
        advice(&format!("{NOTIFIED}alertmanager: {{handlers: [{{pattern: p, cause: nobodys}}]}}"));
    assert!(handler[0].contains("pattern p: no strategy"), "{handler:?}");
}

#[test]
fn a_program_of_a_hook_that_cannot_be_started_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("heal.sh");
    let with = |program: &str| {
        advice(&format!(
            "{NOTIFIED}hooks: [{{name: heal, component: cart, apply: [{program}], undo: [sh]}}]"
        ))
    };
    let file_name = file.to_str().expect("a plain path");
    let said = with(file_name);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("hooks[heal].apply: the program "), "{said:?}");
    std::fs::write(&file, "#!/bin/sh\n").expect("written");
    assert!(with(file_name)[0].contains("not an executable file"), "{:?}", with(file_name));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("allowed");
    assert_eq!(with(file_name), Vec::<String>::new());
    assert!(with("no-such-program-anywhere")[0].contains("in PATH"));
    assert_eq!(with("'true'"), Vec::<String>::new());
}

#[test]
fn prometheus_without_a_rule_watches_nothing() {
    let without = format!("{NOTIFIED}execute: {{charter_url: null}}");
    let said = advice(&without);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("monitor: no rule: nothing of Prometheus is watched"), "{said:?}");
    let rule = "monitor: {queries: [{name: r, promql: up, comparison: lt, threshold: 1}]}";
    assert_eq!(advice(&format!("{without}\n{rule}")), Vec::<String>::new());
}
