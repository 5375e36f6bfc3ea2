//! The `github` section of the configuration, with its defaults.

use std::time::Duration;

use serde::Serialize;
use url::Url;

use crate::domain::secret::Secret;
use crate::domain::speed::divided;
use crate::http::HttpSettings;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub enabled: bool,
    #[serde(serialize_with = "crate::domain::address::serialize")]
    pub api_url: Url,
    pub token: Option<Secret>,
    /// How the server is reached, and the credentials it gets.
    pub http: Option<Box<HttpSettings>>,
    pub owner: Option<String>,
    pub repository: Option<String>,
    /// How far back commits are looked at.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub window: Duration,
}

divided!(Settings { window } unchanged { enabled, api_url, token, http, owner, repository });

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            api_url: Url::parse("https://api.github.com").expect("a constant URL"),
            token: None,
            http: None,
            owner: None,
            repository: None,
            window: Duration::from_secs(24 * 60 * 60),
        }
    }
}
