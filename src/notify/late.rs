//! What could not be sent in time: when that is, what such a message says of itself, and the summary of several.

use std::collections::BTreeMap;
use std::time::Duration;

use super::outbox::Known;
use crate::domain::message::{Entry, Form, Message, NotifierName};
use crate::domain::outbox::Outgoing;
use crate::domain::time::{Time, since};

/// What is older is told in a summary, open or not.
const TOO_OLD: Duration = Duration::from_secs(60 * 60);

/// Titles that a summary repeats; its incidents are all there, as many as the notifier can show.
const TITLES: usize = 10;

/// Is it too late to send it as it is? `is_behind`: an earlier message about one of its incidents is too late too.
pub(super) fn is_late(entry: &Outgoing, is_behind: bool, known: &Known, now: Time) -> bool {
    let message = &entry.message;
    if since(now, message.at) > TOO_OLD {
        return true;
    }
    // The first attempt is at what the cycle has just decided.
    let was_held_up = is_behind || entry.attempts > 0;
    let is_over = || {
        let mut incidents = entry.incidents();
        !message.entries.is_empty() && !incidents.any(|incident| known.is_open(incident))
    };
    was_held_up
        && match &message.form {
            // The end of what was told is still told where that stands; the end of what never was goes with it. An
            // Alertmanager has no threads and may be told an end at any time.
            Form::Ended(_) => is_behind && entry.notifier == NotifierName::Slack,
            Form::Summary => false,
            Form::Alert | Form::Update(_) | Form::Edit(_) => is_over(),
        }
}

/// The message, saying which of its incidents are over by now.
pub(super) fn as_of_now(message: &Message, known: &Known) -> Message {
    let mut message = message.clone();
    if matches!(message.form, Form::Alert | Form::Update(_)) {
        for entry in message.entries.iter_mut().filter(|entry| !known.is_open(&entry.incident)) {
            entry.findings.insert(0, "Over by now.".to_owned());
            entry.recommendations.clear();
        }
    }
    message
}

/// What could not be told in time, in one message.
pub(super) fn summary(late: &[&Message], known: &Known, now: Time) -> Option<Message> {
    let newest = late.iter().max_by_key(|message| message.at)?;
    let severity = late.iter().map(|message| message.severity).max()?;
    // One entry an incident, the latest word on it.
    let mut entries: BTreeMap<&str, &Entry> = BTreeMap::new();
    let mut by_time = late.to_vec();
    by_time.sort_by_key(|message| message.at);
    for entry in by_time.iter().flat_map(|message| &message.entries) {
        entries.insert(&entry.incident, entry);
    }
    let entries = entries.into_values().map(|entry| {
        let state = if known.is_open(&entry.incident) { "Still open." } else { "Over by now." };
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
        title: format!("{severity}: {count} message{plural} that could not be sent in time"),
        root_cause: titles.join("; "),
        impact: "Sent late: what they say is over by now, or more than an hour old".to_owned(),
        actions: vec!["See what is still open: mape-k status".to_owned()],
        confidence: 100,
        is_partial: false,
        entries: entries.collect(),
    })
}
