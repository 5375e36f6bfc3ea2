//! Looking at Charter's state after a call whose answer was lost: did it take effect?

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Charter, Error, ListedPolicy, PolicyStatus, Prior, seed, size_of};
use crate::actuators::{Probe, Request};
use crate::domain::action::Action;

impl Charter {
    pub(super) async fn find(&self, request: &Request<'_>, known: &Prior, prior: &Value) -> Probe {
        let action = request.action;
        if let Some(to) = size_of(action) {
            let Some(from) = known.replicas else {
                return Probe::CannotTell("the size before it is not known".into());
            };
            return self.size(request, (from, to), prior).await;
        }
        if matches!(action, Action::RestartService { .. }) {
            return Probe::CannotTell("a restart leaves nothing at Charter to see it by".into());
        }
        let Some(before) = &known.listed else {
            return Probe::CannotTell(
                "Charter's list of policies could not be read before it was sent".into(),
            );
        };
        match self.read(seed(request), || self.client.policies()).await {
            Ok(listed) => appeared(&listed, action, before, prior),
            Err(error) => hidden(&error),
        }
    }

    /// Has its undo taken effect?
    pub(super) async fn find_undone(
        &self,
        request: &Request<'_>,
        known: &Prior,
        prior: &Value,
    ) -> Probe {
        match (size_of(request.action), known.replicas, &known.policy_id) {
            (Some(ours), Some(before), _) => self.size(request, (ours, before), prior).await,
            (None, _, Some(policy_id)) => {
                match self.read(seed(request), || self.client.policies()).await.map(InForce) {
                    Ok(listed) if listed.holds(policy_id, request.action) => Probe::Absent,
                    Ok(_) => Probe::Found(prior.clone()),
                    Err(error) => hidden(&error),
                }
            }
            _ => Probe::CannotTell("what it was before is not known".into()),
        }
    }

    async fn size(&self, request: &Request<'_>, (from, to): (u32, u32), prior: &Value) -> Probe {
        match self.read(seed(request), || self.client.committee_state()).await {
            Ok(state) if state.replicas == to => Probe::Found(prior.clone()),
            Ok(state) if state.replicas == from => Probe::Absent,
            Ok(state) => Probe::Foreign(format!(
                "Charter has {} replicas, neither the {from} before nor the {to} asked for: somebody else changes its size",
                state.replicas
            )),
            Err(error) => hidden(&error),
        }
    }
}

fn hidden(error: &Error) -> Probe {
    Probe::CannotTell(format!("Charter's state could not be read: {error}"))
}

fn appeared(
    listed: &[ListedPolicy],
    action: &Action,
    known: &BTreeSet<String>,
    prior: &Value,
) -> Probe {
    let Ok(Value::Object(wanted)) = serde_json::to_value(action) else {
        return Probe::CannotTell("the action cannot be compared".into());
    };
    let mut fresh = listed.iter().filter(|policy| {
        !known.contains(&policy.policy_id)
            && wanted
                .iter()
                .all(|(name, value)| policy.body.get(name).is_some_and(|there| same(there, value)))
    });
    match (fresh.next(), fresh.next()) {
        (None, _) => Probe::Absent,
        (Some(policy), None) => match policy.status {
            PolicyStatus::Pending | PolicyStatus::Approved | PolicyStatus::Active => {
                Probe::Found(Prior::after(Some(policy.policy_id.clone()), prior))
            }
            PolicyStatus::Failed => {
                Probe::Ended(format!("Charter lists it as failed, under {}", policy.policy_id))
            }
            PolicyStatus::RolledBack => {
                Probe::Ended(format!("Charter lists it as rolled back, under {}", policy.policy_id))
            }
        },
        (Some(_), Some(_)) => Probe::Foreign(
            "Charter lists more than one new policy like it, and nothing shows which one is ours"
                .into(),
        ),
    }
}

/// Charter's list of policies, as it was read.
#[derive(Debug)]
pub struct InForce(pub(super) Vec<ListedPolicy>);

impl InForce {
    /// Is this action in force, or on its way there, under that id? An id that names something else by now was given
    /// anew by a Charter that has forgotten ours. What an entry does not say speaks for neither.
    #[must_use]
    pub fn holds(&self, policy_id: &str, action: &Action) -> bool {
        let Ok(Value::Object(ours)) = serde_json::to_value(action) else { return false };
        self.0.iter().any(|policy| {
            let is_ours = ours
                .iter()
                .all(|(name, value)| policy.body.get(name).is_none_or(|there| same(there, value)));
            let in_force = match policy.status {
                PolicyStatus::Pending | PolicyStatus::Approved | PolicyStatus::Active => true,
                PolicyStatus::Failed | PolicyStatus::RolledBack => false,
            };
            policy.policy_id == policy_id && in_force && is_ours
        })
    }
}

/// Equal as JSON means it: 80 and 80.0 are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}
