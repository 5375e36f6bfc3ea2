//! Brings what a process left without a known end to one, by Charter's real state, before anything is planned.
//!
//! [`super::recover`] believes the journal alone, since Charter may be down when a process starts; this looks at Charter
//! in every cycle in which it answers. What even that cannot tell is a person's until its escalation closes.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::act::{ExecutionResult, StoreJournal, surplus};
use super::expiring_action;
use super::follow_ups::system_of;
use super::kit::{Kit, Means};
use super::needs::{announce, failed, tell, unknown};
use super::observe::Seen;
use super::recall::{Recalled, blocked, execution_of, took_effect};
use super::timeline::Happened;
use super::verify::Verified;
use crate::domain::execution::{ActionRecord, ActionState, Execution, ExecutionStatus};
use crate::domain::ledger::End;
use crate::domain::need::{Need, NeedReason as Reason};
use crate::domain::outcome::PendingVerification;
use crate::domain::target::System;
use crate::domain::time::Time;
use crate::incidents::NeedRequest;
use crate::knowledge::{Batch, StoreError};
use crate::planner::guardrails::Mode;

/// What could not be brought to an end.
#[derive(Debug)]
pub(super) struct Settle {
    /// What Charter has in force against our journal, as last seen.
    pub(super) leftovers: Vec<NeedRequest>,
    /// Charter's list is still to be held against the journal.
    pub(super) sweep_due: bool,
    /// What this cycle could not find out or end, so that people must go on being notified of it.
    pub(super) unresolved: Vec<NeedRequest>,
    /// Why the journal of an undo cannot be relied on.
    pub(super) journal_failed: Option<(System, String)>,
}

impl Default for Settle {
    fn default() -> Self {
        let (leftovers, unresolved) = (Vec::new(), Vec::new());
        Self { leftovers, sweep_due: true, unresolved, journal_failed: None }
    }
}

impl Settle {
    /// The journal is held against Charter's list anew.
    pub fn renewed(&mut self) {
        *self = Self { journal_failed: self.journal_failed.take(), ..Self::default() };
    }

    /// What people must go on being notified of.
    pub fn open_ends(&self) -> Vec<NeedRequest> {
        self.leftovers.iter().chain(&self.unresolved).cloned().collect()
    }

    /// What was just done may have left something that Charter lists and the journal does not follow. `None`: nobody knows
    /// what became of it.
    pub fn after(&mut self, carried: Option<&ExecutionResult>) {
        self.sweep_due |= carried.is_none_or(|c| c.execution().is_some_and(has_undo_failed));
    }

    /// Brings to an end what earlier cycles left open: finds out what became of it, ends what has run out its time, undoes what
    /// did harm. A part of *execute*, under what holds back everything that is sent. Returns the escalations that it closed.
    pub async fn settle(
        &mut self,
        how: &Means<'_>,
        recalled: &mut Recalled,
        seen: &mut Seen,
        rulings: &mut [Verified],
    ) -> Result<Vec<Uuid>, StoreError> {
        let closed = self.resolve(how, recalled, seen).await?;
        self.undo_harm(how, recalled, seen, rulings).await?;
        Ok(closed)
    }

    /// Returns the escalations that it closed. A look may lead to an undo, so that none is made while the loop may not
    /// change Charter.
    async fn resolve(
        &mut self,
        how: &Means<'_>,
        recalled: &mut Recalled,
        seen: &mut Seen,
    ) -> Result<Vec<Uuid>, StoreError> {
        let Means { kit, hands, stop, .. } = *how;
        self.unresolved.clear();
        if stop.is_cancelled() {
            return Ok(Vec::new());
        }
        let barred = barred(kit, recalled, stop);
        let mut closed = Vec::new();
        let mut changed = false;
        // Charter that is away hides what became of its own alone.
        let is_there = seen.charter.state.is_ok();
        let looks =
            |e: &Execution| barred.is_none() && (is_there || system_of(e) != System::Charter);
        let open: Vec<Execution> =
            recalled.executions.values().filter(|e| e.is_open() && looks(e)).cloned().collect();
        let began = Instant::now();
        for before in &open {
            // One that hangs must not keep the loop from all others: what is left is looked for in the next cycle.
            if began.elapsed() > kit.config.orchestrator.loop_interval {
                break;
            }
            let (clock, journal) = (kit.clock, StoreJournal::with_store(&kit.knowledge, kit.clock));
            let after =
                hands.executor.resume(before.clone(), &journal, stop, &move || clock.now()).await;
            if &after != before {
                changed = true;
                // What could not be taken back is told for as long as Charter lists it.
                self.sweep_due |= has_undo_failed(&after);
                closed.extend(resolved(kit, before, after, recalled).await?);
            }
        }
        // Time runs for the rest only while it is looked for: nobody has given up what nobody could look at, nor what a
        // hook's probe has not told yet. And an undo that was begun is never given up.
        let untold = |a: &ActionRecord| {
            let hook = kit.config.plan.hooks.get(&a.action.kind());
            a.state == ActionState::Unknown && hook.is_some_and(|hook| hook.has_probe)
        };
        let stays = |e: &&Execution| {
            let pending = |a: &ActionRecord| a.state == ActionState::UndoSent || untold(a);
            e.is_open() && (!looks(e) || e.actions.iter().any(pending))
        };
        let waiting = recalled.executions.values().filter(stays);
        self.unresolved.extend(waiting.flat_map(|e| unknown(e, &[])));
        changed |= self.end_temporaries(how, recalled, seen, barred.as_deref()).await?;
        if changed {
            // What is planned next rests on what is true now.
            seen.charter = hands.see_charter(kit).await;
            recalled.blocked = blocked(&recalled.executions, &recalled.escalations);
        }
        Ok(closed)
    }
}

/// Why nothing outside may be changed at this moment; asked again before the call itself.
pub(super) fn barred(kit: &Kit, recalled: &Recalled, stop: &CancellationToken) -> Option<String> {
    if stop.is_cancelled() {
        return Some("the daemon is stopping".to_owned());
    }
    if let Some(pause) = recalled.pause.as_ref().filter(|p| p.holds(kit.clock.now())) {
        return Some(pause.to_string());
    }
    if kit.config.plan.guardrails.mode == Mode::Observe {
        return Some("guardrails.mode is observe".to_owned());
    }
    kit.lead_now().barred
}

/// Everything that follows from what was found, in one batch.
async fn resolved(
    kit: &Kit,
    before: &Execution,
    mut after: Execution,
    recalled: &mut Recalled,
) -> Result<Vec<Uuid>, StoreError> {
    let now = kit.clock.now();
    let mut batch = kit.knowledge.batch();
    let mut evidence = Vec::new();
    let held = |verifications: &mut Vec<PendingVerification>| {
        verifications.extract_if(.., |j| j.execution_id == after.id).next()
    };
    let verification = held(&mut recalled.suspended).or_else(|| held(&mut recalled.verifications));
    if let Some(mut verification) = verification {
        evidence.extend(verification.before.iter().cloned());
        let found = before
            .actions
            .iter()
            .zip(&after.actions)
            .filter(|(b, a)| b.state == ActionState::Unknown && a.in_effect())
            .map(|(_, a)| a.sent_at.unwrap_or(after.started_at))
            .max();
        let suspended = after.is_open() && !took_effect(&after);
        if judged_from(kit, &mut verification, &mut after, found, &mut batch) {
            recalled.verifications.push(verification);
        } else if suspended {
            recalled.suspended.push(verification);
        }
    }
    if took_effect(&after)
        && let Some(fact) = surplus(&after, recalled.surplus.as_ref(), now)
    {
        batch.put(&fact);
    }
    let completed = after.status == ExecutionStatus::Completed;
    for treatment in &mut recalled.treatments {
        let mut corrected = false;
        for attempt in &mut treatment.attempts {
            if attempt.policy_id == after.policy_id && attempt.failed == completed {
                attempt.failed = !completed;
                corrected = true;
            }
        }
        if corrected {
            batch.put(treatment);
        }
    }
    let in_effect = took_effect(&after);
    if in_effect {
        // It was called failed while nobody knew; its verdict decides.
        let own = recalled.ledger.entries.iter_mut().filter(|e| e.execution_id == after.id);
        own.filter(|e| e.end == End::Failed).for_each(|e| e.end = End::Open);
    }
    kit.settle_ledger(&mut recalled.ledger, &after, in_effect, now);
    kit.put_ledger(&mut recalled.ledger, &mut batch, now);
    expiring_action::follow(&after, &mut batch);
    batch.put(&after);
    let (closed, mut told) = retell(&mut recalled.escalations, &after, now);
    let news = tell(&kit.ids, &mut recalled.escalations, unknown(&after, &evidence), now);
    told.extend(news.iter().cloned());
    for record in closed.iter().chain(&told) {
        batch.put(record);
    }
    kit.knowledge.commit(batch).await?;
    let found = Happened::of(&after, &recalled.treatments, now);
    recalled.happened.push(found.with(evidence));
    for record in &news {
        announce(&kit.metrics, record);
    }
    for record in &closed {
        tracing::info!(
            need = %record.id, reason = record.reason.as_str(), subject = record.subject,
            "a need ended: the result of its execution is known"
        );
    }
    recalled.executions.insert(after.id, after);
    Ok(closed.iter().map(|e| e.id).collect())
}

/// Verifies what is in effect, as of when what was `found` had been sent: how long ago it took effect is not known
/// better, and the result of one found too late is unknown. Says whether there is anything to verify.
fn judged_from(
    kit: &Kit,
    verification: &mut PendingVerification,
    execution: &mut Execution,
    found: Option<Time>,
    batch: &mut Batch,
) -> bool {
    if !took_effect(execution) {
        if !execution.is_open() {
            batch.delete::<PendingVerification>(verification.execution_id.to_string());
        }
        return false;
    }
    // What was given up is closed, and perhaps in effect: nothing is learned of it.
    let known = execution
        .actions
        .iter()
        .filter(|a| a.in_effect() && a.state != ActionState::Closed)
        .map(|a| a.action.kind());
    verification.actions = known.collect();
    if let Some(found) = found {
        kit.settles_from(verification, found);
        (verification.first_look, verification.clear_at) = (None, None);
    }
    for record in execution.actions.iter_mut().filter(|a| a.state == ActionState::Applied) {
        record.advance(ActionState::Verifying).expect("applied may be verified");
    }
    batch.put(verification);
    true
}

/// Nobody will say any more what became of executions whose escalation closes: their records close with it, and the
/// result of what is known to be in effect is that nobody can tell.
pub(super) async fn give_up(
    kit: &Kit,
    closed: &[Need],
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let now = kit.clock.now();
    for id in closed.iter().filter_map(execution_of) {
        let stored = kit.knowledge.get::<Execution>(&id.to_string()).await?;
        let Some((mut execution, _)) = stored.filter(|(execution, _)| execution.is_open()) else {
            continue;
        };
        for record in &mut execution.actions {
            if record.state == ActionState::Unknown {
                record.advance(ActionState::Closed).expect("unknown may be closed");
            }
        }
        execution.interrupted = false;
        let verification = kit.knowledge.get::<PendingVerification>(&id.to_string()).await?;
        if let Some((mut verification, _)) = verification
            && judged_from(kit, &mut verification, &mut execution, None, batch)
        {
            // With one of its actions unknown nobody can say what the others have done.
            verification.settled_at = verification.settled_at.min(now);
            verification.judge_by = verification.judge_by.min(now);
            batch.put(&verification);
        }
        expiring_action::follow(&execution, batch);
        batch.put(&execution);
    }
    Ok(())
}

pub(super) fn has_undo_failed(execution: &Execution) -> bool {
    execution.actions.iter().any(|a| a.state == ActionState::UndoFailed)
}

/// Brings the needs of an execution in line with what is known by now: the closed records, and those that
/// say something else.
fn retell(open: &mut Vec<Need>, execution: &Execution, now: Time) -> (Vec<Need>, Vec<Need>) {
    let wanted = failed(execution, &[]);
    let about = |e: &Need| {
        let failure = e.reason == Reason::ActionFailed
            && e.cause.as_ref() == Some(&execution.cause)
            && e.component.as_ref() == Some(&execution.component);
        failure || execution_of(e) == Some(execution.id)
    };
    let (mut closed, mut told) = (Vec::new(), Vec::new());
    for mut record in open.extract_if(.., |e| about(e)).collect::<Vec<_>>() {
        if let Some(want) = wanted.iter().find(|w| w.reason == record.reason) {
            record.detail.clone_from(&want.detail);
            told.push(record.clone());
            open.push(record);
        } else {
            record.closed_at = Some(now);
            closed.push(record);
        }
    }
    (closed, told)
}
