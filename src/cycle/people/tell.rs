//! The last of it: people are told, what could not be told is kept, and what was kept is told again.

use std::cmp::Reverse;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::cluster::Looked;
use super::super::kit::Kit;
use super::super::run::Run;
use super::People;
use crate::domain::catalogue::Catalogue;
use crate::domain::cycle::CycleReport;
use crate::domain::cycle::basis::Basis;
use crate::domain::cycle::condition::OpenIncident;
use crate::domain::decision::{Decision, Sev};
use crate::domain::finding::Finding;
use crate::domain::incident::Incident;
use crate::domain::message::{Delivery, Form, Message, NotificationResult};
use crate::domain::time::Time;
use crate::escalation::compose::{self, About};
use crate::escalation::rules;

/// For all messages of a cycle, and again for what waits from before: healing is held up no longer, and a stop in between
/// stays within its promise.
const TELL_WITHIN: Duration = Duration::from_secs(5);
const TELL_AGAIN_WITHIN: Duration = Duration::from_secs(3);

/// When the process is stopping already: the action in hand has had most of its ten seconds, and a backup takes the rest.
const STOPPING_WITHIN: Duration = Duration::from_secs(1);

/// Of a defect in this very half people are told no more often.
const ALARM_EVERY: TimeDelta = TimeDelta::minutes(30);

impl People {
    pub(super) async fn tell(
        &mut self,
        run: &mut Run<'_>,
        decision: Option<&Decision>,
        looked: &Looked,
        now: Time,
        stop: &CancellationToken,
    ) {
        let within = if stop.is_cancelled() { STOPPING_WITHIN } else { TELL_WITHIN };
        let is_partial = looked.is_partial();
        let catalogue = &looked.catalogue;
        let about = About { cycle_id: &run.report.id, catalogue, is_partial, now };
        let messages = compose::messages(&self.board, decision, &about);
        let began = Instant::now();
        let deliveries = self.notifiers.deliver(&messages, began + within).await;
        for (message, deliveries) in messages.iter().zip(&deliveries) {
            say(message, deliveries, self.notifiers.is_empty());
            self.board.told(message, deliveries, now);
        }
        let results: Vec<(&Message, &Delivery)> = messages
            .iter()
            .zip(&deliveries)
            .filter(|(message, _)| !matches!(message.form, Form::Edit(_)))
            .flat_map(|(message, deliveries)| deliveries.iter().map(move |one| (message, one)))
            .collect();
        let result = result(&results, began.elapsed());
        run.report.notifications_sent = u8::from(results.iter().any(|(_, one)| one.result.is_ok()));
        self.count(result.as_ref(), run.report.notifications_sent);
        run.report.notification_result = result;
    }

    /// What waits in files from earlier cycles; and what stands, for an Alertmanager forgets what it is not told again.
    pub(super) async fn tell_again(
        &mut self,
        report: &mut CycleReport,
        catalogue: &Catalogue,
        now: Time,
    ) {
        let board = &self.board;
        let is_open = |id: &str| board.incident(id).is_some_and(|one| one.ended_at.is_none());
        let standing = compose::standing(board, catalogue, now);
        let began = Instant::now();
        let deadline = began + TELL_AGAIN_WITHIN;
        let (resent, refreshed) = tokio::join!(
            self.notifiers.resend(&is_open, now, deadline),
            self.notifiers.refresh(&standing, now, deadline)
        );
        for (message, delivery) in &resent.deliveries {
            if let Ok(thread) = &delivery.result {
                self.board.resent(message, thread.as_ref());
            }
        }
        let confirmed = resent.deliveries.iter().filter(|(_, one)| one.result.is_ok());
        if let Some(severity) = confirmed.map(|(message, _)| message.severity).max() {
            self.shown.sent += u64::from(report.notifications_sent == 0);
            report.notifications_sent = 1;
            self.shown.last_notification = Some(NotificationResult {
                success: true,
                error: None,
                backed_up: false,
                severity,
                seconds: began.elapsed().as_secs_f64(),
            });
        }
        let mut problems = resent.errors;
        // What no file keeps stays due, and is told nowhere else.
        if let Some(last) = self.shown.last_notification.as_ref().filter(|last| !last.backed_up) {
            problems.extend(last.error.clone());
        }
        if let Some(Err(error)) = refreshed {
            tracing::warn!(
                error,
                "the Alertmanager was not told what stands; it is again in the next cycle"
            );
            problems.push(error);
        }
        let waiting = self.notifiers.waiting();
        if waiting > 0 {
            let error = resent.deliveries.iter().find_map(|(_, one)| one.result.as_ref().err());
            let last = self.shown.last_notification.as_ref().and_then(|last| last.error.as_ref());
            let error = error.or(last).map(|error| format!(": {error}")).unwrap_or_default();
            problems.push(format!("{waiting} messages wait in files to be sent again{error}"));
        }
        self.shown.not_told = (!problems.is_empty()).then(|| problems.join("; "));
    }

    /// The conservative decision without anything of what has just panicked; whether somebody was told.
    pub(in crate::cycle) async fn alarm(&mut self, cycle_id: &str, now: Time) -> bool {
        if self.alarmed_at.is_some_and(|at| now - at < ALARM_EVERY) {
            return false;
        }
        let decision = rules::fallback(&[]);
        let message = Message {
            form: Form::Alert,
            severity: decision.severity,
            channel: decision.channel,
            at: now,
            cycle_id: cycle_id.to_owned(),
            title: format!("{}: mape-k cannot say what is wrong", decision.severity),
            root_cause: decision.root_cause,
            impact: decision.impact,
            actions: decision.actions,
            confidence: decision.confidence,
            is_partial: true,
            entries: Vec::new(),
        };
        let deliveries = self.notifiers.deliver(&[message], Instant::now() + TELL_WITHIN).await;
        let was_told = deliveries.iter().flatten().any(|one| one.result.is_ok());
        let is_kept = deliveries.iter().flatten().any(|one| one.backed_up);
        // Nobody has heard of one that was neither; it is tried again with the next.
        if was_told || is_kept || self.notifiers.is_empty() {
            self.alarmed_at = Some(now);
        }
        self.shown.sent += u64::from(was_told);
        was_told
    }

    fn count(&mut self, result: Option<&NotificationResult>, sent: u8) {
        self.shown.sent += u64::from(sent);
        if let Some(result) = result {
            self.shown.failed += u64::from(!result.success);
            self.shown.last_notification = Some(result.clone());
        }
    }

    /// What is open when the cycle ends, and whom anybody can notify of it.
    pub(super) fn report_open(&mut self, kit: &Kit, run: &mut Run<'_>) {
        let notifiers = kit.config.notifiers().len();
        let has_notifier = notifiers > 0;
        self.shown.has_notifier = Some(has_notifier);
        kit.metrics.notifiers_configured(notifiers);
        let mut open: Vec<&Incident> = self.shown.incidents.iter().collect();
        open.sort_by_key(|incident| (Reverse(incident.severity), incident.since));
        let report = &mut run.report;
        report.incidents_open = open.len();
        let worst = open.into_iter().take(Basis::OPEN);
        report.incidents = worst.map(|one| OpenIncident::of(one, has_notifier)).collect();
    }

    /// What everybody else sees of it.
    pub(super) fn show(
        &mut self,
        findings: &[Finding],
        decision: Option<Decision>,
        looked: &Looked,
    ) {
        let open = self.board.incidents().iter().filter(|one| one.ended_at.is_none());
        self.shown.incidents = open.cloned().collect();
        self.shown.findings = findings.to_vec();
        self.shown.cluster_problem = looked.problem();
        self.shown.problem.clone_from(&looked.complaint);
        if decision.is_some() {
            self.shown.last_decision = decision;
        }
    }
}

/// `None`: nobody had to be told of anything, or nobody can be.
fn result(results: &[(&Message, &Delivery)], took: Duration) -> Option<NotificationResult> {
    let severity = results.iter().map(|(message, _)| message.severity).max()?;
    let errors: Vec<String> = results
        .iter()
        .filter_map(|(_, one)| {
            let error = one.result.as_ref().err()?;
            Some(format!("{}: {error}", one.notifier.as_str()))
        })
        .collect();
    Some(NotificationResult {
        success: errors.is_empty(),
        error: (!errors.is_empty()).then(|| errors.join("; ")),
        backed_up: results.iter().any(|(_, one)| one.backed_up),
        severity,
        seconds: took.as_secs_f64(),
    })
}

fn say(message: &Message, deliveries: &[Delivery], nobody_is_there: bool) {
    if matches!(message.form, Form::Edit(_)) {
        return;
    }
    let (title, severity) = (&message.title, message.severity.as_str());
    if nobody_is_there {
        match message.severity {
            Sev::Sev1 | Sev::Sev2 => tracing::error!(
                title,
                severity,
                "people should hear this, and no notifier is enabled"
            ),
            Sev::Sev3 | Sev::Sev4 => tracing::warn!(
                title,
                severity,
                "people should hear this, and no notifier is enabled"
            ),
        }
    }
    for one in deliveries {
        let notifier = one.notifier.as_str();
        match &one.result {
            Ok(_) => tracing::info!(title, severity, notifier, "people were told"),
            // The notifiers have said in which file it waits.
            Err(_) if one.backed_up => {}
            Err(error) => {
                tracing::error!(title, severity, notifier, error, "people could not be told");
            }
        }
    }
}
