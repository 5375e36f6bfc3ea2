//! Did it help? Pending verifications, results, and what is learned from results.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::ActionKind;
use super::target::Target;
use super::verification::{Baseline, Verification};
use super::{Cause, time::Time};

/// The result of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum OutcomeType {
    Success,
    Partial,
    Ineffective,
    Degradation,
    Unknown,
}

impl OutcomeType {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One action with its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    pub id: Uuid,
    pub policy_id: Uuid,
    pub execution_id: Uuid,
    pub cause: Cause,
    pub component: String,
    pub action_type: ActionKind,
    pub outcome_type: OutcomeType,
    /// The value of the worst violation of the evidence, before and after.
    pub metric_before: Option<f64>,
    pub metric_after: Option<f64>,
    pub violations_before: usize,
    pub violations_after: usize,
    pub judged_at: Time,
    /// The target it was verified on, and from when on samples counted.
    #[serde(alias = "scope")]
    pub target: Target,
    pub settled_at: Time,
    pub reason: String,
    /// From the action to the first good cycle in which everything was clear, when it was a success.
    pub time_to_effect_seconds: Option<f64>,
    /// The numbers behind the result; `None` when it was decided without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// A success that did not last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurred: Option<Recurred>,
}

/// The same violation was back so soon that its success was none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recurred {
    pub at: Time,
    /// The earlier result that this one replaces.
    pub was: OutcomeType,
    /// The violation's fingerprint.
    pub violation: String,
}

/// An applied execution that waits for its result; in the store, so that a restart neither forgets nor repeats it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingVerification {
    pub execution_id: Uuid,
    pub policy_id: Uuid,
    pub cause: Cause,
    pub component: String,
    pub actions: Vec<ActionKind>,
    #[serde(alias = "scope")]
    pub target: Target,
    /// Counted violations of the scope that were active at the intent.
    pub before: BTreeSet<String>,
    /// Rules that those violations belong to: there is no result until their readings are good.
    pub rules: BTreeSet<String>,
    /// The worst violation of the evidence: whose value is shown before and after.
    pub witness: Option<String>,
    pub metric_before: Option<f64>,
    pub intent_at: Time,
    pub applied_at: Time,
    /// End of the settle time: older samples are never used.
    pub settled_at: Time,
    /// The result is unknown if there is none by then.
    pub judge_by: Time,
    /// The size we set, for a change of size; any other size at the verification is a foreign change.
    pub expected_replicas: Option<u32>,
    /// Counted violations of the scope in the first good cycle since it was due.
    pub first_look: Option<BTreeSet<String>>,
    /// First good cycle since the action in which no counted violation of the scope was active.
    pub clear_at: Option<Time>,
    /// Of `before` those that a series is read for: without it nobody can say that they are gone.
    #[serde(default)]
    pub measured: BTreeSet<String>,
    /// `None` in a record of an older version.
    #[serde(default)]
    pub yardstick: Option<Baseline>,
    /// The values of the baseline's series in the first good cycle since it was due.
    #[serde(default)]
    pub first_values: BTreeMap<String, f64>,
}

/// Statistics of one action for one cause: computed from the kept outcomes, never counted twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActionStatistics {
    pub cause: Cause,
    pub action: ActionKind,
    /// Runs with a result; those whose result is unknown are not among them.
    pub runs: u32,
    pub successes: u32,
    pub partials: u32,
    /// Share of the runs that were a success, 0 to 1.
    pub success_rate: f64,
    pub mean_time_to_effect_seconds: Option<f64>,
    /// 0 to 1; grows with the runs behind it.
    pub confidence: f64,
    /// 0 to 1: the expected effect of an action, less what would have come by itself.
    pub effectiveness: f64,
    /// How likely the cause's violations clear by themselves; taken off in `effectiveness`.
    pub natural_recovery: f64,
}

/// Something learned, in words; keyed by cause and action and updated in place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Insight {
    pub key: String,
    pub title: String,
    /// 0 to 1; grows with the runs behind it.
    pub confidence: f64,
    pub recommendation: String,
    pub updated_at: Time,
}
