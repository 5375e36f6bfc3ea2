//! Who is compared: the loop in its variants, and what is simpler than it. The simple ones read the same simulated
//! Prometheus and Alertmanager every 30 s and change the same Charter over the same simulated network.

use std::collections::BTreeMap;
use std::time::Duration;

use mape_k::charter_sandbox::faults::Fault;
use mape_k::charter_sandbox::service;
use mape_k::domain::Labels;
use mape_k::http::HttpTransport;
use serde_json::{Value, json};

use super::super::alertmanager::{RULES, time};
use super::super::outside::{EPOCH, Shared};
use super::super::wire::Network;
use super::course::Incident;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    Noop,
    /// Whatever is over its threshold is restarted, every 30 s.
    ThresholdRestart,
    /// Each threshold has its remedy, every 30 s.
    ThresholdMapped,
    /// Each alert has its remedy, once in 10 minutes while it fires.
    Runbook,
    /// Ours; `free`: its strategies without `after`, so that what was learned may choose the order.
    Loop {
        learning: bool,
        free: bool,
    },
    /// Knows the fault and cures it at once; does nothing about what heals itself.
    Oracle,
}

impl Controller {
    pub const COMPARED: [Self; 7] = [
        Self::Noop,
        Self::ThresholdRestart,
        Self::ThresholdMapped,
        Self::Runbook,
        Self::Loop { learning: false, free: false },
        Self::Loop { learning: true, free: false },
        Self::Oracle,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Noop => "no-op",
            Self::ThresholdRestart => "threshold → restart",
            Self::ThresholdMapped => "threshold → mapped",
            Self::Runbook => "static runbook",
            Self::Loop { learning: false, free: false } => "mape-k, no learning",
            Self::Loop { learning: true, free: false } => "mape-k",
            Self::Loop { learning: false, free: true } => "free order, no learning",
            Self::Loop { learning: true, free: true } => "free order",
            Self::Oracle => "oracle",
        }
    }
}

/// An alert of the runbook is answered once in so many seconds.
const COOLDOWN: f64 = 600.0;

/// What a simple controller found broken.
struct Finding {
    rule: &'static str,
    labels: Labels,
}

/// A controller without a loop.
pub struct Reflex {
    controller: Controller,
    outside: Shared,
    network: Network,
    calls: u32,
    /// By alert: when it was last answered.
    answered: BTreeMap<String, f64>,
    /// Since the fault: when anything was first found, and the cause that its rule names.
    pub found: Option<(f64, &'static str)>,
}

impl Reflex {
    pub fn new(controller: Controller, outside: &Shared) -> Self {
        let network = Network { outside: outside.clone(), daemon: 0 };
        Self {
            controller,
            outside: outside.clone(),
            network,
            calls: 0,
            answered: BTreeMap::new(),
            found: None,
        }
    }

    /// One look, and what follows from it. `since`: when the fault began.
    pub async fn tick(&mut self, since: f64) {
        let now = self.outside.lock().now();
        let findings = self.findings(now);
        if let Some(first) = findings.first()
            && now >= since
        {
            self.found.get_or_insert((now, cause(first.rule)));
        }
        match self.controller {
            Controller::ThresholdRestart => {
                let services: std::collections::BTreeSet<_> =
                    findings.iter().map(service_of).collect();
                for service in services {
                    self.restart(service.as_deref()).await;
                }
            }
            Controller::ThresholdMapped => match findings.first().map(|finding| finding.rule) {
                Some("validation_latency") => self.scale_up().await,
                Some("failure_rate") => self.rebalance().await,
                Some(_) => self.baseline().await,
                None => {}
            },
            Controller::Runbook => {
                for finding in &findings {
                    let alert = format!("{} {:?}", finding.rule, service_of(finding));
                    let fresh = self.answered.get(&alert).is_none_or(|at| now - at >= COOLDOWN);
                    if !fresh {
                        continue;
                    }
                    self.answered.insert(alert, now);
                    match finding.rule {
                        "validation_latency" => self.scale_up().await,
                        "failure_rate" => self.restart(service_of(finding).as_deref()).await,
                        _ => self.baseline().await,
                    }
                }
            }
            Controller::Noop | Controller::Loop { .. } | Controller::Oracle => {}
        }
    }

    /// Thresholds as they stand, or alerts that fire; worst named first.
    fn findings(&self, now: f64) -> Vec<Finding> {
        let outside = self.outside.lock();
        let mut findings = Vec::new();
        let listed = outside.alertmanager.list(now, EPOCH);
        for (name, expression, above, _, _, rule, _) in RULES {
            let broken = outside.prometheus.instant(expression, now);
            let broken = broken.into_iter().filter(|(_, value)| *value > above);
            if self.controller == Controller::Runbook {
                let alerts = listed.as_array().into_iter().flatten();
                for alert in alerts.filter(|alert| alert["labels"]["alertname"] == name) {
                    let labels = serde_json::from_value(alert["labels"].clone()).expect("labels");
                    findings.push(Finding { rule, labels });
                }
            } else {
                findings.extend(broken.map(|(labels, _)| Finding { rule, labels }));
            }
        }
        // Critical first, then Charter as a whole, then its services.
        findings.sort_by_key(|finding| match finding.rule {
            "critical_policy_violations" => 0,
            "validation_latency" => 1,
            _ => 2,
        });
        findings
    }

    /// At the very moment of the fault.
    pub async fn cure(&mut self, incident: &Incident) {
        match incident.fault {
            Fault::Overload => self.scale_up().await,
            Fault::SlowLeak => self.restart(incident.component).await,
            Fault::MisconfiguredPolicy => self.baseline().await,
            Fault::HotShard => self.rebalance().await,
            Fault::BadConfiguration => {
                let prior = self.outside.lock().truth()["prior_settings"].clone();
                self.apply(json!({"action": "update_configuration", "settings": prior})).await;
            }
            Fault::RetryStorm => {
                // Above the base load of 900/s, so that only retries are turned away once the queue is worked off.
                self.apply(json!({
                    "action": "throttle_requests", "rate_limit": 1000.0, "duration_seconds": 300
                }))
                .await;
            }
            Fault::TransientBlip | Fault::TelemetryGap | Fault::SharedShock => {}
        }
    }

    async fn restart(&mut self, service: Option<&str>) {
        let service = service.unwrap_or("all");
        let body = json!({"graceful": true, "timeout": 30, "service": service});
        self.post("committee/restart", &body).await;
    }

    /// By half, as the loop's own default.
    async fn scale_up(&mut self) {
        let state = self.outside.lock().charter(&service::Request::get("/api/v1/committee/state"));
        let present = state.json()["replicas"].as_u64().expect("replicas");
        let replicas = (present * 3).div_ceil(2).min(20);
        self.post("committee/scale", &json!({"replicas": replicas})).await;
    }

    async fn rebalance(&mut self) {
        self.apply(json!({"action": "rebalance_load", "strategy": "least_loaded"})).await;
    }

    async fn baseline(&mut self) {
        self.apply(json!({"action": "apply_policy", "policy_set": "baseline"})).await;
    }

    async fn apply(&mut self, policy: Value) {
        let now = self.outside.lock().now();
        let body = json!({"policy": policy, "timestamp": time(EPOCH + now), "source": "runbook"});
        self.post("policies/apply", &body).await;
    }

    async fn post(&mut self, call: &str, body: &Value) {
        self.calls += 1;
        let request = self.network.client().post(format!("http://charter:8000/api/v1/{call}"));
        let request = request
            .header("idempotency-key", format!("reflex-{}", self.calls))
            .timeout(Duration::from_secs(30))
            .json(body)
            .build()
            .expect("a request");
        let answer = self.network.send(request).await.expect("a network in order");
        assert!(answer.status().is_success(), "{call} {body}: {}", answer.status());
    }
}

/// Of a finding about one service; none: Charter as a whole.
fn service_of(finding: &Finding) -> Option<String> {
    match finding.rule {
        "failure_rate" => finding.labels.get("component").cloned(),
        _ => None,
    }
}

fn cause(rule: &str) -> &'static str {
    match rule {
        "validation_latency" => "validation_latency",
        "failure_rate" => "system_overload",
        _ => "policy_misconfiguration",
    }
}
