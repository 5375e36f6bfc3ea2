//! The two ways into Slack: the Web API with a bot's token, or an incoming webhook.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::hints::{about, hint};
use crate::domain::address;
use crate::domain::message::Thread;
use crate::domain::secret::Secret;
use crate::notify::call::{Answer, Caller, shorten};
use crate::notify::settings::Slack as Settings;
use crate::notify::{NotifyError, Refusal, SetupError};
use crate::wire::{Access, Endpoint, Wire};

/// What Slack asks for when it names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);

/// No limit of Slack's lasts longer; a message that has waited that long goes into a summary anyway.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    Post,
    Update,
}

impl Method {
    pub fn path(self) -> &'static str {
        match self {
            Self::Post => "chat.postMessage",
            Self::Update => "chat.update",
        }
    }
}

#[derive(Clone, Copy)]
enum Way {
    Bot,
    Webhook,
}

pub(super) struct Client {
    caller: Caller,
    way: Way,
}

/// Not the webhook's address, which is a secret.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.caller.server)
    }
}

/// What the Web API answers.
#[derive(Deserialize)]
struct Said {
    ok: bool,
    error: Option<String>,
    /// The scope that is missing.
    needed: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

impl Client {
    /// With a token, which can do more, even if there is a webhook too.
    pub fn new(wire: Arc<dyn Wire>, settings: &Settings) -> Result<Self, SetupError> {
        let (way, base, server, key, secrets) = match (&settings.token, &settings.webhook_url) {
            (Some(_), _) => {
                let base = settings.api_url.clone();
                let server = format!("Slack at {}", address::redacted(&base));
                (Way::Bot, base, server, "slack.api_url", Vec::new())
            }
            (None, Some(secret)) => {
                let url = Url::parse(secret.expose()).map_err(|_| SetupError::WebhookUrl)?;
                if !url.scheme().starts_with("http") {
                    return Err(SetupError::WebhookUrl);
                }
                // A proxy's error page may quote the path alone.
                let path = Some(url.path()).filter(|path| path.len() > 8);
                let mut secrets = vec![secret.clone(), Secret::new(url.as_str().to_owned())];
                secrets.extend(path.map(|path| Secret::new(path.to_owned())));
                let server = "Slack's incoming webhook".to_owned();
                // The longest first: a part that is hidden in it would leave the rest.
                secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
                (Way::Webhook, url, server, "slack.webhook_url", secrets)
            }
            (None, None) => return Err(SetupError::NoWay),
        };
        let access = Access {
            section: "slack",
            http: settings.http.as_deref(),
            token: settings.token.as_ref(),
        };
        let endpoint = Endpoint::new(wire, base, access);
        if !endpoint.has_sendable_token() {
            return Err(SetupError::Token);
        }
        Ok(Self { caller: Caller { endpoint, server, key, secrets }, way })
    }

    pub fn secrets(&self) -> Vec<Secret> {
        self.caller.secrets()
    }

    pub fn has_threads(&self) -> bool {
        matches!(self.way, Way::Bot)
    }

    /// Sends a body; `Ok` is Slack's own confirmation, with where the message stands, where it says so.
    pub async fn send(
        &self,
        method: Method,
        body: &Value,
        deadline: Instant,
    ) -> Result<Option<Thread>, NotifyError> {
        let endpoint = &self.caller.endpoint;
        let (url, asked) = match self.way {
            Way::Bot => (endpoint.below([method.path()]), method.path()),
            Way::Webhook => (endpoint.base().clone(), "a message"),
        };
        let request = endpoint.request(reqwest::Method::POST, url);
        let answer = self.caller.call(with_body(request, body), asked, deadline).await?;
        match self.way {
            Way::Bot => self.web_api(&answer, method).map(Some),
            Way::Webhook => self.webhook(&answer).map(|()| None),
        }
    }

    fn web_api(&self, answer: &Answer, method: Method) -> Result<Thread, NotifyError> {
        let asked = method.path();
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.rate_limited(answer, asked));
        }
        let said = serde_json::from_str::<Said>(&answer.body).ok();
        let Some(said) = said.filter(|said| !said.ok || answer.status.is_success()) else {
            return Err(self.odd(answer, asked));
        };
        if let Some(code) = said.error.filter(|_| !said.ok) {
            // Older endpoints say so with a 200.
            if code == "ratelimited" || code == "rate_limited" {
                return Err(self.rate_limited(answer, asked));
            }
            let needed = said.needed.map(|scope| format!(" (it needs {})", shorten(&scope)));
            return Err(self.refused(asked, &code, &needed.unwrap_or_default()));
        }
        // Without its place it cannot be answered, and Slack's page promises one.
        match (said.ok, said.channel, said.ts) {
            (true, Some(channel), Some(ts)) => Ok(Thread { channel, ts }),
            _ => Err(self.odd(answer, asked)),
        }
    }

    fn webhook(&self, answer: &Answer) -> Result<(), NotifyError> {
        let code = answer.body.trim();
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.rate_limited(answer, "a message"));
        }
        if answer.status.is_success() && code == "ok" {
            return Ok(());
        }
        let is_code = |c: char| c.is_ascii_lowercase() || c == '_';
        if answer.status.is_client_error() && !code.is_empty() && code.chars().all(is_code) {
            return Err(self.refused("a message", code, ""));
        }
        Err(self.odd(answer, "a message"))
    }

    fn refused(&self, asked: &str, code: &str, more: &str) -> NotifyError {
        let (server, code) = (&self.caller.server, shorten(code));
        let text = format!("{server}, asked for {asked}: {code}{more}. {}", hint(&code));
        NotifyError::Refused { text, about: about(&code) }
    }

    /// Neither a confirmation nor a refusal of Slack's.
    fn odd(&self, answer: &Answer, asked: &str) -> NotifyError {
        let (server, key) = (&self.caller.server, self.caller.key);
        let said = shorten(&answer.body);
        let advice = if answer.status.is_server_error() {
            "Slack has trouble of its own (https://slack-status.com); it is sent again".to_owned()
        } else {
            format!("Check that {key} is Slack and no proxy answers in its place")
        };
        let text = format!(
            "{server}, asked for {asked}: {}, no confirmation: {said}. {advice}",
            answer.status
        );
        NotifyError::Refused { text, about: Refusal::Other }
    }

    fn rate_limited(&self, answer: &Answer, asked: &str) -> NotifyError {
        let seconds = answer.headers.get(RETRY_AFTER).and_then(|value| {
            value.to_str().ok()?.trim().parse::<u64>().ok().map(Duration::from_secs)
        });
        let retry_after = seconds.unwrap_or(DEFAULT_WAIT).min(LONGEST_WAIT);
        let text = format!(
            "{}, asked for {asked}: too many messages (429), it wants {} s of silence",
            self.caller.server,
            retry_after.as_secs()
        );
        NotifyError::RateLimited { text, retry_after }
    }
}

fn with_body(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.to_string())
}
