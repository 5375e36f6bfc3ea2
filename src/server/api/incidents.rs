//! Incidents: each with the needs, treatments and notifications that belong to it, and what it is linked to.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Limit, List};
use crate::domain::Cause;
use crate::domain::decision::Sev;
use crate::domain::incident::{Anchor, Incident, Resolution};
use crate::domain::need::Need;
use crate::domain::treatment::Treatment;
use crate::explain;
use crate::knowledge::{Knowledge, StoreError, documents};
use crate::server::Context;
use crate::server::reply::{ApiError, Id, Params, Problem};

/// Ended needs and treatments looked through, newest first: two weeks of a busy system.
const LOOKED_THROUGH: usize = 2_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct IncidentParams {
    /// True: only those that are open. False: only those that are resolved.
    open: Option<bool>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
    /// The `next` of the page before; without it the newest.
    #[param(minimum = -9_223_372_036_854_775_808_i64, maximum = 9_223_372_036_854_775_807_i64)]
    after: Option<i64>,
}

/// What a person is asked for, with the command that answers it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AskedFor {
    #[serde(flatten)]
    pub need: Need,
    /// Null once it has ended.
    command: Option<String>,
}

/// An incident, and what people are asked for in it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listed {
    #[serde(flatten)]
    incident: Incident,
    /// The open ones.
    needs: Vec<AskedFor>,
    /// Whether anybody was notified of it, in words: only what a notifier confirmed counts.
    notification: String,
}

/// Another incident that is open for the same cause.
#[derive(Debug, Serialize, ToSchema)]
struct Linked {
    id: String,
    anchor: Anchor,
    title: String,
    severity: Sev,
    cause: Cause,
}

/// All of one incident.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IncidentDetail)]
pub(super) struct Detail {
    #[serde(flatten)]
    incident: Incident,
    /// Open and ended ones, the newest first.
    needs: Vec<AskedFor>,
    /// What was tried in it, the newest first.
    treatments: Vec<Treatment>,
    notification: String,
    linked: Vec<Linked>,
}

/// What is wrong, one incident for each target, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/incidents",
    tag = "Incidents",
    params(IncidentParams),
    responses((status = 200, description = "A page, newest first.", body = List<Listed>))
)]
pub(super) async fn list(
    State(context): State<Context>,
    Params(params): Params<IncidentParams>,
) -> Result<Json<List<Listed>>, ApiError> {
    let tag = params.open.map(|open| if open { documents::OPEN } else { documents::CLOSED });
    let List { items, next, unread } =
        List::<Incident>::read(&context, tag, params.after, params.limit).await?;
    let open = Some(documents::OPEN);
    let (needs, _) = context.knowledge.survey::<Need>(open, LOOKED_THROUGH).await?;
    // One that is resolved stays among the open ones until people were notified of it.
    let items = items.into_iter().filter(|one| params.open != Some(true) || one.is_open());
    let items = items
        .map(|incident| present(&context, incident))
        .map(|incident| Listed {
            needs: needs
                .iter()
                .filter(|need| need.incident.as_ref() == Some(&incident.id))
                .map(|need| asked(need.clone()))
                .collect(),
            notification: incident.notification(has_notifier(&context)),
            incident,
        })
        .collect();
    Ok(Json(List { items, next, unread }))
}

/// One incident: its evidence, timeline, needs and treatments, who was notified, and what it is linked to.
#[utoipa::path(
    get,
    path = "/api/v1/incidents/{id}",
    tag = "Incidents",
    params(("id" = String, Path, description = "`id` of the incident.", pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")),
    responses(
        (status = 200, description = "The incident.", body = Detail),
        (status = 404, description = "No such incident is kept.", body = Problem),
    )
)]
pub(super) async fn one(
    State(context): State<Context>,
    Id(id): Id,
) -> Result<Json<Detail>, ApiError> {
    let Own { incident, needs, treatments, notification } = Own::read(&context, &id).await?;
    let open = Some(documents::OPEN);
    let (open, _) = context.knowledge.survey::<Incident>(open, LOOKED_THROUGH).await?;
    let linked = open.into_iter().filter_map(|other| linked(&incident, other)).collect();
    Ok(Json(Detail { incident, needs, treatments, notification, linked }))
}

/// An incident with the records that belong to it.
pub(super) struct Own {
    pub incident: Incident,
    pub needs: Vec<AskedFor>,
    pub treatments: Vec<Treatment>,
    pub notification: String,
}

impl Own {
    pub async fn read(context: &Context, id: &str) -> Result<Self, ApiError> {
        let knowledge = &context.knowledge;
        let (incident, _) = knowledge.get::<Incident>(id).await?.ok_or_else(|| {
            let text = format!("no incident {id} is kept; GET /api/v1/incidents lists them");
            ApiError::NotFound(text)
        })?;
        let incident = present(context, incident);
        let names = names(knowledge, id).await?;
        let mut needs = Vec::new();
        for tag in [documents::OPEN, documents::CLOSED] {
            let (all, _) = knowledge.survey::<Need>(Some(tag), LOOKED_THROUGH).await?;
            needs.extend(all.into_iter().filter(|need| is_of(need, &names)).map(asked));
        }
        let (mut treatments, _) = knowledge.survey::<Treatment>(None, LOOKED_THROUGH).await?;
        treatments.retain(|one| one.incident.as_ref().is_some_and(|of| names.contains(of)));
        let notification = incident.notification(has_notifier(context));
        Ok(Self { incident, needs, treatments, notification })
    }
}

/// An open one as the last cycle left it: the store gets its numbers only when it changes.
fn present(context: &Context, stored: Incident) -> Incident {
    let view = context.handle.view();
    let is_it = |one: &&Incident| one.id == stored.id && one.last_seen_at >= stored.last_seen_at;
    view.people.incidents.iter().find(is_it).filter(|_| stored.is_open()).cloned().unwrap_or(stored)
}

fn has_notifier(context: &Context) -> bool {
    !context.running.borrow().notifiers.is_empty()
}

/// The incident's id and those of the incidents that were merged into it: their records keep the id that they had.
async fn names(knowledge: &Knowledge, id: &str) -> Result<BTreeSet<String>, StoreError> {
    let (ended, _) = knowledge.survey::<Incident>(Some(documents::CLOSED), LOOKED_THROUGH).await?;
    let mut names = BTreeSet::from([id.to_owned()]);
    loop {
        let before = names.len();
        for one in &ended {
            if let Some(Resolution::MergedInto(into)) = &one.resolution
                && names.contains(into)
            {
                names.insert(one.id.clone());
            }
        }
        if names.len() == before {
            return Ok(names);
        }
    }
}

fn is_of(need: &Need, incidents: &BTreeSet<String>) -> bool {
    need.incident.as_ref().is_some_and(|of| incidents.contains(of))
}

fn asked(need: Need) -> AskedFor {
    let commands = explain::answers(&need).into_iter().map(|command| format!("mape-k {command}"));
    let command = need.closed_at.is_none().then(|| commands.collect::<Vec<_>>().join(", or "));
    AskedFor { need, command }
}

fn linked(incident: &Incident, other: Incident) -> Option<Linked> {
    let causes: BTreeSet<&Cause> = incident.causes.iter().map(|ranked| &ranked.cause).collect();
    let shared = other.causes.iter().find(|ranked| causes.contains(&ranked.cause))?.cause.clone();
    let Incident { id, anchor, title, severity, .. } = other;
    (id != incident.id && incident.ended_at.is_none() && other.ended_at.is_none())
        .then_some(Linked { id, anchor, title, severity, cause: shared })
}
