//! A64: what is already broken at a start, after a restart or after a gap is active without an onset.

use mape_k::domain::analysis::PatternKind::{Frequency, Temporal};
use mape_k::domain::rule::Severity;

use super::world::{BROKEN, Cycle, FINE, World, alert, all, many, naming, rule};

const RULES: [&str; 4] = ["r1", "r2", "r3", "r4"];

/// Four rules, of which each has four components, and five alerts that the list read at the start knew.
fn world(value: f64) -> World {
    let mut world = World::new();
    for name in RULES {
        world = world.watch(rule(name), many(4, value));
    }
    world.view.alerts = ["a1", "a2", "a3", "a4", "a5"].map(alert).to_vec();
    world.view.alerts.iter_mut().for_each(|a| a.onset = false);
    world
}

fn quiet(cycle: &Cycle) {
    assert!(!cycle.has(Temporal), "a cascade at a start");
    assert!(!cycle.has(Frequency), "a burst at a start");
}

#[test]
fn a64_a_start_into_trouble_is_no_cascade() {
    let mut world = world(BROKEN);
    for _ in 0..5 {
        quiet(&world.cycle());
    }
    assert_eq!(world.active().len(), 21);
}

#[test]
fn a64_a_restart_takes_up_the_active_set_without_an_onset() {
    let mut world = world(BROKEN);
    world.cycles(3);
    let before: Vec<_> = world.active().into_iter().map(|v| (v.id, v.active_since)).collect();
    world.restart();
    assert_eq!(world.active().len(), 21, "before the first cycle");
    assert!(world.active().iter().all(|v| !v.confirmed || v.active_since < world.now));
    for _ in 0..5 {
        quiet(&world.cycle());
    }
    let after: Vec<_> = world.active().into_iter().map(|v| (v.id, v.active_since)).collect();
    assert_eq!(before, after, "the same episodes");
}

#[test]
fn a64_what_broke_while_we_were_away_has_no_onset_either() {
    let mut world = world(FINE);
    world.view.alerts.clear();
    world.cycles(3);
    world.restart();
    world.every_rule(&many(4, BROKEN));
    for _ in 0..5 {
        quiet(&world.cycle());
    }
}

#[test]
fn a64_a_restart_of_prometheus_is_no_cascade() {
    for silent in [4, 25] {
        let mut world = world(BROKEN);
        world.cycles(3);
        world.outage();
        for _ in 0..silent {
            quiet(&world.cycle());
        }
        world.every_rule(&many(4, BROKEN));
        for _ in 0..5 {
            quiet(&world.cycle());
        }
        assert_eq!(world.active().len(), 21, "after {silent} silent cycles");
    }
}

#[test]
fn a64_what_broke_during_a_gap_has_no_onset() {
    let mut world = world(FINE);
    world.view.alerts.clear();
    world.cycles(3);
    world.outage();
    world.cycles(3);
    world.every_rule(&many(4, BROKEN));
    // Last seen clear four intervals ago.
    quiet(&world.cycle());
    assert_eq!(world.active().len(), 16);
}

#[test]
fn a_beginning_is_witnessed_up_to_three_intervals_after_it_was_seen_clear() {
    let mut world = world(FINE);
    world.view.alerts.clear();
    world.cycles(3);
    world.outage();
    world.cycles(2);
    world.every_rule(&many(4, BROKEN));
    let cycle = world.cycle();
    assert!(cycle.has(Temporal) && cycle.has(Frequency));
}

#[test]
fn a_series_that_appears_broken_was_never_seen_clear() {
    let mut world = World::new().watch(rule("r"), all(&["old"], FINE));
    world.cycles(3);
    world.answer("r", [all(&["old"], FINE), many(9, BROKEN)].concat());
    quiet(&world.cycle());
}

/// Three components break together, clear, and break again `clear` seconds after they cleared.
fn back_after(clear: i64) -> Cycle {
    let mut world = World::new().watch(rule("r"), many(3, FINE));
    world.cycles(2);
    world.answer("r", many(3, BROKEN));
    assert!(world.cycle().has(Temporal));
    world.answer("r", many(3, FINE));
    world.cycle();
    for _ in 0..clear / 30 - 1 {
        world.cycle();
    }
    world.answer("r", many(3, BROKEN));
    world.cycle_after(30 + clear % 30)
}

#[test]
fn back_within_five_minutes_of_clearing_is_no_new_onset() {
    assert!(!back_after(60).has(Temporal));
    assert!(!back_after(300).has(Temporal));
    assert!(back_after(301).has(Temporal));
}

#[test]
fn a_restart_takes_up_what_the_configuration_says_now() {
    let mut world = World::new().watch(naming("r", "old"), all(&["a"], BROKEN));
    world.cycles(2);
    let id = world.only().id;
    let mut changed = naming("r", "new");
    changed.severity = Severity::Critical;
    world.replace_rule(changed);
    world.restart();
    let cycle = world.cycle();
    assert!(cycle.root("new", "a").is_some_and(|r| r.critical));
    assert_eq!(world.only().id, id, "the same episode");
}

#[test]
fn a_violation_whose_rule_is_gone_is_closed_as_vanished() {
    let mut world = World::new()
        .watch(rule("kept"), all(&["a"], FINE))
        .watch(rule("dropped"), all(&["a"], BROKEN));
    world.cycle();
    let fp = world.only().fingerprint.clone();
    world.remove_rule("dropped");
    world.restart();
    assert_eq!(world.cycle().changes.vanished, [fp]);
    assert_eq!((world.active().len(), world.stored()), (0, 0));
}
