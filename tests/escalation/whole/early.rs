//! R04: what is SEV-1 leaves before anything waits for Charter; the rest leaves at the end of the cycle, in one message.

use std::time::Duration;

use mape_k::actuators::charter::Call;
use mape_k::domain::decision::Sev;
use tokio::time::Instant;

use super::town::{Running, Town};
use crate::fake_charter::Turn;
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
    town.loops.charter.script(call, std::iter::repeat_n(Turn::Hang, 100));
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
async fn r04_charter_hangs_and_a_sev_1_leaves_while_a_milder_one_waits() {
    let town = hanging(Call::Health).await;
    town.deployment("payments", 0, 2, 3);
    town.deployment("search", 0, 2, 10);
    let mut running = town.start().await;
    let posted = posted_meanwhile(&town, &mut running, 1).await;
    assert!(posted.iter().any(|text| text.contains("payments")), "{posted:#?}");
    assert!(posted.iter().all(|text| !text.contains("search")), "{posted:#?}");
    running.stop().await;

    // The twin: with a Charter that answers both are told, in one cycle with one decision.
    let town = Town::new().await;
    town.deployment("payments", 0, 2, 3);
    town.deployment("search", 0, 2, 10);
    let mut running = town.start().await;
    let report = running.cycle().await;
    let decision = report.escalation_decision.expect("one decision");
    assert_eq!(decision.severity, Sev::Sev1);
    assert_eq!(decision.incidents.len(), 2, "of both passes: {decision:#?}");
    assert_eq!(decision.affected_services, ["payments", "search"]);
    assert_eq!(report.notifications_sent, 1);
    let posted: Vec<String> = town.posted().iter().map(text_of).collect();
    let about = |name: &str| posted.iter().filter(|text| text.contains(name)).count();
    assert_eq!((about("payments"), about("search")), (1, 1), "each once: {posted:#?}");
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
