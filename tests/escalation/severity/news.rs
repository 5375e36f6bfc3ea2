//! R05: people are notified of what is done about an incident at once, and of each thing once.

use std::time::Duration;

use mape_k::domain::finding::{Finding, FindingKind};
use mape_k::domain::incident::Happening;
use mape_k::domain::message::{Form, Message};
use mape_k::domain::need::NeedReason;

use super::one::{anchor, need};
use super::world::{World, finding, minutes, night, replicas};

/// The news of each brief update among these messages.
fn told_news(messages: &[Message]) -> Vec<Vec<String>> {
    let updates = messages.iter().filter(|message| matches!(message.form, Form::Update(_)));
    updates.map(|update| update.entries[0].news.clone()).collect()
}

/// R05: a decision is handed to the incident in each cycle while it is remembered; a second one in the same words is another.
#[test]
fn r05_the_same_words_of_another_time_are_news_once_and_one_line_of_the_timeline_each() {
    let rejected = "restart_service enforcer: rejected by alice";
    for (what, text) in
        [(Happening::Rejected, rejected), (Happening::Applied, "restart_service: applied")]
    {
        let mut world = World::new(night());
        let found = [replicas("payments", 0, 2, night())];
        world.cycle(&found).alert();
        let id = world.board.incidents()[0].id.clone();
        let mut decisions = Vec::new();
        for _ in 0..2 {
            world.pass(minutes(5));
            decisions.push(world.now);
            let mut told = Vec::new();
            for _ in 0..20 {
                world.pass(Duration::from_secs(30));
                for at in &decisions {
                    world.board.note(&id, what, text, *at);
                }
                told.extend(world.cycle(&found).messages);
            }
            assert_eq!(told_news(&told), [[text]], "once, of {} so far", decisions.len());
        }
        let timeline = &world.board.incidents()[0].timeline;
        let lines: Vec<_> = timeline.iter().filter(|line| line.what == what).collect();
        assert_eq!(lines.iter().map(|line| line.at).collect::<Vec<_>>(), decisions);
    }
}

/// R05: also when the timeline holds as many lines as it keeps.
#[test]
fn r05_what_happens_in_a_long_incident_is_told_once_too() {
    let mut world = World::new(night());
    let found = [replicas("payments", 0, 2, night())];
    world.cycle(&found).alert();
    let id = world.board.incidents()[0].id.clone();
    for number in 0..150 {
        world.pass(Duration::from_secs(1));
        let text = format!("restart_service: applied for the time {number}");
        world.board.note(&id, Happening::Applied, &text, world.now);
    }
    world.cycles(1, &found);
    assert_eq!(world.board.incidents()[0].timeline.len(), 100);
    assert!(told_news(&world.cycles(5, &found)).is_empty());
    let at = world.now;
    world.board.note(&id, Happening::Failed, "restart_service: failed", at);
    assert_eq!(told_news(&world.cycles(5, &found)), [["restart_service: failed"]]);
}

/// R05: of two incidents that become one, only what people have not heard is news, whenever it happened; and one message says it.
#[test]
fn r05_news_of_a_merged_incident_is_told_once_and_what_was_heard_is_not_told_again() {
    for is_first_announced in [true, false] {
        let mut world = World::new(night());
        let node = Finding {
            namespace: None,
            owner: "Node/n1".to_owned(),
            ..finding("n1", FindingKind::NodeNotReady, world.now)
        };
        // Nobody is notified of a node that carries nothing of any weight, unless a person is needed.
        let asked = Finding {
            anchor: Some(anchor("kubernetes/node/n1")),
            ..need(NeedReason::HandsTied, 3, "drain is held", night())
        };
        let mut all = vec![node];
        all.extend(is_first_announced.then_some(asked));
        world.cycle(&all);
        world.pass(minutes(2));
        all.push(replicas("payments", 0, 2, world.now));
        world.cycle(&all).alert();
        let ids: Vec<String> = world.board.incidents().iter().map(|one| one.id.clone()).collect();
        let [first, second] = &ids[..] else { panic!("{ids:?}") };
        let is_announced = |world: &World, id| {
            world.board.incident(id).is_some_and(|one| one.notified_at.is_some())
        };
        assert_eq!(is_announced(&world, first), is_first_announced);
        assert!(is_announced(&world, second));

        let failed_at = world.now;
        world.pass(minutes(1));
        let now = world.now;
        world.board.note(first, Happening::Approved, "drain: approved by alice", now);
        world.cycles(1, &all);
        world.board.note(second, Happening::Failed, "restart_service: failed", failed_at);
        let cart = "kubernetes/shop/deployment/payments";
        world.confined = [(anchor(cart), anchor("kubernetes/node/n1"))].into();
        let told = world.cycles(3, &all);
        let shown = told.iter().filter(|message| !matches!(message.form, Form::Edit(_)));
        let lines: Vec<&String> =
            shown.flat_map(|message| &message.entries).flat_map(|entry| &entry.news).collect();
        let says = |text: &str| lines.iter().filter(|line| line.as_str() == text).count();
        assert_eq!(says("restart_service: failed"), 1, "{told:#?}");
        let approved = usize::from(!is_first_announced);
        assert_eq!(says("drain: approved by alice"), approved, "{told:#?}");
    }
}
