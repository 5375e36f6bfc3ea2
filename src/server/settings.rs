//! The `api` section of the configuration with its defaults.

use std::time::Duration;

use serde::Serialize;

use crate::domain::secret::Secret;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub host: String,
    pub port: u16,
    /// Guards POSTs; without one they are served to loopback only.
    pub token: Option<Secret>,
    /// /health answers 503 when the loop's heartbeat is older than this.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub stall_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 8001,
            token: None,
            stall_after: Duration::from_secs(300),
        }
    }
}
