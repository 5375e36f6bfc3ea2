//! How bad each finding is: the table of severities (docs/SEVERITIES.md), known issues included.
//!
//! Pure. Leaves out what raises an incident as a whole (worsening, a deployment behind it): `board`.

mod service_health;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::words::{clause, lasting, listed};
use crate::domain::catalogue::{Catalogue, KnownIssue, Service, Tier};
use crate::domain::decision::Sev;
use crate::domain::finding::{Finding, FindingKind, FindingSeverity};
use crate::domain::incident::Incident;
use crate::domain::need::NeedReason as Reason;
use crate::domain::time::{Time, since};
use service_health::{ServiceHealth, ServicesHealth};

pub(super) use service_health::{FLAP, HOUR};

/// A P0 that lacks replicas for longer than this is as bad as one that is down.
const P0_DEGRADED: Duration = Duration::from_secs(120);

/// What is in no catalogue, and has no `escalation.default_tier` either, may be down for so long before anybody is notified of it.
const UNRANKED_DOWN: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    pub now: Time,
    pub catalogue: &'a Catalogue,
    /// Stored ones: what they first saw counts for durations, how often they came back for flapping.
    pub incidents: &'a [Incident],
    /// In the last good cycle: the loop's being blind, or its hands tied, is then as bad as can be.
    pub p0_was_down: bool,
}

/// A finding with its severity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    /// `since` is the earliest that is known of it.
    pub finding: Finding,
    pub tier: Tier,
    pub severity: Sev,
    /// Why, in a sentence.
    pub reason: String,
    /// Nobody's alarm: a known issue within its grace, or missing replicas of a rollout that keeps its limits.
    pub is_excused: bool,
    /// Of its service; what is excused is left out of them.
    pub down_since: Option<Time>,
    pub short_since: Option<Time>,
}

/// Each finding with its severity, in the order given.
#[must_use]
pub fn weigh(findings: &[Finding], situation: &Situation<'_>) -> Vec<Weighed> {
    let stored = service_health::Stored::of(situation.incidents, situation.now);
    let settled: Vec<Finding> = findings.iter().map(|finding| stored.settled(finding)).collect();
    let known: Vec<Known<'_>> = settled.iter().map(|finding| known(finding, situation)).collect();
    let counting =
        settled.iter().zip(&known).filter(|(_, known)| !matches!(known, Known::Excused(_)));
    let standings = ServicesHealth::of(counting.map(|(finding, _)| finding), &stored, situation);
    let sick_p0 = standings.sick_p0(situation.now, P0_DEGRADED);
    let table = Table { situation, sick_p0: &sick_p0 };
    settled
        .into_iter()
        .zip(known)
        .map(|(finding, known)| table.weighed(finding, &known, &standings))
        .collect()
}

enum Known<'a> {
    No,
    Excused(&'a KnownIssue),
    PastGrace(&'a KnownIssue),
}

/// The known issue that names this finding, and no other of its service.
fn known<'a>(finding: &Finding, situation: &Situation<'a>) -> Known<'a> {
    let Some(service) = service_of(finding, situation.catalogue) else { return Known::No };
    let (kind, reason) = (finding.kind.as_str(), finding.reason.to_lowercase());
    let names = |issue: &&KnownIssue| {
        let matches = issue.matches.to_lowercase();
        !matches.is_empty() && (kind.contains(&matches) || reason.contains(&matches))
    };
    let lasts = since(situation.now, finding.since);
    let mut past = Known::No;
    for issue in service.known_issues.iter().filter(names) {
        if lasts <= issue.grace {
            return Known::Excused(issue);
        }
        past = Known::PastGrace(issue);
    }
    past
}

/// By name and namespace; what has no namespace (the loop's own) by its name. A workload that only has the name of a
/// service, without the labels that this one selects, is no part of it.
pub(super) fn service_of<'a>(finding: &Finding, catalogue: &'a Catalogue) -> Option<&'a Service> {
    if finding.kind.is_by_labels() && finding.priority.is_none() {
        return None;
    }
    catalogued(&finding.service, finding.namespace.as_deref(), catalogue)
}

pub(super) fn catalogued<'a>(
    name: &str,
    namespace: Option<&str>,
    catalogue: &'a Catalogue,
) -> Option<&'a Service> {
    catalogue.services.iter().find(|service| {
        service.name == name && namespace.is_none_or(|namespace| service.namespace == namespace)
    })
}

struct Table<'a> {
    situation: &'a Situation<'a>,
    /// Names of the P0 services that are down, or have lacked replicas for too long.
    sick_p0: &'a [String],
}

impl Table<'_> {
    fn weighed(
        &self,
        finding: Finding,
        known: &Known<'_>,
        standings: &ServicesHealth<'_>,
    ) -> Weighed {
        let standing = standings.of_finding(&finding, self.situation);
        let (severity, mut reason, is_excused) = match known {
            Known::Excused(issue) => {
                let lasts = lasting(issue.grace);
                let reason = format!(
                    "{}: known and expected for {lasts} ({})",
                    named(&finding, &standing),
                    clause(&issue.note)
                );
                (Sev::Sev4, reason, true)
            }
            Known::No | Known::PastGrace(_) => self.verdict(&finding, &standing),
        };
        if let Known::PastGrace(issue) = known {
            let lasts = lasting(issue.grace);
            reason = format!("{reason}; a known issue, past its grace of {lasts}");
        }
        Weighed {
            tier: standing.tier,
            severity,
            reason,
            is_excused,
            down_since: standing.down_since,
            short_since: standing.short_since,
            finding,
        }
    }

    fn verdict(&self, finding: &Finding, standing: &ServiceHealth<'_>) -> (Sev, String, bool) {
        let name = named(finding, standing);
        if let FindingKind::Loop(reason) = finding.kind {
            let (severity, reason) = self.of_the_loop(&name, reason);
            return (severity, reason, false);
        }
        // The loop treats it; what it cannot treat becomes a need.
        if finding.kind == FindingKind::Violation {
            return (Sev::Sev4, format!("{name}: {}", finding.headline), false);
        }
        if let Some(risk) = &finding.data_at_risk {
            let reason = format!("data of {name} is at risk: {}", clause(risk));
            return (Sev::Sev1, reason, false);
        }
        if finding.is_degraded() && finding.within_rollout && finding.kind.comes_with_a_rollout() {
            let reason = format!("{name}: {}, by a rollout within its limits", replicas(finding));
            return (Sev::Sev4, reason, true);
        }
        let (mut severity, mut reason) = if finding.is_down() {
            self.down(finding, standing, &name)
        } else if finding.is_degraded() && !finding.within_rollout {
            self.degraded(finding, standing, &name)
        } else {
            warning(finding, standing.tier, &name)
        };
        if standing.tier < Tier::P0 || severity >= Sev::Sev2 {
            return (severity, reason, false);
        }
        if finding.is_degraded() && finding.ready == Some(1) {
            severity = Sev::Sev2;
            reason = format!("{reason}; {}, the last one", replicas(finding));
        } else if standing.is_flapping {
            severity = Sev::Sev2;
            reason = format!("{reason}; it is flapping");
        }
        (severity, reason, false)
    }

    fn of_the_loop(&self, name: &str, reason: Reason) -> (Sev, String) {
        let said = format!("{name}: the loop asks for a person ({})", reason.as_str());
        if self.situation.p0_was_down && matches!(reason, Reason::Blind | Reason::HandsTied) {
            return (Sev::Sev1, format!("{said}; a P0 was down when it last could tell"));
        }
        (Sev::Sev2, said)
    }

    fn down(&self, finding: &Finding, standing: &ServiceHealth<'_>, name: &str) -> (Sev, String) {
        let lasts = since(self.situation.now, standing.down_since.unwrap_or(finding.since));
        let said = format!("{name} is down, {} for {}", replicas(finding), lasting(lasts));
        let service = standing.service;
        if service.is_some_and(|service| service.data_layer) {
            return (Sev::Sev1, format!("{said}; it is a data layer"));
        }
        if service.is_some_and(|service| service.ingress) {
            return (Sev::Sev1, format!("{said}; it is an ingress"));
        }
        if standing.is_unranked {
            let severity = if lasts >= UNRANKED_DOWN { Sev::Sev3 } else { Sev::Sev4 };
            return (severity, said);
        }
        let tolerated = service.and_then(|s| s.max_downtime).or(standing.tier.max_downtime());
        // With no tolerance at all the first look is enough.
        let is_beyond = tolerated.is_some_and(|limit| limit.is_zero() || lasts > limit);
        let (severity, said) = match (standing.tier, is_beyond) {
            (Tier::P0, false) if self.sick_p0.len() > 1 => (Sev::Sev1, self.with_the_others(&said)),
            (Tier::P0, true) => (Sev::Sev1, said),
            (Tier::P0, false) | (Tier::P1, true) => (Sev::Sev2, said),
            (Tier::P1, false) | (Tier::P2, true) => (Sev::Sev3, said),
            (Tier::P2, false) | (Tier::P3, _) => (Sev::Sev4, said),
        };
        let reason = match tolerated {
            Some(limit) => format!("{said}; it may be down for {}", lasting(limit)),
            None => format!("{said}; it may be down for any time"),
        };
        let dependants = self.p0_that_need(service);
        if severity < Sev::Sev2 && !dependants.is_empty() {
            let who = listed(dependants.iter().copied(), 5);
            return (Sev::Sev2, format!("{reason}; P0 that need it: {who}"));
        }
        (severity, reason)
    }

    fn degraded(
        &self,
        finding: &Finding,
        standing: &ServiceHealth<'_>,
        name: &str,
    ) -> (Sev, String) {
        let lasts = since(self.situation.now, standing.short_since.unwrap_or(finding.since));
        let said = format!("{name} is degraded, {} for {}", replicas(finding), lasting(lasts));
        match standing.tier {
            Tier::P0 if lasts > P0_DEGRADED => {
                (Sev::Sev1, format!("{said}; a P0 may be so for {}", lasting(P0_DEGRADED)))
            }
            Tier::P0 if finding.ready == Some(1) => {
                (Sev::Sev2, format!("{said}; it is the last one"))
            }
            Tier::P0 => (Sev::Sev2, said),
            Tier::P1 => (Sev::Sev3, said),
            Tier::P2 | Tier::P3 => (Sev::Sev4, said),
        }
    }

    fn with_the_others(&self, said: &str) -> String {
        let who = listed(self.sick_p0.iter().map(String::as_str), 5);
        format!("{said}; {} P0 are down or degraded: {who}", self.sick_p0.len())
    }

    /// P0 services that depend on it directly.
    fn p0_that_need(&self, service: Option<&Service>) -> Vec<&str> {
        let Some(service) = service else { return Vec::new() };
        let services = self.situation.catalogue.services.iter();
        services
            .filter(|other| other.tier == Tier::P0 && other.depends_on.contains(&service.name))
            .map(|other| other.name.as_str())
            .collect()
    }
}

/// Nothing is known to be missing.
fn warning(finding: &Finding, tier: Tier, name: &str) -> (Sev, String) {
    let kind = finding.kind.as_str().replace('_', " ");
    match finding.severity {
        FindingSeverity::Info => (Sev::Sev4, format!("{name}: {kind}, resolving by itself")),
        FindingSeverity::Warning | FindingSeverity::High | FindingSeverity::Critical => {
            let severity = if tier >= Tier::P1 { Sev::Sev3 } else { Sev::Sev4 };
            (severity, format!("{name}: {kind}"))
        }
    }
}

fn replicas(finding: &Finding) -> String {
    match (finding.ready, finding.desired) {
        (Some(ready), Some(desired)) => format!("{ready} of {desired} ready"),
        _ => "replicas unknown".to_owned(),
    }
}

/// `payments (P0)`; what is in no catalogue is said to be.
fn named(finding: &Finding, standing: &ServiceHealth<'_>) -> String {
    let (service, tier) = (&finding.service, standing.tier.as_str());
    match (finding.kind.is_by_labels(), standing.service) {
        (_, Some(_)) => format!("{service} ({tier})"),
        (true, None) if standing.is_unranked => format!("{service} (in no catalogue)"),
        (true, None) => format!("{service} (in no catalogue, counts as {tier})"),
        (false, None) => service.clone(),
    }
}
