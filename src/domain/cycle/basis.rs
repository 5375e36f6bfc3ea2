//! What a cycle went by, kept small with its report, so that its page can be written days later, when the analysis and
//! the violations themselves are gone. Leaves out the evidence in full: that is the analysis'.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::Cause;
use crate::domain::action::ActionKind;
use crate::domain::analysis::PatternKind;
use crate::domain::charter::CommitteeState;
use crate::domain::expiring_action::InForce;
use crate::domain::loop_status::LoopStatus;
use crate::domain::need::NeedReason;
use crate::domain::pause::Pause;
use crate::domain::policy::Approval;
use crate::domain::reading::Source;
use crate::domain::rule::{Comparison, Severity};
use crate::domain::time::Time;

/// The data that a cycle decided by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Basis {
    pub sources: Vec<SourceRead>,
    pub rules: usize,
    pub rules_good: usize,
    pub series_expected: usize,
    pub series_seen: usize,
    /// What is wrong with rules that were not read well, at most 5 of them.
    pub rule_problems: Vec<String>,
    /// Charter's state, or why it is not known.
    pub charter: Option<CommitteeState>,
    pub charter_error: Option<String>,
    /// The pause that held.
    pub paused: Option<Pause>,
    /// The worst active violations, at most 10; the report counts all.
    pub violations: Vec<ActiveViolation>,
    /// Alerts that may be firing and are no evidence, each with the reason, at most 5 of `alerts_total`.
    #[serde(default)]
    pub alerts: Vec<String>,
    #[serde(default)]
    pub alerts_total: usize,
    /// The likeliest root causes, at most 5 of `causes_total`.
    pub causes: Vec<Concluded>,
    pub causes_total: usize,
    /// The policies that the candidates belong to, at most 10.
    pub policies: Vec<Proposed>,
    /// How the loop stood when it had done its work.
    #[serde(default)]
    pub standing: Option<LoopStatus>,
    /// Temporary actions at work then, at most 10.
    #[serde(default)]
    pub in_force: Vec<InForce>,
    /// Needs from earlier cycles that were still open, oldest first, at most 5 of `open_total`.
    #[serde(default)]
    pub open: Vec<StillOpen>,
    #[serde(default)]
    pub open_total: usize,
}

impl Basis {
    /// With ten violations of some 300 bytes a report stays within the 10 kB that the store reckons with.
    pub const VIOLATIONS: usize = 10;
    pub const PROBLEMS: usize = 5;
    pub const ALERTS: usize = 5;
    pub const CAUSES: usize = 5;
    /// More are not proposed in one cycle by default.
    pub const POLICIES: usize = 10;
    pub const OPEN: usize = 5;
    /// Characters of a violation's name: labels are somebody else's.
    pub const NAME: usize = 160;
}

/// How one source was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceRead {
    pub source: Source,
    pub error: Option<String>,
    /// When it was last read well, if not now and so far as this process knows.
    #[serde(default)]
    pub last_read: Option<Time>,
}

/// One active violation as the cycle saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActiveViolation {
    pub fingerprint: String,
    /// Rule and place, and what distinguishes it from its sisters.
    pub name: String,
    pub severity: Severity,
    pub source: Source,
    pub rule: String,
    pub component: Option<String>,
    pub value: Option<f64>,
    pub threshold: Option<f64>,
    pub comparison: Option<Comparison>,
    pub active_since: Time,
    pub actionable: bool,
    pub flapping: bool,
    pub confirmed: bool,
    /// Why an alert is not confirmed.
    #[serde(default)]
    pub no_evidence: Option<String>,
}

/// One root cause, without its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Concluded {
    pub cause: Cause,
    pub component: String,
    pub confidence: f64,
    pub patterns: Vec<PatternKind>,
    pub occurrences: u32,
    pub critical: bool,
    /// There are actions for this cause, and none of them changes its target.
    #[serde(default)]
    pub is_treated_elsewhere: bool,
    /// How many violations are behind it.
    pub evidence: usize,
}

/// A policy that a candidate of this cycle belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Proposed {
    pub id: Uuid,
    pub revision: u32,
    /// SHA-256 in hex of this revision; empty in a record of an earlier version.
    #[serde(default)]
    pub plan_hash: String,
    pub cause: Cause,
    pub component: String,
    pub action: ActionKind,
    pub approval: Approval,
}

/// A record for people that an earlier cycle opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StillOpen {
    pub reason: NeedReason,
    pub subject: String,
    pub component: Option<String>,
    pub opened_at: Time,
}

impl ActiveViolation {
    /// Counted as [`crate::domain::violation::Violation::counts`] does.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.actionable && self.severity >= Severity::Warning
    }
}
