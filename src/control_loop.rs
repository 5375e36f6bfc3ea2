//! The ticker and the wake-up: runs one cycle at a time, on schedule or woken, and publishes the state.
//!
//! ```text
//!      every loop_interval ─┐
//!   critical alert, approval ┴─▶ one cycle ─▶ view, heartbeat, metrics
//!   (coalesced, wake_gap apart)     └─ a panic is caught here: an error; three in a row end the process
//! ```
//! A reloaded configuration takes effect between two cycles, so that an action in hand ends under the one it began with.
//! Cycles never overlap, and a slow one is not followed by a burst. They run only while this process leads; each time it
//! begins to, it takes up afresh what the store knows.

pub mod elector;
pub mod handle;
mod renewals;
pub mod settings;

use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub use elector::{Elector, Terms};
pub use handle::{Heartbeat, Leader, LoopHandle, Publisher, channel};
pub use renewals::Renewals;
pub use settings::{Mode, Settings};

use crate::cycle::{Cycle, Renewal, panic_text};
use crate::domain::cycle::{CycleReport, CycleStatus, Trigger};
use crate::domain::view::LoopView;
use crate::knowledge::Term;

/// Panics in a row after which the process ends: something is broken that another cycle will not mend.
const MAX_PANICS: u32 = 3;

/// A store that a new leader could not take up is asked again so soon: nobody else acts meanwhile.
const TAKEN_UP_AGAIN: Duration = Duration::from_secs(1);

/// Within what the drain of the messages and their files leave of the ten seconds in which the daemon stops.
const LAST_TAKEN_IN_WITHIN: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{MAX_PANICS} cycles in a row panicked; the last said: {0}. The process ends so that it is restarted. Please report this"
    )]
    Panics(String),
}

/// Runs cycles until `stop`, while there is a term. The first begins at once.
pub async fn run(
    cycle: &mut Cycle,
    publisher: &Publisher,
    mut terms: Terms,
    mut loop_interval: Duration,
    mut wake_gap: Duration,
    stop: CancellationToken,
) -> Result<(), Error> {
    let mut ticker = paced(Instant::now(), loop_interval);
    let mut panics = 0;
    let mut last_start = None;
    let mut leads = false;
    let mut not_taken_up = 0;
    // The epoch of the last cycle.
    let mut led = None;
    loop {
        let may_be_renewed = cycle.may_be_renewed();
        publisher.renewals.need_store(!may_be_renewed);
        let trigger = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            renewal = publisher.renewals.next(), if may_be_renewed => {
                (loop_interval, wake_gap, ticker) = renew(cycle, renewal, last_start);
                leads = false;
                continue;
            }
            () = changed(&mut terms) => None,
            _ = ticker.tick() => Some(Trigger::Scheduled),
            () = cycle.has_answers(), if leads => {
                take_in(cycle, publisher).await;
                continue;
            }
            () = woken(publisher, last_start, wake_gap), if leads => Some(Trigger::Woken),
        };
        let term = terms.borrow().clone().filter(Term::holds);
        let Some(term) = term else {
            if terms.borrow().is_none() {
                // A lease that only ran out may go on, and then what could not be stored yet still counts.
                cycle.follow();
            }
            publisher.heartbeat.beat();
            publisher.view.send_replace(Arc::new(following(loop_interval)));
            not_taken_up = 0;
            if mem::take(&mut leads) {
                // A wake-up may have been heard here in vain: the elector passes it on to whoever leads.
                publisher.wake.notify_one();
            }
            continue;
        };
        let epoch = term.epoch();
        if let Err(error) = cycle.lead(term).await {
            tracing::warn!(%error, epoch, "what the store knows could not be read: no cycle runs, and nothing is done, until it can; it is tried again every second");
            leads = false;
            publisher.heartbeat.beat();
            not_taken_up += 1;
            cycle.not_taken_up(not_taken_up, &error);
            let mut view = following(loop_interval);
            view.store_error = Some(error.to_string());
            view.last_status = Some(CycleStatus::Error);
            view.failed_cycles = not_taken_up;
            publisher.view.send_replace(Arc::new(view));
            ticker.reset_after(TAKEN_UP_AGAIN);
            continue;
        }
        not_taken_up = 0;
        if let Some(renewal) = publisher.renewals.take_if(cycle.may_be_renewed()) {
            // It could not be taken before, and no cycle acts under the configuration that it replaces.
            (loop_interval, wake_gap, ticker) = renew(cycle, renewal, last_start);
            leads = false;
            continue;
        }
        leads = true;
        let trigger = match trigger {
            Some(trigger) => trigger,
            // Its lease was renewed too late, and nobody else has led: the cycles keep their rhythm.
            None if led == Some(epoch) => Trigger::Woken,
            None => {
                ticker.reset();
                Trigger::Scheduled
            }
        };
        led = Some(epoch);
        last_start = Some(Instant::now());
        match once(cycle, publisher, trigger, &stop).await {
            Ok(_) => panics = 0,
            Err(text) => {
                panics += 1;
                tracing::error!(
                    panics,
                    text,
                    "a cycle panicked; after {MAX_PANICS} in a row the process ends. Please report this"
                );
                publisher.view.send_modify(|view| {
                    let mut broken = (**view).clone();
                    broken.last_status = Some(CycleStatus::Error);
                    broken.last_error = Some(format!("a cycle panicked: {text}"));
                    *view = Arc::new(broken);
                });
                if panics >= MAX_PANICS {
                    return Err(Error::Panics(text));
                }
            }
        }
    }
    publisher.view.send_modify(|view| {
        let mut stopped = (**view).clone();
        stopped.running = false;
        *view = Arc::new(stopped);
    });
    Ok(())
}

/// Puts another configuration into effect, and returns its loop interval, its wake gap and their ticker. Until it has taken
/// up the store the loop takes in no answers: it does not know their incidents.
fn renew(
    cycle: &mut Cycle,
    renewal: Renewal,
    last_start: Option<Instant>,
) -> (Duration, Duration, Interval) {
    let loop_interval = renewal.config.orchestrator.loop_interval;
    let wake_gap = renewal.config.alertmanager.wake_gap;
    cycle.renew(renewal);
    // Its first cycle comes at once, but reloads in a row are no cycles in a row.
    let soonest = last_start.map_or_else(Instant::now, |at| at + wake_gap);
    (loop_interval, wake_gap, paced(soonest.max(Instant::now()), loop_interval))
}

/// The first tick comes at `first`; a late one is followed by no burst.
fn paced(first: Instant, period: Duration) -> Interval {
    let mut ticker = interval_at(first, period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

/// One cycle, its panic caught at its edge and returned as text.
pub async fn once(
    cycle: &mut Cycle,
    publisher: &Publisher,
    trigger: Trigger,
    stop: &CancellationToken,
) -> Result<CycleReport, String> {
    let heartbeat = publisher.heartbeat.clone();
    let on_phase = move |_| heartbeat.beat();
    let run = cycle.run(trigger, stop, &on_phase);
    let ended = AssertUnwindSafe(run).catch_unwind().await.map_err(|panic| panic_text(&*panic))?;
    publisher.heartbeat.beat();
    publisher.view.send_replace(Arc::new(ended.view));
    match ended.panicked {
        None => Ok(ended.report),
        Some(text) => Err(text),
    }
}

/// Between two cycles: what became of messages is in their incidents, and to be seen.
pub async fn take_in(cycle: &mut Cycle, publisher: &Publisher) {
    if let Some(people) = cycle.take_in().await {
        publisher
            .view
            .send_modify(|view| *view = Arc::new(LoopView { people, ..(**view).clone() }));
    }
}

/// The same once at the very end, which a store that hangs must not delay.
pub async fn take_in_last(cycle: &mut Cycle, publisher: &Publisher) {
    if timeout(LAST_TAKEN_IN_WITHIN, take_in(cycle, publisher)).await.is_err() {
        tracing::warn!(
            "the store did not take the last delivery results in time: the next start takes them from the outbox"
        );
    }
}

/// What is seen of a loop that does not lead: it runs no cycles, and the store holds what the leader's came to.
fn following(interval: Duration) -> LoopView {
    LoopView { running: true, interval, ..LoopView::default() }
}

/// The leadership began or ended; never where nobody else can lead.
async fn changed(terms: &mut Terms) {
    if terms.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A wake-up, no sooner than `gap` after the start of the last cycle: a burst of alerts is one cycle.
async fn woken(publisher: &Publisher, last_start: Option<Instant>, gap: Duration) {
    publisher.wake.notified().await;
    if let Some(at) = last_start {
        sleep_until(at + gap).await;
    }
}
