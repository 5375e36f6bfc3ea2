//! How far an action brought its violation's own score back: what is kept of the score at the intent, and what came of it.
//!
//! Values only; the arithmetic is `knowledge::recovery`'s.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::outcome::OutcomeType;

/// The score of the worst violation of the evidence at the intent; stored, so that a verification after a restart
/// compares with the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    Scored(Score),
    Unscored(Unscored),
}

/// Why there is nothing to measure a recovery on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unscored {
    /// Alerts carry no value.
    Alert,
    /// A counter's increase depends on its window, which changes when the action settles.
    Counter,
    /// A bare condition holds or does not.
    Condition,
    /// Its series was not read at the intent, or more series are watched than are remembered.
    Unread,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The violation's fingerprint.
    pub series: String,
    /// Larger is worse.
    pub rising: bool,
    /// Median of its last readings before the intent.
    pub before: f64,
    pub normal: Option<Normal>,
    /// The same rule elsewhere, outside the action's scope; none when the action covers Charter as a whole.
    pub control: Vec<Control>,
    /// Recoveries of this series at times at which nothing was done.
    pub placebo: Vec<f64>,
}

/// The values of the series before the violation began.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normal {
    pub base: f64,
    pub sigma: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Control {
    pub series: String,
    pub component: String,
    pub before: f64,
}

/// What was measured; stored with the outcome. It can only lower the result that the count gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// The class that the count of violations gave.
    pub counted: OutcomeType,
    pub lowered_by: Option<Lowering>,
    /// Why there is no score at all.
    pub unscored: Option<Unscored>,
    /// The score before, in normal times (with its spread), and after.
    pub before: Option<f64>,
    pub base: Option<f64>,
    pub sigma: Option<f64>,
    pub after: Option<f64>,
    /// The share of the excess that is gone, minus the share that is gone elsewhere too; 1 is all of it.
    pub recovery: Option<f64>,
    /// The share that is gone elsewhere: the median over so many components outside the action's scope.
    pub control: Option<f64>,
    pub controls: usize,
    /// The share of times without any action at which the score recovered by as much; known from 50 of them on.
    pub placebo: Option<f64>,
    pub placebo_times: usize,
}

/// Which number lowered the class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lowering {
    /// Worse than before by more than three sigma.
    Worse,
    /// This rule was not broken there at the intent, and is now.
    Guard(String),
    Recovery,
    Placebo,
}

impl Unscored {
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Alert => "an alert has no value",
            Self::Counter => "a counter's value depends on its window",
            Self::Condition => "a bare condition has no value",
            Self::Unread => "its series was not remembered at the intent",
        }
    }
}
