//! Violations and needs as evidence of incidents: each as a finding with the anchor of its incident.

use std::collections::BTreeMap;

use crate::domain::finding::{Finding, FindingKind, FindingSeverity};
use crate::domain::incident::{Anchor, Incident};
use crate::domain::need::{Need, NeedReason as Reason};
use crate::domain::rule::Severity;
use crate::domain::target::Target;
use crate::domain::time::{self, Time};
use crate::domain::violation::Violation;

/// The service under which the daemon speaks of itself.
pub const SELF: &str = Anchor::DAEMON;

/// Broken rules and alerts that count. What the cluster shows is a finding already.
#[must_use]
pub fn violations<'a>(active: impl Iterator<Item = &'a Violation>) -> Vec<Finding> {
    let counts = |v: &&Violation| v.counts() && !v.is_finding();
    active.filter(counts).map(of_violation).collect()
}

fn of_violation(violation: &Violation) -> Finding {
    let service = violation.component.clone().or_else(|| {
        let target = violation.target.as_ref()?;
        Some(target.component().to_owned())
    });
    Finding {
        kind: FindingKind::Violation,
        severity: match violation.severity {
            Severity::Critical => FindingSeverity::Critical,
            Severity::Warning => FindingSeverity::Warning,
            Severity::Info => FindingSeverity::Info,
        },
        owner: violation.rule.clone(),
        service: service.unwrap_or_else(|| violation.rule.clone()),
        namespace: violation.target.as_ref().and_then(|t| t.namespace()).map(str::to_owned),
        reason: violation.description.clone(),
        since: violation.active_since,
        fingerprint: Some(violation.fingerprint.clone()),
        anchor: Some(Anchor::of_violation(violation)),
        ..bare(FindingKind::Violation)
    }
}

/// Which incident each piece of evidence belongs to.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    by_evidence: BTreeMap<String, Place>,
    by_incident: BTreeMap<String, Place>,
}

/// An anchor, with the service and namespace under which people know it.
#[derive(Clone, Debug)]
struct Place {
    anchor: Anchor,
    service: String,
    namespace: Option<String>,
}

impl Anchors {
    /// `findings`: of the cluster. `active`: violations, those that stand for findings among them.
    pub fn of<'a>(
        incidents: &[Incident],
        findings: &[Finding],
        active: impl Iterator<Item = &'a Violation>,
    ) -> Self {
        let mut anchors = Self::default();
        for incident in incidents.iter().filter(|incident| incident.is_open()) {
            let place = Place {
                anchor: incident.anchor.clone(),
                service: incident.service.clone(),
                namespace: incident.namespace.clone(),
            };
            anchors.by_incident.insert(incident.id.clone(), place);
        }
        let violations = active.map(of_violation);
        for finding in violations.chain(findings.iter().cloned()) {
            let place = Place {
                anchor: finding.anchor(),
                service: finding.service.clone(),
                namespace: finding.namespace.clone(),
            };
            anchors.by_evidence.insert(finding.fingerprint(), place);
        }
        anchors
    }

    /// A need stays with its incident; a new one belongs to that of its evidence, else to its target's or component's.
    fn of_need(&self, need: &Need, unnamed: &str) -> Place {
        let of = |anchor: Anchor, service: &str| Place {
            anchor,
            service: service.to_owned(),
            namespace: None,
        };
        if need.reason.is_the_daemons() {
            return of(Anchor::daemon(), SELF);
        }
        let held = need.incident.as_ref().and_then(|id| self.by_incident.get(id));
        let shown = || need.evidence.iter().find_map(|fp| self.by_evidence.get(fp));
        if let Some(place) = held.or_else(shown) {
            return place.clone();
        }
        match (&need.target, need.component.as_deref()) {
            (Some(target), _) => Place {
                namespace: target.namespace().map(str::to_owned),
                ..of(Anchor::of(target), target.component())
            },
            (None, Some(name)) if name == SELF => of(Anchor::daemon(), SELF),
            (None, Some(name)) if name == unnamed => of(Anchor::of(&Target::Charter(None)), name),
            (None, Some(name)) => of(Anchor::component(name), name),
            (None, None) => of(Anchor::daemon(), SELF),
        }
    }
}

/// Findings of the needs that are open, and of the daemon itself when `failing` says why cycle after cycle fails.
/// `unnamed`: the service that a need without a component is about.
#[must_use]
pub fn findings(
    open: &[Need],
    failing: Option<&Failing>,
    unnamed: &str,
    anchors: &Anchors,
) -> Vec<Finding> {
    // Blind is one thing, whatever makes it so: the record of the metrics and the failed cycles are told as one.
    let blind = open.iter().find(|record| record.reason == Reason::Blind);
    let own = match (blind, failing) {
        (Some(record), _) => Some(blind_finding(&record.detail, record.opened_at)),
        (None, Some(failing)) => Some(blind_finding(&failing.said(), failing.since)),
        (None, None) => None,
    };
    let records = open.iter().filter(|record| record.reason != Reason::Blind);
    records.map(|record| finding(record, anchors.of_need(record, unnamed))).chain(own).collect()
}

/// Cycles that failed one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Failing {
    pub since: Time,
    pub phase: String,
    pub error: String,
}

impl Failing {
    fn said(&self) -> String {
        format!(
            "cycle after cycle has failed since {} (phase {}): {}",
            time::text(self.since),
            self.phase,
            self.error
        )
    }
}

fn blind_finding(detail: &str, since: Time) -> Finding {
    about(Reason::Blind, SELF.to_owned(), detail.to_owned(), since)
}

fn finding(record: &Need, place: Place) -> Finding {
    let cause = record.cause.as_ref().map(|cause| format!(" [{cause}]")).unwrap_or_default();
    let reason = format!("{}{cause}: {}", record.subject, record.detail);
    Finding {
        record: Some(record.id),
        anchor: Some(place.anchor),
        namespace: place.namespace,
        ..about(record.reason, place.service, reason, record.opened_at)
    }
}

fn about(reason: Reason, service: String, text: String, since: Time) -> Finding {
    Finding {
        service,
        reason: text,
        since,
        recommendation: recommendation(reason).to_owned(),
        anchor: Some(Anchor::daemon()),
        ..bare(FindingKind::Loop(reason))
    }
}

/// Without anything of the cluster.
fn bare(kind: FindingKind) -> Finding {
    Finding {
        kind,
        severity: FindingSeverity::High,
        priority: None,
        owner: SELF.to_owned(),
        service: String::new(),
        namespace: None,
        pods: Vec::new(),
        ready: None,
        desired: None,
        restarts: 0,
        within_rollout: false,
        data_at_risk: None,
        reason: String::new(),
        exit_code: None,
        log_lines: Vec::new(),
        since: Time::UNIX_EPOCH,
        recommendation: String::new(),
        record: None,
        fingerprint: None,
        anchor: None,
    }
}

/// What a person does first; docs/OPERATIONS.md has the rest.
fn recommendation(reason: Reason) -> &'static str {
    match reason {
        Reason::UnknownCause | Reason::UnknownAlert => {
            "look into it: no remedy is configured for it (`mape-k explain` shows what was seen)"
        }
        Reason::UnconfirmedAlert => {
            "look into it: Alertmanager does not confirm it, so nothing is done about it (its text says why)"
        }
        Reason::ApprovalNeeded => "decide: `mape-k approve` or `mape-k reject`",
        Reason::CapacityExhausted => {
            "raise plan.scaling.max_replicas, or find out what the load is made of"
        }
        Reason::ActionFailed => "read why: `mape-k explain action`; then mend it by hand",
        Reason::Ineffective | Reason::Degradation | Reason::RemediesExhausted => {
            "take over: what the loop can do did not help (`mape-k explain`)"
        }
        Reason::OutcomeUnknown => "look at its target and decide whether it took effect",
        Reason::Flapping => "find out why it comes and goes; nothing is planned for it meanwhile",
        Reason::AmbiguousScope => "set monitor.scope to the labels of what this loop heals",
        Reason::DataMissing => "find out why the metric is not there any more",
        Reason::Blind => {
            "see `mape-k status` for what cannot be read: it is neither watched nor healed meanwhile"
        }
        Reason::HandsTied => "remove what holds the remedy, or apply it by hand",
        Reason::Breaker => "see why the breaker opened: `mape-k status`, `mape-k explain`",
        Reason::Storm => "look for one common cause: the loop does nothing to single components",
        Reason::Budget => "apply the remedy by hand, or widen guardrails.budget",
    }
}
