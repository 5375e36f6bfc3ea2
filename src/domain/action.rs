//! The nine actions, their parameters as Charter reads them, their risk, cost and reach.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::CHARTER;

/// What can be done to Charter.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(Display, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ActionKind {
    ScaleUp,
    ScaleDown,
    RestartService,
    ApplyPolicy,
    BypassValidation,
    ThrottleRequests,
    ActivateEmergencyOverride,
    RebalanceLoad,
    UpdateConfiguration,
}

impl ActionKind {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// How long an action takes to show what it does, when the configuration says nothing else (`execute.settle`).
    #[must_use]
    pub fn default_settle(self) -> Duration {
        Duration::from_secs(match self {
            Self::ApplyPolicy
            | Self::UpdateConfiguration
            | Self::ThrottleRequests
            | Self::BypassValidation
            | Self::ActivateEmergencyOverride => 60,
            Self::RestartService => 120,
            Self::RebalanceLoad | Self::ScaleUp => 180,
            Self::ScaleDown => 300,
        })
    }

    /// Can what it did be taken back?
    #[must_use]
    pub fn is_reversible(self) -> bool {
        self != Self::RestartService
    }

    /// It ends by itself, and widens what Charter lets pass meanwhile.
    #[must_use]
    pub fn is_override(self) -> bool {
        matches!(self, Self::BypassValidation | Self::ActivateEmergencyOverride)
    }

    /// The action that undoes it by doing the opposite.
    #[must_use]
    pub fn opposite(self) -> Option<Self> {
        match self {
            Self::ScaleUp => Some(Self::ScaleDown),
            Self::ScaleDown => Some(Self::ScaleUp),
            Self::RestartService
            | Self::ApplyPolicy
            | Self::BypassValidation
            | Self::ThrottleRequests
            | Self::ActivateEmergencyOverride
            | Self::RebalanceLoad
            | Self::UpdateConfiguration => None,
        }
    }

    /// What the action costs when the configuration says nothing else (`plan.cost_model`).
    #[must_use]
    pub fn default_cost(self) -> f64 {
        match self {
            Self::ScaleDown => 0.05,
            Self::ScaleUp => 0.15,
            Self::RestartService => 0.20,
            Self::RebalanceLoad => 0.25,
            Self::ApplyPolicy => 0.30,
            Self::UpdateConfiguration => 0.35,
            Self::ThrottleRequests => 0.40,
            Self::ActivateEmergencyOverride => 0.60,
            Self::BypassValidation => 0.70,
        }
    }
}

/// How much an action may spoil.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Risk {
    Low,
    Medium,
    High,
}

impl Risk {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How load is spread over replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(Display)]
#[strum(serialize_all = "snake_case")]
pub enum RebalanceStrategy {
    RoundRobin,
    LeastLoaded,
}

/// One change to Charter with its parameters: flat, tagged by `action`, exactly as Charter validates it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    ScaleUp {
        replicas: u32,
    },
    ScaleDown {
        replicas: u32,
    },
    RestartService {
        /// `None` restarts the whole committee; planned only when the strategy says `service: all`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        graceful: bool,
    },
    ApplyPolicy {
        policy_set: String,
    },
    BypassValidation {
        validation_type: String,
        duration_seconds: u64,
    },
    ThrottleRequests {
        rate_limit: f64,
        duration_seconds: u64,
    },
    ActivateEmergencyOverride {
        duration_seconds: u64,
    },
    RebalanceLoad {
        strategy: RebalanceStrategy,
    },
    UpdateConfiguration {
        settings: Map<String, Value>,
    },
}

impl Action {
    #[must_use]
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::ScaleUp { .. } => ActionKind::ScaleUp,
            Self::ScaleDown { .. } => ActionKind::ScaleDown,
            Self::RestartService { .. } => ActionKind::RestartService,
            Self::ApplyPolicy { .. } => ActionKind::ApplyPolicy,
            Self::BypassValidation { .. } => ActionKind::BypassValidation,
            Self::ThrottleRequests { .. } => ActionKind::ThrottleRequests,
            Self::ActivateEmergencyOverride { .. } => ActionKind::ActivateEmergencyOverride,
            Self::RebalanceLoad { .. } => ActionKind::RebalanceLoad,
            Self::UpdateConfiguration { .. } => ActionKind::UpdateConfiguration,
        }
    }

    #[must_use]
    pub fn risk(&self) -> Risk {
        match self {
            Self::ScaleUp { .. } | Self::ScaleDown { .. } | Self::RebalanceLoad { .. } => Risk::Low,
            Self::ApplyPolicy { .. }
            | Self::UpdateConfiguration { .. }
            | Self::ThrottleRequests { .. }
            | Self::RestartService { service: Some(_), .. } => Risk::Medium,
            Self::RestartService { service: None, .. }
            | Self::ActivateEmergencyOverride { .. }
            | Self::BypassValidation { .. } => Risk::High,
        }
    }

    /// How long it is meant to be in force, where it ends by itself.
    #[must_use]
    pub fn lasts(&self) -> Option<Duration> {
        match self {
            Self::BypassValidation { duration_seconds, .. }
            | Self::ThrottleRequests { duration_seconds, .. }
            | Self::ActivateEmergencyOverride { duration_seconds } => {
                Some(Duration::from_secs(*duration_seconds))
            }
            Self::ScaleUp { .. }
            | Self::ScaleDown { .. }
            | Self::RestartService { .. }
            | Self::ApplyPolicy { .. }
            | Self::RebalanceLoad { .. }
            | Self::UpdateConfiguration { .. } => None,
        }
    }

    /// The ground it changes: every action changes Charter as a whole except the restart of one named service.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::RestartService { service: Some(service), .. } => Scope::Service(service.clone()),
            _ => Scope::Charter,
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ScaleUp { replicas } | Self::ScaleDown { replicas } => {
                write!(f, "{} to {replicas} replicas", self.kind())
            }
            Self::RestartService { service: Some(service), .. } => {
                write!(f, "restart_service {service}")
            }
            Self::RestartService { service: None, .. } => f.write_str("restart_service of all"),
            Self::ApplyPolicy { policy_set } => write!(f, "apply_policy {policy_set}"),
            Self::BypassValidation { validation_type, duration_seconds } => {
                write!(f, "bypass_validation {validation_type} for {duration_seconds} s")
            }
            Self::ThrottleRequests { rate_limit, duration_seconds } => {
                write!(f, "throttle_requests to {rate_limit:.0} ops/s for {duration_seconds} s")
            }
            Self::ActivateEmergencyOverride { duration_seconds } => {
                write!(f, "activate_emergency_override for {duration_seconds} s")
            }
            Self::RebalanceLoad { strategy } => {
                write!(f, "rebalance_load {strategy}")
            }
            Self::UpdateConfiguration { settings } => {
                write!(f, "update_configuration of {} settings", settings.len())
            }
        }
    }
}

/// The ground an action touches and is judged on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Charter,
    Service(String),
}

impl Scope {
    /// The component it stands for.
    #[must_use]
    pub fn component(&self) -> &str {
        match self {
            Self::Charter => CHARTER,
            Self::Service(service) => service,
        }
    }

    /// Does a violation of this component lie on this ground?
    #[must_use]
    pub fn covers(&self, component: Option<&str>) -> bool {
        match self {
            Self::Charter => true,
            Self::Service(service) => component == Some(service.as_str()),
        }
    }

    /// Two grounds that may not be worked on at once.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Charter, _) | (_, Self::Charter) => true,
            (Self::Service(a), Self::Service(b)) => a == b,
        }
    }
}
