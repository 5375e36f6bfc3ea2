//! Stored history: analyses, executions, outcomes, insights, escalations and cycles.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;

use super::{Limit, List};
use crate::domain::analysis::Analysis;
use crate::domain::cycle::CycleReport;
use crate::domain::escalation::Escalation;
use crate::domain::execution::Execution;
use crate::domain::outcome::{Insight, Outcome};
use crate::domain::service_incident::ServiceIncident;
use crate::knowledge::{Document, documents};
use crate::server::Context;
use crate::server::reply::{ApiError, Params};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParams {
    #[serde(default)]
    limit: Limit,
    after: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EscalationParams {
    open: Option<bool>,
    #[serde(default)]
    limit: Limit,
    after: Option<i64>,
}

type Answer<T> = Result<Json<List<T>>, ApiError>;

async fn page<T: Document>(context: &Context, params: &PageParams) -> Answer<T> {
    let page = context.knowledge.page::<T>(None, params.after, params.limit.get()).await?;
    Ok(Json(page.into()))
}

pub(super) async fn analyses(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<Analysis> {
    page(&context, &params).await
}

pub(super) async fn executions(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<Execution> {
    page(&context, &params).await
}

pub(super) async fn outcomes(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<Outcome> {
    page(&context, &params).await
}

pub(super) async fn insights(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<Insight> {
    page(&context, &params).await
}

pub(super) async fn cycles(
    State(context): State<Context>,
    Params(params): Params<PageParams>,
) -> Answer<CycleReport> {
    page(&context, &params).await
}

pub(super) async fn escalations(
    State(context): State<Context>,
    Params(params): Params<EscalationParams>,
) -> Answer<Escalation> {
    let tag = params.open.map(|open| if open { documents::OPEN } else { documents::CLOSED });
    Ok(Json(context.knowledge.page(tag, params.after, params.limit.get()).await?.into()))
}

pub(super) async fn incidents(
    State(context): State<Context>,
    Params(params): Params<EscalationParams>,
) -> Answer<ServiceIncident> {
    let tag = params.open.map(|open| if open { documents::OPEN } else { documents::CLOSED });
    let mut page =
        context.knowledge.page::<ServiceIncident>(tag, params.after, params.limit.get()).await?;
    // Some have ended, and their end is still to be told.
    page.items.retain(|incident| params.open != Some(true) || incident.is_open());
    Ok(Json(page.into()))
}

pub(super) async fn cycle(
    State(context): State<Context>,
    Path(id): Path<String>,
) -> Result<Json<CycleReport>, ApiError> {
    match context.knowledge.get::<CycleReport>(&id).await? {
        Some((report, _)) => Ok(Json(report)),
        None => {
            Err(ApiError::NotFound(format!("no cycle {id} is kept; GET /api/v1/cycles lists them")))
        }
    }
}
