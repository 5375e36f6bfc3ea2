//! What can be done, its parameters, and the table of actions ([`spec`]) that planner, guards, configuration and
//! documentation read.

pub mod spec;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use arrayvec::ArrayString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use strum::{Display, IntoStaticStr};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::target::{System, Target};
use spec::ActionSpec;

/// The name of a hook with what marks it as one: `hook/restart-cart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookName(ArrayString<{ HookName::PREFIX.len() + HookName::MAX }>);

impl HookName {
    const PREFIX: &str = "hook/";
    /// So that an action's name stays a plain value that is copied, like those of the table.
    pub const MAX: usize = 40;

    /// `None`: longer than [`HookName::MAX`], empty, or with other characters than `a-z`, `0-9`, `-` and `_`.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        if name.is_empty() || name.len() > Self::MAX || !name.bytes().all(plain) {
            return None;
        }
        let mut text = ArrayString::from(Self::PREFIX).ok()?;
        text.try_push_str(name).ok()?;
        Some(Self(text))
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.0[Self::PREFIX.len()..]
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for HookName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for HookName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text)
            .ok_or_else(|| D::Error::custom(format!("{text} is not the name of a hook")))
    }
}

impl PartialSchema for HookName {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.description(Some("The name of a hook, as `hooks` of the configuration gives it."))
            .into()
    }
}

impl ToSchema for HookName {}

/// An action by name: one of the table, or a hook of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    Hook(HookName),
}

impl ActionKind {
    /// Those of the table that have a name of their own.
    pub const ALL: [Self; 9] = [
        Self::ScaleUp,
        Self::ScaleDown,
        Self::RestartService,
        Self::ApplyPolicy,
        Self::BypassValidation,
        Self::ThrottleRequests,
        Self::ActivateEmergencyOverride,
        Self::RebalanceLoad,
        Self::UpdateConfiguration,
    ];

    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Hook(hook) => &hook.0,
            kind => kind.spec().name,
        }
    }

    /// Who carries it out.
    #[must_use]
    pub fn system(self) -> System {
        self.spec().system
    }

    /// How long an action takes to show what it does, when the configuration says nothing else (`execute.settle`).
    #[must_use]
    pub fn default_settle(self) -> Duration {
        self.spec().settle
    }

    /// Can what it did be undone?
    #[must_use]
    pub fn is_reversible(self) -> bool {
        self.spec().reversible
    }

    /// It ends by itself, and widens what Charter lets pass meanwhile.
    #[must_use]
    pub fn is_override(self) -> bool {
        self.spec().is_override
    }

    /// The action that undoes it by doing the opposite.
    #[must_use]
    pub fn opposite(self) -> Option<Self> {
        self.spec().opposite
    }

    /// What the action costs when the configuration says nothing else (`plan.cost_model`).
    #[must_use]
    pub fn default_cost(self) -> f64 {
        self.spec().cost
    }

    #[must_use]
    pub fn spec(self) -> &'static ActionSpec {
        spec::of(self)
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no action has this name")]
pub struct UnknownAction;

impl FromStr for ActionKind {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        if let Some(name) = text.strip_prefix(HookName::PREFIX) {
            return HookName::new(name).map(Self::Hook).ok_or(UnknownAction);
        }
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownAction)
    }
}

impl Serialize for ActionKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ActionKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom(format!("{text} is no action")))
    }
}

impl PartialSchema for ActionKind {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.description(Some(
            "The name of an action: one of the table of actions, or `hook/<name>`.",
        ))
        .into()
    }
}

impl ToSchema for ActionKind {}

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

/// One change with its parameters: flat, tagged by `action`; those of Charter exactly as Charter validates them.
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
    Hook {
        /// As `hooks` of the configuration names it.
        hook: HookName,
        target: Target,
        risk: Risk,
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
            Self::Hook { hook, .. } => ActionKind::Hook(*hook),
        }
    }

    #[must_use]
    pub fn risk(&self) -> Risk {
        match self {
            // All of it at once.
            Self::RestartService { service: None, .. } => Risk::High,
            Self::Hook { risk, .. } => *risk,
            action => action.kind().spec().risk,
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
            | Self::UpdateConfiguration { .. }
            | Self::Hook { .. } => None,
        }
    }

    /// What it changes: all of Charter, except the restart of one named service; of a hook what its configuration says.
    #[must_use]
    pub fn target(&self) -> Target {
        match self {
            Self::RestartService { service: Some(service), .. } => Target::service(service),
            Self::Hook { target, .. } => target.clone(),
            _ => Target::Charter(None),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            Self::Hook { hook, target, .. } => {
                write!(f, "hook {hook} on {}", target.component())
            }
        }
    }
}
