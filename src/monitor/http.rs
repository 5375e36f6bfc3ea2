//! One bounded HTTP call to one source under the cycle's deadline, and the text of its failure.
//!
//! It knows nothing of what is asked; prometheus, scrape and alertmanager decode the bytes. It never retries: the next
//! cycle does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::header::{DATE, HeaderMap};
use reqwest::{Method, RequestBuilder, StatusCode};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::domain::reading::{FailureKind, ReadFailure, Source};
use crate::domain::time::Time;
use crate::http::{self, Access, Endpoint, HttpTransport};

/// 100,000 series of some 300 bytes each are 30 MB; twice that is no answer to a rule any more.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// All answers of one cycle together: four of the largest. A batch of many large answers stops here.
const BATCH_BYTES: usize = 4 * ANSWER_BYTES;

/// Queries and error texts of a server may be pages long; the log line that names them is not.
const SHOWN_CHARS: usize = 300;

/// What one cycle may still receive from a source.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    pub(super) fn of_one_cycle() -> Self {
        Self(AtomicUsize::new(BATCH_BYTES))
    }

    fn take(&self, bytes: usize) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .is_ok()
    }
}

/// A whole answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub body: Vec<u8>,
    /// The server's own clock, to the second.
    pub date: Option<Time>,
}

/// One server that is read.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub source: Source,
    endpoint: Endpoint,
    /// The configuration key that names it, for the advice in error texts.
    key: &'static str,
}

impl Peer {
    pub(super) fn new(
        source: Source,
        base: Url,
        key: &'static str,
        access: Access<'_>,
        wire: Arc<dyn HttpTransport>,
    ) -> Self {
        Self { source, endpoint: Endpoint::new(wire, base, access), key }
    }

    /// GET of the base URL itself.
    pub(super) fn get_base(&self) -> RequestBuilder {
        self.endpoint.request(Method::GET, self.endpoint.base().clone())
    }

    pub(super) fn get(&self, path: &str, pairs: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.endpoint.below(path.split('/'));
        url.query_pairs_mut().extend_pairs(pairs);
        self.endpoint.request(Method::GET, url)
    }

    /// A form: queries may be longer than a URL may be.
    pub(super) fn post(&self, path: &str, pairs: &[(&str, &str)]) -> RequestBuilder {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.endpoint
            .request(Method::POST, self.endpoint.below(path.split('/')))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }

    /// Sends the request and reads the whole answer, or fails at the deadline.
    pub(super) async fn fetch(
        &self,
        request: RequestBuilder,
        asked: &str,
        budget: &Budget,
        deadline: Instant,
    ) -> Result<Reply, ReadFailure> {
        let exchange = async {
            let unreachable = |what: &str, failure: http::Failure| {
                let why = match failure {
                    http::Failure::NotSent(why) | http::Failure::Broken(why) => why,
                    http::Failure::TimedOut => "no answer in time".to_owned(),
                };
                self.failure(FailureKind::Unreachable, asked, &format!("{what}: {why}"))
            };
            let sent = match request.build() {
                Ok(request) => self.endpoint.send(request).await,
                Err(error) => Err(http::failure(&error)),
            };
            let mut response = sent.map_err(|failure| unreachable("no answer", failure))?;
            let (status, date) = (response.status(), date(response.headers()));
            let mut body = Vec::new();
            while let Some(chunk) = response
                .chunk()
                .await
                .map_err(|error| unreachable("the answer broke off", http::failure(&error)))?
            {
                if body.len() + chunk.len() > ANSWER_BYTES || !budget.take(chunk.len()) {
                    let what = format!(
                        "the answer is larger than {} MiB, or all answers of this cycle than {} MiB",
                        ANSWER_BYTES >> 20,
                        BATCH_BYTES >> 20
                    );
                    return Err(self.failure(FailureKind::TooLarge, asked, &what));
                }
                body.extend_from_slice(&chunk);
            }
            if !status.is_success() {
                // Before anything is cut: half a secret would not be found any more.
                body = self.endpoint.hide(String::from_utf8_lossy(&body).into_owned()).into_bytes();
            }
            Ok(Reply { status, body, date })
        };
        timeout_at(deadline, exchange).await.unwrap_or_else(|_| Err(self.late(asked)))
    }

    /// Nothing whole had come when the cycle's deadline passed.
    pub(super) fn late(&self, asked: &str) -> ReadFailure {
        self.failure(FailureKind::Timeout, asked, "no whole answer by the cycle's deadline")
    }

    /// A status that is not 2xx, with what the server says about it.
    pub(super) fn refused(&self, status: StatusCode, said: &str, asked: &str) -> ReadFailure {
        let what = if status.is_redirection() {
            format!("{status}: it redirects, and redirects are not followed")
        } else {
            format!("{status}: {}", shorten(said))
        };
        let advice = self.endpoint.advice(status, said);
        self.told(FailureKind::Server, asked, &what, advice)
    }

    pub(super) fn failure(&self, kind: FailureKind, asked: &str, what: &str) -> ReadFailure {
        self.told(kind, asked, what, None)
    }

    /// `advice` names the one thing to do; without it the text says what it may be.
    fn told(
        &self,
        kind: FailureKind,
        asked: &str,
        what: &str,
        advice: Option<String>,
    ) -> ReadFailure {
        let advice = advice.unwrap_or_else(|| self.advice(kind));
        let text = format!(
            "{} at {}, asked for {}: {what}. {advice}",
            self.source.as_str(),
            self.endpoint.address(),
            shorten(asked)
        );
        ReadFailure { kind, text: self.endpoint.hide(text) }
    }

    fn advice(&self, kind: FailureKind) -> String {
        let key = self.key;
        match kind {
            FailureKind::Unreachable => format!("Check that it runs and that {key} is right"),
            FailureKind::Timeout => {
                "Check its load, or raise monitor.query_timeout (10 s by default)".to_owned()
            }
            FailureKind::Server => {
                format!("Check what it says, its own log, {key} and the token it may need")
            }
            FailureKind::Nonsense => {
                format!("Check that {key} is that server's API and that the rule asks for numbers")
            }
            FailureKind::Partial => {
                "A partial answer is not used: look at the stores behind it that did not answer"
                    .to_owned()
            }
            // The process takes the wall clock once, at its start: a clock put right later is not seen.
            FailureKind::Skew => {
                "Synchronise both clocks (NTP); if ours was wrong when mape-k started, restart it after that".to_owned()
            }
            FailureKind::TooLarge => {
                "Aggregate in the rule (aggregate, by) or narrow its labels".to_owned()
            }
        }
    }
}

fn date(headers: &HeaderMap) -> Option<Time> {
    let text = headers.get(DATE)?.to_str().ok()?;
    chrono::DateTime::parse_from_rfc2822(text).ok().map(|at| at.to_utc())
}

/// One line of at most [`SHOWN_CHARS`] characters.
pub(super) fn shorten(text: &str) -> String {
    http::shorten(text, SHOWN_CHARS)
}
