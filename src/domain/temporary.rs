//! An action that is in force for a while only, until it is known to be over.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time::Time;

/// Points into the journal, which says what became of the action; in the store from the intent to the end of its effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Temporary {
    /// The action's idempotency key.
    pub key: Uuid,
    pub execution_id: Uuid,
    /// The latest possible end until the action's own is known.
    pub expires_at: Time,
}
