//! What the guards remember, kept in step with what is done: written in one batch with the deed itself.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::kit::Kit;
use super::verify::Scene;
use crate::domain::action::{Action, ActionKind};
use crate::domain::execution::{ActionState, Execution};
use crate::domain::fleet::ClusterHealth;
use crate::domain::ledger::{End, Entry, Ledger, Storm};
use crate::domain::outcome::OutcomeType;
use crate::domain::policy::Policy;
use crate::domain::target::System;
use crate::domain::time::{Time, since};
use crate::knowledge::{Batch, Fact, StoreError};
use crate::planner::guardrails::Guardrails;
use crate::planner::guards;

/// The name under which the ledger is kept.
pub(super) const LEDGER: &str = "ledger";

impl Kit {
    /// Puts the ledger into the batch, without what is older than any guard asks for.
    pub(super) fn put_ledger(&self, ledger: &mut Ledger, batch: &mut Batch, now: Time) {
        put(ledger, &self.config.plan.guardrails, batch, now);
    }

    /// May anything be done to this system at all?
    pub(super) fn acts_on(&self, system: System) -> bool {
        match system {
            System::Charter => self.config.analyze.systems.charter,
            System::Kubernetes | System::Hook => {
                let mut hooks = self.config.plan.hooks.values();
                hooks.any(|hook| hook.target.system() == system)
            }
        }
    }

    pub(super) fn settle_ledger(
        &self,
        ledger: &mut Ledger,
        execution: &Execution,
        in_effect: bool,
        now: Time,
    ) {
        settle(ledger, &self.config.plan.guardrails, execution, in_effect, now);
    }

    pub(super) fn verify_ledger(
        &self,
        ledger: &mut Ledger,
        execution_id: Uuid,
        verdict: OutcomeType,
        now: Time,
    ) {
        let settings = &self.config.plan.guardrails.breaker;
        guards::judged(ledger, settings, execution_id, verdict, now);
    }
}

/// What happened since the last cycle without a deed: the journal failed in the middle of one; a storm came or went.
/// `health` is the cluster's, where it could be read.
pub(super) async fn keep(
    kit: &Kit,
    ledger: &mut Ledger,
    scene: &Scene<'_>,
    health: Option<&ClusterHealth>,
) -> Result<(), StoreError> {
    let now = scene.seen.snapshot.at;
    let readable = !scene.seen.snapshot.is_blind();
    let before = ledger.clone();
    let rails = &kit.config.plan.guardrails;
    if let Some((system, why)) = scene.journal_failed {
        guards::trip(ledger, *system, &rails.breaker, why.clone(), now);
    }
    guards::relax(ledger, &rails.breaker, now);
    for system in System::ALL {
        let before = ledger.storms.remove(&system);
        let storm = match system {
            // Where nothing may act there is nothing to hold, and nobody to be told that it is held.
            // Where nothing may act there is nothing to hold, and nobody to be told that it is held.
            system if !kit.acts_on(system) => None,
            System::Kubernetes => match health {
                Some(health) => guards::cluster_storm(before, health, &rails.kubernetes.storm, now),
                None => before.map(unseen),
            },
            System::Charter | System::Hook if readable => {
                let fleet = scene.fleets.get(&system).cloned().unwrap_or_default();
                guards::storm(before, &fleet, &rails.storm, now)
            }
            System::Charter | System::Hook => before.map(unseen),
        };
        ledger.storms.extend(storm.map(|storm| (system, storm)));
    }
    if *ledger != before {
        let mut batch = kit.knowledge.batch();
        kit.put_ledger(ledger, &mut batch, now);
        kit.knowledge.commit(batch).await?;
    }
    Ok(())
}

/// Counts every action of the policy before anything is sent.
pub(super) fn enter(ledger: &mut Ledger, policy: &Policy, execution_id: Uuid, now: Time) {
    let throttles = |a: &Action| a.kind() == ActionKind::ThrottleRequests;
    if let Some(storm) = ledger.storms.get_mut(&System::Charter)
        && policy.actions.iter().any(throttles)
    {
        storm.throttled_at.get_or_insert(now);
    }
    ledger.entries.extend(policy.actions.iter().map(|action| Entry {
        execution_id,
        at: now,
        action: action.kind(),
        target: action.target(),
        cause: policy.cause.clone(),
        end: End::Open,
    }));
}

pub(super) fn put(ledger: &mut Ledger, rails: &Guardrails, batch: &mut Batch, now: Time) {
    let day = rails.budget.day;
    // A breaker looks at the last verdicts of its system, however old they are.
    let mut left: BTreeMap<System, usize> = BTreeMap::new();
    for entry in &ledger.entries {
        *left.entry(entry.target.system()).or_default() += 1;
    }
    ledger.entries.retain(|entry| {
        let later = left.entry(entry.target.system()).or_default();
        let is_last = *later <= rails.breaker.of;
        *later = later.saturating_sub(1);
        is_last || since(now, entry.at) < day
    });
    let value = serde_json::to_value(&*ledger).expect("a ledger has text keys only");
    batch.put(&Fact { name: LEDGER.to_owned(), value, at: now });
}

/// What came of an execution: what surely was not sent does not count, what failed counts as failed, and a change
/// that could not be undone stops its system.
pub(super) fn settle(
    ledger: &mut Ledger,
    rails: &Guardrails,
    execution: &Execution,
    in_effect: bool,
    now: Time,
) {
    let unsent = execution.actions.iter().all(|a| a.tries == 0);
    if unsent || !in_effect {
        let end = if unsent { End::Unsent } else { End::Failed };
        let own = ledger.entries.iter_mut().filter(|e| e.execution_id == execution.id);
        own.for_each(|entry| entry.end = end);
        if unsent && let Some(storm) = ledger.storms.get_mut(&System::Charter) {
            // A throttle that was not sent is still to be had.
            storm.throttled_at = storm.throttled_at.filter(|at| *at < execution.started_at);
        }
    }
    let not_undone = execution.actions.iter().find(|a| a.state == ActionState::UndoFailed);
    if let Some(record) = not_undone {
        let why = format!("{} could not be undone", record.action);
        guards::trip(ledger, record.action.target().system(), &rails.breaker, why, now);
    }
}

/// What nobody could look at was not calm.
fn unseen(mut storm: Storm) -> Storm {
    storm.calm_since = None;
    storm
}
