//! The second half of a cycle: how bad everything is that was found, whom it is told, and what came of that.
//!
//! ```text
//! findings of the cluster ──┐
//! the loop's own records ───┴▶ board ─▶ assessor ─▶ decision ─▶ stored ─▶ messages ─▶ notifiers | backups ─▶ stored
//! ```
//! It runs in every cycle, whatever became of the first half, and a failure here stops nothing there. What cannot be
//! stored is told all the same: a store that is down is one more thing people must hear of.

mod build;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::assess::{Assessor, within};
use super::cluster::Looked;
use super::kit::Kit;
use super::run::Run;
use crate::analyzer::cluster::Onsets;
use crate::domain::CHARTER;
use crate::domain::catalogue::Catalogue;
use crate::domain::cycle::condition::ClusterRead;
use crate::domain::cycle::{CycleReport, CycleStatus, FAILING, Phase};
use crate::domain::decision::Decision;
use crate::domain::finding::{Finding, FindingKind, IncidentClass};
use crate::domain::incident::{Anchor, Incident};
use crate::domain::need::{Need, NeedReason};
use crate::domain::time::Time;
use crate::domain::view;
use crate::domain::violation::Violation;
use crate::escalation::board::{self, BoardState, IncidentBoard, Observation};
use crate::escalation::own::{self, Anchors, Failing};
use crate::escalation::{Changes, correlation};
use crate::knowledge::documents::{CLOSED, Fact, OPEN};
use crate::knowledge::report_files::ReportFiles;
use crate::knowledge::{Knowledge, StoreError, Term};
use crate::metrics::labels::StoreOperation;
use crate::monitor::cluster::Watch;
use crate::monitor::github::Github;
use crate::notify::Notifiers;

pub use build::Outside;

/// Incidents that ended lately and may come back; more than end in a day of storms.
const ENDED: usize = 1_000;
const ENDED_WITHIN: TimeDelta = TimeDelta::hours(24);

/// Findings in a report: what a person reads; the incidents have theirs.
const REPORTED: usize = 200;

/// For all commits of all services that broke in one cycle: an alert does not wait longer for its explanation.
const COMMITS_WITHIN: Duration = Duration::from_secs(5);

/// A disk that hangs holds no healing up for longer.
const FILE_WITHIN: Duration = Duration::from_secs(2);

/// What it works with, and what it remembers.
#[derive(Debug)]
pub struct People {
    assessor: Arc<dyn Assessor>,
    timeout: Duration,
    notifiers: Notifiers,
    github: Option<(Github, Duration)>,
    files: Option<ReportFiles>,
    settings: crate::escalation::settings::Settings,
    board: IncidentBoard,
    /// The loop's own records that are open, as last heard of, and whether that was in this cycle.
    records: Vec<Need>,
    heard: bool,
    /// Since when cycle after cycle fails.
    failing_since: Option<Time>,
    /// Could not be written yet.
    unsaved: BTreeMap<String, Incident>,
    /// Needs whose incident is not stored with them yet.
    unlinked: Vec<Need>,
    saved: Option<Remembered>,
    shown: view::People,
    files_problem: Option<String>,
    /// When people were last told of a defect in this half.
    alarmed_at: Option<Time>,
}

/// What is stored beside the incidents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Remembered {
    board: BoardState,
    onsets: Onsets,
}

impl People {
    /// What the loop itself left for people in this cycle.
    pub(super) fn heard(&mut self, told: &Changes) {
        let open = told.opened.iter().chain(&told.refreshed).chain(&told.unchanged);
        self.records = open.cloned().collect();
        self.heard = true;
    }

    /// Takes up what was stored before this process led, and returns when each finding was first seen.
    pub(super) async fn take_up(
        &mut self,
        knowledge: &Knowledge,
        now: Time,
    ) -> Result<Onsets, StoreError> {
        let (incidents, remembered) = match stored(knowledge, now).await {
            // Nothing would be healed for as long as it lies there, and what is open is only told once more.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%error, "what people were told cannot be read: all that is open is told anew");
                Default::default()
            }
            stored => stored?,
        };
        self.records = knowledge.all::<Need>(Some(OPEN)).await?;
        let blind = |one: &Incident| {
            let kind = FindingKind::Loop(NeedReason::Blind);
            let blind = one.findings.iter().find(|f| f.kind == kind && f.record.is_none());
            blind.map(|finding| finding.since)
        };
        self.failing_since = incidents.iter().filter(|one| one.is_open()).find_map(blind);
        self.board = IncidentBoard::restore(&self.settings, incidents, remembered.board.clone());
        let onsets = remembered.onsets.clone();
        // Files are of one machine; what the store says is of all.
        let waiting = self.notifiers.waiting_incidents();
        let lost = self.board.missing_backups(&|incident| waiting.contains(incident));
        if !lost.is_empty() {
            tracing::warn!(
                incidents = lost.join(", "),
                "nobody was told of these, and what waited for it is not on this machine: they are due again"
            );
        }
        self.saved = Some(remembered);
        self.unsaved.clear();
        Ok(onsets)
    }

    /// Writes the report's file.
    pub(super) async fn file(&mut self, report: &CycleReport) {
        let Some(files) = &mut self.files else { return };
        let written = timeout(FILE_WITHIN, files.write(report)).await;
        let problem = match written {
            Ok(written) => written.err().map(|error| error.to_string()),
            Err(_) => Some(format!(
                "the folder of reports did not take one within {} s (escalation.reports_dir)",
                FILE_WITHIN.as_secs()
            )),
        };
        if let Some(problem) =
            problem.as_ref().filter(|now| self.files_problem.as_ref() != Some(now))
        {
            tracing::warn!(problem, "the report is in the store, and not in a file");
        }
        self.files_problem = problem;
    }

    pub(super) fn shown(&self) -> view::People {
        let problem = self.shown.problem.clone().or_else(|| self.files_problem.clone());
        view::People { problem, ..self.shown.clone() }
    }

    /// What was found, by what is known of its past.
    fn observe(&mut self, findings: &[Finding], looked: &Looked, heard: bool, now: Time) {
        let mut readable = match &looked.reading {
            Some(reading) => board::readable(reading),
            // It is not looked at any more, and nobody knows what became of what was found.
            None => BTreeSet::new(),
        };
        if heard {
            readable.insert(IncidentClass::Loop);
        }
        let hidden = looked.reading.as_ref().map(board::hidden).unwrap_or_default();
        let seen = Observation {
            findings,
            catalogue: &looked.catalogue,
            readable: &readable,
            hidden: &hidden,
            now,
        };
        let observed = self.board.observe(&seen);
        for (what, incidents) in [
            ("opened", &observed.opened),
            ("came back", &observed.returned),
            ("ended", &observed.ended),
        ] {
            for id in incidents {
                if let Some(one) = self.board.incident(id) {
                    tracing::info!(
                        incident = id,
                        service = one.service,
                        class = one.class.as_str(),
                        severity = one.severity.as_str(),
                        findings = one.lines.join("; "),
                        "an incident {what}"
                    );
                }
            }
        }
    }

    /// Each need stays with the incident that it was first seen in.
    fn link(&mut self, findings: &[Finding]) {
        let anchors: BTreeMap<Uuid, Anchor> =
            findings.iter().filter_map(|f| Some((f.record?, f.anchor()))).collect();
        for need in &mut self.records {
            let anchor = anchors.get(&need.id);
            let incident = anchor.and_then(|anchor| self.board.open_at(anchor));
            let incident = incident.map(|one| one.id.clone());
            if incident.is_some() && need.incident != incident {
                need.incident = incident;
                self.unlinked.push(need.clone());
            }
        }
    }

    /// The deployments that may be behind what is new. GitHub down only means that none is named.
    async fn suspects(&mut self, catalogue: &Catalogue, now: Time) {
        let Some((github, window)) = &self.github else { return };
        let deadline = Instant::now() + COMMITS_WITHIN;
        let mut failed = None;
        for onset in self.board.wanting_suspects(catalogue, now) {
            let since = onset.since - TimeDelta::from_std(*window).unwrap_or(TimeDelta::MAX);
            let mut commits = Vec::new();
            for path in &onset.service.gitops_paths {
                match github.commits(path, since, deadline).await {
                    Ok(found) => commits.extend(found),
                    Err(error) => failed = Some(error.text),
                }
            }
            if let Some(suspect) = correlation::best_suspect(&onset.service, onset.since, &commits)
            {
                self.board.suspect(&onset.incident, suspect, now);
            }
        }
        if let Some(error) = failed {
            tracing::warn!(error, "deployments could not be looked for; people are told without");
        }
    }

    /// What there is to decide, decided: by the assessor, or conservatively when it fails.
    async fn decide(
        &mut self,
        findings: &[Finding],
        looked: &Looked,
        now: Time,
        stop: &CancellationToken,
    ) -> Option<Decision> {
        let case = self.board.case(&looked.catalogue, looked.is_partial(), now)?;
        let assessed = tokio::select! {
            biased;
            assessed = within(&*self.assessor, &case, self.timeout) => assessed,
            () = stop.cancelled() => Err("the daemon is stopping".to_owned()),
        };
        Some(match assessed {
            Ok(assessment) => self.board.decide(&case, &assessment),
            Err(error) => {
                tracing::warn!(
                    error,
                    "the escalation could not be assessed: the conservative decision stands"
                );
                self.board.decide_blindly(findings, Some(&case), now)
            }
        })
    }

    /// Stores what changed; what could not be stored is tried again with the next.
    async fn keep(
        &mut self,
        knowledge: &Knowledge,
        onsets: &Onsets,
        now: Time,
    ) -> Result<(), StoreError> {
        for incident in self.board.take_changed() {
            self.unsaved.insert(incident.id.clone(), incident);
        }
        let remembered = Remembered { board: self.board.state().clone(), onsets: onsets.clone() };
        let mut batch = knowledge.batch();
        for incident in self.unsaved.values() {
            batch.put(incident);
        }
        for need in &self.unlinked {
            batch.put(need);
        }
        if self.saved.as_ref() != Some(&remembered) {
            let value = serde_json::to_value(&remembered).unwrap_or_default();
            batch.put(&Fact { name: Fact::PEOPLE.to_owned(), value, at: now });
        }
        knowledge.commit(batch).await?;
        self.unsaved.clear();
        self.unlinked.clear();
        self.saved = Some(remembered);
        Ok(())
    }
}

/// All that is open, and what ended lately.
async fn stored(
    knowledge: &Knowledge,
    now: Time,
) -> Result<(Vec<Incident>, Remembered), StoreError> {
    let mut incidents = knowledge.all::<Incident>(Some(OPEN)).await?;
    let ended = knowledge.page::<Incident>(Some(CLOSED), None, ENDED).await?.items;
    let lately = |one: &Incident| one.ended_at.is_some_and(|at| now - at < ENDED_WITHIN);
    incidents.extend(ended.into_iter().filter(lately));
    let remembered = knowledge.fact::<Remembered>(Fact::PEOPLE).await?.unwrap_or_default();
    Ok((incidents, remembered))
}

impl People {
    /// Everything from the findings to the people. A stop cuts short what can wait, and what was heard is still told.
    /// `onsets`: when each finding was first seen, to be stored with what people were told of it.
    pub(super) async fn told(
        &mut self,
        kit: &Kit,
        run: &mut Run<'_>,
        mut looked: Looked,
        active: &[Violation],
        (watch, onsets): (&Watch, &Onsets),
        stop: &CancellationToken,
    ) {
        let now = kit.clock.now();
        // Of this cycle alone, also when what follows panics.
        let heard = std::mem::take(&mut self.heard);
        run.looked_at(&looked);
        match run.report.status {
            CycleStatus::Failed | CycleStatus::Error => {
                run.report.failed_cycles += 1;
                self.failing_since.get_or_insert(run.report.started_at);
            }
            CycleStatus::Healthy | CycleStatus::Completed => {
                run.report.failed_cycles = 0;
                self.failing_since = None;
            }
        }

        run.enter(Phase::Escalation);
        if let Watch::On(watch) = watch
            && kit.config.kubernetes.log_lines > 0
        {
            stop.run_until_cancelled(looked.read_logs(watch)).await;
        }
        let mut findings = looked.findings.clone();
        let charter = kit.config.execute.charter_url.is_some();
        let unnamed = if charter { CHARTER } else { own::SELF };
        let failing = self.failing(&run.report);
        let anchors = Anchors::of(self.board.incidents(), &findings, active.iter());
        findings.extend(own::violations(active.iter()));
        findings.extend(own::findings(&self.records, failing.as_ref(), unnamed, &anchors));
        self.observe(&findings, &looked, heard, now);
        self.link(&findings);
        stop.run_until_cancelled(self.suspects(&looked.catalogue, now)).await;
        let decision = self.decide(&findings, &looked, now, stop).await;
        if let Some(decision) = &decision {
            kit.metrics.decided(decision);
            say(decision);
        }

        run.enter(Phase::Notification);
        // An incident has its name before anybody hears it: after a crash it is told again under the same.
        self.store(kit, onsets, run, now).await;
        // Whoever leads now tells of it: two that tell would tell twice.
        if kit.knowledge.term().is_none_or(Term::holds) {
            self.tell(run, decision.as_ref(), &looked, now, stop).await;
            self.store(kit, onsets, run, now).await;
            // What waits from before waits on when the process stops.
            if !stop.is_cancelled() {
                self.tell_again(&mut run.report, &looked.catalogue, now).await;
                self.store(kit, onsets, run, now).await;
            }
        }
        run.report.trend_analysis = Some(self.board.trend(now));
        self.show(&findings, decision.clone(), &looked);
        self.report_open(kit, run);
        run.report.escalation_decision = decision;
    }

    fn failing(&self, report: &CycleReport) -> Option<Failing> {
        let since = self.failing_since.filter(|_| report.failed_cycles >= FAILING)?;
        Some(Failing {
            since,
            phase: report.phase.map(Phase::as_str).unwrap_or_default().to_owned(),
            error: report.error.clone().unwrap_or_else(|| "the daemon was stopped".to_owned()),
        })
    }

    async fn store(&mut self, kit: &Kit, onsets: &Onsets, run: &mut Run<'_>, now: Time) {
        if let Err(error) = self.keep(&kit.knowledge, onsets, now).await {
            kit.store_failed(StoreOperation::Write, &error);
            tracing::warn!(%error, "incidents are kept in memory only until the store takes them");
            run.view.store_error.get_or_insert(error.to_string());
        }
    }
}

impl Run<'_> {
    /// The status is the worst of all sources.
    fn looked_at(&mut self, looked: &Looked) {
        let report = &mut self.report;
        report.findings = looked.findings.iter().take(REPORTED).cloned().collect();
        report.unread_objects.clone_from(&looked.unread_objects);
        let is_watched = looked.reading.is_some() || looked.error.is_some();
        report.cluster = is_watched.then(|| ClusterRead { problem: looked.problem() });
        let Some(error) = &looked.error else {
            let has_looked =
                is_watched || report.basis.as_ref().is_none_or(|basis| basis.rules > 0);
            let is_well =
                has_looked && looked.findings.is_empty() && looked.unread_objects.is_empty();
            if report.status == CycleStatus::Healthy && !is_well {
                report.status = CycleStatus::Completed;
            }
            return;
        };
        match report.status {
            CycleStatus::Healthy | CycleStatus::Completed => {
                report.status = CycleStatus::Failed;
                report.phase = Some(Phase::K8sAnalyzer);
            }
            CycleStatus::Failed | CycleStatus::Error => {}
        }
        report.error = Some(match report.error.take() {
            Some(before) => format!("{before}; and of the cluster: {error}"),
            None => error.clone(),
        });
    }
}

fn say(decision: &Decision) {
    tracing::info!(
        severity = decision.severity.as_str(),
        confidence = decision.confidence,
        should_notify = decision.should_notify,
        services = decision.affected_services.join(", "),
        incidents = decision.incidents.join(", "),
        root_cause = decision.root_cause,
        "escalation decided"
    );
}
