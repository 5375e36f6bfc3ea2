//! A success whose violation comes back too soon was none: outcome, statistics, guards and treatment are corrected, once.

use super::follow_ups::put;
use super::kit::Kit;
use super::needs::{announce, tell};
use super::observe::Seen;
use super::recall::Recalled;
use super::timeline::{Happened, treated};
use super::verify::Verify;
use crate::domain::action::ActionKind;
use crate::domain::follow_ups::WatchedSuccess;
use crate::domain::incident::Happening;
use crate::domain::need::NeedReason;
use crate::domain::outcome::{Outcome, OutcomeType, Recurred};
use crate::domain::time::{Time, after, since};
use crate::domain::violation::Violation;
use crate::incidents::NeedRequest;
use crate::knowledge::StoreError;
use crate::planner::guards;

impl Verify {
    /// One batch for each, the watch with it: neither a crash nor a second cycle takes the same success back twice.
    pub(super) async fn take_back_successes(
        &mut self,
        kit: &Kit,
        blind_since: Option<Time>,
        recalled: &mut Recalled,
        seen: &Seen,
        active: &[Violation],
    ) -> Result<(), StoreError> {
        let now = seen.snapshot.at;
        let replicas = seen.charter.state.as_ref().ok().map(|s| s.replicas);
        let resized = |w: &WatchedSuccess| match (w.expected_replicas, replicas) {
            (Some(ours), Some(present)) => ours != present,
            _ => false,
        };
        // Nobody could look when its watch would have ended: it ends when somebody can. Not that of a temporary action.
        let gap = kit.config.plan.incident_gap;
        let unseen = |w: &WatchedSuccess| {
            blind_since.is_some_and(|from| from <= w.until) && w.until == after(w.judged_at, gap)
        };
        recalled.aftermath.successes.retain(|w| (now <= w.until || unseen(w)) && !resized(w));
        let mut corrected = false;
        for watched in recalled.aftermath.successes.clone() {
            let Some(back) = active.iter().find(|v| is_back(v, &watched)) else { continue };
            self.learned = None;
            take_back(kit, &watched, back, recalled, seen).await?;
            corrected = true;
        }
        if corrected {
            recalled.statistics = self.learned(kit).await?;
        }
        Ok(())
    }
}

async fn take_back(
    kit: &Kit,
    watched: &WatchedSuccess,
    back: &Violation,
    recalled: &mut Recalled,
    seen: &Seen,
) -> Result<(), StoreError> {
    let now = seen.snapshot.at;
    let reason = format!(
        "recurred: {} was active again {} s after the success was verified",
        back.description,
        since(now, watched.judged_at).as_secs()
    );
    let mut batch = kit.knowledge.batch();
    for id in &watched.outcomes {
        let stored = kit.knowledge.get::<Outcome>(&id.to_string()).await?;
        let Some((mut outcome, _)) = stored.filter(|(o, _)| o.recurred.is_none()) else {
            continue;
        };
        outcome.recurred = Some(Recurred {
            at: now,
            was: outcome.outcome_type,
            violation: back.fingerprint.clone(),
        });
        outcome.outcome_type = OutcomeType::Ineffective;
        outcome.reason.clone_from(&reason);
        outcome.time_to_effect_seconds = None;
        batch.put(&outcome);
    }
    for treatment in &mut recalled.treatments {
        let own = treatment.attempts.iter_mut().filter(|a| a.policy_id == watched.policy_id);
        let mut changed = false;
        for attempt in own.filter(|a| a.verdict == Some(OutcomeType::Success)) {
            attempt.verdict = Some(OutcomeType::Ineffective);
            changed = true;
        }
        if changed {
            batch.put(treatment);
        }
    }
    let verdict = OutcomeType::Ineffective;
    kit.verify_ledger(&mut recalled.ledger, watched.execution_id, verdict, now);
    if watched.closed_breaker
        && let Some(system) = recalled.ledger.system_of(watched.execution_id)
        && recalled.ledger.tripped(system).is_none()
    {
        let why = "the one action tried while half-open did not help for long".to_owned();
        let settings = &kit.config.plan.guardrails.breaker;
        guards::trip(&mut recalled.ledger, system, settings, why, now);
    }
    kit.put_ledger(&mut recalled.ledger, &mut batch, now);
    recalled.aftermath.successes.retain(|w| w.execution_id != watched.execution_id);
    put(&recalled.aftermath, &mut batch, now);
    let actions: Vec<&str> = watched.actions.iter().map(ActionKind::as_str).collect();
    let subject = actions.join(", ");
    let detail = format!("{subject} for {}: {reason}", watched.cause);
    let wanted = NeedRequest {
        cause: Some(watched.cause.clone()),
        component: Some(watched.component.clone()),
        evidence: watched.evidence.iter().cloned().collect(),
        ..NeedRequest::new(NeedReason::Ineffective, subject, detail)
    };
    let mut told = tell(&kit.ids, &mut recalled.escalations, vec![wanted], now);
    for record in &mut told {
        record.times_seen = 1;
        batch.put(record);
    }
    kit.knowledge.commit(batch).await?;
    for record in &told {
        announce(&kit.metrics, record);
    }
    let said = format!("{}: {reason}", actions.join(", "));
    recalled.happened.push(Happened {
        incident: treated(&recalled.treatments, watched.policy_id),
        ..Happened::new(Happening::Recurred, said, now).with(watched.evidence.iter().cloned())
    });
    tracing::info!(
        execution = %watched.execution_id, cause = %watched.cause, component = watched.component,
        violation = back.fingerprint, reason, "a success is withdrawn: the same violation is back"
    );
    Ok(())
}

/// Read as broken in this very cycle; when its result was verified it was not. Since when is not asked: a record that was not stored any
/// more before a crash, or a leader whose clock is behind, would say that it had been active all the time.
fn is_back(violation: &Violation, watched: &WatchedSuccess) -> bool {
    violation.counts() && violation.confirmed && watched.evidence.contains(&violation.fingerprint)
}
