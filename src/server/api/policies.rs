//! Policies, and a person's approval or rejection of one that is pending.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use uuid::Uuid;

use super::{Limit, List};
use crate::domain::grant::Grant;
use crate::domain::policy::{Approval, Policy};
use crate::knowledge::Decision;
use crate::metrics::labels::WakeReason;
use crate::server::Context;
use crate::server::reply::{ApiError, Body, Params};

/// A name is kept in the record of the policy for ever.
const MAX_NAME: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyParams {
    approval: Option<Approval>,
    #[serde(default)]
    limit: Limit,
    after: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionBody {
    /// The revision that was read: a person decides on what they saw.
    revision: u32,
    /// The hash that was read, or how it begins.
    plan_hash: Option<String>,
    by: String,
}

pub(super) async fn list(
    State(context): State<Context>,
    Params(params): Params<PolicyParams>,
) -> Result<Json<List<Policy>>, ApiError> {
    let tag = params.approval.map(Approval::as_str);
    Ok(Json(context.knowledge.page(tag, params.after, params.limit.get()).await?.into()))
}

pub(super) async fn approve(
    State(context): State<Context>,
    Path(id): Path<String>,
    Body(body): Body<DecisionBody>,
) -> Result<Json<Policy>, ApiError> {
    let policy = decide(&context, &id, body, Decision::Approve).await?;
    context.metrics.woken(WakeReason::Approval);
    context.handle.wake();
    Ok(Json(policy))
}

pub(super) async fn reject(
    State(context): State<Context>,
    Path(id): Path<String>,
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
    if by.is_empty() || by.len() > MAX_NAME || by.chars().any(char::is_control) {
        return Err(ApiError::Parameter(format!(
            "by: who decides must be named, in 1 to {MAX_NAME} bytes without control characters"
        )));
    }
    if by.eq_ignore_ascii_case(Grant::AUTO) {
        return Err(ApiError::Parameter(format!(
            "by: {by} is the daemon's own name for what it approves by itself; give yours"
        )));
    }
    let hash = body.plan_hash.as_deref();
    if hash.is_some_and(|hash| !(Grant::SHOWN..=64).contains(&hash.len())) {
        return Err(ApiError::Parameter(format!(
            "plan_hash: the policy's own, or at least its first {} characters",
            Grant::SHOWN
        )));
    }
    let now = context.peoples_time()?;
    let decided = context.knowledge.decide_policy(id, body.revision, hash, decision, by, now);
    let policy = decided.await?;
    tracing::info!(
        policy_id = %policy.id,
        revision = policy.revision,
        plan_hash = policy.plan_hash,
        approval = policy.approval.as_str(),
        by,
        "a person decided on a policy"
    );
    Ok(policy)
}
