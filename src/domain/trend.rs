//! How incidents develop over the last assessments, as a cycle's report tells it.

use serde::{Deserialize, Serialize};

/// Ids of incidents by how they develop. The lists do not overlap, but for `worsening`, whose members are in one of the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrendAnalysis {
    /// Assessments that were looked at.
    pub assessments: usize,
    pub new: Vec<String>,
    pub recurring: Vec<String>,
    pub worsening: Vec<String>,
    pub resolved: Vec<String>,
}
