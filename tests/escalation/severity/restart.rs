//! What was told, counted and planned goes on after a restart, from the text of what was stored.

use std::time::Duration;

use mape_k::domain::decision::Sev;
use mape_k::domain::finding::FindingKind;
use mape_k::domain::message::Form;
use mape_k::incidents::trend::Heading;

use super::world::{World, finding, minutes, night, noon, replicas};

#[test]
fn b28_repetition_goes_on_where_it_was() {
    let mut world = World::new(night());
    let down = [replicas("payments", 0, 2, night())];
    world.cycle(&down);
    world.cycles(60, &down);
    let before = world.board.incidents().to_vec();
    world.restart();
    assert_eq!(world.board.incidents()[0].thread, before[0].thread);
    assert!(world.cycles(299, &down).is_empty(), "a restart repeats nothing");
    assert_eq!(world.cycles(1, &down).len(), 1, "three hours after the first");
    world.restart();
    let over = world.cycles(1, &[]);
    assert_eq!(over[0].form, Form::Ended(before[0].thread.clone()), "the end in the first thread");
    world.restart();
    assert!(world.cycles(9, &[]).iter().all(|m| matches!(m.form, Form::Edit(_))), "once");
}

#[test]
fn b28_durations_count_on_over_a_restart() {
    let mut world = World::new(night());
    world.cycle(&[replicas("search", 0, 2, night())]);
    world.restart();
    world.pass(minutes(6));
    // The new process sees it for the first time.
    let told = world.cycle(&[replicas("search", 0, 2, world.now)]);
    assert_eq!(told.alert().severity, Sev::Sev2);
}

#[test]
fn b28_what_is_worse_than_before_a_restart_is_known_to_be() {
    let mut world = World::new(noon());
    world.cycle(&[replicas("search", 3, 4, noon())]);
    world.cycles(12, &[replicas("search", 3, 4, noon())]);
    world.restart();
    world.pass(minutes(5));
    let told = world.cycle(&[replicas("search", 2, 4, noon())]);
    assert_eq!(told.alert().severity, Sev::Sev2);
    assert_eq!(world.board.trend(world.now).incidents[0].heading, Heading::Worsening);
}

#[test]
fn b28_ids_are_unique_within_a_second_also_after_a_restart() {
    let mut world = World::new(night());
    world.cycle(&[replicas("payments", 0, 2, night())]);
    world.restart();
    world.cycle(&[replicas("payments", 0, 2, night()), replicas("search", 0, 2, night())]);
    let ids: Vec<&str> = world.board.incidents().iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["INC-20260310_020000-001", "INC-20260310_020000-002"]);
}

#[test]
fn b28_what_does_not_change_is_written_once_in_an_interval() {
    let mut world = World::new(night());
    let mut crash = finding("payments", FindingKind::CrashLoop, night());
    (crash.ready, crash.desired, crash.restarts) = (Some(0), Some(2), 9);
    let mut found = [replicas("payments", 0, 2, night()), crash];
    // Long enough for a rate of restarts.
    world.cycles(60, &found);
    let (mut written, mut states) = (0, 0);
    for _ in 0..20 {
        world.pass(Duration::from_secs(30));
        let before = world.board.state().clone();
        found[1].log_lines = vec![format!("panic at {}", world.now)];
        world.observe(&found);
        written += world.board.take_changed().len();
        states += usize::from(*world.board.state() != before);
    }
    assert_eq!((written, states), (2, 2), "two intervals of ten cycles");
    found[1].restarts += 1;
    world.pass(Duration::from_secs(30));
    world.observe(&found);
    assert_eq!(world.board.take_changed().len(), 1, "another number");
    world.pass(Duration::from_secs(30));
    world.observe(&[]);
    assert_eq!(world.board.take_changed().len(), 1, "its end");
    world.pass(Duration::from_secs(30));
    world.observe(&found);
    assert_eq!(world.board.take_changed().len(), 1, "its return");
}
