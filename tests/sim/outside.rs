//! The world around the loop, all of it behind one lock: the reference Charter, Prometheus, Alertmanager, what is wrong
//! with each of them just now, and the trace of what happened.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use mape_k::charter_sandbox::service::{Request, Response};
use mape_k::charter_sandbox::{Charter, Options};
use mape_k::monitor::scrape::exposition;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::account::Felt;
use super::alertmanager::Alertmanager;
use super::awaits::Awaits;
use super::prometheus::Prometheus;
use super::script::{
    AlertmanagerTrouble, Change, CharterTrouble, MetricsTrouble, Script, StoreTrouble,
    WebhookTrouble,
};
use super::trace::Trace;
use super::watch::Watch;

/// The simulated day on which everything happens.
pub const EPOCH: f64 = 1_780_000_000.0;

pub struct Outside {
    began: Instant,
    pub charter: Charter,
    charter_at: Duration,
    pub prometheus: Prometheus,
    pub alertmanager: Alertmanager,
    pub metrics: Troubles<MetricsTrouble>,
    pub webhook: Troubles<WebhookTrouble>,
    pub alerts: Troubles<AlertmanagerTrouble>,
    pub changes: Troubles<CharterTrouble>,
    pub store: Troubles<StoreTrouble>,
    /// What a counter is less by since it began again.
    reset: BTreeMap<String, f64>,
    pub trace: Trace,
    pub watch: Watch,
    /// What the daemon's wall clock is off by.
    pub clock_off: f64,
    pub felt: Felt,
    pub awaits: Awaits,
    pub rng: StdRng,
    /// Calls until the daemon is to crash, and whether after that call.
    pub crash_in: Option<(u32, bool)>,
    /// Processes that have died and were not buried yet, and who is told of it.
    pub dead: Vec<u32>,
    pub crashed: Arc<Notify>,
    /// Processes that cannot reach the store, and until when.
    pub cut_off: BTreeMap<u32, f64>,
    /// What the daemon's own source of metrics has shown: kept where it is not Prometheus.
    pub scraped: Prometheus,
}

/// Which troubles there are, and until when.
pub struct Troubles<T>(Vec<(T, f64)>);

impl<T> Default for Troubles<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + PartialEq> Troubles<T> {
    pub fn begin(&mut self, trouble: T, until: f64) {
        self.0.push((trouble, until));
    }

    /// The one that began last, of those that still hold.
    pub fn now(&mut self, now: f64) -> Option<T> {
        self.0.retain(|(_, until)| now < *until);
        self.0.last().map(|(trouble, _)| *trouble)
    }
}

#[derive(Clone)]
pub struct Shared(Arc<Mutex<Outside>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the simulated world")
    }
}

impl Shared {
    pub fn new(script: &Script) -> Self {
        let options = Options {
            seed: script.seed,
            sandbox: true,
            honour_keys: script.honours_keys,
            dead_time: script.dead_time,
            ..Options::default()
        };
        let charter = Charter::simulated(options).expect("a Charter");
        // It ran long before us: windows that fill up would look like a rise of everything at once.
        charter.advance(Duration::from_secs(120));
        Self(Arc::new(Mutex::new(Outside {
            began: Instant::now(),
            charter,
            charter_at: Duration::ZERO,
            prometheus: Prometheus::default(),
            alertmanager: Alertmanager::default(),
            metrics: Troubles::default(),
            webhook: Troubles::default(),
            alerts: Troubles::default(),
            changes: Troubles::default(),
            store: Troubles::default(),
            reset: BTreeMap::new(),
            trace: Trace::default(),
            watch: Watch::default(),
            clock_off: 0.0,
            felt: Felt::default(),
            awaits: Awaits::default(),
            rng: StdRng::seed_from_u64(script.seed ^ 0x5eed),
            crash_in: None,
            dead: Vec::new(),
            crashed: Arc::default(),
            cut_off: BTreeMap::new(),
            scraped: Prometheus::default(),
        })))
    }

    pub fn lock(&self) -> MutexGuard<'_, Outside> {
        self.0.lock().expect("nothing panicked in the simulated world")
    }
}

impl Outside {
    /// Seconds since the start.
    pub fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub fn say(&mut self, line: &str) {
        let now = self.now();
        self.trace.say(now, line);
    }

    /// This process is no more.
    pub fn dies(&mut self, daemon: u32) {
        self.dead.push(daemon);
        self.crashed.notify_one();
    }

    /// One call to Charter, as of now.
    pub fn charter(&mut self, request: &Request) -> Response {
        let elapsed = self.began.elapsed();
        self.charter.advance(elapsed.saturating_sub(self.charter_at));
        self.charter_at = elapsed;
        self.charter.call(request)
    }

    /// The true state behind the metrics.
    pub fn truth(&mut self) -> Value {
        self.charter(&Request::get("/sandbox/state")).json()
    }

    pub fn inject(&mut self, fault: &Value) {
        let answer = self.charter(&Request::post("/sandbox/faults", fault));
        self.say(&format!("plant fault {fault}: {}", answer.status));
    }

    pub fn mend(&mut self) {
        let faults = self.charter(&Request::get("/sandbox/faults")).json();
        for fault in faults.as_array().into_iter().flatten() {
            let id = fault["id"].as_str().expect("an id");
            self.charter(&Request::delete(&format!("/sandbox/faults/{id}")));
        }
        self.say("the plant's faults are mended");
    }

    /// Somebody else's change.
    pub fn foreign(&mut self, change: Change) {
        let state = self.charter(&Request::get("/api/v1/committee/state")).json();
        let replicas = state["replicas"].as_u64().unwrap_or(3);
        let scale = |replicas: u64| {
            Request::post("/api/v1/committee/scale", &json!({"replicas": replicas}))
        };
        let request = match change {
            Change::ScaleUp => scale((replicas + 2).min(20)),
            Change::ScaleDown => scale((replicas - 1).max(1)),
            Change::Restart => Request::post(
                "/api/v1/committee/restart",
                &json!({"graceful": true, "timeout": 30, "service": "validator"}),
            ),
            Change::Rollback => {
                let listed = self.charter(&Request::get("/api/v1/policies")).json();
                let Some(id) = listed[0]["policy_id"].as_str() else { return };
                Request::post(&format!("/api/v1/policies/{id}/rollback"), &json!({}))
            }
        };
        let answer = self.charter(&request.with_key(&format!("foreign-{}", self.trace.lines)));
        self.say(&format!("somebody else: {change:?}: {}", answer.status));
    }

    /// What an exporter shows, with the metrics' troubles in it.
    pub fn exposition(&mut self) -> String {
        let text = self.charter(&Request::get("/metrics")).body;
        let now = self.now();
        match self.metrics.now(now) {
            Some(MetricsTrouble::Partial) => {
                let mut place = 0;
                let lines = text.split_inclusive('\n').filter(|line| {
                    place += usize::from(!line.starts_with('#'));
                    line.starts_with('#') || place % 2 == 0
                });
                lines.collect()
            }
            Some(MetricsTrouble::Nan) => each_value(&text, |_, _| f64::NAN),
            Some(MetricsTrouble::CounterReset) if self.reset.is_empty() => {
                let mut reset = BTreeMap::new();
                each_value(&text, |series, value| {
                    reset.insert(series.to_owned(), value);
                    value
                });
                self.reset = reset;
                self.without_what_was(&text)
            }
            _ => self.without_what_was(&text),
        }
    }

    fn without_what_was(&self, text: &str) -> String {
        if self.reset.is_empty() {
            return text.to_owned();
        }
        each_value(text, |series, value| {
            let counts = series.split('{').next().is_some_and(|name| name.ends_with("_total"));
            let less = if counts { self.reset.get(series).copied().unwrap_or(0.0) } else { 0.0 };
            (value - less).max(0.0)
        })
    }

    /// Prometheus' own scrape; nothing while it is stale or away. A daemon that scrapes by itself is none the worse for
    /// that.
    pub fn scrape(&mut self) {
        let now = self.now();
        self.scrape_directly();
        if matches!(self.metrics.now(now), Some(MetricsTrouble::Stale | MetricsTrouble::Down)) {
            return;
        }
        if self.changes.now(now) == Some(CharterTrouble::Down) {
            self.prometheus.target_down();
            return;
        }
        let samples = self.samples();
        self.prometheus.scraped(now, samples);
    }

    /// What a daemon that scrapes by itself would see just now; what is no number is passed over.
    pub fn scrape_directly(&mut self) {
        if !self.watch.scrapes() {
            return;
        }
        let now = self.now();
        let down = self.metrics.now(now) == Some(MetricsTrouble::Down)
            || self.changes.now(now) == Some(CharterTrouble::Down);
        if down {
            self.scraped.target_down();
        } else {
            let numbers = self.samples().into_iter().filter(|sample| !sample.value.is_nan());
            self.scraped.scraped(now, numbers.collect());
        }
    }

    fn samples(&mut self) -> Vec<exposition::Sample> {
        let text = self.exposition();
        let wanted = [
            "westworld_charter_validation_latency_seconds",
            "westworld_charter_failure_rate",
            "westworld_charter_throughput_ops_per_sec",
            "westworld_charter_policy_violations_total",
        ];
        // The rest is text that nobody asks for, and most of it.
        let text: String = text
            .split_inclusive('\n')
            .filter(|line| wanted.iter().any(|name| line.starts_with(name)))
            .collect();
        exposition::parse(&text, |name| wanted.contains(&name)).expect("an exposition")
    }

    /// A number between 0 and 1 of this world's own.
    pub fn chance(&mut self) -> f64 {
        self.rng.random_range(0.0..1.0)
    }
}

pub fn at_wall(seconds: f64) -> DateTime<Utc> {
    (DateTime::UNIX_EPOCH + Duration::from_secs_f64(EPOCH + seconds)).trunc_subsecs(6)
}

/// The exposition with other values.
fn each_value(text: &str, mut value: impl FnMut(&str, f64) -> f64) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        match line.rsplit_once(' ') {
            Some((series, number)) if !line.starts_with('#') => {
                let number = value(series, number.parse().unwrap_or(f64::NAN));
                writeln!(out, "{series} {number}").expect("a text takes it");
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}
