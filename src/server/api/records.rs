//! Stored history: analyses, executions, outcomes, insights, pauses and cycles.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Limit, List};
use crate::domain::analysis::Analysis;
use crate::domain::cycle::CycleReport;
use crate::domain::execution::Execution;
use crate::domain::outcome::{Insight, Outcome};
use crate::domain::pause::PauseRecord;
use crate::knowledge::Document;
use crate::server::Context;
use crate::server::reply::{ApiError, Id, Params, Problem};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
    /// The `next` of the page before; without it the newest.
    #[param(minimum = -9_223_372_036_854_775_808_i64, maximum = 9_223_372_036_854_775_807_i64)]
    after: Option<i64>,
}

type Answer<T> = Result<Json<List<T>>, ApiError>;

async fn page<T: Document>(context: &Context, params: &PageParams) -> Answer<T> {
    Ok(Json(List::read(context, None, params.after, params.limit).await?))
}

/// Patterns found in the violations of a cycle, and the root causes concluded from them.
#[utoipa::path(
    get,
    path = "/api/v1/analyses",
    tag = "History",
    params(PageParams),
    responses((status = 200, description = "A page, newest first.", body = List<Analysis>))
)]
pub(super) async fn analyses(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<Analysis> {
    page(&context, &params).await
}

/// What was sent to Charter, action by action, and who approved it.
#[utoipa::path(
    get,
    path = "/api/v1/executions",
    tag = "History",
    params(PageParams),
    responses((status = 200, description = "A page, newest first.", body = List<Execution>))
)]
pub(super) async fn executions(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<Execution> {
    page(&context, &params).await
}

/// Whether an action helped: each result with the numbers behind it.
#[utoipa::path(
    get,
    path = "/api/v1/outcomes",
    tag = "History",
    params(PageParams),
    responses((status = 200, description = "A page, newest first.", body = List<Outcome>))
)]
pub(super) async fn outcomes(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<Outcome> {
    page(&context, &params).await
}

/// What was learned from outcomes, in words, by cause and action.
#[utoipa::path(
    get,
    path = "/api/v1/insights",
    tag = "History",
    params(PageParams),
    responses((status = 200, description = "A page, newest first.", body = List<Insight>))
)]
pub(super) async fn insights(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<Insight> {
    page(&context, &params).await
}

/// Who paused the loop, why, until when, and who ended that.
#[utoipa::path(
    get,
    path = "/api/v1/pauses",
    tag = "History",
    params(PageParams),
    responses((status = 200, description = "A page, newest first.", body = List<PauseRecord>))
)]
pub(super) async fn pauses(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<PauseRecord> {
    page(&context, &params).await
}

/// The report of each cycle, with every action weighed and why it was not chosen.
#[utoipa::path(
    get,
    path = "/api/v1/cycles",
    tag = "History",
    params(PageParams),
    responses((status = 200, description = "A page, newest first.", body = List<CycleReport>))
)]
pub(super) async fn cycles(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<CycleReport> {
    page(&context, &params).await
}

/// The report of one cycle.
#[utoipa::path(
    get,
    path = "/api/v1/cycles/{id}",
    tag = "History",
    params(("id" = String, Path, description = "`id` of the cycle: `YYYYMMDD_HHMMSS`, UTC, with a suffix where there are two.", pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")),
    responses(
        (status = 200, description = "The report.", body = CycleReport),
        (status = 404, description = "No such cycle is kept (`knowledge.retention`).", body = Problem),
    )
)]
pub(super) async fn cycle(
    State(context): State<Context>,
    Id(id): Id,
) -> Result<Json<CycleReport>, ApiError> {
    match context.knowledge.get::<CycleReport>(&id).await? {
        Some((report, _)) => Ok(Json(report)),
        None => {
            Err(ApiError::NotFound(format!("no cycle {id} is kept; GET /api/v1/cycles lists them")))
        }
    }
}
