//! Every label value that a metric of ours can carry: closed enums, so that all series exist from the start.
//!
//! Leaves out what is counted where ([`super::Metrics`]). Domain enums are labels as they are; the enums here name what
//! the domain has no word for.

use crate::domain::Cause;
use crate::domain::action::ActionKind;
use crate::domain::analysis::PatternKind;
use crate::domain::cluster::WordKind;
use crate::domain::cycle::{CycleStatus, Hold, Impossibility, Ineligibility, Phase, Verdict};
use crate::domain::decision::Sev;
use crate::domain::escalation::EscalationReason;
use crate::domain::execution::ActionState;
use crate::domain::finding::IncidentClass;
use crate::domain::message::NotifierName;
use crate::domain::outcome::OutcomeType;
use crate::domain::reading::{FailureKind, Source};
use crate::domain::rule::Severity;

/// A label whose values are all known when the process starts.
pub trait Label: Copy + 'static {
    const ALL: &'static [Self];

    fn text(self) -> &'static str;
}

/// Domain enums that already list and name their values.
macro_rules! domain_labels {
    ($($name:ty),+ $(,)?) => {
        $(impl Label for $name {
            const ALL: &'static [Self] = &<$name>::ALL;

            fn text(self) -> &'static str {
                self.as_str()
            }
        })+
    };
}

domain_labels!(
    ActionKind,
    Hold,
    PatternKind,
    Phase,
    EscalationReason,
    OutcomeType,
    FailureKind,
    Source,
    Severity,
    Sev,
    IncidentClass,
    NotifierName,
    WordKind
);

/// One list of variants with their texts, so that no variant can lack a series or a name.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? })+) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($variant),+
        }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        })+
    };
}

labels! {
    /// How a policy's execution ended; failed includes rolled back.
    ExecutionResult { Success = "success", Failed = "failed" }

    /// How a cycle ended.
    CycleResult { Healthy = "healthy", Completed = "completed", Failed = "failed", Error = "error" }

    /// What became of a delivered alert.
    AlertOutcome {
        Accepted = "accepted",
        Duplicate = "duplicate",
        Invalid = "invalid",
        Own = "own",
        Ignored = "ignored",
    }

    /// Why a webhook request was turned away; nothing of it was stored.
    IntakeRejection {
        Unauthorized = "unauthorized",
        Malformed = "malformed",
        TooLarge = "too_large",
        TooSlow = "too_slow",
        TooMuch = "too_much",
        TooOften = "too_often",
        StoreFailed = "store_failed",
    }

    /// Every status that the webhook answers with.
    WebhookStatus {
        Ok = "200",
        BadRequest = "400",
        Unauthorized = "401",
        TooLarge = "413",
        Unavailable = "503",
    }

    /// Who asked for a cycle before its time.
    WakeReason {
        CriticalAlert = "critical_alert",
        TruncatedPayload = "truncated_payload",
        OversizePayload = "oversize_payload",
        Approval = "approval",
        Resume = "resume",
    }

    /// One call of Charter's control API.
    CharterCall {
        Health = "health",
        Policies = "policies",
        Validate = "validate",
        Apply = "apply",
        Rollback = "rollback",
        CommitteeState = "committee_state",
        Scale = "scale",
        Restart = "restart",
        Violations = "violations",
    }

    /// How one call of Charter ended: the executor's own words.
    CallResult {
        Ok = "ok",
        Refused = "refused",
        Unavailable = "unavailable",
        Unreachable = "unreachable",
        Timeout = "timeout",
        Failed = "failed",
        Cut = "cut",
    }

    /// What the store was asked to do when it failed.
    StoreOperation { Read = "read", Write = "write", Check = "check" }

    /// How one message, or one refresh of what stands, ended at a notifier.
    NotificationResult {
        Delivered = "delivered",
        Unreachable = "unreachable",
        Timeout = "timeout",
        RateLimited = "rate_limited",
        Refused = "refused",
        Panicked = "panicked",
    }

    /// The state in which the journal left an action.
    ActionEnd {
        Intent = "intent",
        Validated = "validated",
        Sent = "sent",
        Applied = "applied",
        Refused = "refused",
        Unknown = "unknown",
        Judging = "judging",
        Judged = "judged",
        Closed = "closed",
        UndoSent = "undo_sent",
        Undone = "undone",
        UndoFailed = "undo_failed",
    }

    /// What a remedy is for: a shipped cause, or any that the configuration names.
    CauseLabel {
        ValidationLatency = "validation_latency",
        PolicyMisconfiguration = "policy_misconfiguration",
        CascadeFailure = "cascade_failure",
        SystemOverload = "system_overload",
        GiveBack = "give_back",
        Unknown = "unknown",
        Other = "other",
    }

    /// What became of a candidate and why.
    CandidateVerdict {
        Chosen = "chosen",
        Outranked = "outranked",
        Paused = "paused",
        ModeObserve = "mode_observe",
        NotLeading = "not_leading",
        StaleData = "stale_data",
        Storm = "storm",
        BreakerOpen = "breaker_open",
        Cooldown = "cooldown",
        OppositeDirection = "opposite_direction",
        BudgetExhausted = "budget_exhausted",
        FleetLimit = "fleet_limit",
        Judging = "judging",
        InFlight = "in_flight",
        ApprovalPending = "approval_pending",
        NotBegun = "not_begun",
        Rejected = "rejected",
        OutcomeUnknown = "outcome_unknown",
        CharterUnreachable = "charter_unreachable",
        AtLimit = "at_limit",
        SizeUnknown = "size_unknown",
        ParameterMissing = "parameter_missing",
        Invalid = "invalid",
        NotConfined = "not_confined",
        Forbidden = "forbidden",
        LowConfidence = "low_confidence",
        LowScore = "low_score",
        TooFewOccurrences = "too_few_occurrences",
        NotItsTurn = "not_its_turn",
        TriedOut = "tried_out",
        AmbiguousScope = "ambiguous_scope",
        Unconfirmed = "unconfirmed",
        OverTheLimit = "over_the_limit",
        RemediesExhausted = "remedies_exhausted",
    }
}

impl From<&Cause> for CauseLabel {
    fn from(cause: &Cause) -> Self {
        let shipped = Self::ALL.iter().find(|label| label.text() == cause.0);
        shipped.copied().unwrap_or(Self::Other)
    }
}

impl From<CycleStatus> for CycleResult {
    fn from(status: CycleStatus) -> Self {
        match status {
            CycleStatus::Healthy => Self::Healthy,
            CycleStatus::Completed => Self::Completed,
            CycleStatus::Failed => Self::Failed,
            CycleStatus::Error => Self::Error,
        }
    }
}

impl From<ActionState> for ActionEnd {
    fn from(state: ActionState) -> Self {
        match state {
            ActionState::Intent => Self::Intent,
            ActionState::Validated => Self::Validated,
            ActionState::Sent => Self::Sent,
            ActionState::Applied => Self::Applied,
            ActionState::Refused => Self::Refused,
            ActionState::Unknown => Self::Unknown,
            ActionState::Judging => Self::Judging,
            ActionState::Judged => Self::Judged,
            ActionState::Closed => Self::Closed,
            ActionState::UndoSent => Self::UndoSent,
            ActionState::Undone => Self::Undone,
            ActionState::UndoFailed => Self::UndoFailed,
        }
    }
}

impl From<&Verdict> for CandidateVerdict {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Chosen => Self::Chosen,
            Verdict::Outranked { .. } => Self::Outranked,
            Verdict::Held { reason, .. } => match reason {
                Hold::Paused => Self::Paused,
                Hold::ModeObserve => Self::ModeObserve,
                Hold::NotLeading => Self::NotLeading,
                Hold::StaleData => Self::StaleData,
                Hold::Storm => Self::Storm,
                Hold::BreakerOpen => Self::BreakerOpen,
                Hold::Cooldown => Self::Cooldown,
                Hold::OppositeDirection => Self::OppositeDirection,
                Hold::BudgetExhausted => Self::BudgetExhausted,
                Hold::FleetLimit => Self::FleetLimit,
                Hold::Judging => Self::Judging,
                Hold::InFlight => Self::InFlight,
                Hold::ApprovalPending => Self::ApprovalPending,
                Hold::NotBegun => Self::NotBegun,
                Hold::Rejected => Self::Rejected,
                Hold::OutcomeUnknown => Self::OutcomeUnknown,
                Hold::CharterUnreachable => Self::CharterUnreachable,
            },
            Verdict::Impossible { reason, .. } => match reason {
                Impossibility::AtLimit => Self::AtLimit,
                Impossibility::SizeUnknown => Self::SizeUnknown,
                Impossibility::ParameterMissing => Self::ParameterMissing,
                Impossibility::Invalid => Self::Invalid,
                Impossibility::NotConfined => Self::NotConfined,
                Impossibility::Forbidden => Self::Forbidden,
            },
            Verdict::Ineligible { reason, .. } => match reason {
                Ineligibility::LowConfidence => Self::LowConfidence,
                Ineligibility::LowScore => Self::LowScore,
                Ineligibility::TooFewOccurrences => Self::TooFewOccurrences,
                Ineligibility::NotItsTurn => Self::NotItsTurn,
                Ineligibility::TriedOut => Self::TriedOut,
                Ineligibility::AmbiguousScope => Self::AmbiguousScope,
                Ineligibility::Unconfirmed => Self::Unconfirmed,
                Ineligibility::OverTheLimit => Self::OverTheLimit,
                Ineligibility::RemediesExhausted => Self::RemediesExhausted,
            },
        }
    }
}
