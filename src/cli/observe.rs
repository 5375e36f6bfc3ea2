//! `mape-k observe`: reads the sources once and prints the violations; nothing is stored, nothing is changed.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde::Serialize;
use uuid::Uuid;

use super::client::ClientError;
use super::terminal::Terminal;
use super::{Output, start_logs};
use crate::analyzer::{Found, Tracker};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::cycle::Trigger;
use crate::domain::reading::RuleStatus;
use crate::domain::violation::Violation;
use crate::monitor::Monitor;
use crate::telemetry::LogFormat;

#[derive(Serialize)]
struct Report<'a> {
    violations: Vec<&'a Violation>,
    /// What could not be read, in words.
    problems: Vec<String>,
}

pub async fn run(
    config: Config,
    format: Option<LogFormat>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let _logs = start_logs(&config.logging, format)?;
    let clock = Clock::start();
    let interval = config.orchestrator.loop_interval;
    let mut monitor =
        Monitor::new(config.monitor.clone(), config.alertmanager.clone(), interval, clock)?;
    let read = monitor.observe(&[], None).await;
    let seen = monitor.snapshot(read, &[], &BTreeSet::new());
    let mut tracker = Tracker::new(config.analyze.clone(), clock.now(), Vec::new());
    let found = Found::default();
    let changes = tracker.observe(&seen, &found, Trigger::Scheduled, &mut Uuid::now_v7);
    let unread = seen.sources.iter().filter_map(|s| s.result.as_ref().err());
    let unread: Vec<String> = unread.map(|e| e.text.clone()).collect();
    let failed = !unread.is_empty();
    let mut problems = unread;
    problems.extend(changes.rules.iter().filter_map(|r: &RuleStatus| r.problem.clone()));
    problems.dedup();
    let report = Report { violations: tracker.active().collect(), problems };
    match output {
        Output::Json => Terminal::stdout().pretty_json(&report).map_err(ClientError::Print)?,
        Output::Text => print(&report)?,
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(report: &Report<'_>) -> Result<(), ClientError> {
    let mut out = Terminal::stdout();
    for violation in &report.violations {
        writeln!(out, "{:8}  {}", violation.severity.as_str(), violation.description)?;
    }
    if report.violations.is_empty() && report.problems.is_empty() {
        writeln!(out, "no violations")?;
    } else if report.violations.is_empty() {
        writeln!(out, "no violations in what could be read; missing is never healthy:")?;
    }
    for problem in &report.problems {
        writeln!(out, "missing   {problem}")?;
    }
    Ok(())
}
