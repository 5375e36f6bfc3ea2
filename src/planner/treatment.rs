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
    // First, for a policy belongs to the first treatment that contains its target.
    plan.treatments.extend(treated.iter().map(|(treatment, _)| treatment.clone()));
    let is_treated = |id| treated.iter().any(|(one, _)| one.id == id);
    let open = input.treatments.iter().filter(|one| is_open(input, one) && !is_treated(one.id));
    for treatment in open {
        if treated.iter().any(|(one, _)| absorbs(one, treatment)) {
            if !treatment.attempts.is_empty() {
                plan.treatments.push(Treatment { attempts: Vec::new(), ..treatment.clone() });
            }
        } else if is_hidden(input, treatment) {
            plan.treatments.push(Treatment { last_evidence_at: input.now, ..treatment.clone() });
        }
    }
    treated
}

/// The open one of this cause and target, or a new one. A reload may have widened the target: then the open ones of its
/// parts become one. A record of the version before has no target: what was tried under it was tried on every target of
/// its cause.
fn open(
    input: &PlanInput<'_>,
    root: &RootCause,
    target: Target,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Treatment {
    let mut open = input.treatments.iter().filter(|one| is_open(input, one));
    let own = open.clone().filter(|one| one.is_of(&root.cause, &target));
    let mut own: Vec<&Treatment> = own.collect();
    own.sort_by_key(|one| (one.opened_at, one.id));
    let contains = |one: &&Treatment| one.target.as_ref().is_some_and(|own| own.contains(&target));
    let is_whole = |one: &&&Treatment| contains(one) && own.iter().all(|part| absorbs(one, part));
    if let Some(whole) = own.iter().find(is_whole) {
        return Treatment::clone(whole);
    }
    if let Some((first, others)) = own.split_first() {
        return joined(first, others, target);
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

/// One treatment of the whole: what was tried on any part was tried on it.
fn joined(first: &Treatment, others: &[&Treatment], target: Target) -> Treatment {
    let mut whole = Treatment { target: Some(target), ..first.clone() };
    for part in others {
        whole.attempts.extend(part.attempts.iter().cloned());
        whole.impossible.extend(&part.impossible);
        whole.exhausted &= part.exhausted;
    }
    whole.attempts.sort_by_key(|attempt| attempt.at);
    whole
}

/// Is the target of the other a part of this one's, for the same cause?
fn absorbs(one: &Treatment, other: &Treatment) -> bool {
    let targets = one.target.as_ref().zip(other.target.as_ref());
    one.cause == other.cause && targets.is_some_and(|(whole, part)| whole.contains(part))
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
        same && one.id != treatment.id && is_open(input, one) && !absorbs(treatment, one)
    };
    let beside = input.treatments.iter().filter(is_beside).map(|one| one.attempts.len());
    treatment.attempts.len() + beside.sum::<usize>()
}
