//! What takes an action back, as far as anything does.

use uuid::Uuid;

use crate::domain::action::Action;
use crate::domain::execution::ActionRecord;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inverse {
    /// Back to the size read before, only while the size is still the one we set.
    Scale {
        only_if: u32,
        back_to: u32,
    },
    Rollback {
        policy_id: String,
    },
    Impossible {
        why: &'static str,
    },
}

/// The inverse of an action as the journal recorded it.
#[must_use]
pub fn inverse(record: &ActionRecord) -> Inverse {
    match &record.action {
        Action::ScaleUp { replicas } | Action::ScaleDown { replicas } => {
            match record.prior_replicas {
                Some(back_to) => Inverse::Scale { only_if: *replicas, back_to },
                None => Inverse::Impossible { why: "the size before it is not known" },
            }
        }
        Action::RestartService { .. } | Action::Hook { .. } => {
            Inverse::Impossible { why: "a restart cannot be taken back" }
        }
        Action::ApplyPolicy { .. }
        | Action::BypassValidation { .. }
        | Action::ThrottleRequests { .. }
        | Action::ActivateEmergencyOverride { .. }
        | Action::RebalanceLoad { .. }
        | Action::UpdateConfiguration { .. } => match &record.charter_policy_id {
            Some(policy_id) => Inverse::Rollback { policy_id: policy_id.clone() },
            None => Inverse::Impossible { why: "Charter's id of it is not known" },
        },
    }
}

/// The undo's idempotency key, derived from the action's so that it too is in the store before anything is sent and
/// the same after a restart. Under the action's own key Charter would repeat its first answer and undo nothing.
#[must_use]
pub fn undo_key(key: Uuid) -> Uuid {
    // Spares the bits that say version and variant; flipping bits keeps distinct keys distinct.
    const MASK: u128 = 0x756e_646f_756e_046f_156e_646f_756e_646f;
    Uuid::from_u128(key.as_u128() ^ MASK)
}
