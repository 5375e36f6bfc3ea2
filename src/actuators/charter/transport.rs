//! One HTTP exchange with Charter: headers, bounds, and the sorting of every failure into [`Error`].
//!
//! Leaves out what the calls mean ([`super`]) and when one is sent again (the executor): nothing here retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use uuid::Uuid;

use super::Stamp;
use super::call::{Call, CallObserver, CallStatus, Stopwatch};
use super::error::{Error, SetupError};
use super::settings::{Idempotency, Settings};
use crate::domain::address;
use crate::http::{self, Access, Connections, Endpoint, Http, HttpTransport};

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
const FENCE_EPOCH: &str = "X-Fence-Epoch";

/// Charter's word for: a later leader has spoken to it.
const STALE_EPOCH: &str = "stale_epoch";

/// Largest answer read: 10,000 policies or violations of 400 bytes each.
const MAX_BODY: usize = 4 << 20;

/// How much of a text of Charter's goes into an error of ours.
const EXCERPT: usize = 300;

pub(super) struct Transport {
    endpoint: Endpoint,
    /// From connecting to the end of the answer.
    timeout: Duration,
    has_key: bool,
    idempotency: Idempotency,
    /// Did Charter's last accepted keyed answer carry the key back? Written by [`Transport::exchange`] only.
    carried_back: AtomicBool,
    observer: Arc<dyn CallObserver>,
}

pub(super) struct Answer {
    pub(super) call: Call,
    pub(super) url: String,
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The answer has the right status and says something that the contract does not know.
    fn nonsense(&self, why: &str) -> Error {
        Error::Unclear {
            call: self.call,
            url: self.url.clone(),
            detail: format!("{}: {why}: {}", self.status.as_u16(), excerpt(&self.body)),
            timed_out: false,
            may_still_land: false,
        }
    }

    pub(super) fn read<T>(
        &self,
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, Error> {
        decode(&self.body).map_err(|why| self.nonsense(&why))
    }
}

impl Transport {
    pub(super) fn new(
        settings: &Settings,
        observer: Arc<dyn CallObserver>,
    ) -> Result<Self, SetupError> {
        let connections = Connections {
            connect_within: settings.timeout.min(Connections::default().connect_within),
            // A few calls a cycle can afford fresh ones.
            are_kept: false,
        };
        let http = Http::reaching(&settings.url, settings.http.as_deref(), connections)?;
        Self::with_transport(Arc::new(http), settings, observer)
    }

    pub(super) fn with_transport(
        wire: Arc<dyn HttpTransport>,
        settings: &Settings,
        observer: Arc<dyn CallObserver>,
    ) -> Result<Self, SetupError> {
        if settings.url.cannot_be_a_base() {
            return Err(SetupError::Address(address::redacted(&settings.url)));
        }
        let access = Access {
            section: "execute",
            http: settings.http.as_deref(),
            token: settings.api_key.as_ref(),
        };
        let endpoint = Endpoint::new(wire, settings.url.clone(), access);
        if !endpoint.has_sendable_token() {
            return Err(SetupError::Key);
        }
        Ok(Self {
            timeout: settings.timeout,
            has_key: endpoint.has_authorization(),
            endpoint,
            idempotency: settings.idempotency,
            carried_back: AtomicBool::new(false),
            observer,
        })
    }

    pub(super) fn address(&self) -> String {
        self.endpoint.address()
    }

    pub(super) fn honours_keys(&self) -> bool {
        match self.idempotency {
            Idempotency::Yes => true,
            Idempotency::No => false,
            Idempotency::Auto => self.carried_back.load(Ordering::Relaxed),
        }
    }

    /// A request to this path below the base URL. Each segment is escaped, so that an id stays one segment.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let url = self.endpoint.below(path.iter().copied());
        let request = if path.first() == Some(&"api") {
            self.endpoint.request(method, url)
        } else {
            self.endpoint.request_without_token(method, url)
        };
        request.timeout(self.timeout)
    }

    /// Sends, reads the bounded answer, and lets `parse` say what it means.
    pub(super) async fn exchange<T>(
        &self,
        call: Call,
        request: RequestBuilder,
        stamp: Option<Stamp>,
        parse: impl FnOnce(&Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let stopwatch = Stopwatch::start(&*self.observer, call);
        let result = match self.send(call, request, stamp).await {
            Ok(answer) => parse(&answer),
            Err(error) => Err(error),
        };
        let result = result.map_err(|error| self.without_secrets(error));
        stopwatch.end(result.as_ref().map_or_else(Error::label, |_| CallStatus::Ok));
        result
    }

    async fn send(
        &self,
        call: Call,
        request: RequestBuilder,
        stamp: Option<Stamp>,
    ) -> Result<Answer, Error> {
        let request = match stamp {
            Some(stamp) => {
                let request = request.header(IDEMPOTENCY_KEY, stamp.key.to_string());
                match stamp.epoch {
                    Some(epoch) => request.header(FENCE_EPOCH, epoch),
                    None => request,
                }
            }
            None => request,
        };
        let request = request.build().map_err(|error| {
            let url = error.url().map_or_else(|| self.endpoint.address(), address::redacted);
            Self::failure(call, url, http::failure(&error))
        })?;
        let url = address::redacted(request.url());
        let sent = self.endpoint.send(request).await;
        let response = sent.map_err(|failure| Self::failure(call, url.clone(), failure))?;
        let status = response.status();
        let carried = stamp.is_some_and(|stamp| carries(response.headers(), stamp.key));
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(|to| excerpt(to.as_bytes()));
        let body = bounded(response).await;
        // 422 is how validate says no: an answer, not a failure.
        let answered = call.accepts(status.as_u16())
            || (call == Call::Validate && status == StatusCode::UNPROCESSABLE_ENTITY);
        if !answered {
            // Before anything is cut: half a secret would not be found any more.
            let body =
                self.endpoint.hide(String::from_utf8_lossy(&body.unwrap_or_default()).into_owned());
            let body = body.into_bytes();
            return Err(self.rejection(call, url, status, location, &body, stamp));
        }
        let body = body.map_err(|detail| Error::Unclear {
            call,
            url: url.clone(),
            detail: format!("{}: {detail}", status.as_u16()),
            timed_out: false,
            may_still_land: false,
        })?;
        if stamp.is_some() {
            self.carried_back.store(carried, Ordering::Relaxed);
        }
        Ok(Answer { call, url, status, body })
    }

    fn rejection(
        &self,
        call: Call,
        url: String,
        status: StatusCode,
        location: Option<String>,
        body: &[u8],
        stamp: Option<Stamp>,
    ) -> Error {
        #[derive(Deserialize)]
        struct Said {
            error: String,
            code: Option<String>,
        }
        let said = serde_json::from_slice::<Said>(body).ok();
        let text = said.as_ref().map_or_else(|| excerpt(body), |s| excerpt(s.error.as_bytes()));
        let unclear = |detail: String, may_still_land: bool| Error::Unclear {
            call,
            url: url.clone(),
            detail,
            timed_out: false,
            may_still_land,
        };
        match status.as_u16() {
            401 => Error::Unauthorized { call, url, key_configured: self.has_key },
            409 if said.as_ref().is_some_and(|s| s.code.as_deref() == Some(STALE_EPOCH)) => {
                Error::StaleEpoch {
                    call,
                    url,
                    epoch: stamp.and_then(|stamp| stamp.epoch).unwrap_or_default(),
                    error: text,
                }
            }
            status @ 400..=499 => Error::Refused {
                call,
                url,
                status,
                code: said.and_then(|s| s.code).map(|code| excerpt(code.as_bytes())),
                error: text,
            },
            503 => Error::Unavailable { call, url, detail: text },
            // A gateway speaks for a Charter that may still be working; so does an acceptance that the contract does not know.
            status @ (200..=299 | 502 | 504) => unclear(format!("{status} {text}"), true),
            status @ 300..=399 => {
                let to = location.unwrap_or_else(|| "nowhere".to_owned());
                unclear(
                    format!(
                        "{status} redirects to {to}, which is not followed: set execute.charter_url to the final address"
                    ),
                    false,
                )
            }
            status => unclear(format!("{status} {text}"), false),
        }
    }

    fn failure(call: Call, url: String, failure: http::Failure) -> Error {
        let (detail, timed_out) = match failure {
            http::Failure::NotSent(detail) => return Error::NotSent { call, url, detail },
            http::Failure::TimedOut => {
                ("no answer in time (execute.timeout_seconds)".to_owned(), true)
            }
            http::Failure::Broken(detail) => (detail, false),
        };
        Error::Unclear { call, url, detail, timed_out, may_still_land: true }
    }

    /// An answer may quote our own header; what is in it must not travel on into logs and the API.
    fn without_secrets(&self, error: Error) -> Error {
        let hide = |text: String| self.endpoint.hide(text);
        match error {
            Error::NotSent { call, url, detail } => {
                Error::NotSent { call, url, detail: hide(detail) }
            }
            Error::Unavailable { call, url, detail } => {
                Error::Unavailable { call, url, detail: hide(detail) }
            }
            Error::Refused { call, url, status, code, error } => {
                Error::Refused { call, url, status, code: code.map(hide), error: hide(error) }
            }
            Error::StaleEpoch { call, url, epoch, error } => {
                Error::StaleEpoch { call, url, epoch, error: hide(error) }
            }
            Error::Unauthorized { call, url, key_configured } => {
                Error::Unauthorized { call, url, key_configured }
            }
            Error::Unclear { call, url, detail, timed_out, may_still_land } => {
                Error::Unclear { call, url, detail: hide(detail), timed_out, may_still_land }
            }
        }
    }
}

fn carries(headers: &HeaderMap, key: Uuid) -> bool {
    headers
        .get(IDEMPOTENCY_KEY)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| Uuid::parse_str(value.trim()).ok())
        .is_some_and(|carried| carried == key)
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| http::causes(&e))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(format!("the answer is larger than {MAX_BODY} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The beginning of a text from outside, on one line.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * EXCERPT)]);
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "empty answer".to_owned();
    }
    line.chars().filter(|c| !c.is_control()).take(EXCERPT).collect()
}
