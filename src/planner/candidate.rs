//! One cause's candidates: each strategy entry on its ground, with its numbers and what stands in its way.

use std::collections::{BTreeMap, BTreeSet};

use super::cost_benefit::{benefit, effectiveness, order};
use super::parameters::compute;
use super::settings::Strategy;
use super::turn::{Turn, turn};
use super::{Concern, Plan, PlanInput};
use crate::domain::action::{Action, ActionKind};
use crate::domain::analysis::RootCause;
use crate::domain::charter::CommitteeStatus;
use crate::domain::cycle::{CandidateReport, Hold, Impossibility, Ineligibility, Verdict};
use crate::domain::incident::Incident;
use crate::domain::policy::Approval;
use crate::domain::rule::IDENTITY_LABELS;
use crate::domain::time::{Time, after, since};
use crate::domain::{CHARTER, Cause};

/// A candidate that may be executed, or that is held back for a while.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub report: CandidateReport,
    pub action: Action,
    pub evidence: Vec<String>,
    pub critical: bool,
    /// When its policy was first proposed: older goes first among equals.
    pub proposed_at: Time,
    pub held: Option<(Hold, String)>,
    /// A person has approved exactly this policy.
    pub approved_by_person: bool,
}

/// What a candidate would treat.
struct Ground<'a> {
    component: String,
    confidence: f64,
    occurrences: u32,
    critical: bool,
    evidence: BTreeSet<&'a str>,
}

/// Weighs all candidates of one cause. Puts a report of every one that is out into the plan and returns those that
/// remain: the cause's best one as it is, its rivals held back when the best is held back.
pub(super) fn weigh_cause(
    input: &PlanInput<'_>,
    cause: &Cause,
    incident: &Incident,
    plan: &mut Plan,
) -> Vec<Contender> {
    let roots: Vec<&RootCause> = input.root_causes.iter().filter(|r| &r.cause == cause).collect();
    let Some(strategies) = input.settings.strategies.get(cause) else { return Vec::new() };
    let mut weighed: Vec<(&Strategy, Weighed)> = Vec::new();
    for strategy in strategies {
        for ground in grounds(strategy.action, &roots) {
            weighed.push((strategy, weigh(input, cause, strategy, ground, roots.len())));
        }
    }
    let impossible: BTreeSet<ActionKind> = strategies
        .iter()
        .map(|s| s.action)
        .filter(|kind| {
            let mut own = weighed.iter().filter(|(s, _)| s.action == *kind).peekable();
            incident.impossible.contains(kind)
                || (own.peek().is_some() && own.all(|(_, w)| w.computed.is_err()))
        })
        .collect();
    let mut contenders = Vec::new();
    let mut viable = false;
    let mut ripe = false;
    for (strategy, weighed) in weighed {
        let turn = turn(strategy, strategies, incident, &impossible);
        let now_or_later = judge(input, incident, strategy, &weighed, &turn, &impossible);
        viable |= now_or_later.viable;
        ripe |= weighed.ripe(input).is_none();
        match now_or_later.verdict {
            Err(verdict) => {
                concern_of(&verdict, &weighed, plan);
                plan.candidates.push(weighed.report(verdict));
            }
            Ok((action, held)) => contenders.push(weighed.contender(input, action, held)),
        }
    }
    let judging = input.judgings.iter().any(|j| &j.cause == cause);
    if !viable && ripe && !judging {
        exhaust(cause, incident, &roots, plan);
    }
    hold_rivals(contenders)
}

/// The best of the cause stands; if it is held back its rivals wait too.
fn hold_rivals(mut contenders: Vec<Contender>) -> Vec<Contender> {
    contenders.sort_by(|a, b| {
        b.approved_by_person.cmp(&a.approved_by_person).then_with(|| compare(a, b))
    });
    if let Some(held) = contenders.first().and_then(|best| best.held.clone()) {
        for rival in &mut contenders {
            rival.held.get_or_insert_with(|| held.clone());
        }
    }
    contenders
}

pub(super) fn compare(a: &Contender, b: &Contender) -> std::cmp::Ordering {
    let key = |c: &Contender| (c.report.score, c.report.cost, c.action.risk(), c.proposed_at);
    order(key(a), key(b))
}

/// Scale, throttle, override and rebalance are planned for Charter as a whole, however many components show the cause.
fn grounds<'a>(kind: ActionKind, roots: &[&'a RootCause]) -> Vec<Ground<'a>> {
    let whole = match kind {
        ActionKind::ScaleUp
        | ActionKind::ScaleDown
        | ActionKind::ThrottleRequests
        | ActionKind::ActivateEmergencyOverride
        | ActionKind::RebalanceLoad => true,
        ActionKind::RestartService
        | ActionKind::ApplyPolicy
        | ActionKind::BypassValidation
        | ActionKind::UpdateConfiguration => false,
    };
    let ground = |component: &str, roots: &[&'a RootCause]| Ground {
        component: component.to_owned(),
        confidence: roots.iter().map(|r| r.confidence).fold(0.0, f64::max),
        occurrences: roots.iter().fold(0, |n, r| n.saturating_add(r.occurrences)),
        critical: roots.iter().any(|r| r.critical),
        evidence: roots.iter().flat_map(|r| r.evidence.iter().map(String::as_str)).collect(),
    };
    if whole {
        return vec![ground(CHARTER, roots)];
    }
    roots.iter().map(|root| ground(&root.component, &[root])).collect()
}

/// One candidate with its numbers.
struct Weighed<'a> {
    cause: Cause,
    kind: ActionKind,
    ground: Ground<'a>,
    computed: Result<Action, (Impossibility, String)>,
    effectiveness: f64,
    benefit: f64,
    cost: f64,
}

fn weigh<'a>(
    input: &PlanInput<'_>,
    cause: &Cause,
    strategy: &Strategy,
    ground: Ground<'a>,
    roots: usize,
) -> Weighed<'a> {
    let kind = strategy.action;
    let effectiveness = effectiveness(input.statistics, cause, kind, input.settings);
    Weighed {
        cause: cause.clone(),
        kind,
        computed: compute(input, strategy, &ground.component, roots == 1),
        effectiveness,
        benefit: benefit(ground.confidence, effectiveness, input.settings),
        cost: input.settings.cost(kind),
        ground,
    }
}

impl Weighed<'_> {
    fn score(&self) -> f64 {
        self.benefit - self.cost
    }

    /// Is there enough behind the cause to act at all?
    fn ripe(&self, input: &PlanInput<'_>) -> Option<(Ineligibility, String)> {
        let settings = input.settings;
        let needed = if self.ground.critical { 1 } else { settings.plan_threshold };
        let confirmed = self
            .ground
            .evidence
            .iter()
            .any(|fp| input.violations.get(fp).is_some_and(|v| v.confirmed));
        if !confirmed {
            return Some((
                Ineligibility::Unconfirmed,
                "none of its evidence was read as broken in this cycle".to_owned(),
            ));
        }
        if self.ground.confidence < settings.min_confidence {
            return Some((
                Ineligibility::LowConfidence,
                format!("{:.2} < {:.2}", self.ground.confidence, settings.min_confidence),
            ));
        }
        if self.ground.occurrences < needed {
            return Some((
                Ineligibility::TooFewOccurrences,
                format!("{} < {needed}", self.ground.occurrences),
            ));
        }
        None
    }

    fn report(&self, verdict: Verdict) -> CandidateReport {
        CandidateReport {
            cause: self.cause.clone(),
            component: self.ground.component.clone(),
            action: self.kind,
            planned: self.computed.as_ref().ok().cloned(),
            cause_confidence: self.ground.confidence,
            effectiveness: self.effectiveness,
            benefit: self.benefit,
            cost: self.cost,
            score: self.score(),
            occurrences: self.ground.occurrences,
            verdict,
        }
    }

    fn contender(
        &self,
        input: &PlanInput<'_>,
        action: Action,
        held: Option<(Hold, String)>,
    ) -> Contender {
        let open = input.policies.iter().find(|p| {
            p.approval.is_open()
                && p.cause == self.cause
                && p.component == self.ground.component
                && p.actions.iter().any(|a| a.kind() == self.kind)
        });
        Contender {
            report: self.report(Verdict::Chosen),
            action,
            evidence: self.ground.evidence.iter().map(|fp| (*fp).to_owned()).collect(),
            critical: self.ground.critical,
            proposed_at: open.map_or(input.now, |p| p.created_at),
            held,
            approved_by_person: open.is_some_and(super::policy::approved_by_person),
        }
    }
}

struct Judged {
    verdict: Result<(Action, Option<(Hold, String)>), Verdict>,
    /// It may still come to be executed in this incident.
    viable: bool,
}

fn judge(
    input: &PlanInput<'_>,
    incident: &Incident,
    strategy: &Strategy,
    weighed: &Weighed<'_>,
    turn: &Turn,
    impossible: &BTreeSet<ActionKind>,
) -> Judged {
    let out = |reason, detail: String, viable| Judged {
        verdict: Err(Verdict::Ineligible { reason, detail }),
        viable,
    };
    if incident.exhausted {
        let detail = "no candidate is left in this incident; a person has been told".to_owned();
        return out(Ineligibility::RemediesExhausted, detail, false);
    }
    if let Turn::TriedOut(detail) = turn {
        return out(Ineligibility::TriedOut, detail.clone(), false);
    }
    let low_score = weighed.score() <= input.settings.min_score;
    let action = match &weighed.computed {
        // Without Charter's state nothing can be computed, and nothing could be sent either: held, not impossible.
        Err(_) if input.charter.state.is_err() => None,
        Err((reason, detail)) => {
            return Judged {
                verdict: Err(Verdict::Impossible { reason: *reason, detail: detail.clone() }),
                viable: false,
            };
        }
        Ok(_) if impossible.contains(&strategy.action) => {
            let detail = "Charter refused it as invalid in this incident".to_owned();
            return Judged {
                verdict: Err(Verdict::Impossible { reason: Impossibility::Invalid, detail }),
                viable: false,
            };
        }
        Ok(action) => Some(action.clone()),
    };
    if low_score {
        let detail = format!("{:.3} <= {:.3}", weighed.score(), input.settings.min_score);
        return out(Ineligibility::LowScore, detail, false);
    }
    if let Turn::Later(before) = turn {
        return out(Ineligibility::NotItsTurn, format!("after {before}"), false);
    }
    if let Some((reason, detail)) = weighed.ripe(input) {
        return out(reason, detail, true);
    }
    if let Some(detail) = ambiguous(input, &weighed.ground.evidence) {
        return out(Ineligibility::AmbiguousScope, detail, true);
    }
    let Some(action) = action else {
        let detail = input.charter.state.clone().err().unwrap_or_default();
        return Judged {
            verdict: Err(Verdict::Held { reason: Hold::CharterUnreachable, detail }),
            viable: true,
        };
    };
    let held = hold(input, &weighed.cause, &weighed.ground.component, &action);
    Judged { verdict: Ok((action, held)), viable: true }
}

/// What holds an executable action back for a while.
pub(super) fn hold(
    input: &PlanInput<'_>,
    cause: &Cause,
    component: &str,
    action: &Action,
) -> Option<(Hold, String)> {
    let now = input.now;
    let state = match &input.charter.state {
        Ok(state) => state,
        Err(error) => return Some((Hold::CharterUnreachable, error.clone())),
    };
    let scope = action.scope();
    if let Some(judging) = input.judgings.iter().find(|j| j.scope.overlaps(&scope)) {
        let left = since(judging.settled_at, now).as_secs();
        let actions: Vec<&str> = judging.actions.iter().map(|a| a.as_str()).collect();
        return Some((
            Hold::Judging,
            format!("{} is being judged, {left} s of its settle time left", actions.join(", ")),
        ));
    }
    if input.blocked.iter().any(|blocked| blocked.overlaps(&scope)) {
        return Some((
            Hold::OutcomeUnknown,
            "an earlier action there ended without a known result; a person has been told"
                .to_owned(),
        ));
    }
    let settle = input.settings.resize_settle;
    if let Some(resize) = input.last_resize
        && state.healthy_nodes < state.replicas
        && since(now, resize.at) < settle
    {
        return Some((
            Hold::InFlight,
            format!(
                "{} of {} nodes are healthy {} s after a change of size",
                state.healthy_nodes,
                state.replicas,
                since(now, resize.at).as_secs()
            ),
        ));
    }
    if state.status == CommitteeStatus::Recovering
        && input.recovering_since.is_some_and(|at| since(now, at) < settle)
    {
        return Some((Hold::InFlight, "Charter says that it is recovering".to_owned()));
    }
    let rejected = input.policies.iter().find(|p| {
        p.approval == Approval::Rejected
            && &p.cause == cause
            && p.component == component
            && p.decided_at.is_some_and(|at| since(now, at) < input.settings.rejection_holds)
            && p.evidence.iter().any(|fp| input.violations.contains_key(fp.as_str()))
    });
    rejected.map(|p| {
        let until = p.decided_at.map(|at| after(at, input.settings.rejection_holds));
        let until = until.map(|at| at.format("%H:%M:%S").to_string()).unwrap_or_default();
        let by = p.decided_by.as_deref().unwrap_or("a person");
        (
            Hold::Rejected,
            format!("rejected by {by}; holds until it clears, at most until {until} UTC"),
        )
    })
}

/// Two systems behind one plan, while nothing says which of them is ours.
fn ambiguous(input: &PlanInput<'_>, evidence: &BTreeSet<&str>) -> Option<String> {
    if input.scoped {
        return None;
    }
    IDENTITY_LABELS.iter().find_map(|label| {
        let values: BTreeSet<&str> = evidence
            .iter()
            .filter_map(|fp| input.violations.get(fp))
            .filter_map(|v| v.labels.get(*label).map(String::as_str))
            .collect();
        (values.len() > 1).then(|| {
            let values: Vec<&str> = values.into_iter().collect();
            format!(
                "label {label} has values {}: set monitor.scope to name ours",
                values.join(", ")
            )
        })
    })
}

fn concern_of(verdict: &Verdict, weighed: &Weighed<'_>, plan: &mut Plan) {
    let cause = weighed.cause.clone();
    let component = weighed.ground.component.clone();
    let evidence = || weighed.ground.evidence.iter().map(|fp| (*fp).to_owned()).collect();
    match verdict {
        Verdict::Impossible { reason: Impossibility::AtLimit, detail }
            if weighed.kind == ActionKind::ScaleUp =>
        {
            let (evidence, detail) = (evidence(), detail.clone());
            plan.concerns.push(Concern::CapacityExhausted { cause, component, evidence, detail });
        }
        Verdict::Ineligible { reason: Ineligibility::AmbiguousScope, detail } => {
            let (evidence, detail) = (evidence(), detail.clone());
            plan.concerns.push(Concern::AmbiguousScope { cause, component, evidence, detail });
        }
        _ => {}
    }
}

fn exhaust(cause: &Cause, incident: &Incident, roots: &[&RootCause], plan: &mut Plan) {
    if let Some(stored) = plan.incidents.iter_mut().find(|i| i.id == incident.id) {
        stored.exhausted = true;
    }
    let tried: BTreeMap<ActionKind, usize> =
        incident.attempts.iter().fold(BTreeMap::new(), |mut tried, attempt| {
            *tried.entry(attempt.action).or_default() += 1;
            tried
        });
    let tried = if tried.is_empty() {
        "nothing could be tried".to_owned()
    } else {
        let parts: Vec<String> = tried.iter().map(|(a, n)| format!("{a} {n}×")).collect();
        format!("tried {}", parts.join(", "))
    };
    plan.concerns.push(Concern::RemediesExhausted {
        cause: cause.clone(),
        component: CHARTER.to_owned(),
        evidence: roots.iter().flat_map(|r| r.evidence.iter().cloned()).collect(),
        detail: format!("{tried} for {cause}; no remedy is left, it needs a person"),
    });
}
