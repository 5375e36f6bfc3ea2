//! Incidents: opened by a cause's first evidence, kept while there is any, ended a while after the last.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Plan, PlanInput};
use crate::domain::Cause;
use crate::domain::incident::Incident;
use crate::domain::time::since;

/// The incident of every cause that has evidence now. New and refreshed ones are put into the plan to be stored.
pub(super) fn update(
    input: &PlanInput<'_>,
    plan: &mut Plan,
    new_id: &mut dyn FnMut() -> Uuid,
) -> BTreeMap<Cause, Incident> {
    let causes: BTreeSet<&Cause> = input.root_causes.iter().map(|r| &r.cause).collect();
    causes
        .into_iter()
        .map(|cause| {
            let open =
                input.incidents.iter().find(|i| &i.cause == cause && is_open(input, i)).cloned();
            let mut incident = open.unwrap_or_else(|| Incident {
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

pub(super) fn is_open(input: &PlanInput<'_>, incident: &Incident) -> bool {
    since(input.now, incident.last_evidence_at) < input.settings.incident_gap
}
