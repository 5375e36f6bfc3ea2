//! The `guardrails` section of the configuration with its defaults: what bounds the loop whatever it has concluded.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::domain::action::ActionKind;
pub use crate::domain::loop_status::Mode;
use crate::domain::speed::divided;
use crate::domain::target::System;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guardrails {
    pub mode: Mode,
    /// Restart of all, override and bypass go out without a person too, where `auto_approve` is on.
    pub auto_approve_high_risk: bool,
    /// Never planned and never sent.
    pub forbidden_actions: BTreeSet<ActionKind>,
    /// Actions an incident may have; then a person has it.
    pub actions_per_incident: u32,
    /// So many actions for one cause on one target within a day, whatever came of them: what helps only for a while does
    /// not heal it.
    pub actions_per_cause_per_day: u32,
    /// So many failures in a row of one action for one cause on one target within a day end it for that day.
    pub failures_per_remedy: u32,
    /// The longest that a bypass, throttle or override may be asked for.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub temporary_limit: Duration,
    pub cooldown: Cooldown,
    pub budget: Budget,
    pub fleet: Fleet,
    pub breaker: Breaker,
    pub storm: Storm,
    pub kubernetes: Kubernetes,
}

divided!(Guardrails { temporary_limit, cooldown, budget, fleet, breaker, storm, kubernetes } unchanged {
    mode, auto_approve_high_risk, forbidden_actions, actions_per_incident, actions_per_cause_per_day, failures_per_remedy,
});

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            mode: Mode::Act,
            auto_approve_high_risk: false,
            forbidden_actions: BTreeSet::new(),
            actions_per_incident: 4,
            actions_per_cause_per_day: 8,
            failures_per_remedy: 3,
            temporary_limit: Duration::from_secs(900),
            cooldown: Cooldown::default(),
            budget: Budget::default(),
            fleet: Fleet::default(),
            breaker: Breaker::default(),
            storm: Storm::default(),
            kubernetes: Kubernetes::default(),
        }
    }
}

impl Guardrails {
    /// How many actions this system may have in an hour, and how long that is.
    #[must_use]
    pub fn per_hour(&self, system: System) -> (u32, Duration) {
        let most = match system {
            System::Charter | System::Hook => self.budget.per_hour,
            System::Kubernetes => self.kubernetes.per_hour,
        };
        (most, self.budget.hour)
    }
}

/// Between two actions of one kind on one target: at least the settle time, doubled by every failure in a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cooldown {
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub shortest: Duration,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub longest: Duration,
    /// Between an action and its opposite: scale up and down.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub opposite: Duration,
}

divided!(Cooldown { shortest, longest, opposite } unchanged {});

impl Default for Cooldown {
    fn default() -> Self {
        Self {
            shortest: Duration::from_secs(300),
            longest: Duration::from_secs(3600),
            opposite: Duration::from_secs(600),
        }
    }
}

/// Of Charter, and of hooks. Counted in each system over everything that may have been sent to it, in the store: a restart
/// refills nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Budget {
    pub per_hour: u32,
    pub per_target_per_hour: u32,
    /// Between two of emergency override or bypass.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub override_gap: Duration,
    pub overrides_per_day: u32,
    #[serde(skip)]
    pub hour: Duration,
    #[serde(skip)]
    pub day: Duration,
}

divided!(Budget { override_gap, hour, day } unchanged { per_hour, per_target_per_hour, overrides_per_day });

impl Default for Budget {
    fn default() -> Self {
        Self {
            per_hour: 6,
            per_target_per_hour: 3,
            override_gap: Duration::from_secs(1800),
            overrides_per_day: 2,
            hour: Duration::from_secs(3600),
            day: Duration::from_secs(86_400),
        }
    }
}

/// How much of Charter, or of what hooks change, may be worked on at once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fleet {
    /// Share of the system's known components that may have an action taking effect; always at least one.
    pub share: f64,
    /// Components that stand in for each other: never two of one group at once.
    pub redundancy_groups: Vec<BTreeSet<String>>,
}

divided!(Fleet {} unchanged { share, redundancy_groups });

impl Default for Fleet {
    fn default() -> Self {
        Self { share: 0.10, redundancy_groups: Vec::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Breaker {
    /// So many degradations among the last `of` results open it.
    pub degradations: usize,
    pub of: usize,
    /// So many results `ineffective` in a row open it.
    pub ineffective: usize,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub open_for: Duration,
}

divided!(Breaker { open_for } unchanged { degradations, of, ineffective });

impl Default for Breaker {
    fn default() -> Self {
        Self { degradations: 2, of: 10, ineffective: 5, open_for: Duration::from_secs(1800) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Storm {
    /// Share of the known components that began to break within `within`, with no named cause in common.
    pub firing: f64,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub within: Duration,
    /// Share of the known components that is sick, however long and whatever they name.
    pub unhealthy: f64,
    /// With fewer known components the guard is off, and says so.
    pub min_components: usize,
    /// With fewer sick ones it is no storm.
    pub min_sick: usize,
    /// It ends when both shares have been below half of their limit for so long.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub leave_after: Duration,
}

divided!(Storm { within, leave_after } unchanged { firing, unhealthy, min_components, min_sick });

impl Default for Storm {
    fn default() -> Self {
        Self {
            firing: 0.30,
            within: Duration::from_secs(60),
            unhealthy: 0.55,
            min_components: 5,
            min_sick: 3,
            leave_after: Duration::from_secs(300),
        }
    }
}

/// What bounds actions on objects of Kubernetes, in place of budget, fleet and storm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kubernetes {
    pub per_hour: u32,
    pub per_namespace_per_hour: u32,
    /// Its pods count as the workload.
    pub per_workload_per_hour: u32,
    /// Actions without a result at once, in all and in one namespace.
    pub at_once: usize,
    pub at_once_per_namespace: usize,
    /// Nothing is ever done there; a `*` at the end stands for any rest. The daemon's own namespace is always among them.
    pub protected_namespaces: Vec<String>,
    pub storm: ClusterStorm,
}

divided!(Kubernetes { storm } unchanged {
    per_hour, per_namespace_per_hour, per_workload_per_hour, at_once, at_once_per_namespace, protected_namespaces,
});

impl Kubernetes {
    #[must_use]
    pub fn protects(&self, namespace: &str) -> bool {
        self.protected_namespaces.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => namespace.starts_with(start),
            None => namespace == pattern,
        })
    }
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            per_hour: 12,
            per_namespace_per_hour: 4,
            per_workload_per_hour: 2,
            at_once: 3,
            at_once_per_namespace: 1,
            protected_namespaces: vec!["kube-*".to_owned()],
            storm: ClusterStorm::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterStorm {
    /// Share of the nodes that are not ready, with at least `min_nodes` of them.
    pub not_ready: f64,
    pub min_nodes: usize,
    /// Share of the workloads that became sick within `within`, with at least `min_workloads` of them.
    pub sick: f64,
    pub min_workloads: usize,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub within: Duration,
    /// It ends when both have been below half of their limit for so long.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub leave_after: Duration,
}

divided!(ClusterStorm { within, leave_after } unchanged { not_ready, min_nodes, sick, min_workloads });

impl Default for ClusterStorm {
    fn default() -> Self {
        Self {
            not_ready: 0.20,
            min_nodes: 2,
            sick: 0.10,
            min_workloads: 5,
            within: Duration::from_secs(300),
            leave_after: Duration::from_secs(300),
        }
    }
}
