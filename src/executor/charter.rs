//! The client of Charter's control API: every call of the contract, typed, tried once.
//!
//! It says of each failure whether the call may have taken effect ([`Error`]); when a call is sent again is decided
//! above, in [`crate::executor`]. Wire shapes are private to this file.

mod call;
mod error;
mod transport;

use std::sync::Arc;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use call::{Call, CallObserver, CallStatus};
pub use error::{Error, SetupError};

use super::settings::Settings;
use crate::domain::action::Action;
use crate::domain::charter::CommitteeState;
use crate::domain::time::Time;
use transport::{Answer, Transport, excerpt};

/// An id is a path segment of ours and a column of the store.
const MAX_POLICY_ID: usize = 256;

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
pub enum Verdict {
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
    /// The action and its parameters, flat, among whatever else Charter tells.
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
        Ok(Self {
            transport: Transport::new(settings, observer)?,
            restart_timeout: settings.timeout_seconds.as_secs().max(1),
        })
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
        #[derive(Deserialize)]
        struct Health {
            status: String,
        }
        let request = self.transport.request(Method::GET, &["health"]);
        self.transport
            .exchange(Call::Health, request, None, |answer| match answer.json::<Health>()? {
                health if health.status == "ok" => Ok(()),
                _ => Err(answer.nonsense("its health is not ok")),
            })
            .await
    }

    pub async fn policies(&self) -> Result<Vec<ListedPolicy>, Error> {
        let request = self.transport.request(Method::GET, &["api", "v1", "policies"]);
        self.transport.exchange(Call::Policies, request, None, Answer::json).await
    }

    pub async fn violations(&self) -> Result<Vec<ReportedViolation>, Error> {
        let request = self.transport.request(Method::GET, &["api", "v1", "violations"]);
        self.transport.exchange(Call::Violations, request, None, Answer::json).await
    }

    pub async fn committee_state(&self) -> Result<CommitteeState, Error> {
        let request = self.transport.request(Method::GET, &["api", "v1", "committee", "state"]);
        self.transport.exchange(Call::CommitteeState, request, None, Answer::json).await
    }

    pub async fn validate(&self, action: &Action) -> Result<Verdict, Error> {
        #[derive(Deserialize)]
        struct Opinion {
            valid: bool,
            error: Option<String>,
            code: Option<String>,
        }
        let path = ["api", "v1", "policies", "validate"];
        let request = self.transport.request(Method::POST, &path).json(action);
        self.transport
            .exchange(Call::Validate, request, None, |answer| {
                let opinion = answer.json::<Opinion>();
                let unprocessable = answer.status.as_u16() == 422;
                match opinion {
                    Ok(opinion) if opinion.valid && !unprocessable => Ok(Verdict::Valid),
                    Ok(opinion) => Ok(Verdict::Invalid {
                        error: opinion.error.map_or_else(
                            || "Charter gives no reason".to_owned(),
                            |error| excerpt(error.as_bytes()),
                        ),
                        code: opinion.code,
                    }),
                    Err(_) if unprocessable => {
                        Ok(Verdict::Invalid { error: excerpt(&answer.body), code: None })
                    }
                    Err(error) => Err(error),
                }
            })
            .await
    }

    /// Applies a policy and answers Charter's id of it.
    pub async fn apply(&self, action: &Action, at: Time, key: Uuid) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            policy: &'a Action,
            timestamp: Time,
            source: &'static str,
        }
        #[derive(Deserialize)]
        struct Applied {
            policy_id: String,
        }
        let body = Body { policy: action, timestamp: at, source: "mape_k_executor" };
        let path = ["api", "v1", "policies", "apply"];
        let request = self.transport.request(Method::POST, &path).json(&body);
        self.transport
            .exchange(Call::Apply, request, Some(key), |answer| {
                let id = answer.json::<Applied>()?.policy_id;
                // An id that is no path segment could not be rolled back.
                if id.is_empty() || id.len() > MAX_POLICY_ID || id == "." || id == ".." {
                    return Err(answer.nonsense("its policy_id cannot be used"));
                }
                Ok(id)
            })
            .await
    }

    pub async fn rollback(&self, policy_id: &str, key: Uuid) -> Result<(), Error> {
        let path = ["api", "v1", "policies", policy_id, "rollback"];
        let request = self.transport.request(Method::POST, &path);
        self.transport.exchange(Call::Rollback, request, Some(key), acknowledged).await
    }

    pub async fn scale(&self, replicas: u32, key: Uuid) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Body {
            replicas: u32,
        }
        let path = ["api", "v1", "committee", "scale"];
        let request = self.transport.request(Method::POST, &path).json(&Body { replicas });
        self.transport.exchange(Call::Scale, request, Some(key), acknowledged).await
    }

    /// Restarts one service; without one, the whole committee.
    pub async fn restart(
        &self,
        service: Option<&str>,
        graceful: bool,
        key: Uuid,
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
        self.transport.exchange(Call::Restart, request, Some(key), acknowledged).await
    }
}

/// The right status with an empty body or any JSON; a page of a proxy in between is no acknowledgement.
fn acknowledged(answer: &Answer) -> Result<(), Error> {
    if answer.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    answer.json::<Value>().map(|_| ())
}
