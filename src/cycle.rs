//! THE data flow: one cycle, Monitor → Analyze → Plan → Execute → Knowledge.
//!
//! ```text
//! recall what the store knows ─▶ observe ─▶ track ─▶ judge what has settled ─▶ analyze ─▶ plan ─▶ check the plan
//!   ─▶ record the intent ─▶ execute ─▶ record the result ─▶ escalate what is left ─▶ save the report ─▶ publish
//! ```
//! A trigger only wakes the loop: the cycle reads everything afresh. What cannot be recalled or recorded is not done.

mod aftermath;
mod assess;
mod escalate;
mod execute;
mod guarded;
mod ids;
mod judge;
mod ledger;
mod memory;
mod narrate;
mod natural;
mod observe;
mod open_work;
mod people;
mod publish;
mod recall;
mod recover;
mod recurrence;
mod resolve;
mod standing;
mod temporary;
mod yardstick;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::actuators::charter::Charter;
use crate::analyzer::{self, Tracker};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::cycle::{CycleReport, CycleStatus, FAILING, Phase, Trigger};
use crate::domain::leader::Lead;
use crate::domain::view::LoopView;
use crate::domain::violation::Violation;
use crate::executor::Executor;
use crate::knowledge::{Knowledge, StoreError, Term};
use crate::metrics::Metrics;
use crate::metrics::labels::StoreOperation;
use crate::monitor::Monitor;
use crate::planner::{self, Plan, PlanInput};
use escalate::Left;
use memory::Memory;
use recover::recover;

pub use assess::{Assessor, Rules};
pub use ids::Ids;
pub use open_work::check_open_work;
pub use people::{Outside, People, Watch};

/// Everything one cycle works with.
#[derive(Debug)]
pub struct Cycle {
    config: Arc<Config>,
    clock: Clock,
    monitor: Monitor,
    tracker: Tracker,
    /// `None`: it is turned off.
    charter: Option<Arc<Charter>>,
    executor: Executor,
    knowledge: Knowledge,
    metrics: Arc<Metrics>,
    memory: Memory,
    ids: Ids,
    /// Boxed: a cycle is moved through the futures of a start.
    people: Box<People>,
}

/// What meets the world outside.
#[derive(Debug)]
pub struct Stages {
    pub monitor: Monitor,
    pub charter: Option<Arc<Charter>>,
    pub executor: Executor,
    pub people: Box<People>,
}

/// What a cycle came to.
#[derive(Debug)]
pub struct Ended {
    pub report: CycleReport,
    pub view: LoopView,
    /// The loop's own half panicked, with these words.
    pub panicked: Option<String>,
}

/// Why a cycle could not run to its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// What is known could not be read, so nothing was decided.
    #[error(transparent)]
    Recall(StoreError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("stopped before the sources were read; nothing was decided or done")]
    Stopped,
}

impl Cycle {
    /// One that does not lead yet: see [`Cycle::lead`].
    pub fn new(
        config: Arc<Config>,
        clock: Clock,
        Stages { monitor, charter, executor, people }: Stages,
        knowledge: Knowledge,
        metrics: Arc<Metrics>,
        ids: Ids,
    ) -> Self {
        let memory = Memory::new();
        let tracker = Tracker::new(config.analyze.clone(), clock.now(), Vec::new());
        Self {
            config,
            clock,
            monitor,
            tracker,
            charter,
            executor,
            knowledge,
            metrics,
            memory,
            ids,
            people,
        }
    }

    /// Begins to lead: takes up from the store what a start takes up, since others may have led and acted meanwhile, and
    /// writes and sends under this term from now on.
    pub async fn lead(&mut self, term: Term) -> Result<(), StoreError> {
        if self.knowledge.term().is_some_and(|led| led.epoch() == term.epoch() && led.holds()) {
            // Nobody else has led since.
            return Ok(());
        }
        let knowledge = self.knowledge.leading(term.clone());
        let (rails, now) = (&self.config.plan.guardrails, self.clock.now());
        let recovered = recover(&knowledge, &self.metrics, rails, &self.ids, now).await?;
        let newest = match knowledge.page::<CycleReport>(None, None, 1).await {
            // It is asked for its name and a count alone.
            Err(StoreError::Corrupt { .. }) => None,
            page => page?.items.pop(),
        };
        self.people.take_up(&knowledge, now).await?;
        self.knowledge = knowledge;
        self.executor.speak_with(term.told());
        self.monitor.remember_alerts(recovered.known_alerts);
        self.tracker = Tracker::new(self.config.analyze.clone(), now, recovered.violations);
        self.memory = self.memory.afresh(newest.as_ref());
        Ok(())
    }

    /// The store could not be taken up, so many times in a row, so that no cycle runs: people are told without it.
    pub async fn not_taken_up(&mut self, in_a_row: u64, error: &StoreError) {
        self.store_failed(StoreOperation::Read, error);
        self.metrics.failed_in_a_row(in_a_row);
        if in_a_row == FAILING {
            self.people.alarm("none", self.clock.now()).await;
        }
    }

    /// Counts it, unless the store only said that another one leads by now: then it is well.
    fn store_failed(&self, operation: StoreOperation, error: &StoreError) {
        if !matches!(error, StoreError::Superseded { .. }) {
            self.metrics.store_error(operation);
        }
    }

    /// Whether it leads, at this moment.
    fn lead_now(&self) -> Lead {
        self.knowledge.term().map_or_else(Lead::default, Term::lead)
    }

    /// Runs one cycle to its end and says what came of it. `on_phase` hears of every phase as it begins.
    pub async fn run(
        &mut self,
        trigger: Trigger,
        stop: &CancellationToken,
        on_phase: &(dyn Fn(Phase) + Send + Sync),
    ) -> Ended {
        let mut run =
            Run::begin(self.memory.next_cycle(trigger, self.clock.now()), self.clock, on_phase);
        // A panic ends its half, and the other half goes on: people hear of the one, and what was done is reported
        // whatever becomes of the other.
        let mut panicked = None;
        let phases = AssertUnwindSafe(self.phases(&mut run, stop)).catch_unwind().await;
        let unread = matches!(phases, Ok(Err(Failure::Stopped)));
        match phases {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => self.broke_off(&mut run, &failure),
            Err(panic) => panicked = Some(run.panicked(&*panic)),
        }
        let people = AssertUnwindSafe(self.for_people(&mut run, unread, stop)).catch_unwind().await;
        if let Err(panic) = people {
            let text = run.panicked(&*panic);
            run.report.failed_cycles = self.memory.failed_cycles + 1;
            tracing::error!(
                cycle = run.report.id,
                text,
                "what is for people panicked; the loop goes on"
            );
            let told = self.people.alarm(&run.report.id, self.clock.now()).await;
            run.report.notifications_sent = run.report.notifications_sent.max(u8::from(told));
        }
        let (report, view) = self.finish(run).await;
        Ended { report, view, panicked }
    }

    fn broke_off(&self, run: &mut Run<'_>, failure: &Failure) {
        run.report.status = CycleStatus::Error;
        run.report.error = Some(failure.to_string());
        let (operation, error) = match failure {
            Failure::Recall(error) => (StoreOperation::Read, error),
            Failure::Store(error) => (StoreOperation::Write, error),
            Failure::Stopped => {
                run.report.phase = Some(Phase::Monitor);
                return;
            }
        };
        run.report.phase = Some(Phase::Knowledge);
        run.view.store_error = Some(failure.to_string());
        self.store_failed(operation, error);
    }

    async fn phases(&mut self, run: &mut Run<'_>, stop: &CancellationToken) -> Result<(), Failure> {
        run.enter(Phase::Monitor);
        // Reading changes nothing, so a stop need not wait for a source that hangs.
        let (mut seen, recalled) = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Failure::Stopped),
            both = self.observe(run.report.trigger) => both,
        };

        run.enter(Phase::Analyze);
        let ids = self.ids.clone();
        let mut new_id = || ids.id();
        let changes = self.tracker.observe(&seen.snapshot, run.report.trigger, &mut new_id);
        let now = seen.snapshot.at;
        let analysis = analyzer::analyze(&self.tracker, new_id(), &run.report.id, now);
        run.saw(&self.tracker, &seen, &changes, &analysis, &self.memory);
        self.remember(&seen, &changes);
        run.show(&seen, &changes, &self.memory);
        // Without the store nothing is decided: what cannot be recalled could be done twice.
        let mut recalled = recalled.map_err(Failure::Recall)?;

        run.enter(Phase::Plan);
        let resolved = self.resolve(&mut recalled, &mut seen, stop).await?;
        let active: Vec<Violation> = self.tracker.active().cloned().collect();
        // Blind, nothing is planned: alerts alone may confirm what nobody can measure any more.
        let blind = run.report.status == CycleStatus::Failed;
        let fleets = self.tracker.fleets(now, self.config.plan.guardrails.storm.within);
        self.keep_ledger(&mut recalled, &fleets, !blind, None, now).await?;
        self.take_back_successes(&mut recalled, &seen, &active).await?;
        let mut rulings = self.judge(&mut recalled, &seen, &active, &changes).await?;
        self.undo_harm(&mut recalled, &mut seen, &mut rulings, stop).await?;
        run.report.outcomes = rulings.iter().flat_map(|r| r.outcome_ids.clone()).collect();
        let by_fingerprint: BTreeMap<&str, &Violation> =
            active.iter().map(|v| (v.fingerprint.as_str(), v)).collect();
        let lead = self.lead_now();
        let input = PlanInput {
            now,
            settings: &self.config.plan,
            pause: recalled.pause.as_ref(),
            lead: &lead,
            ledger: &recalled.ledger,
            fleets: &fleets,
            rules: &changes.rules,
            root_causes: if blind { &[] } else { &analysis.root_causes },
            violations: &by_fingerprint,
            statistics: &recalled.statistics,
            incidents: &recalled.incidents,
            policies: &recalled.policies,
            judgings: &recalled.judgings,
            blocked: &recalled.blocked,
            undone: &recalled.aftermath.undone,
            charter: &seen.charter,
            last_resize: self.memory.last_resize.as_ref(),
            recovering_since: self.memory.recovering_since,
            served_rate: self.memory.served_rate(now, self.config.orchestrator.loop_interval),
            surplus: recalled.surplus.as_ref(),
            quiet_since: self.memory.quiet_since,
            scoped: !self.config.monitor.scope.is_empty(),
        };
        let mut plan = planner::plan(&input, &mut new_id);
        let refused = planner::check(&input, &plan);
        run.planned(&plan, &recalled.policies, recalled.pause.as_ref());
        if !refused.is_empty() {
            run.refused(&refused);
            // Nothing of it is done or stored; what people must be told still reaches them.
            plan = Plan { concerns: plan.concerns, ..Plan::default() };
        }

        run.enter(Phase::Execute);
        let carried = self.carry_out(&plan, &mut recalled, &seen, &active, stop).await?;
        run.executed(&carried);
        self.count_natural(&mut recalled, &seen, &analysis, &plan, &by_fingerprint, blind).await?;
        self.memory.vanished.clear();

        run.enter(Phase::Knowledge);
        let left = Left {
            seen: &seen,
            fleets: &fleets,
            rules: &changes.rules,
            analysis: &analysis,
            plan: &plan,
            execution: carried.execution(),
            rulings: &rulings,
            active: &active,
            by_fingerprint: &by_fingerprint,
            blind,
            refused: &refused,
        };
        let told = self.escalate(&recalled, &left).await?;
        run.escalated(&told);
        self.people.heard(&told);
        run.report.escalations_closed.extend(resolved);
        self.stands(run, &recalled.ledger, &told).await?;
        self.save(&seen, &analysis).await?;
        Ok(())
    }
}

/// One cycle while it runs: its report and the view that is published at its end.
struct Run<'a> {
    report: CycleReport,
    view: LoopView,
    clock: Clock,
    entered: Option<(Phase, tokio::time::Instant)>,
    started: tokio::time::Instant,
    on_phase: &'a (dyn Fn(Phase) + Send + Sync),
}

impl<'a> Run<'a> {
    fn begin(
        report: CycleReport,
        clock: Clock,
        on_phase: &'a (dyn Fn(Phase) + Send + Sync),
    ) -> Self {
        let started = tokio::time::Instant::now();
        Self { report, view: LoopView::default(), clock, entered: None, started, on_phase }
    }

    fn enter(&mut self, phase: Phase) {
        self.leave();
        (self.on_phase)(phase);
        self.entered = Some((phase, tokio::time::Instant::now()));
    }

    fn panicked(&mut self, panic: &(dyn std::any::Any + Send)) -> String {
        let text = panic_text(panic);
        self.report.status = CycleStatus::Error;
        self.report.phase = self.entered.map(|(phase, _)| phase);
        self.report.error = Some(format!("it panicked: {text}"));
        text
    }

    fn leave(&mut self) {
        if let Some((phase, since)) = self.entered.take() {
            self.report.phases.push((phase, since.elapsed().as_secs_f64()));
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "(the panic carried no text)".to_owned())
}
