//! One candidate with its target and its numbers.

use std::collections::BTreeSet;

use super::PlanInput;
use super::candidate::Contender;
use super::cost_benefit::{benefit, effectiveness};
use super::guards;
use super::parameters::{Computed, compute};
use super::policy::open_policy;
use super::settings::{Settings, Strategy};
use crate::domain::action::{Action, ActionKind};
use crate::domain::analysis::RootCause;
use crate::domain::cycle::{CandidateReport, CandidateResult, Ineligibility};
use crate::domain::guard::GuardReading;
use crate::domain::reading::Source;
use crate::domain::rule::IDENTITY_LABELS;
use crate::domain::target::System;
use crate::domain::{CHARTER, Cause};

/// What a candidate would treat.
pub(super) struct Situation<'a> {
    pub component: String,
    confidence: f64,
    occurrences: u32,
    critical: bool,
    evidence: BTreeSet<&'a str>,
}

/// Where an action of this kind would treat the cause: only what its own system can change. What changes a system as a
/// whole is planned once, however many components show the cause.
pub(super) fn grounds<'a>(
    settings: &Settings,
    kind: ActionKind,
    roots: &[&'a RootCause],
) -> Vec<Situation<'a>> {
    let is_own = |root: &&&RootCause| {
        root.target.as_ref().is_some_and(|target| settings.may_change(kind, target))
    };
    let roots: Vec<&RootCause> = roots.iter().filter(is_own).copied().collect();
    if roots.is_empty() {
        return Vec::new();
    }
    let situation = |component: &str, roots: &[&'a RootCause]| Situation {
        component: component.to_owned(),
        confidence: roots.iter().map(|r| r.confidence).fold(0.0, f64::max),
        occurrences: roots.iter().fold(0, |n, r| n.saturating_add(r.occurrences)),
        critical: roots.iter().any(|r| r.critical),
        evidence: roots.iter().flat_map(|r| r.evidence.iter().map(String::as_str)).collect(),
    };
    if kind.spec().whole {
        return vec![situation(CHARTER, &roots)];
    }
    roots.iter().map(|root| situation(&root.component, &[root])).collect()
}

pub(super) struct Weighed<'a> {
    pub cause: Cause,
    pub kind: ActionKind,
    pub situation: Situation<'a>,
    pub computed: Computed,
    effectiveness: f64,
    benefit: f64,
    cost: f64,
}

/// `confined`: the cause holds on one component alone.
pub(super) fn weigh<'a>(
    input: &PlanInput<'_>,
    cause: &Cause,
    strategy: &Strategy,
    situation: Situation<'a>,
    confined: bool,
) -> Weighed<'a> {
    let kind = strategy.action;
    let effectiveness = effectiveness(input.statistics, cause, kind, input.settings);
    Weighed {
        cause: cause.clone(),
        kind,
        computed: compute(input, strategy, &situation.component, confined),
        effectiveness,
        benefit: benefit(situation.confidence, effectiveness, input.settings),
        cost: input.settings.cost(kind),
        situation,
    }
}

impl Weighed<'_> {
    pub fn score(&self) -> f64 {
        self.benefit - self.cost
    }

    pub fn evidence(&self) -> Vec<String> {
        self.situation.evidence.iter().map(|fp| (*fp).to_owned()).collect()
    }

    /// What is missing to act at all; `None` when there is enough behind the cause.
    pub fn unripe(&self, input: &PlanInput<'_>) -> Option<(Ineligibility, String)> {
        let settings = input.settings;
        let needed = if self.situation.critical { 1 } else { settings.plan_threshold };
        let seen = self.situation.evidence.iter().filter_map(|fp| input.violations.get(fp));
        let sources: BTreeSet<Source> =
            seen.filter(|v| v.confirmed && v.counts() && !v.flapping).map(|v| v.source).collect();
        let unconfirmed = |why: &str| Some((Ineligibility::Unconfirmed, why.to_owned()));
        if sources.is_empty() {
            return unconfirmed("none of its evidence was read in this cycle as breaking its rule");
        }
        // An alert may be about what is gone, or about another cluster.
        let hook = settings.hooks.get(&self.kind);
        let on_kubernetes = hook.is_some_and(|h| h.target.system() == System::Kubernetes);
        if on_kubernetes && sources == [Source::Alertmanager].into() {
            return unconfirmed(
                "only alerts are behind it, and on Kubernetes an alert alone starts no action: a finding or a rule must show the same",
            );
        }
        if self.situation.confidence < settings.min_confidence {
            return Some((
                Ineligibility::LowConfidence,
                format!(
                    "confidence {:.2} is below {:.2} (plan.min_confidence)",
                    self.situation.confidence, settings.min_confidence
                ),
            ));
        }
        if self.situation.occurrences < needed {
            return Some((
                Ineligibility::TooFewOccurrences,
                format!(
                    "seen {} of {needed} times (orchestrator.plan_threshold)",
                    self.situation.occurrences
                ),
            ));
        }
        None
    }

    /// Two systems behind one plan, while nothing says which of them is ours.
    pub fn ambiguous(&self, input: &PlanInput<'_>) -> Option<String> {
        if input.scoped {
            return None;
        }
        IDENTITY_LABELS.iter().find_map(|label| {
            let evidence = self.situation.evidence.iter().filter_map(|fp| input.violations.get(fp));
            let values: BTreeSet<&str> =
                evidence.filter_map(|v| v.labels.get(*label).map(String::as_str)).collect();
            (values.len() > 1).then(|| {
                let values: Vec<&str> = values.into_iter().collect();
                format!(
                    "its evidence has more than one value of label {label} ({}): name the system that mape-k acts on in monitor.scope",
                    values.join(", ")
                )
            })
        })
    }

    pub fn report(&self, verdict: CandidateResult) -> CandidateReport {
        CandidateReport {
            cause: self.cause.clone(),
            component: self.situation.component.clone(),
            action: self.kind,
            planned: self.computed.as_ref().ok().cloned(),
            cause_confidence: self.situation.confidence,
            effectiveness: self.effectiveness,
            benefit: self.benefit,
            cost: self.cost,
            score: self.score(),
            occurrences: self.situation.occurrences,
            guards: Vec::new(),
            verdict,
        }
    }

    pub fn contender<'p>(
        &self,
        input: &PlanInput<'p>,
        action: Action,
        readings: Vec<GuardReading>,
    ) -> Contender<'p> {
        Contender {
            held: guards::first_held(&readings),
            report: CandidateReport { guards: readings, ..self.report(CandidateResult::Chosen) },
            action,
            evidence: self.evidence(),
            critical: self.situation.critical,
            open: open_policy(input, &self.cause, &self.situation.component),
        }
    }
}
