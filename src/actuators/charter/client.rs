//! The client of Charter's control API: every call of the contract, typed, tried once.
//!
//! It says of each failure whether the call may have taken effect ([`Error`]); when a call is sent again is decided
//! above, by the executor. The shapes of answers are private to `decode`, those of requests to this file.

use std::sync::Arc;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::call::{Call, CallObserver};
use super::decode;
use super::error::{Error, SetupError};
use super::settings::Settings;
use super::transport::{Answer, Transport};
use crate::domain::action::Action;
use crate::domain::charter::CommitteeState;
use crate::domain::time::Time;
use crate::http::HttpTransport;

/// What marks a change as one of ours, the same for every try.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub key: Uuid,
    /// `None` where nobody else can lead.
    pub epoch: Option<u64>,
}

impl From<Uuid> for Stamp {
    fn from(key: Uuid) -> Self {
        Self { key, epoch: None }
    }
}

pub struct Client {
    transport: Transport,
    /// How long Charter may wait for a graceful restart, in seconds: our own time-out for a call.
    restart_timeout: u64,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// What Charter thinks of an action before it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    Valid,
    Invalid { error: String, code: Option<String> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyStatus {
    Pending,
    Approved,
    Active,
    Failed,
    RolledBack,
}

/// One entry of Charter's list of policies.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ListedPolicy {
    pub policy_id: String,
    pub status: PolicyStatus,
    /// The action and its parameters, flat, among whatever else Charter says.
    #[serde(flatten)]
    pub body: Map<String, Value>,
}

/// One violation as Charter reports it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReportedViolation {
    pub violation_id: String,
    pub severity: String,
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

impl Client {
    pub fn new(settings: &Settings, observer: Arc<dyn CallObserver>) -> Result<Self, SetupError> {
        Ok(Self::with(Transport::new(settings, observer)?, settings))
    }

    /// The same calls by another way than the network.
    pub fn with_transport(
        wire: Arc<dyn HttpTransport>,
        settings: &Settings,
        observer: Arc<dyn CallObserver>,
    ) -> Result<Self, SetupError> {
        Ok(Self::with(Transport::with_transport(wire, settings, observer)?, settings))
    }

    fn with(transport: Transport, settings: &Settings) -> Self {
        Self { transport, restart_timeout: settings.timeout.as_secs().max(1) }
    }

    /// Is this Charter known to give the first answer again to a repeated key?
    #[must_use]
    pub fn honours_keys(&self) -> bool {
        self.transport.honours_keys()
    }

    /// Where it looks for Charter, without credentials.
    #[must_use]
    pub fn address(&self) -> String {
        self.transport.address()
    }

    pub async fn health(&self) -> Result<(), Error> {
        let request = self.transport.request(Method::GET, &["health"]);
        let health = |answer: &Answer| answer.read(decode::health);
        self.transport.exchange(Call::Health, request, None, health).await
    }

    pub async fn policies(&self) -> Result<Vec<ListedPolicy>, Error> {
        let request = self.transport.request(Method::GET, &["api", "v1", "policies"]);
        self.transport
            .exchange(Call::Policies, request, None, |answer| answer.read(decode::policies))
            .await
    }

    pub async fn violations(&self) -> Result<Vec<ReportedViolation>, Error> {
        let request = self.transport.request(Method::GET, &["api", "v1", "violations"]);
        self.transport
            .exchange(Call::Violations, request, None, |answer| answer.read(decode::violations))
            .await
    }

    pub async fn committee_state(&self) -> Result<CommitteeState, Error> {
        let request = self.transport.request(Method::GET, &["api", "v1", "committee", "state"]);
        self.transport
            .exchange(Call::CommitteeState, request, None, |answer| {
                answer.read(decode::committee_state)
            })
            .await
    }

    pub async fn validate(&self, action: &Action) -> Result<Opinion, Error> {
        let path = ["api", "v1", "policies", "validate"];
        let request = self.transport.request(Method::POST, &path).json(action);
        self.transport
            .exchange(Call::Validate, request, None, |answer| {
                answer.read(|body| decode::verdict(answer.status.as_u16(), body))
            })
            .await
    }

    /// Applies a policy and answers Charter's id of it.
    pub async fn apply(
        &self,
        action: &Action,
        at: Time,
        stamp: impl Into<Stamp>,
    ) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            policy: &'a Action,
            timestamp: Time,
            source: &'static str,
        }
        let body = Body { policy: action, timestamp: at, source: "mape_k_executor" };
        let path = ["api", "v1", "policies", "apply"];
        let request = self.transport.request(Method::POST, &path).json(&body);
        let applied = |answer: &Answer| answer.read(decode::applied);
        self.transport.exchange(Call::Apply, request, Some(stamp.into()), applied).await
    }

    pub async fn rollback(&self, policy_id: &str, stamp: impl Into<Stamp>) -> Result<(), Error> {
        let path = ["api", "v1", "policies", policy_id, "rollback"];
        let request = self.transport.request(Method::POST, &path);
        self.transport.exchange(Call::Rollback, request, Some(stamp.into()), acknowledged).await
    }

    pub async fn scale(&self, replicas: u32, stamp: impl Into<Stamp>) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body {
            replicas: u32,
        }
        let path = ["api", "v1", "committee", "scale"];
        let request = self.transport.request(Method::POST, &path).json(&Body { replicas });
        self.transport.exchange(Call::Scale, request, Some(stamp.into()), acknowledged).await
    }

    /// Restarts one service; without one, the whole committee.
    pub async fn restart(
        &self,
        service: Option<&str>,
        graceful: bool,
        stamp: impl Into<Stamp>,
    ) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            graceful: bool,
            timeout: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            service: Option<&'a str>,
        }
        let body = Body { graceful, timeout: self.restart_timeout, service };
        let path = ["api", "v1", "committee", "restart"];
        let request = self.transport.request(Method::POST, &path).json(&body);
        self.transport.exchange(Call::Restart, request, Some(stamp.into()), acknowledged).await
    }
}

fn acknowledged(answer: &Answer) -> Result<(), Error> {
    answer.read(decode::acknowledged)
}
