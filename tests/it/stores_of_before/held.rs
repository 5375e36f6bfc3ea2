//! What kept the version before from acting keeps this one from it too: guards, a person's pause, a person's no.

use std::time::Duration;

use mape_k::planner::guardrails::Budget;
use serde_json::Value;

use super::{each, world};
use crate::the_loop::world::World;

async fn may_act(cases: &[&str], form: super::Form) -> World {
    let mut world = world(cases, form).await;
    world.config.plan.auto_approve = true;
    world.latency(1.5);
    world
}

#[tokio::test]
async fn r11_guards_and_people_hold_charter_as_before() {
    for (case, reason) in [
        ("breaker", "breaker_open"),
        ("storm", "storm"),
        ("budget", "budget_exhausted"),
        ("pause", "paused"),
        ("undone ground", "in_flight"),
        ("policy rejected", "rejected"),
    ] {
        each(async |form| {
            let mut world = may_act(&[case, "violation"], form).await;
            // A scaled hour would be over already.
            world.config.plan.guardrails.budget = Budget::default();
            world.config.plan.rejection_holds = Duration::from_hours(1);
            world.start().await;
            let held = async || {
                let Some(report) = world.reports().await.pop() else { return false };
                let verdicts: Vec<Value> = report
                    .candidates
                    .iter()
                    .map(|c| serde_json::to_value(&c.verdict).expect("JSON"))
                    .collect();
                verdicts.iter().any(|v| v["reason"] == reason)
            };
            world.until(&format!("{case} {form:?} holds it"), held).await;
            world.cycles(3).await;
            assert_eq!(world.changes(), [""; 0], "{case} {form:?}");
            world.stop().await;
        })
        .await;
    }
    // The same world without a reason acts.
    each(async |form| {
        let mut world = may_act(&["violation"], form).await;
        world.start().await;
        world.until("it acts", async || world.changes() == ["scale 5"]).await;
        world.stop().await;
    })
    .await;
}
