//! One controller on one course: the run itself, and what is read from it afterwards.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mape_k::charter_sandbox::service::Request;
use mape_k::config::Config;
use mape_k::domain::Cause;
use mape_k::domain::execution::Execution;
use mape_k::domain::need::Need;
use mape_k::domain::outcome::{Outcome, OutcomeType};
use mape_k::domain::violation::TrackedViolation;
use mape_k::knowledge::documents::ACTIVE;
use mape_k::knowledge::memory::MemoryStore;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::super::daemon::{Daemon, Site};
use super::super::outside::{EPOCH, Shared, at_wall};
use super::super::run;
use super::super::script::{CharterTrouble, Script};
use super::controller::{Controller, Reflex};
use super::course::IncidentHistory;
use super::price::{Change, STEP, Sample};

/// What a run was like.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub samples: Vec<Sample>,
    pub changes: Vec<Change>,
    /// Seconds from the first fault until it was seen.
    pub detected: Option<f64>,
    /// The cause of the first action after the fault, else of the first page.
    pub cause: Option<String>,
    /// People told.
    pub pages: usize,
    pub verdicts: Vec<OutcomeType>,
    pub cycles: u64,
}

/// Runs it alone on this thread.
pub fn measure(course: &IncidentHistory, controller: Controller) -> Record {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async { Measuring::new(course, controller).await.whole().await })
}

struct Measuring<'a> {
    course: &'a IncidentHistory,
    controller: Controller,
    site: Site,
    began: Instant,
    daemon: Option<Daemon>,
    reflex: Reflex,
    /// Payloads that nobody has taken yet.
    posts: Vec<Value>,
    record: Record,
}

/// A moment that is not one of the regular looks.
#[derive(Clone, Copy)]
enum Moment {
    Fault(usize),
    Mend,
}

impl<'a> Measuring<'a> {
    async fn new(course: &'a IncidentHistory, controller: Controller) -> Self {
        let script = Script::quiet(course.seed, 1.0);
        let site = Site {
            outside: Shared::new(&script),
            memory: Arc::<MemoryStore>::default(),
            ids: Arc::<AtomicU64>::default(),
            config: Arc::new(config(&script, controller)),
        };
        if course.lies {
            let always = course.seconds + 1.0;
            site.outside.lock().changes.begin(CharterTrouble::Lies, always);
        }
        let began = Instant::now();
        let daemon = match controller {
            Controller::Loop { .. } => {
                Some(Daemon::start(&site, 1, 0.0).await.expect("the loop starts"))
            }
            _ => None,
        };
        let reflex = Reflex::new(controller, &site.outside);
        let record = Record::default();
        let posts = Vec::new();
        Self { course, controller, site, began, daemon, reflex, posts, record }
    }

    async fn whole(mut self) -> Record {
        let mut moments: Vec<(f64, Moment)> = Vec::new();
        for (n, incident) in self.course.incidents.iter().enumerate() {
            moments.push((incident.at, Moment::Fault(n)));
            if let Some(after) = self.course.mended_after {
                moments.push((incident.at + after, Moment::Mend));
            }
        }
        let mut moments = moments.into_iter().peekable();
        let mut look = 0_u32;
        loop {
            let at = f64::from(look) * STEP;
            if at > self.course.seconds {
                break;
            }
            if let Some((when, moment)) = moments.next_if(|(when, _)| *when <= at) {
                self.until(when).await;
                self.happens(moment).await;
                continue;
            }
            self.until(at).await;
            self.look(at).await;
            if look.is_multiple_of(2) {
                self.reflex.tick(self.course.incidents[0].at).await;
            }
            look += 1;
        }
        self.audit();
        self.concluded().await
    }

    async fn until(&self, at: f64) {
        sleep_until(self.began + Duration::from_secs_f64(at)).await;
    }

    async fn happens(&mut self, moment: Moment) {
        match moment {
            Moment::Fault(n) => {
                let incident = &self.course.incidents[n];
                self.site.outside.lock().inject(&incident.order());
                if self.controller == Controller::Oracle {
                    self.reflex.cure(incident).await;
                }
            }
            Moment::Mend => {
                self.audit();
                let mut outside = self.site.outside.lock();
                outside.mend();
                let back = Request::post("/api/v1/committee/scale", &json!({"replicas": 3}));
                outside.charter(&back.with_key(&format!("{PERSON}{}", self.record.samples.len())));
            }
        }
    }

    /// Prometheus scrapes, alerts are posted, and the truth is written down.
    async fn look(&mut self, at: f64) {
        {
            let mut outside = self.site.outside.lock();
            outside.scrape();
            let now = outside.now();
            let outside = &mut *outside;
            let payloads = outside.alertmanager.evaluate(&outside.prometheus, now, EPOCH);
            self.posts.extend(payloads);
            let truth = outside.truth();
            self.record.samples.push(Sample::of(at, &truth));
        }
        let Some(daemon) = &self.daemon else { return };
        let mut untaken = Vec::new();
        for payload in self.posts.drain(..) {
            if !daemon.webhook.post(&payload).await {
                untaken.push(payload);
            }
        }
        self.posts = untaken;
        let fault = self.course.incidents[0].at;
        if at >= fault && self.record.detected.is_none() {
            let active = daemon.knowledge.all::<TrackedViolation>(Some(ACTIVE)).await;
            let found = active.expect("a store in order").into_iter().any(|tracked| {
                tracked.violation.counts() && tracked.violation.detected_at >= at_wall(fault)
            });
            self.record.detected = found.then_some(at - fault);
        }
    }

    /// Takes over what Charter has audited since the last time; it keeps the newest 10,000 calls.
    fn audit(&mut self) {
        let entries = self.site.outside.lock().charter(&Request::get("/sandbox/audit")).json();
        let since = self.record.changes.last().map_or(-1.0, |change| change.at);
        let entries = entries.as_array().expect("an audit");
        let own = entries
            .iter()
            .filter(|entry| !entry["key"].as_str().is_some_and(|key| key.starts_with(PERSON)));
        let fresh = own.filter_map(Change::of).filter(|change| change.at > since);
        self.record.changes.extend(fresh.collect::<Vec<_>>());
    }

    async fn concluded(mut self) -> Record {
        let fault = self.course.incidents[0].at;
        if let Some((at, cause)) = self.reflex.found {
            self.record.detected = Some(at - fault);
            self.record.cause = Some(cause.to_owned());
        }
        let Some(daemon) = self.daemon.take() else { return self.record };
        let knowledge = daemon.knowledge.clone();
        daemon.kill();
        let (said, since) = ("a store in order", at_wall(fault));
        let named = |cause: &Cause| cause.to_string();
        let executions = knowledge.all::<Execution>(None).await.expect(said);
        let acted = executions.iter().filter(|execution| execution.started_at >= since);
        let acted = acted.min_by_key(|execution| execution.started_at);
        let told = knowledge.all::<Need>(None).await.expect(said);
        let paged = told.iter().filter(|page| page.opened_at >= since && page.cause.is_some());
        let paged = paged.min_by_key(|page| page.opened_at);
        self.record.cause = acted
            .map(|execution| named(&execution.cause))
            .or_else(|| paged.and_then(|page| page.cause.as_ref().map(named)));
        self.record.pages = told.len();
        let outcomes = knowledge.all::<Outcome>(None).await.expect(said);
        self.record.verdicts = outcomes.iter().map(|outcome| outcome.outcome_type).collect();
        self.record.cycles = self.site.outside.lock().watch.cycles;
        let due = self.course.seconds / 30.0;
        let done = self.record.cycles as f64;
        assert!(done > 0.9 * due, "the loop ended early: {done} of {due} cycles");
        self.record
    }
}

/// How the keys of a person's own calls begin: no controller pays for them.
const PERSON: &str = "person-";

fn config(script: &Script, controller: Controller) -> Config {
    let mut config = run::config(script);
    if let Controller::Loop { learning, free } = controller {
        config.knowledge.pattern_learning_enabled = learning;
        config.plan.learning = learning;
        if free {
            let strategies = config.plan.strategies.values_mut().flatten();
            for strategy in strategies.filter(|strategy| !strategy.action.is_override()) {
                strategy.after = None;
            }
        }
    }
    config
}
