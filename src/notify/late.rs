//! What could not be sent in time: when that is, what such a message says of itself, and the summary of several.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::outbox::Known;
use crate::domain::decision::Sev;
use crate::domain::message::{Entry, Form, Message, NotifierName};
use crate::domain::outbox::Outgoing;
use crate::domain::time::{self, Time, since};

/// What is older is sent in a summary, open or not; a SEV-1 alert is not.
const TOO_OLD: Duration = Duration::from_secs(60 * 60);

const RESOLVED: &str = "Resolved by now.";

/// Titles that a summary repeats; its incidents are all there, as many as the notifier can show.
const TITLES: usize = 10;

/// Is it too late to send it as it is? `is_behind`: an earlier message about one of its incidents is too late too.
pub(super) fn is_late(entry: &Outgoing, is_behind: bool, known: &Known, now: Time) -> bool {
    let message = &entry.message;
    // A SEV-1 is sent as what it is for as long as it lasts.
    let is_worst = message.form == Form::Alert && message.severity == Sev::Sev1;
    if !is_worst && since(now, message.at) > TOO_OLD {
        return true;
    }
    // The first attempt is at what the cycle has just decided.
    let was_held_up = is_behind || entry.attempts > 0;
    let is_over = || {
        let mut incidents = entry.incidents();
        !message.entries.is_empty() && incidents.all(|incident| known.is_resolved(incident))
    };
    was_held_up
        && match &message.form {
            // The end of what was announced is still sent to its thread; the end of what never was is late with it. An
            // Alertmanager has no threads and takes an end at any time.
            Form::Ended(_) => is_behind && entry.notifier == NotifierName::Slack,
            Form::Summary => false,
            Form::Alert | Form::Update(_) | Form::Edit(_) => is_over(),
        }
}

/// The message, saying how its incidents stand by now where that is not what it says.
pub(super) fn as_of_now(message: &Message, known: &Known, now: Time) -> Message {
    let mut message = message.clone();
    let is_about_open = matches!(message.form, Form::Alert | Form::Update(_));
    let is_edit = matches!(message.form, Form::Edit(_));
    let at = message.at;
    if matches!(message.form, Form::Ended(_)) {
        let back: BTreeSet<String> = back(&message, known).map(str::to_owned).collect();
        if !back.is_empty() {
            message = without(&message, &back.iter().map(String::as_str).collect());
        }
    }
    for entry in message.entries.iter_mut().filter(|_| !is_edit) {
        if is_about_open && since(now, at) > TOO_OLD {
            entry.news.insert(0, format!("Sent late: this is how it was at {}.", time::text(at)));
        }
        match known.incidents.get(&entry.incident) {
            Some(None) if is_about_open => {
                entry.news.insert(0, RESOLVED.to_owned());
                entry.recommendations.clear();
            }
            Some(Some(id)) if *id == entry.incident && !is_about_open => {
                entry.news.insert(0, "It came back: it is open again.".to_owned());
            }
            Some(Some(id)) if *id != entry.incident && is_about_open => {
                entry.news.insert(0, format!("It goes on as {id}."));
            }
            Some(_) | None => {}
        }
    }
    message
}

/// The incidents of a message that are open.
fn back<'a>(message: &'a Message, known: &'a Known) -> impl Iterator<Item = &'a str> {
    let incidents = message.entries.iter().map(|entry| entry.incident.as_str());
    incidents.filter(|one| known.incidents.get(*one).is_some_and(|on| on.as_deref() == Some(*one)))
}

/// The end of what is open again, all of it, is not sent.
pub(super) fn is_void(message: &Message, known: &Known) -> bool {
    matches!(message.form, Form::Ended(_))
        && !message.entries.is_empty()
        && back(message, known).count() == message.entries.len()
}

/// Adds to entries the news that an earlier message had of the same incidents.
pub(super) fn take_along(entries: &mut [Entry], earlier: &Message) {
    for entry in entries {
        let Some(before) = earlier.entries.iter().find(|one| one.incident == entry.incident) else {
            continue;
        };
        let mut news = before.news.clone();
        if matches!(earlier.form, Form::Ended(_)) {
            let ended = time::text(before.ended_at.unwrap_or(earlier.at));
            news.push(format!("It was resolved at {ended} and came back."));
        }
        prepend(entry, news);
    }
}

/// What is left of a message when a later one was delivered that is about these incidents. Its texts are about all of them:
/// those of the entries stay.
pub(super) fn without(message: &Message, told: &BTreeSet<&str>) -> Message {
    let mut rest = message.clone();
    rest.entries.retain(|entry| !told.contains(&*entry.incident));
    let worst = rest.entries.iter().map(|entry| entry.severity).max();
    rest.severity = worst.map_or(message.severity, |worst| worst.min(message.severity));
    rest.channel = rest.severity.channel();
    let what = message.title.split_once(": ").map_or("", |(what, _)| what);
    let what = what.replace(message.severity.as_str(), rest.severity.as_str());
    let mut services: Vec<&str> = rest.entries.iter().map(|entry| &*entry.service).collect();
    services.dedup();
    let more = services.len().saturating_sub(TITLES);
    services.truncate(TITLES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    rest.title = format!("{what}: {}{more}", services.join(", "));
    let impact = match rest.form {
        Form::Alert | Form::Update(_) => "The other incidents of this message are in a later one",
        Form::Ended(_) | Form::Edit(_) | Form::Summary => "",
    };
    Message { root_cause: String::new(), impact: impact.to_owned(), actions: Vec::new(), ..rest }
}

fn prepend(entry: &mut Entry, mut earlier: Vec<String>) {
    earlier.retain(|line| !entry.news.contains(line));
    entry.news.splice(0..0, earlier);
}

/// What could not be sent in time, in one message.
pub(super) fn summary(late: &[&Message], known: &Known, now: Time) -> Option<Message> {
    let newest = late.iter().max_by_key(|message| message.at)?;
    let severity = late.iter().map(|message| message.severity).max()?;
    // One entry an incident: the latest word on it, and the news of all.
    let mut latest: BTreeMap<String, Entry> = BTreeMap::new();
    let mut by_time = late.to_vec();
    by_time.sort_by_key(|message| message.at);
    for message in &by_time {
        for entry in &message.entries {
            let mut entry = entry.clone();
            if let Some(before) = latest.remove(&entry.incident) {
                prepend(&mut entry, before.news);
            }
            latest.insert(entry.incident.clone(), entry);
        }
    }
    let entries = latest.into_values().map(|mut entry| {
        let state = match known.incidents.get(&entry.incident) {
            Some(None) => RESOLVED.to_owned(),
            Some(Some(id)) if *id == entry.incident => "Still open.".to_owned(),
            Some(Some(id)) => format!("It goes on as {id}."),
            None => "mape-k does not know whether it is resolved.".to_owned(),
        };
        entry.news.insert(0, state);
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
        title: format!("{severity}: {count} message{plural} that could not be sent in time"),
        root_cause: titles.join("; "),
        impact: "Sent late: what they say is resolved by now, or more than an hour old".to_owned(),
        actions: vec!["See what is still open: mape-k status".to_owned()],
        confidence: 100,
        is_partial: false,
        entries: entries.collect(),
    })
}
