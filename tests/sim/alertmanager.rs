//! Alerting as users have it: the shipped rules over Prometheus, and an Alertmanager that lists what fires and posts
//! its payloads to the webhook.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _};
use mape_k::domain::Labels;
use serde_json::{Value, json};

use super::prometheus::Prometheus;

const GROUP_WAIT: f64 = 10.0;

/// name, expression, above, for, severity, rule, label that becomes `component`
pub type Rule =
    (&'static str, &'static str, f64, f64, &'static str, &'static str, Option<&'static str>);

/// config/rules/charter.yml, as far as an alert of it can lead to an action.
pub const RULES: [Rule; 3] = [
    (
        "CharterValidationLatencyHigh",
        "max by (validation_type) (westworld_charter_validation_latency_seconds{quantile=\"0.95\"})",
        1.0,
        60.0,
        "warning",
        "validation_latency",
        None,
    ),
    (
        "CharterFailureRateHigh",
        "westworld_charter_failure_rate",
        0.10,
        60.0,
        "warning",
        "failure_rate",
        None,
    ),
    (
        "CharterCriticalPolicyViolations",
        "sum by (policy_id) (increase(westworld_charter_policy_violations_total{severity=\"critical\"}[300s]))",
        0.0,
        0.0,
        "critical",
        "critical_policy_violations",
        Some("policy_id"),
    ),
];

pub struct Alertmanager {
    /// By name and labels: since when its expression holds, and whether its payload is posted.
    pending: BTreeMap<(String, Labels), Pending>,
    up_since: f64,
}

#[derive(Clone, Copy)]
struct Pending {
    fires_at: f64,
    posted: bool,
}

impl Default for Alertmanager {
    fn default() -> Self {
        // It was there long before us.
        Self { pending: BTreeMap::new(), up_since: -86_400.0 }
    }
}

impl Alertmanager {
    pub fn restart(&mut self, now: f64) {
        self.pending.clear();
        self.up_since = now;
    }

    /// Evaluates the rules; returns the payloads to post.
    pub fn evaluate(&mut self, prometheus: &Prometheus, now: f64, epoch: f64) -> Vec<Value> {
        let mut holds = BTreeMap::new();
        for (name, expression, above, wait, severity, rule, component) in RULES {
            for (mut labels, value) in prometheus.instant(expression, now) {
                if value.is_nan() || value <= above {
                    continue;
                }
                for (label, text) in [("alertname", name), ("severity", severity), ("rule", rule)] {
                    labels.insert(label.to_owned(), text.to_owned());
                }
                if rule == "validation_latency" {
                    labels.insert("component".to_owned(), "charter".to_owned());
                } else if let Some(policy) = component.and_then(|label| labels.get(label)).cloned()
                {
                    labels.insert("component".to_owned(), policy);
                }
                holds.insert((name.to_owned(), labels), wait);
            }
        }
        let mut payloads = Vec::new();
        self.pending.retain(|key, pending| {
            let keep = holds.contains_key(key);
            if !keep && pending.posted {
                payloads.push(payload("resolved", &key.1, pending.fires_at, epoch));
            }
            keep
        });
        for (key, wait) in holds {
            let fresh = Pending { fires_at: now + wait, posted: false };
            let pending = self.pending.entry(key.clone()).or_insert(fresh);
            if !pending.posted && now >= pending.fires_at + GROUP_WAIT {
                pending.posted = true;
                payloads.push(payload("firing", &key.1, pending.fires_at, epoch));
            }
        }
        payloads
    }

    fn firing(&self, now: f64) -> impl Iterator<Item = (&Labels, &Pending)> {
        self.pending
            .iter()
            .filter(move |(_, pending)| now >= pending.fires_at)
            .map(|((_, labels), pending)| (labels, pending))
    }

    /// Rules of which an alert fires.
    pub fn named(&self, now: f64) -> BTreeSet<String> {
        self.firing(now).filter_map(|(labels, _)| labels.get("rule").cloned()).collect()
    }

    pub fn list(&self, now: f64, epoch: f64) -> Value {
        let alerts = self.firing(now).map(|(labels, pending)| {
            json!({
                "fingerprint": fingerprint(labels), "startsAt": time(epoch + pending.fires_at), "labels": labels,
                "annotations": {}, "receivers": [{"name": "mape-k"}],
                "status": {"state": "active", "silencedBy": [], "inhibitedBy": []}
            })
        });
        json!(alerts.collect::<Vec<_>>())
    }

    /// As 0.28 answers: nothing is muted.
    pub fn groups(&self, now: f64, epoch: f64) -> Value {
        let mut alerts = self.list(now, epoch);
        for alert in alerts.as_array_mut().expect("a list") {
            alert["status"]["mutedBy"] = json!([]);
        }
        json!([{"labels": {}, "receiver": {"name": "mape-k"}, "alerts": alerts}])
    }

    pub fn status(&self, epoch: f64) -> Value {
        json!({"uptime": time(epoch + self.up_since), "cluster": {}})
    }
}

pub fn payload(status: &str, labels: &Labels, since: f64, epoch: f64) -> Value {
    json!({
        "version": "4", "receiver": "mape-k", "status": status, "alerts": [{
            "status": status, "labels": labels, "annotations": {}, "startsAt": time(epoch + since),
            "endsAt": "0001-01-01T00:00:00Z", "fingerprint": fingerprint(labels),
        }]
    })
}

/// 16 hexadecimal digits, as Alertmanager's own.
fn fingerprint(labels: &Labels) -> String {
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

pub fn time(seconds: f64) -> String {
    (DateTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)).trunc_subsecs(3).to_rfc3339()
}
