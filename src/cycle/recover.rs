//! Puts the store in order after an execution whose end was not recorded: the process died, a panic was caught, or the
//! store could not be written. Only the journal is believed here, since Charter may be down; what that leaves open is
//! [`super::settle`]'s. No plan is made before this is done.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Ids;
use super::act::surplus;
use super::expiring_action;
use super::ledger;
use super::needs::{announce, failed, tell};
use super::recall::{HISTORY, RECLAIMABLE, TREATMENTS, execution_of, recalled_ledger, took_effect};
use super::settle::has_undo_failed;
use crate::domain::alert::InboxAlert;
use crate::domain::execution::{ActionState, Execution, ExecutionStatus};
use crate::domain::ledger::{End, Ledger};
use crate::domain::need::Need;
use crate::domain::outcome::PendingVerification;
use crate::domain::time::Time;
use crate::domain::treatment::Treatment;
use crate::domain::violation::TrackedViolation;
use crate::executor::settle_interrupted;
use crate::knowledge::documents::{ACTIVE, CLEARED, OPEN};
use crate::knowledge::{Batch, Knowledge, StoreError};
use crate::metrics::Metrics;
use crate::planner::ReclaimableReplicas;
use crate::planner::guardrails::Guardrails;

/// Cleared violations that are known again when they come back; the store is bounded by time, this by number.
const KNOWN_AGAIN: usize = 100_000;

/// What a start, or a change of leader, takes up from the store.
#[derive(Debug)]
pub(super) struct Recovered {
    pub violations: Vec<TrackedViolation>,
    pub known_alerts: BTreeSet<String>,
}

/// Before the first cycle of a leader.
pub(super) async fn recover(
    knowledge: &Knowledge,
    metrics: &Metrics,
    rails: &Guardrails,
    ids: &Ids,
    now: Time,
) -> Result<Recovered, StoreError> {
    settle(knowledge, metrics, rails, ids, now).await?;
    let known_alerts = knowledge.inbox().await?.iter().map(InboxAlert::key).collect();
    let mut violations = knowledge.all::<TrackedViolation>(Some(ACTIVE)).await?;
    // One that cleared is kept to know it again: one that cannot be read comes back as a new one.
    violations.extend(knowledge.survey::<TrackedViolation>(Some(CLEARED), KNOWN_AGAIN).await?.0);
    Ok(Recovered { violations, known_alerts })
}

/// Ends every execution that the store still calls running by what its journal proves. A pending verification is kept only if
/// something took effect; otherwise its attempt has failed and people are notified, all in one batch.
pub(super) async fn settle(
    knowledge: &Knowledge,
    metrics: &Metrics,
    rails: &Guardrails,
    ids: &Ids,
    now: Time,
) -> Result<(), StoreError> {
    let mut batch = knowledge.batch();
    let mut ledger = recalled_ledger(knowledge, now).await?;
    let ledger_before = ledger.clone();
    let known_surplus = knowledge.fact::<ReclaimableReplicas>(RECLAIMABLE).await?;
    let mut settled: BTreeMap<Uuid, Execution> = BTreeMap::new();
    for tag in ["pending", "in_progress"] {
        for execution in knowledge.all::<Execution>(Some(tag)).await? {
            let execution = settle_interrupted(execution, now);
            tracing::warn!(execution = %execution.id, status = ?execution.status, "an interrupted execution was brought to its end");
            batch.put(&execution);
            expiring_action::follow(&execution, &mut batch);
            let in_effect = took_effect(&execution);
            ledger::settle(&mut ledger, rails, &execution, in_effect, now);
            if in_effect && let Some(fact) = surplus(&execution, known_surplus.as_ref(), now) {
                batch.put(&fact);
            }
            settled.insert(execution.id, execution);
        }
    }
    let mut open = knowledge.all::<Need>(Some(OPEN)).await?;
    let mut treatments = knowledge.lately::<Treatment>(None, TREATMENTS, now - HISTORY).await?;
    let mut told = Vec::new();
    for verification in knowledge.all::<PendingVerification>(None).await? {
        let mut execution = settled.remove(&verification.execution_id);
        if execution.is_none() {
            let stored = knowledge.get::<Execution>(&verification.execution_id.to_string()).await?;
            execution = stored.map(|(execution, _)| execution);
            // Its end may have been written without what follows from it.
            if let Some(execution) = &execution {
                expiring_action::follow(execution, &mut batch);
                if !followed_up(execution, &ledger, &open) {
                    ledger::settle(&mut ledger, rails, execution, took_effect(execution), now);
                }
                if execution.actions.iter().any(|a| a.state == ActionState::Applied)
                    && let Some(fact) = surplus(execution, known_surplus.as_ref(), now)
                {
                    batch.put(&fact);
                }
            }
        }
        // One that was over before its verdict has taken effect too: the verdict will be that nobody can tell.
        let in_effect = execution
            .as_ref()
            .is_some_and(|e| took_effect(e) || e.status == ExecutionStatus::Completed);
        let untold = |e: &Execution| {
            !in_effect
                || e.has_unknown()
                || e.actions.iter().any(|a| a.state == ActionState::Applied)
        };
        if let Some(execution) = execution.as_ref().filter(|e| untold(e)) {
            let evidence: Vec<String> = verification.before.iter().cloned().collect();
            told.extend(tell(ids, &mut open, failed(execution, &evidence), now));
        }
        if !in_effect {
            fail_attempts(&mut treatments, &verification, execution.as_ref(), &mut batch);
        }
        if !in_effect && !execution.is_some_and(|e| e.is_open()) {
            batch.delete::<PendingVerification>(verification.execution_id.to_string());
        }
    }
    for execution in settled.values() {
        told.extend(tell(ids, &mut open, failed(execution, &[]), now));
    }
    if ledger != ledger_before {
        ledger::put(&mut ledger, rails, &mut batch, now);
    }
    for record in &mut told {
        record.times_seen = 1;
        batch.put(record);
    }
    knowledge.commit(batch).await?;
    for record in &told {
        announce(metrics, record);
    }
    Ok(())
}

/// Was what its end means for the guards stored with it? Entries of one that is in effect stay open until its result.
fn followed_up(execution: &Execution, ledger: &Ledger, open: &[Need]) -> bool {
    if has_undo_failed(execution) {
        return open.iter().any(|e| execution_of(e) == Some(execution.id));
    }
    let mut own = ledger.entries.iter().filter(|e| e.execution_id == execution.id);
    took_effect(execution)
        || execution.status == ExecutionStatus::Completed
        || own.all(|e| e.end != End::Open)
}

fn fail_attempts(
    treatments: &mut [Treatment],
    verification: &PendingVerification,
    execution: Option<&Execution>,
    batch: &mut Batch,
) {
    for treatment in treatments {
        let mut changed = false;
        for attempt in
            treatment.attempts.iter_mut().filter(|a| a.policy_id == verification.policy_id)
        {
            changed |= !attempt.failed;
            attempt.failed = true;
        }
        if changed {
            let actions = execution.iter().flat_map(|e| &e.actions);
            treatment.impossible.extend(actions.filter(|a| a.invalid).map(|a| a.action.kind()));
            batch.put(treatment);
        }
    }
}
