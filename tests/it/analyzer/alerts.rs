//! Part of A67: an alert and the rule it names are one violation, decided by the rule; alerts that are not ours are
//! none; what cannot be confirmed justifies nothing.

use chrono::TimeDelta;
use mape_k::analyzer::alert_fingerprint;
use mape_k::domain::Cause;
use mape_k::domain::alert::{Alert, AlertClass, AlertState, AlertView, NoEvidence};
use mape_k::domain::analysis::PatternKind::Temporal;
use mape_k::domain::incident::Absence;
use mape_k::domain::reading::{FailureKind, ReadFailure, Source};
use mape_k::domain::rule::Severity;

use super::world::{BROKEN, FINE, World, alert, all, labels, many, naming, rule};

/// An alert that names the rule, about component a.
fn of_rule() -> Alert {
    Alert {
        rule: Some("r".to_owned()),
        component: Some("a".to_owned()),
        labels: labels(&[("alertname", "Slow"), ("component", "a")]),
        ..alert("Slow")
    }
}

fn world(value: f64) -> World {
    let mut world = World::new().watch(naming("r", "x"), all(&["a", "b"], value));
    world.answer("r", [all(&["a"], value), all(&["b"], FINE)].concat());
    world
}

fn firing(alert: Alert) -> AlertView {
    AlertView { alerts: vec![alert], absence_proves_clear: true, ..AlertView::default() }
}

#[test]
fn a67_alert_first_then_the_rule_is_one_violation() {
    let mut world = world(FINE);
    world.view = firing(of_rule());
    world.cycle();
    assert!(world.active().is_empty(), "the rule reads clear, and the rule decides");
    world.answer("r", [all(&["a"], BROKEN), all(&["b"], FINE)].concat());
    world.cycle();
    assert_eq!(world.only().source, Source::Prometheus);
}

#[test]
fn a67_rule_first_then_the_alert_is_one_violation() {
    let mut world = world(BROKEN);
    world.cycle();
    world.view = firing(of_rule());
    world.cycle();
    assert_eq!(world.only().source, Source::Prometheus);
}

#[test]
fn a67_an_alert_that_outlasts_the_rule_does_not_keep_it() {
    let mut world = world(BROKEN);
    world.view = firing(of_rule());
    world.cycle();
    world.answer("r", all(&["a", "b"], FINE));
    let cycle = world.cycle();
    assert_eq!(cycle.changes.cleared.len(), 1);
    assert!(world.active().is_empty());
}

#[test]
fn a67_the_alert_stands_alone_only_while_the_rules_reading_is_missing() {
    let mut world = world(FINE);
    world.view = firing(of_rule());
    world.cycle();
    world.outage();
    world.cycle();
    let violation = world.only();
    assert_eq!((violation.source, violation.rule.as_str()), (Source::Alertmanager, "r"));
    assert!(violation.confirmed);
    world.answer("r", [all(&["a"], BROKEN), all(&["b"], FINE)].concat());
    let cycle = world.cycle();
    assert_eq!(world.only().source, Source::Prometheus);
    assert_eq!(cycle.changes.vanished, [alert_fingerprint("Slow")], "no success, no clear");
}

#[test]
fn a_firing_alert_confirms_the_violations_of_its_rule_that_it_does_not_contradict() {
    let mut world = World::new().watch(naming("r", "x"), all(&["a", "b", "c"], BROKEN));
    world.cycle();
    world.outage();
    world.view = firing(of_rule());
    world.cycle();
    let confirmed: Vec<_> = world
        .active()
        .into_iter()
        .map(|v| (v.component.clone().unwrap_or_default(), v.confirmed, v.source))
        .collect();
    assert_eq!(confirmed.len(), 3, "none of its own: {confirmed:?}");
    for (component, seen, source) in confirmed {
        assert_eq!((seen, source), (component == "a", Source::Prometheus), "{component}");
    }
    // Without the label it contradicts none of them.
    world.view.alerts[0].labels.remove("component");
    world.cycle();
    assert!(world.active().iter().all(|v| v.confirmed));
    // What cannot be confirmed confirms nothing.
    world.view.alerts[0].state = AlertState::Unconfirmed;
    world.cycle();
    assert!(world.active().iter().all(|v| !v.confirmed));
}

#[test]
fn an_alert_of_a_known_cause_is_a_violation_that_clears_with_it() {
    let mut world = world(FINE);
    world.view = firing(alert("Overload"));
    let cycle = world.cycles(3);
    assert_eq!(world.only().fingerprint, alert_fingerprint("Overload"));
    assert!(cycle.root(Cause::SYSTEM_OVERLOAD, "charter").is_some());
    world.view.alerts[0].state = AlertState::Clear;
    assert_eq!(world.cycle().changes.cleared.len(), 1);
}

#[test]
fn absence_clears_only_where_it_proves_anything() {
    let mut world = world(FINE);
    world.view = firing(alert("Overload"));
    world.cycle();
    world.view = AlertView::default();
    world.cycles(3);
    assert!(!world.only().confirmed, "Alertmanager has just restarted");
    world.view.absence_proves_clear = true;
    assert_eq!(world.cycle().changes.cleared.len(), 1);
}

#[test]
fn with_alertmanager_off_its_old_violations_vanish() {
    let mut world = world(FINE);
    world.view = firing(alert("Overload"));
    world.cycle();
    world.restart();
    world.alertmanager = false;
    world.view = AlertView::default();
    assert_eq!(world.cycle().changes.vanished.len(), 1);
}

#[test]
fn an_unconfirmed_alert_justifies_nothing() {
    let mut world = world(FINE);
    world.view = firing(Alert { severity: Severity::Critical, ..alert("Overload") });
    assert!(!world.cycle().analysis.root_causes.is_empty());
    world.view.alerts[0].state = AlertState::Unconfirmed;
    world.view.absence_proves_clear = false;
    world.view.failure =
        Some(ReadFailure { kind: FailureKind::Timeout, text: "no answer".to_owned() });
    let cycle = world.cycle();
    assert!(cycle.analysis.root_causes.is_empty() && cycle.analysis.patterns.is_empty());
    assert!(!world.only().confirmed, "still active");
    // Nor does one that arrives while nobody can confirm it.
    world.view.alerts.push(Alert { state: AlertState::Unconfirmed, ..alert("Late") });
    assert!(world.cycle().analysis.patterns.is_empty());
    assert_eq!(world.active().len(), 2);
}

#[test]
fn an_alert_that_nobody_could_confirm_begins_when_it_is_confirmed() {
    let mut world = world(FINE);
    world.cycle();
    let unconfirmed = |name| Alert { state: AlertState::Unconfirmed, onset: false, ..alert(name) };
    world.view.alerts = ["one", "two", "three"].map(unconfirmed).to_vec();
    assert!(!world.cycle().has(Temporal));
    world.view.alerts = ["one", "two", "three"].map(alert).to_vec();
    assert!(world.cycle().has(Temporal));
}

/// An alert that is held back, or whose cause nobody knows any more, completes no pattern with its beginning.
#[test]
fn w01_the_beginning_of_an_alert_that_is_no_evidence_any_more_completes_no_pattern() {
    let held = |why| Alert { state: AlertState::HeldBack, no_evidence: Some(why), ..alert("two") };
    let silenced = NoEvidence::HeldBack("silenced by a person".to_owned());
    let unlisted = NoEvidence::Unlisted;
    let now = [
        (alert("two"), true),
        (
            Alert {
                state: AlertState::Unconfirmed,
                no_evidence: Some(NoEvidence::NotListedYet),
                ..alert("two")
            },
            true,
        ),
        (held(silenced), false),
        (held(NoEvidence::MutingUnknown), false),
        (
            Alert { state: AlertState::Unconfirmed, no_evidence: Some(unlisted), ..alert("two") },
            false,
        ),
        (Alert { class: AlertClass::UnknownCause, cause: None, ..alert("two") }, false),
        (Alert { class: AlertClass::MissingData, ..alert("two") }, false),
    ];
    for (two, acts) in now {
        let mut world = world(FINE);
        world.cycle();
        world.view.alerts = ["one", "two"].map(alert).to_vec();
        assert!(!world.cycle().has(Temporal));
        let said = format!("{two:?}");
        world.view.alerts = vec![alert("one"), two, alert("three")];
        assert_eq!(world.cycle().has(Temporal), acts, "{said}");
        // Nor does it later, when it is free again: it did not begin then.
        world.view.alerts = ["one", "three"].map(alert).to_vec();
        world.view.alerts.push(Alert { onset: false, ..alert("two") });
        assert_eq!(world.cycle().has(Temporal), acts, "{said}");
    }
}

#[test]
fn what_was_seen_clear_does_not_come_back_unconfirmed() {
    let mut world = world(FINE);
    for _ in 0..4 {
        world.view = firing(Alert { state: AlertState::Clear, ..alert("Overload") });
        world.cycle();
        world.view = firing(Alert { state: AlertState::Firing, ..alert("Overload") });
        world.view.alerts[0].state = AlertState::Clear;
        world.cycle();
    }
    world.view = firing(alert("Overload"));
    world.cycle();
    world.view.alerts[0].state = AlertState::Clear;
    world.cycle();
    // Alertmanager restarts: its list is empty and proves nothing yet.
    world.view.alerts[0].state = AlertState::Unconfirmed;
    world.cycle();
    assert!(world.active().is_empty());
}

#[test]
fn a67_foreign_ignored_and_other_peoples_alerts_are_no_violations() {
    let mut world = world(FINE);
    let of = |class| Alert { class, ..alert(&format!("{class:?}")) };
    world.view.alerts =
        vec![of(AlertClass::Foreign), of(AlertClass::Ignored), of(AlertClass::NotOurs)];
    let cycle = world.cycle();
    assert!(world.active().is_empty());
    assert!(cycle.analysis.patterns.is_empty());
}

#[test]
fn an_alert_without_a_known_cause_is_listed_and_evidence_for_nothing() {
    let mut world = world(FINE);
    world.cycle();
    let unknown = |name: &str| Alert {
        class: AlertClass::UnknownCause,
        cause: None,
        severity: Severity::Critical,
        component: Some("a".to_owned()),
        ..alert(name)
    };
    world.view.alerts = (0..10).map(|i| unknown(&format!("Odd{i}"))).collect();
    let cycle = world.cycles(4);
    assert_eq!(world.active().len(), 10);
    assert!(world.active().iter().all(|v| !v.actionable));
    assert!(cycle.analysis.patterns.is_empty() && cycle.analysis.root_causes.is_empty());
}

#[test]
fn an_older_episode_of_an_alert_that_is_over_does_not_hide_the_present_one() {
    let mut world = world(FINE);
    let over = Alert {
        key: "Overload@0".to_owned(),
        state: AlertState::Clear,
        received_at: super::world::start() - TimeDelta::hours(1),
        ..alert("Overload")
    };
    for alerts in [vec![alert("Overload"), over.clone()], vec![over.clone(), alert("Overload")]] {
        world.view.alerts = alerts;
        let cycle = world.cycles(2);
        assert!(cycle.changes.cleared.is_empty() && world.only().confirmed);
    }
}

#[test]
fn a_condition_rule_that_reads_clear_leaves_an_alert_of_the_same_name_alone() {
    let mut world = World::new()
        .watch(super::world::condition("Overload", Some("up")), Vec::new())
        .watch(rule("r"), many(2, FINE));
    world.present("Overload", true);
    world.view = firing(alert("Overload"));
    world.cycle();
    let cycle = world.cycle();
    assert!(cycle.changes.cleared.is_empty() && cycle.changes.opened.is_empty());
    assert_eq!(world.active().len(), 1);
}

/// R05: what an incident is told of an alert that is not among the violations any more. Held back is neither clear nor gone,
/// and a list that could not be read says nothing.
#[test]
fn r05_an_alert_that_is_held_back_or_could_not_be_read_is_not_absent() {
    let fp = alert_fingerprint("Overload");
    let silenced = Some(NoEvidence::HeldBack("silenced".to_owned()));
    let held = Alert { state: AlertState::HeldBack, no_evidence: silenced, ..alert("Overload") };
    let unread = AlertView {
        failure: Some(ReadFailure { kind: FailureKind::Server, text: "500".to_owned() }),
        ..AlertView::default()
    };
    let none = AlertView { absence_proves_clear: true, ..AlertView::default() };
    let mut world = world(FINE);
    world.view = firing(alert("Overload"));
    world.cycle();
    for (what, view, absence) in [
        ("muted", firing(held.clone()), Absence::Muted),
        ("the list cannot be read", unread.clone(), Absence::Muted),
        ("Alertmanager no longer has it", none.clone(), Absence::Clear),
        ("heard again", firing(alert("Overload")), Absence::Unread),
        ("unread while it is active", unread.clone(), Absence::Unread),
        ("clear", none, Absence::Clear),
    ] {
        world.view = view;
        world.cycle();
        assert_eq!(world.tracker.absence(&fp), absence, "{what}");
    }
    // After a restart nothing is known of it before the list was read.
    let mut after = self::world(FINE);
    after.view = unread;
    after.cycle();
    assert_eq!(after.tracker.absence(&fp), Absence::Unread);
}
