//! S05, S06, S08, S10: the guards in the whole daemon, over restarts, and what people hear of them.

use std::time::Duration;

use mape_k::actuators::charter::Call;
use mape_k::domain::action::ActionKind;
use mape_k::domain::guard::Guard;
use mape_k::domain::ledger::Ledger;
use mape_k::domain::target::System;
use mape_k::planner::Strategy;
use mape_k::planner::guardrails::Mode as Guarded;
use serde_json::{Value, json};

use super::fakes::Mood;
use super::world::World;

const FLEET: [&str; 10] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];

fn reason(verdict: &Value) -> &str {
    verdict["reason"].as_str().unwrap_or("none")
}

/// Only the remedy that is asked for, for slow validation.
fn only(world: &mut World, strategies: Vec<Strategy>) {
    let cause = mape_k::domain::Cause::new("validation_latency");
    world.config.plan.strategies.insert(cause, strategies);
}

/// What was sent, without what only ended by its own time.
fn begun(world: &World) -> Vec<String> {
    world.changes().into_iter().filter(|change| change != "rollback").collect()
}

/// S10: everything is seen, weighed and reported; Charter gets not one POST; people hear what would be due.
#[tokio::test]
async fn s10_in_mode_observe_there_is_a_full_report_and_no_call() {
    let mut world = World::new().await;
    world.config.plan.guardrails.mode = Guarded::Observe;
    world.start().await;
    world.latency(1.5);
    world.policy_violations("p-1", 3.0);
    world.until("people are told", async || world.is_open("hands_tied").await).await;
    world.cycles(3).await;
    assert_eq!(world.changes(), Vec::<String>::new());
    assert!(world.charter.seen_of(Call::Validate).is_empty(), "not even asked");
    let verdict = world.verdict_on("scale_up").await;
    assert_eq!(reason(&verdict), "mode_observe", "{verdict}");
    let report = world.reports().await.pop().expect("a report");
    let weighed = report.candidates.iter().find(|c| c.action == ActionKind::ScaleUp);
    let weighed = weighed.expect("weighed all the same");
    assert!(
        weighed.score > 0.5
            && weighed.planned.is_some()
            && weighed.guards.len() == Guard::ALL.len()
    );
    assert!(world.metric("mape_k_blocked_total{reason=\"mode_observe\"}").await > 0);
    assert!(world.items("policies").await.is_empty(), "nothing to approve that would do nothing");
    world.stop().await;
}

/// S05: the budget is in the store: a restart refills nothing, an hour does.
#[tokio::test]
async fn s05_a_restart_does_not_refill_the_budget() {
    let mut world = World::new().await;
    world.on_disk();
    world.config.plan.guardrails.budget.per_hour = 1;
    world.config.plan.guardrails.budget.hour = Duration::from_secs(25);
    world.start().await;
    world.latency(1.5);
    world.until("people are told", async || world.is_open("budget").await).await;
    assert_eq!(begun(&world), ["scale 5"]);
    for _ in 0..3 {
        world.stop().await;
        world.start().await;
        world
            .until("held again", async || {
                world.iteration() > 1
                    && world.reports().await.pop().is_some_and(|r| !r.candidates.is_empty())
                    && reason(&world.verdict_on("throttle_requests").await) == "budget_exhausted"
            })
            .await;
    }
    assert_eq!(begun(&world), ["scale 5"], "a restart refilled the budget");
    world.until("the hour is over", async || begun(&world).len() == 2).await;
    assert_eq!(begun(&world), ["scale 5", "throttle_requests"]);
    world.stop().await;
}

/// S06: 8 of 13 components sick in one moment: nothing is done to any of them, one page, at most one throttle; it
/// stays a storm until both shares are below half of their limit for a while.
#[tokio::test]
async fn s06_a_storm_is_one_page_and_ends_with_hysteresis() {
    let mut world = World::new().await;
    world.rule_without_cause("disk");
    let sick = |world: &World, ill: usize| {
        let mut prometheus = world.prometheus.state();
        for (n, component) in FLEET.iter().enumerate() {
            let value = if n < ill { 0.5 } else { 0.01 };
            let labels = json!({"component": component});
            prometheus.set("westworld_charter_failure_rate", &labels, value);
            prometheus.set("disk", &labels, if n < ill { 1.0 } else { 0.0 });
        }
    };
    sick(&world, 0);
    world.start().await;
    world.cycles(3).await;
    sick(&world, 8);
    world.until("the page", async || world.is_open("storm").await).await;
    world.cycles(6).await;
    assert_eq!(world.open_escalations().await, ["storm"], "one page stands for all");
    let others = |changes: Vec<String>| {
        let (throttles, others): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|c| c == "throttle_requests");
        assert!(throttles.len() <= 1, "one throttle at most");
        others
    };
    assert_eq!(others(begun(&world)), Vec::<String>::new());
    assert_eq!(reason(&world.verdict_on("rebalance_load").await), "storm");
    assert!(world.metric("mape_k_blocked_total{reason=\"storm\"}").await > 0);

    // 4 of 13 are below the limit and above half of it: still a storm, for as long as it takes.
    sick(&world, 4);
    world.cycles(20).await;
    assert!(world.is_open("storm").await, "it left without hysteresis");
    assert_eq!(others(begun(&world)), Vec::<String>::new());

    // A good word and a relapse start the time anew.
    sick(&world, 0);
    world.cycles(3).await;
    assert!(world.is_open("storm").await, "it left at once");
    sick(&world, 2);
    world.until("the storm is over", async || !world.is_open("storm").await).await;
    world
        .until("what is left is treated", async || {
            begun(&world).iter().any(|change| change == "rebalance_load")
        })
        .await;
    world.stop().await;
}

/// S08: over restarts and incidents the same ineffective fix is not tried a fourth time, and the person who gets it
/// gets the whole history.
#[tokio::test]
async fn s08_an_ineffective_fix_is_not_tried_a_fourth_time() {
    let mut world = World::new().await;
    world.on_disk();
    only(&mut world, vec![Strategy::new(ActionKind::ScaleUp)]);
    world.start().await;
    world.latency(1.5);
    for tries in 1..=3 {
        world.until("another try", async || begun(&world).len() == tries).await;
        world.until("its verdict", async || world.items("outcomes").await.len() == tries).await;
        world.stop().await;
        world.start().await;
    }
    world.until("a person is told", async || world.is_open("remedies_exhausted").await).await;
    let open = world.items("needs?open=true").await;
    let told = open.iter().find(|e| e["reason"] == "remedies_exhausted").expect("there");
    let detail = told["detail"].as_str().expect("text");
    assert_eq!(detail.matches("scale_up at").count(), 3, "{detail}");
    assert_eq!(detail.matches("ineffective").count(), 3, "{detail}");
    // Long clear, so that it is a new incident.
    world.latency(0.2);
    world.until("it is over", async || !world.is_open("remedies_exhausted").await).await;
    world.latency(1.5);
    world.until("told anew", async || world.is_open("remedies_exhausted").await).await;
    world.cycles(5).await;
    assert_eq!(begun(&world).len(), 3, "{:?}", world.changes());
    world.stop().await;
}

/// The breaker opens by our own harm, over a restart; half-open it tries one reversible action, and closes by its
/// success.
#[tokio::test]
async fn s05_the_breaker_opens_by_harm_and_closes_by_one_good_action() {
    let mut world = World::new().await;
    world.on_disk();
    world.config.plan.guardrails.breaker.degradations = 1;
    world.config.plan.guardrails.breaker.open_for = Duration::from_secs(12);
    world.start().await;
    world.latency(1.5);
    world.until("scaled", async || begun(&world).len() == 1).await;
    // Worse than before.
    for component in ["validator", "enforcer"] {
        world.failure_rate(component, 0.5);
    }
    world.until("people are told", async || world.is_open("breaker").await).await;
    world.stop().await;
    world.start().await;
    world
        .until("held after the restart too", async || {
            world.reports().await.pop().is_some_and(|r| {
                r.candidates.iter().any(|c| c.action == ActionKind::ThrottleRequests)
            }) && reason(&world.verdict_on("throttle_requests").await) == "breaker_open"
        })
        .await;
    assert_eq!(begun(&world), ["scale 5"], "nothing new");
    for component in ["validator", "enforcer"] {
        world.failure_rate(component, 0.01);
    }
    world.until("one is tried, half-open", async || begun(&world).len() == 2).await;
    assert_eq!(begun(&world)[1], "throttle_requests");
    assert!(world.is_open("breaker").await, "not closed before its verdict");
    world.latency(0.2);
    world.until("closed", async || !world.is_open("breaker").await).await;
    let ledger: Option<Ledger> = world.knowledge().fact("ledger").await.expect("the store");
    assert_eq!(ledger.expect("kept").tripped(System::Charter), None);
    world.stop().await;
}

/// Nothing can be read for three intervals: people hear it, and hear when it is over.
#[tokio::test]
async fn blindness_is_told_and_ends() {
    let mut world = World::new().await;
    world.start().await;
    world.cycles(2).await;
    world.prometheus.be(Mood::Gone).await;
    world.until("told", async || world.is_open("blind").await).await;
    world.prometheus.be(Mood::Well).await;
    world.until("over", async || !world.is_open("blind").await).await;
    assert_eq!(world.changes(), Vec::<String>::new());
    world.stop().await;
}

/// Charter is away while a remedy is due: nobody can act, so people are told.
#[tokio::test]
async fn a_remedy_that_charter_cannot_be_given_is_told() {
    let mut world = World::new().await;
    world.config.execute.charter_url = Some("http://127.0.0.1:1".parse().expect("a URL"));
    world.start().await;
    world.latency(1.5);
    world.until("told", async || world.is_open("hands_tied").await).await;
    let open = world.items("needs?open=true").await;
    assert!(open[0]["detail"].as_str().expect("text").contains("scale_up"), "{open:?}");
    world.stop().await;
}
