//! Taking back what a failed transactional policy had already done: in reverse, and only what nobody changed since.

use super::charter::Client;
use super::deliver::{Change, Delivery, Step};
use super::inverse::{Inverse, inverse, undo_key};
use super::look::Trace;
use super::transaction::{Halt, Transaction};
use crate::domain::execution::ActionState;

/// Charter's word for: not in force any more.
const CONFLICT: u16 = 409;

impl Transaction<'_> {
    pub(super) async fn take_back(&mut self) -> Result<(), Halt> {
        self.window = self.window.for_undo(self.settings.policy_timeout);
        for index in (0..self.execution.actions.len()).rev() {
            let state = self.execution.actions[index].state;
            if !matches!(state, ActionState::Applied | ActionState::Judging) {
                continue;
            }
            if let Some(why) = self.halted().await? {
                self.leave(index, &format!("in effect, not undone: {why}"));
            } else if self.settings.rollback_enabled {
                self.undo(index).await?;
            } else {
                self.leave(index, "in effect, not undone: execute.rollback_enabled is false");
            }
        }
        Ok(())
    }

    /// Takes one action back, or goes on where a process died while doing so: under the same key.
    pub(super) async fn undo(&mut self, index: usize) -> Result<(), Halt> {
        let step = match inverse(&self.execution.actions[index]) {
            Inverse::Impossible { why } => {
                self.leave(index, &format!("in effect, not undone: {why}"));
                return Ok(());
            }
            Inverse::Rollback { policy_id } => Step {
                change: Change::Rollback { policy_id: policy_id.clone() },
                trace: Trace::Gone { policy_id },
            },
            Inverse::Scale { only_if, back_to } => {
                match self.read(index, Client::committee_state).await {
                    Ok(state) if state.replicas == back_to => {
                        self.begin_undo(index)?;
                        return self
                            .undone(index, "undone: Charter already has the size before it")
                            .await;
                    }
                    Ok(state) if state.replicas == only_if => {}
                    Ok(state) => {
                        let why = format!(
                            "Charter has {} replicas, not the {only_if} set here: somebody else changed the size since",
                            state.replicas
                        );
                        self.begin_undo(index)?;
                        return self.undo_failed(index, &why).await;
                    }
                    Err(error) => {
                        self.begin_undo(index)?;
                        let why = format!("the present size could not be read: {error}");
                        return self.undo_failed(index, &why).await;
                    }
                }
                Step {
                    change: Change::Scale { replicas: back_to },
                    trace: Trace::Size { from: only_if, to: back_to },
                }
            }
        };
        let key = undo_key(self.execution.actions[index].key);
        self.begin_undo(index)?;
        match self.deliver(index, &step, key).await? {
            Delivery::Done { .. } => self.undone(index, "undone").await,
            Delivery::Refused { status: Some(CONFLICT), .. }
                if matches!(step.change, Change::Rollback { .. }) =>
            {
                self.undone(index, "undone: it was not in force any more").await
            }
            Delivery::Refused { why, .. } => self.undo_failed(index, &why).await,
            Delivery::Unknown { why } => {
                self.undo_failed(index, &format!("not known whether it was undone: {why}")).await
            }
        }
    }

    fn begin_undo(&mut self, index: usize) -> Result<(), Halt> {
        if self.execution.actions[index].state == ActionState::UndoSent {
            return Ok(());
        }
        self.advance(index, ActionState::UndoSent)
    }

    async fn undone(&mut self, index: usize, note: &str) -> Result<(), Halt> {
        self.leave(index, note);
        self.advance(index, ActionState::Undone)?;
        self.write().await
    }

    async fn undo_failed(&mut self, index: usize, why: &str) -> Result<(), Halt> {
        self.leave(index, &format!("undo failed, look at Charter by hand: {why}"));
        self.advance(index, ActionState::UndoFailed)?;
        self.write().await
    }

    /// Says with the action what became of its effect.
    fn leave(&mut self, index: usize, note: &str) {
        let now = (self.now)();
        let record = &mut self.execution.actions[index];
        record.ended_at = Some(now);
        record.error = Some(note.to_owned());
    }
}
