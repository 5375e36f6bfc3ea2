//! The outbox as the sender uses it: the next message, its claim, and what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Claimed, Job, Outbox, Worker};
use crate::domain::message::{Entry, Form, Thread};
use crate::domain::outbox::{GivenUp, LONGEST_WAIT, Outgoing};
use crate::domain::time::{Time, since};
use crate::notify::set::Notifiers;
use crate::notify::{NotifyError, Refusal};

/// After a failure. A message that timed out may have arrived, and every further attempt may repeat it.
const AFTER_TIMEOUT: Duration = Duration::from_secs(60);
const AFTER_FAILURE: Duration = Duration::from_secs(30);
const LONGEST_AFTER_FAILURE: Duration = Duration::from_secs(5 * 60);

/// Until the store is asked again to take a claim.
const AFTER_STORE: Duration = Duration::from_secs(5);

impl Outbox {
    /// The next message for a worker that is free, which is in hand from now on. While this process does not lead, only
    /// what no store keeps is sent.
    pub fn next(
        &self,
        notifiers: &Notifiers,
        busy: &BTreeSet<Worker>,
        leads: bool,
        now: Time,
    ) -> Option<Job> {
        let mut inner = self.inner();
        inner.withdraw(now);
        let turns = inner.turns(now);
        let job = inner
            .summary(&turns, notifiers, busy, leads, now)
            .or_else(|| inner.single(&turns, notifiers, busy, leads, now))?;
        for id in job.ids.iter().chain(&job.covers) {
            if let Some(held) = inner.of(id) {
                held.in_hand = true;
            }
        }
        Some(job)
    }

    /// When something will be due that is not now.
    #[must_use]
    pub fn next_due(&self, now: Time) -> Option<Duration> {
        let inner = self.inner();
        let waits = inner.entries.iter().filter(|held| held.entry.waits() && !held.in_hand);
        let later = waits.filter_map(|held| held.entry.next_at).filter(|at| *at > now);
        later.map(|at| since(at, now)).min()
    }

    /// Nothing is under way, and nothing can be begun now.
    #[must_use]
    pub fn is_idle(&self, notifiers: &Notifiers, leads: bool, now: Time) -> bool {
        let mut inner = self.inner();
        let turns = inner.turns(now);
        let busy = BTreeSet::new();
        let is_busy = inner.entries.iter().any(|held| held.in_hand || held.wants_backup);
        let is_refresh_due = inner.is_standing_new && leads && notifiers.has_alertmanager();
        !is_busy
            && !is_refresh_due
            && inner.summary(&turns, notifiers, &busy, leads, now).is_none()
            && inner.single(&turns, notifiers, &busy, leads, now).is_none()
    }

    /// Claims the entries of a job; `stored` are those that the store must have so before anything is sent.
    #[must_use]
    pub fn claim(&self, job: &Job, epoch: u64) -> Claimed {
        let mut inner = self.inner();
        let mut claimed = Claimed::default();
        for id in &job.ids {
            let Some(held) = inner.of(id) else { continue };
            held.change(|entry| entry.claim(epoch));
            claimed.all.push(held.entry.clone());
            if !held.is_unstored {
                claimed.stored.push((held.revision, held.entry.clone()));
            }
        }
        claimed
    }

    /// Nothing was sent: the store did not take the claim, or this process does not lead any more.
    pub fn unclaim(&self, job: &Job, error: &str, now: Time) {
        let mut inner = self.inner();
        for id in &job.ids {
            let Some(held) = inner.of(id) else { continue };
            if !held.entry.waits() {
                held.is_news = true;
                continue;
            }
            held.change(|entry| {
                let answered_at = entry.answered_at;
                entry.failed(error.to_owned(), AFTER_STORE, now);
                entry.attempts = entry.attempts.saturating_sub(1);
                entry.answered_at = answered_at;
            });
        }
    }

    /// What became of a job: the entries as the store must have them, and the backup files of those that need not be sent any
    /// more. They stay in hand until [`Outbox::release`].
    pub fn done(
        &self,
        job: &Job,
        result: &Result<Option<Thread>, NotifyError>,
        backups: &BTreeMap<String, String>,
        notifiers: &Notifiers,
        now: Time,
    ) -> (Vec<(u64, Outgoing)>, Vec<String>) {
        let mut inner = self.inner();
        for id in &job.ids {
            let Some(held) = inner.of(id) else { continue };
            held.is_news = true;
            match result {
                Ok(thread) => {
                    let thread = thread.clone().filter(|_| job.message.form != Form::Summary);
                    held.change(|entry| entry.delivered(thread, now));
                }
                // A later alert told it all meanwhile.
                Err(_) if !held.entry.waits() => {
                    let file = backups.get(id).cloned();
                    held.change(|entry| entry.backup = entry.backup.take().or(file));
                }
                Err(error) if held.entry.is_edit() => {
                    held.change(|entry| entry.failed(error.to_string(), Duration::ZERO, now));
                    held.give_up(GivenUp::Edit, now);
                }
                Err(error) => {
                    let wait = wait(error, held.entry.attempts);
                    held.is_own_fault |= is_own_fault(error);
                    held.change(|entry| {
                        entry.failed(error.to_string(), wait, now);
                        entry.backup = entry.backup.take().or(backups.get(id).cloned());
                    });
                }
            }
        }
        match result {
            Ok(_) => {
                inner.settle_overtaken(job, notifiers, now);
                inner.resume(job, notifiers);
            }
            Err(NotifyError::Refused { about: Refusal::Message | Refusal::Thread, .. }) => {}
            Err(_) => inner.postpone(job, notifiers),
        }
        // What waits behind one that failed is known to wait.
        let _ = inner.turns(now);
        let changed = inner
            .entries
            .iter()
            .filter(|held| !held.is_unstored && held.saved != Some(held.revision) && held.is_news);
        let changed = changed.map(|held| (held.revision, held.entry.clone())).collect();
        let own = job.ids.iter().chain(&job.covers);
        let own = own.filter_map(|id| inner.of(id).map(|held| held.entry.clone()));
        let settled = own.filter(Outgoing::is_delivered).filter_map(|entry| entry.backup);
        (changed, settled.collect())
    }

    /// The entries of a job are in nobody's hand any more.
    pub fn release(&self, job: &Job) {
        let mut inner = self.inner();
        for id in job.ids.iter().chain(&job.covers) {
            if let Some(held) = inner.of(id) {
                held.in_hand = false;
            }
        }
        drop(inner);
        self.0.answered.notify_one();
    }

    /// An entry that was given up and has no file yet.
    #[must_use]
    pub fn given_up(&self) -> Option<Outgoing> {
        let inner = self.inner();
        inner.entries.iter().find(|held| held.wants_backup).map(|held| held.entry.clone())
    }

    pub fn backed_up(&self, id: &str, file: Option<String>) {
        if let Some(held) = self.inner().of(id) {
            held.wants_backup = false;
            held.change(|entry| entry.backup = file.or(entry.backup.take()));
        }
        self.0.answered.notify_one();
    }

    /// Gives up what no configured notifier sends.
    pub fn give_up_orphans(&self, notifiers: &Notifiers, now: Time) {
        for held in &mut self.inner().entries {
            let is_orphan =
                held.entry.waits() && !held.in_hand && !notifiers.has(held.entry.notifier);
            if is_orphan {
                held.give_up(GivenUp::NotifierRemoved, now);
            }
        }
    }

    /// All that waits and has no file: what a store that does not outlive the process would lose.
    #[must_use]
    pub fn without_file(&self) -> Vec<Outgoing> {
        let inner = self.inner();
        let wanting = inner.entries.iter().map(|held| &held.entry);
        wanting.filter(|e| e.waits() && !e.is_edit() && e.backup.is_none()).cloned().collect()
    }

    /// What must be posted to an Alertmanager; `None`: it was posted since the cycle last handed it over.
    #[must_use]
    pub fn take_standing(&self, is_due: bool) -> Option<Vec<Entry>> {
        let mut inner = self.inner();
        let is_new = std::mem::take(&mut inner.is_standing_new);
        (is_new || is_due).then(|| inner.known.standing.clone())
    }

    pub fn refreshed(&self, problem: Option<String>) {
        self.inner().refresh_problem = problem;
    }
}

/// The error is about this message: that others get through does not mean that it would.
fn is_own_fault(error: &NotifyError) -> bool {
    match error {
        NotifyError::RateLimited { .. } | NotifyError::Panicked(_) => true,
        NotifyError::Refused { about, .. } => {
            matches!(about, Refusal::Message | Refusal::Thread)
        }
        NotifyError::Timeout(_) | NotifyError::Unreachable(_) => false,
    }
}

fn wait(error: &NotifyError, attempts: u32) -> Duration {
    let doubled = |first: Duration| first.saturating_mul(1 << attempts.saturating_sub(1).min(8));
    match error {
        NotifyError::RateLimited { retry_after, .. } => *retry_after,
        NotifyError::Timeout(_) => doubled(AFTER_TIMEOUT).min(LONGEST_WAIT),
        NotifyError::Unreachable(_) | NotifyError::Refused { .. } | NotifyError::Panicked(_) => {
            doubled(AFTER_FAILURE).min(LONGEST_AFTER_FAILURE)
        }
    }
}
