//! The last of it: people are told, what could not be told is kept, and what was kept is told again.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{Cycle, Run};
use super::People;
use super::look::Looked;
use crate::domain::decision::{Decision, Sev};
use crate::domain::finding::Finding;
use crate::domain::message::{Delivery, Form, Message, NotificationResult};
use crate::domain::time::Time;
use crate::escalation::compose::{self, About};

/// For all messages of a cycle, and again for what waits from before: half an interval, so that healing is not held up.
const TELL_WITHIN: Duration = Duration::from_secs(10);
const TELL_AGAIN_WITHIN: Duration = Duration::from_secs(5);

impl Cycle {
    pub(super) async fn tell(
        &mut self,
        run: &mut Run<'_>,
        decision: Option<&Decision>,
        is_partial: bool,
        now: Time,
    ) {
        let people = &mut self.people;
        let catalogue = people.catalogue.catalogue().clone();
        let about = About { cycle_id: &run.report.id, catalogue: &catalogue, is_partial, now };
        let messages = compose::messages(&people.board, decision, &about);
        let began = Instant::now();
        let deliveries = people.notifiers.deliver(&messages, began + TELL_WITHIN).await;
        for (message, deliveries) in messages.iter().zip(&deliveries) {
            say(message, deliveries);
            people.board.told(message, deliveries, now);
        }
        let results: Vec<(&Message, &Delivery)> = messages
            .iter()
            .zip(&deliveries)
            .filter(|(message, _)| !matches!(message.form, Form::Edit(_)))
            .flat_map(|(message, deliveries)| deliveries.iter().map(move |one| (message, one)))
            .collect();
        let result = result(&results, began.elapsed());
        run.report.notifications_sent = u8::from(results.iter().any(|(_, one)| one.result.is_ok()));
        people.told_again(now).await;
        people.refresh(now).await;
        people.count(result.as_ref(), run.report.notifications_sent);
        run.report.notification_result = result;
    }
}

impl People {
    /// What waits in files from earlier cycles.
    async fn told_again(&mut self, now: Time) {
        let board = &self.board;
        let is_open = |id: &str| board.incident(id).is_some_and(|one| one.ended_at.is_none());
        let deadline = Instant::now() + TELL_AGAIN_WITHIN;
        let resent = self.notifiers.resend(&is_open, now, deadline).await;
        for (message, delivery) in &resent.deliveries {
            if let Ok(Some(thread)) = &delivery.result {
                self.board.resent(message, thread);
            }
        }
    }

    /// An Alertmanager forgets what it is not told again.
    async fn refresh(&mut self, now: Time) {
        let standing = compose::standing(&self.board, self.catalogue.catalogue(), now);
        let deadline = Instant::now() + TELL_AGAIN_WITHIN;
        if let Some(Err(error)) = self.notifiers.refresh(&standing, now, deadline).await {
            tracing::warn!(
                error,
                "the Alertmanager was not told what stands; it is again in the next cycle"
            );
        }
    }

    fn count(&mut self, result: Option<&NotificationResult>, sent: u8) {
        self.shown.sent += u64::from(sent);
        if let Some(result) = result {
            self.shown.failed += u64::from(!result.success);
            self.shown.not_told.clone_from(&result.error);
            self.shown.last_notification = Some(result.clone());
        }
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
        self.shown.cluster_problem.clone_from(&looked.error);
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

fn say(message: &Message, deliveries: &[Delivery]) {
    if matches!(message.form, Form::Edit(_)) {
        return;
    }
    let (title, severity) = (&message.title, message.severity.as_str());
    if deliveries.is_empty() {
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
