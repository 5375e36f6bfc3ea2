//! D02: a fault goes in at Charter, and what the daemon made of it comes out of its API; and the kill switch.

use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::stack::{CHARTER, MAPE_K, SOON, compose, json, list, query, staging};

pub async fn d02_an_overload_is_healed_and_its_outcome_recorded() {
    // It waits for the outcome, prints when it saw what, and fails on any other than success.
    staging(&["heal"]);

    let outcome = list("outcomes?limit=1").await.expect("outcomes").remove(0);
    assert_eq!(outcome["outcome_type"], "success", "{outcome}");
    assert_eq!(outcome["action_type"], "scale_up", "{outcome}");
    assert_eq!(outcome["violations_after"], 0, "{outcome}");
    let executions = list("executions").await.expect("executions");
    assert_eq!(executions.len(), 1, "one policy, and nothing beside it: {executions:?}");
    assert_eq!(executions[0]["status"], "completed", "{executions:?}");

    let state = json(&format!("{CHARTER}/sandbox/state")).await.expect("Charter's true state");
    assert_eq!((&state["status"], &state["replicas"]), (&"normal".into(), &5.into()), "{state}");
    // Prometheus' rule, Alertmanager's route, the webhook by its name in the network.
    eventually(SOON, "D02 the alert of it has come by the webhook", async || {
        let taken = query("mape_k_alerts_total{outcome=\"accepted\"} > 0").await?;
        if taken.is_empty() { Err("none accepted".to_owned()) } else { Ok(()) }
    })
    .await;
    eventually(SOON, "D02 Prometheus has what was learned of it", async || {
        let learned = query("mape_k_remedy_runs > 0").await?;
        if learned.is_empty() { Err("no run is counted".to_owned()) } else { Ok(()) }
    })
    .await;
}

pub async fn a_person_stops_it_by_the_command_that_the_file_names() {
    let asked = json!({"by": "ada", "reason": "to see", "duration_seconds": 60});
    let refused = reqwest::Client::new()
        .post(format!("{MAPE_K}/api/v1/pause"))
        .json(&asked)
        .send()
        .await
        .expect("an answer");
    assert_eq!(refused.status(), 401, "a published port is no proof of who asks");

    let pause = ["pause", "--reason", "to see", "--for", "1m", "--by", "ada"];
    exec(&pause);
    let state = json(&format!("{MAPE_K}/api/v1/state")).await.expect("the state");
    assert_ne!(state["paused"], Value::Null, "{state}");
    exec(&["resume", "--by", "ada"]);
    let state = json(&format!("{MAPE_K}/api/v1/state")).await.expect("the state");
    assert_eq!(state["paused"], Value::Null, "{state}");
}

fn exec(command: &[&str]) {
    let args = [&["exec", "-T", "mape-k", "mape-k"], command].concat();
    println!("{}", compose(&args).unwrap_or_else(|said| panic!("{said}")));
}
