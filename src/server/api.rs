//! The JSON API under `/api/v1`: what the loop sees, decided, did and learned, why, and a person's word on its policies.
//!
//! Live state comes from the loop's published view, history from knowledge. Domain values are served as they are.

mod explain;
mod incidents;
mod pause;
mod policies;
mod records;
mod state;
mod status;
mod violations;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::reply::{self, ApiError};
use super::{Context, access, configuration, description};
use crate::knowledge::{Document, Page};

/// A decision is a revision and a name.
const MAX_BODY: usize = 16 * 1024;

/// A page of 500 records takes milliseconds; beyond this the store is stuck and the caller learns it.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Every call with its description, so that neither is there without the other. What the layers of [`routes`] answer is
/// added by [`description`].
pub(super) fn described() -> OpenApiRouter<Context> {
    OpenApiRouter::default()
        .routes(routes!(state::state))
        .routes(routes!(status::status))
        .routes(routes!(state::statistics))
        .routes(routes!(violations::list))
        .routes(routes!(records::analyses))
        .routes(routes!(policies::list))
        .routes(routes!(policies::approve))
        .routes(routes!(policies::reject))
        .routes(routes!(pause::pause))
        .routes(routes!(pause::resume))
        .routes(routes!(configuration::config))
        .routes(routes!(configuration::reload))
        .routes(routes!(records::executions))
        .routes(routes!(records::outcomes))
        .routes(routes!(records::insights))
        .routes(routes!(records::pauses))
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::one))
        .routes(routes!(records::cycles))
        .routes(routes!(records::cycle))
        .routes(routes!(explain::latest))
        .routes(routes!(explain::cycle))
        .routes(routes!(explain::violation))
        .routes(routes!(explain::policy))
        .routes(routes!(explain::action))
        .routes(routes!(explain::incident))
        .routes(routes!(description::openapi))
}

pub(super) fn routes(context: &Context) -> Router<Context> {
    let door = access::Door::new(context.settings.clone());
    // The layers stand behind the last route: whatever is described above is guarded like the rest.
    let routes = Router::from(described())
        // Set here so that a wrong method meets the same door, and a preflight the CORS layer.
        .method_not_allowed_fallback(reply::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(bounded))
        .layer(middleware::from_fn_with_state(door, access::guard));
    if context.settings.cors_origins.is_empty() {
        return routes;
    }
    // Outside the guard: a preflight carries no token, and a page should be able to read its 401.
    routes.layer(cors(&context.settings.cors_origins))
}

/// Pages of these origins may read; what changes something stays with people and their tools.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET])
        .allow_headers([AUTHORIZATION])
}

async fn bounded(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::Unavailable(format!(
            "no answer within {} s: the knowledge store or the caller is too slow; /health names the store's state",
            ANSWER_TIME.as_secs()
        ))
        .into_response(),
    }
}

/// How many items a page may hold.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u16")]
struct Limit(u16);

impl Limit {
    const MAX: u16 = 500;

    fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<u16> for Limit {
    type Error = String;

    fn try_from(limit: u16) -> Result<Self, String> {
        if (1..=Self::MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(format!("{limit} is not within 1..={}", Self::MAX))
        }
    }
}

/// A page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct List<T> {
    items: Vec<T>,
    /// What to pass as `after` for the page that follows; null on the last one.
    next: Option<String>,
    /// Records of this page that cannot be read, each with the reason: another version wrote them, or they are damaged.
    unread: Vec<String>,
}

impl<T: Document> List<T> {
    /// One damaged record hides no other.
    async fn read(
        context: &Context,
        tag: Option<&str>,
        after: Option<i64>,
        limit: Limit,
    ) -> Result<Self, ApiError> {
        let page = context.knowledge.survey_page::<T>(tag, after, limit.get()).await?;
        let (Page { items, next }, unread) = page;
        let unread = unread.into_iter().map(|one| format!("{}: {}", one.key, one.cause)).collect();
        Ok(Self { items, next: next.map(|next| next.to_string()), unread })
    }
}
