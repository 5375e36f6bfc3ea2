//! The first of two passes over the incidents: people are notified of a SEV-1 before anything is settled, planned or sent,
//! so that neither a Charter nor a store that hangs delays it for long. Without one, what is due waits for what the cycle brings: one message then says
//! what is wrong and what is done about it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::cluster::ClusterAssessment;
use super::super::kit::Kit;
use super::super::run::Run;
use super::observe::Around;
use super::{AlertPipeline, say};
use crate::analyzer::Tracker;
use crate::analyzer::cluster::Onsets;
use crate::domain::cycle::{CycleReport, FAILING, Phase};
use crate::domain::decision::{Decision, Sev};
use crate::domain::time::Time;
use crate::incidents::evidence::Failing;
use crate::incidents::rules::Case;
use crate::knowledge::Term;
use crate::monitor::cluster::Watch;

/// For the store: people are to be notified of a SEV-1 within five seconds, and the claim of its message takes two of them.
const SEV_1_WAITS: Duration = Duration::from_secs(1);

/// Which of the two passes of a cycle over the incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Before anything is settled, planned or sent.
    Early,
    /// At the end, and whether the needs that this cycle left are known.
    Late { heard: bool },
}

impl AlertPipeline {
    pub(super) async fn read_logs(
        &self,
        kit: &Kit,
        looked: &mut ClusterAssessment,
        watch: &Watch,
        stop: &CancellationToken,
    ) {
        if let Watch::On(watch) = watch
            && kit.config.kubernetes.log_lines > 0
        {
            stop.run_until_cancelled(looked.read_logs(watch)).await;
        }
    }

    pub(super) fn failing(&self, report: &CycleReport) -> Option<Failing> {
        let since = self.failing_since.filter(|_| report.failed_cycles >= FAILING)?;
        Some(Failing {
            since,
            phase: report.phase.map(Phase::as_str).unwrap_or_default().to_owned(),
            error: report.error.clone().unwrap_or_else(|| "the daemon was stopped".to_owned()),
        })
    }

    /// With the needs as the cycle before left them. Nothing ends here: this cycle may still ask people for something.
    pub(in crate::cycle) async fn notify_early(
        &mut self,
        kit: &Kit,
        run: &mut Run<'_>,
        looked: &mut ClusterAssessment,
        tracker: &Tracker,
        (watch, onsets): (&Watch, &Onsets),
        stop: &CancellationToken,
    ) {
        let now = kit.clock.now();
        self.early = None;
        run.enter(Phase::Escalation);
        let around = Around { watch, tracker, config: &kit.config, pass: Pass::Early };
        let mut findings = self.observe(looked, None, &around, now);
        if self.worst(looked, now).is_some() {
            self.read_logs(kit, looked, watch, stop).await;
            findings = self.observe(looked, None, &around, now);
            stop.run_until_cancelled(self.suspects(&looked.catalogue, now)).await;
        }
        let decision = match self.worst(looked, now) {
            Some(case) => Some(self.decided(&findings, &case, now, stop).await),
            None => None,
        };
        if let Some(decision) = &decision {
            say(decision);
            // Only the process that leads notifies people: two would notify them twice.
            if kit.knowledge.term().is_none_or(Term::holds) {
                run.enter(Phase::Notification);
                self.tell(run, kit, Some(decision), looked, (Pass::Early, now));
                self.catalogue = looked.catalogue.clone();
                self.hand_over(&looked.catalogue, now);
            }
        }
        self.store(kit, onsets, run, (now, SEV_1_WAITS)).await;
        self.early = decision;
    }

    /// A SEV-1 that is due, with all that is due beside it: it is one message.
    fn worst(&self, looked: &ClusterAssessment, now: Time) -> Option<Case> {
        let case = self.board.case(&looked.catalogue, looked.is_partial(), now)?;
        case.incidents.iter().any(|one| one.incident.severity == Sev::Sev1).then_some(case)
    }
}

/// One decision a cycle: the worse one's words, with the incidents of both.
pub(super) fn joined(early: Option<Decision>, late: Option<Decision>) -> Option<Decision> {
    let (early, late) = match (early, late) {
        (Some(early), Some(late)) => (early, late),
        (early, late) => return early.or(late),
    };
    let (mut worse, other) =
        if late.severity > early.severity { (late, early) } else { (early, late) };
    worse.should_notify |= other.should_notify;
    worse.is_fallback |= other.is_fallback;
    let more = other.incidents.into_iter().filter(|id| !worse.incidents.contains(id));
    let more: Vec<String> = more.collect();
    worse.incidents.extend(more);
    worse.affected_services.extend(other.affected_services);
    worse.affected_services.sort();
    worse.affected_services.dedup();
    Some(worse)
}
