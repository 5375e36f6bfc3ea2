//! The table of actions: one row each. A new action of a system is a row here and the code of its actuator.

use std::time::Duration;

use super::{ActionKind, Risk};
use crate::domain::target::System;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of a table")]
pub struct ActionSpec {
    /// Every hook has its own, `hook/…`.
    pub name: &'static str,
    pub system: System,
    /// Keys that a strategy may set for it.
    pub parameters: &'static [&'static str],
    /// Those of them that are neither computed nor have a default.
    pub required: &'static [&'static str],
    pub risk: Risk,
    pub cost: f64,
    pub settle: Duration,
    /// What it did can be undone; of a hook its configuration says.
    pub reversible: bool,
    pub opposite: Option<ActionKind>,
    /// It changes its system as a whole, however many components show the cause.
    pub whole: bool,
    /// It may take capacity away: missing data never justifies it.
    pub shrinks: bool,
    /// It widens what Charter lets pass, for a while.
    pub is_override: bool,
}

/// What most rows have.
const CHARTER: ActionSpec = ActionSpec {
    name: "",
    system: System::Charter,
    parameters: &[],
    required: &[],
    risk: Risk::Medium,
    cost: 0.0,
    settle: Duration::from_secs(60),
    reversible: true,
    opposite: None,
    whole: false,
    shrinks: false,
    is_override: false,
};

const SCALE_UP: ActionSpec = ActionSpec {
    name: "scale_up",
    parameters: &["replicas"],
    risk: Risk::Low,
    cost: 0.15,
    settle: Duration::from_secs(180),
    opposite: Some(ActionKind::ScaleDown),
    whole: true,
    ..CHARTER
};

const SCALE_DOWN: ActionSpec = ActionSpec {
    name: "scale_down",
    parameters: &["replicas"],
    risk: Risk::Low,
    cost: 0.05,
    settle: Duration::from_secs(300),
    opposite: Some(ActionKind::ScaleUp),
    whole: true,
    shrinks: true,
    ..CHARTER
};

/// Of all services at once its risk is high.
const RESTART_SERVICE: ActionSpec = ActionSpec {
    name: "restart_service",
    parameters: &["service", "graceful"],
    cost: 0.20,
    settle: Duration::from_secs(120),
    reversible: false,
    ..CHARTER
};

const APPLY_POLICY: ActionSpec = ActionSpec {
    name: "apply_policy",
    parameters: &["policy_set"],
    required: &["policy_set"],
    cost: 0.30,
    ..CHARTER
};

const BYPASS_VALIDATION: ActionSpec = ActionSpec {
    name: "bypass_validation",
    parameters: &["validation_type", "duration_seconds"],
    required: &["validation_type", "duration_seconds"],
    risk: Risk::High,
    cost: 0.70,
    is_override: true,
    ..CHARTER
};

const THROTTLE_REQUESTS: ActionSpec = ActionSpec {
    name: "throttle_requests",
    parameters: &["rate_limit", "duration_seconds"],
    required: &["duration_seconds"],
    cost: 0.40,
    whole: true,
    ..CHARTER
};

const ACTIVATE_EMERGENCY_OVERRIDE: ActionSpec = ActionSpec {
    name: "activate_emergency_override",
    parameters: &["duration_seconds"],
    required: &["duration_seconds"],
    risk: Risk::High,
    cost: 0.60,
    whole: true,
    is_override: true,
    ..CHARTER
};

const REBALANCE_LOAD: ActionSpec = ActionSpec {
    name: "rebalance_load",
    parameters: &["strategy"],
    required: &["strategy"],
    risk: Risk::Low,
    cost: 0.25,
    settle: Duration::from_secs(180),
    whole: true,
    ..CHARTER
};

const UPDATE_CONFIGURATION: ActionSpec = ActionSpec {
    name: "update_configuration",
    parameters: &["settings"],
    required: &["settings"],
    cost: 0.35,
    ..CHARTER
};

/// Its cost, risk and settle time are the hook's own where `hooks` sets them.
const HOOK: ActionSpec = ActionSpec {
    name: "hook",
    system: System::Hook,
    cost: 0.30,
    settle: Duration::from_secs(120),
    ..CHARTER
};

pub(super) fn of(kind: ActionKind) -> &'static ActionSpec {
    match kind {
        ActionKind::ScaleUp => &SCALE_UP,
        ActionKind::ScaleDown => &SCALE_DOWN,
        ActionKind::RestartService => &RESTART_SERVICE,
        ActionKind::ApplyPolicy => &APPLY_POLICY,
        ActionKind::BypassValidation => &BYPASS_VALIDATION,
        ActionKind::ThrottleRequests => &THROTTLE_REQUESTS,
        ActionKind::ActivateEmergencyOverride => &ACTIVATE_EMERGENCY_OVERRIDE,
        ActionKind::RebalanceLoad => &REBALANCE_LOAD,
        ActionKind::UpdateConfiguration => &UPDATE_CONFIGURATION,
        ActionKind::Hook(_) => &HOOK,
    }
}
