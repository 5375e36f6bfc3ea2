//! Temporary actions: followed from the intent to their end, and ended here when Charter has not done so itself.

use std::collections::BTreeSet;

use super::act::StoreJournal;
use super::guarded::INTERVALS;
use super::kit::{Kit, Means};
use super::needs::{announce, tell, unknown};
use super::observe::Seen;
use super::recall::{RECENT, Recalled};
use super::settle::Settle;
use crate::actuators::charter::{InForce, Prior};
use crate::domain::execution::{ActionRecord, ActionState, Execution};
use crate::domain::expiring_action::ExpiringAction;
use crate::domain::need::NeedReason;
use crate::domain::outcome::OutcomeType;
use crate::domain::time::{self, Time, after, since};
use crate::incidents::NeedRequest;
use crate::knowledge::verification::VerificationResult;
use crate::knowledge::{Batch, StoreError};

/// Every so many cycles Charter's list is held against the journal: ten minutes at the default interval. It finds only
/// what Charter itself did not keep to.
const LEFTOVERS_EVERY: u64 = 20;

/// With the intent: each temporary action is followed from here on, whatever becomes of this process.
pub(super) fn intend(execution: &Execution, latest_start: Time, batch: &mut Batch) {
    for record in &execution.actions {
        if let Some(lasts) = record.action.lasts() {
            batch.put(&ExpiringAction {
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
                ActionState::Applied | ActionState::Verifying | ActionState::Verified,
                Some(expires_at),
            ) => batch.put(&ExpiringAction {
                key: record.key,
                execution_id: execution.id,
                expires_at,
            }),
            (
                ActionState::Refused
                | ActionState::Closed
                | ActionState::Undone
                | ActionState::UndoFailed,
                _,
            ) => batch.delete::<ExpiringAction>(record.key.to_string()),
            _ => {}
        }
    }
}

/// The result of an execution whose temporary action had ended before it could be verified: what is seen now says
/// nothing of it, so nothing is learned.
pub(super) fn overtaken(execution: &Execution, now: Time) -> Option<VerificationResult> {
    let is_over = |a: &&ActionRecord| a.expires_at.is_some_and(|at| at <= now);
    let over = execution.actions.iter().find(is_over)?;
    Some(VerificationResult {
        outcome: OutcomeType::Unknown,
        violations_after: 0,
        reason: format!("{} had ended before its result could be verified", over.action),
        verification: None,
    })
}

impl Settle {
    /// Ends what has run out its time: closed if Charter no longer lists it, rolled back if it does. Touches only ids that our
    /// journal holds. While `barred` it only looks. Returns whether Charter was changed.
    pub(super) async fn end_temporaries(
        &mut self,
        how: &Means<'_>,
        recalled: &mut Recalled,
        seen: &Seen,
        barred: Option<&str>,
    ) -> Result<bool, StoreError> {
        let Means { kit, hands, number, .. } = *how;
        let now = kit.clock.now();
        let due: Vec<ExpiringAction> =
            recalled.temporaries.iter().filter(|t| t.expires_at <= now).cloned().collect();
        self.sweep_due |= number % LEFTOVERS_EVERY == 1;
        // What is due cannot wait for a Charter that seems mute; the sweep can.
        let sweeps = self.sweep_due && seen.charter.state.is_ok();
        if due.is_empty() && !sweeps {
            return Ok(false);
        }
        let reading = match &hands.charter {
            Some(charter) => charter.in_force(number).await,
            // What is in force stays so, and people are told for as long as that is meant to be over.
            None => Err("Charter is turned off (execute.charter_url is null)".to_owned()),
        };
        let (listed, unread) = match reading {
            Ok(listed) => (Some(listed), None),
            Err(error) => {
                tracing::warn!(%error, due = due.len(), "charter's policies not listed; temporary actions wait for the next cycle");
                (None, Some(error))
            }
        };
        // Before anything is ended here: what is still stands in the list that was just read.
        if let Some(listed) = listed.as_ref().filter(|_| sweeps) {
            // It only tells people: what cannot be read of the past must not keep the loop from its work.
            let (recent, _) = kit.knowledge.survey::<Execution>(None, RECENT).await?;
            // Also those that are older, while somebody is told of them.
            let told = recalled.executions.values().filter(|e| recent.iter().all(|r| r.id != e.id));
            let all: Vec<&Execution> = recent.iter().chain(told).collect();
            // A Charter that gives an id out again gives it to one that is meant to be in force.
            let meant: BTreeSet<String> = all
                .iter()
                .flat_map(|e| &e.actions)
                .filter(|a| a.in_effect() && !is_over(a))
                .filter_map(|a| Prior::of(a).policy_id)
                .collect();
            self.leftovers = all
                .iter()
                .flat_map(|e| e.actions.iter().map(move |a| (e, a)))
                .filter(|(_, a)| in_force(listed, a) && is_over(a))
                .filter(|(_, a)| Prior::of(a).policy_id.is_none_or(|id| !meant.contains(&id)))
                .map(|(execution, record)| leftover(execution, record))
                .collect();
            self.sweep_due = false;
        }
        let mut changed = false;
        for temporary in due {
            let kept = match (&listed, barred) {
                (Some(listed), None) => {
                    self.end_temporary(how, &temporary, listed, recalled, &mut changed).await?
                }
                (_, why) => Some(why.map(str::to_owned).or(unread.clone()).unwrap_or_default()),
            };
            if let Some(why) = kept {
                self.overdue(kit, &temporary, &why).await?;
            }
        }
        Ok(changed)
    }

    /// People are notified of an action that should have ended and goes on for longer than a passing failure takes.
    async fn overdue(
        &mut self,
        kit: &Kit,
        temporary: &ExpiringAction,
        why: &str,
    ) -> Result<(), StoreError> {
        let soon = kit.config.orchestrator.loop_interval * INTERVALS;
        if since(kit.clock.now(), temporary.expires_at) <= soon {
            return Ok(());
        }
        let id = temporary.execution_id.to_string();
        let Some((execution, _)) = kit.knowledge.get::<Execution>(&id).await? else {
            return Ok(());
        };
        let Some(record) = execution.actions.iter().find(|a| a.key == temporary.key) else {
            return Ok(());
        };
        let detail = format!(
            "{} ({}) should have ended at {} and could not be ended yet: {why}",
            record.action,
            Prior::of(record).policy_id.as_deref().unwrap_or("no id of it is known"),
            time::text(temporary.expires_at)
        );
        self.unresolved.push(wanted(&execution, detail));
        Ok(())
    }

    /// Says why it is still to be ended, if it is.
    async fn end_temporary(
        &mut self,
        how: &Means<'_>,
        temporary: &ExpiringAction,
        listed: &InForce,
        recalled: &mut Recalled,
        changed: &mut bool,
    ) -> Result<Option<String>, StoreError> {
        let Means { kit, hands, stop, .. } = *how;
        let (id, key) = (temporary.execution_id, temporary.key);
        let stored = kit.knowledge.get::<Execution>(&id.to_string()).await?;
        let mut batch = kit.knowledge.batch();
        let mut told = Vec::new();
        if let Some((mut execution, _)) = stored {
            let state = execution.actions.iter().find(|a| a.key == key).map(|a| a.state);
            let ends = match state {
                // What became of it is looked for elsewhere, or given up with its escalation.
                Some(
                    ActionState::Intent
                    | ActionState::Validated
                    | ActionState::Sent
                    | ActionState::Unknown,
                ) => return Ok(None),
                Some(ActionState::UndoSent) => true,
                Some(ActionState::Applied | ActionState::Verifying | ActionState::Verified) => {
                    execution.actions.iter().any(|a| a.key == key && in_force(listed, a))
                }
                _ => false,
            };
            if ends {
                *changed = true;
                let (clock, journal) =
                    (kit.clock, StoreJournal::with_store(&kit.knowledge, kit.clock));
                let now = move || clock.now();
                match hands.executor.end(execution, key, &journal, stop, &now).await {
                    Ok(ended) => execution = ended,
                    Err(error) => {
                        tracing::warn!(%key, %error, "a throttle, bypass or override could not be ended yet, because the store was not written: it is tried again in the next cycle");
                        return Ok(Some(error.to_string()));
                    }
                }
                let record = execution.actions.iter().find(|a| a.key == key);
                let over = [ActionState::Undone, ActionState::UndoFailed];
                if let Some(record) = record.filter(|a| !over.contains(&a.state)) {
                    let why = record.error.clone().unwrap_or_default();
                    tracing::warn!(execution = %id, action = %record.action, %key, why, "a throttle, bypass or override could not be ended yet: it is tried again in the next cycle");
                    return Ok(Some(why));
                }
            }
            for record in execution.actions.iter_mut().filter(|a| a.key == key) {
                if record.state == ActionState::Verified {
                    record.advance(ActionState::Closed).expect("verified may be closed");
                }
                tracing::info!(execution = %id, action = %record.action, %key, state = ?record.state, "a throttle, bypass or override is no longer in force");
            }
            let now = kit.clock.now();
            let failed = execution
                .actions
                .iter()
                .find(|a| a.key == key && a.state == ActionState::UndoFailed);
            if let Some(record) = failed {
                if in_force(listed, record) {
                    self.leftovers.push(leftover(&execution, record));
                }
                told = tell(&kit.ids, &mut recalled.escalations, unknown(&execution, &[]), now);
                kit.settle_ledger(&mut recalled.ledger, &execution, true, now);
                kit.put_ledger(&mut recalled.ledger, &mut batch, now);
            }
            batch.put(&execution);
            recalled.executions.entry(id).and_modify(|e| e.clone_from(&execution));
        }
        batch.delete::<ExpiringAction>(key.to_string());
        recalled.temporaries.retain(|t| t.key != key);
        for record in &told {
            batch.put(record);
        }
        kit.knowledge.commit(batch).await?;
        for record in &told {
            announce(&kit.metrics, record);
        }
        Ok(None)
    }
}

fn in_force(listed: &InForce, record: &ActionRecord) -> bool {
    Prior::of(record).policy_id.is_some_and(|id| listed.holds(&id, &record.action))
}

/// Does the journal say that nothing more is done about it?
fn is_over(record: &ActionRecord) -> bool {
    match record.state {
        ActionState::Undone | ActionState::UndoFailed => true,
        ActionState::Closed => record.action.lasts().is_some(),
        _ => false,
    }
}

/// A second call under the undo's key would change nothing, and one under another would be nobody's decision.
fn leftover(execution: &Execution, record: &ActionRecord) -> NeedRequest {
    let said = match (record.state, &record.error) {
        (ActionState::UndoFailed, Some(error)) => error.as_str(),
        _ => "the journal says that it has ended",
    };
    let detail = format!(
        "Charter lists {} ({}) as in force: roll it back at Charter; {said}",
        record.action,
        Prior::of(record).policy_id.unwrap_or_default()
    );
    wanted(execution, detail)
}

pub(super) fn wanted(execution: &Execution, detail: String) -> NeedRequest {
    super::needs::of(execution, NeedReason::OutcomeUnknown, execution.id.to_string(), detail)
}
