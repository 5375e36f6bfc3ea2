//! A policy's life: pending, decided, refreshed, revised, expired, superseded.

use mape_k::domain::CHARTER;
use mape_k::domain::action::{Action, ActionKind};
use mape_k::domain::cycle::{CandidateResult, Hold};
use mape_k::domain::policy::Approval;

use super::world::{CASCADE, LATENCY, MISCONFIGURED, World, action, verdict};

/// A18: without auto_approve a policy waits, is never executed, and goes out in the cycle after a person approved it.
#[test]
fn a18_a_pending_policy_waits_for_a_person() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    for _ in 0..3 {
        let plan = world.cycle();
        assert!(plan.chosen.is_none());
        let held = verdict(&plan, ActionKind::ScaleUp);
        assert!(matches!(held, CandidateResult::Held { reason: Hold::ApprovalPending, .. }));
        assert_eq!(world.policies.len(), 1);
        assert_eq!(world.policies[0].approval, Approval::Pending);
    }
    world.decide(Approval::Approved);
    let chosen = world.plan().chosen.expect("approved");
    assert_eq!(chosen.id, world.policies[0].id);
    assert_eq!(chosen.decided_by.as_deref(), Some("ada"));
    assert_eq!(chosen.approval, Approval::Executed);
}

/// With auto_approve the mode decides, and the record says so.
#[test]
fn auto_approve_decides_by_itself_and_says_so() {
    let chosen = World::with(LATENCY, CHARTER).plan().chosen.expect("a policy");
    assert_eq!(chosen.decided_by.as_deref(), Some("auto"));
    assert!(chosen.decided_at.is_some());
}

/// What one mode approved by itself is not executed by a process that runs in the other.
#[test]
fn an_approval_by_mode_does_not_outlive_the_mode() {
    let mut world = World::with(LATENCY, CHARTER);
    world.add(MISCONFIGURED, "p1", 0.75);
    world.pass();
    world.verifications.clear();
    let mut world = world.by_hand();
    world.roots.remove(0);
    let plan = world.cycle();
    assert!(plan.chosen.is_none());
    assert_eq!(world.policies[0].approval, Approval::Pending);
    assert_eq!(world.policies[0].decided_by, None);
    world.settings.auto_approve = true;
    assert_eq!(action(&world.plan()), Some(ActionKind::ApplyPolicy));
}

/// What a person approved goes first in the next cycle, but its preconditions are checked again.
#[test]
fn an_approved_policy_goes_first_with_its_preconditions_checked_again() {
    let mut world = World::with(MISCONFIGURED, "p1").by_hand();
    world.pass();
    world.decide(Approval::Approved);
    world.settings.auto_approve = true;
    world.add(LATENCY, CHARTER, 0.95);
    assert_eq!(action(&world.plan()), Some(ActionKind::ApplyPolicy));
    world.violations.values_mut().for_each(|v| v.confirmed = false);
    assert!(world.plan().chosen.is_none(), "nothing was read as broken");
    world.violations.get_mut("validation_latency/charter").expect("there").confirmed = true;
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp));
}

/// Numbers are refreshed in place; the revision stays.
#[test]
fn numbers_are_refreshed_in_place() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    world.pass();
    world.roots[0].confidence = 0.85;
    let plan = world.cycle();
    let [policy] = plan.policies.as_slice() else { panic!("one policy: {:?}", plan.policies) };
    assert_eq!((policy.revision, plan.generated), (1, 0));
    assert!((policy.score - 0.70).abs() < 1e-12 && (policy.cause_confidence - 0.85).abs() < 1e-12);
    assert_eq!(policy.updated_at, world.now - chrono::TimeDelta::seconds(30));
}

/// Computed parameters of a pending policy stay until they differ by over 20 %; then the revision rises, and an
/// approval of the older one is void.
#[test]
fn computed_parameters_stay_within_a_fifth_and_then_raise_the_revision() {
    let mut world = World::with(CASCADE, "ingest").by_hand();
    world.pass();
    world.decide(Approval::Approved);
    for served in [1200.0, 800.0] {
        world.served = Some(served);
        let chosen = world.plan().chosen.expect("still the approved one");
        let wanted = Action::ThrottleRequests { rate_limit: 800.0, duration_seconds: 900 };
        assert_eq!((chosen.actions[0].clone(), chosen.revision), (wanted, 1));
    }
    world.served = Some(1210.0);
    let (read, hash) = (world.policies[0].actions.clone(), world.policies[0].hash());
    let plan = world.cycle();
    assert!(plan.chosen.is_none(), "nobody has approved this one");
    let policy = &world.policies[0];
    assert_eq!((policy.revision, policy.approval), (2, Approval::Pending));
    let wanted = Action::ThrottleRequests { rate_limit: 968.0, duration_seconds: 900 };
    assert_eq!(policy.actions, [wanted]);
    assert!(policy.expected_impact.contains("968"), "{}", policy.expected_impact);
    // What somebody may have read is still known.
    let [earlier] = &policy.earlier[..] else { panic!("{:?}", policy.earlier) };
    assert_eq!((&earlier.actions, &earlier.plan_hash, earlier.revision), (&read, &hash, 1));
    for served in (1..=9).map(|times| 1210.0 * 2_f64.powi(times)) {
        world.served = Some(served);
        let _ = world.cycle();
    }
    let revisions: Vec<u32> = world.policies[0].earlier.iter().map(|one| one.revision).collect();
    assert_eq!(revisions, [6, 7, 8, 9, 10], "the last of them are kept");
}

/// A size that was approved is not sent once Charter is larger than that, however near the two are.
#[test]
fn an_approved_size_that_no_longer_fits_is_revised() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    world.size(12);
    world.pass();
    assert_eq!(world.policies[0].actions, [Action::ScaleUp { replicas: 18 }]);
    world.decide(Approval::Approved);
    world.size(19);
    assert!(world.cycle().chosen.is_none());
    assert_eq!(world.policies[0].actions, [Action::ScaleUp { replicas: 20 }]);
    assert_eq!((world.policies[0].revision, world.policies[0].approval), (2, Approval::Pending));
}

/// Expired after 15 minutes, and proposed again in the same cycle while the cause is there.
#[test]
fn a_pending_policy_expires_after_fifteen_minutes_and_is_proposed_again() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    world.pass();
    let first = world.policies[0].id;
    world.wait(900 - 30 - 1);
    assert!(world.plan().policies.is_empty());
    world.wait(1);
    let plan = world.cycle();
    assert!(plan.chosen.is_none());
    let life = |id| plan.policies.iter().find(|p| p.id == id).map(|p| p.approval);
    assert_eq!(life(first), Some(Approval::Expired));
    assert_eq!((plan.policies.len(), plan.generated), (2, 1));
    assert_eq!(world.policies[0].approval, Approval::Pending);
}

/// Expired once none of its evidence is active, approved or not; no call.
#[test]
fn a_policy_expires_when_its_evidence_is_gone() {
    for approved in [false, true] {
        let mut world = World::with(LATENCY, CHARTER).by_hand();
        world.pass();
        if approved {
            world.decide(Approval::Approved);
        }
        world.clear();
        let plan = world.plan();
        assert!(plan.chosen.is_none());
        assert_eq!(plan.policies[0].approval, Approval::Expired);
    }
}

/// An approval that could not be used holds for 15 minutes from the decision, then it has expired.
#[test]
fn an_approval_that_could_not_be_used_expires() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    world.pass();
    world.wait(800);
    world.decide(Approval::Approved);
    world.violations.values_mut().for_each(|v| v.confirmed = false);
    world.wait(899);
    assert!(world.plan().policies.is_empty());
    world.wait(1);
    assert_eq!(world.plan().policies[0].approval, Approval::Expired);
}

/// Another remedy for the same cause and component takes the place of the one that became impossible.
#[test]
fn another_remedy_supersedes_the_open_policy() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    world.pass();
    let first = world.policies[0].id;
    world.size(20);
    let plan = world.cycle();
    assert_eq!((plan.policies.len(), plan.generated), (2, 1));
    let old = plan.policies.iter().find(|p| p.id == first).expect("recorded");
    assert_eq!(old.approval, Approval::Superseded);
    assert!(old.decided_at.is_some());
    assert_eq!(world.policies.len(), 1);
    assert_eq!(world.policies[0].actions[0].kind(), ActionKind::ThrottleRequests);
}
