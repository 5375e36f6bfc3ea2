//! `mape-k status`: what a running daemon sees, did, and waits for people to do.

use std::io::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Output;
use super::client::{Client, ClientError};
use super::decide::shown;
use super::terminal::Terminal;
use crate::domain::incident::Incident;
use crate::domain::legible::name;
use crate::domain::need::Need;
use crate::domain::pause::Pause;
use crate::domain::policy::Policy;
use crate::domain::reading::Source;
use crate::domain::speed;
use crate::domain::standing::Standing;
use crate::domain::temporary::InForce;
use crate::domain::time::{self, Time};

/// Asks the daemon and prints its answers.
pub async fn run(client: &Client, format: Output, out: &mut impl Write) -> Result<(), ClientError> {
    let out = &mut Terminal::new(out);
    let (_, health) = client.health().await?;
    let state: Value = client.get("api/v1/state").await?;
    let status: Value = client.get("api/v1/status").await?;
    let statistics: Value = client.get("api/v1/statistics").await?;
    let incidents: Page<Listed> = client.get("api/v1/incidents?open=true&limit=500").await?;
    let pending: Page<Policy> = client.get("api/v1/policies?approval=pending&limit=500").await?;
    match format {
        Output::Json => {
            let all = json!({
                "health": health,
                "status": status,
                "state": state,
                "statistics": statistics,
                "incidents": incidents.items,
                "pending_policies": pending.items,
            });
            out.json(&all)?;
        }
        Output::Text => {
            print_health(client, &health, out)?;
            print_state(&state, &statistics, unread(&health, &state), out)?;
            print_status(&status, out)?;
            print_incidents(&incidents, out)?;
            print_pending(&pending, out)?;
        }
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> Page<T> {
    /// How many there are, as far as one page tells.
    fn count(&self) -> String {
        format!("{}{}", self.items.len(), if self.next.is_some() { "+" } else { "" })
    }
}

/// An incident as the API lists it.
#[derive(Debug, Deserialize, Serialize)]
struct Listed {
    #[serde(flatten)]
    incident: Incident,
    needs: Vec<Need>,
    notification: String,
}

/// A JSON value in a sentence: texts without quotation marks, nothing as a dash.
fn said(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn print_health(
    client: &Client,
    health: &Value,
    out: &mut Terminal<impl Write>,
) -> std::io::Result<()> {
    let up = health["uptime_seconds"].as_f64().unwrap_or_default();
    let (hours, minutes) = ((up / 3600.0).floor(), (up % 3600.0 / 60.0).floor());
    let (version, status) = (said(&health["version"]), said(&health["status"]));
    writeln!(out, "mape-k {version} at {}: {status}, up {hours} h {minutes} min", client.base())?;
    for (name, component) in health["components"].as_object().into_iter().flatten() {
        match component["detail"].as_str() {
            Some(detail) => writeln!(out, "  {name}: {} ({detail})", said(&component["status"]))?,
            None => writeln!(out, "  {name}: {}", said(&component["status"]))?,
        }
    }
    Ok(())
}

/// What keeps anybody from knowing what is wrong.
fn unread(health: &Value, state: &Value) -> Option<String> {
    if state["last_update"].is_null() {
        return Some("no cycle has ended yet".to_owned());
    }
    let is_bad = |name: &&str| health["components"][*name]["status"] == "degraded";
    let sources = Source::ALL.map(Source::as_str);
    let mut unread: Vec<&str> = sources.iter().copied().filter(is_bad).collect();
    if unread.is_empty() {
        // The source answers, and lacks what a rule asks for.
        unread.extend(Some("rules").filter(is_bad));
    }
    (!unread.is_empty()).then(|| format!("{} could not be read whole", unread.join(", ")))
}

fn print_state(
    state: &Value,
    statistics: &Value,
    unread: Option<String>,
    out: &mut Terminal<impl Write>,
) -> std::io::Result<()> {
    let running = if state["running"] == true { "running" } else { "not running" };
    writeln!(
        out,
        "loop {running}: cycle {} {} at {}",
        said(&state["iteration"]),
        said(&state["last_status"]),
        said(&state["last_update"])
    )?;
    if let Ok(pause) = serde_json::from_value::<Pause>(state["paused"].clone()) {
        writeln!(out, "{pause}; `mape-k resume` ends it")?;
    }
    let last: Option<Time> = serde_json::from_value(state["last_update"].clone()).ok();
    let standing: Option<Standing> = serde_json::from_value(state["standing"].clone()).ok();
    if let (Some(standing), Some(last)) = (standing, last) {
        writeln!(out, "{}", standing.said(last))?;
    }
    let in_force: Vec<InForce> =
        serde_json::from_value(state["in_force"].clone()).unwrap_or_default();
    for temporary in in_force {
        writeln!(out, "in force: {temporary}; `mape-k explain action {}`", temporary.execution_id)?;
    }
    let by = &statistics["violations"]["by_severity"];
    // What nobody could read is not among the numbers.
    let active = unread.map_or_else(String::new, |why| format!("not known, {why}; last known "));
    writeln!(
        out,
        "violations active: {active}{} ({} critical, {} warning, {} info)",
        said(&state["violations"]),
        said(&by["critical"]),
        said(&by["warning"]),
        said(&by["info"])
    )?;
    writeln!(
        out,
        "policies since start: {} generated, {} executed",
        said(&state["policies_generated"]),
        said(&state["policies_executed"])
    )?;
    for learnt in statistics["knowledge"].as_array().into_iter().flatten() {
        writeln!(
            out,
            "  {} for {}: {} of {} runs helped, confidence {:.2}",
            said(&learnt["action"]),
            name(&said(&learnt["cause"])),
            said(&learnt["successes"]),
            said(&learnt["runs"]),
            learnt["confidence"].as_f64().unwrap_or_default()
        )?;
    }
    Ok(())
}

fn print_status(status: &Value, out: &mut Terminal<impl Write>) -> std::io::Result<()> {
    if let Some(speed) = status["rehearsal_speed"].as_f64() {
        writeln!(out, "{}: every duration is divided by {speed}", speed::rehearsal(speed))?;
    }
    writeln!(
        out,
        "cycles: {} since start, {} failed in a row ({}), last good one at {}",
        said(&status["cycle_count"]),
        said(&status["failed_cycles"]),
        said(&status["health"]),
        said(&status["last_successful_cycle"])
    )?;
    writeln!(
        out,
        "people were told {} times since start, which failed {} times",
        said(&status["notifications_sent"]),
        said(&status["notifications_failed"])
    )?;
    if let Some(error) = status["last_notification"]["error"].as_str() {
        writeln!(out, "  the last time: {error}")?;
    }
    Ok(())
}

fn print_incidents(open: &Page<Listed>, out: &mut Terminal<impl Write>) -> std::io::Result<()> {
    writeln!(out, "open incidents: {}", open.count())?;
    for Listed { incident, needs, notification } in &open.items {
        writeln!(
            out,
            "  {} {} {} of {} since {}, {notification}",
            incident.id,
            incident.severity,
            incident.class.as_str(),
            name(&incident.service),
            time::text(incident.since)
        )?;
        for finding in &incident.findings {
            writeln!(out, "    {}: {}", finding.kind.as_str(), finding.reason)?;
        }
        print_needs(needs, out)?;
    }
    Ok(())
}

fn print_needs(needs: &[Need], out: &mut Terminal<impl Write>) -> std::io::Result<()> {
    for escalation in needs {
        writeln!(
            out,
            "    needs a person: {} {}{}: {} (since {}, seen {} times)",
            escalation.reason.as_str(),
            name(&escalation.subject),
            escalation
                .component
                .as_ref()
                .map(|component| format!(" on {}", name(component)))
                .unwrap_or_default(),
            escalation.detail,
            time::text(escalation.opened_at),
            escalation.times_seen
        )?;
    }
    Ok(())
}

fn print_pending(pending: &Page<Policy>, out: &mut Terminal<impl Write>) -> std::io::Result<()> {
    writeln!(out, "policies waiting for approval: {}", pending.count())?;
    for policy in &pending.items {
        let actions =
            policy.actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ");
        writeln!(
            out,
            "  {} revision {} hash {}: {actions}, for {} on {}, risk {}, score {:.2}",
            policy.id,
            policy.revision,
            shown(&policy.plan_hash),
            policy.cause,
            name(&policy.component),
            policy.highest_risk().as_str(),
            policy.score
        )?;
        writeln!(out, "    mape-k approve {0}    mape-k reject {0}", policy.id)?;
    }
    Ok(())
}
