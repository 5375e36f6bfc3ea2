//! What the guards would have held may not be chosen: counted afresh from the ledger, not from the guards' readings.

use super::super::guardrails::Mode;
use super::super::{Plan, PlanInput};
use super::Broken;
use crate::domain::action::{Action, ActionKind};
use crate::domain::cluster::ACT_LABEL;
use crate::domain::guard::Guard;
use crate::domain::ledger::Entry;
use crate::domain::policy::Policy;
use crate::domain::target::Target;
use crate::domain::treatment::Treatment;

pub(super) fn check(
    input: &PlanInput<'_>,
    plan: &Plan,
    policy: &Policy,
    action: &Action,
    broken: &mut Broken,
) {
    let rails = &input.settings.guardrails;
    let kind = action.kind();
    broken.unless(input.pause.is_none_or(|p| p.until <= input.now), "somebody has paused the loop");
    broken.unless(input.lead.barred.is_none(), "another one may lead");
    broken.unless(rails.mode != Mode::Observe, "the mode is observe");
    broken.unless(!rails.forbidden_actions.contains(&kind), "it is forbidden");
    read_guards(plan, policy, broken);
    let target = action.target();
    let system = target.system();
    if let Some(storm) = input.ledger.storms.get(&system) {
        broken.unless(
            kind == ActionKind::ThrottleRequests && storm.throttled_at.is_none(),
            "in a storm only one throttle goes out",
        );
    }
    if let Some(tripped) = input.ledger.breakers.get(&system).and_then(|b| b.tripped.as_ref()) {
        broken.unless(input.now >= tripped.until, "the breaker is open");
        let reversible = match action {
            Action::RestartService { .. } => false,
            Action::Hook { .. } => {
                input.settings.hooks.get(&kind).is_some_and(|h| h.has_undo && h.has_probe)
            }
            _ => true,
        };
        broken.unless(reversible, "half-open, it could not be undone");
        let probe = |e: &Entry| e.at >= tripped.until && e.target.system() == system;
        let tried = |id| input.ledger.entries.iter().any(|e| e.execution_id == id && probe(e));
        let out = input.verifications.iter().any(|j| tried(j.execution_id));
        broken.unless(!out, "half-open, and the one action is out already");
    }
    counts(input, action, broken);
    object(input, &target, broken);
    if let Some(own) = plan.treatment_of(policy) {
        let lasts =
            |one: &Treatment| one.last_evidence_at + input.settings.incident_gap > input.now;
        // Its own attempts have those of the parts of its target already.
        let is_part = |one: &Treatment| {
            one.target.as_ref().is_some_and(|target| own.is_of(&one.cause, target))
        };
        let in_incident = |one: &&Treatment| {
            let same = one.incident.is_some() && one.incident == own.incident;
            same && one.id != own.id && lasts(one) && !is_part(one)
        };
        let others = input.treatments.iter().filter(in_incident).flat_map(|one| &one.attempts);
        let room = own.attempts.len() + others.count() < rails.actions_per_incident as usize;
        broken.unless(room, "its incident has had its actions");
    }
    match &target {
        Target::Charter(None) => {}
        Target::Charter(Some(name)) | Target::Hook { component: name, .. } => {
            let busy = |other: &str| {
                let there = |t: &Target| t.system() == system && t.component() == other;
                input.verifications.iter().any(|j| there(&j.target))
            };
            let groups = rails.fleet.redundancy_groups.iter().filter(|g| g.contains(name));
            let sibling = groups.flatten().any(|other| busy(other));
            broken.unless(!sibling, "another of its redundancy group is in hand");
        }
        Target::Kubernetes { namespace, .. } => {
            let on_cluster = |t: &&Target| matches!(t, Target::Kubernetes { .. });
            let busy: Vec<&Target> =
                input.verifications.iter().map(|j| &j.target).filter(on_cluster).collect();
            broken.unless(busy.len() < rails.kubernetes.at_once, "too many are being verified");
            let there = busy
                .iter()
                .filter(|t| namespace.is_some() && t.namespace() == namespace.as_deref());
            let most = rails.kubernetes.at_once_per_namespace;
            broken.unless(there.count() < most, "too many of its namespace are being verified");
        }
    }
}

/// What an object of Kubernetes allows.
fn object(input: &PlanInput<'_>, target: &Target, broken: &mut Broken) {
    let Target::Kubernetes { namespace, kind, name } = target else { return };
    let Some(reading) = input.cluster.filter(|reading| reading.read_at.is_some()) else {
        broken.unless(false, "the state of its target is not known");
        return;
    };
    let protected = namespace.as_deref().is_some_and(|namespace| {
        reading.own_namespace.as_deref() == Some(namespace)
            || input.settings.guardrails.kubernetes.protects(namespace)
    });
    broken.unless(!protected, "its target is protected");
    let allows = |act: Option<&String>| act.is_none_or(|act| act == "suggest" || act == "auto");
    let here = |of: &str, called: &str| namespace.as_deref() == Some(of) && called == name;
    let workloads = reading.cluster.workloads.iter().filter(|w| here(&w.namespace, &w.name));
    let own = workloads.filter(|w| w.kind.as_str().to_lowercase() == *kind);
    let is_free = own.into_iter().all(|w| allows(w.labels.get(ACT_LABEL)) && !w.is_critical);
    broken.unless(is_free, "its target allows no action");
    let pods = reading.cluster.pods.iter().filter(|p| kind == "pod" && here(&p.namespace, &p.name));
    let is_free = pods.into_iter().all(|p| allows(p.labels.get(ACT_LABEL)) && !p.is_critical);
    broken.unless(is_free, "its target allows no action");
}

/// The report shows every guard, and none that holds.
fn read_guards(plan: &Plan, policy: &Policy, broken: &mut Broken) {
    let chosen = plan.candidates.iter().find(|c| {
        c.verdict == crate::domain::cycle::CandidateResult::Chosen
            && c.component == policy.component
    });
    let Some(report) = chosen else { return };
    let read: Vec<Guard> = report.guards.iter().map(|g| g.guard).collect();
    broken.unless(read == Guard::ALL, "not every guard was asked");
    broken.unless(report.guards.iter().all(|g| g.held.is_none()), "a guard holds it");
}

fn counts(input: &PlanInput<'_>, action: &Action, broken: &mut Broken) {
    let (rails, kind, target) = (&input.settings.guardrails, action.kind(), action.target());
    let system = target.system();
    let young = |entry: &&Entry, window| entry.at + window > input.now;
    let entries = || input.ledger.sent().filter(|e| e.target.system() == system);
    let hour = || entries().filter(|e| young(e, rails.budget.hour));
    let there = |of: &dyn Fn(&Entry) -> bool| hour().filter(|e| of(e)).count();
    if let Target::Kubernetes { namespace, .. } = &target {
        let most = &rails.kubernetes;
        broken.unless(hour().count() < most.per_hour as usize, "the hour's budget is spent");
        let beside =
            |e: &Entry| namespace.is_some() && e.target.namespace() == namespace.as_deref();
        broken.unless(
            there(&beside) < most.per_namespace_per_hour as usize,
            "its namespace's budget is spent",
        );
        let own = |e: &Entry| e.target == target || (beside(e) && e.target.overlaps(&target));
        broken.unless(
            there(&own) < most.per_workload_per_hour as usize,
            "its target's budget is spent",
        );
    } else {
        let most = &rails.budget;
        broken.unless(hour().count() < most.per_hour as usize, "the hour's budget is spent");
        let own = |e: &Entry| e.target == target;
        broken.unless(
            there(&own) < most.per_target_per_hour as usize,
            "its target's budget is spent",
        );
    }
    let is_override =
        |k| matches!(k, ActionKind::BypassValidation | ActionKind::ActivateEmergencyOverride);
    if is_override(kind) {
        let set = || entries().filter(|e| is_override(e.action));
        let gap = set().any(|e| young(&e, rails.budget.override_gap));
        broken.unless(!gap, "an override was set a moment ago");
        let day = set().filter(|e| young(e, rails.budget.day)).count();
        broken
            .unless(day < rails.budget.overrides_per_day as usize, "the day's overrides are spent");
    }
    let same = |e: &&Entry| e.action == kind && e.target == target;
    let again = entries().filter(same).any(|e| young(&e, rails.cooldown.shortest));
    broken.unless(!again, "the same was done there a moment ago");
    let opposite = match kind {
        ActionKind::ScaleUp => Some(ActionKind::ScaleDown),
        ActionKind::ScaleDown => Some(ActionKind::ScaleUp),
        _ => None,
    };
    let back = entries()
        .filter(|e| Some(e.action) == opposite)
        .any(|e| young(&e, rails.cooldown.opposite));
    broken.unless(!back, "its opposite was done a moment ago");
}
