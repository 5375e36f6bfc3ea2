//! The configuration: every section's settings, read from environment over file over defaults.

use serde::Serialize;

use crate::{analyzer, control_loop, executor, knowledge, monitor, planner, server, telemetry};

/// The validated configuration. Each section's settings live beside the stage that reads them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Config {
    pub orchestrator: control_loop::Settings,
    pub monitor: monitor::Settings,
    pub analyze: analyzer::Settings,
    pub plan: planner::Settings,
    pub execute: executor::Settings,
    pub knowledge: knowledge::Settings,
    pub alertmanager: monitor::AlertmanagerSettings,
    pub api: server::Settings,
    pub logging: telemetry::Settings,
}
