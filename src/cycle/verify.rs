//! Verifies what has settled, before anything new is planned: the result is stored once, with everything it changes.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::cluster::ClusterAssessment;
use super::expiring_action::overtaken;
use super::follow_ups::{IsUndoable, follow_result, put};
use super::kit::Kit;
use super::ledger;
use super::needs::{announce, tell, verdict};
use super::observe::Seen;
use super::recall::Recalled;
use crate::analyzer::{Changes, Tracker};
use crate::domain::cycle::Trigger;
use crate::domain::execution::{ActionState, Execution};
use crate::domain::fleet::Fleet;
use crate::domain::outcome::{ActionStatistics, Outcome, OutcomeType, PendingVerification};
use crate::domain::target::System;
use crate::domain::time::{Time, since};
use crate::domain::verification::Baseline;
use crate::domain::violation::Violation;
use crate::knowledge::verification::{CycleView, Look, VerificationResult, look};
use crate::knowledge::{Batch, StoreError};

/// A result of this cycle.
#[derive(Debug)]
pub(super) struct Verified {
    pub verification: PendingVerification,
    pub ruling: VerificationResult,
    pub outcome_ids: Vec<Uuid>,
    /// What becomes of an action that did harm.
    pub left: Option<String>,
}

/// What verifying remembers.
#[derive(Debug, Default)]
pub(super) struct Verify {
    /// Violations that vanished and that the verification, or the count of natural recoveries, has not durably heard of.
    pub(super) vanished: Vec<String>,
    /// What outcomes and natural recoveries teach, until one of them is written: while this process leads nobody else
    /// writes them, and a new leader begins afresh.
    pub(super) learned: Option<Vec<ActionStatistics>>,
}

/// What this cycle saw, as far as verifying needs it.
pub(super) struct Scene<'a> {
    pub seen: &'a Seen,
    pub looked: &'a ClusterAssessment,
    pub changes: &'a Changes,
    pub tracker: &'a Tracker,
    pub active: &'a [Violation],
    pub fleets: &'a BTreeMap<System, Fleet>,
    /// Since when the metrics cannot be read.
    pub blind_since: Option<Time>,
    /// Why the journal of the last execution cannot be relied on; opens the breaker.
    pub journal_failed: Option<&'a (System, String)>,
    pub undoable: &'a IsUndoable<'a>,
}

impl Verify {
    /// What the records teach. They are many and seldom change, so that they are read only after one was written.
    pub async fn learned(&mut self, kit: &Kit) -> Result<Vec<ActionStatistics>, StoreError> {
        if let Some(known) = &self.learned {
            return Ok(known.clone());
        }
        let learned = kit.knowledge.statistics().await?;
        Ok(self.learned.insert(learned).clone())
    }

    pub fn remember(&mut self, changes: &Changes) {
        self.vanished.extend(changes.vanished.iter().cloned());
    }

    /// What is known by now of what was done before: successes that did not last, and results of what has settled. Changes
    /// nothing outside.
    pub async fn verify(
        &mut self,
        kit: &Kit,
        recalled: &mut Recalled,
        scene: &Scene<'_>,
    ) -> Result<Vec<Verified>, StoreError> {
        let Scene { seen, active, blind_since, .. } = *scene;
        let health = scene.looked.health(&kit.config.plan);
        ledger::keep(kit, &mut recalled.ledger, scene, health.as_ref()).await?;
        self.take_back_successes(kit, blind_since, recalled, seen, active).await?;
        self.judge(kit, recalled, scene).await
    }

    async fn judge(
        &mut self,
        kit: &Kit,
        recalled: &mut Recalled,
        scene: &Scene<'_>,
    ) -> Result<Vec<Verified>, StoreError> {
        let Scene { seen, active, .. } = *scene;
        if recalled.verifications.is_empty() {
            return Ok(Vec::new());
        }
        let counters: BTreeSet<String> = kit
            .config
            .monitor
            .rules
            .iter()
            .filter(|r| r.increase_over().is_some())
            .map(|r| r.name.clone())
            .collect();
        let values = values_for(scene.tracker, &recalled.verifications);
        let sent = recalled.ledger.entries.clone();
        let sight = CycleView {
            now: seen.snapshot.at,
            scheduled: seen.trigger == Trigger::Scheduled,
            active,
            rules: &scene.changes.rules,
            counters: &counters,
            vanished: &self.vanished,
            alerts_read: seen.snapshot.alerts.failure.is_none(),
            cluster: scene.looked.reading.as_ref(),
            replicas: seen.charter.state.as_ref().ok().map(|s| s.replicas),
            poll_interval: kit.config.monitor.poll_interval,
            values: &values,
            sent: &sent,
        };
        let mut batch = kit.knowledge.batch();
        let aftermath_before = recalled.aftermath.clone();
        let mut ruled = Vec::new();
        let mut kept = Vec::new();
        for verification in std::mem::take(&mut recalled.verifications) {
            let execution = recalled.executions.get(&verification.execution_id);
            if execution.is_some_and(Execution::is_open) {
                // What is in effect of it is known only when it has been brought to its end.
                kept.push(verification);
                continue;
            }
            if let Some(ruling) = execution.and_then(|e| overtaken(e, sight.now)) {
                ruled.push(rule(kit, scene, verification, ruling, recalled, &mut batch).await?);
                continue;
            }
            match look(&verification, &sight) {
                Look::Waiting(updated) => {
                    if updated != verification {
                        batch.put(&updated);
                    }
                    kept.push(updated);
                }
                Look::Verified(updated, ruling) => {
                    ruled.push(rule(kit, scene, updated, ruling, recalled, &mut batch).await?);
                }
            }
        }
        // With the verdict: a crash on the next line must not leave a failure that nobody was told of.
        if !ruled.is_empty() {
            kit.put_ledger(&mut recalled.ledger, &mut batch, seen.snapshot.at);
        }
        if recalled.aftermath != aftermath_before {
            put(&recalled.aftermath, &mut batch, seen.snapshot.at);
        }
        let wanted = ruled.iter().filter_map(|r| verdict(r, active)).collect();
        let told = tell(&kit.ids, &mut recalled.escalations, wanted, seen.snapshot.at);
        for record in &told {
            batch.put(record);
        }
        if !ruled.is_empty() {
            self.learned = None;
        }
        kit.knowledge.commit(batch).await?;
        for record in &told {
            announce(&kit.metrics, record);
        }
        recalled.verifications = kept;
        if !ruled.is_empty() {
            recalled.statistics = self.learned(kit).await?;
        }
        Ok(ruled)
    }
}

/// What this cycle read well of the series that the judgings ask for.
fn values_for(tracker: &Tracker, verifications: &[PendingVerification]) -> BTreeMap<String, f64> {
    let asked = verifications.iter().flat_map(|verification| {
        let score = match &verification.yardstick {
            Some(Baseline::Scored(score)) => Some(score),
            Some(Baseline::Unscored(_)) | None => None,
        };
        let scored = score
            .into_iter()
            .flat_map(|s| std::iter::once(&s.series).chain(s.control.iter().map(|c| &c.series)));
        verification.measured.iter().chain(scored)
    });
    asked.filter_map(|fp| Some((fp.clone(), tracker.read_now(fp)?))).collect()
}

/// Everything that one result changes, in one batch.
async fn rule(
    kit: &Kit,
    scene: &Scene<'_>,
    verification: PendingVerification,
    ruling: VerificationResult,
    recalled: &mut Recalled,
    batch: &mut Batch,
) -> Result<Verified, StoreError> {
    let success = ruling.outcome == OutcomeType::Success;
    let (id, now) = (verification.execution_id, scene.seen.snapshot.at);
    let system = verification.target.system();
    let tripped = recalled.ledger.tripped(system).is_some();
    kit.verify_ledger(&mut recalled.ledger, id, ruling.outcome, now);
    let effect = verification.clear_at.filter(|_| success);
    let mut outcome_ids = Vec::new();
    for action in &verification.actions {
        let outcome = Outcome {
            id: kit.ids.id(),
            policy_id: verification.policy_id,
            execution_id: verification.execution_id,
            cause: verification.cause.clone(),
            component: verification.component.clone(),
            action_type: *action,
            outcome_type: ruling.outcome,
            metric_before: verification.metric_before,
            metric_after: verification.witness.as_deref().and_then(|fp| scene.tracker.value(fp)),
            violations_before: verification.before.len(),
            violations_after: ruling.violations_after,
            judged_at: now,
            target: verification.target.clone(),
            settled_at: verification.settled_at,
            reason: ruling.reason.clone(),
            time_to_effect_seconds: effect
                .map(|at| since(at, verification.applied_at).as_secs_f64()),
            verification: ruling.verification.clone(),
            recurred: None,
        };
        tracing::info!(
            action = action.as_str(), cause = %verification.cause, component = verification.component,
            outcome = ruling.outcome.as_str(), reason = ruling.reason, "the result of an action is verified"
        );
        kit.metrics.outcome(&outcome);
        outcome_ids.push(outcome.id);
        batch.put(&outcome);
    }
    batch.delete::<PendingVerification>(verification.execution_id.to_string());
    let stored = kit.knowledge.get::<Execution>(&verification.execution_id.to_string()).await?;
    let left = follow_result(
        kit,
        scene.undoable,
        &verification,
        (&ruling, &outcome_ids),
        stored.as_ref().map(|(execution, _)| execution),
        &mut recalled.aftermath,
        now,
    );
    let closed_breaker = tripped && recalled.ledger.tripped(system).is_none();
    for watched in recalled.aftermath.successes.iter_mut().filter(|w| w.execution_id == id) {
        watched.closed_breaker = closed_breaker;
    }
    let owed = recalled.aftermath.undoings.iter().any(|o| o.execution_id == id);
    if let Some((mut execution, _)) = stored {
        for record in &mut execution.actions {
            // A temporary action is closed when it is over.
            let lasts = recalled.temporaries.iter().any(|t| t.key == record.key);
            // Applied is what a process that stopped right after the call left behind.
            for state in [ActionState::Verifying, ActionState::Verified, ActionState::Closed] {
                let closes = state == ActionState::Closed && (lasts || owed);
                if record.state.may_become(state) && record.state != ActionState::Unknown && !closes
                {
                    record.advance(state).expect("just asked");
                }
            }
        }
        batch.put(&execution);
        recalled.executions.insert(execution.id, execution);
    }
    for treatment in &mut recalled.treatments {
        let mut changed = false;
        for attempt in &mut treatment.attempts {
            if attempt.policy_id == verification.policy_id && attempt.verdict.is_none() {
                attempt.verdict = Some(ruling.outcome);
                changed = true;
            }
        }
        if changed {
            batch.put(treatment);
        }
    }
    Ok(Verified { verification, ruling, outcome_ids, left })
}
