//! What happened in an incident, line by line.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::Incident;
use crate::domain::time::Time;

/// Lines kept of a timeline: the first ones say how it began, the newest how it goes.
const KEPT: usize = 100;
const KEPT_BEGIN: usize = 20;

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
    /// People are still to be notified of it. A mark on the line, because the clocks of two processes may differ: by its time
    /// nobody can tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_due: bool,
}

impl Incident {
    /// Adds a line that waits for nobody to be notified.
    pub fn note(&mut self, what: Happening, text: String, at: Time) {
        self.add(TimelineEntry { at, what, text, is_due: false });
    }

    /// Adds a line to the timeline, and answers whether it did: a line that is there already is left out, and so is one
    /// that only says again what the last of its kind said. News is never the latter: a second restart is no repetition.
    pub fn add(&mut self, line: TimelineEntry) -> bool {
        let is_known =
            |one: &TimelineEntry| (one.what, one.at, &one.text) == (line.what, line.at, &line.text);
        let last = self.timeline.iter().rev().find(|entry| entry.what == line.what);
        let is_repeated = !line.what.is_news() && last.is_some_and(|last| last.text == line.text);
        if is_repeated || self.timeline.iter().any(is_known) {
            return false;
        }
        self.timeline.push(line);
        if self.timeline.len() > KEPT {
            self.timeline.remove(KEPT_BEGIN);
        }
        true
    }
}
