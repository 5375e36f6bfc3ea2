//! The rules: `monitor.metrics` and `monitor.queries`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::duration;
use super::monitor::labels;
use super::reader::{Item, Section};
use super::target;
use super::values::{any_number, cause, label_name, metric_name, one_of, positive, severity, text};
use crate::domain::rule::{
    Aggregate, Comparison, ComponentFrom, IDENTITY_LABELS, Measure, MetricRule, Rule, Severity,
};
use crate::domain::target::TargetLabels;
use crate::monitor::settings::{MetricsSource, Settings, shipped_rules};

const COMPARISONS: &[(&str, Comparison)] = &[
    ("gt", Comparison::Gt),
    ("ge", Comparison::Ge),
    ("lt", Comparison::Lt),
    ("le", Comparison::Le),
];

const AGGREGATES: &[(&str, Aggregate)] = &[
    ("max", Aggregate::Max),
    ("sum", Aggregate::Sum),
    ("avg", Aggregate::Avg),
    ("min", Aggregate::Min),
];

/// The rules of the configuration, metrics first. Without the key `metrics`, or with null, the shipped ones apply where there
/// is what they are about (`charter`) and something to read it from; an empty list is no rules.
pub(super) fn read(
    section: &mut Section<'_>,
    settings: &Settings,
    charter: bool,
) -> Vec<Arc<Rule>> {
    let (source, poll_interval) = (settings.source, settings.poll_interval);
    let shipped = charter && settings.server().is_some();
    let metrics = section.list_or_null("metrics");
    if shipped && metrics.as_ref().is_some_and(Vec::is_empty) {
        section.warn(
            "metrics",
            "an empty list: the shipped rules about Charter do not apply. Leave the key out to have them",
        );
    }
    let queries = section.list("queries").unwrap_or_default();
    if source == MetricsSource::Scrape && !queries.is_empty() {
        section.error(
            "queries",
            "not with source scrape, which cannot evaluate PromQL; accepted: rules of metrics",
        );
    }
    let mut rules = if shipped && metrics.is_none() { shipped_rules() } else { Vec::new() };
    let mut names: BTreeSet<String> = rules.iter().map(|rule| rule.name.clone()).collect();
    for item in metrics.unwrap_or_default() {
        rules.extend(rule(item, &mut names, |section| metric(section, poll_interval)));
    }
    for item in queries {
        rules.extend(rule(item, &mut names, query));
    }
    if settings.server().is_none() && !rules.is_empty() {
        section.error(
            "prometheus_url",
            "null, so that nothing reads the rules of metrics and queries; accepted: a URL, or no rules",
        );
    } else if settings.server().is_some() && rules.is_empty() {
        section
            .warn_here("no rules in metrics and queries: mape-k concludes nothing from its series");
    }
    rules
}

/// What all rules share; None when something needed is missing or wrong, which has been reported.
fn rule(
    item: Item<'_>,
    names: &mut BTreeSet<String>,
    measure: impl Fn(&mut Section<'_>) -> Option<Measure>,
) -> Option<Arc<Rule>> {
    let mut section = item.into_section()?;
    let name = section.required("name", text);
    if let Some(name) = &name
        && !names.insert(name.clone())
    {
        section.error("name", format!("{name:?} is the name of another rule already"));
    }
    let measure = measure(&mut section);
    let mut level = Severity::Warning;
    section.read("severity", &mut level, severity);
    let (mut fixed, mut label) = (None, None);
    section.optional("component", &mut fixed, text);
    section.optional("component_label", &mut label, label_name);
    let component = match (fixed, label) {
        (Some(_), Some(_)) => {
            section.error("component_label", "given beside component; accepted: one of the two");
            return None;
        }
        (Some(fixed), None) => ComponentFrom::Fixed(fixed),
        (None, label) => ComponentFrom::Label(label.unwrap_or_else(|| "component".to_owned())),
    };
    let mut names_cause = None;
    section.optional("cause", &mut names_cause, cause);
    let target = target::read(&mut section);
    if let (Some(target), Some(Measure::Metric(metric))) = (&target, &measure) {
        check_target(&section, target, metric);
    }
    Some(Arc::new(Rule {
        target,
        name: name?,
        measure: measure?,
        severity: level,
        component,
        cause: names_cause,
    }))
}

/// What an aggregate does not keep, no series carries.
fn check_target(section: &Section<'_>, target: &TargetLabels, metric: &MetricRule) {
    if metric.aggregate.is_none() {
        return;
    }
    for label in target.namespace_label.iter().chain([&target.name_label]) {
        let exported = format!("exported_{label}");
        let is_kept = |kept: &&str| *kept == label || *kept == exported;
        if !metric.by.iter().map(String::as_str).chain(IDENTITY_LABELS).any(|kept| is_kept(&kept)) {
            section.error(
                "by",
                format!("does not keep label {label}, which target needs; accepted: with it"),
            );
        }
    }
}

fn metric(section: &mut Section<'_>, poll_interval: Duration) -> Option<Measure> {
    let metric = section.required("metric", metric_name);
    let labels = section.map("labels").map(labels).unwrap_or_default();
    let mut aggregate = None;
    section.optional("aggregate", &mut aggregate, one_of(AGGREGATES));
    let by: Vec<String> = section
        .list("by")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|item| item.parse(label_name))
        .collect();
    if aggregate.is_none() && !by.is_empty() {
        section.error("by", "without aggregate; accepted: beside aggregate max, sum, avg or min");
    }
    let mut increase_over = None;
    section.optional("increase_over", &mut increase_over, positive);
    if let Some(window) = increase_over {
        check_window(section, window, poll_interval);
    }
    let comparison = section.required("comparison", one_of(COMPARISONS));
    let threshold = section.required("threshold", any_number);
    Some(Measure::Metric(MetricRule {
        metric: metric?,
        labels,
        aggregate,
        by,
        increase_over,
        comparison: comparison?,
        threshold: threshold?,
    }))
}

/// An increase needs two samples; with fewer than three poll intervals one late sample hides it.
fn check_window(section: &Section<'_>, window: Duration, poll_interval: Duration) {
    if window < 2 * poll_interval {
        section.error(
            "increase_over",
            format!(
                "{} holds less than two samples of monitor.poll_interval {}; accepted: 2 of them or more",
                duration::show(window),
                duration::show(poll_interval)
            ),
        );
    } else if window < 3 * poll_interval {
        let text = "shorter than 3 monitor.poll_intervals: one late sample hides an increase";
        section.warn("increase_over", text);
    }
}

fn query(section: &mut Section<'_>) -> Option<Measure> {
    let promql = section.required("promql", text);
    let (mut comparison, mut threshold, mut present) = (None, None, None);
    section.optional("comparison", &mut comparison, one_of(COMPARISONS));
    section.optional("threshold", &mut threshold, any_number);
    section.optional("present", &mut present, text);
    let given = |key| section.is_given(key);
    match (given("comparison"), given("threshold")) {
        (true, false) => section.error("comparison", "without threshold; accepted: both or none"),
        (false, true) => section.error("threshold", "without comparison; accepted: both or none"),
        (true, true) if given("present") => section.error(
            "present",
            "beside a threshold, where an empty answer is missing data by itself; accepted: one of the two",
        ),
        (false, false) if present.is_none() => section.warn_here(
            "a bare condition without present: its empty answer never clears a violation or verifies an action",
        ),
        (true, true) | (false, false) => {}
    }
    let promql = promql?;
    match (comparison, threshold) {
        (Some(comparison), Some(threshold)) => {
            Some(Measure::Query { promql, comparison, threshold })
        }
        _ => Some(Measure::Condition { promql, present }),
    }
}
