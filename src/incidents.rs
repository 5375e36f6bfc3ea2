//! Need: what the loop cannot or may not fix itself, one record per (reason, cause, component, subject).
//!
//! Pure: opens what is wanted and not open, refreshes what is open, closes what its reason says has ended.
//! Who is notified of a cycle's findings, these records among them, is decided in the modules below, in this order:
//!
//! ```text
//! findings ─▶ severity ─▶ board (incidents, trend, hours, correlation) ─▶ rules ─▶ board.decide ─▶ compose ─▶ messages
//!               ▲           ▲                                                                      │
//!           catalogue    stored incidents ◀──────────────── tracker  ◀──────── deliveries ◀──────┘
//! ```

pub mod evidence;
pub mod settings;

pub mod severity;

pub mod compose;
pub mod correlation;
pub mod hours;
pub mod rules;
pub mod tracker;
pub mod trend;

mod incident;
mod title;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::domain::Cause;
use crate::domain::need::{ApprovalRequest, Need, NeedReason as Reason};
use crate::domain::target::Target;
use crate::domain::time::{Time, since};

/// What a person is asked for, as one cycle sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct NeedRequest {
    pub reason: Reason,
    pub cause: Option<Cause>,
    pub component: Option<String>,
    pub subject: String,
    pub detail: String,
    pub evidence: Vec<String>,
    /// What it is about, where its evidence does not say so.
    pub target: Option<Target>,
    pub approval: Option<ApprovalRequest>,
}

impl NeedRequest {
    /// Without cause, component, evidence and target.
    #[must_use]
    pub fn new(reason: Reason, subject: impl Into<String>, detail: String) -> Self {
        Self {
            reason,
            cause: None,
            component: None,
            subject: subject.into(),
            detail,
            evidence: Vec::new(),
            target: None,
            approval: None,
        }
    }

    /// A record of it, seen for the first time.
    #[must_use]
    pub fn opened(self, id: Uuid, now: Time) -> Need {
        Need {
            id,
            reason: self.reason,
            cause: self.cause,
            component: self.component,
            subject: self.subject,
            detail: self.detail,
            evidence: self.evidence,
            opened_at: now,
            closed_at: None,
            times_seen: 1,
            last_active_at: now,
            target: self.target,
            approval: self.approval,
            incident: None,
        }
    }
}

/// What decides whether an open record ends.
#[derive(Debug)]
pub struct Situation<'a> {
    pub now: Time,
    /// Fingerprints of active violations.
    pub active: &'a BTreeSet<String>,
    /// Those of them that were read as broken in this very cycle.
    pub confirmed: &'a BTreeSet<String>,
    /// Rules whose data is missing, for however long: after a restart it is missing before it is so for too long.
    pub missing: &'a BTreeSet<String>,
    /// (cause, component) of executions that completed in this cycle.
    pub succeeded: &'a [(Cause, String)],
    /// States of the whole that last: blind, storm, breaker (open or half-open), no `monitor.scope`.
    pub lasting: &'a BTreeSet<Reason>,
    /// How long the evidence must be clear for records that close only then (10 minutes).
    pub quiet: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    pub opened: Vec<Need>,
    /// Open as before; what is known of them has changed.
    pub refreshed: Vec<Need>,
    /// Open as before, with nothing new to store.
    pub unchanged: Vec<Need>,
    pub closed: Vec<Need>,
}

type Key = (Reason, Option<Cause>, Option<String>, String);

#[must_use]
pub fn reconcile(
    open: Vec<Need>,
    wanted: Vec<NeedRequest>,
    situation: &Situation<'_>,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Changes {
    let now = situation.now;
    let mut changes = Changes::default();
    let mut wanted = grouped(wanted);
    let known_now: BTreeSet<Key> = wanted.keys().cloned().collect();
    for mut record in open {
        let told = wanted.remove(&record.key());
        let notified_now = told.is_some();
        if let Some(want) = told {
            record.times_seen += 1;
            record.detail = want.detail;
            record.approval = want.approval;
            let evidence = record.evidence.drain(..).chain(want.evidence).collect();
            record.evidence = bounded(evidence, situation.active);
        }
        let active = record.evidence.iter().any(|fp| situation.active.contains(fp));
        if active || notified_now {
            record.last_active_at = now;
        }
        if is_over(&record, active, notified_now, &known_now, situation) {
            record.closed_at = Some(now);
            changes.closed.push(record);
        } else if active || notified_now {
            changes.refreshed.push(record);
        } else {
            changes.unchanged.push(record);
        }
    }
    for mut want in wanted.into_values() {
        want.evidence = bounded(want.evidence.into_iter().collect(), situation.active);
        changes.opened.push(want.opened(new_id(), now));
    }
    changes
}

/// What is wanted more than once in a cycle is one thing with all the evidence, in the last one's words.
fn grouped(wanted: Vec<NeedRequest>) -> BTreeMap<Key, NeedRequest> {
    let mut by_key: BTreeMap<Key, NeedRequest> = BTreeMap::new();
    for mut want in wanted {
        let key = (want.reason, want.cause.clone(), want.component.clone(), want.subject.clone());
        if let Some(held) = by_key.get_mut(&key) {
            held.detail = want.detail;
            held.approval = want.approval;
            held.evidence.append(&mut want.evidence);
        } else {
            by_key.insert(key, want);
        }
    }
    by_key
}

/// Evidence kept with a record: enough to see what it was about, bounded under a storm.
const MAX_EVIDENCE: usize = 1_000;

/// Beyond the bound the active ones stay: they decide when a record ends.
fn bounded(evidence: BTreeSet<String>, active: &BTreeSet<String>) -> Vec<String> {
    if evidence.len() <= MAX_EVIDENCE {
        return evidence.into_iter().collect();
    }
    let (still, over): (Vec<_>, Vec<_>) = evidence.into_iter().partition(|fp| active.contains(fp));
    still.into_iter().chain(over).take(MAX_EVIDENCE).collect()
}

/// The table's last column. Clear: none of the violations of its evidence is active.
fn is_over(
    record: &Need,
    active: bool,
    notified_now: bool,
    known_now: &BTreeSet<Key>,
    situation: &Situation<'_>,
) -> bool {
    let clear_for_long =
        !active && !notified_now && since(situation.now, record.last_active_at) >= situation.quiet;
    match record.reason {
        Reason::UnknownCause
        | Reason::UnknownAlert
        | Reason::CapacityExhausted
        // The next free slot is no end of it: only the cause's end is.
        | Reason::Budget
        | Reason::Ineffective
        | Reason::Degradation
        // A flapping violation counts as active until it has been clear for that long.
        | Reason::Flapping => !active && !notified_now,
        // Once it is confirmed, it is treated as any other.
        Reason::UnconfirmedAlert => {
            let confirmed = record.evidence.iter().any(|fp| situation.confirmed.contains(fp));
            !notified_now && (!active || confirmed)
        }
        Reason::ApprovalNeeded => !notified_now,
        // Nothing can be said of what keeps the loop from acting before it has acted, or there is nothing to do.
        Reason::ActionFailed | Reason::HandsTied => {
            let succeeded = situation.succeeded.iter().any(|(cause, component)| {
                record.cause.as_ref() == Some(cause)
                    && record.component.as_ref().is_none_or(|own| own == component)
            });
            !notified_now && (succeeded || !active)
        }
        // The next run of the same thing was judged: its state is known.
        Reason::OutcomeUnknown => {
            let judged = |reason| {
                let (_, cause, component, subject) = record.key();
                known_now.contains(&(reason, cause, component, subject))
            };
            let known = judged(Reason::Ineffective) || judged(Reason::Degradation);
            (known && !notified_now) || clear_for_long
        }
        Reason::RemediesExhausted => clear_for_long,
        Reason::AmbiguousScope | Reason::Blind => !situation.lasting.contains(&record.reason),
        // Each system has its own, and every cycle tells of all that last.
        Reason::Storm | Reason::Breaker => {
            let other_notified = known_now.iter().any(|(reason, ..)| *reason == record.reason);
            !situation.lasting.contains(&record.reason) || (other_notified && !notified_now)
        }
        Reason::DataMissing => !notified_now && !situation.missing.contains(&record.subject),
    }
}
