//! The socket's side of the reference Charter: headers and bodies in, answers out. Every rule is in `service`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response as HttpResponse};
use futures::StreamExt;
use serde_json::json;

use super::Charter;
use super::service::{JSON, Request};

/// Every valid body is under 1 KiB; this leaves room for large settings and none for a flood.
const LARGEST_BODY: usize = 64 * 1024;
/// A body of that size takes well under a second; who needs longer is stuck.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const FENCE_EPOCH: HeaderName = HeaderName::from_static("x-fence-epoch");

/// Charter's whole contract as a router.
pub fn router(charter: Arc<Charter>) -> Router {
    Router::new().fallback(call).with_state(charter)
}

async fn call(State(charter): State<Arc<Charter>>, request: HttpRequest) -> HttpResponse {
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_TIMEOUT, read_body(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => return refusal.into_response(),
        Err(_) => return Refusal::Slow.into_response(),
    };
    let answer = charter.call(&Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        authorization: text(&head.headers, &AUTHORIZATION),
        idempotency_key: text(&head.headers, &IDEMPOTENCY_KEY),
        fence_epoch: text(&head.headers, &FENCE_EPOCH),
        body,
    });
    let mut response =
        (answer.status, [(CONTENT_TYPE, answer.content_type)], answer.body).into_response();
    if let Some(key) = answer.idempotency_key.and_then(|key| HeaderValue::from_str(&key).ok()) {
        response.headers_mut().insert(IDEMPOTENCY_KEY, key);
    }
    response
}

/// A header as text; bytes that are not text are replaced, and the reader of the value refuses them.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

async fn read_body(body: Body) -> Result<Vec<u8>, Refusal> {
    let mut read = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Refusal::Broken)?;
        if read.len() + chunk.len() > LARGEST_BODY {
            return Err(Refusal::TooLarge);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

/// Why a request never becomes a call.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    TooLarge,
    Broken,
    Slow,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> HttpResponse {
        let (status, code, text) = match self {
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than 64 KiB")
            }
            Self::Broken => (StatusCode::BAD_REQUEST, "invalid_body", "the body broke off"),
            Self::Slow => {
                (StatusCode::REQUEST_TIMEOUT, "timeout", "the body was not complete after 10 s")
            }
        };
        (status, [(CONTENT_TYPE, JSON)], json!({ "error": text, "code": code }).to_string())
            .into_response()
    }
}
