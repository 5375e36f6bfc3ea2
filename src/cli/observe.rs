//! `mape-k observe`: reads every source once and prints what is wrong; nothing is stored, nothing is changed.
//!
//! It ends with 2 when a source could not be read: what is not known is never called well.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::client::ClientError;
use super::terminal::Terminal;
use super::{Output, start_logs};
use crate::actuators::charter::{Call, CallObserver, CallStatus, Charter};
use crate::analyzer::cluster::{Onsets, findings};
use crate::analyzer::{Changes, Found, Tracker};
use crate::clock::Clock;
use crate::config::{CatalogueFile, Config};
use crate::domain::CHARTER;
use crate::domain::cluster::ClusterReading;
use crate::domain::cycle::Trigger;
use crate::domain::finding::Finding;
use crate::domain::reading::{Snapshot, Source};
use crate::domain::violation::Violation;
use crate::monitor::Monitor;
use crate::monitor::cluster::{ClusterWatch, Patience};
use crate::telemetry::LogFormat;

/// For the first lists of a large cluster; what has not come by then could not be read.
const FIRST_LISTS: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Report<'a> {
    violations: Vec<&'a Violation>,
    /// What is wrong in the cluster; null when Kubernetes is not watched.
    findings: Option<Vec<Finding>>,
    /// The sources that could not be read whole.
    unread: Vec<Unread>,
    /// All that could not be read, rules without data among it, in words.
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Unread {
    source: &'static str,
    problem: String,
}

impl Unread {
    fn new(source: &'static str, problem: String) -> Self {
        Self { source, problem }
    }
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
    let (read, charter, cluster) =
        tokio::join!(monitor.observe(&[], None), charter(&config, clock), cluster(&config, clock));
    let seen = monitor.snapshot(read, &[], &BTreeSet::new());
    let mut tracker = Tracker::new(config.analyze.clone(), clock.now(), Vec::new());
    let found = Found::default();
    let changes = tracker.observe(&seen, &found, Trigger::Scheduled, &mut Uuid::now_v7);
    let mut unread = unread(&seen);
    unread.extend(charter?.map(|problem| Unread::new(CHARTER, problem)));
    let kubernetes = Source::Kubernetes.as_str();
    let findings = match cluster {
        None => None,
        Some(Err(problem)) => {
            unread.push(Unread::new(kubernetes, problem));
            Some(Vec::new())
        }
        Some(Ok(reading)) => {
            unread.extend(unread_of(&reading).map(|problem| Unread::new(kubernetes, problem)));
            let (catalogue, _) = CatalogueFile::open(&config.escalation)?;
            Some(findings(&reading, catalogue.catalogue(), &Onsets::default(), clock.now()))
        }
    };
    let is_whole = unread.is_empty();
    let problems = problems(&unread, &changes);
    let report = Report { violations: tracker.active().collect(), findings, unread, problems };
    match output {
        Output::Json => Terminal::stdout().pretty_json(&report).map_err(ClientError::Print)?,
        Output::Text => print(&report)?,
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn unread(seen: &Snapshot) -> Vec<Unread> {
    let failed = seen.sources.iter().filter_map(|s| Some((s.source, s.result.as_ref().err()?)));
    failed.map(|(source, error)| Unread::new(source.as_str(), error.text.clone())).collect()
}

fn problems(unread: &[Unread], changes: &Changes) -> Vec<String> {
    let mut problems: Vec<String> = unread.iter().map(|one| one.problem.clone()).collect();
    problems.extend(changes.rules.iter().filter_map(|rule| rule.problem.clone()));
    let mut told = BTreeSet::new();
    problems.retain(|problem| told.insert(problem.clone()));
    problems
}

/// Why Charter's state is not known; `None`: it is, or Charter is turned off.
async fn charter(config: &Config, clock: Clock) -> anyhow::Result<Option<String>> {
    let Some(settings) = config.execute.charter() else { return Ok(None) };
    let charter = Charter::new(&settings, Arc::new(Uncounted))?;
    Ok(charter.observe(clock.now()).await.problem().cloned())
}

/// Nobody asks for the metrics of a process that is about to end.
#[derive(Debug)]
struct Uncounted;

impl CallObserver for Uncounted {
    fn on_call(&self, _: Call, _: CallStatus, _: Duration) {}
}

/// One look at the cluster, or why nobody can look; `None`: it is not watched.
async fn cluster(config: &Config, clock: Clock) -> Option<Result<ClusterReading, String>> {
    if !config.kubernetes.enabled {
        return None;
    }
    Some(match ClusterWatch::new(&config.kubernetes, Patience::default()).await {
        Err(error) => Err(error.to_string()),
        Ok((watch, driver)) => {
            tokio::select! {
                () = driver.run(CancellationToken::new()) => {}
                () = watch.ready(Instant::now() + FIRST_LISTS) => {}
            }
            Ok(watch.read(clock.now()))
        }
    })
}

/// What of the cluster could not be read.
fn unread_of(reading: &ClusterReading) -> Option<String> {
    let failures = reading.failures.values().map(|failure| failure.text.clone());
    let problems: Vec<String> =
        failures.chain(reading.unread.iter().map(ToString::to_string)).collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

fn print(report: &Report<'_>) -> Result<(), ClientError> {
    let mut out = Terminal::stdout();
    for violation in &report.violations {
        writeln!(out, "{:8}  {}", violation.severity.as_str(), violation.description)?;
    }
    for finding in report.findings.iter().flatten() {
        let place = finding.namespace.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
        let severity = finding.severity.as_str();
        writeln!(out, "{severity:8}  {place}{}: {}", finding.owner, finding.reason)?;
    }
    let is_empty = report.violations.is_empty() && report.findings.iter().all(Vec::is_empty);
    match (is_empty, report.problems.is_empty()) {
        (true, true) if report.findings.is_some() => writeln!(out, "no violations, no findings")?,
        (true, true) => writeln!(out, "no violations")?,
        (_, false) => writeln!(
            out,
            "{}. Whether {} cannot be known while this is missing:",
            if is_empty { "Nothing was found in what could be read" } else { "That is not all" },
            if is_empty { "anything is wrong" } else { "anything else is wrong" },
        )?,
        (false, true) => {}
    }
    for Unread { source, problem } in &report.unread {
        writeln!(out, "unread    {source}: {problem}")?;
    }
    let is_told = |problem: &&String| report.unread.iter().any(|one| one.problem == **problem);
    for problem in report.problems.iter().filter(|problem| !is_told(problem)) {
        writeln!(out, "missing   {problem}")?;
    }
    Ok(())
}
