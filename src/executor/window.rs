//! How long an execution may go on: the policy's time, and the short rest that a stop of the process leaves.
//!
//! ```text
//! start ───────────────── send_by ── look_by          stop ──────── +6 s ── +7 s ── +7.5 s ── (8 s: all journalled)
//!        validate, send             │ look                │ call in flight │ look  │ undo
//! ```

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The last tenth of a policy's time is kept for looking at what became of a call that was cut.
const LOOK_SHARE: u32 = 10;

/// What a stop leaves to each phase, counted from the stop; the daemon's own limit is 10 s.
#[derive(Clone, Copy, Debug)]
struct Grace {
    prepare: Duration,
    send: Duration,
    look: Duration,
}

const FORWARD: Grace =
    Grace { prepare: Duration::ZERO, send: Duration::from_secs(6), look: Duration::from_secs(7) };

const UNDO: Grace = Grace {
    prepare: Duration::from_millis(7_200),
    send: Duration::from_millis(7_350),
    look: Duration::from_millis(7_500),
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Reads, validation and pauses before a change: given up at once when the process stops.
    Prepare,
    /// A changing call in flight.
    Send,
    /// Reading what became of it.
    Look,
}

/// Why something was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cut {
    #[error("the policy's time (execute.policy_timeout) had run out")]
    Time,
    #[error("the process is stopping")]
    Stop,
}

#[derive(Debug)]
pub(super) struct Window {
    send_by: Instant,
    look_by: Instant,
    /// No change is begun with less time than this before `send_by`: it would only end unknown.
    room: Duration,
    grace: Grace,
    stop: CancellationToken,
    /// When the stop was first noticed.
    stopped_at: OnceLock<Instant>,
}

impl Window {
    pub(super) fn open(policy_timeout: Duration, stop: CancellationToken) -> Self {
        let look_by = Instant::now() + policy_timeout;
        let share = policy_timeout / LOOK_SHARE;
        Self {
            send_by: look_by - share,
            look_by,
            room: share,
            grace: FORWARD,
            stop,
            stopped_at: OnceLock::new(),
        }
    }

    /// A window of the same length for undoing: what went wrong may have used up the policy's own time.
    pub(super) fn for_undo(&self, policy_timeout: Duration) -> Self {
        Self {
            room: Duration::ZERO,
            grace: UNDO,
            stopped_at: self.stopped_at.clone(),
            ..Self::open(policy_timeout, self.stop.clone())
        }
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// May a changing call begin now?
    pub(super) fn admits_change(&self) -> Result<(), Cut> {
        let now = Instant::now();
        if self.stopping() && now >= self.stopped_at() + self.grace.prepare {
            return Err(Cut::Stop);
        }
        if now + self.room > self.send_by {
            return Err(Cut::Time);
        }
        Ok(())
    }

    /// Drives `work` until it is done or the phase has no time left.
    pub(super) async fn within<T>(
        &self,
        phase: Phase,
        work: impl Future<Output = T>,
    ) -> Result<T, Cut> {
        let (end, grace) = match phase {
            Phase::Prepare => (self.send_by, self.grace.prepare),
            Phase::Send => (self.send_by, self.grace.send),
            Phase::Look => (self.look_by, self.grace.look),
        };
        let stopped = async {
            self.stop.cancelled().await;
            sleep_until(self.stopped_at() + grace).await;
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = stopped => Err(Cut::Stop),
            () = sleep_until(end) => Err(Cut::Time),
        }
    }

    fn stopped_at(&self) -> Instant {
        *self.stopped_at.get_or_init(Instant::now)
    }
}
