//! `mape-k observe`: reads every source once and prints every rule and what is wrong; nothing is stored, nothing is changed.
//!
//! It ends with 2 when anything could not be read, also beside violations: UNKNOWN is never called healthy.

mod report;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::report::{Report, RuleResult, RuleState, SourceState, State, Unread};
use super::client::ClientError;
use super::terminal::Terminal;
use super::{Output, start_logs};
use crate::actuators::charter::{Call, CallObserver, CallStatus, Charter};
use crate::analyzer::cluster::{Onsets, findings};
use crate::analyzer::{Changes, Found, Tracker};
use crate::clock::Clock;
use crate::config::{CatalogueFile, Config};
use crate::domain::CHARTER;
use crate::domain::charter::CharterView;
use crate::domain::cluster::ClusterReading;
use crate::domain::cycle::Trigger;
use crate::domain::reading::{RuleReading, Snapshot, Source};
use crate::domain::violation::Violation;
use crate::monitor::Monitor;
use crate::monitor::cluster::{ClusterWatch, WatchTimeouts};
use crate::monitor::settings::MetricsSource;
use crate::telemetry::LogFormat;

/// For the first lists of a large cluster; what has not come by then could not be read.
const FIRST_LISTS: Duration = Duration::from_secs(10);

/// Why a condition without `present` that answers nothing is unknown.
const NO_PRESENT: &str =
    "it returned no series, which may mean missing data; give the condition a `present` query";

/// Reads every source once and prints the report.
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
    let violations: Vec<&Violation> = tracker.active().collect();
    let charter = charter?;
    let mut unread = unread(&seen);
    unread.extend(
        charter
            .as_ref()
            .and_then(|view| view.problem().cloned())
            .map(|problem| Unread { source: CHARTER, problem }),
    );
    let kubernetes = Source::Kubernetes.as_str();
    let findings = match cluster {
        None => None,
        Some(Err(problem)) => {
            unread.push(Unread { source: kubernetes, problem });
            Some(Vec::new())
        }
        Some(Ok(reading)) => {
            unread
                .extend(unread_of(&reading).map(|problem| Unread { source: kubernetes, problem }));
            let (catalogue, _) = CatalogueFile::open(&config.escalation)?;
            Some(findings(&reading, catalogue.catalogue(), &Onsets::default(), clock.now()))
        }
    };
    let report = Report::new(
        sources(&config, &unread),
        rules(&seen, &changes, &violations),
        violations,
        findings,
        unread,
        charter.and_then(|view| view.state.ok()),
    );
    match output {
        Output::Json => Terminal::stdout().pretty_json(&report).map_err(ClientError::Print)?,
        Output::Text => report.print(&mut Terminal::stdout()).map_err(ClientError::Print)?,
    }
    Ok(report.verdict.exit_code())
}

fn unread(seen: &Snapshot) -> Vec<Unread> {
    let failed = seen.sources.iter().filter_map(|s| Some((s.source, s.result.as_ref().err()?)));
    failed
        .map(|(source, error)| Unread { source: source.as_str(), problem: error.text.clone() })
        .collect()
}

/// Every source that there is: read, unread or turned off.
fn sources(config: &Config, unread: &[Unread]) -> Vec<SourceState> {
    let metrics = match config.monitor.source {
        MetricsSource::Prometheus => Source::Prometheus,
        MetricsSource::Scrape => Source::Scrape,
    };
    let all = [
        (metrics.as_str(), config.monitor.server().is_some()),
        (Source::Alertmanager.as_str(), config.alertmanager.enabled),
        (CHARTER, config.execute.charter_url.is_some()),
        (Source::Kubernetes.as_str(), config.kubernetes.enabled),
    ];
    all.map(|(source, is_on)| {
        let failed = unread.iter().any(|one| one.source == source);
        let state = match (is_on, failed) {
            (false, _) => State::Off,
            (true, true) => State::Unread,
            (true, false) => State::Read,
        };
        SourceState { source, state }
    })
    .into()
}

/// Every rule with its worst value. What did not answer whole is unknown, unless what there is of it breaks already.
fn rules(seen: &Snapshot, changes: &Changes, violations: &[&Violation]) -> Vec<RuleState> {
    let named = |name: &str| changes.rules.iter().find(|status| status.rule == name);
    let state = |reading: &RuleReading| {
        let rule = &reading.rule;
        let (comparison, threshold) = rule.limit();
        let points = reading.points.as_deref().unwrap_or_default();
        let worst = points.iter().map(|point| point.value).reduce(|worst, value| {
            let is_worse =
                comparison.excess(value, threshold) > comparison.excess(worst, threshold);
            if is_worse { value } else { worst }
        });
        let is_broken = violations.iter().any(|violation| violation.rule == rule.name);
        let status = named(&rule.name);
        let is_good = status.is_some_and(|status| status.good);
        let problem = status.and_then(|status| status.problem.clone());
        let verdict = match (is_broken, is_good) {
            (true, _) => RuleResult::Violated,
            (false, true) => RuleResult::Ok,
            (false, false) => RuleResult::Unknown,
        };
        RuleState {
            rule: rule.name.clone(),
            verdict,
            value: worst,
            series: points.len(),
            threshold,
            comparison,
            is_whole: is_good,
            problem: problem.or_else(|| (!is_good).then(|| NO_PRESENT.to_owned())),
        }
    };
    seen.readings.iter().map(state).collect()
}

/// Charter's own account of itself, or why it is not known; `None`: Charter is turned off.
pub(super) async fn charter(config: &Config, clock: Clock) -> anyhow::Result<Option<CharterView>> {
    let Some(settings) = config.execute.charter() else { return Ok(None) };
    let charter = Charter::new(&settings, Arc::new(Uncounted))?;
    Ok(Some(charter.observe(clock.now()).await))
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
    Some(match ClusterWatch::new(&config.kubernetes, WatchTimeouts::default()).await {
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
