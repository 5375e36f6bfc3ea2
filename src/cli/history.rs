//! `mape-k history`: what a running daemon did and what people decided: when, what, why, by whom, and did it help.

use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Output;
use super::client::{Client, ClientError};
use super::terminal::Terminal;
use crate::domain::execution::{Execution, ExecutionStatus};
use crate::domain::legible::name;
use crate::domain::outcome::Outcome;
use crate::domain::pause::PauseRecord;
use crate::domain::policy::{Approval, Policy};
use crate::domain::time::{Time, since, text};
use crate::explain::{actions, count, span};

/// Pages of 500 records of a kind that are read: a loop that acts six times an hour fills them in two weeks.
const MAX_PAGES: usize = 4;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    at: Time,
    /// When it ended or its result was known; null: it goes on.
    ended_at: Option<Time>,
    kind: Kind,
    /// What was done or decided.
    what: String,
    target: Option<String>,
    why: String,
    by: Option<String>,
    /// Did it help? Null where that is no question.
    result: Option<String>,
    /// The execution's or the policy's, for `mape-k explain`.
    id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Action,
    Decision,
    Pause,
    Resume,
}

#[derive(Debug, Serialize)]
struct History {
    since: Time,
    /// More happened than could be read: what is missing is the oldest.
    cut: bool,
    /// Oldest first.
    entries: Vec<Entry>,
}

/// Prints what happened in the last `lasting`, the newest last.
pub async fn run(
    client: &Client,
    lasting: Duration,
    target: Option<&str>,
    format: Output,
    out: &mut impl Write,
) -> Result<(), ClientError> {
    let status: Value = client.get("api/v1/status").await?;
    // By the daemon's clock, which may not be ours.
    let now = Time::deserialize(&status["at"]).map_err(|error| {
        let cause = format!("/api/v1/status has no time in `at` ({error})");
        ClientError::Nonsense { url: client.base(), cause }
    })?;
    let since = now.checked_sub_signed(chrono::TimeDelta::from_std(lasting).unwrap_or_default());
    let since = since.unwrap_or(Time::UNIX_EPOCH);
    let (outcomes, more_outcomes) =
        client.list::<Outcome>("outcomes?", MAX_PAGES, |o| o.judged_at >= since).await?;
    let is_recent = |e: &Execution| ended(e, &outcomes).is_none_or(|end| end >= since);
    let (executions, more_executions) =
        client.list::<Execution>("executions?", MAX_PAGES, is_recent).await?;
    let (policies, more_policies) =
        client.list::<Policy>("policies?", MAX_PAGES, |p| p.updated_at >= since).await?;
    let (pauses, more_pauses) =
        client.list::<PauseRecord>("pauses?", MAX_PAGES, |pause| pause.end() >= since).await?;
    let mut entries: Vec<Entry> = executions
        .iter()
        .map(|execution| action(execution, &outcomes))
        .chain(policies.iter().filter_map(decision))
        .chain(pauses.iter().map(paused))
        .chain(pauses.iter().filter_map(|pause| resumed(pause, &pauses)))
        .filter(|entry| entry.ended_at.is_none_or(|end| end >= since))
        .filter(|entry| target.is_none_or(|target| concerns(entry, target)))
        .collect();
    entries.sort_by_key(|entry| entry.at);
    let cut = more_executions || more_policies || more_outcomes || more_pauses;
    let history = History { since, cut, entries };
    let mut out = Terminal::new(out);
    match format {
        Output::Json => out.pretty_json(&history)?,
        Output::Text => print(&history, lasting, &mut out)?,
    }
    Ok(())
}

fn action(execution: &Execution, outcomes: &[Outcome]) -> Entry {
    let done: Vec<_> = execution.actions.iter().map(|record| record.action.clone()).collect();
    let mut targets: Vec<String> = done.iter().map(|action| action.target().to_string()).collect();
    targets.dedup();
    Entry {
        at: execution.started_at,
        ended_at: ended(execution, outcomes),
        kind: Kind::Action,
        what: actions(&done),
        target: Some(targets.join(", ")),
        why: format!("{} on {}", execution.cause, name(&execution.component)),
        by: execution.approved_by.clone(),
        result: Some(result(execution, outcomes)),
        id: Some(execution.id.to_string()),
    }
}

/// When its result was known, else when it was carried out; `None`: it is being carried out.
fn ended(execution: &Execution, outcomes: &[Outcome]) -> Option<Time> {
    let own = outcomes.iter().filter(|outcome| outcome.execution_id == execution.id);
    let is_open =
        matches!(execution.status, ExecutionStatus::Pending | ExecutionStatus::InProgress);
    let carried_out = execution.ended_at.unwrap_or(execution.started_at);
    own.map(|outcome| outcome.judged_at).max().or((!is_open).then_some(carried_out))
}

fn result(execution: &Execution, outcomes: &[Outcome]) -> String {
    // One an action.
    let outcomes: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.execution_id == execution.id)
        .map(|outcome| format!("{}: {}", outcome.outcome_type.as_str(), outcome.reason))
        .collect();
    let error = execution.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    if !outcomes.is_empty() {
        return outcomes.join("; ");
    }
    match execution.status {
        ExecutionStatus::Pending | ExecutionStatus::InProgress => "being executed".to_owned(),
        ExecutionStatus::Completed => "applied; its result is not known yet".to_owned(),
        ExecutionStatus::Failed => format!("failed{error}"),
        ExecutionStatus::RolledBack => format!("undone{error}"),
    }
}

/// What a person decided, or did not decide, on a proposal. An executed one is shown as its action.
fn decision(policy: &Policy) -> Option<Entry> {
    let what = match policy.approval {
        Approval::Approved => "approved",
        Approval::Rejected => "rejected",
        Approval::Expired => "expired",
        Approval::Pending | Approval::Executed | Approval::Superseded => return None,
    };
    let cause = format!("{} on {}", policy.cause, name(&policy.component));
    let expiry = (policy.approval == Approval::Expired).then(|| policy.expiry());
    // One that was approved expired later, and not by whoever approved it.
    let decided_at = policy.decided_at.filter(|_| expiry.is_none());
    let by = policy.decided_by.clone().filter(|_| expiry.is_none());
    let at = decided_at.unwrap_or(policy.updated_at);
    let reason = expiry.or_else(|| policy.decision_reason.clone());
    Some(Entry {
        at,
        ended_at: Some(at),
        kind: Kind::Decision,
        what: format!("{what}: {}", actions(&policy.actions)),
        target: policy.actions.first().map(|action| action.target().to_string()),
        why: reason.map_or(cause.clone(), |reason| format!("{reason} ({cause})")),
        by,
        result: None,
        id: Some(policy.id.to_string()),
    })
}

fn paused(record: &PauseRecord) -> Entry {
    let pause = &record.pause;
    let lasts = span(since(pause.until, pause.since));
    Entry {
        at: pause.since,
        ended_at: Some(record.end()),
        kind: Kind::Pause,
        what: format!("paused for {lasts}, until {}", text(pause.until)),
        target: None,
        why: pause.reason.clone(),
        by: Some(pause.by.clone()),
        result: None,
        id: None,
    }
}

/// A pause whose place another one took goes on in that.
fn resumed(record: &PauseRecord, all: &[PauseRecord]) -> Option<Entry> {
    let at = record.ended_at?;
    let is_replaced = all.iter().any(|other| other.pause.since == at);
    let paused_by = name(&record.pause.by);
    (!is_replaced).then(|| Entry {
        at,
        ended_at: record.ended_at,
        kind: Kind::Resume,
        what: "resumed".to_owned(),
        target: None,
        why: format!("it ended the pause by {paused_by}: {}", record.pause.reason),
        by: record.ended_by.clone(),
        result: None,
        id: None,
    })
}

/// A target's text form or a part of it, or the component. A pause concerns every target.
fn concerns(entry: &Entry, target: &str) -> bool {
    matches!(entry.kind, Kind::Pause | Kind::Resume)
        || entry.target.as_ref().is_some_and(|own| own.contains(target))
        || entry.why.contains(&format!(" on {}", name(target)))
}

fn print(
    history: &History,
    lasting: Duration,
    out: &mut Terminal<impl Write>,
) -> std::io::Result<()> {
    if history.cut {
        writeln!(
            out,
            "More happened: the oldest entries are left out. Ask for a shorter time with --since, or page through GET /api/v1/executions"
        )?;
    }
    if history.entries.is_empty() {
        return writeln!(
            out,
            "nothing was done, decided or paused in the last {} (since {})",
            span(lasting),
            text(history.since)
        );
    }
    for entry in &history.entries {
        let by = entry.by.as_deref().map(|by| format!(" by {}", name(by))).unwrap_or_default();
        let target = entry.target.as_deref().map(|on| format!(" [{on}]")).unwrap_or_default();
        writeln!(out, "{}  {}{target}{by}", text(entry.at), entry.what)?;
        writeln!(out, "  why: {}", entry.why)?;
        if let Some(result) = &entry.result {
            writeln!(out, "  result: {result}")?;
        }
        if let (Some(id), kind) = (&entry.id, entry.kind) {
            let about = if kind == Kind::Action { "action" } else { "policy" };
            writeln!(out, "  mape-k explain {about} {id}")?;
        }
    }
    writeln!(out, "{} since {}", count(history.entries.len(), "event"), text(history.since))
}
