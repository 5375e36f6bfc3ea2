//! Charter as seen in one cycle.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use utoipa::ToSchema;

use super::time::Time;

/// What Charter says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CommitteeStatus {
    Normal,
    Degraded,
    Critical,
    Recovering,
}

/// Charter's own account of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommitteeState {
    pub status: CommitteeStatus,
    pub replicas: u32,
    pub healthy_nodes: u32,
}

/// `/health` and `/committee/state` of one cycle; without both nothing is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CharterView {
    pub at: Time,
    /// False while `execute.charter_url` is null: Charter is not asked.
    pub is_on: bool,
    pub state: Result<CommitteeState, String>,
}

impl CharterView {
    #[must_use]
    pub fn turned_off(at: Time) -> Self {
        let why = "Charter is turned off (execute.charter_url is null)".to_owned();
        Self { at, is_on: false, state: Err(why) }
    }

    /// Its answer has not come in this cycle.
    #[must_use]
    pub fn unread(at: Time) -> Self {
        Self { at, is_on: true, state: Err("Charter has not been read in this cycle".to_owned()) }
    }

    /// Why Charter's state is not known although it should be.
    #[must_use]
    pub fn problem(&self) -> Option<&String> {
        self.state.as_ref().err().filter(|_| self.is_on)
    }
}
