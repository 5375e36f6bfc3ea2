//! One execution from intent to end: the actions in order, each written down before and after it is sent.
//!
//! Decides what comes next; how one change is sent is [`super::deliver`], how it is taken back [`super::undo`].

use std::collections::BTreeSet;
use std::time::Duration;

use super::charter::{Client, Error, Verdict};
use super::deliver::{Change, Delivery, Step};
use super::journal::{Journal, JournalError};
use super::look::Trace;
use super::retry;
use super::settings::Settings;
use super::window::{Cut, Phase, Window};
use crate::domain::action::{Action, ActionKind};
use crate::domain::execution::{
    ActionRecord, ActionState, Execution, ExecutionMode, ExecutionStatus, IllegalTransition,
};
use crate::domain::policy::Policy;
use crate::domain::time::{Time, after};

/// A store that has not taken one record by then cannot be relied on for the next.
pub(super) const JOURNAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Ids kept with an intent, some 40 bytes each. With more of them a lost answer cannot be looked up by a later process.
const MAX_LISTED: usize = 1_000;

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

/// Why a read before a change came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Charter(#[from] Error),
    #[error(transparent)]
    Cut(#[from] Cut),
}

pub(super) struct Transaction<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a Settings,
    /// With the grant under which all of it is sent.
    /// What is carried out; `None` where only what was done before is looked for and taken back.
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
                    .then_some("what became of an earlier action on the same ground is not known")
            }
        }
    }

    async fn act(&mut self, index: usize) -> Result<(), Halt> {
        self.execution.actions[index].started_at = Some((self.now)());
        let action = self.execution.actions[index].action.clone();
        match self.read(index, |client| client.validate(&action)).await {
            Ok(Verdict::Valid) => {}
            Ok(Verdict::Invalid { error, code }) => {
                let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
                self.execution.actions[index].invalid = true;
                return self.refuse(index, format!("invalid, Charter says: {error}{code}")).await;
            }
            Err(error) => {
                return self.refuse(index, format!("not sent, as not validated: {error}")).await;
            }
        }
        self.advance(index, ActionState::Validated)?;
        self.write().await?;
        let step = match self.prepare(index, action).await {
            Ok(step) => step,
            Err(why) => return self.refuse(index, why).await,
        };
        if let Err(cut) = self.window.admits_change() {
            return self.refuse(index, format!("not sent: {cut}")).await;
        }
        self.advance(index, ActionState::Sent)?;
        let key = self.execution.actions[index].key;
        let delivery = self.deliver(index, &step, key).await?;
        let ended = (self.now)();
        let record = &mut self.execution.actions[index];
        record.ended_at = Some(ended);
        let to = match delivery {
            Delivery::Done { policy_id } => {
                record.charter_policy_id = policy_id;
                record.expires_at = record.action.lasts().map(|lasts| after(ended, lasts));
                ActionState::Applied
            }
            Delivery::Refused { why, status } => {
                record.error = Some(why);
                record.invalid = status.is_some_and(is_about_the_request);
                ActionState::Refused
            }
            Delivery::Unknown { why } | Delivery::Foreign { why } => {
                record.error = Some(format!(
                    "not known whether it took effect, look at Charter's state: {why}"
                ));
                ActionState::Unknown
            }
        };
        self.advance(index, to)?;
        self.write().await
    }

    /// Reads what undoing it or looking for it will need, and says what to send.
    async fn prepare(&mut self, index: usize, action: Action) -> Result<Step, String> {
        match action {
            Action::ScaleUp { replicas } | Action::ScaleDown { replicas } => {
                let state = self
                    .read(index, Client::committee_state)
                    .await
                    .map_err(|e| format!("not sent, as the present size could not be read: {e}"))?;
                let from = state.replicas;
                let wrong_way = match action.kind() {
                    ActionKind::ScaleUp => from > replicas,
                    _ => from < replicas,
                };
                if wrong_way {
                    return Err(format!(
                        "not sent: Charter has {from} replicas by now, so {action} would do the opposite"
                    ));
                }
                self.execution.actions[index].prior_replicas = Some(from);
                Ok(Step {
                    change: Change::Scale { replicas },
                    trace: Trace::Size { from, to: replicas },
                })
            }
            Action::Hook { .. } => Err("not sent: hooks are not called yet".to_owned()),
            Action::RestartService { service, graceful } => {
                Ok(Step { change: Change::Restart { service, graceful }, trace: Trace::Nowhere })
            }
            Action::ApplyPolicy { .. }
            | Action::BypassValidation { .. }
            | Action::ThrottleRequests { .. }
            | Action::ActivateEmergencyOverride { .. }
            | Action::RebalanceLoad { .. }
            | Action::UpdateConfiguration { .. } => {
                let listed = self.read(index, Client::policies).await;
                if let Err(error) = &listed {
                    // Only a lost answer would need the list, and then ends as unknown without it.
                    tracing::warn!(
                        execution = %self.execution.id, %action, %error,
                        "policies not listed before applying"
                    );
                }
                let known = listed
                    .ok()
                    .map(|listed| listed.into_iter().map(|p| p.policy_id).collect::<BTreeSet<_>>());
                self.execution.actions[index].listed_before =
                    known.clone().filter(|known| known.len() <= MAX_LISTED);
                Ok(Step {
                    change: Change::Apply { action: action.clone(), at: (self.now)() },
                    trace: Trace::Listed { action, known },
                })
            }
        }
    }

    /// A call that changes nothing, retried while the policy's time and the process allow.
    pub(super) async fn read<'s, T, F>(
        &'s self,
        index: usize,
        mut call: impl FnMut(&'s Client) -> F,
    ) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let seed = self.execution.actions[index].key.as_u64_pair().0;
        let reading = retry::read(self.settings.max_retries, seed, || call(self.client));
        Ok(self.window.within(Phase::Prepare, reading).await??)
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
            tries = record.tries, error, "call to charter came to nothing"
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
            | ActionState::Judging
            | ActionState::Judged
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
            success_rate = self.execution.success_rate, error = self.execution.error, "execution ended"
        );
        self.execution
    }
}

/// Completed when all took effect; rolled back when something was taken back and nothing is, or may be, left of it.
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
            | ActionState::Judging
            | ActionState::Judged
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

/// Refusals of the request as it stands: malformed, out of range, unknown. A missing key, a conflict or too many calls
/// say nothing of the request.
fn is_about_the_request(status: u16) -> bool {
    matches!(status, 400 | 404 | 405 | 410 | 422)
}
