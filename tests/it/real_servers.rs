//! The ground the end-to-end tests stand on: real servers start with the shipped files, answer, fail, and come back with
//! their data; waiting and child processes are bounded.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::support::config::Targets;
use crate::support::eventually::eventually;
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::prometheus::{Pace, Prometheus};

const SOON: Duration = Duration::from_secs(30);

fn nobody() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// Ground for A05: the outage is a real one, and afterwards the same address knows what was there before.
#[tokio::test]
async fn prometheus_comes_back_on_its_port_with_its_data_after_a_crash_and_after_a_stop() {
    let (charter, mape_k, alertmanager) = (nobody(), nobody(), nobody());
    let targets = Targets { charter: &charter, mape_k: &mape_k, alertmanager: &alertmanager };
    let pace = Pace { interval: Some(Duration::from_secs(1)), rule_for: None };
    let mut prometheus = Prometheus::start(&targets, &pace).await;
    let address = prometheus.server.address();
    let samples = async |prometheus: &Prometheus, at_least: f64| {
        eventually(SOON, &format!("{at_least} samples of charter"), async || {
            let result = prometheus.query("count_over_time(up{job=\"charter\"}[10m])").await?;
            let count: f64 = result
                .first()
                .and_then(|series| series["value"][1].as_str()?.parse().ok())
                .unwrap_or_default();
            if count >= at_least { Ok(count) } else { Err(count.to_string()) }
        })
        .await
    };
    let before = samples(&prometheus, 2.0).await;

    prometheus.server.kill();
    assert!(prometheus.query("up").await.is_err(), "a killed server must not answer");
    prometheus.server.start().await;
    assert_eq!(prometheus.server.address(), address);
    let after_crash = samples(&prometheus, before + 1.0).await;

    prometheus.server.stop().await;
    assert!(prometheus.query("up").await.is_err(), "a stopped server must not answer");
    prometheus.server.start().await;
    samples(&prometheus, after_crash + 1.0).await;
}

#[tokio::test]
#[should_panic(expected = "waited 200ms for the impossible; seen last: still not")]
async fn waiting_ends_with_what_was_awaited_and_seen_last() {
    eventually::<(), _>(Duration::from_millis(200), "the impossible", async || Err("still not"))
        .await;
}

#[tokio::test]
#[should_panic(expected = "waited 200ms for an answer")]
async fn waiting_ends_even_if_a_probe_hangs() {
    eventually::<(), String>(Duration::from_millis(200), "an answer", std::future::pending).await;
}

#[test]
fn a_free_port_is_handed_out_once() {
    let (first, second) = (free_port(), free_port());
    assert_ne!(first, second);
    TcpListener::bind(("127.0.0.1", first)).expect("the port is free");
}

#[tokio::test]
async fn a_child_process_is_heard_signalled_and_waited_for() {
    let script = "trap 'echo stopping; exit 3' TERM; echo started; echo trouble >&2; while :; do sleep 0.05; done";
    let mut process = Process::start("child", Command::new("sh").args(["-c", script]));
    eventually(SOON, "the child speaks", async || {
        if process.stdout() == "started\n" { Ok(()) } else { Err(process.tail()) }
    })
    .await;

    process.terminate();
    let finished = process.finished(SOON).await;

    assert_eq!(finished.status.code(), Some(3));
    assert_eq!(finished.stdout, "started\nstopping\n");
    assert_eq!(finished.stderr, "trouble\n");
}

#[tokio::test]
async fn a_child_process_dies_with_its_test() {
    let process = Process::start("sleeper", Command::new("sleep").arg("600"));
    let id = process.id().to_string();
    drop(process);
    let alive =
        Command::new("kill").args(["-s", "0", &id]).output().expect("the command kill exists");
    assert!(!alive.status.success(), "process {id} outlived its owner");
}

#[tokio::test]
async fn the_projects_binary_explains_itself() {
    let mut process = Process::start_mape_k(&["--help"], &[("LOG_LEVEL", "info")]);
    let finished = process.finished(SOON).await;
    assert!(finished.status.success(), "{finished:?}");
}
