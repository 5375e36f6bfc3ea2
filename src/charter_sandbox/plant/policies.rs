//! The policies in force: temporary ones with their expiry, standing ones with what a rollback restores.
//!
//! Bounded by construction: a newer policy of the same kind takes the older one's place, so at most eight are in force.

use strum::IntoStaticStr;

use super::shards::Placement;
use super::{Component, Plant, Settings, ValidationType};
use crate::charter_sandbox::policy::{Invalid, Policy};

/// The rule set that a service's policy applies.
#[derive(Debug, Clone, Copy, PartialEq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(in crate::charter_sandbox) enum PolicySet {
    /// What is meant to be in force; refuses nothing legitimate.
    Baseline,
    /// Refuses one operation in fifty, and reports it as a warning.
    Strict,
    /// No longer what was reviewed: refuses this share of legitimate operations.
    Drifted { refused: f64 },
}

impl PolicySet {
    /// The sets that can be applied by name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "baseline" => Some(Self::Baseline),
            "strict" => Some(Self::Strict),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        self.into()
    }

    pub const fn refused(self) -> f64 {
        match self {
            Self::Baseline => 0.0,
            Self::Strict => 0.02,
            Self::Drifted { refused } => refused,
        }
    }
}

/// What a rollback puts back. A temporary policy needs nothing: its effect is read from the list of those in force.
#[derive(Debug)]
enum Undo {
    Nothing,
    PolicySets([PolicySet; 3]),
    Settings(Settings),
    Placements([Placement; 3]),
}

#[derive(Debug)]
pub(in crate::charter_sandbox) struct ActivePolicy {
    pub number: u64,
    pub policy: Policy,
    expires_at: Option<f64>,
    undo: Undo,
}

#[derive(Debug, Default)]
pub(in crate::charter_sandbox) struct Policies {
    active: Vec<ActivePolicy>,
    issued: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::charter_sandbox) enum UnknownPolicy {
    NeverIssued,
    NotActive,
}

/// Why a valid policy is not applied.
#[derive(Debug, thiserror::Error)]
pub(in crate::charter_sandbox) enum NotApplied {
    #[error("this action goes through POST {0}, not through /api/v1/policies/apply")]
    OtherCall(&'static str),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl Policies {
    pub fn active(&self) -> &[ActivePolicy] {
        &self.active
    }

    pub fn expire(&mut self, now: f64) {
        self.active.retain(|active| active.expires_at.is_none_or(|at| now < at));
    }

    /// Operations a second that are let in, while a throttle is in force.
    pub fn rate_limit(&self) -> Option<f64> {
        self.active.iter().find_map(|active| {
            if let Policy::ThrottleRequests { rate_limit, .. } = active.policy {
                Some(rate_limit)
            } else {
                None
            }
        })
    }

    pub fn override_is_active(&self) -> bool {
        self.active
            .iter()
            .any(|active| matches!(active.policy, Policy::ActivateEmergencyOverride { .. }))
    }

    pub fn is_bypassed(&self, kind: ValidationType) -> bool {
        self.active.iter().any(|active| {
            matches!(&active.policy, Policy::BypassValidation { validation_type, .. } if validation_type == kind.name())
        })
    }

    fn add(&mut self, policy: Policy, expires_at: Option<f64>, undo: Undo) -> u64 {
        self.active.retain(|older| !older.policy.is_replaced_by(&policy));
        self.issued += 1;
        self.active.push(ActivePolicy { number: self.issued, policy, expires_at, undo });
        self.issued
    }

    fn remove(&mut self, number: u64) -> Result<ActivePolicy, UnknownPolicy> {
        if number == 0 || number > self.issued {
            return Err(UnknownPolicy::NeverIssued);
        }
        let position = self
            .active
            .iter()
            .position(|active| active.number == number)
            .ok_or(UnknownPolicy::NotActive)?;
        Ok(self.active.remove(position))
    }
}

impl Plant {
    /// Puts a policy in force and returns its number. `speed` turns the caller's seconds into plant seconds.
    pub(in crate::charter_sandbox) fn apply(
        &mut self,
        policy: Policy,
        speed: f64,
    ) -> Result<u64, NotApplied> {
        let undo = match &policy {
            Policy::ScaleUp { .. } | Policy::ScaleDown { .. } => {
                return Err(NotApplied::OtherCall("/api/v1/committee/scale"));
            }
            Policy::RestartService { .. } => {
                return Err(NotApplied::OtherCall("/api/v1/committee/restart"));
            }
            Policy::ApplyPolicy { policy_set } => {
                let set = PolicySet::named(policy_set)
                    .ok_or_else(|| Invalid::PolicySet(policy_set.clone()))?;
                Undo::PolicySets(std::mem::replace(&mut self.policy_sets, [set; 3]))
            }
            Policy::RebalanceLoad { .. } => {
                let before = Component::ALL
                    .map(|component| self.services[component.index()].shards.placement());
                for service in &mut self.services {
                    service.shards.even_out();
                }
                Undo::Placements(before)
            }
            Policy::UpdateConfiguration { settings } => {
                let changed = self.settings.changed(settings)?;
                let before = self.settings.clone();
                self.set_settings(changed);
                Undo::Settings(before)
            }
            Policy::BypassValidation { .. }
            | Policy::ThrottleRequests { .. }
            | Policy::ActivateEmergencyOverride { .. } => Undo::Nothing,
        };
        let expires_at = policy.duration_seconds().map(|seconds| self.now() + seconds * speed);
        Ok(self.policies.add(policy, expires_at, undo))
    }

    /// Takes a policy out of force and restores what it had replaced.
    pub(in crate::charter_sandbox) fn roll_back(
        &mut self,
        number: u64,
    ) -> Result<(), UnknownPolicy> {
        match self.policies.remove(number)?.undo {
            Undo::Nothing => {}
            Undo::PolicySets(before) => self.policy_sets = before,
            Undo::Settings(before) => self.set_settings(before),
            Undo::Placements(before) => {
                for (service, placement) in self.services.iter_mut().zip(before) {
                    service.shards.move_to(placement);
                }
            }
        }
        Ok(())
    }
}
