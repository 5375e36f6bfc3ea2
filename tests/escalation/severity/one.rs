//! R05: one incident for each anchor: what it holds, what joins it, what it becomes one with, and what leaves it open.

use std::collections::BTreeSet;

use mape_k::domain::action::ActionKind;
use mape_k::domain::decision::Sev;
use mape_k::domain::finding::{Finding, FindingKind};
use mape_k::domain::incident::{
    Absence, Anchor, AtWork, Happening, Incident, IncidentStatus, Resolution, WorkStage,
};
use mape_k::domain::message::{Form, Message};
use mape_k::domain::need::NeedReason as Reason;
use mape_k::domain::target::Target;
use mape_k::incidents::compose::standing;
use uuid::Uuid;

use super::world::{Slack, Time, World, finding, minutes, night, replicas};

/// A broken rule of Charter's.
fn latency(since: Time) -> Finding {
    Finding {
        headline: "validation latency 3.5 s > 1 s".to_owned(),
        fingerprint: Some("latency".to_owned()),
        ..of_charter(FindingKind::Violation, since)
    }
}

/// An alert about the same.
fn alert(since: Time) -> Finding {
    Finding {
        headline: "CharterSlow".to_owned(),
        fingerprint: Some("alert-1".to_owned()),
        ..of_charter(FindingKind::Violation, since)
    }
}

fn of_charter(kind: FindingKind, since: Time) -> Finding {
    Finding {
        namespace: None,
        owner: "mape-k".to_owned(),
        anchor: Some(Anchor::of(&Target::Charter(None))),
        ..finding("charter", kind, since)
    }
}

pub fn need(reason: Reason, record: u128, detail: &str, since: Time) -> Finding {
    Finding {
        record: Some(Uuid::from_u128(record)),
        reason: format!("validation_latency [validation_latency]: {detail}"),
        ..of_charter(FindingKind::Loop(reason), since)
    }
}

fn node(name: &str, since: Time) -> Finding {
    Finding {
        namespace: None,
        owner: format!("Node/{name}"),
        reason: "the kubelet stopped posting its status.".to_owned(),
        ..finding(name, FindingKind::NodeNotReady, since)
    }
}

pub fn anchor(target: &str) -> Anchor {
    Anchor::of(&target.parse().expect("a target"))
}

fn cart_on(world: &mut World, node: &str) {
    let cart = anchor("kubernetes/shop/deployment/payments");
    world.confined = [(cart, anchor(&format!("kubernetes/node/{node}")))].into();
}

pub fn open(world: &World) -> Vec<&Incident> {
    world.board.incidents().iter().filter(|one| one.is_open()).collect()
}

fn happened(incident: &Incident) -> Vec<Happening> {
    incident.timeline.iter().map(|entry| entry.what).collect()
}

fn ends(messages: &[Message]) -> Vec<&str> {
    let is_end = |message: &&Message| matches!(message.form, Form::Ended(_));
    messages.iter().filter(is_end).map(|message| message.title.as_str()).collect()
}

#[test]
fn r05_latency_its_alert_an_approval_a_failure_and_a_retry_are_one_incident_in_one_thread() {
    let mut world = World::new(night());
    world.treated = [("latency".to_owned(), String::new())].into();
    let quiet = world.cycle(&[latency(night())]);
    assert_eq!(quiet.messages, [], "the loop treats it itself: SEV-4");
    assert_eq!(open(&world)[0].title, "Charter: validation latency 3.5 s > 1 s");
    assert_eq!((open(&world)[0].severity, open(&world)[0].doing.as_str()), (Sev::Sev4, ""));
    let id = open(&world)[0].id.clone();
    let both = [latency(night()), alert(night() + minutes(1))];
    world.pass(minutes(1));
    world.cycle(&both);

    // A person is asked: at least SEV-2, told at once, in the incident's own words.
    let asked = need(
        Reason::ApprovalNeeded,
        1,
        "scale_up to 5 waits for approval: mape-k approve 1",
        world.now,
    );
    let told = world.cycle(&[&both[..], std::slice::from_ref(&asked)].concat());
    let title = "SEV-2: Charter: validation latency 3.5 s > 1 s; waits for approval: scale_up to 5";
    assert_eq!(told.alert().title, title);
    assert_eq!(told.alert().impact, "charter (a person is needed)", "not that the loop treats it");
    assert_eq!(open(&world)[0].status, IncidentStatus::NeedsAttention);
    let thread = open(&world)[0].thread.clone().expect("announced");

    // Approved: nothing is resolved by that, and nobody is told so.
    world.at_work = vec![at_work(WorkStage::Applying)];
    let told = world.cycles(1, &both);
    assert!(ends(&told).is_empty(), "{told:#?}");
    let now = open(&world)[0];
    assert_eq!((&now.id, now.status), (&id, IncidentStatus::Acting));
    let settled_at = world.now + minutes(1);
    let judge_by = "2026-03-10T02:10:03Z".parse().expect("a time");
    world.at_work = vec![at_work(WorkStage::Verifying { settled_at, judge_by })];
    for said in [
        "scale_up applied; its effect settles until 2026-03-10T02:02:30Z, then its result is verified",
        "scale_up applied, verifying until 2026-03-10T02:10:03Z",
    ] {
        world.cycles(1, &both);
        let now = open(&world)[0];
        assert_eq!((now.status, now.doing.as_str()), (IncidentStatus::Verifying, said));
        world.pass(minutes(1));
    }

    // It fails, and another need follows: the same incident, due again in its own thread.
    world.at_work.clear();
    let failed = need(Reason::ActionFailed, 2, "scale_up failed", world.now);
    world.cycles(20, &[&both[..], &[failed]].concat());
    world.at_work = vec![at_work(WorkStage::Applying)];
    world.cycles(2, &both);
    world.at_work.clear();

    // Only once all of its evidence is clear it is resolved: not while the alert alone goes on.
    assert!(ends(&world.cycles(2, &both[1..])).is_empty());
    let told = world.cycles(1, &[]);
    assert_eq!(ends(&told), ["Resolved: Charter: CharterSlow"]);
    assert_eq!(told[0].form, Form::Ended(Some(thread)));
    let [incident] = world.board.incidents() else { panic!("{:#?}", world.board.incidents()) };
    assert_eq!((&incident.id, &incident.resolution), (&id, &Some(Resolution::Clear)));
    assert_eq!((incident.status, incident.doing.as_str()), (IncidentStatus::Resolved, ""));
    let went = happened(incident);
    for what in [Happening::Seen, Happening::Needed, Happening::Answered, Happening::Resolved] {
        assert!(went.contains(&what), "{what:?}: {went:?}");
    }
}

fn at_work(stage: WorkStage) -> AtWork {
    let action = ActionKind::ScaleUp.to_string();
    AtWork { target: Target::Charter(None), action, stage }
}

/// What is not acted on says why: nothing is configured, a guard holds it, it waits, or nobody can read it.
#[test]
fn r04_an_open_incident_says_why_nothing_is_done() {
    let waits = |why: &str| vec![at_work(WorkStage::Waiting(why.to_owned()))];
    let held = "scale_up: held by the guard cooldown";
    let lasts = "no action yet: it has not lasted long enough to name its cause";
    for (treated, at_work, said) in [
        (None, Vec::new(), "no configured action treats it"),
        (None, waits("held by the guard cooldown"), "no configured action treats it"),
        (Some(""), waits("held by the guard cooldown"), held),
        (Some(lasts), Vec::new(), lasts),
        (Some(""), Vec::new(), ""),
    ] {
        let mut world = World::new(night());
        world.treated =
            treated.map(|why| ("latency".to_owned(), why.to_owned())).into_iter().collect();
        world.at_work = at_work;
        world.cycle(&[latency(night())]);
        assert_eq!(open(&world)[0].doing, said);
        world.absence = Box::new(|_| Absence::Unread);
        world.cycles(1, &[]);
        let unknown = "UNKNOWN: its evidence could not be read since 2026-03-10T02:00:00Z";
        assert_eq!(open(&world)[0].doing, unknown);
    }
}

#[test]
fn r05_an_incident_is_open_for_as_long_as_a_need_is_and_an_end_of_it_says_nothing_of_the_rest() {
    let mut world = World::new(night());
    let unknown = need(Reason::UnknownAlert, 1, "DiskFull", night());
    world.cycle(std::slice::from_ref(&unknown)).alert();
    world.cycles(3, std::slice::from_ref(&unknown));
    assert_eq!(open(&world).len(), 1);
    // The needs could not be read: nothing ends.
    world.absence = Box::new(|_| Absence::Unread);
    assert!(ends(&world.cycles(3, &[])).is_empty());
    world.absence = Box::new(|_| Absence::Clear);
    assert_eq!(ends(&world.cycles(1, &[])).len(), 1);
}

#[test]
fn r05_what_cannot_be_read_stays_in_the_incident_while_the_rest_of_it_is_seen() {
    let mut world = World::new(night());
    let crash = finding("payments", FindingKind::CrashLoop, night());
    world.cycle(&[replicas("payments", 0, 2, night()), crash.clone()]).alert();
    // Workloads cannot be read: what they showed is held, and the severity with it.
    world.absence = Box::new(|finding| match finding.kind {
        FindingKind::ReplicasMissing => Absence::Unread,
        _ => Absence::Clear,
    });
    world.cycles(2, std::slice::from_ref(&crash));
    let kinds: Vec<_> = open(&world)[0].findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::ReplicasMissing, FindingKind::CrashLoop]);
    assert_eq!(open(&world)[0].severity, Sev::Sev1);
    let line = &open(&world)[0].lines[0];
    assert!(line.contains("so it was when it could last be read"), "{line}");
    // What is seen ends; what is not keeps it open.
    assert!(ends(&world.cycles(2, &[])).is_empty());
    assert_eq!(open(&world).len(), 1);
    world.absence = Box::new(|_| Absence::Clear);
    assert_eq!(ends(&world.cycles(1, &[])).len(), 1, "twin: read again, and clear");
}

#[test]
fn r05_a_muted_alert_leaves_its_incident_open_and_quiet_until_it_is_heard_again_or_gone() {
    for is_gone in [false, true] {
        let mut world = World::new(night());
        let asked = need(Reason::UnknownAlert, 1, "CharterSlow", night());
        let heard = [alert(night()), asked];
        world.cycle(&heard).alert();
        world.absence = Box::new(|finding| match finding.kind {
            FindingKind::Violation => Absence::Muted,
            _ => Absence::Clear,
        });
        let quiet = world.cycles(400, &[]);
        let is_quiet = |message: &Message| matches!(message.form, Form::Edit(_));
        assert!(quiet.iter().all(is_quiet), "neither an end nor a repetition: {quiet:#?}");
        let id = open(&world)[0].id.clone();
        assert!(open(&world)[0].course.is_muted);
        // An Alertmanager that holds the evidence back is not told that it fires.
        assert_eq!(standing(&world.board, &world.catalogue, world.now).len(), 0);
        world.restart();
        if is_gone {
            world.absence = Box::new(|_| Absence::Clear);
            assert_eq!(ends(&world.cycles(1, &[])), ["Resolved: Charter: CharterSlow"]);
        } else {
            let told = world.cycle(&heard);
            assert_eq!(told.alert().entries[0].incident, id, "it goes on, and is told to");
            assert!(!open(&world)[0].course.is_muted);
            assert_eq!(standing(&world.board, &world.catalogue, world.now).len(), 1, "twin");
        }
    }
}

#[test]
fn r05_an_incident_that_was_muted_before_anybody_was_notified_stays_quiet() {
    for is_muted in [true, false] {
        let mut world = World::new(night());
        let heard = [alert(night()), need(Reason::UnknownAlert, 1, "CharterSlow", night())];
        world.slack = Slack::BackedUp;
        world.cycle(&heard);
        // Its message is lost with the outbox that held it.
        assert_eq!(world.board.missing(&BTreeSet::new()).len(), 1);
        world.slack = Slack::Works;
        let absence = if is_muted { Absence::Muted } else { Absence::Unread };
        world.absence =
            Box::new(move |finding| if finding.is_need() { Absence::Clear } else { absence });
        let told = world.cycles(3, &[]);
        assert_eq!(told.is_empty(), is_muted, "twin: what is only unread is still due: {told:#?}");
        if is_muted {
            world.cycle(&heard).alert();
        }
    }
}

#[test]
fn r05_what_is_back_within_ten_minutes_is_the_same_incident() {
    for (away, is_same) in [(9, true), (11, false)] {
        let mut world = World::new(night());
        world.cycle(&[latency(night()), need(Reason::Ineffective, 1, "scale_up", night())]).alert();
        let id = open(&world)[0].id.clone();
        world.cycles(1, &[]);
        world.pass(minutes(away));
        world.cycle(&[latency(world.now)]);
        assert_eq!(open(&world)[0].id == id, is_same, "{away} min");
        assert_eq!(happened(open(&world)[0]).contains(&Happening::Recurred), is_same);
    }
}

#[test]
fn r05_a_node_absorbs_a_workload_that_suffers_on_it_alone_and_began_later() {
    let later = night() + minutes(2);
    let down = replicas("payments", 0, 2, later);
    // Elsewhere too, earlier, or on another node: they stay two.
    for (what, on, since) in [
        ("not alone", None, later),
        ("before", Some("n1"), night() - minutes(1)),
        ("another", Some("n2"), later),
    ] {
        let mut world = World::new(night());
        world.cycle(&[node("n1", night())]);
        if let Some(node) = on {
            cart_on(&mut world, node);
        }
        world.pass(minutes(2));
        world.cycle(&[node("n1", night()), replicas("payments", 0, 2, since)]);
        assert_eq!(open(&world).len(), 2, "{what}");
    }
    let mut world = World::new(night());
    world.cycle(&[node("n1", night())]);
    cart_on(&mut world, "n1");
    world.pass(minutes(2));
    world.cycle(&[node("n1", night()), down.clone()]);
    let [one] = &open(&world)[..] else { panic!("{:#?}", open(&world)) };
    assert_eq!(one.anchor, anchor("kubernetes/node/n1"));
    assert_eq!(one.severity, Sev::Sev1, "a P0 is down");
    assert_eq!(one.title, "n1: node not ready (and payments)");
    let id = one.id.clone();
    // The node is well, the workload is not: the incident stays, whatever the cluster looks like by then.
    world.confined.clear();
    world.restart();
    world.cycles(2, std::slice::from_ref(&down));
    let [one] = &open(&world)[..] else { panic!("{:#?}", open(&world)) };
    assert_eq!((&one.id, one.title.as_str()), (&id, "payments: 0 of 2 pods ready"));
    assert_eq!(one.course.down_since, Some(later), "down since then, whoever's incident it is");
    assert_eq!(ends(&world.cycles(1, &[])).len(), 1);
}

#[test]
fn r05_merged_while_an_approval_is_pending_the_older_goes_on_with_the_need_and_one_note_is_told() {
    let mut world = World::new(night());
    world.cycle(&[node("n1", night())]);
    world.pass(minutes(2));
    let since = world.now;
    let asked = Finding {
        anchor: Some(anchor("kubernetes/shop/deployment/payments")),
        ..need(
            Reason::ApprovalNeeded,
            7,
            "rollback_rollout waits for approval: mape-k approve 7",
            since,
        )
    };
    let all = [node("n1", night()), replicas("payments", 0, 2, since), asked];
    let told = world.cycle(&all);
    let [first, second] = &open(&world)[..] else { panic!("{:#?}", open(&world)) };
    let (first, second) = ((*first).clone(), (*second).clone());
    assert_eq!(told.alert().entries[0].incident, second.id);
    // Only now the cluster shows that all of it is on that node.
    cart_on(&mut world, "n1");
    world.pass(minutes(1));
    let told = world.cycle(&all);
    assert_eq!(told.observed.merged, [(second.id.clone(), first.id.clone())]);
    let [one] = &open(&world)[..] else { panic!("{:#?}", open(&world)) };
    assert_eq!(one.id, first.id, "the older stays");
    assert!(one.findings.iter().any(Finding::is_need), "with what is asked");
    assert_eq!(one.doing, "waits for approval: rollback_rollout");
    let note = format!("Merged into {}: payments: 0 of 2 pods ready", first.id);
    assert_eq!(ends(&told.messages), [note.as_str()], "one note");
    let ended = told.messages.iter().find(|message| matches!(message.form, Form::Ended(_)));
    assert_eq!(ended.expect("the note").form, Form::Ended(second.thread.clone()), "in its thread");
    let gone = world.board.incident(&second.id).expect("kept");
    assert_eq!(gone.resolution, Some(Resolution::MergedInto(first.id.clone())));
    let target = anchor("kubernetes/shop/deployment/payments");
    assert_eq!(world.board.open_at(&target).expect("it goes on").id, first.id);
    world.restart();
    let told = world.cycles(20, &all);
    assert!(ends(&told).is_empty(), "once: {told:#?}");
}

#[test]
fn r05_the_incident_of_a_pod_becomes_that_of_its_owner_once_that_is_known() {
    let mut world = World::new(night());
    let on = |target: &str| Finding {
        anchor: Some(anchor(target)),
        ..need(Reason::HandsTied, 3, "restart_cart is held", night())
    };
    let slow = |target: &str| Finding { anchor: Some(anchor(target)), ..latency(night()) };
    let (pod, owner) = ("kubernetes/shop/pod/cart-x", "kubernetes/shop/deployment/cart");
    world.cycle(&[slow(pod), on(pod)]).alert();
    let id = open(&world)[0].id.clone();
    world.cycles(1, &[slow(owner), on(pod)]);
    let [one] = &open(&world)[..] else { panic!("{:#?}", open(&world)) };
    assert_eq!((&one.id, &one.anchor), (&id, &anchor(owner)));
    assert_eq!(one.findings.len(), 2, "the need moved along");

    // The owner's own is older: that one goes on.
    let mut world = World::new(night());
    world.cycle(&[Finding { fingerprint: Some("other".to_owned()), ..slow(owner) }]);
    let older = open(&world)[0].id.clone();
    let both =
        |at: &str| [Finding { fingerprint: Some("other".to_owned()), ..slow(owner) }, slow(at)];
    world.cycles(1, &both(pod));
    assert_eq!(open(&world).len(), 2);
    world.cycles(1, &both(owner));
    let [one] = &open(&world)[..] else { panic!("{:#?}", open(&world)) };
    assert_eq!(one.id, older);
}

#[test]
fn r05_a_cause_that_two_targets_share_makes_them_no_one_incident() {
    let mut world = World::new(night());
    let both = [replicas("payments", 0, 2, night()), replicas("search", 0, 2, night())];
    world.cycles(3, &both);
    assert_eq!(open(&world).len(), 2);
}
