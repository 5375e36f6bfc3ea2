//! What the store knows, read afresh in every cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use super::act::Act;
use super::kit::Kit;
use super::ledger::LEDGER;
use super::timeline::Happened;
use super::verify::Verify;
use crate::domain::alert::InboxAlert;
use crate::domain::execution::{ActionState, Execution, ExecutionStatus};
use crate::domain::expiring_action::ExpiringAction;
use crate::domain::follow_ups::FollowUps;
use crate::domain::incident::{AtWork, WorkStage};
use crate::domain::ledger::Ledger;
use crate::domain::natural::Natural;
use crate::domain::need::{Need, NeedReason};
use crate::domain::outcome::{ActionStatistics, PendingVerification};
use crate::domain::pause::Pause;
use crate::domain::policy::{Approval, Policy};
use crate::domain::target::Target;
use crate::domain::time::{self, Time};
use crate::domain::treatment::Treatment;
use crate::knowledge::{Fact, Knowledge, StoreError};
use crate::planner::ReclaimableReplicas;

/// The newest so many rejections are looked at: one holds for an hour.
pub(super) const RECENT: usize = 200;

/// The newest so many treatments are looked at. Open ones are always among them: there is one for each cause and target
/// that an action of the configuration treats.
pub(super) const TREATMENTS: usize = 2_000;

/// What mattered last so long ago decides nothing any more: a rejection holds for an hour, and a treatment ends ten minutes
/// after its last evidence.
pub(super) const HISTORY: Duration = Duration::from_secs(24 * 3600);

pub(super) const RECLAIMABLE: &str = "surplus";

/// What was recalled.
#[derive(Debug)]
pub(super) struct Recalled {
    pub inbox: Vec<InboxAlert>,
    pub receivers: BTreeSet<String>,
    pub policies: Vec<Policy>,
    pub treatments: Vec<Treatment>,
    pub verifications: Vec<PendingVerification>,
    /// Of executions that may or may not have taken effect: not verified before that is known.
    pub suspended: Vec<PendingVerification>,
    /// Those that are being verified, and those that an open `outcome_unknown` names.
    pub executions: BTreeMap<Uuid, Execution>,
    pub temporaries: Vec<ExpiringAction>,
    pub statistics: Vec<ActionStatistics>,
    pub escalations: Vec<Need>,
    /// Targets of executions that ended without a known result.
    pub blocked: Vec<Target>,
    pub surplus: Option<ReclaimableReplicas>,
    pub pause: Option<Pause>,
    pub ledger: Ledger,
    pub aftermath: FollowUps,
    pub natural: Natural,
    /// What the stages have done with it since, for the timelines of incidents.
    pub happened: Vec<Happened>,
}

impl Recalled {
    pub async fn read(
        knowledge: &Knowledge,
        statistics: Vec<ActionStatistics>,
        now: Time,
    ) -> Result<Self, StoreError> {
        let mut policies = knowledge.all::<Policy>(Some(Approval::Pending.as_str())).await?;
        policies.extend(knowledge.all::<Policy>(Some(Approval::Approved.as_str())).await?);
        let (rejected, since) = (Some(Approval::Rejected.as_str()), now - HISTORY);
        policies.extend(knowledge.lately::<Policy>(rejected, RECENT, since).await?);
        let escalations = knowledge.all::<Need>(Some("open")).await?;
        let receivers = knowledge.get::<Fact>(Fact::RECEIVERS).await?;
        let surplus = knowledge.get::<Fact>(RECLAIMABLE).await?;
        let named = escalations.iter().filter_map(execution_of);
        let judged = knowledge.all::<PendingVerification>(None).await?;
        let ids: BTreeSet<Uuid> = named.chain(judged.iter().map(|j| j.execution_id)).collect();
        let mut executions = BTreeMap::new();
        for id in ids {
            let found = knowledge.get::<Execution>(&id.to_string()).await?;
            executions.extend(found.map(|(execution, _)| (id, execution)));
        }
        let (suspended, verifications) = judged.into_iter().partition(|verification| {
            let execution = executions.get(&verification.execution_id);
            execution.is_some_and(|e| e.is_open() && !took_effect(e))
        });
        Ok(Self {
            inbox: knowledge.inbox().await?,
            receivers: receivers.map(|(fact, _)| strings(&fact)).unwrap_or_default(),
            blocked: blocked(&executions, &escalations),
            treatments: treatments(knowledge, now).await?,
            verifications,
            suspended,
            temporaries: knowledge.all::<ExpiringAction>(None).await?,
            statistics,
            executions,
            surplus: surplus.and_then(|(fact, _)| serde_json::from_value(fact.value).ok()),
            ledger: recalled_ledger(knowledge, now).await?,
            aftermath: knowledge.fact(FollowUps::FACT).await?.unwrap_or_default(),
            natural: knowledge.natural().await?,
            pause: knowledge.paused(now).await?,
            policies,
            escalations,
            happened: Vec::new(),
        })
    }
}

impl Recalled {
    /// Actions of which it is not known yet whether they took effect. `carried`: what this cycle sent.
    pub fn acting(&self, carried: Option<&Execution>) -> Vec<AtWork> {
        let suspended = self.suspended.iter().filter_map(|j| self.executions.get(&j.execution_id));
        let open = suspended.chain(carried).filter(|execution| execution.is_open());
        let actions = open.flat_map(|execution| &execution.actions);
        actions
            .map(|record| AtWork {
                target: record.action.target(),
                action: record.action.kind().to_string(),
                stage: WorkStage::Applying,
            })
            .collect()
    }
}

/// What the store knows, once what broke off is in order there. With a clock that is not `right` nothing is sent; and a pause
/// is not put away, which holds by the right time.
pub(super) async fn recall(
    kit: &Kit,
    act: &mut Act,
    verify: &mut Verify,
    right: bool,
) -> Result<Recalled, StoreError> {
    act.close_what_broke_off(kit).await?;
    let now = kit.clock.now();
    if right && let Some(over) = kit.knowledge.end_pause(now).await? {
        tracing::info!(
            by = over.by,
            reason = over.reason,
            until = time::text(over.until),
            "a pause ended: the loop acts again"
        );
    }
    let statistics = verify.learned(kit).await?;
    let recalled = Recalled::read(&kit.knowledge, statistics, now).await?;
    kit.metrics.paused(recalled.pause.is_some());
    Ok(recalled)
}

/// The clock may have been set back since it was written.
pub(super) async fn recalled_ledger(
    knowledge: &Knowledge,
    now: Time,
) -> Result<Ledger, StoreError> {
    let mut ledger = knowledge.fact::<Ledger>(LEDGER).await?.unwrap_or_default();
    ledger.not_after(now);
    Ok(ledger)
}

async fn treatments(knowledge: &Knowledge, now: Time) -> Result<Vec<Treatment>, StoreError> {
    let mut treatments = knowledge.lately::<Treatment>(None, TREATMENTS, now - HISTORY).await?;
    for treatment in &mut treatments {
        treatment.last_evidence_at = treatment.last_evidence_at.min(now);
    }
    Ok(treatments)
}

fn strings(fact: &Fact) -> BTreeSet<String> {
    let list = fact.value.as_array().into_iter().flatten();
    list.filter_map(|v| v.as_str()).map(str::to_owned).collect()
}

/// The execution that an `outcome_unknown` is about; one about a result names none.
pub(super) fn execution_of(record: &Need) -> Option<Uuid> {
    let unknown = record.reason == NeedReason::OutcomeUnknown;
    record.subject.parse().ok().filter(|_| unknown)
}

/// The target of every open `outcome_unknown` that names an execution.
pub(super) fn blocked(executions: &BTreeMap<Uuid, Execution>, open: &[Need]) -> Vec<Target> {
    let named: BTreeSet<Uuid> = open.iter().filter_map(execution_of).collect();
    let executions = named.iter().filter_map(|id| executions.get(id));
    executions.flat_map(Execution::unknown_actions).map(|a| a.action.target()).collect()
}

/// At least one action is in effect, so far as is known.
pub(super) fn took_effect(execution: &Execution) -> bool {
    execution.status != ExecutionStatus::RolledBack
        && execution.actions.iter().any(|a| {
            matches!(a.state, ActionState::Applied | ActionState::Verifying | ActionState::Verified)
        })
}
