//! The invariants of the design, held against every write to the store, every call to Charter and every cycle's report
//! as it happens, and against the end of a run. Owns what has been seen so far, as it truly stands in the store and at
//! Charter, and how often each invariant was put to the test; the invariants themselves are in the modules below.

mod bounds;
mod effects;
mod ends;
mod reached;
mod truth;

use std::collections::{BTreeMap, BTreeSet};

use mape_k::domain::cycle::CycleReport;
use mape_k::domain::execution::Execution;
use mape_k::domain::expiring_action::ExpiringAction;
use mape_k::domain::ledger::Ledger;
use mape_k::domain::loop_status::Mode;
use mape_k::domain::need::Need;
use mape_k::domain::outcome::{Outcome, PendingVerification};
use mape_k::domain::pause::Pause;
use mape_k::domain::policy::Policy;
use mape_k::domain::target::System;
use mape_k::domain::time::Time;
use mape_k::domain::violation::TrackedViolation;
use mape_k::knowledge::Fact;
use mape_k::knowledge::store::{Collection, Write, Written};
use serde::de::DeserializeOwned;

use super::outside::{Outside, at_wall};
use super::script::{Script, Source};

use effects::May;
pub use effects::changes;
pub use reached::{UNREACHED, expected};

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    pub invariant: u8,
    pub at: f64,
    pub what: String,
}

/// One run that goes wrong goes wrong again and again.
const KEPT: usize = 20;

#[derive(Default)]
pub struct Watch {
    pub broken: Vec<Broken>,
    /// How often each invariant was put to the test.
    pub tests: BTreeMap<u8, u64>,
    pub reached: BTreeSet<String>,
    pub cycles: u64,
    /// Charter broke its own contract: it forgot a key although it had carried one back.
    pub breaches: u64,
    source: Source,
    /// Events so far: what came before what, also within one moment.
    moment: u64,
    executions: BTreeMap<String, Execution>,
    verifications: BTreeMap<String, PendingVerification>,
    temporaries: BTreeMap<String, ExpiringAction>,
    escalations: BTreeMap<String, Need>,
    policies: BTreeMap<String, Policy>,
    violations: BTreeMap<String, TrackedViolation>,
    outcomes: BTreeMap<String, Outcome>,
    /// Their keys in the order of their verdicts.
    judged: Vec<String>,
    ledger: Ledger,
    /// With the moment it was stored.
    pause: Option<(Pause, u64)>,
    effects: effects::Effects,
    bounds: bounds::Bounds,
    truth: truth::Truth,
}

impl Watch {
    pub fn broke(&mut self, invariant: u8, at: f64, what: String) {
        if self.broken.len() < KEPT {
            self.broken.push(Broken { invariant, at, what });
        }
    }

    fn tested(&mut self, invariant: u8) {
        *self.tests.entry(invariant).or_default() += 1;
    }

    fn reach(&mut self, what: impl Into<String>) {
        self.reached.insert(what.into());
    }

    /// Records of verdicts, newest first, as the store lists them.
    pub fn verdicts(&self) -> Vec<Outcome> {
        self.judged.iter().rev().map(|key| self.outcomes[key].clone()).collect()
    }

    /// What it was configured with.
    pub fn configured(&mut self, script: &Script) {
        self.source = script.source;
        self.effects.may = May {
            nothing: script.settings.mode == Some(Mode::Observe),
            forbidden: script.settings.forbidden.clone(),
            asks: script.settings.mode == Some(Mode::Suggest) || !script.auto_approve,
            allowed: BTreeSet::new(),
        };
    }

    /// A person allows this policy.
    pub fn allowed(&mut self, policy: String) {
        self.effects.may.allowed.insert(policy);
    }

    /// Does the daemon scrape by itself?
    pub fn scrapes(&self) -> bool {
        self.source == Source::Scrape
    }

    /// A new process.
    pub fn started(&mut self) {
        self.truth.started();
    }

    /// The process stood still for so long.
    pub fn frozen(&mut self, seconds: f64) {
        self.truth.frozen += seconds;
    }

    fn open(&self) -> impl Iterator<Item = &Need> {
        self.escalations.values().filter(|e| e.closed_at.is_none())
    }
}

fn read<T: DeserializeOwned>(body: &str) -> T {
    serde_json::from_str(body).expect("a record as mape-k wrote it")
}

impl Outside {
    /// The daemon's wall clock, which may be off.
    pub fn daemon_wall(&self) -> Time {
        at_wall(self.now() + self.clock_off)
    }

    /// After every write that took effect.
    pub fn stored(&mut self, now: f64, daemon: u32, writes: &[Write], written: &[Written]) {
        self.watch.moment += 1;
        let mut report = None;
        for (write, written) in writes.iter().zip(written) {
            if *written == Written::Skipped {
                continue;
            }
            match write {
                Write::Put { collection, key, tag, body, .. } => {
                    self.trace.hash(&(collection.as_str(), key, tag, body));
                    if *collection == Collection::Cycles {
                        report = Some(read::<CycleReport>(body));
                    } else {
                        self.put(now, daemon, *collection, key, body);
                    }
                }
                Write::Touch { collection, key, .. } => {
                    self.trace.hash(&(collection.as_str(), key));
                }
                Write::Delete { collection, key } => {
                    self.trace.hash(&(collection.as_str(), key));
                    self.deleted(*collection, key);
                }
            }
        }
        self.after_batch(now, writes);
        if let Some(report) = report {
            self.reported(now, &report);
        }
    }

    fn put(&mut self, now: f64, daemon: u32, collection: Collection, key: &str, body: &str) {
        let key = key.to_owned();
        match collection {
            Collection::Executions => self.journalled(now, daemon, key, &read(body)),
            Collection::Verifications => {
                self.watch.verifications.insert(key, read(body));
            }
            Collection::ExpiringActions => {
                self.watch.temporaries.insert(key, read(body));
            }
            Collection::Policies => {
                let policy: Policy = read(body);
                self.watch.reach(format!("approval {}", policy.approval.as_str()));
                self.watch.policies.insert(key, policy);
            }
            Collection::Violations => {
                self.watch.violations.insert(key, read(body));
            }
            Collection::Outcomes => self.judged(now, key, read(body)),
            Collection::Needs => self.told(now, key, read(body)),
            Collection::Facts => self.fact(&read(body)),
            Collection::Alerts
            | Collection::Analyses
            | Collection::Insights
            | Collection::Treatments
            | Collection::Incidents
            | Collection::Outbox
            | Collection::Cycles
            | Collection::Pauses => {}
        }
    }

    fn deleted(&mut self, collection: Collection, key: &str) {
        match collection {
            Collection::Executions => {
                self.watch.executions.remove(key);
            }
            Collection::Verifications => {
                self.watch.verifications.remove(key);
            }
            Collection::ExpiringActions => {
                self.watch.temporaries.remove(key);
            }
            Collection::Violations => {
                self.watch.violations.remove(key);
            }
            Collection::Policies
            | Collection::Outcomes
            | Collection::Needs
            | Collection::Facts
            | Collection::Alerts
            | Collection::Analyses
            | Collection::Insights
            | Collection::Treatments
            | Collection::Incidents
            | Collection::Outbox
            | Collection::Cycles
            | Collection::Pauses => {}
        }
    }

    fn fact(&mut self, fact: &Fact) {
        match fact.name.as_str() {
            Fact::PAUSE => {
                let pause: Option<Pause> =
                    serde_json::from_value(fact.value.clone()).expect("a pause");
                self.watch.pause = pause.map(|pause| (pause, self.watch.moment));
            }
            "ledger" => {
                self.watch.ledger = serde_json::from_value(fact.value.clone()).expect("a ledger");
                self.watch.bounds.throttled &= self.watch.ledger.storm(System::Charter).is_some();
            }
            _ => {}
        }
    }

    /// The journal's record of an execution, new or moved on.
    fn journalled(&mut self, now: f64, daemon: u32, key: String, execution: &Execution) {
        let states: Vec<String> = execution
            .actions
            .iter()
            .map(|action| format!("{} {:?}", action.action.kind(), action.state))
            .collect();
        let line = format!("daemon {daemon}: journal: {} {}", execution.id, states.join(", "));
        self.trace.say(now, &line);
        let before = self.watch.executions.insert(key, execution.clone());
        if before.is_none() {
            self.intended(now, execution);
        }
        self.recorded(before.as_ref(), execution);
    }

    fn told(&mut self, now: f64, key: String, record: Need) {
        self.watch.reach(format!("escalation {}", record.reason.as_str()));
        let known = self.watch.escalations.get(&key);
        if known.is_none_or(|before| before.closed_at != record.closed_at) {
            let what = if record.closed_at.is_some() { "closed" } else { "told" };
            let line = format!("{what}: {} {}", record.reason.as_str(), record.detail);
            self.trace.say(now, &line);
        }
        self.watch.escalations.insert(key, record);
        self.one_page(now);
    }

    fn reported(&mut self, now: f64, report: &CycleReport) {
        self.watch.cycles += 1;
        self.trace.say(now, &format!("cycle {} {}", report.id, report.status.as_str()));
        if let Some(defect) = report.error.as_ref().filter(|e| e.contains("its own check")) {
            self.watch.broke(0, now, defect.clone());
        }
        self.reached_in(report);
        self.held_to_citations();
        self.cycle_bounded(now, report);
        self.nothing_forgotten(now, report);
    }
}
