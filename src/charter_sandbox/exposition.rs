//! What Charter exports, in the Prometheus text format, computed from the plant's state alone.
//!
//! Written by hand because the summaries carry quantiles that the plant computes, which a client library has no type for.
//! Every label set is there from the first scrape.

use std::fmt::Write as _;

use super::plant::{Component, LatencyQuantiles, Plant, ValidationType};
use super::plant::{DECISION_SECONDS, HANDLING_SECONDS};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const PREFIX: &str = "westworld_charter_";
const COMMITTEE: &str = "main";

/// Renders all families; nothing at all while the telemetry is gone.
pub(super) fn render(plant: &Plant) -> String {
    if plant.telemetry_is_gone() {
        return String::new();
    }
    let mut page = Page(String::new());
    latencies(&mut page, plant);
    gauges(&mut page, plant);
    counters(&mut page, plant);
    page.0
}

fn latencies(page: &mut Page, plant: &Plant) {
    let cutoff = plant.settings.operation_timeout_ms / 1_000.0;
    let name = "validation_latency_seconds";
    page.family(
        name,
        "summary",
        "Time from arrival to the end of a validation, over the last 30 seconds.",
    );
    for kind in ValidationType::ALL {
        let quantiles = if plant.policies.is_bypassed(kind) {
            NOTHING_MEASURED
        } else {
            plant.services[Component::Validator.index()].window.latency(kind.mean_seconds(), cutoff)
        };
        let labels = format!("validation_type=\"{}\"", kind.name());
        page.summary(name, &labels, quantiles, plant.totals.validations[kind as usize]);
    }
    let name = "enforcement_latency_seconds";
    page.family(
        name,
        "summary",
        "Time from arrival to the end of an enforcement, over the last 30 seconds.",
    );
    let quantiles =
        plant.services[Component::Enforcer.index()].window.latency(HANDLING_SECONDS, cutoff);
    page.summary(name, "", quantiles, plant.totals.enforcements);
    let name = "committee_decision_duration_seconds";
    page.family(
        name,
        "summary",
        "Time the committee takes to order an operation, over the last 30 seconds.",
    );
    let labels = format!("committee_id=\"{COMMITTEE}\"");
    page.summary(name, &labels, plant.decisions.latency(DECISION_SECONDS), plant.totals.decisions);
}

/// A summary that has observed nothing in its window.
const NOTHING_MEASURED: LatencyQuantiles = LatencyQuantiles { p50: 0.0, p95: 0.0, p99: 0.0 };

fn gauges(page: &mut Page, plant: &Plant) {
    let name = "failure_rate";
    page.family(
        name,
        "gauge",
        "Share of a component's answers that were errors, over the last 30 seconds.",
    );
    for component in Component::ALL {
        let rate = plant.services[component.index()].window.failure_rate();
        page.sample(name, &format!("component=\"{}\"", component.name()), rate);
    }
    let name = "throughput_ops_per_sec";
    page.family(
        name,
        "gauge",
        "Operations a component serves per second, over the last 30 seconds.",
    );
    for component in Component::ALL {
        let rate = plant.services[component.index()].window.throughput();
        page.sample(name, &format!("component=\"{}\"", component.name()), rate);
    }
    page.family("committee_size", "gauge", "Replicas of the committee, booting ones included.");
    page.sample("committee_size", "", f64::from(plant.nodes.count()));
    page.family("emergency_override_active_count", "gauge", "Emergency overrides in force.");
    let overrides = u8::from(plant.policies.override_is_active());
    page.sample("emergency_override_active_count", "", f64::from(overrides));
}

fn counters(page: &mut Page, plant: &Plant) {
    let totals = &plant.totals;
    let severities =
        [("critical", &totals.critical_violations), ("warning", &totals.warning_violations)];
    let name = "policy_violations_total";
    page.family(name, "counter", "Violations reported, by policy.");
    for (severity, counts) in severities {
        for component in Component::ALL {
            let (id, title) = component.policy();
            let labels =
                format!("severity=\"{severity}\",policy_id=\"{id}\",policy_name=\"{title}\"");
            page.sample(name, &labels, counts[component.index()] as f64);
        }
    }
    let name = "enforcement_actions_total";
    page.family(
        name,
        "counter",
        "Operations denied by policy or shed by a throttle, and instances restarted.",
    );
    for (action, counts) in
        [("deny", &totals.denied), ("shed", &totals.shed), ("restart", &totals.restarts)]
    {
        for component in Component::ALL {
            let labels =
                format!("action_type=\"{action}\",node_or_service=\"{}\"", component.name());
            // Whole operations only: the plant's flow is fluid, a counter of actions is not.
            page.sample(name, &labels, counts[component.index()].floor());
        }
    }
    let name = "audit_committee_notifications_total";
    page.family(name, "counter", "Violations of which the audit committee was notified.");
    for (severity, counts) in severities {
        page.sample(name, &format!("severity=\"{severity}\""), counts.iter().sum::<u64>() as f64);
    }
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {PREFIX}{name} {help}"));
        self.line(format_args!("# TYPE {PREFIX}{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        if labels.is_empty() {
            self.line(format_args!("{PREFIX}{name} {value}"));
        } else {
            self.line(format_args!("{PREFIX}{name}{{{labels}}} {value}"));
        }
    }

    fn summary(
        &mut self,
        name: &str,
        labels: &str,
        quantiles: LatencyQuantiles,
        (count, sum): (f64, f64),
    ) {
        let comma = if labels.is_empty() { "" } else { "," };
        for (quantile, value) in
            [("0.5", quantiles.p50), ("0.95", quantiles.p95), ("0.99", quantiles.p99)]
        {
            self.sample(name, &format!("{labels}{comma}quantile=\"{quantile}\""), value);
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, count.floor());
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{text}");
    }
}
