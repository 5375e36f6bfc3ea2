//! The handle by which the server reads the loop's state, and who leads, and wakes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::renewals::Renewals;
use crate::clock::Clock;
use crate::domain::time::Time;
use crate::domain::view::LoopView;

/// As much as metrics may be off (`monitor.max_skew`): pauses, approvals and alerts carry the time of who took them.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(30);

/// Cheap to clone; everything behind it is shared with the loop.
#[derive(Clone, Debug)]
pub struct LoopHandle {
    view: watch::Receiver<Arc<LoopView>>,
    leader: watch::Receiver<Leader>,
    wake: Arc<Notify>,
    heartbeat: Arc<AtomicI64>,
    clock: Clock,
}

/// The loop's own end: publishes the view and moves the heartbeat.
#[derive(Debug)]
pub struct Publisher {
    pub view: watch::Sender<Arc<LoopView>>,
    /// The elector writes it.
    pub leader: watch::Sender<Leader>,
    pub wake: Arc<Notify>,
    pub heartbeat: Heartbeat,
    /// The composition root offers them.
    pub renewals: Renewals,
}

/// Who leads, as far as this process has heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leader {
    /// Several processes share the store; else this one leads for good.
    pub shared: bool,
    /// The last answer of the store said that it is this process.
    pub is_ours: bool,
    pub epoch: u64,
    pub holder: String,
    /// When that leadership ends unless it is heard of again; `None` where nobody can end it, or nobody was heard of.
    pub until: Option<Instant>,
    /// Why the store did not say when it was asked last.
    pub problem: Option<String>,
    /// Why it may not act although it leads: Charter has heard of a later one.
    pub barred: Option<String>,
    /// How far the store's clock is ahead of this machine's.
    pub skew: TimeDelta,
}

impl Leader {
    /// This process leads at this moment.
    #[must_use]
    pub fn leads(&self) -> bool {
        !self.shared || (self.is_ours && self.is_known())
    }

    /// Somebody leads at this moment.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.shared || self.until.is_some_and(|until| Instant::now() < until)
    }

    /// Why times that this machine writes down would mean something else to the others.
    #[must_use]
    pub fn clock_problem(&self) -> Option<String> {
        let off = self.skew.abs();
        (off > MAX_SKEW).then(|| {
            format!(
                "the clock of this machine is {} s {} that of the database; set both right (NTP), then restart this mape-k",
                off.num_seconds(),
                if self.skew > TimeDelta::zero() { "behind" } else { "ahead of" }
            )
        })
    }
}

/// Moved at every phase and at every call; /health answers 503 when it stands still.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    last: Arc<AtomicI64>,
    pub(super) clock: Clock,
}

impl Heartbeat {
    pub fn beat(&self) {
        self.last.store(self.clock.now().timestamp_millis(), Ordering::Relaxed);
    }
}

/// A connected pair of loop and handle.
#[must_use]
pub fn channel(clock: Clock) -> (Publisher, LoopHandle) {
    let (sender, view) = watch::channel(Arc::new(LoopView::default()));
    let (leads, leader) = watch::channel(Leader::default());
    let wake = Arc::new(Notify::new());
    let last = Arc::new(AtomicI64::new(clock.now().timestamp_millis()));
    let heartbeat = Heartbeat { last: last.clone(), clock };
    (
        Publisher {
            view: sender,
            leader: leads,
            wake: wake.clone(),
            heartbeat,
            renewals: Renewals::default(),
        },
        LoopHandle { view, leader, wake, heartbeat: last, clock },
    )
}

impl LoopHandle {
    /// Asks for a cycle now. Wake-ups are coalesced and carry no data: the cycle reads everything afresh.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    #[must_use]
    pub fn view(&self) -> Arc<LoopView> {
        self.view.borrow().clone()
    }

    #[must_use]
    pub fn leader(&self) -> Leader {
        self.leader.borrow().clone()
    }

    /// How long ago the loop last moved.
    #[must_use]
    pub fn heartbeat_age(&self) -> std::time::Duration {
        let age = self.clock.now().timestamp_millis() - self.heartbeat.load(Ordering::Relaxed);
        std::time::Duration::from_millis(u64::try_from(age).unwrap_or(0))
    }

    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}
