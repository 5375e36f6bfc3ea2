//! How much of the fleet is sick: which components are known, which are broken, which began to break just now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::tracking::Tracker;
use crate::domain::Cause;
use crate::domain::fleet::Fleet;
use crate::domain::reading::Snapshot;
use crate::domain::rule::ComponentFrom;
use crate::domain::time::{Time, since};
use crate::domain::violation::Violation;

/// Components remembered at most: as many as a cycle reads series at most.
const MAX_COMPONENTS: usize = 100_000;

/// When each component was last read.
#[derive(Debug, Default)]
pub(super) struct Components(BTreeMap<String, Time>);

impl Components {
    /// Only levels with a component of their own: Charter as a whole is not one of many, and a count of events (policies
    /// violated) names what it was about, not what is ill.
    pub(super) fn observe(&mut self, snapshot: &Snapshot, forget_after: Duration) {
        let now = snapshot.at;
        for reading in &snapshot.readings {
            let rule = &reading.rule;
            let ComponentFrom::Label(label) = &rule.component else { continue };
            if rule.increase_over().is_some() {
                continue;
            }
            for point in reading.points.iter().flatten() {
                let Some(name) = point.labels.get(label).filter(|name| !name.is_empty()) else {
                    continue;
                };
                if let Some(seen) = self.0.get_mut(name) {
                    *seen = now;
                } else if self.0.len() < MAX_COMPONENTS {
                    self.0.insert(name.clone(), now);
                }
            }
        }
        self.0.retain(|_, seen| since(now, *seen) < forget_after);
    }
}

impl Tracker {
    /// The fleet as of the last snapshot; `within` is how lately a beginning still counts as just now.
    #[must_use]
    pub fn fleet(&self, now: Time, within: Duration) -> Fleet {
        let known = &self.components.0;
        let mut sick = BTreeSet::new();
        // A finding is no component of Charter's, whatever its service is called.
        let of_fleet = |v: &&Violation| v.counts() && !v.is_finding();
        for violation in self.active().filter(of_fleet) {
            sick.extend(violation.component.iter().filter(|c| known.contains_key(*c)).cloned());
        }
        let mut firing = BTreeSet::new();
        let mut causes: BTreeMap<&str, BTreeSet<&Cause>> = BTreeMap::new();
        for onset in self.onsets.iter().filter(|o| o.counts && since(now, o.at) <= within) {
            let Some(tracked) = self.violations.get(&onset.fingerprint) else { continue };
            let violation = &tracked.record.violation;
            let Some(name) = violation.component.as_deref().filter(|c| sick.contains(*c)) else {
                continue;
            };
            firing.insert(name.to_owned());
            let named = violation.cause.as_ref().filter(|_| violation.names_cause());
            causes.entry(name).or_default().extend(named);
        }
        let mut shared = causes.values().cloned();
        let common = shared.next().map(|first| shared.fold(first, |all, own| &all & &own));
        let common_cause = common.and_then(|all| all.first().map(|cause| (*cause).clone()));
        Fleet { components: known.len(), sick, firing, common_cause }
    }
}
