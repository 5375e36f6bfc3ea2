//! The kill switch: a person pauses the loop for a while, and resumes it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::execution::Execution;
use crate::domain::grant::Grant;
use crate::domain::pause::Pause;
use crate::domain::time::{self, after};
use crate::metrics::labels::WakeReason;
use crate::server::Context;
use crate::server::reply::{ApiError, Body};

/// Both are in the log and in every report of what was not done.
const MAX_NAME: usize = 200;
const MAX_REASON: usize = 500;

/// Who pauses the loop, why, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseBody {
    /// A person's name. Not `auto`, which is the daemon's own.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^(?!\s*[Aa][Uu][Tt][Oo]\s*$)[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    by: String,
    /// Why; status, explain and history show it.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    reason: String,
    /// In seconds, up to 7 days; it ends by itself.
    #[serde(deserialize_with = "crate::domain::whole::whole")]
    #[schema(minimum = 1, maximum = 604_800)]
    duration_seconds: u64,
    /// Without it a pause that ends later keeps its end.
    #[serde(default)]
    replace: bool,
}

/// The pause that is in effect now, and what it replaced.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PauseAnswer)]
pub(super) struct Answer {
    /// The one in effect.
    paused: Pause,
    /// The pause that it replaced.
    replaced: Option<Pause>,
    /// The end of the earlier pause still applies, because it is later than the one asked for.
    later_end_kept: bool,
    /// Executions that have begun: a call that was under way is finished, what comes after it is not sent. Null when
    /// they could not be read; the pause is in effect all the same.
    under_way: Option<Vec<Uuid>>,
}

/// Who ends the pause.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeBody {
    /// A person's name. Not `auto`, which is the daemon's own.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^(?!\s*[Aa][Uu][Tt][Oo]\s*$)[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    by: String,
}

/// What was ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Resumed {
    /// The pause that was ended; null if none was in effect.
    resumed: Option<Pause>,
}

/// Pauses the loop: it goes on observing, verifying and notifying, and changes no system.
///
/// A pause that ends later keeps its end, unless `replace` is true. It survives a restart and ends by itself.
#[utoipa::path(
    post,
    path = "/api/v1/pause",
    tag = "Kill switch",
    request_body = PauseBody,
    responses((status = 200, description = "It is in effect.", body = Answer))
)]
pub(super) async fn pause(
    State(context): State<Context>,
    Body(body): Body<PauseBody>,
) -> Result<Json<Answer>, ApiError> {
    let by = name(&body.by)?;
    let reason = said("reason", &body.reason, MAX_REASON)?;
    let lasts = Duration::from_secs(body.duration_seconds);
    if !(Pause::SHORTEST..=Pause::LONGEST).contains(&lasts) {
        return Err(ApiError::Parameter(format!(
            "duration_seconds: {} to {} (7 days); to stop it for longer set guardrails.mode: observe",
            Pause::SHORTEST.as_secs(),
            Pause::LONGEST.as_secs()
        )));
    }
    let since = context.time_text()?;
    let until = after(since, lasts);
    let asked = Pause { by, reason, since, until };
    let (pause, replaced) = context.knowledge.pause(asked, body.replace).await?;
    context.metrics.paused(true);
    tracing::info!(
        by = pause.by,
        reason = pause.reason,
        until = time::text(pause.until),
        "a person paused the loop: no action is sent"
    );
    let under_way = match context.knowledge.all::<Execution>(Some("in_progress")).await {
        Ok(running) => Some(running.iter().map(|execution| execution.id).collect()),
        Err(error) => {
            tracing::warn!(%error, "the loop is paused; which executions have begun could not be read");
            None
        }
    };
    let later_end_kept = pause.until > until;
    Ok(Json(Answer { paused: pause, replaced, later_end_kept, under_way }))
}

/// Ends the pause, if one is in effect: the loop wakes and acts again.
#[utoipa::path(
    post,
    path = "/api/v1/resume",
    tag = "Kill switch",
    request_body = ResumeBody,
    responses((status = 200, description = "No pause is in effect any more.", body = Resumed))
)]
pub(super) async fn resume(
    State(context): State<Context>,
    Body(body): Body<ResumeBody>,
) -> Result<Json<Resumed>, ApiError> {
    let by = name(&body.by)?;
    let resumed = context.knowledge.resume(context.handle.now(), &by).await?;
    context.metrics.paused(false);
    let paused_by = resumed.as_ref().map(|pause| pause.by.as_str());
    tracing::info!(by, paused_by, "a person resumed the loop: it acts again");
    context.metrics.woken(WakeReason::Resume);
    context.handle.wake();
    Ok(Json(Resumed { resumed }))
}

fn name(by: &str) -> Result<String, ApiError> {
    let by = said("by", by, MAX_NAME)?;
    if by.eq_ignore_ascii_case(Grant::AUTO) {
        return Err(ApiError::Parameter(format!("by: {by} is the daemon's own name; give yours")));
    }
    Ok(by)
}

fn said(field: &str, text: &str, most: usize) -> Result<String, ApiError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(ApiError::Parameter(format!(
            "{field}: 1 to {most} characters without control characters"
        )));
    }
    Ok(text.to_owned())
}
