//! Taking back what a failed transactional policy had already done: in reverse, and only what nobody changed since.

use uuid::Uuid;

use super::deliver::Delivery;
use super::transaction::{Halt, Transaction};
use super::window::Phase;
use crate::actuators::{Comparison, Refusal, Step, Undoable};
use crate::domain::execution::ActionState;
use crate::domain::time::Time;

/// The undo's idempotency key, derived from the action's so that it too is in the store before anything is sent and
/// the same after a restart. Under the action's own key the first answer would be repeated and nothing undone.
#[must_use]
pub fn undo_key(key: Uuid) -> Uuid {
    // Spares the bits that say version and variant; flipping bits keeps distinct keys distinct.
    const MASK: u128 = 0x756e_646f_756e_046f_156e_646f_756e_646f;
    Uuid::from_u128(key.as_u128() ^ MASK)
}

impl Transaction<'_> {
    pub(super) async fn take_back(&mut self) -> Result<(), Halt> {
        self.window = self.window.for_undo(self.settings.policy_timeout);
        for index in (0..self.execution.actions.len()).rev() {
            let state = self.execution.actions[index].state;
            if !matches!(state, ActionState::Applied | ActionState::Verifying) {
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

    /// Undoes one action, or goes on where that was cut: under the same key. What cannot be done or found out now stays as
    /// it is, and is due still; only a refusal, or somebody else's change, ends it.
    pub(super) async fn undo(&mut self, index: usize) -> Result<(), Halt> {
        if let Some(why) = self.halted().await? {
            self.put_off(index, &why);
            return Ok(());
        }
        if let Undoable::No(why) = self.executor.undoable(&self.execution.actions[index]) {
            self.leave(index, &format!("in effect, not undone: {why}"));
            return Ok(());
        }
        let key = undo_key(self.execution.actions[index].key);
        let at = (self.now)();
        // What the system has at this moment decides what is sent.
        match self.compare(index, key, at).await {
            Comparison::Ours => {}
            Comparison::Over(note) => {
                self.begin_undo(index)?;
                return self.undone(index, &note).await;
            }
            Comparison::Foreign(why) => {
                self.begin_undo(index)?;
                return self.undo_failed(index, &why).await;
            }
            Comparison::CannotTell(why) => {
                self.put_off(index, &why);
                return Ok(());
            }
        }
        if let Err(cut) = self.window.admits_change() {
            self.put_off(index, &cut.to_string());
            return Ok(());
        }
        let record = &self.execution.actions[index];
        let (actuator, _) = self.at_hand(index);
        let repeatable = actuator.honours_keys(&record.action)
            || actuator.is_repeatable(Step::Undo, &record.action);
        if record.undo_under_way && !repeatable {
            self.put_off(index, "its undo was sent and may still be under way");
            return Ok(());
        }
        self.begin_undo(index)?;
        let delivery = self.deliver(index, Step::Undo, key, at).await?;
        if let Delivery::Done { .. } | Delivery::Refused { .. } = delivery {
            self.execution.actions[index].undo_under_way = false;
        }
        match delivery {
            Delivery::Done { .. } => self.undone(index, "undone").await,
            Delivery::Refused { refusal: Some(Refusal::Gone), .. } => {
                self.undone(index, "undone: it was no longer in effect").await
            }
            Delivery::Refused {
                why,
                refusal: Some(Refusal::Invalid | Refusal::Conflict | Refusal::Other),
            }
            | Delivery::Foreign { why } => self.undo_failed(index, &why).await,
            Delivery::Refused {
                why,
                refusal: Some(Refusal::Passing | Refusal::Superseded) | None,
            }
            | Delivery::Unknown { why } => {
                self.put_off(index, &why);
                self.write().await
            }
        }
    }

    async fn compare(&self, index: usize, key: Uuid, at: Time) -> Comparison {
        let (actuator, prior) = self.at_hand(index);
        let request = self.request(index, key, at);
        let comparing = actuator.compare(&request, &prior);
        match self.window.within(Phase::Prepare, comparing).await {
            Ok(comparison) => comparison,
            Err(cut) => Comparison::CannotTell(cut.to_string()),
        }
    }

    /// It stays as it is, and is taken up again.
    fn put_off(&mut self, index: usize, why: &str) {
        self.unfinished = true;
        let record = &mut self.execution.actions[index];
        let how = match record.state {
            ActionState::UndoSent if record.undo_under_way => {
                "not known whether it was undone; the next cycle goes on with it"
            }
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
        let place = self.execution.actions[index].action.target().place();
        self.leave(index, &format!("undo failed, look at {place} by hand: {why}"));
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
