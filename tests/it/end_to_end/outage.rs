//! Prometheus dies and comes back: nothing is done blind, everybody is told, and the loop recovers by itself.

use super::stack::{STAGING, Surroundings};
use super::{LATER, SOON};
use crate::support::eventually::eventually;

/// A05 on the real thing, with A64: the fault begins while Prometheus is dead, so that a loop that acted blind, or took
/// what it finds afterwards for a cascade, would show.
#[tokio::test]
async fn a05_prometheus_is_killed_and_comes_back() {
    let mut stack = Surroundings::start().await.with_daemon(&STAGING).await;
    stack.daemon.is_well().await;

    stack.prometheus.server.kill();
    stack.charter.inject("overload").await;
    eventually(SOON, "A05 three failed cycles", async || {
        let cycles = stack.daemon.list("cycles").await?;
        let failed = cycles.iter().filter(|cycle| cycle["status"] == "failed");
        let in_monitor = failed.filter(|cycle| cycle["phase"] == "monitor").count();
        if in_monitor >= 3 { Ok(()) } else { Err(format!("{in_monitor} failed")) }
    })
    .await;
    let state = stack.daemon.get("/api/v1/state").await.expect("a state");
    let error = state["last_error"].as_str().unwrap_or_default();
    println!("A05 last_error: {error}");
    assert!(error.contains(&stack.prometheus.server.address()), "it names who was asked: {error}");
    assert!(error.contains("prometheus_url"), "it names what to correct: {error}");
    let (status, health) = stack.daemon.ask("/health").await.expect("an answer");
    assert_eq!((status, &health["status"]), (200, &"degraded".into()), "{health}");
    assert_eq!(health["components"]["prometheus"]["status"], "degraded", "{health}");
    assert_eq!(health["components"]["charter"]["status"], "ok", "{health}");
    eventually(SOON, "A05 /ready says what is missing", async || {
        let (status, ready) = stack.daemon.ask("/ready").await?;
        let named = ready["missing"].to_string().contains("cycle");
        if status == 503 && named { Ok(()) } else { Err(format!("{status} {ready}")) }
    })
    .await;
    assert!(stack.daemon.process().ended().is_none(), "the process lives");
    assert_eq!(stack.daemon.list("executions").await, Ok(Vec::new()), "nothing is executed");
    assert_eq!(stack.charter.changes().await, Vec::<String>::new(), "nothing is called");

    stack.prometheus.server.start().await;
    eventually(LATER, "A05 ready again without anybody's help", async || {
        let (status, ready) = stack.daemon.ask("/ready").await?;
        if status == 200 { Ok(()) } else { Err(ready.to_string()) }
    })
    .await;
    let healed = eventually(LATER, "A05 what broke meanwhile is healed", async || {
        let outcomes = stack.daemon.list("outcomes").await?;
        outcomes.first().cloned().ok_or(stack.charter.changes().await.join(", "))
    })
    .await;
    assert_eq!(healed["outcome_type"], "success", "{healed}");
    let changes = stack.charter.changes().await;
    assert_eq!(changes, ["/api/v1/committee/scale {\"replicas\":5}"]);
    no_cascade(&stack.daemon.list("analyses").await.expect("analyses"));
    let (_, health) = stack.daemon.ask("/health").await.expect("an answer");
    assert_eq!(health["components"]["prometheus"]["status"], "ok", "{health}");
}

/// A64: none of these analyses found a temporal or a frequency pattern.
pub fn no_cascade(analyses: &[serde_json::Value]) {
    assert!(!analyses.is_empty(), "there is something to look at");
    for analysis in analyses {
        for pattern in analysis["patterns"].as_array().into_iter().flatten() {
            let kind = pattern["kind"].as_str().unwrap_or_default();
            assert!(!["temporal", "frequency"].contains(&kind), "{analysis}");
        }
    }
}
