//! Execute: carries out one policy through the actuators of its actions, writing intent before and result after every call.
//!
//! ```text
//! intent ─▶ per action: validate ─▶ read what undo needs ─▶ write "sent" ─▶ send ─▶ write the result
//!              │ a failure, mode transactional: undo the earlier ones in reverse
//!              └─────────────────────────────────────────────────────────────────▶ Execution
//! ```
//! What to do was decided by the planner; whether it may still be sent is asked again before every call (`gate`). Whether
//! it helped is verified later, from [`crate::domain::execution`]'s records. The store is reached only through [`Journal`],
//! systems only through [`Actuator`].

pub mod settings;

mod deliver;
mod gate;
mod interrupted;
mod journal;
mod resume;
mod transaction;
mod undo;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use gate::Rails;
pub use interrupted::settle_interrupted;
pub use journal::{Journal, JournalError};
pub use settings::{Idempotency, Settings};
pub use undo::undo_key;

use crate::actuators::{Actuator, TurnedOff, Undoable};
use crate::domain::execution::{ActionRecord, Execution, ExecutionStatus};
use crate::domain::policy::Policy;
use crate::domain::target::System;
use crate::domain::time::Time;
use transaction::Transaction;
use window::Window;

/// Who changes each system that the configuration has.
pub type Actuators = BTreeMap<System, Arc<dyn Actuator>>;

#[derive(Debug)]
pub struct Executor {
    actuators: Actuators,
    settings: Settings,
    /// The epoch of leadership, sent with every change.
    epoch: Option<u64>,
}

impl Executor {
    #[must_use]
    pub fn new(settings: Settings, actuators: Actuators) -> Self {
        Self { actuators, settings, epoch: None }
    }

    /// From now on every change carries this epoch of leadership.
    pub fn speak_with(&mut self, epoch: Option<u64>) {
        self.epoch = epoch;
    }

    fn actuator(&self, system: System) -> Arc<dyn Actuator> {
        self.actuators.get(&system).cloned().unwrap_or_else(|| Arc::new(TurnedOff(system)))
    }

    /// Whether what was done can be undone, by its record alone.
    #[must_use]
    pub fn undoable(&self, record: &ActionRecord) -> Undoable {
        let prior = record.prior.clone().unwrap_or_default();
        self.actuator(record.action.kind().system()).undoable(&record.action, &prior)
    }

    /// Carries out a policy: its actions in order, under one key each, until done, undone, or not known. Nothing is sent
    /// without the policy's own grant for exactly this, nor while the journal says that the loop is halted.
    ///
    /// What took effect stays `applied`; the caller moves it on to verifying. Ends within the policy's time, twice
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
        let window = Window::open(self.settings.policy_timeout, stop.clone());
        Transaction {
            executor: self,
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
}
