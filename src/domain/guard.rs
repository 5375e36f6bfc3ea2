//! Guards: the checks that a candidate with a sufficient score has to pass before it is carried out, in their order.
//!
//! Each is read for every candidate whose turn it is, with the number that it looked at and its limit, so that
//! `explain`, the API, the log and the metrics show one and the same reading.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::cycle::Hold;

/// Who may hold a candidate back.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Guard {
    /// A person's pause.
    Pause,
    /// `guardrails.mode`.
    Mode,
    /// This process leads, and Charter has seen no later leader.
    Leader,
    /// Charter answers.
    Charter,
    /// The watch caches have the target as it is now.
    Kubernetes,
    /// The label `mape-k.io/act` of the target allows actions.
    OptIn,
    /// The target is none of those that nobody but people may touch.
    Protected,
    /// The data behind it is fresh and covered.
    Freshness,
    /// Most of the system is sick at once.
    Storm,
    /// Our own actions have done harm, or no good.
    Breaker,
    /// An action is still taking effect on this target. Asked before the cooldown, which is never shorter: the reason
    /// to name is the action that is being verified.
    Conflict,
    /// The same action on the same target, or its opposite, not long ago.
    Cooldown,
    /// Actions in the last hour and day, in all and on this target.
    Budget,
    /// Risk, and a person's word.
    Approval,
}

impl Guard {
    /// In the order in which they are asked; the first that holds decides.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What one guard said about one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuardReading {
    pub guard: Guard,
    /// `None`: it lets it pass.
    pub held: Option<Hold>,
    /// The number it looked at and the limit it held it to, where it is a matter of numbers.
    pub value: Option<f64>,
    pub limit: Option<f64>,
    /// In words, with the unit.
    pub detail: String,
}

impl GuardReading {
    #[must_use]
    pub fn passed(guard: Guard, detail: impl Into<String>) -> Self {
        Self { guard, held: None, value: None, limit: None, detail: detail.into() }
    }

    #[must_use]
    pub fn held(guard: Guard, hold: Hold, detail: impl Into<String>) -> Self {
        Self { guard, held: Some(hold), value: None, limit: None, detail: detail.into() }
    }

    #[must_use]
    pub fn with(self, value: f64, limit: f64) -> Self {
        Self { value: Some(value), limit: Some(limit), ..self }
    }
}
