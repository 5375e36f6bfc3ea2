//! Explanations: reads what a page is written from and lets [`crate::explain`] write it. Decides no wording but of what
//! was not found.

use axum::Json;
use axum::extract::State;
use uuid::Uuid;

use super::incidents::Own;
use crate::domain::analysis::Analysis;
use crate::domain::cycle::CycleReport;
use crate::domain::execution::Execution;
use crate::domain::need::Need;
use crate::domain::outcome::{ActionStatistics, Outcome, PendingVerification};
use crate::domain::policy::Policy;
use crate::domain::treatment::Treatment;
use crate::domain::violation::{TrackedViolation, Violation};
use crate::explain::{
    self, ActionFacts, CycleFacts, Explanation, IncidentFacts, PolicyFacts, ViolationFacts,
};
use crate::knowledge::{Document, Knowledge, StoreError, documents};
use crate::server::Context;
use crate::server::reply::{ApiError, Id, Problem};

type Answer = Result<Json<Explanation>, ApiError>;

/// The name of the newest cycle, whatever its id.
const LATEST: &str = "latest";

/// Records looked through, newest first, where no key leads to one: executions of a policy or a key, cleared violations.
/// At six actions an hour these are two weeks of executions.
const LOOKED_THROUGH: usize = 2_000;

/// As the cycle itself reads them: open treatments are always among these.
const TREATMENTS: usize = 200;

/// Records that a page shows of one kind at most; the page says how many more there are.
const SHOWN: usize = 5;

/// Characters of a fingerprint that are enough to name it, if only one begins so.
const SHORTEST_PREFIX: usize = 8;

/// The latest cycle in sentences: what was seen, concluded, weighed and done, and if nothing was, why not.
#[utoipa::path(
    get,
    path = "/api/v1/explain",
    tag = "Explanations",
    responses(
        (status = 200, description = "The page.", body = Explanation),
        (status = 404, description = "No cycle is kept yet.", body = Problem),
    )
)]
pub(super) async fn latest(State(context): State<Context>) -> Answer {
    explain_cycle(&context, LATEST).await
}

/// One cycle in sentences.
#[utoipa::path(
    get,
    path = "/api/v1/explain/cycles/{id}",
    tag = "Explanations",
    params(("id" = String, Path, description = "`id` of the cycle, or `latest`.", pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")),
    responses(
        (status = 200, description = "The page.", body = Explanation),
        (status = 404, description = "No such cycle is kept.", body = Problem),
    )
)]
pub(super) async fn cycle(State(context): State<Context>, Id(id): Id) -> Answer {
    explain_cycle(&context, &id).await
}

async fn explain_cycle(context: &Context, id: &str) -> Answer {
    let knowledge = &context.knowledge;
    let report = if id == LATEST {
        newest_cycle(knowledge).await?.ok_or_else(|| {
            ApiError::NotFound(
                "no cycle is kept yet: the first one ends soon after the start".to_owned(),
            )
        })?
    } else {
        get::<CycleReport>(knowledge, id).await?.ok_or_else(|| {
            ApiError::NotFound(format!("no cycle {id} is kept; GET /api/v1/cycles lists them"))
        })?
    };
    let (mut execution, mut verification, mut verdicts) = (None, None, Vec::new());
    if let Some(id) = report.execution_id {
        execution = get::<Execution>(knowledge, &id.to_string()).await?;
        verification = get::<PendingVerification>(knowledge, &id.to_string()).await?;
        verdicts = verdicts_on(knowledge, id).await?;
    }
    let judged: Vec<Outcome> = get_all(knowledge, &report.outcomes).await?;
    let needs: Vec<Need> = get_all(knowledge, &report.escalations_opened).await?;
    Ok(Json(explain::cycle(&CycleFacts {
        now: context.handle.now(),
        report: &report,
        execution: execution.as_ref(),
        verification: verification.as_ref(),
        verdicts: &verdicts,
        verified: &judged,
        needs: &needs,
    })))
}

/// The story of one violation.
#[utoipa::path(
    get,
    path = "/api/v1/explain/violations/{id}",
    tag = "Explanations",
    params(("id" = String, Path, description = "Its id, its fingerprint, or 8 characters at least of how that begins.", pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")),
    responses(
        (status = 200, description = "The page.", body = Explanation),
        (status = 404, description = "No such violation is active or kept.", body = Problem),
    )
)]
pub(super) async fn violation(State(context): State<Context>, Id(id): Id) -> Answer {
    let knowledge = &context.knowledge;
    let violation = find_violation(&context, &id).await?;
    let report = newest_cycle(knowledge).await?;
    let analysis = match report.as_ref().and_then(|r| r.analysis_id) {
        Some(id) => get::<Analysis>(knowledge, &id.to_string()).await?,
        None => None,
    };
    let treatments = knowledge.survey::<Treatment>(None, TREATMENTS).await?.0;
    let verifications = knowledge.survey::<PendingVerification>(None, LOOKED_THROUGH).await?.0;
    let mut escalations = knowledge.survey::<Need>(Some(documents::OPEN), LOOKED_THROUGH).await?.0;
    escalations.retain(|e| e.evidence.contains(&violation.fingerprint));
    Ok(Json(explain::violation(&ViolationFacts {
        now: context.handle.now(),
        violation: &violation,
        report: report.as_ref(),
        analysis: analysis.as_ref(),
        treatments: &treatments,
        verifications: &verifications,
        escalations: &escalations,
    })))
}

/// By id, fingerprint, or an unambiguous beginning of a fingerprint; the active ones first, then the cleared ones.
async fn find_violation(context: &Context, id: &str) -> Result<Violation, ApiError> {
    let view = context.handle.view();
    if let Some(found) = the_one(view.violations.iter(), id)? {
        return Ok(found.clone());
    }
    if let Some(tracked) = get::<TrackedViolation>(&context.knowledge, id).await? {
        return Ok(tracked.violation);
    }
    let kept = context.knowledge.survey::<TrackedViolation>(None, LOOKED_THROUGH).await?.0;
    match the_one(kept.iter().map(|tracked| &tracked.violation), id)? {
        Some(found) => Ok(found.clone()),
        None => Err(ApiError::NotFound(format!(
            "no violation whose id is {id}, or whose fingerprint is or begins with it ({SHORTEST_PREFIX} characters at \
             least), is active or among the newest {LOOKED_THROUGH} that cleared; GET /api/v1/violations lists the \
             active ones"
        ))),
    }
}

fn the_one<'a>(
    violations: impl Iterator<Item = &'a Violation> + Clone,
    id: &str,
) -> Result<Option<&'a Violation>, ApiError> {
    let whole = |v: &&Violation| v.fingerprint == id || v.id.to_string() == id;
    if let Some(found) = violations.clone().find(whole) {
        return Ok(Some(found));
    }
    if id.chars().count() < SHORTEST_PREFIX {
        return Ok(None);
    }
    let mut found = violations.filter(|v| v.fingerprint.starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => Err(ApiError::Parameter(format!(
            "{id} begins the fingerprints of several violations, {} and {} among them: name more of it",
            one.fingerprint, other.fingerprint
        ))),
        (one, _) => Ok(one),
    }
}

/// The story of one policy.
#[utoipa::path(
    get,
    path = "/api/v1/explain/policies/{id}",
    tag = "Explanations",
    params(("id" = String, Path, description = "`id` of the policy.", pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")),
    responses(
        (status = 200, description = "The page.", body = Explanation),
        (status = 404, description = "No such policy is kept.", body = Problem),
    )
)]
pub(super) async fn policy(State(context): State<Context>, Id(id): Id) -> Answer {
    let knowledge = &context.knowledge;
    let policy = get::<Policy>(knowledge, &id).await?.ok_or_else(|| {
        ApiError::NotFound(format!("no policy {id} is kept; GET /api/v1/policies lists them"))
    })?;
    let executions = knowledge.survey::<Execution>(None, LOOKED_THROUGH).await?.0;
    let execution = executions.into_iter().find(|e| e.policy_id == policy.id);
    let (mut verification, mut verdicts) = (None, Vec::new());
    if let Some(execution) = &execution {
        verification = get::<PendingVerification>(knowledge, &execution.id.to_string()).await?;
        verdicts = verdicts_on(knowledge, execution.id).await?;
    }
    Ok(Json(explain::policy(&PolicyFacts {
        now: context.handle.now(),
        policy: &policy,
        execution: execution.as_ref(),
        verification: verification.as_ref(),
        verdicts: &verdicts,
    })))
}

/// The story of one action.
#[utoipa::path(
    get,
    path = "/api/v1/explain/actions/{id}",
    tag = "Explanations",
    params(("id" = String, Path, description = "`id` of its execution, `id` of its policy, or its idempotency key.", pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")),
    responses(
        (status = 200, description = "The page.", body = Explanation),
        (status = 404, description = "No such execution or key is kept.", body = Problem),
    )
)]
pub(super) async fn action(State(context): State<Context>, Id(id): Id) -> Answer {
    let knowledge = &context.knowledge;
    let (execution, key) = match get::<Execution>(knowledge, &id).await? {
        Some(execution) => (execution, None),
        None => by_key(knowledge, &id).await?,
    };
    let mut learned: Vec<ActionStatistics> = knowledge.statistics().await?;
    learned.retain(|s| {
        s.cause == execution.cause && execution.actions.iter().any(|a| a.action.kind() == s.action)
    });
    let policy = get::<Policy>(knowledge, &execution.policy_id.to_string()).await?;
    let verification = get::<PendingVerification>(knowledge, &execution.id.to_string()).await?;
    let verdicts = verdicts_on(knowledge, execution.id).await?;
    Ok(Json(explain::action(&ActionFacts {
        now: context.handle.now(),
        execution: &execution,
        key,
        policy: policy.as_ref(),
        verification: verification.as_ref(),
        verdicts: &verdicts,
        learned: &learned,
    })))
}

/// The story of one incident.
#[utoipa::path(
    get,
    path = "/api/v1/explain/incidents/{id}",
    tag = "Explanations",
    params(("id" = String, Path, description = "`id` of the incident.", pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")),
    responses(
        (status = 200, description = "The page.", body = Explanation),
        (status = 404, description = "No such incident is kept.", body = Problem),
    )
)]
pub(super) async fn incident(State(context): State<Context>, Id(id): Id) -> Answer {
    let own = Own::read(&context, &id).await?;
    let verifications =
        context.knowledge.survey::<PendingVerification>(None, LOOKED_THROUGH).await?.0;
    let needs: Vec<&Need> = own.needs.iter().map(|asked| &asked.need).collect();
    Ok(Json(explain::incident(&IncidentFacts {
        now: context.handle.now(),
        incident: &own.incident,
        needs: &needs,
        treatments: &own.treatments,
        verifications: &verifications,
        notification: &own.notification,
    })))
}

async fn by_key(knowledge: &Knowledge, id: &str) -> Result<(Execution, Option<Uuid>), ApiError> {
    let key: Option<Uuid> = id.parse().ok();
    let executions = match key {
        Some(_) => knowledge.survey::<Execution>(None, LOOKED_THROUGH).await?.0,
        None => Vec::new(),
    };
    let has = |e: &Execution| e.actions.iter().any(|a| Some(a.key) == key);
    let position = executions.iter().position(has);
    // Not an action's own key: then all of its actions are told.
    let of_policy = || executions.iter().position(|e| Some(e.policy_id) == key);
    let (position, key) = (position.or_else(of_policy), position.and(key));
    match position.and_then(|position| executions.into_iter().nth(position)) {
        Some(execution) => Ok((execution, key)),
        None => Err(ApiError::NotFound(format!(
            "no execution {id} is kept, and none of the newest {LOOKED_THROUGH} is of that policy or has an action with that \
             idempotency key; GET /api/v1/executions lists them"
        ))),
    }
}

async fn newest_cycle(knowledge: &Knowledge) -> Result<Option<CycleReport>, StoreError> {
    Ok(knowledge.survey(None, 1).await?.0.pop())
}

/// Outcomes are bounded by `knowledge.outcome_history_limit`, 1,000 by default.
async fn verdicts_on(knowledge: &Knowledge, execution: Uuid) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes = knowledge.survey::<Outcome>(None, LOOKED_THROUGH).await?.0;
    outcomes.retain(|o| o.execution_id == execution);
    Ok(outcomes)
}

async fn get<T: Document>(knowledge: &Knowledge, key: &str) -> Result<Option<T>, StoreError> {
    Ok(knowledge.get(key).await?.map(|(document, _)| document))
}

async fn get_all<T: Document>(knowledge: &Knowledge, ids: &[Uuid]) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    for id in ids.iter().take(SHOWN) {
        found.extend(get(knowledge, &id.to_string()).await?);
    }
    Ok(found)
}
