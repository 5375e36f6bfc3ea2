//! The policies that Charter takes, as they look on the wire, and whether they are valid.
//!
//! One closed enum of the nine actions. Leaves out what they do (`plant`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plant::{Component, PlantSettings, PolicySet, ValidationType};

/// A temporary policy may last a day at most; longer is a configuration, not a policy.
const LONGEST_DURATION: f64 = 86_400.0;
/// Far above what the largest committee serves (20 × 500/s); larger is a mistake of the caller.
const LARGEST_RATE: f64 = 1_000_000.0;
/// The whole committee, as `service` of a restart.
pub(super) const ALL_SERVICES: &str = "all";

/// A policy: `action` plus its own parameters, flat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::enum_variant_names, reason = "apply_policy is the action's name on the wire")]
pub(super) enum Policy {
    ScaleUp {
        replicas: i64,
    },
    ScaleDown {
        replicas: i64,
    },
    RestartService {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        #[serde(default = "graceful_by_default")]
        graceful: bool,
    },
    ApplyPolicy {
        policy_set: String,
    },
    BypassValidation {
        validation_type: String,
        duration_seconds: f64,
    },
    ThrottleRequests {
        rate_limit: f64,
        duration_seconds: f64,
    },
    ActivateEmergencyOverride {
        duration_seconds: f64,
    },
    RebalanceLoad {
        strategy: Strategy,
    },
    UpdateConfiguration {
        settings: BTreeMap<String, Value>,
    },
}

/// Both even the shards out; they differ in the order of the moves, which the plant does not resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Strategy {
    RoundRobin,
    LeastLoaded,
}

pub(super) fn graceful_by_default() -> bool {
    true
}

/// Why a policy is refused, in words for its author.
#[derive(Debug, thiserror::Error)]
pub(super) enum Invalid {
    #[error(
        "the policy cannot be read: {0}; send one of the nine actions with exactly its own parameters"
    )]
    Shape(#[from] serde_json::Error),
    #[error("replicas is {asked}, allowed are {min} to {max}")]
    Replicas { asked: i64, min: u32, max: u32 },
    #[error("service {0:?} is not known; known are validator, enforcer, auditor and all")]
    Service(String),
    #[error("policy_set {0:?} is not known; known are baseline and strict")]
    PolicySet(String),
    #[error("validation_type {0:?} is not known; known are schema, signature and consensus")]
    ValidationType(String),
    #[error("{name} is {asked}, allowed is more than 0 up to {max}")]
    Range { name: &'static str, asked: f64, max: f64 },
    #[error("settings is empty; name at least one setting to change")]
    NoSettings,
    #[error("setting {0:?} is not known; known are operation_timeout_ms and queue_limit")]
    Setting(String),
    #[error("setting {name} is {asked}, wanted is a number from {min} to {max}")]
    SettingValue { name: &'static str, asked: String, min: f64, max: f64 },
}

impl Policy {
    pub fn parse(value: &Value, size: &PlantSettings) -> Result<Self, Invalid> {
        let policy = Self::deserialize(value)?;
        policy.check(size)?;
        Ok(policy)
    }

    fn check(&self, size: &PlantSettings) -> Result<(), Invalid> {
        match self {
            Self::ScaleUp { replicas } | Self::ScaleDown { replicas } => {
                check_replicas(*replicas, size).map(|_| ())
            }
            Self::RestartService { service, .. } => restart_target(service.as_deref()).map(|_| ()),
            Self::ApplyPolicy { policy_set } => PolicySet::named(policy_set)
                .map(|_| ())
                .ok_or_else(|| Invalid::PolicySet(policy_set.clone())),
            Self::BypassValidation { validation_type, duration_seconds } => {
                ValidationType::named(validation_type)
                    .ok_or_else(|| Invalid::ValidationType(validation_type.clone()))?;
                check_range("duration_seconds", *duration_seconds, LONGEST_DURATION)
            }
            Self::ThrottleRequests { rate_limit, duration_seconds } => {
                check_range("rate_limit", *rate_limit, LARGEST_RATE)?;
                check_range("duration_seconds", *duration_seconds, LONGEST_DURATION)
            }
            Self::ActivateEmergencyOverride { duration_seconds } => {
                check_range("duration_seconds", *duration_seconds, LONGEST_DURATION)
            }
            Self::RebalanceLoad { strategy: Strategy::RoundRobin | Strategy::LeastLoaded } => {
                Ok(())
            }
            Self::UpdateConfiguration { settings } => {
                Settings::default().changed(settings).map(|_| ())
            }
        }
    }

    /// How long it stays in force, when it is temporary.
    pub fn duration_seconds(&self) -> Option<f64> {
        match self {
            Self::BypassValidation { duration_seconds, .. }
            | Self::ThrottleRequests { duration_seconds, .. }
            | Self::ActivateEmergencyOverride { duration_seconds } => Some(*duration_seconds),
            Self::ScaleUp { .. }
            | Self::ScaleDown { .. }
            | Self::RestartService { .. }
            | Self::ApplyPolicy { .. }
            | Self::RebalanceLoad { .. }
            | Self::UpdateConfiguration { .. } => None,
        }
    }

    /// Whether a newer one takes this one's place: one per kind, and per validation type for a bypass.
    pub fn is_replaced_by(&self, newer: &Self) -> bool {
        if let (
            Self::BypassValidation { validation_type: old, .. },
            Self::BypassValidation { validation_type: new, .. },
        ) = (self, newer)
        {
            return old == new;
        }
        std::mem::discriminant(self) == std::mem::discriminant(newer)
    }
}

/// The number of replicas, if it lies in the allowed range.
pub(super) fn check_replicas(asked: i64, size: &PlantSettings) -> Result<u32, Invalid> {
    u32::try_from(asked)
        .ok()
        .filter(|replicas| (size.min_replicas..=size.max_replicas).contains(replicas))
        .ok_or(Invalid::Replicas { asked, min: size.min_replicas, max: size.max_replicas })
}

/// The service to restart; `None` is the whole committee.
pub(super) fn restart_target(service: Option<&str>) -> Result<Option<Component>, Invalid> {
    match service {
        None | Some(ALL_SERVICES) => Ok(None),
        Some(name) => {
            Component::named(name).map(Some).ok_or_else(|| Invalid::Service(name.to_owned()))
        }
    }
}

pub(super) fn check_range(name: &'static str, asked: f64, max: f64) -> Result<(), Invalid> {
    if asked > 0.0 && asked <= max { Ok(()) } else { Err(Invalid::Range { name, asked, max }) }
}

/// The settings in force. Each of them works in the plant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Settings {
    /// An operation whose handling takes longer is given up as failed. The default is eight mean handling times of 50 ms:
    /// one in 3,000 is given up.
    pub operation_timeout_ms: f64,
    /// Operations that may queue, over all services: 3 s of what three replicas work off (3 × 1,500/s).
    pub queue_limit: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { operation_timeout_ms: 400.0, queue_limit: 4_500.0 }
    }
}

impl Settings {
    /// These settings with `changes` made.
    pub fn changed(&self, changes: &BTreeMap<String, Value>) -> Result<Self, Invalid> {
        if changes.is_empty() {
            return Err(Invalid::NoSettings);
        }
        let mut settings = self.clone();
        for (name, value) in changes {
            match name.as_str() {
                "operation_timeout_ms" => {
                    settings.operation_timeout_ms =
                        number("operation_timeout_ms", value, 1.0, 60_000.0)?;
                }
                "queue_limit" => {
                    settings.queue_limit = number("queue_limit", value, 1.0, 1_000_000.0)?;
                }
                _ => return Err(Invalid::Setting(name.clone())),
            }
        }
        Ok(settings)
    }
}

fn number(name: &'static str, value: &Value, min: f64, max: f64) -> Result<f64, Invalid> {
    value
        .as_f64()
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| Invalid::SettingValue { name, asked: value.to_string(), min, max })
}
