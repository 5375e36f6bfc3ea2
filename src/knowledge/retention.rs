//! How long everything is kept: each collection has a bound, and what is still open is never dropped for its age.

use std::time::Duration;

use chrono::TimeDelta;

use super::Knowledge;
use super::documents::{CLEARED, CLOSED, DONE, FIRING};
use super::inbox::MAX_ALERTS;
use super::settings::Settings;
use super::store::{Bound, Collection, StoreError};
use crate::domain::execution::ExecutionStatus;
use crate::domain::policy::Approval;
use crate::domain::time::Time;

/// Records of one kind that people look back at: at 30 s a cycle 10,000 reports are 3.5 days without one quiet cycle,
/// and at some 10 kB each they stay near 100 MB.
const HISTORY: usize = 10_000;

/// Four times what may wait in the outbox.
const OUTBOX: usize = 2_000;

/// Records deleted in one transaction: some ten milliseconds of the one writer, and then deliveries get in between.
const DROPPED_AT_ONCE: usize = 500;

/// What a prune has dropped so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub records: u64,
    /// Of them alerts that still fired or that no cycle had seen, given up because more than the store keeps were there.
    pub alerts_lost: u64,
}

impl Knowledge {
    /// Applies every bound and counts as it goes, so that what was dropped before a failure is reported too.
    pub async fn prune(
        &self,
        now: Time,
        pattern_history_limit: usize,
        pruned: &mut Pruned,
    ) -> Result<(), StoreError> {
        for bound in bounds(&self.settings, now, pattern_history_limit) {
            loop {
                let dropped = self.store.prune_under(self.fence(), &bound, DROPPED_AT_ONCE).await?;
                if dropped.is_empty() {
                    break;
                }
                pruned.records += dropped.values().sum::<u64>();
                if bound.collection == Collection::Alerts && bound.not_before.is_none() {
                    let lost = dropped.iter().filter(|(tag, _)| *tag != DONE);
                    pruned.alerts_lost += lost.map(|(_, count)| count).sum::<u64>();
                }
            }
        }
        Ok(())
    }
}

fn bounds(settings: &Settings, now: Time, pattern_history_limit: usize) -> Vec<Bound> {
    let old = before(now, settings.retention);
    let history = |collection, tag: Option<&str>| Bound {
        collection,
        tag: tag.map(str::to_owned),
        newest: HISTORY,
        not_before: Some(old),
    };
    Collection::ALL
        .into_iter()
        .flat_map(|collection| match collection {
            // Keys are needed as long as Alertmanager may repeat itself. By tag, and what nobody has taken in yet is
            // not dropped for its age: it was acknowledged. (Of the firing ones the cycle has just marked all it read.)
            Collection::Alerts => {
                let stale = |tag: &str| Bound {
                    collection,
                    tag: Some(tag.to_owned()),
                    newest: usize::MAX,
                    not_before: Some(before(now, settings.alert_retention)),
                };
                let newest = |tag: Option<&str>, newest| Bound {
                    collection,
                    tag: tag.map(str::to_owned),
                    newest,
                    not_before: None,
                };
                // The intake refuses what would pass the second; it guards against a store that somebody else filled.
                let too_many = [newest(Some(DONE), MAX_ALERTS), newest(None, 2 * MAX_ALERTS)];
                [stale(DONE), stale(FIRING)].into_iter().chain(too_many).collect()
            }
            // As many cleared ones as there may be series; an active one is there until seen clear.
            Collection::Violations => vec![Bound {
                collection,
                tag: Some(CLEARED.to_owned()),
                newest: MAX_ALERTS,
                not_before: Some(old),
            }],
            Collection::Analyses => vec![Bound {
                collection,
                tag: None,
                newest: pattern_history_limit,
                not_before: Some(old),
            }],
            // Not by age: what was learned from an outcome holds until newer ones push it out, and statistics are
            // the same however long the process was down.
            Collection::Outcomes => vec![Bound {
                collection,
                tag: None,
                newest: settings.outcome_history_limit,
                not_before: None,
            }],
            // Open ones are one for each (cause, component).
            Collection::Policies => Approval::ALL
                .into_iter()
                .filter(|approval| !approval.is_open())
                .map(|approval| history(collection, Some(approval.as_str())))
                .collect(),
            // An execution that has not ended is in the hands of recovery.
            Collection::Executions => {
                [ExecutionStatus::Completed, ExecutionStatus::Failed, ExecutionStatus::RolledBack]
                    .into_iter()
                    .map(|status| history(collection, Some(status.into())))
                    .collect()
            }
            // Never: one for each ground, deleted with its verdict, and one for each temporary action until it is over. A
            // lost one would be an action that is neither judged nor waited for, or one that nobody ends.
            Collection::Verifications | Collection::ExpiringActions => vec![],
            // Open ones are one for each (reason, cause, component, subject).
            Collection::Needs => vec![history(collection, Some(CLOSED))],
            // What waits is never dropped for its age. The outbox bounds itself; this guards against what nobody takes in.
            Collection::Outbox => {
                vec![Bound { collection, tag: None, newest: OUTBOX, not_before: None }]
            }
            // Insights are one for each (cause, action), facts one for each name in the code: the count only guards.
            Collection::Insights
            | Collection::Treatments
            | Collection::Incidents
            | Collection::Cycles
            | Collection::Pauses => vec![history(collection, None)],
            Collection::Facts => {
                vec![Bound { collection, tag: None, newest: HISTORY, not_before: None }]
            }
        })
        .collect()
}

fn before(now: Time, age: Duration) -> Time {
    TimeDelta::from_std(age)
        .ok()
        .and_then(|age| now.checked_sub_signed(age))
        .unwrap_or(Time::MIN_UTC)
}
