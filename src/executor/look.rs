//! Looking at Charter's state after a call whose answer was lost: did it take effect?

use std::collections::BTreeSet;

use serde_json::Value;

use super::charter::{Client, Error, ListedPolicy, PolicyStatus};
use super::retry;
use crate::domain::action::Action;

/// Where the effect of a change can be seen.
#[derive(Clone, Debug)]
pub(super) enum Trace {
    /// In the committee's size.
    Size { from: u32, to: u32 },
    /// As a new entry of the list of policies; `known` are the ids listed before, if the list could be read.
    Listed { action: Action, known: Option<BTreeSet<String>> },
    /// By the entry no longer being in force.
    Gone { policy_id: String, action: Action },
    /// Nowhere: a restart leaves nothing to compare.
    Nowhere,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sight {
    /// It took effect; Charter's id where it has one.
    Found { policy_id: Option<String> },
    /// Not there.
    Absent,
    /// Charter took it and it is not in force.
    Ended(String),
    /// Somebody else has changed the same thing: not to be sent again, whatever Charter promises.
    Foreign(String),
    /// Cannot tell.
    Hidden(String),
}

pub(super) async fn look(client: &Client, trace: &Trace, tries: u32, seed: u64) -> Sight {
    match trace {
        Trace::Size { from, to } => {
            match retry::read(tries, seed, || client.committee_state()).await {
                Ok(state) if state.replicas == *to => Sight::Found { policy_id: None },
                Ok(state) if state.replicas == *from => Sight::Absent,
                Ok(state) => Sight::Foreign(format!(
                    "Charter has {} replicas, neither the {from} before nor the {to} asked for: somebody else changes its size",
                    state.replicas
                )),
                Err(error) => hidden(&error),
            }
        }
        Trace::Listed { known: None, .. } => {
            Sight::Hidden("Charter's list of policies could not be read before it was sent".into())
        }
        Trace::Listed { action, known: Some(known) } => {
            match retry::read(tries, seed, || client.policies()).await {
                Ok(listed) => appeared(&listed, action, known),
                Err(error) => hidden(&error),
            }
        }
        Trace::Gone { policy_id, action } => {
            match retry::read(tries, seed, || client.policies()).await.map(InForce) {
                Ok(listed) if listed.holds(policy_id, action) => Sight::Absent,
                Ok(_) => Sight::Found { policy_id: None },
                Err(error) => hidden(&error),
            }
        }
        Trace::Nowhere => Sight::Hidden("a restart leaves nothing at Charter to see it by".into()),
    }
}

fn hidden(error: &Error) -> Sight {
    Sight::Hidden(format!("Charter's state could not be read: {error}"))
}

fn appeared(listed: &[ListedPolicy], action: &Action, known: &BTreeSet<String>) -> Sight {
    let Ok(Value::Object(wanted)) = serde_json::to_value(action) else {
        return Sight::Hidden("the action cannot be compared".into());
    };
    let mut fresh = listed.iter().filter(|policy| {
        !known.contains(&policy.policy_id)
            && wanted
                .iter()
                .all(|(name, value)| policy.body.get(name).is_some_and(|there| same(there, value)))
    });
    match (fresh.next(), fresh.next()) {
        (None, _) => Sight::Absent,
        (Some(policy), None) => match policy.status {
            PolicyStatus::Pending | PolicyStatus::Approved | PolicyStatus::Active => {
                Sight::Found { policy_id: Some(policy.policy_id.clone()) }
            }
            PolicyStatus::Failed => {
                Sight::Ended(format!("Charter lists it as failed, under {}", policy.policy_id))
            }
            PolicyStatus::RolledBack => {
                Sight::Ended(format!("Charter lists it as rolled back, under {}", policy.policy_id))
            }
        },
        (Some(_), Some(_)) => Sight::Foreign(
            "Charter lists more than one new policy like it: which is ours cannot be told".into(),
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
