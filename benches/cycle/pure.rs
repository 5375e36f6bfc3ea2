//! The pure stages alone, every violation active: tracking, analysis, plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode};
use mape_k::analyzer::{self, Found, Tracker, analyze};
use mape_k::domain::alert::AlertView;
use mape_k::domain::catalogue::Catalogue;
use mape_k::domain::charter::{CharterView, CommitteeState, CommitteeStatus};
use mape_k::domain::cycle::Trigger;
use mape_k::domain::leader::Lead;
use mape_k::domain::ledger::Ledger;
use mape_k::domain::reading::{Point, RuleReading, Snapshot, Source, SourceReading};
use mape_k::domain::rule::{Comparison, ComponentFrom, Measure, MetricRule, Rule, Severity};
use mape_k::domain::time::{Time, after};
use mape_k::domain::violation::Violation;
use mape_k::domain::{Cause, Labels};
use mape_k::planner::{self, PlanInput, plan};
use uuid::Uuid;

use super::SIZES;
use super::upstream::{COMPONENTS, METRICS};

const INTERVAL: Duration = Duration::from_secs(30);

/// Cycles before the measured ones, so that sustained patterns are there.
const WARM_UP: usize = 4;

pub fn stages(c: &mut Criterion) {
    let mut group = c.benchmark_group("pure");
    group.sampling_mode(SamplingMode::Flat);
    for size in SIZES {
        let mut snapshot = snapshot(size);
        let mut new_id = Uuid::now_v7;
        let mut tracker = Tracker::new(analyzer::Settings::default(), snapshot.at, Vec::new());
        for _ in 0..WARM_UP {
            pass(&mut snapshot);
            tracker.observe(&snapshot, &Found::default(), Trigger::Scheduled, &mut new_id);
        }
        group.bench_function(BenchmarkId::new("observe", size), |b| {
            b.iter_custom(|times| {
                let mut sum = Duration::ZERO;
                for _ in 0..times {
                    pass(&mut snapshot);
                    let started = Instant::now();
                    tracker.observe(&snapshot, &Found::default(), Trigger::Scheduled, &mut new_id);
                    sum += started.elapsed();
                }
                sum
            });
        });
        let now = snapshot.at;
        group.bench_function(BenchmarkId::new("analyze", size), |b| {
            b.iter(|| analyze(&tracker, Uuid::nil(), "cycle", now));
        });
        let analysis = analyze(&tracker, Uuid::nil(), "cycle", now);
        let active: Vec<Violation> = tracker.active().cloned().collect();
        let violations: BTreeMap<&str, &Violation> =
            active.iter().map(|v| (v.fingerprint.as_str(), v)).collect();
        let settings = planner::Settings::default();
        let charter = charter(now);
        let catalogue = Catalogue::default();
        let (ledger, fleets, lead) = (Ledger::default(), BTreeMap::new(), Lead::default());
        let input = PlanInput {
            now,
            settings: &settings,
            pause: None,
            lead: &lead,
            ledger: &ledger,
            fleets: &fleets,
            rules: &[],
            root_causes: &analysis.root_causes,
            violations: &violations,
            statistics: &[],
            treatments: &[],
            incidents: &BTreeMap::new(),
            policies: &[],
            verifications: &[],
            blocked: &[],
            undone: &[],
            charter: &charter,
            cluster: None,
            catalogue: &catalogue,
            last_resize: None,
            recovering_since: None,
            served_rate: Some(500.0),
            surplus: None,
            quiet_since: None,
            scoped: false,
        };
        group.bench_function(BenchmarkId::new("plan", size), |b| {
            b.iter(|| plan(&input, &mut new_id));
        });
    }
}

/// The first cycle of a storm: everything was seen well one interval before, so every violation has an onset.
pub fn storm(c: &mut Criterion) {
    let mut group = c.benchmark_group("storm");
    group.sampling_mode(SamplingMode::Flat);
    for size in SIZES {
        let mut snapshot = snapshot(size);
        let mut new_id = Uuid::now_v7;
        let mut tracker = Tracker::new(analyzer::Settings::default(), snapshot.at, Vec::new());
        for value in [0.1, 0.9] {
            pass(&mut snapshot);
            for reading in &mut snapshot.readings {
                reading.points.iter_mut().flatten().for_each(|point| point.value = value);
            }
            tracker.observe(&snapshot, &Found::default(), Trigger::Scheduled, &mut new_id);
        }
        let now = snapshot.at;
        group.bench_function(BenchmarkId::new("analyze", size), |b| {
            b.iter(|| analyze(&tracker, Uuid::nil(), "cycle", now));
        });
    }
}

fn charter(at: Time) -> CharterView {
    let state = CommitteeState { status: CommitteeStatus::Degraded, replicas: 5, healthy_nodes: 5 };
    CharterView { at, is_on: true, state: Ok(state) }
}

/// Half of the series belong to a rule with a cause.
fn snapshot(size: usize) -> Snapshot {
    let at = Time::from_timestamp(1_700_000_000, 0).expect("a valid time");
    let causes = [Some(Cause::new(Cause::SYSTEM_OVERLOAD)), None];
    let readings = METRICS
        .into_iter()
        .zip(causes)
        .map(|(metric, cause)| RuleReading {
            rule: Arc::new(rule(metric, cause)),
            points: Ok((0..size / 2).map(|series| point(series, at)).collect()),
            empty_is_clear: false,
            label_change: None,
        })
        .collect();
    let source = SourceReading {
        source: Source::Prometheus,
        took: Duration::ZERO,
        skew: None,
        result: Ok(()),
    };
    Snapshot {
        at,
        readings,
        alerts: AlertView::default(),
        sources: vec![source],
        history: Vec::new(),
    }
}

fn rule(metric: &str, cause: Option<Cause>) -> Rule {
    Rule {
        name: metric.to_owned(),
        measure: Measure::Metric(MetricRule {
            metric: metric.to_owned(),
            labels: Labels::new(),
            aggregate: None,
            by: Vec::new(),
            increase_over: None,
            comparison: Comparison::Gt,
            threshold: 0.5,
        }),
        severity: Severity::Warning,
        component: ComponentFrom::Label("component".to_owned()),
        target: None,
        cause,
    }
}

fn point(series: usize, sampled_at: Time) -> Point {
    let labels = [
        ("component", format!("component-{}", series % COMPONENTS)),
        ("instance", format!("10.0.{}.{}:9100", series / 250, series % 250)),
        ("job", "charter".to_owned()),
        ("pod", format!("charter-{series}")),
    ];
    let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Point { labels, value: 0.9, sampled_at }
}

/// One interval later everything reads the same.
fn pass(snapshot: &mut Snapshot) {
    snapshot.at = after(snapshot.at, INTERVAL);
    for reading in &mut snapshot.readings {
        for point in reading.points.iter_mut().flatten() {
            point.sampled_at = snapshot.at;
        }
    }
}
