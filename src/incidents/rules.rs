//! The assessment by rules: confidence, root cause, impact and actions of the incidents that a decision is about; and the
//! conservative decision for when there is no assessment.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::correlation;
use super::tracker::Why;
use super::trend::Heading;
use super::words::{clause, listed, of_owner};
use crate::domain::catalogue::{Service, Tier};
use crate::domain::decision::{Channel, Decision, Sev};
use crate::domain::deployment::Correlation;
use crate::domain::finding::{Finding, IncidentClass};
use crate::domain::incident::{Incident, IncidentStatus};
use crate::domain::time::Time;

/// What an assessor is given: owned, so that it may take its time elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    pub at: Time,
    /// Made of a reading that was not whole.
    pub is_partial: bool,
    /// New, worse or due; the worst first.
    pub incidents: Vec<CaseIncident>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseIncident {
    /// With findings, severity, numbers and suspect.
    pub incident: Incident,
    pub why: Why,
    pub tier: Tier,
    /// `None`: in no catalogue.
    pub service: Option<Service>,
    pub heading: Option<Heading>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    pub severity: Sev,
    /// 0 to 100.
    pub confidence: u8,
    pub root_cause: String,
    pub impact: String,
    pub actions: Vec<String>,
}

/// Actions and services that one message names: what a person takes in at a glance.
const MAX_ACTIONS: usize = 5;
const MAX_NAMES: usize = 10;

/// Deterministic: the same case gives the same assessment.
#[must_use]
pub fn assess(case: &Case) -> Assessment {
    Assessment {
        severity: case.incidents.iter().map(|one| one.incident.severity).max().unwrap_or(Sev::Sev4),
        confidence: confidence(case),
        root_cause: root_cause(case),
        impact: impact(case),
        actions: actions(case),
    }
}

/// 90 for what the objects themselves say; less for each thing that is not known.
fn confidence(case: &Case) -> u8 {
    let uncatalogued = case.incidents.iter().any(|one| shows_pods(one) && one.service.is_none());
    let uncounted = case
        .incidents
        .iter()
        .filter(|one| shown(&one.incident) == IncidentClass::Availability)
        .any(|one| one.incident.numbers.desired.is_none());
    let doubts = [(case.is_partial, 30), (uncatalogued, 10), (uncounted, 10)];
    let doubt: u8 = doubts.iter().filter(|(holds, _)| *holds).map(|(_, by)| by).sum();
    90 - doubt
}

/// It shows objects whose labels say of which service they are.
fn shows_pods(one: &CaseIncident) -> bool {
    one.incident.findings.iter().any(|finding| finding.kind.is_by_labels())
}

/// The first that applies: a deployment just before, a dependency that is sick too, a node, else the worst finding.
fn root_cause(case: &Case) -> String {
    let strong = case.incidents.iter().find_map(|one| {
        let suspect = one.incident.suspect.as_ref()?;
        (suspect.correlation == Correlation::High).then_some((one, suspect))
    });
    if let Some((one, suspect)) = strong {
        let words = correlation::in_words(suspect, one.incident.since);
        return format!("A deployment of {}, {words}", one.incident.service);
    }
    // What began after its effect is no cause of it.
    let needed = case.incidents.iter().find_map(|one| {
        let needs = &one.service.as_ref()?.depends_on;
        let dependency = case.incidents.iter().find(|other| {
            needs.contains(&other.incident.service) && other.incident.since <= one.incident.since
        })?;
        Some((&one.incident.service, &dependency.incident))
    });
    if let Some((service, dependency)) = needed {
        return format!("{}, which {service} needs: {}", dependency.service, headline(dependency));
    }
    let of_node = |one: &CaseIncident| {
        one.incident.findings.iter().find(|f| f.kind.class() == IncidentClass::Node).cloned()
    };
    let node = case.incidents.iter().find_map(|node| {
        let follows = |other: &CaseIncident| {
            of_node(other).is_none() && other.incident.since >= node.incident.since
        };
        let finding = of_node(node)?;
        case.incidents.iter().any(follows).then_some((&node.incident, finding))
    });
    if let Some((node, finding)) = node {
        return format!("Possibly node {}: {}", node.service, said(node, Some(&finding)));
    }
    case.incidents.first().map_or_else(String::new, |one| headline(&one.incident))
}

/// The class of its worst evidence now; of what is asked of people when there is nothing else.
fn shown(incident: &Incident) -> IncidentClass {
    let evidence = incident.findings.iter().find(|finding| !finding.is_need());
    evidence.or(incident.findings.first()).map_or(incident.class, |finding| finding.kind.class())
}

/// What was found, of its worst finding.
fn headline(incident: &Incident) -> String {
    said(incident, incident.findings.first())
}

fn said(incident: &Incident, finding: Option<&Finding>) -> String {
    finding.map_or_else(
        || format!("{} of {}", incident.class.as_str(), incident.service),
        |finding| match clause(&finding.reason) {
            "" => format!("{} of {}", finding.kind.as_str().replace('_', " "), finding.owner),
            reason => of_owner(&finding.owner, reason),
        },
    )
}

fn impact(case: &Case) -> String {
    let of = |one: &CaseIncident| {
        let incident = &one.incident;
        let is_short = incident.course.short_since.is_some();
        let state = match shown(incident) {
            _ if incident.course.down_since.is_some() => "down",
            IncidentClass::Availability if is_short => "degraded",
            IncidentClass::Loop | IncidentClass::Violation => match incident.status {
                IncidentStatus::Acting => "an action is being applied",
                IncidentStatus::Verifying => "an action was applied, its result is being verified",
                IncidentStatus::NeedsAttention => "a person is needed",
                IncidentStatus::Open | IncidentStatus::Resolved if incident.doing.is_empty() => {
                    "observed"
                }
                IncidentStatus::Open | IncidentStatus::Resolved => &incident.doing,
            },
            IncidentClass::Availability => "impaired",
            IncidentClass::Memory => "killed for its memory",
            IncidentClass::Job => "job failed",
            IncidentClass::Volume => "volume",
            IncidentClass::Node => "node",
        };
        let tier = if one.service.is_some() { one.tier.as_str() } else { "in no catalogue" };
        if shows_pods(one) {
            format!("{} ({tier}, {state})", incident.service)
        } else {
            format!("{} ({state})", incident.service)
        }
    };
    let parts: Vec<String> = case.incidents.iter().map(of).collect();
    listed(parts.iter().map(String::as_str), MAX_NAMES)
}

/// Recommendations of the findings, the worst incident's first.
fn actions(case: &Case) -> Vec<String> {
    let mut actions: Vec<String> = Vec::new();
    for one in &case.incidents {
        let strong = one.incident.suspect.as_ref().filter(|s| s.correlation == Correlation::High);
        let undo = strong.map(|suspect| {
            let short = suspect.commit.sha.get(..10).unwrap_or(&suspect.commit.sha).to_owned();
            format!("Look at {short}, and revert it if it is the cause")
        });
        let told = one.incident.findings.iter().map(|finding| finding.recommendation.clone());
        for action in undo.into_iter().chain(told).filter(|action| !action.trim().is_empty()) {
            if !actions.contains(&action) {
                actions.push(action);
            }
        }
    }
    actions.truncate(MAX_ACTIONS);
    actions
}

/// The conservative decision, for when the assessment failed, took too long, or nothing else can be said. Whether it
/// people were notified already is the tracker's to know.
#[must_use]
pub fn fallback(findings: &[Finding]) -> Decision {
    let services: BTreeSet<&str> =
        findings.iter().map(|finding| finding.service.as_str()).collect();
    let mut affected: Vec<String> = services.into_iter().map(str::to_owned).collect();
    if affected.is_empty() {
        affected.push("unknown".to_owned());
    }
    Decision {
        severity: Sev::Sev2,
        confidence: 50,
        should_notify: true,
        affected_services: affected,
        root_cause: "Unable to assess escalation, conservative default".to_owned(),
        impact: "Potential incident detected".to_owned(),
        actions: vec!["Manual review required".to_owned()],
        channel: Channel::Infrastructure,
        is_fallback: true,
        incidents: Vec::new(),
    }
}
