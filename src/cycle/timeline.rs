//! What a cycle did about incidents, for their timelines: proposed, held, approved or rejected by whom, applied, failed,
//! undone, what came of it.
//!
//! The stages say it as it happens, so that it is noted whatever becomes of the rest of the cycle.

use std::collections::{BTreeMap, BTreeSet};

use super::verify::Verified;
use crate::domain::action::{Action, ActionKind};
use crate::domain::cycle::{CandidateReport, CandidateResult, Hold, Ineligibility};
use crate::domain::execution::{Execution, ExecutionStatus};
use crate::domain::grant::Grant;
use crate::domain::incident::{AtWork, Happening, Incident, WorkStage};
use crate::domain::policy::{Approval, Policy};
use crate::domain::target::Target;
use crate::domain::time::Time;
use crate::domain::treatment::Treatment;
use crate::planner::Plan;

#[derive(Clone, Debug)]
pub(super) struct Happened {
    pub what: Happening,
    pub text: String,
    pub at: Time,
    /// The incident of the treatment or need that it belongs to.
    pub incident: Option<String>,
    /// Fingerprints: it belongs to every incident that one of them lies in.
    pub evidence: Vec<String>,
    /// Where neither says it.
    pub target: Option<Target>,
    /// Only to incidents of the evidence in which something was applied since then.
    pub applied_since: Option<Time>,
}

impl Happened {
    pub fn new(what: Happening, text: String, at: Time) -> Self {
        let (incident, target, applied_since) = (None, None, None);
        Self { what, text, at, incident, evidence: Vec::new(), target, applied_since }
    }

    /// What became of an execution, at its end or when it was found out.
    pub fn of(execution: &Execution, treatments: &[Treatment], at: Time) -> Self {
        let actions = named(execution);
        let why = || {
            let own = execution.actions.iter().find_map(|record| record.error.clone());
            execution.error.clone().or(own).unwrap_or_else(|| "no reason was given".to_owned())
        };
        let (what, text) = match execution.status {
            ExecutionStatus::Completed => {
                (Happening::Applied, format!("{actions}: applied; its result is verified next"))
            }
            ExecutionStatus::RolledBack => {
                (Happening::Failed, format!("{actions}: failed and was undone: {}", why()))
            }
            ExecutionStatus::Failed => (Happening::Failed, format!("{actions}: failed: {}", why())),
            ExecutionStatus::Pending | ExecutionStatus::InProgress => {
                (Happening::Failed, format!("{actions}: its end is not known: {}", why()))
            }
        };
        Self {
            incident: treated(treatments, execution.policy_id),
            target: execution.actions.first().map(|record| record.action.target()),
            ..Self::new(what, text, at)
        }
    }

    pub fn with(self, evidence: impl IntoIterator<Item = String>) -> Self {
        Self { evidence: evidence.into_iter().collect(), ..self }
    }
}

/// The actions of an execution, in words.
pub(super) fn named(execution: &Execution) -> String {
    let actions = execution.actions.iter().map(|record| record.action.to_string());
    actions.collect::<Vec<_>>().join(", ")
}

/// The incident of the treatment that has an attempt of this policy.
pub(super) fn treated(treatments: &[Treatment], policy: uuid::Uuid) -> Option<String> {
    let has_tried = |one: &&Treatment| one.attempts.iter().any(|a| a.policy_id == policy);
    treatments.iter().filter(has_tried).find_map(|one| one.incident.clone())
}

/// What came of the actions that were verified in this cycle.
pub(super) fn results(ruled: &[Verified], treatments: &[Treatment], at: Time) -> Vec<Happened> {
    let result = |ruled: &Verified| {
        let verification = &ruled.verification;
        let actions: Vec<&str> = verification.actions.iter().map(ActionKind::as_str).collect();
        let text = format!(
            "{}: {}: {}",
            actions.join(", "),
            ruled.ruling.outcome.as_str(),
            ruled.ruling.reason
        );
        Happened {
            incident: treated(treatments, verification.policy_id),
            target: Some(verification.target.clone()),
            applied_since: Some(verification.intent_at),
            ..Happened::new(Happening::Result, text, at).with(verification.before.iter().cloned())
        }
    };
    ruled.iter().map(result).collect()
}

/// What became of the chosen policy.
pub(super) fn executed(execution: &Execution, policy: &Policy, plan: &Plan) -> Happened {
    let at = execution.ended_at.unwrap_or(execution.started_at);
    let happened = Happened::of(execution, &[], at).with(policy.evidence.iter().cloned());
    Happened {
        incident: plan.treatment_of(policy).and_then(|one| one.incident.clone()),
        ..happened
    }
}

/// The decisions that the last cycle knew of: a policy, and when a person decided about it.
pub(super) type Decisions = BTreeSet<(uuid::Uuid, Option<Time>)>;

/// What people decided, what is proposed anew, and what is held by which guard. `known`: policies as they were before.
/// `noted` becomes what this cycle knows: each decision is handed on once, because a timeline forgets its oldest lines.
pub(super) fn planned(
    plan: &Plan,
    known: &[Policy],
    noted: &mut Decisions,
    at: Time,
) -> Vec<Happened> {
    let before = std::mem::replace(noted, known.iter().map(|p| (p.id, p.decided_at)).collect());
    let is_noted = |p: &&Policy| before.contains(&(p.id, p.decided_at));
    let new = known.iter().filter(|p| !is_noted(p));
    let mut happened: Vec<Happened> = new.filter_map(|p| decided(plan, p)).collect();
    let before: BTreeMap<_, u32> = known.iter().map(|p| (p.id, p.revision)).collect();
    let is_new = |p: &&Policy| before.get(&p.id).is_none_or(|revision| *revision < p.revision);
    happened.extend(plan.policies.iter().filter(is_new).map(|policy| {
        let hash = policy.short_hash();
        let text = format!(
            "{}: proposed as {hash}, revision {}, score {:.2}, {} risk",
            actions(policy),
            policy.revision,
            policy.score,
            policy.risk.as_str(),
        );
        of_policy(plan, policy, Happening::Proposed, text, at)
    }));
    happened.extend(plan.candidates.iter().filter_map(|c| held(plan, c, at)));
    happened
}

fn actions(policy: &Policy) -> String {
    policy.actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// By a person: nobody is notified of what the mode approves.
fn decided(plan: &Plan, policy: &Policy) -> Option<Happened> {
    let by = policy.decided_by.as_deref().filter(|by| *by != Grant::AUTO)?;
    let (what, text) = match policy.approval {
        Approval::Approved => {
            (Happening::Approved, format!("{}: approved by {by}, applying", actions(policy)))
        }
        Approval::Rejected => {
            (Happening::Rejected, format!("{}: rejected by {by}", actions(policy)))
        }
        Approval::Pending | Approval::Executed | Approval::Expired | Approval::Superseded => {
            return None;
        }
    };
    Some(of_policy(plan, policy, what, text, policy.decided_at?))
}

fn of_policy(plan: &Plan, policy: &Policy, what: Happening, text: String, at: Time) -> Happened {
    Happened {
        incident: plan.treatment_of(policy).and_then(|one| one.incident.clone()),
        target: policy.actions.first().map(Action::target),
        ..Happened::new(what, text, at).with(policy.evidence.iter().cloned())
    }
}

fn held(plan: &Plan, candidate: &CandidateReport, at: Time) -> Option<Happened> {
    let CandidateResult::Held { reason, detail } = &candidate.verdict else { return None };
    let treatment = plan.treatment_for(candidate)?;
    let text = format!("{}: {}: {detail}", candidate.action, in_words(*reason));
    Some(Happened {
        incident: treatment.incident.clone(),
        target: treatment.target.clone(),
        ..Happened::new(Happening::Held, text, at)
    })
}

/// Why what could be done about each target is not done in this cycle; what a guard holds comes first.
pub(super) fn waiting(plan: &Plan) -> Vec<AtWork> {
    let waits = |candidate: &CandidateReport, why: String| {
        let target = plan.treatment_for(candidate)?.target.clone()?;
        let action = candidate.action.to_string();
        Some(AtWork { target, action, stage: WorkStage::Waiting(why) })
    };
    let held = plan.candidates.iter().filter_map(|one| match &one.verdict {
        CandidateResult::Held { reason, .. } => waits(one, in_words(*reason)),
        _ => None,
    });
    let other = plan.candidates.iter().filter_map(|one| match &one.verdict {
        CandidateResult::Ineligible { reason: Ineligibility::NotItsTurn, .. } => None,
        CandidateResult::Ineligible { detail, .. } | CandidateResult::Impossible { detail, .. } => {
            waits(one, detail.clone())
        }
        _ => None,
    });
    held.chain(other).collect()
}

/// Why an action is held, for titles and timelines. Without ": ", because a line's second part says which reason it is, and
/// numbers that change in its detail make no new line.
fn in_words(reason: Hold) -> String {
    let why = match reason {
        Hold::Paused => "the loop is paused",
        Hold::ModeObserve => "guardrails.mode is observe",
        Hold::NotLeading => "this replica is not sure that it leads",
        Hold::CharterUnreachable => "Charter does not answer",
        Hold::ClusterUnreadable => "its target cannot be read in Kubernetes",
        Hold::TargetMissing => "Kubernetes has no such target, or nobody watches it",
        Hold::OptedOut => "its target's label mape-k.io/act is off",
        Hold::Protected => "its target is protected",
        Hold::StaleData => "its evidence could not be read whole and fresh",
        Hold::Verifying => "an earlier action there has no result yet",
        Hold::InFlight => "an earlier action there has not ended yet",
        Hold::OutcomeUnknown => "nobody knows yet what an earlier action there did",
        Hold::Rejected => "a person rejected it",
        Hold::NotBegun => "a stop or a person came before it began",
        Hold::ApprovalPending => return "waits for approval".to_owned(),
        Hold::Storm
        | Hold::BreakerOpen
        | Hold::Cooldown
        | Hold::OppositeDirection
        | Hold::BudgetExhausted
        | Hold::FleetLimit => return format!("held by the guard {}", reason.as_str()),
    };
    format!("held because {why}")
}

/// Does the timeline say this already: the same action, held by the same guard, with nothing applied since?
pub(super) fn is_held_already(incident: &Incident, text: &str) -> bool {
    let start = |text: &str, parts: usize| {
        text.splitn(parts + 1, ": ").take(parts).map(str::to_owned).collect::<Vec<_>>()
    };
    let action = start(text, 1);
    let last = incident.timeline.iter().rev().find(|one| match one.what {
        Happening::Applied | Happening::Failed => true,
        Happening::Held => start(&one.text, 1) == action,
        _ => false,
    });
    last.is_some_and(|one| one.what == Happening::Held && start(&one.text, 2) == start(text, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_part_of_a_line_of_its_own_and_none_shows_a_raw_name_but_a_guards() {
        let all: Vec<String> = Hold::ALL.into_iter().map(in_words).collect();
        for (reason, text) in Hold::ALL.into_iter().zip(&all) {
            assert!(!text.contains(": "), "{text}");
            assert!(all.iter().filter(|other| *other == text).count() == 1, "{text}");
            let name = reason.as_str();
            assert!(
                text.contains("by the guard") || !text.contains(&format!("by {name}")),
                "{text}"
            );
            assert!(text.contains("by the guard") || !text.contains('_'), "{text}");
        }
    }
}
