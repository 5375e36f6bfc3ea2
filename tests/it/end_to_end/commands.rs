//! The commands as a person types them: what they print, what they leave behind, and how they end.

use std::fs;
use std::time::{Duration, Instant};

use mape_k::knowledge::{Knowledge, Settings as Stored};
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::daemon::{Daemon, Settings};
use super::target::Target;
use super::{SOON, SPEED};
use crate::fake_charter::FakeCharter;
use crate::support::eventually::eventually;
use crate::support::process::{Finished, Process};
use crate::support::tools::root;

async fn run(args: &[&str]) -> Finished {
    let finished = Process::start_mape_k(args, &[]).finished(SOON).await;
    println!("$ mape-k {}\n{}{}", args.join(" "), finished.stdout, finished.stderr);
    finished
}

#[tokio::test]
async fn a52_observe_prints_the_violations_once_stores_nothing_and_leaves() {
    let charter = FakeCharter::start().await;
    let target = Target::start(1.5, 0.5, 2).await;
    let settings = Settings::scraping(&target.url, &charter.base, SPEED);
    let file = settings.write();
    let file = file.to_str().expect("a plain path");

    let text = run(&["observe", "--config", file]).await;
    // Of the two looks that an increase takes, there was one: that rule is unknown, and so is whether that is all.
    assert_eq!(text.status.code(), Some(2));
    assert!(text.stdout.contains("UNKNOWN   "), "{}", text.stdout);
    assert!(text.stdout.contains("violated  validation_latency: 1.5"), "{}", text.stdout);
    let lines: Vec<&str> = text.stdout.lines().filter(|l| l.starts_with("warning")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let latency = "validation_latency at charter (validation_type schema): \
                   westworld_charter_validation_latency_seconds is 1.5, breaks at > 1";
    assert!(text.stdout.contains(latency), "told apart from its sisters: {}", text.stdout);

    let data = run(&["observe", "-o", "json", "--config", file]).await;
    let data: Value = serde_json::from_str(&data.stdout).expect("JSON and nothing else");
    let violations = data["violations"].as_array().expect("a list");
    assert_eq!(violations.len(), 3, "{data}");
    let latency = violations.iter().find(|v| v["rule"] == "validation_latency").expect("broken");
    assert_eq!((&latency["value"], &latency["threshold"]), (&json!(1.5), &json!(1.0)));

    assert!(charter.changes().is_empty(), "Charter is asked how it is, and nothing more");
    assert!(!settings.folder().join("data").exists(), "no store is made");
}

#[tokio::test]
async fn a52_observe_says_what_it_could_not_read_and_ends_with_2() {
    let charter = FakeCharter::start().await;
    let settings = Settings::scraping("http://127.0.0.1:9", &charter.base, SPEED);
    let file = settings.write();
    let finished = run(&["observe", "--config", file.to_str().expect("a plain path")]).await;
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stdout.contains("unread    scrape: "), "{finished:?}");
    assert!(finished.stdout.contains("monitor.scrape_url"), "{finished:?}");
    assert!(!finished.stdout.contains("no violations"), "missing is never healthy: {finished:?}");
}

#[tokio::test]
async fn a52_run_once_runs_one_cycle_and_leaves() {
    let charter = FakeCharter::start().await;
    let target = Target::start(0.2, 0.0, 2).await;
    let settings = Settings::scraping(&target.url, &charter.base, SPEED);
    let file = settings.write();
    let file = file.to_str().expect("a plain path");

    let text = run(&["run", "--once", "--config", file, "--log-format", "text"]).await;
    assert_eq!(text.status.code(), Some(0));
    assert!(text.stdout.starts_with("cycle "), "{text:?}");
    assert_eq!(text.stdout.matches("cycle ").count(), 1, "{text:?}");

    let data = run(&["run", "--once", "-o", "json", "--config", file]).await;
    let report: Value = serde_json::from_str(&data.stdout).expect("JSON and nothing else");
    let phases: Vec<&Value> =
        report["phases"].as_array().into_iter().flatten().map(|phase| &phase[0]).collect();
    let read = ["monitor", "k8s-analyzer"];
    let people = ["escalation", "notification"];
    assert_eq!(phases, [&read[..], &["analyze", "plan", "execute", "knowledge"], &people].concat());
    assert_eq!(report["trigger"], "scheduled", "{report}");
    for line in data.stderr.lines() {
        let _: Value = serde_json::from_str(line).expect("logs are JSON lines, on stderr");
    }

    drop(target);
    let failed = run(&["run", "--once", "--config", file]).await;
    assert_eq!(failed.status.code(), Some(1), "a cycle that read nothing is a failure");
}

/// R04: one cycle waits for a Slack that hangs no longer than its bound, and what is left is in the store.
#[tokio::test]
async fn r04_run_once_leaves_although_slack_hangs_and_keeps_what_was_not_confirmed() {
    let charter = FakeCharter::start().await;
    let target = Target::start(1.5, 0.0, 2).await;
    for hangs in [true, false] {
        let delay = Duration::from_secs(if hangs { 600 } else { 0 });
        let slack = MockServer::start().await;
        let answer = json!({"ok": true, "channel": "C1", "ts": "1.2"});
        let answer = ResponseTemplate::new(200).set_body_json(&answer).set_delay(delay);
        Mock::given(method("POST")).respond_with(answer).mount(&slack).await;
        let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
        // Critical and without a cause: a person is asked at once.
        settings.file["monitor"]["metrics"] = json!([{
            "name": "validation_latency", "metric": "westworld_charter_validation_latency_seconds",
            "labels": {"quantile": "0.95"}, "aggregate": "max", "comparison": "gt",
            "threshold": 1.0, "severity": "critical", "component": "charter",
        }]);
        settings.file["slack"] = json!({
            "enabled": true, "api_url": format!("{}/api/", slack.uri()), "token": "xoxb-of-the-test",
        });
        let file = settings.write();
        let file = file.to_str().expect("a plain path");
        let began = Instant::now();
        let finished = run(&["run", "--once", "-o", "json", "--config", file]).await;
        println!("run --once left after {:?}; Slack hangs: {hangs}", began.elapsed());
        // R04 says 9 s for the drain.
        assert!(began.elapsed() < Duration::from_secs(90));
        let report: Value = serde_json::from_str(&finished.stdout).expect("a report");
        assert_eq!(report["notification_result"]["success"], !hangs, "{report}");
        assert_eq!(report["notification_result"]["pending"], false, "{report}");
        assert!(!slack.received_requests().await.expect("recorded").is_empty());
        let path = settings.folder().join("data/knowledge.db");
        let store = Stored { sqlite_path: path, ..Stored::default() };
        let knowledge = Knowledge::open(&store).await.expect("the store of the run");
        let waiting = knowledge.outbox().await.expect("readable").0;
        assert_eq!(waiting.iter().filter(|entry| entry.waits()).count(), usize::from(hangs));
        knowledge.close().await;
    }
}

/// S10: what would be done is told, and nothing is done; without the flag it is.
#[tokio::test]
async fn s10_a_dry_run_tells_what_would_be_done_and_calls_nothing() {
    let charter = FakeCharter::start().await;
    let target = Target::start(1.5, 0.0, 2).await;
    let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
    settings.file["orchestrator"]["auto_approve"] = json!(true);
    // Critical: one look is enough.
    settings.file["monitor"]["metrics"] = json!([{
        "name": "validation_latency", "metric": "westworld_charter_validation_latency_seconds",
        "labels": {"quantile": "0.95"}, "aggregate": "max", "by": ["validation_type"], "comparison": "gt",
        "threshold": 1.0, "severity": "critical", "component": "charter", "cause": "validation_latency",
    }, {
        "name": "failure_rate", "metric": "westworld_charter_failure_rate", "comparison": "gt", "threshold": 0.1,
        "cause": "system_overload",
    }]);
    let file = settings.write();
    let file = file.to_str().expect("a plain path");
    let dry = run(&["run", "--once", "--dry-run", "-o", "json", "--config", file]).await;
    let report: Value = serde_json::from_str(&dry.stdout).expect("JSON and nothing else");
    let candidates = report["candidates"].as_array().expect("candidates");
    let weighed = candidates.iter().find(|c| c["action"] == "scale_up").expect("weighed");
    assert_eq!(weighed["planned"]["action"], "scale_up", "{weighed}");
    assert_eq!(weighed["verdict"]["reason"], "mode_observe", "{weighed}");
    assert_eq!(charter.changes(), Vec::<String>::new());
    run(&["run", "--once", "--config", file]).await;
    assert_eq!(charter.changes().len(), 1, "{:?}", charter.changes());
}

/// "Why did nothing happen?" is answered by one command, as a page for people and as data.
#[tokio::test]
async fn explain_prints_the_latest_cycle_of_a_running_daemon() {
    let charter = FakeCharter::start().await;
    let target = Target::start(0.2, 0.0, 2).await;
    let mut daemon =
        Daemon::start(Settings::scraping(&target.url, &charter.base, SPEED), &[]).await;
    let url = format!("http://{}", daemon.settings.api);
    // An increase takes two samples; until then the page says that not everything could be seen.
    eventually(SOON, "a page of a cycle that saw everything", async || {
        let page = run(&["explain", "--url", &url]).await;
        if page.stdout.contains("Read scrape: 4 of 4 rules read well") {
            Ok(())
        } else {
            Err(page.stderr)
        }
    })
    .await;
    let page = run(&["explain", "--url", &url]).await.stdout;
    assert!(
        page.contains("Nothing was done because nothing is wrong: no violation is active."),
        "{page}"
    );
    let id = page.split(' ').nth(1).and_then(|word| word.strip_suffix(':')).expect("its id");
    let data = run(&["explain", "cycle", id, "-o", "json", "--url", &url]).await;
    let data: Value = serde_json::from_str(&data.stdout).expect("JSON and nothing else");
    assert_eq!((&data["subject"]["id"], &data["facts"]["report"]["id"]), (&json!(id), &json!(id)));

    let unknown = run(&["explain", "violation", "0123456789abcdef", "--url", &url]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(unknown.stderr.contains("GET /api/v1/violations"), "{unknown:?}");
    let nameless = run(&["explain", "policy", "--url", &url]).await;
    assert!(nameless.stderr.contains("mape-k status"), "{nameless:?}");
    daemon.stop(SOON).await;
}

#[tokio::test]
async fn a02_the_shipped_configuration_runs_every_thirty_seconds() {
    let file = root().join("config/mape_k_config.yaml");
    let file = file.to_str().expect("a plain path");
    let text = run(&["check-config", "--config", file]).await;
    assert!(text.status.success());
    assert!(text.stdout.lines().any(|line| line == "  loop_interval: 30"), "{}", text.stdout);
    let data = run(&["check-config", "-o", "json", "--config", file]).await;
    let data: Value = serde_json::from_str(&data.stdout).expect("JSON and nothing else");
    assert_eq!(data["config"]["orchestrator"]["loop_interval"], 30, "{data}");
}

/// A51 for the process: nothing is bound, nothing is made, and one look shows everything to correct.
#[tokio::test]
async fn a_wrong_configuration_never_starts_and_names_every_error_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("wrong.yaml");
    let store = folder.path().join("data");
    let text = format!(
        "orchestrator:\n  loop_interval: 0\n  loop_intervall: 30\nmonitor: {{min_coverage: .nan}}\n\
         execute: {{charter_url: nowhere}}\napi: {{port: 70000}}\nknowledge: {{sqlite_path: {}/k.db}}\n",
        store.display()
    );
    fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("a plain path");
    for command in [&["run"][..], &["run", "--once"], &["observe"], &["check-config"]] {
        let finished = run(&[command, &["--config", path]].concat()).await;
        assert_eq!(finished.status.code(), Some(1), "{command:?}");
        let said = if command == ["check-config"] { finished.stdout } else { finished.stderr };
        for (key, line) in [
            ("orchestrator.loop_interval", 2),
            ("orchestrator.loop_intervall", 3),
            ("monitor.min_coverage", 4),
            ("execute.charter_url", 5),
            ("api.port", 6),
        ] {
            assert!(said.contains(&format!("{key}, line {line}:")), "{command:?} {key}: {said}");
        }
        assert_eq!(said.matches("is refused").count(), 1, "said once: {said}");
        assert!(!store.exists(), "{command:?} leaves nothing behind");
    }
    // What only asks a running daemon needs to know where that is, and nothing else.
    let said = run(&["status", "--config", path]).await.stderr;
    assert!(said.contains("api.port, line 6:") && said.contains("1 error"), "{said}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_key() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let charter = FakeCharter::start().await;
    let mut settings = Settings::scraping("http://127.0.0.1:9", &charter.base, SPEED);
    settings.file["api"]["port"] = json!(taken.local_addr().expect("an address").port());
    let file = settings.write();
    let finished = run(&["run", "--config", file.to_str().expect("a plain path")]).await;
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("api.port"), "{finished:?}");
}

#[tokio::test]
async fn asking_a_daemon_that_is_not_there_says_so_and_what_to_do() {
    for command in [&["status"][..], &["explain"], &["approve", "some-policy", "--by", "alice"]] {
        let finished = run(&[command, &["--url", "http://127.0.0.1:9"]].concat()).await;
        assert_eq!(finished.status.code(), Some(1));
        assert!(finished.stderr.contains("http://127.0.0.1:9"), "{finished:?}");
        assert!(finished.stderr.contains("refused"), "the cause itself: {finished:?}");
        assert!(finished.stderr.contains("mape-k run"), "{finished:?}");
    }
}
