//! The beginning of a cycle: what the sources show, taken in and stored; and a SEV-1 notified, before anything
//! waits for Charter.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::cluster::ClusterAssessment;
use super::observe::Seen;
use super::recall::{Recalled, recall};
use super::run::Run;
use super::{Cycle, Failure, panic_text};
use crate::analyzer::Changes;
use crate::domain::cluster::ClusterReading;
use crate::domain::cycle::{Phase, Trigger};
use crate::knowledge::StoreError;

impl Cycle {
    /// What the sources show, taken in; and a SEV-1 notified. Nothing here waits for Charter.
    pub(super) async fn first_look(
        &mut self,
        run: &mut Run<'_>,
        seen_of_cluster: &mut Option<ClusterAssessment>,
        stop: &CancellationToken,
    ) -> Result<(Seen, Result<Recalled, StoreError>, Changes), Failure> {
        let trigger = run.report.trigger;
        // Reading changes nothing, so a stop need not wait for a source that hangs.
        let (mut seen, recalled) = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Failure::Stopped),
            both = self.observe(trigger) => both,
        };
        let cluster = seen.cluster.take();
        let looked = self.look(run, cluster);
        let looked = seen_of_cluster.insert(looked);

        run.enter(Phase::Analyze);
        let kit = &self.kit;
        let mut new_id = || kit.ids.id();
        let found = looked.found(&kit.config.plan);
        let changes = self.tracker.observe(&seen.snapshot, &found, trigger, &mut new_id);
        self.verify.remember(&changes);

        let around = (self.observe.monitor.cluster(), self.cluster.onsets());
        let early = self.people.notify_early(kit, run, looked, &self.tracker, around, stop);
        if let Err(panic) = AssertUnwindSafe(early).catch_unwind().await {
            // The end of the cycle tells of all of it, and of the defect if it is still there.
            let text = panic_text(&*panic);
            tracing::error!(
                text,
                "the early notification of SEV-1 incidents panicked, which is a defect: they are notified at the end of the cycle. Please report this"
            );
        }
        // Charter may still be silent.
        run.enter(Phase::Monitor);
        Ok((seen, recalled, changes))
    }

    /// What is wrong in the cluster.
    pub(super) fn look(
        &mut self,
        run: &mut Run<'_>,
        reading: Option<ClusterReading>,
    ) -> ClusterAssessment {
        run.enter(Phase::K8sAnalyzer);
        let read_at = reading.as_ref().and_then(|reading| reading.read_at);
        let now = read_at.unwrap_or_else(|| self.kit.clock.now());
        self.cluster.analyze(reading, now, &self.kit.metrics)
    }

    /// What arrived while the sources were read is taken in too.
    async fn observe(&mut self, trigger: Trigger) -> (Seen, Result<Recalled, StoreError>) {
        let kit = &self.kit;
        let history_from = self.tracker.wants_history(kit.clock.now());
        let mut read = self.observe.read(kit, history_from).await;
        let mut recalled = match read.unread.take() {
            Some(error) => Err(error),
            None => recall(kit, &mut self.act, &mut self.verify, read.has_right_time()).await,
        };
        (self.observe.join(kit, read, recalled.as_mut().ok(), trigger), recalled)
    }
}
