//! Escalation: what the loop cannot or may not fix itself, one record per (reason, cause, component, subject).
//!
//! Pure: opens what is wanted and not open, refreshes what is open, closes what its reason says is over.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::domain::Cause;
use crate::domain::escalation::{Escalation, EscalationReason as Reason};
use crate::domain::time::{Time, since};

/// Something that people must be told, as one cycle sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub reason: Reason,
    pub cause: Option<Cause>,
    pub component: Option<String>,
    pub subject: String,
    pub detail: String,
    pub evidence: Vec<String>,
}

impl Wanted {
    /// As [`Escalation::key`].
    fn key(&self) -> (Reason, Option<Cause>, Option<String>, String) {
        (self.reason, self.cause.clone(), self.component.clone(), self.subject.clone())
    }
}

/// What decides whether an open record is over.
#[derive(Debug)]
pub struct Situation<'a> {
    pub now: Time,
    /// Fingerprints of active violations.
    pub active: &'a BTreeSet<String>,
    /// (cause, component) of executions that completed in this cycle.
    pub succeeded: &'a [(Cause, String)],
    /// `monitor.scope` is set.
    pub scoped: bool,
    /// How long the evidence must be clear for records that close only then (10 minutes).
    pub quiet: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    pub opened: Vec<Escalation>,
    pub refreshed: Vec<Escalation>,
    pub closed: Vec<Escalation>,
}

#[must_use]
pub fn reconcile(
    open: Vec<Escalation>,
    wanted: Vec<Wanted>,
    situation: &Situation<'_>,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Changes {
    let now = situation.now;
    let mut changes = Changes::default();
    let mut still_open = open;
    let mut places = BTreeMap::new();
    for (place, record) in still_open.iter().enumerate() {
        places.entry(record.key()).or_insert(place);
    }
    let mut asserted: BTreeSet<Uuid> = BTreeSet::new();
    for want in merged(wanted) {
        if let Some(place) = places.get(&want.key()) {
            let known = &mut still_open[*place];
            asserted.insert(known.id);
            known.times_seen += 1;
            known.detail = want.detail;
            let evidence: BTreeSet<String> =
                known.evidence.drain(..).chain(want.evidence).collect();
            known.evidence = bounded(evidence);
            known.last_active_at = now;
            continue;
        }
        let record = Escalation {
            id: new_id(),
            reason: want.reason,
            cause: want.cause,
            component: want.component,
            subject: want.subject,
            detail: want.detail,
            evidence: bounded(want.evidence.into_iter().collect()),
            opened_at: now,
            closed_at: None,
            times_seen: 1,
            last_active_at: now,
        };
        changes.opened.push(record);
    }
    for mut record in still_open {
        let active = record.evidence.iter().any(|fp| situation.active.contains(fp));
        if active {
            record.last_active_at = now;
        }
        let told_now = asserted.contains(&record.id);
        if is_over(&record, active, told_now, situation) {
            record.closed_at = Some(now);
            changes.closed.push(record);
        } else if active || told_now {
            changes.refreshed.push(record);
        }
    }
    changes
}

/// What several violations ask for is told once; the last one's words stand.
fn merged(wanted: Vec<Wanted>) -> Vec<Wanted> {
    let mut places = BTreeMap::new();
    let mut merged: Vec<Wanted> = Vec::new();
    for want in wanted {
        match places.entry(want.key()) {
            Entry::Vacant(entry) => {
                entry.insert(merged.len());
                merged.push(want);
            }
            Entry::Occupied(entry) => {
                let known = &mut merged[*entry.get()];
                known.detail = want.detail;
                known.evidence.extend(want.evidence);
            }
        }
    }
    merged
}

/// Evidence kept with a record: enough to see what it was about, bounded under a storm.
const MAX_EVIDENCE: usize = 1_000;

fn bounded(evidence: BTreeSet<String>) -> Vec<String> {
    evidence.into_iter().take(MAX_EVIDENCE).collect()
}

/// The table's last column. Clear: none of the violations of its evidence is active.
fn is_over(record: &Escalation, active: bool, told_now: bool, situation: &Situation<'_>) -> bool {
    let clear_for_long =
        !active && !told_now && since(situation.now, record.last_active_at) >= situation.quiet;
    match record.reason {
        Reason::UnknownCause
        | Reason::UnknownAlert
        | Reason::CapacityExhausted
        | Reason::Ineffective
        | Reason::Degradation => !active && !told_now,
        Reason::ApprovalNeeded | Reason::DataMissing => !told_now,
        Reason::ActionFailed => {
            let succeeded = situation.succeeded.iter().any(|(cause, component)| {
                record.cause.as_ref() == Some(cause) && record.component.as_ref() == Some(component)
            });
            !told_now && (succeeded || !active)
        }
        Reason::OutcomeUnknown | Reason::RemediesExhausted | Reason::Flapping => clear_for_long,
        Reason::AmbiguousScope => situation.scoped,
    }
}
