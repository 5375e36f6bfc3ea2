//! Whose turn it is: what waits for what, what is too late to be sent by itself, and what a delivery settles beside it.

use std::collections::{BTreeSet, HashMap};

use super::{Held, Inner, Job, MAX_WAITING, Worker, is_urgent, late};
use crate::domain::decision::Sev;
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

/// What waits for an earlier message about one incident at one notifier needs to know of all of them.
#[derive(Clone, Copy, Default)]
struct Ahead {
    has_late: bool,
    has_timely: bool,
    has_failed: bool,
    /// An alert passes them all if it is as severe as this, or more severe where one of that severity is in hand.
    holds: Option<(Sev, bool)>,
}

impl Ahead {
    fn and(self, other: Self) -> Self {
        Self {
            has_late: self.has_late || other.has_late,
            has_timely: self.has_timely || other.has_timely,
            has_failed: self.has_failed || other.has_failed,
            holds: self.holds.max(other.holds),
        }
    }
}

/// An alert says how its incidents stand now, so it waits for no earlier message that is no more severe, unless an equally
/// severe one is being sent. Every alert passes an end, and waits for one that is being sent: it would land after the alert.
fn holds(earlier: &Held) -> Option<(Sev, bool)> {
    match earlier.entry.message.form {
        Form::Ended(_) => earlier.in_hand.then_some((Sev::Sev1, true)),
        _ => Some((earlier.entry.message.severity, earlier.in_hand)),
    }
}

/// An alert takes along what an earlier message that is no more severe, or an end, has to say of its incidents.
fn overtakes(alert: &Message, told: &BTreeSet<&str>, earlier: &Outgoing) -> bool {
    let is_milder = earlier.message.severity <= alert.severity;
    let is_overtaken = match earlier.message.form {
        Form::Alert | Form::Update(_) => is_milder,
        Form::Ended(_) => true,
        Form::Edit(_) | Form::Summary => false,
    };
    alert.form == Form::Alert
        && is_overtaken
        && earlier.waits()
        && earlier.incidents().any(|one| told.contains(one))
}

impl Inner {
    pub fn of(&mut self, id: &str) -> Option<&mut Held> {
        self.entries.iter_mut().find(|held| held.entry.id == id)
    }

    /// Of each entry. Notes of those behind a failed one that they are.
    pub fn turns(&mut self, now: Time) -> Vec<Readiness> {
        // The earlier messages of one notifier about one incident that nobody has confirmed.
        let mut ahead: HashMap<(NotifierName, &str), Ahead> = HashMap::new();
        let mut turns = Vec::with_capacity(self.entries.len());
        let mut behind = Vec::new();
        for (place, held) in self.entries.iter().enumerate() {
            let entry = &held.entry;
            let is_ready = held.is_ready && !held.in_hand && entry.waits();
            let is_ready = is_ready && !late::is_void(&entry.message, &self.known);
            if !entry.waits() || entry.is_edit() {
                turns.push(if is_ready { Readiness::Free } else { Readiness::Waits });
                continue;
            }
            let lists = entry.incidents().filter_map(|one| ahead.get(&(entry.notifier, one)));
            let before = lists.copied().fold(Ahead::default(), Ahead::and);
            let is_late = late::is_late(entry, before.has_late, &self.known, now);
            let is_behind = if is_late {
                before.has_timely
            } else {
                let passes = entry.message.form == Form::Alert
                    && Some((entry.message.severity, false)) >= before.holds;
                (before.has_late || before.has_timely) && !passes
            };
            if is_behind && entry.error.is_none() && before.has_failed {
                behind.push(place);
            }
            turns.push(match (is_ready && !is_behind, is_late) {
                (false, _) => Readiness::Waits,
                (true, true) => Readiness::Late,
                (true, false) => Readiness::Free,
            });
            let own = Ahead {
                has_late: is_late,
                has_timely: !is_late,
                has_failed: entry.error.is_some(),
                holds: holds(held),
            };
            for one in entry.incidents() {
                let all = ahead.entry((entry.notifier, one)).or_default();
                *all = all.and(own);
            }
        }
        for place in behind {
            let held = &mut self.entries[place];
            held.change(|entry| entry.error = Some(BEHIND.to_owned()));
            held.is_news = true;
        }
        turns
    }

    /// Gives up the end of what is open again, unless an alert that waits takes its news along.
    pub fn withdraw(&mut self, now: Time) {
        for place in 0..self.entries.len() {
            let (before, later) = self.entries.split_at_mut(place + 1);
            let held = &mut before[place];
            let entry = &held.entry;
            let is_due = held.is_ready && !held.in_hand && entry.waits();
            if !is_due || !late::is_void(&entry.message, &self.known) {
                continue;
            }
            let told: BTreeSet<&str> = entry.incidents().collect();
            let is_taken_along = later.iter().any(|other| {
                let other = &other.entry;
                other.waits()
                    && other.notifier == entry.notifier
                    && other.message.form == Form::Alert
                    && other.incidents().any(|one| told.contains(one))
            });
            if !is_taken_along {
                held.give_up(GivenUp::OpenAgain, now);
            }
        }
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
            let mut message = self.as_of_now(entry, now);
            let lane = notifiers.lane(entry.notifier, &message)?;
            let is_urgent = is_urgent(message.severity) && !entry.is_edit();
            let urgency = is_urgent.then_some(message.severity);
            let worker = Worker { notifier: entry.notifier, urgency, lane };
            if !worker.is_free(busy) {
                return None;
            }
            let told: BTreeSet<&str> = entry.incidents().collect();
            let earlier = self.entries.iter().take_while(|other| other.entry.id != entry.id);
            let own = earlier.filter(|other| other.entry.notifier == entry.notifier);
            let overtaken: Vec<&Held> =
                own.filter(|other| overtakes(&entry.message, &told, &other.entry)).collect();
            for earlier in overtaken.iter().rev() {
                late::take_along(&mut message.entries, &earlier.entry.message);
            }
            let covers = overtaken.iter().filter(|other| !other.in_hand);
            Some(Job {
                worker,
                message,
                ids: vec![entry.id.clone()],
                covers: covers.map(|other| other.entry.id.clone()).collect(),
                is_direct: is_urgent || held.is_unstored,
            })
        })
    }

    /// Goes to the thread that its alert has by now, and says how its incidents stand.
    fn as_of_now(&self, entry: &Outgoing, now: Time) -> Message {
        let mut message = late::as_of_now(&entry.message, &self.known, now);
        let thread = || entry.incidents().find_map(|one| self.thread(entry.notifier, one));
        match &mut message.form {
            Form::Update(at) | Form::Ended(at) => *at = thread().or(at.take()),
            Form::Alert | Form::Edit(_) | Form::Summary => {}
        }
        message
    }

    /// A delivered alert settles what earlier messages say of its incidents: the rest of such a message is sent later, and
    /// nothing of it when nothing is left.
    pub fn settle_overtaken(&mut self, job: &Job, notifiers: &Notifiers, now: Time) {
        let told: BTreeSet<&str> =
            job.message.entries.iter().map(|entry| &*entry.incident).collect();
        let earlier = self.entries.iter_mut().take_while(|held| !job.ids.contains(&held.entry.id));
        let own = earlier.filter(|held| held.entry.notifier == job.worker.notifier);
        for held in own.filter(|held| overtakes(&job.message, &told, &held.entry)) {
            // What somebody else sends now is written by whoever does.
            held.is_news |= !held.in_hand || job.covers.contains(&held.entry.id);
            held.change(|entry| {
                if entry.incidents().all(|one| told.contains(one)) {
                    entry.delivered(None, now);
                } else {
                    let rest = late::without(&entry.message, &told);
                    entry.message = notifiers.marked(rest);
                }
            });
        }
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
