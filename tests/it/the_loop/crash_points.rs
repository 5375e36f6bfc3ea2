//! S01, S02: a three-action policy is cut off at every write of its journal and at every call, before and after each;
//! then the same store is opened by the code of a real start. Which points there are is counted in a run that nothing
//! cuts, so that none is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use futures::{StreamExt, stream};
use mape_k::actuators::charter::Call;
use mape_k::clock::Clock;
use mape_k::control_loop::once;
use mape_k::daemon::{Parts, assemble};
use mape_k::domain::action::Action;
use mape_k::domain::cycle::Trigger;
use mape_k::domain::execution::ActionState as S;
use mape_k::domain::execution::{ActionRecord, Execution, ExecutionMode, ExecutionStatus};
use mape_k::domain::expiring_action::ExpiringAction;
use mape_k::domain::ledger::{End, Entry, Ledger};
use mape_k::domain::need::Need;
use mape_k::domain::outcome::PendingVerification;
use mape_k::domain::policy::Policy;
use mape_k::domain::target::{System, Target};
use mape_k::domain::time::after;
use mape_k::domain::violation::Violation;
use mape_k::executor::{Journal, JournalError, undo_key};
use mape_k::knowledge::{Fact, Knowledge};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::world::World;
use crate::executor::{Watch, baseline, keys, policy, scale_up, throttle};
use crate::fake_charter::{Effect, StrategyOrder};

/// How a run goes when nothing cuts it.
#[derive(Clone, Copy, Debug)]
struct Setting {
    mode: ExecutionMode,
    honours_keys: bool,
    /// Charter refuses the last action, so that a transactional run undoes the others.
    refuses_third: bool,
}

#[derive(Clone, Copy, Debug)]
enum Crash {
    Never,
    BeforeWrite(usize),
    AfterWrite(usize),
    /// The call arrives and nothing is done.
    BeforeCall(usize),
    /// The call takes effect and its answer is lost.
    AfterCall(usize),
}

/// The store, until the process dies at one of its writes.
struct Dying<'a> {
    knowledge: &'a Knowledge,
    crash: Crash,
    writes: AtomicUsize,
    died: Notify,
}

#[async_trait]
impl Journal for Dying<'_> {
    async fn record(&self, execution: &Execution) -> Result<(), JournalError> {
        let nth = self.writes.fetch_add(1, Ordering::Relaxed);
        if matches!(self.crash, Crash::BeforeWrite(k) if k == nth) {
            self.died.notify_one();
            return pending().await;
        }
        let mut batch = self.knowledge.batch();
        batch.put(execution);
        self.knowledge.commit(batch).await.expect("the store takes it");
        if matches!(self.crash, Crash::AfterWrite(k) if k == nth) {
            self.died.notify_one();
            return pending().await;
        }
        Ok(())
    }

    async fn halted(&self) -> Result<Option<String>, JournalError> {
        Ok(None)
    }

    fn superseded(&self, said: &str) {
        panic!("nobody else leads: {said}");
    }
}

/// A latency that is broken and for which a person is asked first: what is told is not closed as clear, and nothing new
/// is done.
async fn world(setting: Setting) -> World {
    let mut world = World::new().await;
    world.on_disk();
    world.ask_first();
    world.config.execute.execution_mode = setting.mode;
    world.config.execute.timeout_seconds = Duration::from_millis(500);
    world.charter.world().honours_keys = setting.honours_keys;
    if setting.refuses_third {
        let refusal = StrategyOrder::Answer(400, json!({"error": "not today", "code": "refused"}));
        world.charter.script(Call::Apply, [StrategyOrder::Normal, refusal]);
    }
    world.latency(1.5);
    world
}

/// What the cycle stores with the decision, before the executor begins.
async fn intend(knowledge: &Knowledge, policy: &Policy, id: Uuid, keys: &[Uuid], setting: Setting) {
    let now = Utc::now();
    let settled_at = after(now, Duration::from_secs(7));
    let verification = PendingVerification {
        execution_id: id,
        policy_id: policy.id,
        cause: policy.cause.clone(),
        component: policy.component.clone(),
        actions: policy.actions.iter().map(Action::kind).collect(),
        target: Target::Charter(None),
        before: policy.evidence.iter().cloned().collect(),
        rules: ["validation_latency".to_owned()].into(),
        witness: None,
        metric_before: None,
        intent_at: now,
        applied_at: now,
        settled_at,
        judge_by: after(settled_at, Duration::from_secs(6)),
        expected_replicas: Some(5),
        first_look: None,
        clear_at: None,
        measured: BTreeSet::new(),
        yardstick: None,
        first_values: BTreeMap::new(),
    };
    let mut batch = knowledge.batch();
    let entry = |action: &Action| Entry {
        execution_id: id,
        at: now,
        action: action.kind(),
        target: action.target(),
        cause: policy.cause.clone(),
        end: End::Open,
    };
    let ledger =
        Ledger { entries: policy.actions.iter().map(entry).collect(), ..Ledger::default() };
    let value = serde_json::to_value(ledger).expect("JSON");
    batch.put(&Fact { name: "ledger".to_owned(), value, at: now });
    batch.put(&verification);
    batch.put(&Execution::intended(policy, id, keys, setting.mode, now));
    batch.put(&ExpiringAction {
        key: keys[2],
        execution_id: id,
        expires_at: after(now, Duration::from_secs(905)),
    });
    knowledge.commit(batch).await.expect("the intent");
}

/// One run up to its crash; how many writes and calls it came to. `None`: it ended before, because a busy machine cut one
/// of its calls short.
async fn run(
    world: &World,
    policy: &Policy,
    setting: Setting,
    crash: Crash,
) -> Option<(usize, usize)> {
    let knowledge = Knowledge::open(&world.config.knowledge).await.expect("the store");
    let (id, keys) = (Uuid::new_v4(), keys(3));
    intend(&knowledge, policy, id, &keys, setting).await;
    match crash {
        Crash::BeforeCall(k) => _ = world.charter.world().nth.insert(k, StrategyOrder::Hang),
        Crash::AfterCall(k) => _ = world.charter.world().nth.insert(k, StrategyOrder::DoThenHang),
        Crash::Never | Crash::BeforeWrite(_) | Crash::AfterWrite(_) => {}
    }
    let execute = world.config.execute.clone();
    let executor = crate::executor::over_charter(execute, Arc::new(Watch::default()));
    let journal =
        Dying { knowledge: &knowledge, crash, writes: AtomicUsize::new(0), died: Notify::new() };
    let stop = CancellationToken::new();
    tokio::select! {
        biased;
        () = journal.died.notified() => {}
        () = world.charter.hangs() => {}
        _ = executor.execute(policy, id, keys, &journal, &stop, &Utc::now) => {
            if !matches!(crash, Crash::Never) {
                knowledge.close().await;
                return None;
            }
        }
    }
    let counted = (journal.writes.load(Ordering::Relaxed), world.charter.seen().len());
    intents_come_first(world, &stored(&knowledge).await, crash);
    knowledge.close().await;
    Some(counted)
}

async fn stored(knowledge: &Knowledge) -> Execution {
    let mut all = knowledge.all::<Execution>(None).await.expect("the store");
    assert_eq!(all.len(), 1, "no other execution was begun");
    all.remove(0)
}

/// What is in the store at this moment knows of every effect so far, and no key took effect twice.
fn intents_come_first(world: &World, execution: &Execution, crash: Crash) {
    let effects: Vec<Effect> = world.charter.world().effects.clone();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for effect in &effects {
        *times.entry(&effect.key).or_default() += 1;
        let known = execution.actions.iter().any(|record| {
            let sent = !matches!(record.state, S::Intent | S::Validated);
            let undoing = matches!(record.state, S::UndoSent | S::Undone | S::UndoFailed);
            (sent && record.key.to_string() == effect.key)
                || (undoing && undo_key(record.key).to_string() == effect.key)
        });
        assert!(known, "{crash:?}: {effect:?} without an intent: {execution:?}");
    }
    assert!(times.values().all(|n| *n == 1), "{crash:?}: a key took effect twice: {effects:?}");
}

/// Starts as a process does and runs cycles until nothing is open.
async fn recovered(world: &World, crash: Crash) -> (Execution, Vec<Need>, Parts) {
    let config = Arc::new(world.config.clone());
    let mut parts = assemble(&config, Clock::start()).await.expect("the parts");
    let stop = CancellationToken::new();
    for _ in 0..200 {
        once(&mut parts.cycle, &parts.publisher, Trigger::Scheduled, &stop).await.expect("a cycle");
        let execution = stored(&parts.knowledge).await;
        if !execution.is_open() {
            let told = parts.knowledge.all::<Need>(Some("open")).await.expect("the store");
            return (execution, told, parts);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{crash:?}: still open: {:?}", stored(&parts.knowledge).await);
}

/// Done, undone, or a person's; and Charter is as the journal says.
async fn ends_well(world: &World, setting: Setting, crash: Crash) {
    let (execution, told, parts) = Box::pin(recovered(world, crash)).await;
    intents_come_first(world, &execution, crash);
    let what = format!("{setting:?} {crash:?}: {execution:#?}");
    let charter = world.charter.policies();
    let active = |action: &str| {
        charter.iter().any(|p| p["action"] == json!(action) && p["status"] == json!("active"))
    };
    let there =
        [world.charter.replicas() == 5, active("apply_policy"), active("throttle_requests")];
    let said: Vec<bool> = execution.actions.iter().map(ActionRecord::in_effect).collect();
    assert_eq!(said, there, "what is in effect: {what}");
    let ended =
        |state| !matches!(state, S::Intent | S::Validated | S::Sent | S::Unknown | S::UndoSent);
    assert!(execution.actions.iter().all(|a| ended(a.state)), "{what}");
    match execution.status {
        ExecutionStatus::Completed => assert_eq!(there, [true; 3], "{what}"),
        ExecutionStatus::RolledBack => assert_eq!(there, [false; 3], "{what}"),
        ExecutionStatus::Failed => {
            let told: Vec<&str> = told.iter().map(|e| e.reason.as_str()).collect();
            assert!(told.contains(&"action_failed"), "nobody was told ({told:?}): {what}");
            let half = setting.mode == ExecutionMode::Transactional && there.contains(&true);
            assert!(!half, "half a transaction is left in effect: {what}");
        }
        ExecutionStatus::Pending | ExecutionStatus::InProgress => panic!("in progress: {what}"),
    }
    let ledger = parts.knowledge.fact::<Ledger>("ledger").await.expect("the store").expect("one");
    let unsent = execution.actions.iter().all(|a| a.tries == 0);
    let end = if unsent {
        End::Unsent
    } else if there.contains(&true) {
        End::Open
    } else {
        End::Failed
    };
    let own: Vec<End> = ledger.entries.iter().map(|e| e.end).collect();
    assert_eq!(own, [end; 3], "what the guards count: {what}");
    let not_undone = execution.actions.iter().any(|a| a.state == S::UndoFailed);
    assert_eq!(ledger.tripped(System::Charter).is_some(), not_undone, "the breaker: {what}");
    let verifications = parts.knowledge.all::<PendingVerification>(None).await.expect("the store");
    assert_eq!(
        !verifications.is_empty(),
        there.contains(&true),
        "judged what is in effect: {what}"
    );
    let followed = parts.knowledge.all::<ExpiringAction>(None).await.expect("the store");
    assert_eq!(!followed.is_empty(), there[2], "the throttle is followed to its end: {what}");
    parts.knowledge.close().await;
}

/// The fingerprint under which the loop sees the broken latency.
async fn evidence(setting: Setting) -> Vec<String> {
    let world = world(setting).await;
    let config = Arc::new(world.config.clone());
    let mut parts = assemble(&config, Clock::start()).await.expect("the parts");
    let stop = CancellationToken::new();
    once(&mut parts.cycle, &parts.publisher, Trigger::Scheduled, &stop).await.expect("a cycle");
    let seen =
        parts.handle.view().violations.iter().map(|v: &Violation| v.fingerprint.clone()).collect();
    parts.knowledge.close().await;
    seen
}

async fn every_point(setting: Setting) {
    let mut policy = policy(vec![scale_up(5), baseline(), throttle()]);
    policy.evidence = Box::pin(evidence(setting)).await;
    assert_eq!(policy.evidence.len(), 1);
    let clean = world(setting).await;
    let counted = run(&clean, &policy, setting, Crash::Never).await;
    let (writes, calls) = counted.expect("it runs to its end");
    Box::pin(ends_well(&clean, setting, Crash::Never)).await;
    let at_writes = (0..writes).flat_map(|k| [Crash::BeforeWrite(k), Crash::AfterWrite(k)]);
    let at_calls = (0..calls).flat_map(|k| [Crash::BeforeCall(k), Crash::AfterCall(k)]);
    let points: Vec<Crash> = at_writes.chain(at_calls).collect();
    println!("{setting:?}: {writes} writes, {calls} calls, {} crash points", points.len());
    assert!(writes >= 11 && calls >= 9, "{writes} writes and {calls} calls of three actions");
    let tries = points.into_iter().map(|crash| {
        let policy = &policy;
        async move {
            // A busy machine may cut many calls short; the crash itself is still waited for.
            for _ in 0..40 {
                let world = world(setting).await;
                if run(&world, policy, setting, crash).await.is_some() {
                    Box::pin(ends_well(&world, setting, crash)).await;
                    return;
                }
            }
            panic!("{crash:?} never came");
        }
    });
    // Side by side, since most of each is waiting until a lost call is surely lost.
    stream::iter(tries).buffer_unordered(8).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn s01_s02_a_transaction_is_cut_at_every_point() {
    for honours_keys in [true, false] {
        let mode = ExecutionMode::Transactional;
        Box::pin(every_point(Setting { mode, honours_keys, refuses_third: false })).await;
    }
}

#[tokio::test]
async fn s01_s02_a_best_effort_is_cut_at_every_point() {
    for honours_keys in [true, false] {
        let mode = ExecutionMode::BestEffort;
        Box::pin(every_point(Setting { mode, honours_keys, refuses_third: false })).await;
    }
}

#[tokio::test]
async fn s01_s02_a_transaction_that_is_being_undone_is_cut_at_every_point() {
    for honours_keys in [true, false] {
        let mode = ExecutionMode::Transactional;
        Box::pin(every_point(Setting { mode, honours_keys, refuses_third: true })).await;
    }
}
