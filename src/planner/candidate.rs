//! One treatment's candidates: which of them may be executed, which wait, which are out and why.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::cost_benefit::order;
use super::guards::{self, Held, Subject, failures_in_a_row, for_the_cause, settling};
use super::policy::is_approved_by_person;
use super::settings::Strategy;
use super::strategy_order::{StrategyOrder, turn};
use super::treatment::attempts_in_incident;
use super::weigh::{Weighed, grounds, weigh};
use super::{Concern, Plan, PlanInput};
use crate::domain::CHARTER;
use crate::domain::action::{Action, ActionKind};
use crate::domain::analysis::RootCause;
use crate::domain::cycle::{CandidateReport, CandidateResult, Hold, Impossibility, Ineligibility};
use crate::domain::guard::GuardReading;
use crate::domain::policy::Policy;
use crate::domain::target::{System, Target};
use crate::domain::time;
use crate::domain::treatment::{Attempt, Treatment};

/// A candidate that may be executed, or that is held back for a while.
#[derive(Clone, Debug)]
pub(super) struct Contender<'a> {
    pub report: CandidateReport,
    pub action: Action,
    pub evidence: Vec<String>,
    pub critical: bool,
    pub held: Option<Held>,
    /// The open policy of its cause and component, for this action or another.
    pub open: Option<&'a Policy>,
}

impl<'a> Contender<'a> {
    /// Its own open policy: the one for this very action.
    pub fn own(&self) -> Option<&'a Policy> {
        self.open.filter(|p| matches!(p.actions.as_slice(), [a] if a.kind() == self.action.kind()))
    }
}

/// What a person approved goes first; then order, the older policy first among equals.
pub(super) fn precedence(input: &PlanInput<'_>, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
    let approved = |c: &Contender<'_>| c.own().is_some_and(is_approved_by_person);
    let proposed_at = |c: &Contender<'_>| c.own().map_or(input.now, |p| p.created_at);
    let key = |c: &Contender<'_>| (c.report.score, c.report.cost, c.action.risk(), proposed_at(c));
    approved(b).cmp(&approved(a)).then_with(|| order(key(a), key(b)))
}

/// Weighs all candidates of one treatment. Puts a report of every one that is out into the plan and returns those that
/// remain: the best one as it is, its rivals held back when the best is held back.
pub(super) fn weigh_treatment<'a>(
    input: &PlanInput<'a>,
    treatment: &Treatment,
    roots: &[&RootCause],
    plan: &mut Plan,
) -> Vec<Contender<'a>> {
    let cause = &treatment.cause;
    let everywhere: Vec<&RootCause> =
        input.root_causes.iter().filter(|r| &r.cause == cause).collect();
    let Some(strategies) = input.settings.strategies.get(cause) else { return Vec::new() };
    let mut weighed: Vec<(&Strategy, Weighed<'_>)> = Vec::new();
    for strategy in strategies {
        let confined = grounds(input.settings, strategy.action, &everywhere).len() == 1;
        for situation in grounds(input.settings, strategy.action, roots) {
            weighed.push((strategy, weigh(input, cause, strategy, situation, confined)));
        }
    }
    let impossible = impossible(input, treatment, &weighed);
    let mut contenders = Vec::new();
    let mut viable = false;
    let mut ripe = false;
    for (strategy, weighed) in weighed {
        let turn = turn(strategy, strategies, treatment, input.verifications, &impossible);
        ripe |= weighed.unripe(input).is_none();
        match stand(input, treatment, &weighed, &turn) {
            Eligibility::Out(verdict) => {
                plan.concerns.extend(concern(input, &verdict, &weighed));
                plan.candidates.push(weighed.report(verdict));
            }
            Eligibility::Waits(verdict) => {
                viable = true;
                plan.concerns.extend(concern(input, &verdict, &weighed));
                plan.candidates.push(weighed.report(verdict));
            }
            Eligibility::Admitted(action, readings) => {
                viable = true;
                contenders.push(weighed.contender(input, action, readings));
            }
        }
    }
    let verification = input.verifications.iter().any(|j| treatment.is_of(&j.cause, &j.target));
    if treatment.exhausted || (!viable && ripe && !verification) {
        exhaust(treatment, roots, plan);
    }
    hold_rivals(input, contenders)
}

/// Actions that cannot be had in this treatment, wherever its cause shows: their successors' turn has come.
fn impossible(
    input: &PlanInput<'_>,
    treatment: &Treatment,
    weighed: &[(&Strategy, Weighed<'_>)],
) -> BTreeSet<ActionKind> {
    let mut impossible = treatment.impossible.clone();
    let forbidden = &input.settings.guardrails.forbidden_actions;
    let can = |w: &Weighed<'_>| w.computed.is_ok() && !forbidden.contains(&w.kind);
    let possible: BTreeSet<ActionKind> =
        weighed.iter().filter(|(_, w)| can(w)).map(|(s, _)| s.action).collect();
    let told = weighed.iter().map(|(s, _)| s.action).filter(|kind| is_observed(input, *kind));
    impossible.extend(told.filter(|kind| !possible.contains(kind)));
    impossible
}

/// Is the state known that an action of this kind is computed from? Without it the action is held, not impossible.
fn is_observed(input: &PlanInput<'_>, kind: ActionKind) -> bool {
    kind.system() != System::Charter || input.charter.state.is_ok()
}

/// The best of the treatment in each system stands; if it is held back its rivals there wait too: what holds one system
/// is nothing to another. A storm and a half-open breaker are no waiting: they pick among them.
fn hold_rivals<'a>(
    input: &PlanInput<'_>,
    mut contenders: Vec<Contender<'a>>,
) -> Vec<Contender<'a>> {
    contenders.sort_by(|a, b| precedence(input, a, b));
    let passed_over = |c: &&Contender<'_>| match c.held {
        Some((Hold::Storm, _)) => true,
        Some((Hold::BreakerOpen, _)) => guards::is_half_open(input, c.action.target().system()),
        _ => false,
    };
    for system in System::ALL {
        let own = |c: &&Contender<'_>| c.action.target().system() == system;
        let best = contenders.iter().filter(own).find(|c| !passed_over(c));
        let Some(held) = best.and_then(|best| best.held.clone()) else { continue };
        for rival in contenders.iter_mut().filter(|c| own(&&**c)) {
            rival.held.get_or_insert_with(|| held.clone());
        }
    }
    contenders
}

/// Where a candidate stands.
enum Eligibility {
    /// It will not be executed in this treatment as things are.
    Out(CandidateResult),
    /// Not now, but it may still come to be executed in this treatment.
    Waits(CandidateResult),
    Admitted(Action, Vec<GuardReading>),
}

fn stand(
    input: &PlanInput<'_>,
    treatment: &Treatment,
    weighed: &Weighed<'_>,
    turn: &StrategyOrder,
) -> Eligibility {
    let ineligible = |reason, detail| CandidateResult::Ineligible { reason, detail };
    let rails = &input.settings.guardrails;
    let tried_out = match turn {
        StrategyOrder::TriedOut(detail) => Some(detail.clone()),
        StrategyOrder::Now | StrategyOrder::Later(_) => {
            worn_out(input, treatment, weighed).or_else(|| spent(input, treatment))
        }
    };
    if let Some(detail) = tried_out {
        return Eligibility::Out(ineligible(Ineligibility::TriedOut, detail));
    }
    if treatment.exhausted {
        let detail =
            format!("no action is left for {}; a person has been asked for help", said(treatment));
        return Eligibility::Out(ineligible(Ineligibility::RemediesExhausted, detail));
    }
    if rails.forbidden_actions.contains(&weighed.kind) {
        let detail = "guardrails.forbidden_actions forbids it".to_owned();
        return Eligibility::Out(CandidateResult::Impossible {
            reason: Impossibility::Forbidden,
            detail,
        });
    }
    if treatment.impossible.contains(&weighed.kind) {
        let detail = format!("it was refused as invalid for {}", said(treatment));
        return Eligibility::Out(CandidateResult::Impossible {
            reason: Impossibility::Invalid,
            detail,
        });
    }
    if let Err((reason, detail)) = &weighed.computed
        && is_observed(input, weighed.kind)
    {
        return Eligibility::Out(CandidateResult::Impossible {
            reason: *reason,
            detail: detail.clone(),
        });
    }
    if weighed.score() <= input.settings.min_score {
        let (score, least) = (weighed.score(), input.settings.min_score);
        let detail = format!("score {score:.3} is not above {least:.3} (plan.min_score)");
        return Eligibility::Out(ineligible(Ineligibility::LowScore, detail));
    }
    if let StrategyOrder::Later(before) = turn {
        return Eligibility::Out(ineligible(
            Ineligibility::NotItsTurn,
            format!("it comes after {before}"),
        ));
    }
    if let Some((reason, detail)) = weighed.unripe(input) {
        return Eligibility::Waits(ineligible(reason, detail));
    }
    if let Some(detail) = weighed.ambiguous(input) {
        return Eligibility::Waits(ineligible(Ineligibility::AmbiguousScope, detail));
    }
    match &weighed.computed {
        Ok(action) => {
            let evidence = weighed.evidence();
            let component = &weighed.situation.component;
            let subject = Subject { cause: &weighed.cause, component, action, evidence: &evidence };
            Eligibility::Admitted(action.clone(), guards::read(input, &subject))
        }
        // Only without Charter's state: see above.
        Err((_, detail)) => Eligibility::Waits(CandidateResult::Held {
            reason: Hold::CharterUnreachable,
            detail: detail.clone(),
        }),
    }
}

/// The treatment's cause and target, as a report names them.
pub(super) fn said(treatment: &Treatment) -> String {
    match &treatment.target {
        Some(target) => format!("{} on {target}", treatment.cause),
        None => treatment.cause.to_string(),
    }
}

/// The incident has had its actions, whichever of its causes they were for.
fn spent(input: &PlanInput<'_>, treatment: &Treatment) -> Option<String> {
    let most = input.settings.guardrails.actions_per_incident;
    let attempts = attempts_in_incident(input, treatment);
    (attempts >= most as usize).then(|| {
        format!(
            "{attempts} actions in this incident, at most {most} (guardrails.actions_per_incident): a person decides"
        )
    })
}

/// It has failed, or the cause has been treated, too often within a day: across incidents, revisions and restarts.
fn worn_out(input: &PlanInput<'_>, treatment: &Treatment, weighed: &Weighed<'_>) -> Option<String> {
    let rails = &input.settings.guardrails;
    let action = weighed.computed.as_ref().ok()?;
    let (of, day) = (said(treatment), time::day(rails.budget.day.as_secs_f64()));
    let failures = failures_in_a_row(input, &weighed.cause, action);
    if failures >= rails.failures_per_remedy {
        let most = rails.failures_per_remedy;
        return Some(format!(
            "failed {failures} times in a row for {of} in the last {day}, at most {most} (guardrails.failures_per_remedy)"
        ));
    }
    let treated = for_the_cause(input, &weighed.cause, action);
    let most = rails.actions_per_cause_per_day;
    (treated >= most as usize).then(|| {
        format!(
            "{treated} actions for {of} in the last {day}, at most {most} (guardrails.actions_per_cause_per_day): it \
             does not stay healed"
        )
    })
}

/// What people must know of a candidate that is out. Scaling at its limit is news once nothing that is still
/// taking effect could end the cause.
fn concern(
    input: &PlanInput<'_>,
    verdict: &CandidateResult,
    weighed: &Weighed<'_>,
) -> Option<Concern> {
    let cause = weighed.cause.clone();
    let component = weighed.situation.component.clone();
    let evidence = weighed.evidence();
    match verdict {
        CandidateResult::Impossible { reason: Impossibility::AtLimit, detail }
            if weighed.kind == ActionKind::ScaleUp
                && weighed.unripe(input).is_none()
                && settling(input, &Target::Charter(None)).is_none() =>
        {
            let detail = detail.clone();
            Some(Concern::CapacityExhausted { cause, component, evidence, detail })
        }
        CandidateResult::Ineligible { reason: Ineligibility::AmbiguousScope, detail } => {
            let detail = detail.clone();
            Some(Concern::AmbiguousScope { cause, component, evidence, detail })
        }
        CandidateResult::Chosen
        | CandidateResult::Outranked { .. }
        | CandidateResult::Held { .. }
        | CandidateResult::Impossible { .. }
        | CandidateResult::Ineligible { .. } => None,
    }
}

/// One try in words: the person who takes over needs the whole history.
fn history(attempt: &Attempt) -> String {
    let end = match attempt.verdict {
        Some(verdict) => verdict.as_str(),
        None if attempt.failed => "failed",
        None => "without a result",
    };
    format!("{} at {}: {end}", attempt.action, time::text(attempt.at))
}

fn exhaust(treatment: &Treatment, roots: &[&RootCause], plan: &mut Plan) {
    if let Some(stored) = plan.treatments.iter_mut().find(|one| one.id == treatment.id) {
        stored.exhausted = true;
    }
    let tried: Vec<String> = treatment.attempts.iter().map(history).collect();
    let tried = if tried.is_empty() {
        "nothing could be tried".to_owned()
    } else {
        format!("tried {}", tried.join(", "))
    };
    let component = treatment.target.as_ref().map_or(CHARTER, Target::component);
    plan.concerns.push(Concern::RemediesExhausted {
        cause: treatment.cause.clone(),
        component: component.to_owned(),
        evidence: roots.iter().flat_map(|r| r.evidence.iter().cloned()).collect(),
        detail: format!("{tried} for {}; no action is left, it needs a person", said(treatment)),
    });
}
