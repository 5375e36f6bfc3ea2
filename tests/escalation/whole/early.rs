//! R04: a SEV-1 leaves before anything waits for Charter, in one message with what is due beside it; without one all leaves
//! at the end of the cycle.

use std::time::Duration;

use mape_k::actuators::charter::Call;
use mape_k::domain::cycle::CycleReport;
use mape_k::domain::decision::Sev;
use mape_k::domain::policy::Policy;
use mape_k::knowledge::Decision;
use tokio::time::Instant;

use super::town::{Running, Town};
use crate::fake_charter::StrategyOrder;
use crate::notify::fake_slack::Asked;

/// Ten times what R04 allows.
const WITHIN: Duration = Duration::from_secs(50);

/// Charter hangs for a minute, and the sources have as long.
async fn hanging(call: Call) -> Town {
    let mut town = Town::new().await;
    let config = &mut town.loops.config;
    config.monitor.query_timeout = Duration::from_mins(1);
    config.execute.timeout_seconds = Duration::from_mins(1);
    config.execute.policy_timeout = Duration::from_mins(1);
    config.monitor.poll_interval = Duration::from_millis(10);
    town.loops.charter.script(call, std::iter::repeat_n(StrategyOrder::Hang, 100));
    town
}

/// The texts posted while the cycle is under way; it must not end before `enough` are.
async fn posted_meanwhile(town: &Town, running: &mut Running, enough: usize) -> Vec<String> {
    let began = Instant::now();
    let mut posted = Vec::new();
    let watch = async {
        while posted.len() < enough {
            posted.extend(town.posted().iter().map(text_of));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Charter has been asked, and does not answer.
        town.loops.charter.hangs().await;
    };
    tokio::select! {
        report = running.cycle() => panic!("the cycle ended while Charter hung: {report:#?}"),
        () = watch => println!("left after {} ms", began.elapsed().as_millis()),
        () = tokio::time::sleep(WITHIN) => panic!("nothing left within {WITHIN:?}"),
    }
    posted
}

fn text_of(asked: &Asked) -> String {
    asked.shown()
}

#[tokio::test]
async fn r04_charter_hangs_and_a_sev_1_leaves_at_once() {
    let town = hanging(Call::Health).await;
    town.deployment("payments", 0, 2, 3);
    town.deployment("search", 0, 2, 10);
    let mut running = town.start().await;
    let posted = posted_meanwhile(&town, &mut running, 1).await;
    let [posted] = posted.as_slice() else { panic!("one message: {posted:#?}") };
    assert!(posted.contains("payments") && posted.contains("search"), "{posted}");
    running.stop().await;

    // The twin: with a Charter that answers both are told once, by one decision.
    let town = Town::new().await;
    town.deployment("payments", 0, 2, 3);
    town.deployment("search", 0, 2, 10);
    let mut running = town.start().await;
    let report = running.cycle().await;
    let decision = report.escalation_decision.expect("one decision");
    assert_eq!(decision.severity, Sev::Sev1);
    assert_eq!(decision.incidents.len(), 2, "{decision:#?}");
    assert_eq!(decision.affected_services, ["payments", "search"]);
    assert_eq!(report.notifications_sent, 1);
    let posted: Vec<String> = town.posted().iter().map(text_of).collect();
    assert_eq!(posted.len(), 1, "each once: {posted:#?}");
    running.cycle().await;
    assert!(town.posted().is_empty(), "nothing is told twice");
}

/// What the cycle itself brings is told at its end, and the report has one decision for both passes.
#[tokio::test]
async fn r04_the_decisions_of_both_passes_are_one_in_the_report() {
    let mut town = Town::new().await;
    town.loops.ask_first();
    town.loops.config.plan.plan_threshold = 1;
    town.loops.config.analyze.algorithms.sustained.cycles = 1;
    town.loops.latency(9.0);
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    let report = running.cycle().await;
    let decision = report.escalation_decision.expect("one decision");
    assert_eq!(decision.severity, Sev::Sev1);
    assert_eq!(decision.affected_services, ["charter", "payments"]);
    let mut incidents = decision.incidents.clone();
    incidents.sort();
    incidents.dedup();
    assert_eq!(incidents.len(), decision.incidents.len(), "each once: {:?}", decision.incidents);
    let posted: Vec<String> = town.posted().iter().map(text_of).collect();
    assert!(posted[0].contains("payments"), "{posted:#?}");
    assert!(posted.iter().any(|text| text.contains("mape-k approve")), "{posted:#?}");
    running.cycle().await;
    assert!(town.posted().is_empty(), "nothing is told twice");
}

/// The action itself hangs.
#[tokio::test]
async fn r04_an_action_that_hangs_delays_no_sev_1() {
    let mut town = hanging(Call::Scale).await;
    // So that the first cycle acts.
    town.loops.config.plan.plan_threshold = 1;
    town.loops.config.analyze.algorithms.sustained.cycles = 1;
    town.loops.latency(9.0);
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    let posted = posted_meanwhile(&town, &mut running, 1).await;
    assert!(posted.iter().any(|text| text.contains("payments")), "{posted:#?}");
}

/// R05: who was told of an incident hears in its thread, at once, that its approval was answered, and what came of it.
#[tokio::test]
async fn r05_an_answered_approval_is_said_in_the_thread_and_then_what_was_done() {
    let mut town = Town::new().await;
    town.loops.ask_first();
    town.loops.config.plan.plan_threshold = 1;
    town.loops.config.analyze.algorithms.sustained.cycles = 1;
    town.loops.latency(9.0);
    let mut running = town.start().await;
    let asked = running.cycle().await;
    assert_eq!(asked.notifications_sent, 1, "{:#?}", asked.escalation_decision);
    let told = town.posted();
    running.cycle().await;
    assert!(town.posted().is_empty(), "nothing is new");

    let knowledge = &running.parts.knowledge;
    let pending = knowledge.all::<Policy>(Some("pending")).await.expect("policies");
    let [policy] = pending.as_slice() else { panic!("{pending:#?}") };
    let (id, revision, now) = (policy.id, policy.revision, running.parts.handle.now());
    let decided = knowledge.decide_policy(id, revision, None, Decision::Approve, "sre", now).await;
    decided.expect("it is pending");
    running.cycle().await;
    let said: Vec<String> = town.posted().iter().map(text_of).collect();
    let [said] = said.as_slice() else { panic!("one brief update: {said:#?}") };
    assert!(said.contains("approved by sre, applying"), "{said}");
    assert!(said.contains("scale_up to 5 replicas: applied"), "{said}");
    assert!(!said.contains("Over"), "an answer resolves nothing: {said}");
    assert_eq!(told.len(), 1);

    town.loops.latency(0.2);
    let judged = |report: &CycleReport| !report.outcomes.is_empty();
    running.cycle_until("its result", judged).await;
    let said: Vec<String> = town.posted().iter().map(text_of).collect();
    assert!(said.iter().any(|text| text.contains("scale_up: success")), "{said:#?}");
}
