//! Execute, driven through its public surface against a scripted Charter over real HTTP.

mod charter_integration;
mod failures;
mod fenced;
mod gate;
mod resume;
mod retries;
mod stop;
mod wire;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use mape_k::actuators::Actuator;
use mape_k::actuators::charter::Charter;
use mape_k::actuators::charter::{Call, CallObserver, CallStatus};
use mape_k::domain::Cause;
use mape_k::domain::action::{Action, Risk};
use mape_k::domain::execution::{ActionState, Execution, ExecutionMode};
use mape_k::domain::grant::Grant;
use mape_k::domain::policy::{Approval, Policy, Priority};
use mape_k::domain::target::System;
use mape_k::domain::time::Time;
use mape_k::executor::{Executor, Journal, JournalError, Settings};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fake_charter::FakeCharter;

pub fn now() -> Time {
    Utc::now()
}

/// Short times, so that what hangs in a test hangs briefly.
pub fn settings(base: &str) -> Settings {
    Settings {
        charter_url: Some(base.parse().expect("a URL")),
        timeout_seconds: Duration::from_secs(1),
        policy_timeout: Duration::from_secs(20),
        ..Settings::default()
    }
}

pub fn best_effort(base: &str) -> Settings {
    Settings { execution_mode: ExecutionMode::BestEffort, ..settings(base) }
}

/// As a person has approved it.
pub fn policy(actions: Vec<Action>) -> Policy {
    approved("ada", undecided(actions))
}

pub fn approved(by: &str, policy: Policy) -> Policy {
    let (revision, plan_hash, by) = (policy.revision, policy.hash(), by.to_owned());
    let (at, expires_at) = (now(), now() + Duration::from_secs(900));
    Policy { grant: Some(Grant { revision, plan_hash, by, at, expires_at }), ..policy }
}

pub fn undecided(actions: Vec<Action>) -> Policy {
    let at = now();
    Policy {
        id: Uuid::new_v4(),
        revision: 1,
        cause: Cause::new(Cause::SYSTEM_OVERLOAD),
        component: "charter".into(),
        cause_confidence: 0.9,
        actions,
        expected_impact: "less load".into(),
        risk: Risk::Low,
        cost: 0.2,
        benefit: 0.9,
        score: 0.7,
        approval: Approval::Approved,
        priority: Priority::High,
        evidence: vec![],
        labels: std::collections::BTreeMap::default(),
        created_at: at,
        updated_at: at,
        decided_at: None,
        decided_by: None,
        decision_reason: None,
        earlier: Vec::new(),
        plan_hash: String::new(),
        grant: None,
    }
}

pub fn keys(n: usize) -> Vec<Uuid> {
    (0..n).map(|_| Uuid::new_v4()).collect()
}

/// Keeps every record, and refuses all after the first `takes`.
pub struct Ledger {
    pub records: Mutex<Vec<Execution>>,
    takes: usize,
    /// From so many records on the loop is halted, or nobody can say.
    halts: Option<(usize, Result<String, JournalError>)>,
    /// What Charter said of a later leader.
    pub superseded: Mutex<Vec<String>>,
}

impl Ledger {
    pub fn new() -> Self {
        Self::taking(usize::MAX)
    }

    pub fn taking(takes: usize) -> Self {
        Self { records: Mutex::default(), takes, halts: None, superseded: Mutex::default() }
    }

    pub fn halting_after(records: usize, says: Result<&str, &str>) -> Self {
        let says = says.map(str::to_owned).map_err(|error| JournalError(error.to_owned()));
        Self { halts: Some((records, says)), ..Self::new() }
    }

    pub fn states(&self) -> Vec<Vec<ActionState>> {
        let records = self.records.lock().unwrap();
        records.iter().map(states).collect()
    }
}

#[async_trait]
impl Journal for Ledger {
    async fn record(&self, execution: &Execution) -> Result<(), JournalError> {
        let mut records = self.records.lock().unwrap();
        if records.len() >= self.takes {
            return Err(JournalError("disk full".into()));
        }
        records.push(execution.clone());
        Ok(())
    }

    async fn halted(&self) -> Result<Option<String>, JournalError> {
        let written = self.records.lock().unwrap().len();
        match &self.halts {
            Some((after, says)) if written >= *after => says.clone().map(Some),
            _ => Ok(None),
        }
    }

    fn superseded(&self, said: &str) {
        self.superseded.lock().unwrap().push(said.to_owned());
    }
}

/// Remembers every call as it was reported.
#[derive(Default)]
pub struct Watch(pub Mutex<Vec<(Call, CallStatus)>>);

impl CallObserver for Watch {
    fn on_call(&self, call: Call, status: CallStatus, _took: Duration) {
        self.0.lock().unwrap().push((call, status));
    }
}

pub fn executor(settings: Settings) -> Executor {
    over_charter(settings, Arc::new(Watch::default()))
}

pub fn states(execution: &Execution) -> Vec<ActionState> {
    execution.actions.iter().map(|record| record.state).collect()
}

pub async fn run(executor: &Executor, actions: Vec<Action>) -> Execution {
    run_with(executor, actions, &Ledger::new(), &CancellationToken::new()).await
}

pub async fn run_with(
    executor: &Executor,
    actions: Vec<Action>,
    journal: &Ledger,
    stop: &CancellationToken,
) -> Execution {
    carry_out(executor, &policy(actions), journal, stop).await
}

pub async fn carry_out(
    executor: &Executor,
    policy: &Policy,
    journal: &Ledger,
    stop: &CancellationToken,
) -> Execution {
    let keys = keys(policy.actions.len());
    executor.execute(policy, Uuid::new_v4(), keys, journal, stop, &now).await
}

pub fn scale_up(replicas: u32) -> Action {
    Action::ScaleUp { replicas }
}

pub fn baseline() -> Action {
    Action::ApplyPolicy { policy_set: "baseline".into() }
}

pub fn throttle() -> Action {
    Action::ThrottleRequests { rate_limit: 800.0, duration_seconds: 900 }
}

pub fn restart(service: &str) -> Action {
    Action::RestartService { service: Some(service.into()), graceful: true }
}

/// A fake that ignores idempotency keys, as a Charter may.
pub async fn keyless_fake() -> FakeCharter {
    let fake = FakeCharter::start().await;
    fake.world().honours_keys = false;
    fake
}

/// What reads Charter, beside whoever changes it.
pub fn charter(settings: &Settings) -> Charter {
    Charter::new(&settings.charter().expect("it is on"), Arc::new(Watch::default()))
        .expect("Charter's actuator")
}

pub fn over_charter(settings: Settings, observer: Arc<dyn CallObserver>) -> Executor {
    let charter =
        Charter::new(&settings.charter().expect("it is on"), observer).expect("Charter's actuator");
    let charter: Arc<dyn Actuator> = Arc::new(charter);
    Executor::new(settings, [(System::Charter, charter)].into())
}
