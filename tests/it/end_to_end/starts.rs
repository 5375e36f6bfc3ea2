//! Starts are no cascades, and a person decides where the shipped configuration says so.

use serde_json::Value;

use super::outage::no_cascade;
use super::stack::{Stack, Surroundings};
use super::{LATER, SOON};
use crate::support::eventually::eventually;
use crate::support::process::Process;

/// What A64 asks for at least: violations of the rules, and firing alerts.
const BROKEN: usize = 4;
const FIRING: usize = 5;

/// A64, then A18: the daemon meets a system that is broken already: at its first start, after its own crash, and after
/// Prometheus' crash. Mode production, as shipped: nothing is done until a person says so.
#[tokio::test]
async fn a64_what_is_found_broken_after_a_start_is_no_cascade_and_a_person_may_decide() {
    let surroundings = Surroundings::start().await;
    surroundings.charter.inject("overload").await;
    surroundings.charter.inject("misconfigured_policy").await;
    eventually(SOON, "A64 five alerts fire", async || {
        let alerts = surroundings.alertmanager.alerts().await?;
        if alerts.len() >= FIRING { Ok(()) } else { Err(format!("{alerts:?}")) }
    })
    .await;

    let mut stack = surroundings.with_daemon(&[]).await;
    sees_it_all_and_no_cascade(&stack, "after its start").await;

    stack.daemon.kill();
    stack.daemon.start_again(&[]).await;
    sees_it_all_and_no_cascade(&stack, "after its own crash").await;

    stack.prometheus.server.kill();
    eventually(SOON, "A64 the loop notices that Prometheus is gone", async || {
        let state = stack.daemon.get("/api/v1/state").await?;
        if state["last_status"] == "failed" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    stack.prometheus.server.start().await;
    sees_it_all_and_no_cascade(&stack, "after Prometheus' crash").await;

    assert_eq!(stack.charter.changes().await, Vec::<String>::new(), "nobody has approved anything");
    approving_heals(&stack).await;
}

async fn sees_it_all_and_no_cascade(stack: &Stack, when: &str) {
    stack.daemon.cycles(1).await;
    let broken = eventually(LATER, &format!("A64 sees all that is broken {when}"), async || {
        let state = stack.daemon.get("/api/v1/state").await?;
        let violations = stack.daemon.list("violations").await?;
        if state["last_status"] == "completed" && violations.len() >= BROKEN {
            Ok(violations.len())
        } else {
            Err(format!("{state} {violations:?}"))
        }
    })
    .await;
    println!("A64 {when}: {broken} violations");
    // What is wrong is looked at again before it may be called one or the other.
    stack.daemon.cycles(3).await;
    no_cascade(&stack.daemon.list("analyses").await.expect("analyses"));
}

/// The way that the escalation itself names.
async fn approving_heals(stack: &Stack) {
    let id = eventually(LATER, "A18 scale_up waits for a person", async || {
        let policies = stack.daemon.list("policies?approval=pending").await?;
        let waits = policies.iter().find(|p| p["actions"].to_string().contains("scale_up"));
        let id = waits.and_then(|policy| policy["id"].as_str()).map(str::to_owned);
        id.ok_or_else(|| format!("{policies:?}"))
    })
    .await;
    eventually(SOON, "the incident asks for the approval", async || {
        let open = stack.daemon.get("/api/v1/incidents?open=true").await?;
        let incidents = open["items"].as_array().into_iter().flatten();
        let mut needs =
            incidents.flat_map(|incident| incident["needs"].as_array().into_iter().flatten());
        let is_asked = needs
            .any(|need| need["reason"] == "approval_needed" && need["approval"]["policy"] == *id);
        if is_asked { Ok(()) } else { Err(open.to_string()) }
    })
    .await;
    let url = format!("http://{}", stack.daemon.settings.api);
    let mut approve = Process::start_mape_k(&["approve", &id, "--by", "alice", "--url", &url], &[]);
    let finished = approve.finished(SOON).await;
    assert!(finished.status.success(), "{finished:?}");
    println!("{}", finished.stdout);
    let outcome: Value = eventually(LATER, "A18 the approved action is judged", async || {
        let outcomes = stack.daemon.list("outcomes").await?;
        outcomes.first().cloned().ok_or("none yet".to_owned())
    })
    .await;
    assert_eq!(outcome["action_type"], "scale_up", "{outcome}");
    let changes = stack.charter.changes().await;
    assert_eq!(
        changes,
        ["/api/v1/committee/scale {\"replicas\":5}"],
        "nothing but what alice said"
    );
}
