//! The `slack` and `notify` sections of the configuration, with their defaults.

use serde::Serialize;
use url::Url;

use crate::domain::secret::Secret;
use crate::domain::speed::divided;
use crate::http::HttpSettings;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Channels {
    pub critical: String,
    pub infrastructure: String,
    pub test: String,
}

divided!(Channels {} unchanged { critical, infrastructure, test });

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slack {
    pub enabled: bool,
    #[serde(serialize_with = "crate::domain::address::serialize")]
    pub api_url: Url,
    /// A bot's; with it messages have threads and can be edited.
    pub token: Option<Secret>,
    /// An incoming webhook's address, which is a secret too; instead of a token.
    pub webhook_url: Option<Secret>,
    /// How the server is reached, and the credentials it gets.
    pub http: Option<Box<HttpSettings>>,
    pub channels: Channels,
    /// Everything goes to the test channel and says so.
    pub test_mode: bool,
}

divided!(Slack { channels } unchanged { enabled, api_url, token, webhook_url, http, test_mode });

impl Slack {
    /// Where messages are sent to: the webhook, unless there is a token, which can do more.
    #[must_use]
    pub fn server(&self) -> Url {
        let webhook = self.webhook_url.as_ref().filter(|_| self.token.is_none());
        webhook
            .and_then(|url| Url::parse(url.expose()).ok())
            .unwrap_or_else(|| self.api_url.clone())
    }
}

impl Default for Slack {
    fn default() -> Self {
        Self {
            enabled: false,
            api_url: Url::parse("https://slack.com/api").expect("a constant URL"),
            token: None,
            webhook_url: None,
            http: None,
            channels: Channels {
                critical: "#critical-alerts".to_owned(),
                infrastructure: "#infrastructure-alerts".to_owned(),
                test: "#test-alerts".to_owned(),
            },
            test_mode: false,
        }
    }
}

/// An Alertmanager that gets the incidents as alerts, with its own routes, silences and pagers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Alertmanager {
    pub enabled: bool,
    /// `None`: that of `alertmanager.url`.
    #[serde(serialize_with = "crate::domain::address::serialize_optional")]
    pub url: Option<Url>,
    /// How the server is reached, and the credentials it gets; `None` without a `url`: that of `alertmanager.http`.
    pub http: Option<Box<HttpSettings>>,
}

divided!(Alertmanager {} unchanged { enabled, url, http });

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Settings {
    pub alertmanager: Alertmanager,
}

divided!(Settings { alertmanager } unchanged {});
