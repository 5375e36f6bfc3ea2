//! Whole cycles against prebuilt answers. `own` leaves the monitor phase out, in which upstream is waited for;
//! `reading` is that phase, `upstream` what a bare client needs to fetch the same answers: their difference is ours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode};
use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::cycle::Ended;
use mape_k::daemon::{Parts, assemble};
use mape_k::domain::cycle::{CycleReport, CycleStatus, Phase, Trigger};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::SIZES;
use super::upstream::{METRICS, Upstream};

/// Cycles before the measured ones: sustained patterns, policies and escalations are there then.
const WARM_UP: usize = 4;

const STORES: [&str; 2] = ["memory", "sqlite"];

struct Loop {
    parts: Parts,
    /// Holds the database file.
    _folder: TempDir,
}

impl Loop {
    async fn new(upstream: &Upstream, store: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = upstream.config(&format!(
            "alertmanager:\n  enabled: false\nescalation:\n  reports_dir: null\nknowledge:\n  database: {store}\n  sqlite_path: {}\n",
            folder.path().join("knowledge.db").display()
        ));
        let (config, _) = Config::parse(&text, &|_| None).expect("a valid configuration");
        let parts = assemble(&Arc::new(config), Clock::start()).await.expect("a loop");
        Self { parts, _folder: folder }
    }

    /// One cycle: its whole time and its report.
    async fn cycle(&mut self, trigger: Trigger) -> (Duration, CycleReport) {
        let started = Instant::now();
        let stop = CancellationToken::new();
        let Ended { report, view, .. } = self.parts.cycle.run(trigger, &stop, &|_| ()).await;
        let took = started.elapsed();
        assert_eq!(report.status, CycleStatus::Completed, "{:?}", report.error);
        assert_eq!(view.violations.len(), report.violations);
        (took, report)
    }
}

fn monitor_phase(report: &CycleReport) -> Duration {
    let phase = report.phases.iter().find(|(phase, _)| *phase == Phase::Monitor);
    Duration::from_secs_f64(phase.map_or(0.0, |(_, seconds)| *seconds))
}

/// Every violation is active already. Measured cycles are woken ones: in real life scheduled ones are 30 s apart, back
/// to back they would pile up occurrences as no daemon ever sees them.
pub fn steady(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("steady");
    group.sampling_mode(SamplingMode::Flat);
    for size in SIZES {
        let upstream = Upstream::start(size);
        for store in STORES {
            let mut measured = runtime.block_on(Loop::new(&upstream, store));
            let mut phases = Vec::new();
            for _ in 0..WARM_UP {
                phases = runtime.block_on(measured.cycle(Trigger::Scheduled)).1.phases;
            }
            println!("phases of a cycle with {size} violations, {store}: {phases:?}");
            group.bench_function(BenchmarkId::new(format!("own/{store}"), size), |b| {
                b.iter_custom(|cycles| runtime.block_on(own(&mut measured, cycles)));
            });
            if store == "memory" {
                group.bench_function(BenchmarkId::new("reading", size), |b| {
                    b.iter_custom(|cycles| runtime.block_on(reading(&mut measured, cycles)));
                });
            }
        }
        let client = reqwest::Client::new();
        group.bench_function(BenchmarkId::new("upstream", size), |b| {
            b.iter_custom(|times| runtime.block_on(fetching(&client, &upstream, times)));
        });
    }
}

async fn own(measured: &mut Loop, cycles: u64) -> Duration {
    let mut sum = Duration::ZERO;
    for _ in 0..cycles {
        let (took, report) = measured.cycle(Trigger::Woken).await;
        sum += took.saturating_sub(monitor_phase(&report));
    }
    sum
}

async fn reading(measured: &mut Loop, cycles: u64) -> Duration {
    let mut sum = Duration::ZERO;
    for _ in 0..cycles {
        sum += monitor_phase(&measured.cycle(Trigger::Woken).await.1);
    }
    sum
}

/// The same answers, all at once as the monitor asks for them, their bytes thrown away.
async fn fetching(client: &reqwest::Client, upstream: &Upstream, times: u64) -> Duration {
    let started = Instant::now();
    for _ in 0..times {
        let asked = METRICS
            .iter()
            .flat_map(|metric| [format!("query={metric}"), format!("query=timestamp({metric})")]);
        let fetched = asked.map(|form| {
            let url = format!("http://{}/api/v1/query", upstream.metrics);
            let header = ("content-type", "application/x-www-form-urlencoded");
            let request = client.post(url).header(header.0, header.1).body(form);
            async { request.send().await.expect("an answer").bytes().await.expect("its body") }
        });
        futures::future::join_all(fetched).await;
    }
    started.elapsed()
}

/// Every violation becomes active and is stored: the first cycle with an empty store.
pub fn opening(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("opening");
    group.sampling_mode(SamplingMode::Flat);
    for size in SIZES {
        let upstream = Upstream::start(size);
        for store in STORES {
            group.bench_function(BenchmarkId::new(format!("own/{store}"), size), |b| {
                b.iter_custom(|times| {
                    runtime.block_on(async {
                        let mut sum = Duration::ZERO;
                        for _ in 0..times {
                            sum += own(&mut Loop::new(&upstream, store).await, 1).await;
                        }
                        sum
                    })
                });
            });
        }
    }
}
