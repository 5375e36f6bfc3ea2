//! R03 in the whole daemon: Charter and a hook side by side, and a breaker that holds the one of them.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use mape_k::actuators::hook::{Hook, Verb};
use mape_k::domain::action::{ActionKind, HookName};
use mape_k::domain::cycle::{CandidateResult, Hold};
use mape_k::domain::ledger::{Breaker, Ledger, Tripped};
use mape_k::domain::rule::{Comparison, ComponentFrom, Measure, MetricRule, Rule, Severity};
use mape_k::domain::target::{System, Target};
use mape_k::domain::{Cause, Labels};
use mape_k::knowledge::Fact;
use mape_k::planner::Strategy;
use serde_json::json;

use super::world::World;

/// A world in which a hook restarts `cart` when its errors say so; where the hook leaves a line for each call.
async fn with_cart() -> (World, tempfile::TempDir) {
    let mut world = World::new().await;
    world.on_disk();
    let folder = tempfile::tempdir().expect("a folder");
    let name = HookName::new("restart-cart").expect("a name");
    let target =
        Target::Hook { hook: Some("restart-cart".to_owned()), component: "cart".to_owned() };
    let verb = |text: &str| {
        let text = format!("cd '{}'; {text}", folder.path().display());
        Verb::Command(["sh", "-c", &text].map(str::to_owned).into())
    };
    let mut hook = Hook::new(name, target, verb("echo restarted >> calls"));
    hook.probe = Some(verb("exit 0"));
    hook.undo = Some(verb("echo undone >> calls"));
    let config = &mut world.config;
    let spec = hook.spec();
    let strategy = Strategy::new(ActionKind::Hook(spec.name));
    config.plan.hooks.insert(ActionKind::Hook(spec.name), spec);
    config.plan.strategies.insert(Cause::new("cart_errors"), vec![strategy]);
    config.hooks.hooks.push(hook);
    config.hooks.inherited = [("PATH", std::env::var("PATH").expect("a PATH"))].into();
    Arc::make_mut(&mut config.analyze.systems).hooks.insert("cart".to_owned());
    let measure = MetricRule {
        metric: "cart_errors".to_owned(),
        labels: Labels::new(),
        aggregate: None,
        by: Vec::new(),
        increase_over: None,
        comparison: Comparison::Gt,
        threshold: 0.0,
    };
    let rule = Rule {
        name: "cart_errors".to_owned(),
        measure: Measure::Metric(measure),
        severity: Severity::Warning,
        component: ComponentFrom::Label("component".to_owned()),
        target: None,
        cause: Some(Cause::new("cart_errors")),
    };
    world.config.monitor.rules.push(rule.into());
    (world, folder)
}

fn calls(folder: &tempfile::TempDir) -> usize {
    let text = std::fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
    text.lines().filter(|line| *line == "restarted").count()
}

/// Opens the breaker of this system, in the form of this version or of the one before.
async fn tripped(world: &World, system: System, older: bool) {
    let now = world.now();
    let tripped =
        Tripped { at: now, until: now + TimeDelta::hours(1), why: "it did harm".to_owned() };
    let breaker = Breaker { counts_from: Some(now), tripped: Some(tripped) };
    let value = if older {
        json!({ "entries": [], "breaker": breaker, "storm": null })
    } else {
        let breakers = [(system, breaker)].into();
        serde_json::to_value(Ledger { breakers, ..Ledger::default() }).expect("JSON")
    };
    let mut batch = world.knowledge().batch();
    batch.put(&Fact { name: "ledger".to_owned(), value, at: now });
    world.knowledge().commit(batch).await.expect("a commit");
}

async fn page(world: &World) -> (String, String) {
    world.until("people are told", async || world.is_open("breaker").await).await;
    let open = world.items("needs?open=true").await;
    let told = open.iter().find(|e| e["reason"] == "breaker").expect("there");
    let text = |key: &str| told[key].as_str().expect("text").to_owned();
    (text("subject"), text("detail"))
}

/// Waits until a cycle reports this action as held by the breaker.
async fn held(world: &World, action: &str) {
    let open =
        |v: &CandidateResult| matches!(v, CandidateResult::Held { reason: Hold::BreakerOpen, .. });
    world
        .until("held by the breaker", async || {
            let reports = world.reports().await;
            let mut weighed = reports.iter().flat_map(|report| &report.candidates);
            weighed.any(|c| c.action.as_str() == action && open(&c.verdict))
        })
        .await;
}

/// Both are in trouble. Nothing holds either: both are treated, though neither has its result yet.
#[tokio::test]
async fn r03_charter_and_a_hook_are_worked_on_side_by_side() {
    let (mut world, folder) = with_cart().await;
    world.start().await;
    world.latency(1.5);
    world.set("cart_errors", &json!({ "component": "cart" }), 1.0);
    world
        .until("both are treated", async || {
            calls(&folder) == 1 && world.changes().iter().any(|c| c == "scale 5")
        })
        .await;
    world.stop().await;
}

/// A store of the version before with an open breaker: it is Charter's, and hooks go on.
#[tokio::test]
async fn r03_r11_charters_breaker_of_the_version_before_holds_charter_and_no_hook() {
    let (mut world, folder) = with_cart().await;
    world.start().await;
    tripped(&world, System::Charter, true).await;
    world.latency(1.5);
    world.set("cart_errors", &json!({ "component": "cart" }), 1.0);
    world.until("the hook is called", async || calls(&folder) == 1).await;
    // The report of the cycle that called it comes after the call.
    world.cycles(1).await;
    let (subject, detail) = page(&world).await;
    assert!(subject == "breaker" && detail.contains("nothing is done to Charter"), "{detail}");
    held(&world, "scale_up").await;
    assert_eq!(world.changes(), Vec::<String>::new(), "nothing was sent to Charter");
    let (_, state) = world.get("/api/v1/state").await;
    let standing = &state["standing"];
    assert!(standing["breaker_open_until"].is_string(), "{standing}");
    assert_eq!(standing["others"][0]["system"], "hook", "{standing}");
    assert!(standing["others"][0]["breaker_open_until"].is_null(), "{standing}");
    assert_eq!(standing["others"][0]["actions_in_hour"], 1, "{standing}");
    world.stop().await;
}

/// The other way round, over a restart; and the page of the one closes although the other's opens.
#[tokio::test]
async fn r03_the_breaker_of_hooks_holds_hooks_and_not_charter() {
    let (mut world, folder) = with_cart().await;
    world.config.plan.guardrails.breaker.open_for = Duration::from_mins(10);
    world.start().await;
    tripped(&world, System::Hook, false).await;
    world.stop().await;
    world.start().await;
    world.set("cart_errors", &json!({ "component": "cart" }), 1.0);
    world.latency(1.5);
    world.until("scaled", async || world.changes().iter().any(|c| c == "scale 5")).await;
    let (subject, detail) = page(&world).await;
    assert!(subject == "breaker of hook" && detail.contains("what hooks change"), "{detail}");
    held(&world, "hook/restart-cart").await;
    assert_eq!(calls(&folder), 0);
    // Charter's opens instead.
    tripped(&world, System::Charter, false).await;
    world
        .until("the other page", async || {
            let open = world.items("needs?open=true").await;
            let breakers = open.iter().filter(|e| e["reason"] == "breaker");
            breakers.map(|e| e["subject"].clone()).collect::<Vec<_>>() == [json!("breaker")]
        })
        .await;
    world.stop().await;
}

/// A cause whose only action treats another component reaches a person, who reads why; on its own component it is called.
#[tokio::test]
async fn r03_a_cause_that_no_action_treats_where_it_is_reaches_a_person() {
    let (mut world, folder) = with_cart().await;
    world.start().await;
    world.set("cart_errors", &json!({ "component": "checkout" }), 1.0);
    world.until("a person is told", async || world.is_open("unknown_cause").await).await;
    let open = world.items("needs?open=true").await;
    let told = open.iter().find(|e| e["reason"] == "unknown_cause").expect("there");
    let detail = told["detail"].as_str().expect("text");
    assert!(detail.contains("treat another target than checkout"), "{detail}");
    assert_eq!(calls(&folder), 0, "nothing is done to cart for it");
    world.set("cart_errors", &json!({ "component": "cart" }), 1.0);
    world.until("cart is restarted", async || calls(&folder) == 1).await;
    world.stop().await;
}
