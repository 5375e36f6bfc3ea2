//! A31: did the action help? Looks at one judged action in cycle after cycle; the verdict falls in the second good one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use mape_k::domain::action::ActionKind;
use mape_k::domain::ledger::Entry;
use mape_k::domain::outcome::OutcomeType::{Degradation, Ineffective, Partial, Success, Unknown};
use mape_k::domain::outcome::PendingVerification;
use mape_k::domain::reading::{RuleStatus, Source};
use mape_k::domain::rule::Severity;
use mape_k::domain::target::Target;
use mape_k::domain::time::Time;
use mape_k::domain::violation::Violation;
use mape_k::domain::{Cause, Labels};
use mape_k::knowledge::verification::{CycleView, Look, VerificationResult, look};
use uuid::Uuid;

const SETTLE: i64 = 180;
const LIMIT: i64 = 600;

fn applied() -> Time {
    "2026-03-01T03:00:00Z".parse().expect("a time")
}

pub fn violation(name: &str) -> Violation {
    Violation {
        id: Uuid::nil(),
        fingerprint: name.to_owned(),
        severity: Severity::Warning,
        source: Source::Prometheus,
        rule: "r".to_owned(),
        metric: String::new(),
        value: Some(2.0),
        threshold: Some(1.0),
        comparison: None,
        component: Some(name.to_owned()),
        target: Some(Target::service(name)),
        labels: Labels::new(),
        description: String::new(),
        cause: None,
        detected_at: applied(),
        active_since: applied(),
        cleared_at: None,
        flapping: false,
        actionable: true,
        confirmed: true,
        no_evidence: None,
    }
}

fn violations(n: usize) -> Vec<Violation> {
    (0..n).map(|i| violation(&format!("v{i:02}"))).collect()
}

/// What is judged, and the world as the next look sees it.
struct Case {
    verification: PendingVerification,
    now: i64,
    scheduled: bool,
    active: Vec<Violation>,
    rules: Vec<RuleStatus>,
    counters: BTreeSet<String>,
    vanished: Vec<String>,
    alerts_read: bool,
    replicas: Option<u32>,
    /// What this cycle reads of the series that are asked for.
    values: BTreeMap<String, f64>,
    /// What was sent of late.
    sent: Vec<Entry>,
}

/// `before` violations at the intent, every one of them still there.
fn case(before: usize) -> Case {
    let settled_at = applied() + TimeDelta::seconds(SETTLE);
    let active = violations(before);
    Case {
        verification: PendingVerification {
            execution_id: Uuid::nil(),
            policy_id: Uuid::nil(),
            cause: Cause::new("x"),
            component: "charter".to_owned(),
            actions: vec![ActionKind::ScaleUp],
            target: Target::Charter(None),
            before: active.iter().map(|v| v.fingerprint.clone()).collect(),
            rules: active.iter().map(|v| v.rule.clone()).collect(),
            witness: None,
            metric_before: None,
            intent_at: applied() - TimeDelta::seconds(1),
            applied_at: applied(),
            settled_at,
            judge_by: settled_at + TimeDelta::seconds(LIMIT),
            expected_replicas: None,
            first_look: None,
            clear_at: None,
            measured: BTreeSet::new(),
            yardstick: None,
            first_values: BTreeMap::new(),
        },
        now: 0,
        scheduled: true,
        active,
        rules: vec![RuleStatus {
            rule: "r".to_owned(),
            good: true,
            expected: 10,
            seen: 10,
            oldest_sample: None,
            missing_since: None,
            missing_too_long: false,
            is_awaited: false,
            problem: None,
        }],
        counters: BTreeSet::new(),
        vanished: Vec::new(),
        alerts_read: true,
        replicas: Some(3),
        values: BTreeMap::new(),
        sent: Vec::new(),
    }
}

impl Case {
    /// One cycle, `at` seconds after the action; samples are five seconds old.
    fn look_at(&mut self, at: i64) -> Option<VerificationResult> {
        self.look_with_samples(at, at - 5)
    }

    fn look_with_samples(&mut self, at: i64, sampled: i64) -> Option<VerificationResult> {
        self.now = at;
        for rule in &mut self.rules {
            rule.oldest_sample = Some(applied() + TimeDelta::seconds(sampled));
        }
        let sight = CycleView {
            now: applied() + TimeDelta::seconds(at),
            scheduled: self.scheduled,
            active: &self.active,
            rules: &self.rules,
            counters: &self.counters,
            vanished: &self.vanished,
            alerts_read: self.alerts_read,
            cluster: None,
            replicas: self.replicas,
            poll_interval: Duration::from_secs(30),
            values: &self.values,
            sent: &self.sent,
        };
        match look(&self.verification, &sight) {
            Look::Waiting(verification) => {
                self.verification = verification;
                None
            }
            Look::Verified(verification, ruling) => {
                self.verification = verification;
                Some(ruling)
            }
        }
    }

    /// Cycles from settling on until the verdict.
    fn verdict(&mut self) -> VerificationResult {
        (1..40).find_map(|i| self.look_at(SETTLE + 30 * i)).expect("a verdict in time")
    }

    fn rule(&mut self) -> &mut RuleStatus {
        &mut self.rules[0]
    }
}

#[test]
fn a31_every_class_of_outcome() {
    let table = [
        (10, 0, Success),
        (10, 4, Partial),
        (10, 5, Partial),
        (10, 8, Ineffective),
        (10, 10, Ineffective),
        (1, 1, Ineffective),
        (10, 12, Degradation),
        (0, 0, Unknown),
    ];
    for (before, after, expected) in table {
        let mut case = case(before);
        case.active = violations(after);
        let ruling = case.verdict();
        assert_eq!(ruling.outcome, expected, "{before} -> {after}");
        assert_eq!(ruling.violations_after, after);
        assert_eq!(case.now, SETTLE + 60, "in the second good cycle");
    }
}

#[test]
fn a31_data_gone_is_unknown_and_never_a_success() {
    let mut case = case(10);
    case.active.clear();
    case.rule().good = false;
    case.rule().problem = Some("nothing is there".to_owned());
    let ruling = case.verdict();
    assert_eq!(ruling.outcome, Unknown);
    assert!(ruling.reason.contains("nothing is there"), "{}", ruling.reason);
    assert_eq!(case.now, SETTLE + LIMIT + 30, "after the limit, not before");
}

#[test]
fn the_verdict_needs_two_good_cycles_at_or_after_the_due_time() {
    let mut case = case(1);
    case.active.clear();
    for at in [30, 90, 179] {
        assert_eq!(case.look_at(at), None);
        assert_eq!(case.verification.first_look, None, "still settling");
    }
    assert_eq!(case.look_with_samples(SETTLE, SETTLE), None);
    assert!(case.verification.first_look.is_some(), "due exactly now is due");
    case.rule().good = false;
    assert_eq!(case.look_at(SETTLE + 30), None, "not a good cycle");
    case.rule().good = true;
    assert_eq!(case.look_at(SETTLE + 60).map(|r| r.outcome), Some(Success));
}

#[test]
fn what_was_active_in_either_of_the_two_cycles_is_left() {
    let mut case = case(4);
    case.active = violations(1);
    assert_eq!(case.look_at(SETTLE + 30), None);
    case.active = vec![violation("v03")];
    let ruling = case.look_at(SETTLE + 60).expect("the second");
    assert_eq!((ruling.outcome, ruling.violations_after), (Partial, 2));
    let mut gone = super::verification::case(4);
    gone.active = violations(3);
    gone.look_at(SETTLE + 30);
    gone.active.clear();
    assert_eq!(gone.look_at(SETTLE + 60).map(|r| r.outcome), Some(Ineffective));
}

#[test]
fn samples_older_than_the_end_of_settling_never_count() {
    let mut case = case(1);
    case.active.clear();
    assert_eq!(case.look_with_samples(SETTLE + 30, SETTLE - 1), None);
    assert_eq!(case.verification.first_look, None);
    assert_eq!(case.look_with_samples(SETTLE + 60, SETTLE), None);
    assert!(case.verification.first_look.is_some());
}

#[test]
fn a_look_on_the_last_moment_counts_and_after_it_none_does() {
    let mut case = case(1);
    case.active.clear();
    case.look_at(SETTLE + LIMIT - 30);
    assert_eq!(case.look_at(SETTLE + LIMIT).map(|r| r.outcome), Some(Success));
    let mut late = super::verification::case(1);
    late.active.clear();
    late.look_at(SETTLE + LIMIT - 30);
    let ruling = late.look_at(SETTLE + LIMIT + 1).expect("too late");
    assert_eq!(ruling.outcome, Unknown);
    assert!(ruling.reason.contains("not verified in time"), "{}", ruling.reason);
}

#[test]
fn woken_cycles_never_judge() {
    let mut case = case(1);
    case.active.clear();
    case.scheduled = false;
    for i in 1..10 {
        assert_eq!(case.look_at(SETTLE + 5 * i), None);
    }
    assert_eq!(case.verification.first_look, None);
}

#[test]
fn a31_a_counter_rule_waits_until_it_has_a_window_of_its_own() {
    let mut case = case(1);
    case.counters = BTreeSet::from(["r".to_owned()]);
    case.active.clear();
    assert_eq!(case.look_at(SETTLE + 30), None);
    assert_eq!(case.look_at(SETTLE + 89), None);
    assert_eq!(case.verification.first_look, None, "less than three polls since settling");
    assert_eq!(case.look_at(SETTLE + 90), None);
    assert!(case.verification.first_look.is_some());
    assert_eq!(case.look_at(SETTLE + 120).map(|r| r.outcome), Some(Success));
}

#[test]
fn a_counter_rule_that_breaks_only_now_waits_too() {
    let mut case = case(1);
    case.counters = BTreeSet::from(["other".to_owned()]);
    let other = RuleStatus { rule: "other".to_owned(), ..case.rules[0].clone() };
    case.rules.push(other);
    case.active = vec![Violation { rule: "other".to_owned(), ..violation("new") }];
    case.look_at(SETTLE + 60);
    assert_eq!(case.verification.first_look, None);
    // One that is not broken here does not delay anything.
    case.active.clear();
    case.look_at(SETTLE + 65);
    assert!(case.verification.first_look.is_some());
}

#[test]
fn somebody_elses_change_of_size_makes_it_unknown() {
    let mut case = case(1);
    case.active.clear();
    case.verification.expected_replicas = Some(3);
    case.look_at(SETTLE + 30);
    case.replicas = Some(4);
    let ruling = case.look_at(SETTLE + 60).expect("a verdict");
    assert_eq!(ruling.outcome, Unknown);
    assert!(ruling.reason.contains("4 replicas instead of 3"), "{}", ruling.reason);
}

#[test]
fn while_charter_does_not_say_its_size_nothing_is_judged() {
    let mut case = case(1);
    case.active.clear();
    case.verification.expected_replicas = Some(3);
    case.replicas = None;
    assert_eq!(case.verdict().outcome, Unknown);
    assert_eq!(case.now, SETTLE + LIMIT + 30);
}

#[test]
fn a_vanished_violation_is_unknown_at_once() {
    let mut case = case(3);
    case.active.clear();
    case.vanished = vec!["elsewhere".to_owned()];
    assert_eq!(case.look_at(60), None);
    case.vanished = vec!["v01".to_owned()];
    let ruling = case.look_at(90).expect("known to be unknown");
    assert_eq!(ruling.outcome, Unknown);
    assert!(ruling.reason.contains("v01"), "{}", ruling.reason);
}

#[test]
fn only_actionable_violations_from_warning_up_of_the_scope_are_counted() {
    let mut case = case(2);
    case.verification.target = Target::service("v00");
    case.active = vec![
        Violation { severity: Severity::Info, ..violation("v00") },
        Violation { actionable: false, ..violation("v00") },
        violation("another"),
        Violation { component: None, ..violation("nowhere") },
    ];
    assert_eq!(case.verdict().outcome, Success);
    let mut charter = super::verification::case(2);
    charter.active = vec![violation("another"), Violation { component: None, ..violation("no") }];
    assert_eq!(charter.verdict().outcome, Ineffective, "charter is everything");
}

#[test]
fn a_rule_that_breaks_only_now_must_be_readable_as_well() {
    let mut case = case(2);
    let mut other = RuleStatus { rule: "other".to_owned(), ..case.rules[0].clone() };
    other.good = false;
    case.rules.push(other);
    case.active = vec![Violation { rule: "other".to_owned(), ..violation("new") }];
    assert_eq!(case.look_at(SETTLE + 30), None);
    assert_eq!(case.verification.first_look, None);
}

#[test]
fn a_rule_with_nothing_to_do_with_it_may_be_unreadable() {
    let mut case = case(2);
    let mut other = RuleStatus { rule: "other".to_owned(), ..case.rules[0].clone() };
    other.good = false;
    case.rules.push(other);
    case.active.clear();
    assert_eq!(case.verdict().outcome, Success);
}

#[test]
fn an_alert_that_cannot_be_confirmed_leaves_the_outcome_unknown() {
    let alert = |confirmed| Violation {
        source: Source::Alertmanager,
        rule: "Overload".to_owned(),
        confirmed,
        ..violation("v00")
    };
    let mut case = case(1);
    case.verification.rules = BTreeSet::from(["Overload".to_owned()]);
    case.active = vec![alert(false)];
    assert_eq!(case.verdict().outcome, Unknown);
    // Gone, but nobody read Alertmanager: absence is no evidence.
    let mut unread = super::verification::case(1);
    unread.verification.rules = BTreeSet::from(["Overload".to_owned()]);
    unread.active.clear();
    unread.alerts_read = false;
    assert_eq!(unread.verdict().outcome, Unknown);
    unread.verification.first_look = None;
    unread.alerts_read = true;
    assert_eq!(unread.verdict().outcome, Success);
}

#[test]
fn time_to_effect_begins_with_the_first_good_cycle_in_which_all_was_clear() {
    let after = |case: &Case| case.verification.clear_at.map(|at| (at - applied()).num_seconds());
    let mut case = case(2);
    case.look_at(30);
    assert_eq!(after(&case), None);
    case.active.clear();
    case.rule().good = false;
    case.look_at(60);
    assert_eq!(after(&case), None, "nobody could see that it was clear");
    case.rule().good = true;
    case.look_with_samples(65, -5);
    assert_eq!(after(&case), None, "samples from before the action");
    case.look_at(90);
    assert_eq!(after(&case), Some(90), "long before it is judged");
    case.look_at(120);
    assert_eq!(after(&case), Some(90));
    // It came back: the effect was none.
    case.active = violations(1);
    case.look_at(150);
    assert_eq!(after(&case), None);
    case.active.clear();
    assert_eq!(case.verdict().outcome, Success);
    assert_eq!(after(&case), Some(SETTLE + 30));
}

#[test]
fn a_waiting_judgement_survives_a_restart_as_it_is() {
    let mut case = case(1);
    case.active.clear();
    case.look_at(SETTLE + 30);
    let text = serde_json::to_string(&case.verification).expect("a record");
    case.verification = serde_json::from_str(&text).expect("the same record");
    assert_eq!(case.look_at(SETTLE + 60).map(|r| r.outcome), Some(Success));
}
