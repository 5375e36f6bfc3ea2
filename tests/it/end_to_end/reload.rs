//! R09: the configuration is reloaded by SIGHUP and by `POST /-/reload`: valid, invalid, unchangeable, in the middle of an
//! action, many at once, while the daemon stops.

use std::sync::Arc;
use std::time::Duration;

use mape_k::actuators::charter::Call;
use serde_json::{Value, json};
use tokio::sync::Notify;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::daemon::{Daemon, Settings};
use super::stack::STAGING;
use super::target::Target;
use super::{LATER, SOON, SPEED};
use crate::fake_charter::{FakeCharter, StrategyOrder};
use crate::support::eventually::eventually;
use crate::support::process::Process;

const SUCCESSFUL: &str = "mape_k_config_last_reload_successful";
const RELOADED_AT: &str = "mape_k_config_last_reload_success_timestamp_seconds";

struct Scene {
    daemon: Daemon,
    charter: FakeCharter,
    _target: Target,
}

/// A system in which nothing is wrong by the shipped rules; `change` is made to the configuration before the start.
async fn healthy(latency: f64, change: impl FnOnce(&mut Value)) -> Scene {
    let charter = FakeCharter::start().await;
    let target = Target::start(latency, 0.0, 3).await;
    let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
    change(&mut settings.file);
    let daemon = Daemon::start(settings, &STAGING).await;
    daemon.cycles(1).await;
    Scene { daemon, charter, _target: target }
}

/// A rule that any throughput breaks, and that no strategy treats.
fn add_rule(file: &mut Value, name: &str) {
    let rule = json!({
        "name": name, "metric": "westworld_charter_throughput_ops_per_sec", "comparison": "gt", "threshold": 1,
        "component": "shop",
    });
    let rules = &mut file["monitor"]["metrics"];
    if rules.is_null() {
        *rules = json!([]);
    }
    rules.as_array_mut().expect("a list").push(rule);
}

async fn hash(daemon: &Daemon) -> String {
    let health = daemon.get("/health").await.expect("200");
    health["config_hash"].as_str().expect("a hash").to_owned()
}

async fn other_hash(daemon: &Daemon, before: &str) -> String {
    eventually(SOON, "another configuration applies", async || {
        let now = hash(daemon).await;
        if now == before { Err(now) } else { Ok(now) }
    })
    .await
}

/// Does a violation of the rule stand?
async fn violated(daemon: &Daemon, rule: &str) -> bool {
    let all = daemon.list("violations").await.expect("violations");
    all.iter().any(|violation| violation["rule"] == rule && violation["cleared_at"].is_null())
}

async fn becomes_violated(daemon: &Daemon, rule: &str) {
    eventually(SOON, &format!("{rule} is violated"), async || {
        if violated(daemon, rule).await { Ok(()) } else { Err("not yet") }
    })
    .await;
}

/// Waits for the series to have this value.
async fn shows(daemon: &Daemon, series: &str, wanted: f64) {
    eventually(SOON, &format!("{series} is {wanted}"), async || {
        let value = daemon.metric(series).await?;
        if (value - wanted).abs() < f64::EPSILON { Ok(()) } else { Err(value.to_string()) }
    })
    .await;
}

async fn post(daemon: &Daemon, token: Option<&str>) -> (u16, Value) {
    let mut request = reqwest::Client::new()
        .post(format!("http://{}/-/reload", daemon.settings.api))
        .timeout(SOON);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.json().await.expect("JSON");
    println!("POST /-/reload: {status} {body}");
    (status, body)
}

#[tokio::test]
async fn r09_a_valid_reload_applies_and_an_invalid_one_changes_nothing() {
    let mut scene = healthy(0.01, |_| {}).await;
    let daemon = &mut scene.daemon;
    let first = hash(daemon).await;
    let started = daemon.metric(RELOADED_AT).await.expect("a time");
    assert_eq!(daemon.metric(SUCCESSFUL).await, Ok(1.0));
    assert!(!violated(daemon, "added").await);

    add_rule(&mut daemon.settings.file, "added");
    daemon.settings.write();
    daemon.process().signal("HUP");
    let second = other_hash(daemon, &first).await;
    becomes_violated(daemon, "added").await;
    assert_eq!(daemon.metric(SUCCESSFUL).await, Ok(1.0));
    assert!(daemon.metric(RELOADED_AT).await.expect("a time") > started);
    let status = daemon.get("/api/v1/status").await.expect("200");
    assert_eq!(status["config_hash"], json!(second));
    let shown = daemon.get("/api/v1/config").await.expect("200");
    assert!(shown["monitor"]["metrics"].to_string().contains("\"added\""), "{shown}");

    // Two errors, and a rule that must not appear.
    let valid = daemon.settings.file.clone();
    add_rule(&mut daemon.settings.file, "not_this_one");
    daemon.settings.file["guardrails"]["budget"]["per_hour"] = json!(-1);
    daemon.settings.file["orchestrator"]["loop_intervall"] = json!(3);
    daemon.settings.write();
    daemon.process().signal("HUP");
    shows(daemon, SUCCESSFUL, 0.0).await;
    let log = eventually(SOON, "the log says why", async || {
        let log = daemon.process().stderr() + &daemon.process().stdout();
        let lines: Vec<&str> =
            log.lines().filter(|line| line.contains("was not reloaded")).collect();
        if lines.len() == 1 { Ok(lines[0].to_owned()) } else { Err(log) }
    })
    .await;
    assert!(log.contains("ERROR"), "{log}");
    let (code, refused) = post(daemon, None).await;
    assert_eq!(code, 400, "{refused}");
    for problem in ["guardrails.budget.per_hour", "orchestrator.loop_intervall"] {
        assert!(log.contains(problem), "{problem}: {log}");
        assert!(refused["problems"].to_string().contains(problem), "{problem}: {refused}");
    }
    daemon.cycles(2).await;
    assert_eq!(hash(daemon).await, second);
    assert!(violated(daemon, "added").await, "the old one applies");
    assert!(!violated(daemon, "not_this_one").await);

    daemon.settings.file = valid;
    daemon.settings.file["guardrails"]["budget"]["per_hour"] = json!(5);
    daemon.settings.write();
    let (code, reloaded) = post(daemon, None).await;
    assert_eq!(code, 200, "{reloaded}");
    let changed = json!([{"key": "guardrails.budget.per_hour", "from": 6, "to": 5}]);
    assert_eq!(reloaded["changed"], changed, "{reloaded}");
    shows(daemon, SUCCESSFUL, 1.0).await;
    let third = other_hash(daemon, &second).await;
    assert_eq!(reloaded["config_hash"], json!(third));
    assert!(violated(daemon, "added").await, "what was open survives the reload");
}

#[tokio::test]
async fn r09_what_cannot_change_while_running_is_named_and_refuses_the_whole() {
    let mut scene = healthy(0.01, |_| {}).await;
    let daemon = &mut scene.daemon;
    let first = hash(daemon).await;
    let given = daemon.settings.file.clone();
    add_rule(&mut daemon.settings.file, "added");
    daemon.settings.file["api"]["stall_after"] = json!(77);
    daemon.settings.file["api"]["token"] = json!("a-token-of-many-characters");
    daemon.settings.file["knowledge"]["outcome_history_limit"] = json!(9);
    daemon.settings.file["orchestrator"]["leader_lease"] = json!(33);
    daemon.settings.file["logging"]["level"] = json!("debug");
    daemon.settings.write();
    let (code, refused) = post(daemon, None).await;
    assert_eq!(code, 409, "{refused}");
    assert!(refused["error"].to_string().contains("Restart the daemon to apply it"), "{refused}");
    let problems = refused["problems"].to_string();
    for key in [
        "api.stall_after: 300 → 77",
        "api.token: none → ***",
        "knowledge.outcome_history_limit",
        "orchestrator.leader_lease",
        "logging.level",
    ] {
        assert!(problems.contains(key), "{key}: {problems}");
    }
    assert!(!problems.contains("monitor"), "only what stands in the way: {problems}");
    shows(daemon, SUCCESSFUL, 0.0).await;
    daemon.cycles(2).await;
    assert_eq!(hash(daemon).await, first);
    assert!(!violated(daemon, "added").await, "all or nothing");

    // The twin: the same without them.
    daemon.settings.file = given;
    add_rule(&mut daemon.settings.file, "added");
    daemon.settings.write();
    assert_eq!(post(daemon, None).await.0, 200);
    becomes_violated(daemon, "added").await;
}

/// The bad day: the reload comes while Charter is asked to scale.
#[tokio::test]
async fn r09_a_reload_in_the_middle_of_an_action_waits_and_the_action_ends_once() {
    let charter = FakeCharter::start().await;
    let answers = Arc::new(Notify::new());
    charter.script(Call::Scale, [StrategyOrder::Until(answers.clone())]);
    let target = Target::start(2.0, 0.0, 3).await;
    let settings = Settings::scraping(&target.url, &charter.base, SPEED);
    let mut daemon = Daemon::start(settings, &STAGING).await;
    eventually(LATER, "Charter is asked to scale", async || {
        if charter.seen_of(Call::Scale).is_empty() { Err("not yet") } else { Ok(()) }
    })
    .await;
    let first = hash(&daemon).await;
    daemon.settings.file["execute"]["timeout_seconds"] = json!(9);
    daemon.settings.write();
    daemon.process().signal("HUP");
    eventually(SOON, "the reload is accepted", async || {
        let log = daemon.process().stderr() + &daemon.process().stdout();
        if log.contains("the configuration is reloaded") { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!(charter.replicas(), 3, "Charter has not answered yet");
    assert_eq!(hash(&daemon).await, first, "the action ends under the one it began with");
    answers.notify_one();
    target.set(0.01, 0.0, 3);
    other_hash(&daemon, &first).await;
    assert_eq!(charter.replicas(), 5, "the new one applies once the action has ended");
    let outcome = eventually(LATER, "the action is verified", async || {
        let outcomes = daemon.list("outcomes").await?;
        outcomes.first().cloned().ok_or("none yet".to_owned())
    })
    .await;
    assert_eq!(outcome["action_type"], "scale_up", "{outcome}");
    let executions = daemon.list("executions").await.expect("executions");
    assert_eq!(executions.len(), 1, "{executions:?}");
    assert_eq!(executions[0]["status"], "completed", "{executions:?}");
    assert_eq!(charter.seen_of(Call::Scale).len(), 1, "asked once");
}

/// The bad day: a notifier added and removed by reload.
#[tokio::test]
async fn r09_a_notifier_is_added_and_removed_by_reload() {
    let notified = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v2/alerts"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&notified)
        .await;
    let url = notified.uri();
    let mut scene = healthy(0.01, |file| add_rule(file, "broken")).await;
    let daemon = &mut scene.daemon;
    becomes_violated(daemon, "broken").await;
    daemon.cycles(3).await;
    let posts = async || notified.received_requests().await.unwrap_or_default().len();
    assert_eq!(posts().await, 0, "no notifier is configured");

    let quiet = daemon.settings.file.clone();
    daemon.settings.file["notify"] = json!({"alertmanager": {"enabled": true, "url": url}});
    daemon.settings.write();
    assert_eq!(post(daemon, None).await.0, 200);
    eventually(LATER, "the new notifier is told of what was open already", async || {
        let all = notified.received_requests().await.unwrap_or_default();
        let bodies: Vec<String> =
            all.iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect();
        if bodies.iter().any(|body| body.contains("shop")) {
            Ok(())
        } else {
            Err(bodies.join("\n"))
        }
    })
    .await;

    let with = hash(daemon).await;
    daemon.settings.file = quiet;
    daemon.settings.write();
    assert_eq!(post(daemon, None).await.0, 200);
    other_hash(daemon, &with).await;
    daemon.cycles(1).await;
    let before = posts().await;
    daemon.cycles(4).await;
    assert_eq!(posts().await, before, "the one that was removed is told nothing more");
    assert!(violated(daemon, "broken").await);
}

#[tokio::test]
async fn r09_a_hundred_signals_are_no_hundred_reloads_and_the_last_configuration_applies() {
    let mut scene = healthy(0.01, |_| {}).await;
    let daemon = &mut scene.daemon;
    let before = hash(daemon).await;
    for number in 1..=100 {
        daemon.settings.file["plan"]["cost_model"] =
            json!({"scale_up": f64::from(number) / 1000.0});
        daemon.settings.write();
        daemon.process().signal("HUP");
    }
    add_rule(&mut daemon.settings.file, "last");
    daemon.settings.write();
    daemon.process().signal("HUP");
    becomes_violated(daemon, "last").await;
    daemon.cycles(2).await;
    assert_ne!(hash(daemon).await, before);
    assert_eq!(daemon.metric(SUCCESSFUL).await, Ok(1.0));
    let shown = daemon.get("/api/v1/config").await.expect("200");
    assert_eq!(shown["plan"]["cost_model"]["scale_up"], json!(0.1), "{shown}");
}

#[tokio::test]
async fn r09_a_signal_while_the_daemon_stops_ends_nothing_early() {
    let charter = FakeCharter::start().await;
    charter.script(Call::Scale, [StrategyOrder::Late(Duration::from_secs(3))]);
    let target = Target::start(2.0, 0.0, 3).await;
    let settings = Settings::scraping(&target.url, &charter.base, SPEED);
    let mut daemon = Daemon::start(settings, &STAGING).await;
    eventually(LATER, "Charter is asked to scale", async || {
        if charter.seen_of(Call::Scale).is_empty() { Err("not yet") } else { Ok(()) }
    })
    .await;
    daemon.process().terminate();
    for _ in 0..5 {
        daemon.process().signal("HUP");
    }
    let finished = daemon.process().finished(SOON).await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(charter.replicas(), 5, "the action in hand was finished");
}

#[tokio::test]
async fn r09_reloading_by_the_api_needs_the_operate_token() {
    let tokens = |file: &mut Value| {
        file["api"]["token"] = json!("the-operate-token-of-this-test");
        file["api"]["read_token"] = json!("the-reading-token-of-this-test");
    };
    let mut scene = healthy_with_tokens(tokens).await;
    let daemon = &mut scene.daemon;
    let before = hash(daemon).await;
    add_rule(&mut daemon.settings.file, "added");
    daemon.settings.write();
    assert_eq!(post(daemon, None).await.0, 401);
    assert_eq!(post(daemon, Some("the-reading-token-of-this-test")).await.0, 403);
    assert_eq!(daemon.ask("/api/v1/config").await.expect("an answer").0, 401);
    let reloaded = |daemon: &mut Daemon| {
        let process = daemon.process();
        (process.stderr() + &process.stdout()).contains("the configuration is reloaded")
    };
    assert!(!reloaded(daemon));
    assert_eq!(hash(daemon).await, before);
    let (code, answer) = post(daemon, Some("the-operate-token-of-this-test")).await;
    assert_eq!(code, 200, "{answer}");
    other_hash(daemon, &before).await;
    assert!(reloaded(daemon));
}

async fn healthy_with_tokens(change: impl FnOnce(&mut Value)) -> Scene {
    let charter = FakeCharter::start().await;
    let target = Target::start(0.01, 0.0, 3).await;
    let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
    change(&mut settings.file);
    let daemon = Daemon::start(settings, &STAGING).await;
    Scene { daemon, charter, _target: target }
}

/// The line of the first cycle, and of those after it, names no error where there is none.
#[tokio::test]
async fn the_log_of_good_cycles_has_no_error_field() {
    let mut scene = healthy(0.01, |_| {}).await;
    scene.daemon.cycles(3).await;
    let log = scene.daemon.process().stderr() + &scene.daemon.process().stdout();
    let of_cycles: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("cycle healthy") || line.contains("cycle completed"))
        .collect();
    assert!(of_cycles.first().is_some_and(|line| line.contains("\"number\":1,")), "{log}");
    assert!(!of_cycles.iter().any(|line| line.contains("error")), "{of_cycles:#?}");
}

#[tokio::test]
async fn r09_without_a_change_nothing_is_built_anew() {
    let mut scene = healthy(0.01, |_| {}).await;
    let daemon = &mut scene.daemon;
    let before = hash(daemon).await;
    let (code, answer) = post(daemon, None).await;
    assert_eq!((code, &answer["changed"]), (200, &json!([])), "{answer}");
    assert_eq!(answer["config_hash"], json!(before));
    assert!(scene.charter.changes().is_empty());
}

#[tokio::test]
async fn r09_a_named_configuration_that_is_not_there_is_an_error() {
    let missing = "/nowhere/mape_k_config.yaml";
    for (args, env) in [
        (vec!["run", "--config", missing], vec![]),
        (vec!["check-config", "--config", missing], vec![]),
        (vec!["run"], vec![("MAPE_K_CONFIG", missing)]),
        (vec!["check-config"], vec![("MAPE_K_CONFIG", missing)]),
    ] {
        let finished = Process::start_mape_k(&args, &env).finished(SOON).await;
        assert_eq!(finished.status.code(), Some(1), "{args:?}: {finished:?}");
        let said = finished.stderr + &finished.stdout;
        assert!(said.contains(missing) && said.contains("cannot be read"), "{args:?}: {said}");
    }
}
