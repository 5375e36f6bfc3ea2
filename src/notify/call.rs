//! One bounded HTTP call of a notifier, and the words in which its failure is told, without secrets.
//!
//! Leaves out what the answer means: a 200 may still be a refusal. Nothing here retries.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{NotifyError, SetupError};
use crate::domain::address;
use crate::domain::secret::Secret;
use crate::wire::{self, Http, Wire};

/// Of an answer: both servers answer with a line or two; Slack echoes the message, which is below 64 KiB.
const MAX_ANSWER: usize = 256 << 10;

/// Of a server's text in an error.
const SHOWN_CHARS: usize = 300;

/// A server that has not answered by then will hardly do so: as long as all first deliveries of a cycle.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The network as people are told over it.
pub(super) fn network() -> Result<Arc<dyn Wire>, SetupError> {
    let client = Client::builder()
        // A redirect would carry the token to a host that nobody configured.
        .redirect(redirect::Policy::none())
        // One owner of retries: the spool.
        .retry(reqwest::retry::never())
        .user_agent(concat!("mape-k/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| SetupError::Client(wire::causes(&error)))?;
    Ok(Arc::new(Http(client)))
}

#[derive(Debug)]
pub(super) struct Caller {
    pub wire: Arc<dyn Wire>,
    /// How the server is called in errors.
    pub server: String,
    /// The key of the configuration to look at when it cannot be reached.
    pub key: &'static str,
    /// What the server is sent and must not be repeated when it quotes us.
    pub secrets: Vec<Secret>,
}

pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Without secrets.
    pub body: String,
}

impl Caller {
    pub async fn call(
        &self,
        request: RequestBuilder,
        asked: &str,
        deadline: Instant,
    ) -> Result<Answer, NotifyError> {
        let server = &self.server;
        let end = deadline.min(Instant::now() + CALL_TIMEOUT);
        let left = end.saturating_duration_since(Instant::now());
        let late = || {
            NotifyError::Timeout(format!(
                "{server}, asked for {asked}: no whole answer in time. It may have been told all the same; check the \
                 server and the way to it"
            ))
        };
        if left.is_zero() {
            return Err(NotifyError::Timeout(format!(
                "{server}, asked for {asked}: not sent, the time for notifications was over"
            )));
        }
        let exchange = wire::exchange(&*self.wire, request.timeout(left), MAX_ANSWER);
        match timeout_at(end, exchange).await {
            Err(_) | Ok(Err(wire::Failure::TimedOut)) => Err(late()),
            Ok(Err(wire::Failure::NotSent(why) | wire::Failure::Broken(why))) => {
                let key = self.key;
                Err(NotifyError::Unreachable(self.hide(format!(
                    "{server}, asked for {asked}: {why}. Check that it can be reached from here and that {key} is right"
                ))))
            }
            Ok(Ok(answer)) => Ok(Answer {
                status: answer.status,
                headers: answer.headers,
                // Before anything is cut: half a secret would not be found any more.
                body: self.hide(String::from_utf8_lossy(&answer.body).into_owned()),
            }),
        }
    }

    pub fn hide(&self, text: String) -> String {
        hide(&self.secrets, text)
    }
}

pub(super) fn hide(secrets: &[Secret], text: String) -> String {
    secrets.iter().fold(text, |text, secret| secret.hidden_in(text))
}

/// The user and password of a URL, as they stand in it and as the client codes them into a header.
pub(super) fn credentials(client: &Client, url: &Url) -> Vec<Secret> {
    let request = client.get(url.clone()).build().ok();
    let coded = request.and_then(|request| {
        let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
        Some(Secret::new(header.split_once(' ')?.1.to_owned()))
    });
    address::password(url).into_iter().chain(coded).collect()
}

/// A path below a base URL.
pub(super) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let prefix = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{prefix}/{path}"));
    url
}

/// One line of at most [`SHOWN_CHARS`] characters.
pub(super) fn shorten(text: &str) -> String {
    let text = text.trim();
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARS).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        line.push('…');
    }
    if line.is_empty() { "it says nothing".to_owned() } else { line }
}
