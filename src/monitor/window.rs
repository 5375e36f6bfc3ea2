//! The window over which a counter rule looks back: its own, or what has passed since an action settled.
//!
//! An increase from before the end of settle would spoil a verdict or start a second action. Pure; the generated
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

/// The windows of one counter rule. Where several baselines lie on a series' ground the latest counts; one that lies
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::after;
    use crate::monitor::settings::shipped_rules;

    const POLL: Duration = Duration::from_secs(30);
    const FIVE_MINUTES: Duration = Duration::from_secs(300);

    fn start() -> Time {
        Time::from_timestamp(1_700_000_000, 0).expect("a valid time")
    }

    fn at(seconds: u64) -> Time {
        after(start(), Duration::from_secs(seconds))
    }

    fn settled(target: Target, seconds: u64) -> CounterBaseline {
        CounterBaseline { target, settled_at: at(seconds) }
    }

    fn of_counter_rule(baselines: &[CounterBaseline], now: Time) -> Windows {
        let rules = shipped_rules();
        let rule = &rules[3];
        let crate::domain::rule::Measure::Metric(metric) = &rule.measure else {
            panic!("a metric rule")
        };
        windows(rule, metric, FIVE_MINUTES, baselines, now, POLL)
    }

    #[test]
    fn a_window_grows_from_three_polls_to_the_rules_own() {
        let over = |now| window(FIVE_MINUTES, at(0), at(now), POLL);
        assert_eq!(over(0), Duration::from_secs(90));
        assert_eq!(over(89), Duration::from_secs(90));
        assert_eq!(over(120), Duration::from_secs(120));
        assert_eq!(over(300), FIVE_MINUTES);
        assert_eq!(over(4000), FIVE_MINUTES);
        assert_eq!(window(Duration::from_secs(60), at(0), at(5), POLL), Duration::from_secs(60));
    }

    #[test]
    fn an_action_on_charter_narrows_every_series_and_the_latest_counts() {
        let baselines = [settled(Target::Charter(None), 0), settled(Target::Charter(None), 100)];
        let windows = of_counter_rule(&baselines, at(250));
        assert_eq!(windows, Windows { base: Duration::from_secs(150), narrowed: None });
    }

    #[test]
    fn an_action_on_one_service_narrows_only_its_series() {
        let windows = of_counter_rule(&[settled(Target::service("p1"), 0)], at(120));
        assert_eq!(windows.base, FIVE_MINUTES);
        let named = |value: &'static str| windows.of(move |_| Some(value.to_owned()));
        assert_eq!(named("p1"), Duration::from_secs(120));
        assert_eq!(named("p2"), FIVE_MINUTES);
        assert_eq!(windows.of(|_| None), FIVE_MINUTES);
    }

    #[test]
    fn what_is_not_settled_yet_narrows_nothing() {
        let windows = of_counter_rule(&[settled(Target::Charter(None), 500)], at(100));
        assert_eq!(windows, Windows { base: FIVE_MINUTES, narrowed: None });
    }
}
