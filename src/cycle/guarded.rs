//! What the guards keep the loop from, as people must hear of it: blind, storm, breaker, budget, hands tied.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Cycle;
use super::escalate::Left;
use crate::domain::Cause;
use crate::domain::cycle::{Hold, Ineligibility, Verdict};
use crate::domain::escalation::{Escalation, EscalationReason as Reason};
use crate::domain::ledger::Ledger;
use crate::domain::time::{Time, after, since};
use crate::escalation::Wanted;

/// Components named in one page.
const NAMED: usize = 20;

/// Something that has gone on for so many intervals is no passing thing.
pub(super) const INTERVALS: u32 = 3;

impl Cycle {
    pub(super) fn guarded(&mut self, ledger: &Ledger, left: &Left<'_>) -> Vec<Wanted> {
        let now = left.seen.snapshot.at;
        let soon = self.config.orchestrator.loop_interval * INTERVALS;
        let mut wanted = Vec::new();
        self.memory.readable_cycles =
            if left.blind { 0 } else { self.memory.readable_cycles.saturating_add(1) };
        if self.memory.readable_cycles >= INTERVALS {
            self.memory.blind_since = None;
        } else if left.blind {
            let from = *self.memory.blind_since.get_or_insert(now);
            if since(now, from) >= soon {
                wanted.push(whole(Reason::Blind, "metrics", said_blind(left, from)));
            }
        }
        if !left.refused.is_empty() {
            let detail = format!(
                "its own check refused the plan, and nothing is done while it does: {}. Please report this",
                left.refused.join("; ")
            );
            wanted.push(whole(Reason::HandsTied, "plan_refused", detail));
        }
        wanted.extend(self.storm(ledger, left));
        if let Some(tripped) = &ledger.breaker.tripped {
            let until = tripped.until.format("%H:%M:%S");
            let over = after(tripped.until, self.config.plan.guardrails.breaker.open_for);
            let over = over.format("%H:%M:%S");
            let detail = format!(
                "nothing was done from {} UTC on: {}; from {until} on one action that can be taken back is tried, and without another bad word everything goes on at {over}",
                tripped.at.format("%H:%M:%S"),
                tripped.why
            );
            wanted.push(whole(Reason::Breaker, "breaker", detail));
        }
        wanted.extend(self.held_for_long(left, now, soon));
        wanted
    }

    fn storm(&self, ledger: &Ledger, left: &Left<'_>) -> Option<Wanted> {
        let storm = ledger.storm.as_ref()?;
        let fleet =
            self.tracker.fleet(left.seen.snapshot.at, self.config.plan.guardrails.storm.within);
        let named: Vec<&str> = fleet.sick.iter().take(NAMED).map(String::as_str).collect();
        let rest = fleet.sick.len().saturating_sub(named.len());
        let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let detail = format!(
            "{} of {} components are sick at once since {} UTC: {}{rest}. Nothing is done to single components; throttling, once, is all that is let pass",
            storm.sick,
            storm.components,
            storm.since.format("%H:%M:%S"),
            named.join(", "),
        );
        let counted = left.active.iter().filter(|v| v.counts() && !v.is_finding());
        let evidence = counted.map(|v| v.fingerprint.clone()).collect();
        Some(Wanted { evidence, ..whole(Reason::Storm, "storm", detail) })
    }

    /// A cause whose remedy has been held by one and the same reason for long; budget at once.
    fn held_for_long(&mut self, left: &Left<'_>, now: Time, soon: Duration) -> Vec<Wanted> {
        let long = self.config.plan.incident_gap;
        let interval = self.config.orchestrator.loop_interval;
        let mut held = BTreeSet::new();
        let mut wanted = Vec::new();
        for candidate in &left.plan.candidates {
            if candidate.cause.0 == Cause::GIVE_BACK {
                // Nothing is wrong that somebody would have to see to.
                continue;
            }
            let (reason, detail) = match &candidate.verdict {
                Verdict::Held { reason, detail } => (*reason, detail),
                // Unread for as long as missing data may be: a remedy is due, and nobody can see whether it still is.
                Verdict::Ineligible { reason: Ineligibility::Unconfirmed, detail } => {
                    (Hold::StaleData, detail)
                }
                Verdict::Chosen
                | Verdict::Outranked { .. }
                | Verdict::Impossible { .. }
                | Verdict::Ineligible { .. } => continue,
            };
            let unread = self.config.analyze.missing_after;
            let (escalated, patience) = match reason {
                Hold::BudgetExhausted => (Reason::Budget, Duration::ZERO),
                Hold::Paused | Hold::ModeObserve | Hold::NotLeading => (Reason::HandsTied, soon),
                // In the third cycle that wanted to act, however they jitter.
                Hold::CharterUnreachable => (Reason::HandsTied, interval * 3 / 2),
                Hold::StaleData => (Reason::HandsTied, unread),
                Hold::Cooldown | Hold::OppositeDirection | Hold::FleetLimit | Hold::InFlight => {
                    (Reason::HandsTied, long)
                }
                // People have been told of these under a name of their own.
                Hold::Storm
                | Hold::BreakerOpen
                | Hold::Judging
                | Hold::OutcomeUnknown
                | Hold::Rejected
                | Hold::ApprovalPending
                | Hold::NotBegun => continue,
            };
            let key = (candidate.cause.clone(), reason.as_str());
            if !held.insert(key.clone()) {
                continue;
            }
            let from = *self.memory.held_since.entry(key).or_insert(now);
            if since(now, from) < patience {
                continue;
            }
            let remedy = candidate
                .planned
                .as_ref()
                .map_or_else(|| candidate.action.to_string(), ToString::to_string);
            wanted.push(Wanted {
                reason: escalated,
                cause: Some(candidate.cause.clone()),
                // One record for a cause, whichever of its components comes first.
                component: None,
                subject: reason.as_str().to_owned(),
                detail: format!("{remedy} would be due, and is held: {detail}"),
                evidence: evidence(left, &candidate.cause),
            });
        }
        self.memory.held_since.retain(|key, _| held.contains(key));
        wanted
    }
}

/// In a storm every sick component has something to say: one page is opened, and nothing new of theirs beside it.
pub(super) fn only_the_storm(
    wanted: &mut Vec<Wanted>,
    sick: &BTreeSet<String>,
    open: &[Escalation],
) {
    let known: BTreeSet<_> = open.iter().map(Escalation::key).collect();
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

fn said_blind(left: &Left<'_>, from: Time) -> String {
    let unread = left.seen.snapshot.sources.iter().find_map(|s| s.result.as_ref().err());
    let text = unread.map(|failure| failure.text.as_str()).unwrap_or_default();
    format!(
        "the metrics have not been readable since {} UTC, so nothing is done: {text}",
        from.format("%H:%M:%S")
    )
}

fn whole(reason: Reason, subject: &str, detail: String) -> Wanted {
    Wanted {
        reason,
        cause: None,
        component: None,
        subject: subject.to_owned(),
        detail,
        evidence: Vec::new(),
    }
}

fn evidence(left: &Left<'_>, cause: &Cause) -> Vec<String> {
    let roots = left.analysis.root_causes.iter().filter(|r| &r.cause == cause);
    roots.flat_map(|r| r.evidence.iter().cloned()).collect()
}
