//! The queueing plant behind the reference Charter: what is true, and how it moves.
//!
//! Owns offered load, replicas, queues, shard placement, settings, policy sets and temporary policies, and advances them
//! in fixed steps of plant time. Leaves out what the metrics call it (`exposition`), what breaks it (`faults`) and who may
//! change it (`service`). Nothing here knows which action heals which fault: a cure works because it changes the
//! quantity that the fault has changed.
//!
//! ```text
//! clients ─fresh─┐                 ┌─▶ validator queue ─▶ instances ─┐
//!    ▲           ├─▶ admission ────┼─▶ enforcer  queue ─▶ instances ─┼─▶ ordering ─▶ answered or failed
//!    └──retries──┘   (throttle)    └─▶ auditor   queue ─▶ instances ─┘    stage
//! ```

mod nodes;
mod policies;
mod queue;
mod shards;
mod step;
mod window;

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::faults::{ActiveFault, Conditions};
use super::policy::Settings;
pub(super) use nodes::Nodes;
pub(super) use policies::{ActivePolicy, NotApplied, Policies, PolicySet, UnknownPolicy};
use queue::Queue;
use shards::Shards;
pub(super) use step::{DECISION_SECONDS, HANDLING_SECONDS};
pub(super) use window::{DecisionWindow, LatencyQuantiles, Window};

/// One step of the plant: short against every time that matters (a client's patience of 0.8 s, a window of 30 s).
const STEP: Duration = Duration::from_millis(250);
pub(super) const STEP_SECONDS: f64 = 0.25;

/// At most one plant day per call of `advance`: 345,600 steps, well under a second of work. More is an idle plant's gap.
const LONGEST_ADVANCE: Duration = Duration::from_hours(24);

/// A service of the committee. Each replica runs one instance of each; metrics and API name them alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Component {
    Validator,
    Enforcer,
    Auditor,
}

impl Component {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// Share of the offered operations addressed to this service. The smallest, 0.25 × 900/s = 225/s, leaves throughput
    /// well above the shipped limit of 100/s, under a throttle too.
    pub(super) const fn share(self) -> f64 {
        match self {
            Self::Validator => 0.40,
            Self::Enforcer => 0.35,
            Self::Auditor => 0.25,
        }
    }

    /// The policy whose rule set this service applies: (`policy_id`, `policy_name`).
    pub(super) const fn policy(self) -> (&'static str, &'static str) {
        match self {
            Self::Validator => ("schema-admission", "Schema admission"),
            Self::Enforcer => ("access-control", "Access control"),
            Self::Auditor => ("audit-retention", "Audit retention"),
        }
    }

    /// Whether each operation reads the shared policy store. The auditor keeps its own log.
    pub(super) const fn uses_policy_store(self) -> bool {
        matches!(self, Self::Validator | Self::Enforcer)
    }
}

/// How the committee says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Status {
    Normal,
    Degraded,
    Critical,
    Recovering,
}

impl Status {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What the validator validates; a third of its operations each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ValidationType {
    Schema,
    Signature,
    Consensus,
}

impl ValidationType {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// Mean handling time: 40 to 60 ms, so that a p95 of three means stays under 0.2 s while nothing queues.
    pub(super) const fn mean_seconds(self) -> f64 {
        match self {
            Self::Schema => 0.04,
            Self::Signature => 0.05,
            Self::Consensus => 0.06,
        }
    }
}

/// The size and speed of a plant. The default is the one that the command and the demo run.
#[derive(Debug, Clone, PartialEq)]
pub struct PlantSettings {
    /// Replicas at the start, all ready.
    pub replicas: u32,
    pub min_replicas: u32,
    pub max_replicas: u32,
    /// Fresh operations a second when nothing is wrong.
    pub base_load: f64,
    /// Operations a second that one replica works off: 3 × 500 = 1,500 against 900 offered is 60 % busy, and two of three
    /// (a rolling restart) still carry the load at 90 %.
    pub replica_rate: f64,
    /// Operations a second through the ordering stage, the one log of the committee: no replica widens it. 3 × the base
    /// load, so it is idle in every overload that replicas can cure.
    pub ordering_rate: f64,
    /// From the order of a replica to its first operation.
    pub boot_seconds: f64,
    /// An instance's process start; draining comes on top.
    pub restart_seconds: f64,
    /// Offered load varies by ± this share, drawn anew for every step and service.
    pub noise: f64,
}

impl Default for PlantSettings {
    fn default() -> Self {
        Self {
            replicas: 3,
            min_replicas: 1,
            max_replicas: 20,
            base_load: 900.0,
            replica_rate: 500.0,
            ordering_rate: 2_700.0,
            boot_seconds: 40.0,
            restart_seconds: 8.0,
            noise: 0.03,
        }
    }
}

/// One service's queue, placement and record.
#[derive(Debug)]
pub(super) struct ServiceState {
    pub queue: Queue,
    pub shards: Shards,
    pub window: Window,
    /// Attempts offered in the last step, per second, before admission.
    pub offered_rate: f64,
    /// Refusals by a drifted or strict rule set not yet reported as a violation.
    pub unreported: f64,
}

/// Counts since the start; they only rise.
#[derive(Debug, Default, Clone)]
pub(super) struct Totals {
    /// Per service.
    pub denied: [f64; 3],
    pub shed: [f64; 3],
    pub restarts: [f64; 3],
    /// Per service's policy.
    pub critical_violations: [u64; 3],
    pub warning_violations: [u64; 3],
    /// Count and sum behind the summaries.
    pub validations: [(f64, f64); 3],
    pub enforcements: (f64, f64),
    pub decisions: (f64, f64),
}

/// A reported violation of a policy, as GET /violations lists it.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    pub number: u64,
    pub component: Component,
    pub critical: bool,
    /// Plant seconds.
    pub at: f64,
}

/// The plant. All of it moves only in `advance` and in the explicit changes below.
#[derive(Debug)]
pub struct Plant {
    pub(super) size: PlantSettings,
    rng: StdRng,
    ticks: u64,
    /// Time handed to `advance` that does not fill a step yet.
    remainder: Duration,
    pub(super) nodes: Nodes,
    pub(super) services: [ServiceState; 3],
    pub(super) decisions: DecisionWindow,
    pub(super) settings: Settings,
    /// The settings before the last change, by anybody.
    pub(super) prior_settings: Settings,
    pub(super) policy_sets: [PolicySet; 3],
    pub(super) policies: Policies,
    pub(super) faults: Vec<ActiveFault>,
    pub(super) faults_injected: u64,
    pub(super) conditions: Conditions,
    /// The ordering stage stands still until then.
    pub(super) stalled_until: f64,
    pub(super) totals: Totals,
    pub(super) violations: std::collections::VecDeque<Violation>,
}

impl Plant {
    #[must_use]
    pub fn new(seed: u64, size: PlantSettings) -> Self {
        let service = || ServiceState {
            queue: Queue::default(),
            shards: Shards::default(),
            window: Window::default(),
            offered_rate: 0.0,
            unreported: 0.0,
        };
        Self {
            rng: StdRng::seed_from_u64(seed),
            ticks: 0,
            remainder: Duration::ZERO,
            nodes: Nodes::ready(size.replicas),
            services: [service(), service(), service()],
            decisions: DecisionWindow::default(),
            settings: Settings::default(),
            prior_settings: Settings::default(),
            policy_sets: [PolicySet::Baseline; 3],
            policies: Policies::default(),
            faults: Vec::new(),
            faults_injected: 0,
            conditions: Conditions::default(),
            stalled_until: 0.0,
            totals: Totals::default(),
            violations: std::collections::VecDeque::new(),
            size,
        }
    }

    /// Moves the plant on by `elapsed`, in whole steps; what is left over counts at the next call.
    pub fn advance(&mut self, elapsed: Duration) {
        self.remainder += elapsed.min(LONGEST_ADVANCE);
        while self.remainder >= STEP {
            self.remainder -= STEP;
            self.ticks += 1;
            self.step();
        }
    }

    /// Seconds of plant time since the start.
    #[must_use]
    pub fn now(&self) -> f64 {
        self.ticks as f64 * STEP_SECONDS
    }

    /// Recovering while nodes boot or instances restart, critical without a healthy majority, degraded without all.
    pub(super) fn status(&self) -> Status {
        let (now, replicas) = (self.now(), self.nodes.count());
        let healthy = self.nodes.healthy(now);
        let restarting = Component::ALL
            .into_iter()
            .any(|component| self.nodes.serving(component, now).restarting > 0);
        if restarting || self.nodes.booting(now) > 0 {
            Status::Recovering
        } else if healthy * 2 <= replicas {
            Status::Critical
        } else if healthy < replicas {
            Status::Degraded
        } else {
            Status::Normal
        }
    }

    /// Sets the number of replicas and returns the one before. New ones boot first; the youngest leave first.
    pub(super) fn scale(&mut self, replicas: u32) -> u32 {
        self.nodes.scale(replicas, self.now() + self.size.boot_seconds)
    }

    /// Restarts the instances of one service, or of all. Graceful: a third at a time, each drained first.
    pub(super) fn restart(&mut self, only: Option<Component>, graceful: bool, timeout: f64) {
        // An operation in hand is done or given up within its own time-out, so draining never needs longer.
        let drain =
            if graceful { timeout.min(self.settings.operation_timeout_ms / 1_000.0) } else { 0.0 };
        let span = drain + self.size.restart_seconds;
        for component in Component::ALL {
            if only.is_none_or(|one| one == component) {
                let restarted = self.nodes.restart(component, self.now(), span, graceful);
                self.totals.restarts[component.index()] += f64::from(restarted);
            }
        }
    }

    /// Puts new settings in force and remembers those before.
    pub(super) fn set_settings(&mut self, settings: Settings) {
        self.prior_settings = std::mem::replace(&mut self.settings, settings);
    }

    /// Whether the exporter's registry is empty just now (the plant itself may be well).
    pub(super) fn telemetry_is_gone(&self) -> bool {
        self.conditions.telemetry_gap
    }

    /// Fresh operations, retries and all, offered in the last step, per second.
    pub(super) fn offered_rate(&self) -> f64 {
        self.services.iter().map(|service| service.offered_rate).sum()
    }
}
