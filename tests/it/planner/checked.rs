//! The plan linter: a sound plan doctored in one place is refused, for every rule.

use chrono::TimeDelta;
use mape_k::domain::CHARTER;
use mape_k::domain::action::{Action, ActionKind, RebalanceStrategy, Risk};
use mape_k::domain::charter::CommitteeStatus;
use mape_k::domain::cycle::CandidateResult;
use mape_k::domain::follow_ups::Undone;
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::policy::{Approval, Policy};
use mape_k::domain::target::Target;
use mape_k::domain::treatment::Attempt;
use mape_k::planner::{Plan, Resize, check};
use uuid::Uuid;

use super::world::{LATENCY, MISCONFIGURED, OVERLOAD, World, committee, verification};

fn refused(world: &World, plan: &Plan) -> Vec<String> {
    world.ask(|input| check(input, plan))
}

/// The plan with its chosen policy changed wherever it stands.
fn doctored(world: &World, change: impl Fn(&mut Policy)) -> Plan {
    let mut plan = world.plan();
    let chosen = plan.chosen.as_mut().expect("something to doctor");
    change(chosen);
    let chosen = chosen.clone();
    let stored = plan.policies.iter_mut().find(|p| p.approval == Approval::Executed);
    *stored.expect("recorded") = chosen;
    plan
}

#[track_caller]
fn refuses(world: &World, plan: &Plan, why: &str) {
    let refused = refused(world, plan);
    assert!(refused.iter().any(|text| text.ends_with(why)), "not for {why:?}: {refused:#?}");
}

#[test]
fn a_sound_plan_passes() {
    let world = World::with(LATENCY, CHARTER);
    assert_eq!(refused(&world, &world.plan()), Vec::<String>::new());
    assert_eq!(refused(&world, &Plan::default()), Vec::<String>::new());
}

#[test]
fn a_policy_with_wrong_numbers_is_refused() {
    type Case = (fn(&mut Policy), &'static str);
    let cases: [Case; 7] = [
        (|p| p.actions.clear(), "it has no action"),
        (|p| p.score = 0.9, "its score is not benefit less cost"),
        (|p| (p.benefit, p.score) = (0.1, -0.05), "its score is not above min_score"),
        (|p| p.benefit = 0.99, "its benefit is more than its confidence or its cap allows"),
        (|p| p.cost = 0.01, "its cost is not its dearest action's"),
        (|p| p.cause_confidence = 0.59, "its cause is not certain enough"),
        (|p| p.risk = Risk::High, "its risk is not that of its actions"),
    ];
    let world = World::with(LATENCY, CHARTER);
    for (change, why) in cases {
        refuses(&world, &doctored(&world, change), why);
    }
}

#[test]
fn an_action_with_wrong_parameters_is_refused() {
    let whole = "it changes Charter as a whole for one component";
    let cases = [
        (Action::ScaleUp { replicas: 21 }, "its size is outside the limits"),
        (Action::ScaleUp { replicas: 9 }, "it more than doubles the size"),
        (Action::ScaleUp { replicas: 4 }, "it scales up to no more than is there"),
        (Action::ScaleDown { replicas: 4 }, "it scales down to no less than is there"),
        (
            Action::ThrottleRequests { rate_limit: 0.0, duration_seconds: 900 },
            "it throttles to nothing",
        ),
        (Action::ThrottleRequests { rate_limit: 1.0, duration_seconds: 0 }, "it has no end"),
        (Action::ActivateEmergencyOverride { duration_seconds: 0 }, "it has no end"),
        (
            Action::BypassValidation { validation_type: "x".to_owned(), duration_seconds: 0 },
            "it has no end",
        ),
        (
            Action::RestartService { service: None, graceful: true },
            "it restarts everything unasked",
        ),
        (
            Action::RestartService { service: Some("ingest".to_owned()), graceful: true },
            "it restarts a service for more than that service's fault",
        ),
        (Action::ApplyPolicy { policy_set: String::new() }, "it names no policy set"),
        (Action::UpdateConfiguration { settings: serde_json::Map::new() }, "it sets nothing"),
        (
            Action::RebalanceLoad { strategy: RebalanceStrategy::LeastLoaded },
            "its cause has no such strategy",
        ),
    ];
    let world = World::with(LATENCY, CHARTER);
    for (action, why) in cases {
        refuses(&world, &doctored(&world, |p| p.actions = vec![action.clone()]), why);
    }
    refuses(&world, &doctored(&world, |p| p.component = "ingest".to_owned()), whole);
}

/// The same plan, but the world it was made for was another.
#[test]
fn a_plan_for_another_world_is_refused() {
    type Case = (fn(&mut World, &Policy), &'static str);
    let cases: [Case; 13] = [
        (
            |w, p| w.verifications.push(verification(p, w.now)),
            "an action on its target is being verified",
        ),
        (
            |w, _| w.blocked.push(Target::Charter(None)),
            "its target has an action of unknown result",
        ),
        (
            |w, _| {
                let settled_at = w.now + TimeDelta::seconds(1);
                w.undone.push(Undone { target: Target::Charter(None), at: w.now, settled_at });
            },
            "an undo on its target has not settled",
        ),
        (|w, _| w.charter.state = Err("refused".to_owned()), "Charter's state is not known"),
        (
            |w, _| {
                w.charter = committee(CommitteeStatus::Normal, 4, 3);
                w.resize = Some(Resize { at: w.now });
            },
            "a change of size is still in flight",
        ),
        (
            |w, _| {
                w.charter = committee(CommitteeStatus::Recovering, 4, 4);
                w.recovering_since = Some(w.now);
            },
            "Charter is still recovering",
        ),
        (
            |w, _| w.violations.values_mut().for_each(|v| v.confirmed = false),
            "none of its evidence was read as broken in this cycle",
        ),
        (
            |w, _| w.violations.values_mut().for_each(|v| v.flapping = true),
            "none of its evidence was read as broken in this cycle",
        ),
        (|w, _| w.roots[0].occurrences = 2, "too few occurrences are behind it"),
        (|w, _| w.settings.auto_approve = false, "nobody approved a policy"),
        (|w, _| w.settings.strategies.clear(), "its cause has no such strategy"),
        (
            |w, p| {
                let (approval, decided_at) = (Approval::Rejected, Some(w.now));
                let id = Uuid::from_u128(77);
                w.policies.push(Policy { id, approval, decided_at, ..p.clone() });
            },
            "a person has rejected it",
        ),
        (|w, _| w.settings.max_policies_per_analysis = 0, "too many new policies"),
    ];
    for (change, why) in cases {
        let mut world = World::with(LATENCY, CHARTER);
        let plan = world.plan();
        change(&mut world, plan.chosen.as_ref().expect("a policy"));
        refuses(&world, &plan, why);
    }
    let mut world = World::with(OVERLOAD, "a");
    world.add(OVERLOAD, "b", 0.75);
    let plan = world.plan();
    for (violation, job) in world.violations.values_mut().zip(["x", "y"]) {
        violation.labels.insert("job".to_owned(), job.to_owned());
    }
    refuses(&world, &plan, "two systems are behind it");
}

#[test]
fn a_policy_whose_incident_has_had_enough_is_refused() {
    let attempts = |action, verdict, n: usize| {
        let attempt = Attempt {
            action,
            policy_id: Uuid::nil(),
            at: super::world::start(),
            verdict,
            failed: false,
        };
        vec![attempt; n]
    };
    let cases = [
        (ActionKind::ScaleUp, Some(OutcomeType::Ineffective), 1, "it has not helped before"),
        (ActionKind::ScaleUp, Some(OutcomeType::Degradation), 1, "it has made things worse before"),
        (
            ActionKind::ScaleUp,
            Some(OutcomeType::Partial),
            3,
            "it has been without a clear result three times",
        ),
        (ActionKind::ScaleUp, None, 3, "it has been without a clear result three times"),
    ];
    let world = World::with(LATENCY, CHARTER);
    for (kind, verdict, n, why) in cases {
        let mut plan = world.plan();
        plan.treatments[0].attempts = attempts(kind, verdict, n);
        refuses(&world, &plan, why);
    }
    let world = World::with(MISCONFIGURED, "p1");
    let mut plan = world.plan();
    let kind = ActionKind::ApplyPolicy;
    plan.treatments[0].attempts = attempts(kind, Some(OutcomeType::Ineffective), 3);
    refuses(&world, &plan, "it has been tried three times");
    plan.treatments[0].attempts.clear();
    plan.treatments[0].exhausted = true;
    refuses(&world, &plan, "its treatment has no action left");
    plan.treatments[0].exhausted = false;
    plan.treatments[0].impossible.insert(kind);
    refuses(&world, &plan, "it was refused as invalid before");
    plan.treatments.clear();
    refuses(&world, &plan, "it belongs to no treatment");
    // Throttling although scaling up has not failed.
    let world = World::with(LATENCY, CHARTER);
    let throttle = Action::ThrottleRequests { rate_limit: 800.0, duration_seconds: 900 };
    let plan = doctored(&world, |p| p.actions = vec![throttle.clone()]);
    refuses(&world, &plan, "the action that it comes after has not failed");
}

#[test]
fn records_that_do_not_agree_are_refused() {
    let world = World::with(LATENCY, CHARTER);
    let mut twice = world.plan();
    twice.policies.push(twice.policies[0].clone());
    refuses(&world, &twice, "a policy is recorded twice");
    let mut unsaid = world.plan();
    unsaid.candidates.clear();
    refuses(&world, &unsaid, "the report does not say what was chosen");
    let mut unrecorded = world.plan();
    unrecorded.policies.clear();
    refuses(&world, &unrecorded, "the executed policy is not the chosen one");
    let mut miscounted = world.plan();
    miscounted.generated = 2;
    refuses(&world, &miscounted, "the number of new policies is not that reported");
    let mut open = world.plan();
    for n in [8, 9] {
        let approval = Approval::Approved;
        open.policies.push(Policy { id: Uuid::from_u128(n), approval, ..open.policies[0].clone() });
    }
    refuses(&world, &open, "two policies are open for a cause and component");
    refuses(&world, &doctored(&world, |p| p.revision = 2), "a new policy is not revision 1");
    let unapproved = doctored(&world, |p| (p.decided_by, p.decided_at) = (None, None));
    refuses(&world, &unapproved, "nobody approved a policy");
    let forged = doctored(&world, |p| p.decided_by = Some("ada".to_owned()));
    refuses(&world, &forged, "nobody approved a policy");
}

#[test]
fn a_change_that_the_store_does_not_bear_out_is_refused() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    world.pass();
    let stored = world.policies[0].clone();
    let with = |policy: Policy| Plan { policies: vec![policy], ..Plan::default() };
    refuses(&world, &with(stored.clone()), "an unchanged policy is written");
    let actions = vec![Action::ScaleUp { replicas: 5 }];
    let unrevised = Policy { actions: actions.clone(), ..stored.clone() };
    refuses(&world, &with(unrevised), "the revision does not follow the actions");
    let rejected = Policy { approval: Approval::Rejected, ..stored.clone() };
    refuses(&world, &with(rejected), "only people reject");
    world.decide(Approval::Approved);
    let other = Policy { actions, revision: 2, score: 0.5, ..world.policies[0].clone() };
    refuses(&world, &with(other), "nobody approved a policy");
    world.policies[0].approval = Approval::Executed;
    refuses(&world, &with(stored), "a decided policy is changed");
}

#[test]
fn a_report_that_passes_over_the_better_is_refused() {
    let mut world = World::with(LATENCY, CHARTER);
    world.add(MISCONFIGURED, "p1", 0.8);
    let outranked = |plan: &mut Plan| {
        let lesser = plan.candidates.iter().position(|c| c.action == ActionKind::ApplyPolicy);
        lesser.expect("reported")
    };
    let mut better = world.plan();
    let at = outranked(&mut better);
    better.candidates[at].score = 0.9;
    refuses(&world, &better, "a better candidate was passed over");
    let mut misnamed = world.plan();
    let at = outranked(&mut misnamed);
    misnamed.candidates[at].verdict =
        CandidateResult::Outranked { by: ActionKind::RestartService, score: 0.6 };
    refuses(&world, &misnamed, "a candidate is reported as outranked by another than it");
}

#[test]
fn giving_back_is_refused_unless_it_is_due() {
    let mut world = World::new();
    world.size(6);
    world.surplus =
        Some(mape_k::planner::ReclaimableReplicas { original: 4, ours: 6, given_back: None });
    world.quiet_since = Some(world.now);
    world.settings.give_back.after = Some(std::time::Duration::from_secs(60));
    world.wait(60);
    let plan = world.plan();
    world.settings.give_back.after = None;
    refuses(&world, &plan, "nothing is to be scaled back now");
}
