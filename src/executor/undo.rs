//! Taking back what a failed transactional policy had already done: in reverse, and only what nobody changed since.

use super::charter::Client;
use super::deliver::{Change, Delivery, Step};
use super::inverse::{Inverse, inverse, undo_key};
use super::look::{InForce, Trace};
use super::transaction::{Halt, Transaction};
use crate::domain::execution::ActionState;

/// Charter's words for: not in force any more.
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;

/// Refusals that say nothing of the undo: a key that a person has to correct, a time-out, too early, too many calls.
fn is_passing(status: u16) -> bool {
    matches!(status, 401 | 408 | 425 | 429)
}

/// What the comparison with Charter's present state comes to.
enum Course {
    Send(Step),
    /// Nothing of ours is left to take back.
    Over(&'static str),
    /// Somebody else has changed it since.
    Lost(String),
    /// Cannot be told now.
    Later(String),
    Impossible(&'static str),
}

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

    /// Takes one action back, or goes on where that was cut: under the same key. What cannot be done or told now stays as
    /// it is, and is due still; only a refusal, or somebody else's change, ends it.
    pub(super) async fn undo(&mut self, index: usize) -> Result<(), Halt> {
        if let Some(why) = self.halted().await? {
            self.put_off(index, &why);
            return Ok(());
        }
        let step = match self.compare(index).await {
            Course::Send(step) => step,
            Course::Over(note) => {
                self.begin_undo(index)?;
                return self.undone(index, note).await;
            }
            Course::Lost(why) => {
                self.begin_undo(index)?;
                return self.undo_failed(index, &why).await;
            }
            Course::Later(why) => {
                self.put_off(index, &why);
                return Ok(());
            }
            Course::Impossible(why) => {
                self.leave(index, &format!("in effect, not undone: {why}"));
                return Ok(());
            }
        };
        if let Err(cut) = self.window.admits_change() {
            self.put_off(index, &cut.to_string());
            return Ok(());
        }
        let key = undo_key(self.execution.actions[index].key);
        self.begin_undo(index)?;
        match self.deliver(index, &step, key).await? {
            Delivery::Done { .. } => self.undone(index, "undone").await,
            Delivery::Refused { status: Some(NOT_FOUND | CONFLICT), .. }
                if matches!(step.change, Change::Rollback { .. }) =>
            {
                self.undone(index, "undone: it was not in force any more").await
            }
            Delivery::Refused { why, status: Some(status) } if !is_passing(status) => {
                self.undo_failed(index, &why).await
            }
            Delivery::Foreign { why } => self.undo_failed(index, &why).await,
            Delivery::Refused { why, .. } | Delivery::Unknown { why } => {
                self.put_off(index, &why);
                self.write().await
            }
        }
    }

    /// What Charter has at this moment decides what is sent.
    async fn compare(&self, index: usize) -> Course {
        let record = &self.execution.actions[index];
        match inverse(record) {
            Inverse::Impossible { why } => Course::Impossible(why),
            Inverse::Rollback { policy_id } => {
                match self.read(index, Client::policies).await.map(InForce) {
                    Ok(listed) if listed.holds(&policy_id, &record.action) => {
                        let action = record.action.clone();
                        Course::Send(Step {
                            change: Change::Rollback { policy_id: policy_id.clone() },
                            trace: Trace::Gone { policy_id, action },
                        })
                    }
                    Ok(_) => Course::Over("undone: it was not in force any more"),
                    Err(error) => Course::Later(format!(
                        "Charter's list of policies could not be read: {error}"
                    )),
                }
            }
            Inverse::Scale { only_if, back_to } => {
                match self.read(index, Client::committee_state).await {
                    Ok(state) if state.replicas == back_to => {
                        Course::Over("undone: Charter already has the size before it")
                    }
                    Ok(state) if state.replicas == only_if => Course::Send(Step {
                        change: Change::Scale { replicas: back_to },
                        trace: Trace::Size { from: only_if, to: back_to },
                    }),
                    Ok(state) => Course::Lost(format!(
                        "Charter has {} replicas, not the {only_if} set here: somebody else changed the size since",
                        state.replicas
                    )),
                    Err(error) => {
                        Course::Later(format!("the present size could not be read: {error}"))
                    }
                }
            }
        }
    }

    /// It stays as it is, and is taken up again.
    fn put_off(&mut self, index: usize, why: &str) {
        self.unfinished = true;
        let record = &mut self.execution.actions[index];
        let how = match record.state {
            ActionState::UndoSent => "not known whether it was undone, and gone on with",
            _ => "in effect, not undone yet",
        };
        record.error = Some(format!("{how}: {why}"));
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
