//! What people are due to be notified of beside alerts, and what became of messages: put into the outbox, delivered, failed, given up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{FallbackNotified, IncidentTracker};
use crate::domain::decision::Sev;
use crate::domain::incident::Incident;
use crate::domain::message::{Form, Message, Notified, NotifierName, Thread};
use crate::domain::outbox::{GivenUp, Outgoing, State};
use crate::domain::time::{Time, since};
use crate::incidents::incident::content_hash;
use crate::incidents::severity::{FLAP, HOUR};

const BRIEF_EVERY: Duration = Duration::from_secs(30 * 60);

type ByThread<'a> = Vec<(Option<Thread>, Vec<&'a Incident>)>;

impl IncidentTracker {
    /// Ends that nobody was notified of, by the thread of each. An incident that keeps coming back has ended when it
    /// has stayed away for a while.
    pub(in crate::incidents) fn ends(&self, now: Time) -> ByThread<'_> {
        let is_over = |incident: &&Incident| {
            let comes_back = incident.course.returns.iter().any(|at| since(now, *at) <= HOUR);
            incident.end_is_due
                && incident.ended_at.is_some_and(|at| !comes_back || since(now, at) > FLAP)
        };
        by_thread(self.incidents.iter().filter(is_over))
    }

    /// What came and went before anybody was notified.
    pub(in crate::incidents) fn missed(&self, now: Time) -> Vec<&Incident> {
        let missed = |incident: &&Incident| {
            // What is queued was a SEV-3 at least, however mild it was in the end.
            let worst = incident.severity.max(Sev::Sev3);
            !incident.is_open() && incident.is_queued && self.may_tell(worst, now)
        };
        self.incidents.iter().filter(missed).collect()
    }

    /// Those that changed since people were last notified of them, once in half an hour; what was decided, done or came of it
    /// at once. Messages show `alerted` in full now.
    pub(in crate::incidents) fn updates(&self, alerted: &[String], now: Time) -> ByThread<'_> {
        let is_due = |incident: &&Incident| {
            let last_heard = incident.heard_at();
            let is_news = incident.timeline.iter().any(|line| line.is_due);
            let is_changed = || {
                incident.is_open()
                    && self.may_tell(incident.severity, now)
                    && last_heard.is_some_and(|at| since(now, at) >= BRIEF_EVERY)
                    && content_hash(incident) != incident.course.notified_hash
            };
            incident.notified_at.is_some()
                && !incident.end_is_due
                && !alerted.contains(&incident.id)
                && (is_news || is_changed())
        };
        by_thread(self.incidents.iter().filter(is_due))
    }

    /// Messages that no longer show what is: each with all the incidents in it, at most once an interval.
    pub(in crate::incidents) fn edits(&self, now: Time) -> Vec<(Thread, Vec<&Incident>)> {
        let is_stale = |incidents: &[&Incident]| {
            let last = incidents.iter().filter_map(|one| one.edited_at.max(one.notified_at)).max();
            last.is_none_or(|at| since(now, at) >= self.interval)
                && incidents.iter().any(|one| content_hash(one) != one.course.shown_hash)
        };
        by_thread(self.incidents.iter().filter(|incident| incident.thread.is_some()))
            .into_iter()
            .filter_map(|(thread, incidents)| Some((thread?, incidents)))
            .filter(|(_, incidents)| is_stale(incidents))
            .collect()
    }

    /// A message goes into the outbox, for these notifiers; with nobody who carries its like (`to` empty) the log is who
    /// reads it. From here on it is not composed again.
    pub fn queued(&mut self, message: &Message, to: &[NotifierName], now: Time) {
        if message.form == Form::Alert
            && let Some(services) = self.blind_decision.take()
        {
            self.state.fallbacks.push(FallbackNotified { services, at: now });
        }
        for entry in &message.entries {
            let Some(incident) = self.incidents.iter_mut().find(|one| one.id == entry.incident)
            else {
                continue;
            };
            match &message.form {
                Form::Alert => {
                    // A message that calls it milder than it is (nothing was assessed) has told only that.
                    alerted(incident, entry.severity.min(message.severity), now);
                    incident.course.notified_nobody = to.is_empty();
                }
                Form::Update(_) => {
                    incident.updated_at = Some(now);
                    heard(incident, entry.severity);
                }
                Form::Edit(_) => {
                    incident.edited_at = Some(now);
                    incident.course.shown_hash = content_hash(incident);
                }
                Form::Ended(_) => {
                    incident.end_is_due = false;
                    incident.course.end_notified_at = Some(now);
                    has_said_its_news(incident);
                }
                Form::Summary => incident.is_queued = false,
            }
            if matters(&message.form) {
                let pending = to.iter().map(|name| (*name, Notified::Pending { since: now }));
                incident.notified.extend(pending);
            }
            self.changed.insert(incident.id.clone());
        }
    }

    /// What became of an entry of the outbox. What was alerted by it can be answered in its thread.
    pub fn told(&mut self, entry: &Outgoing) {
        let message = &entry.message;
        let (outcome, thread) = match (&entry.state, &entry.error) {
            (State::Delivered { at, thread }, _) => {
                (Notified::Delivered { at: *at }, thread.as_ref())
            }
            (State::GivenUp { why, .. }, error) => {
                let why = match why {
                    GivenUp::Edit => "the message was not edited",
                    GivenUp::TooMany => "given up: too many messages waited",
                    GivenUp::NotifierRemoved => "given up: the notifier is not configured any more",
                    GivenUp::OpenAgain => "not sent: the incident is open again",
                };
                let error = error.iter().map(String::as_str).chain([why]);
                let error = error.collect::<Vec<_>>().join("; ");
                (Notified::Failed { error, attempts: entry.attempts }, None)
            }
            (State::Pending | State::Claimed { .. }, Some(error)) => {
                let (error, attempts) = (error.clone(), entry.attempts);
                (Notified::Failed { error, attempts }, None)
            }
            (State::Pending | State::Claimed { .. }, None) => return,
        };
        let is_delivered = matches!(outcome, Notified::Delivered { .. });
        let given_up = match entry.state {
            State::GivenUp { why, .. } => Some(why),
            State::Pending | State::Claimed { .. } | State::Delivered { .. } => None,
        };
        let has_moved = self.follow(message, thread);
        let is_followed = matches!(message.form, Form::Alert | Form::Update(_));
        for shown in &message.entries {
            let Some(incident) = self.incidents.iter_mut().find(|one| one.id == shown.incident)
            else {
                continue;
            };
            if has_moved {
                incident.course.shown_hash = content_hash(incident);
            }
            if is_followed && incident.thread.is_none() {
                incident.thread = thread.cloned();
            }
            let before = incident.notified.get(&entry.notifier);
            let was_delivered = matches!(before, Some(Notified::Delivered { .. }));
            // The failure of an earlier message says nothing of what a later one came to.
            let is_outdated = !is_delivered
                && (was_delivered || matches!(before, Some(Notified::Pending { .. })))
                && incident.notified_at.is_some_and(|at| message.at < at);
            match &message.form {
                // What now reads milder is told as worse when it is bad again.
                Form::Edit(_) if is_delivered => {
                    incident.notified_severity =
                        incident.notified_severity.map(|told| told.min(shown.severity));
                }
                Form::Edit(_) => incident.course.shown_hash.clear(),
                // An update that is lost takes nothing back, and one that arrives says all.
                Form::Update(_) if is_delivered && !was_delivered => {
                    incident.notified.insert(entry.notifier, outcome.clone());
                }
                Form::Update(_) => {}
                Form::Alert | Form::Ended(_) | Form::Summary if is_outdated => {}
                Form::Alert | Form::Ended(_) | Form::Summary => {
                    incident.notified.insert(entry.notifier, outcome.clone());
                }
            }
            if matters(&message.form) && !is_notified(incident) {
                match given_up {
                    Some(GivenUp::NotifierRemoved) => is_due_again(incident),
                    Some(GivenUp::TooMany) => incident.course.notified_nobody = true,
                    Some(GivenUp::Edit | GivenUp::OpenAgain) | None => {}
                }
            }
            self.changed.insert(incident.id.clone());
        }
    }

    /// The message that this one edits or answers is gone, and this one was posted elsewhere: all that was followed there
    /// goes on here. Answers whether it is so.
    fn follow(&mut self, message: &Message, place: Option<&Thread>) -> bool {
        let (Some(gone), Some(place)) = (message.form.thread(), place) else { return false };
        if gone == place {
            return false;
        }
        for incident in &mut self.incidents {
            if incident.thread.as_ref() == Some(gone) {
                incident.thread = Some(place.clone());
                self.changed.insert(incident.id.clone());
            }
        }
        true
    }

    /// What was due while nobody could be notified, or was given up because too many messages waited, is due again, now
    /// that somebody can be notified. What ended meanwhile with no notifier configured is not announced.
    pub fn somebody_is_there(&mut self) {
        let unheard = |one: &&mut Incident| {
            one.course.notified_nobody && (one.is_open() || !one.notified.is_empty())
        };
        for incident in self.incidents.iter_mut().filter(unheard) {
            incident.course.notified_nobody = false;
            is_due_again(incident);
            self.changed.insert(incident.id.clone());
        }
    }

    /// After a start or a take-over: an incident of which nobody confirmed a message, and of which none waits, is due
    /// again. Answers their ids.
    pub fn missing(&mut self, waiting: &BTreeSet<String>) -> Vec<String> {
        let is_missing = |one: &&mut Incident| {
            let is_confirmed =
                one.notified.values().any(|of| matches!(of, Notified::Delivered { .. }));
            let is_lost = one.course.in_backup || (!one.notified.is_empty() && !is_confirmed);
            is_lost && !waiting.contains(&one.id)
        };
        let mut missing = Vec::new();
        for incident in self.incidents.iter_mut().filter(is_missing) {
            incident.course.in_backup = false;
            is_due_again(incident);
            self.changed.insert(incident.id.clone());
            missing.push(incident.id.clone());
        }
        missing
    }
}

/// Does people's knowledge of an incident rest on messages of this form?
fn matters(form: &Form) -> bool {
    match form {
        Form::Alert | Form::Ended(_) | Form::Summary => true,
        Form::Edit(_) | Form::Update(_) => false,
    }
}

/// The last message that matters was confirmed, or still may be.
fn is_notified(incident: &Incident) -> bool {
    let mut notified = incident.notified.values();
    notified.any(|one| matches!(one, Notified::Delivered { .. } | Notified::Pending { .. }))
}

fn is_due_again(incident: &mut Incident) {
    incident.notified.clear();
    if incident.is_open() {
        incident.notified_at = None;
    } else if incident.notified_at.is_some() {
        incident.end_is_due = true;
        incident.course.end_notified_at = None;
    } else {
        incident.is_queued = true;
    }
}

fn alerted(incident: &mut Incident, severity: Sev, now: Time) {
    // Each keeps the thread in which it was first announced; that message is what its edits bring up to date.
    if incident.thread.is_none() {
        incident.course.shown_hash = content_hash(incident);
    }
    if incident.notified_at.is_none() && !incident.course.is_raised && !incident.course.is_excused {
        incident.course.baseline = Some((incident.numbers, incident.severity));
    }
    incident.notified_at = Some(now);
    incident.is_queued = false;
    incident.course.end_notified_at = None;
    incident.course.decided = Some(incident.severity);
    heard(incident, severity);
}

fn heard(incident: &mut Incident, severity: Sev) {
    incident.notified_severity = Some(severity);
    incident.course.notified_numbers = Some(incident.numbers);
    incident.course.notified_hash = content_hash(incident);
    has_said_its_news(incident);
}

pub(super) fn has_said_its_news(incident: &mut Incident) {
    for line in &mut incident.timeline {
        line.is_due = false;
    }
}

/// Those whose alert is still under way have no thread yet, and those of one alert will have the same.
fn by_thread<'a>(incidents: impl Iterator<Item = &'a Incident>) -> ByThread<'a> {
    let mut groups: BTreeMap<(Option<Thread>, Option<Time>), Vec<&Incident>> = BTreeMap::new();
    for incident in incidents {
        let is_under_way =
            incident.notified.values().any(|one| !matches!(one, Notified::Delivered { .. }));
        let alert = incident.notified_at.filter(|_| incident.thread.is_none() && is_under_way);
        groups.entry((incident.thread.clone(), alert)).or_default().push(incident);
    }
    groups.into_iter().map(|((thread, _), incidents)| (thread, incidents)).collect()
}
