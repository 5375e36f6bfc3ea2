//! A broken rule's series as a violation, with the sentence that people read of it.

use uuid::Uuid;

use crate::domain::Labels;
use crate::domain::legible;
use crate::domain::reading::{Point, Source};
use crate::domain::rule::Rule;
use crate::domain::target::Systems;
use crate::domain::time::Time;
use crate::domain::violation::Violation;

pub(super) fn violation(
    source: Source,
    rule: &Rule,
    point: &Point,
    fp: &str,
    now: Time,
    systems: &Systems,
) -> Violation {
    let (comparison, threshold) = rule.limit();
    let component = rule.component.of(&point.labels);
    Violation {
        id: Uuid::nil(),
        fingerprint: fp.to_owned(),
        severity: rule.severity,
        source,
        rule: rule.name.clone(),
        metric: rule.metric_name().to_owned(),
        value: Some(point.value),
        threshold: Some(threshold),
        comparison: Some(comparison),
        description: description(rule, &point.labels, component.as_deref(), point.value),
        target: systems.target(component.as_deref(), &point.labels, rule.target.as_ref()),
        component,
        labels: point.labels.clone(),
        cause: rule.cause.clone(),
        detected_at: now,
        active_since: now,
        cleared_at: None,
        flapping: false,
        actionable: true,
        confirmed: false,
        no_evidence: None,
    }
}

/// What a person reads: it names the present value.
pub(super) fn description(
    rule: &Rule,
    labels: &Labels,
    component: Option<&str>,
    value: f64,
) -> String {
    let (comparison, threshold) = rule.limit();
    let place = component.map(|c| format!(" at {}", legible::name(c))).unwrap_or_default();
    let apart = told_apart(labels, component);
    let is = if rule.increase_over().is_some() { "has risen by" } else { "is" };
    format!(
        "{}{place}{apart}: {} {is} {}, breaks at {} {threshold}",
        rule.name,
        rule.metric_name(),
        shown(value),
        comparison.symbol(),
    )
}

/// What distinguishes series of one rule and component, where there is any such label; where it was scraped does not.
fn told_apart(labels: &Labels, component: Option<&str>) -> String {
    let names: Vec<String> = labels
        .iter()
        .filter(|(name, value)| {
            !matches!(name.as_str(), "instance" | "job") && component != Some(value.as_str())
        })
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

/// Four decimals at most, and none that say nothing.
fn shown(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
