//! Carries out the chosen policy: intent into the store, then the calls, then the result into the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::baseline::measure;
use super::expiring_action;
use super::kit::{Kit, Means};
use super::ledger::enter;
use super::needs::{announce, failed, tell};
use super::observe::Seen;
use super::recall::{RECLAIMABLE, Recalled, took_effect};
use super::recover::settle;
use crate::actuators::charter::{Prior, size_of};
use crate::analyzer::Tracker;
use crate::clock::Clock;
use crate::domain::action::Action;
use crate::domain::cycle::Hold;
use crate::domain::execution::{ActionState, Execution, ExecutionStatus};
use crate::domain::expiring_action::ExpiringAction;
use crate::domain::ledger::Ledger;
use crate::domain::outcome::PendingVerification;
use crate::domain::policy::Policy;
use crate::domain::target::{System, Target};
use crate::domain::time::{Time, after, since};
use crate::domain::treatment::{Attempt, Treatment};
use crate::domain::violation::Violation;
use crate::executor::{Journal, JournalError};
use crate::knowledge::{Fact, Knowledge, StoreError, Term, When, Written};
use crate::planner::{Plan, ReclaimableReplicas};

/// What became of a plan.
pub(super) enum ExecutionResult {
    /// It has no policy to carry out.
    Nothing,
    Out(Execution),
    /// Its policy was left as it was decided, and nothing of it sent.
    Left(Hold, String),
}

impl ExecutionResult {
    pub(super) fn execution(&self) -> Option<&Execution> {
        match self {
            Self::Out(execution) => Some(execution),
            Self::Nothing | Self::Left(..) => None,
        }
    }
}

/// The executor's journal: the store.
pub(super) struct StoreJournal<'a> {
    knowledge: &'a Knowledge,
    clock: Clock,
    /// Records begun and not known to be durable: one that failed or was not waited for stays among them.
    unwritten: AtomicUsize,
}

impl<'a> StoreJournal<'a> {
    pub(super) fn with_store(knowledge: &'a Knowledge, clock: Clock) -> Self {
        Self { knowledge, clock, unwritten: AtomicUsize::new(0) }
    }

    pub(super) fn is_behind(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed) > 0
    }
}

#[async_trait]
impl Journal for StoreJournal<'_> {
    async fn record(&self, execution: &Execution) -> Result<(), JournalError> {
        self.unwritten.fetch_add(1, Ordering::Relaxed);
        let mut batch = self.knowledge.batch();
        batch.put(execution);
        self.knowledge.commit(batch).await.map_err(|e| JournalError(e.to_string()))?;
        self.unwritten.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    async fn halted(&self) -> Result<Option<String>, JournalError> {
        let pause = self.knowledge.paused(self.clock.now()).await;
        let pause = pause.map_err(|e| JournalError(e.to_string()))?;
        // Last, after all that can take time: a process that was stopped for a while finds it here.
        let barred = || self.knowledge.term().and_then(Term::barred);
        Ok(pause.map(|p| p.to_string()).or_else(barred))
    }

    fn superseded(&self, said: &str) {
        if let Some(term) = self.knowledge.term() {
            term.refuse(said);
        }
    }
}

/// What of the execution in hand is not known to be in the store.
#[derive(Debug, Default)]
pub(super) struct Act {
    /// An execution was begun and its end is not known to be in the store: it is settled before anything is recalled.
    in_hand: bool,
    /// Its intent was durable: what fails from then on is the journal's failure.
    begun: Option<System>,
    /// Why the journal of the last execution cannot be relied on.
    pub(super) journal_failed: Option<(System, String)>,
    pub policies_generated: u64,
    pub policies_executed: u64,
}

impl Act {
    /// After others may have led: what was counted goes on.
    pub fn afresh(&mut self) {
        let Self { policies_generated, policies_executed, .. } = *self;
        *self = Self { policies_generated, policies_executed, ..Self::default() };
    }

    /// Puts the store in order after an execution whose end was not recorded.
    pub async fn close_what_broke_off(&mut self, kit: &Kit) -> Result<(), StoreError> {
        if self.in_hand {
            let rails = &kit.config.plan.guardrails;
            settle(&kit.knowledge, &kit.metrics, rails, &kit.ids, kit.clock.now()).await?;
            self.in_hand = false;
            if let Some(system) = self.begun.take() {
                let why = "an execution's end could not be written to the journal";
                self.journal_failed = Some((system, why.to_owned()));
            }
        }
        Ok(())
    }

    /// Records the plan and executes its one policy, if it has one. After a store error the journal alone says how far
    /// it came: the next cycle settles that before it plans.
    pub async fn carry_out(
        &mut self,
        how: &Means<'_>,
        plan: &Plan,
        recalled: &mut Recalled,
        seen: &Seen,
        tracker: &Tracker,
    ) -> Result<ExecutionResult, StoreError> {
        let Means { kit, hands, stop, .. } = *how;
        if stop.is_cancelled() {
            // A policy that is not carried out must not be called executed: it stays as it was decided.
            return Ok(ExecutionResult::Left(Hold::NotBegun, "the daemon was stopping".to_owned()));
        }
        if let (Some(policy), Some(pause)) =
            (&plan.chosen, kit.knowledge.paused(kit.clock.now()).await?)
        {
            // Paused since it was planned: not begun, so that its treatment does not count it as a failed attempt.
            tracing::info!(policy = %policy.id, %pause, "the loop was paused since it was planned: the proposal is not executed and stays as it is");
            return Ok(ExecutionResult::Left(Hold::Paused, pause.to_string()));
        }
        if let Some(why) = kit.lead_now().barred.filter(|_| plan.chosen.is_some()) {
            return Ok(ExecutionResult::Left(Hold::NotLeading, why));
        }
        let mut batch = kit.knowledge.batch();
        let mut chosen_at = None;
        for (position, policy) in plan.policies.iter().enumerate() {
            // A decision that a person made since it was read stands: then this write is skipped.
            let known = recalled.policies.iter().find(|p| p.id == policy.id);
            let when = known.map_or(When::Absent, |p| When::Tag(p.approval.as_str().to_owned()));
            batch.put_if(policy, when);
            if plan.chosen.as_ref().is_some_and(|c| c.id == policy.id) {
                chosen_at = Some(position);
            }
        }
        let chosen = plan.chosen.as_ref();
        let execution_id = kit.ids.id();
        let verification =
            chosen.map(|p| verification(kit, p, execution_id, seen, tracker, &recalled.ledger));
        let treated = chosen.and_then(|policy| plan.treatment_of(policy)).map(|one| one.id);
        for treatment in &plan.treatments {
            let attempts = chosen.filter(|_| treated == Some(treatment.id));
            batch.put(&with_attempts(treatment, attempts, seen.snapshot.at));
        }
        let keys: Vec<Uuid> =
            chosen.iter().flat_map(|p| &p.actions).map(|_| kit.ids.key()).collect();
        if let (Some(verification), Some(policy)) = (&verification, chosen) {
            batch.put(verification);
            let now = kit.clock.now();
            enter(&mut recalled.ledger, policy, execution_id, now);
            kit.put_ledger(&mut recalled.ledger, &mut batch, now);
            // With the decision: if the process dies on the next line, it is known what was not sent.
            let mode = kit.config.execute.execution_mode;
            let intended = Execution::intended(policy, execution_id, &keys, mode, now);
            batch.put(&intended);
            let latest_start = after(now, kit.config.execute.policy_timeout);
            expiring_action::intend(&intended, latest_start, &mut batch);
        }
        self.in_hand = chosen.is_some();
        let written = kit.knowledge.commit(batch).await?;
        self.policies_generated += plan.generated as u64;
        let (Some(policy), Some(verification), Some(position)) = (chosen, verification, chosen_at)
        else {
            return Ok(ExecutionResult::Nothing);
        };
        if written.get(position) != Some(&Written::Done) {
            tracing::info!(policy = %policy.id, "somebody decided on the proposal meanwhile: the decision stays as it is");
            abandon(kit, &verification, plan, &keys, &mut recalled.ledger).await?;
            self.in_hand = false;
            let why = "a person had decided on it meanwhile";
            return Ok(ExecutionResult::Left(Hold::NotBegun, why.to_owned()));
        }
        self.begun = Some(policy.actions[0].target().system());
        let clock = kit.clock;
        let journal = StoreJournal::with_store(&kit.knowledge, clock);
        let execution = hands
            .executor
            .execute(policy, execution_id, keys, &journal, stop, &move || clock.now())
            .await;
        if journal.is_behind() {
            let why = format!("the journal of {} could not be written", policy.actions[0]);
            self.journal_failed = self.begun.map(|system| (system, why));
        }
        if let Some(arrived) = seen.woken_by {
            kit.metrics.webhook_to_call(since(execution.started_at, arrived));
        }
        kit.metrics.execution(&execution);
        if execution.status == ExecutionStatus::Completed {
            self.policies_executed += 1;
        }
        let now = seen.snapshot.at;
        let execution =
            record_result(kit, execution, verification, policy, recalled, plan, now).await?;
        (self.in_hand, self.begun) = (false, None);
        Ok(ExecutionResult::Out(execution))
    }
}

impl Kit {
    /// When the results of its actions are verified, if they took effect then.
    pub(super) fn settles_from(&self, verification: &mut PendingVerification, applied_at: Time) {
        let settings = &self.config.execute;
        let settle = verification.actions.iter().map(|a| settings.settle(*a)).max();
        verification.applied_at = applied_at;
        verification.settled_at = after(applied_at, settle.unwrap_or(settings.settle_default));
        verification.judge_by = after(verification.settled_at, self.config.knowledge.judge_limit);
    }
}

/// What is true at the intent and needed to verify its result, durable before anything is sent.
fn verification(
    kit: &Kit,
    policy: &Policy,
    execution_id: Uuid,
    seen: &Seen,
    tracker: &Tracker,
    ledger: &Ledger,
) -> PendingVerification {
    let now = kit.clock.now();
    let settings = &kit.config.execute;
    let settle = policy
        .actions
        .iter()
        .map(|a| settings.settle(a.kind()))
        .max()
        .unwrap_or(settings.settle_default);
    // Until the result is known the settle time is counted from the latest moment the policy may end at.
    let settled_at = after(now, settings.policy_timeout + settle);
    let target = policy.actions.first().map_or(Target::Charter(None), Action::target);
    let counted: Vec<&Violation> =
        tracker.active().filter(|v| v.counts() && v.lies_on(&target)).collect();
    let evidence: BTreeSet<&str> = policy.evidence.iter().map(String::as_str).collect();
    let witness = counted
        .iter()
        .filter(|v| evidence.contains(v.fingerprint.as_str()))
        .max_by(|a, b| excess(a).total_cmp(&excess(b)));
    // Of another system Charter's size says nothing.
    let of_charter = target.system() == System::Charter;
    let size = seen.charter.state.as_ref().ok().filter(|_| of_charter).map(|s| s.replicas);
    let verification = PendingVerification {
        execution_id,
        policy_id: policy.id,
        cause: policy.cause.clone(),
        component: policy.component.clone(),
        actions: policy.actions.iter().map(Action::kind).collect(),
        before: counted.iter().map(|v| v.fingerprint.clone()).collect(),
        rules: counted.iter().map(|v| v.rule.clone()).collect::<BTreeSet<_>>(),
        witness: witness.map(|v| v.fingerprint.clone()),
        metric_before: witness.and_then(|v| v.value),
        intent_at: now,
        applied_at: now,
        settled_at,
        judge_by: after(settled_at, kit.config.knowledge.judge_limit),
        expected_replicas: policy.actions.iter().rev().find_map(size_of).or(size),
        first_look: None,
        clear_at: None,
        target,
        measured: BTreeSet::new(),
        yardstick: None,
        first_values: BTreeMap::new(),
    };
    measure(kit, tracker, verification, &counted, witness.copied(), ledger)
}

async fn record_result(
    kit: &Kit,
    mut execution: Execution,
    mut verification: PendingVerification,
    policy: &Policy,
    recalled: &mut Recalled,
    plan: &Plan,
    now: Time,
) -> Result<Execution, StoreError> {
    let mut batch = kit.knowledge.batch();
    if took_effect(&execution) {
        let applied: Vec<_> =
            execution.actions.iter().filter(|a| a.state == ActionState::Applied).collect();
        verification.actions = applied.iter().map(|a| a.action.kind()).collect();
        let applied_at = execution.ended_at.unwrap_or_else(|| kit.clock.now());
        kit.settles_from(&mut verification, applied_at);
        for record in execution.actions.iter_mut().filter(|a| a.state == ActionState::Applied) {
            record.advance(ActionState::Verifying).expect("applied may be verified");
        }
        batch.put(&verification);
        let known = recalled.surplus.as_ref();
        if let Some(fact) = surplus(&execution, known, kit.clock.now()) {
            batch.put(&fact);
        }
    } else if !execution.is_open() {
        batch.delete::<PendingVerification>(verification.execution_id.to_string());
    }
    expiring_action::follow(&execution, &mut batch);
    let incomplete = execution.status != ExecutionStatus::Completed;
    if let Some(treatment) = plan.treatment_of(policy).filter(|_| incomplete) {
        // What surely was not sent was not tried, unless Charter called it invalid: that will not change.
        let tried = execution.actions.iter().any(|a| (a.tries > 0 && !a.conflict) || a.invalid);
        let attempted = tried.then_some(policy);
        let mut treatment = with_attempts(treatment, attempted, verification.intent_at);
        for attempt in treatment.attempts.iter_mut().filter(|a| a.policy_id == policy.id) {
            attempt.failed = true;
        }
        // What is invalid stays so: the next action's turn. A wrong key or a lost call is none of the action's faults.
        let invalid = execution.actions.iter().filter(|a| a.invalid);
        treatment.impossible.extend(invalid.map(|a| a.action.kind()));
        batch.put(&treatment);
    }
    kit.settle_ledger(&mut recalled.ledger, &execution, took_effect(&execution), now);
    kit.put_ledger(&mut recalled.ledger, &mut batch, now);
    batch.put(&execution);
    // With the result: what blocks its ground, and tells people, must not be lost between two batches.
    let told = tell(&kit.ids, &mut recalled.escalations, failed(&execution, &policy.evidence), now);
    for record in &told {
        batch.put(record);
    }
    kit.knowledge.commit(batch).await?;
    for record in &told {
        announce(&kit.metrics, record);
    }
    Ok(execution)
}

/// Undoes what was stored for a policy that was not begun.
async fn abandon(
    kit: &Kit,
    verification: &PendingVerification,
    plan: &Plan,
    keys: &[Uuid],
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    let mut batch = kit.knowledge.batch();
    ledger.entries.retain(|e| e.execution_id != verification.execution_id);
    kit.put_ledger(ledger, &mut batch, kit.clock.now());
    for treatment in &plan.treatments {
        batch.put(treatment);
    }
    batch.delete::<PendingVerification>(verification.execution_id.to_string());
    batch.delete::<Execution>(verification.execution_id.to_string());
    for key in keys {
        batch.delete::<ExpiringAction>(key.to_string());
    }
    kit.knowledge.commit(batch).await.map(|_| ())
}

/// Replicas that were needed again so soon after they were scaled back are no surplus: else they would go and come for
/// ever.
const NEEDED_AGAIN: Duration = Duration::from_hours(24);

/// What our own scaling has added so far: scaled back later, if `plan.give_back` says so.
pub(super) fn surplus(
    execution: &Execution,
    known: Option<&ReclaimableReplicas>,
    now: Time,
) -> Option<Fact> {
    let scaled = execution.actions.iter().rev().find_map(|a| {
        let size = size_of(&a.action)?;
        Some((Prior::of(a).replicas?, size))
    });
    let (prior, ours) = scaled?;
    let mut given_back =
        known.and_then(|s| s.given_back).filter(|at| since(now, *at) < NEEDED_AGAIN);
    let mut original = known.filter(|s| s.ours == prior).map_or(prior, |s| s.original);
    if ours < prior {
        given_back = Some(now);
    } else if given_back.is_some() {
        original = ours;
    }
    let value = serde_json::to_value(ReclaimableReplicas { original, ours, given_back }).ok()?;
    Some(Fact { name: RECLAIMABLE.to_owned(), value, at: now })
}

fn excess(violation: &Violation) -> f64 {
    match (violation.comparison, violation.value, violation.threshold) {
        (Some(comparison), Some(value), Some(threshold)) => comparison.excess(value, threshold),
        _ => f64::NEG_INFINITY,
    }
}

fn with_attempts(treatment: &Treatment, policy: Option<&Policy>, at: Time) -> Treatment {
    let mut treatment = treatment.clone();
    if let Some(policy) = policy {
        treatment.attempts.extend(policy.actions.iter().map(|action| Attempt {
            action: action.kind(),
            policy_id: policy.id,
            at,
            verdict: None,
            failed: false,
        }));
    }
    treatment
}
