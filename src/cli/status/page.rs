//! The page that `mape-k status` prints: what is wrong first, then what is done about it and who is asked.

use std::io::{self, Write};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::client::Client;
use super::super::decide;
use super::super::terminal::Terminal;
use super::super::words::{ahead, lasting, said};
use super::{Listed, Seen};
use crate::domain::expiring_action::InForce;
use crate::domain::legible::name;
use crate::domain::loop_status::LoopStatus;
use crate::domain::need::Need;
use crate::domain::outcome::ActionStatistics;
use crate::domain::pause::Pause;
use crate::domain::reading::Source;
use crate::domain::speed;
use crate::domain::time::Time;
use crate::domain::time::text;
use crate::domain::under_way::{Stage, UnderWay};
use crate::domain::violation::Violation;
use crate::explain::{actions, answers, short, times};

type Printed = io::Result<()>;

pub(super) fn print(client: &Client, seen: &Seen, out: &mut Terminal<impl Write>) -> Printed {
    // By the daemon's clock, which may not be ours.
    let now: Time = part(&seen.status["at"]).unwrap_or_default();
    print_health(client, &seen.health, out)?;
    print_state(client, seen, out)?;
    print_notifiers(&seen.status, out)?;
    print_violations(client, seen, now, out)?;
    print_under_way(client, seen, now, out)?;
    print_needs(client, seen, now, out)?;
    print_pending(client, seen, out)?;
    print_incidents(seen, now, out)?;
    print_learned(seen, out)
}

fn part<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

fn print_health(client: &Client, health: &Value, out: &mut Terminal<impl Write>) -> Printed {
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

fn print_state(client: &Client, seen: &Seen, out: &mut Terminal<impl Write>) -> Printed {
    let Seen { state, status, .. } = seen;
    if let Some(speed) = status["rehearsal_speed"].as_f64() {
        writeln!(out, "{}: every duration is divided by {speed}", speed::rehearsal(speed))?;
    }
    let running = if state["running"] == true { "running" } else { "not running" };
    let last: Option<Time> = part(&state["last_update"]);
    match last {
        Some(at) => writeln!(
            out,
            "loop {running}: cycle {} {} at {}; {} failed in a row",
            said(&state["iteration"]),
            said(&state["last_status"]),
            text(at),
            said(&status["failed_cycles"])
        )?,
        None => writeln!(out, "loop {running}: {}", without_cycle(state))?,
    }
    if let Some(error) = status["last_error"].as_str() {
        writeln!(out, "  last error: {error}")?;
    }
    if let Some(pause) = part::<Pause>(&state["paused"]) {
        writeln!(out, "{pause}; `{}` ends it", client.command("resume"))?;
    }
    match (part::<LoopStatus>(&state["standing"]), last) {
        (Some(standing), Some(last)) => writeln!(out, "{}", standing.said(last))?,
        (_, None) => {}
        (None, Some(_)) => writeln!(out, "mode and guards: UNKNOWN, the last cycle broke off")?,
    }
    for temporary in part::<Vec<InForce>>(&state["in_force"]).unwrap_or_default() {
        let explain = client.command(&format!("explain action {}", temporary.execution_id));
        writeln!(out, "in force: {temporary}; `{explain}`")?;
    }
    Ok(())
}

/// Why nothing is known that only a cycle knows.
fn without_cycle(state: &Value) -> String {
    match state["leader"]["holder"].as_str().filter(|_| state["leading"] == false) {
        Some(holder) => format!("this replica follows; ask the one that leads, {holder}"),
        None if state["leading"] == false => {
            "this replica follows, and no leader is known".to_owned()
        }
        None => "no cycle has ended yet".to_owned(),
    }
}

fn print_notifiers(status: &Value, out: &mut Terminal<impl Write>) -> Printed {
    let notifiers = part::<Vec<String>>(&status["notifiers"]).unwrap_or_default();
    if notifiers.is_empty() {
        return writeln!(
            out,
            "nobody is notified: no notifier is configured (slack.enabled, notify.alertmanager.enabled)"
        );
    }
    writeln!(
        out,
        "notifiers: {}; since start {} cycles with confirmed messages, {} with failed ones",
        notifiers.join(", "),
        said(&status["notifications_sent"]),
        said(&status["notifications_failed"])
    )?;
    if let Some(error) = status["last_notification"]["error"].as_str() {
        writeln!(out, "  the last message was not confirmed: {error}")?;
    }
    Ok(())
}

/// What keeps anybody from knowing what is wrong.
fn unread(health: &Value, state: &Value) -> Option<String> {
    if state["last_update"].is_null() {
        return Some(without_cycle(state));
    }
    let is_bad = |name: &&str| health["components"][*name]["status"] == "degraded";
    let sources = Source::ALL.map(Source::as_str);
    let mut unread: Vec<&str> = sources.iter().copied().filter(is_bad).collect();
    if unread.is_empty() {
        // The source answers, and lacks what a rule asks for.
        unread.extend(Some("rules").filter(is_bad));
    }
    (!unread.is_empty()).then(|| format!("{} could not be read completely", unread.join(", ")))
}

fn print_violations(
    client: &Client,
    seen: &Seen,
    now: Time,
    out: &mut Terminal<impl Write>,
) -> Printed {
    let by = &seen.statistics["violations"]["by_severity"];
    // What nobody could read is not among the numbers.
    let unread = unread(&seen.health, &seen.state);
    let active = unread.map_or_else(String::new, |why| format!("UNKNOWN, {why}; last known "));
    let findings = seen.statistics["violations"]["by_source"][Source::Kubernetes.as_str()].as_u64();
    let findings = findings.filter(|n| *n > 0);
    let findings =
        findings.map_or_else(String::new, |n| format!("; {n} of them findings of the cluster"));
    writeln!(
        out,
        "violations active: {active}{} ({} critical, {} warning, {} info{findings})",
        said(&seen.state["violations"]),
        said(&by["critical"]),
        said(&by["warning"]),
        said(&by["info"])
    )?;
    let mut active: Vec<&Violation> =
        seen.violations.items.iter().filter(|v| v.cleared_at.is_none()).collect();
    active.sort_by_key(|v| (std::cmp::Reverse(v.severity), v.active_since));
    for violation in active {
        let explain =
            client.command(&format!("explain violation {}", short(&violation.fingerprint)));
        writeln!(
            out,
            "  {:8}  {}{}; since {}{}; `{explain}`",
            violation.severity.as_str(),
            violation.description,
            limit(violation),
            lasting(violation.active_since, now),
            if violation.confirmed { "" } else { ", UNKNOWN in the last cycle" }
        )?;
    }
    if seen.violations.next.is_some() {
        writeln!(out, "  and more: GET /api/v1/violations")?;
    }
    Ok(())
}

/// Value against threshold, where its description does not say it already.
fn limit(violation: &Violation) -> String {
    match (violation.value, violation.threshold) {
        (Some(value), Some(threshold)) if !violation.description.contains("breaks at") => {
            let comparison = violation.comparison.map(|c| format!("{} ", c.symbol()));
            format!(": {value}, breaks at {}{threshold}", comparison.unwrap_or_default())
        }
        _ => String::new(),
    }
}

fn print_under_way(
    client: &Client,
    seen: &Seen,
    now: Time,
    out: &mut Terminal<impl Write>,
) -> Printed {
    let under_way = part::<Vec<UnderWay>>(&seen.status["under_way"]).unwrap_or_default();
    writeln!(out, "actions under way: {}", under_way.len())?;
    for one in &under_way {
        let by = one.approved_by.as_deref().map(|by| format!(", approved by {}", name(by)));
        writeln!(
            out,
            "  {} for {} on {}{}: {}; `{}`",
            actions(&one.actions),
            one.cause,
            name(&one.component),
            by.unwrap_or_default(),
            waits_for(one, now),
            client.command(&format!("explain action {}", one.execution_id))
        )?;
    }
    Ok(())
}

fn waits_for(one: &UnderWay, now: Time) -> String {
    let at = |at: Option<Time>| at.map_or_else(|| "not known".to_owned(), |at| ahead(at, now));
    match one.stage {
        Stage::Executing => format!("being executed since {}", lasting(one.since, now)),
        Stage::Settling => format!(
            "applied at {}, settling until {}, then verified until {}",
            text(one.since),
            at(one.settles_at),
            at(one.verified_by)
        ),
        Stage::Verifying => format!(
            "applied at {}, being verified; its result is known at the latest at {}",
            text(one.since),
            at(one.verified_by)
        ),
    }
}

fn print_needs(client: &Client, seen: &Seen, now: Time, out: &mut Terminal<impl Write>) -> Printed {
    writeln!(out, "open needs: {}", seen.needs().count())?;
    for need in seen.needs() {
        let component = need.component.as_ref().map(|on| format!(" on {}", name(on)));
        writeln!(
            out,
            "  {} {}{}: {} (since {}, seen {})",
            need.reason.as_str(),
            name(&need.subject),
            component.unwrap_or_default(),
            need.detail,
            lasting(need.opened_at, now),
            times(need.times_seen)
        )?;
        let commands = answers(need).iter().map(|one| client.command(one)).collect::<Vec<_>>();
        writeln!(out, "    {}", commands.join("    "))?;
    }
    Ok(())
}

fn print_pending(client: &Client, seen: &Seen, out: &mut Terminal<impl Write>) -> Printed {
    writeln!(out, "policies waiting for approval: {}", seen.pending.count())?;
    for policy in &seen.pending.items {
        writeln!(out, "  {}", decide::line(policy))?;
        let asks = |need: &Need| need.approval.as_ref().is_some_and(|own| own.policy == policy.id);
        if !seen.needs().any(asks) {
            let hash = policy.short_hash();
            let approve = client.command(&format!("approve {hash}"));
            let reject = client.command(&format!("reject {hash} --reason TEXT"));
            writeln!(out, "    {approve}    {reject}")?;
        }
    }
    Ok(())
}

fn print_incidents(seen: &Seen, now: Time, out: &mut Terminal<impl Write>) -> Printed {
    writeln!(out, "open incidents: {}", seen.incidents.count())?;
    for Listed { incident, notification, .. } in &seen.incidents.items {
        let doing = Some(&incident.doing).filter(|doing| !doing.is_empty());
        writeln!(
            out,
            "  {} {} {} ({}{}) since {}; {notification}",
            incident.id,
            incident.severity,
            incident.title(),
            incident.status.as_str(),
            doing.map_or_else(String::new, |doing| format!("; {doing}")),
            lasting(incident.since, now)
        )?;
        for finding in &incident.findings {
            writeln!(out, "    {}: {}", finding.kind.as_str(), finding.reason)?;
        }
    }
    Ok(())
}

fn print_learned(seen: &Seen, out: &mut Terminal<impl Write>) -> Printed {
    let good = part::<Time>(&seen.status["last_successful_cycle"]);
    writeln!(
        out,
        "since start: {} cycles, last healthy or completed one: {}; {} proposals, {} executed",
        said(&seen.status["cycle_count"]),
        good.map_or_else(|| "none yet".to_owned(), text),
        said(&seen.state["policies_generated"]),
        said(&seen.state["policies_executed"])
    )?;
    let learned: Vec<ActionStatistics> = part(&seen.statistics["knowledge"]).unwrap_or_default();
    for learnt in learned {
        writeln!(
            out,
            "  {} for {}: {} of {} runs helped, confidence {:.2}",
            learnt.action,
            name(&learnt.cause.0),
            learnt.successes,
            learnt.runs,
            learnt.confidence
        )?;
    }
    Ok(())
}
