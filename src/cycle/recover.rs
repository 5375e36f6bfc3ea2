//! Puts the store in order after an execution whose end was not recorded: the process died, a panic was caught, or the
//! store could not be written. Only the journal is believed here, since Charter may be down; what that leaves open is
//! [`super::resolve`]'s. No plan is made before this is done.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::escalate::{announce, failed, tell};
use super::recall::{RECENT, took_effect};
use super::temporary;
use crate::domain::alert::InboxAlert;
use crate::domain::escalation::Escalation;
use crate::domain::execution::{ActionState, Execution};
use crate::domain::incident::Incident;
use crate::domain::outcome::Judging;
use crate::domain::time::Time;
use crate::domain::violation::TrackedViolation;
use crate::executor::settle_interrupted;
use crate::knowledge::documents::OPEN;
use crate::knowledge::{Batch, Knowledge, StoreError};
use crate::metrics::Metrics;

/// What a start takes up from the store.
#[derive(Debug, Default)]
pub struct Recovered {
    pub violations: Vec<TrackedViolation>,
    pub known_alerts: BTreeSet<String>,
}

/// Before the first cycle of a process.
pub async fn recover(
    knowledge: &Knowledge,
    metrics: &Metrics,
    now: Time,
) -> Result<Recovered, StoreError> {
    settle(knowledge, metrics, now).await?;
    let known_alerts = knowledge.inbox().await?.iter().map(InboxAlert::key).collect();
    Ok(Recovered { violations: knowledge.all::<TrackedViolation>(None).await?, known_alerts })
}

/// Ends every execution that the store still calls running by what its journal proves. A judging is kept only if
/// something took effect; otherwise its attempt has failed and people are told, all in one batch.
pub(super) async fn settle(
    knowledge: &Knowledge,
    metrics: &Metrics,
    now: Time,
) -> Result<(), StoreError> {
    let mut batch = knowledge.batch();
    let mut settled: BTreeMap<Uuid, Execution> = BTreeMap::new();
    for tag in ["pending", "in_progress"] {
        for execution in knowledge.all::<Execution>(Some(tag)).await? {
            let execution = settle_interrupted(execution, now);
            tracing::warn!(execution = %execution.id, status = ?execution.status, "settled an interrupted execution");
            batch.put(&execution);
            temporary::follow(&execution, &mut batch);
            settled.insert(execution.id, execution);
        }
    }
    let mut open = knowledge.all::<Escalation>(Some(OPEN)).await?;
    let mut incidents = knowledge.page::<Incident>(None, None, RECENT).await?.items;
    let mut told = Vec::new();
    for judging in knowledge.all::<Judging>(None).await? {
        let mut execution = settled.remove(&judging.execution_id);
        if execution.is_none() {
            let stored = knowledge.get::<Execution>(&judging.execution_id.to_string()).await?;
            execution = stored.map(|(execution, _)| execution);
            // Its end may have been written without what follows from it.
            if let Some(execution) = &execution {
                temporary::follow(execution, &mut batch);
            }
        }
        let in_effect = execution.as_ref().is_some_and(took_effect);
        let untold = |e: &Execution| {
            !in_effect
                || e.has_unknown()
                || e.actions.iter().any(|a| a.state == ActionState::Applied)
        };
        if let Some(execution) = execution.as_ref().filter(|e| untold(e)) {
            let evidence: Vec<String> = judging.before.iter().cloned().collect();
            told.extend(tell(&mut open, failed(execution, &evidence), now));
        }
        if !in_effect {
            fail_attempts(&mut incidents, judging.policy_id, &mut batch);
        }
        if !in_effect && !execution.is_some_and(|e| e.is_open()) {
            batch.delete::<Judging>(judging.execution_id.to_string());
        }
    }
    for execution in settled.values() {
        told.extend(tell(&mut open, failed(execution, &[]), now));
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

fn fail_attempts(incidents: &mut [Incident], policy_id: Uuid, batch: &mut Batch) {
    for incident in incidents {
        let mut changed = false;
        for attempt in incident.attempts.iter_mut().filter(|a| a.policy_id == policy_id) {
            changed |= !attempt.failed;
            attempt.failed = true;
        }
        if changed {
            batch.put(incident);
        }
    }
}
