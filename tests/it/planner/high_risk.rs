//! Who may approve what: the loop by itself, or only a person.

use mape_k::domain::CHARTER;
use mape_k::domain::action::ActionKind;
use mape_k::domain::cycle::{CandidateResult, Hold};
use mape_k::domain::policy::{Approval, Policy};
use mape_k::planner::guardrails::Mode;
use mape_k::planner::{Plan, Strategy, check};

use super::world::{CASCADE, LATENCY, World, action, verdict};

const OVERRIDE: ActionKind = ActionKind::ActivateEmergencyOverride;

/// A world whose one remedy is an emergency override, and everything is approved by itself.
fn risky() -> World {
    let mut world = World::with(CASCADE, "ingest");
    let duration_seconds = Some(std::time::Duration::from_secs(900));
    world.strategy(CASCADE, vec![Strategy { duration_seconds, ..Strategy::new(OVERRIDE) }]);
    // Certain enough to be worth its cost.
    world.roots[0].confidence = 0.95;
    world
}

fn waits(plan: &Plan, kind: ActionKind) -> bool {
    matches!(verdict(plan, kind), CandidateResult::Held { reason: Hold::ApprovalPending, .. })
}

#[test]
fn high_risk_waits_for_a_person_although_the_rest_is_approved_by_itself() {
    let mut world = risky();
    let plan = world.cycle();
    assert!(plan.chosen.is_none() && waits(&plan, OVERRIDE));
    assert_eq!(world.policies[0].approval, Approval::Pending);
    world.decide(Approval::Approved);
    let chosen = world.plan().chosen.expect("a person approved it");
    assert_eq!(chosen.grant.expect("a grant").by, "ada");

    let mut said = risky();
    said.settings.guardrails.auto_approve_high_risk = true;
    assert_eq!(action(&said.plan()), Some(OVERRIDE));
}

#[test]
fn only_mode_act_approves_anything_by_itself() {
    for mode in [Mode::Suggest, Mode::Observe] {
        let mut world = World::with(LATENCY, CHARTER);
        world.settings.guardrails.mode = mode;
        world.settings.guardrails.auto_approve_high_risk = true;
        let plan = world.cycle();
        assert!(plan.chosen.is_none(), "{mode:?}");
        assert!(world.policies.iter().all(|p| p.approval == Approval::Pending), "{mode:?}");
    }
}

/// What the loop once approved by itself does not go out once the configuration wants a person.
#[test]
fn an_approval_of_its_own_does_not_outlive_the_leave_to_give_it() {
    let mut world = risky();
    world.settings.guardrails.auto_approve_high_risk = true;
    // Approved, and something better goes first.
    world.add(LATENCY, CHARTER, 0.95);
    world.pass();
    world.verifications.clear();
    assert_eq!(world.policies[0].approval, Approval::Approved);
    world.roots.pop();
    world.settings.guardrails.auto_approve_high_risk = false;
    let plan = world.plan();
    assert!(plan.chosen.is_none() && waits(&plan, OVERRIDE));
}

/// The hash is of what would be done, and every revision has its own; an approval of an earlier one is none.
#[test]
fn a_new_revision_has_a_new_hash_and_no_grant() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    world.pass();
    let first = world.policies[0].clone();
    assert_eq!((first.plan_hash.len(), &first.plan_hash), (64, &first.hash()));
    world.decide(Approval::Approved);
    world.size(8);
    let plan = world.cycle();
    assert!(plan.chosen.is_none());
    let second = &world.policies[0];
    assert_eq!((second.id, second.revision, second.approval), (first.id, 2, Approval::Pending));
    assert!(second.plan_hash == second.hash() && second.plan_hash != first.plan_hash);
    assert_eq!(second.grant, None);
}

/// Approved says the record, but nobody has granted exactly this: it waits again.
#[test]
fn an_approval_without_its_grant_waits_again() {
    type Damage = fn(&mut Policy);
    let damages: [Damage; 4] = [
        |p| p.grant = None,
        |p| p.grant.as_mut().expect("one").plan_hash = "0".repeat(64),
        |p| p.grant.as_mut().expect("one").revision = 7,
        |p| p.grant.as_mut().expect("one").expires_at = p.created_at,
    ];
    for damage in damages {
        let mut world = World::with(LATENCY, CHARTER).by_hand();
        world.pass();
        world.decide(Approval::Approved);
        assert!(world.plan().chosen.is_some());
        damage(&mut world.policies[0]);
        let plan = world.plan();
        assert!(plan.chosen.is_none() && waits(&plan, ActionKind::ScaleUp));
    }
}

/// The check holds the same rules by itself: a plan that breaks one of them is refused.
#[test]
fn the_check_refuses_what_nobody_may_have_approved() {
    let refused = |world: &World, change: fn(&mut Policy)| {
        let mut plan = world.plan();
        let chosen = plan.chosen.as_mut().expect("one");
        change(chosen);
        let chosen = chosen.clone();
        let recorded = plan.policies.iter_mut().find(|p| p.id == chosen.id);
        *recorded.expect("recorded") = chosen;
        world.ask(|input| check(input, &plan))
    };
    let nobody = |broken: &[String]| broken.iter().any(|b| b.ends_with("nobody approved a policy"));
    let forgeries: [fn(&mut Policy); 6] = [
        |p| p.grant = None,
        |p| p.grant.as_mut().expect("one").by = "ada".to_owned(),
        |p| p.grant.as_mut().expect("one").plan_hash = String::new(),
        |p| p.grant.as_mut().expect("one").revision = 2,
        |p| p.grant.as_mut().expect("one").expires_at = p.created_at,
        |p| p.decided_by = Some("ada".to_owned()),
    ];
    for forge in forgeries {
        let broken = refused(&World::with(LATENCY, CHARTER), forge);
        assert!(nobody(&broken), "{broken:?}");
    }
    let other = refused(&World::with(LATENCY, CHARTER), |p| p.plan_hash = "0".repeat(64));
    assert!(other.iter().any(|b| b.contains("hash")), "{other:?}");

    let mut world = risky();
    world.settings.guardrails.auto_approve_high_risk = true;
    let plan = world.plan();
    world.settings.guardrails.auto_approve_high_risk = false;
    assert!(nobody(&world.ask(|input| check(input, &plan))));
    let mut world = World::with(LATENCY, CHARTER);
    let plan = world.plan();
    world.settings.guardrails.mode = Mode::Suggest;
    assert!(nobody(&world.ask(|input| check(input, &plan))));
}
