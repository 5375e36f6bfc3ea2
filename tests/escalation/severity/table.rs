//! The table of severities, by the situations that operators know.

use mape_k::domain::catalogue::Tier;
use mape_k::domain::decision::{Channel, Sev};
use mape_k::domain::finding::{FindingKind, FindingSeverity};

use super::world::{World, finding, known, minutes, night, noon, replicas, service, with};

#[test]
fn b13_a_healthy_cluster_has_nothing_to_decide() {
    let mut world = World::new(noon());
    let told = world.cycle(&[]);
    assert!(told.decision.is_none() && told.messages.is_empty());
    assert!(world.board.incidents().is_empty());
}

#[test]
fn b13_what_resolves_by_itself_is_logged_and_never_told() {
    let mut world = World::new(noon());
    let mut passing = finding("payments", FindingKind::ProbeFailing, noon());
    passing.severity = FindingSeverity::Info;
    let told = world.cycle(&[passing]);
    assert_eq!(told.severity(), Sev::Sev4);
    assert!(!told.decision.as_ref().is_some_and(|decision| decision.should_notify));
    assert!(told.messages.is_empty());
}

#[test]
fn b14_a_p0_without_a_replica_is_sev_1_at_once_in_the_critical_channel_at_any_hour() {
    let mut world = World::new(night());
    let told = world.cycle(&[replicas("payments", 0, 2, night())]);
    let alert = told.alert();
    assert_eq!((alert.severity, alert.channel), (Sev::Sev1, Channel::Critical));
    assert_eq!(alert.title, "SEV-1: payments: 0 of 2 pods ready; no configured action treats it");

    world.pass(minutes(3));
    let told = world.cycle(&[replicas("payments", 0, 2, night())]);
    assert_eq!(
        told.reason(),
        "payments (P0) is down, 0 of 2 ready for 3 min; it may be down for 0 min"
    );
    assert!(told.messages.is_empty(), "told once");
}

#[test]
fn b14_a_rollout_that_recreates_takes_a_p0_down_all_the_same_in_one_incident_and_one_message() {
    let mut world = World::new(noon());
    let mut missing = replicas("payments", 0, 2, noon());
    missing.within_rollout = true;
    let mut pending = finding("payments", FindingKind::Pending, noon());
    (pending.ready, pending.desired, pending.within_rollout) = (Some(0), Some(2), true);
    let told = world.cycle(&[missing, pending]);
    assert_eq!(told.alert().severity, Sev::Sev1);
    assert_eq!(told.alert().entries.len(), 1, "one incident");
    assert_eq!(told.alert().entries[0].findings.len(), 2, "a line for each finding");
    assert_eq!(told.messages.len(), 1);
}

#[test]
fn b15_a_degraded_p0_is_sev_2_and_after_two_minutes_sev_1() {
    let mut world = World::new(noon());
    let degraded = replicas("payments", 1, 2, noon());
    let told = world.cycle(std::slice::from_ref(&degraded));
    assert_eq!(told.alert().severity, Sev::Sev2);
    assert!(told.reason().contains("it is the last one"), "{}", told.reason());

    world.pass(minutes(2));
    let told = world.cycle(std::slice::from_ref(&degraded));
    assert!(told.decision.is_none(), "not longer than two minutes yet");
    world.pass(std::time::Duration::from_secs(1));
    let told = world.cycle(&[degraded]);
    assert_eq!(told.alert().severity, Sev::Sev1);
}

#[test]
fn b15_a_rollout_within_its_limits_is_logged_and_no_more() {
    let mut world = World::new(noon());
    let mut degraded = replicas("payments", 1, 2, noon());
    degraded.within_rollout = true;
    for _ in 0..10 {
        let told = world.cycle(std::slice::from_ref(&degraded));
        assert!(told.observed.weighed[0].is_excused);
        assert!(told.messages.is_empty());
        world.pass(minutes(1));
    }
    let mut crash = finding("payments", FindingKind::CrashLoop, world.now);
    (crash.ready, crash.desired, crash.within_rollout) = (Some(3), Some(4), true);
    let told = world.cycle(&[degraded.clone(), crash.clone()]);
    assert_eq!(told.severity(), Sev::Sev3, "a crash is no rollout's");
    (crash.ready, crash.desired) = (Some(1), Some(2));
    assert_eq!(world.cycle(&[degraded, crash]).severity(), Sev::Sev2, "the last one is left");
}

#[test]
fn b16_a_p1_down_for_six_minutes_is_beyond_its_five() {
    let down = replicas("search", 0, 3, noon());
    let mut world = World::new(noon() + minutes(5));
    let told = world.cycle(std::slice::from_ref(&down));
    assert_eq!(told.severity(), Sev::Sev3, "within tolerance");
    world.pass(minutes(1));
    let told = world.cycle(&[down]);
    assert_eq!((told.alert().severity, told.alert().channel), (Sev::Sev2, Channel::Infrastructure));
    assert_eq!(
        told.reason(),
        "search (P1) is down, 0 of 3 ready for 6 min; it may be down for 5 min"
    );
}

#[test]
fn b16_how_long_it_is_down_counts_from_when_it_was_last_seen_up() {
    let mut world = World::new(noon());
    // The object's own time moves only when it leaves "available", an hour before the last replica goes.
    let since = noon() - minutes(60);
    world.cycle(&[replicas("search", 1, 3, since)]);
    world.pass(minutes(1));
    world.cycle(&[replicas("search", 0, 3, since)]);
    assert_eq!(world.severity_of("search"), Sev::Sev3);
    world.pass(minutes(5));
    world.cycle(&[replicas("search", 0, 3, since)]);
    assert_eq!(world.severity_of("search"), Sev::Sev2);
}

#[test]
fn b16_a_first_observation_counts_where_the_object_forgets() {
    let mut world = World::new(noon());
    world.cycle(&[replicas("search", 0, 3, noon())]);
    world.pass(minutes(6));
    // A new pod each minute: the object's own time is young again.
    world.cycle(&[replicas("search", 0, 3, world.now)]);
    assert_eq!(world.severity_of("search"), Sev::Sev2);
}

#[test]
fn b17_a_known_issue_is_filtered_within_its_grace_and_no_longer() {
    let mut world = World::new(noon());
    let mut payments = service("payments", Tier::P0);
    payments.known_issues = vec![known("crashloopBackOff", minutes(30))];
    world.catalogue = with(payments);
    let mut crash = finding("payments", FindingKind::CrashLoop, noon());
    "Container app waits: CrashLoopBackOff.".clone_into(&mut crash.reason);
    (crash.ready, crash.desired) = (Some(0), Some(2));
    let told = world.cycle(std::slice::from_ref(&crash));
    assert_eq!(told.severity(), Sev::Sev4);
    assert!(told.observed.weighed[0].is_excused, "{}", told.reason());
    assert!(told.reason().contains("ticket 12"), "{}", told.reason());
    assert!(told.reason().contains("ticket 12"), "{}", told.reason());
    assert!(told.messages.is_empty());

    world.pass(minutes(30));
    // Each crash makes the object's own time young again: the grace counts from the first.
    crash.since = world.now;
    assert!(world.cycle(std::slice::from_ref(&crash)).messages.is_empty());
    world.pass(minutes(1));
    crash.since = world.now;
    let told = world.cycle(&[crash]);
    assert_eq!(told.alert().severity, Sev::Sev1);
    assert!(told.reason().contains("past its grace of 30 min"), "{}", told.reason());
}

#[test]
fn b18_a_known_issue_does_not_mask_another() {
    let mut world = World::new(noon());
    let mut payments = service("payments", Tier::P0);
    payments.known_issues = vec![known("oom_killed", minutes(30))];
    world.catalogue = with(payments);
    let memory = finding("payments", FindingKind::OomKilled, noon());
    let told = world.cycle(&[memory, replicas("payments", 0, 2, noon())]);
    let severities: Vec<Sev> = told.observed.weighed.iter().map(|one| one.severity).collect();
    assert_eq!(severities, [Sev::Sev4, Sev::Sev1]);
    let alert = told.alert();
    assert_eq!((alert.severity, alert.entries.len()), (Sev::Sev1, 1), "one workload, one incident");
    assert!(alert.title.contains("payments: 0 of 2 pods ready"), "{}", alert.title);
}

#[test]
fn b19_several_p0_are_sev_1_even_while_each_may_be_down() {
    let mut world = World::new(noon());
    for name in ["payments", "checkout", "login"] {
        let mut p0 = service(name, Tier::P0);
        p0.max_downtime = Some(minutes(10));
        world.catalogue.services.retain(|held| held.name != name);
        world.catalogue.services.push(p0);
    }
    let one = world.cycle(&[replicas("payments", 0, 2, noon())]);
    assert_eq!(one.severity(), Sev::Sev2, "within its own tolerance");
    let down = ["payments", "checkout", "login"].map(|name| replicas(name, 0, 2, noon()));
    let told = world.cycle(&down);
    assert_eq!(told.alert().severity, Sev::Sev1);
    assert_eq!(told.alert().entries.len(), 3);
    assert!(told.reason().contains("3 P0 are down or degraded"), "{}", told.reason());
}

#[test]
fn b20_a_data_layer_or_an_ingress_that_is_down_is_sev_1_whatever_its_tier() {
    for layer in ["data", "ingress"] {
        let mut world = World::new(night());
        let mut toys = service("toys", Tier::P3);
        (toys.data_layer, toys.ingress) = (layer == "data", layer == "ingress");
        world.catalogue = with(toys);
        let told = world.cycle(&[replicas("toys", 0, 1, night())]);
        assert_eq!(told.alert().severity, Sev::Sev1, "{layer}: {}", told.reason());
    }
}

#[test]
fn b20_a_risk_to_data_is_sev_1() {
    let mut world = World::new(night());
    let mut toys = service("toys", Tier::P3);
    toys.data_layer = true;
    world.catalogue = with(toys);
    let mut degraded = replicas("toys", 2, 3, night());
    degraded.data_at_risk = Some("claim data-toys-2 is lost".to_owned());
    let told = world.cycle(&[degraded]);
    assert_eq!(told.alert().severity, Sev::Sev1);
    assert_eq!(told.reason(), "data of toys (P3) is at risk: claim data-toys-2 is lost");
}

#[test]
fn b20_one_message_lists_everything_that_is_new_with_the_highest_severity() {
    let mut world = World::new(night());
    let told = world.cycle(&[
        replicas("search", 2, 3, night()),
        replicas("payments", 0, 2, night()),
        replicas("toys", 1, 2, night()),
        finding("payments", FindingKind::OomKilled, night()),
    ]);
    let alert = told.alert();
    assert_eq!(told.messages.len(), 1);
    assert_eq!(alert.severity, Sev::Sev1);
    let listed: Vec<(&str, Sev)> =
        alert.entries.iter().map(|entry| (entry.service.as_str(), entry.severity)).collect();
    assert_eq!(
        listed,
        [("payments", Sev::Sev1), ("search", Sev::Sev3)],
        "the worst first, and not what nobody is ever told"
    );
    let decision = told.decision.as_ref().expect("a decision");
    assert_eq!(decision.affected_services, ["payments", "search", "toys"]);
    assert_eq!(decision.incidents.len(), 3);
    let ids: Vec<String> =
        world.board.incidents().iter().map(|incident| incident.id.clone()).collect();
    for number in 1..=3 {
        assert!(ids.contains(&format!("INC-20260310_020000-{number:03}")), "{ids:?}");
    }
}
