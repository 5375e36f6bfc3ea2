//! How the loop stands between its cycles: how far it may go by itself, and what its guards remember.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use utoipa::ToSchema;

use super::ledger::Ledger;
use super::target::System;
use super::time::{self, Time, since};

/// How far the loop goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Mode {
    /// Reads, concludes, plans and reports; no system is ever changed.
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
pub struct LoopStatus {
    pub mode: Mode,
    pub auto_approve: bool,
    /// Until when Charter's breaker is open, half-open from then on; `None`: closed.
    pub breaker_open_until: Option<Time>,
    /// Charter's storm.
    pub storm_since: Option<Time>,
    /// Actions on Charter of the last hour, and how many it may have.
    pub actions_in_hour: usize,
    pub actions_per_hour: u32,
    /// How long that hour is: `mape-k run --speed` divides it. 0: an older version wrote it.
    #[serde(default)]
    pub hour_seconds: f64,
    /// The other systems on which something may act: each has a breaker, a storm and a budget of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<SystemStanding>,
}

/// How freely the loop may act on one system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SystemStanding {
    pub system: System,
    pub breaker_open_until: Option<Time>,
    pub storm_since: Option<Time>,
    pub actions_in_hour: usize,
    pub actions_per_hour: u32,
    /// How long that hour is: `mape-k run --speed` divides it. 0: an older version wrote it.
    #[serde(default)]
    pub hour_seconds: f64,
}

impl SystemStanding {
    /// `hour`, `per_hour`: the budget that the entries count against.
    #[must_use]
    pub fn of(
        ledger: &Ledger,
        system: System,
        (per_hour, hour): (u32, Duration),
        now: Time,
    ) -> Self {
        let own = ledger.entries.iter().filter(|e| e.target.system() == system);
        Self {
            system,
            breaker_open_until: ledger.tripped(system).map(|tripped| tripped.until),
            storm_since: ledger.storm(system).map(|storm| storm.since),
            actions_in_hour: own.filter(|e| since(now, e.at) < hour).count(),
            actions_per_hour: per_hour,
            hour_seconds: hour.as_secs_f64(),
        }
    }

    fn said(&self, at: Time) -> String {
        let breaker = match self.breaker_open_until {
            None => "closed".to_owned(),
            Some(until) if until > at => format!("open until {}", time::text(until)),
            Some(until) => format!("half-open since {}", time::text(until)),
        };
        let storm = self.storm_since.map_or_else(
            || "no storm".to_owned(),
            |since| format!("storm since {}", time::text(since)),
        );
        format!(
            "breaker {breaker}, {storm}; {} of {} actions used in the last {}",
            self.actions_in_hour,
            self.actions_per_hour,
            time::hour(self.hour_seconds)
        )
    }
}

impl LoopStatus {
    /// `systems`: those on which something may act, Charter among them or not.
    #[must_use]
    pub fn new(mode: Mode, auto_approve: bool, systems: Vec<SystemStanding>) -> Self {
        let (charter, others): (Vec<_>, Vec<_>) =
            systems.into_iter().partition(|s| s.system == System::Charter);
        let charter = charter.into_iter().next();
        Self {
            mode,
            auto_approve,
            breaker_open_until: charter.as_ref().and_then(|c| c.breaker_open_until),
            storm_since: charter.as_ref().and_then(|c| c.storm_since),
            actions_in_hour: charter.as_ref().map_or(0, |c| c.actions_in_hour),
            actions_per_hour: charter.as_ref().map_or(0, |c| c.actions_per_hour),
            hour_seconds: charter.as_ref().map_or(0.0, |c| c.hour_seconds),
            others,
        }
    }

    /// In one line, as it was at `at`.
    #[must_use]
    pub fn said(&self, at: Time) -> String {
        let charter = SystemStanding {
            system: System::Charter,
            breaker_open_until: self.breaker_open_until,
            storm_since: self.storm_since,
            actions_in_hour: self.actions_in_hour,
            actions_per_hour: self.actions_per_hour,
            hour_seconds: self.hour_seconds,
        };
        let auto = if self.auto_approve { "on" } else { "off" };
        let mut parts = vec![format!("mode {}, auto_approve {auto}", self.mode.as_str())];
        // Without Charter it has no budget.
        if self.actions_per_hour > 0 || self.others.is_empty() {
            parts.push(charter.said(at));
        }
        parts.extend(self.others.iter().map(|s| format!("{}: {}", s.system, s.said(at))));
        parts.join("; ")
    }
}
