//! One daemon process on free ports with a SQLite store in a folder of its own; killed when it is dropped.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::upstream::Upstream;

/// Far more than any start or cycle here takes: a daemon that hangs ends the run with its reason.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Daemon {
    child: Child,
    api: u16,
    pub webhook: u16,
    pub http: reqwest::Client,
    /// From its start until it listened.
    pub listening_after: Duration,
    folder: TempDir,
}

impl Daemon {
    /// `more` are sections of the configuration beside those of the upstream.
    pub async fn start(
        upstream: &Upstream,
        interval: &str,
        alertmanager: &str,
        more: &str,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (api, webhook) = (free_port(), free_port());
        let text = upstream.config(&format!(
            "orchestrator: {{loop_interval: {interval}, auto_approve: true}}\n\
             alertmanager: {{url: \"http://{}\", webhook_host: 127.0.0.1, webhook_port: {webhook}{alertmanager}}}\n\
             api: {{host: 127.0.0.1, port: {api}}}\n\
             knowledge: {{sqlite_path: {}}}\nescalation: {{reports_dir: {}}}\n{more}",
            upstream.metrics,
            folder.path().join("knowledge.db").display(),
            folder.path().join("logs").display(),
        ));
        let config = folder.path().join("config.yaml");
        std::fs::write(&config, text).expect("the configuration is written");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file for the log");
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_mape-k"))
            .args(["run", "--config"])
            .arg(&config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        let http = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
        let mut daemon =
            Self { child, api, webhook, http, listening_after: Duration::ZERO, folder };
        while TcpStream::connect((Ipv4Addr::LOCALHOST, api)).is_err() {
            assert!(started.elapsed() < PATIENCE, "it does not listen\n{}", daemon.log());
            std::thread::sleep(Duration::from_millis(1));
        }
        daemon.listening_after = started.elapsed();
        // Listening comes before the store is opened: served is what answers.
        daemon.get("/health").await;
        daemon
    }

    pub async fn get(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.api);
        let answer = self.http.get(url).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        answer.json().await.expect("JSON")
    }

    pub async fn state(&self, key: &str) -> u64 {
        self.get("/api/v1/state").await[key].as_u64().unwrap_or(0)
    }

    /// Waits until the loop's state has reached this.
    pub async fn until(&self, what: &str, reached: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !reached(&self.get("/api/v1/state").await) {
            assert!(Instant::now() < deadline, "never: {what}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A value of /proc/<pid>/status in MB.
    pub fn megabytes(&self, key: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.expect("a size") / 1024.0
    }

    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_else(|_| "unknown".to_owned());
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
