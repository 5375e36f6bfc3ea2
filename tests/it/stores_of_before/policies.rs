//! What people had decided, or were asked, before the upgrade.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Form, each, world};
use crate::the_loop::world::World;

/// A scaled life of a proposal would be over already.
async fn decided(cases: &[&str], form: Form) -> World {
    let mut world = world(cases, form).await;
    world.config.plan.approval_ttl = Duration::from_hours(1);
    world.latency(1.5);
    world
}

async fn acted(world: &World, case: &str) -> Value {
    world.until(case, async || !world.changes().is_empty()).await;
    world.cycles(2).await;
    assert_eq!(world.changes(), ["scale 5"], "{case}");
    world.items("executions").await.remove(0)
}

#[tokio::test]
async fn r11_an_approval_of_the_version_before_is_proposed_anew_and_one_of_today_holds() {
    each(async |form| {
        let mut world = decided(&["policy approved", "violation"], form).await;
        world.start().await;
        if form == Form::Today {
            let execution = acted(&world, "policy approved").await;
            assert_eq!(execution["approved_by"], "ada", "{form:?}: {execution}");
        } else {
            world.until("asked anew", async || world.is_open("approval_needed").await).await;
            world.cycles(3).await;
            assert_eq!(world.changes(), [""; 0], "{form:?}");
            let pending = world.items("policies?approval=pending").await.remove(0);
            let need = world.items("needs?open=true").await.remove(0);
            let asked = &need["approval"];
            assert_eq!(asked["policy"], pending["id"], "{form:?}: {need}");
            assert_eq!(asked["revision"], pending["revision"], "{form:?}: {need}");
            let hash = pending["plan_hash"].as_str().expect("a hash");
            assert_eq!(asked["hash"], hash[..8], "{form:?}: {need}");
            assert!(asked["expires_at"].is_string(), "{form:?}: {need}");
        }
        world.stop().await;
    })
    .await;
    // Its twin: approved with other parameters than it has now.
    each(async |form| {
        let mut world = decided(&["policy changed since", "violation"], form).await;
        world.start().await;
        world.until("asked anew", async || world.is_open("approval_needed").await).await;
        world.cycles(3).await;
        assert_eq!(world.changes(), [""; 0], "{form:?}");
        world.stop().await;
    })
    .await;
}

#[tokio::test]
async fn r11_what_the_loop_had_approved_itself_goes_out_while_it_may_act_by_itself() {
    each(async |form| {
        let mut world = decided(&["policy approved by itself", "violation"], form).await;
        world.config.plan.auto_approve = true;
        world.start().await;
        assert_eq!(acted(&world, "by itself").await["approved_by"], "auto", "{form:?}");
        world.stop().await;
    })
    .await;
}

#[tokio::test]
async fn r11_a_pending_proposal_is_still_there_to_be_approved() {
    each(async |form| {
        let mut world = decided(&["policy pending", "violation"], form).await;
        world.start().await;
        world.cycles(3).await;
        assert_eq!(world.changes(), [""; 0], "{form:?}");
        let pending = world.items("policies?approval=pending").await;
        assert_eq!(pending.len(), 1, "{form:?}: {pending:?}");
        let id = pending[0]["id"].as_str().expect("an id");
        assert!(id.starts_with("10000000-"), "{form:?}: it is that one: {id}");
        let decision = json!({"revision": pending[0]["revision"], "by": "bob"});
        let answer = world.post(&format!("/api/v1/policies/{id}/approve"), &decision).await;
        assert_eq!(answer, StatusCode::OK);
        assert_eq!(acted(&world, "pending").await["policy_id"], id);
        world.stop().await;
    })
    .await;
}
