//! What is due to be told beside alerts, and what became of it once it was delivered.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{FallbackTold, IncidentBoard};
use crate::domain::decision::Sev;
use crate::domain::incident::Incident;
use crate::domain::message::{Delivery, Form, Message, Thread};
use crate::domain::time::{Time, since};
use crate::escalation::incidents::gist;
use crate::escalation::severity::{FLAP, HOUR};

const BRIEF_EVERY: Duration = Duration::from_secs(30 * 60);

type ByThread<'a> = BTreeMap<Option<Thread>, Vec<&'a Incident>>;

impl IncidentBoard {
    /// Ends that people have not heard, by the thread in which they are told. One that keeps coming back is over when it
    /// has stayed away for a while.
    pub(in crate::escalation) fn ends(&self, now: Time) -> ByThread<'_> {
        let is_over = |incident: &&Incident| {
            let comes_back = incident.course.returns.iter().any(|at| since(now, *at) <= HOUR);
            incident.end_is_due
                && incident.ended_at.is_some_and(|at| !comes_back || since(now, at) > FLAP)
        };
        by_thread(self.incidents.iter().filter(is_over))
    }

    /// What came and went while nobody was told.
    pub(in crate::escalation) fn missed(&self, now: Time) -> Vec<&Incident> {
        let missed = |incident: &&Incident| {
            // What is queued was a SEV-3 at least, however mild it was in the end.
            let worst = incident.severity.max(Sev::Sev3);
            !incident.is_open() && incident.is_queued && self.may_tell(worst, now)
        };
        self.incidents.iter().filter(missed).collect()
    }

    /// Told ones that changed since people last heard of them, once in half an hour; what was decided, done or came of it
    /// at once. `alerted` are told in full now.
    pub(in crate::escalation) fn updates(&self, alerted: &[String], now: Time) -> ByThread<'_> {
        let is_due = |incident: &&Incident| {
            let last_heard = incident.heard_at();
            let is_news = incident.course.noted_at > last_heard;
            let is_changed = || {
                incident.is_open()
                    && self.may_tell(incident.severity, now)
                    && last_heard.is_some_and(|at| since(now, at) >= BRIEF_EVERY)
                    && gist(incident) != incident.course.told_gist
            };
            incident.told_at.is_some()
                && !incident.end_is_due
                && !alerted.contains(&incident.id)
                && (is_news || is_changed())
        };
        by_thread(self.incidents.iter().filter(is_due))
    }

    /// Messages that no longer show what is: each with all the incidents in it, at most once an interval.
    pub(in crate::escalation) fn edits(&self, now: Time) -> Vec<(Thread, Vec<&Incident>)> {
        let is_stale = |incidents: &[&Incident]| {
            let last = incidents.iter().filter_map(|one| one.edited_at.max(one.told_at)).max();
            last.is_none_or(|at| since(now, at) >= self.interval)
                && incidents.iter().any(|one| gist(one) != one.course.shown_gist)
        };
        by_thread(self.incidents.iter().filter(|incident| incident.thread.is_some()))
            .into_iter()
            .filter_map(|(thread, incidents)| Some((thread?, incidents)))
            .filter(|(_, incidents)| is_stale(incidents))
            .collect()
    }

    /// After the delivery of a message to every notifier. It is told when one of them confirmed it or keeps it to be sent
    /// again; with nobody who carries its like (`deliveries` empty) the log is who was told. Otherwise it stays due.
    pub fn told(&mut self, message: &Message, deliveries: &[Delivery], now: Time) {
        let is_told = deliveries.is_empty()
            || deliveries.iter().any(|delivery| delivery.result.is_ok() || delivery.backed_up);
        let is_confirmed = deliveries.iter().any(|delivery| delivery.result.is_ok());
        let is_edit = matches!(message.form, Form::Edit(_));
        if !is_told && !is_edit {
            return;
        }
        if message.form == Form::Alert
            && let Some(services) = self.blind_decision.take()
        {
            self.state.fallbacks.push(FallbackTold { services, at: now });
        }
        let thread = deliveries.iter().find_map(|delivery| delivery.result.clone().ok().flatten());
        let has_moved = self.follow(message, thread.as_ref());
        for entry in &message.entries {
            let Some(incident) = self.incidents.iter_mut().find(|one| one.id == entry.incident)
            else {
                continue;
            };
            if has_moved {
                incident.course.shown_gist = gist(incident);
            }
            match &message.form {
                Form::Alert => {
                    // A message that calls it milder than it is (nothing was assessed) has told only that.
                    let severity = entry.severity.min(message.severity);
                    alerted(incident, severity, thread.as_ref(), now);
                }
                Form::Update(_) => {
                    incident.updated_at = Some(now);
                    heard(incident, entry.severity);
                }
                Form::Edit(_) => {
                    // Tried is enough for the limit: a message that was deleted is not edited in every cycle.
                    incident.edited_at = Some(now);
                    if is_told {
                        // What now reads milder is told as worse when it is bad again.
                        incident.told_severity =
                            incident.told_severity.map(|told| told.min(entry.severity));
                        incident.course.shown_gist = gist(incident);
                    }
                }
                Form::Ended(_) => {
                    incident.end_is_due = false;
                    incident.course.end_told_at = Some(now);
                }
                Form::Summary => incident.is_queued = false,
            }
            match &message.form {
                Form::Edit(_) => {}
                _ if is_confirmed => incident.course.in_backup = false,
                // An update that is lost is no reason for an alert.
                Form::Update(_) => {}
                Form::Alert | Form::Ended(_) | Form::Summary => {
                    incident.course.in_backup = !deliveries.is_empty();
                }
            }
            self.changed.insert(incident.id.clone());
        }
    }

    /// A message that had waited in a backup has been confirmed. What was alerted by it can be answered there.
    pub fn resent(&mut self, message: &Message, thread: Option<&Thread>) {
        self.follow(message, thread);
        let is_followed = matches!(message.form, Form::Alert | Form::Update(_));
        let thread = thread.filter(|_| is_followed);
        for entry in &message.entries {
            let held = self.incidents.iter_mut().find(|one| one.id == entry.incident);
            let Some(incident) = held else { continue };
            incident.course.in_backup = false;
            if incident.thread.is_none() {
                incident.thread = thread.cloned();
            }
            self.changed.insert(incident.id.clone());
        }
    }

    /// The message that this one edits or answers is gone, and this one was told elsewhere: all that was followed there
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

    /// After a start or a take-over: whoever was told by a backup that no longer waits here has not been told, and is due
    /// again. Answers their ids.
    pub fn missing_backups(&mut self, is_waiting: &dyn Fn(&str) -> bool) -> Vec<String> {
        let is_missing = |one: &&mut Incident| one.course.in_backup && !is_waiting(&one.id);
        let mut missing = Vec::new();
        for incident in self.incidents.iter_mut().filter(is_missing) {
            incident.course.in_backup = false;
            if incident.is_open() {
                incident.told_at = None;
            } else if incident.told_at.is_some() {
                incident.end_is_due = true;
                incident.course.end_told_at = None;
            } else {
                incident.is_queued = true;
            }
            self.changed.insert(incident.id.clone());
            missing.push(incident.id.clone());
        }
        missing
    }
}

fn alerted(incident: &mut Incident, severity: Sev, thread: Option<&Thread>, now: Time) {
    // Each keeps the thread in which it was first announced; that message is what its edits bring up to date.
    if incident.thread.is_none() {
        incident.thread = thread.cloned();
        incident.course.shown_gist = gist(incident);
    }
    if incident.told_at.is_none() && !incident.course.is_raised && !incident.course.is_excused {
        incident.course.baseline = Some((incident.numbers, incident.severity));
    }
    incident.told_at = Some(now);
    incident.is_queued = false;
    incident.course.end_told_at = None;
    incident.course.decided = Some(incident.severity);
    heard(incident, severity);
}

fn heard(incident: &mut Incident, severity: Sev) {
    incident.told_severity = Some(severity);
    incident.course.told_numbers = Some(incident.numbers);
    incident.course.told_gist = gist(incident);
}

fn by_thread<'a>(incidents: impl Iterator<Item = &'a Incident>) -> ByThread<'a> {
    let mut groups = ByThread::new();
    for incident in incidents {
        groups.entry(incident.thread.clone()).or_default().push(incident);
    }
    groups
}
