//! A09: the causal detector compares the charter-wide worst latency with each component's failures.

use chrono::TimeDelta;
use mape_k::analyzer::Settings;
use mape_k::domain::analysis::PatternKind::Causal;
use mape_k::domain::reading::SeriesHistory;
use mape_k::domain::rule::{ComponentFrom, Rule};
use mape_k::domain::violation::fingerprint;
use mape_k::domain::{CHARTER, Cause};

use super::world::{BROKEN, Cycle, FINE, Series, World, labels, naming, rule, series};

/// Steps of a curve with no rhythm of its own, all below the threshold; the same in every run.
fn curve(i: usize) -> f64 {
    let steps = [3.0, 9.0, 4.0, 14.0, 6.0, 2.0, 11.0, 5.0, 13.0, 1.0, 8.0, 12.0, 7.0, 10.0, 0.0];
    0.1 + steps[i % steps.len()] / 20.0
}

/// The same numbers in another order.
fn shuffled(i: usize) -> f64 {
    curve(i * 7 + 3)
}

fn latency(value: f64) -> Vec<Series> {
    let of = |kind: &str, value| Series { labels: labels(&[("type", kind)]), value, age: 5 };
    // The worst of them is what counts.
    vec![of("good", FINE.min(value)), of("bad", value)]
}

fn watched(world: World) -> World {
    let latency_rule = Rule {
        component: ComponentFrom::Fixed(CHARTER.to_owned()),
        target: None,
        ..naming("validation_latency", Cause::VALIDATION_LATENCY)
    };
    world.watch(latency_rule, latency(FINE)).watch(rule("failure_rate"), vec![series("a", FINE)])
}

fn feed(world: &mut World, points: usize, failure: impl Fn(usize) -> f64) -> Cycle {
    let mut last = None;
    for i in 0..points {
        // Broken at the end, whatever the curve says there.
        let value = curve(i) + if i + 1 == points { 1.0 } else { 0.0 };
        world.answer("validation_latency", latency(value));
        world.answer("failure_rate", vec![series("a", failure(i)), series("b", 0.3)]);
        last = Some(world.cycle());
    }
    last.expect("at least one point")
}

/// Failures that follow the latency `lag` cycles later.
pub fn rising_together(world: World, points: usize, lag: usize) -> World {
    let mut world = watched(world);
    follow(&mut world, points, lag);
    world
}

fn follow(world: &mut World, points: usize, lag: usize) -> Cycle {
    let end = |i: usize| curve(i) + if i + 1 == points { 1.0 } else { 0.0 };
    feed(world, points, |i| if i >= lag { end(i - lag) * 0.4 } else { 0.3 })
}

#[test]
fn a09_series_that_rise_together_are_causal_with_full_confidence() {
    let mut world = watched(World::new());
    let cycle = follow(&mut world, 14, 0);
    let found = cycle.pattern(Causal).expect("r is 1");
    assert_eq!(found.cause.0, Cause::VALIDATION_LATENCY);
    assert_eq!(found.hypothesis, "high latency blocks enforcement");
    // Its evidence names a cause, and it keeps its confidence: it compares two named series.
    let root = cycle.root(Cause::VALIDATION_LATENCY, CHARTER).expect("its root cause");
    assert!((root.confidence - 0.75).abs() < 1e-9);
}

/// What was broken before anything was slow, slowness did not break; twin: both break in the same cycle.
#[test]
fn a09_a_cause_does_not_begin_after_its_effect() {
    for (before, found) in [(0.95, false), (0.45, true)] {
        let mut world = watched(World::new());
        let mut last = None;
        for i in 0..14 {
            let slow = match i {
                12 => before,
                13 => 1.5,
                i => curve(i) * 0.4,
            };
            world.answer("validation_latency", latency(slow));
            // In step, and over the limit of 1 from 0.5 on.
            world.answer("failure_rate", vec![series("a", slow * 2.0), series("b", 0.3)]);
            last = Some(world.cycle());
        }
        assert_eq!(last.expect("cycles").has(Causal), found, "{before}");
    }
}

#[test]
fn a09_failures_may_follow_up_to_four_cycles_later() {
    for (lag, found) in [(1, true), (3, true), (4, true), (5, false)] {
        let mut world = watched(World::new());
        assert_eq!(follow(&mut world, 20, lag).has(Causal), found, "lag {lag}");
    }
}

#[test]
fn a09_shuffled_series_are_not() {
    let mut world = watched(World::new());
    assert!(!feed(&mut world, 20, |i| shuffled(i) * 0.4).has(Causal));
}

#[test]
fn a09_eleven_points_are_too_few_and_twelve_are_enough() {
    let mut world = watched(World::new());
    assert!(!follow(&mut world, 11, 0).has(Causal));
    let mut world = watched(World::new());
    assert!(follow(&mut world, 12, 0).has(Causal));
}

#[test]
fn a09_nothing_is_said_while_neither_of_the_two_is_broken() {
    let mut world = watched(World::new());
    let low = |i| curve(i) * 0.4;
    for i in 0..20 {
        world.answer("validation_latency", latency(low(i)));
        world.answer("failure_rate", vec![series("a", low(i))]);
        assert!(!world.cycle().has(Causal));
    }
    world.answer("validation_latency", latency(low(20)));
    world.answer("failure_rate", vec![series("a", low(20)), series("b", BROKEN)]);
    // Another component's failure does not make this one's correlation matter, nor is its own flat line one.
    assert!(!world.cycle().has(Causal));
}

#[test]
fn a09_a_woken_cycle_adds_no_point() {
    let mut world = watched(World::new());
    follow(&mut world, 11, 0);
    for _ in 0..5 {
        assert!(!world.woken_after(5).has(Causal));
    }
}

/// One range query's answer: both rules over the last `points` cycles.
fn past(world: &World, points: usize) -> Vec<SeriesHistory> {
    let at =
        |i: usize| world.now - TimeDelta::seconds(30 * i64::try_from(points - i).expect("small"));
    let of = |rule: &str, label: (&str, &str), factor: f64| SeriesHistory {
        rule: rule.to_owned(),
        labels: labels(&[label]),
        points: (0..points).map(|i| (at(i), curve(i) * factor)).collect(),
    };
    vec![
        of("validation_latency", ("type", "bad"), 1.0),
        of("failure_rate", ("node", "a"), 2.0),
        // The same component twice: the worst of them counts.
        of("failure_rate", ("node", "a"), 1.0),
    ]
}

#[test]
fn a09_history_fills_the_series_at_the_start_and_after_a_gap() {
    let by_node =
        Rule { component: ComponentFrom::Label("node".to_owned()), ..rule("failure_rate") };
    let node = |value| vec![Series { labels: labels(&[("node", "a")]), value, age: 5 }];
    let mut world = World::new()
        .watch(naming("validation_latency", Cause::VALIDATION_LATENCY), latency(0.95))
        .watch(by_node, node(1.9));
    let wanted = world.tracker.wants_history(world.now).expect("at the start");
    assert_eq!((world.now - wanted).num_seconds(), 20 * 30);
    world.history = past(&world, 15);
    let cycle = world.cycle();
    world.history.clear();
    // Only the component's failures are broken, so it has to be the same component in past and present.
    let found = cycle.pattern(Causal).expect("fifteen points and one of our own");
    assert_eq!(found.evidence, [world.only().fingerprint.clone()]);
    assert_eq!(world.tracker.wants_history(world.now), None);

    // Cycles go on, but nothing can be read: that is a gap too.
    world.outage();
    world.cycles(3);
    assert_eq!(world.tracker.wants_history(world.now), None);
    world.cycle();
    assert!(world.tracker.wants_history(world.now).is_some());
}

#[test]
fn a09_no_history_is_asked_for_where_neither_rule_exists() {
    let mut world = World::with(Settings::default()).watch(rule("other"), vec![series("a", FINE)]);
    world.cycle();
    assert_eq!(world.tracker.wants_history(world.now), None);
}

/// What verification measures against is known from the first cycle on; what was read since is not overwritten.
#[test]
fn s07_the_past_that_is_told_at_a_start_is_remembered_once() {
    let mut world =
        World::new().watch(naming("validation_latency", Cause::VALIDATION_LATENCY), latency(0.95));
    world.history = past(&world, 15);
    let fp = fingerprint("validation_latency", &labels(&[("type", "bad")]));
    for known in [16, 17] {
        world.cycle();
        let readings = &world.tracker.trend(&fp).expect("remembered").readings;
        assert_eq!(readings.len(), known);
        assert!(readings.iter().is_sorted_by_key(|(at, _)| *at), "{readings:?}");
    }
}
