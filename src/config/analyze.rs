//! The `analyze` section: the five detectors and flapping.

use std::sync::Arc;
use std::time::Duration;

use super::reader::{Section, nearest};
use super::values::{boolean, count, duration_or_zero, number, positive, share, text};
use crate::analyzer::settings::{
    Causal, Flapping, Frequency, Settings, Spatial, Sustained, Temporal,
};
use crate::domain::rule::Rule;

/// Onsets and violations asked for: more would never be reached, and would be a disguised `enabled: false`.
const MOST: usize = 100_000;
/// Points or cycles kept per series.
const LONGEST_SERIES: usize = 10_000;
/// The causal detector compares first differences at lags 0 to 4.
const LAGS: usize = 4;

pub(super) fn read(
    mut section: Section<'_>,
    rules: &[Arc<Rule>],
    loop_interval: Duration,
    charter: bool,
) -> Settings {
    let mut settings = Settings::default();
    section.read("pattern_history_limit", &mut settings.pattern_history_limit, count(1..=MOST));
    let mut detectors = section.section("algorithms");
    let algorithms = &mut settings.algorithms;
    temporal(detectors.section("temporal"), &mut algorithms.temporal, loop_interval);
    spatial(detectors.section("spatial"), &mut algorithms.spatial);
    causal(detectors.section("causal"), &mut algorithms.causal, rules, charter);
    frequency(detectors.section("frequency"), &mut algorithms.frequency, loop_interval);
    sustained(detectors.section("sustained"), &mut algorithms.sustained);
    flapping(section.section("flapping"), &mut settings.flapping);
    settings
}

fn temporal(mut section: Section<'_>, temporal: &mut Temporal, loop_interval: Duration) {
    section.read("enabled", &mut temporal.enabled, boolean);
    section.read("sensitivity", &mut temporal.sensitivity, share);
    section.read("window", &mut temporal.window, positive);
    section.read("min_onsets", &mut temporal.min_onsets, count(1..=MOST));
    warn_short_window(&section, temporal.window, loop_interval);
}

fn spatial(mut section: Section<'_>, spatial: &mut Spatial) {
    section.read("enabled", &mut spatial.enabled, boolean);
    section.read("sensitivity", &mut spatial.sensitivity, share);
    section.read("min_violations", &mut spatial.min_violations, count(1..=MOST));
}

fn causal(mut section: Section<'_>, causal: &mut Causal, rules: &[Arc<Rule>], charter: bool) {
    section.read("enabled", &mut causal.enabled, boolean);
    section.read("sensitivity", &mut causal.sensitivity, share);
    section.read("correlation_threshold", &mut causal.correlation_threshold, number(0.01..=1.0));
    section.read("latency", &mut causal.latency, text);
    section.read("failure", &mut causal.failure, text);
    section.read("window", &mut causal.window, count(1..=LONGEST_SERIES));
    section.read("min_points", &mut causal.min_points, count(3..=LONGEST_SERIES));
    if causal.min_points > causal.window {
        section.error(
            "min_points",
            format!(
                "{} points are never collected: window keeps {}; accepted: min_points up to window",
                causal.min_points, causal.window
            ),
        );
    } else if causal.min_points <= LAGS + 2 {
        section.warn("min_points", "so few points correlate by chance; 12 is the default");
    }
    // It reads Charter's series alone.
    if !causal.enabled || !charter {
        return;
    }
    let shipped = Causal::default();
    for (key, name, default) in [
        ("latency", &causal.latency, shipped.latency),
        ("failure", &causal.failure, shipped.failure),
    ] {
        match no_such_rule(name, rules) {
            // The user's own rules replaced the shipped ones.
            Some(text) if *name == default => {
                section.warn(key, format!("{text}: the causal detector never fires"));
            }
            Some(text) => section.error(key, text),
            None => {}
        }
    }
}

fn frequency(mut section: Section<'_>, frequency: &mut Frequency, loop_interval: Duration) {
    section.read("enabled", &mut frequency.enabled, boolean);
    section.read("sensitivity", &mut frequency.sensitivity, share);
    section.read("anomaly_threshold", &mut frequency.anomaly_threshold, count(1..=MOST));
    section.read("window", &mut frequency.window, positive);
    warn_short_window(&section, frequency.window, loop_interval);
}

fn sustained(mut section: Section<'_>, sustained: &mut Sustained) {
    section.read("enabled", &mut sustained.enabled, boolean);
    section.read("sensitivity", &mut sustained.sensitivity, share);
    section.read("cycles", &mut sustained.cycles, count(1..=LONGEST_SERIES));
    section.read("of", &mut sustained.of, count(1..=LONGEST_SERIES));
    if sustained.cycles > sustained.of {
        section.error(
            "cycles",
            format!(
                "{} of the last {} cycles is impossible; accepted: cycles up to of",
                sustained.cycles, sustained.of
            ),
        );
    }
}

fn flapping(mut section: Section<'_>, flapping: &mut Flapping) {
    section.read("returns", &mut flapping.returns, count(1..=MOST));
    section.read("window", &mut flapping.window, positive);
    section.read("clear", &mut flapping.clear, duration_or_zero);
    section.read("quiet", &mut flapping.quiet, duration_or_zero);
}

fn warn_short_window(section: &Section<'_>, window: Duration, loop_interval: Duration) {
    if window < loop_interval {
        section.warn(
            "window",
            "shorter than orchestrator.loop_interval: only what begins in one cycle is counted",
        );
    }
}

/// The error's text when no rule has this name.
pub(super) fn no_such_rule(name: &str, rules: &[Arc<Rule>]) -> Option<String> {
    if rules.iter().any(|rule| rule.name == name) {
        return None;
    }
    let names: Vec<_> = rules.iter().map(|rule| rule.name.as_str()).collect();
    Some(match nearest(name, &names) {
        Some(near) => format!("there is no rule {name:?}; did you mean {near}?"),
        None => format!("there is no rule {name:?} in monitor.metrics or monitor.queries"),
    })
}
