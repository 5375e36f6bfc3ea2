//! Where incidents are heading, as a cycle's report shows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::finding::IncidentClass;

/// Which way it goes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Heading {
    /// Not seen in the 24 hours before.
    New,
    Recurring,
    /// A number is worse than at the assessment before.
    Worsening,
    /// Present in one of the last assessments, and gone again.
    Resolved,
}

/// What a cycle's report says of the trend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrendAnalysis {
    /// Looked at, this one included.
    pub assessments: usize,
    pub incidents: Vec<TrendOf>,
}

/// Which way one incident goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrendOf {
    pub incident: String,
    pub service: String,
    pub class: IncidentClass,
    pub heading: Heading,
    /// The number that became worse.
    pub detail: Option<String>,
}
