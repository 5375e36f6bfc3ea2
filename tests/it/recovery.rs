//! S07: what a score says of a verdict, as pure functions: it lowers the class of the count and names the number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::natural::{Natural, NaturalCount};
use mape_k::domain::outcome::OutcomeType::{
    self, Degradation, Ineffective, Partial, Success, Unknown,
};
use mape_k::domain::rule::Comparison;
use mape_k::domain::time::Time;
use mape_k::domain::verification::{Baseline, Control, Lowering, Score, Unscored, Verification};
use mape_k::domain::violation::Violation;
use mape_k::knowledge::learning::statistics;
use mape_k::knowledge::natural::{Held, Scene, observe};
use mape_k::knowledge::recovery::{Past, score, verify};
use uuid::Uuid;

use crate::learning::outcome;
use crate::verification::violation;

const INTERVAL: i64 = 30;

fn at(tick: i64) -> Time {
    let start: Time = "2026-03-01T03:00:00Z".parse().expect("a time");
    start + TimeDelta::seconds(tick * INTERVAL)
}

/// One reading a tick; the violation begins at `began`.
fn past(values: &[f64], began: i64, comparison: Comparison, touched: &[Time]) -> Option<Score> {
    let readings: Vec<(Time, f64)> = (0..).map(at).zip(values.iter().copied()).collect();
    score(
        "s",
        &Past {
            readings: &readings,
            began_at: at(began),
            comparison,
            threshold: 1.0,
            settle: Duration::from_mins(3),
            touched,
        },
    )
}

/// `healthy` readings about 0.2, then three at 2.0.
fn rising(healthy: i64) -> Score {
    let normal = (0..healthy).map(|i| if i % 2 == 0 { 0.18 } else { 0.22 });
    let values: Vec<f64> = normal.chain([2.0; 3]).collect();
    past(&values, healthy, Comparison::Gt, &[]).expect("a score")
}

fn judged(counted: OutcomeType, score: Score, after: f64) -> (OutcomeType, Verification) {
    judged_with(counted, score, after, &[], &BTreeSet::new(), None)
}

fn judged_with(
    counted: OutcomeType,
    score: Score,
    after: f64,
    control: &[(&str, f64)],
    touched: &BTreeSet<String>,
    guard: Option<&str>,
) -> (OutcomeType, Verification) {
    let mut values = BTreeMap::from([("s".to_owned(), after)]);
    values.extend(control.iter().map(|(name, value)| ((*name).to_owned(), *value)));
    let yardstick = Baseline::Scored(score);
    verify(counted, Some(&yardstick), &values, &values, touched, guard)
}

fn near(left: Option<f64>, right: f64) -> bool {
    left.is_some_and(|left| (left - right).abs() < 0.02)
}

#[test]
fn s07_the_share_of_the_excess_that_is_gone_lowers_the_class_of_the_count() {
    for (counted, after, expected, recovery) in [
        (Success, 0.2, Success, 1.0),
        (Success, 0.99, Success, 0.56),
        (Success, 1.3, Partial, 0.39),
        (Success, 1.8, Ineffective, 0.11),
        (Partial, 1.3, Partial, 0.39),
        (Partial, 1.8, Ineffective, 0.11),
        // It never raises.
        (Ineffective, 0.2, Ineffective, 1.0),
        (Degradation, 0.2, Degradation, 1.0),
        // Worse by more than three sigma, whatever the count says.
        (Ineffective, 2.6, Degradation, -0.33),
        (Partial, 2.6, Degradation, -0.33),
        (Ineffective, 2.4, Ineffective, -0.22),
    ] {
        let (class, known) = judged(counted, rising(40), after);
        assert_eq!(class, expected, "{counted:?} with {after}: {known:?}");
        assert!(near(known.recovery, recovery), "{after}: {known:?}");
        assert_eq!(known.lowered_because().is_some(), class != counted, "{known:?}");
    }
    let (_, known) = judged(Success, rising(40), 1.8);
    let why = known.lowered_because().expect("lowered");
    assert!(why.contains("0.11") && why.contains("0.25") && why.contains("success"), "{why}");
}

#[test]
fn s07_a_rule_that_breaks_downwards_is_measured_downwards() {
    let values: Vec<f64> = [5.0; 20].into_iter().chain([0.5; 3]).collect();
    let score = past(&values, 20, Comparison::Lt, &[]).expect("a score");
    assert_eq!(judged(Success, score.clone(), 5.0).0, Success);
    assert_eq!(judged(Success, score.clone(), 1.1).0, Ineffective);
    assert_eq!(judged(Ineffective, score, -2.0).0, Degradation);
}

#[test]
fn s07_what_cannot_be_known_lowers_nothing_and_says_so() {
    // Eight readings before the lead are the least.
    assert!(rising(10).normal.is_none() && rising(11).normal.is_some());
    let (class, known) = judged(Success, rising(10), 1.9);
    assert_eq!((class, known.recovery, known.lowered_by), (Success, None, None));
    // Broken most of the time before is no normal level.
    let values: Vec<f64> = [1.5; 30].into_iter().chain([2.0; 3]).collect();
    assert!(past(&values, 30, Comparison::Gt, &[]).expect("a score").normal.is_none());
    // Nothing was read after.
    let (none, yardstick) = (BTreeMap::new(), Baseline::Scored(rising(40)));
    let (class, known) = verify(Success, Some(&yardstick), &none, &none, &BTreeSet::new(), None);
    assert_eq!((class, known.after), (Success, None));
    for why in [Unscored::Alert, Unscored::Counter, Unscored::Condition, Unscored::Unread] {
        let yardstick = Baseline::Unscored(why);
        let (class, known) =
            verify(Success, Some(&yardstick), &none, &none, &BTreeSet::new(), None);
        assert_eq!((class, known.unscored), (Success, Some(why)));
    }
    // A record of an older version.
    assert_eq!(verify(Partial, None, &none, &none, &BTreeSet::new(), None).0, Partial);
    assert_eq!(past(&[], 0, Comparison::Gt, &[]), None);
}

#[test]
fn s07_what_recovers_elsewhere_too_is_no_recovery_of_the_action() {
    let control = |name: &str| Control {
        series: name.to_owned(),
        component: format!("c-{name}"),
        before: 1.9,
    };
    let mut score = rising(40);
    score.control = vec![control("a"), control("b"), control("c")];
    let moved = [("a", 0.2), ("b", 0.2), ("c", 1.9)];
    let untouched = BTreeSet::new();
    let (class, known) = judged_with(Success, score.clone(), 0.2, &moved, &untouched, None);
    assert_eq!((class, known.controls), (Ineffective, 3));
    assert!(near(known.control, 0.94) && near(known.recovery, 0.06), "{known:?}");
    let why = known.lowered_because().expect("lowered");
    assert!(why.contains("0.93") && why.contains("elsewhere"), "{why}");
    // Where something else was done meanwhile there is nothing to compare with.
    let touched = BTreeSet::from(["c-a".to_owned(), "c-b".to_owned()]);
    let (class, known) = judged_with(Success, score.clone(), 0.2, &moved, &touched, None);
    assert_eq!((class, known.controls), (Success, 1));
    // What got worse elsewhere gives the action no credit.
    let worse = [("a", 9.0), ("b", 9.0), ("c", 9.0)];
    let (class, known) = judged_with(Success, score, 1.8, &worse, &untouched, None);
    assert_eq!((class, known.control), (Ineffective, Some(0.0)));
}

#[test]
fn s07_a_recovery_that_comes_as_often_without_an_action_is_no_success() {
    // The series swings by itself as much as it recovered.
    let swing = |i: i64| if (i / 10) % 2 == 0 { 0.1 } else { 0.9 };
    let values: Vec<f64> = (0..100).map(swing).chain([1.1; 3]).collect();
    let score = past(&values, 100, Comparison::Gt, &[]).expect("a score");
    assert!(score.placebo.len() >= 50, "{}", score.placebo.len());
    let (class, known) = judged(Success, score.clone(), 0.5);
    assert!(known.recovery.is_some_and(|r| r >= 0.5), "{known:?}");
    assert!(known.placebo.is_some_and(|p| p > 0.1), "{known:?}");
    assert_eq!((class, known.lowered_by.clone()), (Partial, Some(Lowering::Placebo)));
    assert!(known.lowered_because().expect("lowered").contains("without any action"));
    // What came elsewhere too is off the recovery, and not off those times: the whole is compared.
    let mut beside = score.clone();
    beside.control =
        vec![Control { series: "a".to_owned(), component: "c-a".to_owned(), before: 0.3 }];
    beside.placebo = vec![0.7; 60];
    let (class, known) = judged_with(Success, beside, 0.1, &[("a", 0.0)], &BTreeSet::new(), None);
    assert!(near(known.recovery, 0.59) && known.placebo == Some(0.0), "{known:?}");
    assert_eq!(class, Success);
    // With fewer times nothing is said.
    let few = Score { placebo: score.placebo[..49].to_vec(), ..score };
    let (class, known) = judged(Success, few, 0.5);
    assert_eq!((class, known.placebo, known.placebo_times), (Success, None, 49));
}

#[test]
fn s07_times_at_which_something_was_done_are_no_placebo() {
    let values: Vec<f64> = [0.2; 100].into_iter().chain([2.0; 3]).collect();
    let all = past(&values, 100, Comparison::Gt, &[]).expect("a score").placebo.len();
    let touched = past(&values, 100, Comparison::Gt, &[at(50)]).expect("a score").placebo.len();
    // Six ticks of settling before it, it itself, six after it, and the two looks.
    assert!(touched < all && all - touched <= 15, "{all} {touched}");
}

#[test]
fn s07_a_guard_metric_newly_broken_is_a_degradation() {
    let guard = Some("error_rate");
    let (class, known) = judged_with(Success, rising(40), 0.2, &[], &BTreeSet::new(), guard);
    assert_eq!(class, Degradation);
    assert!(known.lowered_because().expect("lowered").contains("error_rate"));
}

fn count(episodes: u32, recovered: u32) -> BTreeMap<Cause, NaturalCount> {
    let count = NaturalCount { episodes, recovered, incident: None };
    BTreeMap::from([(Cause::new(Cause::VALIDATION_LATENCY), count)])
}

#[test]
fn what_clears_by_itself_is_taken_off_what_an_action_is_given_credit_for() {
    let runs: Vec<_> = (1..=30)
        .map(|n| outcome(n, ActionKind::ScaleUp, if n <= 18 { Success } else { Ineffective }))
        .collect();
    let known = |natural| statistics(&runs, &natural, 30).remove(0);
    let naive = known(BTreeMap::new());
    assert!((naive.effectiveness - 0.6).abs() < 1e-9);
    // p = 36/(64 + 8) = ½; q = (0.6 − ½)/½ = 0.2.
    let corrected = known(count(64, 36));
    assert!((corrected.natural_recovery - 0.5).abs() < 1e-9);
    assert!((corrected.effectiveness - 0.2).abs() < 1e-9, "{corrected:?}");
    // Few runs are believed little, with the correction as without.
    let few = statistics(&runs[15..], &count(64, 36), 30).remove(0);
    assert!((few.effectiveness - 0.5).abs() < 1e-9, "3 of 15: no better than nothing: {few:?}");
    assert_eq!((corrected.runs, corrected.successes), (30, 18), "raw counts stay raw");
    // Few episodes say little.
    assert!(known(count(1, 1)).natural_recovery < 0.12);
    // Never below nothing, never a division by nothing.
    assert!((0.0..=1.0).contains(&known(count(100_000, 100_000)).effectiveness));
}

/// However many runs there are, and however they went.
#[test]
fn what_clears_by_itself_never_adds_to_an_actions_credit() {
    for runs in [1, 10, 30, 90] {
        for successes in 0..=runs {
            let runs: Vec<_> = (1..=runs)
                .map(|n| {
                    let verdict = if n <= successes { Success } else { Ineffective };
                    outcome(n, ActionKind::ScaleUp, verdict)
                })
                .collect();
            let known = |natural| statistics(&runs, &natural, 30).remove(0).effectiveness;
            let (naive, corrected) = (known(BTreeMap::new()), known(count(40, 24)));
            let mixed = (1..runs.len()).contains(&usize::try_from(successes).expect("few"));
            let lost = naive - corrected;
            assert!(
                if mixed { lost > 1e-3 } else { lost.abs() < 1e-9 },
                "{successes} of {}: {naive} became {corrected}",
                runs.len()
            );
        }
    }
}

#[test]
fn s07_the_same_records_in_any_order_teach_the_same() {
    let mut runs: Vec<_> = [Success, Partial, Unknown, Ineffective, Degradation, Success]
        .into_iter()
        .zip(1..)
        .map(|(verdict, n)| outcome(n, ActionKind::ScaleUp, verdict))
        .collect();
    let natural = count(20, 5);
    let learned = statistics(&runs, &natural, 30);
    runs.reverse();
    assert_eq!(statistics(&runs, &natural, 30), learned);
}

struct Watch {
    natural: Natural,
    active: Vec<Violation>,
    acted_at: Option<Time>,
}

impl Watch {
    fn new() -> Self {
        Self { natural: Natural::default(), active: vec![violation("s")], acted_at: None }
    }

    fn cycle(&mut self, tick: i64, incident: Option<u128>) {
        let active = self.active.iter().map(|v| (v.fingerprint.as_str(), v)).collect();
        let held = incident.map(|incident| Held {
            cause: Cause::new("x"),
            incident: Uuid::from_u128(incident),
            span: Duration::from_secs(240),
            evidence: BTreeSet::from(["s".to_owned()]),
        });
        observe(
            &mut self.natural,
            &Scene {
                now: at(tick),
                looked: true,
                active: &active,
                vanished: &[],
                acted_at: self.acted_at,
                held: held.into_iter().collect(),
                patience: Duration::from_mins(10),
                watch: Duration::from_mins(5),
            },
        );
    }

    fn counted(&self) -> (u32, u32) {
        self.natural.counts.get(&Cause::new("x")).map_or((0, 0), |c| (c.episodes, c.recovered))
    }
}

#[test]
fn an_episode_without_an_action_counts_when_its_verdict_would_have_come() {
    let mut watch = Watch::new();
    watch.cycle(0, Some(1));
    watch.active.clear();
    watch.cycle(7, None);
    assert_eq!(watch.counted(), (0, 0), "too early to tell");
    watch.cycle(8, None);
    watch.cycle(17, None);
    assert_eq!(watch.counted(), (0, 0), "a success would still be watched");
    watch.cycle(18, None);
    assert_eq!(watch.counted(), (1, 1));
    // Still there at that time; and one incident counts once, however long it lasts.
    let mut lasting = Watch::new();
    for tick in 0..40 {
        lasting.cycle(tick, Some(1));
    }
    assert_eq!(lasting.counted(), (1, 0));
    for tick in 40..80 {
        lasting.cycle(tick, Some(2));
    }
    assert_eq!(lasting.counted(), (2, 0));
}

#[test]
fn an_episode_that_an_action_ends_did_not_recover_by_itself() {
    let mut watch = Watch::new();
    watch.cycle(0, Some(1));
    watch.acted_at = Some(at(3));
    watch.cycle(3, None);
    assert_eq!(watch.counted(), (1, 0));
    // Something was done after it had cleared: nobody can say.
    let mut cleared = Watch::new();
    cleared.cycle(0, Some(1));
    cleared.active.clear();
    cleared.acted_at = Some(at(3));
    cleared.cycle(3, None);
    cleared.cycle(9, None);
    assert_eq!((cleared.counted(), cleared.natural.open.len()), ((0, 0), 0));
}

/// As a success that is taken back.
#[test]
fn what_cleared_by_itself_and_is_back_at_once_did_not_recover() {
    let mut watch = Watch::new();
    watch.cycle(0, Some(1));
    let back = std::mem::take(&mut watch.active);
    watch.cycle(8, None);
    watch.active = back;
    watch.cycle(12, None);
    assert_eq!((watch.counted(), watch.natural.open.len()), ((1, 0), 0));
}

#[test]
fn an_episode_that_ended_while_nobody_was_there_counts_nothing() {
    // Down for an hour, and for a while after it had cleared.
    for seen_clear in [false, true] {
        let mut watch = Watch::new();
        watch.cycle(0, Some(1));
        watch.active.clear();
        if seen_clear {
            watch.cycle(8, None);
        }
        watch.cycle(120, None);
        assert_eq!((watch.counted(), watch.natural.open.len()), ((0, 0), 0));
    }
    // The clock was set back.
    let mut watch = Watch::new();
    watch.cycle(100, Some(1));
    watch.active.clear();
    watch.cycle(0, None);
    assert_eq!(watch.natural.open.len(), 0);
}

#[test]
fn an_episode_whose_end_nobody_sees_is_waited_for_and_then_counts_nothing() {
    let mut watch = Watch::new();
    watch.cycle(0, Some(1));
    watch.active[0].confirmed = false;
    watch.cycle(10, None);
    assert_eq!((watch.counted(), watch.natural.open.len()), ((0, 0), 1));
    watch.cycle(40, None);
    assert_eq!((watch.counted(), watch.natural.open.len()), ((0, 0), 0));
}
