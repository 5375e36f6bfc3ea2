//! Who is a candidate at all, and with which numbers.

use mape_k::domain::action::{ActionKind, RebalanceStrategy};
use mape_k::domain::cycle::{CandidateResult, Ineligibility};
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::policy::{Approval, Priority};
use mape_k::domain::rule::Severity;
use mape_k::domain::{CHARTER, Cause, action::Action};
use mape_k::planner::{self, Concern, Settings, Strategy};
use proptest::prelude::*;

use super::world::{CASCADE, LATENCY, MISCONFIGURED, OVERLOAD, World, action, report, verdict};

fn ineligible(verdict: &CandidateResult) -> Option<Ineligibility> {
    match verdict {
        CandidateResult::Ineligible { reason, .. } => Some(*reason),
        _ => None,
    }
}

/// A16: each of the four causes leads to its action with its shipped parameters.
#[test]
fn a16_four_causes_lead_to_their_actions() {
    let scale = World::with(LATENCY, CHARTER).plan().chosen.expect("a policy");
    assert_eq!(scale.actions, [Action::ScaleUp { replicas: 6 }]);
    let apply = World::with(MISCONFIGURED, "p7").plan().chosen.expect("a policy");
    assert_eq!(apply.actions, [Action::ApplyPolicy { policy_set: "baseline".to_owned() }]);
    assert_eq!(apply.component, "p7");
    let throttle = World::with(CASCADE, "ingest").plan().chosen.expect("a policy");
    let wanted = Action::ThrottleRequests { rate_limit: 800.0, duration_seconds: 900 };
    assert_eq!(throttle.actions, [wanted]);
    assert_eq!(throttle.component, CHARTER, "throttling is planned for Charter as a whole");
    let rebalance = World::with(OVERLOAD, "ingest").plan().chosen.expect("a policy");
    let wanted = Action::RebalanceLoad { strategy: RebalanceStrategy::LeastLoaded };
    assert_eq!(rebalance.actions, [wanted]);
    assert_eq!(rebalance.component, CHARTER);
}

/// A16: a cause that nobody knows has no candidate, and nothing is called exhausted that was never there.
#[test]
fn a16_an_unknown_cause_has_no_candidate() {
    for cause in [Cause::UNKNOWN, "never_heard_of"] {
        let plan = World::with(cause, "ingest").plan();
        assert!(plan.chosen.is_none() && plan.policies.is_empty() && plan.candidates.is_empty());
        assert!(plan.concerns.is_empty());
    }
}

/// A17: a cause that is certain to .59 is not acted on, one of .6 is.
#[test]
fn a17_a_cause_below_min_confidence_is_not_acted_on() {
    let mut world = World::new();
    world.add(LATENCY, CHARTER, 0.59);
    let plan = world.plan();
    assert!(plan.policies.is_empty());
    let scale = verdict(&plan, ActionKind::ScaleUp);
    assert_eq!(ineligible(scale), Some(Ineligibility::LowConfidence));
    assert!(plan.concerns.is_empty(), "an uncertain cause exhausts nothing");
    world.roots[0].confidence = 0.6;
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp));
}

/// A17: eight pairs of cause and component give five policies, those that score highest.
#[test]
fn a17_at_most_five_policies_come_from_one_analysis() {
    for world in [World::new(), World::new().by_hand()] {
        let mut world = world;
        for n in 0..8 {
            world.add(MISCONFIGURED, &format!("p{n}"), 0.6 + 0.05 * f64::from(n));
        }
        let plan = world.plan();
        assert_eq!((plan.policies.len(), plan.generated), (5, 5));
        let mut components: Vec<&str> =
            plan.policies.iter().map(|p| p.component.as_str()).collect();
        components.sort_unstable();
        assert_eq!(components, ["p3", "p4", "p5", "p6", "p7"]);
        let over = |c: &&mape_k::domain::cycle::CandidateReport| {
            ineligible(&c.verdict) == Some(Ineligibility::OverTheLimit)
        };
        assert_eq!(plan.candidates.iter().filter(over).count(), 3);
    }
}

/// A19: two occurrences are too few, three are enough, one critical is enough.
#[test]
fn a19_three_occurrences_or_a_critical_one_are_needed() {
    let mut world = World::with(LATENCY, CHARTER);
    world.roots[0].occurrences = 2;
    let plan = world.plan();
    let scale = verdict(&plan, ActionKind::ScaleUp);
    assert_eq!(ineligible(scale), Some(Ineligibility::TooFewOccurrences));
    assert!(plan.policies.is_empty() && plan.concerns.is_empty());
    world.roots[0].occurrences = 3;
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp));
    world.roots[0].occurrences = 1;
    world.roots[0].critical = true;
    let chosen = world.plan().chosen.expect("a critical one counts at once");
    assert_eq!(chosen.priority, Priority::Critical);
}

/// A32: thirty failures of an action for a cause lower it below an alternative, for that cause only.
#[test]
fn a32_thirty_failures_lower_an_action_below_its_alternative() {
    let mut world = World::with(LATENCY, CHARTER);
    let either = vec![Strategy::new(ActionKind::ScaleUp), Strategy::new(ActionKind::RebalanceLoad)];
    world.strategy(LATENCY, either.clone());
    world.strategy(OVERLOAD, either);
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp));
    world.learned(LATENCY, ActionKind::ScaleUp, 30, 0);
    let plan = world.plan();
    assert_eq!(action(&plan), Some(ActionKind::RebalanceLoad));
    assert!(report(&plan, ActionKind::ScaleUp).effectiveness.abs() < 1e-12);
    assert_eq!(ineligible(verdict(&plan, ActionKind::ScaleUp)), Some(Ineligibility::LowScore));
    world.clear();
    world.add(OVERLOAD, "ingest", 0.75);
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp), "the other cause learned nothing");
    world.clear();
    world.add(LATENCY, CHARTER, 0.75);
    world.settings.learning = false;
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp), "learning can be switched off");
}

/// A remedy whose score is not above the bar is out; when it was the only one a person is told.
#[test]
fn a_score_must_be_above_min_score() {
    let mut world = World::with(LATENCY, CHARTER);
    world.settings.min_score = 0.6;
    let plan = world.plan();
    assert_eq!(ineligible(verdict(&plan, ActionKind::ScaleUp)), Some(Ineligibility::LowScore));
    assert!(matches!(plan.concerns.as_slice(), [Concern::RemediesExhausted { .. }]));
    world.settings.min_score = 0.59;
    assert_eq!(action(&world.plan()), Some(ActionKind::ScaleUp));
}

/// Evidence that was not read as broken in this cycle, is flapping, or is for information only justifies nothing.
#[test]
fn evidence_must_be_read_as_broken_in_this_very_cycle() {
    let spoil: [fn(&mut mape_k::domain::violation::Violation); 4] = [
        |v| v.confirmed = false,
        |v| v.flapping = true,
        |v| v.severity = Severity::Info,
        |v| v.actionable = false,
    ];
    for spoil in spoil {
        let mut world = World::with(LATENCY, CHARTER);
        world.violations.values_mut().for_each(spoil);
        let plan = world.plan();
        let scale = verdict(&plan, ActionKind::ScaleUp);
        assert_eq!(ineligible(scale), Some(Ineligibility::Unconfirmed));
        assert!(plan.policies.is_empty() && plan.concerns.is_empty());
    }
}

/// Two systems behind one plan: nothing is done and people are told, until the scope names ours.
#[test]
fn two_systems_behind_one_plan_are_left_alone() {
    for label in ["cluster", "charter", "job"] {
        let mut world = World::with(OVERLOAD, "a");
        world.add(OVERLOAD, "b", 0.75);
        for (violation, value) in world.violations.values_mut().zip(["east", "west"]) {
            violation.labels.insert(label.to_owned(), value.to_owned());
        }
        let plan = world.plan();
        let rebalance = verdict(&plan, ActionKind::RebalanceLoad);
        assert_eq!(ineligible(rebalance), Some(Ineligibility::AmbiguousScope));
        assert!(plan.policies.is_empty());
        assert!(matches!(plan.concerns.as_slice(), [Concern::AmbiguousScope { .. }]));
        world.scoped = true;
        assert_eq!(action(&world.plan()), Some(ActionKind::RebalanceLoad));
        world.scoped = false;
        for violation in world.violations.values_mut() {
            violation.labels.insert(label.to_owned(), "east".to_owned());
        }
        assert_eq!(action(&world.plan()), Some(ActionKind::RebalanceLoad));
    }
}

#[test]
fn priority_follows_the_score() {
    let priorities: Vec<Priority> = [0.75, 0.64, 0.6]
        .into_iter()
        .zip([0.15, 0.25, 0.5])
        .map(|(confidence, cost)| {
            let mut world = World::new();
            world.add(LATENCY, CHARTER, confidence);
            world.settings.cost_model.insert(ActionKind::ScaleUp, cost);
            world.plan().chosen.expect("a policy").priority
        })
        .collect();
    assert_eq!(priorities, [Priority::High, Priority::Medium, Priority::Low]);
}

fn every_action_for_one_cause(world: &mut World, cause: &str) {
    let list = ActionKind::ALL.map(|kind| Strategy {
        policy_set: Some("baseline".to_owned()),
        validation_type: Some("schema".to_owned()),
        duration_seconds: Some(std::time::Duration::from_secs(60)),
        settings: serde_json::json!({"a": 1}).as_object().cloned(),
        replicas: (kind == ActionKind::ScaleDown).then_some(2),
        ..Strategy::new(kind)
    });
    world.strategy(cause, list.to_vec());
}

/// A14: full confidence gives the benefit .95 and no more.
#[test]
fn a14_full_confidence_is_capped() {
    let settings = Settings::default();
    assert!((planner::benefit(1.0, 1.0, &settings) - 0.95).abs() < 1e-12);
    let mut world = World::new();
    world.add(LATENCY, CHARTER, 1.0);
    let chosen = world.plan().chosen.expect("a policy");
    assert!((chosen.benefit - 0.95).abs() < 1e-12 && (chosen.score - 0.80).abs() < 1e-12);
}

proptest! {
    /// A13, A14: over all actions, confidences and lessons the score is benefit less cost, everything is in its
    /// range, and the chosen one scores highest of all that were admitted.
    #[test]
    fn a13_a14_score_is_benefit_less_cost_in_order(
        confidence in 0.0..=1.0f64,
        lessons in proptest::collection::vec((1u32..60, 0.0..=1.0f64), 9),
    ) {
        let mut world = World::new();
        world.add(LATENCY, "ingest", confidence);
        every_action_for_one_cause(&mut world, LATENCY);
        for (kind, (runs, share)) in ActionKind::ALL.into_iter().zip(lessons) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let successes = (f64::from(runs) * share) as u32;
            world.learned(LATENCY, kind, runs, successes);
        }
        let plan = world.plan();
        prop_assert_eq!(plan.candidates.len(), 9);
        for report in &plan.candidates {
            prop_assert!((report.score - (report.benefit - report.cost)).abs() < 1e-12);
            let benefit = (report.cause_confidence * report.effectiveness).min(0.95);
            prop_assert!((report.benefit - benefit).abs() < 1e-12);
            prop_assert!((report.cost - report.action.default_cost()).abs() < 1e-12);
            prop_assert!((0.0..=0.95).contains(&report.benefit));
            prop_assert!((0.0..=1.0).contains(&report.effectiveness));
            prop_assert!((-1.0..=0.95).contains(&report.score));
        }
        let admitted = |v: &CandidateResult| matches!(v, CandidateResult::Chosen | CandidateResult::Outranked { .. });
        let best = plan.candidates.iter().filter(|c| admitted(&c.verdict)).map(|c| c.score)
            .fold(f64::NEG_INFINITY, f64::max);
        match &plan.chosen {
            Some(policy) => prop_assert!((policy.score - best).abs() < 1e-6),
            None => prop_assert!(best == f64::NEG_INFINITY),
        }
        let eligible = plan.candidates.iter().any(|c| c.score > 0.0);
        prop_assert_eq!(plan.chosen.is_some(), confidence >= 0.6 && eligible);
        prop_assert!(plan.policies.iter().filter(|p| p.approval == Approval::Executed).count() <= 1);
    }
}

/// A verdict that says nothing is known changes nothing: no statistics, full effectiveness.
#[test]
fn an_unknown_verdict_teaches_nothing() {
    let mut world = World::with(LATENCY, CHARTER);
    world.pass();
    world.judged(OutcomeType::Unknown);
    let plan = world.plan();
    assert!((report(&plan, ActionKind::ScaleUp).effectiveness - 1.0).abs() < 1e-12);
}
