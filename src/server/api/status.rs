//! `GET /api/v1/status`: how the cycles go, what people were notified of, and what is still open.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::MOST_OPEN;
use crate::domain::cycle::condition::Condition;
use crate::domain::cycle::{CycleReport, CycleStatus, FAILING};
use crate::domain::decision::{Decision, Sev};
use crate::domain::incident::Incident;
use crate::domain::message::NotificationResult;
use crate::domain::need::Need;
use crate::domain::time::Time;
use crate::domain::under_way::UnderWay;
use crate::domain::view::{LoopView, NotificationView};
use crate::knowledge::documents;
use crate::server::Context;
use crate::server::reply::ApiError;

/// Degraded after three cycles that failed in a row.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CycleHealth)]
enum Health {
    Healthy,
    Degraded,
}

/// How the cycles go, what people were notified of, and what is still open.
#[derive(Debug, Serialize, ToSchema)]
#[allow(clippy::struct_field_names, reason = "the names are the API's")]
pub(super) struct Status {
    /// Now, by the daemon's clock.
    at: Time,
    /// `orchestrator.environment`; absent where it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    /// Since the start of the process.
    cycle_count: u64,
    /// In a row; a healthy or completed cycle sets it to 0.
    failed_cycles: u64,
    last_successful_cycle: Option<Time>,
    last_cycle_status: Option<CycleStatus>,
    last_error: Option<String>,
    health: Health,
    /// The beginning of the SHA-256 of the configuration that is in effect, secrets left out.
    config_hash: String,
    /// `mape-k run --speed`: how many times faster than life the loop runs. Absent in the world's own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    rehearsal_speed: Option<f64>,
    /// Actions that have begun and have no result yet, oldest first; 50 at most.
    under_way: Vec<UnderWay>,
    /// Who is notified of incidents; none: nobody is.
    notifiers: Vec<&'static str>,
    /// What is wrong and what is UNKNOWN, as of the last cycle; null before the first.
    condition: Option<Condition>,
    /// Why nobody is notified of anything now, or what could not be delivered; null: neither.
    not_notified: Option<String>,
    /// Open incidents, by severity.
    incidents: BTreeMap<&'static str, usize>,
    /// Open needs that no open incident has.
    needs_without_incident: Vec<Need>,
    /// The last decision that people were, or should have been, notified of.
    last_decision: Option<Decision>,
    last_notification: Option<NotificationResult>,
    /// Since the start of the process.
    notifications_sent: u64,
    notifications_failed: u64,
}

/// How the cycles go, what people were notified of last, and what is still open.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    tag = "Present",
    responses((status = 200, description = "As of the last cycle.", body = Status))
)]
pub(super) async fn status(State(context): State<Context>) -> Result<Json<Status>, ApiError> {
    let view = context.handle.view();
    let open = context.knowledge.all::<Incident>(Some(documents::OPEN)).await?;
    let mut incidents: BTreeMap<_, _> = Sev::ALL.map(|sev| (sev.as_str(), 0)).into();
    let mut own = BTreeSet::new();
    for incident in open.iter().filter(|incident| incident.is_open()) {
        *incidents.entry(incident.severity.as_str()).or_default() += 1;
        own.insert(&incident.id);
    }
    let (mut needs, _) = context.knowledge.survey::<Need>(Some(documents::OPEN), MOST_OPEN).await?;
    needs.retain(|need| need.incident.as_ref().is_none_or(|of| !own.contains(of)));
    let NotificationView { last_decision, last_notification, sent, failed, .. } =
        view.people.clone();
    let at = context.handle.now();
    let running = context.running.borrow().clone();
    Ok(Json(Status {
        at,
        environment: running.environment.clone(),
        cycle_count: view.iteration,
        failed_cycles: view.failed_cycles,
        last_successful_cycle: view.last_good_cycle,
        last_cycle_status: view.last_status,
        last_error: view.last_error.clone(),
        health: if view.failed_cycles < FAILING { Health::Healthy } else { Health::Degraded },
        config_hash: running.hash.clone(),
        rehearsal_speed: context.rehearsal,
        under_way: context.knowledge.under_way(at).await?,
        notifiers: running.notifiers.iter().map(|name| name.as_str()).collect(),
        condition: condition(&context, &view).await?,
        not_notified: view.people.not_notified(!running.notifiers.is_empty()),
        incidents,
        needs_without_incident: needs,
        last_decision,
        last_notification,
        notifications_sent: sent,
        notifications_failed: failed,
    }))
}

/// Where another replica leads, as its last cycle stored it.
async fn condition(context: &Context, view: &LoopView) -> Result<Option<Condition>, ApiError> {
    if context.handle.leader().leads() {
        return Ok(view.condition.clone());
    }
    let (reports, _) = context.knowledge.survey::<CycleReport>(None, 1).await?;
    Ok(reports.first().map(CycleReport::condition))
}
