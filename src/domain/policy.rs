//! A policy: actions for one cause on one component, with their cost, their numbers and who approved them.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::{Action, Risk};
use super::grant::Grant;
use super::{Cause, Labels, legible, time::Time};

/// The status of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Approval {
    Pending,
    Approved,
    Rejected,
    Executed,
    Expired,
    Superseded,
}

impl Approval {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Still waiting to be executed.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::Approved => true,
            Self::Rejected | Self::Executed | Self::Expired | Self::Superseded => false,
        }
    }
}

/// How urgent a policy is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Priority {
    Low,
    Medium,
    High,
    Critical,
}

/// What a policy proposed before its actions or parameters changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EarlierRevision {
    pub revision: u32,
    pub plan_hash: String,
    pub actions: Vec<Action>,
}

impl EarlierRevision {
    /// Kept of one policy: it expires after `plan.approval_ttl`, and nobody reads further back.
    pub const KEPT: usize = 5;
}

/// Actions that the loop wants to carry out, or has carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    pub id: Uuid,
    /// Rises only when actions or parameters change.
    pub revision: u32,
    pub cause: Cause,
    pub component: String,
    /// 0 to 1.
    pub cause_confidence: f64,
    pub actions: Vec<Action>,
    pub expected_impact: String,
    pub risk: Risk,
    /// By `plan.cost_model`, 0 to 1.
    pub cost: f64,
    /// Confidence times effectiveness, 0 to 1.
    pub benefit: f64,
    /// Benefit less cost.
    pub score: f64,
    pub approval: Approval,
    pub priority: Priority,
    /// Fingerprints of the violations behind it; when none is active it expires.
    pub evidence: Vec<String>,
    /// The labels that all of them have in common, for a hook.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    pub created_at: Time,
    pub updated_at: Time,
    /// When a person decided, or it expired.
    pub decided_at: Option<Time>,
    /// Who approved or rejected it; `auto` for `orchestrator.auto_approve`.
    pub decided_by: Option<String>,
    /// Why it was rejected, in the words of the person who did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_reason: Option<String>,
    /// What it proposed before its present revision, oldest first: somebody may have read that. The last 5 are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierRevision>,
    /// SHA-256 in hex of its present revision; empty in a record of an earlier version.
    #[serde(default)]
    pub plan_hash: String,
    /// What the executor asks for before it sends anything.
    #[serde(default)]
    pub grant: Option<Grant>,
}

impl Policy {
    /// Why it expired, for people.
    #[must_use]
    pub fn expiry(&self) -> String {
        match self.decided_by.as_deref() {
            Some(by) => format!(
                "its approval by {} expired before the guards let it begin, or its violations cleared",
                legible::name(by)
            ),
            None => "nobody decided in time, or its violations cleared".to_owned(),
        }
    }
}
