//! `mape-k run`: the daemon, or one cycle of it.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::client::ClientError;
use super::terminal::Terminal;
use super::{Output, start_logs};
use crate::clock::Clock;
use crate::config::{Config, Warning};
use crate::control_loop;
use crate::daemon::{Daemon, Parts, Source, assemble};
use crate::domain::cycle::{CycleReport, CycleStatus, Trigger};
use crate::telemetry::LogFormat;

/// Exit code after a second signal: as a shell reports an interrupted command.
const INTERRUPTED: i32 = 130;

/// Until SIGTERM or SIGINT; a second signal ends the process at once. SIGHUP reads the configuration again from `source`.
pub async fn daemon(
    (config, warnings): (Config, Vec<Warning>),
    format: Option<LogFormat>,
    source: Source,
) -> anyhow::Result<ExitCode> {
    // First of all: a reload that comes while the daemon starts must not end it.
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be handled")?;
    let logs = start_logs(&config.logging, format)?;
    log(&warnings);
    let daemon = Daemon::start_from(config, Clock::start(), source).await?;
    let (stop, reloads) = (daemon.stopper(), daemon.reloads());
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    let running = daemon.wait();
    tokio::pin!(running);
    loop {
        tokio::select! {
            ended = &mut running => {
                ended?;
                return Ok(ExitCode::SUCCESS);
            }
            _ = hangup.recv() => {
                reloads.ask();
                continue;
            }
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if stop.is_cancelled() {
            tracing::warn!(
                "second signal: the daemon exits at once; the journal keeps what is under way, and the next start settles it"
            );
            // The exit runs no destructors, and this very line is still queued.
            drop(logs);
            std::process::exit(INTERRUPTED);
        }
        tracing::info!(
            "stopping: no new action is begun; the one under way is finished or recorded"
        );
        stop.cancel();
    }
}

/// One scheduled cycle with everything it does, then its report.
pub async fn once(
    (config, warnings): (Config, Vec<Warning>),
    format: Option<LogFormat>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let _logs = start_logs(&config.logging, format)?;
    log(&warnings);
    let mut parts = assemble(&Arc::new(config), Clock::start()).await?;
    let stop = CancellationToken::new();
    let report = Box::pin(lead_once(&mut parts, &stop)).await?;
    parts.knowledge.close().await;
    match output {
        Output::Json => Terminal::stdout().pretty_json(&report).map_err(ClientError::Print)?,
        Output::Text => print(&report)?,
    }
    Ok(match report.status {
        CycleStatus::Healthy | CycleStatus::Completed => ExitCode::SUCCESS,
        CycleStatus::Failed | CycleStatus::Error => ExitCode::FAILURE,
    })
}

/// On a shared store only while nobody else leads; the lease is released at the end.
async fn lead_once(parts: &mut Parts, stop: &CancellationToken) -> anyhow::Result<CycleReport> {
    let Some(term) = parts.terms.borrow().clone() else {
        let leader = parts.handle.leader();
        match leader.problem {
            Some(problem) => bail!("no cycle was run: {problem}"),
            None => bail!(
                "no cycle was run: {} leads on this store, and two daemons would act twice. Stop that one first, or use `mape-k observe`, which changes nothing",
                leader.holder
            ),
        }
    };
    let (done, ended) = (CancellationToken::new(), CancellationToken::new());
    let background = parts.background.clone();
    let cycle = async {
        let guard = done.clone().drop_guard();
        let cycle = async {
            let _ends_the_background = ended.clone().drop_guard();
            parts.cycle.lead(term).await?;
            control_loop::once(&mut parts.cycle, &parts.publisher, Trigger::Scheduled, stop)
                .await
                .map_err(|text| anyhow::anyhow!("the cycle panicked: {text}"))
        };
        let (report, ()) = tokio::join!(cycle, background.run(stop.clone(), ended.clone()));
        control_loop::take_in_last(&mut parts.cycle, &parts.publisher).await;
        drop(guard);
        report
    };
    let cluster = parts.cluster.take();
    let watched = async {
        if let Some(cluster) = cluster {
            cluster.run(done.clone()).await;
        }
    };
    let (report, (), ()) = tokio::join!(cycle, parts.elector.run(done.clone()), watched);
    let report = report?;
    // The store has it as it is now that people were notified; without a store the first one stands.
    let stored = parts.knowledge.get::<CycleReport>(&report.id).await.ok().flatten();
    Ok(stored.map_or(report, |(stored, _)| stored))
}

/// In the log and its format: what reads the log's lines would stumble over any other.
fn log(warnings: &[Warning]) {
    for warning in warnings {
        tracing::warn!(%warning, "the configuration is accepted with a warning");
    }
}

fn print(report: &CycleReport) -> Result<(), ClientError> {
    let mut out = Terminal::stdout();
    writeln!(
        out,
        "cycle {}: {} in {:.2} s, {} violations ({} to be acted on)",
        report.id,
        report.status.as_str(),
        report.duration_seconds,
        report.violations,
        report.actionable
    )?;
    for line in super::demo::story::lines(report) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}
