//! Whose turn it is: what waits for what, what is too late to be sent by itself, and what a delivery settles beside it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Held, Inner, Job, MAX_WAITING, Worker, is_urgent, late};
use crate::domain::message::{Form, Message, NotifierName, Thread};
use crate::domain::outbox::{GivenUp, Outgoing, State};
use crate::domain::time::Time;
use crate::notify::set::Notifiers;

/// Said of a message that was not tried because an earlier one about the same incident failed.
const BEHIND: &str =
    "it waits for an earlier message about the same incident that was not delivered yet";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// In hand, settled, or behind another.
    Waits,
    /// To be sent in a summary with all others that are late.
    Late,
    Free,
}

/// Whether a message need not wait for an earlier one about an incident that they share: an alert that is more severe, or
/// that says all that the other says.
fn passes(later: &Outgoing, earlier: &Held) -> bool {
    let is_worse = later.message.severity > earlier.entry.message.severity;
    later.message.form == Form::Alert && (is_worse || covers(later, earlier))
}

/// An alert that is no milder and about the same incidents takes the news of an earlier message along.
fn covers(alert: &Outgoing, earlier: &Held) -> bool {
    let entry = &earlier.entry;
    let told: BTreeSet<&str> = alert.incidents().collect();
    alert.message.form == Form::Alert
        && entry.waits()
        && !earlier.in_hand
        && entry.notifier == alert.notifier
        && entry.message.severity <= alert.message.severity
        && matches!(entry.message.form, Form::Alert | Form::Update(_) | Form::Ended(_))
        && !entry.message.entries.is_empty()
        && entry.incidents().all(|one| told.contains(one))
}

impl Inner {
    pub fn of(&mut self, id: &str) -> Option<&mut Held> {
        self.entries.iter_mut().find(|held| held.entry.id == id)
    }

    /// Of each entry. Notes of those behind a failed one that they are.
    pub fn turns(&mut self, now: Time) -> Vec<Readiness> {
        // The earlier messages of one notifier about one incident that nobody has confirmed.
        let mut ahead: BTreeMap<(NotifierName, &str), Vec<usize>> = BTreeMap::new();
        let mut late = BTreeSet::new();
        let mut turns = Vec::with_capacity(self.entries.len());
        let mut behind = Vec::new();
        for (place, held) in self.entries.iter().enumerate() {
            let entry = &held.entry;
            let is_ready = held.is_ready && !held.in_hand && entry.waits();
            if !entry.waits() || entry.is_edit() {
                turns.push(if is_ready { Readiness::Free } else { Readiness::Waits });
                continue;
            }
            let lists = entry.incidents().filter_map(|one| ahead.get(&(entry.notifier, one)));
            let before: BTreeSet<usize> = lists.flatten().copied().collect();
            let is_late = late::is_late(entry, !before.is_disjoint(&late), &self.known, now);
            let is_behind = before.iter().any(|earlier| {
                if is_late {
                    !late.contains(earlier)
                } else {
                    !passes(entry, &self.entries[*earlier])
                }
            });
            let has_failed = |earlier: &usize| self.entries[*earlier].entry.error.is_some();
            if is_behind && entry.error.is_none() && before.iter().any(has_failed) {
                behind.push(place);
            }
            turns.push(match (is_ready && !is_behind, is_late) {
                (false, _) => Readiness::Waits,
                (true, true) => Readiness::Late,
                (true, false) => Readiness::Free,
            });
            if is_late {
                late.insert(place);
            }
            for one in entry.incidents() {
                ahead.entry((entry.notifier, one)).or_default().push(place);
            }
        }
        for place in behind {
            let held = &mut self.entries[place];
            held.change(|entry| entry.error = Some(BEHIND.to_owned()));
            held.is_news = true;
        }
        turns
    }

    /// What can no longer be sent in time, in one message of one notifier.
    pub fn summary(
        &self,
        turns: &[Readiness],
        notifiers: &Notifiers,
        busy: &BTreeSet<Worker>,
        leads: bool,
        now: Time,
    ) -> Option<Job> {
        for notifier in notifiers.names() {
            let overdue: Vec<&Held> = self
                .entries
                .iter()
                .zip(turns)
                .filter(|(held, turn)| **turn == Readiness::Late && held.entry.notifier == notifier)
                .map(|(held, _)| held)
                .filter(|held| leads || held.is_unstored)
                .collect();
            if !overdue.iter().any(|held| held.entry.is_due(now)) {
                continue;
            }
            let messages: Vec<&Message> = overdue.iter().map(|held| &held.entry.message).collect();
            let Some(summary) = late::summary(&messages, &self.known, now) else { continue };
            let message = notifiers.marked(summary);
            let lane = notifiers.lane(notifier, &message)?;
            let worker = Worker { notifier, urgency: None, lane };
            if worker.is_free(busy) {
                let ids = overdue.iter().map(|held| held.entry.id.clone()).collect();
                return Some(Job { worker, message, ids, covers: Vec::new(), is_direct: false });
            }
        }
        None
    }

    /// The worst, then the oldest; edits, which call nobody, last.
    pub fn single(
        &self,
        turns: &[Readiness],
        notifiers: &Notifiers,
        busy: &BTreeSet<Worker>,
        leads: bool,
        now: Time,
    ) -> Option<Job> {
        let mut due: Vec<&Held> = self
            .entries
            .iter()
            .zip(turns)
            .filter(|(held, turn)| **turn == Readiness::Free && held.entry.is_due(now))
            .map(|(held, _)| held)
            .filter(|held| leads || held.is_unstored)
            .collect();
        due.sort_by_key(|held| {
            (held.entry.is_edit(), std::cmp::Reverse(held.entry.message.severity))
        });
        due.into_iter().find_map(|held| {
            let entry = &held.entry;
            let earlier = self.entries.iter().take_while(|other| other.entry.id != entry.id);
            let covered: Vec<&Outgoing> =
                earlier.filter(|other| covers(entry, other)).map(|other| &other.entry).collect();
            let message = self.as_of_now(entry, &covered, now);
            let lane = notifiers.lane(entry.notifier, &message)?;
            let is_urgent = is_urgent(message.severity) && !entry.is_edit();
            let urgency = is_urgent.then_some(message.severity);
            let worker = Worker { notifier: entry.notifier, urgency, lane };
            worker.is_free(busy).then(|| Job {
                worker,
                message,
                ids: vec![entry.id.clone()],
                covers: covered.iter().map(|other| other.id.clone()).collect(),
                is_direct: is_urgent || held.is_unstored,
            })
        })
    }

    /// Goes to the thread that its alert has by now, says how its incidents stand, and takes along the news of what it covers.
    fn as_of_now(&self, entry: &Outgoing, covered: &[&Outgoing], now: Time) -> Message {
        let mut message = late::as_of_now(&entry.message, &self.known, now);
        for earlier in covered.iter().rev() {
            late::take_along(&mut message.entries, &earlier.message);
        }
        let thread = || entry.incidents().find_map(|one| self.thread(entry.notifier, one));
        match &mut message.form {
            Form::Update(at) | Form::Ended(at) => *at = thread().or(at.take()),
            Form::Alert | Form::Edit(_) | Form::Summary => {}
        }
        message
    }

    /// By what was delivered since the last cycle, else by what the incidents know.
    fn thread(&self, notifier: NotifierName, incident: &str) -> Option<Thread> {
        let delivered = self.entries.iter().rev().filter(|held| {
            held.is_news
                && held.entry.notifier == notifier
                && matches!(held.entry.message.form, Form::Alert | Form::Update(_))
        });
        let delivered = delivered.filter(|held| held.entry.incidents().any(|one| one == incident));
        let mut threads = delivered.filter_map(|held| match &held.entry.state {
            State::Delivered { thread, .. } => thread.clone(),
            State::Pending | State::Claimed { .. } | State::GivenUp { .. } => None,
        });
        let known = self.known.threads.get(incident).cloned();
        known.or_else(|| threads.next())
    }

    /// A lane that has just failed is not tried again by what failed there before, unless that is more severe. New messages
    /// are tried: they may be the first to get through.
    pub fn postpone(&mut self, job: &Job, notifiers: &Notifiers) {
        let Some(until) = job.ids.iter().find_map(|id| self.of(id)?.entry.next_at) else { return };
        for held in self.failed_on(job, notifiers) {
            held.is_own_fault &= job.ids.contains(&held.entry.id);
            if held.entry.message.severity <= job.message.severity {
                // Of this process alone: another one may find the way open.
                held.entry.next_at = held.entry.next_at.max(Some(until));
            }
        }
    }

    /// A lane on which a message was delivered is open: what failed there is tried again now, once. What fails all the same
    /// keeps its own time, for a message that timed out may have arrived.
    pub fn resume(&mut self, job: &Job, notifiers: &Notifiers) {
        for held in self.failed_on(job, notifiers).filter(|held| !held.is_own_fault) {
            held.is_own_fault = true;
            held.entry.next_at = None;
        }
    }

    /// What waits on a job's lane and has failed there.
    fn failed_on<'a>(
        &'a mut self,
        job: &'a Job,
        notifiers: &'a Notifiers,
    ) -> impl Iterator<Item = &'a mut Held> {
        self.entries.iter_mut().filter(|held| {
            let entry = &held.entry;
            entry.waits()
                && entry.attempts > 0
                && entry.notifier == job.worker.notifier
                && notifiers.lane(entry.notifier, &entry.message).as_ref() == Some(&job.worker.lane)
        })
    }

    pub fn keep_the_bound(&mut self, now: Time) {
        let mut waiting = self.entries.iter().filter(|held| held.entry.waits()).count();
        while waiting > MAX_WAITING {
            let held = self.entries.iter_mut().filter(|held| held.entry.waits() && !held.in_hand);
            // The first of several that are least severe is the oldest.
            let least =
                held.min_by_key(|held| (!held.entry.is_edit(), held.entry.message.severity));
            let Some(held) = least else { return };
            held.give_up(if held.entry.is_edit() { GivenUp::Edit } else { GivenUp::TooMany }, now);
            waiting -= 1;
        }
    }
}
