//! Works off the outbox: an attempt is claimed in the store, made, and its result written there.
//!
//! A crash before the result is written repeats the message once; none is lost. A claim that the store does not take holds
//! back SEV-3 and SEV-4 only: what is urgent is sent all the same, and not again when the store returns.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Background, LAST_FILES_WITHIN, leads};
use crate::domain::decision::Sev;
use crate::domain::message::{Entry, Form, Thread};
use crate::domain::outbox::Outgoing;
use crate::domain::time::Time;
use crate::knowledge::{Knowledge, StoreError, Term};
use crate::notify::outbox::{Job, Worker};
use crate::notify::spool::Done;
use crate::notify::{Notifiers, NotifyError};

/// For a claim and for a result: a store that hangs holds no urgent message up for longer.
const WRITE_WITHIN: Duration = Duration::from_secs(2);

/// For notifying an Alertmanager of what is open.
const REFRESH_WITHIN: Duration = Duration::from_secs(5);

/// While messages wait and this process does not lead, it looks so often whether it does.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What has ended, of what was under way.
enum Ended {
    Sent(Worker),
    Refreshed,
    Filed,
}

/// The time, which a test may set.
type Now<'a> = &'a (dyn Fn() -> Time + Sync);

type UnderWay<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Ended> + Send + 'a>>>;

impl Background {
    /// Until the loop has ended and nothing is due any more.
    pub(super) async fn deliver(&self, ended: &CancellationToken, clock: Now<'_>) {
        let outbox = &self.desk.outbox;
        let mut under_way = UnderWay::new();
        // At most two a notifier and channel, one refresh, one file.
        let mut busy: BTreeSet<Worker> = BTreeSet::new();
        let (mut is_refreshing, mut is_filing) = (false, false);
        let mut refreshed_at = Instant::now();
        loop {
            let now = clock();
            let notifiers = self.desk.notifiers();
            let leads = leads(self.desk.knowledge().as_ref());
            if leads {
                outbox.give_up_orphans(&notifiers, now);
            }
            while let Some(job) = outbox.next(&notifiers, &busy, leads, now) {
                busy.insert(job.worker.clone());
                under_way.push(Box::pin(self.carry(notifiers.clone(), job, clock)));
            }
            if !is_filing && let Some(entry) = outbox.given_up() {
                is_filing = true;
                under_way.push(Box::pin(self.file(notifiers.clone(), entry)));
            }
            let interval = self.desk.gear().interval;
            let is_due = refreshed_at.elapsed() >= interval;
            if leads
                && notifiers.has_alertmanager()
                && !is_refreshing
                && let Some(standing) = outbox.take_standing(is_due)
            {
                (is_refreshing, refreshed_at) = (true, Instant::now());
                under_way.push(Box::pin(self.refresh(notifiers.clone(), standing, now)));
            }
            let waiting = if leads { outbox.waiting() } else { 0 };
            self.metrics.notifications_backed_up(waiting);
            let is_done = under_way.is_empty();
            if is_done && ended.is_cancelled() {
                return;
            }
            let refresh = notifiers
                .has_alertmanager()
                .then(|| interval.saturating_sub(refreshed_at.elapsed()));
            let look = (!leads && outbox.waiting() > 0).then_some(LOOK_AGAIN);
            let refresh = refresh.filter(|_| leads && !is_refreshing);
            let wait = [outbox.next_due(now), refresh, look].into_iter().flatten().min();
            tokio::select! {
                biased;
                Some(ended) = under_way.next(), if !is_done => match ended {
                    Ended::Sent(worker) => _ = busy.remove(&worker),
                    Ended::Refreshed => is_refreshing = false,
                    Ended::Filed => is_filing = false,
                },
                () = outbox.changed() => {}
                () = after(wait) => {}
                () = ended.cancelled(), if !ended.is_cancelled() => {}
            }
        }
    }

    /// One attempt with one message, from the claim to the record of its result.
    async fn carry(&self, notifiers: Arc<Notifiers>, job: Job, clock: Now<'_>) -> Ended {
        self.claim_and_send(&notifiers, &job, clock).await;
        self.desk.outbox.release(&job);
        Ended::Sent(job.worker)
    }

    async fn claim_and_send(&self, notifiers: &Notifiers, job: &Job, clock: Now<'_>) {
        let outbox = &self.desk.outbox;
        let knowledge = self.desk.knowledge();
        let epoch = knowledge.as_ref().and_then(Knowledge::term).map_or(0, Term::epoch);
        let claimed = outbox.claim(job, epoch);
        if !claimed.stored.is_empty() {
            let written = write(knowledge.as_ref(), &claimed.stored).await;
            let error = written.err().or_else(|| {
                let gone = "another mape-k leads now".to_owned();
                (!leads(knowledge.as_ref())).then_some(Unwritten::Superseded(gone))
            });
            match error {
                None => outbox.saved(&claimed.stored),
                Some(Unwritten::Failed(error)) if job.is_direct && leads(knowledge.as_ref()) => {
                    tracing::warn!(
                        error,
                        "the store did not take the claim of a message: it is sent all the same, and another process may repeat it"
                    );
                }
                Some(Unwritten::Failed(error) | Unwritten::Superseded(error)) => {
                    outbox.unclaim(job, &format!("it was not sent: {error}"), clock());
                    return;
                }
            }
        }
        let result = notifiers.attempt(job.worker.notifier, &job.message).await;
        let backups = match &result {
            Ok(_) => BTreeMap::new(),
            Err(error) => self.back_up(notifiers, job, &claimed.all, error).await,
        };
        say(job, &result, &backups);
        let (changed, files) = outbox.done(job, &result, &backups, notifiers, clock());
        match write(knowledge.as_ref(), &changed).await {
            Ok(()) => outbox.saved(&changed),
            // The next cycle writes it; not, if another one leads by now.
            Err(Unwritten::Failed(error) | Unwritten::Superseded(error)) => {
                tracing::warn!(
                    error,
                    "the store did not take a delivery result: it is kept in memory and written again later"
                );
            }
        }
        for file in files {
            notifiers.finish(&file, Done::Sent).await;
        }
    }

    /// A file for each entry that has none yet; edits, which call nobody, get none.
    async fn back_up(
        &self,
        notifiers: &Notifiers,
        job: &Job,
        entries: &[Outgoing],
        error: &NotifyError,
    ) -> BTreeMap<String, String> {
        let mut backups = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.backup.is_none() && !entry.is_edit()) {
            match notifiers.keep(entry, &error.to_string()).await {
                Ok(file) => _ = backups.insert(entry.id.clone(), file),
                Err(disk) => tracing::warn!(
                    notifier = job.worker.notifier.as_str(),
                    title = entry.message.title,
                    disk,
                    "a message that was not delivered has no backup file; it stays in the outbox"
                ),
            }
        }
        backups
    }

    /// One that was given up: its file, and a line in the log.
    async fn file(&self, notifiers: Arc<Notifiers>, entry: Outgoing) -> Ended {
        let reason = entry.error.clone().unwrap_or_else(|| "it was never sent".to_owned());
        let file = match &entry.backup {
            Some(file) => Ok(file.clone()),
            None => notifiers.keep(&entry, &reason).await,
        };
        if let Ok(file) = &file {
            // It does not wait: nobody sends it.
            notifiers.finish(file, Done::Dropped).await;
        }
        self.metrics.notification_given_up(entry.notifier);
        tracing::error!(
            notifier = entry.notifier.as_str(),
            severity = entry.message.severity.as_str(),
            title = entry.message.title,
            reason,
            why = ?entry.state,
            backup = file.as_ref().map_or_else(|error| error.as_str(), String::as_str),
            "mape-k gave up sending a message: nobody was notified by it. Read it in its backup file"
        );
        self.desk.outbox.backed_up(&entry.id, file.ok());
        Ended::Filed
    }

    async fn refresh(&self, notifiers: Arc<Notifiers>, standing: Vec<Entry>, now: Time) -> Ended {
        let deadline = Instant::now() + REFRESH_WITHIN;
        let told = notifiers.refresh(&standing, now, deadline).await;
        let problem = told.and_then(Result::err);
        if let Some(error) = &problem {
            tracing::warn!(
                error,
                "Alertmanager did not take the list of open incidents: it is sent again in the next cycle"
            );
        }
        self.desk.outbox.refreshed(problem);
        Ended::Refreshed
    }

    /// At the very end: messages that wait in a store in memory alone.
    pub(super) async fn keep_what_the_store_loses(&self) {
        let is_lost = self.desk.knowledge().is_some_and(|knowledge| !knowledge.is_durable());
        if is_lost && tokio::time::timeout(LAST_FILES_WITHIN, self.keep_what_waits()).await.is_err()
        {
            tracing::error!(
                "mape-k stops, and not every message that waits could be written to a file of escalation.reports_dir: \
                 those are lost"
            );
        }
    }

    async fn keep_what_waits(&self) {
        let notifiers = self.desk.notifiers();
        for entry in self.desk.outbox.without_file() {
            match notifiers.keep(&entry, "mape-k was stopped before it was sent").await {
                Ok(file) => self.desk.outbox.backed_up(&entry.id, Some(file)),
                Err(error) => {
                    let title = entry.message.title;
                    tracing::error!(
                        title,
                        error,
                        "mape-k stops, and a message that was not sent has no backup file: it is lost"
                    );
                }
            }
        }
    }
}

enum Unwritten {
    /// Another one leads.
    Superseded(String),
    Failed(String),
}

async fn write(
    knowledge: Option<&Knowledge>,
    entries: &[(u64, Outgoing)],
) -> Result<(), Unwritten> {
    let Some(knowledge) = knowledge.filter(|_| !entries.is_empty()) else { return Ok(()) };
    let mut batch = knowledge.batch();
    for (_, entry) in entries {
        batch.put(entry);
    }
    match knowledge.answers(WRITE_WITHIN, knowledge.commit(batch)).await {
        Ok(_) => Ok(()),
        Err(error @ StoreError::Superseded { .. }) => Err(Unwritten::Superseded(error.to_string())),
        Err(error) => Err(Unwritten::Failed(error.to_string())),
    }
}

async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => pending().await,
    }
}

fn say(
    job: &Job,
    result: &Result<Option<Thread>, NotifyError>,
    backups: &BTreeMap<String, String>,
) {
    let (title, severity) = (&job.message.title, job.message.severity.as_str());
    let notifier = job.worker.notifier.as_str();
    let is_edit = matches!(job.message.form, Form::Edit(_));
    match result {
        Ok(_) if is_edit => {}
        Ok(_) => tracing::info!(title, severity, notifier, "people were notified"),
        Err(error) if is_edit => {
            tracing::warn!(title, severity, notifier, %error, "a message was not edited");
        }
        Err(error) => {
            let file = backups.values().next();
            // Until it is urgent a person need not act on one attempt that failed.
            if job.message.severity >= Sev::Sev2 && file.is_some() {
                tracing::error!(title, severity, notifier, %error, file, "people were not notified; the message is sent again");
            } else {
                tracing::warn!(title, severity, notifier, %error, file, "people were not notified; the message is sent again");
            }
        }
    }
}
