//! The rest of the table: the lower tiers, dependencies, what is in no catalogue, nodes, the loop's own.

use mape_k::domain::catalogue::Tier;
use mape_k::domain::decision::Sev;
use mape_k::domain::finding::{Finding, FindingKind};
use mape_k::domain::incident::Absence;
use mape_k::domain::need::NeedReason as Reason;
use uuid::Uuid;

use super::world::{World, finding, minutes, night, noon, replicas, service, with};

fn of_the_loop(reason: Reason, record: u128) -> Finding {
    let mut own = finding("charter", FindingKind::Loop(reason), night());
    own.namespace = None;
    own.record = Some(Uuid::from_u128(record));
    own
}

fn severity(finding: Finding) -> Sev {
    let mut world = World::new(noon());
    world.cycle(&[finding]).severity()
}

#[test]
fn b16_the_lower_tiers_by_their_tolerance() {
    assert_eq!(severity(replicas("search", 2, 3, noon())), Sev::Sev3, "P1 degraded");
    assert_eq!(severity(replicas("reports", 0, 1, noon() - minutes(60))), Sev::Sev4);
    assert_eq!(severity(replicas("reports", 0, 1, noon() - minutes(61))), Sev::Sev3);
    assert_eq!(severity(replicas("reports", 1, 2, noon() - minutes(61))), Sev::Sev4);
    assert_eq!(severity(replicas("toys", 0, 1, noon() - minutes(6_000))), Sev::Sev4);
    assert_eq!(severity(finding("payments", FindingKind::JobFailed, noon())), Sev::Sev3);
    assert_eq!(severity(finding("search", FindingKind::ClaimPending, noon())), Sev::Sev3);
    assert_eq!(severity(finding("reports", FindingKind::JobFailed, noon())), Sev::Sev4);
}

#[test]
fn b14_a_services_own_tolerance_stands_above_its_tiers() {
    let mut world = World::new(noon());
    let mut payments = service("payments", Tier::P0);
    payments.max_downtime = Some(minutes(10));
    world.catalogue = with(payments);
    world.cycle(&[replicas("payments", 0, 2, noon())]);
    assert_eq!(world.severity_of("payments"), Sev::Sev2);
    world.pass(minutes(11));
    world.cycle(&[replicas("payments", 0, 2, noon())]);
    assert_eq!(world.severity_of("payments"), Sev::Sev1);
}

#[test]
fn b19_what_a_p0_needs_directly_is_an_imminent_risk_while_it_is_down() {
    let mut world = World::new(night());
    let mut payments = service("payments", Tier::P0);
    payments.depends_on = vec!["toys".to_owned()];
    world.catalogue = with(payments);
    let told = world.cycle(&[replicas("toys", 0, 1, night())]);
    assert_eq!(told.alert().severity, Sev::Sev2);
    assert!(told.reason().ends_with("P0 that need it: payments"), "{}", told.reason());
}

#[test]
fn b16_what_is_in_no_catalogue_counts_as_the_default_tier_and_is_said_to() {
    let mut world = World::new(noon());
    let told = world.cycle(&[replicas("stray", 0, 1, noon())]);
    assert_eq!(told.severity(), Sev::Sev4);
    assert!(told.reason().starts_with("stray (in no catalogue, counts as P3) is down"));
    world.catalogue.default_tier = Some(Tier::P0);
    assert_eq!(world.cycle(&[replicas("stray", 0, 1, noon())]).severity(), Sev::Sev1);
}

#[test]
fn b16_a_service_of_the_same_name_in_another_namespace_is_another() {
    let mut world = World::new(noon());
    let mut other = replicas("payments", 0, 2, noon());
    other.namespace = Some("sandbox".to_owned());
    let told = world.cycle(&[other, replicas("payments", 0, 2, noon())]);
    let severities: Vec<Sev> = told.observed.weighed.iter().map(|one| one.severity).collect();
    assert_eq!(severities, [Sev::Sev4, Sev::Sev1]);
    assert_eq!(world.board.incidents().len(), 2);
}

#[test]
fn b22_a_change_of_tier_counts_in_the_next_cycle() {
    let mut world = World::new(noon());
    world.cycle(&[replicas("reports", 0, 1, noon())]);
    assert_eq!(world.severity_of("reports"), Sev::Sev4);
    world.catalogue = with(service("reports", Tier::P0));
    world.cycle(&[replicas("reports", 0, 1, noon())]);
    assert_eq!(world.severity_of("reports"), Sev::Sev1);
}

#[test]
fn b16_a_node_counts_as_those_whose_pods_it_carries() {
    let mut node = finding("n1", FindingKind::NodeNotReady, noon());
    node.namespace = None;
    assert_eq!(severity(node.clone()), Sev::Sev4);
    node.priority = Some(Tier::P0);
    assert_eq!(severity(node), Sev::Sev3);
}

#[test]
fn b20_needs_are_sev_2_and_those_of_one_target_are_one_incident() {
    let mut world = World::new(night());
    let told = world.cycle(&[of_the_loop(Reason::Ineffective, 1), of_the_loop(Reason::Storm, 2)]);
    assert_eq!(told.alert().severity, Sev::Sev2);
    assert_eq!(told.alert().entries.len(), 1);
    let mut of_another = of_the_loop(Reason::Ineffective, 3);
    of_another.owner = "Deployment/enforcer".to_owned();
    let told = world.cycle(&[of_the_loop(Reason::Ineffective, 1), of_another]);
    assert_eq!(world.board.incidents().len(), 2, "another target is another incident");
    assert_eq!(told.alert().entries.len(), 1, "and is told by itself");
}

#[test]
fn b37_blindness_is_sev_1_when_a_p0_was_down_in_the_last_good_cycle() {
    for reason in [Reason::Blind, Reason::HandsTied] {
        let mut world = World::new(night());
        let told = world.cycle(&[of_the_loop(reason, 1)]);
        assert_eq!(told.alert().severity, Sev::Sev2, "no P0 was down");

        let mut world = World::new(night());
        world.cycle(&[replicas("payments", 0, 2, night())]);
        world.pass(minutes(2));
        // The cluster cannot be read any more: only the loop's own is there.
        world.absence =
            Box::new(|finding| if finding.is_need() { Absence::Clear } else { Absence::Unread });
        let told = world.cycle(&[of_the_loop(reason, 1)]);
        assert_eq!(told.alert().severity, Sev::Sev1, "{reason:?}");
        world.pass(minutes(2));
        world.cycle(&[]);
        let open: Vec<&str> = world
            .board
            .incidents()
            .iter()
            .filter(|one| one.is_open())
            .map(|one| one.service.as_str())
            .collect();
        assert_eq!(open, ["payments"], "the record is closed, what cannot be seen is not over");
    }
}

#[test]
fn b14_a_namesake_that_the_selector_leaves_out_is_in_no_service() {
    let mut world = World::new(night());
    let mut payments = super::world::service("payments", Tier::P0);
    payments.selector = [("app".to_owned(), "payments".to_owned())].into();
    world.catalogue = super::world::with(payments);
    let namesake = super::world::replicas("payments", 0, 2, night());
    let told = world.cycle(std::slice::from_ref(&namesake));
    assert_eq!(told.severity(), Sev::Sev4);
    assert!(told.reason().contains("in no catalogue, counts as P3"), "{}", told.reason());
    let mut own = namesake;
    own.priority = Some(Tier::P0);
    assert_eq!(world.cycle(&[own]).severity(), Sev::Sev1);
}
