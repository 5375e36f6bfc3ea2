//! Issue 14, "speed": a rehearsal at N times the speed of life, on real servers and refused before anything starts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::charter::Charter;
use super::daemon::Settings;
use super::stack::{STAGING, Surroundings};
use super::{LATER, SOON};
use crate::support::eventually::eventually;
use crate::support::ports::free_port;
use crate::support::process::{Finished, Process};

const SPEED: f64 = 30.0;

/// Ten times as long as it takes on an idle machine.
const HEALED: Duration = Duration::from_secs(600);

/// The shipped configuration, real Prometheus at a scrape interval of 1 s, and both daemons told `--speed 30`.
#[tokio::test]
async fn a_fault_is_healed_and_verified_within_minutes_at_thirty_times_the_speed_of_life() {
    let began = Instant::now();
    let mut stack = Surroundings::rehearsing(SPEED).await.with_daemon(&STAGING).await;
    stack.daemon.is_well().await;
    let injected = Instant::now();
    stack.charter.inject("overload").await;
    let outcome = eventually(HEALED, "the outcome of scale_up", async || {
        let outcomes = stack.daemon.list("outcomes").await?;
        let found = outcomes.iter().find(|outcome| outcome["action_type"] == "scale_up");
        found.cloned().ok_or_else(|| format!("{outcomes:?}"))
    })
    .await;
    println!(
        "healed and verified {:.1} s after the fault, {:.1} s after the start",
        injected.elapsed().as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    assert_eq!(outcome["outcome_type"], "success", "{outcome}");
    assert_eq!(outcome["cause"], "validation_latency", "{outcome}");
    assert_eq!(stack.charter.state().await["status"], "normal");

    let status = stack.daemon.get("/api/v1/status").await.expect("a status");
    assert_eq!(status["rehearsal_speed"], 30.0, "{status}");
    let url = format!("http://{}", stack.daemon.settings.api);
    let mut asked = Process::start_mape_k(&["status", "--url", &url], &[]);
    let said = asked.finished(SOON).await.stdout;
    assert!(said.contains("\nrehearsal at 30x"), "{said}");
    let log = stack.daemon.process().stderr();
    assert!(log.contains("rehearsal at 30x"), "{log}");
    assert!(
        log.lines().any(|line| line.contains("cycle") && line.contains("\"name\":\"rehearsal\"")),
        "every line of the loop carries it: {log}"
    );
}

/// One cycle of `mape-k run`, with these flags.
async fn run(settings: &Settings, flags: &[&str]) -> Finished {
    let file = settings.write();
    let mut args = vec!["run", "--once", "--config", file.to_str().expect("a plain path")];
    args.extend(flags);
    Process::start_mape_k(&args, &[]).finished(LATER).await
}

fn is_refused(finished: &Finished, with: &[&str]) {
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    for text in with {
        assert!(finished.stderr.contains(text), "{text}\n{}", finished.stderr);
    }
    assert!(!finished.stdout.contains("cycle"), "no cycle was run: {}", finished.stdout);
}

fn is_run(finished: &Finished) {
    assert!(!finished.stderr.contains("is refused"), "{}", finished.stderr);
    assert!(finished.stdout.contains("cycle "), "{finished:?}");
}

/// The reference Charter with or without its sandbox, read by scraping.
async fn scraped(args: &[&str]) -> (Process, Settings) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut all = vec!["charter", "--listen", &address];
    all.extend(args);
    let process = Process::start_mape_k(&all, &[]);
    let url = format!("http://{address}");
    eventually(SOON, "Charter answers", async || {
        reqwest::get(format!("{url}/health")).await.map(drop)
    })
    .await;
    let mut settings = Settings::scraping(&url, &url, 1.0);
    // These tests change the speed between two runs, which one store does not allow.
    settings.file["knowledge"]["database"] = json!("memory");
    (process, settings)
}

/// A Charter without /sandbox may be production.
#[tokio::test]
async fn a_target_that_answers_no_sandbox_calls_is_refused_until_a_person_says_it_is_a_rehearsal() {
    let (_charter, settings) = scraped(&[]).await;
    is_refused(&run(&settings, &["--speed", "30"]).await, &["/sandbox", "--rehearsal", "404"]);
    is_run(&run(&settings, &["--speed", "30", "--rehearsal"]).await);
    // In the world's own time there is nothing to refuse.
    is_run(&run(&settings, &["--speed", "1"]).await);
    is_run(&run(&settings, &[]).await);

    let (_charter, settings) = scraped(&["--sandbox"]).await;
    is_run(&run(&settings, &["--speed", "30"]).await);
    // With a key in front of /api/v1, too.
    let (_charter, mut settings) = scraped(&["--sandbox", "--api-key", "0123456789abcdef"]).await;
    settings.file["execute"]["charter_api_key"] = json!("0123456789abcdef");
    is_run(&run(&settings, &["--speed", "30"]).await);
}

/// A gateway that answers every path with the same page or the same list is no sandbox.
#[tokio::test]
async fn what_answers_every_path_alike_is_no_sandbox() {
    for body in [json!([]), json!({}), json!({"faults": []})] {
        let gateway = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(200).set_body_json(&body))
            .mount(&gateway)
            .await;
        let settings = Settings::scraping(&gateway.uri(), &gateway.uri(), 1.0);
        is_refused(&run(&settings, &["--speed", "30"]).await, &["may be production"]);
        let requests = gateway.received_requests().await.expect("recorded");
        assert!(requests.iter().all(|request| request.method == "GET"), "{requests:?}");
    }
    let gateway = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_string("<html>welcome</html>"))
        .mount(&gateway)
        .await;
    let settings = Settings::scraping(&gateway.uri(), &gateway.uri(), 1.0);
    is_refused(&run(&settings, &["--speed", "2"]).await, &["may be production"]);
}

/// A query API with one series for every metric, sampled every `interval` seconds; none: without a series.
async fn prometheus(interval: Option<u32>) -> MockServer {
    let server = MockServer::start().await;
    let answer = move |request: &Request| {
        let now = chrono::Utc::now().timestamp_millis() as f64 / 1000.0;
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let (kind, result) = match interval {
            _ if body.contains("query=time") => ("scalar", json!([now, now.to_string()])),
            Some(interval) if body.contains("%5B300s%5D") => {
                let count = 300 / interval;
                let values: Vec<Value> = (0..count)
                    .map(|n| json!([now - f64::from((count - n) * interval), "1"]))
                    .collect();
                (
                    "matrix",
                    json!([{"metric": {"__name__": "m", "component": "a"}, "values": values}]),
                )
            }
            Some(_) if body.contains("topk") => {
                ("vector", json!([{"metric": {"component": "a"}, "value": [now, "1"]}]))
            }
            Some(_) | None => ("vector", json!([])),
        };
        ResponseTemplate::new(200).set_body_json(
            json!({"status": "success", "data": {"resultType": kind, "result": result}}),
        )
    };
    Mock::given(path("/api/v1/query")).respond_with(answer).mount(&server).await;
    server
}

/// The shipped configuration over a Prometheus like this, beside a sandbox.
async fn scraped_by(interval: Option<u32>) -> (Charter, MockServer, Settings) {
    let (charter, prometheus) = (Charter::start_at(1.0).await, prometheus(interval).await);
    let mut settings = Settings::shipped(1.0);
    settings.file["monitor"]["prometheus_url"] = json!(prometheus.uri());
    settings.file["execute"]["charter_url"] = json!(charter.url());
    settings.file["alertmanager"]["enabled"] = json!(false);
    settings.file["knowledge"]["database"] = json!("memory");
    (charter, prometheus, settings)
}

#[tokio::test]
async fn a_speed_at_which_cycles_would_see_no_new_samples_is_refused_with_the_fastest_that_fits() {
    let (_charter, _prometheus, settings) = scraped_by(Some(15)).await;
    is_refused(
        &run(&settings, &["--speed", "30"]).await,
        &[
            "monitor.poll_interval 30 s / 30 = 1 s",
            "the scrape interval of 15 s",
            "--speed 2 is the fastest that fits",
            "increase_over of rule critical_policy_violations, 300 s / 30 = 10 s: holds 0.7 scrapes",
            "--speed 5 is the fastest that fits",
        ],
    );
    is_run(&run(&settings, &["--speed", "2"]).await);

    let (_charter, _prometheus, settings) = scraped_by(Some(1)).await;
    is_run(&run(&settings, &["--speed", "30"]).await);
    is_refused(
        &run(&settings, &["--speed", "31.7"]).await,
        &["--speed 30 is the fastest that fits"],
    );
}

#[tokio::test]
async fn a_speed_at_which_a_window_holds_fewer_than_four_scrapes_is_refused() {
    let (_charter, _prometheus, mut settings) = scraped_by(Some(1)).await;
    let rule = |window: u32| {
        json!([{"name": "errors", "metric": "errors_total", "increase_over": window, "comparison": "gt", "threshold": 0,
            "component": "shop"}])
    };
    settings.file["monitor"]["metrics"] = rule(90);
    is_refused(
        &run(&settings, &["--speed", "30"]).await,
        &[
            "increase_over of rule errors, 90 s / 30 = 3 s: holds 3.0 scrapes",
            "needs 4",
            "--speed 22.5",
        ],
    );
    settings.file["monitor"]["metrics"] = rule(120);
    is_run(&run(&settings, &["--speed", "30"]).await);

    // Own scrapes come once a cycle, whatever the speed.
    let (_charter, mut settings) = scraped(&["--sandbox"]).await;
    settings.file["monitor"]["metrics"] = rule(90);
    is_refused(
        &run(&settings, &["--speed", "3"]).await,
        &["holds 3.0 scrapes", "one each cycle", "shorten orchestrator.loop_interval"],
    );
    settings.file["monitor"]["metrics"] = rule(120);
    is_run(&run(&settings, &["--speed", "3"]).await);
}

#[tokio::test]
async fn without_samples_the_scrape_interval_must_be_told() {
    let (_charter, _prometheus, settings) = scraped_by(None).await;
    is_refused(
        &run(&settings, &["--speed", "30"]).await,
        &["how often the target is scraped cannot be found out", "--scrape-interval"],
    );
    is_run(&run(&settings, &["--speed", "30", "--scrape-interval", "1s"]).await);
    is_refused(
        &run(&settings, &["--speed", "30", "--scrape-interval", "2s"]).await,
        &["the scrape interval of 2 s (--scrape-interval)", "--speed 15 is the fastest"],
    );
}

#[tokio::test]
async fn a_speed_that_makes_durations_shorter_than_they_may_be_is_refused() {
    let (_charter, mut settings) = scraped(&["--sandbox"]).await;
    is_refused(
        &run(&settings, &["--speed", "600"]).await,
        &["orchestrator.loop_interval 30 s / 600 = 0.05 s: shorter than 0.1 s", "--speed 300"],
    );
    is_run(&run(&settings, &["--speed", "300"]).await);
    settings.file["plan"]["strategies"] =
        json!({"slow": [{"action": "throttle_requests", "duration_seconds": 20}]});
    is_refused(
        &run(&settings, &["--speed", "30"]).await,
        &[
            "plan.strategies.slow, throttle_requests, duration_seconds 20 s / 30 = 0.667 s",
            "--speed 20",
        ],
    );
    is_run(&run(&settings, &["--speed", "20"]).await);
    for speed in ["0", "0.5", "-3", "1001", "inf", "NaN", "fast"] {
        let refused = run(&settings, &[&format!("--speed={speed}")]).await;
        assert_eq!(refused.status.code(), Some(2), "{speed}: {refused:?}");
        assert!(refused.stderr.contains("a number from 1 to 1000"), "{speed}: {}", refused.stderr);
    }
}

#[tokio::test]
async fn rules_with_durations_in_their_own_promql_are_named_in_one_warning() {
    let (_charter, _prometheus, mut settings) = scraped_by(Some(1)).await;
    let query = |name: &str, promql: &str| json!({"name": name, "promql": promql, "comparison": "gt", "threshold": 1, "component": "shop"});
    settings.file["monitor"]["queries"] = json!([
        query("errors", "rate(errors_total[5m])"),
        query("depth", "max(depth{pod=~\"q-[0-9]+\"})"),
        query("growth", "depth - depth offset 10m"),
        {"name": "gone", "promql": "absent(up)", "present": "max_over_time(up[1h])", "component": "shop"},
    ]);
    let finished = run(&settings, &["--speed", "30"]).await;
    is_run(&finished);
    let warnings: Vec<&str> =
        finished.stderr.lines().filter(|line| line.contains("inside your own PromQL")).collect();
    assert_eq!(warnings.len(), 1, "{}", finished.stderr);
    assert!(warnings[0].contains("errors, growth, gone"), "{}", warnings[0]);
    assert!(!run(&settings, &[]).await.stderr.contains("inside your own PromQL"));
}

/// Issue 14: production's store is not for rehearsals, nor a rehearsal's for production.
#[tokio::test]
async fn a_store_serves_either_normal_runs_or_rehearsals() {
    let (_charter, mut settings) = scraped(&["--sandbox"]).await;
    settings.file["knowledge"]["database"] = json!("sqlite");
    let ways_out = ["of a normal run", "this process is a rehearsal", "Check the configuration"];
    is_run(&run(&settings, &[]).await);
    is_refused(&run(&settings, &["--speed", "30"]).await, &ways_out);
    is_refused(&run(&settings, &["--speed", "30", "--rehearsal"]).await, &ways_out);
    // It has left no mark, and at the speed of life it is a normal run.
    is_run(&run(&settings, &[]).await);
    is_run(&run(&settings, &["--speed", "1"]).await);

    settings.file["knowledge"]["sqlite_path"] = json!(settings.folder().join("rehearsal.db"));
    is_run(&run(&settings, &["--speed", "30"]).await);
    is_run(&run(&settings, &["--speed", "20", "--rehearsal"]).await);
    for flags in [&[][..], &["--speed", "1"]] {
        is_refused(
            &run(&settings, flags).await,
            &["of a rehearsal", "this process is a normal run", "Check the configuration"],
        );
    }
    settings.file["knowledge"]["database"] = json!("memory");
    is_run(&run(&settings, &[]).await);
    is_run(&run(&settings, &["--speed", "30"]).await);
}

/// Issue 14: the walk of the README, in one folder: a look first, which keeps nothing, then a rehearsal.
#[tokio::test]
async fn a_look_before_a_rehearsal_does_not_stand_in_its_way() {
    let (_charter, mut settings) = scraped(&["--sandbox"]).await;
    settings.file["knowledge"]["database"] = json!("sqlite");
    let file = settings.write();
    let args = ["observe", "--config", file.to_str().expect("a plain path")];
    let looked = Process::start_mape_k(&args, &[]).finished(LATER).await;
    // A counter has no increase yet after one look: unknown, which is 2.
    assert_eq!(looked.status.code(), Some(2), "{looked:?}");
    is_run(&run(&settings, &["--speed", "30"]).await);
}

/// Issue 14: the sandbox is asked as the executor asks, through what stands before Charter.
#[tokio::test]
async fn a_sandbox_behind_a_gateway_is_asked_with_the_credentials_of_execute() {
    let gateway = MockServer::start().await;
    for (asked, answer) in [("faults", json!([])), ("state", json!({"status": "normal"}))] {
        Mock::given(path(format!("/charter/sandbox/{asked}")))
            .and(header("authorization", "Bearer 0123456789abcdef"))
            .and(header("x-gate", "sesame"))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&gateway)
            .await;
    }
    let url = format!("{}/charter", gateway.uri());
    let mut settings = Settings::scraping(&url, &url, 1.0);
    settings.file["knowledge"]["database"] = json!("memory");
    settings.file["execute"]["charter_api_key"] = json!("0123456789abcdef");
    is_refused(&run(&settings, &["--speed", "30"]).await, &["404", "may be production"]);
    settings.file["execute"]["http"] = json!({"headers": {"X-Gate": "sesame"}});
    is_run(&run(&settings, &["--speed", "30"]).await);
    settings.file["execute"]["charter_api_key"] = json!("another-0123456789");
    is_refused(&run(&settings, &["--speed", "30"]).await, &["404", "may be production"]);
}
