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

use super::Settings;
use super::limits::{Limits, Wait};
use super::reply::ApiError;
use crate::domain::secret::Secret;

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

    fn admit(&self, request: &Request) -> Result<(), ApiError> {
        let Settings { token, read_token, rate_limit, .. } = &*self.settings;
        self.limits.request(request).map_err(|wait| {
            let text = format!(
                "more than {rate_limit} requests a second from one address (api.rate_limit)"
            );
            too_many(text, wait)
        })?;
        let has = |token: &Option<Secret>| {
            token.as_ref().is_some_and(|token| carries(request.headers(), token))
        };
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if reads && (read_token.is_none() || has(read_token) || has(token)) {
            return Ok(());
        }
        if reads {
            return Err(self.unauthorized(request, "api.read_token or api.token"));
        }
        match token {
            _ if has(read_token) => Err(ApiError::Forbidden(
                "this token may only read: send the operate token (api.token) as Authorization: Bearer <token>",
            )),
            Some(_) if has(token) => Ok(()),
            Some(_) => Err(self.unauthorized(request, "api.token")),
            None if is_local(request) => Ok(()),
            None => Err(ApiError::Forbidden(
                "without api.token this is served to the daemon's own machine only: configure api.token (or api.token_file) and send it as Authorization: Bearer <token>",
            )),
        }
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

fn is_local(request: &Request) -> bool {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback())
}
