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
use super::words::Words;
use crate::domain::address;
use crate::domain::message::Thread;
use crate::domain::secret::Secret;
use crate::http::{Access, Endpoint, HttpTransport};
use crate::metrics::Metrics;
use crate::notify::call::{Answer, Caller, shorten};
use crate::notify::settings::Slack as Settings;
use crate::notify::{NotifyError, Refusal, SetupError};

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
    words: Words,
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
    /// What did not stop it, such as a part that was left out.
    warning: Option<Value>,
    /// The scope that is missing.
    needed: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
    /// As Slack has kept it. Values, so that one of another shape makes no failure of a confirmation.
    message: Option<Value>,
    /// With what exactly Slack objects to.
    response_metadata: Option<Value>,
}

/// A message that Slack has confirmed.
pub(super) struct Posted {
    pub place: Thread,
    /// It was to answer another one, which is gone: Slack has put it into the channel, without an error.
    pub is_astray: bool,
}

impl Client {
    /// With a token, which can do more, even if there is a webhook too.
    pub fn new(
        wire: Arc<dyn HttpTransport>,
        settings: &Settings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetupError> {
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
        let words = Words::new(metrics);
        Ok(Self { caller: Caller { endpoint, server, key, secrets }, way, words })
    }

    pub fn secrets(&self) -> Vec<Secret> {
        self.caller.secrets()
    }

    pub fn has_threads(&self) -> bool {
        matches!(self.way, Way::Bot)
    }

    /// Sends a body; `Ok` is Slack's own confirmation, with where the message is, where it says so.
    pub async fn send(
        &self,
        method: Method,
        body: &Value,
        deadline: Instant,
    ) -> Result<Option<Posted>, NotifyError> {
        let endpoint = &self.caller.endpoint;
        let (url, asked) = match self.way {
            Way::Bot => (endpoint.below([method.path()]), method.path()),
            Way::Webhook => (endpoint.base().clone(), "a message"),
        };
        let request = endpoint.request(reqwest::Method::POST, url);
        let answer = self.caller.call(with_body(request, body), asked, deadline).await?;
        match self.way {
            Way::Bot => self.web_api(&answer, method, body).map(Some),
            Way::Webhook => self.webhook(&answer).map(|()| None),
        }
    }

    fn web_api(
        &self,
        answer: &Answer,
        method: Method,
        body: &Value,
    ) -> Result<Posted, NotifyError> {
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
            let needed = said.needed.map(|scope| format!("it needs {scope}"));
            let details = said.response_metadata.unwrap_or_default();
            let details = details["messages"].as_array().into_iter().flatten();
            let details = details.filter_map(|text| text.as_str().map(str::to_owned));
            let more: Vec<String> = needed.into_iter().chain(details).collect();
            let more = if more.is_empty() {
                String::new()
            } else {
                format!(" ({})", shorten(&more.join("; ")))
            };
            return Err(self.refused(asked, &code, &more));
        }
        // Without its place it cannot be answered, and Slack's page promises one.
        let is_there = |text: &String| !text.trim().is_empty();
        let place = match (said.ok, said.channel.filter(is_there), said.ts.filter(is_there)) {
            (true, Some(channel), Some(ts)) => Thread { channel, ts },
            _ => return Err(self.odd(answer, asked)),
        };
        if let Some(warning) = said.warning {
            self.words.warned(&shorten(&warning.to_string()), asked);
        }
        let thread = body.get("thread_ts");
        let is_astray = thread.is_some()
            && said.message.is_some_and(|message| message.get("thread_ts") != thread);
        Ok(Posted { place, is_astray })
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
        let known = about(&code);
        if known.is_none() {
            self.words.unknown(&code, asked);
        }
        let about = known.unwrap_or(Refusal::Place);
        let elsewhere = match about {
            Refusal::Sender => "; no other channel can help",
            _ => "",
        };
        let text =
            format!("{server} refused {asked} with {code}{more}{elsewhere}. {}", hint(&code));
        NotifyError::Refused { text, about }
    }

    /// Neither a confirmation nor a refusal of Slack's.
    fn odd(&self, answer: &Answer, asked: &str) -> NotifyError {
        let (server, key) = (&self.caller.server, self.caller.key);
        let said = shorten(&answer.body);
        let advice = if answer.status.is_server_error() {
            "Slack has an outage of its own (https://slack-status.com); the message is sent again"
                .to_owned()
        } else {
            format!("Check that {key} is Slack and no proxy answers in its place")
        };
        let text = format!(
            "{server} answered {asked} with {}, which confirms nothing: {said}. {advice}",
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
            "{} limits the rate of {asked} (429): the next call is allowed in {} s",
            self.caller.server,
            retry_after.as_secs()
        );
        NotifyError::RateLimited { text, retry_after }
    }
}

fn with_body(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.to_string())
}
