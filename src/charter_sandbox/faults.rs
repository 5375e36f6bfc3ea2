//! The nine faults, as disturbances of the plant: each changes a quantity, none knows its cure.
//!
//! A fault is either a condition that lasts while it is there (more load, a leak, a slow store) or a change made once (a
//! skewed shard, a wrong setting, a drifted rule set, a stall) that stays until something changes it back. Withdrawing a
//! fault ends its condition and undoes its change if that is still in effect.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::plant::{Component, Plant, PolicySet};

/// The stall that starts a retry storm: longer than a client's patience of 0.8 s at any size of the committee, and short
/// enough that the queue (5 s of base load) never turns fresh operations away for long.
const RETRY_TRIGGER_SECONDS: f64 = 2.0;

/// Faults that may be there at once; more is a script gone wrong.
const MAX_FAULTS: usize = 32;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Fault {
    /// Offered load rises.
    Overload,
    /// One service leaks memory until its instances can no longer allocate.
    SlowLeak,
    /// One policy's rule set is not the reviewed one and refuses legitimate operations.
    MisconfiguredPolicy,
    /// One shard of one service holds most of its keys.
    HotShard,
    /// A setting is wrong: operations are given up too early.
    BadConfiguration,
    /// Clients repeat what they wait for too long, and a short stall makes them wait.
    RetryStorm,
    /// The ordering stage stalls for a moment.
    TransientBlip,
    /// The exporter's registry is empty; Charter itself is well.
    TelemetryGap,
    /// The shared policy store slows down for a while.
    SharedShock,
}

impl Fault {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    const fn magnitude(self) -> Magnitude {
        match self {
            // 2.2 × 900 = 1,980/s against 1,500/s of three replicas and 2,500/s of five.
            Self::Overload => Magnitude::of("times the base load", 2.2, 1.0, 10.0),
            Self::SlowLeak => {
                Magnitude::of("share of operations that fail on a full instance", 0.5, 0.0, 1.0)
            }
            Self::MisconfiguredPolicy => {
                Magnitude::of("share of operations refused", 0.3, 0.0, 1.0)
            }
            // 0.75 of a service's load on a shard that takes 0.45 of it: 0.30 of all operations are turned away.
            Self::HotShard => Magnitude::of("share of the load on the hot shard", 0.75, 0.125, 1.0),
            // exp(-60 / 50) = 0.30 of all operations take longer than 60 ms.
            Self::BadConfiguration => Magnitude::of("operation_timeout_ms", 60.0, 1.0, 60_000.0),
            // 900 × (1 + 3) = 3,600/s: more than the ordering stage's 2,700/s, so no number of replicas works it off.
            Self::RetryStorm => Magnitude::of("retries of each late operation", 3.0, 0.0, 20.0),
            // Three seconds of 900/s wait for 1.8 s and more: 16 % of a 30 s window, gone from it half a minute later.
            Self::TransientBlip => Magnitude::of("seconds of stall", 3.0, 0.0, 60.0),
            Self::TelemetryGap => Magnitude::None,
            // Validator and enforcer ask for 0.75 × 900 = 675/s: 17 % fail. Throttled to 0.8 × 900 they ask for 540/s.
            Self::SharedShock => Magnitude::of(
                "operations a second that the policy store answers",
                560.0,
                0.0,
                1_000_000.0,
            ),
        }
    }

    const fn default_component(self) -> Option<Component> {
        match self {
            Self::SlowLeak | Self::MisconfiguredPolicy => Some(Component::Enforcer),
            Self::HotShard => Some(Component::Auditor),
            Self::Overload
            | Self::BadConfiguration
            | Self::RetryStorm
            | Self::TransientBlip
            | Self::TelemetryGap
            | Self::SharedShock => None,
        }
    }

    const fn default_duration(self, magnitude: f64) -> Option<f64> {
        match self {
            Self::TransientBlip => Some(magnitude),
            Self::TelemetryGap => Some(240.0),
            Self::SharedShock => Some(120.0),
            Self::Overload
            | Self::SlowLeak
            | Self::MisconfiguredPolicy
            | Self::HotShard
            | Self::BadConfiguration
            | Self::RetryStorm => None,
        }
    }
}

/// What a fault's magnitude means and may be: more than `above`, up to `max`.
#[derive(Debug, Clone, Copy)]
enum Magnitude {
    None,
    Of { unit: &'static str, default: f64, above: f64, max: f64 },
}

impl Magnitude {
    const fn of(unit: &'static str, default: f64, above: f64, max: f64) -> Self {
        Self::Of { unit, default, above, max }
    }
}

/// A fault as ordered; what is absent takes its default. The duration is in plant seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultOrder {
    pub fault: Fault,
    pub component: Option<Component>,
    pub magnitude: Option<f64>,
    pub duration_seconds: Option<f64>,
}

impl From<Fault> for FaultOrder {
    fn from(fault: Fault) -> Self {
        Self { fault, component: None, magnitude: None, duration_seconds: None }
    }
}

/// Why a fault is not injected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{fault} takes no {what}; leave it out", fault = .0.name(), what = .1)]
    NotTaken(Fault, &'static str),
    #[error("{name}: magnitude ({unit}) is {asked}, allowed is more than {above} up to {max}", name = .fault.name())]
    Magnitude { fault: Fault, unit: &'static str, asked: f64, above: f64, max: f64 },
    #[error("{name}: duration_seconds is {asked}, wanted is more than 0", name = .fault.name())]
    Duration { fault: Fault, asked: f64 },
    #[error("{MAX_FAULTS} faults are there already; withdraw one first")]
    TooMany,
}

/// A fault that is there.
#[derive(Debug, Clone)]
pub(super) struct ActiveFault {
    pub number: u64,
    pub fault: Fault,
    pub component: Option<Component>,
    pub magnitude: Option<f64>,
    /// Plant seconds.
    pub injected_at: f64,
    pub ends_at: Option<f64>,
}

/// What the present faults make of the plant's surroundings.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    /// Offered load against the base load.
    pub load_factor: f64,
    /// Services that leak, with the share of operations that fail on an instance that is full.
    pub leaking: [Option<f64>; 3],
    /// Times that a client sends again what it waits for too long.
    pub retries: f64,
    /// Operations a second that the policy store answers; none while it is well.
    pub store_rate: Option<f64>,
    pub telemetry_gap: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            load_factor: 1.0,
            leaking: [None; 3],
            retries: 0.0,
            store_rate: None,
            telemetry_gap: false,
        }
    }
}

impl Conditions {
    fn of(faults: &[ActiveFault]) -> Self {
        let mut conditions = Self::default();
        for active in faults {
            let magnitude = active.magnitude.unwrap_or(0.0);
            match active.fault {
                Fault::Overload => conditions.load_factor = conditions.load_factor.max(magnitude),
                Fault::SlowLeak => {
                    if let Some(component) = active.component {
                        conditions.leaking[component.index()] = Some(magnitude);
                    }
                }
                Fault::RetryStorm => conditions.retries = conditions.retries.max(magnitude),
                Fault::SharedShock => {
                    conditions.store_rate =
                        Some(conditions.store_rate.map_or(magnitude, |rate| rate.min(magnitude)));
                }
                Fault::TelemetryGap => conditions.telemetry_gap = true,
                Fault::MisconfiguredPolicy
                | Fault::HotShard
                | Fault::BadConfiguration
                | Fault::TransientBlip => {}
            }
        }
        conditions
    }
}

impl Plant {
    /// Lets a fault happen now; returns its number.
    pub fn inject(&mut self, order: &FaultOrder) -> Result<u64, Error> {
        if self.faults.len() >= MAX_FAULTS {
            return Err(Error::TooMany);
        }
        let active = self.resolve(order)?;
        let magnitude = active.magnitude.unwrap_or(0.0);
        match (active.fault, active.component) {
            (Fault::SlowLeak, Some(component)) => self.nodes.leak_nearly_full(component),
            (Fault::MisconfiguredPolicy, Some(component)) => {
                self.policy_sets[component.index()] = PolicySet::Drifted { refused: magnitude };
            }
            (Fault::HotShard, Some(component)) => {
                self.services[component.index()].shards.skew(magnitude);
            }
            (Fault::BadConfiguration, _) => {
                let mut settings = self.settings.clone();
                settings.operation_timeout_ms = magnitude;
                self.set_settings(settings);
            }
            (Fault::RetryStorm, _) => self.stalled_until = self.now() + RETRY_TRIGGER_SECONDS,
            (Fault::TransientBlip, _) => self.stalled_until = self.now() + magnitude,
            (Fault::SlowLeak | Fault::MisconfiguredPolicy | Fault::HotShard, None)
            | (Fault::Overload | Fault::TelemetryGap | Fault::SharedShock, _) => {}
        }
        let number = active.number;
        self.faults_injected = number;
        self.faults.push(active);
        self.conditions = Conditions::of(&self.faults);
        Ok(number)
    }

    /// Takes a fault away; false when there is none of that number.
    pub fn withdraw(&mut self, number: u64) -> bool {
        let Some(position) = self.faults.iter().position(|active| active.number == number) else {
            return false;
        };
        let gone = self.faults.remove(position);
        self.conditions = Conditions::of(&self.faults);
        self.take_back(&gone);
        true
    }

    pub(super) fn expire_faults(&mut self, now: f64) {
        while let Some(over) =
            self.faults.iter().find(|active| active.ends_at.is_some_and(|at| now >= at))
        {
            let number = over.number;
            self.withdraw(number);
        }
    }

    /// Undoes the change that a fault made once, if nobody has undone it yet.
    fn take_back(&mut self, gone: &ActiveFault) {
        match (gone.fault, gone.component) {
            (Fault::SlowLeak, Some(component)) => self.nodes.clear_leak(component),
            (Fault::MisconfiguredPolicy, Some(component)) => {
                let set = &mut self.policy_sets[component.index()];
                if matches!(set, PolicySet::Drifted { .. }) {
                    *set = PolicySet::Baseline;
                }
            }
            (Fault::HotShard, Some(component)) => {
                self.services[component.index()].shards.even_out();
            }
            (Fault::BadConfiguration, _) => {
                if gone.magnitude == Some(self.settings.operation_timeout_ms) {
                    self.set_settings(self.prior_settings.clone());
                }
            }
            (Fault::TransientBlip, _) => self.stalled_until = self.stalled_until.min(self.now()),
            (Fault::SlowLeak | Fault::MisconfiguredPolicy | Fault::HotShard, None)
            | (Fault::Overload | Fault::RetryStorm | Fault::TelemetryGap | Fault::SharedShock, _) =>
                {}
        }
    }

    fn resolve(&self, order: &FaultOrder) -> Result<ActiveFault, Error> {
        let fault = order.fault;
        let magnitude = match (fault.magnitude(), order.magnitude) {
            (Magnitude::None, Some(_)) => return Err(Error::NotTaken(fault, "magnitude")),
            (Magnitude::None, None) => None,
            (Magnitude::Of { default, .. }, None) => Some(default),
            (Magnitude::Of { unit, above, max, .. }, Some(asked)) => {
                if asked > above && asked <= max {
                    Some(asked)
                } else {
                    return Err(Error::Magnitude { fault, unit, asked, above, max });
                }
            }
        };
        let component = match (fault.default_component(), order.component) {
            (None, Some(_)) => return Err(Error::NotTaken(fault, "component")),
            (default, asked) => asked.or(default),
        };
        if let Some(asked) = order.duration_seconds
            && !(asked > 0.0 && asked.is_finite())
        {
            return Err(Error::Duration { fault, asked });
        }
        let duration =
            order.duration_seconds.or_else(|| fault.default_duration(magnitude.unwrap_or(0.0)));
        Ok(ActiveFault {
            number: self.faults_injected + 1,
            fault,
            component,
            magnitude,
            injected_at: self.now(),
            ends_at: duration.map(|seconds| self.now() + seconds),
        })
    }
}
