//! A07, A08, A10, A11, A12: temporal, spatial and frequency at and just below their thresholds, the switches, and the
//! overall confidence. The causal detector has its own file.

use mape_k::analyzer::{Settings, analyze, overall_confidence};
use mape_k::domain::analysis::PatternKind::{Causal, Frequency, Spatial, Sustained, Temporal};
use mape_k::domain::analysis::{Pattern, PatternKind};
use mape_k::domain::{CHARTER, Cause};
use uuid::Uuid;

use super::causal;
use super::world::{BROKEN, FINE, World, alert, all, info, labels, many, naming, rule};

/// Fine components, of which one breaks at each of these seconds.
fn onsets_at(settings: Settings, rule: mape_k::domain::rule::Rule, seconds: &[i64]) -> World {
    let components = ["a", "b", "c", "d"];
    let name = rule.name.clone();
    let mut world = World::with(settings).watch(rule, all(&components, FINE));
    world.cycle();
    let mut elapsed = 0;
    for (i, second) in seconds.iter().enumerate() {
        let mut answer = all(&components[..=i], BROKEN);
        answer.extend(all(&components[i + 1..], FINE));
        world.answer(&name, answer);
        world.cycle_after(second - elapsed);
        elapsed = *second;
    }
    world
}

fn present(world: &World, kind: PatternKind) -> Option<Pattern> {
    let analysis = analyze(&world.tracker, Uuid::nil(), "again", world.now);
    analysis.patterns.into_iter().find(|p| p.kind == kind)
}

#[test]
fn a07_three_onsets_inside_sixty_seconds_are_a_cascade() {
    let world = onsets_at(Settings::default(), rule("r"), &[1, 31, 61]);
    let found = present(&world, Temporal).expect("three onsets in 60 s");
    assert_eq!(found.confidence.to_bits(), 0.85f64.to_bits());
    assert_eq!(found.cause.0, Cause::CASCADE_FAILURE);
    assert_eq!(found.hypothesis, "cascade failure in progress");
    assert_eq!((found.component.as_str(), found.evidence.len()), (CHARTER, 3));
}

#[test]
fn a07_three_onsets_in_sixty_one_seconds_are_not() {
    let world = onsets_at(Settings::default(), rule("r"), &[1, 31, 62]);
    assert_eq!(present(&world, Temporal), None);
}

#[test]
fn a07_two_onsets_are_not_and_a_repeat_is_no_third() {
    let mut world = onsets_at(Settings::default(), rule("r"), &[1, 2]);
    for _ in 0..5 {
        let cycle = world.cycle_after(5);
        assert!(!cycle.has(Temporal));
    }
}

#[test]
fn a08_three_active_violations_of_one_component_are_spatial() {
    let mut world = World::new();
    for name in ["r1", "r2", "r3"] {
        world = world.watch(rule(name), all(&["a", "b"], FINE));
    }
    world.cycle();
    for name in ["r1", "r2", "r3"] {
        world.answer(name, [all(&["a"], BROKEN), all(&["b"], FINE)].concat());
    }
    let cycle = world.cycle();
    let found = cycle.pattern(Spatial).expect("three of one component");
    assert_eq!((found.component.as_str(), found.evidence.len()), ("a", 3));
    assert_eq!(found.confidence.to_bits(), 0.80f64.to_bits());
    let root = cycle.root(Cause::POLICY_MISCONFIGURATION, "a").expect("its root cause");
    assert!((root.confidence - 0.80).abs() < 1e-9);
    assert_eq!(root.occurrences, 3);
}

#[test]
fn a08_three_violations_of_three_components_and_two_of_one_are_not() {
    let mut world = World::new()
        .watch(rule("r1"), all(&["a", "b", "c"], BROKEN))
        .watch(rule("r2"), all(&["a", "b", "c"], FINE));
    assert!(!world.cycle().has(Spatial));
    world.answer("r2", [all(&["a"], BROKEN), all(&["b", "c"], FINE)].concat());
    assert!(!world.cycle().has(Spatial));
}

#[test]
fn a08_violations_without_a_component_are_of_none() {
    let mut nameless = all(&["a"], BROKEN);
    nameless[0].labels = labels(&[("shard", "1")]);
    let mut world = World::new();
    for name in ["r1", "r2", "r3"] {
        world = world.watch(rule(name), nameless.clone());
    }
    let cycle = world.cycle();
    assert_eq!(world.active().len(), 3);
    assert!(!cycle.has(Spatial));
}

/// Of `n` fine components all break, a third at a time, over four minutes.
fn onsets_over_minutes(settings: Settings, n: usize) -> World {
    let fine = many(n, FINE);
    let mut world = World::with(settings).watch(rule("r"), fine.clone());
    world.cycle();
    for step in 1..=n {
        let answer = [&many(n, BROKEN)[..step], &fine[step..]].concat();
        world.answer("r", answer);
        world.cycle();
    }
    world
}

#[test]
fn a10_nine_onsets_in_five_minutes_are_an_overload_and_eight_are_not() {
    let nine = onsets_over_minutes(Settings::default(), 9);
    let found = present(&nine, Frequency).expect("more than eight");
    assert_eq!(found.evidence.len(), 9);
    assert_eq!(found.confidence.to_bits(), 0.70f64.to_bits());
    assert_eq!((found.cause.0.as_str(), found.component.as_str()), ("system_overload", CHARTER));
    assert_eq!(present(&onsets_over_minutes(Settings::default(), 8), Frequency), None);
}

#[test]
fn a10_onsets_count_for_five_minutes_and_no_longer() {
    let mut world = onsets_over_minutes(Settings::default(), 9);
    // The first came 240 s ago.
    assert!(world.cycle_after(60).has(Frequency));
    assert!(!world.cycle_after(1).has(Frequency));
}

#[test]
fn a11_a_disabled_detector_never_appears_on_its_own_fixture() {
    let mut settings = Settings::default();
    settings.algorithms.temporal.enabled = false;
    let world = onsets_at(settings, rule("r"), &[1, 31, 61]);
    assert_eq!(present(&world, Temporal), None);

    let mut settings = Settings::default();
    settings.algorithms.frequency.enabled = false;
    assert_eq!(present(&onsets_over_minutes(settings, 9), Frequency), None);

    for (kind, switched) in
        [(Spatial, true), (Spatial, false), (Sustained, true), (Sustained, false)]
    {
        let mut settings = Settings::default();
        settings.algorithms.spatial.enabled = kind != Spatial || switched;
        settings.algorithms.sustained.enabled = kind != Sustained || switched;
        let mut world = World::with(settings);
        for name in ["r1", "r2", "r3"] {
            world = world.watch(rule(name), all(&["a"], BROKEN));
        }
        assert_eq!(world.cycles(4).has(kind), switched, "{kind:?}");
    }

    let mut settings = Settings::default();
    settings.algorithms.causal.enabled = false;
    let mut world = World::with(settings);
    assert_eq!(world.tracker.wants_history(world.now), None);
    world = causal::rising_together(world, 20, 0);
    assert_eq!(present(&world, Causal), None);
}

#[test]
fn a12_overall_confidence_is_the_formula_on_a_known_set() {
    let pattern = |confidence| Pattern {
        kind: Temporal,
        confidence,
        hypothesis: String::new(),
        cause: Cause::unknown(),
        component: CHARTER.to_owned(),
        target: Some(mape_k::domain::target::Target::Charter(None)),
        evidence: Vec::new(),
    };
    let patterns = [pattern(0.85), pattern(0.80), pattern(0.75)];
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    close(overall_confidence(&patterns, 12), 0.7 * 0.8 + 0.3 * 0.4);
    close(overall_confidence(&patterns, 30), 0.56 + 0.3);
    close(overall_confidence(&patterns, 3_000), 0.56 + 0.3);
    close(overall_confidence(&[], 15), 0.15);
    close(overall_confidence(&[], 0), 0.0);
    // And in an analysis: spatial .80, sustained .75, three violations.
    let mut world = World::new();
    for name in ["r1", "r2", "r3"] {
        world = world.watch(rule(name), all(&["a"], BROKEN));
    }
    close(world.cycles(3).analysis.confidence, 0.7 * f64::midpoint(0.80, 0.75) + 0.3 * 0.1);
}

#[test]
fn evidence_that_names_a_cause_shows_a_pattern_and_gives_its_cause_nothing() {
    let mut world = World::new();
    for name in ["r1", "r2", "r3"] {
        world = world.watch(naming(name, Cause::VALIDATION_LATENCY), all(&["a"], BROKEN));
    }
    let cycle = world.cycles(3);
    assert!(cycle.has(Spatial));
    assert_eq!(cycle.root(Cause::POLICY_MISCONFIGURATION, "a"), None);
    assert!(cycle.root(Cause::VALIDATION_LATENCY, "a").is_some());

    let cascade = onsets_at(Settings::default(), naming("r", "x"), &[1, 31, 61]);
    assert!(present(&cascade, Temporal).is_some());
    let analysis = analyze(&cascade.tracker, Uuid::nil(), "again", cascade.now);
    assert!(analysis.root_causes.iter().all(|r| r.cause.0 != Cause::CASCADE_FAILURE));
}

#[test]
fn a_patterns_confidence_shrinks_by_the_share_of_evidence_that_names_a_cause() {
    let mut world = World::new()
        .watch(rule("r1"), all(&["a"], BROKEN))
        .watch(rule("r2"), all(&["a"], BROKEN))
        .watch(naming("r3", "x"), all(&["a"], BROKEN))
        .watch(naming("r4", Cause::UNKNOWN), all(&["a"], BROKEN));
    let cycle = world.cycle();
    // A rule whose cause is called unknown names none: three of four.
    let root = cycle.root(Cause::POLICY_MISCONFIGURATION, "a").expect("spatial");
    assert!((root.confidence - 0.80 * 0.75).abs() < 1e-9, "{}", root.confidence);
}

#[test]
fn info_is_shown_and_is_evidence_for_nothing() {
    let mut world = World::new();
    let names: Vec<String> = (0..10).map(|i| format!("r{i}")).collect();
    for name in &names {
        world = world.watch(info(rule(name)), all(&["a"], FINE));
    }
    world.cycle();
    world.every_rule(&all(&["a"], BROKEN));
    let cycle = world.cycles(4);
    assert_eq!(world.active().len(), 10);
    assert!(cycle.analysis.patterns.is_empty(), "{:?}", cycle.analysis.patterns);
    assert!(cycle.analysis.root_causes.is_empty());
}

#[test]
fn alerts_are_onsets_once_and_count_like_other_evidence() {
    let mut world = World::new().watch(rule("r"), all(&["a"], FINE));
    world.cycle();
    world.view.alerts = vec![alert("one"), alert("two"), alert("three")];
    assert!(world.cycle().has(Temporal));
    let mut known = World::new().watch(rule("r"), all(&["a"], FINE));
    known.cycle();
    known.view.alerts = vec![alert("one"), alert("two"), alert("three")];
    known.view.alerts.iter_mut().for_each(|a| a.onset = false);
    assert!(!known.cycle().has(Temporal));
}
