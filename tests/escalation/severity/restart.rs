//! What was told, counted and planned goes on after a restart, from the text of what was stored.

use std::time::Duration;

use mape_k::domain::decision::Sev;
use mape_k::domain::finding::FindingKind;
use mape_k::domain::incident::Happening;
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

/// Bad day: the process that wrote the store had a clock that was an hour ahead.
#[test]
fn r04_a_clock_set_back_an_hour_loses_no_news_and_stretches_no_wait() {
    let mut world = World::new(noon());
    let found = |ready| [replicas("search", ready, 4, noon() - minutes(90))];
    world.cycle(&found(3)).alert();
    world.cycles(2, &found(3));
    let id = world.board.incidents()[0].id.clone();
    world.now = noon() - minutes(60);
    world.restart();
    assert!(world.cycle(&found(3)).messages.is_empty(), "nothing happened");

    let now = world.now;
    world.board.note(&id, Happening::Applied, "scale_up: applied", now);
    let told = world.cycle(&found(3)).messages;
    let is_update =
        |message: &&mape_k::domain::message::Message| matches!(message.form, Form::Update(_));
    let update = told.iter().find(is_update).expect("what was done is told at once");
    assert_eq!(update.entries[0].news, ["scale_up: applied"]);
    assert!(!world.cycles(1, &found(3)).iter().any(|m| is_update(&m)), "once");

    world.pass(minutes(5));
    let told = world.cycle(&found(2));
    assert_eq!(told.alert().entries[0].incident, id, "the next worsening, after one interval");
    let need = super::one::need(mape_k::domain::need::NeedReason::HandsTied, 9, "held", world.now);
    let need = mape_k::domain::finding::Finding { anchor: Some(found(2)[0].anchor()), ..need };
    world.pass(minutes(31));
    let told = world.cycle(&[found(2)[0].clone(), need]).messages;
    assert!(
        told.iter().any(|m| m.form != Form::Summary && !matches!(m.form, Form::Edit(_))),
        "the next need"
    );
}
