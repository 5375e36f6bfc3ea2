//! A real server as a child process that can be stopped and started again on its own port and data.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::eventually::eventually;
use super::ports::free_port;
use super::process::Process;

/// Both servers are ready within a second or two; this leaves room for a loaded machine and the replay of a log.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Both servers stop within a second; the time-out of an answer and of a stop alike.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

pub struct Server {
    name: &'static str,
    program: PathBuf,
    args: Vec<String>,
    port: u16,
    folder: TempDir,
    http: reqwest::Client,
    process: Option<Process>,
}

impl Server {
    /// A server that is not running yet, with a folder and a port of its own; `args` are added by [`Server::set_args`].
    pub fn new(name: &'static str, program: &Path) -> Self {
        Self {
            name,
            program: program.to_owned(),
            args: Vec::new(),
            port: free_port(),
            folder: tempfile::tempdir().expect("a temporary folder for a server"),
            http: reqwest::Client::builder()
                .timeout(ANSWER_WITHIN)
                .build()
                .expect("an HTTP client"),
            process: None,
        }
    }

    pub fn set_args(&mut self, args: Vec<String>) {
        self.args = args;
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Starts the process, the first time or again, and waits until it says that it is ready.
    pub async fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        let mut process = Process::start(
            self.name,
            Command::new(&self.program).args(&self.args).current_dir(self.folder()),
        );
        let ready = format!("{}/-/ready", self.url());
        eventually(READY_WITHIN, &format!("{} is ready", self.name), async || {
            if let Some(status) = process.ended() {
                panic!("{} ended at its start ({status})\n{}", self.name, process.tail());
            }
            match self.http.get(&ready).send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(format!("status {}", answer.status())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        self.process = Some(process);
    }

    /// Stops the process in order; its data stay for the next start.
    pub async fn stop(&mut self) {
        let mut process =
            self.process.take().unwrap_or_else(|| panic!("{} does not run", self.name));
        process.terminate();
        process.finished(ANSWER_WITHIN).await;
    }

    /// Ends the process as a crash would.
    pub fn kill(&mut self) {
        let process = self.process.take().unwrap_or_else(|| panic!("{} does not run", self.name));
        // Dropping a process kills it and waits for its end.
        drop(process);
    }

    /// What the running process has logged of late, for the text of a failure.
    pub fn tail(&self) -> String {
        self.process.as_ref().map_or_else(|| format!("{} does not run", self.name), Process::tail)
    }

    /// The JSON behind `path`, or what stood in the way.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        let url = format!("{}{path}", self.url());
        let answer = self.http.get(&url).send().await.map_err(|error| format!("{url}: {error}"))?;
        answer.json().await.map_err(|error| format!("{url}: {error}"))
    }

    /// Posts JSON to `path`; an answer that is no success is an error with its text.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(), String> {
        let url = format!("{}{path}", self.url());
        let answer = self
            .http
            .post(&url)
            .json(body)
            .send()
            .await
            .map_err(|error| format!("{url}: {error}"))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(format!("{url}: status {status}: {}", answer.text().await.unwrap_or_default()))
    }
}
