//! Who may read and who may change something: bearer tokens of two scopes, and without one for changes only peers on
//! this very machine. Also how often one may ask at all.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::uri::Authority;
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

    /// Tokens first, rates after: whoever may operate is counted apart from what others send from the same address.
    fn admit(&self, request: &Request) -> Result<(), ApiError> {
        let Settings { token, read_token, rate_limit, .. } = &*self.settings;
        let too_often = |wait| {
            let text = format!(
                "more than {rate_limit} requests a second from one address (api.rate_limit)"
            );
            too_many(text, wait)
        };
        let has = |token: &Option<Secret>| {
            token.as_ref().is_some_and(|token| carries(request.headers(), token))
        };
        if has(token) {
            return self.limits.operator(request).map_err(too_often);
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if reads && (read_token.is_none() || has(read_token)) {
            return self.limits.request(request).map_err(too_often);
        }
        if reads {
            return Err(self.unauthorized(request, "api.read_token or api.token"));
        }
        if has(read_token) {
            self.limits.request(request).map_err(too_often)?;
            return Err(ApiError::Forbidden(
                "this token may only read: send the operate token (api.token) as Authorization: Bearer <token>",
            ));
        }
        if token.is_some() {
            return Err(self.unauthorized(request, "api.token"));
        }
        if is_local(request) && addresses_this_machine(request) {
            return self.limits.operator(request).map_err(too_often);
        }
        self.limits.request(request).map_err(too_often)?;
        Err(ApiError::Forbidden(if is_local(request) {
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

/// A web page whose name somebody has pointed at 127.0.0.1 is local, too, and a browser on this machine would send what
/// it asks for: but with that name as `Host`, and every page's POST with its `Origin`.
fn addresses_this_machine(request: &Request) -> bool {
    let text = |name| request.headers().get_all(name).iter().map(|value| value.to_str().ok());
    let mut hosts = text(HOST);
    let (Some(Some(host)), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let own = [format!("http://{host}"), format!("https://{host}")];
    is_loopback(authority.host())
        && request.uri().host().is_none_or(is_loopback)
        && text(ORIGIN).all(|origin| origin.is_some_and(|o| own.iter().any(|own| own == o)))
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
}
