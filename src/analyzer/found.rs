//! Findings of the cluster among the violations: opened, confirmed and cleared as the others are, by what could be read.
//!
//! A finding is clear when everything that would show it in its namespace was read and its owner is there without it. What
//! could not be read is neither opened nor cleared; a finding whose owner is gone has vanished, which is no success.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::cluster::owners;
use super::tracked::Beginning;
use super::tracking::{Changes, Tracker};
use crate::domain::cluster::ClusterReading;
use crate::domain::finding::FindingKind;
use crate::domain::incident::Absence;
use crate::domain::time::Time;
use crate::domain::violation::Violation;

/// What one cycle found in the cluster.
#[derive(Debug, Default)]
pub struct Found<'a> {
    /// [`Finding::as_violation`](crate::domain::finding::Finding::as_violation) of each.
    pub violations: Vec<Violation>,
    /// `None`: Kubernetes is not looked at.
    pub reading: Option<&'a ClusterReading>,
}

impl Tracker {
    pub(super) fn observe_found(
        &mut self,
        found: &Found<'_>,
        now: Time,
        changes: &mut Changes,
        new_id: &mut dyn FnMut() -> Uuid,
    ) {
        for violation in &found.violations {
            self.follow(violation, changes);
            let beginning = Beginning { now, good: true, onset: false };
            let described = || violation.clone();
            self.broken(&violation.fingerprint, beginning, described, changes, new_id);
        }
        let present: BTreeSet<&str> =
            found.violations.iter().map(|v| v.fingerprint.as_str()).collect();
        let absent: Vec<Violation> = self
            .active()
            .filter(|v| v.is_finding() && !present.contains(&*v.fingerprint))
            .cloned()
            .collect();
        if absent.is_empty() {
            return;
        }
        let there = found.reading.map(There::of);
        for violation in absent {
            let fp = &violation.fingerprint;
            let namespace = violation.target.as_ref().and_then(|target| target.namespace());
            let kind = FindingKind::of_cluster(&violation.rule);
            let absence = |there: &There<'_>| there.absence(kind, namespace, &violation.metric);
            match there.as_ref().map_or(Absence::Vanished, absence) {
                Absence::Unread | Absence::Muted => {}
                Absence::Clear => self.clear(fp, now, changes),
                Absence::Vanished => self.drop_violation(fp, changes),
            }
        }
    }

    /// An active violation follows what its finding says now. One that no longer counts has not recovered: nothing that was
    /// done about it may be called a success.
    fn follow(&mut self, fresh: &Violation, changes: &mut Changes) {
        let fp = &fresh.fingerprint;
        let Some(tracked) = self.violations.get_mut(fp).filter(|t| t.active) else { return };
        let known = &tracked.record.violation;
        if known.counts() && !fresh.counts() {
            changes.vanished.push(fp.clone());
        }
        let is_as_stored = (known.severity, &known.cause, &known.target, &known.component)
            == (fresh.severity, &fresh.cause, &fresh.target, &fresh.component);
        tracked.redescribe(fresh.clone());
        if !is_as_stored {
            self.mark_unsaved(fp);
        }
    }
}

/// Everything in the cluster, to know a finding that has ended from one whose owner is gone.
#[derive(Debug)]
pub struct There<'a> {
    reading: &'a ClusterReading,
    owners: BTreeSet<(&'a str, String)>,
}

impl<'a> There<'a> {
    #[must_use]
    pub fn of(reading: &'a ClusterReading) -> Self {
        Self { reading, owners: owners(reading) }
    }

    /// What it means that this owner shows no such finding. `None`: an older version knew its kind.
    #[must_use]
    pub fn absence(
        &self,
        kind: Option<FindingKind>,
        namespace: Option<&str>,
        owner: &str,
    ) -> Absence {
        let key = (namespace.unwrap_or_default(), owner.to_owned());
        match kind {
            Some(kind) if kind.is_hidden(self.reading, namespace) => Absence::Unread,
            Some(kind) if !kind.is_expected(self.reading, namespace) => Absence::Vanished,
            Some(_) if self.owners.contains(&key) => Absence::Clear,
            Some(_) | None => Absence::Vanished,
        }
    }
}
