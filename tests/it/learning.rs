//! Verdicts, statistics and insights: A31, A33, A34 as pure functions.

use std::collections::BTreeMap;

use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::outcome::{Outcome, OutcomeType};
use mape_k::domain::target::Target;
use mape_k::knowledge::insights::insights;
use mape_k::knowledge::learning::statistics;
use mape_k::knowledge::verification::classify;
use uuid::Uuid;

use crate::store_contract::time;

pub fn outcome(number: u128, action: ActionKind, verdict: OutcomeType) -> Outcome {
    Outcome {
        id: Uuid::from_u128(number),
        policy_id: Uuid::from_u128(number),
        execution_id: Uuid::from_u128(number),
        cause: Cause::new(Cause::VALIDATION_LATENCY),
        component: "charter".into(),
        action_type: action,
        outcome_type: verdict,
        metric_before: Some(1.5),
        metric_after: None,
        violations_before: 4,
        violations_after: 0,
        judged_at: time(i64::try_from(number).unwrap()),
        target: Target::Charter(None),
        settled_at: time(i64::try_from(number).unwrap()),
        reason: "two good cycles".into(),
        time_to_effect_seconds: (verdict == OutcomeType::Success).then_some(200.0),
        verification: None,
        recurred: None,
    }
}

fn outcomes(verdicts: &[(OutcomeType, usize)]) -> Vec<Outcome> {
    verdicts
        .iter()
        .flat_map(|(verdict, times)| std::iter::repeat_n(*verdict, *times))
        .zip(1..)
        .map(|(verdict, number)| outcome(number, ActionKind::ScaleUp, verdict))
        .collect()
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-9
}

#[test]
fn a31_a_verdict_follows_from_the_violations_before_and_after() {
    use OutcomeType::{Degradation, Ineffective, Partial, Success, Unknown};
    for (before, after, verdict) in [
        (10, 0, Success),
        (10, 4, Partial),
        (10, 5, Partial),
        (10, 8, Ineffective),
        (10, 10, Ineffective),
        (1, 1, Ineffective),
        (10, 12, Degradation),
        (0, 0, Unknown),
        (0, 3, Unknown),
        (5, 2, Partial),
        (5, 3, Ineffective),
        (1, 2, Degradation),
    ] {
        assert_eq!(classify(before, after), verdict, "({before}→{after})");
    }
}

#[test]
fn a33_confidence_grows_with_the_judged_runs_up_to_thirty() {
    for (runs, confidence) in [(1, 1.0 / 30.0), (15, 0.5), (30, 1.0), (60, 1.0)] {
        let known = statistics(&outcomes(&[(OutcomeType::Success, runs)]), &BTreeMap::new(), 30);
        assert!(near(known[0].confidence, confidence), "{runs} runs: {}", known[0].confidence);
        assert!(near(known[0].effectiveness, 1.0), "always cured");
    }
}

#[test]
fn a33_effectiveness_counts_partials_half_degradations_nothing_and_unknown_not_at_all() {
    use OutcomeType::{Degradation, Ineffective, Partial, Success, Unknown};
    let known = statistics(
        &outcomes(&[(Success, 6), (Partial, 4), (Ineffective, 3), (Degradation, 2), (Unknown, 9)]),
        &BTreeMap::new(),
        30,
    );
    assert_eq!(known.len(), 1);
    let known = &known[0];
    assert_eq!((known.runs, known.successes, known.partials), (15, 6, 4));
    assert!(near(known.success_rate, 0.4));
    assert!(near(known.confidence, 0.5));
    // s = (6 + 2)/15; 1 − ½·(1 − s)
    assert!(near(known.effectiveness, 1.0 - 0.5 * (1.0 - 8.0 / 15.0)), "{}", known.effectiveness);
    assert_eq!(known.mean_time_to_effect_seconds, Some(200.0));
}

#[test]
fn a33_thirty_failures_leave_nothing_of_an_actions_promise() {
    for verdict in [OutcomeType::Ineffective, OutcomeType::Degradation] {
        let known = statistics(&outcomes(&[(verdict, 30)]), &BTreeMap::new(), 30);
        assert!(near(known[0].effectiveness, 0.0));
        assert_eq!(known[0].mean_time_to_effect_seconds, None);
    }
}

#[test]
fn a33_statistics_are_kept_apart_by_cause_and_action() {
    let mut mixed = outcomes(&[(OutcomeType::Success, 2)]);
    mixed[1].cause = Cause::new(Cause::SYSTEM_OVERLOAD);
    mixed.push(outcome(9, ActionKind::ThrottleRequests, OutcomeType::Partial));
    let known = statistics(&mixed, &BTreeMap::new(), 30);
    let named: Vec<_> =
        known.iter().map(|one| (one.cause.0.as_str(), one.action, one.runs)).collect();
    assert_eq!(
        named,
        [
            ("system_overload", ActionKind::ScaleUp, 1),
            ("validation_latency", ActionKind::ScaleUp, 1),
            ("validation_latency", ActionKind::ThrottleRequests, 1),
        ]
    );
}

#[test]
fn a33_what_was_never_judged_teaches_nothing() {
    assert_eq!(statistics(&[], &BTreeMap::new(), 30), []);
    assert_eq!(statistics(&outcomes(&[(OutcomeType::Unknown, 5)]), &BTreeMap::new(), 30), []);
}

#[test]
fn a34_an_insight_names_action_rate_and_cause() {
    let known = statistics(
        &outcomes(&[(OutcomeType::Success, 27), (OutcomeType::Partial, 3)]),
        &BTreeMap::new(),
        30,
    );
    let said = insights(&known, time(0));
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].key, "validation_latency/scale_up");
    for part in ["scale_up", "validation_latency", "90 %", "27 of 30", "200 s"] {
        assert!(said[0].title.contains(part), "{part} is missing in: {}", said[0].title);
    }
    assert!(near(said[0].confidence, 1.0));
    assert!(said[0].recommendation.contains("plan.strategies.validation_latency"));
}

#[test]
fn a34_the_recommendation_follows_the_rate_once_there_are_enough_runs() {
    let say = |verdicts: &[(OutcomeType, usize)]| {
        insights(&statistics(&outcomes(verdicts), &BTreeMap::new(), 30), time(0))[0]
            .recommendation
            .clone()
    };
    assert!(say(&[(OutcomeType::Success, 3)]).contains("Too few runs"));
    assert!(say(&[(OutcomeType::Success, 20)]).contains("is reliable"));
    assert!(
        say(&[(OutcomeType::Success, 10), (OutcomeType::Ineffective, 10)])
            .contains("only at times")
    );
    assert!(say(&[(OutcomeType::Ineffective, 20)]).contains("seldom helps"));
}
