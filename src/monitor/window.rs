//! The window over which a counter rule looks back: its own, or what has passed since an action settled.
//!
//! An increase from before the end of settle would spoil a result or start a second action. Pure; the generated
//! PromQL and the scrape's ring both use it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::reading::CounterBaseline;
use crate::domain::rule::{ComponentFrom, IDENTITY_LABELS, MetricRule, Rule};
use crate::domain::target::Target;
use crate::domain::time::{Time, since};

/// Under this many poll intervals `increase` has too few samples to say anything.
const LEAST_POLLS: u32 = 3;

/// The window of each of a rule's series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// For every series that no entry of `narrowed` names.
    pub base: Duration,
    /// The label that holds the component, and the components whose window is narrower.
    pub narrowed: Option<Narrowed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrowed {
    pub label: String,
    pub components: BTreeMap<String, Duration>,
}

impl Windows {
    #[must_use]
    pub fn of(&self, label_value: impl Fn(&str) -> Option<String>) -> Duration {
        self.narrowed
            .as_ref()
            .and_then(|narrowed| {
                let component = label_value(&narrowed.label)?;
                narrowed.components.get(&component).copied()
            })
            .unwrap_or(self.base)
    }
}

/// The smaller of `increase_over` and the time since settled, never under three poll intervals (nor over the rule's own).
#[must_use]
pub fn window(increase_over: Duration, settled_at: Time, now: Time, poll: Duration) -> Duration {
    since(now, settled_at).max(poll * LEAST_POLLS).min(increase_over)
}

/// The windows of one counter rule. Where several baselines belong to a series' target the latest counts; one that lies
/// ahead is not settled yet and counts for nothing.
#[must_use]
pub fn windows(
    rule: &Rule,
    metric: &MetricRule,
    increase_over: Duration,
    baselines: &[CounterBaseline],
    now: Time,
    poll: Duration,
) -> Windows {
    let latest = |covers: &dyn Fn(&Target) -> bool| {
        baselines
            .iter()
            .filter(|b| b.settled_at <= now && covers(&b.target))
            .map(|b| b.settled_at)
            .max()
    };
    let narrow = |settled: Option<Time>| {
        settled.map_or(increase_over, |at| window(increase_over, at, now, poll))
    };
    let fixed = match &rule.component {
        ComponentFrom::Fixed(name) => Some(name.as_str()),
        ComponentFrom::Label(_) => None,
    };
    let base = narrow(latest(&|target| target.covers(fixed)));
    let narrowed = component_label(rule, metric).and_then(|label| {
        let components: BTreeMap<String, Duration> = baselines
            .iter()
            .filter_map(|baseline| match &baseline.target {
                Target::Charter(None) => None,
                target => Some(target.component().to_owned()),
            })
            .map(|service| {
                let within = narrow(latest(&|target| target.covers(Some(&service))));
                (service, within)
            })
            .filter(|(_, window)| *window != base)
            .collect();
        let label = label.to_owned();
        (!components.is_empty()).then_some(Narrowed { label, components })
    });
    Windows { base, narrowed }
}

/// The label of the answered series that holds their component, if they keep it.
fn component_label<'a>(rule: &'a Rule, metric: &MetricRule) -> Option<&'a str> {
    let ComponentFrom::Label(label) = &rule.component else { return None };
    let kept = metric.aggregate.is_none()
        || metric.by.contains(label)
        || IDENTITY_LABELS.contains(&label.as_str());
    kept.then_some(label.as_str())
}
