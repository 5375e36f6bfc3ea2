//! How often people hear of what goes on: in full, in brief, by an edit, or not.

use mape_k::domain::decision::Sev;
use mape_k::domain::finding::{Finding, FindingKind};
use mape_k::domain::message::{Form, Message, Notified, NotifierName};
use mape_k::domain::outbox::GivenUp;

use super::world::{Slack, World, finding, minutes, night, noon, replicas};

fn forms(messages: &[Message]) -> Vec<&str> {
    let name = |message: &Message| match message.form {
        Form::Alert => "alert",
        Form::Edit(_) => "edit",
        Form::Update(_) => "update",
        Form::Ended(_) => "ended",
        Form::Summary => "summary",
    };
    messages.iter().map(name).collect()
}

#[test]
fn b27_what_does_not_change_is_told_in_full_after_three_hours_and_not_before() {
    let mut world = World::new(night());
    let down = [replicas("payments", 0, 2, night())];
    assert_eq!(forms(&world.cycle(&down).messages), ["alert"]);
    assert!(world.cycles(359, &down).is_empty(), "nothing for three hours");
    let repeated = world.cycles(1, &down);
    assert_eq!(forms(&repeated), ["alert"]);
    assert_eq!(
        repeated[0].title,
        "SEV-1 still: payments: 0 of 2 pods ready; no configured action treats it"
    );
    assert!(world.cycles(359, &down).is_empty());
}

#[test]
fn b27_a_change_edits_the_message_and_is_told_in_brief_once_in_half_an_hour() {
    let mut world = World::new(night());
    let exited = |code: i32| {
        let mut down = replicas("payments", 0, 4, night());
        down.exit_code = Some(code);
        [down]
    };
    assert_eq!(forms(&world.cycle(&exited(0)).messages), ["alert"]);
    // Neither better nor worse, and always another.
    let mut told = Vec::new();
    for count in 1..=60 {
        told.extend(world.cycles(2, &exited(count)));
    }
    let brief = told.iter().filter(|message| matches!(message.form, Form::Update(_))).count();
    let edits = told.iter().filter(|message| matches!(message.form, Form::Edit(_))).count();
    assert_eq!(brief, 2, "an hour has two halves: {:?}", forms(&told));
    assert!((6..=12).contains(&edits), "at most once in five minutes: {edits}");
    assert_eq!(brief + edits, told.len(), "no alert: {:?}", forms(&told));
    let thread = world.board.incidents()[0].thread.clone().expect("announced");
    for message in &told {
        match &message.form {
            Form::Edit(where_to) | Form::Update(Some(where_to)) => assert_eq!(*where_to, thread),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn b27_what_is_worse_than_people_last_heard_is_told_in_full() {
    let mut world = World::new(night());
    world.cycle(&[replicas("payments", 0, 4, night())]);
    world.pass(minutes(31));
    let better = world.cycle(&[replicas("payments", 3, 4, night())]).messages;
    assert_eq!(forms(&better), ["update", "edit"]);
    world.pass(minutes(5));
    assert_eq!(world.cycle(&[replicas("payments", 0, 4, night())]).alert().severity, Sev::Sev1);
}

#[test]
fn b27_what_an_edit_showed_as_milder_is_told_again_when_it_is_as_bad_as_before() {
    let mut world = World::new(night());
    let down = replicas("payments", 0, 4, night());
    world.cycle(std::slice::from_ref(&down));
    world.pass(minutes(6));
    let rollout = Finding { within_rollout: true, ..replicas("payments", 3, 4, night()) };
    let milder = world.cycle(&[rollout]).messages;
    assert_eq!(forms(&milder), ["edit"], "nobody is called for a rollout");
    world.pass(minutes(6));
    assert_eq!(world.cycle(&[down]).alert().severity, Sev::Sev1);
}

#[test]
fn b27_an_edit_shows_all_the_incidents_of_its_message() {
    let mut world = World::new(night());
    let search = replicas("search", 0, 2, night() - minutes(10));
    world.cycle(&[replicas("payments", 0, 2, night()), search.clone()]);
    let later = world.cycles(12, &[replicas("payments", 1, 2, night()), search]);
    assert_eq!(forms(&later), ["edit"]);
    let services: Vec<&str> = later[0].entries.iter().map(|entry| entry.service.as_str()).collect();
    assert_eq!(services, ["payments", "search"]);
}

#[test]
fn b28_fewer_ready_raises_the_severity_by_one_and_is_told_in_full() {
    let mut world = World::new(noon());
    assert_eq!(world.cycle(&[replicas("search", 3, 4, noon())]).alert().severity, Sev::Sev3);
    world.pass(minutes(6));
    let told = world.cycle(&[replicas("search", 2, 4, noon())]);
    assert_eq!(told.alert().severity, Sev::Sev2);
    assert!(
        told.alert().entries[0].findings.iter().any(|line| line.contains("2 ready, before 3")),
        "{:?}",
        told.alert().entries[0].findings
    );
    assert!(world.cycles(20, &[replicas("search", 2, 4, noon())]).is_empty(), "raised once");
    assert_eq!(world.severity_of("search"), Sev::Sev2, "and for as long as it is worse");
    world.pass(minutes(1));
    let told = world.cycle(&[replicas("search", 1, 4, noon())]);
    assert_eq!(
        told.alert().severity,
        Sev::Sev2,
        "worse again is told again, and raised no further"
    );
    world.cycles(1, &[replicas("search", 3, 4, noon())]);
    assert_eq!(world.severity_of("search"), Sev::Sev3);
}

#[test]
fn b28_the_tables_own_rise_is_not_raised_on_top() {
    let mut world = World::new(noon());
    world.cycle(&[replicas("search", 3, 4, noon())]);
    world.cycles(1, &[replicas("search", 0, 4, noon())]);
    world.pass(minutes(6));
    world.cycle(&[replicas("search", 0, 4, noon())]);
    assert_eq!(world.severity_of("search"), Sev::Sev2, "a P1 that is down is no SEV-1");
}

#[test]
fn b28_more_pods_are_worse_and_replaced_ones_are_not() {
    let mut world = World::new(noon());
    let crash = |pods: &[&str]| {
        let mut crash = finding("search", FindingKind::CrashLoop, noon());
        crash.pods = pods.iter().map(|&pod| pod.to_owned()).collect();
        [crash]
    };
    world.cycle(&crash(&["a", "b"]));
    world.pass(minutes(6));
    assert!(world.cycle(&crash(&["c", "d"])).messages.is_empty());
    let told = world.cycle(&crash(&["c", "d", "e"]));
    assert_eq!(told.alert().severity, Sev::Sev2);
}

#[test]
fn b28_what_is_known_is_not_raised() {
    let mut world = World::new(noon());
    let rollout = |ready| {
        let mut degraded = replicas("payments", ready, 4, noon());
        degraded.within_rollout = true;
        [degraded]
    };
    world.cycle(&rollout(3));
    world.pass(minutes(10));
    assert!(world.cycle(&rollout(1)).messages.is_empty());
    assert_eq!(world.severity_of("payments"), Sev::Sev4);
}

/// R08: an incident whose alert waits in the outbox is not alerted again, and is not said to be notified either.
#[test]
fn b27_r08_what_waits_is_not_sent_twice_and_nobody_counts_as_notified_by_it() {
    let mut world = World::new(night());
    let down = [replicas("payments", 0, 2, night())];
    world.slack = Slack::BackedUp;
    assert_eq!(forms(&world.cycle(&down).messages), ["alert"]);
    assert!(world.cycles(3, &down).is_empty());
    let incident = &world.board.incidents()[0];
    assert!(incident.thread.is_none());
    let failed = Notified::Failed { error: "500".to_owned(), attempts: 4 };
    assert_eq!(incident.notified.get(&NotifierName::Slack), Some(&failed));
    // The twin: Slack takes it, and that is said.
    world.slack = Slack::Works;
    world.work_off();
    let incident = &world.board.incidents()[0];
    assert!(incident.thread.is_some());
    let delivered = Notified::Delivered { at: world.now };
    assert_eq!(incident.notified.get(&NotifierName::Slack), Some(&delivered));
    assert!(world.cycles(3, &down).is_empty());
}

/// The failure of an earlier alert says nothing of what became of a later one.
#[test]
fn r08_the_failure_of_an_earlier_alert_does_not_replace_the_result_of_a_later_one() {
    let mut world = World::new(night());
    world.slack = Slack::BackedUp;
    world.cycle(&[replicas("payments", 1, 2, night())]).alert();
    let mut earlier = world.outbox.remove(0);
    world.slack = Slack::Works;
    world.pass(minutes(6));
    world.cycle(&[replicas("payments", 0, 2, night())]).alert();
    let at_slack =
        |world: &World| world.board.incidents()[0].notified[&NotifierName::Slack].clone();
    let delivered = Notified::Delivered { at: world.now };
    assert_eq!(at_slack(&world), delivered);
    earlier.failed("500".to_owned(), minutes(1), world.now);
    world.board.told(&earlier);
    assert_eq!(at_slack(&world), delivered);
    earlier.give_up(GivenUp::NotifierRemoved, world.now);
    world.board.told(&earlier);
    assert_eq!(at_slack(&world), delivered);
    assert!(world.cycles(3, &[replicas("payments", 0, 2, night())]).is_empty(), "nor is it again");
}

/// Issue 16, missing list 11: what the outbox gave up because too much waited is due again once there is room.
#[test]
fn i16_what_was_given_up_because_too_many_waited_is_due_again_once_there_is_room() {
    for why in [GivenUp::TooMany, GivenUp::Edit] {
        let mut world = World::new(night());
        let down = [replicas("payments", 0, 2, night())];
        world.slack = Slack::BackedUp;
        world.cycle(&down).alert();
        let mut entry = world.outbox.remove(0);
        entry.give_up(why, world.now);
        world.board.told(&entry);
        world.slack = Slack::Works;
        assert!(world.cycles(3, &down).is_empty(), "not while too many wait");
        world.board.somebody_is_there();
        let told = world.cycles(1, &down);
        assert_eq!(forms(&told), if why == GivenUp::TooMany { vec!["alert"] } else { vec![] });
        world.board.somebody_is_there();
        assert!(world.cycles(3, &down).is_empty(), "once");
    }
}

#[test]
fn b27_a_full_alert_again_keeps_the_thread_of_the_first() {
    let mut world = World::new(night());
    let down = [replicas("payments", 0, 2, night())];
    world.cycle(&down);
    let first = world.board.incidents()[0].thread.clone();
    world.pass(minutes(180));
    world.cycle(&down);
    assert_eq!(world.board.incidents()[0].thread, first);
    let over = world.cycles(1, &[]);
    assert_eq!(over[0].form, Form::Ended(first));
}

#[test]
fn b27_what_could_not_be_seen_is_not_said_to_go_on() {
    let mut world = World::new(night());
    world.cycle(&[replicas("payments", 0, 2, night())]);
    world.absence = Box::new(|_| mape_k::domain::incident::Absence::Unread);
    assert!(world.cycles(400, &[]).is_empty());
}

#[test]
fn b36_a_whole_cluster_that_is_down_is_one_message() {
    let mut world = World::new(night());
    let down = |count: usize| -> Vec<_> {
        (0..count).map(|n| replicas(&format!("service-{n}"), 0, 2, night())).collect()
    };
    world.catalogue.default_tier = Some(mape_k::domain::catalogue::Tier::P0);
    let findings = down(2_000);
    let began = std::time::Instant::now();
    let told = world.cycle(&findings);
    let again = world.cycles(1, &findings);
    println!(
        "2,000 incidents, two cycles: {:?}, state {} bytes",
        began.elapsed(),
        world.state.len()
    );
    assert_eq!(told.alert().entries.len(), 2_000);
    assert!(again.is_empty());
}
