//! The window of a counter rule after an action.

use mape_k::domain::reading::CounterBaseline;
use mape_k::domain::target::Target;
use mape_k::domain::time::Time;
use mape_k::domain::time::after;
use mape_k::monitor::settings::shipped_rules;
use mape_k::monitor::window::{Windows, window, windows};
use std::time::Duration;

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
    let mape_k::domain::rule::Measure::Metric(metric) = &rule.measure else {
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
