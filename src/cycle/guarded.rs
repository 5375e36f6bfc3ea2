//! What the guards keep the loop from, as people must hear of it: blind, storm, breaker, budget, hands tied.

use std::collections::BTreeSet;
use std::time::Duration;

use super::kit::Kit;
use super::needs::{CycleOutcome, Escalate};
use crate::domain::Cause;
use crate::domain::cycle::{CandidateResult, Hold, Ineligibility};
use crate::domain::ledger::{Ledger, Storm, Tripped};
use crate::domain::need::{Need, NeedReason as Reason};
use crate::domain::target::{System, Target};
use crate::domain::time::{self, Time, after, since};
use crate::domain::treatment::Treatment;
use crate::domain::violation::Violation;
use crate::incidents::NeedRequest;

/// Components named in one page.
const NAMED: usize = 20;

/// Something that has gone on for so many intervals is no passing thing.
pub(super) const INTERVALS: u32 = 3;

impl Escalate {
    pub(super) fn guarded(
        &mut self,
        kit: &Kit,
        ledger: &Ledger,
        left: &CycleOutcome<'_>,
    ) -> Vec<NeedRequest> {
        let now = left.seen.snapshot.at;
        let soon = kit.config.orchestrator.loop_interval * INTERVALS;
        let mut wanted = Vec::new();
        self.readable_cycles = if left.blind { 0 } else { self.readable_cycles.saturating_add(1) };
        if self.readable_cycles >= INTERVALS {
            self.blind_since = None;
        } else if left.blind {
            let from = *self.blind_since.get_or_insert(now);
            if since(now, from) >= soon {
                wanted.push(NeedRequest::new(Reason::Blind, "metrics", said_blind(left, from)));
            }
        }
        if !left.refused.is_empty() {
            let detail = format!(
                "the plan failed its own check, which is a defect, and nothing is done while it does: {}. Please report this",
                left.refused.join("; ")
            );
            wanted.push(NeedRequest::new(Reason::HandsTied, "plan_refused", detail));
        }
        for system in System::ALL {
            let storm = ledger.storm(system).map(|storm| said_storm(system, storm, left));
            let tripped = ledger.tripped(system).map(|tripped| said_breaker(kit, system, tripped));
            wanted.extend(storm);
            wanted.extend(tripped);
        }
        wanted.extend(self.held_for_long(kit, left, now, soon));
        wanted
    }

    /// A cause whose action has been held by one and the same reason for long; budget at once.
    fn held_for_long(
        &mut self,
        kit: &Kit,
        left: &CycleOutcome<'_>,
        now: Time,
        soon: Duration,
    ) -> Vec<NeedRequest> {
        let long = kit.config.plan.incident_gap;
        let interval = kit.config.orchestrator.loop_interval;
        let mut held = BTreeSet::new();
        let mut wanted = Vec::new();
        for candidate in &left.plan.candidates {
            if candidate.cause.0 == Cause::SCALE_BACK {
                // Nothing is wrong that somebody would have to see to.
                continue;
            }
            let (reason, detail) = match &candidate.verdict {
                CandidateResult::Held { reason, detail } => (*reason, detail),
                // Unread for as long as missing data may be: a remedy is due, and nobody can see whether it still is.
                CandidateResult::Ineligible { reason: Ineligibility::Unconfirmed, detail } => {
                    (Hold::StaleData, detail)
                }
                CandidateResult::Chosen
                | CandidateResult::Outranked { .. }
                | CandidateResult::Impossible { .. }
                | CandidateResult::Ineligible { .. } => continue,
            };
            let unread = kit.config.analyze.missing_after;
            let (escalated, patience) = match reason {
                Hold::BudgetExhausted => (Reason::Budget, Duration::ZERO),
                Hold::Paused | Hold::ModeObserve | Hold::NotLeading => (Reason::HandsTied, soon),
                // In the third cycle that wanted to act, however they jitter.
                Hold::CharterUnreachable | Hold::ClusterUnreadable | Hold::TargetMissing => {
                    (Reason::HandsTied, interval * 3 / 2)
                }
                Hold::StaleData => (Reason::HandsTied, unread),
                Hold::Cooldown
                | Hold::OppositeDirection
                | Hold::FleetLimit
                | Hold::InFlight
                | Hold::OptedOut
                | Hold::Protected => (Reason::HandsTied, long),
                // People have been told of these under a name of their own.
                Hold::Storm
                | Hold::BreakerOpen
                | Hold::Verifying
                | Hold::OutcomeUnknown
                | Hold::Rejected
                | Hold::ApprovalPending
                | Hold::NotBegun => continue,
            };
            let treatment = left.plan.treatment_for(candidate);
            // One record for all that Charter as a whole is treated for, whichever service comes first.
            let component = treatment
                .and_then(|one| one.target.as_ref())
                .filter(|target| **target != Target::Charter(None))
                .map(|target| target.component().to_owned());
            let key = (candidate.cause.clone(), component.clone(), reason.as_str());
            if !held.insert(key.clone()) {
                continue;
            }
            let from = *self.held_since.entry(key).or_insert(now);
            if since(now, from) < patience {
                continue;
            }
            let action = candidate
                .planned
                .as_ref()
                .map_or_else(|| candidate.action.to_string(), ToString::to_string);
            let detail = format!("{action} is due and held: {detail}");
            wanted.push(NeedRequest {
                cause: Some(candidate.cause.clone()),
                component,
                evidence: treatment.map(|one| evidence(left, one)).unwrap_or_default(),
                ..NeedRequest::new(escalated, reason.as_str(), detail)
            });
        }
        self.held_since.retain(|key, _| held.contains(key));
        wanted
    }
}

fn said_breaker(kit: &Kit, system: System, tripped: &Tripped) -> NeedRequest {
    let over = after(tripped.until, kit.config.plan.guardrails.breaker.open_for);
    let detail = format!(
        "nothing is done to {} since {}: {}. From {} on one action that can be undone is tried; if it does no harm, all actions go on at {}",
        said(system),
        time::text(tripped.at),
        tripped.why,
        time::text(tripped.until),
        time::text(over),
    );
    NeedRequest::new(Reason::Breaker, subject("breaker", system), detail)
}

/// In a storm every sick component has something to say: one page is opened, and nothing new of theirs beside it.
pub(super) fn only_the_storm(
    wanted: &mut Vec<NeedRequest>,
    sick: &BTreeSet<String>,
    open: &[Need],
) {
    let known: BTreeSet<_> = open.iter().map(Need::key).collect();
    wanted.retain(|w| match w.reason {
        Reason::UnknownCause
        | Reason::UnknownAlert
        | Reason::UnconfirmedAlert
        | Reason::Flapping => {
            !w.component.as_ref().is_some_and(|name| sick.contains(name))
                || known.contains(&(
                    w.reason,
                    w.cause.clone(),
                    w.component.clone(),
                    w.subject.clone(),
                ))
        }
        _ => true,
    });
}

/// What of a system is held, in words.
fn said(system: System) -> &'static str {
    match system {
        System::Charter => "Charter",
        System::Kubernetes => "Kubernetes",
        System::Hook => "what hooks change",
    }
}

/// Charter's is known by the bare name, as it was when there was no other system.
fn subject(what: &str, system: System) -> String {
    match system {
        System::Charter => what.to_owned(),
        System::Kubernetes | System::Hook => format!("{what} of {system}"),
    }
}

fn said_storm(system: System, storm: &Storm, left: &CycleOutcome<'_>) -> NeedRequest {
    let since = time::text(storm.since);
    let detail = match system {
        System::Kubernetes => format!(
            "{} of {} nodes are NotReady and {} of {} workloads became sick lately, in a storm since {since}. Nothing is done to Kubernetes",
            storm.not_ready, storm.nodes, storm.sick, storm.components
        ),
        System::Charter | System::Hook => {
            let sick = left.fleets.get(&system).map(|fleet| &fleet.sick);
            let all = || sick.into_iter().flatten().map(String::as_str);
            let named: Vec<&str> = all().take(NAMED).collect();
            let rest = all().count().saturating_sub(named.len());
            let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            let lets = match system {
                System::Charter => {
                    "Nothing is done to single components; one throttling of Charter is allowed"
                }
                System::Kubernetes | System::Hook => "No hook is called for them",
            };
            format!(
                "{} of {} components of {} are sick at once since {since}: {}{rest}. {lets}",
                storm.sick,
                storm.components,
                said(system),
                named.join(", "),
            )
        }
    };
    let is_own = |v: &Violation| v.target.as_ref().is_some_and(|t| t.system() == system);
    let counted = left.active.iter().filter(|v| v.counts());
    let evidence = counted.filter(|v| is_own(v)).map(|v| v.fingerprint.clone()).collect();
    NeedRequest { evidence, ..NeedRequest::new(Reason::Storm, subject("storm", system), detail) }
}

fn said_blind(left: &CycleOutcome<'_>, from: Time) -> String {
    let unread = left.seen.snapshot.sources.iter().find_map(|s| s.result.as_ref().err());
    let text = unread.map(|failure| failure.text.as_str()).unwrap_or_default();
    format!(
        "the metrics have not been readable since {}, so nothing is done about what they would show: {text}",
        time::text(from)
    )
}

fn evidence(left: &CycleOutcome<'_>, treatment: &Treatment) -> Vec<String> {
    let roots = left.analysis.root_causes.iter().filter(|r| treatment.has_root(r));
    roots.flat_map(|r| r.evidence.iter().cloned()).collect()
}
