//! The HTTP client that everything outside is reached with, and the seam at which a simulation takes its place.
//!
//! ```text
//! settings (the `http` block of a section) ─┬▶ Http: TLS, proxy, server name ─▶ the network
//!                                           └▶ Endpoint: base URL, credentials ─▶ requests
//! ```
//!
//! In the daemon a request travels by [`Http`]; a simulation puts its own servers behind the same trait. Nothing here
//! retries, follows a redirect or knows what is asked: that is the business of [`crate::monitor`], [`crate::notify`] and
//! [`crate::executor`].

mod endpoint;
mod network;
mod secret_file;
mod settings;
pub mod tls;

use std::error::Error as _;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode};

pub use endpoint::{Access, Endpoint};
pub use network::{Connections, Http, Reach, SetupError, network};
pub use secret_file::{SecretFileError, read_secret_file};
pub use settings::{BasicAuth, HttpSettings};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or no request that could be sent: nothing has reached the server.
    NotSent(String),
    /// The request's own time-out passed; the server may be working on it.
    TimedOut,
    /// The connection broke after it had begun; the server may have had it whole.
    Broken(String),
}

/// Sends a request, once, and answers what comes back. The request's own time-out bounds answer and body.
#[async_trait]
pub trait HttpTransport: Send + Sync + std::fmt::Debug {
    /// What requests are built with; it sends none by itself.
    fn client(&self) -> &Client;

    async fn send(&self, request: Request) -> Result<Response, Failure>;
}

/// A whole answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Sends a request, once, and reads its whole answer, of at most `limit` bytes.
pub async fn exchange(
    wire: &dyn HttpTransport,
    request: RequestBuilder,
    limit: usize,
) -> Result<Answer, Failure> {
    let request = request.build().map_err(|error| failure(&error))?;
    let mut response = wire.send(request).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > limit {
            let what = format!("{status}, and an answer larger than {} KiB", limit >> 10);
            return Err(Failure::Broken(what));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body })
}

/// What a failed request, or a body that broke off, comes to.
#[must_use]
pub fn failure(error: &reqwest::Error) -> Failure {
    if error.is_connect() || error.is_builder() {
        Failure::NotSent(causes(error))
    } else if error.is_timeout() {
        Failure::TimedOut
    } else {
        Failure::Broken(causes(error))
    }
}

/// The causes of an error in one line, without the address: every message names it already, and it may hold credentials.
#[must_use]
pub fn causes(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    // Sources are a handful deep; the bound is for a chain that turned into a ring.
    while let Some(cause) = next.filter(|_| causes.len() < 8) {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() { "the request failed".to_owned() } else { causes.join(": ") }
}

/// One line of at most `most` characters of a text from outside.
#[must_use]
pub fn shorten(text: &str, most: usize) -> String {
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect();
    if text.chars().nth(most).is_some() {
        line.push('…');
    }
    line
}
