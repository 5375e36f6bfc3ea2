//! Violations and needs as evidence of incidents: each as a finding with the anchor of its incident.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::domain::Labels;
use crate::domain::finding::{Finding, FindingKind, FindingSeverity};
use crate::domain::incident::{Anchor, Incident};
use crate::domain::need::{Need, NeedReason as Reason};
use crate::domain::rule::Severity;
use crate::domain::target::{Systems, Target};
use crate::domain::time::{self, Time};
use crate::domain::violation::Violation;
use crate::incidents::incident::going_on;

/// The service under which the daemon speaks of itself.
pub const SELF: &str = Anchor::DAEMON;

/// Broken rules and alerts that count, or that a person is needed for. What the cluster shows is a finding already.
/// What counts for nothing but a need lies where the need does: a thousand alerts of one name are one trouble.
#[must_use]
pub fn violations<'v>(
    active: impl Iterator<Item = &'v Violation>,
    open: &[Need],
    anchors: &Anchors<'_>,
) -> Vec<Finding> {
    let mut named: BTreeMap<&String, &Need> = BTreeMap::new();
    for need in open {
        for fingerprint in &need.evidence {
            named.entry(fingerprint).or_insert(need);
        }
    }
    let mut places: BTreeMap<Uuid, Place> = BTreeMap::new();
    let shown = |violation: &Violation| {
        let finding = of_violation(violation);
        if violation.counts() {
            return Some(finding);
        }
        let need = named.get(&violation.fingerprint)?;
        let place = places.entry(need.id).or_insert_with(|| anchors.of_need(need));
        let Place { anchor, service, namespace } = place.clone();
        Some(Finding { anchor: Some(anchor), service, namespace, ..finding })
    };
    active.filter(|violation| !violation.is_finding()).filter_map(shown).collect()
}

/// `validation latency 3.5 s > 1 s`, or the alert's name.
fn headline(violation: &Violation) -> String {
    let Violation { rule, metric, value, comparison, threshold, .. } = violation;
    let (Some(value), Some(comparison), Some(threshold)) = (value, comparison, threshold) else {
        return rule.clone();
    };
    let unit = if metric.ends_with("_seconds") { " s" } else { "" };
    let (value, limit) = (shown(*value), shown(*threshold));
    format!("{} {value}{unit} {} {limit}{unit}", rule.replace('_', " "), comparison.symbol())
}

/// Three digits that matter.
fn shown(value: f64) -> String {
    let decimals = if value.abs() < 10.0 { 2 } else { 0 };
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

fn of_violation(violation: &Violation) -> Finding {
    let anchor = Anchor::of_violation(violation);
    let service = || match anchor.target() {
        Some(target) => target.component().to_owned(),
        None => anchor.name(),
    };
    Finding {
        kind: FindingKind::Violation,
        severity: match violation.severity {
            Severity::Critical => FindingSeverity::Critical,
            Severity::Warning => FindingSeverity::Warning,
            Severity::Info => FindingSeverity::Info,
        },
        owner: violation.rule.clone(),
        service: violation.component.clone().unwrap_or_else(service),
        namespace: violation.target.as_ref().and_then(|t| t.namespace()).map(str::to_owned),
        reason: violation.description.clone(),
        since: violation.active_since,
        fingerprint: Some(violation.fingerprint.clone()),
        headline: headline(violation),
        anchor: Some(anchor),
        ..bare(FindingKind::Violation)
    }
}

/// Which incident each piece of evidence belongs to.
#[derive(Clone, Debug)]
pub struct Anchors<'a> {
    by_evidence: BTreeMap<String, Place>,
    by_incident: BTreeMap<String, Place>,
    systems: &'a Systems,
}

/// An anchor, with the service and namespace under which people know it.
#[derive(Clone, Debug)]
struct Place {
    anchor: Anchor,
    service: String,
    namespace: Option<String>,
}

impl<'a> Anchors<'a> {
    /// `findings`: of the cluster. `active`: violations, those that stand for findings among them.
    pub fn of<'v>(
        incidents: &[Incident],
        findings: &[Finding],
        active: impl Iterator<Item = &'v Violation>,
        systems: &'a Systems,
    ) -> Self {
        let mut anchors =
            Self { by_evidence: BTreeMap::new(), by_incident: BTreeMap::new(), systems };
        for known in incidents {
            // What was asked of one that was merged is asked of the other.
            let Some(incident) = going_on(incidents, &known.id) else { continue };
            let place = Place {
                anchor: incident.anchor.clone(),
                service: incident.service.clone(),
                namespace: incident.namespace.clone(),
            };
            anchors.by_incident.insert(known.id.clone(), place);
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
    fn of_need(&self, need: &Need) -> Place {
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
        let component = need.component.as_deref().filter(|name| *name != SELF);
        let Some(component) = component.or(need.target.as_ref().map(Target::component)) else {
            return of(Anchor::daemon(), SELF);
        };
        let known = || self.systems.target(Some(component), &Labels::new(), None);
        match need.target.clone().or_else(known) {
            Some(target) => Place {
                namespace: target.namespace().map(str::to_owned),
                ..of(Anchor::of(&target), target.component())
            },
            None => of(Anchor::component(component), component),
        }
    }

    /// The anchor of an incident that an earlier version kept by service and class; `needs`: those that are open.
    #[must_use]
    pub fn of_stored(&self, incident: &Incident, needs: &[Need]) -> Anchor {
        let Some(finding) = incident.findings.first() else {
            return Anchor::component(&incident.service);
        };
        if !finding.is_need() {
            return finding.anchor();
        }
        let need = needs.iter().find(|need| finding.record == Some(need.id));
        match need {
            Some(need) => self.of_need(need).anchor,
            None if incident.service == SELF || finding.record.is_none() => Anchor::daemon(),
            None => {
                let target = self.systems.target(Some(&incident.service), &Labels::new(), None);
                target.map_or_else(|| Anchor::component(&incident.service), |t| Anchor::of(&t))
            }
        }
    }
}

/// Findings of the needs that are open, and of the daemon itself when `failing` says why cycle after cycle fails.
#[must_use]
pub fn findings(open: &[Need], failing: Option<&Failing>, anchors: &Anchors<'_>) -> Vec<Finding> {
    // Blind is one thing, whatever makes it so: the record of the metrics and the failed cycles are told as one.
    let blind = open.iter().find(|record| record.reason == Reason::Blind);
    let own = match (blind, failing) {
        (Some(record), _) => Some(blind_finding(&record.detail, record.opened_at)),
        (None, Some(failing)) => Some(blind_finding(&failing.said(), failing.since)),
        (None, None) => None,
    };
    let records = open.iter().filter(|record| record.reason != Reason::Blind);
    records.map(|record| finding(record, anchors.of_need(record))).chain(own).collect()
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
            "every cycle has failed since {} (phase {}): {}",
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
        headline: record.subject.clone(),
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
        headline: String::new(),
        anchor: None,
    }
}

/// What a person does first; docs/OPERATIONS.md has the rest.
fn recommendation(reason: Reason) -> &'static str {
    match reason {
        Reason::UnknownCause => {
            "look into it: no configured action treats it (`mape-k explain` shows what was seen)"
        }
        Reason::UnknownAlert => {
            "look into it: its cause is not known, so nothing is planned (`mape-k explain` shows what was seen)"
        }
        Reason::UnconfirmedAlert => {
            "look into it: Alertmanager does not confirm it, so nothing is done about it (its text says why)"
        }
        Reason::ApprovalNeeded => "decide: `mape-k approve` or `mape-k reject`",
        Reason::CapacityExhausted => {
            "raise plan.scaling.max_replicas, or find out what the load is made of"
        }
        Reason::ActionFailed => {
            "read why it failed: `mape-k explain action`; then repair it by hand"
        }
        Reason::Ineffective | Reason::Degradation | Reason::RemediesExhausted => {
            "take over: the actions that mape-k has did not help (`mape-k explain`)"
        }
        Reason::OutcomeUnknown => "look at its target and decide whether it took effect",
        Reason::Flapping => "find out why it comes and goes; nothing is planned for it meanwhile",
        Reason::AmbiguousScope => "set monitor.scope to the labels of what this loop heals",
        Reason::DataMissing => "find out why the metric is missing",
        Reason::Blind => {
            "see `mape-k status` for what cannot be read: it is neither watched nor healed meanwhile"
        }
        Reason::HandsTied => "remove what holds the action, or apply it by hand",
        Reason::Breaker => "see why the breaker opened: `mape-k status`, `mape-k explain`",
        Reason::Storm => "look for one common cause: the loop does nothing to single components",
        Reason::Budget => "apply the action by hand, or raise guardrails.budget",
    }
}
