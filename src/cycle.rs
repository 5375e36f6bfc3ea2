//! THE data flow: one cycle, Monitor → Analyze → Plan → Execute → Knowledge.
//!
//! ```text
//! monitor       observe (Prometheus, Alertmanager, Charter, the cluster's watch caches; one deadline) ─▶ recall the store
//! k8s-analyzer  what was read of the cluster ─▶ findings
//! analyze       track violations and findings
//! escalation    incidents, stored; a SEV-1 is decided and notified at once, whatever Charter does
//! analyze       verify what was done ─▶ detectors, root causes
//! execute       settle what earlier cycles left open: resolve, expire, undo harm
//! plan          plan ─▶ check the plan
//! execute       record the intent ─▶ execute ─▶ record the result
//! knowledge     escalate what is left ─▶ store what is active
//! escalation    what the cycle brought to the incidents: needs, timeline, severity, one decision
//! notification  notify people ─▶ save the report ─▶ publish
//! ```
//! A phase is one entry of the report, with all of its time. Only *execute* changes anything outside. A trigger only wakes
//! the loop: the cycle reads everything afresh. What cannot be recalled or recorded is not done.

mod act;
mod alert_pipeline;
mod assess;
mod baseline;
mod beside;
mod cluster;
mod decide;
mod expiring_action;
mod first_look;
mod follow_ups;
mod guarded;
mod ids;
mod kit;
mod ledger;
mod loop_status;
mod narrate;
mod natural;
mod needs;
mod observe;
mod open_work;
mod publish;
mod recall;
mod recover;
mod recurrence;
mod renew;
mod run;
mod settle;
mod timeline;
mod verify;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::actuators::charter::Charter;
use crate::analyzer::{self, Tracker};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::cycle::{CycleReport, FAILING, Phase, Trigger};
use crate::domain::execution::ActionRecord;
use crate::domain::view::{self, LoopView};
use crate::domain::violation::Violation;
use crate::executor::Executor;
use crate::knowledge::{Knowledge, StoreError, Term};
use crate::metrics::Metrics;
use crate::metrics::labels::StoreOperation;
use crate::monitor::Monitor;
use crate::planner::Plan;
use act::Act;
use cluster::ClusterAssessment;
use decide::{Case, Decide};
use first_look::look;
use kit::{Hands, Kit, Means};
use needs::{CycleOutcome, Escalate};
use observe::Observe;
use publish::{Publish, Shown};
use recover::recover;
use run::Run;
use settle::Settle;
use verify::{Scene, Verify};

pub use alert_pipeline::{AlertPipeline, Outside};
pub use assess::{Assessor, Rules};
pub use beside::Background;
pub use cluster::ClusterAnalyzer;
pub use ids::Ids;
pub use open_work::check_open_work;
pub use renew::Renewal;

/// The stages, each with what it alone remembers from one cycle to the next; they hand each other values.
#[derive(Debug)]
pub struct Cycle {
    kit: Kit,
    hands: Hands,
    observe: Observe,
    cluster: ClusterAnalyzer,
    tracker: Tracker,
    verify: Verify,
    settle: Settle,
    decide: Decide,
    act: Act,
    escalate: Escalate,
    /// Boxed: a cycle is moved through the futures of a start.
    people: Box<AlertPipeline>,
    publish: Publish,
}

/// What meets the world outside.
#[derive(Debug)]
pub struct Stages {
    pub monitor: Monitor,
    pub charter: Option<Arc<Charter>>,
    pub executor: Executor,
    pub cluster: ClusterAnalyzer,
    pub people: Box<AlertPipeline>,
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
        Stages { monitor, charter, executor, cluster, people }: Stages,
        knowledge: Knowledge,
        metrics: Arc<Metrics>,
        ids: Ids,
    ) -> Self {
        Self {
            tracker: Tracker::new(config.analyze.clone(), clock.now(), Vec::new()),
            observe: Observe::new(monitor),
            kit: Kit { config, clock, knowledge, metrics, ids },
            hands: Hands { charter, executor },
            cluster,
            verify: Verify::default(),
            settle: Settle::default(),
            decide: Decide::default(),
            act: Act::default(),
            escalate: Escalate::default(),
            people,
            publish: Publish::default(),
        }
    }

    /// Begins to lead: takes up from the store what a start takes up, since others may have led and acted meanwhile, and
    /// writes and sends under this term from now on.
    pub async fn lead(&mut self, term: Term) -> Result<(), StoreError> {
        let kit = &mut self.kit;
        if kit.knowledge.term().is_some_and(|led| led.epoch() == term.epoch() && led.holds()) {
            // Nobody else has led since.
            return Ok(());
        }
        let knowledge = kit.knowledge.leading(term.clone());
        let (rails, now) = (&kit.config.plan.guardrails, kit.clock.now());
        let has_led = self.people.has_led(&term);
        let recovered = recover(&knowledge, &kit.metrics, rails, &kit.ids, now).await?;
        let newest = match knowledge.page::<CycleReport>(None, None, 1).await {
            // It is asked for its name and a count alone.
            Err(StoreError::Corrupt { .. }) => None,
            page => page?.items.pop(),
        };
        let tracker = Tracker::new(kit.config.analyze.clone(), now, recovered.violations);
        let known = (&tracker, &*kit.config.analyze.systems);
        let onsets = self.people.take_up(&knowledge, known, now).await?;
        self.cluster.take_up(onsets);
        kit.knowledge = knowledge;
        self.hands.executor.speak_with(term.told());
        self.tracker = tracker;
        self.observe.afresh(recovered.known_alerts);
        // After a reload nobody else has led: what this process remembers is true, and a journal that failed still counts.
        if !has_led {
            self.verify = Verify::default();
            self.settle = Settle::default();
            self.decide = Decide::default();
            self.act.afresh();
            self.escalate = Escalate::default();
        }
        self.publish.afresh(newest.as_ref());
        Ok(())
    }

    /// The store could not be taken up, so many times in a row, so that no cycle runs: people are notified without it.
    pub fn not_taken_up(&mut self, in_a_row: u64, error: &StoreError) {
        self.kit.store_failed(StoreOperation::Read, error);
        self.kit.metrics.failed_in_a_row(in_a_row);
        if in_a_row == FAILING {
            self.people.alarm(None, &self.kit);
        }
    }

    /// Runs one cycle to its end and says what came of it. `on_phase` is called with every phase as it begins.
    pub async fn run(
        &mut self,
        trigger: Trigger,
        stop: &CancellationToken,
        on_phase: &(dyn Fn(Phase) + Send + Sync),
    ) -> Ended {
        let clock = self.kit.clock;
        let mut run = Run::begin(self.publish.next_cycle(trigger, clock.now()), clock, on_phase);
        // A panic ends its half, and the other half goes on: people hear of the one, and what was done is reported
        // whatever becomes of the other.
        let (mut panicked, mut looked) = (None, None);
        let phases = Box::pin(self.phases(&mut run, &mut looked, stop));
        let phases = AssertUnwindSafe(phases).catch_unwind().await;
        let unread = matches!(phases, Ok(Err(Failure::Stopped)));
        match phases {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => run.broke_off(&self.kit, &failure),
            Err(panic) => panicked = Some(run.panicked(&*panic)),
        }
        if !unread {
            let people = AssertUnwindSafe(self.for_people(&mut run, looked, stop));
            if let Err(panic) = people.catch_unwind().await {
                let text = run.panicked(&*panic);
                run.report.failed_cycles = self.publish.failed_cycles + 1;
                tracing::error!(
                    cycle = run.report.id,
                    text,
                    "notifying people panicked in this cycle, which is a defect: mape-k goes on healing and sends a bare alert instead. Please report this"
                );
                self.people.alarm(Some(&mut run.report), &self.kit);
            }
        }
        self.publish.close(&self.kit, &mut run).await;
        self.people.file(run.report.clone());
        let learned = match run.view.store_error {
            None => self.verify.learned(&self.kit).await.ok(),
            Some(_) => None,
        };
        let shown = Shown {
            people: self.people.shown(),
            violations: self.tracker.active().cloned().collect(),
            learned,
            policies_generated: self.act.policies_generated,
            policies_executed: self.act.policies_executed,
        };
        let (report, view) = self.publish.publish(&self.kit, run, shown);
        Ended { report, view, panicked }
    }

    /// Something became of messages that were sent beside the cycles.
    pub async fn has_answers(&self) {
        self.people.has_answers().await;
    }

    /// Takes it in between two cycles, and answers what is to be seen of it; `None`: nothing, or it panicked.
    pub async fn take_in(&mut self) -> Option<view::NotificationView> {
        let taken = self.people.take_in(&self.kit, self.cluster.onsets(), None);
        match AssertUnwindSafe(taken).catch_unwind().await {
            Ok(is_news) => is_news.then(|| self.people.shown()),
            Err(panic) => {
                let text = panic_text(&*panic);
                tracing::error!(
                    text,
                    "recording which messages were delivered panicked, which is a defect: mape-k goes on. Please report this"
                );
                None
            }
        }
    }

    async fn for_people(
        &mut self,
        run: &mut Run<'_>,
        looked: Option<ClusterAssessment>,
        stop: &CancellationToken,
    ) {
        // What came to nothing before the cluster was looked at hides nothing of it from people.
        let looked = looked.unwrap_or_else(|| {
            let reading = self.observe.monitor.read_cluster();
            look(&self.kit, &mut self.cluster, run, reading)
        });
        let around = (self.observe.monitor.cluster(), self.cluster.onsets());
        self.people.told(&self.kit, run, looked, &self.tracker, around, stop).await;
    }

    /// What was seen of the cluster outlives a failure: people are notified of it whatever becomes of the rest.
    #[expect(clippy::too_many_lines, reason = "the whole flow on one screen")]
    async fn phases(
        &mut self,
        run: &mut Run<'_>,
        seen_of_cluster: &mut Option<ClusterAssessment>,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        run.enter(Phase::Monitor);
        let charter = stop.run_until_cancelled(self.hands.see_charter(&self.kit));
        let (first, charter) =
            tokio::join!(Box::pin(self.first_look(run, seen_of_cluster, stop)), charter);
        let (mut seen, recalled, changes) = first?;
        seen.charter = charter.unwrap_or(seen.charter);
        let now = seen.snapshot.at;
        let looked = seen_of_cluster.as_ref().expect("the first look has put it there");

        run.enter(Phase::Analyze);
        let kit = &self.kit;
        let mut new_id = || kit.ids.id();
        let active: Vec<Violation> = self.tracker.active().cloned().collect();
        let fleets = self.tracker.fleets(now, kit.config.plan.guardrails.storm.within);
        self.decide.remember(&seen, &changes, &self.tracker);
        let journal_failed =
            self.act.journal_failed.as_ref().or(self.settle.journal_failed.as_ref());
        let executor = &self.hands.executor;
        let scene = Scene {
            seen: &seen,
            looked,
            changes: &changes,
            tracker: &self.tracker,
            active: &active,
            fleets: &fleets,
            blind_since: self.escalate.blind_since,
            journal_failed,
            undoable: &|record: &ActionRecord| executor.undoable(record),
        };
        let verified = match recalled {
            Ok(mut recalled) => {
                let rulings = self.verify.verify(kit, &mut recalled, &scene).await;
                rulings.map(|rulings| (recalled, rulings)).map_err(Failure::Store)
            }
            Err(error) => Err(Failure::Recall(error)),
        };
        let analysis = analyzer::analyze(&self.tracker, new_id(), &run.report.id, now);
        let concluded = (&analysis, &kit.config.plan);
        run.saw(&self.tracker, &seen, &changes, concluded, &self.observe.last_read);
        run.show(&seen, &changes, &self.observe.last_read);
        // Without the store nothing is decided: what cannot be recalled could be done twice.
        let (mut recalled, mut rulings) = verified?;
        // The breaker knows of it.
        (self.act.journal_failed, self.settle.journal_failed) = (None, None);
        run.report.outcomes = rulings.iter().flat_map(|r| r.outcome_ids.clone()).collect();
        run.happened.extend(timeline::results(&rulings, &recalled.treatments, now));
        run.happened.append(&mut recalled.happened);
        // After what came of the actions is handed on: it is verified once, and would not be told if this fails.
        self.people
            .follow(&kit.knowledge, &mut recalled.treatments, kit.config.plan.incident_gap, now)
            .await?;

        run.enter(Phase::Execute);
        let how = Means { kit, hands: &self.hands, stop, number: run.report.number };
        let resolved = self.settle.settle(&how, &mut recalled, &mut seen, &mut rulings).await;
        run.happened.append(&mut recalled.happened);
        let resolved = resolved?;
        self.decide.saw_charter(&seen.charter, kit.clock.now());

        run.enter(Phase::Plan);
        let by_fingerprint: BTreeMap<&str, &Violation> =
            active.iter().map(|v| (v.fingerprint.as_str(), v)).collect();
        let case = Case {
            looked,
            changes: &changes,
            root_causes: &analysis.root_causes,
            active: &by_fingerprint,
            fleets: &fleets,
            incidents: &self.people.incidents_of(&active),
        };
        let (mut plan, refused) = self.decide.plan(kit, &seen, &recalled, &case, &mut new_id);
        run.planned(&plan, &recalled.policies, recalled.pause.as_ref());
        if !refused.is_empty() {
            run.refused(&refused);
            // Nothing of it is done or stored; what people must be told still reaches them.
            plan = Plan { concerns: plan.concerns, ..Plan::default() };
        }
        let decisions = &mut self.decide.decisions;
        run.happened.extend(timeline::planned(&plan, &recalled.policies, decisions, now));

        run.enter(Phase::Execute);
        let carried = self.act.carry_out(&how, &plan, &mut recalled, &seen, &self.tracker).await;
        self.settle.after(carried.as_ref().ok());
        self.decide.after(carried.as_ref().ok());
        let carried = carried?;
        run.executed(&carried);
        if let (Some(execution), Some(policy)) = (carried.execution(), &plan.chosen) {
            run.happened.push(timeline::executed(execution, policy, &plan));
        }
        let resized_at = self.decide.resized_at();
        self.verify
            .count_natural(
                kit,
                &mut recalled,
                &seen,
                (&analysis, &plan),
                &by_fingerprint,
                resized_at,
            )
            .await?;

        run.enter(Phase::Knowledge);
        let open_ends = self.settle.open_ends();
        let left = CycleOutcome {
            seen: &seen,
            fleets: &fleets,
            rules: &changes.rules,
            analysis: &analysis,
            plan: &plan,
            execution: carried.execution(),
            rulings: &rulings,
            active: &active,
            by_fingerprint: &by_fingerprint,
            blind: seen.snapshot.is_blind(),
            open_ends: &open_ends,
            refused: &refused,
        };
        let told = self.escalate.escalate(kit, &recalled, &left).await?;
        run.escalated(&told);
        let mut acting = recalled.acting(carried.execution());
        acting.extend(timeline::waiting(&plan));
        self.people.heard(&told, &analysis.root_causes, acting);
        run.report.escalations_closed.extend(resolved);
        run.stands(kit, &recalled.ledger, &told).await?;
        let learned = if self.publish.is_insight_due() {
            Some(self.verify.learned(kit).await?)
        } else {
            None
        };
        self.publish.save(kit, &mut self.tracker, learned, &seen, &analysis).await?;
        Ok(())
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "(the panic carried no text)".to_owned())
}
