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
    gear: Mutex<Arc<Gear>>,
    /// Under the term of the last cycle; `None`: this process has never led.
    knowledge: Mutex<Option<Knowledge>>,
    pub questions: Questions,
    pub files: Files,
}

/// What the configuration makes of it; a reload puts another in its place.
#[derive(Debug)]
pub(super) struct Gear {
    pub notifiers: Arc<Notifiers>,
    /// Where deployments are looked for, and how far back.
    pub github: Option<(Github, Duration)>,
    pub files: Option<tokio::sync::Mutex<ReportFiles>>,
    /// Between two tellings of what stands, when no cycle says it.
    pub interval: Duration,
}

impl Desk {
    pub fn new(gear: Gear) -> Self {
        Self {
            outbox: Outbox::default(),
            gear: Mutex::new(Arc::new(gear)),
            knowledge: Mutex::default(),
            questions: Questions::default(),
            files: Files::default(),
        }
    }

    pub fn gear(&self) -> Arc<Gear> {
        self.gear.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn notifiers(&self) -> Arc<Notifiers> {
        self.gear().notifiers.clone()
    }

    /// From the next message on; what waits for a notifier that is gone is given up with a file and a line in the log.
    pub fn replace(&self, gear: Arc<Gear>) {
        *self.gear.lock().unwrap_or_else(PoisonError::into_inner) = gear;
        // Whoever sends looks again.
        self.outbox.ready();
    }

    /// It has what this very leadership knows of the outbox.
    pub fn leads_under(&self, term: Option<&Term>) -> bool {
        let epoch = term.map(Term::epoch);
        self.knowledge().is_some_and(|held| held.term().map(Term::epoch) == epoch)
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
}

impl Background {
    pub(super) fn new(desk: Arc<Desk>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self { desk, clock, metrics }
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
        let notifiers = Arc::new(notifiers);
        let desk = Desk::new(Gear { notifiers, github: None, files: None, interval });
        desk.lead(knowledge);
        Self::new(Arc::new(desk), clock, metrics)
    }

    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.desk.outbox
    }

    /// Until the loop has ended. What is due is sent for no longer than 7.5 s after `stop` or that end.
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
                "stopping: some messages could not be sent in time; the next start sends them"
            ),
        }
        self.keep_what_the_store_loses().await;
        if !ended.is_cancelled() {
            // The cycle in hand puts its messages in before it ends.
            ended.cancelled().await;
            self.keep_what_the_store_loses().await;
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
            && (self.desk.gear().files.is_none() || self.desk.files.is_idle())
    }
}
