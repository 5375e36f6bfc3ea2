//! R03: direct neighbours in the service catalogue are not worked on at once, across systems.

use mape_k::domain::action::ActionKind;
use mape_k::domain::catalogue::{Service, Tier};
use mape_k::domain::cycle::{CandidateResult, Hold};
use mape_k::domain::target::Target;
use mape_k::domain::{Cause, Labels};
use mape_k::planner::{Strategy, check};

use super::cluster::{deployment, is_held, reading};
use super::systems::with_hook;
use super::world::{World, action, report, verification};

fn service(name: &str, depends_on: &[&str]) -> Service {
    Service {
        name: name.to_owned(),
        namespace: "shop".to_owned(),
        selector: Labels::new(),
        tier: Tier::P1,
        max_downtime: None,
        depends_on: depends_on.iter().map(|&name| name.to_owned()).collect(),
        data_layer: false,
        ingress: false,
        known_issues: Vec::new(),
        runbook_url: None,
        gitops_paths: Vec::new(),
    }
}

/// Neighbours of the catalogue are not worked on at once, across systems; what lies further is.
#[test]
fn r03_direct_neighbours_of_the_catalogue_overlap_and_no_further() {
    let (mut world, kind) = with_hook("restart-cart", "hook/restart-cart/cart", "cart");
    world.fleets.values_mut().for_each(|fleet| fleet.components = 100);
    world.cluster = Some(reading([deployment(None, None, None)]));
    let policy = world.plan().chosen.expect("chosen");
    assert_eq!(action(&world.plan()), Some(kind));
    let catalogue = vec![
        service("cart", &["stock"]),
        service("stock", &["db"]),
        service("db", &[]),
        service("front", &["cart"]),
    ];
    let beside = |other: &str, services: &[Service], unknown: bool| {
        let mut world = world.clone();
        world.catalogue.services = services.to_vec();
        let mut busy = verification(&policy, world.now);
        busy.cause = Cause::new("elsewhere");
        busy.target = other.parse().expect("a target");
        if unknown {
            world.blocked.push(busy.target);
        } else {
            world.verifications.push(busy);
        }
        let plan = world.plan();
        match &report(&plan, kind).verdict {
            CandidateResult::Held { reason, detail } => {
                let alone = world_without_neighbours(&world).plan();
                let refused = world.ask(|input| check(input, &alone));
                assert!(!refused.is_empty(), "{other}: the linter lets it pass");
                Some((*reason, detail.clone()))
            }
            _ => None,
        }
    };
    let neighbours = [
        "hook/restart-stock/stock",
        "charter/stock",
        "kubernetes/shop/deployment/stock",
        "hook/restart-front/front",
        "charter/front",
        // One service that two systems know by its name.
        "charter/cart",
        "kubernetes/shop/deployment/cart",
    ];
    for other in neighbours {
        let (hold, detail) = beside(other, &catalogue, false).expect(other);
        assert_eq!(hold, Hold::Verifying, "{other}: {detail}");
        assert_eq!(beside(other, &catalogue, true).expect(other).0, Hold::OutcomeUnknown);
        assert_eq!(
            beside(other, &[], false),
            None,
            "{other}: nobody says that they are neighbours"
        );
    }
    let (_, detail) = beside("charter/stock", &catalogue, false).expect("held");
    assert!(detail.contains("cart depends on stock"), "{detail}");
    let further = [
        "hook/restart-db/db",
        "charter/db",
        "kubernetes/dev/deployment/stock",
        "hook/restart-else/elsewhere",
    ];
    for other in further {
        assert_eq!(beside(other, &catalogue, false), None, "{other}");
    }
}

fn world_without_neighbours(world: &World) -> World {
    let mut alone = world.clone();
    alone.catalogue.services.clear();
    alone
}

/// Two services of Charter go side by side as before, in the catalogue or not, unless it says that one needs the other.
#[test]
fn r03_services_of_charter_go_side_by_side_unless_the_catalogue_makes_them_neighbours() {
    let mut world = World::with("other", "validator");
    world.strategy("other", vec![Strategy::new(ActionKind::RestartService)]);
    let policy = world.plan().chosen.expect("chosen");
    let mut busy = verification(&policy, world.now);
    busy.cause = Cause::new("elsewhere");
    busy.target = Target::service("ingest");
    world.verifications.push(busy);
    assert_eq!(action(&world.plan()), Some(ActionKind::RestartService));
    world.catalogue.services = vec![service("validator", &[]), service("ingest", &[])];
    assert_eq!(action(&world.plan()), Some(ActionKind::RestartService));
    world.catalogue.services = vec![service("validator", &[]), service("ingest", &["validator"])];
    is_held(&world, ActionKind::RestartService, Hold::Verifying, "ingest depends on validator");
}
