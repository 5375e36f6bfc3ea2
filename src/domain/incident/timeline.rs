//! What happened in an incident, line by line.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use crate::domain::time::Time;

/// What happened in an incident.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Happening {
    Seen,
    Worsened,
    /// A person is asked for something.
    Needed,
    /// That need ended.
    Answered,
    Proposed,
    /// A guard holds the proposal, with its numbers.
    Held,
    Approved,
    Rejected,
    Applied,
    Failed,
    Undone,
    /// The result of an action.
    Result,
    Recurred,
    Notified,
    Merged,
    Resolved,
}

impl Happening {
    /// Everybody who was notified of the incident is notified of this at once.
    #[must_use]
    pub fn is_news(self) -> bool {
        match self {
            Self::Approved
            | Self::Rejected
            | Self::Applied
            | Self::Failed
            | Self::Undone
            | Self::Result
            | Self::Recurred => true,
            Self::Seen
            | Self::Worsened
            | Self::Needed
            | Self::Answered
            | Self::Proposed
            | Self::Held
            | Self::Notified
            | Self::Merged
            | Self::Resolved => false,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One line of an incident's timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimelineEntry {
    pub at: Time,
    pub what: Happening,
    /// With who, where and the numbers.
    pub text: String,
}
