//! The page of one cycle.

use serde_json::json;

use super::unread::{Unread, sees_nothing, unread};
use super::violation::left_out;
use super::{Explanation, Kind, Page, verified, weighed, why, words};
use crate::domain::cycle::basis::{ActiveViolation, Basis, Concluded, StillOpen};
use crate::domain::cycle::condition::{ClusterRead, OpenIncident};
use crate::domain::cycle::{CycleReport, Trigger};
use crate::domain::execution::Execution;
use crate::domain::legible;
use crate::domain::need::Need;
use crate::domain::outcome::{Outcome, PendingVerification};
use crate::domain::rule::Severity;
use crate::domain::time::{self, Time, since};

/// What the page of a cycle is written from; what is no longer kept is absent.
#[derive(Debug)]
pub struct CycleFacts<'a> {
    pub now: Time,
    pub report: &'a CycleReport,
    pub execution: Option<&'a Execution>,
    /// While the execution waits for its result.
    pub verification: Option<&'a PendingVerification>,
    /// Results of the execution.
    pub verdicts: &'a [Outcome],
    /// Results of earlier ones that this cycle verified.
    pub verified: &'a [Outcome],
    /// Needs that began in this cycle.
    pub needs: &'a [Need],
}

#[must_use]
pub fn cycle(facts: &CycleFacts<'_>) -> Explanation {
    let report = facts.report;
    let (result, short) = why::in_short(facts);
    let mut page = Page::begin(&short);
    page.section("Seen");
    page.say(&header(report, &short, facts.now));
    match &report.basis {
        Some(basis) => seen(&mut page, report, basis, &short),
        None => page.say(&format!(
            "{} active. What the cycle read is not kept: it broke off too early, or an older version wrote it.",
            words::count(report.violations, "violation")
        )),
    }
    for outcome in facts.verified {
        page.item(&verified::outcome(outcome, facts.now));
    }
    page.section("Concluded");
    if let Some(basis) = &report.basis {
        conclusions(&mut page, basis);
    }
    page.section("Weighed");
    let policies = report.basis.as_ref().map(|b| b.policies.as_slice()).unwrap_or_default();
    weighed::tell(&mut page, &report.candidates, policies, why::explained(report));
    page.section("Done");
    done(&mut page, facts);
    in_force(&mut page, report);
    page.section("People");
    people(&mut page, facts);
    let title = format!("Cycle {}: {result}", report.id);
    page.end(Kind::Cycle, report.id.clone(), &title, raw(facts))
}

fn raw(facts: &CycleFacts<'_>) -> serde_json::Value {
    json!({
        "report": facts.report,
        "execution": facts.execution,
        "judging": facts.verification,
        "verdicts": facts.verdicts,
        "judged": facts.verified,
        "escalations": facts.needs,
    })
}

fn header(report: &CycleReport, short: &[String], now: Time) -> String {
    let trigger = match report.trigger {
        Trigger::Scheduled => "on schedule",
        Trigger::Woken => "woken early",
    };
    let stopped = report.phase.map_or_else(String::new, |p| format!(" in phase {}", p.as_str()));
    let error = report.error.as_deref().map(words::without_stop);
    let problem = error.filter(|error| !reported_elsewhere(error, short, report.basis.as_ref()));
    let problem = problem.map_or_else(String::new, |error| format!(" Problem: {error}."));
    format!(
        "Cycle number {}, {trigger}, began {} and ended {}{stopped} after {:.2} s.{problem}",
        report.number,
        words::at(report.started_at, now),
        report.status.as_str(),
        report.duration_seconds
    )
}

/// The error of a cycle is mostly that of one source, and the page says it there.
fn reported_elsewhere(error: &str, short: &[String], basis: Option<&Basis>) -> bool {
    let by_basis = basis.is_some_and(|basis| {
        let sources = basis.sources.iter().filter_map(|s| s.error.as_ref());
        sources
            .chain(&basis.charter_error)
            .chain(&basis.rule_problems)
            .any(|said| said.contains(error))
    });
    by_basis || short.iter().any(|said| said.contains(error))
}

fn seen(page: &mut Page, report: &CycleReport, basis: &Basis, short: &[String]) {
    let read: Vec<&str> =
        basis.sources.iter().filter(|s| s.error.is_none()).map(|s| s.source.as_str()).collect();
    let charter = match (&basis.charter, &basis.charter_error) {
        (Some(state), _) => {
            format!(
                " Charter answered: {} of {} replicas healthy.",
                state.healthy_nodes, state.replicas
            )
        }
        (None, Some(error)) => {
            format!(" Charter did not answer: {}.", words::without_stop(error))
        }
        // It is turned off.
        (None, None) => String::new(),
    };
    let read = if read.is_empty() { "nothing".to_owned() } else { words::list(&read) };
    let rules = if basis.rules == 0 {
        "there is no rule to read".to_owned()
    } else {
        format!(
            "{} of {} read well, {} series read and {} expected",
            basis.rules_good,
            words::count(basis.rules, "rule"),
            basis.series_seen,
            basis.series_expected
        )
    };
    let cluster = match &report.cluster {
        None => String::new(),
        Some(ClusterRead { problem: None }) => {
            format!(" The cluster was read: {}.", words::count(report.finding_count(), "finding"))
        }
        Some(ClusterRead { problem: Some(problem) }) => {
            format!(" The cluster could not be read completely: {}.", words::without_stop(problem))
        }
    };
    page.say(&format!("Read {read}: {rules}.{charter}{cluster}"));
    for source in &basis.sources {
        if let Some(error) = &source.error {
            let error = words::without_stop(error);
            let known = short.iter().any(|said| said.contains(error));
            let error = if known { ", as said above".to_owned() } else { format!(": {error}") };
            page.item(&format!("{} could not be read{error}.", source.source.as_str()));
        }
    }
    // A source that is away is the problem of each of its rules: said once.
    let of_source = |problem: &&String| {
        basis.sources.iter().filter_map(|s| s.error.as_ref()).any(|e| problem.contains(e.as_str()))
    };
    for problem in basis.rule_problems.iter().filter(|problem| !of_source(problem)) {
        page.item(&format!("rule {}.", words::without_stop(problem)));
    }
    if let Some(pause) = &basis.paused {
        page.say(&format!("The loop was {}.", words::without_stop(&pause.to_string())));
    }
    let all = report.violations;
    let blind = sees_nothing(report);
    let active = match all {
        0 if blind => "Whether any violation is active is UNKNOWN".to_owned(),
        0 if basis.rules_good < basis.rules => {
            "No violation is active among the rules that could be read; of the others it is UNKNOWN"
                .to_owned()
        }
        0 => "No violation of a rule or alert is active".to_owned(),
        n if blind => format!(
            "{} counted as active when last read; what is wrong now is UNKNOWN",
            words::count(n, "violation")
        ),
        n => format!(
            "{} {} active, {} to be acted on",
            words::count(n, "violation"),
            words::are(n),
            report.actionable
        ),
    };
    let changes = match (report.opened, report.cleared) {
        (0, 0) if blind => String::new(),
        (0, 0) => "; none began or cleared in this cycle".to_owned(),
        (opened, cleared) => format!("; {opened} began and {cleared} cleared in this cycle"),
    };
    page.say(&format!("{active}{changes}."));
    for active in &basis.violations {
        page.item(&violation(active, report));
    }
    let left_out = all.saturating_sub(basis.violations.len());
    if left_out > 0 {
        page.item(&format!("… and {left_out} more."));
    }
    let alerts = basis.alerts_total;
    if alerts > 0 {
        let (may, are) = (words::count(alerts, "alert"), words::are(alerts));
        page.say(&format!("{may} may be firing and {are} no evidence for an action:"));
        for alert in &basis.alerts {
            page.item(&format!("{}.", words::without_stop(alert)));
        }
        if alerts > basis.alerts.len() {
            page.item(&format!("… and {} more.", alerts - basis.alerts.len()));
        }
    }
}

fn violation(active: &ActiveViolation, report: &CycleReport) -> String {
    let unread = unread(report, active.source, &active.rule).filter(|_| !active.confirmed);
    let value = words::reading(active.value, active.comparison, active.threshold);
    let value = value.map_or_else(String::new, |value| match &unread {
        Some(unread) => format!(", was {value} when last read{}", unread.when()),
        None => format!(", {value}"),
    });
    let known = active.no_evidence.clone().filter(|_| unread.is_none());
    // The page has said above what could not be read.
    let why = unread.map(|unread| match unread {
        Unread::Source { source, .. } => format!("{} could not be read", source.as_str()),
        Unread::Rule { .. } => "its rule was not read well".to_owned(),
    });
    let ActiveViolation { severity, actionable, flapping, confirmed, .. } = *active;
    let left_out = known.or_else(|| left_out(severity, actionable, flapping, confirmed, why));
    let notes = left_out.map_or_else(String::new, |why| format!("; no evidence: {why}"));
    let length = words::span(since(report.started_at, active.active_since));
    // A warning is the rule; what is more or less than that is said.
    let severity = match active.severity {
        Severity::Warning => "",
        Severity::Critical => ", critical",
        Severity::Info => ", info",
    };
    let id = words::short(&active.fingerprint);
    format!("{}{severity}{value}, for {length}{notes} [{id}]", active.name)
}

fn conclusions(page: &mut Page, basis: &Basis) {
    // The same cause on several components, equally sure, is one line.
    let mut groups: Vec<Vec<&Concluded>> = Vec::new();
    for cause in &basis.causes {
        let alike = |a: &Concluded| {
            (&a.cause, &a.patterns, a.critical) == (&cause.cause, &cause.patterns, cause.critical)
                && a.confidence.total_cmp(&cause.confidence).is_eq()
        };
        match groups.iter_mut().find(|group| group.iter().all(|a| alike(a))) {
            Some(group) => group.push(cause),
            None => groups.push(vec![cause]),
        }
    }
    for group in &groups {
        page.item(&conclusion(group));
    }
    let left_out = basis.causes_total.saturating_sub(basis.causes.len());
    if left_out > 0 {
        page.item(&format!("… and {left_out} more."));
    }
    if basis.causes.is_empty() {
        page.say("Nothing.");
    }
}

fn conclusion(group: &[&Concluded]) -> String {
    let first = group[0];
    let places: Vec<_> = group.iter().map(|cause| legible::name(&cause.component)).collect();
    let patterns: Vec<&str> = first.patterns.iter().map(|p| p.as_str()).collect();
    let critical = if first.critical { ", critical" } else { "" };
    format!(
        "{} at {}, confidence {:.2} ({}){critical}: {} behind it, seen {}.",
        first.cause,
        words::list(&places),
        first.confidence,
        words::list(&patterns),
        words::count(group.iter().map(|cause| cause.evidence).sum(), "violation"),
        words::times(group.iter().map(|cause| u64::from(cause.occurrences)).sum())
    )
}

/// What is in force at Charter when the cycle has ended, and what mode and guards allow.
fn in_force(page: &mut Page, report: &CycleReport) {
    let Some(basis) = &report.basis else { return };
    if !basis.in_force.is_empty() {
        let in_force: Vec<String> = basis.in_force.iter().map(ToString::to_string).collect();
        page.say(&format!("Still in force: {}.", in_force.join("; ")));
    }
    if let Some(standing) = &basis.standing {
        page.say(&format!("In {}.", standing.said(report.started_at)));
    }
}

fn done(page: &mut Page, facts: &CycleFacts<'_>) {
    let report = facts.report;
    let Some(id) = report.execution_id else {
        if why::begun_without_result(report) {
            page.say("The journal has what was sent: GET /api/v1/executions.");
        } else {
            page.say("No action was sent.");
        }
        return;
    };
    match facts.execution {
        Some(execution) => {
            for record in &execution.actions {
                page.item(&verified::record(record));
            }
        }
        None => page.say("Its journal is no longer kept."),
    }
    for outcome in facts.verdicts {
        page.item(&verified::outcome(outcome, facts.now));
    }
    if let Some(verification) = facts.verification {
        page.say(&verified::verification(verification, facts.now));
    }
    page.say(&format!("More: mape-k explain action {id}"));
}

fn people(page: &mut Page, facts: &CycleFacts<'_>) {
    for incident in &facts.report.incidents {
        let OpenIncident { id, severity, title, notification } = incident;
        page.item(&format!("{id} {severity} {title}: {notification}."));
    }
    let more = facts.report.incidents_open.saturating_sub(facts.report.incidents.len());
    if more > 0 {
        page.item(&format!("… and {} more.", words::count(more, "open incident")));
    }
    for record in facts.needs {
        page.item(&escalation(record));
    }
    let opened = facts.report.escalations_opened.len();
    let left_out = opened.saturating_sub(facts.needs.len());
    if left_out > 0 {
        page.item(&format!(
            "… and {left_out} more needs that began in this cycle (/api/v1/incidents)."
        ));
    }
    if let Some(basis) = facts.report.basis.as_ref().filter(|basis| basis.open_total > 0) {
        let mut open: Vec<String> = basis.open.iter().map(still_open).collect();
        let left_out = basis.open_total.saturating_sub(open.len());
        if left_out > 0 {
            open.push(format!("{left_out} more"));
        }
        page.say(&format!("Needs from before that are still open: {}.", open.join("; ")));
    }
    let closed = facts.report.escalations_closed.len();
    if closed > 0 {
        page.say(&format!("{} ended.", words::count(closed, "need")));
    }
}

fn still_open(record: &StillOpen) -> String {
    let place =
        record.component.as_ref().map(|c| format!(" at {}", legible::name(c))).unwrap_or_default();
    let since = time::text(record.opened_at);
    format!("{} ({}{place}) since {since}", record.reason.as_str(), legible::name(&record.subject))
}

pub(super) fn escalation(record: &Need) -> String {
    let place =
        record.component.as_ref().map(|c| format!(" at {}", legible::name(c))).unwrap_or_default();
    format!(
        "{} ({}{place}): {}.",
        record.reason.as_str(),
        legible::name(&record.subject),
        words::without_stop(&record.detail)
    )
}
