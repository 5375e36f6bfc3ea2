//! What a person is asked for: one record per (reason, cause, component, subject), with a begin and an end of its own.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::target::Target;
use super::{Cause, time::Time};

/// Why a person is needed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum NeedReason {
    UnknownCause,
    UnknownAlert,
    /// Critical, brought by a webhook, and not in Alertmanager's list.
    UnconfirmedAlert,
    ApprovalNeeded,
    CapacityExhausted,
    ActionFailed,
    Ineffective,
    Degradation,
    OutcomeUnknown,
    RemediesExhausted,
    Flapping,
    AmbiguousScope,
    DataMissing,
    /// The metrics cannot be read at all.
    Blind,
    /// There is an action that could help, and something keeps the loop from it for too long.
    HandsTied,
    Breaker,
    Storm,
    Budget,
}

impl NeedReason {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    /// A condition of the daemon itself, whatever component it speaks of.
    #[must_use]
    pub fn is_the_daemons(self) -> bool {
        matches!(
            self,
            Self::Blind
                | Self::Breaker
                | Self::Storm
                | Self::Budget
                | Self::DataMissing
                | Self::AmbiguousScope
        )
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The proposal that waits for an approval, as it stands: what is approved is exactly this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalRequest {
    pub policy: Uuid,
    pub revision: u32,
    /// How its hash begins: what `mape-k approve` and `mape-k reject` take.
    pub hash: String,
    /// Undecided by then it expires.
    pub expires_at: Time,
}

/// What a person is asked for: the loop cannot or may not do it itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Need {
    pub id: Uuid,
    pub reason: NeedReason,
    pub cause: Option<Cause>,
    pub component: Option<String>,
    /// Rule or alert name.
    pub subject: String,
    /// What a person needs to know, in one or two sentences.
    pub detail: String,
    /// Fingerprints; "clear" means that none of them is active.
    pub evidence: Vec<String>,
    pub opened_at: Time,
    pub closed_at: Option<Time>,
    pub times_seen: u64,
    /// When its evidence was last active: some records close only after a while of clear.
    pub last_active_at: Time,
    /// Its subject, where its evidence does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Of a need for an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRequest>,
    /// The incident that it belongs to, or that goes on with that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
}

impl Need {
    /// The identity under which at most one record is open.
    #[must_use]
    pub fn key(&self) -> (NeedReason, Option<Cause>, Option<String>, String) {
        (self.reason, self.cause.clone(), self.component.clone(), self.subject.clone())
    }
}
