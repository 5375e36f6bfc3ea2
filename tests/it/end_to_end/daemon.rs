//! `mape-k run` as a process on ports of its own, with the shipped configuration, and what its doors answer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::SOON;
use crate::support::config::{shipped, write};
use crate::support::disk::Disk;
use crate::support::eventually::eventually;
use crate::support::ports::free_port;
use crate::support::process::{Finished, Process};

/// Where every duration of the shipped configuration stands that paces the loop. Time-outs of calls and what is kept for
/// days stay.
const PACED: [(&str, &[&str]); 7] = [
    ("/orchestrator", &["loop_interval"]),
    ("/monitor", &["poll_interval"]),
    ("/analyze/algorithms/temporal", &["window"]),
    ("/analyze/algorithms/frequency", &["window"]),
    ("/analyze/flapping", &["window", "clear", "quiet"]),
    ("/execute", &["settle_default"]),
    ("/knowledge", &["judge_limit"]),
];

/// The shipped configuration on free ports of this machine, its store in `folder`, in time that passes `speed` times as
/// fast.
pub struct Settings {
    pub file: Value,
    pub api: String,
    pub webhook: String,
    /// Of `mape-k run`, beside --config.
    pub flags: Vec<String>,
    folder: TempDir,
}

impl Settings {
    pub fn shipped(speed: f64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder for the daemon");
        let (api, webhook) = (free_port(), free_port());
        let mut file = shipped("mape_k_config.yaml");
        for (section, keys) in PACED {
            let section = file.pointer_mut(section).expect("a section of the shipped file");
            for key in keys {
                hasten(&mut section[*key], speed);
            }
        }
        for settle in file["execute"]["settle"].as_object_mut().expect("settle times").values_mut()
        {
            hasten(settle, speed);
        }
        hasten(&mut file["alertmanager"]["wake_gap"], speed);
        file["api"]["host"] = json!("127.0.0.1");
        file["api"]["port"] = json!(api);
        file["alertmanager"]["webhook_host"] = json!("127.0.0.1");
        file["alertmanager"]["webhook_port"] = json!(webhook);
        file["knowledge"]["sqlite_path"] = json!(folder.path().join("data/knowledge.db"));
        file["escalation"]["reports_dir"] = json!(folder.path().join("logs"));
        Self {
            file,
            api: format!("127.0.0.1:{api}"),
            webhook: format!("http://127.0.0.1:{webhook}/webhooks/alerts"),
            flags: Vec::new(),
            folder,
        }
    }

    /// One without servers around it: metrics by scraping `target`, no Alertmanager.
    pub fn scraping(target: &str, charter: &str, speed: f64) -> Self {
        let mut settings = Self::shipped(speed);
        settings.file["monitor"]["source"] = json!("scrape");
        settings.file["monitor"]["scrape_url"] = json!(format!("{target}/metrics"));
        settings.file["execute"]["charter_url"] = json!(charter);
        settings.file["alertmanager"]["enabled"] = json!(false);
        settings
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the file as it stands now.
    pub fn write(&self) -> PathBuf {
        write(&self.folder.path().join("mape_k_config.yaml"), &self.file)
    }
}

fn hasten(duration: &mut Value, speed: f64) {
    let seconds =
        duration.as_f64().unwrap_or_else(|| panic!("the shipped file has seconds, not {duration}"));
    *duration = json!(seconds / speed);
}

pub struct Daemon {
    pub settings: Settings,
    process: Option<Process>,
    http: reqwest::Client,
}

impl Daemon {
    /// Starts the daemon and waits until its API answers.
    pub async fn start(settings: Settings, env: &[(&str, &str)]) -> Self {
        let mut daemon = Self::new(settings);
        daemon.start_again(env).await;
        daemon
    }

    pub async fn start_again(&mut self, env: &[(&str, &str)]) {
        assert!(self.process.is_none(), "the daemon runs already");
        let file = self.settings.write();
        let file = file.to_str().expect("a plain path");
        let mut args = vec!["run", "--config", file];
        args.extend(self.settings.flags.iter().map(String::as_str));
        self.process = Some(Process::start_mape_k(&args, env));
        self.answers().await;
    }

    /// Starts the daemon from a shell that first does `before`.
    pub async fn start_after(settings: Settings, before: &str) -> Self {
        let file = settings.write();
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("{before}; exec \"$0\" run --config \"$1\"")]);
        shell.arg(env!("CARGO_BIN_EXE_mape-k")).arg(file).env_clear();
        shell.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let mut daemon = Self::new(settings);
        daemon.process = Some(Process::start("mape-k run, from a shell", &mut shell));
        daemon.answers().await;
        daemon
    }

    /// Starts the daemon where it sees `disk`.
    pub async fn start_on(settings: Settings, disk: &Disk) -> Self {
        let mut daemon = Self::new(settings);
        daemon.start_again_on(disk).await;
        daemon
    }

    pub async fn start_again_on(&mut self, disk: &Disk) {
        assert!(self.process.is_none(), "the daemon runs already");
        let mut command = self.command_on(disk);
        self.process = Some(Process::start("mape-k run, on a disk of its own", &mut command));
        self.answers().await;
    }

    pub fn command_on(&self, disk: &Disk) -> Command {
        let mut command = disk.command(env!("CARGO_BIN_EXE_mape-k"));
        command.args(["run", "--config"]).arg(self.settings.write()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    fn new(settings: Settings) -> Self {
        let http = reqwest::Client::builder().timeout(SOON).build().expect("an HTTP client");
        Self { settings, process: None, http }
    }

    async fn answers(&mut self) {
        let url = format!("http://{}/health", self.settings.api);
        let (http, process) = (self.http.clone(), self.process.as_mut().expect("started above"));
        eventually(SOON, "the daemon answers", async || {
            if let Some(status) = process.ended() {
                panic!("the daemon ended at its start ({status})\n{}", process.tail());
            }
            http.get(&url).send().await.map(drop)
        })
        .await;
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the daemon runs")
    }

    /// Ends the process as a crash would.
    pub fn kill(&mut self) {
        drop(self.process.take().expect("the daemon runs"));
    }

    /// Asks it to stop and waits for its end.
    pub async fn stop(&mut self, within: Duration) -> Finished {
        let mut process = self.process.take().expect("the daemon runs");
        process.terminate();
        process.finished(within).await
    }

    /// Status and JSON behind a path of the API's listener.
    pub async fn ask(&self, path: &str) -> Result<(u16, Value), String> {
        let url = format!("http://{}{path}", self.settings.api);
        let answer = self.http.get(&url).send().await.map_err(|e| format!("{url}: {e}"))?;
        let status = answer.status().as_u16();
        let body = answer.json().await.map_err(|e| format!("{url}: {e}"))?;
        Ok((status, body))
    }

    /// JSON behind a path that must answer 200.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        match self.ask(path).await? {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{path}: {status} {body}")),
        }
    }

    /// The newest items of a list of the API, which may carry a filter.
    pub async fn list(&self, name: &str) -> Result<Vec<Value>, String> {
        if let Some(filter) = name.strip_prefix("needs") {
            return self.needs(filter.contains("open=true")).await;
        }
        let joint = if name.contains('?') { '&' } else { '?' };
        let page = self.get(&format!("/api/v1/{name}{joint}limit=500")).await?;
        page["items"].as_array().cloned().ok_or_else(|| format!("no list: {page}"))
    }

    /// What people are, or were, asked for: each is part of its incident.
    async fn needs(&self, only_open: bool) -> Result<Vec<Value>, String> {
        let page = self.get("/api/v1/incidents?limit=500").await?;
        let mut needs = Vec::new();
        for incident in page["items"].as_array().into_iter().flatten() {
            let id = incident["id"].as_str().unwrap_or_default();
            let incident = self.get(&format!("/api/v1/incidents/{id}")).await?;
            needs.extend(incident["needs"].as_array().cloned().unwrap_or_default());
        }
        needs.retain(|need| !only_open || need["closed_at"].is_null());
        Ok(needs)
    }

    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.settings.api);
        let answer = self.http.get(url).send().await.expect("/metrics answers");
        answer.text().await.expect("text")
    }

    /// The value of one series, named as it is exposed; a series that is not there is an error.
    pub async fn metric(&self, series: &str) -> Result<f64, String> {
        value(&self.metrics().await, series)
    }

    /// Posts a webhook; the status, and the body as text.
    pub async fn webhook(&self, body: Vec<u8>) -> (u16, String) {
        let answer = self.deliver(body).await.expect("the webhook answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    /// Posts a webhook; the whole answer.
    pub async fn deliver(&self, body: Vec<u8>) -> reqwest::Result<reqwest::Response> {
        let request = self.http.post(&self.settings.webhook).body(body);
        request.header("content-type", "application/json").send().await
    }

    /// Waits until `wanted` more cycles have ended.
    pub async fn cycles(&self, wanted: u64) {
        let before = self.get("/api/v1/state").await.expect("a state")["iteration"].as_u64();
        let goal = before.expect("a number") + wanted;
        eventually(SOON, &format!("{wanted} more cycles"), async || {
            let state = self.get("/api/v1/state").await?;
            if state["iteration"].as_u64() >= Some(goal) { Ok(()) } else { Err(state.to_string()) }
        })
        .await;
    }

    /// Waits until the loop is of use and finds nothing wrong.
    pub async fn is_well(&self) {
        eventually(LATEST_READY, "the daemon is ready and its loop healthy", async || {
            let (ready, missing) = self.ask("/ready").await?;
            let state = self.get("/api/v1/state").await?;
            if ready == 200 && state["last_status"] == "healthy" {
                Ok(())
            } else {
                Err(format!("{missing} {state}"))
            }
        })
        .await;
    }
}

/// A first good cycle needs two scrapes; this leaves room for a loaded machine.
const LATEST_READY: Duration = Duration::from_secs(90);

/// The value of one series in an exposition.
pub fn value(exposition: &str, series: &str) -> Result<f64, String> {
    exposition
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
        .ok_or_else(|| format!("/metrics has no {series}"))
}
