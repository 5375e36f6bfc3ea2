//! The `knowledge` section of the configuration with its defaults.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};
use url::Url;

use crate::domain::address;
use crate::domain::speed::divided;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    Memory,
    Sqlite,
    Postgres,
}

/// Where PostgreSQL is and who we are there; shows itself without user and password. Boxed: the settings travel by value
/// through every start, and few have one.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Box<Url>);

impl PostgresUrl {
    /// What may stand behind the `?`. A password there would be shown.
    const PARAMETERS: [&str; 5] = ["host", "sslmode", "sslrootcert", "sslcert", "sslkey"];

    const SSL_MODES: [&str; 6] =
        ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

    /// The error says what is accepted and never what was given.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).map_err(|accepted| match address::raw_sign_hint(text) {
            Some(hint) => format!("{accepted}; {hint}"),
            None => accepted,
        })
    }

    fn read(text: &str) -> Result<Self, String> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))
            .ok_or("accepted: postgres://user:password@host:port/database?sslmode=verify-full")?;
        if address::is_redacted(&url) {
            return Err("accepted: a URL with its real user and password instead of ***".to_owned());
        }
        for (key, value) in url.query_pairs() {
            if !Self::PARAMETERS.contains(&&*key) {
                return Err(format!(
                    "accepted parameters after ? are {}",
                    Self::PARAMETERS.join(", ")
                ));
            }
            if key == "sslmode" && !Self::SSL_MODES.contains(&&*value) {
                return Err(format!(
                    "accepted values of sslmode are {}",
                    Self::SSL_MODES.join(", ")
                ));
            }
        }
        if url.path().len() < 2 {
            return Err("the name of the database is missing: postgres://host/database".to_owned());
        }
        Ok(Self(Box::new(url)))
    }

    /// Why what is sent to the server can be read on the way; none: it cannot, or it does not leave this machine. The driver
    /// tries TLS first with `prefer`, and goes on without where the server, or who sits before it, has none.
    #[must_use]
    pub fn plain_text(&self) -> Option<String> {
        let parameter = |wanted: &str| {
            let mut pairs = self.0.query_pairs();
            pairs.find(|(key, _)| key == wanted).map(|(_, value)| value.into_owned())
        };
        let host = parameter("host").or_else(|| self.0.host_str().map(str::to_owned));
        let host = host.unwrap_or_default();
        let bare = host.trim_matches(['[', ']']);
        let is_socket = bare.is_empty() || bare.starts_with('/') || bare.starts_with("%2F");
        let is_own = is_socket
            || bare == "localhost"
            || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let mode = parameter("sslmode");
        let is_safe = matches!(mode.as_deref(), Some("require" | "verify-ca" | "verify-full"));
        (!is_own && !is_safe).then(|| match mode {
            Some(mode) => format!(
                "sslmode={mode}: the password and all records may go in plain text; sslmode=verify-full, or at least \
                 require, is recommended"
            ),
            None => "without sslmode (the default is prefer): if the server offers no TLS, the password and all records go in \
                     plain text; sslmode=verify-full, or at least require, is recommended"
                .to_owned(),
        })
    }

    /// With the password, for the one place that connects.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&address::redacted(&self.0))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for PostgresUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub database: Database,
    pub sqlite_path: PathBuf,
    /// Required with [`Database::Postgres`].
    pub postgres_url: Option<PostgresUrl>,
    pub pattern_learning_enabled: bool,
    pub confidence_saturation_point: u32,
    pub outcome_history_limit: usize,
    pub insight_generation_enabled: bool,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub retention: Duration,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub judge_limit: Duration,
    /// How long a delivered alert's key is kept (loop.md; not a key).
    #[serde(skip)]
    pub alert_retention: Duration,
    /// `plan.approval_ttl`: how long a person's approval holds.
    #[serde(skip)]
    pub approval_ttl: Duration,
}

// What is kept for how long is no time of the loop: divided, a rehearsal would delete records that people still need.
divided!(Settings { judge_limit, approval_ttl } unchanged {
    database, sqlite_path, postgres_url, pattern_learning_enabled, confidence_saturation_point, outcome_history_limit,
    insight_generation_enabled, retention, alert_retention,
});

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: Database::Sqlite,
            sqlite_path: PathBuf::from("./data/knowledge.db"),
            postgres_url: None,
            pattern_learning_enabled: true,
            confidence_saturation_point: 30,
            outcome_history_limit: 1000,
            insight_generation_enabled: true,
            retention: Duration::from_secs(30 * 24 * 3600),
            judge_limit: Duration::from_secs(600),
            alert_retention: Duration::from_secs(24 * 3600),
            approval_ttl: Duration::from_secs(15 * 60),
        }
    }
}
