//! Which answers Charter's control API accepts a call with, and who is notified of each call's end.

use std::time::Duration;

use tokio::time::Instant;

pub use crate::metrics::labels::{Call, CallStatus};

impl Call {
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

/// Called when a call to Charter ends: feeds the response-time histogram and the loop's heartbeat.
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
