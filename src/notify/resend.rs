//! Backups told again, once: the worst first, then the oldest, a few a cycle; what is over or old in one summary.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::set::{Attempt, Notifiers};
use super::spool::{Backup, Spool};
use super::{Notifier, NotifyError, Refusal};
use crate::domain::message::{Delivery, Entry, Form, Message, NotifierName};
use crate::domain::time::{Time, since};

/// In one cycle and by one notifier: Slack takes a message a second and channel, and new ones come first. As many may be
/// refused for their own sake.
const AT_ONCE: usize = 5;

/// What is older is told in a summary, open or not.
const TOO_OLD: Duration = Duration::from_secs(60 * 60);

/// Titles that a summary repeats; its incidents are all there, as many as the notifier can show.
const TITLES: usize = 10;

/// What became of the backups in one cycle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resent {
    /// Told now as they should have been or in a summary, or tried; the thread of an alert is where its incidents are followed from here.
    pub deliveries: Vec<(Message, Delivery)>,
    /// What stood in the way of reading or renaming the files.
    pub errors: Vec<String>,
}

impl Notifiers {
    /// Tells again what waits. `is_open` says whether an incident, by its id, still is. To be called after the new
    /// messages of a cycle are told, with its time.
    pub async fn resend(
        &self,
        is_open: &(dyn Fn(&str) -> bool + Sync),
        now: Time,
        deadline: Instant,
    ) -> Resent {
        let mut resent = Resent::default();
        let Some(spool) = self.spool.as_ref().filter(|_| !self.is_empty()) else { return resent };
        let waiting = match spool.waiting() {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(%error, "backups are not sent again");
                resent.errors.push(error.to_string());
                return resent;
            }
        };
        let waiting: Vec<&Backup> =
            // What failed a moment ago is not tried again at once.
            waiting.iter().filter(|backup| backup.message.at != now).collect();
        let again = self.all.iter().map(|notifier| {
            let turn = Turn { set: self, notifier: &**notifier, spool, is_open, now, deadline };
            let waiting = &waiting;
            async move { turn.resend(waiting).await }
        });
        for Resent { deliveries, errors } in join_all(again).await {
            resent.deliveries.extend(deliveries);
            resent.errors.extend(errors);
        }
        self.count_backups();
        resent
    }
}

/// What one notifier sends again in a cycle, beside the others.
struct Turn<'a> {
    set: &'a Notifiers,
    notifier: &'a dyn Notifier,
    spool: &'a Spool,
    is_open: &'a (dyn Fn(&str) -> bool + Sync),
    now: Time,
    deadline: Instant,
}

impl Turn<'_> {
    async fn resend(&self, waiting: &[&Backup]) -> Resent {
        let mut resent = Resent::default();
        let own = waiting.iter().filter(|backup| backup.notifier == self.notifier.name());
        let (late, live): (Vec<_>, Vec<_>) =
            own.partition(|backup| is_late(backup, self.is_open, self.now));
        self.again(live, &mut resent).await;
        self.summarize(&late, &mut resent).await;
        resent
    }

    async fn again(&self, backups: Vec<&Backup>, resent: &mut Resent) {
        // A channel that fails is not tried again in this cycle, so that it keeps no place from the others.
        let mut failing: BTreeSet<String> = BTreeSet::new();
        let (mut told, mut refused) = (0, 0);
        for backup in backups {
            if told == AT_ONCE || refused == AT_ONCE || Instant::now() >= self.deadline {
                break;
            }
            let message = as_of_now(&backup.message, self.is_open);
            let lane = self.notifier.lane(&message);
            if failing.contains(&lane) || self.is_paused(&lane) {
                continue;
            }
            let Some(attempt) = self.set.attempt(self.notifier, &message, self.deadline).await
            else {
                // Kept by a version that sent its like.
                finished(self.spool, backup, resent);
                continue;
            };
            match &attempt.result {
                Ok(_) => {
                    told += 1;
                    finished(self.spool, backup, resent);
                }
                Err(NotifyError::Refused { about: Refusal::Message | Refusal::Thread, .. }) => {
                    refused += 1;
                }
                Err(_) => _ = failing.insert(lane),
            }
            resent.deliveries.push((message, delivery(attempt)));
        }
    }

    async fn summarize(&self, late: &[&Backup], resent: &mut Resent) {
        let Some(summary) = summary(late, self.is_open, self.now) else { return };
        let summary = self.set.marked(&summary);
        if self.is_paused(&self.notifier.lane(&summary)) {
            return;
        }
        let attempt = self.set.attempt(self.notifier, &summary, self.deadline).await;
        let Some(attempt) = attempt else { return };
        if attempt.result.is_ok() {
            for backup in late {
                finished(self.spool, backup, resent);
            }
        }
        resent.deliveries.push((summary, delivery(attempt)));
    }

    fn is_paused(&self, lane: &str) -> bool {
        self.set.pauses.holds(self.notifier.name(), lane)
    }
}

/// A crash between the confirmation and this tells it once more at the next start: better twice than not at all.
fn finished(spool: &Spool, backup: &Backup, resent: &mut Resent) {
    if let Err(error) = spool.sent(backup) {
        tracing::error!(%error, "a backup that was told stays where it is");
        resent.errors.push(error.to_string());
    }
}

/// Those that failed again wait on in their file.
fn delivery(attempt: Attempt) -> Delivery {
    let Attempt { notifier, result, took } = attempt;
    let backed_up = result.is_err();
    if let Err(error) = &result {
        let notifier = NotifierName::as_str(notifier);
        tracing::warn!(notifier, %error, "a backup could not be sent again yet");
    }
    Delivery { notifier, result: result.map_err(|e| NotifyError::to_string(&e)), took, backed_up }
}

/// Is it too late to tell it as it is?
fn is_late(backup: &Backup, is_open: &dyn Fn(&str) -> bool, now: Time) -> bool {
    let message = &backup.message;
    let is_over = || {
        let mut entries = message.entries.iter();
        !message.entries.is_empty() && !entries.any(|entry| is_open(&entry.incident))
    };
    since(now, message.at) > TOO_OLD
        || match &message.form {
            // The end of what was told is still told where that stands; the end of what never was goes with it. An
            // Alertmanager has no threads and may be told an end at any time.
            Form::Ended(thread) => thread.is_none() && backup.notifier == NotifierName::Slack,
            Form::Summary => false,
            Form::Alert | Form::Update(_) | Form::Edit(_) => is_over(),
        }
}

/// The message, saying which of its incidents are over by now.
fn as_of_now(message: &Message, is_open: &dyn Fn(&str) -> bool) -> Message {
    let mut message = message.clone();
    if matches!(message.form, Form::Alert | Form::Update(_)) {
        for entry in message.entries.iter_mut().filter(|entry| !is_open(&entry.incident)) {
            entry.findings.insert(0, "Over by now.".to_owned());
            entry.recommendations.clear();
        }
    }
    message
}

/// What could not be told in time, in one message.
fn summary(late: &[&Backup], is_open: &dyn Fn(&str) -> bool, now: Time) -> Option<Message> {
    let newest = late.iter().map(|backup| &backup.message).max_by_key(|message| message.at)?;
    let severity = late.iter().map(|backup| backup.message.severity).max()?;
    // One entry an incident, the latest word on it.
    let mut entries: BTreeMap<&str, &Entry> = BTreeMap::new();
    let mut by_time: Vec<&Message> = late.iter().map(|backup| &backup.message).collect();
    by_time.sort_by_key(|message| message.at);
    for entry in by_time.iter().flat_map(|message| &message.entries) {
        entries.insert(&entry.incident, entry);
    }
    let entries = entries.into_values().map(|entry| {
        let state = if is_open(&entry.incident) { "Still open." } else { "Over by now." };
        let mut entry = entry.clone();
        entry.findings.insert(0, state.to_owned());
        entry.recommendations.clear();
        entry
    });
    let mut titles: Vec<&str> = by_time.iter().map(|message| message.title.as_str()).collect();
    titles.dedup();
    let more = titles.len().saturating_sub(TITLES);
    titles.truncate(TITLES);
    let mut titles: Vec<String> = titles.into_iter().map(str::to_owned).collect();
    if more > 0 {
        titles.push(format!("and {more} more"));
    }
    let count = late.len();
    let plural = if count == 1 { "" } else { "s" };
    Some(Message {
        form: Form::Summary,
        severity,
        channel: severity.channel(),
        at: now,
        cycle_id: newest.cycle_id.clone(),
        title: format!("{severity}: {count} message{plural} that could not be told in time"),
        root_cause: titles.join("; "),
        impact: "Told late: what they say is over by now, or more than an hour old".to_owned(),
        actions: vec!["See what is still open: mape-k status".to_owned()],
        confidence: 100,
        is_partial: false,
        entries: entries.collect(),
    })
}
