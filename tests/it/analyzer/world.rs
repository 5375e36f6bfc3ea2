//! A small world around one tracker: rules with the series they answer, alerts, a clock that only these tests move,
//! and a store that outlives the tracker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use mape_k::analyzer::{Changes, Found, Settings, Tracker, analyze};
use mape_k::domain::alert::{Alert, AlertClass, AlertState, AlertView};
use mape_k::domain::analysis::{Analysis, Pattern, PatternKind, RootCause};
use mape_k::domain::cycle::Trigger;
use mape_k::domain::reading::{
    FailureKind, Point, ReadFailure, RuleReading, RuleStatus, SeriesHistory, Snapshot, Source,
    SourceReading,
};
use mape_k::domain::rule::{Comparison, ComponentFrom, Measure, MetricRule, Rule, Severity};
use mape_k::domain::time::Time;
use mape_k::domain::violation::{TrackedViolation, Violation};
use mape_k::domain::{Cause, Labels};
use uuid::Uuid;

/// Every rule of these tests breaks above 1.
pub const BROKEN: f64 = 2.0;
pub const FINE: f64 = 0.5;

/// One answered series.
#[derive(Clone)]
pub struct Series {
    pub labels: Labels,
    pub value: f64,
    pub age: i64,
}

struct WatchedSuccess {
    rule: Arc<Rule>,
    answer: Result<Vec<Series>, ReadFailure>,
    present: bool,
}

pub struct World {
    pub tracker: Tracker,
    pub settings: Settings,
    pub now: Time,
    pub view: AlertView,
    pub alertmanager: bool,
    pub history: Vec<SeriesHistory>,
    store: BTreeMap<String, TrackedViolation>,
    rules: Vec<WatchedSuccess>,
    ids: u128,
}

/// What one cycle came to.
pub struct Cycle {
    pub changes: Changes,
    pub analysis: Analysis,
    /// What observing and analyzing took.
    pub took: Duration,
}

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// A series of `component` with this value.
pub fn series(component: &str, value: f64) -> Series {
    Series { labels: labels(&[("component", component)]), value, age: 5 }
}

pub fn all(components: &[&str], value: f64) -> Vec<Series> {
    components.iter().map(|c| series(c, value)).collect()
}

/// `n` series of components c000, c001 …
pub fn many(n: usize, value: f64) -> Vec<Series> {
    (0..n).map(|i| series(&format!("c{i:03}"), value)).collect()
}

pub fn rule(name: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        measure: Measure::Metric(MetricRule {
            metric: format!("{name}_metric"),
            labels: Labels::new(),
            aggregate: None,
            by: Vec::new(),
            increase_over: None,
            comparison: Comparison::Gt,
            threshold: 1.0,
        }),
        severity: Severity::Warning,
        component: ComponentFrom::Label("component".to_owned()),
        target: None,
        cause: None,
    }
}

pub fn naming(name: &str, cause: &str) -> Rule {
    Rule { cause: Some(Cause::new(cause)), ..rule(name) }
}

pub fn critical(rule: Rule) -> Rule {
    Rule { severity: Severity::Critical, ..rule }
}

pub fn info(rule: Rule) -> Rule {
    Rule { severity: Severity::Info, ..rule }
}

pub fn condition(name: &str, present: Option<&str>) -> Rule {
    let measure =
        Measure::Condition { promql: name.to_owned(), present: present.map(str::to_owned) };
    Rule { measure, ..rule(name) }
}

/// A firing critical-less alert of ours whose cause is known.
pub fn alert(name: &str) -> Alert {
    Alert {
        key: format!("{name}@1"),
        fingerprint: name.to_owned(),
        name: name.to_owned(),
        labels: labels(&[("alertname", name)]),
        description: String::new(),
        severity: Severity::Warning,
        cause: Some(Cause::new(Cause::SYSTEM_OVERLOAD)),
        rule: None,
        component: None,
        target: None,
        class: AlertClass::Actionable,
        state: AlertState::Firing,
        no_evidence: None,
        onset: true,
        received_at: start(),
    }
}

pub fn start() -> Time {
    "2026-03-01T03:00:00Z".parse().expect("a time")
}

impl World {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        Self {
            tracker: Tracker::new(settings.clone(), start(), Vec::new()),
            settings,
            now: start(),
            view: AlertView { absence_proves_clear: true, ..AlertView::default() },
            alertmanager: true,
            history: Vec::new(),
            store: BTreeMap::new(),
            rules: Vec::new(),
            ids: 0,
        }
    }

    /// Adds a rule with the series that it answers from now on.
    pub fn watch(mut self, rule: Rule, answer: Vec<Series>) -> Self {
        self.rules.push(WatchedSuccess {
            rule: Arc::new(rule),
            answer: Ok(answer),
            present: false,
        });
        self
    }

    pub fn answer(&mut self, rule: &str, answer: Vec<Series>) {
        self.watched(rule).answer = Ok(answer);
    }

    /// Every rule answers these series from now on.
    pub fn every_rule(&mut self, answer: &[Series]) {
        for watched in &mut self.rules {
            watched.answer = Ok(answer.to_vec());
        }
    }

    pub fn present(&mut self, rule: &str, present: bool) {
        self.watched(rule).present = present;
    }

    /// The source is away: no rule is answered.
    pub fn outage(&mut self) {
        for watched in &mut self.rules {
            watched.answer = Err(ReadFailure {
                kind: FailureKind::Unreachable,
                text: "prometheus is away".to_owned(),
            });
        }
    }

    pub fn remove_rule(&mut self, rule: &str) {
        self.rules.retain(|w| w.rule.name != rule);
    }

    pub fn replace_rule(&mut self, rule: Rule) {
        let name = rule.name.clone();
        self.watched(&name).rule = Arc::new(rule);
    }

    fn watched(&mut self, rule: &str) -> &mut WatchedSuccess {
        self.rules.iter_mut().find(|w| w.rule.name == rule).expect("a rule of this world")
    }

    /// The next scheduled cycle, one interval later.
    pub fn cycle(&mut self) -> Cycle {
        self.cycle_after(30)
    }

    pub fn cycles(&mut self, n: usize) -> Cycle {
        (1..n).for_each(|_| drop(self.cycle()));
        self.cycle()
    }

    pub fn cycle_after(&mut self, seconds: i64) -> Cycle {
        self.run(seconds, Trigger::Scheduled)
    }

    pub fn woken_after(&mut self, seconds: i64) -> Cycle {
        self.run(seconds, Trigger::Woken)
    }

    fn run(&mut self, seconds: i64, trigger: Trigger) -> Cycle {
        self.now += TimeDelta::seconds(seconds);
        let snapshot = self.snapshot();
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        let begin = Instant::now();
        let changes = self.tracker.observe(&snapshot, &Found::default(), trigger, &mut new_id);
        let analysis = analyze(&self.tracker, Uuid::nil(), "cycle", self.now);
        let took = begin.elapsed();
        for (fp, record) in self.tracker.unsaved() {
            match record {
                // Through the form that the store keeps it in.
                Some(record) => {
                    let text = serde_json::to_string(record).expect("a record");
                    self.store.insert(fp, serde_json::from_str(&text).expect("the same record"))
                }
                None => self.store.remove(&fp),
            };
        }
        self.tracker.saved();
        Cycle { changes, analysis, took }
    }

    /// A new process on the same store.
    pub fn restart(&mut self) {
        let stored = self.store.values().cloned().collect();
        self.tracker = Tracker::new(self.settings.clone(), self.now, stored);
    }

    fn snapshot(&self) -> Snapshot {
        let at = self.now;
        let point = |s: &Series| Point {
            labels: s.labels.clone(),
            value: s.value,
            sampled_at: at - TimeDelta::seconds(s.age),
        };
        let readings = self.rules.iter().map(|w| RuleReading {
            rule: Arc::clone(&w.rule),
            points: w.answer.clone().map(|series| series.iter().map(point).collect()),
            empty_is_clear: w.present,
            label_change: None,
        });
        let took = Duration::from_millis(5);
        let source = |source| SourceReading { source, took, skew: None, result: Ok(()) };
        let mut sources = vec![source(Source::Prometheus)];
        sources.extend(self.alertmanager.then(|| source(Source::Alertmanager)));
        Snapshot {
            at,
            readings: readings.collect(),
            alerts: self.view.clone(),
            sources,
            history: self.history.clone(),
        }
    }

    pub fn active(&self) -> Vec<&Violation> {
        self.tracker.active().collect()
    }

    /// The one active violation.
    pub fn only(&self) -> &Violation {
        let active = self.active();
        assert_eq!(active.len(), 1, "active: {active:?}");
        active[0]
    }

    pub fn stored(&self) -> usize {
        self.store.len()
    }
}

impl Cycle {
    pub fn pattern(&self, kind: PatternKind) -> Option<&Pattern> {
        self.analysis.patterns.iter().find(|p| p.kind == kind)
    }

    pub fn has(&self, kind: PatternKind) -> bool {
        self.pattern(kind).is_some()
    }

    pub fn root(&self, cause: &str, component: &str) -> Option<&RootCause> {
        self.analysis.root_causes.iter().find(|r| r.cause.0 == cause && r.component == component)
    }

    pub fn status(&self, rule: &str) -> &RuleStatus {
        self.changes.rules.iter().find(|s| s.rule == rule).expect("a rule of this world")
    }
}
