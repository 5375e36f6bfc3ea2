//! The second half of a cycle: how bad everything is that was found, who is notified of it, and whether that arrived.
//!
//! ```text
//! findings of the cluster ──┐
//! the loop's own records ───┴▶ board ─▶ assessor ─▶ decision ─▶ messages ─▶ stored with the incidents ─▶ outbox
//! ```
//! It runs in every cycle, whatever became of the first half, and a failure here stops nothing there. What cannot be
//! stored is sent all the same: a store that is down is one more thing people must hear of.

mod build;
mod early;
mod noted;
mod observe;
mod stored;
mod tell;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::assess::{Assessor, within};
use super::beside::Desk;
use super::cluster::ClusterAssessment;
use super::kit::Kit;
use super::run::Run;
use crate::analyzer::Tracker;
use crate::analyzer::cluster::Onsets;
use crate::domain::analysis::RootCause;
use crate::domain::catalogue::Catalogue;
use crate::domain::cycle::basis::Basis;
use crate::domain::cycle::condition::{ClusterRead, OpenIncident};
use crate::domain::cycle::{CycleReport, CycleStatus, Phase};
use crate::domain::decision::Decision;
use crate::domain::finding::{Finding, FindingKind};
use crate::domain::incident::{AtWork, Incident};
use crate::domain::need::{Need, NeedReason};
use crate::domain::target::Systems;
use crate::domain::time::Time;
use crate::domain::view;
use crate::incidents::evidence::Anchors;
use crate::incidents::rules::Case;
use crate::incidents::tracker::{IncidentTracker, TrackerState};
use crate::knowledge::documents::OPEN;
use crate::knowledge::{Knowledge, StoreError, Term};
use crate::metrics::labels::StoreOperation;
use crate::monitor::cluster::Watch;

pub use build::Outside;
use early::Pass;
use observe::Around;
use stored::{TAKEN_WITHIN, stored};

/// Incidents that ended lately and may come back; more than end in a day of storms.
const ENDED: usize = 1_000;
const ENDED_WITHIN: TimeDelta = TimeDelta::hours(24);

/// Findings in a report: what a person reads; the incidents have theirs.
const REPORTED: usize = 200;

/// What it works with, and what it remembers.
#[derive(Debug)]
pub struct AlertPipeline {
    assessor: Arc<dyn Assessor>,
    timeout: Duration,
    desk: Arc<Desk>,
    /// Reports are written to files too.
    has_files: bool,
    settings: crate::incidents::settings::Settings,
    board: IncidentTracker,
    /// The loop's own records that are open, as last heard of, and whether that was in this cycle.
    records: Vec<Need>,
    heard: bool,
    /// Needs that this cycle closed before any incident had them.
    brief: Vec<Need>,
    /// As last heard of: the causes of what is wrong, and actions that are not carried out yet.
    causes: Vec<RootCause>,
    acting: Vec<AtWork>,
    /// Actions whose result is not known yet, as last read.
    verifying: Vec<AtWork>,
    /// What the first pass of this cycle has decided and notified.
    early: Option<Decision>,
    /// Since when cycle after cycle fails.
    failing_since: Option<Time>,
    /// Could not be written yet.
    unsaved: BTreeMap<String, Incident>,
    /// Needs whose incident is not stored with them yet.
    unlinked: Vec<Need>,
    /// Entries of the outbox that the store need not keep any more.
    settled: BTreeSet<String>,
    /// Reports that say by now what became of their messages, to be stored.
    reports: Vec<CycleReport>,
    saved: Option<Remembered>,
    /// The epoch under which it took up what is stored.
    taken_up: Option<u64>,
    shown: view::NotificationView,
    catalogue: Arc<Catalogue>,
    /// When people were last notified of a defect in this half.
    alarmed_at: Option<Time>,
}

/// What is stored beside the incidents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Remembered {
    board: TrackerState,
    onsets: Onsets,
}

impl AlertPipeline {
    /// Takes up what was stored before this process led, and returns when each finding was first seen.
    pub(super) async fn take_up(
        &mut self,
        knowledge: &Knowledge,
        (tracker, systems): (&Tracker, &Systems),
        now: Time,
    ) -> Result<Onsets, StoreError> {
        let (mut incidents, remembered) = match stored(knowledge, now).await {
            // Nothing would be healed for as long as it lies there, and what is open is only told once more.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%error, "the store's record of who was notified of what is damaged: every open incident is notified again");
                Default::default()
            }
            stored => stored?,
        };
        self.records = knowledge.all::<Need>(Some(OPEN)).await?;
        let anchors = Anchors::of(&[], &[], tracker.active(), systems);
        for incident in incidents.iter_mut().filter(|one| one.anchor.is_unknown()) {
            incident.anchor = anchors.of_stored(incident, &self.records);
        }
        let blind = |one: &Incident| {
            let kind = FindingKind::Loop(NeedReason::Blind);
            let blind = one.findings.iter().find(|f| f.kind == kind && f.record.is_none());
            blind.map(|finding| finding.since)
        };
        self.failing_since = incidents.iter().filter(|one| one.is_open()).find_map(blind);
        self.board = IncidentTracker::restore(&self.settings, incidents, remembered.board.clone());
        for (incident, into) in self.board.merge_restored(now) {
            tracing::info!(
                incident,
                into,
                "two incidents of an earlier version have the same target and were merged"
            );
        }
        let onsets = remembered.onsets.clone();
        let outbox = &self.desk.outbox;
        // After a reload nobody else has led: what is under way stays so.
        if !self.desk.leads_under(knowledge.term()) {
            outbox.load(self.messages(knowledge).await?);
            self.settled.clear();
            self.reports.clear();
        }
        self.desk.lead(knowledge.clone());
        let lost = self.board.missing(&outbox.waiting_incidents());
        if !lost.is_empty() {
            tracing::warn!(
                incidents = lost.join(", "),
                "no notifier confirmed a message about these incidents, and none waits in the outbox: they are notified again"
            );
        }
        if !self.desk.notifiers().is_empty() {
            self.board.somebody_is_there();
        }
        self.hand_over(&self.catalogue, now);
        self.saved = Some(remembered);
        self.drop_unsaved();
        self.taken_up = knowledge.term().map(Term::epoch);
        Ok(onsets)
    }

    /// Has the report's file written.
    pub(super) fn file(&mut self, report: CycleReport) {
        if self.has_files {
            self.desk.files.put(report);
        }
        // What was tried while the cycle ran is put into its report now that the store has it.
        if !self.desk.outbox.unreported().is_empty() {
            self.desk.outbox.say_answered();
        }
    }

    /// Something became of messages.
    pub(super) async fn has_answers(&self) {
        self.desk.outbox.has_answers().await;
    }

    /// The deployments that may be behind what is new, as far as they are known by now.
    async fn suspects(&mut self, catalogue: &Catalogue, now: Time) {
        let wanted = self.board.wanting_suspects(catalogue, now);
        if self.desk.gear().github.is_some() && !wanted.is_empty() {
            self.desk.questions.ask(wanted).await;
        }
        for (incident, suspect) in self.desk.questions.take() {
            self.board.suspect(&incident, suspect, now);
        }
    }

    /// What there is to decide, decided: by the assessor, or conservatively when it fails.
    async fn decide(
        &mut self,
        findings: &[Finding],
        looked: &ClusterAssessment,
        now: Time,
        stop: &CancellationToken,
    ) -> Option<Decision> {
        let mut case = self.board.case(&looked.catalogue, looked.is_partial(), now)?;
        let told = self.early.iter().flat_map(|early| &early.incidents);
        let told: BTreeSet<&String> = told.collect();
        // What this cycle has made worse is told again, in its thread.
        case.incidents.retain(|one| {
            let is_raised = one.incident.course.decided < Some(one.incident.severity);
            is_raised || !told.contains(&one.incident.id)
        });
        if case.incidents.is_empty() {
            return None;
        }
        Some(self.decided(findings, &case, now, stop).await)
    }

    async fn decided(
        &mut self,
        findings: &[Finding],
        case: &Case,
        now: Time,
        stop: &CancellationToken,
    ) -> Decision {
        let assessed = tokio::select! {
            biased;
            assessed = within(&*self.assessor, case, self.timeout) => assessed,
            () = stop.cancelled() => Err("the daemon is stopping".to_owned()),
        };
        match assessed {
            Ok(assessment) => self.board.decide(case, &assessment),
            Err(error) => {
                tracing::warn!(
                    error,
                    "the incidents could not be assessed: the conservative decision (SEV-2, everything is notified) applies"
                );
                self.board.decide_blindly(findings, Some(case), now)
            }
        }
    }
}

impl AlertPipeline {
    /// Everything from the findings to the messages. A stop cuts short what can wait; people are still notified.
    /// `onsets`: when each finding was first seen, to be stored with what people were notified of.
    pub(super) async fn told(
        &mut self,
        kit: &Kit,
        run: &mut Run<'_>,
        mut looked: ClusterAssessment,
        tracker: &Tracker,
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
        self.take_in(kit, onsets, Some(&run.report.id)).await;
        self.read_logs(kit, &mut looked, watch, stop).await;
        let failing = self.failing(&run.report);
        // An incident may end with what came of it.
        self.note(&std::mem::take(&mut run.happened));
        if run.view.store_error.is_none() {
            self.verifying(&kit.knowledge).await;
        }
        let around = Around { watch, tracker, config: &kit.config, pass: Pass::Late { heard } };
        let findings = self.observe(&looked, failing.as_ref(), &around, now);
        self.brief.clear();
        stop.run_until_cancelled(self.suspects(&looked.catalogue, now)).await;
        let decision = self.decide(&findings, &looked, now, stop).await;
        if let Some(decision) = &decision {
            say(decision);
        }

        run.enter(Phase::Notification);
        // Whoever leads now tells of it: two that tell would tell twice.
        if kit.knowledge.term().is_none_or(Term::holds) {
            self.tell(run, kit, decision.as_ref(), &looked, (Pass::Late { heard }, now));
        }
        self.catalogue = looked.catalogue.clone();
        self.hand_over(&looked.catalogue, now);
        // An incident has its name, and its message is kept, before anybody hears it.
        self.store(kit, onsets, run, (now, TAKEN_WITHIN)).await;
        let decision = early::joined(self.early.take(), decision);
        if let Some(decision) = &decision {
            kit.metrics.decided(decision);
        }
        run.report.trend_analysis = Some(self.board.trend(now));
        self.show(&findings, decision.clone(), &looked, now);
        self.report_open(kit, run);
        run.report.escalation_decision = decision;
    }

    /// What is open when the cycle ends, and whom anybody can notify of it.
    fn report_open(&mut self, kit: &Kit, run: &mut Run<'_>) {
        let notifiers = kit.config.notifiers().len();
        let has_notifier = notifiers > 0;
        kit.metrics.notifiers_configured(notifiers);
        let mut open: Vec<&Incident> = self.shown.incidents.iter().collect();
        open.sort_by_key(|incident| (Reverse(incident.severity), incident.since));
        let report = &mut run.report;
        report.incidents_open = open.len();
        let worst = open.into_iter().take(Basis::OPEN);
        report.incidents = worst.map(|one| OpenIncident::of(one, has_notifier)).collect();
    }

    async fn store(
        &mut self,
        kit: &Kit,
        onsets: &Onsets,
        run: &mut Run<'_>,
        (now, messages_wait): (Time, Duration),
    ) {
        let has_failed = run.view.store_error.is_some();
        let messages_wait = if has_failed { Duration::ZERO } else { messages_wait };
        if let Err(error) = self.keep(&kit.knowledge, onsets, now, messages_wait).await {
            kit.store_failed(StoreOperation::Write, &error);
            tracing::warn!(%error, "the store did not take the incidents: they are kept in memory and written again with the next change");
            run.view.store_error.get_or_insert(error.to_string());
        }
    }
}

impl Run<'_> {
    /// The status is the worst of all sources.
    fn looked_at(&mut self, looked: &ClusterAssessment) {
        let report = &mut self.report;
        report.findings_total = looked.findings.len();
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
            Some(before) => format!("{before}; the cluster: {error}"),
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
        "decided whether people are notified of these incidents"
    );
}
