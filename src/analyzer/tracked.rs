//! One violation with the memory that the detectors need, and the values that a broken rule gives it.

use std::collections::VecDeque;
use std::time::Duration;

use super::settings::Settings;
use crate::domain::time::{Time, since};
use crate::domain::violation::{TrackedViolation, Violation};

#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub record: TrackedViolation,
    pub active: bool,
    /// Cycles in which it was confirmed: the number of the scheduled cycle (`None` for a woken one) and the time. Kept
    /// across a short clear: three of the last four cycles need not be in a row.
    pub marks: VecDeque<(Option<u64>, Time)>,
    /// It has been an occurrence before, however long ago: a woken cycle adds only the first.
    occurred: bool,
    /// Its series or alert was last there at all.
    pub last_seen: Time,
    pub origin: Origin,
}

/// Where an episode comes from, as long as that leaves something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Seen,
    /// An alert that nobody could confirm: whether this is a witnessed beginning is said when somebody can.
    Unconfirmed,
    /// The store, and not read since: rules and handlers may have changed in between.
    Store,
}

/// How a broken reading came about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    pub now: Time,
    /// Seen, in data that can be believed. An alert that cannot be confirmed is not.
    pub good: bool,
    /// This is a beginning that we witnessed.
    pub onset: bool,
}

impl Tracked {
    pub(super) fn opened(record: TrackedViolation, now: Time, before: Option<Self>) -> Self {
        let (marks, occurred) = before.map(|t| (t.marks, t.occurred)).unwrap_or_default();
        Self { record, active: true, marks, occurred, last_seen: now, origin: Origin::Seen }
    }

    pub(super) fn restored(record: TrackedViolation, started_at: Time) -> Self {
        Self {
            active: record.violation.cleared_at.is_none(),
            marks: VecDeque::new(),
            occurred: false,
            last_seen: started_at,
            origin: Origin::Store,
            record,
        }
    }

    /// Counts this cycle as an occurrence, if it is one.
    pub(super) fn mark(&mut self, scheduled: Option<u64>, now: Time, settings: &Settings) {
        let window = marks_kept(settings);
        while self.marks.front().is_some_and(|(_, at)| since(now, *at) > window) {
            self.marks.pop_front();
        }
        let first = !self.occurred;
        if self.active && self.record.violation.confirmed && (scheduled.is_some() || first) {
            self.marks.push_back((scheduled, now));
            self.occurred = true;
        }
    }

    pub(super) fn close(&mut self, now: Time) {
        self.active = false;
        let violation = &mut self.record.violation;
        violation.cleared_at = Some(now);
        violation.confirmed = false;
        if std::mem::take(&mut violation.flapping) {
            self.record.returns.clear();
        }
        self.record.clear_since = None;
    }

    /// Takes over what configuration decides; what was seen of this episode stays.
    pub(super) fn redescribe(&mut self, fresh: Violation) {
        let known = &mut self.record.violation;
        *known = Violation {
            id: known.id,
            detected_at: known.detected_at,
            active_since: known.active_since,
            cleared_at: known.cleared_at,
            flapping: known.flapping,
            confirmed: known.confirmed,
            ..fresh
        };
        self.origin = Origin::Seen;
    }
}

/// Occurrences count within the larger of five minutes and four intervals.
pub(super) fn occurrence_window(settings: &Settings) -> Duration {
    settings.occurrence_window.max(settings.interval * 4)
}

/// Long enough for the occurrences and for `sustained`, one cycle of slack for a late one.
fn marks_kept(settings: &Settings) -> Duration {
    let of = u32::try_from(settings.algorithms.sustained.of).unwrap_or(u32::MAX);
    let sustained = settings.interval.saturating_mul(of.saturating_add(1));
    occurrence_window(settings).max(sustained)
}
