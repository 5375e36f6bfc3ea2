//! Charter behind the trait of actuators: its committee's size, its services, its policies.
//!
//! What is known of a change travels in [`Prior`]: the size before it, the ids that Charter listed before it, and the id
//! that Charter gave it.

pub mod client;
pub mod decode;
pub mod settings;

mod call;
mod error;
mod probe;
mod transport;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use call::{Call, CallObserver, CallStatus};
pub use client::{Client, ListedPolicy, Opinion, PolicyStatus, ReportedViolation, Stamp};
pub use error::{Error, SetupError};
pub use probe::InForce;
pub use settings::{Idempotency, Settings};

use super::{
    Actuator, Comparison, Doubt, Failure, Probe, Refusal, Request, Step, Undoable, Unprepared,
    Validation, retry,
};
use crate::domain::action::{Action, ActionKind};
use crate::domain::charter::{CharterView, CommitteeState};
use crate::domain::execution::ActionRecord;
use crate::domain::time::Time;
use crate::http::HttpTransport;

const VERSION: u32 = 1;

/// What the journal keeps of a change of Charter's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prior {
    version: u32,
    /// Read just before a change of size: what an undo restores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Listed just before it was sent: a new one like it is ours. Until it is known what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<BTreeSet<String>>,
    /// Charter's id of what was applied: what an undo rolls back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<String>,
}

impl Prior {
    /// `None`: Charter does not say, or says it in a form of a later version.
    #[must_use]
    pub fn of(record: &ActionRecord) -> Self {
        record.prior.as_ref().map(Self::read).unwrap_or_default()
    }

    fn read(value: &Value) -> Self {
        let read = serde_json::from_value::<Self>(value.clone()).unwrap_or_default();
        if read.version == VERSION { read } else { Self::default() }
    }

    /// As the journal keeps it.
    #[must_use]
    pub fn value(self) -> Value {
        serde_json::to_value(Self { version: VERSION, ..self }).unwrap_or_default()
    }

    fn after(policy_id: Option<String>, before: &Value) -> Value {
        Self { policy_id, listed: None, ..Self::read(before) }.value()
    }
}

#[derive(Debug)]
pub struct Charter {
    client: Client,
    timeout: Duration,
    tries: u32,
}

impl Charter {
    pub fn new(settings: &Settings, observer: Arc<dyn CallObserver>) -> Result<Self, SetupError> {
        Ok(Self::with(Client::new(settings, observer)?, settings))
    }

    /// The same by another way than the network.
    pub fn with_transport(
        wire: Arc<dyn HttpTransport>,
        settings: &Settings,
        observer: Arc<dyn CallObserver>,
    ) -> Result<Self, SetupError> {
        Ok(Self::with(Client::with_transport(wire, settings, observer)?, settings))
    }

    fn with(client: Client, settings: &Settings) -> Self {
        Self { client, timeout: settings.timeout, tries: settings.tries }
    }

    /// For those who only read.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Charter's health and size, both within one call's time; without both there is no state.
    pub async fn observe(&self, at: Time) -> CharterView {
        self.observe_within(at, self.timeout).await
    }

    /// At most so long, if that is less than one call's time.
    pub async fn observe_within(&self, at: Time, limit: Duration) -> CharterView {
        let limit = limit.min(self.timeout);
        // What the last try met says more than that the time was over.
        let last = Mutex::new(None);
        let state = match tokio::time::timeout(limit, self.read_state(at, &last)).await {
            Ok(Ok(state)) => Ok(state),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                let last = last.lock().unwrap_or_else(PoisonError::into_inner).take();
                Err(last
                    .unwrap_or_else(|| self.no_answer("answer health and committee_state", limit)))
            }
        };
        CharterView { at, is_on: true, state }
    }

    async fn read_state(
        &self,
        at: Time,
        last: &Mutex<Option<String>>,
    ) -> Result<CommitteeState, Error> {
        let seed = u64::from(at.timestamp_subsec_nanos());
        let note = |error: &Error| {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        };
        let health = self.read(seed, || async { self.client.health().await.inspect_err(note) });
        let state =
            self.read(seed, || async { self.client.committee_state().await.inspect_err(note) });
        let ((), state) = tokio::try_join!(health, state)?;
        Ok(state)
    }

    /// What Charter lists at this moment, within one call's time: a cycle waits for it.
    pub async fn in_force(&self, seed: u64) -> Result<InForce, String> {
        let reading = self.read(seed, || self.client.policies());
        match tokio::time::timeout(self.timeout, reading).await {
            Ok(listed) => listed.map(InForce).map_err(|error| error.to_string()),
            Err(_) => Err(self.no_answer("list its policies", self.timeout)),
        }
    }

    fn no_answer(&self, what: &str, within: Duration) -> String {
        format!(
            "Charter at {} did not {what} within {} s; check that it runs there and that execute.charter_url names it",
            self.client.address(),
            within.as_secs_f64(),
        )
    }

    /// A call that changes nothing, repeated until it answers, is refused, or the tries are used up.
    async fn read<T, F>(&self, seed: u64, call: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        retry::read(self.tries, seed, Error::is_final, call).await
    }
}

fn seed(request: &Request<'_>) -> u64 {
    request.key.as_u64_pair().0
}

fn stamp(request: &Request<'_>) -> Stamp {
    Stamp { key: request.key, epoch: request.epoch }
}

/// A failed change, by the one question that matters: may it have taken effect?
fn failed(error: &Error, step: Step) -> Failure {
    let doubt = if error.surely_no_effect() || error.is_final() {
        Doubt::None
    } else if error.may_still_land() {
        Doubt::UnderWay
    } else {
        Doubt::Answered
    };
    let refusal = match error {
        Error::StaleEpoch { .. } => Some(Refusal::Superseded),
        error => error.refused_with().map(|status| refusal(status, step)),
    };
    Failure { text: error.to_string(), doubt, refusal }
}

fn refusal(status: u16, step: Step) -> Refusal {
    match (status, step) {
        (404 | 409, Step::Undo) => Refusal::Gone,
        (409, Step::Apply) => Refusal::Conflict,
        // Malformed, out of range, unknown: it says something of the request.
        (400 | 404 | 405 | 410 | 422, _) => Refusal::Invalid,
        // A key that a person has to correct, a time-out, too early, too many calls.
        (401 | 408 | 425 | 429, _) => Refusal::Passing,
        _ => Refusal::Other,
    }
}

#[async_trait]
impl Actuator for Charter {
    fn timeout(&self, _: &Action) -> Duration {
        self.timeout
    }

    fn honours_keys(&self, _: &Action) -> bool {
        self.client.honours_keys()
    }

    fn is_repeatable(&self, step: Step, action: &Action) -> bool {
        match step {
            // A size is absolute.
            Step::Apply => size_of(action).is_some(),
            // What is rolled back cannot be rolled back again (409).
            Step::Undo => true,
        }
    }

    fn undoable(&self, action: &Action, prior: &Value) -> Undoable {
        let prior = Prior::read(prior);
        match action {
            Action::ScaleUp { replicas } | Action::ScaleDown { replicas } => match prior.replicas {
                Some(before) if before < *replicas => Undoable::Shrinks,
                Some(_) => Undoable::Yes,
                None => Undoable::No("the size before it is not known"),
            },
            Action::RestartService { .. } => Undoable::No("a restart cannot be undone"),
            _ if prior.policy_id.is_some() => Undoable::Yes,
            _ => Undoable::No("Charter's id of it is not known"),
        }
    }

    async fn validate(&self, request: &Request<'_>) -> Result<Validation, Failure> {
        let checked = self.read(seed(request), || self.client.validate(request.action)).await;
        match checked.map_err(|error| failed(&error, Step::Apply))? {
            Opinion::Valid => Ok(Validation::Valid),
            Opinion::Invalid { error, code } => {
                let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
                Ok(Validation::Invalid(format!("Charter says: {error}{code}")))
            }
        }
    }

    async fn prepare(&self, request: &Request<'_>) -> Result<Value, Unprepared> {
        let action = request.action;
        let prior = match (size_of(action), action) {
            (Some(wanted), _) => {
                let state = self.read(seed(request), || self.client.committee_state()).await;
                let present = state
                    .map_err(|error| {
                        Unprepared(format!("as the present size could not be read: {error}"))
                    })?
                    .replicas;
                let wrong_way = match action.kind() {
                    ActionKind::ScaleUp => present > wanted,
                    _ => present < wanted,
                };
                if wrong_way {
                    return Err(Unprepared(format!(
                        "Charter has {present} replicas by now, so {action} would do the opposite"
                    )));
                }
                Prior { replicas: Some(present), ..Prior::default() }
            }
            (None, Action::RestartService { .. }) => Prior::default(),
            (None, _) => {
                let listed = self.read(seed(request), || self.client.policies()).await;
                if let Err(error) = &listed {
                    // Only a lost answer would need the list, and then ends as unknown without it.
                    tracing::warn!(%action, key = %request.key, %error, "Charter did not list its policies before the action: a lost answer would end as unknown");
                }
                let listed = listed.ok().map(|all| all.into_iter().map(|p| p.policy_id).collect());
                Prior { listed, ..Prior::default() }
            }
        };
        Ok(prior.value())
    }

    async fn apply(&self, request: &Request<'_>, prior: &Value) -> Result<Value, Failure> {
        let (client, stamp) = (&self.client, stamp(request));
        let sent = match request.action {
            Action::ScaleUp { replicas } | Action::ScaleDown { replicas } => {
                client.scale(*replicas, stamp).await.map(|()| None)
            }
            Action::RestartService { service, graceful } => {
                client.restart(service.as_deref(), *graceful, stamp).await.map(|()| None)
            }
            action => client.apply(action, request.at, stamp).await.map(Some),
        };
        let policy_id = sent.map_err(|error| failed(&error, Step::Apply))?;
        Ok(Prior::after(policy_id, prior))
    }

    async fn probe(&self, step: Step, request: &Request<'_>, prior: &Value) -> Probe {
        let known = Prior::read(prior);
        match step {
            Step::Apply => self.find(request, &known, prior).await,
            Step::Undo => self.find_undone(request, &known, prior).await,
        }
    }

    async fn compare(&self, request: &Request<'_>, prior: &Value) -> Comparison {
        let prior = Prior::read(prior);
        match (size_of(request.action), prior.replicas, prior.policy_id) {
            (Some(ours), Some(before), _) => {
                match self.read(seed(request), || self.client.committee_state()).await {
                    Ok(state) if state.replicas == before => {
                        Comparison::Over("undone: Charter already has the size before it".into())
                    }
                    Ok(state) if state.replicas == ours => Comparison::Ours,
                    Ok(state) => Comparison::Foreign(format!(
                        "Charter has {} replicas, not the {ours} set here: somebody else changed the size since",
                        state.replicas
                    )),
                    Err(error) => Comparison::CannotTell(format!(
                        "the present size could not be read: {error}"
                    )),
                }
            }
            (None, _, Some(policy_id)) => {
                match self.read(seed(request), || self.client.policies()).await.map(InForce) {
                    Ok(listed) if listed.holds(&policy_id, request.action) => Comparison::Ours,
                    Ok(_) => Comparison::Over("undone: it was no longer in effect".into()),
                    Err(error) => Comparison::CannotTell(format!(
                        "Charter's list of policies could not be read: {error}"
                    )),
                }
            }
            _ => Comparison::CannotTell("what it was before is not known".into()),
        }
    }

    async fn undo(&self, request: &Request<'_>, prior: &Value) -> Result<(), Failure> {
        let prior = Prior::read(prior);
        let sent = match (size_of(request.action), prior.replicas, prior.policy_id) {
            (Some(_), Some(before), _) => self.client.scale(before, stamp(request)).await,
            (None, _, Some(policy_id)) => self.client.rollback(&policy_id, stamp(request)).await,
            _ => {
                let text = "not sent: what it was before is not known".to_owned();
                return Err(Failure { text, doubt: Doubt::None, refusal: None });
            }
        };
        sent.map_err(|error| {
            let failure = failed(&error, Step::Undo);
            // A size that Charter refuses is refused; only a policy can be gone.
            let gone = failure.refusal == Some(Refusal::Gone) && size_of(request.action).is_some();
            if gone { Failure { refusal: Some(Refusal::Other), ..failure } } else { failure }
        })
    }
}

/// The size that an action sets.
#[must_use]
pub fn size_of(action: &Action) -> Option<u32> {
    match action {
        Action::ScaleUp { replicas } | Action::ScaleDown { replicas } => Some(*replicas),
        _ => None,
    }
}
