//! Incidents: opened by a cause's first evidence, kept while there is any, ended a while after the last.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Plan, PlanInput};
use crate::domain::Cause;
use crate::domain::time::since;
use crate::domain::treatment::Treatment;

/// The incident of every cause that has evidence now. New and refreshed ones are put into the plan to be stored.
pub(super) fn update(
    input: &PlanInput<'_>,
    plan: &mut Plan,
    new_id: &mut dyn FnMut() -> Uuid,
) -> BTreeMap<Cause, Treatment> {
    let causes: BTreeSet<&Cause> = input.root_causes.iter().map(|r| &r.cause).collect();
    for incident in input.incidents.iter().filter(|i| is_open(input, i)) {
        if !causes.contains(&incident.cause) && is_hidden(input, &incident.cause) {
            let mut kept = incident.clone();
            kept.last_evidence_at = input.now;
            plan.incidents.push(kept);
        }
    }
    causes
        .into_iter()
        .map(|cause| {
            let open =
                input.incidents.iter().find(|i| &i.cause == cause && is_open(input, i)).cloned();
            let mut incident = open.unwrap_or_else(|| Treatment {
                id: new_id(),
                cause: cause.clone(),
                opened_at: input.now,
                last_evidence_at: input.now,
                attempts: Vec::new(),
                impossible: BTreeSet::new(),
                exhausted: false,
            });
            incident.last_evidence_at = input.now;
            plan.incidents.push(incident.clone());
            (cause.clone(), incident)
        })
        .collect()
}

/// A violation that may be evidence for the cause is active and cannot be read now: an incident does not run out, and
/// its remedies do not become fresh, because nobody could look.
fn is_hidden(input: &PlanInput<'_>, cause: &Cause) -> bool {
    input
        .violations
        .values()
        .any(|v| v.counts() && !v.confirmed && v.cause.as_ref().is_none_or(|named| named == cause))
}

pub(super) fn is_open(input: &PlanInput<'_>, incident: &Treatment) -> bool {
    since(input.now, incident.last_evidence_at) < input.settings.incident_gap
}
