//! The `execute` section of the configuration with its defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};
use url::Url;

use super::gate::Rails;
use crate::actuators::charter;
pub use crate::actuators::charter::Idempotency;
use crate::domain::action::ActionKind;
use crate::domain::execution::ExecutionMode;
use crate::domain::secret::Secret;
use crate::domain::speed::divided;
use crate::http::HttpSettings;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// `None` turns Charter off: with its rules, its strategies and all that is said of it.
    #[serde(serialize_with = "crate::domain::address::serialize_optional")]
    pub charter_url: Option<Url>,
    pub charter_api_key: Option<Secret>,
    /// How the server is reached, and the credentials it gets.
    pub http: Option<Box<HttpSettings>>,
    /// Time-out of one call.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub timeout_seconds: Duration,
    /// Time-out of all calls of a policy.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub policy_timeout: Duration,
    /// Tries in all.
    pub max_retries: u32,
    pub rollback_enabled: bool,
    pub execution_mode: ExecutionMode,
    pub idempotent_charter: Idempotency,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub settle_default: Duration,
    #[serde(serialize_with = "settle_seconds")]
    pub settle: BTreeMap<ActionKind, Duration>,
    /// From the `guardrails` section.
    #[serde(skip)]
    pub rails: Rails,
}

divided!(Settings { settle_default, settle } unchanged {
    charter_url, charter_api_key, http, max_retries, rollback_enabled, execution_mode, idempotent_charter, rails,
    // Charter and the network become no faster.
    timeout_seconds, policy_timeout,
});

impl Settings {
    /// What the actuator of Charter needs of them; `None`: it is turned off.
    #[must_use]
    pub fn charter(&self) -> Option<charter::Settings> {
        Some(charter::Settings {
            url: self.charter_url.clone()?,
            api_key: self.charter_api_key.clone(),
            http: self.http.clone(),
            timeout: self.timeout_seconds,
            tries: self.max_retries,
            idempotency: self.idempotent_charter,
        })
    }

    #[must_use]
    pub fn settle(&self, kind: ActionKind) -> Duration {
        self.settle.get(&kind).copied().unwrap_or(self.settle_default)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            charter_url: Some(Url::parse("http://localhost:8000").expect("a constant URL")),
            charter_api_key: None,
            http: None,
            timeout_seconds: Duration::from_secs(30),
            policy_timeout: Duration::from_secs(60),
            max_retries: 3,
            rollback_enabled: true,
            execution_mode: ExecutionMode::Transactional,
            idempotent_charter: Idempotency::Auto,
            settle_default: Duration::from_secs(120),
            settle: ActionKind::ALL.map(|kind| (kind, kind.default_settle())).into(),
            rails: Rails::default(),
        }
    }
}

fn settle_seconds<S: Serializer>(
    settle: &BTreeMap<ActionKind, Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Seconds(#[serde(serialize_with = "crate::domain::time::seconds")] Duration);
    serializer.collect_map(settle.iter().map(|(kind, settle)| (kind, Seconds(*settle))))
}
