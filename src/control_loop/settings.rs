//! The `orchestrator` section of the configuration with its defaults.

use std::time::Duration;

use serde::Serialize;

use crate::domain::speed::divided;

/// Only sets the default of `auto_approve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Staging,
    Production,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub mode: Mode,
    /// Named in every message, alert and report, for readers who run several.
    pub environment: Option<String>,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub loop_interval: Duration,
    pub plan_threshold: u32,
    /// How long a leader may go unheard before another one takes over; for a shared store only.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub leader_lease: Duration,
    /// Resolved: true in staging and false in production unless the configuration says otherwise.
    pub auto_approve: bool,
    pub log_level: Option<String>,
}

divided!(Settings { loop_interval } unchanged {
    mode, environment, plan_threshold, auto_approve, log_level,
    // The lease is a promise between machines: their clocks, pauses and databases become no faster.
    leader_lease,
});

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Production,
            environment: None,
            loop_interval: Duration::from_secs(30),
            plan_threshold: 3,
            leader_lease: Duration::from_secs(15),
            auto_approve: false,
            log_level: None,
        }
    }
}
