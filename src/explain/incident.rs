//! The page of one incident: how it stands, what shows it, whom it needs, what was tried, and what happened in order.

use serde_json::json;

use super::cycle::escalation;
use super::{Explanation, Kind, Page, verified, words};
use crate::domain::incident::{Happening, Incident, IncidentStatus, Resolution, TimelineEntry};
use crate::domain::need::Need;
use crate::domain::outcome::PendingVerification;
use crate::domain::time::{self, Time, since};
use crate::domain::treatment::Treatment;

/// Lines of each section; the facts have all.
const SHOWN: usize = 8;

#[derive(Debug)]
pub struct IncidentFacts<'a> {
    pub now: Time,
    pub incident: &'a Incident,
    /// The open ones first.
    pub needs: &'a [&'a Need],
    pub treatments: &'a [Treatment],
    pub verifications: &'a [PendingVerification],
    pub notification: &'a str,
}

#[must_use]
pub fn incident(facts: &IncidentFacts<'_>) -> Explanation {
    let incident = facts.incident;
    let mut page = Page::begin(&[stands(incident, facts.now)]);
    page.section("Evidence");
    let evidence: Vec<String> = incident
        .findings
        .iter()
        .map(|finding| {
            format!("{}: {}.", finding.kind.as_str(), words::without_stop(&finding.reason))
        })
        .collect();
    items(&mut page, &evidence);
    page.section("People");
    page.say(&format!("{}.", capital(facts.notification)));
    let needs: Vec<String> = facts.needs.iter().map(|need| asked(need)).collect();
    items(&mut page, &needs);
    page.section("What was tried");
    let tried = facts.treatments.iter().flat_map(|treatment| &treatment.attempts);
    let tried: Vec<String> =
        tried.map(|one| verified::attempt(one, facts.verifications, facts.now)).collect();
    items(&mut page, &tried);
    if tried.is_empty() {
        let acted = |one: &TimelineEntry| {
            matches!(one.what, Happening::Applied | Happening::Failed | Happening::Result)
        };
        // An action on more than this target is counted in one of the incidents that it treats.
        let elsewhere = incident.timeline.iter().any(acted);
        page.say(if elsewhere {
            "The actions under \"What happened\" treated more than this target and are counted in another incident."
        } else {
            "No action was tried."
        });
    }
    page.section("What happened");
    let left_out = incident.timeline.len().saturating_sub(SHOWN);
    if left_out > 0 {
        page.item(&format!(
            "{left_out} earlier: GET /api/v1/incidents/{} lists them.",
            incident.id
        ));
    }
    for entry in incident.timeline.iter().skip(left_out) {
        let text = words::without_stop(&entry.text);
        page.item(&format!("{} {}: {text}.", time::text(entry.at), entry.what.as_str()));
    }
    let title = format!("Incident {} ({}): {}", incident.id, incident.severity, incident.title());
    let raw = json!({
        "incident": incident,
        "needs": facts.needs,
        "treatments": facts.treatments,
    });
    page.end(Kind::Incident, incident.id.clone(), &title, raw)
}

/// Only evidence that was read as clear resolves an incident.
fn stands(incident: &Incident, now: Time) -> String {
    let Some(end) = incident.ended_at else {
        let status = match incident.status {
            _ if !incident.doing.is_empty() => words::without_stop(&incident.doing),
            IncidentStatus::Open | IncidentStatus::Resolved => "no action on it is under way",
            IncidentStatus::Acting => "an action on it is under way",
            IncidentStatus::Verifying => "an action on it waits for its result",
            IncidentStatus::NeedsAttention => "it needs a person",
        };
        return format!("It has been open since {}; {status}.", words::at(incident.since, now));
    };
    let lasted = words::span(since(end, incident.since));
    let at = words::at(end, now);
    match &incident.resolution {
        Some(Resolution::Clear) => {
            format!("It was resolved {at}, after {lasted}: all of its evidence was read as clear.")
        }
        Some(Resolution::Vanished) => format!(
            "It ended {at}, after {lasted}: its evidence is gone, because its object was deleted or its rule removed. \
             Nothing has shown it healthy."
        ),
        Some(Resolution::MergedInto(other)) => {
            format!("It was merged into incident {other} {at}; that is where it goes on.")
        }
        None => format!("It ended {at}, after {lasted}; how was not recorded."),
    }
}

fn asked(need: &Need) -> String {
    let ended = need.closed_at.map(|at| format!(" It ended {}.", time::text(at)));
    format!("{}{}", escalation(need), ended.unwrap_or_default())
}

fn items(page: &mut Page, lines: &[String]) {
    for line in lines.iter().take(SHOWN) {
        page.item(line);
    }
    if lines.len() > SHOWN {
        page.item(&format!("… and {} more.", lines.len() - SHOWN));
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
