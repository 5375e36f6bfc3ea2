//! Occurrences and the `sustained` detector: scheduled cycles count, repeats and woken cycles do not.

use mape_k::analyzer::Settings;
use mape_k::domain::analysis::PatternKind::Sustained;
use mape_k::domain::{CHARTER, Cause};

use super::world::{BROKEN, FINE, World, all, critical, labels, many, naming, rule, series};

fn broken(cause: &str) -> World {
    World::new().watch(naming("r", cause), all(&["a"], BROKEN))
}

#[test]
fn a_violation_in_three_of_four_scheduled_cycles_is_sustained() {
    let mut world = broken("x");
    assert!(!world.cycle().has(Sustained));
    assert!(!world.cycle().has(Sustained));
    let cycle = world.cycle();
    let found = cycle.pattern(Sustained).expect("three cycles");
    assert_eq!((found.cause.0.as_str(), found.component.as_str()), ("x", "a"));
    let root = cycle.root("x", "a").expect("its root cause");
    assert!((root.confidence - 0.75).abs() < 1e-9);
    assert_eq!((root.occurrences, root.critical), (3, false));
}

#[test]
fn the_three_need_not_be_in_a_row() {
    let mut world = broken("x");
    world.cycle();
    world.answer("r", all(&["a"], FINE));
    assert!(!world.cycle().has(Sustained));
    world.answer("r", all(&["a"], BROKEN));
    assert!(!world.cycle().has(Sustained));
    assert!(world.cycle().has(Sustained), "broken, clear, broken, broken");
}

#[test]
fn two_of_four_are_not_enough() {
    let mut world = broken("x");
    for round in 0..6 {
        world.answer("r", all(&["a"], if round % 2 == 0 { BROKEN } else { FINE }));
        assert!(!world.cycle().has(Sustained), "round {round}");
    }
}

#[test]
fn an_old_occurrence_leaves_the_last_four() {
    let mut world = broken("x");
    world.cycles(2);
    world.answer("r", all(&["a"], FINE));
    world.cycles(2);
    world.answer("r", all(&["a"], BROKEN));
    assert!(!world.cycle().has(Sustained), "of the last four only two");
}

#[test]
fn woken_cycles_add_only_a_violations_first_occurrence() {
    let mut world = broken("x");
    for _ in 0..10 {
        assert!(!world.woken_after(5).has(Sustained));
    }
    world.cycle();
    world.cycle();
    let cycle = world.cycle();
    assert!(cycle.has(Sustained));
    // One for the first woken cycle, one for each scheduled one.
    assert_eq!(cycle.root("x", "a").map(|r| r.occurrences), Some(4));
    let cycle = world.woken_after(5);
    assert_eq!(cycle.root("x", "a").map(|r| r.occurrences), Some(4));
}

#[test]
fn occurrences_older_than_five_minutes_are_not_behind_a_cause() {
    let mut world = broken("x");
    let cycle = world.cycles(40);
    // At 30 s a cycle: those 0, 30 … 300 s ago.
    assert_eq!(cycle.root("x", "a").map(|r| r.occurrences), Some(11));
}

#[test]
fn more_cycles_of_sustained_do_not_stretch_the_five_minutes() {
    let mut settings = Settings::default();
    settings.algorithms.sustained.of = 20;
    let mut world = World::with(settings).watch(naming("r", "x"), all(&["a"], BROKEN));
    let cycle = world.cycles(40);
    assert_eq!(cycle.root("x", "a").map(|r| r.occurrences), Some(11));
}

#[test]
fn a_cycle_in_which_nobody_saw_it_is_no_occurrence() {
    let mut world = broken("x");
    world.cycle();
    world.outage();
    world.cycles(2);
    world.answer("r", all(&["a"], BROKEN));
    assert!(!world.cycle().has(Sustained));
    let cycle = world.cycle();
    assert!(!cycle.has(Sustained), "seen twice in the last four");
    let cycle = world.cycle();
    assert_eq!(cycle.root("x", "a").map(|r| r.occurrences), Some(4));
}

#[test]
fn a_critical_violation_is_sustained_at_once_even_in_a_woken_cycle() {
    let mut world = World::new().watch(critical(naming("r", "x")), all(&["a"], BROKEN));
    let cycle = world.woken_after(5);
    let root = cycle.root("x", "a").expect("critical");
    assert_eq!((root.occurrences, root.critical), (1, true));
}

#[test]
fn a_rule_without_a_cause_is_an_unknown_cause_at_its_component() {
    let mut nameless = series("", BROKEN);
    nameless.labels = labels(&[("shard", "1")]);
    let mut world =
        World::new().watch(rule("r1"), all(&["a"], BROKEN)).watch(rule("r2"), vec![nameless]);
    let cycle = world.cycles(3);
    assert!(cycle.root(Cause::UNKNOWN, "a").is_some());
    assert!(cycle.root(Cause::UNKNOWN, CHARTER).is_some(), "no component: charter");
}

#[test]
fn many_components_of_one_cause_are_one_root_cause_each() {
    let mut world = World::new().watch(naming("r", "x"), many(3, BROKEN));
    let cycle = world.cycles(3);
    assert_eq!(cycle.analysis.root_causes.len(), 3);
    assert_eq!(cycle.analysis.recommendations.len(), 3);
}

#[test]
fn a_violation_keeps_its_id_and_start_while_active_and_shows_its_present_value() {
    let mut world = broken("x");
    world.cycle();
    let (id, since) = (world.only().id, world.only().active_since);
    world.answer("r", all(&["a"], 3.25));
    world.cycle();
    let violation = world.only();
    assert_eq!((violation.id, violation.active_since), (id, since));
    assert_eq!(violation.value, Some(3.25));
    assert!(violation.description.contains("3.25"), "{}", violation.description);
    assert_eq!(violation.threshold, Some(1.0));
}

#[test]
fn a_threshold_is_broken_beyond_it_and_not_at_it() {
    let mut world = World::new().watch(rule("r"), all(&["a"], 1.0));
    world.cycle();
    assert!(world.active().is_empty());
    world.answer("r", all(&["a"], 1.000_001));
    world.cycle();
    assert_eq!(world.active().len(), 1);
}
