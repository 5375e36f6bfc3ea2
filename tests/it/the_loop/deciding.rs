//! What is decided, and what is not: strategies, thresholds, ranks, a person's word, giving back.

use std::time::Duration;

use mape_k::actuators::charter::Call;
use mape_k::domain::cycle::{CandidateResult, Ineligibility};
use reqwest::StatusCode;
use serde_json::json;

use super::world::{COMPONENTS, World, verdict_on};
use crate::fake_charter::StrategyOrder;

/// A fault that its remedy heals: one call, judged a success, and nothing after it; nothing scales down by default.
#[tokio::test]
async fn a_fault_is_healed_by_one_call_and_judged_a_success() {
    let mut world = World::new().await;
    world.start().await;
    world.cycles(1).await;
    world.latency(1.5);
    world.until("scaled", async || !world.changes().is_empty()).await;
    world.latency(0.2);
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    let outcome = &world.items("outcomes").await[0];
    assert_eq!(
        (&outcome["outcome_type"], &outcome["action_type"]),
        (&json!("success"), &json!("scale_up"))
    );
    assert_eq!(
        (&outcome["violations_before"], &outcome["violations_after"]),
        (&json!(1), &json!(0))
    );
    world.cycles(5).await;
    assert_eq!(world.changes(), ["scale 5"]);
    assert!(world.open_escalations().await.is_empty());
    assert_eq!(world.get("/api/v1/state").await.1["last_status"], "healthy");
    world.stop().await;
}

/// A16: each of the four causes is met with its own action.
#[tokio::test]
async fn a16_each_cause_has_its_action() {
    let latency = remedy("validation_latency", |world| world.latency(1.5), "scale 5");
    let overload =
        remedy("system_overload", |world| world.failure_rate("enforcer", 0.5), "rebalance_load");
    let policy = remedy(
        "policy_misconfiguration",
        |world| world.policy_violations("p-1", 2.0),
        "apply_policy",
    );
    // Three beginnings at once, in three components, that name no cause.
    let cascade = remedy(
        "cascade_failure",
        |world| {
            for component in COMPONENTS {
                world.set("odd", &json!({"component": component}), 1.0);
            }
        },
        "throttle_requests",
    );
    tokio::join!(latency, overload, policy, cascade);
}

async fn remedy(cause: &str, fault: impl Fn(&World), action: &str) {
    let mut world = World::new().await;
    world.rule_without_cause("odd");
    for component in COMPONENTS {
        world.set("odd", &json!({"component": component}), 0.0);
    }
    // A busy machine stretches the time between two cycles.
    world.config.analyze.algorithms.temporal.window = Duration::from_secs(5);
    world.start().await;
    world.cycles(2).await;
    fault(&world);
    world.until(&format!("{cause} is treated"), async || !world.changes().is_empty()).await;
    assert_eq!(world.changes()[0], action, "{cause}");
    let executed = world.items("policies?approval=executed").await;
    assert_eq!(executed[0]["cause"], cause);
    world.stop().await;
}

/// A16: what names no cause is for a person; Charter is not called.
#[tokio::test]
async fn a16_an_unknown_cause_is_escalated_and_nothing_is_called() {
    let mut world = World::new().await;
    world.rule_without_cause("odd");
    world.set("odd", &json!({"component": "ledger"}), 0.0);
    world.start().await;
    world.cycles(1).await;
    world.set("odd", &json!({"component": "ledger"}), 1.0);
    world.until("it is escalated", async || world.is_open("unknown_cause").await).await;
    assert_eq!(world.metric("mape_k_escalations_total{reason=\"unknown_cause\"}").await, 1);
    world.cycles(4).await;
    assert_eq!(world.open_escalations().await, ["unknown_cause"]);
    let open = &world.items("needs?open=true").await[0];
    assert_eq!((&open["component"], &open["subject"]), (&json!("ledger"), &json!("odd")));
    world.set("odd", &json!({"component": "ledger"}), 0.0);
    world.until("it is closed", async || world.open_escalations().await.is_empty()).await;
    assert!(world.changes().is_empty());
    assert!(world.charter.seen_of(Call::Validate).is_empty());
    world.stop().await;
}

/// A18: without auto_approve nothing is sent until a person approves, and then by the next cycle.
#[tokio::test]
async fn a18_a_pending_policy_waits_for_a_person() {
    let mut world = World::new().await;
    world.ask_first();
    world.start().await;
    world.latency(1.5);
    world.until("it is pending", async || world.is_open("approval_needed").await).await;
    world.cycles(3).await;
    assert!(world.charter.seen().iter().all(|seen| seen.method == "GET"), "a POST before approval");
    let pending = world.items("policies?approval=pending").await;
    assert_eq!(pending.len(), 1, "{pending:?}");
    let (id, revision) = (pending[0]["id"].as_str().expect("an id"), &pending[0]["revision"]);
    assert_eq!(revision, 1, "the same decision is no new revision");
    let approve = format!("/api/v1/policies/{id}/approve");
    let decision = json!({"revision": revision, "by": "sre"});
    assert_eq!(world.post(&approve, &decision).await, StatusCode::OK);
    assert_eq!(world.post(&approve, &decision).await, StatusCode::CONFLICT);
    world.until("executed", async || !world.changes().is_empty()).await;
    world.cycles(1).await;
    let executed = world.items("policies?approval=executed").await;
    assert_eq!((&executed[0]["id"], &executed[0]["decided_by"]), (&json!(id), &json!("sre")));
    let decided_at: mape_k::domain::time::Time =
        serde_json::from_value(executed[0]["decided_at"].clone()).expect("a time");
    let reports = world.reports().await;
    let next = reports.iter().find(|r| r.started_at > decided_at).expect("a cycle after it");
    let acted = reports.iter().find(|r| r.execution_id.is_some()).expect("a cycle that acted");
    assert!(acted.number <= next.number, "{} after {}", acted.number, next.number);
    assert!(!world.is_open("approval_needed").await);
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// A rejection holds while the violation is there: nothing is proposed again, nothing is sent.
#[tokio::test]
async fn a_rejected_policy_holds() {
    let mut world = World::new().await;
    world.ask_first();
    world.start().await;
    world.latency(1.5);
    world.until("it is pending", async || world.is_open("approval_needed").await).await;
    let pending = &world.items("policies?approval=pending").await[0];
    let reject = format!("/api/v1/policies/{}/reject", pending["id"].as_str().expect("an id"));
    let decision = json!({"revision": pending["revision"], "by": "sre"});
    assert_eq!(world.post(&reject, &decision).await, StatusCode::OK);
    world.cycles(5).await;
    assert!(world.items("policies?approval=pending").await.is_empty());
    let verdict = world.verdict_on("scale_up").await;
    assert_eq!((&verdict["verdict"], &verdict["reason"]), (&json!("held"), &json!("rejected")));
    assert!(!world.is_open("approval_needed").await);
    assert!(world.changes().is_empty());
    world.stop().await;
}

/// A19: two occurrences are too few and three are enough; of a critical violation one is.
#[tokio::test]
async fn a19_three_occurrences_or_one_critical() {
    tokio::join!(two_are_too_few(), one_critical_is_enough());
}

async fn two_are_too_few() {
    let mut world = World::new().await;
    // So that the threshold alone decides.
    world.config.analyze.algorithms.sustained.cycles = 1;
    world.start().await;
    world.cycles(1).await;
    world.latency(1.5);
    world.until("it is treated", async || !world.changes().is_empty()).await;
    world.cycles(1).await;
    let mut occurrences = Vec::new();
    for candidate in world.reports().await.iter().flat_map(|r| &r.candidates) {
        if candidate.action.as_str() == "scale_up" && candidate.occurrences <= 3 {
            occurrences.push(candidate.occurrences);
            let too_few = matches!(
                candidate.verdict,
                CandidateResult::Ineligible { reason: Ineligibility::TooFewOccurrences, .. }
            );
            assert_eq!(too_few, candidate.occurrences < 3, "{candidate:?}");
        }
    }
    assert_eq!(occurrences, [1, 2, 3]);
    world.stop().await;
}

async fn one_critical_is_enough() {
    let mut world = World::new().await;
    world.start().await;
    world.cycles(1).await;
    world.policy_violations("p-1", 1.0);
    world.until("it is treated", async || !world.changes().is_empty()).await;
    world.cycles(1).await;
    let reports = world.reports().await;
    let acted = reports.iter().find(|r| r.execution_id.is_some()).expect("a cycle that acted");
    assert_eq!(acted.opened, 1, "in the very cycle that saw it begin");
    assert_eq!(acted.candidates[0].occurrences, 1);
    assert_eq!(world.changes()[0], "apply_policy");
    world.stop().await;
}

/// A20: of two remedies the one with the higher score reaches Charter; the other is in the report with its reason.
#[tokio::test]
async fn a20_only_the_best_is_executed_and_the_other_says_why_not() {
    let mut world = World::new().await;
    world.start().await;
    world.cycles(1).await;
    world.failure_rate("enforcer", 0.5);
    world.latency(1.5);
    world.until("one is chosen", async || !world.changes().is_empty()).await;
    world.cycles(1).await;
    let reports = world.reports().await;
    let acted = reports.iter().find(|r| r.execution_id.is_some()).expect("a cycle that acted");
    let chosen = verdict_on(acted, "scale_up");
    assert_eq!(chosen, json!({"verdict": "chosen"}));
    let other = verdict_on(acted, "rebalance_load");
    assert_eq!(
        (&other["verdict"], &other["by"]),
        (&json!("outranked"), &json!("scale_up")),
        "{other}"
    );
    assert!((other["score"].as_f64().expect("a score") - 0.6).abs() < 1e-9, "{other}");
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// Configured to, the loop steps back to the size it found, after a quiet time.
#[tokio::test]
async fn give_back_steps_back_to_the_recorded_size_and_is_patient() {
    tokio::join!(given_back(), a_refused_give_back_waits_for_another_quiet_time());
}

async fn given_back() {
    let world = gives_back(&[]).await;
    world.until("given back", async || world.changes().len() == 2).await;
    assert_eq!(world.changes(), ["scale 5", "scale 3"]);
    world.until("judged", async || world.items("outcomes").await.len() == 2).await;
    world.cycles(5).await;
    assert_eq!(world.changes().len(), 2, "there is nothing more to give back");
    assert!(world.open_escalations().await.is_empty());
}

/// A refused step back is not repeated in every cycle: it waits for another quiet time.
async fn a_refused_give_back_waits_for_another_quiet_time() {
    let refused = StrategyOrder::Answer(400, json!({"error": "not now", "code": "busy"}));
    let world = gives_back(&[StrategyOrder::Normal, refused]).await;
    world.until("refused", async || world.changes().len() == 2).await;
    world.cycles(3).await;
    assert_eq!(world.changes(), ["scale 5", "scale 3"], "again at once");
    assert_eq!(world.metric("mape_k_escalations_total{reason=\"action_failed\"}").await, 1);
    world.until("given back", async || world.changes().len() == 3).await;
    assert_eq!(world.charter.replicas(), 3);
}

/// A world whose fault was healed by scaling up, and where quiet has begun.
async fn gives_back(scaling: &[StrategyOrder]) -> World {
    let mut world = World::new().await;
    world.config.plan.give_back.after = Some(Duration::from_secs(2));
    world.charter.script(Call::Scale, scaling.iter().cloned());
    world.start().await;
    world.latency(1.5);
    world.until("scaled", async || !world.changes().is_empty()).await;
    world.latency(0.2);
    world
}
