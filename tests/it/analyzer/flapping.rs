//! Part of A67: three returns in ten minutes are flapping; it counts as active until clear for ten minutes and is
//! evidence for nothing.

use std::time::Duration;

use mape_k::analyzer::Settings;
use mape_k::domain::alert::AlertState;
use mape_k::domain::analysis::PatternKind::Frequency;

use super::world::{BROKEN, FINE, World, alert, all, critical, many, naming, rule};

fn world() -> World {
    World::new().watch(critical(naming("r", "x")), all(&["a"], FINE))
}

/// Breaks once and then returns `n` times, a cycle broken and a cycle clear.
fn returns(world: &mut World, n: usize) {
    for _ in 0..=n {
        world.answer("r", all(&["a"], FINE));
        world.cycle();
        world.answer("r", all(&["a"], BROKEN));
        world.cycle();
    }
}

#[test]
fn a67_two_returns_are_not_flapping_and_three_are() {
    let mut world = world();
    returns(&mut world, 2);
    assert!(!world.only().flapping);
    returns(&mut world, 0);
    assert!(world.only().flapping);
}

#[test]
fn a67_returns_older_than_ten_minutes_do_not_count() {
    let mut world = world();
    returns(&mut world, 2);
    world.answer("r", all(&["a"], FINE));
    // The first return came 60 s ago, so it is now older than ten minutes, the second is not.
    world.cycle_after(541);
    world.answer("r", all(&["a"], BROKEN));
    world.cycle_after(30);
    assert!(!world.only().flapping);
}

#[test]
fn a67_flapping_is_evidence_for_nothing() {
    let mut world = world();
    returns(&mut world, 3);
    let cycle = world.cycles(4);
    assert!(world.only().confirmed);
    assert!(cycle.analysis.patterns.is_empty(), "{:?}", cycle.analysis.patterns);
    assert!(cycle.analysis.root_causes.is_empty());
}

#[test]
fn a67_it_counts_as_active_until_it_was_clear_for_ten_minutes() {
    let mut world = world();
    returns(&mut world, 3);
    world.answer("r", all(&["a"], FINE));
    world.cycle();
    world.cycle_after(599);
    assert!(world.only().flapping);
    // Back for one cycle: the ten minutes begin anew.
    world.answer("r", all(&["a"], BROKEN));
    world.cycle_after(1);
    world.answer("r", all(&["a"], FINE));
    world.cycle_after(30);
    assert!(world.cycle_after(599).changes.cleared.is_empty());
    let cycle = world.cycle_after(1);
    assert_eq!(cycle.changes.cleared.len(), 1);
    assert!(world.active().is_empty());
    // And it starts afresh.
    world.answer("r", all(&["a"], BROKEN));
    world.cycle();
    assert!(!world.only().flapping);
}

#[test]
fn a67_what_it_did_before_the_ten_minutes_is_forgotten() {
    let mut settings = Settings::default();
    settings.flapping.window = Duration::from_secs(3_600);
    let mut world = World::with(settings).watch(critical(naming("r", "x")), all(&["a"], FINE));
    returns(&mut world, 3);
    world.answer("r", all(&["a"], FINE));
    world.cycle();
    assert_eq!(world.cycle_after(600).changes.cleared.len(), 1);
    world.answer("r", all(&["a"], BROKEN));
    world.cycle();
    assert!(!world.only().flapping);
}

#[test]
fn a67_an_onset_that_turns_out_to_flap_counts_no_more() {
    let mut world = World::new().watch(rule("r"), many(9, FINE));
    world.cycle();
    world.answer("r", many(9, BROKEN));
    assert!(world.cycle().has(Frequency), "nine");
    for _ in 0..3 {
        world.answer("r", [many(1, FINE), many(9, BROKEN)[1..].to_vec()].concat());
        assert!(world.cycle().has(Frequency));
        world.answer("r", many(9, BROKEN));
        world.cycle();
    }
    assert!(!world.cycle().has(Frequency), "eight that began and one that flaps");
}

#[test]
fn a67_returns_and_the_clear_time_survive_a_restart() {
    let mut world = world();
    returns(&mut world, 2);
    world.answer("r", all(&["a"], FINE));
    world.cycle();
    world.restart();
    world.answer("r", all(&["a"], BROKEN));
    world.cycle();
    assert!(world.only().flapping, "the third return, seen by another process");
    world.answer("r", all(&["a"], FINE));
    world.cycle();
    world.cycle_after(300);
    world.restart();
    assert!(world.only().flapping);
    world.cycle_after(299);
    assert!(world.only().flapping);
    assert_eq!(world.cycle_after(1).changes.cleared.len(), 1, "ten minutes in all");
}

#[test]
fn a67_what_cleared_long_ago_leaves_the_store() {
    let mut world = world();
    returns(&mut world, 0);
    world.answer("r", all(&["a"], FINE));
    world.cycle();
    assert_eq!(world.stored(), 1);
    world.cycle_after(601);
    assert_eq!(world.stored(), 0);
}

#[test]
fn a67_alerts_flap_too() {
    let mut world = world();
    for _ in 0..4 {
        for state in [AlertState::Firing, AlertState::Clear] {
            let mut alert = alert("shaky");
            alert.state = state;
            world.view.alerts = vec![alert];
            world.cycle();
        }
    }
    assert!(world.only().flapping);
}
