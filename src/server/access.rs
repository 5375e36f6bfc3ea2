//! Who may change something: bearer tokens, and without one only peers on this very machine.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::Context;
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

/// Lets reading pass and asks of everything else for `api.token`, or for a loopback peer where none is configured.
pub async fn guard(State(context): State<Context>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    match &context.settings.token {
        Some(token) if carries(request.headers(), token) => next.run(request).await,
        Some(_) => {
            ApiError::Unauthorized("this needs the header Authorization: Bearer <api.token>".to_owned()).into_response()
        }
        None if is_local(&request) => next.run(request).await,
        None => ApiError::Forbidden(
            "without api.token this is served to the daemon's own machine only: configure api.token (or api.token_file) and send it as Authorization: Bearer <token>",
        )
        .into_response(),
    }
}

fn is_local(request: &Request) -> bool {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback())
}
