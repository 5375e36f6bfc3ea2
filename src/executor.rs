//! Execute: applies one policy through Charter's control API, writing intent before and result after every call.
//!
//! ```text
//! intent ─▶ per action: validate ─▶ read what undo needs ─▶ write "sent" ─▶ send ─▶ write the result
//!              │ a failure, mode transactional: undo the earlier ones in reverse
//!              └─────────────────────────────────────────────────────────────────▶ Execution
//! ```
//! What to do was decided by the planner; whether it may still be sent is asked again before every call (`gate`). Whether it helped is judged later, from [`crate::domain::execution`]'s
//! records. The store is reached only through [`Journal`], metrics and heartbeat only through [`CallObserver`].

pub mod charter;
pub mod settings;

mod deliver;
mod gate;
mod interrupted;
mod inverse;
mod journal;
mod look;
mod resume;
mod retry;
mod transaction;
mod undo;
mod window;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use charter::{Call, CallObserver, CallStatus, Client, SetupError};
pub use gate::Rails;
pub use interrupted::settle_interrupted;
pub use inverse::{Inverse, inverse, undo_key};
pub use journal::{Journal, JournalError};
pub use look::InForce;
pub use settings::{Idempotency, Settings};

use crate::domain::charter::{CharterView, CommitteeState};
use crate::domain::execution::{Execution, ExecutionStatus};
use crate::domain::policy::Policy;
use crate::domain::time::Time;
use crate::wire::Wire;
use transaction::Transaction;
use window::Window;

/// Said wherever something that was done through Charter is asked for after it was turned off.
const OFF: &str = "Charter is turned off (execute.charter_url is null)";

#[derive(Debug)]
pub struct Executor {
    /// `None` while `execute.charter_url` is null.
    client: Option<Client>,
    settings: Settings,
}

impl Executor {
    pub fn new(settings: Settings, observer: Arc<dyn CallObserver>) -> Result<Self, SetupError> {
        let client = settings.charter_url.as_ref().map(|url| Client::new(url, &settings, observer));
        Ok(Self { client: client.transpose()?, settings })
    }

    /// The same by another way than the network.
    pub fn over(
        wire: Arc<dyn Wire>,
        settings: Settings,
        observer: Arc<dyn CallObserver>,
    ) -> Result<Self, SetupError> {
        let url = settings.charter_url.as_ref();
        let client = url.map(|url| Client::over(wire, url, &settings, observer));
        Ok(Self { client: client.transpose()?, settings })
    }

    /// The client itself, for whoever only reads.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// From now on every change carries this epoch of leadership.
    pub fn speak_with(&mut self, epoch: Option<u64>) {
        if let Some(client) = &mut self.client {
            client.speak_with(epoch);
        }
    }

    /// Carries out a policy: its actions in order, under one key each, until done, undone, or not known. Nothing is sent
    /// without the policy's own grant for exactly this, nor while the journal says that the loop is halted.
    ///
    /// What took effect stays `applied`; whoever called moves it on to judging. Ends within the policy's time, twice
    /// that with undoing, and within 8 s of `stop`.
    pub async fn execute(
        &self,
        policy: &Policy,
        execution_id: Uuid,
        keys: Vec<Uuid>,
        journal: &dyn Journal,
        stop: &CancellationToken,
        now: &(dyn Fn() -> Time + Send + Sync),
    ) -> Execution {
        let started_at = now();
        let distinct = keys.iter().collect::<BTreeSet<_>>().len();
        let well_formed = !policy.actions.is_empty()
            && keys.len() == policy.actions.len()
            && distinct == keys.len();
        let mode = self.settings.execution_mode;
        let mut execution = Execution::intended(policy, execution_id, &keys, mode, started_at);
        execution.status = ExecutionStatus::InProgress;
        if !well_formed {
            execution.actions.clear();
            execution.status = ExecutionStatus::Failed;
            execution.ended_at = Some(started_at);
            execution.error = Some(format!(
                "nothing was sent: policy {} has {} actions and was given {distinct} distinct keys; each action needs its own",
                policy.id,
                policy.actions.len(),
            ));
            return execution;
        }
        let Some(client) = &self.client else {
            execution.actions.clear();
            execution.status = ExecutionStatus::Failed;
            execution.ended_at = Some(started_at);
            execution.error = Some(format!("nothing was sent: {OFF}"));
            return execution;
        };
        let window = Window::open(self.settings.policy_timeout, stop.clone());
        Transaction {
            client,
            settings: &self.settings,
            policy: Some(policy),
            journal,
            now,
            window,
            execution,
            hands_off: None,
            unfinished: false,
        }
        .run()
        .await
    }

    /// Charter's health and size, both within one call's time; without both there is no state.
    pub async fn observe(&self, at: Time) -> CharterView {
        let Some(client) = &self.client else {
            return CharterView { at, is_on: false, state: Err(OFF.to_owned()) };
        };
        let limit = self.settings.timeout_seconds;
        // What the last try met says more than that the time was over.
        let last = Mutex::new(None);
        let state = match tokio::time::timeout(limit, self.read_state(client, at, &last)).await {
            Ok(Ok(state)) => Ok(state),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(last.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_else(
                || {
                    format!(
                        "Charter at {} did not answer health and committee_state within {} s; check that it runs there and that execute.charter_url names it",
                        client.address(),
                        limit.as_secs_f64(),
                    )
                },
            )),
        };
        CharterView { at, is_on: true, state }
    }

    async fn read_state(
        &self,
        client: &Client,
        at: Time,
        last: &Mutex<Option<String>>,
    ) -> Result<CommitteeState, charter::Error> {
        let tries = self.settings.max_retries;
        let seed = u64::from(at.timestamp_subsec_nanos());
        let note = |error: &charter::Error| {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        };
        let health = retry::read(tries, seed, || async { client.health().await.inspect_err(note) });
        let state =
            retry::read(tries, seed, || async { client.committee_state().await.inspect_err(note) });
        let ((), state) = tokio::try_join!(health, state)?;
        Ok(state)
    }
}
