//! Cycles as such: their order, outages of the source, starts, stalls and panics.

use std::time::Duration;

use mape_k::domain::cycle::{CycleStatus, Phase};
use reqwest::StatusCode;
use serde_json::json;

use super::fakes::Mood;
use super::world::World;
use crate::support::ports::free_port;

/// A01: every interval one cycle, and in each the five phases in their order.
#[tokio::test]
async fn a01_every_interval_the_five_phases_in_their_order() {
    let mut world = World::new().await;
    world.interval(Duration::from_secs(1));
    world.start().await;
    world.cycles(4).await;
    let reports = world.reports().await;
    assert!(reports.len() >= 4);
    for report in &reports {
        let phases: Vec<Phase> = report.phases.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(phases, Phase::ALL, "cycle {}", report.number);
        assert_eq!(report.status, CycleStatus::Healthy, "{:?}", report.error);
    }
    for pair in reports.windows(2) {
        let gap = pair[1].started_at - pair[0].started_at;
        println!("cycle {} began {gap} after the one before", pair[1].number);
        assert!(gap.num_milliseconds() >= 900, "cycles came in a burst");
    }
    world.stop().await;
}

/// A05: an outage of Prometheus is lived through, said, and acted on by nobody; it recovers by itself.
#[tokio::test]
async fn a05_an_outage_of_prometheus_is_said_and_not_acted_on() {
    tokio::join!(
        outage(Mood::Answers(500), "500"),
        outage(Mood::Hangs, "no whole answer"),
        outage(Mood::Gone, "refused"),
    );
}

async fn outage(mood: Mood, said: &str) {
    let mut world = World::new().await;
    world.config.monitor.query_timeout = Duration::from_millis(300);
    world.start().await;
    world.cycles(1).await;
    let healthy_until = world.iteration();
    // Broken and out of sight at once: what nobody could read is no reason to act.
    world.prometheus.be(mood).await;
    world.latency(1.5);
    world.cycles(3).await;
    let (_, state) = world.get("/api/v1/state").await;
    assert_eq!(state["last_status"], "failed", "{mood:?}");
    let error = state["last_error"].as_str().expect("an error").to_owned();
    println!("{mood:?}: {error}");
    assert!(error.contains(said), "{said:?} is not in {error}");
    let failed: Vec<_> =
        world.reports().await.into_iter().filter(|r| r.number > healthy_until + 1).collect();
    assert!(failed.len() >= 3);
    for report in failed {
        assert_eq!(report.status, CycleStatus::Failed);
        assert_eq!(report.phase, Some(Phase::Monitor));
        assert_eq!(report.execution_id, None);
    }
    assert_eq!(world.get("/health").await.0, StatusCode::OK);
    world.latency(0.2);
    world.prometheus.be(Mood::Well).await;
    world.cycles(1).await;
    let (_, state) = world.get("/api/v1/state").await;
    assert_eq!((&state["last_status"], &state["last_error"]), (&json!("healthy"), &json!(null)));
    assert!(world.changes().is_empty(), "{:?}", world.changes());
    world.stop().await;
}

/// A60: with Charter down the daemon is alive, not ready, and says why; nothing is called impossible for it.
#[tokio::test]
async fn a60_charter_down_is_degraded_and_not_ready() {
    let mut world = World::new().await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    world.config.execute.charter_url = Some(nobody.parse().expect("a URL"));
    world.config.execute.max_retries = 1;
    world.start().await;
    world.latency(1.5);
    world.cycles(4).await;
    let (status, health) = world.get("/health").await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &json!("degraded")), "{health}");
    assert_eq!(health["components"]["charter"]["status"], "degraded");
    let (status, ready) = world.get("/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let missing = ready["missing"].to_string();
    assert!(missing.contains("charter") && missing.contains("refused"), "{missing}");
    let verdict = world.verdict_on("scale_up").await;
    assert_eq!(
        (&verdict["verdict"], &verdict["reason"]),
        (&json!("held"), &json!("charter_unreachable"))
    );
    assert!(!world.is_open("remedies_exhausted").await);
    world.stop().await;
}

/// A60: a loop that stands still makes /health 503, and one that moves again makes it 200.
#[tokio::test]
async fn a60_a_stalled_loop_is_not_alive() {
    let mut world = World::new().await;
    world.config.monitor.query_timeout = Duration::from_secs(4);
    world.config.api.stall_after = Duration::from_millis(500);
    world.start().await;
    world.cycles(1).await;
    world.prometheus.be(Mood::Hangs).await;
    world
        .until("/health is 503", async || {
            world.get("/health").await.0 == StatusCode::SERVICE_UNAVAILABLE
        })
        .await;
    assert_eq!(world.get("/health").await.1["components"]["loop"]["status"], "stalled");
    world.prometheus.be(Mood::Well).await;
    world.until("/health is 200", async || world.get("/health").await.0 == StatusCode::OK).await;
    world.stop().await;
}

/// A64: a start, a restart on the same store and a restart of Prometheus find much broken and call none of it a cascade.
#[tokio::test]
async fn a64_starts_are_no_cascade() {
    let mut world = World::new().await;
    world.on_disk();
    world.ask_first();
    world.latency(1.5);
    for component in COMPONENTS_OF_THE_FAULT {
        world.failure_rate(component, 0.5);
    }
    for n in 0..5 {
        let labels = json!({"alertname": format!("Alert{n}"), "severity": "warning",
                            "cause": "system_overload", "component": format!("c{n}")});
        world.alertmanager.state().fire(&format!("f{n}"), &labels);
    }
    for start in 1..=2 {
        world.start().await;
        let delivered = json!({"alertname": "Alert0", "severity": "warning", "cause": "system_overload", "component": "c0"});
        world.deliver("firing", "f0", &delivered).await;
        world.cycles(4).await;
        assert!(world.violations().await.len() >= 9, "start {start}: all of it is active");
        no_cascade(&world).await;
        if start == 1 {
            world.stop().await;
        }
    }
    world.prometheus.be(Mood::Gone).await;
    world.cycles(3).await;
    world.prometheus.be(Mood::Well).await;
    world.cycles(3).await;
    no_cascade(&world).await;
    assert!(world.changes().is_empty());
    world.stop().await;
}

const COMPONENTS_OF_THE_FAULT: [&str; 3] = super::world::COMPONENTS;

async fn no_cascade(world: &World) {
    for analysis in world.items("analyses?limit=100").await {
        for pattern in analysis["patterns"].as_array().expect("patterns") {
            let kind = pattern["kind"].as_str().expect("a kind");
            assert!(!["temporal", "frequency"].contains(&kind), "{pattern}");
        }
    }
}

/// A panic inside a cycle is caught at its edge; three in a row end the process, which says so.
#[tokio::test]
async fn three_panics_in_a_row_end_the_daemon() {
    let mut world = World::new().await;
    // No configuration file gets so far: twice this is more than a duration holds.
    world.config.analyze.poll_interval = Duration::MAX;
    world.start().await;
    let error = world.ended().await.expect_err("it ended by itself").to_string();
    println!("{error}");
    assert!(error.contains("3 cycles in a row panicked") && error.contains("overflow"), "{error}");
    assert!(world.changes().is_empty());
}

/// A49: a source that hangs holds no stop up; nothing was decided, so nothing has to be finished.
#[tokio::test]
async fn a49_a_stop_does_not_wait_for_a_source_that_hangs() {
    let mut world = World::new().await;
    world.config.monitor.query_timeout = Duration::from_mins(2);
    world.start().await;
    world.cycles(1).await;
    world.prometheus.be(Mood::Hangs).await;
    // The loop is inside a read that does not end.
    world.prometheus.hangs().await;
    let began = std::time::Instant::now();
    world.stop().await;
    println!("stopped after {:?}", began.elapsed());
}
