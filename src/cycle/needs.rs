//! What is left for people after this cycle: collects it, reconciles it with the open records, stores and says it.

use std::collections::{BTreeMap, BTreeSet};

mod alerts;

use super::Ids;
use super::guarded::{INTERVALS, only_the_storm};
use super::kit::Kit;
use super::observe::Seen;
use super::recall::Recalled;
use super::settle::give_up;
use super::verify::Verified;
use crate::domain::Cause;
use crate::domain::action::{Action, ActionKind};
use crate::domain::analysis::{Analysis, RootCause};
use crate::domain::execution::{Execution, ExecutionStatus};
use crate::domain::fleet::Fleet;
use crate::domain::need::{ApprovalRequest, Need, NeedReason as Reason};
use crate::domain::outcome::OutcomeType;
use crate::domain::policy::Approval;
use crate::domain::reading::RuleStatus;
use crate::domain::target::System;
use crate::domain::time::{Time, after};
use crate::domain::violation::Violation;
use crate::incidents::{Changes, NeedRequest, Situation, reconcile};
use crate::knowledge::StoreError;
use crate::metrics::Metrics;
use crate::planner::{Concern, Plan};

/// Everything of a cycle that may need a person.
pub(super) struct CycleOutcome<'a> {
    pub seen: &'a Seen,
    pub fleets: &'a BTreeMap<System, Fleet>,
    pub rules: &'a [RuleStatus],
    pub analysis: &'a Analysis,
    pub plan: &'a Plan,
    pub execution: Option<&'a Execution>,
    pub rulings: &'a [Verified],
    pub active: &'a [Violation],
    pub by_fingerprint: &'a BTreeMap<&'a str, &'a Violation>,
    /// The metrics could not be read.
    pub blind: bool,
    /// What could not be brought to an end.
    pub open_ends: &'a [NeedRequest],
    /// What the plan's own check found broken.
    pub refused: &'a [String],
}

impl<'a> CycleOutcome<'a> {
    fn active_by(&self, fingerprint: &str) -> Option<&'a Violation> {
        self.by_fingerprint.get(fingerprint).copied()
    }
}

/// Since when the conditions that people are notified of have lasted.
#[derive(Debug, Default)]
pub(super) struct Escalate {
    /// Since when the metrics cannot be read; over after a few cycles in which they could.
    pub(super) blind_since: Option<Time>,
    pub(super) readable_cycles: u32,
    /// Since when the action of a cause, on one component or on Charter as a whole, has been held by one reason.
    pub(super) held_since: BTreeMap<(Cause, Option<String>, &'static str), Time>,
    /// Since when nobody could confirm a critical alert, by fingerprint.
    unconfirmed_since: BTreeMap<String, Time>,
}

impl Escalate {
    pub async fn escalate(
        &mut self,
        kit: &Kit,
        recalled: &Recalled,
        left: &CycleOutcome<'_>,
    ) -> Result<Changes, StoreError> {
        let mut wanted: Vec<NeedRequest> = left.plan.concerns.iter().map(concern).collect();
        wanted.extend(unknown_causes(kit, recalled, left));
        wanted.extend(approvals(kit, recalled, left.plan));
        let evidence = left.plan.chosen.as_ref().map(|p| p.evidence.as_slice()).unwrap_or_default();
        wanted.extend(left.execution.into_iter().flat_map(|e| failed(e, evidence)));
        wanted.extend(left.rulings.iter().filter_map(|r| verdict(r, left.active)));
        wanted.extend(left.active.iter().filter(|v| v.flapping && v.counts()).map(flapping));
        wanted.extend(missing(left.rules));
        wanted.extend(left.open_ends.iter().cloned());
        let active: BTreeSet<String> = left.active.iter().map(|v| v.fingerprint.clone()).collect();
        let confirmed: BTreeSet<String> =
            left.active.iter().filter(|v| v.confirmed).map(|v| v.fingerprint.clone()).collect();
        let interval = kit.config.orchestrator.loop_interval;
        wanted.extend(alerts::wanted(
            &left.seen.snapshot,
            &active,
            &kit.config.alertmanager,
            interval,
            &mut self.unconfirmed_since,
        ));
        wanted.extend(self.guarded(kit, &recalled.ledger, left));
        let mut sick = BTreeSet::new();
        for (system, fleet) in left.fleets {
            if recalled.ledger.storm(*system).is_some() {
                sick.extend(fleet.sick.iter().cloned());
            }
        }
        if !sick.is_empty() {
            only_the_storm(&mut wanted, &sick, &recalled.escalations);
        }
        let completed = left.execution.filter(|e| e.status == ExecutionStatus::Completed);
        let succeeded: Vec<(Cause, String)> =
            completed.map(|e| (e.cause.clone(), e.component.clone())).into_iter().collect();
        let missing: BTreeSet<String> = left
            .rules
            .iter()
            .filter(|r| r.missing_since.is_some())
            .map(|r| r.rule.clone())
            .collect();
        let lasting: BTreeSet<Reason> = [
            (Reason::AmbiguousScope, kit.config.monitor.scope.is_empty()),
            (Reason::Blind, self.readable_cycles < INTERVALS),
            (Reason::Storm, !recalled.ledger.storms.is_empty()),
            (Reason::Breaker, recalled.ledger.breakers.values().any(|b| b.tripped.is_some())),
        ]
        .into_iter()
        .filter_map(|(reason, lasts)| lasts.then_some(reason))
        .collect();
        let situation = Situation {
            now: left.seen.snapshot.at,
            active: &active,
            confirmed: &confirmed,
            missing: &missing,
            succeeded: &succeeded,
            lasting: &lasting,
            quiet: kit.config.plan.incident_gap,
        };
        let mut changes =
            reconcile(recalled.escalations.clone(), wanted, &situation, &mut || kit.ids.id());
        let mut batch = kit.knowledge.batch();
        for record in changes.opened.iter().chain(&changes.refreshed).chain(&changes.closed) {
            batch.put(record);
        }
        give_up(kit, &changes.closed, &mut batch).await?;
        kit.knowledge.commit(batch).await?;
        for record in &changes.opened {
            announce(&kit.metrics, record);
        }
        for record in &changes.closed {
            tracing::info!(
                need = %record.id, reason = record.reason.as_str(), subject = record.subject,
                "a need ended"
            );
        }
        let open: Vec<Reason> = [&changes.opened, &changes.refreshed, &changes.unchanged]
            .into_iter()
            .flatten()
            .map(|e| e.reason)
            .collect();
        kit.metrics.escalations_open(&open);
        // Opened with its verdict or result earlier in this cycle.
        let earlier = changes.refreshed.extract_if(.., |e| e.opened_at == situation.now);
        changes.opened.extend(earlier);
        Ok(changes)
    }
}

/// Root causes that no strategy treats where they are. One that names no cause is held back by a known cause on, or an action verified
/// for, that very component.
fn unknown_causes(kit: &Kit, recalled: &Recalled, left: &CycleOutcome<'_>) -> Vec<NeedRequest> {
    let plan = &kit.config.plan;
    let has_strategy =
        |r: &RootCause| r.target.as_ref().is_some_and(|target| plan.treats(&r.cause, target));
    let roots = &left.analysis.root_causes;
    let treated: BTreeSet<&str> =
        roots.iter().filter(|r| has_strategy(r)).map(|r| r.component.as_str()).collect();
    let mut wanted = Vec::new();
    for root in roots.iter().filter(|r| !has_strategy(r)) {
        let known = treated.contains(root.component.as_str());
        let verification = recalled.verifications.iter().any(|j| j.component == root.component);
        if root.cause.is_unknown() && (known || verification) {
            continue;
        }
        let mut by_rule: BTreeMap<&str, Vec<&Violation>> = BTreeMap::new();
        for violation in root.evidence.iter().filter_map(|fp| left.active_by(fp)) {
            by_rule.entry(&violation.rule).or_default().push(violation);
        }
        let elsewhere = plan.strategies.get(&root.cause).is_some_and(|list| !list.is_empty());
        let why = if elsewhere {
            let place = &root.component;
            format!(
                "the actions of plan.strategies for cause {} treat another target than {place} (a hook treats its own \
                 component or target alone)",
                root.cause
            )
        } else {
            format!("no action is configured for cause {} (plan.strategies)", root.cause)
        };
        for (subject, own) in by_rule {
            let first = own.first().map(|v| v.description.as_str()).unwrap_or_default();
            wanted.push(NeedRequest {
                cause: Some(root.cause.clone()),
                component: Some(root.component.clone()),
                evidence: own.iter().map(|v| v.fingerprint.clone()).collect(),
                ..NeedRequest::new(Reason::UnknownCause, subject, format!("{why}: {first}"))
            });
        }
    }
    wanted
}

/// Opens the needs that are not open yet and returns them, to be stored in one batch with the fact itself.
pub(super) fn tell(
    ids: &Ids,
    open: &mut Vec<Need>,
    wanted: Vec<NeedRequest>,
    now: Time,
) -> Vec<Need> {
    let mut told = Vec::new();
    for want in wanted {
        // The reconciliation at the end of the cycle is the first to see it.
        let record = Need { times_seen: 0, ..want.opened(ids.id(), now) };
        if open.iter().all(|e| e.key() != record.key()) {
            open.push(record.clone());
            told.push(record);
        }
    }
    told
}

/// Once for each record, when it is durable.
pub(super) fn announce(metrics: &Metrics, record: &Need) {
    metrics.escalation_opened(record.reason);
    tracing::error!(
        need = %record.id, reason = record.reason.as_str(), cause = record.cause.as_ref().map(|c| c.0.as_str()),
        component = record.component, subject = record.subject, detail = record.detail,
        "a person is needed"
    );
}

fn missing(rules: &[RuleStatus]) -> Vec<NeedRequest> {
    let too_long = rules.iter().filter(|r| r.missing_too_long);
    too_long
        .map(|status| {
            let missing = || format!("rule {} has had no data for too long", status.rule);
            let detail = status.problem.clone().unwrap_or_else(missing);
            NeedRequest::new(Reason::DataMissing, &status.rule, detail)
        })
        .collect()
}

fn concern(concern: &Concern) -> NeedRequest {
    let (reason, cause, component, evidence, detail) = match concern {
        Concern::CapacityExhausted { cause, component, evidence, detail } => {
            (Reason::CapacityExhausted, cause, component, evidence, detail)
        }
        Concern::RemediesExhausted { cause, component, evidence, detail } => {
            (Reason::RemediesExhausted, cause, component, evidence, detail)
        }
        Concern::AmbiguousScope { cause, component, evidence, detail } => {
            (Reason::AmbiguousScope, cause, component, evidence, detail)
        }
    };
    NeedRequest {
        cause: Some(cause.clone()),
        component: Some(component.clone()),
        evidence: evidence.clone(),
        ..NeedRequest::new(reason, &cause.0, detail.clone())
    }
}

/// Policies that wait for a person after this cycle's plan.
fn approvals(kit: &Kit, recalled: &Recalled, plan: &Plan) -> Vec<NeedRequest> {
    let planned = |id| plan.policies.iter().find(|p| p.id == id);
    let before = recalled.policies.iter().filter(|p| planned(p.id).is_none());
    before
        .chain(&plan.policies)
        .filter(|p| p.approval == Approval::Pending)
        .map(|policy| {
            let actions: Vec<String> = policy.actions.iter().map(ToString::to_string).collect();
            let hash = policy.short_hash();
            // The hash names it even when it has changed: the command then shows both.
            let detail = format!(
                "{} waits for approval: mape-k approve {hash}, or mape-k reject {hash} --reason TEXT",
                actions.join(", ")
            );
            NeedRequest {
                approval: Some(ApprovalRequest {
                    policy: policy.id,
                    revision: policy.revision,
                    hash,
                    expires_at: after(policy.created_at, kit.config.plan.approval_ttl),
                }),
                target: policy.actions.first().map(Action::target),
                cause: Some(policy.cause.clone()),
                component: Some(policy.component.clone()),
                evidence: policy.evidence.clone(),
                ..NeedRequest::new(Reason::ApprovalNeeded, &policy.cause.0, detail)
            }
        })
        .collect()
}

/// About what the execution changes.
pub(super) fn of(
    execution: &Execution,
    reason: Reason,
    subject: String,
    detail: String,
) -> NeedRequest {
    NeedRequest {
        target: execution.actions.first().map(|record| record.action.target()),
        cause: Some(execution.cause.clone()),
        component: Some(execution.component.clone()),
        ..NeedRequest::new(reason, subject, detail)
    }
}

pub(super) fn failed(execution: &Execution, evidence: &[String]) -> Vec<NeedRequest> {
    let mut wanted = Vec::new();
    if matches!(execution.status, ExecutionStatus::Failed | ExecutionStatus::RolledBack) {
        let detail = execution.error.clone().unwrap_or_else(|| "the execution failed".to_owned());
        let failed = of(execution, Reason::ActionFailed, execution.cause.0.clone(), detail);
        wanted.push(NeedRequest { evidence: evidence.to_vec(), ..failed });
    }
    wanted.extend(unknown(execution, evidence));
    wanted
}

/// What only Charter can tell of this execution.
pub(super) fn unknown(execution: &Execution, evidence: &[String]) -> Vec<NeedRequest> {
    let unknown: Vec<String> = execution
        .unknown_actions()
        .map(|a| format!("{}: {}", a.action, a.error.as_deref().unwrap_or("its end is not known")))
        .collect();
    if unknown.is_empty() {
        return Vec::new();
    }
    let detail = unknown.join("; ");
    let unknown = of(execution, Reason::OutcomeUnknown, execution.id.to_string(), detail);
    vec![NeedRequest { evidence: evidence.to_vec(), ..unknown }]
}

pub(super) fn verdict(ruled: &Verified, active: &[Violation]) -> Option<NeedRequest> {
    let verification = &ruled.verification;
    let reason = match ruled.ruling.outcome {
        OutcomeType::Success | OutcomeType::Partial => return None,
        OutcomeType::Ineffective => Reason::Ineffective,
        OutcomeType::Degradation => Reason::Degradation,
        // Giving back surplus treats nothing, so a verdict on nothing is no news.
        OutcomeType::Unknown if verification.cause.0 == Cause::SCALE_BACK => return None,
        OutcomeType::Unknown => Reason::OutcomeUnknown,
    };
    let actions: Vec<&str> = verification.actions.iter().map(ActionKind::as_str).collect();
    let actions = actions.join(", ");
    let left = ruled.left.as_ref().map(|left| format!("; {left}")).unwrap_or_default();
    let mut evidence: BTreeSet<String> = verification.before.clone();
    evidence.extend(
        active
            .iter()
            .filter(|v| v.counts() && v.lies_on(&verification.target))
            .map(|v| v.fingerprint.clone()),
    );
    let detail = format!(
        "{actions} for {}: {}{left}. See mape-k explain action {}",
        verification.cause, ruled.ruling.reason, verification.execution_id
    );
    Some(NeedRequest {
        target: Some(verification.target.clone()),
        cause: Some(verification.cause.clone()),
        component: Some(verification.component.clone()),
        evidence: evidence.into_iter().collect(),
        ..NeedRequest::new(reason, actions, detail)
    })
}

fn flapping(violation: &Violation) -> NeedRequest {
    let detail = format!(
        "it keeps coming back, so nothing is planned for it until it stays clear: {}",
        violation.description
    );
    NeedRequest {
        cause: violation.cause.clone(),
        component: violation.component.clone(),
        evidence: vec![violation.fingerprint.clone()],
        ..NeedRequest::new(Reason::Flapping, &violation.rule, detail)
    }
}
