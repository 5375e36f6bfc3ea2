//! Judges what has settled, before anything new is planned: the verdict is stored once, with everything it changes.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Cycle;
use super::aftermath::put;
use super::cluster::Looked;
use super::escalate::{announce, tell, verdict};
use super::observe::Seen;
use super::recall::Recalled;
use super::temporary::overtaken;
use crate::analyzer::Changes;
use crate::domain::cycle::Trigger;
use crate::domain::execution::{ActionState, Execution};
use crate::domain::fleet::Fleet;
use crate::domain::outcome::{Judging, Outcome, OutcomeType};
use crate::domain::target::System;
use crate::domain::time::since;
use crate::domain::verification::Yardstick;
use crate::domain::violation::Violation;
use crate::knowledge::judge::{Look, Ruling, Sight, look};
use crate::knowledge::{Batch, StoreError};

/// A verdict of this cycle.
#[derive(Debug)]
pub(super) struct Ruled {
    pub judging: Judging,
    pub ruling: Ruling,
    pub outcome_ids: Vec<Uuid>,
    /// What becomes of an action that did harm.
    pub left: Option<String>,
}

impl Cycle {
    /// What is known by now of what was done before: successes that did not last, and verdicts on what has settled. Changes
    /// nothing outside.
    pub(super) async fn verify(
        &mut self,
        recalled: &mut Recalled,
        seen: &Seen,
        active: &[Violation],
        changes: &Changes,
        looked: &Looked,
        fleets: &BTreeMap<System, Fleet>,
    ) -> Result<Vec<Ruled>, StoreError> {
        let readable = !seen.snapshot.is_blind();
        let health = looked.health(&self.config.plan);
        self.keep_ledger(recalled, fleets, readable, health.as_ref(), seen.snapshot.at).await?;
        self.take_back_successes(recalled, seen, active).await?;
        self.judge(recalled, seen, active, changes, looked).await
    }

    async fn judge(
        &mut self,
        recalled: &mut Recalled,
        seen: &Seen,
        active: &[Violation],
        changes: &Changes,
        looked: &Looked,
    ) -> Result<Vec<Ruled>, StoreError> {
        if recalled.judgings.is_empty() {
            return Ok(Vec::new());
        }
        let counters: BTreeSet<String> = self
            .config
            .monitor
            .rules
            .iter()
            .filter(|r| r.increase_over().is_some())
            .map(|r| r.name.clone())
            .collect();
        let values = self.values_for(&recalled.judgings);
        let sent = recalled.ledger.entries.clone();
        let sight = Sight {
            now: seen.snapshot.at,
            scheduled: seen.trigger == Trigger::Scheduled,
            active,
            rules: &changes.rules,
            counters: &counters,
            vanished: &self.memory.vanished,
            alerts_read: seen.snapshot.alerts.failure.is_none(),
            cluster: looked.reading.as_ref(),
            replicas: seen.charter.state.as_ref().ok().map(|s| s.replicas),
            poll_interval: self.config.monitor.poll_interval,
            values: &values,
            sent: &sent,
        };
        let mut batch = self.knowledge.batch();
        let aftermath_before = recalled.aftermath.clone();
        let mut ruled = Vec::new();
        let mut kept = Vec::new();
        for judging in std::mem::take(&mut recalled.judgings) {
            let execution = recalled.executions.get(&judging.execution_id);
            if execution.is_some_and(Execution::is_open) {
                // What is in effect of it is known only when it has been brought to its end.
                kept.push(judging);
                continue;
            }
            if let Some(ruling) = execution.and_then(|e| overtaken(e, sight.now)) {
                ruled.push(self.rule(judging, ruling, recalled, seen, &mut batch).await?);
                continue;
            }
            match look(&judging, &sight) {
                Look::Waiting(updated) => {
                    if updated != judging {
                        batch.put(&updated);
                    }
                    kept.push(updated);
                }
                Look::Ruled(updated, ruling) => {
                    ruled.push(self.rule(updated, ruling, recalled, seen, &mut batch).await?);
                }
            }
        }
        // With the verdict: a crash on the next line must not leave a failure that nobody was told of.
        if !ruled.is_empty() {
            self.put_ledger(&mut recalled.ledger, &mut batch, seen.snapshot.at);
        }
        if recalled.aftermath != aftermath_before {
            put(&recalled.aftermath, &mut batch, seen.snapshot.at);
        }
        let wanted = ruled.iter().filter_map(|r| verdict(r, active)).collect();
        let told = tell(&self.ids, &mut recalled.escalations, wanted, seen.snapshot.at);
        for record in &told {
            batch.put(record);
        }
        if !ruled.is_empty() {
            self.memory.learned = None;
        }
        self.knowledge.commit(batch).await?;
        for record in &told {
            announce(&self.metrics, record);
        }
        recalled.judgings = kept;
        if !ruled.is_empty() {
            recalled.statistics = self.learned().await?;
        }
        Ok(ruled)
    }

    /// What this cycle read well of the series that the judgings ask for.
    fn values_for(&self, judgings: &[Judging]) -> BTreeMap<String, f64> {
        let asked = judgings.iter().flat_map(|judging| {
            let score = match &judging.yardstick {
                Some(Yardstick::Scored(score)) => Some(score),
                Some(Yardstick::Unscored(_)) | None => None,
            };
            let scored = score.into_iter().flat_map(|s| {
                std::iter::once(&s.series).chain(s.control.iter().map(|c| &c.series))
            });
            judging.measured.iter().chain(scored)
        });
        asked.filter_map(|fp| Some((fp.clone(), self.tracker.read_now(fp)?))).collect()
    }

    /// Everything that one verdict changes, in one batch.
    async fn rule(
        &self,
        judging: Judging,
        ruling: Ruling,
        recalled: &mut Recalled,
        seen: &Seen,
        batch: &mut Batch,
    ) -> Result<Ruled, StoreError> {
        let success = ruling.outcome == OutcomeType::Success;
        let (id, now) = (judging.execution_id, seen.snapshot.at);
        let system = judging.target.system();
        let tripped = recalled.ledger.tripped(system).is_some();
        self.judge_ledger(&mut recalled.ledger, id, ruling.outcome, now);
        let effect = judging.clear_at.filter(|_| success);
        let mut outcome_ids = Vec::new();
        for action in &judging.actions {
            let outcome = Outcome {
                id: self.ids.id(),
                policy_id: judging.policy_id,
                execution_id: judging.execution_id,
                cause: judging.cause.clone(),
                component: judging.component.clone(),
                action_type: *action,
                outcome_type: ruling.outcome,
                metric_before: judging.metric_before,
                metric_after: judging.witness.as_deref().and_then(|fp| self.tracker.value(fp)),
                violations_before: judging.before.len(),
                violations_after: ruling.violations_after,
                judged_at: seen.snapshot.at,
                target: judging.target.clone(),
                settled_at: judging.settled_at,
                reason: ruling.reason.clone(),
                time_to_effect_seconds: effect
                    .map(|at| since(at, judging.applied_at).as_secs_f64()),
                verification: ruling.verification.clone(),
                recurred: None,
            };
            tracing::info!(
                action = action.as_str(), cause = %judging.cause, component = judging.component,
                outcome = ruling.outcome.as_str(), reason = ruling.reason, "outcome judged"
            );
            self.metrics.outcome(&outcome);
            outcome_ids.push(outcome.id);
            batch.put(&outcome);
        }
        batch.delete::<Judging>(judging.execution_id.to_string());
        let stored = self.knowledge.get::<Execution>(&judging.execution_id.to_string()).await?;
        let left = self.follow_verdict(
            &judging,
            &ruling,
            &outcome_ids,
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
                for state in [ActionState::Judging, ActionState::Judged, ActionState::Closed] {
                    let closes = state == ActionState::Closed && (lasts || owed);
                    if record.state.may_become(state)
                        && record.state != ActionState::Unknown
                        && !closes
                    {
                        record.advance(state).expect("just asked");
                    }
                }
            }
            batch.put(&execution);
            recalled.executions.insert(execution.id, execution);
        }
        for incident in recalled.incidents.iter_mut().filter(|i| i.cause == judging.cause) {
            let mut changed = false;
            for attempt in &mut incident.attempts {
                if attempt.policy_id == judging.policy_id && attempt.verdict.is_none() {
                    attempt.verdict = Some(ruling.outcome);
                    changed = true;
                }
            }
            if changed {
                batch.put(incident);
            }
        }
        Ok(Ruled { judging, ruling, outcome_ids, left })
    }
}
