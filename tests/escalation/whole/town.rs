//! One daemon whose cycles a test runs by hand, a cluster that it looks at and a Slack that it tells.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use mape_k::clock::Clock;
use mape_k::control_loop::{once, take_in};
use mape_k::cycle::Assessor;
use mape_k::daemon::{self, Parts, assemble_in};
use mape_k::domain::cycle::{CycleReport, Trigger};
use mape_k::domain::secret::Secret;
use mape_k::domain::view::LoopView;
use mape_k::http::HttpTransport;
use mape_k::incidents::rules::{Assessment, Case};
use mape_k::knowledge::{Database, Knowledge};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::loops::World;
use crate::cluster::api_server::ApiServer;
use crate::cluster::objects;
use crate::notify::fake_slack::{Asked, FakeSlack};

/// Cycles by hand take milliseconds; what comes by a watch is there after a few of them.
const CYCLES: usize = 400;
const BETWEEN: Duration = Duration::from_millis(50);

/// Looks at what runs beside the cycle, five milliseconds apart: a minute.
const SETTLED: usize = 12_000;

pub const TOKEN: &str = "xoxb-of-the-test";

pub struct Town {
    pub loops: World,
    pub api: ApiServer,
    pub slack: FakeSlack,
    pub folder: TempDir,
    pub assessor: Option<Arc<dyn Assessor>>,
    /// Instead of the network.
    pub wire: Option<Arc<dyn HttpTransport>>,
}

/// An assessor that is of no use.
#[derive(Debug)]
pub enum Bad {
    Fails,
    Hangs,
    Panics,
}

/// One with a defect that no edge of its own catches.
#[derive(Debug)]
pub struct Broken;

impl Assessor for Broken {
    fn assess<'a, 'b, 'c>(
        &'a self,
        _: &'b Case,
    ) -> Pin<Box<dyn Future<Output = Result<Assessment, String>> + Send + 'c>>
    where
        'a: 'c,
        'b: 'c,
    {
        panic!("a defect")
    }
}

#[async_trait]
impl Assessor for Bad {
    async fn assess(&self, _: &Case) -> Result<Assessment, String> {
        match self {
            Self::Fails => Err("the assessor is away".to_owned()),
            Self::Hangs => std::future::pending().await,
            Self::Panics => panic!("the assessor has a defect"),
        }
    }
}

/// A daemon that is up.
pub struct Running {
    pub parts: Parts,
    _watching: DropGuard,
}

impl Town {
    /// All is well, nothing runs yet. A test changes `loops.config` before [`Town::start`].
    pub async fn new() -> Self {
        let mut loops = World::new().await;
        let api = ApiServer::start();
        let slack = FakeSlack::start().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = &mut loops.config;
        config.kubernetes.enabled = true;
        config.kubernetes.kubeconfig = Some(api.kubeconfig());
        config.escalation.services_file = folder.path().join("services.yaml");
        config.escalation.reports_dir = Some(folder.path().join("logs"));
        config.slack.enabled = true;
        config.slack.api_url = slack.url.clone();
        config.slack.token = Some(Secret::new(TOKEN.to_owned()));
        config.knowledge.database = Database::Sqlite;
        config.knowledge.sqlite_path = folder.path().join("knowledge.db");
        let town = Self { loops, api, slack, folder, assessor: None, wire: None };
        town.catalogue(&json!([
            {"name": "payments", "namespace": "shop", "tier": "P0"},
            {"name": "search", "namespace": "shop", "tier": "P1"},
            {"name": "mailer", "namespace": "shop", "tier": "P2"},
        ]));
        for service in ["payments", "search", "mailer"] {
            town.deployment(service, 2, 2, 60);
        }
        town
    }

    pub fn catalogue(&self, services: &Value) {
        let text = json!({ "services": services }).to_string();
        let path = &self.loops.config.escalation.services_file;
        std::fs::write(path, text).expect("the catalogue is written");
    }

    /// A deployment of the shop that has been as it is for so many minutes.
    pub fn deployment(&self, name: &str, ready: u32, desired: u32, minutes: i64) {
        self.api.put(objects::deployment(name, ready, desired, minutes));
    }

    pub async fn start(&self) -> Running {
        self.start_as(self.store().await, Clock::start()).await
    }

    pub async fn start_on(&self, knowledge: Knowledge) -> Running {
        self.start_as(knowledge, Clock::start()).await
    }

    /// On a machine whose clock says something else.
    pub async fn start_at(&self, clock: Clock) -> Running {
        self.start_as(self.store().await, clock).await
    }

    async fn store(&self) -> Knowledge {
        Knowledge::open(&self.loops.config.knowledge).await.expect("a store")
    }

    async fn start_as(&self, knowledge: Knowledge, clock: Clock) -> Running {
        let config = Arc::new(self.loops.config.clone());
        let world = daemon::World {
            assessor: self.assessor.clone(),
            wire: self.wire.clone(),
            ..daemon::World::default()
        };
        let parts = assemble_in(world, knowledge, &config, clock).await;
        let mut parts = parts.expect("the daemon is put together");
        let stop = CancellationToken::new();
        if let Some(cluster) = parts.cluster.take() {
            tokio::spawn(cluster.run(stop.clone()));
        }
        let (background, stopping) = (parts.background.clone(), stop.clone());
        tokio::spawn(async move { background.run(stopping.clone(), stopping).await });
        Running { parts, _watching: stop.drop_guard() }
    }

    pub fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// Names in a folder of `logs`, sorted.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.logs().join(folder)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains('.'))
            .collect();
        names.sort();
        names
    }

    pub fn file(&self, name: &str) -> Value {
        let text = std::fs::read_to_string(self.logs().join(name)).expect("a file of the logs");
        serde_json::from_str(&text).expect("a whole JSON file")
    }

    /// Messages posted since the last look; edits are not counted.
    pub fn posted(&self) -> Vec<Asked> {
        let posted = |asked: &Asked| asked.path.ends_with("chat.postMessage");
        self.slack.asked().into_iter().filter(posted).collect()
    }
}

impl Running {
    pub async fn cycle(&mut self) -> CycleReport {
        let stop = CancellationToken::new();
        let (cycle, publisher) = (&mut self.parts.cycle, &self.parts.publisher);
        let report = once(cycle, publisher, Trigger::Scheduled, &stop)
            .await
            .expect("a cycle that does not panic");
        self.settle().await;
        // As it is now that what it says was sent.
        let stored = self.parts.knowledge.get::<CycleReport>(&report.id).await.expect("a store");
        stored.map_or(report, |(stored, _)| stored)
    }

    /// What failed is due again: so much later is it for whoever sends.
    pub async fn later(&mut self, seconds: i64) {
        let now = self.parts.handle.now() + TimeDelta::seconds(seconds);
        self.parts.background.work_off(now).await;
        self.settle().await;
    }

    /// Until nothing is under way beside the cycle, and what became of it is taken in.
    pub async fn settle(&mut self) {
        for _ in 0..SETTLED {
            if self.parts.background.is_idle() {
                take_in(&mut self.parts.cycle, &self.parts.publisher).await;
                if self.parts.background.is_idle() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the background did not come to rest: {:?}", self.parts.background);
    }

    /// Until what a watch brings is seen.
    pub async fn cycle_until(
        &mut self,
        what: &str,
        is_so: impl Fn(&CycleReport) -> bool,
    ) -> CycleReport {
        let mut last = None;
        for _ in 0..CYCLES {
            let report = self.cycle().await;
            if is_so(&report) {
                return report;
            }
            last = Some(report);
            tokio::time::sleep(BETWEEN).await;
        }
        panic!("{what} did not come about in {CYCLES} cycles; the last: {last:#?}");
    }

    pub fn view(&self) -> Arc<LoopView> {
        self.parts.handle.view()
    }

    /// A line of /metrics.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.parts.metrics.gather();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in {text}"))
    }

    pub async fn stop(self) {
        self.parts.knowledge.close().await;
    }
}
