//! Errors as the HTTP surface answers them: a status and `{"error": …}`, and the parameters that lead to them.

use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::domain::policy::Policy;
use crate::knowledge::{DecisionError, StoreError};

/// Seconds after which a turned-away caller may try again: longer than a commit, shorter than a cycle.
const RETRY_AFTER_SECONDS: &str = "5";

/// From the head of a POST to the end of its few bytes; shorter than the time for the whole answer.
const BODY_TIME: Duration = Duration::from_secs(5);

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// In one or two sentences: what failed, on what, and what to do.
    error: String,
}

/// Somebody else was first, or something changed meanwhile.
#[derive(Debug, Serialize, ToSchema)]
pub struct Conflict {
    /// In one or two sentences.
    error: String,
    /// As it is now.
    present: Box<Policy>,
}

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{0}")]
    Parameter(String),
    #[error("{0}")]
    Body(String, StatusCode),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Unauthorized(String),
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    Misdirected(String),
    #[error("{text}")]
    Conflict { text: String, present: Box<Policy> },
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    TooSlow(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("{text}")]
    TooMany { text: String, wait: Duration },
    #[error("{method} is not served at {path}; see the Allow header")]
    Method { method: String, path: String },
}

impl ApiError {
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Parameter(_) => StatusCode::BAD_REQUEST,
            Self::Body(_, status) => *status,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let error = self.to_string();
        let retry_after = match &self {
            Self::TooMany { wait, .. } => Some(HeaderValue::from(wait.as_secs() + 1)),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                Some(HeaderValue::from_static(RETRY_AFTER_SECONDS))
            }
            _ => None,
        };
        let mut response = match self {
            Self::Conflict { present, .. } => {
                (status, Json(Conflict { error, present })).into_response()
            }
            _ => (status, Json(Problem { error })).into_response(),
        };
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<DecisionError> for ApiError {
    fn from(error: DecisionError) -> Self {
        let text = error.to_string();
        match error {
            DecisionError::NotFound { .. } => Self::NotFound(text),
            DecisionError::NotPending { present }
            | DecisionError::OtherRevision { present, .. }
            | DecisionError::OtherHash { present, .. }
            | DecisionError::Busy { present } => Self::Conflict { text, present },
            DecisionError::Store(_) => Self::Unavailable(text),
        }
    }
}

/// Query parameters, with an error that names the wrong one.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(params) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection: QueryRejection| ApiError::Parameter(rejection.body_text()))?;
        Ok(Self(params))
    }
}

/// The `{id}` of a path. No id that we give holds a control character, and not every store can be asked for one.
#[derive(Debug)]
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::Parameter(rejection.body_text()))?;
        if id.chars().any(char::is_control) {
            return Err(ApiError::Parameter(format!("id: {id:?} holds a control character")));
        }
        Ok(Self(id))
    }
}

/// A JSON body. Asking for its content type also keeps a web page from posting on behalf of a local browser.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let read = tokio::time::timeout(BODY_TIME, Json::from_request(request, state));
        let Json(body) = read
            .await
            .map_err(|_| {
                ApiError::TooSlow(format!(
                    "the body did not arrive within {} s",
                    BODY_TIME.as_secs()
                ))
            })?
            .map_err(|rejection: JsonRejection| {
                // 422 says that JSON was read and a field is wrong: a bad parameter like any other.
                let status = match rejection.status() {
                    StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                    other => other,
                };
                ApiError::Body(
                    format!("the body cannot be read: {}", rejection.body_text()),
                    status,
                )
            })?;
        Ok(Self(body))
    }
}

/// The answer for a path that nobody serves.
pub async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::NotFound(format!("nothing is served at {}; the API is under /api/v1", uri.path()))
}

/// The answer for a known path with another method.
pub async fn wrong_method(method: axum::http::Method, uri: Uri) -> ApiError {
    ApiError::Method { method: method.to_string(), path: uri.path().to_owned() }
}
