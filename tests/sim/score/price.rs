//! The one unit of the scorecard, bad-minutes: what counts as bad, and what a change to Charter costs.
//!
//! Chosen before the first result was seen.

use mape_k::domain::action::ActionKind;
use serde_json::Value;

/// Seconds between two looks at the truth.
pub const STEP: f64 = 15.0;

/// Bad-minutes for one unit of the configured cost: a scale_up 1.5, a restart 2, a throttle 4, an override 6.
const PER_COST: f64 = 10.0;

/// A minute in which nobody orders or validates is half a bad one.
const UNGUARDED: f64 = 0.5;

/// The shipped rules' limits, held against the truth.
const FAILING: f64 = 0.10;
const WAITING: f64 = 1.0;

/// The truth at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub at: f64,
    /// Over 10 % of some service's operations fail, or one waits for over a second.
    pub bad: bool,
    /// Share of the operations that fail, over all services.
    pub failing: f64,
    /// Bad-minutes that the policies in force cost in this step.
    pub side: f64,
}

impl Sample {
    pub fn of(at: f64, truth: &Value) -> Self {
        let services = truth["components"].as_array().expect("components");
        let number = |service: &Value, key: &str| service[key].as_f64().expect("a number");
        let failing: Vec<f64> =
            services.iter().map(|service| number(service, "failure_rate")).collect();
        let bad = failing.iter().any(|share| *share > FAILING)
            || services.iter().any(|service| number(service, "oldest_wait_seconds") > WAITING);
        let offered = truth["offered_ops_per_sec"].as_f64().expect("a number");
        let policies = truth["policies"].as_array().expect("policies");
        let side = policies.iter().map(|policy| match policy["action"].as_str() {
            // Who is turned away has as bad a minute as who is failed.
            Some("throttle_requests") => {
                let limit = policy["rate_limit"].as_f64().expect("a rate");
                (1.0 - limit / offered.max(1.0)).max(0.0)
            }
            Some("bypass_validation" | "activate_emergency_override") => UNGUARDED,
            _ => 0.0,
        });
        Self {
            at,
            bad,
            failing: failing.iter().sum::<f64>() / failing.len() as f64,
            side: side.sum::<f64>() * STEP / 60.0,
        }
    }
}

/// A change that took effect at Charter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    pub at: f64,
    pub price: f64,
}

impl Change {
    /// Of a line of Charter's own audit; none for a read, a refusal or a repeat.
    pub fn of(entry: &Value) -> Option<Self> {
        let effect = entry["effect"].as_str()?;
        let path = entry["path"].as_str().expect("a path");
        let kind = if path.ends_with("/scale") {
            let (from, to) = effect.trim_start_matches("replicas ").split_once(" -> ")?;
            let grows = to.parse::<u32>().ok()? > from.parse::<u32>().ok()?;
            if grows { ActionKind::ScaleUp } else { ActionKind::ScaleDown }
        } else if path.ends_with("/restart") {
            ActionKind::RestartService
        } else if path.ends_with("/rollback") {
            // Taking back is as cheap as the cheapest action.
            ActionKind::ScaleDown
        } else {
            let name = entry["body"]["policy"]["action"].clone();
            serde_json::from_value(name).expect("one of the nine actions")
        };
        let at = chrono::DateTime::parse_from_rfc3339(entry["at"].as_str().expect("a time"));
        let at = at.expect("RFC 3339").timestamp_millis() as f64 / 1000.0;
        Some(Self { at, price: kind.default_cost() * PER_COST })
    }
}
