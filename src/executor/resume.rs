//! What a later look at Charter brings to an end: executions that a process left without one, and temporary actions whose
//! time has run out. Nothing is ever sent forward here: an intent of then is not carried out now.
//!
//! ```text
//! undo_sent ─▶ undone again, same key     unknown ─▶ look ─┬ there ──────────▶ applied
//!                                                          ├ twice not there ─▶ refused
//!                                                          └ cannot tell ────▶ unknown, as before
//! all known, mode transactional, not all in effect: the action in effect is undone
//! ```

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Executor;
use super::journal::{Journal, JournalError};
use super::transaction::{Halt, Transaction};
use super::window::Window;
use crate::actuators::{Probe, Step};
use crate::domain::execution::{ActionState, Execution, ExecutionMode};
use crate::domain::time::{Time, after, since};

impl Executor {
    /// Brings an execution that was left without a known end as far to one as Charter's present state allows; one of
    /// which nothing new can be said is returned as it was, and nothing is written. It is `interrupted` no more only when
    /// nothing is left to be done or found out; in the store it stays so until the caller has drawn the conclusions.
    pub async fn resume(
        &self,
        execution: Execution,
        journal: &dyn Journal,
        stop: &CancellationToken,
        now: &(dyn Fn() -> Time + Send + Sync),
    ) -> Execution {
        if !execution.is_open() || stop.is_cancelled() {
            return execution;
        }
        let before = execution.clone();
        let mut transaction = self.taking_up(execution, journal, stop, now);
        // With its first write: whoever called has to draw its conclusions, also when this process dies before that.
        transaction.execution.interrupted = true;
        let marked = transaction.execution.clone();
        let halt = transaction.conclude().await.err();
        let concluded = halt.is_none()
            && !transaction.unfinished
            && transaction.hands_off.is_none()
            && !stop.is_cancelled()
            && transaction.execution.actions.iter().all(|record| {
                !matches!(record.state, ActionState::Unknown | ActionState::UndoSent)
            });
        if halt.is_none() && transaction.execution == marked {
            return Execution { interrupted: before.interrupted && !concluded, ..before };
        }
        let after = transaction.finish(halt).await;
        Execution { interrupted: !concluded, ..after }
    }

    /// Ends a temporary action that is in force although its time has run out; also one whose undo a process did not finish.
    pub async fn end(
        &self,
        execution: Execution,
        key: Uuid,
        journal: &dyn Journal,
        stop: &CancellationToken,
        now: &(dyn Fn() -> Time + Send + Sync),
    ) -> Result<Execution, JournalError> {
        let index = execution.actions.iter().position(|record| record.key == key);
        let mut transaction = self.taking_up(execution, journal, stop, now);
        if let Some(index) = index {
            transaction.undo(index).await.map_err(|halt| JournalError(halt.to_string()))?;
        }
        Ok(transaction.execution)
    }

    fn taking_up<'a>(
        &'a self,
        execution: Execution,
        journal: &'a dyn Journal,
        stop: &CancellationToken,
        now: &'a (dyn Fn() -> Time + Send + Sync),
    ) -> Transaction<'a> {
        let window = Window::open(self.settings.policy_timeout, stop.clone());
        Transaction {
            executor: self,
            settings: &self.settings,
            policy: None,
            hands_off: None,
            unfinished: false,
            journal,
            now,
            window: window.for_undo(self.settings.policy_timeout),
            execution,
        }
    }
}

impl Transaction<'_> {
    async fn conclude(&mut self) -> Result<(), Halt> {
        let states = |this: &Self, state| -> Vec<usize> {
            let records = this.execution.actions.iter().enumerate().rev();
            records.filter(|(_, record)| record.state == state).map(|(index, _)| index).collect()
        };
        for index in states(self, ActionState::UndoSent) {
            self.undo(index).await?;
        }
        for index in states(self, ActionState::Unknown) {
            self.find(index).await?;
        }
        if !states(self, ActionState::Unknown).is_empty() {
            return Ok(());
        }
        if self.execution.mode == ExecutionMode::Transactional && !self.all_applied() {
            self.take_back().await?;
        }
        Ok(())
    }

    /// Did it take effect? Moves the record on if Charter's state can tell.
    async fn find(&mut self, index: usize) -> Result<(), Halt> {
        let now = (self.now)();
        let record = &self.execution.actions[index];
        let sent_at = record.sent_at.or(record.started_at).unwrap_or(self.execution.started_at);
        let key = record.key;
        let (actuator, _) = self.at_hand(index);
        let quiet = actuator.timeout(&record.action);
        let seen = self.probe(index, Step::Apply, key, sent_at).await;
        let record = &mut self.execution.actions[index];
        let to = match seen {
            Probe::Found(prior) => {
                record.prior = Some(prior);
                record.error = None;
                // From the earliest moment at which it can have begun: it never outlives what was asked for.
                record.expires_at = record.action.lasts().map(|lasts| after(sent_at, lasts));
                ActionState::Applied
            }
            // The request of then may still be worked on; and how long ago that was nobody knows who did not look.
            Probe::Absent if record.absent_since.is_none() => {
                record.absent_since = Some(now);
                return self.write().await;
            }
            Probe::Absent if record.absent_since.is_some_and(|at| since(now, at) >= quiet) => {
                let place = record.action.target().place();
                record.error = Some(match record.action.lasts() {
                    Some(_) => format!(
                        "not in force at {place}: it never arrived, or its time has run out"
                    ),
                    None => format!("not at {place}: it never arrived"),
                });
                ActionState::Refused
            }
            Probe::Ended(what) => {
                record.error = Some(what);
                ActionState::Refused
            }
            Probe::Absent | Probe::Foreign(_) | Probe::CannotTell(_) => return Ok(()),
        };
        record.ended_at = Some(now);
        self.advance(index, to)?;
        self.write().await
    }
}
