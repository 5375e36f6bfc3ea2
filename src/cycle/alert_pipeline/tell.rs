//! The last of it: messages go into the outbox, and what became of earlier ones is taken in.

use chrono::TimeDelta;

use super::super::cluster::ClusterAssessment;
use super::super::kit::Kit;
use super::super::run::Run;
use super::AlertPipeline;
use super::early::Pass;
use super::stored::TAKEN_WITHIN;
use crate::analyzer::cluster::Onsets;
use crate::domain::catalogue::Catalogue;
use crate::domain::cycle::CycleReport;
use crate::domain::decision::{Decision, Sev};
use crate::domain::finding::Finding;
use crate::domain::message::{Form, Message, NotificationResult};
use crate::domain::outbox::Outgoing;
use crate::domain::time::{Time, since};
use crate::domain::view;
use crate::incidents::compose::{self, About};
use crate::incidents::rules;
use crate::knowledge::Term;
use crate::metrics::labels::StoreOperation;
use crate::notify::Known;

/// Of a defect in this very half people are notified no more often.
const ALARM_EVERY: TimeDelta = TimeDelta::minutes(30);

impl AlertPipeline {
    /// Puts the messages of this cycle into the outbox, one entry for each notifier that sends its like.
    pub(super) fn tell(
        &mut self,
        run: &mut Run<'_>,
        kit: &Kit,
        decision: Option<&Decision>,
        looked: &ClusterAssessment,
        (pass, now): (Pass, Time),
    ) {
        let is_partial = looked.is_partial();
        let catalogue = &looked.catalogue;
        let about = About { cycle_id: &run.report.id, catalogue, is_partial, now };
        let notifiers = self.desk.notifiers();
        let mut entries = Vec::new();
        let mut messages = compose::messages(&self.board, decision, &about);
        if pass == Pass::Early {
            messages.retain(|message| message.form == Form::Alert);
        }
        for message in messages {
            let to = notifiers.that_send(&message.form);
            if notifiers.is_empty() {
                nobody_is_there(&message);
            }
            self.board.queued(&message, &to, now);
            let message = notifiers.marked(message);
            let id = || kit.ids.id().to_string();
            entries.extend(to.into_iter().map(|to| Outgoing::new(id(), to, message.clone())));
        }
        let severities = entries.iter().filter(|e| !e.is_edit()).map(|e| e.message.severity);
        self.await_result(&mut run.report, severities.max());
        self.desk.outbox.put(entries, now);
    }

    fn await_result(&mut self, report: &mut CycleReport, severity: Option<Sev>) {
        let Some(severity) = severity else { return };
        let before = report.notification_result.as_ref().map(|before| before.severity);
        report.notification_result = Some(NotificationResult {
            pending: true,
            success: false,
            error: None,
            backed_up: false,
            severity: before.map_or(severity, |before| before.max(severity)),
            seconds: 0.0,
        });
        self.shown.last_notification.clone_from(&report.notification_result);
    }

    /// Gives the background where each incident goes on, their threads, and what is posted to an Alertmanager.
    pub(super) fn hand_over(&self, catalogue: &Catalogue, now: Time) {
        let incidents = self.board.incidents();
        let going_on = |id: &str| self.board.going_on(id).map(|incident| incident.id.clone());
        let known = incidents.iter().map(|one| (one.id.clone(), going_on(&one.id)));
        let threads =
            incidents.iter().filter_map(|one| Some((one.id.clone(), one.thread.clone()?)));
        self.desk.outbox.know(Known {
            incidents: known.collect(),
            threads: threads.collect(),
            standing: compose::standing(&self.board, catalogue, now),
        });
    }

    /// Takes in what became of messages: the incidents know it, and so does the report of each cycle whose messages were
    /// all tried, but for that of `running`, which is not stored yet. Answers whether anything did.
    pub(in crate::cycle) async fn take_in(
        &mut self,
        kit: &Kit,
        onsets: &Onsets,
        running: Option<&str>,
    ) -> bool {
        let is_present = |term: &Term| term.holds() && Some(term.epoch()) == self.taken_up;
        if !kit.knowledge.term().is_some_and(is_present) {
            // The incidents that it would tell are not here, or another one tells them.
            return false;
        }
        let now = kit.clock.now();
        let outbox = self.desk.outbox.clone();
        let answered = outbox.answered();
        for (_, entry) in &answered {
            self.board.told(entry);
        }
        if outbox.has_room() && !self.desk.notifiers().is_empty() {
            self.board.somebody_is_there();
        }
        outbox.taken_in(&answered);
        for cycle in outbox.unreported().iter().filter(|cycle| running != Some(cycle)) {
            if let Some(entries) = outbox.tried(cycle) {
                self.report(kit, cycle, &entries).await;
            }
        }
        for (_, entry) in answered.iter().filter(|(_, entry)| entry.is_reported) {
            // Later than its cycle's report says.
            if entry.is_delivered() {
                self.shown.sent += 1;
                self.shown.last_notification = result(std::slice::from_ref(entry));
            }
        }
        self.settled.extend(outbox.forget_settled());
        let is_news = !answered.is_empty() || !self.reports.is_empty();
        if is_news {
            self.hand_over(&self.catalogue, now);
            if let Err(error) = self.keep(&kit.knowledge, onsets, now, TAKEN_WITHIN).await {
                kit.store_failed(StoreOperation::Write, &error);
                tracing::warn!(%error, "the store did not take the delivery results: they are kept in memory and written again with the next change");
            }
        }
        self.show_outbox(now);
        is_news
    }

    /// Rewrites the report of a cycle, once.
    async fn report(&mut self, kit: &Kit, cycle: &str, entries: &[Outgoing]) {
        let Some(result) = result(entries) else { return };
        let sent = u8::from(entries.iter().any(Outgoing::is_delivered));
        self.shown.sent += u64::from(sent);
        self.shown.failed += u64::from(!result.success);
        self.shown.last_notification = Some(result.clone());
        // A report that the store cannot give stays `pending` there; the incidents and the log say what became of it.
        let stored = kit.knowledge.get::<CycleReport>(cycle);
        match kit.knowledge.answers(TAKEN_WITHIN, stored).await {
            Ok(Some((mut report, _))) => {
                report.notification_result = Some(result);
                report.notifications_sent = sent;
                self.reports.push(report.clone());
                self.file(report);
            }
            Ok(None) => {}
            Err(error) => {
                kit.store_failed(StoreOperation::Read, &error);
                tracing::warn!(%error, cycle, "the store did not return a cycle's report: its notification_result stays pending");
            }
        }
        self.desk.outbox.reported(cycle);
    }

    /// The conservative decision without anything of what has just panicked, and without the store.
    pub(in crate::cycle) fn alarm(&mut self, report: Option<&mut CycleReport>, kit: &Kit) {
        let now = kit.clock.now();
        if self.alarmed_at.is_some_and(|at| now - at < ALARM_EVERY) {
            return;
        }
        self.alarmed_at = Some(now);
        let decision = rules::fallback(&[]);
        let message = Message {
            form: Form::Alert,
            severity: decision.severity,
            channel: decision.channel,
            at: now,
            cycle_id: report.as_ref().map_or("none", |report| &report.id).to_owned(),
            title: format!("{}: mape-k cannot say what is wrong", decision.severity),
            root_cause: decision.root_cause,
            impact: decision.impact,
            actions: decision.actions,
            confidence: decision.confidence,
            is_partial: true,
            entries: Vec::new(),
        };
        let notifiers = self.desk.notifiers();
        if notifiers.is_empty() {
            nobody_is_there(&message);
        }
        let message = notifiers.marked(message);
        let to = notifiers.that_send(&message.form);
        let id = || kit.ids.id().to_string();
        let entries = to.into_iter().map(|to| Outgoing::new(id(), to, message.clone())).collect();
        let entries: Vec<Outgoing> = entries;
        if let Some(report) = report {
            self.await_result(report, entries.first().map(|entry| entry.message.severity));
        }
        self.desk.outbox.put_unstored(entries);
    }

    fn show_outbox(&mut self, now: Time) {
        self.shown.not_notified = self.desk.outbox.problem(now);
        let open = self.board.incidents().iter().filter(|one| one.is_open());
        self.shown.incidents = open.cloned().collect();
    }

    /// What everybody else sees of it.
    pub(super) fn show(
        &mut self,
        findings: &[Finding],
        decision: Option<Decision>,
        looked: &ClusterAssessment,
        now: Time,
    ) {
        self.show_outbox(now);
        self.shown.findings = findings.to_vec();
        self.shown.cluster_problem = looked.problem();
        self.shown.problem.clone_from(&looked.complaint);
        if decision.is_some() {
            self.shown.last_decision = decision;
        }
    }

    pub(in crate::cycle) fn shown(&self) -> view::NotificationView {
        let problem = self.shown.problem.clone().or_else(|| self.desk.files.problem());
        view::NotificationView { problem, ..self.shown.clone() }
    }
}

/// `None`: there was nothing to send.
fn result(entries: &[Outgoing]) -> Option<NotificationResult> {
    let severity = entries.iter().map(|entry| entry.message.severity).max()?;
    let failed = entries.iter().filter(|entry| !entry.is_delivered());
    let errors: Vec<String> = failed
        .map(|entry| {
            let error = entry.error.as_deref().unwrap_or("mape-k gave up sending it");
            format!("{}: {error}", entry.notifier.as_str())
        })
        .collect();
    let took = entries.iter().filter_map(|entry| Some(since(entry.answered_at?, entry.message.at)));
    Some(NotificationResult {
        pending: false,
        success: errors.is_empty(),
        error: (!errors.is_empty()).then(|| errors.join("; ")),
        backed_up: entries.iter().any(|entry| !entry.is_delivered() && entry.backup.is_some()),
        severity,
        seconds: took.max().unwrap_or_default().as_secs_f64(),
    })
}

fn nobody_is_there(message: &Message) {
    let (title, severity) = (&message.title, message.severity.as_str());
    match (&message.form, message.severity) {
        (Form::Edit(_), _) => {}
        (_, Sev::Sev1 | Sev::Sev2) => {
            tracing::error!(
                title,
                severity,
                "nobody is notified of this: no notifier is enabled. Enable slack or notify.alertmanager"
            );
        }
        (_, Sev::Sev3 | Sev::Sev4) => {
            tracing::warn!(
                title,
                severity,
                "nobody is notified of this: no notifier is enabled. Enable slack or notify.alertmanager"
            );
        }
    }
}
