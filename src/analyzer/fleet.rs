//! How much of each system is sick: which components are known, which are broken, which began to break just now. Of
//! Kubernetes its own objects say so (`cluster::health`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::tracking::Tracker;
use crate::domain::Cause;
use crate::domain::fleet::Fleet;
use crate::domain::reading::Snapshot;
use crate::domain::rule::ComponentFrom;
use crate::domain::target::{System, Systems};
use crate::domain::time::{Time, since};
use crate::domain::violation::Violation;

/// Components remembered at most: as many as a cycle reads series at most.
const MAX_COMPONENTS: usize = 100_000;

/// When each component of each system was last read.
#[derive(Debug, Default)]
pub(super) struct Components(BTreeMap<System, BTreeMap<String, Time>>);

impl Components {
    /// Only levels with a component of their own: Charter as a whole is not one of many, and a count of events (policies
    /// violated) names what it was about, not what is ill.
    pub(super) fn observe(
        &mut self,
        snapshot: &Snapshot,
        systems: &Systems,
        forget_after: Duration,
    ) {
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
                let target = systems.target(Some(name), &point.labels, rule.target.as_ref());
                let Some(target) = target.filter(|t| t.system() != System::Kubernetes) else {
                    continue;
                };
                let known = self.0.entry(target.system()).or_default();
                if let Some(seen) = known.get_mut(name) {
                    *seen = now;
                } else if known.len() < MAX_COMPONENTS {
                    known.insert(name.clone(), now);
                }
            }
        }
        for known in self.0.values_mut() {
            known.retain(|_, seen| since(now, *seen) < forget_after);
        }
    }
}

impl Tracker {
    /// Each system as of the last snapshot; `within` is how lately a beginning still counts as just now.
    #[must_use]
    pub fn fleets(&self, now: Time, within: Duration) -> BTreeMap<System, Fleet> {
        let of = |(system, known): (&System, &BTreeMap<String, Time>)| {
            (*system, self.fleet(*system, known, now, within))
        };
        self.components.0.iter().map(of).collect()
    }

    fn fleet(
        &self,
        system: System,
        known: &BTreeMap<String, Time>,
        now: Time,
        within: Duration,
    ) -> Fleet {
        let is_own = |v: &Violation| v.target.as_ref().is_some_and(|t| t.system() == system);
        let mut sick = BTreeSet::new();
        for violation in self.active().filter(|v| v.counts() && is_own(v)) {
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
            if !is_own(violation) {
                continue;
            }
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
