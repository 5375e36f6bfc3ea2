//! Every label value that a metric of ours can carry: closed enums, so that all series exist from the start.
//!
//! Leaves out what is counted where ([`super::Metrics`]). Domain enums are labels as they are; the enums here name what
//! the domain has no word for.

use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::domain::Cause;
use crate::domain::action::ActionKind;
use crate::domain::cycle::{CandidateResult, Hold, Impossibility, Ineligibility};

/// A label whose values are all known when the process starts.
pub trait Label: Copy {
    fn all() -> Vec<Self>;

    fn text(self) -> &'static str;
}

impl<T: Copy + VariantArray + Into<&'static str>> Label for T {
    fn all() -> Vec<Self> {
        Self::VARIANTS.to_vec()
    }

    fn text(self) -> &'static str {
        self.into()
    }
}

/// How a policy's execution ended; failed includes rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ExecutionResult {
    Success,
    Failed,
}

/// What became of a delivered alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum AlertOutcome {
    Accepted,
    Duplicate,
    Invalid,
    Own,
    Ignored,
}

/// Why a webhook request was turned away; nothing of it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum IntakeRejection {
    Unauthorized,
    Forbidden,
    Malformed,
    TooLarge,
    TooSlow,
    TooMuch,
    TooOften,
    StoreFailed,
}

/// Every status that the webhook answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
pub enum WebhookStatus {
    #[strum(serialize = "200")]
    Ok,
    #[strum(serialize = "400")]
    BadRequest,
    #[strum(serialize = "401")]
    Unauthorized,
    #[strum(serialize = "403")]
    Forbidden,
    #[strum(serialize = "413")]
    TooLarge,
    #[strum(serialize = "503")]
    Unavailable,
}

/// Who asked for a cycle before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum WakeReason {
    CriticalAlert,
    TruncatedPayload,
    OversizePayload,
    Approval,
    Resume,
}

/// One call of Charter's control API.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Display, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum Call {
    Health,
    Policies,
    Validate,
    Apply,
    Rollback,
    CommitteeState,
    Scale,
    Restart,
    Violations,
}

/// How one call of Charter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum CallStatus {
    Ok,
    /// 4xx, also an invalid policy.
    Refused,
    /// 503: Charter says that it did nothing.
    Unavailable,
    /// No connection: nothing was sent.
    Unreachable,
    Timeout,
    /// Reset, 5xx or an answer that is none of the contract's.
    Failed,
    /// Given up from our side: the policy's time had run out or the process stops.
    Cut,
}

/// What the store was asked to do when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum StoreOperation {
    Read,
    Write,
    Check,
}

/// How one message, or one refresh of what stands, ended at a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum NotificationResult {
    Delivered,
    Unreachable,
    Timeout,
    RateLimited,
    Refused,
    Panicked,
    /// Not sent any more: too many waited, or its notifier is gone.
    GivenUp,
}

/// What an action is for: a shipped cause, or any that the configuration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum CauseLabel {
    ValidationLatency,
    PolicyMisconfiguration,
    CascadeFailure,
    SystemOverload,
    GiveBack,
    Unknown,
    Other,
}

/// An action's name by the table; hooks share one, since the configuration names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionLabel(&'static str);

impl From<ActionKind> for ActionLabel {
    fn from(kind: ActionKind) -> Self {
        Self(kind.spec().name)
    }
}

impl Label for ActionLabel {
    fn all() -> Vec<Self> {
        ActionKind::ALL.into_iter().map(Self::from).chain([Self("hook")]).collect()
    }

    fn text(self) -> &'static str {
        self.0
    }
}

impl From<&Cause> for CauseLabel {
    fn from(cause: &Cause) -> Self {
        cause.0.parse().unwrap_or(Self::Other)
    }
}

/// What became of a candidate and why: [`CandidateResult::word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandidateLabel(&'static str);

impl Label for CandidateLabel {
    fn all() -> Vec<Self> {
        let names = ["chosen", "outranked"].into_iter();
        let names = names.chain(Hold::VARIANTS.iter().map(Into::into));
        let names = names.chain(Impossibility::VARIANTS.iter().map(Into::into));
        names.chain(Ineligibility::VARIANTS.iter().map(Into::into)).map(Self).collect()
    }

    fn text(self) -> &'static str {
        self.0
    }
}

impl From<&CandidateResult> for CandidateLabel {
    fn from(verdict: &CandidateResult) -> Self {
        Self(verdict.word())
    }
}
