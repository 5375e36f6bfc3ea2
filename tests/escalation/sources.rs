//! R07 and R02: each source missing in turn, and Kubernetes alone. What is not known is never called well.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::cluster::api_server::{ApiServer, Mood};
use crate::cluster::objects;
use crate::fake_charter::FakeCharter;
use crate::support::alertmanager::Alertmanager;
use crate::support::config::Targets;
use crate::support::eventually::eventually;
use crate::support::ports::free_port;
use crate::support::process::{Finished, Process};
use crate::support::prometheus::{Pace, Prometheus};

/// For what takes a second or two on an idle machine, and up to ten where a source hangs.
const SOON: Duration = Duration::from_mins(1);

/// Nobody listens on it.
const NOBODY: &str = "http://127.0.0.1:9";

/// What must not be said of what nobody knows.
const CALLED_WELL: [&str; 4] =
    ["no violations", "no findings", "nothing is wrong", "violations active: 0"];

/// Every source there is, real or at the wire, and a configuration that reads them all.
pub struct Everything {
    prometheus: Prometheus,
    pub alertmanager: Alertmanager,
    pub charter: FakeCharter,
    pub kubernetes: ApiServer,
    pub folder: TempDir,
}

impl Everything {
    pub async fn start() -> Self {
        let nobody =
            Targets { charter: "127.0.0.1:9", mape_k: "127.0.0.1:9", alertmanager: "127.0.0.1:9" };
        let pace = Pace { interval: Some(Duration::from_secs(1)), rule_for: None };
        let everything = Self {
            prometheus: Prometheus::start(&nobody, &pace).await,
            alertmanager: Alertmanager::start("http://127.0.0.1:9/webhooks/alerts", None).await,
            charter: FakeCharter::start().await,
            kubernetes: ApiServer::start(),
            folder: tempfile::tempdir().expect("a folder"),
        };
        everything.kubernetes.put(objects::deployment("fine", 2, 2, 60));
        eventually(SOON, "Prometheus has scraped itself", async || {
            let up = everything.prometheus.query("up{job=\"prometheus\"}").await?;
            if up.is_empty() { Err(String::new()) } else { Ok(()) }
        })
        .await;
        everything
    }

    pub fn config(&self) -> Value {
        json!({
            "orchestrator": {"loop_interval": 1},
            "monitor": {
                "prometheus_url": self.prometheus.server.url(), "query_timeout": 0.9, "poll_interval": 5, "metrics": [],
                "queries": [{"name": "scraped", "promql": "up{job=\"prometheus\"}", "comparison": "lt", "threshold": 1}],
            },
            "alertmanager": {"url": self.alertmanager.server.url(), "webhook_port": 0},
            "execute": {"charter_url": self.charter.base, "timeout_seconds": 1},
            "kubernetes": {"enabled": true, "kubeconfig": self.kubernetes.kubeconfig()},
            "api": {"host": "127.0.0.1", "port": free_port()},
            "knowledge": {"sqlite_path": self.folder.path().join("knowledge.db")},
            "escalation": {"reports_dir": null},
        })
    }

    pub fn write(&self, config: &Value) -> PathBuf {
        let path = self.folder.path().join("config.yaml");
        std::fs::write(&path, config.to_string()).expect("a configuration");
        path
    }

    async fn observe(&self, config: &Value, output: &str) -> Finished {
        let file = self.write(config);
        let file = file.to_str().expect("a plain path");
        let finished =
            run(&["observe", "-o", output, "--log-format", "text", "--config", file]).await;
        println!("$ mape-k observe -o {output}\n{}{}", finished.stdout, finished.stderr);
        finished
    }
}

async fn run(args: &[&str]) -> Finished {
    Process::start_mape_k(args, &[]).finished(SOON).await
}

fn calls_it_well(text: &str) -> Option<&'static str> {
    CALLED_WELL.into_iter().find(|said| text.to_lowercase().contains(said))
}

/// A source, the key that names it, and what stands in its place.
struct Missing {
    source: &'static str,
    key: [&'static str; 2],
    instead: Value,
}

/// Each source in turn: away, or somebody else in its place.
async fn each_missing() -> (Vec<Missing>, MockServer) {
    let other = MockServer::start().await;
    let page = ResponseTemplate::new(500).set_body_string("<html>another server</html>");
    Mock::given(any()).respond_with(page).mount(&other).await;
    let mut cases = Vec::new();
    for (source, key) in [
        ("prometheus", ["monitor", "prometheus_url"]),
        ("alertmanager", ["alertmanager", "url"]),
        ("charter", ["execute", "charter_url"]),
    ] {
        for instead in [NOBODY.to_owned(), other.uri()] {
            cases.push(Missing { source, key, instead: json!(instead) });
        }
    }
    cases.push(Missing {
        source: "kubernetes",
        key: ["kubernetes", "kubeconfig"],
        instead: json!("/nowhere/kubeconfig"),
    });
    (cases, other)
}

fn unread(report: &Value) -> Vec<&str> {
    let unread = report["unread"].as_array().expect("a list");
    unread.iter().filter_map(|one| one["source"].as_str()).collect()
}

#[tokio::test]
async fn r07_observe_reads_all_and_says_so_or_ends_with_2_and_names_what_is_missing() {
    let everything = Everything::start().await;
    let config = everything.config();
    let whole = everything.observe(&config, "text").await;
    assert_eq!(whole.status.code(), Some(0));
    let lines: Vec<&str> = whole.stdout.lines().collect();
    let read =
        ["prometheus", "alertmanager", "charter", "kubernetes"].map(|s| format!("read      {s}"));
    assert_eq!(lines[..4], read, "every source is named");
    assert!(lines.contains(&"ok        scraped: 1, breaks at < 1"), "and every rule: {lines:?}");
    assert_eq!(lines.last(), Some(&"no violations, no findings"));
    let data = everything.observe(&config, "json").await.stdout;
    let data: Value = serde_json::from_str(&data).expect("JSON and nothing else");
    assert_eq!((&data["unread"], &data["findings"]), (&json!([]), &json!([])), "{data}");
    assert_eq!((&data["verdict"], &data["rules"][0]["value"]), (&json!("clear"), &json!(1.0)));
    assert_eq!(data["charter"]["status"], "normal", "{data}");
    assert!(everything.charter.changes().is_empty(), "it is asked, and nothing is changed");

    let (cases, _other) = each_missing().await;
    for Missing { source, key: [section, key], instead } in &cases {
        let mut config = config.clone();
        config[*section][*key] = instead.clone();
        let text = everything.observe(&config, "text").await;
        assert_eq!(text.status.code(), Some(2), "{source} {instead}");
        let named = text.stdout.lines().filter(|line| line.starts_with("unread "));
        let named: Vec<&str> = named.collect();
        let [line] = named[..] else { panic!("{source} alone: {named:?}") };
        assert!(line.starts_with(&format!("unread    {source}: ")), "{line}");
        assert_eq!(calls_it_well(&text.stdout), None, "{source}: {}", text.stdout);
        let data = everything.observe(&config, "json").await;
        assert_eq!(data.status.code(), Some(2));
        let data: Value = serde_json::from_str(&data.stdout).expect("JSON and nothing else");
        assert_eq!(unread(&data), [*source], "{data}");
    }
    // All of them at once, each by its name.
    let mut config = config.clone();
    for Missing { key: [section, key], instead, .. } in &cases {
        config[*section][*key] = instead.clone();
    }
    let data = everything.observe(&config, "json").await;
    let data: Value = serde_json::from_str(&data.stdout).expect("JSON and nothing else");
    assert_eq!(unread(&data), ["prometheus", "alertmanager", "charter", "kubernetes"], "{data}");
}

/// What can be read is told beside what cannot, and one kind that is refused is enough for 2.
#[tokio::test]
async fn r07_observe_tells_what_it_sees_beside_what_it_cannot() {
    let everything = Everything::start().await;
    everything.kubernetes.put(objects::deployment("cart", 0, 3, 60));
    let mut config = everything.config();
    config["monitor"]["queries"][0]["threshold"] = json!(2);
    let both = everything.observe(&config, "text").await;
    assert_eq!(both.status.code(), Some(1), "something is wrong");
    assert!(both.stdout.contains("violated  scraped: 1, breaks at < 2"), "{}", both.stdout);
    for said in ["scraped", "shop/Deployment/cart: "] {
        assert!(both.stdout.contains(said), "{}", both.stdout);
    }
    assert!(!both.stdout.contains("unread"), "{}", both.stdout);

    // Blind on one eye: the other one's word stands, and nobody says that this is all.
    let mut no_metrics = config.clone();
    no_metrics["monitor"]["prometheus_url"] = json!(NOBODY);
    let cluster = everything.observe(&no_metrics, "text").await;
    assert_eq!(cluster.status.code(), Some(2));
    assert!(cluster.stdout.contains("shop/Deployment/cart: "), "{}", cluster.stdout);
    assert!(cluster.stdout.contains("UNKNOWN   scraped: "), "{}", cluster.stdout);
    assert!(!cluster.stdout.contains("violated"), "{}", cluster.stdout);
    for mood in [Mood::Refuses(403), Mood::Html, Mood::Hangs] {
        everything.kubernetes.lists("deployments", mood);
        let metrics = everything.observe(&config, "text").await;
        assert_eq!(metrics.status.code(), Some(2), "{mood:?}");
        assert!(metrics.stdout.contains("unread    kubernetes: "), "{mood:?}: {}", metrics.stdout);
        assert!(metrics.stdout.contains("breaks at < 2"), "{mood:?}: {}", metrics.stdout);
    }
    // One that takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    everything.kubernetes.lists("deployments", Mood::Well);
    config["alertmanager"]["url"] =
        json!(format!("http://{}", silent.local_addr().expect("an address")));
    let hung = everything.observe(&config, "text").await;
    assert_eq!(hung.status.code(), Some(2));
    assert!(hung.stdout.contains("unread    alertmanager: "), "{}", hung.stdout);
}

/// A daemon of this configuration, whose API answers.
struct Daemon {
    process: Process,
    url: String,
    http: reqwest::Client,
}

impl Daemon {
    async fn start(everything: &Everything, config: &Value) -> Self {
        let file = everything.write(config);
        let process =
            Process::start_mape_k(&["run", "--config", file.to_str().expect("a path")], &[]);
        let url = format!("http://127.0.0.1:{}", config["api"]["port"]);
        let http = reqwest::Client::builder().timeout(SOON).build().expect("a client");
        let mut daemon = Self { process, url, http };
        eventually(SOON, "the daemon answers", async || {
            if let Some(status) = daemon.process.ended() {
                panic!("it ended ({status})\n{}", daemon.process.tail());
            }
            daemon.http.get(format!("{}/health", daemon.url)).send().await.map(drop)
        })
        .await;
        daemon
    }

    async fn get(&self, path: &str) -> Result<(u16, Value), String> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await.map_err(|error| error.to_string())?))
    }

    async fn says(&self, command: &str) -> String {
        run(&[command, "--url", &self.url]).await.stdout
    }

    /// Until two cycles have ended, the last of them in this health.
    async fn health(&self, wanted: &str) -> Value {
        eventually(SOON, &format!("{wanted} in /health"), async || {
            let (_, health) = self.get("/health").await?;
            let (_, state) = self.get("/api/v1/state").await?;
            let is_there = health["status"] == wanted && state["iteration"].as_u64() >= Some(2);
            if is_there { Ok(health) } else { Err(format!("{health} {state}")) }
        })
        .await
    }
}

#[tokio::test]
async fn r07_health_status_and_explain_name_the_missing_source_and_call_nothing_well() {
    let everything = Everything::start().await;
    let config = everything.config();
    let daemon = Daemon::start(&everything, &config).await;
    daemon.health("ok").await;
    let (status, explain) = (daemon.says("status").await, daemon.says("explain").await);
    assert!(status.contains("violations active: 0 (0 critical"), "all is read: {status}");
    assert!(explain.contains("nothing is wrong: no violation is active."), "{explain}");
    drop(daemon);

    let (cases, _other) = each_missing().await;
    for Missing { source, key: [section, key], instead } in cases {
        let mut config = everything.config();
        config[section][key] = instead.clone();
        let daemon = Daemon::start(&everything, &config).await;
        let health = daemon.health("degraded").await;
        assert_eq!(health["components"][source]["status"], "degraded", "{source}: {health}");
        for other in ["prometheus", "alertmanager", "charter", "kubernetes"] {
            let expected = if other == source { "degraded" } else { "ok" };
            assert_eq!(health["components"][other]["status"], expected, "{source}: {health}");
        }
        let status = daemon.says("status").await;
        assert!(status.contains(&format!("  {source}: degraded (")), "{status}");
        // Charter says nothing of what is wrong: only what can be done about it is not known.
        if source != "charter" {
            let not_known =
                format!("violations active: UNKNOWN, {source} could not be read completely");
            assert!(status.contains(&not_known), "{status}");
        }
        let explain = daemon.says("explain").await;
        assert!(!explain.contains("nothing is wrong"), "{source}: {explain}");
    }
}

/// R02: nothing but a cluster, in a configuration of five lines.
#[tokio::test]
async fn r02_five_lines_with_only_kubernetes_are_healthy_and_ready() {
    let everything = Everything::start().await;
    let all = everything.config();
    let mut config = json!({
        "execute": {"charter_url": null},
        "monitor": {"prometheus_url": null},
        "alertmanager": {"enabled": false},
        "kubernetes": all["kubernetes"],
    });
    for section in ["api", "knowledge", "escalation", "orchestrator"] {
        config[section] = all[section].clone();
    }
    let checked = everything.write(&config);
    let checked = run(&["check-config", "--config", checked.to_str().expect("a path")]).await;
    assert!(checked.status.success(), "{checked:?}");
    let observed = everything.observe(&config, "text").await;
    assert_eq!(observed.status.code(), Some(0));
    let off = ["off       prometheus", "off       alertmanager", "off       charter"];
    let expected = [&off[..], &["read      kubernetes", "no violations, no findings"]].concat();
    assert_eq!(observed.stdout.lines().collect::<Vec<_>>(), expected);

    let daemon = Daemon::start(&everything, &config).await;
    let health = daemon.health("ok").await;
    let components: Vec<&String> =
        health["components"].as_object().expect("a map").keys().collect();
    assert_eq!(
        components,
        ["escalation", "kubernetes", "loop", "notification", "store"],
        "{health}"
    );
    let (ready, missing) = daemon.get("/ready").await.expect("an answer");
    assert_eq!((ready, &missing["missing"]), (200, &json!([])));
    let explain = daemon.says("explain").await;
    assert!(explain.contains("nothing is wrong") && !explain.contains("Charter"), "{explain}");
    everything.kubernetes.put(objects::deployment("cart", 0, 3, 60));
    eventually(SOON, "what is down is seen", async || {
        let explain = daemon.says("explain").await;
        let said = explain.contains("1 finding") && !explain.contains("nothing is wrong");
        if said { Ok(()) } else { Err(explain) }
    })
    .await;
    assert!(everything.charter.seen().is_empty(), "nobody asked for Charter");
}
