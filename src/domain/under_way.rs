//! An action that has begun and whose result is not known yet: what it waits for, and until when.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Cause;
use super::action::Action;
use super::execution::Execution;
use super::outcome::PendingVerification;
use super::time::Time;

/// What an action that has begun waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    /// It is being sent, or its answer is not known.
    Executing,
    /// It was applied; what is measured before `settles_at` says nothing of it.
    Settling,
    /// It has settled: the result comes with the cycles from now on, at the latest at `verified_by`.
    Verifying,
}

/// An action that has begun and whose result is not known yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnderWay {
    pub execution_id: Uuid,
    pub cause: Cause,
    pub component: String,
    pub actions: Vec<Action>,
    pub stage: Stage,
    /// When it was intended; in a later stage, when it was applied.
    pub since: Time,
    pub settles_at: Option<Time>,
    /// Without a result by then it is `unknown`.
    pub verified_by: Option<Time>,
    /// Who allowed it.
    pub approved_by: Option<String>,
}

impl UnderWay {
    #[must_use]
    pub fn executing(execution: &Execution) -> Self {
        Self {
            execution_id: execution.id,
            cause: execution.cause.clone(),
            component: execution.component.clone(),
            actions: execution.actions.iter().map(|record| record.action.clone()).collect(),
            stage: Stage::Executing,
            since: execution.started_at,
            settles_at: None,
            verified_by: None,
            approved_by: execution.approved_by.clone(),
        }
    }

    #[must_use]
    pub fn verifying(verification: &PendingVerification, execution: &Execution, now: Time) -> Self {
        let settles = now < verification.settled_at;
        Self {
            stage: if settles { Stage::Settling } else { Stage::Verifying },
            since: verification.applied_at,
            settles_at: Some(verification.settled_at),
            verified_by: Some(verification.judge_by),
            ..Self::executing(execution)
        }
    }
}
