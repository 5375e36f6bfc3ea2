//! The one policy that would go out: its numbers, its evidence, its treatment, and what stands in its way.

use std::collections::BTreeSet;

use super::super::{Plan, PlanInput};
use super::Broken;
use crate::domain::Cause;
use crate::domain::cycle::CandidateResult;
use crate::domain::outcome::OutcomeType;
use crate::domain::policy::{Approval, Policy};
use crate::domain::treatment::Treatment;

pub(super) fn check(input: &PlanInput<'_>, plan: &Plan, policy: &Policy, broken: &mut Broken) {
    broken.unless(!policy.actions.is_empty(), "it has no action");
    numbers(input, policy, broken);
    best(plan, policy, broken);
    if policy.cause.0 == Cause::SCALE_BACK {
        let quiet = input.quiet_since.map(|at| (input.now - at).to_std().unwrap_or_default());
        let due = input.settings.give_back.after.zip(quiet).is_some_and(|(after, q)| q >= after);
        broken.unless(due, "nothing is to be scaled back now");
    } else {
        evidence(input, policy, broken);
        match plan.treatment_of(policy) {
            Some(treatment) => history(input, policy, treatment, broken),
            None => broken.unless(false, "it belongs to no treatment"),
        }
    }
    let rejected = input.policies.iter().any(|p| {
        p.approval == Approval::Rejected
            && (&p.cause, &p.component) == (&policy.cause, &policy.component)
            && p.decided_at.is_some_and(|decided| {
                input.now < decided + input.settings.rejection_holds
                    && p.evidence.iter().any(|fp| {
                        input.violations.get(fp.as_str()).is_some_and(|v| v.active_since <= decided)
                    })
            })
    });
    broken.unless(!rejected, "a person has rejected it");
}

fn numbers(input: &PlanInput<'_>, policy: &Policy, broken: &mut Broken) {
    let settings = input.settings;
    let dearest = policy.actions.iter().map(|a| settings.cost(a.kind())).fold(0.0, f64::max);
    broken.unless((policy.cost - dearest).abs() < 1e-9, "its cost is not its dearest action's");
    let score = policy.benefit - policy.cost;
    broken.unless((policy.score - score).abs() < 1e-9, "its score is not benefit less cost");
    broken.unless(policy.score > settings.min_score, "its score is not above min_score");
    let most = policy.cause_confidence.min(settings.benefit_target) + 1e-9;
    broken.unless(
        (0.0..=most).contains(&policy.benefit),
        "its benefit is more than its confidence or its cap allows",
    );
    broken.unless(
        (settings.min_confidence..=1.0).contains(&policy.cause_confidence),
        "its cause is not certain enough",
    );
    let risk = policy.actions.iter().map(crate::domain::action::Action::risk).max();
    broken.unless(risk == Some(policy.risk), "its risk is not that of its actions");
}

/// Nothing that was admitted scores higher, unless a person has put this one first.
fn best(plan: &Plan, policy: &Policy, broken: &mut Broken) {
    let by_person = policy.decided_by.as_deref() != Some("auto");
    for report in &plan.candidates {
        if let CandidateResult::Outranked { by, score } = &report.verdict {
            let named = policy.actions.iter().any(|a| a.kind() == *by)
                && (policy.score - score).abs() < 1e-9;
            broken.unless(named, "a candidate is reported as outranked by another than it");
            let lower = report.score <= policy.score + 1e-6;
            broken.unless(by_person || lower, "a better candidate was passed over");
        }
    }
}

fn evidence(input: &PlanInput<'_>, policy: &Policy, broken: &mut Broken) {
    let violations: Vec<_> =
        policy.evidence.iter().filter_map(|fp| input.violations.get(fp.as_str())).collect();
    broken.unless(
        violations.iter().any(|v| v.confirmed && v.counts() && !v.flapping),
        "none of its evidence was read as broken in this cycle",
    );
    for label in ["cluster", "charter", "job"] {
        let values: BTreeSet<_> = violations.iter().filter_map(|v| v.labels.get(label)).collect();
        broken.unless(input.scoped || values.len() < 2, "two systems are behind it");
    }
    // The root causes that it treats: all of its cause, or those of its component.
    let roots = || {
        input.root_causes.iter().filter(|r| {
            r.cause == policy.cause
                && (policy.component == crate::domain::CHARTER || r.component == policy.component)
        })
    };
    let occurrences: u64 = roots().map(|r| u64::from(r.occurrences)).sum();
    let needed = if roots().any(|r| r.critical) { 1 } else { input.settings.plan_threshold };
    broken.unless(occurrences >= u64::from(needed), "too few occurrences are behind it");
}

fn history(input: &PlanInput<'_>, policy: &Policy, treatment: &Treatment, broken: &mut Broken) {
    broken.unless(!treatment.exhausted, "its treatment has no action left");
    let none = Vec::new();
    let strategies = input.settings.strategies.get(&policy.cause).unwrap_or(&none);
    for kind in policy.actions.iter().map(crate::domain::action::Action::kind) {
        let entries = || strategies.iter().filter(|s| s.action == kind);
        broken.unless(entries().count() > 0, "its cause has no such strategy");
        broken.unless(!treatment.impossible.contains(&kind), "it was refused as invalid before");
        let tries: Vec<_> = treatment.attempts.iter().filter(|a| a.action == kind).collect();
        let count = |verdict| tries.iter().filter(|a| a.verdict == Some(verdict)).count();
        let ineffective = count(OutcomeType::Ineffective);
        let degraded = count(OutcomeType::Degradation);
        broken.unless(degraded == 0, "it has made things worse before");
        let followed = strategies.iter().any(|s| s.after == Some(kind));
        broken.unless(!followed || ineffective == 0, "it has not helped before");
        broken.unless(followed || tries.len() < 3, "it has been tried three times");
        // Cut short of a verdict, or without a clear one.
        let unclear = tries.len() - ineffective - degraded - count(OutcomeType::Success);
        broken.unless(unclear < 3, "it has been without a clear result three times");
    }
}
