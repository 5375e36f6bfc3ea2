//! A child process that cannot outlive its test: output captured in files, signals, bounded waits, killed on drop.
//!
//! Children stay in the test's own process group on purpose: a Ctrl-C at the test run reaches them too. None of the
//! programs started here has children of its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

/// As much of a log as a person reads under a failed test.
const TAIL_LINES: usize = 40;

pub struct Process {
    name: String,
    child: Child,
    output: TempDir,
}

/// What a process that has ended leaves behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts `command` with both outputs captured and nothing to read.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let output = tempfile::tempdir().expect("a temporary folder for the output");
        let sink =
            |file: &str| File::create(output.path().join(file)).expect("a file for the output");
        let child = command
            .stdin(Stdio::null())
            .stdout(sink("stdout"))
            .stderr(sink("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{name} did not start: {command:?}: {error}"));
        Self { name: name.to_owned(), child, output }
    }

    /// Starts the project's own binary. Only `env` and what any program needs is in its environment, so that a setting
    /// of the developer's shell (`PROMETHEUS_URL`, …) never reaches a test.
    pub fn start_mape_k(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mape-k"));
        command.args(args).env_clear();
        for inherited in ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(inherited) {
                command.env(inherited, value);
            }
        }
        command.envs(env.iter().copied());
        Self::start(&format!("mape-k {}", args.join(" ")), &mut command)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// The last lines of both outputs, for the text of a failure.
    pub fn tail(&self) -> String {
        let mut text = format!("--- {} (process {})\n", self.name, self.child.id());
        for (stream, content) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
            let lines: Vec<&str> = content.lines().collect();
            for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
                text.extend([stream, ": ", line, "\n"]);
            }
        }
        text
    }

    /// `Some` once the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of an own child can be read")
    }

    /// Asks the process to stop, as an operator or an init system would.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends the signal of that name (`TERM`, `KILL`, `STOP`, `CONT`, `INT`).
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status()
            .expect("the command kill exists");
        assert!(sent.success(), "signal {signal} could not be sent to {}", self.name);
    }

    /// Waits until the process has ended by itself; panics with its last output at the time-out.
    pub async fn finished(&mut self, timeout: Duration) -> Finished {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.ended() {
                return Finished { status, stdout: self.stdout(), stderr: self.stderr() };
            }
            assert!(
                Instant::now() < deadline,
                "{} still runs after {timeout:?}\n{}",
                self.name,
                self.tail()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn read(&self, file: &str) -> String {
        let path: PathBuf = self.output.path().join(file);
        std::fs::read(path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
        // Both fail only for a process that has ended and been waited for already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
