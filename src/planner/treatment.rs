//! Treatments: opened by the first evidence of a cause on a target, kept while there is any, ended a while after the last.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Plan, PlanInput};
use crate::domain::analysis::RootCause;
use crate::domain::target::Target;
use crate::domain::time::since;
use crate::domain::treatment::Treatment;

/// A treatment, and the root causes that it treats.
pub(super) type Treated<'a> = (Treatment, Vec<&'a RootCause>);

/// The treatment of every cause and target that has evidence now. New and refreshed ones are put into the plan to be stored.
pub(super) fn update<'a>(
    input: &PlanInput<'a>,
    plan: &mut Plan,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Vec<Treated<'a>> {
    let mut treated: Vec<Treated<'a>> = Vec::new();
    for root in input.root_causes {
        let Some(target) = &root.target else { continue };
        if !input.settings.treats(&root.cause, target) {
            continue;
        }
        let target = input.settings.treated_on(&root.cause, target);
        match treated.iter_mut().find(|(one, _)| one.is_of(&root.cause, &target)) {
            Some((_, roots)) => roots.push(root),
            None => treated.push((open(input, root, target, new_id), vec![root])),
        }
    }
    for (treatment, roots) in &mut treated {
        treatment.last_evidence_at = input.now;
        let evidence = || roots.iter().flat_map(|root| &root.evidence);
        let incidents = || evidence().filter_map(|fp| input.incidents.get(fp));
        if !incidents().any(|id| treatment.incident.as_ref() == Some(id))
            && let Some(id) = incidents().next()
        {
            treatment.incident = Some(id.clone());
        }
    }
    treated.sort_by(|(a, _), (b, _)| {
        (&a.cause, a.opened_at, a.id).cmp(&(&b.cause, b.opened_at, b.id))
    });
    let is_treated = |id| treated.iter().any(|(one, _)| one.id == id);
    for treatment in input.treatments.iter().filter(|one| is_open(input, one)) {
        if !is_treated(treatment.id) && is_hidden(input, treatment) {
            plan.treatments.push(Treatment { last_evidence_at: input.now, ..treatment.clone() });
        }
    }
    plan.treatments.extend(treated.iter().map(|(treatment, _)| treatment.clone()));
    treated
}

/// The open one of this cause and target, or a new one. A record of the version before has no target: what was tried
/// under it was tried on every target of its cause.
fn open(
    input: &PlanInput<'_>,
    root: &RootCause,
    target: Target,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Treatment {
    let mut open = input.treatments.iter().filter(|one| is_open(input, one));
    if let Some(own) = open.clone().find(|one| one.is_of(&root.cause, &target)) {
        return own.clone();
    }
    let before = open.find(|one| one.target.is_none() && one.cause == root.cause);
    let fresh = Treatment {
        id: new_id(),
        cause: root.cause.clone(),
        target: Some(target),
        incident: None,
        opened_at: input.now,
        last_evidence_at: input.now,
        attempts: Vec::new(),
        impossible: BTreeSet::new(),
        exhausted: false,
    };
    match before {
        Some(before) => Treatment { id: fresh.id, target: fresh.target, ..before.clone() },
        None => fresh,
    }
}

/// A violation that may be evidence for it is active and cannot be read now: a treatment does not run out, and its
/// actions do not become fresh, because nobody could look.
fn is_hidden(input: &PlanInput<'_>, treatment: &Treatment) -> bool {
    input.violations.values().any(|v| {
        let is_cause = v.cause.as_ref().is_none_or(|named| *named == treatment.cause);
        let is_there = match (&v.target, &treatment.target) {
            (Some(target), Some(_)) => treatment.is_of(&treatment.cause, target),
            _ => true,
        };
        v.counts() && !v.confirmed && is_cause && is_there
    })
}

pub(super) fn is_open(input: &PlanInput<'_>, treatment: &Treatment) -> bool {
    since(input.now, treatment.last_evidence_at) < input.settings.incident_gap
}

/// Attempts of all open treatments in its incident; its own alone before the incident is known. An incident may come back
/// under its name after a treatment has ended, and then that begins afresh.
pub(super) fn attempts_in_incident(input: &PlanInput<'_>, treatment: &Treatment) -> usize {
    let is_beside = |one: &&Treatment| {
        let same = one.incident.is_some() && one.incident == treatment.incident;
        same && one.id != treatment.id && is_open(input, one)
    };
    let beside = input.treatments.iter().filter(is_beside).map(|one| one.attempts.len());
    treatment.attempts.len() + beside.sum::<usize>()
}
