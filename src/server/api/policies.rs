//! Policies, and a person's approval or rejection of one that is pending.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Limit, List};
use crate::domain::grant::Grant;
use crate::domain::policy::{Approval, Policy};
use crate::knowledge::{By, Decision};
use crate::metrics::labels::WakeReason;
use crate::server::Context;
use crate::server::reply::{ApiError, Body, Conflict, Id, Params, Problem};

/// A name is kept in the record of the policy for ever.
const MAX_NAME: usize = 200;
const MAX_REASON: usize = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PolicyParams {
    /// Only those in this state; `pending` are those that wait for a person.
    #[param(inline)]
    approval: Option<Approval>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
    /// The `next` of the page before; without it the newest.
    #[param(minimum = -9_223_372_036_854_775_808_i64, maximum = 9_223_372_036_854_775_807_i64)]
    after: Option<i64>,
}

/// A person's decision on a policy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionBody {
    /// The revision that was read: a person decides on what they saw.
    #[serde(deserialize_with = "crate::domain::whole::whole")]
    #[schema(minimum = 0, maximum = 4_294_967_295_u32)]
    revision: u32,
    /// The hash that was read, or how it begins (8 characters at least).
    #[schema(pattern = "^[0-9a-f]{8,64}$")]
    plan_hash: Option<String>,
    /// Who decides; kept with the policy. Not `auto`, which is the daemon's own name.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^(?!\s*[Aa][Uu][Tt][Oo]\s*$)[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    by: String,
    /// Why; kept with the policy and shown by explain and history.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    reason: Option<String>,
}

/// Decisions of the loop: what it wants to do or has done, and who allowed it.
#[utoipa::path(
    get,
    path = "/api/v1/policies",
    tag = "Policies",
    params(PolicyParams),
    responses((status = 200, description = "A page, newest first.", body = List<Policy>))
)]
pub(super) async fn list(
    State(context): State<Context>,
    Params(params): Params<PolicyParams>,
) -> Result<Json<List<Policy>>, ApiError> {
    let tag = params.approval.map(Approval::as_str);
    Ok(Json(List::read(&context, tag, params.after, params.limit).await?))
}

/// Approves a pending policy: the loop wakes and carries it out, if its guards still let it.
#[utoipa::path(
    post,
    path = "/api/v1/policies/{id}/approve",
    tag = "Policies",
    params(("id" = Uuid, Path, description = "`id` of the policy.")),
    request_body = DecisionBody,
    responses(
        (status = 200, description = "The policy as it is now.", body = Policy),
        (status = 404, description = "No such policy is kept.", body = Problem),
        (status = 409, description = "Not pending, or another revision or hash than the one that was read; nothing was changed.", body = Conflict),
    )
)]
pub(super) async fn approve(
    State(context): State<Context>,
    Id(id): Id,
    Body(body): Body<DecisionBody>,
) -> Result<Json<Policy>, ApiError> {
    let policy = decide(&context, &id, body, Decision::Approve).await?;
    context.metrics.woken(WakeReason::Approval);
    context.handle.wake();
    Ok(Json(policy))
}

/// Rejects a pending policy: its action is not proposed again while the violations behind it last.
#[utoipa::path(
    post,
    path = "/api/v1/policies/{id}/reject",
    tag = "Policies",
    params(("id" = Uuid, Path, description = "`id` of the policy.")),
    request_body = DecisionBody,
    responses(
        (status = 200, description = "The policy as it is now.", body = Policy),
        (status = 404, description = "No such policy is kept.", body = Problem),
        (status = 409, description = "Not pending, or another revision or hash than the one that was read; nothing was changed.", body = Conflict),
    )
)]
pub(super) async fn reject(
    State(context): State<Context>,
    Id(id): Id,
    Body(body): Body<DecisionBody>,
) -> Result<Json<Policy>, ApiError> {
    Ok(Json(decide(&context, &id, body, Decision::Reject).await?))
}

async fn decide(
    context: &Context,
    id: &str,
    body: DecisionBody,
    decision: Decision,
) -> Result<Policy, ApiError> {
    let id: Uuid = id
        .parse()
        .map_err(|_| ApiError::Parameter(format!("id: {id:?} is not a policy's id (a UUID)")))?;
    let by = body.by.trim();
    if by.is_empty() || by.chars().count() > MAX_NAME || by.chars().any(char::is_control) {
        return Err(ApiError::Parameter(format!(
            "by: who decides must be named, in 1 to {MAX_NAME} characters without control characters"
        )));
    }
    if by.eq_ignore_ascii_case(Grant::AUTO) {
        return Err(ApiError::Parameter(format!(
            "by: {by} is the daemon's own name for what it approves by itself; give yours"
        )));
    }
    let reason = body.reason.as_deref().map(str::trim);
    if reason.is_some_and(|text| {
        text.is_empty() || text.chars().count() > MAX_REASON || text.chars().any(char::is_control)
    }) {
        return Err(ApiError::Parameter(format!(
            "reason: 1 to {MAX_REASON} characters without control characters"
        )));
    }
    let hash = body.plan_hash.as_deref();
    if hash.is_some_and(|hash| !(Grant::SHOWN..=64).contains(&hash.len())) {
        return Err(ApiError::Parameter(format!(
            "plan_hash: the policy's own, or at least its first {} characters",
            Grant::SHOWN
        )));
    }
    let now = context.time_text()?;
    let who = By { name: by, reason };
    let decided = context.knowledge.decide_policy(id, body.revision, hash, decision, who, now);
    let policy = decided.await?;
    tracing::info!(
        policy_id = %policy.id,
        revision = policy.revision,
        plan_hash = policy.plan_hash,
        approval = policy.approval.as_str(),
        by,
        reason,
        "a person decided on a policy"
    );
    Ok(policy)
}
