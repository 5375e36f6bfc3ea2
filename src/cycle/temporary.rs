//! Temporary actions: followed from the intent to their end, and ended here when Charter has not done so itself.

use tokio_util::sync::CancellationToken;

use super::Cycle;
use super::escalate::{announce, tell, unknown};
use super::execute::StoreJournal;
use super::recall::{RECENT, Recalled};
use crate::domain::escalation::EscalationReason;
use crate::domain::execution::{ActionRecord, ActionState, Execution};
use crate::domain::outcome::OutcomeType;
use crate::domain::temporary::Temporary;
use crate::domain::time::{Time, after};
use crate::escalation::Wanted;
use crate::knowledge::judge::Ruling;
use crate::knowledge::{Batch, StoreError};

/// Every so many cycles Charter's list is held against the journal: ten minutes at the default interval. It finds only
/// what Charter itself did not keep to.
const LEFTOVERS_EVERY: u64 = 20;

/// With the intent: each temporary action is followed from here on, whatever becomes of this process.
pub(super) fn intend(execution: &Execution, latest_start: Time, batch: &mut Batch) {
    for record in &execution.actions {
        if let Some(lasts) = record.action.lasts() {
            batch.put(&Temporary {
                key: record.key,
                execution_id: execution.id,
                expires_at: after(latest_start, lasts),
            });
        }
    }
}

/// With every later state: the exact end once it is known, nothing more to follow once there is no effect.
pub(super) fn follow(execution: &Execution, batch: &mut Batch) {
    for record in execution.actions.iter().filter(|a| a.action.lasts().is_some()) {
        match (record.state, record.expires_at) {
            (
                ActionState::Applied | ActionState::Judging | ActionState::Judged,
                Some(expires_at),
            ) => batch.put(&Temporary { key: record.key, execution_id: execution.id, expires_at }),
            (
                ActionState::Refused
                | ActionState::Closed
                | ActionState::Undone
                | ActionState::UndoFailed,
                _,
            ) => batch.delete::<Temporary>(record.key.to_string()),
            _ => {}
        }
    }
}

/// The verdict on an execution of which a temporary action was over before it could be judged: what is seen now says
/// nothing of it, so nothing is learned.
pub(super) fn overtaken(execution: &Execution, now: Time) -> Option<Ruling> {
    let is_over = |a: &&ActionRecord| a.expires_at.is_some_and(|at| at <= now);
    let over = execution.actions.iter().find(is_over)?;
    Some(Ruling {
        outcome: OutcomeType::Unknown,
        violations_after: 0,
        reason: format!("{} was over before it could be judged", over.action),
    })
}

impl Cycle {
    /// Ends what is over its time: closed if Charter no longer lists it, rolled back if it does. Touches only ids that our
    /// journal holds. Returns whether Charter was changed.
    pub(super) async fn end_temporaries(
        &mut self,
        recalled: &mut Recalled,
        stop: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let due: Vec<Temporary> =
            recalled.temporaries.iter().filter(|t| t.expires_at <= now).cloned().collect();
        let sweep = self.memory.number % LEFTOVERS_EVERY == 1;
        if due.is_empty() && !sweep {
            return Ok(false);
        }
        let listed = match self.executor.in_force(self.memory.number).await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(%error, due = due.len(), "charter's policies not listed; temporary actions wait for the next cycle");
                return Ok(false);
            }
        };
        let in_force =
            |a: &ActionRecord| a.charter_policy_id.as_ref().is_some_and(|id| listed.contains(id));
        if sweep {
            let executions = self.knowledge.page::<Execution>(None, None, RECENT).await?.items;
            self.memory.leftovers = executions
                .iter()
                .flat_map(|e| e.actions.iter().map(move |a| (e, a)))
                .filter(|(_, a)| in_force(a) && is_over(a))
                .map(|(execution, record)| leftover(execution, record))
                .collect();
        }
        // After the comparison: what is ended here still stands in the list that was read before.
        let mut changed = false;
        for temporary in due {
            changed |= self.end_temporary(&temporary, &in_force, recalled, stop).await?;
        }
        Ok(changed)
    }

    async fn end_temporary(
        &self,
        temporary: &Temporary,
        in_force: &(dyn Fn(&ActionRecord) -> bool + Sync),
        recalled: &mut Recalled,
        stop: &CancellationToken,
    ) -> Result<bool, StoreError> {
        let (id, key) = (temporary.execution_id, temporary.key);
        let stored = self.knowledge.get::<Execution>(&id.to_string()).await?;
        let mut batch = self.knowledge.batch();
        let mut told = Vec::new();
        let mut changed = false;
        if let Some((mut execution, _)) = stored {
            let state = execution.actions.iter().find(|a| a.key == key).map(|a| a.state);
            changed = match state {
                // What became of it is looked for elsewhere, or given up with its escalation.
                Some(
                    ActionState::Intent
                    | ActionState::Validated
                    | ActionState::Sent
                    | ActionState::Unknown,
                ) => return Ok(false),
                Some(ActionState::UndoSent) => true,
                Some(ActionState::Applied | ActionState::Judging | ActionState::Judged) => {
                    execution.actions.iter().any(|a| a.key == key && in_force(a))
                }
                _ => false,
            };
            if changed {
                let (clock, journal) =
                    (self.clock, StoreJournal::over(&self.knowledge, self.clock));
                let now = move || clock.now();
                match self.executor.end(execution, key, &journal, stop, &now).await {
                    Ok(ended) => execution = ended,
                    Err(error) => {
                        tracing::warn!(%key, %error, "temporary action not ended yet: the store was not written");
                        return Ok(true);
                    }
                }
            }
            for record in execution.actions.iter_mut().filter(|a| a.key == key) {
                if record.state == ActionState::Judged {
                    record.advance(ActionState::Closed).expect("judged may be closed");
                }
                tracing::info!(execution = %id, action = %record.action, %key, state = ?record.state, "temporary action is over");
            }
            let now = self.clock.now();
            told = tell(&mut recalled.escalations, unknown(&execution, &[]), now);
            if !told.is_empty() {
                self.settle_ledger(&mut recalled.ledger, &execution, true, now);
                self.put_ledger(&mut recalled.ledger, &mut batch, now);
            }
            batch.put(&execution);
            recalled.executions.entry(id).and_modify(|e| e.clone_from(&execution));
        }
        batch.delete::<Temporary>(key.to_string());
        recalled.temporaries.retain(|t| t.key != key);
        for record in &told {
            batch.put(record);
        }
        self.knowledge.commit(batch).await?;
        for record in &told {
            announce(&self.metrics, record);
        }
        Ok(changed)
    }
}

/// Does the journal say that it is not in force any more?
fn is_over(record: &ActionRecord) -> bool {
    match record.state {
        ActionState::Undone => true,
        ActionState::Closed => record.action.lasts().is_some(),
        _ => false,
    }
}

/// A second call under the undo's key would change nothing, and one under another would be nobody's decision.
fn leftover(execution: &Execution, record: &ActionRecord) -> Wanted {
    Wanted {
        reason: EscalationReason::OutcomeUnknown,
        cause: Some(execution.cause.clone()),
        component: Some(execution.component.clone()),
        subject: execution.id.to_string(),
        detail: format!(
            "Charter lists {} ({}) as in force, and the journal says that it is over: roll it back at Charter",
            record.action,
            record.charter_policy_id.as_deref().unwrap_or_default()
        ),
        evidence: Vec::new(),
    }
}
