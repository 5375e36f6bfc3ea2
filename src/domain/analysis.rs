//! What is wrong and why: patterns, root causes and the analysis of one cycle.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::target::Target;
use super::{Cause, time::Time};

/// The detector that saw it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum PatternKind {
    Temporal,
    Spatial,
    Causal,
    Frequency,
    Sustained,
}

impl PatternKind {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What one detector saw in the violations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pattern {
    pub kind: PatternKind,
    /// 0 to 1.
    pub confidence: f64,
    pub hypothesis: String,
    pub cause: Cause,
    /// The component it points at; `charter` when it points at no single one.
    pub component: String,
    /// `None`: nothing that we can change.
    #[serde(default)]
    pub target: Option<Target>,
    /// Fingerprints of the violations behind it.
    pub evidence: Vec<String>,
}

/// What is wrong, by all patterns that point at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RootCause {
    pub cause: Cause,
    pub component: String,
    /// The target of an action against it; `None`: nothing that we can change.
    #[serde(default)]
    pub target: Option<Target>,
    /// 0 to 1.
    pub confidence: f64,
    pub patterns: Vec<PatternKind>,
    pub evidence: Vec<String>,
    /// Occurrences behind it within the planning window.
    pub occurrences: u32,
    /// A critical violation is behind it.
    pub critical: bool,
}

/// What a cycle concluded from its violations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Analysis {
    pub id: Uuid,
    pub cycle_id: String,
    pub at: Time,
    /// How many violations were active.
    pub violations: usize,
    /// 0 to 1.
    pub confidence: f64,
    pub patterns: Vec<Pattern>,
    pub root_causes: Vec<RootCause>,
    pub recommendations: Vec<String>,
}
