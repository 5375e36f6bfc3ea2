//! The `api` section of the configuration with its defaults.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::domain::secret::Secret;
use crate::domain::speed::divided;

/// A dashboard, Prometheus and `mape-k status` ask some 10 times a second together: this is fifty times as much. The
/// webhook has its own multiple of it.
const RATE_LIMIT: NonZeroU32 = NonZeroU32::new(500).unwrap();

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub host: String,
    pub port: u16,
    /// Guards POSTs; without one they are served to loopback only.
    pub token: Option<Secret>,
    /// Guards GETs under /api/v1, together with `token`; without one they are open.
    pub read_token: Option<Secret>,
    /// Requests a second from one address to the API; the webhook takes 24 times as many.
    pub rate_limit: NonZeroU32,
    /// Names of this machine by which it may be read from itself without a token, beside localhost, `host` and addresses.
    pub allowed_hosts: Vec<String>,
    /// Web pages of these origins may read the API; none: no page of another origin may.
    pub cors_origins: Vec<String>,
    /// Both listeners speak TLS with these.
    pub tls: Option<TlsFiles>,
    /// /health answers 503 when the loop's heartbeat is older than this.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub stall_after: Duration,
}

divided!(Settings { stall_after } unchanged {
    host, port, token, read_token, cors_origins, allowed_hosts, tls,
    // Of callers, who live in the world's time.
    rate_limit,
});

/// Paths of PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsFiles {
    /// The certificate, followed by those in between up to the authority.
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8001,
            token: None,
            read_token: None,
            rate_limit: RATE_LIMIT,
            allowed_hosts: Vec::new(),
            cors_origins: Vec::new(),
            tls: None,
            stall_after: Duration::from_secs(300),
        }
    }
}
