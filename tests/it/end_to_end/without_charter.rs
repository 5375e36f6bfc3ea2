//! R02: without Charter. The daemon runs from a configuration of five lines, is healthy and ready, and neither asks nor names
//! a Charter; its twin, with the one key left out, does both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::daemon::{Daemon, Settings};
use super::{SOON, SPEED};
use crate::support::config::Targets;
use crate::support::eventually::eventually;
use crate::support::process::{Finished, Process};
use crate::support::prometheus::{Pace, Prometheus};

/// Counts who calls, and hangs up. As the proxy of a process it sees every request that is not for 127.0.0.1: Charter's
/// default address is http://localhost:8000.
struct Counter {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Counter {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let calls = Arc::new(AtomicUsize::new(0));
        let counting = calls.clone();
        let server = tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counting.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, calls, server }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A Prometheus with nothing but itself to scrape.
async fn prometheus() -> Prometheus {
    let nobody =
        Targets { charter: "127.0.0.1:9", mape_k: "127.0.0.1:9", alertmanager: "127.0.0.1:9" };
    let pace = Pace { interval: Some(Duration::from_secs(1)), rule_for: None };
    Prometheus::start(&nobody, &pace).await
}

/// These keys, and where the test has its files and ports.
fn only(keys: &Value) -> Settings {
    let mut settings = Settings::shipped(SPEED);
    let shipped = std::mem::replace(&mut settings.file, keys.clone());
    for (section, key) in [
        ("api", "host"),
        ("api", "port"),
        ("knowledge", "sqlite_path"),
        ("escalation", "reports_dir"),
        ("orchestrator", "loop_interval"),
        ("monitor", "poll_interval"),
    ] {
        settings.file[section][key] = shipped[section][key].clone();
    }
    // Below the hastened interval of the loop, as it is in the file that is shipped.
    settings.file["monitor"]["query_timeout"] = json!(1);
    settings
}

fn five_lines(prometheus: &Prometheus, rule: &Value) -> Settings {
    only(&json!({
        "execute": {"charter_url": null},
        "monitor": {"prometheus_url": prometheus.server.url(), "queries": [rule]},
        "alertmanager": {"enabled": false},
    }))
}

fn fine() -> Value {
    json!({"name": "prometheus_up", "promql": "up{job=\"prometheus\"}", "comparison": "lt", "threshold": 1})
}

async fn run(args: &[&str]) -> Finished {
    Process::start_mape_k(args, &[]).finished(SOON).await
}

fn names_charter(text: &str) -> bool {
    text.to_lowercase().contains("charter")
}

#[tokio::test]
async fn r02_five_lines_with_only_prometheus_are_healthy_and_ready_and_know_no_charter() {
    let (prometheus, counter) = (prometheus().await, Counter::start().await);
    let proxy = counter.url();
    let env = [("HTTP_PROXY", proxy.as_str()), ("NO_PROXY", "127.0.0.1")];
    let settings = five_lines(&prometheus, &fine());
    let file = settings.write();
    let file = file.to_str().expect("a plain path");
    let checked = run(&["check-config", "--config", file]).await;
    assert!(checked.status.success(), "{checked:?}");
    let warned = checked.stdout.matches("# warning").count();
    let nobody = checked.stdout.contains("# warning: notify: no notifier is enabled");
    assert!(warned == 1 && nobody, "nothing else to warn of: {}", checked.stdout);

    let mut daemon = Daemon::start(settings, &env).await;
    // From the first answer on, and not only after a cycle.
    let early = daemon.get("/health").await.expect("it answers").to_string();
    assert!(!names_charter(&early), "{early}");
    daemon.is_well().await;
    daemon.cycles(2).await;
    let health = daemon.get("/health").await.expect("200");
    assert_eq!(health["status"], "ok", "{health}");
    let url = format!("http://{}", daemon.settings.api);
    let status = run(&["status", "--url", &url]).await.stdout;
    let explain = run(&["explain", "--url", &url]).await.stdout;
    assert!(explain.contains("nothing is wrong"), "it is a page of a healthy cycle: {explain}");
    let ready = daemon.get("/ready").await.expect("200");
    for said in [health.to_string(), ready.to_string(), daemon.metrics().await, status, explain] {
        assert!(!names_charter(&said), "{said}");
    }
    assert_eq!(daemon.get("/api/v1/state").await.expect("a state")["charter"], Value::Null);
    assert!(!daemon.metrics().await.contains("scale_up"), "no series of what only Charter can do");
    let said = daemon.stop(SOON).await;
    assert_eq!(counter.calls(), 0, "nobody asked for a Charter: {said:?}");

    // The twin: the same lines but the one.
    let mut settings = five_lines(&prometheus, &fine());
    settings.file["execute"] = json!({});
    let daemon = Daemon::start(settings, &env).await;
    daemon.cycles(1).await;
    assert!(counter.calls() > 0, "Charter is asked at its default address");
    let (_, health) = daemon.ask("/health").await.expect("an answer");
    assert_eq!(health["components"]["charter"]["status"], "degraded", "{health}");
    let (status, ready) = daemon.ask("/ready").await.expect("an answer");
    assert_eq!(status, 503, "{ready}");
    assert!(ready["missing"].to_string().contains("charter"), "{ready}");
    let metrics = daemon.metrics().await;
    for series in ["mape_k_charter_up 0", "action=\"scale_up\"", "reason=\"charter_unreachable\""] {
        assert!(metrics.contains(series), "{series}");
    }
    let state = daemon.get("/api/v1/state").await.expect("a state");
    let rules = state["rules_without_good_data"].as_array().map_or(0, Vec::len);
    assert_eq!(rules, 4, "the shipped rules apply: {state}");
}

/// What is wrong is shown and told under the rule's own name; nothing is planned for it, and nobody speaks of Charter.
#[tokio::test]
async fn r02_a_broken_rule_without_charter_is_about_itself() {
    let prometheus = prometheus().await;
    let broken = json!({"name": "too_few_targets", "promql": "count(up)", "comparison": "lt", "threshold": 100,
                        "severity": "critical"});
    let daemon = Daemon::start(five_lines(&prometheus, &broken), &[]).await;
    let escalation = eventually(SOON, "people are told of it", async || {
        daemon.list("needs").await?.first().cloned().ok_or("none yet".to_owned())
    })
    .await;
    assert_eq!(escalation["reason"], "unknown_cause", "{escalation}");
    assert_eq!(escalation["component"], "too_few_targets", "{escalation}");
    let violations = daemon.list("violations").await.expect("violations");
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0]["target"], Value::Null, "nothing that can be changed: {violations:?}");
    let url = format!("http://{}", daemon.settings.api);
    let mut said = vec![run(&["explain", "--url", &url]).await.stdout];
    said.push(run(&["status", "--url", &url]).await.stdout);
    for list in ["needs", "incidents", "violations", "analyses", "cycles"] {
        said.push(json!(daemon.list(list).await.expect(list)).to_string());
    }
    for said in said {
        // The one field of a report that holds what Charter answered is there, and empty.
        let said = said.replace("\"charter\":null", "").replace("\"charter_error\":null", "");
        assert!(!names_charter(&said), "{said}");
    }
    assert_eq!(daemon.list("executions").await, Ok(Vec::new()));
}
