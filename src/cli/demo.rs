//! `mape-k demo`: the whole loop against the reference Charter in one process, every fault of its table once, loop
//! and plant at 30 times the speed of life. Succeeds only if each fault ended as it should.

mod faults;
pub mod story;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Output;
use super::terminal::Terminal;
use crate::charter_sandbox;
use crate::clock::Clock;
use crate::config::Config;
use crate::control_loop::Mode;
use crate::daemon::Daemon;
use crate::domain::action::ActionKind;
use crate::domain::cycle::CycleReport;
use crate::domain::follow_ups::FollowUps;
use crate::domain::outcome::PendingVerification;
use crate::domain::treatment::Treatment;
use crate::domain::violation::Violation;
use crate::knowledge::Database;
use crate::monitor::MetricsSource;
use faults::{Episode, FAULTS, Fault};
use table::Row;

/// How many times faster than life both the plant and the loop run.
const SPEED: f64 = 30.0;

/// Good cycles before the first fault: every series must have been seen clear, or no beginning is witnessed.
const WARM_UP: u64 = 5;

/// The reference Charter's size at its start.
const REPLICAS: u32 = 3;

pub async fn run(limit: Duration, seed: u64, output: Output) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port on loopback")?;
    let charter = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
    let stop_charter = CancellationToken::new();
    let options =
        charter_sandbox::Options { seed, sandbox: true, speed: SPEED, ..Default::default() };
    let plant = tokio::spawn(charter_sandbox::serve(
        listener,
        options,
        stop_charter.clone().cancelled_owned(),
    ));
    let config = configuration(&charter, folder.path().join("knowledge.db"));
    let incident_gap = config.plan.incident_gap;
    let daemon = Daemon::start(config, Clock::start()).await?;
    let stop = daemon.stopper();
    let mut stage = Stage {
        charter,
        http: reqwest::Client::new(),
        daemon: &daemon,
        told: 0,
        output,
        started: Instant::now(),
        deadline: Instant::now() + limit,
        incident_gap,
        fates: Vec::new(),
        problem: None,
    };
    stage.say(&format!(
        "mape-k demo: {} faults of the reference Charter, plant and loop at {SPEED} times the speed of life.\n\
         Times in the left column and in the table are the plant's; a duration inside a message is {SPEED} times shorter.\n\
         The daemon's API meanwhile: http://{}/api/v1/state\n",
        FAULTS.len(),
        daemon.api
    ));
    let rows = stage.play().await;
    stop.cancel();
    daemon.wait().await?;
    stop_charter.cancel();
    plant.await??;
    let rows = rows?;
    table::print(&rows, output)?;
    Ok(if rows.iter().all(|r| r.as_expected) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The defaults, pointed at the reference Charter, and then every duration divided by the speed.
fn configuration(charter: &Url, database: std::path::PathBuf) -> Config {
    let mut config = Config::default();
    config.orchestrator.mode = Mode::Staging;
    config.orchestrator.auto_approve = true;
    config.plan.auto_approve = true;
    // Nine faults in two hours are more work than the shipped budget lets be done without a person.
    config.plan.guardrails.budget.per_hour = 20;
    config.plan.guardrails.budget.per_target_per_hour = 20;
    config.monitor.source = MetricsSource::Scrape;
    config.monitor.scrape_url = charter.join("metrics").ok();
    config.execute.charter_url = Some(charter.clone());
    config.knowledge.database = Database::Sqlite;
    config.knowledge.sqlite_path = database;
    config.alertmanager.enabled = false;
    config.escalation.reports_dir = None;
    "127.0.0.1".clone_into(&mut config.api.host);
    config.api.port = 0;
    config.scaled(SPEED)
}

/// The running pair of plant and loop.
struct Stage<'a> {
    charter: Url,
    http: reqwest::Client,
    daemon: &'a Daemon,
    /// Cycles printed so far.
    told: u64,
    output: Output,
    started: Instant,
    deadline: Instant,
    incident_gap: Duration,
    /// What was last printed of the candidates, and of what is wrong with the data.
    fates: Vec<(ActionKind, String, (&'static str, String))>,
    problem: Option<String>,
}

impl Stage<'_> {
    async fn play(&mut self) -> anyhow::Result<Vec<Row>> {
        while self.daemon.handle.view().iteration < WARM_UP {
            self.tick().await?;
        }
        let mut rows = Vec::new();
        for fault in &FAULTS {
            self.wait_for_a_fresh_incident(fault).await?;
            rows.push(self.suffer(fault).await?);
        }
        Ok(rows)
    }

    /// What was tried in an open incident of the same cause is out until it ends.
    async fn wait_for_a_fresh_incident(&mut self, fault: &Fault) -> anyhow::Result<()> {
        loop {
            let now = self.daemon.handle.now();
            let incidents = self.daemon.knowledge.page::<Treatment>(None, None, 100).await?.items;
            let open = incidents.iter().any(|i| {
                i.cause.0 == fault.cause
                    && !i.attempts.is_empty()
                    && crate::domain::time::since(now, i.last_evidence_at) < self.incident_gap
            });
            if !open && self.is_quiet().await? {
                return Ok(());
            }
            self.tick().await?;
        }
    }

    async fn is_quiet(&self) -> anyhow::Result<bool> {
        let verification =
            !self.daemon.knowledge.all::<PendingVerification>(None).await?.is_empty();
        // Another fault while a success may still be taken back would take it back.
        let now = self.daemon.handle.now();
        let left = self.daemon.knowledge.fact::<FollowUps>(FollowUps::FACT).await?;
        let watched = left.is_some_and(|left| left.successes.iter().any(|s| now <= s.until));
        Ok(!verification
            && !watched
            && !self.daemon.handle.view().violations.iter().any(Violation::counts))
    }

    /// Injects one fault and watches until it has ended.
    async fn suffer(&mut self, fault: &Fault) -> anyhow::Result<Row> {
        self.say("");
        self.say(&format!("── {} ── {}", fault.name, fault.story));
        let id = self.inject(fault).await?;
        let mut episode = Episode::begin(fault, self.daemon.handle.now());
        loop {
            self.tick().await?;
            episode.look(&self.daemon.knowledge, &self.daemon.handle.view()).await?;
            if episode.is_over(self.daemon.handle.now(), SPEED) {
                break;
            }
        }
        // The store knows a verdict before its cycle's report is there to be told.
        let last = self.daemon.handle.view().iteration + 1;
        while self.told < last {
            self.tick().await?;
        }
        self.withdraw(&id).await?;
        self.set_size_back().await?;
        Ok(episode.row(SPEED))
    }

    async fn inject(&self, fault: &Fault) -> anyhow::Result<String> {
        let url = self.charter.join("sandbox/faults")?;
        let answer = self.http.post(url).json(&json!({"fault": fault.name})).send().await?;
        let status = answer.status();
        let body: serde_json::Value = answer.json().await?;
        body["id"].as_str().map(str::to_owned).with_context(|| {
            format!("the reference Charter refused fault {}: {status} {body}", fault.name)
        })
    }

    async fn withdraw(&self, id: &str) -> anyhow::Result<()> {
        let url = self.charter.join(&format!("sandbox/faults/{id}"))?;
        // A fault that ended by itself is gone already; that is no error.
        self.http.delete(url).send().await?;
        Ok(())
    }

    /// Between two faults a person sets the size back: with the replicas of an earlier cure the next fault of the load
    /// would break nothing.
    async fn set_size_back(&self) -> anyhow::Result<()> {
        let url = self.charter.join("api/v1/committee/scale")?;
        self.http
            .post(url)
            .json(&json!({"replicas": REPLICAS}))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Waits for the next cycle and prints what happened in it.
    async fn tick(&mut self) -> anyhow::Result<()> {
        if Instant::now() >= self.deadline {
            bail!("the demo did not end in time (--duration)");
        }
        sleep(Duration::from_millis(50)).await;
        let page = self.daemon.knowledge.page::<CycleReport>(None, None, 50).await?;
        let mut new: Vec<CycleReport> =
            page.items.into_iter().filter(|r| r.number > self.told).collect();
        new.sort_by_key(|r| r.number);
        for report in new {
            self.told = report.number;
            self.tell(&report).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, report: &CycleReport) -> anyhow::Result<()> {
        if self.output == Output::Json {
            if !report.candidates.is_empty() || report.opened + report.cleared > 0 {
                Terminal::stdout().pretty_json(report)?;
            }
            return Ok(());
        }
        let mut lines = story::seen(report);
        lines.extend(faults::learned(&self.daemon.knowledge, report).await?);
        // What is weighed again with the same result has been told.
        let fates: Vec<_> = report
            .candidates
            .iter()
            .map(|c| (c.action, c.component.clone(), story::fate(&c.verdict)))
            .collect();
        if fates != self.fates {
            lines.extend(story::weighed(&report.candidates));
            self.fates = fates;
        }
        if report.error != self.problem {
            lines.push(match &report.error {
                Some(error) => format!("problem  {error}"),
                None => "resolved all data is there again".to_owned(),
            });
            self.problem.clone_from(&report.error);
        }
        lines.extend(faults::done(&self.daemon.knowledge, report).await?);
        if lines.is_empty() {
            return Ok(());
        }
        let mut out = Terminal::stdout();
        writeln!(out, "{}  cycle {}", clock(self.started.elapsed().mul_f64(SPEED)), report.number)?;
        for line in lines {
            writeln!(out, "        {line}")?;
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        if self.output == Output::Text {
            // The demo goes on when nobody reads it: its exit code tells how it ended.
            let _ = writeln!(Terminal::stdout(), "{text}");
        }
    }
}

/// Plant time as minutes and seconds.
fn clock(at: Duration) -> String {
    format!("{:>3}:{:02}", at.as_secs() / 60, at.as_secs() % 60)
}
