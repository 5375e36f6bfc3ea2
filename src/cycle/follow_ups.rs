//! What follows from a result: a success is watched for a while, a degradation is undone once or handed to a person.
//!
//! The undo is the executor's: compared with Charter's present state, under its own key, in the journal before and after.
//! What is owed is in the store from the result on, so that a crash neither loses nor repeats it.

use uuid::Uuid;

use super::act::StoreJournal;
use super::expiring_action;
use super::kit::{Kit, Means};
use super::needs::{announce, tell, unknown};
use super::observe::Seen;
use super::recall::{RECLAIMABLE, Recalled};
use super::settle::{Settle, barred, has_undo_failed};
use super::timeline::{self, Happened};
use super::verify::Verified;
use crate::actuators::Undoable;
use crate::actuators::charter::{Prior, size_of};
use crate::domain::execution::{ActionRecord, ActionState, Execution};
use crate::domain::follow_ups::{FollowUps, PendingRollback, Undone, WatchedSuccess};
use crate::domain::incident::Happening;
use crate::domain::need::NeedReason;
use crate::domain::outcome::{OutcomeType, PendingVerification};
use crate::domain::target::System;
use crate::domain::time::{Time, after};
use crate::knowledge::verification::VerificationResult;
use crate::knowledge::{Batch, Fact, StoreError};
use crate::planner::ReclaimableReplicas;
use crate::planner::guardrails::Mode;
use tokio_util::sync::CancellationToken;

pub(super) fn put(aftermath: &FollowUps, batch: &mut Batch, now: Time) {
    let value = serde_json::to_value(aftermath).expect("an aftermath has text keys only");
    batch.put(&Fact { name: FollowUps::FACT.to_owned(), value, at: now });
}

/// What becomes of an action that should be undone; it asks nobody.
pub(super) type IsUndoable<'a> = dyn Fn(&ActionRecord) -> Undoable + Send + Sync + 'a;

/// Notes what a result leaves to be done. Returns what people are notified of after a degradation.
pub(super) fn follow_result(
    kit: &Kit,
    undoable: &IsUndoable<'_>,
    verification: &PendingVerification,
    (ruling, outcomes): (&VerificationResult, &[Uuid]),
    execution: Option<&Execution>,
    aftermath: &mut FollowUps,
    now: Time,
) -> Option<String> {
    match ruling.outcome {
        OutcomeType::Success => {
            // What comes back when a throttle has ended says nothing of what it did while it was in force.
            let ends = execution.into_iter().flat_map(|e| &e.actions).filter_map(|a| a.expires_at);
            let soon = after(now, kit.config.plan.incident_gap);
            aftermath.successes.push(WatchedSuccess {
                execution_id: verification.execution_id,
                policy_id: verification.policy_id,
                cause: verification.cause.clone(),
                component: verification.component.clone(),
                actions: verification.actions.clone(),
                outcomes: outcomes.to_vec(),
                evidence: verification.before.iter().take(FollowUps::EVIDENCE).cloned().collect(),
                closed_breaker: false,
                expected_replicas: verification.expected_replicas,
                judged_at: now,
                until: ends.fold(soon, Time::min),
            });
            let over = aftermath.successes.len().saturating_sub(FollowUps::WATCHED);
            aftermath.successes.drain(..over);
            None
        }
        OutcomeType::Degradation => {
            let why_not = match execution {
                None => Some("its record is gone".to_owned()),
                Some(execution) => not_undone_because(kit, undoable, execution),
            };
            if let Some(why) = why_not {
                let place = execution.map_or_else(|| verification.target.place(), place);
                return Some(format!("it is not undone: {why}; look at {place} by hand"));
            }
            let until = after(now, kit.config.knowledge.judge_limit);
            aftermath
                .undoings
                .push(PendingRollback { execution_id: verification.execution_id, until });
            Some("it is being undone".to_owned())
        }
        OutcomeType::Partial | OutcomeType::Ineffective | OutcomeType::Unknown => None,
    }
}

/// Why nothing of it may, or can, be undone.
fn not_undone_because(
    kit: &Kit,
    undoable: &IsUndoable<'_>,
    execution: &Execution,
) -> Option<String> {
    if !kit.config.execute.rollback_enabled {
        return Some("execute.rollback_enabled is false".to_owned());
    }
    match kit.config.plan.guardrails.mode {
        Mode::Act => {}
        Mode::Suggest => {
            return Some("guardrails.mode is suggest, a person decides".to_owned());
        }
        Mode::Observe => return Some("guardrails.mode is observe".to_owned()),
    }
    if execution.actions.iter().any(|a| is_due(undoable, a)) {
        return None;
    }
    let why = execution.actions.iter().filter(|a| a.in_effect()).find_map(|a| stays(undoable, a));
    Some(why.unwrap_or("nothing of it is in effect any more").to_owned())
}

impl Settle {
    /// Undoes what did harm, or goes on where that was cut. Until it is done nothing is planned for that target.
    pub(super) async fn undo_harm(
        &mut self,
        how: &Means<'_>,
        recalled: &mut Recalled,
        seen: &mut Seen,
        rulings: &mut [Verified],
    ) -> Result<(), StoreError> {
        let Means { kit, hands, stop, .. } = *how;
        let undoable = &|record: &ActionRecord| hands.executor.undoable(record);
        for owed in recalled.aftermath.undoings.clone() {
            let id = owed.execution_id;
            let stored = kit.knowledge.get::<Execution>(&id.to_string()).await?;
            let Some((mut execution, _)) = stored else {
                self.settle_owed(kit, None, &owed, String::new(), recalled, rulings).await?;
                continue;
            };
            let now = kit.clock.now();
            let system = system_of(&execution);
            let barred = not_undone_now(kit, recalled, seen, system, stop);
            let begun = execution.actions.iter().any(|a| a.state == ActionState::UndoSent);
            let due: Vec<Uuid> = execution
                .actions
                .iter()
                .rev()
                .filter(|a| is_due(undoable, a))
                .map(|a| a.key)
                .collect();
            if barred.is_none() {
                for key in due {
                    let (clock, journal) =
                        (kit.clock, StoreJournal::with_store(&kit.knowledge, kit.clock));
                    let before = execution.clone();
                    let ended = hands
                        .executor
                        .end(execution, key, &journal, stop, &move || clock.now())
                        .await;
                    match ended {
                        Ok(ended) => execution = ended,
                        Err(error) => {
                            tracing::warn!(execution = %id, %key, %error, "an action that did harm is not undone yet: the store was not written");
                            if journal.is_behind() {
                                let why = "the journal of an undo could not be written";
                                self.journal_failed = Some((system, why.to_owned()));
                            }
                            execution = before;
                            break;
                        }
                    }
                }
                seen.charter = hands.see_charter(kit).await;
            }
            let left = execution.actions.iter().find(|a| is_due(undoable, a));
            let waits = left.map(|a| barred.or_else(|| a.error.clone()).unwrap_or_default());
            match waits {
                Some(why) if begun || now <= owed.until || cut(&execution) => {
                    tracing::info!(execution = %id, why, "an action that did harm is not undone yet");
                    if now > owed.until {
                        let detail = format!("its undo was begun and its end is not known: {why}");
                        self.unresolved.push(expiring_action::wanted(&execution, detail));
                    }
                    recalled.blocked.extend(execution.actions.iter().map(|a| a.action.target()));
                    recalled.executions.insert(id, execution);
                }
                Some(why) => {
                    let said = format!(
                        "it was not undone in time: {why}; look at {} by hand",
                        place(&execution)
                    );
                    self.settle_owed(kit, Some(execution), &owed, said, recalled, rulings).await?;
                }
                None => {
                    let said = undone(undoable, &execution);
                    self.settle_owed(kit, Some(execution), &owed, said, recalled, rulings).await?;
                }
            }
        }
        Ok(())
    }

    /// What is owed no more, with all that follows from it, in one batch.
    async fn settle_owed(
        &mut self,
        kit: &Kit,
        execution: Option<Execution>,
        owed: &PendingRollback,
        said: String,
        recalled: &mut Recalled,
        rulings: &mut [Verified],
    ) -> Result<(), StoreError> {
        let now = kit.clock.now();
        let mut batch = kit.knowledge.batch();
        recalled.aftermath.undoings.retain(|o| o != owed);
        recalled.aftermath.undone.retain(|u| now < u.settled_at);
        for record in execution.iter().flat_map(|e| &e.actions) {
            if record.state == ActionState::Undone {
                let settle = kit.config.execute.settle(record.action.kind());
                recalled.aftermath.undone.push(Undone {
                    target: record.action.target(),
                    at: now,
                    settled_at: after(now, settle),
                });
            }
        }
        put(&recalled.aftermath, &mut batch, now);
        let mut told = Vec::new();
        if let Some(mut execution) = execution {
            let what =
                if has_undo_failed(&execution) { Happening::Failed } else { Happening::Undone };
            let happened = Happened::of(&execution, &recalled.treatments, now);
            let text = format!("{}: {said}", timeline::named(&execution));
            recalled.happened.push(Happened { what, text, ..happened });
            for record in &mut execution.actions {
                let lasts = recalled.temporaries.iter().any(|t| t.key == record.key);
                if record.state == ActionState::Verified && !lasts {
                    record.advance(ActionState::Closed).expect("verified may be closed");
                }
            }
            expiring_action::follow(&execution, &mut batch);
            let over = |key: Uuid| {
                let ended = [ActionState::Undone, ActionState::UndoFailed, ActionState::Closed];
                execution.actions.iter().any(|a| a.key == key && ended.contains(&a.state))
            };
            recalled.temporaries.retain(|t| !over(t.key));
            if let Some(fact) = given_back(&execution, recalled.surplus.as_ref(), now) {
                recalled.surplus = serde_json::from_value(fact.value.clone()).ok();
                batch.put(&fact);
            }
            self.sweep_due |= has_undo_failed(&execution);
            kit.settle_ledger(&mut recalled.ledger, &execution, true, now);
            kit.put_ledger(&mut recalled.ledger, &mut batch, now);
            batch.put(&execution);
            told = tell(&kit.ids, &mut recalled.escalations, unknown(&execution, &[]), now);
            for record in recalled.escalations.iter_mut().filter(|e| {
                e.reason == NeedReason::Degradation
                    && e.cause.as_ref() == Some(&execution.cause)
                    && e.component.as_ref() == Some(&execution.component)
            }) {
                record.detail = format!("{}; {said}", without_promise(&record.detail));
                batch.put(record);
            }
            tracing::info!(execution = %execution.id, said, "an action that did harm is dealt with");
            recalled.executions.insert(execution.id, execution);
        }
        for ruled in rulings.iter_mut().filter(|r| r.verification.execution_id == owed.execution_id)
        {
            ruled.left = Some(said.clone());
        }
        for record in &told {
            batch.put(record);
        }
        kit.knowledge.commit(batch).await?;
        for record in &told {
            announce(&kit.metrics, record);
        }
        Ok(())
    }
}

/// Why nothing is undone at this moment; a pause is asked for again before the call itself.
fn not_undone_now(
    kit: &Kit,
    recalled: &Recalled,
    seen: &Seen,
    system: System,
    stop: &CancellationToken,
) -> Option<String> {
    let barred = barred(kit, recalled, stop);
    if barred.is_some() {
        return barred;
    }
    if kit.config.plan.guardrails.mode != Mode::Act {
        return Some("guardrails.mode is not act".to_owned());
    }
    if recalled.ledger.storm(system).is_some() {
        return Some("a storm holds".to_owned());
    }
    match system {
        System::Charter => seen.charter.state.as_ref().err().cloned(),
        System::Kubernetes | System::Hook => None,
    }
}

/// In effect, and we take it back; or its undo was begun.
fn is_due(undoable: &IsUndoable<'_>, record: &ActionRecord) -> bool {
    match record.state {
        ActionState::Applied | ActionState::Verifying | ActionState::Verified => {
            stays(undoable, record).is_none()
        }
        ActionState::UndoSent => true,
        _ => false,
    }
}

/// Why it is left as it is. More is broken than before, which may as well be the load: capacity is not taken away
/// then, and its opposite would not be planned so soon either.
fn stays(undoable: &IsUndoable<'_>, record: &ActionRecord) -> Option<&'static str> {
    if record.action.target().system() == System::Kubernetes {
        // Its owner may have said no meanwhile; nothing is changed there without a person.
        return Some("mape-k never undoes a change in Kubernetes by itself: a person decides");
    }
    match undoable(record) {
        Undoable::Yes => None,
        Undoable::Shrinks => {
            Some("it added capacity, and removing capacity while more is broken needs a person")
        }
        Undoable::No(why) => Some(why),
    }
}

/// What an execution changes: its actions are of one policy, and so of one system.
pub(super) fn system_of(execution: &Execution) -> System {
    execution.actions.first().map_or(System::Charter, |a| a.action.target().system())
}

fn cut(execution: &Execution) -> bool {
    execution.actions.iter().any(|a| a.state == ActionState::UndoSent)
}

fn undone(undoable: &IsUndoable<'_>, execution: &Execution) -> String {
    let place = place(execution);
    if has_undo_failed(execution) {
        return format!("its undo failed; look at {place} by hand");
    }
    if execution.actions.iter().any(|a| a.state == ActionState::Undone) {
        return "it was undone".to_owned();
    }
    // The configuration may have lost what would undo it.
    let mut in_effect = execution.actions.iter().filter(|a| {
        matches!(a.state, ActionState::Applied | ActionState::Verifying | ActionState::Verified)
    });
    match in_effect.find_map(|a| stays(undoable, a)) {
        Some(why) => format!("it is in effect and not undone: {why}; look at {place} by hand"),
        None => "it had ended before it could be undone".to_owned(),
    }
}

/// Where a person looks.
fn place(execution: &Execution) -> String {
    execution.actions.first().map_or_else(String::new, |a| a.action.target().place())
}

/// The detail without what it promised before.
fn without_promise(detail: &str) -> &str {
    detail.strip_suffix("; it is being undone").unwrap_or(detail)
}

/// What our own scaling has added, after a change of size was undone.
fn given_back(
    execution: &Execution,
    known: Option<&ReclaimableReplicas>,
    now: Time,
) -> Option<Fact> {
    let back = execution.actions.iter().find_map(|a| {
        let ours = size_of(&a.action).filter(|_| a.state == ActionState::Undone)?;
        Some((ours, Prior::of(a).replicas?))
    });
    let (ours, prior) = back?;
    let known = known.filter(|s| s.ours == ours)?;
    // Back at the original size there is nothing left to give back.
    let left = ReclaimableReplicas { ours: prior, ..known.clone() };
    let value = serde_json::to_value(left).ok()?;
    Some(Fact { name: RECLAIMABLE.to_owned(), value, at: now })
}
