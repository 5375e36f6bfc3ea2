//! Plan: weighs what may treat each cause on each target by benefit and cost, and chooses at most one policy a cycle.
//!
//! Pure: returns what it chose and what it did not choose, each with a typed reason and the numbers behind it.
//!
//! ```text
//! root causes ─▶ candidates (eligible? possible? held back?) ─▶ one per treatment ─▶ ranked ─▶ the one policy
//!                    ▲ parameters, cost_benefit, guards, treatment so far                  └─▶ the rest, each with its reason
//! ```

mod candidate;
mod check;
mod cost_benefit;
pub mod guardrails;
pub mod guards;
mod parameters;
mod policy;
mod rank;
mod scale_back;
pub mod settings;
mod strategy_order;
mod treatment;
mod weigh;

use std::collections::BTreeMap;

use uuid::Uuid;

pub use check::check;
pub use cost_benefit::{benefit, effectiveness, order};
pub use guardrails::Guardrails;
pub use settings::{Settings, Strategy};

use crate::domain::Cause;
use crate::domain::analysis::RootCause;
use crate::domain::catalogue::Catalogue;
use crate::domain::charter::CharterView;
use crate::domain::cluster::ClusterReading;
use crate::domain::cycle::CandidateReport;
use crate::domain::fleet::Fleet;
use crate::domain::follow_ups::Undone;
use crate::domain::leader::Lead;
use crate::domain::ledger::Ledger;
use crate::domain::outcome::{ActionStatistics, PendingVerification};
use crate::domain::pause::Pause;
use crate::domain::policy::Policy;
use crate::domain::reading::RuleStatus;
use crate::domain::target::{System, Target};
use crate::domain::time::Time;
use crate::domain::treatment::Treatment;
use crate::domain::violation::Violation;

/// A change of Charter's size that was seen, ours or another's.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    pub at: Time,
}

/// What our own scaling up has added and could be scaled back.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ReclaimableReplicas {
    /// The size before our first scale up.
    pub original: u32,
    /// The size we set last.
    pub ours: u32,
    /// When it was last scaled back.
    #[serde(default)]
    pub given_back: Option<Time>,
}

/// Everything the planner decides from; time included.
#[derive(Debug)]
pub struct PlanInput<'a> {
    pub now: Time,
    pub settings: &'a Settings,
    /// A person's pause, as the store has it; it may be over.
    pub pause: Option<&'a Pause>,
    /// Whether this process leads.
    pub lead: &'a Lead,
    /// Actions of the last day, and each system's breaker and storm.
    pub ledger: &'a Ledger,
    /// How much of each system is sick; nothing of it is known of a system that is not there.
    pub fleets: &'a BTreeMap<System, Fleet>,
    /// What each rule's reading was worth in this cycle.
    pub rules: &'a [RuleStatus],
    pub root_causes: &'a [RootCause],
    /// Active violations by fingerprint.
    pub violations: &'a BTreeMap<&'a str, &'a Violation>,
    pub statistics: &'a [ActionStatistics],
    pub treatments: &'a [Treatment],
    /// The incident in which each piece of evidence lies, by fingerprint.
    pub incidents: &'a BTreeMap<String, String>,
    /// Open policies, and rejected ones of the last hour.
    pub policies: &'a [Policy],
    pub verifications: &'a [PendingVerification],
    /// Targets of executions that ended without a known result.
    pub blocked: &'a [Target],
    /// Targets on which harm was undone lately.
    pub undone: &'a [Undone],
    pub charter: &'a CharterView,
    /// The watch caches as they stand; `None`: Kubernetes is not watched.
    pub cluster: Option<&'a ClusterReading>,
    /// Which services there are, and which of them need which.
    pub catalogue: &'a Catalogue,
    pub last_resize: Option<&'a Resize>,
    /// Since when Charter says `recovering`.
    pub recovering_since: Option<Time>,
    /// Mean served operations per second of the last five good cycles.
    pub served_rate: Option<f64>,
    pub surplus: Option<&'a ReclaimableReplicas>,
    /// Since when nothing that counts is active, every rule read well.
    pub quiet_since: Option<Time>,
    /// `monitor.scope` names which system is ours.
    pub scoped: bool,
}

/// Why people must be notified, found while planning.
#[derive(Clone, Debug, PartialEq)]
pub enum Concern {
    /// Scaling is at its limit with the cause still there.
    CapacityExhausted { cause: Cause, component: String, evidence: Vec<String>, detail: String },
    /// No candidate is left in this incident.
    RemediesExhausted { cause: Cause, component: String, evidence: Vec<String>, detail: String },
    /// Two systems behind one plan while the scope is empty.
    AmbiguousScope { cause: Cause, component: String, evidence: Vec<String>, detail: String },
}

/// What was decided, and for everything that was not chosen, why not.
#[must_use = "a plan says what to execute, record and escalate"]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The one policy to execute in this cycle.
    pub chosen: Option<Policy>,
    /// Policies that are new or changed, `chosen` among them.
    pub policies: Vec<Policy>,
    /// How many of them are new.
    pub generated: usize,
    /// Treatments that are new or changed.
    pub treatments: Vec<Treatment>,
    pub candidates: Vec<CandidateReport>,
    pub concerns: Vec<Concern>,
}

impl Plan {
    /// The treatment that a policy belongs to.
    #[must_use]
    pub fn treatment_of(&self, policy: &Policy) -> Option<&Treatment> {
        let target = policy.actions.first()?.target();
        self.treatments.iter().find(|one| one.is_of(&policy.cause, &target))
    }

    /// The treatment that a candidate was weighed for.
    #[must_use]
    pub fn treatment_for(&self, candidate: &CandidateReport) -> Option<&Treatment> {
        self.treatments.iter().find(|one| match (&candidate.planned, &one.target) {
            (Some(action), _) => one.is_of(&candidate.cause, &action.target()),
            (None, Some(target)) => {
                one.cause == candidate.cause && target.covers(Some(&candidate.component))
            }
            (None, None) => false,
        })
    }
}

/// Decides. `new_id` names new policies and treatments.
pub fn plan(input: &PlanInput<'_>, new_id: &mut dyn FnMut() -> Uuid) -> Plan {
    let mut plan = Plan::default();
    let treated = treatment::update(input, &mut plan, new_id);
    let mut contenders = Vec::new();
    for (treatment, roots) in &treated {
        contenders.extend(candidate::weigh_treatment(input, treatment, roots, &mut plan));
    }
    contenders.extend(scale_back::candidate(input));
    rank::choose(input, contenders, &mut plan, new_id);
    policy::expire(input, &mut plan);
    plan
}
