//! What the store knows, read afresh in every cycle.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::ledger::LEDGER;
use crate::domain::action::Scope;
use crate::domain::alert::InboxAlert;
use crate::domain::escalation::{Escalation, EscalationReason};
use crate::domain::execution::{ActionRecord, ActionState, Execution, ExecutionStatus};
use crate::domain::incident::Incident;
use crate::domain::ledger::Ledger;
use crate::domain::outcome::{ActionStatistics, Judging};
use crate::domain::pause::Pause;
use crate::domain::policy::{Approval, Policy};
use crate::domain::time::Time;
use crate::knowledge::{Fact, Knowledge, StoreError};
use crate::planner::Surplus;

/// The newest so many incidents and rejections are looked at; open ones are always among them, since there is one
/// open incident a cause and a rejection holds for an hour.
pub(super) const RECENT: usize = 200;

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
    pub pause: Option<Pause>,
    pub ledger: Ledger,
}

impl Recalled {
    pub async fn read(knowledge: &Knowledge, now: Time) -> Result<Self, StoreError> {
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
            ledger: knowledge.fact::<Ledger>(LEDGER).await?.unwrap_or_default(),
            pause: knowledge.paused(now).await?,
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
            blocked.extend(unknown_actions(&execution).map(|a| a.action.scope()));
        }
    }
    Ok(blocked)
}

pub(super) fn unknown_actions(execution: &Execution) -> impl Iterator<Item = &ActionRecord> {
    let unknown = |state| matches!(state, ActionState::Unknown | ActionState::UndoFailed);
    execution.actions.iter().filter(move |a| unknown(a.state))
}

/// At least one action is in effect, so far as is known.
pub(super) fn took_effect(execution: &Execution) -> bool {
    execution.status != ExecutionStatus::RolledBack
        && execution.actions.iter().any(|a| {
            matches!(a.state, ActionState::Applied | ActionState::Judging | ActionState::Judged)
        })
}
