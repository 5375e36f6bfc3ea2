//! The `plan` section of the configuration with its defaults and the shipped strategies.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::guardrails::{Guardrails, Mode};

use crate::domain::Cause;
use crate::domain::action::{Action, ActionKind, RebalanceStrategy, Risk};
use crate::domain::hook::HookSpec;
use crate::domain::policy::Policy;
use crate::domain::speed::{Divide, divided};
use crate::domain::target::Target;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// `orchestrator.plan_threshold`: occurrences behind a cause before it is planned for.
    #[serde(skip)]
    pub plan_threshold: u32,
    /// `orchestrator.auto_approve`, its null already resolved by the mode.
    #[serde(skip)]
    pub auto_approve: bool,
    /// Overrides of [`ActionKind::default_cost`].
    pub cost_model: BTreeMap<ActionKind, f64>,
    pub benefit_target: f64,
    pub min_confidence: f64,
    pub min_score: f64,
    pub max_policies_per_analysis: usize,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub approval_ttl: Duration,
    pub scaling: Scaling,
    pub give_back: GiveBack,
    /// Every cause's candidates: the shipped table with the configured causes put over it.
    pub strategies: BTreeMap<Cause, Vec<Strategy>>,
    /// `knowledge.confidence_saturation_point`: verified runs after which what was learned counts in full.
    #[serde(skip)]
    pub saturation: u32,
    /// `knowledge.pattern_learning_enabled`: false keeps effectiveness at 1.
    #[serde(skip)]
    pub learning: bool,
    /// The `guardrails` section.
    #[serde(skip)]
    pub guardrails: Guardrails,
    /// An incident ends this long after its last evidence (loop.md; not a key).
    #[serde(skip)]
    pub incident_gap: Duration,
    /// A rejection holds until the violation clears, but no longer than this (loop.md; not a key).
    #[serde(skip)]
    pub rejection_holds: Duration,
    /// healthy_nodes below replicas holds planning back this long after a change of size: the settle time of scale_up.
    #[serde(skip)]
    pub resize_settle: Duration,
    /// `execute.settle` of every action: the least of its cooldown.
    #[serde(skip)]
    pub settle: BTreeMap<ActionKind, Duration>,
    /// The `hooks` section: what each changes, and what it costs.
    #[serde(skip)]
    pub hooks: BTreeMap<ActionKind, HookSpec>,
    /// `monitor.min_coverage`: the share of the evidence that must have been read in this cycle.
    #[serde(skip)]
    pub min_coverage: f64,
}

divided!(Settings {
    approval_ttl, scaling, give_back, strategies, guardrails, incident_gap, rejection_holds, resize_settle, settle,
} unchanged {
    plan_threshold, auto_approve, cost_model, benefit_target, min_confidence, min_score, max_policies_per_analysis,
    saturation, learning, hooks, min_coverage,
});

impl Settings {
    #[must_use]
    pub fn cost(&self, kind: ActionKind) -> f64 {
        let own = self.hooks.get(&kind).map(|hook| hook.cost);
        self.cost_model.get(&kind).copied().or(own).unwrap_or_else(|| kind.default_cost())
    }

    /// Can an action of this kind change the target? A hook changes its own, any other action what is of its system.
    #[must_use]
    pub fn may_change(&self, kind: ActionKind, target: &Target) -> bool {
        match self.hooks.get(&kind) {
            Some(hook) => hook.target.contains(target),
            None => kind.system() == target.system(),
        }
    }

    /// Is there an action for this cause that can change the target?
    #[must_use]
    pub fn treats(&self, cause: &Cause, target: &Target) -> bool {
        let strategies = self.strategies.get(cause).into_iter().flatten();
        strategies.into_iter().any(|strategy| self.may_change(strategy.action, target))
    }

    /// What the attempts at this cause are counted on: Charter as a whole where one of its actions changes all of it,
    /// so that what was tried for one service is not tried again for the next; anything else by itself.
    #[must_use]
    pub fn treated_on(&self, cause: &Cause, target: &Target) -> Target {
        let changes_all = |strategy: &Strategy| match strategy.action {
            ActionKind::RestartService => strategy.service.is_some(),
            kind => self.hooks.get(&kind).is_none_or(|hook| hook.target == Target::Charter(None)),
        };
        let strategies = self.strategies.get(cause).into_iter().flatten();
        let mut own = strategies.filter(|s| self.may_change(s.action, target));
        match target {
            Target::Charter(_) if own.any(changes_all) => Target::Charter(None),
            Target::Hook { component, .. } => {
                Target::Hook { hook: None, component: component.clone() }
            }
            other => other.clone(),
        }
    }

    /// Can what this action does be undone?
    #[must_use]
    pub fn is_reversible(&self, kind: ActionKind) -> bool {
        match kind {
            ActionKind::Hook(_) => {
                self.hooks.get(&kind).is_some_and(|hook| hook.has_undo && hook.has_probe)
            }
            kind => kind.is_reversible(),
        }
    }

    /// May a policy of these actions go out without a person?
    #[must_use]
    pub fn auto_approves(&self, policy: &Policy) -> bool {
        let risk = policy.highest_risk();
        let asks = |action: &Action| self.hooks.get(&action.kind()).is_some_and(HookSpec::asks);
        if policy.actions.iter().any(asks) {
            return false;
        }
        let rails = &self.guardrails;
        let by_mode = match rails.mode {
            Mode::Act => self.auto_approve,
            Mode::Suggest | Mode::Observe => false,
        };
        by_mode && (risk != Risk::High || rails.auto_approve_high_risk)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            plan_threshold: 3,
            auto_approve: false,
            cost_model: BTreeMap::new(),
            benefit_target: 0.95,
            min_confidence: 0.6,
            min_score: 0.0,
            max_policies_per_analysis: 5,
            approval_ttl: Duration::from_secs(15 * 60),
            scaling: Scaling::default(),
            give_back: GiveBack::default(),
            strategies: shipped_strategies(),
            saturation: 30,
            learning: true,
            guardrails: Guardrails::default(),
            incident_gap: Duration::from_secs(600),
            rejection_holds: Duration::from_secs(3600),
            resize_settle: Duration::from_secs(180),
            settle: ActionKind::ALL.map(|kind| (kind, kind.default_settle())).into(),
            hooks: BTreeMap::new(),
            min_coverage: 0.8,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scaling {
    pub factor: f64,
    pub min_replicas: u32,
    pub max_replicas: u32,
}

divided!(Scaling {} unchanged { factor, min_replicas, max_replicas });

impl Default for Scaling {
    fn default() -> Self {
        Self { factor: 1.5, min_replicas: 1, max_replicas: 20 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GiveBack {
    /// Off when absent: nothing scales down by default.
    #[serde(serialize_with = "crate::domain::time::optional_seconds")]
    pub after: Option<Duration>,
}

divided!(GiveBack { after } unchanged {});

/// One candidate of a cause: an action, its configured parameters, and what it comes after.
///
/// A parameter left out is computed where loop.md computes it; one that is neither computed nor configured makes
/// the candidate impossible (`parameter_missing`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Strategy {
    pub action: ActionKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<ActionKind>,
    /// restart_service: a service, or `all` for the whole committee; absent means the policy's component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graceful: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<f64>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::domain::time::optional_seconds"
    )]
    pub duration_seconds: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RebalanceStrategy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Map<String, Value>>,
    /// scale_up, scale_down: an absolute size instead of the computed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
}

impl Divide for Strategy {
    /// Charter counts whole seconds, and a state without an end would be no temporary state.
    fn divide(&mut self, speed: f64) {
        let Self {
            action: _,
            after: _,
            service: _,
            graceful: _,
            policy_set: _,
            validation_type: _,
            rate_limit: _,
            duration_seconds,
            strategy: _,
            settings: _,
            replicas: _,
        } = self;
        duration_seconds.divide(speed);
        if let Some(lasts) = duration_seconds {
            *lasts = Duration::from_secs(lasts.as_secs().max(1));
        }
    }
}

impl Strategy {
    #[must_use]
    pub fn new(action: ActionKind) -> Self {
        Self {
            action,
            after: None,
            service: None,
            graceful: None,
            policy_set: None,
            validation_type: None,
            rate_limit: None,
            duration_seconds: None,
            strategy: None,
            settings: None,
            replicas: None,
        }
    }

    #[must_use]
    pub fn after(action: ActionKind, after: ActionKind) -> Self {
        Self { after: Some(after), ..Self::new(action) }
    }
}

/// The shipped table. A cause that is not in it (`unknown` among them) has no action: a person is notified.
#[must_use]
pub fn shipped_strategies() -> BTreeMap<Cause, Vec<Strategy>> {
    // Temporary states end by themselves after 15 minutes.
    let temporary = Some(Duration::from_secs(900));
    BTreeMap::from([
        (
            Cause::new(Cause::VALIDATION_LATENCY),
            vec![
                Strategy::new(ActionKind::ScaleUp),
                Strategy {
                    duration_seconds: temporary,
                    ..Strategy::after(ActionKind::ThrottleRequests, ActionKind::ScaleUp)
                },
            ],
        ),
        (
            Cause::new(Cause::POLICY_MISCONFIGURATION),
            vec![Strategy {
                policy_set: Some("baseline".to_owned()),
                ..Strategy::new(ActionKind::ApplyPolicy)
            }],
        ),
        (
            Cause::new(Cause::CASCADE_FAILURE),
            vec![
                Strategy {
                    duration_seconds: temporary,
                    ..Strategy::new(ActionKind::ThrottleRequests)
                },
                Strategy {
                    duration_seconds: temporary,
                    ..Strategy::after(
                        ActionKind::ActivateEmergencyOverride,
                        ActionKind::ThrottleRequests,
                    )
                },
            ],
        ),
        (
            Cause::new(Cause::SYSTEM_OVERLOAD),
            vec![
                Strategy {
                    strategy: Some(RebalanceStrategy::LeastLoaded),
                    ..Strategy::new(ActionKind::RebalanceLoad)
                },
                Strategy {
                    graceful: Some(true),
                    ..Strategy::after(ActionKind::RestartService, ActionKind::RebalanceLoad)
                },
            ],
        ),
    ])
}
