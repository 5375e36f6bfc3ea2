//! The report of one cycle: what was seen, decided and done, and for what was not done, why not.

pub mod basis;
pub mod condition;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use self::basis::Basis;
use self::condition::{ClusterRead, OpenIncident};
use super::action::{Action, ActionKind};
use super::decision::Decision;
use super::finding::Finding;
use super::guard::GuardReading;
use super::message::NotificationResult;
use super::trend::TrendAnalysis;
use super::{Cause, time::Time};

/// `healthy`: nothing was wrong; `completed`: what was wrong was looked at to the end; `failed`: something could not be read or done; `error`: it broke off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum CycleStatus {
    Healthy,
    #[default]
    Completed,
    Failed,
    Error,
}

/// After so many failed cycles in a row people are notified, and the health is degraded.
pub const FAILING: u64 = 3;

impl CycleStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A part of a cycle.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    Monitor,
    /// What was read of the cluster becomes findings.
    #[serde(rename = "k8s-analyzer")]
    #[strum(serialize = "k8s-analyzer")]
    K8sAnalyzer,
    Analyze,
    Plan,
    Execute,
    Knowledge,
    Escalation,
    Notification,
}

impl Phase {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why a cycle runs. A woken cycle carries no data and counts as no occurrence of what was already active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    #[default]
    Scheduled,
    Woken,
}

/// The result of one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum CandidateResult {
    /// The one policy of this cycle.
    Chosen,
    /// Admitted, but another scored higher and a cycle executes one policy at most.
    Outranked { by: ActionKind, score: f64 },
    /// Held back for a while: its rivals for the cause wait too.
    Held { reason: Hold, detail: String },
    /// Impossible: the cause's next candidate counts.
    Impossible { reason: Impossibility, detail: String },
    /// Not eligible now.
    Ineligible { reason: Ineligibility, detail: String },
}

impl CandidateResult {
    /// In one word of the API: itself, or the reason.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Outranked { .. } => "outranked",
            Self::Held { reason, .. } => reason.as_str(),
            Self::Impossible { reason, .. } => reason.as_str(),
            Self::Ineligible { reason, .. } => reason.as_str(),
        }
    }
}

/// What held a candidate back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Hold {
    /// A person's pause.
    Paused,
    /// `guardrails.mode` is observe.
    ModeObserve,
    /// Another one may lead by now.
    NotLeading,
    CharterUnreachable,
    /// What is to be changed cannot be read in Kubernetes, or nobody watches it.
    ClusterUnreadable,
    /// Kubernetes has no such object, or it is of a kind or in a namespace that is not watched.
    TargetMissing,
    /// The target's label `mape-k.io/act` is `off`.
    OptedOut,
    /// Nobody but people may touch the target.
    Protected,
    /// The rules behind it were not read whole, covered and fresh.
    StaleData,
    Storm,
    BreakerOpen,
    Cooldown,
    /// Its opposite was done not long ago.
    OppositeDirection,
    BudgetExhausted,
    /// So much of the fleet, or another of its redundancy group, is being worked on already.
    FleetLimit,
    #[serde(rename = "judging")]
    #[strum(serialize = "judging")]
    Verifying,
    InFlight,
    OutcomeUnknown,
    Rejected,
    ApprovalPending,
    /// Chosen, and then not begun after all: a stop or a person came in between.
    NotBegun,
}

impl Hold {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why a candidate cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Impossibility {
    AtLimit,
    SizeUnknown,
    ParameterMissing,
    Invalid,
    NotConfined,
    /// `guardrails.forbidden_actions` names it.
    Forbidden,
}

impl Impossibility {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why a candidate is not eligible now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Ineligibility {
    LowConfidence,
    LowScore,
    TooFewOccurrences,
    /// The candidate it comes `after` has no result yet, and is not impossible.
    NotItsTurn,
    /// Its result was ineffective or degradation in this incident, or it was tried too often in it.
    TriedOut,
    AmbiguousScope,
    /// None of its evidence was read as broken in this very cycle.
    Unconfirmed,
    /// Beyond `max_policies_per_analysis`.
    OverTheLimit,
    /// No candidate is left in this incident: no more calls.
    RemediesExhausted,
}

impl Ineligibility {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One candidate: an action for one cause on one target, with its numbers and its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CandidateReport {
    pub cause: Cause,
    pub component: String,
    pub action: ActionKind,
    /// With parameters, where they could be computed.
    pub planned: Option<Action>,
    /// 0 to 1.
    pub cause_confidence: f64,
    /// 0 to 1, from what was learned.
    pub effectiveness: f64,
    /// Confidence times effectiveness, 0 to 1.
    pub benefit: f64,
    /// By `plan.cost_model`, 0 to 1.
    pub cost: f64,
    /// Benefit less cost.
    pub score: f64,
    /// Occurrences behind it within the planning window.
    pub occurrences: u32,
    /// What each guard said, in their order; empty when it was not yet the candidate's turn.
    #[serde(default)]
    pub guards: Vec<GuardReading>,
    pub verdict: CandidateResult,
}

/// One cycle: what was seen, concluded, weighed and done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CycleReport {
    /// `YYYYMMDD_HHMMSS` UTC, unique by suffix.
    pub id: String,
    pub number: u64,
    pub trigger: Trigger,
    pub status: CycleStatus,
    /// Where a failed or broken cycle stopped.
    pub phase: Option<Phase>,
    pub error: Option<String>,
    pub started_at: Time,
    pub duration_seconds: f64,
    /// Phases passed, in order, with their time.
    pub phases: Vec<(Phase, f64)>,
    /// How many were active.
    pub violations: usize,
    pub actionable: usize,
    /// How many became active, and how many cleared, in this cycle.
    pub opened: usize,
    pub cleared: usize,
    /// The first of each, in words.
    pub opened_examples: Vec<String>,
    pub cleared_examples: Vec<String>,
    /// The data that it decided by; `None` when it broke off before it had read anything, or an older version wrote it.
    #[serde(default)]
    pub basis: Option<Basis>,
    pub analysis_id: Option<Uuid>,
    pub candidates: Vec<CandidateReport>,
    pub policies_generated: usize,
    pub execution_id: Option<Uuid>,
    pub outcomes: Vec<Uuid>,
    pub escalations_opened: Vec<Uuid>,
    pub escalations_closed: Vec<Uuid>,
    /// Cycles that failed or broke off in a row, this one among them.
    #[serde(default)]
    pub failed_cycles: u64,
    /// What was found in the cluster, at most 200 of `findings_total`.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// 0 in a record of an earlier version.
    #[serde(default)]
    pub findings_total: usize,
    /// How the cluster was read; `None`: it is not watched.
    #[serde(default)]
    pub cluster: Option<ClusterRead>,
    /// Incidents open when it ended, the worst first, at most 5 of `incidents_open`.
    #[serde(default)]
    pub incidents: Vec<OpenIncident>,
    #[serde(default)]
    pub incidents_open: usize,
    /// Objects of the cluster that could not be read and were skipped, each with the field that is wrong; bounded.
    #[serde(default)]
    pub unread_objects: Vec<String>,
    /// `None`: there was nothing to decide.
    #[serde(default)]
    pub escalation_decision: Option<Decision>,
    /// `None`: nobody had to be notified.
    #[serde(default)]
    pub notification_result: Option<NotificationResult>,
    /// 1 when people were notified.
    #[serde(default)]
    pub notifications_sent: u8,
    #[serde(default)]
    pub trend_analysis: Option<TrendAnalysis>,
}
