//! The beginning of a cycle: what the sources show, taken in and stored; and a SEV-1 notified, before anything
//! waits for Charter.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cluster::{ClusterAnalyzer, ClusterAssessment};
use super::kit::Kit;
use super::observe::Seen;
use super::recall::{Recalled, recall};
use super::run::Run;
use super::{Cycle, Failure, panic_text};
use crate::analyzer::Changes;
use crate::domain::cluster::ClusterReading;
use crate::domain::cycle::Phase;
use crate::knowledge::StoreError;

/// A store that hangs holds no SEV-1 up for longer; one that takes a second for each call answers in time, so that a slow
/// store goes on healing. It is half of the usual interval: what answers later is no base to decide on.
const RECALLED_WITHIN: Duration = Duration::from_secs(15);

/// What broke off is put in order for so long after that, and what was learned is read: the next cycle has it then.
const SETTLED_WITHIN: Duration = Duration::from_secs(25);

impl Cycle {
    /// What the sources show, taken in; and people notified of what is worst. Charter is not waited for, and the store not
    /// for long.
    pub(super) async fn first_look(
        &mut self,
        run: &mut Run<'_>,
        seen_of_cluster: &mut Option<ClusterAssessment>,
        stop: &CancellationToken,
    ) -> Result<(Seen, Result<Recalled, StoreError>, Changes), Failure> {
        let trigger = run.report.trigger;
        let Self { kit, observe, cluster, tracker, act, verify, people, .. } = self;
        let kit = &*kit;
        // Reading changes nothing, so a stop need not wait for a source that hangs.
        let reading = observe.read(kit, tracker.wants_history(kit.clock.now()));
        let mut read = stop.run_until_cancelled(reading).await.ok_or(Failure::Stopped)?;
        let (unread, is_right) = (read.unread.take(), read.has_right_time());
        let mut recalling = Box::pin(async {
            match unread {
                Some(error) => Err(error),
                None => recall(kit, act, verify, is_right).await,
            }
        });
        // What arrived while the sources were read is taken in too, unless the store does not say in time what that is.
        let recalled = timeout(RECALLED_WITHIN, &mut recalling);
        let recalled = stop.run_until_cancelled(recalled).await.ok_or(Failure::Stopped)?;
        let mut recalled = recalled.ok();
        let too_late = kit.knowledge.too_late(RECALLED_WITHIN);
        let failed = recalled.as_ref().map_or(Some(&too_late), |recalled| recalled.as_ref().err());
        // What follows in this cycle waits for the store no more than it must.
        run.view.store_error = failed.map(ToString::to_string);
        let inbox = recalled.as_mut().and_then(|recalled| recalled.as_mut().ok());
        let mut seen = observe.join(kit, read, inbox, trigger);
        let looked = seen_of_cluster.insert(look(kit, cluster, run, seen.cluster.take()));

        run.enter(Phase::Analyze);
        let mut new_id = || kit.ids.id();
        let found = looked.found(&kit.config.plan);
        let changes = tracker.observe(&seen.snapshot, &found, trigger, &mut new_id);

        let around = (observe.monitor.cluster(), cluster.onsets());
        let early = people.notify_early(kit, run, looked, tracker, around, stop);
        let rest = async {
            if let Some(recalled) = recalled {
                return Some(recalled);
            }
            // The alerts of the inbox are not in what was seen, so nothing is decided on it, whatever comes now.
            let late = timeout(SETTLED_WITHIN, &mut recalling);
            let late = stop.run_until_cancelled(late).await?;
            let failed = late.ok().and_then(Result::err);
            Some(Err(failed.unwrap_or(too_late)))
        };
        let (early, recalled) = tokio::join!(AssertUnwindSafe(early).catch_unwind(), rest);
        if let Err(panic) = early {
            // The end of the cycle tells of all of it, and of the defect if it is still there.
            let text = panic_text(&*panic);
            tracing::error!(
                text,
                "the early notification of SEV-1 incidents panicked, which is a defect: they are notified at the end of the cycle. Please report this"
            );
        }
        // Charter may still be silent.
        run.enter(Phase::Monitor);
        let recalled = recalled.ok_or(Failure::Stopped)?;
        drop(recalling);
        verify.remember(&changes);
        Ok((seen, recalled, changes))
    }
}

/// What is wrong in the cluster.
pub(super) fn look(
    kit: &Kit,
    cluster: &mut ClusterAnalyzer,
    run: &mut Run<'_>,
    reading: Option<ClusterReading>,
) -> ClusterAssessment {
    run.enter(Phase::K8sAnalyzer);
    let read_at = reading.as_ref().and_then(|reading| reading.read_at);
    cluster.analyze(reading, read_at.unwrap_or_else(|| kit.clock.now()), &kit.metrics)
}
