//! Who may read and who may change something: bearer tokens of two scopes, and without one for changes only peers on
//! this very machine. Also how often one may ask at all.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::connection_limiter::Activity;
use super::limits::{Limits, Wait};
use super::reply::ApiError;
use super::{Settings, host};
use crate::domain::secret::Secret;

/// Characters of a name that an answer repeats: longer than any in DNS.
const LONGEST_NAME: usize = 260;

/// Does the request carry this token? Takes the same time wherever the two differ.
#[must_use]
pub fn carries(headers: &HeaderMap, token: &Secret) -> bool {
    let Some((scheme, given)) = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|v| v.split_once(' '))
    else {
        return false;
    };
    scheme.eq_ignore_ascii_case("bearer")
        && bool::from(given.trim().as_bytes().ct_eq(token.expose().as_bytes()))
}

/// What stands before everything under `/api/v1`.
#[derive(Clone, Debug)]
pub(super) struct Door {
    settings: Arc<Settings>,
    limits: Arc<Limits>,
}

impl Door {
    pub fn new(settings: Arc<Settings>) -> Self {
        let limits = Arc::new(Limits::new(settings.rate_limit));
        Self { settings, limits }
    }

    /// Tokens first, rates after: who holds the operate token is counted apart from others at the same address.
    fn admit(&self, request: &Request) -> Result<(), ApiError> {
        let Settings { token, read_token, rate_limit, .. } = &*self.settings;
        let too_often = |wait| {
            let text = format!(
                "more than {rate_limit} requests a second from one address (api.rate_limit)"
            );
            too_many(text, wait)
        };
        if has(token.as_ref(), request) {
            keeps_its_connection(request);
            return self.limits.operator(request).map_err(too_often);
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let may_read = has(read_token.as_ref(), request);
        if may_read {
            keeps_its_connection(request);
        }
        if reads && (read_token.is_none() || may_read) {
            self.limits.request(request).map_err(too_often)?;
            return if may_read { Ok(()) } else { by_its_name(&self.settings, request) };
        }
        if reads {
            return Err(self.unauthorized(request, "api.read_token or api.token"));
        }
        if may_read {
            self.limits.request(request).map_err(too_often)?;
            return Err(ApiError::Forbidden(
                "this token may only read: send the operate token (api.token) as Authorization: Bearer <token>",
            ));
        }
        if token.is_some() {
            return Err(self.unauthorized(request, "api.token"));
        }
        let (local, forwarded) =
            (host::is_from_this_machine(request), host::is_forwarded(request.headers()));
        if local && !forwarded && host::addresses_this_machine(request) {
            return self.limits.operator(request).map_err(too_often);
        }
        self.limits.request(request).map_err(too_often)?;
        Err(ApiError::Forbidden(if local && forwarded {
            "a proxy sent this on (X-Forwarded-For, Forwarded, Via or the like), and without api.token only a request that comes from the daemon's own machine itself may change something: configure api.token (or api.token_file) and send it as Authorization: Bearer <token>"
        } else if local {
            "without api.token a change must be sent to localhost or a loopback address and by no web page of another origin: configure api.token (or api.token_file) and send it as Authorization: Bearer <token>"
        } else {
            "without api.token this is served to the daemon's own machine only: configure api.token (or api.token_file) and send it as Authorization: Bearer <token>"
        }))
    }

    fn unauthorized(&self, request: &Request, wanted: &str) -> ApiError {
        if let Err(wait) = self.limits.failure(request) {
            let text = format!("too many requests from one address without {wanted}");
            return too_many(text, wait);
        }
        // As many lines as there may be failures: the limit bounds the log, too.
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(peer)| tracing::field::display(peer.ip()));
        let (method, path) = (request.method(), request.uri().path());
        tracing::warn!(peer, %method, path, wanted, "a request without the right token was turned away");
        ApiError::Unauthorized(format!("this needs the header Authorization: Bearer <{wanted}>"))
    }
}

fn has(token: Option<&Secret>, request: &Request) -> bool {
    token.is_some_and(|token| carries(request.headers(), token))
}

/// A connection that carried a configured token is not closed to make room for others.
pub(super) fn keeps_its_connection(request: &Request) {
    if let Some(activity) = request.extensions().get::<Activity>() {
        activity.carried_token();
    }
}

/// A request without a token from this machine has to call the daemon by one of its names.
fn by_its_name(settings: &Settings, request: &Request) -> Result<(), ApiError> {
    let Some(name) = host::strange_name(request, settings) else { return Ok(()) };
    let name: String = name.chars().take(LONGEST_NAME).collect();
    Err(ApiError::Misdirected(format!(
        "{name:?} is no name of this daemon: from its own machine it is read without a token as localhost, by an IP address, or by a name of api.allowed_hosts, so that no web page reads it through somebody's browser. Add the name to api.allowed_hosts, or configure api.read_token and send it as Authorization: Bearer <token>"
    )))
}

/// The same for what stands outside the door and is more than a probe asks for.
pub(super) async fn named(
    State(settings): State<Arc<Settings>>,
    request: Request,
    next: Next,
) -> Response {
    let Settings { token, read_token, .. } = &*settings;
    let has_token = has(token.as_ref(), &request) || has(read_token.as_ref(), &request);
    match by_its_name(&settings, &request) {
        Err(error) if !has_token => error.into_response(),
        Ok(()) | Err(_) => next.run(request).await,
    }
}

fn too_many(text: String, Wait(wait): Wait) -> ApiError {
    ApiError::TooMany { text, wait }
}

/// Lets through whom the tokens and the limits admit.
pub(super) async fn guard(State(door): State<Door>, request: Request, next: Next) -> Response {
    match door.admit(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}
