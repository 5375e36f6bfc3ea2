//! The section `hooks`: what is accepted and what follows from it, what is refused, all at once, and what is printed.

use std::time::Duration;

use mape_k::config::{Config, Warning};
use mape_k::domain::action::{ActionKind, HookName, Risk};
use mape_k::domain::target::Target;

use crate::config::{accepted, parse, printed};

const CART: &str = r"
orchestrator: {auto_approve: true}
hooks:
  - name: cart-read-only
    component: cart
    validate: [/opt/hooks/cart-mode, check]
    apply: [/opt/hooks/cart-mode, '$(not a shell)', '']
    probe: {url: 'https://me:hunter1@ops.example/probe?token=hunter2'}
    undo: {url: 'https://ops.example/undo', method: PUT}
    timeout: 20s
    cost: 0.4
    risk: high
    settle: 3m
    environment: [CART_TOKEN, NOT_SET]
    http: {bearer_token: hunter3}
  - name: drain
    target: kubernetes/shop/deployment/cart
    apply: [drain]
plan:
  cost_model: {hook/drain: 0.7}
  strategies:
    cart_overload:
      - {action: hook/cart-read-only}
      - {action: hook/drain, after: hook/cart-read-only}
execute: {settle: {hook/drain: 10}}
guardrails: {forbidden_actions: [hook/drain]}
";

fn with_environment(text: &str) -> (Config, Vec<Warning>) {
    let env = |name: &str| match name {
        "PATH" => Some("/usr/bin".to_owned()),
        "CART_TOKEN" => Some("hunter4".to_owned()),
        "SECRET_OF_THE_DAEMON" => Some("hunter5".to_owned()),
        _ => None,
    };
    Config::parse(text, &env).unwrap_or_else(|errors| panic!("{errors}"))
}

fn kind(name: &str) -> ActionKind {
    ActionKind::Hook(HookName::new(name).expect("a name"))
}

#[test]
fn r12_a_hook_is_an_action_with_cost_risk_settle_and_target() {
    let (config, warnings) = with_environment(CART);
    let (cart, drain) = (kind("cart-read-only"), kind("drain"));
    let spec = &config.plan.hooks[&cart];
    assert_eq!((spec.risk, spec.has_probe, spec.has_undo), (Risk::High, true, true));
    let component = "cart".to_owned();
    let hook = Some("cart-read-only".to_owned());
    assert_eq!(spec.target, Target::Hook { hook, component });
    assert!(!spec.asks(), "with probe and undo it may go out by itself");
    assert!(config.plan.hooks[&drain].asks(), "without them a person is asked");
    assert_eq!((config.plan.cost(cart), config.plan.cost(drain)), (0.4, 0.7));
    for (kind, seconds) in [(cart, 180), (drain, 10)] {
        assert_eq!(config.execute.settle(kind), Duration::from_secs(seconds));
        assert_eq!(config.plan.settle[&kind], Duration::from_secs(seconds));
    }
    assert_eq!(config.plan.hooks[&drain].target.to_string(), "kubernetes/shop/deployment/cart");
    assert_eq!(config.analyze.systems.hooks, ["cart".to_owned()].into());
    assert!(config.plan.guardrails.forbidden_actions.contains(&drain));
    assert!(config.execute.rails.forbidden.contains(&drain));
    assert_eq!(config.hooks.inherited, [("PATH", "/usr/bin".to_owned())].into());
    let told: Vec<&str> = warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert!(told.iter().any(|text| text.contains("NOT_SET is not set")), "{told:?}");
    assert!(told.iter().any(|text| text.contains("waits for `mape-k approve`")), "{told:?}");
    let (_, warnings) =
        with_environment(&CART.replace("auto_approve: true", "auto_approve: false"));
    let is_notified = warnings.iter().any(|warning| warning.text.contains("mape-k approve"));
    assert!(!is_notified, "where a person approves everything there is nothing to warn of");
}

/// Its settle time is divided with those of all actions; what it calls becomes no faster.
#[test]
fn r12_a_rehearsal_divides_its_settle_time_and_not_its_time_out() {
    let config = with_environment(CART).0.scaled(10.0);
    assert_eq!(config.execute.settle(kind("cart-read-only")), Duration::from_secs(18));
    assert_eq!(config.hooks.hooks[0].timeout, Duration::from_secs(20));
}

#[test]
fn r12_hooks_are_printed_without_their_secrets() {
    let (config, _) = with_environment(CART);
    let yaml = config.to_yaml().expect("prints");
    let debug = format!("{config:?}{:?}", config.hooks);
    for secret in ["hunter4", "hunter5", "hunter3"] {
        assert!(!yaml.contains(secret) && !debug.contains(secret), "{secret}\n{yaml}");
    }
    assert!(!yaml.contains("hunter"), "{yaml}");
    let cart = &printed(&config)["hooks"][0];
    assert_eq!(cart["probe"]["url"], "https://***@ops.example/probe?***");
    assert_eq!(cart["environment"], serde_json::json!(["CART_TOKEN", "NOT_SET"]));
    // The stars are no secrets.
    let errors = parse(&yaml).expect_err("refused").to_string();
    for path in ["hooks[0].probe.url", "hooks[0].http.bearer_token"] {
        assert!(errors.contains(path), "{path}\n{errors}");
    }
}

#[test]
fn r12_what_is_printed_of_hooks_loads_again_as_the_same() {
    let text = CART.replace("me:hunter1@", "").replace("?token=hunter2", "");
    let config = accepted(&text.replace("    http: {bearer_token: hunter3}\n", ""));
    let yaml = config.to_yaml().expect("prints");
    assert_eq!(accepted(&yaml), config, "{yaml}");
}

#[test]
fn r12_everything_wrong_with_hooks_is_told_at_once() {
    let text = "\
hooks:
  - {name: twice, component: a, apply: [x]}
  - {name: twice, component: b, apply: [x]}
  - {name: Has Space, component: a, apply: [x]}
  - {component: a, apply: [x]}
  - {name: both, component: a, target: kubernetes/shop/deployment/cart, apply: [x]}
  - {name: neither, apply: [x]}
  - {name: no-apply, component: a}
  - {name: empty, component: a, apply: []}
  - {name: shell, component: a, apply: 'rm -rf /'}
  - {name: blank, component: a, apply: ['']}
  - {name: number, component: a, apply: [x, 3]}
  - {name: nul, component: a, apply: [x, \"a\\0b\"]}
  - {name: url, component: a, apply: {url: 'ftp://x'}}
  - {name: no-url, component: a, apply: {method: POST}}
  - {name: method, component: a, apply: {url: 'http://x', method: FETCH}}
  - {name: risk, component: a, apply: [x], risk: severe}
  - {name: time, component: a, apply: [x], timeout: 0, settle: soon, cost: 2}
  - {name: key, component: a, apply: [x], prob: [x]}
  - {name: service, target: enforcer, apply: [x]}
  - {name: protected, target: kubernetes/kube-system/deployment/dns, apply: [x]}
  - {name: charter, component: charter, apply: [x]}
  - {name: own, component: a, apply: [x], environment: [MAPE_K_KEY, PATH, 'A=B']}
  - {name: lookalike, component: \"c\\u0430rt\", apply: [x]}
  - just-a-name
plan:
  strategies:
    slow: [{action: hook/nowhere}, {action: hook/twice, after: hook/gone}]
  cost_model: {hook/cost: 0.1}
execute: {settle: {hook/settle: 1}}
guardrails: {forbidden_actions: [hook/forbidden]}
";
    let errors = parse(text).expect_err("refused");
    let found: Vec<&str> = errors.problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        found,
        [
            "hooks[1].name",
            "hooks[2].name",
            "hooks[3]",
            "hooks[4].target",
            "hooks[5]",
            "hooks[6]",
            "hooks[7].apply",
            "hooks[8].apply",
            "hooks[9].apply[0]",
            "hooks[10].apply[1]",
            "hooks[11].apply[1]",
            "hooks[12].apply.url",
            "hooks[13].apply",
            "hooks[14].apply.method",
            "hooks[15].risk",
            "hooks[16].timeout",
            "hooks[16].cost",
            "hooks[16].settle",
            "hooks[17].prob",
            "hooks[18].target",
            "hooks[19].target",
            "hooks[20].component",
            "hooks[21].environment[0]",
            "hooks[21].environment[1]",
            "hooks[21].environment[2]",
            "hooks[22].component",
            "hooks[23]",
            "plan.strategies.slow[0].action",
            "plan.strategies.slow[1].after",
            "plan.cost_model.hook/cost",
            "execute.settle.hook/settle",
            "guardrails.forbidden_actions[0]",
        ],
        "{errors}"
    );
    let report = errors.to_string();
    for told in [
        "twice given twice",
        "neither component nor target",
        "given beside component; accepted: one of the two",
        "which no shell reads",
        "accepted: low, medium, high",
        "did you mean probe?",
        "hook/both",
        "kubernetes/<namespace>/<kind>/<name>",
    ] {
        assert!(report.contains(told), "{told}\n{report}");
    }
}

/// Where the configuration has no hook at all, what is accepted says where they come from.
#[test]
fn r12_a_strategy_without_hooks_is_told_of_the_section() {
    for text in ["hook/x", "hook/", "hook/UPPER"] {
        let errors = parse(&format!("plan: {{strategies: {{slow: [{{action: {text}}}]}}}}"));
        let report = errors.expect_err("refused").to_string();
        assert!(report.contains("hook/<name of one of hooks>"), "{report}");
    }
}

#[test]
fn r12_a_time_out_that_the_policys_time_cuts_is_warned_of() {
    let with = |timeout: &str, rest: &str| {
        let hook = "{name: drain, component: cart, apply: [drain], timeout: ";
        let (_, warnings) = with_environment(&format!("hooks: [{hook}{timeout}}}]\n{rest}"));
        warnings.iter().any(|w| w.to_string().contains("hook drain has a timeout of"))
    };
    assert!(with("60", "") && with("55", "execute: {max_retries: 1}"));
    assert!(!with("54", "") && !with("60", "execute: {policy_timeout: 120}"));
}
