//! One execution from intent to end: the actions in order, each written down before and after it is sent.
//!
//! Decides what comes next; how one change is sent is [`super::deliver`], how it is undone [`super::undo`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::Executor;
use super::deliver::Delivery;
use super::journal::{Journal, JournalError};
use super::settings::Settings;
use super::window::{Phase, Window};
use crate::actuators::{Actuator, Refusal, Request, Step, Validation};
use crate::domain::Labels;
use crate::domain::execution::{
    ActionRecord, ActionState, Execution, ExecutionMode, ExecutionStatus, IllegalTransition,
};
use crate::domain::policy::Policy;
use crate::domain::time::{Time, after};

/// A store that has not taken one record by then cannot be relied on for the next.
pub(super) const JOURNAL_TIMEOUT: Duration = Duration::from_secs(5);

/// What ends an execution at once, without another call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Halt {
    #[error(
        "the store did not record the execution ({0}), so no call was made after that: make the store writable"
    )]
    Journal(#[from] JournalError),
    #[error(
        "the store did not say whether the loop is paused ({0}), so no call was made after that: make the store readable; `mape-k pause` and `mape-k resume` write a damaged pause anew"
    )]
    Gate(JournalError),
    #[error(transparent)]
    Defect(#[from] IllegalTransition),
}

pub(super) struct Transaction<'a> {
    pub(super) executor: &'a Executor,
    pub(super) settings: &'a Settings,
    /// With the grant under which all of it is sent.
    /// What is carried out; `None` where only what was done before is looked for and undone.
    pub(super) policy: Option<&'a Policy>,
    pub(super) journal: &'a dyn Journal,
    pub(super) now: &'a (dyn Fn() -> Time + Send + Sync),
    pub(super) window: Window,
    pub(super) execution: Execution,
    /// Why nothing more is sent in this execution, once somebody has said so.
    pub(super) hands_off: Option<String>,
    /// An undo is due that could not be made, or brought to its end, now.
    pub(super) unfinished: bool,
}

impl Transaction<'_> {
    pub(super) async fn run(mut self) -> Execution {
        let halt = self.proceed().await.err();
        self.finish(halt).await
    }

    async fn proceed(&mut self) -> Result<(), Halt> {
        self.write().await?;
        for index in 0..self.execution.actions.len() {
            let held = match self.held_back(index) {
                Some(why) => Some(why.to_owned()),
                None => self.barred(index).await?,
            };
            match held {
                Some(why) => self.refuse(index, format!("not sent: {why}")).await?,
                None => self.act(index).await?,
            }
        }
        if self.execution.mode == ExecutionMode::Transactional && !self.all_applied() {
            self.take_back().await?;
        }
        Ok(())
    }

    /// Why this action may not even begin.
    fn held_back(&self, index: usize) -> Option<&'static str> {
        let (earlier, rest) = self.execution.actions.split_at(index);
        if self.window.stopping() {
            return Some("the process is stopping");
        }
        match self.execution.mode {
            ExecutionMode::Transactional => earlier
                .iter()
                .any(|record| record.state != ActionState::Applied)
                .then_some("an earlier action failed"),
            ExecutionMode::BestEffort => {
                let target = rest[0].action.target();
                earlier
                    .iter()
                    .any(|record| {
                        record.state == ActionState::Unknown
                            && record.action.target().overlaps(&target)
                    })
                    .then_some("the result of an earlier action on the same target is not known")
            }
        }
    }

    async fn act(&mut self, index: usize) -> Result<(), Halt> {
        self.execution.actions[index].started_at = Some((self.now)());
        let (key, at) = (self.execution.actions[index].key, (self.now)());
        let (actuator, _) = self.at_hand(index);
        let request = self.request(index, key, at);
        let checked = self.window.within(Phase::Prepare, actuator.validate(&request)).await;
        match checked {
            Ok(Ok(Validation::Valid)) => {}
            Ok(Ok(Validation::Invalid(why))) => {
                self.execution.actions[index].invalid = true;
                return self.refuse(index, format!("invalid, {why}")).await;
            }
            Ok(Err(error)) => {
                return self.refuse(index, format!("not sent, as not validated: {error}")).await;
            }
            Err(cut) => {
                return self.refuse(index, format!("not sent, as not validated: {cut}")).await;
            }
        }
        self.advance(index, ActionState::Validated)?;
        self.write().await?;
        let request = self.request(index, key, at);
        let prepared = self.window.within(Phase::Prepare, actuator.prepare(&request)).await;
        match prepared {
            Ok(Ok(prior)) => self.execution.actions[index].prior = Some(prior),
            Ok(Err(why)) => return self.refuse(index, format!("not sent: {why}")).await,
            Err(cut) => {
                return self.refuse(index, format!("not sent, as not prepared: {cut}")).await;
            }
        }
        if let Err(cut) = self.window.admits_change() {
            return self.refuse(index, format!("not sent: {cut}")).await;
        }
        self.advance(index, ActionState::Sent)?;
        let delivery = self.deliver(index, Step::Apply, key, at).await?;
        let ended = (self.now)();
        let record = &mut self.execution.actions[index];
        record.ended_at = Some(ended);
        let to = match delivery {
            Delivery::Done { prior } => {
                record.prior = prior;
                record.expires_at = record.action.lasts().map(|lasts| after(ended, lasts));
                ActionState::Applied
            }
            Delivery::Refused { why, refusal } => {
                record.error = Some(why);
                record.invalid = refusal == Some(Refusal::Invalid);
                record.conflict = refusal == Some(Refusal::Conflict);
                ActionState::Refused
            }
            Delivery::Unknown { why } | Delivery::Foreign { why } => {
                let place = record.action.target().place();
                record.error = Some(format!(
                    "not known whether it took effect, look at {place}'s state: {why}"
                ));
                ActionState::Unknown
            }
        };
        self.advance(index, to)?;
        self.write().await
    }

    /// Who changes this action's system, and what is kept for it.
    pub(super) fn at_hand(&self, index: usize) -> (Arc<dyn Actuator>, Value) {
        let record = &self.execution.actions[index];
        let prior = record.prior.clone().unwrap_or_default();
        (self.executor.actuator(record.action.kind().system()), prior)
    }

    pub(super) fn request(&self, index: usize, key: Uuid, at: Time) -> Request<'_> {
        static NONE: Labels = Labels::new();
        Request {
            action: &self.execution.actions[index].action,
            key,
            epoch: self.executor.epoch,
            cause: &self.execution.cause,
            labels: self.policy.map_or(&NONE, |policy| &policy.labels),
            at,
        }
    }

    async fn refuse(&mut self, index: usize, why: String) -> Result<(), Halt> {
        let now = (self.now)();
        let record = &mut self.execution.actions[index];
        record.error = Some(why);
        record.ended_at = Some(now);
        self.advance(index, ActionState::Refused)?;
        self.write().await
    }

    pub(super) fn advance(&mut self, index: usize, to: ActionState) -> Result<(), Halt> {
        let record = &mut self.execution.actions[index];
        record.advance(to)?;
        tracing::info!(
            execution = %self.execution.id, policy = %self.execution.policy_id, action = %record.action,
            key = %record.key, state = ?record.state, approved_by = self.execution.approved_by,
            error = record.error, "action changed state"
        );
        Ok(())
    }

    pub(super) async fn write(&self) -> Result<(), Halt> {
        match tokio::time::timeout(JOURNAL_TIMEOUT, self.journal.record(&self.execution)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(JournalError(format!("no answer in {} s", JOURNAL_TIMEOUT.as_secs())))?,
        }
    }

    pub(super) fn log_setback(&self, index: usize, error: &str) {
        let record = &self.execution.actions[index];
        tracing::warn!(
            execution = %self.execution.id, action = %record.action, key = %record.key,
            tries = record.tries, error, "a call to change a system failed"
        );
    }

    /// Gives an action its last state when the journal no longer takes one.
    pub(super) fn abandon(&mut self, index: usize, may_have_effect: bool) {
        let to = match self.execution.actions[index].state {
            ActionState::Sent if may_have_effect => ActionState::Unknown,
            ActionState::Intent | ActionState::Validated | ActionState::Sent => {
                ActionState::Refused
            }
            // An undo that was begun is gone on with when the store works again.
            ActionState::UndoSent
            | ActionState::Applied
            | ActionState::Refused
            | ActionState::Unknown
            | ActionState::Verifying
            | ActionState::Verified
            | ActionState::Closed
            | ActionState::Undone
            | ActionState::UndoFailed => return,
        };
        // Every move above is in the table of transitions.
        if self.advance(index, to).is_ok() {
            let now = (self.now)();
            let record = &mut self.execution.actions[index];
            record.ended_at = Some(now);
            record.error.get_or_insert_with(|| "given up: the store could not be written".into());
        }
    }

    pub(super) fn all_applied(&self) -> bool {
        self.execution.actions.iter().all(ActionRecord::in_effect)
    }

    pub(super) async fn finish(mut self, halt: Option<Halt>) -> Execution {
        if halt.is_some() {
            for index in 0..self.execution.actions.len() {
                self.abandon(index, true);
            }
        }
        let ended_at = Some((self.now)());
        let execution = &mut self.execution;
        execution.ended_at = ended_at;
        execution.interrupted |= self.unfinished;
        execution.success_rate = success_rate(execution);
        execution.status =
            if halt.is_some() { ExecutionStatus::Failed } else { outcome(execution) };
        let actions = execution.actions.iter().filter_map(|record| {
            record.error.as_ref().map(|error| format!("{}: {error}", record.action))
        });
        let errors: Vec<String> = halt.iter().map(ToString::to_string).chain(actions).collect();
        execution.error = (!errors.is_empty()).then(|| errors.join("; "));
        // After a halt too: a store that works again should not take this for a run that is still going on.
        if let Err(error) = self.write().await {
            self.execution.status = ExecutionStatus::Failed;
            if halt.is_none() {
                self.execution.error = Some(error.to_string());
            }
        }
        tracing::info!(
            execution = %self.execution.id, policy = %self.execution.policy_id, status = ?self.execution.status,
            success_rate = self.execution.success_rate, error = self.execution.error, "all actions of the execution were tried"
        );
        self.execution
    }
}

/// Completed when all took effect; rolled back when something was undone and nothing is, or may be, left of it.
pub(super) fn outcome(execution: &Execution) -> ExecutionStatus {
    let states = || execution.actions.iter().map(|record| record.state);
    if execution.actions.iter().all(ActionRecord::in_effect) {
        ExecutionStatus::Completed
    } else if states().any(|state| state == ActionState::Undone)
        && states().all(|state| matches!(state, ActionState::Undone | ActionState::Refused))
    {
        ExecutionStatus::RolledBack
    } else {
        ExecutionStatus::Failed
    }
}

/// Share of the actions that took effect, whether undone afterwards or not.
pub(super) fn success_rate(execution: &Execution) -> f64 {
    let succeeded = execution
        .actions
        .iter()
        .filter(|record| match record.state {
            ActionState::Applied
            | ActionState::Verifying
            | ActionState::Verified
            | ActionState::Closed
            | ActionState::UndoSent
            | ActionState::Undone
            | ActionState::UndoFailed => true,
            ActionState::Intent
            | ActionState::Validated
            | ActionState::Sent
            | ActionState::Refused
            | ActionState::Unknown => false,
        })
        .count();
    succeeded as f64 / execution.actions.len().max(1) as f64
}
