//! How the loop stands between its cycles: how far it may go by itself, and what its guards remember.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use utoipa::ToSchema;

use super::ledger::Ledger;
use super::time::{Time, since};

/// How far the loop goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Mode {
    /// Reads, concludes, plans and reports; nothing that changes Charter is ever sent.
    Observe,
    /// Every action waits for a person, whatever `orchestrator.auto_approve` says.
    Suggest,
    /// `orchestrator.auto_approve` decides whether an action waits for a person.
    Act,
}

impl Mode {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How freely the loop may act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    pub mode: Mode,
    pub auto_approve: bool,
    /// Until when the breaker is open, half-open from then on; `None`: closed.
    pub breaker_open_until: Option<Time>,
    pub storm_since: Option<Time>,
    /// Actions of the last hour, and how many it may have.
    pub actions_in_hour: usize,
    pub actions_per_hour: u32,
}

impl Standing {
    /// `hour`, `per_hour`: the budget that the entries count against.
    #[must_use]
    pub fn of(
        ledger: &Ledger,
        mode: Mode,
        auto_approve: bool,
        (per_hour, hour): (u32, Duration),
        now: Time,
    ) -> Self {
        Self {
            mode,
            auto_approve,
            breaker_open_until: ledger.breaker.tripped.as_ref().map(|tripped| tripped.until),
            storm_since: ledger.storm.as_ref().map(|storm| storm.since),
            actions_in_hour: ledger.entries.iter().filter(|e| since(now, e.at) < hour).count(),
            actions_per_hour: per_hour,
        }
    }

    /// In one line, as it was at `at`.
    #[must_use]
    pub fn said(&self, at: Time) -> String {
        let clock = |time: Time| time.format("%H:%M:%S UTC").to_string();
        let breaker = match self.breaker_open_until {
            None => "closed".to_owned(),
            Some(until) if until > at => format!("open until {}", clock(until)),
            Some(until) => format!("half-open since {}", clock(until)),
        };
        let storm = self
            .storm_since
            .map_or_else(|| "no storm".to_owned(), |since| format!("storm since {}", clock(since)));
        format!(
            "mode {}, auto_approve {}; breaker {breaker}, {storm}; {} of {} actions used in the last hour",
            self.mode.as_str(),
            if self.auto_approve { "on" } else { "off" },
            self.actions_in_hour,
            self.actions_per_hour
        )
    }
}
