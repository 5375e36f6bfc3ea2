//! What the store knows, read afresh in every cycle; and what has to be put in order once, at the start.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::domain::action::Scope;
use crate::domain::alert::InboxAlert;
use crate::domain::escalation::{Escalation, EscalationReason};
use crate::domain::execution::{ActionState, Execution, ExecutionStatus};
use crate::domain::incident::Incident;
use crate::domain::outcome::{ActionStatistics, Judging};
use crate::domain::policy::{Approval, Policy};
use crate::domain::time::Time;
use crate::domain::violation::TrackedViolation;
use crate::executor::settle_interrupted;
use crate::knowledge::{Fact, Knowledge, StoreError};
use crate::planner::Surplus;

/// The newest so many incidents and rejections are looked at; open ones are always among them, since there is one
/// open incident a cause and a rejection holds for an hour.
const RECENT: usize = 200;

pub(super) const SURPLUS: &str = "surplus";

/// What was recalled.
#[derive(Debug)]
pub(super) struct Recalled {
    pub inbox: Vec<InboxAlert>,
    pub receivers: BTreeSet<String>,
    pub policies: Vec<Policy>,
    pub incidents: Vec<Incident>,
    pub judgings: Vec<Judging>,
    pub statistics: Vec<ActionStatistics>,
    pub escalations: Vec<Escalation>,
    /// Ground on which an execution ended without a known result.
    pub blocked: Vec<Scope>,
    pub surplus: Option<Surplus>,
}

impl Recalled {
    pub async fn read(knowledge: &Knowledge) -> Result<Self, StoreError> {
        let mut policies = knowledge.all::<Policy>(Some(Approval::Pending.as_str())).await?;
        policies.extend(knowledge.all::<Policy>(Some(Approval::Approved.as_str())).await?);
        let rejected =
            knowledge.page::<Policy>(Some(Approval::Rejected.as_str()), None, RECENT).await?;
        policies.extend(rejected.items);
        let escalations = knowledge.all::<Escalation>(Some("open")).await?;
        let receivers = knowledge.get::<Fact>(Fact::RECEIVERS).await?;
        let surplus = knowledge.get::<Fact>(SURPLUS).await?;
        Ok(Self {
            inbox: knowledge.inbox().await?,
            receivers: receivers.map(|(fact, _)| strings(&fact)).unwrap_or_default(),
            blocked: blocked(knowledge, &escalations).await?,
            incidents: knowledge.page::<Incident>(None, None, RECENT).await?.items,
            judgings: knowledge.all::<Judging>(None).await?,
            statistics: knowledge.statistics().await?,
            surplus: surplus.and_then(|(fact, _)| serde_json::from_value(fact.value).ok()),
            policies,
            escalations,
        })
    }
}

fn strings(fact: &Fact) -> BTreeSet<String> {
    let list = fact.value.as_array().into_iter().flatten();
    list.filter_map(|v| v.as_str()).map(str::to_owned).collect()
}

/// The ground of every open `outcome_unknown` that names an execution.
async fn blocked(knowledge: &Knowledge, open: &[Escalation]) -> Result<Vec<Scope>, StoreError> {
    let mut blocked = Vec::new();
    for record in open.iter().filter(|e| e.reason == EscalationReason::OutcomeUnknown) {
        let Ok(id) = record.subject.parse::<Uuid>() else { continue };
        if let Some((execution, _)) = knowledge.get::<Execution>(&id.to_string()).await? {
            blocked.extend(unknown_ground(&execution));
        }
    }
    Ok(blocked)
}

pub(super) fn unknown_ground(execution: &Execution) -> Vec<Scope> {
    let unknown = |state| matches!(state, ActionState::Unknown | ActionState::UndoFailed);
    execution.actions.iter().filter(|a| unknown(a.state)).map(|a| a.action.scope()).collect()
}

/// What a start takes up from the store.
#[derive(Debug, Default)]
pub struct Recovered {
    pub violations: Vec<TrackedViolation>,
    pub known_alerts: BTreeSet<String>,
}

/// Puts the store in order before the first cycle: an execution that the last process left open is settled by what
/// its journal proves, and its judging is kept only if something took effect.
pub async fn recover(knowledge: &Knowledge, now: Time) -> Result<Recovered, StoreError> {
    let mut batch = knowledge.batch();
    for tag in ["pending", "in_progress"] {
        for execution in knowledge.all::<Execution>(Some(tag)).await? {
            let settled = settle_interrupted(execution, now);
            tracing::warn!(execution = %settled.id, status = ?settled.status, "settled an interrupted execution");
            batch.put(&settled);
            if settled.has_unknown() {
                let judging = knowledge.get::<Judging>(&settled.id.to_string()).await?;
                let evidence = judging.map(|(j, _)| j.before.into_iter().collect());
                batch.put(&interrupted(&settled, evidence.unwrap_or_default(), now));
            }
        }
    }
    knowledge.commit(batch).await?;
    let mut batch = knowledge.batch();
    for judging in knowledge.all::<Judging>(None).await? {
        let execution = knowledge.get::<Execution>(&judging.execution_id.to_string()).await?;
        let took_effect = execution.is_some_and(|(execution, _)| took_effect(&execution));
        if !took_effect {
            batch.delete::<Judging>(judging.execution_id.to_string());
        }
    }
    knowledge.commit(batch).await?;
    let known_alerts = knowledge.inbox().await?.iter().map(InboxAlert::key).collect();
    Ok(Recovered { violations: knowledge.all::<TrackedViolation>(None).await?, known_alerts })
}

/// At least one action is in effect, so far as is known.
pub(super) fn took_effect(execution: &Execution) -> bool {
    execution.status != ExecutionStatus::RolledBack
        && execution.actions.iter().any(|a| {
            matches!(a.state, ActionState::Applied | ActionState::Judging | ActionState::Judged)
        })
}

fn interrupted(execution: &Execution, evidence: Vec<String>, now: Time) -> Escalation {
    Escalation {
        id: Uuid::now_v7(),
        reason: EscalationReason::OutcomeUnknown,
        cause: Some(execution.cause.clone()),
        component: Some(execution.component.clone()),
        subject: execution.id.to_string(),
        detail: "the process stopped while this action was on its way; whether it took effect is not known. Look at Charter's state".to_owned(),
        evidence,
        opened_at: now,
        closed_at: None,
        times_seen: 1,
        last_active_at: now,
    }
}
