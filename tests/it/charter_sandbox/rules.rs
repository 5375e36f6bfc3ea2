//! A Charter in simulated time, watched as the shipped rules watch it and acted upon as the loop acts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mape_k::charter_sandbox::faults::Fault;
use mape_k::charter_sandbox::service::Request;
use mape_k::charter_sandbox::{Charter, Options};
use prometheus_parse::{Scrape, Value as Sample};
use serde_json::{Value, json};

pub const COMPONENTS: [&str; 3] = ["validator", "enforcer", "auditor"];

/// One look at the metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// p95 by validation type.
    pub latency: BTreeMap<String, f64>,
    pub failure_rate: BTreeMap<String, f64>,
    pub throughput: BTreeMap<String, f64>,
    /// Critical violations by policy, since the start.
    pub critical: BTreeMap<String, f64>,
}

impl Reading {
    pub fn worst_latency(&self) -> f64 {
        self.latency.values().copied().fold(0.0, f64::max)
    }

    pub fn worst_failure_rate(&self) -> f64 {
        self.failure_rate.values().copied().fold(0.0, f64::max)
    }

    /// The service to restart: where validation waits, else the one that fails most.
    pub fn sickest(&self) -> &str {
        if self.slow_types() > 0 {
            return "validator";
        }
        self.failure_rate
            .iter()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or("validator", |(name, _)| name)
    }

    pub fn slow_types(&self) -> usize {
        self.latency.values().filter(|p95| **p95 > 1.0).count()
    }

    pub fn failing(&self) -> BTreeSet<String> {
        self.failure_rate
            .iter()
            .filter(|(_, rate)| **rate > 0.10)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The series that break a shipped rule from warning up; `earlier` is what a counter is compared with.
    pub fn broken(&self, earlier: &Self) -> BTreeSet<String> {
        let slow = self
            .latency
            .iter()
            .filter(|(_, p95)| **p95 > 1.0)
            .map(|(kind, _)| format!("latency {kind}"));
        let failing = self.failing().into_iter().map(|component| format!("failures {component}"));
        let critical = self
            .critical
            .iter()
            .filter(|(id, count)| earlier.critical.get(*id).is_some_and(|before| *count > before))
            .map(|(id, _)| format!("violations {id}"));
        slow.chain(failing).chain(critical).collect()
    }
}

/// A Charter whose time the test moves.
pub struct Plant {
    charter: Charter,
    calls: u32,
}

impl Plant {
    /// A healthy one that has run for a minute.
    pub fn healthy(seed: u64) -> Self {
        let options = Options { seed, sandbox: true, ..Options::default() };
        let plant = Self { charter: Charter::simulated(options).expect("valid options"), calls: 0 };
        Self { ..plant }.after(60)
    }

    fn after(self, seconds: u64) -> Self {
        self.wait(seconds);
        self
    }

    pub fn wait(&self, seconds: u64) {
        self.charter.advance(Duration::from_secs(seconds));
    }

    pub fn inject(&self, fault: Fault) {
        let answer =
            self.charter.call(&Request::post("/sandbox/faults", &json!({ "fault": fault })));
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    pub fn metrics(&self) -> String {
        self.charter.call(&Request::get("/metrics")).body
    }

    pub fn state(&self) -> Value {
        self.charter.call(&Request::get("/sandbox/state")).json()
    }

    /// What the shipped rules see; nothing while the series are gone.
    pub fn read(&self) -> Option<Reading> {
        let text = self.metrics();
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let scrape = Scrape::parse(lines).expect("metrics parse");
        if scrape.samples.is_empty() {
            return None;
        }
        let mut reading = Reading {
            latency: BTreeMap::new(),
            failure_rate: BTreeMap::new(),
            throughput: BTreeMap::new(),
            critical: BTreeMap::new(),
        };
        for sample in scrape.samples {
            let label = |name| sample.labels.get(name).unwrap_or_default().to_owned();
            match (sample.metric.as_str(), &sample.value) {
                ("westworld_charter_validation_latency_seconds", Sample::Summary(quantiles)) => {
                    let p95 =
                        quantiles.iter().find(|quantile| (quantile.quantile - 0.95).abs() < 1e-9);
                    reading.latency.insert(label("validation_type"), p95.expect("a p95").count);
                }
                ("westworld_charter_failure_rate", Sample::Gauge(rate)) => {
                    reading.failure_rate.insert(label("component"), *rate);
                }
                ("westworld_charter_throughput_ops_per_sec", Sample::Gauge(rate)) => {
                    reading.throughput.insert(label("component"), *rate);
                }
                ("westworld_charter_policy_violations_total", Sample::Counter(count))
                    if label("severity") == "critical" =>
                {
                    reading.critical.insert(label("policy_id"), *count);
                }
                _ => {}
            }
        }
        Some(reading)
    }

    /// The reading while nothing hides it.
    pub fn reading(&self) -> Reading {
        self.read().expect("the series are exported")
    }

    /// A changing call with a key of its own; it must succeed.
    pub fn call(&mut self, path: &str, body: &Value) -> Value {
        self.calls += 1;
        let request = Request::post(path, body).with_key(&format!("key-{}", self.calls));
        let answer = self.charter.call(&request);
        assert!(answer.status.is_success(), "{path} {body}: {} {}", answer.status, answer.body);
        answer.json()
    }
}

/// The nine actions, with the parameters that the loop would give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    ScaleUp,
    ScaleDown,
    Restart,
    ApplyPolicy,
    Bypass,
    Throttle,
    Override,
    Rebalance,
    UpdateConfiguration,
}

impl Action {
    pub const ALL: [Self; 9] = [
        Self::ScaleUp,
        Self::ScaleDown,
        Self::Restart,
        Self::ApplyPolicy,
        Self::Bypass,
        Self::Throttle,
        Self::Override,
        Self::Rebalance,
        Self::UpdateConfiguration,
    ];

    /// The shipped settle times.
    pub fn settle(self) -> u64 {
        match self {
            Self::ScaleUp | Self::Rebalance => 180,
            Self::ScaleDown => 300,
            Self::Restart => 120,
            Self::ApplyPolicy
            | Self::Bypass
            | Self::Throttle
            | Self::Override
            | Self::UpdateConfiguration => 60,
        }
    }

    /// Acts on `plant`, which shows `reading`.
    pub fn perform(self, plant: &mut Plant, reading: Option<&Reading>) {
        match self {
            Self::ScaleUp => plant.call("/api/v1/committee/scale", &json!({ "replicas": 5 })),
            Self::ScaleDown => plant.call("/api/v1/committee/scale", &json!({ "replicas": 2 })),
            Self::Restart => {
                let sick = reading.map_or("validator", Reading::sickest);
                restart(plant, sick)
            }
            Self::ApplyPolicy => {
                apply(plant, &json!({ "action": "apply_policy", "policy_set": "baseline" }))
            }
            Self::Bypass => apply(
                plant,
                &json!({ "action": "bypass_validation", "validation_type": "signature", "duration_seconds": 900 }),
            ),
            Self::Throttle => {
                let served =
                    reading.map_or(900.0, |reading| reading.throughput.values().sum::<f64>());
                apply(
                    plant,
                    &json!({ "action": "throttle_requests", "rate_limit": 0.8 * served, "duration_seconds": 900 }),
                )
            }
            Self::Override => apply(
                plant,
                &json!({ "action": "activate_emergency_override", "duration_seconds": 900 }),
            ),
            Self::Rebalance => {
                apply(plant, &json!({ "action": "rebalance_load", "strategy": "least_loaded" }))
            }
            Self::UpdateConfiguration => {
                let prior = plant.state()["prior_settings"].clone();
                apply(plant, &json!({ "action": "update_configuration", "settings": prior }))
            }
        };
    }
}

pub fn apply(plant: &mut Plant, policy: &Value) -> Value {
    let body = json!({ "policy": policy, "timestamp": "2026-01-01T00:00:00Z", "source": "mape_k_executor" });
    plant.call("/api/v1/policies/apply", &body)
}

pub fn restart(plant: &mut Plant, service: &str) -> Value {
    plant.call(
        "/api/v1/committee/restart",
        &json!({ "graceful": true, "timeout": 30, "service": service }),
    )
}
