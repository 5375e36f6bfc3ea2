//! Who leads: takes the lease of a shared store, renews it, and informs the loop when its leadership begins and ends.
//!
//! ```text
//! every third of the lease ─▶ lead(holder, lease) ─┬ ours ─────▶ term begun or renewed ─▶ the loop runs cycles
//!                                                  ├ another's ▶ term ended ─▶ the loop follows
//!                                                  └ no answer ▶ the term ends by itself when the lease runs out
//! a wake-up at a follower ─▶ wake() ─▶ shows in the leader's next renewal ─▶ a cycle there
//! ```
//! A store that one process has to itself has no election: that process leads for good, from its start.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::handle::{Leader, Publisher};
use crate::clock::Clock;
use crate::knowledge::{Knowledge, Lease, StoreError, Term};
use crate::metrics::Metrics;
use crate::metrics::labels::StoreOperation;

/// The lease is asked for so often while it lasts: two questions may be lost before it ends.
const ASKED: u32 = 3;

/// The present term, if this process has one, as the loop sees it. Anybody with a sender may end it.
pub type Terms = watch::Receiver<Option<Term>>;

#[derive(Debug)]
pub struct Elector {
    knowledge: Knowledge,
    /// This start of this process, for people and for the store.
    holder: String,
    lease: Duration,
    terms: watch::Sender<Option<Term>>,
    leader: watch::Sender<Leader>,
    wake: Arc<Notify>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Wake-ups asked for at followers, as far as they were heard of.
    wakes: Option<u64>,
    /// One that the leader does not know of yet.
    unheard: bool,
}

impl Elector {
    #[must_use]
    pub fn new(
        knowledge: Knowledge,
        holder: String,
        lease: Duration,
        publisher: &Publisher,
        metrics: Arc<Metrics>,
    ) -> Self {
        let shared = knowledge.is_shared();
        let (terms, _) = watch::channel(None);
        let (leader, wake) = (publisher.leader.clone(), publisher.wake.clone());
        leader.send_modify(|leader| leader.shared = shared);
        let clock = publisher.heartbeat.clock;
        let (wakes, unheard) = (None, false);
        Self { knowledge, holder, lease, terms, leader, wake, clock, metrics, wakes, unheard }
    }

    #[must_use]
    pub fn terms(&self) -> Terms {
        self.terms.subscribe()
    }

    /// Before anything else: a store that is this process's alone is led from here on, of a shared one it is asked once.
    pub async fn begin(&mut self) -> Result<(), StoreError> {
        if self.knowledge.is_shared() {
            self.ask().await;
            return Ok(());
        }
        let term = self.knowledge.lead_alone(&self.holder).await?;
        self.leader.send_modify(|leader| {
            leader.is_ours = true;
            leader.epoch = term.epoch();
            leader.holder.clone_from(&self.holder);
        });
        self.metrics.leads(true);
        self.terms.send_replace(Some(term));
        Ok(())
    }

    /// Until `stop`, which must not come before the loop has ended: then the next one may lead at once.
    pub async fn run(&mut self, stop: CancellationToken) {
        if !self.knowledge.is_shared() {
            stop.cancelled().await;
            return;
        }
        let mut ticker = interval(self.lease / ASKED);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let wake = self.wake.clone();
        loop {
            let follows = !self.leader.borrow().leads();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticker.tick() => self.ask().await,
                () = wake.notified(), if follows => {
                    self.unheard = true;
                    self.pass_on().await;
                }
            }
        }
        if let Some(term) = self.terms.send_replace(None) {
            term.end();
            let resigned = timeout(self.lease / ASKED, self.knowledge.resign(&self.holder)).await;
            if !matches!(resigned, Ok(Ok(()))) {
                tracing::warn!(
                    lease_seconds = self.lease.as_secs_f64(),
                    "the lease could not be released: another mape-k can lead only when it runs out"
                );
            }
        }
    }

    async fn ask(&mut self) {
        // The store counts from when it hears of it, so that this process never believes in its lease for longer.
        let asked = Instant::now();
        let limit = self.lease / ASKED;
        let answer = timeout(limit, self.knowledge.lead(&self.holder, self.lease)).await;
        match answer {
            Ok(Ok(lease)) if lease.is_ours => self.leads(&lease, asked),
            Ok(Ok(lease)) => {
                self.follows(&lease, asked);
                self.pass_on().await;
            }
            Ok(Err(error)) => self.knows_nothing(error.to_string()),
            Err(_) => self.knows_nothing(format!(
                "the knowledge store did not say who leads within {:.1} s",
                limit.as_secs_f64()
            )),
        }
        let leads = self.leader.borrow().leads();
        self.metrics.leads(leads);
        if !leads {
            self.metrics.follows();
        }
    }

    fn leads(&mut self, lease: &Lease, asked: Instant) {
        let until = asked + self.lease;
        let present = self.terms.borrow().clone().filter(|term| term.epoch() == lease.epoch);
        if let Some(term) = present {
            let was_over = !term.holds();
            term.renew(until);
            if was_over {
                // The loop may have stopped for it.
                self.terms.send_modify(|_| {});
            }
        } else {
            tracing::info!(epoch = lease.epoch, holder = self.holder, "this mape-k leads");
            self.terms.send_replace(Some(Term::until(lease.epoch, until)));
        }
        self.say(lease, Some(until));
        if self.wakes.is_some_and(|heard| heard != lease.wakes) || self.unheard {
            self.wake.notify_one();
        }
        self.wakes = Some(lease.wakes);
        self.unheard = false;
    }

    fn follows(&mut self, lease: &Lease, asked: Instant) {
        if let Some(term) = self.terms.borrow().clone() {
            term.end();
            tracing::warn!(
                epoch = term.epoch(),
                leader = lease.holder,
                its_epoch = lease.epoch,
                "another mape-k leads now: this one follows, writes nothing and sends nothing"
            );
        } else if self.leader.borrow().epoch != lease.epoch {
            tracing::info!(leader = lease.holder, epoch = lease.epoch, "this mape-k follows");
        }
        self.terms.send_if_modified(|term| term.take().is_some());
        self.say(lease, Some(asked + lease.expires_in));
        self.wakes = Some(lease.wakes);
    }

    fn say(&self, lease: &Lease, until: Option<Instant>) {
        self.leader.send_replace(Leader {
            shared: true,
            is_ours: lease.is_ours,
            epoch: lease.epoch,
            holder: lease.holder.clone(),
            until,
            problem: None,
            barred: self.terms.borrow().as_ref().and_then(Term::barred),
            skew: lease.at.map(|at| at - self.clock.now()).unwrap_or_default(),
        });
    }

    fn knows_nothing(&self, problem: String) {
        if self.leader.borrow().problem.is_none() {
            let leads = self.leader.borrow().leads();
            tracing::warn!(
                problem,
                leads,
                "the store does not say who leads; nothing is done by any replica whose lease has run out until it answers"
            );
        }
        self.metrics.store_error(StoreOperation::Check);
        self.leader.send_modify(|leader| leader.problem = Some(problem));
    }

    /// Notifies the leader of a wake-up that came here; what fails is tried again with the next question.
    async fn pass_on(&mut self) {
        if !self.unheard {
            return;
        }
        match timeout(self.lease / ASKED, self.knowledge.wake()).await {
            Ok(Ok(())) => self.unheard = false,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the leader could not be woken; it is tried again with the next renewal");
            }
            Err(_) => tracing::warn!(
                "the store did not take the wake-up for the leader in time; it is tried again with the next renewal"
            ),
        }
    }
}
