//! What runs beside the cycles and delays none of them: messages are sent, deployments looked for, reports written to files.
//!
//! ```text
//! cycle ─ put, know ─▶ Desk: outbox ──── Background::deliver ─▶ notifiers
//!   ▲                        onsets ──── Background::explain ─▶ GitHub
//!   └─ taken in ◀── answers ◀┘reports ── Background::write ───▶ files
//! ```
//! The cycle and the background share the [`Desk`] alone. The composition root spawns the background.

mod deliver;
mod explain;
mod files;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::explain::Questions;
use self::files::Files;
use crate::clock::Clock;
use crate::domain::time::Time;
use crate::knowledge::report_files::ReportFiles;
use crate::knowledge::{Knowledge, Term};
use crate::metrics::Metrics;
use crate::monitor::github::Github;
use crate::notify::{Notifiers, Outbox};

/// After the last cycle: what is due is sent, and what is left waits in the store, or in files. The daemon's promise is to
/// stop within ten seconds in all.
const DRAIN_WITHIN: Duration = Duration::from_millis(7_500);

/// For the files of what a store in memory would lose at the very end.
const LAST_FILES_WITHIN: Duration = Duration::from_millis(500);

/// What the cycle and the background share.
#[derive(Debug)]
pub(super) struct Desk {
    pub outbox: Outbox,
    notifiers: Mutex<Arc<Notifiers>>,
    /// Under the term of the last cycle; `None`: this process has never led.
    knowledge: Mutex<Option<Knowledge>>,
    pub questions: Questions,
    pub files: Files,
    pub has_github: bool,
}

impl Desk {
    pub fn new(notifiers: Notifiers, has_github: bool) -> Self {
        Self {
            outbox: Outbox::default(),
            notifiers: Mutex::new(Arc::new(notifiers)),
            knowledge: Mutex::default(),
            questions: Questions::default(),
            files: Files::default(),
            has_github,
        }
    }

    pub fn notifiers(&self) -> Arc<Notifiers> {
        self.notifiers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From here on claims are written under the term of this store.
    pub fn lead(&self, knowledge: Knowledge) {
        *self.knowledge.lock().unwrap_or_else(PoisonError::into_inner) = Some(knowledge);
    }

    fn knowledge(&self) -> Option<Knowledge> {
        self.knowledge.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// At this very instant.
fn leads(knowledge: Option<&Knowledge>) -> bool {
    knowledge.is_some_and(|knowledge| knowledge.term().is_none_or(Term::holds))
}

/// The tasks beside the cycle.
#[derive(Debug)]
pub struct Background {
    desk: Arc<Desk>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Between two tellings of what stands, when no cycle says it.
    interval: Duration,
    github: Option<(Github, Duration)>,
    files: Option<tokio::sync::Mutex<ReportFiles>>,
}

/// By which other notifiers can be put in the place of those at work.
#[derive(Clone, Debug)]
pub struct NotifierSlot(Arc<Desk>);

impl NotifierSlot {
    /// From the next message on; what waits for a notifier that is gone is given up with a file and a line in the log.
    pub fn replace(&self, notifiers: Notifiers) {
        let new = Arc::new(notifiers);
        *self.0.notifiers.lock().unwrap_or_else(PoisonError::into_inner) = new;
        // Whoever sends looks again.
        self.0.outbox.ready();
    }
}

impl Background {
    pub(super) fn new(
        desk: Arc<Desk>,
        clock: Clock,
        metrics: Arc<Metrics>,
        interval: Duration,
        github: Option<(Github, Duration)>,
        files: Option<ReportFiles>,
    ) -> Self {
        let files = files.map(tokio::sync::Mutex::new);
        Self { desk, clock, metrics, interval, github, files }
    }

    /// Beside no cycle: what is put into its outbox is sent under the term of this store.
    #[must_use]
    pub fn alone(
        notifiers: Notifiers,
        knowledge: Knowledge,
        clock: Clock,
        metrics: Arc<Metrics>,
        interval: Duration,
    ) -> Self {
        let desk = Desk::new(notifiers, false);
        desk.lead(knowledge);
        Self::new(Arc::new(desk), clock, metrics, interval, None, None)
    }

    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.desk.outbox
    }

    #[must_use]
    pub fn notifiers(&self) -> NotifierSlot {
        NotifierSlot(self.desk.clone())
    }

    /// Until the loop has ended and what is due was sent, no longer than [`DRAIN_WITHIN`] after `stop` or that end.
    pub async fn run(&self, stop: CancellationToken, ended: CancellationToken) {
        let over = CancellationToken::new();
        let delivered = async {
            self.deliver(&ended, &|| self.clock.now()).await;
            over.cancel();
        };
        let all = async { tokio::join!(delivered, self.explain(&over), self.write(&over)) };
        let late = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = ended.cancelled() => {}
            }
            sleep(DRAIN_WITHIN).await;
        };
        tokio::select! {
            biased;
            _ = all => {}
            () = late => tracing::warn!(
                waiting = self.desk.outbox.waiting(),
                "stopping: messages are left that were not sent in time"
            ),
        }
        let last = tokio::time::timeout(LAST_FILES_WITHIN, self.keep_what_the_store_loses());
        if last.await.is_err() {
            tracing::warn!("stopping: not every message that waits could be kept in a file");
        }
    }

    /// Sends all that is due at this moment, until nothing of it is left or under way.
    pub async fn work_off(&self, now: Time) {
        let ended = CancellationToken::new();
        ended.cancel();
        self.deliver(&ended, &|| now).await;
    }

    /// Nothing is under way, and nothing of what is due was left undone.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let leads = leads(self.desk.knowledge().as_ref());
        let outbox = &self.desk.outbox;
        outbox.is_idle(&self.desk.notifiers(), leads, self.clock.now())
            && (self.files.is_none() || self.desk.files.is_idle())
    }
}
