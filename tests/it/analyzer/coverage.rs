//! What a reading is worth: coverage, age, missing data, and bare conditions. Missing is never healthy, and nothing is
//! opened, confirmed or cleared by bad data.

use super::world::{BROKEN, FINE, Series, World, all, condition, labels, many, rule};

fn ten() -> World {
    let mut world = World::new().watch(rule("r"), many(10, FINE));
    world.cycles(2);
    world
}

#[test]
fn eighty_percent_of_the_expected_series_are_good_and_less_are_not() {
    let mut world = ten();
    world.answer("r", many(8, FINE));
    let cycle = world.cycle();
    let status = cycle.status("r");
    assert!(status.good);
    assert_eq!((status.expected, status.seen), (10, 8));
    world.answer("r", many(7, FINE));
    let cycle = world.cycle();
    assert!(!cycle.status("r").good);
    let problem = cycle.status("r").problem.as_deref().expect("why");
    assert!(problem.contains("7 of 10"), "{problem}");
}

#[test]
fn the_share_is_exact_for_every_number_of_series() {
    for expected in (5..=200).step_by(5) {
        let mut world = World::new().watch(rule("r"), many(expected, FINE));
        world.cycle();
        world.answer("r", many(expected / 5 * 4, FINE));
        assert!(world.cycle().status("r").good, "4 of 5 of {expected}");
    }
}

#[test]
fn new_series_do_not_stand_in_for_missing_ones() {
    let mut world = ten();
    world.answer("r", (5..20).map(|i| super::world::series(&format!("c{i:03}"), FINE)).collect());
    assert!(!world.cycle().status("r").good);
}

#[test]
fn one_vanished_series_of_many_freezes_nothing_and_is_closed_after_ten_minutes() {
    let mut answer = many(160, FINE);
    answer[159].value = BROKEN;
    let mut world = World::new().watch(rule("r"), answer);
    world.cycle();
    let fp = world.only().fingerprint.clone();
    world.answer("r", many(159, FINE));
    for _ in 0..19 {
        let cycle = world.cycle();
        assert!(cycle.status("r").good);
        assert!(cycle.changes.vanished.is_empty());
        assert!(!world.only().confirmed, "active, and nobody sees it");
    }
    let cycle = world.cycle();
    assert_eq!(cycle.changes.vanished, [fp]);
    assert!(cycle.changes.cleared.is_empty(), "vanished is not clear");
    assert_eq!(world.stored(), 0);
}

#[test]
fn what_is_gone_for_ten_good_cycles_is_expected_no_more() {
    let mut world = ten();
    world.answer("r", many(9, FINE));
    let cycle = world.cycles(10);
    assert_eq!(cycle.status("r").expected, 10);
    assert_eq!(world.cycle().status("r").expected, 9);
}

#[test]
fn samples_older_than_two_polls_are_not_seen() {
    let aged = |age| -> Vec<Series> {
        many(10, BROKEN).into_iter().map(|s| Series { age, ..s }).collect()
    };
    let mut world = ten();
    world.answer("r", aged(61));
    let cycle = world.cycle();
    assert_eq!((cycle.status("r").good, cycle.status("r").seen), (false, 0));
    assert!(world.active().is_empty());
    world.answer("r", aged(60));
    let cycle = world.cycle();
    assert!(cycle.status("r").good);
    let oldest = cycle.status("r").oldest_sample.expect("there are samples");
    assert_eq!((world.now - oldest).num_seconds(), 60);
    assert_eq!(world.active().len(), 10);
}

#[test]
fn bad_data_opens_nothing_clears_nothing_and_confirms_nothing() {
    let mut world = World::new().watch(rule("r"), many(10, FINE));
    world.cycle();
    let mut answer = many(10, FINE);
    answer[0].value = BROKEN;
    world.answer("r", answer);
    world.cycle();
    assert!(world.only().confirmed);
    // Seven of ten: the broken one reads fine, a fine one reads broken.
    let mut answer = many(7, FINE);
    answer[1].value = BROKEN;
    world.answer("r", answer);
    let cycle = world.cycle();
    assert!(cycle.changes.opened.is_empty() && cycle.changes.cleared.is_empty());
    assert!(!world.only().confirmed);
    assert!(cycle.analysis.root_causes.is_empty(), "what is not confirmed justifies nothing");
    world.outage();
    let cycle = world.cycle();
    assert!(cycle.changes.cleared.is_empty());
    assert_eq!(cycle.status("r").problem.as_deref(), Some("prometheus is away"));
    assert_eq!(world.active().len(), 1);
}

#[test]
fn all_series_missing_are_missing_data_after_five_minutes() {
    let mut world = ten();
    world.answer("r", Vec::new());
    let cycle = world.cycle();
    assert!(cycle.status("r").missing_since.is_some() && !cycle.status("r").good);
    assert!(!world.cycle_after(299).status("r").missing_too_long);
    assert!(world.cycle_after(1).status("r").missing_too_long);
    world.answer("r", many(10, FINE));
    let cycle = world.cycle();
    assert_eq!(cycle.status("r").missing_since, None);
    assert!(!cycle.status("r").missing_too_long);
}

#[test]
fn a_rule_never_seen_since_the_start_is_missing_data_after_ten_minutes() {
    let mut world = World::new().watch(rule("r"), Vec::new());
    let cycle = world.cycle_after(599);
    assert!(!cycle.status("r").missing_too_long);
    let cycle = world.cycle_after(1);
    assert!(cycle.status("r").missing_too_long);
    let problem = cycle.status("r").problem.as_deref().expect("why");
    assert!(problem.contains("r_metric"), "{problem}");
}

#[test]
fn a_condition_with_present_is_clear_when_it_answers_nothing() {
    let mut world = World::new().watch(condition("c", Some("up")), all(&["a", "b"], 1.0));
    world.present("c", true);
    world.cycle();
    assert_eq!(world.active().len(), 2);
    world.answer("c", all(&["b"], 1.0));
    let cycle = world.cycle();
    assert_eq!(cycle.changes.cleared.len(), 1);
    assert_eq!(world.only().component.as_deref(), Some("b"));
    // `present` does not answer: the empty answer is missing data.
    world.answer("c", Vec::new());
    world.present("c", false);
    let cycle = world.cycle();
    assert!(!cycle.status("c").good && cycle.status("c").missing_since.is_some());
    assert_eq!(world.active().len(), 1);
    world.present("c", true);
    assert_eq!(world.cycle().changes.cleared.len(), 1);
}

#[test]
fn a_stale_answer_of_a_condition_is_not_its_absence() {
    let mut world = World::new().watch(condition("c", Some("up")), all(&["a"], 1.0));
    world.present("c", true);
    world.cycle();
    world.answer("c", vec![Series { labels: labels(&[("component", "a")]), value: 1.0, age: 90 }]);
    assert!(world.cycle().changes.cleared.is_empty());
}

#[test]
fn a_condition_that_was_proven_clear_has_a_witnessed_beginning() {
    let mut world = World::new().watch(condition("c", Some("up")), Vec::new());
    world.present("c", true);
    // Long enough that nothing depends on a series seen before.
    world.cycles(30);
    world.answer("c", many(3, 1.0));
    assert!(world.cycle().has(mape_k::domain::analysis::PatternKind::Temporal));
}

#[test]
fn the_empty_answer_of_a_bare_condition_clears_nothing_and_is_never_good() {
    let mut world = World::new().watch(condition("c", None), all(&["a"], 1.0));
    assert!(world.cycle().status("c").good);
    assert_eq!(world.active().len(), 1);
    world.answer("c", Vec::new());
    for _ in 0..19 {
        let cycle = world.cycle();
        assert!(!cycle.status("c").good);
        assert!(!cycle.status("c").missing_too_long, "it may simply not hold");
        assert!(!world.only().confirmed);
    }
    let cycle = world.cycle();
    assert_eq!((cycle.changes.vanished.len(), cycle.changes.cleared.len()), (1, 0));
}

#[test]
fn a_bare_condition_whose_query_fails_for_long_is_missing_data() {
    let mut world = World::new().watch(condition("c", None), Vec::new());
    world.cycle();
    world.outage();
    world.cycle();
    assert!(world.cycle_after(300).status("c").missing_too_long);
}

#[test]
fn a_series_back_after_it_vanished_has_no_onset() {
    let mut world = World::new().watch(rule("r"), many(20, FINE));
    world.cycle();
    let broken = [many(3, BROKEN), many(20, FINE)[3..].to_vec()].concat();
    world.answer("r", broken.clone());
    world.cycle();
    world.answer("r", many(20, FINE)[3..].to_vec());
    assert_eq!(world.cycles(20).changes.vanished.len(), 3);
    world.answer("r", broken);
    let cycle = world.cycle();
    assert_eq!(cycle.changes.opened.len(), 3);
    assert!(!cycle.has(mape_k::domain::analysis::PatternKind::Temporal));
}

#[test]
fn while_the_source_fails_nothing_vanishes_however_long_it_takes() {
    let mut world = World::new().watch(rule("r"), many(20, BROKEN));
    world.cycle();
    world.outage();
    for _ in 0..40 {
        let cycle = world.cycle();
        assert!(cycle.changes.vanished.is_empty() && cycle.changes.cleared.is_empty());
    }
    assert_eq!(
        world.active().len(),
        20,
        "20 minutes later they are still active, and nobody sees them"
    );
    // Back in part: what is missing now is still expected, so this is not good data.
    world.answer("r", many(10, FINE));
    assert!(!world.cycle().status("r").good);
}

/// More than those whose past is remembered: what nobody reads must not pass for clear when an action is judged.
#[test]
fn s07_of_every_series_it_is_known_whether_it_was_read_now() {
    let mut world = World::new().watch(rule("r"), many(2_500, BROKEN));
    world.cycle();
    let read = |world: &World| -> usize {
        let all: Vec<String> = world.tracker.active().map(|v| v.fingerprint.clone()).collect();
        all.iter().filter(|fp| world.tracker.read_now(fp).is_some()).count()
    };
    assert_eq!(read(&world), 2_500);
    world.answer("r", many(2_400, BROKEN));
    world.cycle();
    assert_eq!(read(&world), 2_400);
    // Too few to believe any of them.
    world.answer("r", many(100, BROKEN));
    world.cycle();
    assert_eq!(read(&world), 0);
}

/// Issue 14: expected series that come back under another label value are told as that.
#[test]
fn series_that_are_there_under_another_label_value_are_told_as_a_change() {
    let mut world = World::new().watch(rule("r"), all(&["a", "b"], FINE));
    world.cycles(2);
    world.answer("r", all(&["a-v2", "b-v2"], FINE));
    let cycle = world.cycle();
    let problem = cycle.status("r").problem.as_deref().expect("why");
    assert!(problem.contains("0 of 2") && problem.contains("a label value changed"), "{problem}");
    assert!(problem.contains("a-v2"), "{problem}");
    // Only fewer: nothing changed its name.
    let mut world = ten();
    world.answer("r", many(5, FINE));
    let cycle = world.cycle();
    let problem = cycle.status("r").problem.as_deref().expect("why");
    assert!(!problem.contains("label value"), "{problem}");
}
