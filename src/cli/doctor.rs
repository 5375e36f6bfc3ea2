//! `mape-k doctor`: can the configuration work? Asks every server and permission that it needs, without a running daemon,
//! and says what to fix. It changes nothing: a test file in `escalation.reports_dir` is removed at once. With `--notify` it
//! sends a test message through every channel.

mod local;
mod people;
mod sources;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::client::ClientError;
use super::terminal::Terminal;
use super::{Output, start_logs};
use crate::clock::Clock;
use crate::config::{Config, Warning};
use crate::explain::count;
use crate::telemetry::LogFormat;

/// For one server's answer.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    /// Somebody should correct it: exit code 1.
    Fix,
    /// Worth knowing.
    Note,
    Off,
}

/// One thing that was asked.
#[derive(Debug, Serialize)]
struct Check {
    state: State,
    /// What was asked, and where: `prometheus at http://…`.
    subject: String,
    /// What came of it.
    found: String,
    /// What to do; null where nothing is.
    fix: Option<String>,
    /// How long the answer took.
    milliseconds: Option<u64>,
}

impl Check {
    fn new(state: State, subject: impl Into<String>, found: impl Into<String>) -> Self {
        let (subject, found) = (subject.into(), found.into());
        Self { state, subject, found, fix: None, milliseconds: None }
    }

    fn ok(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(State::Ok, subject, found)
    }

    fn off(subject: impl Into<String>, key: &str) -> Self {
        Self::new(State::Off, subject, format!("turned off ({key})"))
    }

    fn fix(subject: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..Self::new(State::Fix, subject, found) }
    }

    /// The texts of our own errors say what to do at their end, and many begin with where.
    fn told(subject: impl Into<String>, error: impl Into<String>) -> Self {
        let (subject, error): (String, String) = (subject.into(), error.into());
        let said = error.strip_prefix(&format!("{subject}, ")).map(str::to_owned);
        Self::new(State::Fix, subject, said.unwrap_or(error))
    }

    fn took(self, took: Duration) -> Self {
        Self { milliseconds: u64::try_from(took.as_millis()).ok(), ..self }
    }
}

#[derive(Serialize)]
struct Report {
    /// How many checks say what to fix.
    to_fix: usize,
    checks: Vec<Check>,
}

/// Checks the configuration against the world; 1 when there is something to fix.
pub async fn run(
    (config, warnings): (Config, Vec<Warning>),
    format: Option<LogFormat>,
    notify: bool,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let _logs = start_logs(&config.logging, format)?;
    let clock = Clock::start();
    let mut checks: Vec<Check> = warnings
        .iter()
        .map(|warning| Check::new(State::Note, "configuration", warning.to_string()))
        .collect();
    checks.extend(local::advice(&config));
    let (metrics, charter, kubernetes, store, people, github) = tokio::join!(
        sources::metrics(&config, clock),
        sources::charter(&config, clock),
        sources::kubernetes(&config),
        local::store(&config),
        people::notifiers(&config, clock, notify),
        sources::github(&config, clock),
    );
    checks.extend(metrics);
    checks.push(charter);
    checks.extend(kubernetes);
    checks.push(store);
    checks.push(local::reports(&config));
    checks.extend(people);
    checks.push(github);
    let to_fix = checks.iter().filter(|check| check.state == State::Fix).count();
    let report = Report { to_fix, checks };
    let mut out = Terminal::stdout();
    match output {
        Output::Json => out.pretty_json(&report).map_err(ClientError::Print)?,
        Output::Text => print(&report, &mut out).map_err(ClientError::Print)?,
    }
    Ok(if to_fix == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn print(report: &Report, out: &mut Terminal<impl Write>) -> io::Result<()> {
    for check in &report.checks {
        let state = match check.state {
            State::Ok => "ok  ",
            State::Fix => "FIX ",
            State::Note => "note",
            State::Off => "off ",
        };
        let took = check.milliseconds.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
        writeln!(out, "{state}  {}: {}{took}", check.subject, check.found)?;
        if let Some(fix) = &check.fix {
            writeln!(out, "      {fix}")?;
        }
    }
    match report.to_fix {
        0 => writeln!(out, "nothing to fix"),
        many => writeln!(out, "{} to fix", count(many, "thing")),
    }
}
