//! A49: SIGTERM while an action is in hand, a second signal, and what is known of it afterwards.

use std::time::Duration;

use mape_k::actuators::charter::Call;
use serde_json::Value;
use tokio::time::Instant;

use super::daemon::{Daemon, Settings};
use super::stack::STAGING;
use super::target::Target;
use super::{SOON, SPEED};
use crate::fake_charter::{FakeCharter, StrategyOrder};
use crate::support::eventually::eventually;

/// The row's 10 s; a test fails at ten times it.
const STOPS_WITHIN: Duration = Duration::from_secs(100);

struct Scene {
    daemon: Daemon,
    charter: FakeCharter,
    _target: Target,
}

/// A latency that stays broken, and a Charter that treats the scaling as told: up to the moment it is asked to scale.
async fn asked_to_scale(turn: StrategyOrder) -> Scene {
    let charter = FakeCharter::start().await;
    charter.script(Call::Scale, [turn]);
    let target = Target::start(2.0, 0.0, 3).await;
    let settings = Settings::scraping(&target.url, &charter.base, SPEED);
    let daemon = Daemon::start(settings, &STAGING).await;
    eventually(SOON, "Charter is asked to scale", async || {
        if charter.seen_of(Call::Scale).is_empty() { Err("not yet") } else { Ok(()) }
    })
    .await;
    Scene { daemon, charter, _target: target }
}

/// Starts the daemon again and returns the one execution that its store knows, after as many cycles as an action takes
/// to be planned: the fault is still there.
async fn remembered(scene: &mut Scene) -> Value {
    let asked = scene.charter.seen_of(Call::Scale).len();
    scene.daemon.start_again(&STAGING).await;
    scene.daemon.cycles(5).await;
    let executions = scene.daemon.list("executions").await.expect("executions");
    assert_eq!(executions.len(), 1, "{executions:?}");
    let calls = scene.charter.seen_of(Call::Scale);
    assert_eq!(calls.len(), asked, "the new process does not ask again");
    executions[0].clone()
}

/// An action of which nobody knows whether it took effect is a person's.
async fn a_person_is_told(scene: &Scene) {
    eventually(SOON, "outcome_unknown is open", async || {
        let open = scene.daemon.get("/api/v1/incidents?open=true").await?;
        let incidents = open["items"].as_array().into_iter().flatten();
        let mut needs =
            incidents.flat_map(|incident| incident["needs"].as_array().into_iter().flatten());
        match needs.find(|need| need["reason"] == "outcome_unknown") {
            Some(need) => {
                println!("A49 a person is told: {}", need["detail"]);
                Ok(())
            }
            None => Err(open.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn a49_an_action_that_is_answered_late_is_finished_before_the_daemon_leaves() {
    let mut scene = asked_to_scale(StrategyOrder::Late(Duration::from_secs(3))).await;
    let began = Instant::now();
    let finished = scene.daemon.stop(STOPS_WITHIN).await;
    println!("A49 finished and left after {:.2} s", began.elapsed().as_secs_f64());
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(scene.charter.replicas(), 5, "Charter has scaled");
    let execution = remembered(&mut scene).await;
    assert_eq!(execution["status"], "completed", "{execution}");
    assert_eq!(scene.charter.seen_of(Call::Scale).len(), 1, "and it is not asked again");
}

#[tokio::test]
async fn a49_an_action_that_is_never_answered_is_recorded_as_unknown() {
    let mut scene = asked_to_scale(StrategyOrder::Hang).await;
    let began = Instant::now();
    let finished = scene.daemon.stop(STOPS_WITHIN).await;
    println!("A49 gave up and left after {:.2} s", began.elapsed().as_secs_f64());
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let asked = scene.charter.seen_of(Call::Scale).len();
    let execution = remembered(&mut scene).await;
    println!("A49 the record after the restart: {execution}");
    let state = execution["actions"][0]["state"].as_str().unwrap_or_default();
    assert!(["unknown", "refused"].contains(&state), "{execution}");
    assert_eq!(asked, 1, "no second call while stopping");
    a_person_is_told(&scene).await;
}

#[tokio::test]
async fn a49_a_second_signal_ends_the_process_at_once_and_the_intent_is_known() {
    let mut scene = asked_to_scale(StrategyOrder::Hang).await;
    let process = scene.daemon.process();
    process.terminate();
    eventually(SOON, "the first signal is heard", async || {
        if process.stderr().contains("stopping") { Ok(()) } else { Err(process.tail()) }
    })
    .await;
    let began = Instant::now();
    let finished = scene.daemon.stop(STOPS_WITHIN).await;
    println!("A49 left after {:.3} s", began.elapsed().as_secs_f64());
    assert_eq!(finished.status.code(), Some(130), "{finished:?}");
    assert!(finished.stderr.contains("second signal"), "{}", finished.stderr);
    let execution = remembered(&mut scene).await;
    let key = scene.charter.seen_of(Call::Scale)[0].key.clone();
    assert_eq!(execution["actions"][0]["key"].as_str(), key.as_deref(), "{execution}");
    assert_eq!(execution["actions"][0]["state"], "unknown", "{execution}");
    a_person_is_told(&scene).await;
}
