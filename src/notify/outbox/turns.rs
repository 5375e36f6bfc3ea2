//! Whose turn it is: what waits for what, what is too late to be sent by itself, and what a delivery settles beside it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Held, Inner, Job, MAX_WAITING, Worker, is_urgent, late};
use crate::domain::message::{Form, Message, NotifierName, Thread};
use crate::domain::outbox::{GivenUp, Outgoing, State};
use crate::domain::time::Time;
use crate::notify::set::Notifiers;

/// Said of a message that was not tried because an earlier one about the same incident failed.
const BEHIND: &str = "an earlier message about the same incident was not delivered yet";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StrategyOrder {
    /// In hand, settled, or behind another.
    Waits,
    /// To be told in a summary with all others that are late.
    Late,
    Free,
}

/// The incidents of earlier messages of one notifier that nobody has confirmed.
#[derive(Debug, Default)]
struct Ahead<'a> {
    all: BTreeSet<&'a str>,
    urgent: BTreeSet<&'a str>,
    /// Of those that are told by themselves.
    live: BTreeSet<&'a str>,
    late: BTreeSet<&'a str>,
    failed: BTreeSet<&'a str>,
}

impl Inner {
    pub fn of(&mut self, id: &str) -> Option<&mut Held> {
        self.entries.iter_mut().find(|held| held.entry.id == id)
    }

    /// Of each entry. Notes of those behind a failed one that they are.
    pub fn turns(&mut self, now: Time) -> Vec<StrategyOrder> {
        let mut ahead: BTreeMap<NotifierName, Ahead<'_>> = BTreeMap::new();
        let mut turns = Vec::with_capacity(self.entries.len());
        let mut behind = Vec::new();
        for (place, held) in self.entries.iter().enumerate() {
            let entry = &held.entry;
            if !entry.waits() {
                turns.push(StrategyOrder::Waits);
                continue;
            }
            if entry.is_edit() {
                let is_free = held.is_ready && !held.in_hand;
                turns.push(if is_free { StrategyOrder::Free } else { StrategyOrder::Waits });
                continue;
            }
            let ahead = ahead.entry(entry.notifier).or_default();
            let touches = |set: &BTreeSet<&str>| entry.incidents().any(|one| set.contains(one));
            let is_late = late::is_late(entry, touches(&ahead.late), &self.known, now);
            let overtakes = entry.message.form == Form::Alert && is_urgent(entry.message.severity);
            let is_behind = if is_late {
                touches(&ahead.live)
            } else {
                touches(if overtakes { &ahead.urgent } else { &ahead.all })
            };
            if is_behind && entry.error.is_none() && touches(&ahead.failed) {
                behind.push(place);
            }
            turns.push(match (held.is_ready && !held.in_hand && !is_behind, is_late) {
                (false, _) => StrategyOrder::Waits,
                (true, true) => StrategyOrder::Late,
                (true, false) => StrategyOrder::Free,
            });
            ahead.all.extend(entry.incidents());
            if is_late { &mut ahead.late } else { &mut ahead.live }.extend(entry.incidents());
            if is_urgent(entry.message.severity) {
                ahead.urgent.extend(entry.incidents());
            }
            if entry.error.is_some() {
                ahead.failed.extend(entry.incidents());
            }
        }
        for place in behind {
            let held = &mut self.entries[place];
            held.change(|entry| entry.error = Some(BEHIND.to_owned()));
            held.is_news = true;
        }
        turns
    }

    /// What cannot be told in time any more, in one message of one notifier.
    pub fn summary(
        &self,
        turns: &[StrategyOrder],
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
                .filter(|(held, turn)| {
                    **turn == StrategyOrder::Late && held.entry.notifier == notifier
                })
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
            let worker = Worker { notifier, is_urgent: false, lane };
            if !busy.contains(&worker) {
                let ids = overdue.iter().map(|held| held.entry.id.clone()).collect();
                return Some(Job { worker, message, ids, is_direct: false });
            }
        }
        None
    }

    /// The worst, then the oldest; edits, which call nobody, last.
    pub fn single(
        &self,
        turns: &[StrategyOrder],
        notifiers: &Notifiers,
        busy: &BTreeSet<Worker>,
        leads: bool,
        now: Time,
    ) -> Option<Job> {
        let mut due: Vec<&Held> = self
            .entries
            .iter()
            .zip(turns)
            .filter(|(held, turn)| **turn == StrategyOrder::Free && held.entry.is_due(now))
            .map(|(held, _)| held)
            .filter(|held| leads || held.is_unstored)
            .collect();
        due.sort_by_key(|held| {
            (held.entry.is_edit(), std::cmp::Reverse(held.entry.message.severity))
        });
        due.into_iter().find_map(|held| {
            let entry = &held.entry;
            let message = self.as_of_now(entry);
            let lane = notifiers.lane(entry.notifier, &message)?;
            let is_urgent = is_urgent(message.severity) && !entry.is_edit();
            let worker = Worker { notifier: entry.notifier, is_urgent, lane };
            let is_direct = is_urgent || held.is_unstored;
            (!busy.contains(&worker)).then(|| Job {
                worker,
                message,
                ids: vec![entry.id.clone()],
                is_direct,
            })
        })
    }

    /// Answers where its alert stands by now, and says which of its incidents are over.
    fn as_of_now(&self, entry: &Outgoing) -> Message {
        let mut message = late::as_of_now(&entry.message, &self.known);
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

    /// What an alert says settles earlier messages about no other incidents, which it has overtaken.
    pub fn cover(&mut self, job: &Job, now: Time) {
        if job.message.form != Form::Alert {
            return;
        }
        let [id] = &job.ids[..] else { return };
        let told: BTreeSet<&str> =
            job.message.entries.iter().map(|entry| entry.incident.as_str()).collect();
        for held in self.entries.iter_mut().take_while(|held| held.entry.id != *id) {
            let entry = &held.entry;
            let is_covered = entry.waits()
                && !held.in_hand
                && entry.notifier == job.worker.notifier
                && matches!(entry.message.form, Form::Alert | Form::Update(_))
                && !entry.message.entries.is_empty()
                && entry.incidents().all(|one| told.contains(one));
            if is_covered {
                held.change(|entry| entry.delivered(None, now));
                held.is_news = true;
            }
        }
    }

    /// A lane that has just failed is not tried again by what failed there before: new messages are, for they may be the
    /// first to get through.
    pub fn postpone(&mut self, job: &Job, notifiers: &Notifiers) {
        let Some(until) = job.ids.iter().find_map(|id| self.of(id)?.entry.next_at) else { return };
        for held in &mut self.entries {
            let entry = &mut held.entry;
            let is_after = entry.waits()
                && entry.attempts > 0
                && entry.notifier == job.worker.notifier
                && notifiers.lane(entry.notifier, &entry.message).as_ref()
                    == Some(&job.worker.lane);
            if is_after {
                // Of this process alone: another one may find the way open.
                entry.next_at = entry.next_at.max(Some(until));
            }
        }
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
