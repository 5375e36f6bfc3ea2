//! One bounded HTTP call of a notifier, and the text of its failure, without secrets.
//!
//! Leaves out what the answer means: a 200 may still be a refusal. Nothing here retries.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::NotifyError;
use crate::domain::secret::Secret;
use crate::http::{self, Endpoint};

/// Of an answer: both servers answer with a line or two; Slack echoes the message, which is below 64 KiB.
const MAX_ANSWER: usize = 256 << 10;

/// Of a server's text in an error.
const SHOWN_CHARS: usize = 300;

/// A server that has not answered by then will hardly do so: as long as all first deliveries of a cycle.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Caller {
    pub endpoint: Endpoint,
    /// How the server is called in errors.
    pub server: String,
    /// The key of the configuration to look at when it cannot be reached.
    pub key: &'static str,
    /// What else must not be repeated when the server quotes us.
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
                "{server} did not answer {asked} completely in time. The message may have arrived all the same. Check the \
                 server and the network to it"
            ))
        };
        if left.is_zero() {
            return Err(NotifyError::Timeout(format!(
                "{server} was not called ({asked}): no time was left for this attempt"
            )));
        }
        let exchange = self.endpoint.exchange(request.timeout(left), MAX_ANSWER);
        match timeout_at(end, exchange).await {
            Err(_) | Ok(Err(http::Failure::TimedOut)) => Err(late()),
            Ok(Err(http::Failure::NotSent(why) | http::Failure::Broken(why))) => {
                let key = self.key;
                Err(NotifyError::Unreachable(self.hide(format!(
                    "{server} could not be called ({asked}): {why}. Check that it can be reached from here and that {key} is right"
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
        hide(&self.secrets, self.endpoint.hide(text))
    }

    /// What it is sent and must stand in no file or log.
    pub fn secrets(&self) -> Vec<Secret> {
        self.endpoint.secrets().into_iter().chain(self.secrets.iter().cloned()).collect()
    }
}

pub(super) fn hide(secrets: &[Secret], text: String) -> String {
    secrets.iter().fold(text, |text, secret| secret.hidden_in(text))
}

/// One line of at most [`SHOWN_CHARS`] characters.
pub(super) fn shorten(text: &str) -> String {
    let line = http::shorten(text.trim(), SHOWN_CHARS);
    if line.is_empty() { "it says nothing".to_owned() } else { line }
}
