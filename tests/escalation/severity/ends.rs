//! How incidents end, come back, and wait for business hours.

use std::collections::BTreeSet;

use mape_k::domain::decision::Sev;
use mape_k::domain::incident::Absence;
use mape_k::domain::message::{Form, Notified, NotifierName};

use super::world::{Slack, World, at, minutes, night, noon, replicas};

#[test]
fn b27_an_end_is_told_once_in_each_thread() {
    let mut world = World::new(night());
    world.cycle(&[replicas("payments", 0, 2, night())]);
    let both =
        [replicas("payments", 0, 2, night()), replicas("search", 0, 2, night() - minutes(9))];
    world.cycles(1, &both);
    let over = world.cycles(1, &[]);
    assert_eq!(over.len(), 2, "two announcements, two ends: {over:#?}");
    for message in &over {
        assert!(matches!(message.form, Form::Ended(Some(_))), "{:?}", message.form);
        assert!(message.entries.iter().all(|entry| entry.ended_at == Some(world.now)));
    }
    let ends = world.cycles(60, &[]);
    assert!(ends.iter().all(|message| matches!(message.form, Form::Edit(_))), "{ends:#?}");
    assert_eq!(ends.len(), 2, "each first message shows it, once");
}

#[test]
fn b27_what_was_never_told_has_no_end_to_tell() {
    let mut world = World::new(noon());
    world.cycle(&[replicas("toys", 0, 2, noon())]);
    assert!(world.cycles(30, &[]).is_empty());
}

#[test]
fn b02_a_reading_that_was_not_whole_ends_nothing() {
    let mut world = World::new(night());
    world.cycle(&[replicas("payments", 0, 2, night())]);
    world.absence = Box::new(|_| Absence::Unread);
    assert!(world.cycles(20, &[]).is_empty());
    assert!(world.board.incidents()[0].is_open());
    // However long that lasts: nobody can say that it is resolved, nor that it is no longer there.
    world.pass(minutes(48 * 60));
    assert!(world.cycles(1, &[]).is_empty());
    assert!(world.board.incidents()[0].doing.starts_with("UNKNOWN: "));
    world.absence = Box::new(|_| Absence::Clear);
    assert!(matches!(world.cycles(1, &[])[0].form, Form::Ended(Some(_))));
}

#[test]
fn b27_what_comes_back_within_minutes_is_the_same_incident_in_the_same_thread() {
    let mut world = World::new(night());
    let down = [replicas("payments", 0, 2, night())];
    world.cycle(&down);
    let (id, thread) =
        (world.board.incidents()[0].id.clone(), world.board.incidents()[0].thread.clone());
    world.cycles(1, &[]);
    world.pass(minutes(9));
    let told = world.cycle(&down);
    assert_eq!(
        told.alert().title,
        "SEV-1 again: payments: 0 of 2 pods ready; no configured action treats it"
    );
    assert_eq!(world.board.incidents().len(), 1);
    assert_eq!(world.board.incidents()[0].id, id);
    assert_eq!(world.board.incidents()[0].thread, thread);
    // From now on its end must last before it is told.
    let soon = world.cycles(19, &[]);
    assert!(soon.iter().all(|message| matches!(message.form, Form::Edit(_))), "{soon:#?}");
    let later = world.cycles(4, &[]);
    assert!(later.iter().any(|message| matches!(message.form, Form::Ended(_))), "{later:#?}");
}

#[test]
fn b27_what_comes_back_later_is_a_new_incident() {
    let mut world = World::new(night());
    world.cycle(&[replicas("payments", 0, 2, night())]);
    world.cycles(1, &[]);
    world.pass(minutes(11));
    world.cycle(&[replicas("payments", 0, 2, world.now)]);
    let ids: Vec<&str> = world.board.incidents().iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["INC-20260310_020000-001", "INC-20260310_021130-001"]);
}

#[test]
fn b19_a_p0_that_returns_three_times_in_an_hour_is_flapping() {
    let mut world = World::new(night());
    let mut warned = super::world::finding(
        "payments",
        mape_k::domain::finding::FindingKind::ProbeFailing,
        night(),
    );
    warned.since = night();
    for returned in 0..=3 {
        let told = world.cycle(std::slice::from_ref(&warned));
        let expected = if returned < 3 { Sev::Sev3 } else { Sev::Sev2 };
        world.pass(minutes(1));
        let next = world.cycle(std::slice::from_ref(&warned));
        assert_eq!(world.severity_of("payments"), expected, "after {returned} returns");
        if returned == 3 {
            let flapping = told.alerts().len() + next.alerts().len();
            assert_eq!(flapping, 1, "told at once");
        }
        world.pass(minutes(1));
        world.cycle(&[]);
        world.pass(minutes(1));
    }
}

#[test]
fn b20_a_sev_3_at_night_waits_for_business_hours_and_survives_a_restart() {
    let mut world = World::new(night());
    let degraded = [replicas("search", 2, 3, night())];
    let told = world.cycle(&degraded);
    assert_eq!(told.severity(), Sev::Sev3);
    assert!(!told.decision.is_some_and(|decision| decision.should_notify));
    assert!(world.board.incidents()[0].is_queued);
    assert!(world.cycles(10, &degraded).is_empty());
    world.restart();
    assert!(world.board.incidents()[0].is_queued);
    world.now = at("2026-03-10T08:59:30Z");
    assert!(world.cycle(&degraded).messages.is_empty());
    let told = world.cycles(1, &degraded);
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].form, told[0].severity), (&Form::Alert, Sev::Sev3));
    assert!(world.cycles(10, &degraded).is_empty());
}

#[test]
fn b20_what_came_and_went_at_night_is_in_the_mornings_summary() {
    // A Friday evening: it waits over the week-end.
    let mut world = World::new(at("2026-03-13T20:00:00Z"));
    world.cycle(&[replicas("search", 2, 3, world.now)]);
    assert!(world.cycles(10, &[]).is_empty());
    world.pass(minutes(60 * 24));
    assert!(world.cycle(&[]).messages.is_empty());
    world.restart();
    world.now = at("2026-03-16T09:00:00Z");
    let told = world.cycle(&[]).messages;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].form, Form::Summary);
    assert_eq!(told[0].title, "Resolved before anybody was notified: search: 2 of 3 pods ready");
    assert!(world.cycles(10, &[]).is_empty());
}

#[test]
fn b20_a_sev_3_that_waits_becomes_a_sev_2_and_is_told_at_once() {
    let mut world = World::new(night());
    world.cycle(&[replicas("search", 0, 3, night())]);
    world.pass(minutes(6));
    let told = world.cycle(&[replicas("search", 0, 3, night())]);
    assert_eq!(told.alert().severity, Sev::Sev2);
    assert!(!world.board.incidents()[0].is_queued);
}

#[test]
fn b20_what_waited_and_became_milder_before_it_ended_is_told_all_the_same() {
    let mut world = World::new(night());
    world.cycle(&[replicas("reports", 0, 3, night() - minutes(120))]);
    assert!(world.board.incidents()[0].is_queued);
    assert!(world.cycles(5, &[replicas("reports", 1, 3, night())]).is_empty());
    assert_eq!(world.severity_of("reports"), Sev::Sev4);
    world.restart();
    assert!(world.cycles(5, &[]).is_empty());
    world.now = at("2026-03-10T09:00:00Z");
    let told = world.cycle(&[]).messages;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(
        (&told[0].form, told[0].title.as_str()),
        (&Form::Summary, "Resolved before anybody was notified: reports: 1 of 3 pods ready")
    );
    assert!(world.cycles(10, &[]).is_empty(), "once");
}

#[test]
fn b20_what_came_back_after_hours_and_went_is_told_in_the_morning() {
    for last in [2, 3] {
        let mut world = World::new(at("2026-03-10T16:59:00Z"));
        world.cycle(&[replicas("search", 2, 3, world.now)]).alert();
        world.now = at("2026-03-10T17:05:00Z");
        assert!(matches!(world.cycle(&[]).messages[0].form, Form::Ended(_)));
        world.now = at("2026-03-10T17:08:00Z");
        let back = replicas("search", 2, 3, world.now);
        assert!(world.cycle(std::slice::from_ref(&back)).messages.is_empty(), "not at night");
        // It may be mild in the end.
        let mut milder = replicas("search", last, 3, world.now);
        milder.severity = mape_k::domain::finding::FindingSeverity::Info;
        world.now = at("2026-03-11T07:00:00Z");
        world.cycle(&[milder]);
        world.now = at("2026-03-11T08:00:00Z");
        assert!(world.cycle(&[]).messages.iter().all(|told| matches!(told.form, Form::Edit(_))));
        world.now = at("2026-03-11T09:00:00Z");
        let told = world.cycle(&[]).messages;
        assert!(told.iter().any(|told| told.form == Form::Summary), "{last}: {told:#?}");
    }
}

#[test]
fn b20_what_came_back_as_nobodys_matter_is_in_no_summary() {
    let mut world = World::new(noon());
    world.cycle(&[replicas("search", 2, 3, noon())]).alert();
    world.cycles(1, &[]);
    world.pass(minutes(3));
    let mut passing =
        super::world::finding("search", mape_k::domain::finding::FindingKind::Pending, noon());
    passing.severity = mape_k::domain::finding::FindingSeverity::Info;
    world.cycle(&[passing]);
    let told = world.cycles(30, &[]);
    assert!(told.iter().all(|message| message.form != Form::Summary), "{told:#?}");
}

#[test]
fn b03_while_nobody_can_count_replicas_a_p0_stays_as_down_as_it_was() {
    let mut world = World::new(night());
    let mut crash =
        super::world::finding("payments", mape_k::domain::finding::FindingKind::CrashLoop, night());
    (crash.ready, crash.desired) = (Some(0), Some(2));
    world.cycle(&[replicas("payments", 0, 2, night()), crash.clone()]).alert();
    // Workloads cannot be read: only the pod still shows what it has.
    world.absence = Box::new(|_| Absence::Unread);
    (crash.ready, crash.desired) = (None, None);
    world.cycles(4, std::slice::from_ref(&crash));
    let held = &world.board.incidents()[0];
    assert_eq!((held.severity, held.numbers.ready), (Sev::Sev1, Some(0)));
    assert_eq!(held.course.down_since, Some(night()));
    let mut blind = super::world::finding(
        "loop",
        mape_k::domain::finding::FindingKind::Loop(mape_k::domain::need::NeedReason::Blind),
        world.now,
    );
    blind.namespace = None;
    let told = world.cycle(&[crash.clone(), blind]);
    assert_eq!(told.observed.weighed[1].severity, Sev::Sev1, "a P0 was down");
    world.absence = Box::new(|_| Absence::Clear);
    world.cycle(&[crash]);
    assert_eq!(world.severity_of("payments"), Sev::Sev3, "read again, and not down");
}

#[test]
fn b27_ended_incidents_are_kept_for_a_day() {
    let mut world = World::new(night());
    world.cycle(&[replicas("payments", 0, 2, night())]);
    world.cycles(1, &[]);
    world.pass(minutes(60 * 24 - 1));
    world.cycle(&[]);
    assert_eq!(world.board.incidents().len(), 1);
    world.pass(minutes(2));
    world.cycle(&[]);
    assert!(world.board.incidents().is_empty());
}

#[test]
fn b07_what_waited_is_answered_where_it_was_delivered_at_last() {
    let mut world = World::new(night());
    world.slack = super::world::Slack::BackedUp;
    world.cycle(&[replicas("payments", 0, 2, night())]);
    world.slack = super::world::Slack::Works;
    world.work_off();
    let thread = world.board.incidents()[0].thread.clone();
    assert!(thread.is_some());
    assert_eq!(world.cycles(1, &[])[0].form, Form::Ended(thread));
}

/// Case 29: all that was told in one message goes on in the one that took its place, in another process too, and the old
/// one is not touched again. The twin is a message that is still there.
#[test]
fn w07_incidents_of_a_deleted_message_go_on_in_the_new_one() {
    for is_deleted in [true, false] {
        let mut world = World::new(night());
        let both =
            [replicas("payments", 0, 2, night()), replicas("search", 0, 2, night() - minutes(9))];
        world.cycle(&both);
        let first = world.board.incidents()[0].thread.clone().expect("a thread");
        assert!(world.board.incidents().iter().all(|one| one.thread.as_ref() == Some(&first)));
        if is_deleted {
            world.slack = super::world::Slack::Deleted;
        }
        // One of them ends: it is answered, and the other is moved with it.
        let told = world.cycles(1, &both[1..]);
        assert_eq!(told[0].form, Form::Ended(Some(first.clone())));
        world.slack = super::world::Slack::Works;
        let threads: Vec<_> =
            world.board.incidents().iter().map(|one| one.thread.clone().expect("kept")).collect();
        assert_eq!(threads[0], threads[1], "both go on in one place");
        assert_eq!(threads[0] != first, is_deleted);
        world.restart();
        let later = world.cycles(30, &[]);
        let places: Vec<_> = later.iter().map(|message| message.form.thread()).collect();
        assert!(
            !places.is_empty() && places.iter().all(|place| *place == Some(&threads[0])),
            "{later:#?}"
        );
    }
}

#[test]
fn b07_the_thread_of_a_summary_is_no_place_to_follow_an_incident() {
    let mut world = World::new(night());
    world.slack = super::world::Slack::BackedUp;
    world.cycle(&[replicas("payments", 0, 2, night())]);
    let mut entry = world.outbox.remove(0);
    entry.message.form = Form::Summary;
    let thread = mape_k::domain::message::Thread { channel: "C1".to_owned(), ts: "1.2".to_owned() };
    entry.delivered(Some(thread), world.now);
    world.board.told(&entry);
    let incident = &world.board.incidents()[0];
    assert_eq!(incident.thread, None);
    assert!(matches!(incident.notified[&NotifierName::Slack], Notified::Delivered { .. }));
}

#[test]
fn b07_whose_message_is_lost_is_notified_again_and_whose_waits_is_not() {
    let mut world = World::new(night());
    world.slack = super::world::Slack::BackedUp;
    let down = [replicas("payments", 0, 2, night())];
    world.cycle(&down);
    world.restart();
    let waiting = world.waiting();
    assert!(world.board.missing(&waiting).is_empty());
    assert!(world.cycles(2, &down).is_empty(), "its message waits");
    world.slack = super::world::Slack::Works;
    world.outbox.clear();
    world.restart();
    let missing = world.board.missing(&BTreeSet::new());
    assert_eq!(missing, [world.board.incidents()[0].id.clone()]);
    let told = world.cycles(1, &down);
    assert_eq!((told.len(), &told[0].form), (1, &Form::Alert));
    world.restart();
    assert!(world.board.missing(&BTreeSet::new()).is_empty(), "it was confirmed");
}

#[test]
fn b07_an_end_whose_message_is_lost_is_told_again() {
    let mut world = World::new(night());
    world.cycle(&[replicas("payments", 0, 2, night())]);
    world.slack = super::world::Slack::BackedUp;
    assert!(matches!(world.cycles(1, &[])[0].form, Form::Ended(Some(_))));
    world.restart();
    world.outbox.clear();
    world.slack = super::world::Slack::Works;
    assert_eq!(world.board.missing(&BTreeSet::new()).len(), 1);
    assert!(matches!(world.cycles(1, &[])[0].form, Form::Ended(Some(_))));
}

#[test]
fn b20_a_mornings_summary_whose_message_is_lost_is_told_again() {
    let mut world = World::new(night());
    world.cycle(&[replicas("search", 2, 3, world.now)]);
    world.cycles(1, &[]);
    world.now = at("2026-03-10T09:00:00Z");
    world.slack = super::world::Slack::BackedUp;
    assert_eq!(world.cycle(&[]).messages[0].form, Form::Summary);
    world.restart();
    world.outbox.clear();
    world.slack = super::world::Slack::Works;
    assert_eq!(world.board.missing(&BTreeSet::new()).len(), 1);
    assert_eq!(world.cycles(1, &[])[0].form, Form::Summary);
}

#[test]
fn r08_what_was_due_while_nobody_could_be_notified_is_due_once_somebody_can_be() {
    for is_there in [true, false] {
        let mut world = World::new(night());
        world.slack = Slack::Absent;
        let down = [replicas("payments", 0, 4, night())];
        world.cycle(&down).alert();
        assert!(world.cycles(3, &down).is_empty(), "the log has said it");
        world.slack = Slack::Works;
        if is_there {
            world.board.somebody_is_there();
        }
        let told = world.cycles(1, &down);
        assert_eq!(told.len(), usize::from(is_there), "{told:#?}");
        if is_there {
            world.board.somebody_is_there();
            assert!(world.cycles(1, &down).is_empty(), "once");
        }
    }
}
