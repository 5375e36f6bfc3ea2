//! A message as Slack shows it: the header, what and what to do, an entry for each incident, the context; as blocks, or
//! as one text where Slack has refused the blocks. Pure.
//!
//! Everything that comes from outside is escaped and cut; together it stays below what Slack takes.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::text::{Lines, escaped, length, link, plain, pointer};
use crate::domain::decision::Sev;
use crate::domain::legible;
use crate::domain::message::{Entry, Form, Message};
use crate::domain::time::{self, since};

/// Slack's own: blocks of a message, and characters of a header.
const MAX_BLOCKS: usize = 50;
const MAX_HEADER: usize = 150;

/// All blocks together. Slack documents 3,000 for a section and nothing for the whole, and refuses messages from about
/// 11,000 on (msg_blocks_too_long).
const MAX_TEXT: usize = 9_000;

/// Of that: where it belongs, what and impact, what to do, and the last line.
const MAX_FACTS: usize = 1_900;
const MAX_ACTIONS: usize = 1_500;
const MAX_CONTEXT: usize = 300;

/// An entry at the least and at the most, below Slack's 3,000 for a section.
const ENTRY: std::ops::RangeInclusive<usize> = 400..=2_500;

/// One line of a list.
const MAX_LINE: usize = 300;

/// A message as one text: what Slack recommends at the most. It cuts from 40,000 on without a word.
const MAX_PLAIN: usize = 3_900;

/// How a message is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look<'a> {
    pub is_test: bool,
    /// An answer to a message that says the rest.
    pub in_thread: bool,
    /// Why it is not where people would look for it.
    pub note: Option<&'a str>,
}

/// The parts of a message, in the order in which they are shown.
struct Parts {
    title: String,
    sections: Vec<String>,
    context: String,
}

fn parts(message: &Message, look: Look<'_>) -> Parts {
    let title = title(message, look.is_test);
    let is_short = match message.form {
        Form::Ended(_) | Form::Summary => true,
        // What is not where the rest was said says all of it.
        Form::Update(_) => look.note.is_none(),
        Form::Alert | Form::Edit(_) => false,
    };
    let facts = facts(message, is_short, look.note);
    let actions = if is_short { String::new() } else { actions(message) };
    let context = context(message);
    let left = MAX_TEXT - MAX_HEADER - length(&facts) - length(&actions) - length(&context);
    let mut sections: Vec<String> =
        [facts, actions].into_iter().filter(|text| !text.is_empty()).collect();
    // One each for the header, the pointer and the context.
    entries(message, is_short, left, MAX_BLOCKS - sections.len() - 3, &mut sections);
    Parts { title, sections, context }
}

/// A message as one text, for what Slack takes no blocks of. Lines that do not fit are counted.
pub(super) fn text(message: &Message, look: Look<'_>) -> Value {
    let Parts { title, sections, context } = parts(message, look);
    let mut lines = Lines::of(MAX_PLAIN);
    lines.push(&format!("*{}*", escaped(&title, 300)));
    // What tells where it comes from is short, and people search for it.
    lines.push(&context);
    for line in sections.iter().flat_map(|section| section.lines()) {
        lines.push(line);
    }
    json!({
        "text": lines.finish(),
        // Nothing of it becomes a mention or a link that we did not write.
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// `text`, `blocks`, `attachments` of a message.
pub(super) fn layout(message: &Message, look: Look<'_>) -> Value {
    let in_thread = look.in_thread;
    let Parts { title, sections, context } = parts(message, look);
    let mut body: Vec<Value> = sections.iter().map(|text| section(text)).collect();
    body.push(json!({ "type": "context", "elements": [markup(&context)] }));
    let mut fallback = escaped(&title, 300);
    if !message.root_cause.is_empty() {
        let _ = write!(fallback, ": {}", escaped(&message.root_cause, 700));
    }
    let mut layout = json!({
        "text": if in_thread { escaped(&title, 300) } else { fallback.clone() },
        "attachments": [{ "color": colour(message), "fallback": fallback, "blocks": body }],
        "unfurl_links": false,
        "unfurl_media": false,
    });
    // Without blocks of its own a message shows its text: enough for an answer in a thread.
    if !in_thread {
        let header =
            json!({ "type": "plain_text", "text": plain(&title, MAX_HEADER), "emoji": false });
        layout["blocks"] = json!([{ "type": "header", "text": header }]);
    }
    layout
}

fn title(message: &Message, is_test: bool) -> String {
    let test = if is_test { "[TEST] " } else { "" };
    let severity = message.severity.as_str();
    if message.title.contains(severity) {
        format!("{test}{}", message.title)
    } else {
        format!("{test}{severity}: {}", message.title)
    }
}

fn colour(message: &Message) -> &'static str {
    if matches!(message.form, Form::Ended(_)) {
        return "#2eb67d";
    }
    match message.severity {
        Sev::Sev1 => "#e01e5a",
        Sev::Sev2 => "#e8912d",
        Sev::Sev3 => "#ecb22e",
        Sev::Sev4 => "#808080",
    }
}

fn facts(message: &Message, is_short: bool, note: Option<&str>) -> String {
    let mut lines = Lines::of(MAX_FACTS);
    if let Some(note) = note {
        lines.push(&format!("*Note:* {}", escaped(note, 400)));
    }
    if !is_short {
        lines.push(&format!("*Severity:* {}", message.severity));
    }
    if !message.root_cause.is_empty() {
        lines.push(&format!("*What:* {}", escaped(&message.root_cause, 700)));
    }
    if !message.impact.is_empty() {
        lines.push(&format!("*Impact:* {}", escaped(&message.impact, 600)));
    }
    lines.finish()
}

fn actions(message: &Message) -> String {
    let mut lines = Lines::of(MAX_ACTIONS);
    if !message.actions.is_empty() {
        lines.push("*What to do:*");
    }
    for (number, action) in (1..).zip(&message.actions) {
        lines.push(&format!("{number}. {}", escaped(action, MAX_LINE)));
    }
    lines.finish()
}

fn entries(
    message: &Message,
    is_short: bool,
    room: usize,
    blocks: usize,
    sections: &mut Vec<String>,
) {
    let mut entries: Vec<&Entry> = message.entries.iter().collect();
    // The worst are shown when not all are.
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.severity));
    let share = room / entries.len().max(1);
    let max = share.clamp(*ENTRY.start(), *ENTRY.end());
    let mut left = room;
    let mut shown = 0;
    for entry in entries.iter().take(blocks) {
        let text = incident(entry, is_short, max);
        let size = length(&text);
        // The pointer's line is kept free.
        if size + 40 > left {
            break;
        }
        left -= size;
        shown += 1;
        sections.push(text);
    }
    if shown < entries.len() {
        sections.push(pointer(entries.len() - shown));
    }
}

fn incident(entry: &Entry, is_short: bool, max: usize) -> String {
    let (service, class) = (escaped(&legible::name(&entry.service), 100), entry.class.as_str());
    let namespace = entry.namespace.as_ref();
    let namespace = namespace.map(|name| format!(" in {}", escaped(name, 70))).unwrap_or_default();
    let (id, severity) = (escaped(&entry.incident, 50), entry.severity);
    let ended = entry.ended_at.map(|end| {
        let minutes = since(end, entry.since).as_secs() / 60;
        format!(", ended {} after {minutes} min", time::text(end))
    });
    let (begun, ended) = (time::text(entry.since), ended.unwrap_or_default());
    let mut text =
        format!("*{id}* · *{service}*{namespace} · {class} · {severity}\nSince {begun}{ended}");
    let left = max.saturating_sub(length(&text));
    // What to do must not be crowded out by what is wrong.
    let mut advice = Lines::of(left * 2 / 3);
    if !is_short {
        for recommendation in &entry.recommendations {
            advice.push(&format!("*Do:* {}", escaped(recommendation, MAX_LINE)));
        }
        if let Some(deployment) = &entry.deployment {
            advice.push(&format!("*Deployment:* {}", escaped(deployment, 600)));
        }
    }
    if let Some(url) = &entry.runbook_url {
        advice.push(&format!("*Runbook:* {}", link(url, "what it means, what to do")));
    }
    let advice = advice.finish();
    let mut findings = Lines::of(left.saturating_sub(length(&advice)));
    for line in entry.lines() {
        findings.push(&format!("• {}", escaped(line, MAX_LINE)));
    }
    for part in [findings.finish(), advice] {
        if !part.is_empty() {
            text.push('\n');
            text += &part;
        }
    }
    text
}

fn context(message: &Message) -> String {
    let partial = if message.is_partial { " · the reading was not whole" } else { "" };
    escaped(
        &format!(
            "cycle {} · confidence {} % · {}{partial}",
            message.cycle_id,
            message.confidence,
            time::text(message.at)
        ),
        MAX_CONTEXT,
    )
}

/// A section block. Slack refuses one of an empty text.
fn section(text: &str) -> Value {
    json!({ "type": "section", "text": markup(text) })
}

/// Verbatim: Slack makes no mentions or links of its own out of plain words.
fn markup(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}
