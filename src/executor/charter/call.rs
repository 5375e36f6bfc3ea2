//! The calls that Charter's control API knows and how each may end: closed sets that metrics use as labels.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl Call {
    pub const ALL: [Self; 9] = [
        Self::Health,
        Self::Policies,
        Self::Validate,
        Self::Apply,
        Self::Rollback,
        Self::CommitteeState,
        Self::Scale,
        Self::Restart,
        Self::Violations,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Policies => "policies",
            Self::Validate => "validate",
            Self::Apply => "apply",
            Self::Rollback => "rollback",
            Self::CommitteeState => "committee_state",
            Self::Scale => "scale",
            Self::Restart => "restart",
            Self::Violations => "violations",
        }
    }

    /// Is this the status with which Charter says that the call did what it should?
    pub(super) fn accepts(self, status: u16) -> bool {
        match self {
            Self::Health
            | Self::Policies
            | Self::Validate
            | Self::CommitteeState
            | Self::Violations => status == 200,
            Self::Apply | Self::Rollback | Self::Scale => matches!(status, 200 | 201),
            Self::Restart => matches!(status, 200..=202),
        }
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Given up from our side: the policy's time was over or the process stops.
    Cut,
}

impl CallStatus {
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::Refused,
        Self::Unavailable,
        Self::Unreachable,
        Self::Timeout,
        Self::Failed,
        Self::Cut,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Cut => "cut",
        }
    }
}

/// Told of every call to Charter when it ends: feeds the response-time histogram and the loop's heartbeat.
pub trait CallObserver: Send + Sync {
    fn on_call(&self, call: Call, status: CallStatus, took: Duration);
}

/// Reports a call once: by [`Stopwatch::end`], or as cut when its future is dropped before that.
pub(super) struct Stopwatch<'a> {
    observer: &'a dyn CallObserver,
    call: Call,
    started: Instant,
    status: CallStatus,
}

impl<'a> Stopwatch<'a> {
    pub(super) fn start(observer: &'a dyn CallObserver, call: Call) -> Self {
        Self { observer, call, started: Instant::now(), status: CallStatus::Cut }
    }

    pub(super) fn end(mut self, status: CallStatus) {
        self.status = status;
    }
}

impl Drop for Stopwatch<'_> {
    fn drop(&mut self) {
        self.observer.on_call(self.call, self.status, self.started.elapsed());
    }
}
