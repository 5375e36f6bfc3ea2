//! A grant: who allowed exactly which policy, and until when. What was seen is what is allowed.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Cause;
use super::action::{Action, Risk};
use super::policy::Policy;
use super::target::Target;
use super::time::{self, Time};

/// Bound to one revision and its hash: anything else is a policy that nobody has allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    pub revision: u32,
    pub plan_hash: String,
    /// A person's name, or `auto` where the configuration allowed it.
    pub by: String,
    pub at: Time,
    pub expires_at: Time,
}

/// Why a grant does not allow a policy now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGrant {
    #[error("nobody has approved it")]
    Absent,
    #[error("{by} approved revision {approved}, and this is revision {present}")]
    OtherRevision { by: String, approved: u32, present: u32 },
    #[error("{by} approved {approved}, and its actions, parameters and targets hash to {present}")]
    OtherHash { by: String, approved: String, present: String },
    #[error("the approval by {by} expired at {}", time::text(*at))]
    Expired { by: String, at: Time },
}

impl Grant {
    /// Who approves where the configuration lets the loop act by itself. No person may decide under this name.
    pub const AUTO: &str = "auto";

    /// Characters of a hash that are shown, and the fewest that name a proposal: enough to compare by eye, and two of the
    /// few proposals that wait at a time share them once in four billion.
    pub const SHOWN: usize = 8;

    #[must_use]
    pub fn is_auto(&self) -> bool {
        self.by == Self::AUTO
    }
}

impl Policy {
    /// SHA-256 in hex over what would be done and why: id, revision, cause, component, actions with their parameters, and
    /// what they change. The version before left the last one out, so that what was approved then is proposed anew.
    #[must_use]
    pub fn hash(&self) -> String {
        #[derive(Serialize)]
        struct Plan<'a> {
            id: Uuid,
            revision: u32,
            cause: &'a Cause,
            component: &'a str,
            actions: &'a [Action],
            targets: Vec<Target>,
        }
        let Self { id, revision, cause, component, actions, .. } = self;
        let targets = actions.iter().map(Action::target).collect();
        let plan = Plan { id: *id, revision: *revision, cause, component, actions, targets };
        // Texts, numbers and maps of texts always have a form in JSON; its fields are in the order above.
        let form = serde_json::to_vec(&plan).unwrap_or_default();
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(&form) {
            // Writing to a String does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    /// How its hash begins: what commands name a proposal by.
    #[must_use]
    pub fn short_hash(&self) -> String {
        let mut hash = self.hash();
        hash.truncate(Grant::SHOWN);
        hash
    }

    /// The grant that allows this very policy at this moment.
    pub fn granted(&self, now: Time) -> Result<&Grant, NoGrant> {
        let grant = self.grant.as_ref().ok_or(NoGrant::Absent)?;
        let by = || grant.by.clone();
        if grant.revision != self.revision {
            let (approved, present) = (grant.revision, self.revision);
            return Err(NoGrant::OtherRevision { by: by(), approved, present });
        }
        let present = self.hash();
        if grant.plan_hash != present {
            let approved = grant.plan_hash.clone();
            return Err(NoGrant::OtherHash { by: by(), approved, present });
        }
        if now >= grant.expires_at {
            return Err(NoGrant::Expired { by: by(), at: grant.expires_at });
        }
        Ok(grant)
    }

    /// Its own, or its riskiest action's if that is higher: what a record says does not make an action safe.
    #[must_use]
    pub fn highest_risk(&self) -> Risk {
        self.actions.iter().map(Action::risk).fold(self.risk, Risk::max)
    }
}
