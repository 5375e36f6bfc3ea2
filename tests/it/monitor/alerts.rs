//! Cases of merging, classifying and witnessing alerts.

mod evidence;

use std::time::Duration;

use std::collections::{BTreeMap, BTreeSet};

use mape_k::domain::Cause;
use mape_k::domain::Labels;
use mape_k::domain::alert::{
    Alert, AlertClass, AlertListing, AlertRoute, AlertState, AlertStatus, InboxAlert, ListedAlert,
    NoEvidence,
};
use mape_k::domain::reading::FailureKind;
use mape_k::domain::reading::ReadFailure;
use mape_k::domain::rule::{Rule, Severity};
use mape_k::domain::target::TargetLabels;
use mape_k::domain::time::Time;
use mape_k::domain::time::after;
use mape_k::monitor::alerts::{KnownAlerts, Meaning, Routing, ViewInput, view, wakes};
use mape_k::monitor::settings::shipped_rules;
use mape_k::monitor::{AlertmanagerSettings, Handler};

const INTERVAL: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Time {
    after(Time::from_timestamp(1_700_000_000, 0).expect("valid"), Duration::from_secs(seconds))
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// An alert delivered and begun at the given seconds; its name is its fingerprint.
fn delivered(name: &str, starts: u64, received: u64, more: &[(&str, &str)]) -> InboxAlert {
    let mut all = labels(more);
    all.insert("alertname".to_owned(), name.to_owned());
    InboxAlert {
        fingerprint: name.to_owned(),
        starts_at: at(starts),
        status: AlertStatus::Firing,
        labels: all,
        annotations: labels(&[("summary", "it hurts")]),
        receiver: "mape-k".to_owned(),
        received_at: at(received),
        processed: false,
        listed: false,
        too_large: false,
    }
}

fn resolved(alert: &InboxAlert, received: u64) -> InboxAlert {
    InboxAlert { status: AlertStatus::Resolved, received_at: at(received), ..alert.clone() }
}

fn entry(alert: &InboxAlert) -> ListedAlert {
    ListedAlert {
        fingerprint: alert.fingerprint.clone(),
        starts_at: alert.starts_at,
        labels: alert.labels.clone(),
        annotations: Labels::new(),
        receivers: vec!["mape-k".to_owned()],
        suppressed: None,
        routes: vec![route("mape-k", &[])],
    }
}

fn route(receiver: &str, muted_by: &[&str]) -> AlertRoute {
    let muted_by = muted_by.iter().map(|name| (*name).to_owned()).collect();
    AlertRoute { receiver: receiver.to_owned(), muted_by }
}

fn listing(asked: u64, alerts: &[ListedAlert]) -> AlertListing {
    let up_for = Duration::from_secs(3600);
    AlertListing { asked_at: at(asked), up_for, alerts: alerts.to_vec(), tells_muting: true }
}

/// As an Alertmanager before 0.28 lists it.
fn plain_listing(asked: u64, alerts: &[ListedAlert]) -> AlertListing {
    let mut listing = listing(asked, alerts);
    listing.tells_muting = false;
    listing.alerts.iter_mut().for_each(|alert| alert.routes.clear());
    listing
}

fn unreadable() -> ReadFailure {
    ReadFailure { kind: FailureKind::Unreachable, text: "refused".to_owned() }
}

/// The loop's own course over cycles: settings, what is known and learnt.
struct World {
    settings: AlertmanagerSettings,
    scope: Labels,
    known: KnownAlerts,
    learnt: BTreeSet<String>,
    rules: Vec<std::sync::Arc<mape_k::domain::rule::Rule>>,
}

impl World {
    fn new() -> Self {
        Self {
            settings: AlertmanagerSettings::default(),
            scope: Labels::new(),
            known: KnownAlerts::new(INTERVAL),
            learnt: BTreeSet::new(),
            rules: shipped_rules(),
        }
    }

    /// After a first list that was empty, at second 0.
    fn started() -> Self {
        let mut world = Self::new();
        world.cycle(&[], Ok(&listing(0, &[])));
        world
    }

    fn routing(&self) -> Routing<'_> {
        Routing { settings: &self.settings, scope: &self.scope, rules: &self.rules }
    }

    fn cycle(
        &mut self,
        inbox: &[InboxAlert],
        listing: Result<&AlertListing, &ReadFailure>,
    ) -> Vec<Alert> {
        let seen = view(ViewInput {
            inbox,
            listing: Some(listing),
            known: &self.known,
            learnt_receivers: &self.learnt,
            routing: self.routing(),
        });
        assert_eq!(seen.view.failure.is_some(), listing.is_err());
        let now = listing.map_or(at(1_000), |listing| listing.asked_at);
        self.known.note(&seen, listing.ok(), now);
        seen.view.alerts
    }

    fn one(&mut self, inbox: &[InboxAlert], listing: Result<&AlertListing, &ReadFailure>) -> Alert {
        let mut alerts = self.cycle(inbox, listing);
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        alerts.remove(0)
    }

    fn meaning(&self, pairs: &[(&str, &str)]) -> Meaning {
        self.routing().meaning(&labels(pairs), &Labels::new(), true)
    }
}

fn handler(pattern: &str, cause: Option<&str>) -> Handler {
    Handler {
        pattern: pattern.to_owned(),
        cause: cause.map(Cause::new),
        rule: None,
        component: None,
        component_label: "component".to_owned(),
        target: None,
        severity: None,
        ignore: false,
    }
}

/// A39: pattern, order and default.
#[test]
fn the_first_handler_whose_pattern_is_in_the_name_decides() {
    let mut world = World::new();
    let by_pod = Handler {
        component_label: "pod".to_owned(),
        severity: Some(Severity::Critical),
        ..handler("LATENCY", Some("validation_latency"))
    };
    world.settings.handlers = vec![by_pod, handler("High", Some("system_overload"))];

    let first = world.meaning(&[("alertname", "HighLatency"), ("pod", "p1"), ("cause", "other")]);
    assert_eq!(first.cause, Some(Cause::new("validation_latency")));
    assert_eq!(first.component.as_deref(), Some("p1"));
    assert_eq!(first.severity, Severity::Critical);

    let second =
        world.meaning(&[("alertname", "higherload"), ("component", "c"), ("severity", "warning")]);
    assert_eq!(second.cause, Some(Cause::new("system_overload")));
    assert_eq!((second.component.as_deref(), second.severity), (Some("c"), Severity::Warning));

    let own_label =
        world.meaning(&[("alertname", "Disk"), ("cause", "disk"), ("severity", "page")]);
    assert_eq!(
        (own_label.cause, own_label.severity),
        (Some(Cause::new("disk")), Severity::Critical)
    );

    let unknown = world.meaning(&[("alertname", "Disk"), ("cause", "unknown")]);
    assert_eq!((unknown.cause, unknown.class), (None, AlertClass::UnknownCause));
}

/// targets.md 1: the handler names the labels of the target; without one the rule that the alert names does.
#[test]
fn a_handler_or_the_named_rule_says_which_labels_name_the_target() {
    let of = |name: &str| TargetLabels {
        kind: "Deployment".to_owned(),
        namespace_label: Some("namespace".to_owned()),
        name_label: name.to_owned(),
    };
    let mut world = World::new();
    let rule = Rule { target: Some(of("workload")), ..(*world.rules[1]).clone() };
    let name = rule.name.clone();
    world.rules[1] = std::sync::Arc::new(rule);
    let plain = [("alertname", "CartSlow"), ("rule", name.as_str())];
    assert_eq!(world.meaning(&plain).target, Some(of("workload")));
    assert_eq!(world.meaning(&plain[..1]).target, None, "neither names any");
    world.settings.handlers =
        vec![Handler { target: Some(of("deployment")), ..handler("cart", None) }];
    assert_eq!(world.meaning(&plain).target, Some(of("deployment")), "the handler is nearer");
    assert_eq!(world.meaning(&[("alertname", "Disk")]).target, None, "another alert's handler");
    let cart = delivered("CartSlow", 1, 2, &[]);
    let alert = world.one(std::slice::from_ref(&cart), Ok(&listing(5, &[entry(&cart)])));
    assert_eq!(alert.target, Some(of("deployment")), "and the alert carries it");
}

/// A39: a named rule gives component, cause and severity; a rule that does not exist gives nothing.
#[test]
fn an_alert_that_names_a_rule_takes_everything_from_it() {
    let world = World::new();
    let pairs = [
        ("alertname", "X"),
        ("rule", "failure_rate"),
        ("component", "api"),
        ("severity", "critical"),
    ];
    let named = world.meaning(&pairs);
    assert_eq!(named.rule.as_deref(), Some("failure_rate"));
    assert_eq!(named.cause, Some(Cause::new("system_overload")));
    assert_eq!((named.component.as_deref(), named.severity), (Some("api"), Severity::Warning));
    assert_eq!(named.class, AlertClass::Actionable);

    let nothing = world.meaning(&[("alertname", "X"), ("rule", "no_such_rule")]);
    assert_eq!((nothing.rule, nothing.class), (None, AlertClass::UnknownCause));
}

/// A67: foreign and ignored alerts are shown only, own ones not even that.
#[test]
fn foreign_ignored_and_own_alerts_are_not_ours_to_act_on() {
    let mut world = World::started();
    world.scope = labels(&[("cluster", "a")]);
    let known = ("cause", "system_overload");
    let foreign = world.meaning(&[("alertname", "X"), ("cluster", "b"), known]);
    assert_eq!(foreign.class, AlertClass::Foreign);
    assert_eq!(world.meaning(&[("alertname", "X"), known]).class, AlertClass::Actionable);
    assert_eq!(world.meaning(&[("alertname", "Watchdog"), known]).class, AlertClass::Ignored);

    let own = delivered("X", 0, 10, &[("origin", "mape-k"), known]);
    assert!(world.cycle(std::slice::from_ref(&own), Ok(&listing(20, &[entry(&own)]))).is_empty());

    let critical = ("severity", "critical");
    let wakes = |alert: &InboxAlert| wakes(alert, world.routing());
    let plain = delivered("X", 0, 10, &[critical]);
    assert!(wakes(&plain));
    assert!(!wakes(&resolved(&plain, 20)));
    assert!(!wakes(&delivered("X", 0, 10, &[("severity", "warning")])));
    assert!(!wakes(&delivered("X", 0, 10, &[critical, ("cluster", "b")])));
    assert!(!wakes(&delivered("Watchdog", 0, 10, &[critical])));
    assert!(!wakes(&delivered("X", 0, 10, &[critical, ("origin", "mape-k")])));
}

#[test]
fn what_is_listed_only_is_ours_by_a_learnt_receiver_a_known_cause_or_a_configured_receiver() {
    let of_unknown_cause = [entry(&delivered("X", 0, 0, &[]))];
    let listed = listing(30, &of_unknown_cause);
    let mut world = World::started();
    assert_eq!(world.one(&[], Ok(&listed)).class, AlertClass::NotOurs);
    world.learnt.insert("mape-k".to_owned());
    assert_eq!(world.one(&[], Ok(&listed)).class, AlertClass::UnknownCause);
    world.learnt.clear();
    world.settings.receiver = Some("mape-k".to_owned());
    assert_eq!(world.one(&[], Ok(&listed)).class, AlertClass::UnknownCause);
    let caused = [entry(&delivered("X", 0, 0, &[("cause", "system_overload")]))];
    assert_eq!(World::started().one(&[], Ok(&listing(30, &caused))).class, AlertClass::Actionable);
}

#[test]
fn the_list_decides_whether_a_delivered_alert_still_fires() {
    let alert = delivered("X", 0, 10, &[]);
    let inbox = std::slice::from_ref(&alert);
    let state =
        |listing: Result<&AlertListing, &ReadFailure>| World::started().one(inbox, listing).state;
    assert_eq!(state(Ok(&listing(20, &[entry(&alert)]))), AlertState::Firing);
    assert_eq!(state(Ok(&listing(20, &[]))), AlertState::Unconfirmed, "never in any list");
    assert_eq!(state(Ok(&listing(5, &[]))), AlertState::Unconfirmed, "delivered after the list");
    assert_eq!(state(Ok(&listing(5, &[entry(&alert)]))), AlertState::Firing);
    let listed_once = InboxAlert { listed: true, ..alert.clone() };
    let gone = World::started().one(&[listed_once], Ok(&listing(20, &[])));
    assert_eq!((gone.state, gone.no_evidence), (AlertState::Clear, None));
    assert_eq!(state(Err(&unreadable())), AlertState::Unconfirmed);
    let young = AlertListing { up_for: Duration::from_secs(179), ..listing(20, &[]) };
    assert_eq!(state(Ok(&young)), AlertState::Unconfirmed);
}

#[test]
fn resolved_is_clear_unless_a_later_list_says_that_it_fires_again() {
    let alert = delivered("X", 0, 10, &[]);
    let inbox = [resolved(&alert, 40)];
    let state =
        |listing: Result<&AlertListing, &ReadFailure>| World::started().one(&inbox, listing).state;
    assert_eq!(state(Ok(&listing(30, &[entry(&alert)]))), AlertState::Clear);
    assert_eq!(state(Ok(&listing(50, &[]))), AlertState::Clear);
    assert_eq!(state(Err(&unreadable())), AlertState::Clear);
    assert_eq!(state(Ok(&listing(50, &[entry(&alert)]))), AlertState::Firing);
}

#[test]
fn of_one_fingerprint_one_alert_fires() {
    let older = delivered("X", 0, 10, &[]);
    let newer = delivered("X", 100, 110, &[]);
    let listed = listing(120, &[entry(&newer)]);

    let both = World::started().cycle(&[older.clone(), newer.clone()], Ok(&listed));
    let states: Vec<AlertState> = both.iter().map(|alert| alert.state).collect();
    assert_eq!(states, [AlertState::Clear, AlertState::Firing]);

    let missed_delivery = World::started().cycle(std::slice::from_ref(&older), Ok(&listed));
    let keyed: Vec<(String, AlertState)> =
        missed_delivery.into_iter().map(|alert| (alert.key, alert.state)).collect();
    assert_eq!(keyed, [(older.key(), AlertState::Clear), (newer.key(), AlertState::Firing)]);

    // Two Prometheus servers: Alertmanager moves the beginning back to the earlier one's.
    let merged =
        World::started().one(std::slice::from_ref(&newer), Ok(&listing(120, &[entry(&older)])));
    assert_eq!((merged.key, merged.state), (newer.key(), AlertState::Firing));
}

/// A64: what was there at the start is no onset, whether the store or the first list knew it.
#[test]
fn alerts_known_at_the_start_are_no_onsets() {
    let alert = delivered("X", 0, 10, &[]);
    let inbox = std::slice::from_ref(&alert);
    let listed = listing(20, &[entry(&alert)]);
    assert!(!World::new().one(inbox, Ok(&listed)).onset, "in the first list");
    assert!(!World::new().one(&[], Ok(&listed)).onset, "only in the first list");

    let mut restarted = World::started();
    restarted.known.remember([alert.key()], at(0));
    assert!(!restarted.one(inbox, Ok(&listed)).onset, "in the store");
}

#[test]
fn a_first_delivery_is_an_onset_once() {
    let alert = delivered("X", 0, 10, &[]);
    let inbox = std::slice::from_ref(&alert);
    let mut world = World::started();
    assert!(world.one(inbox, Ok(&listing(20, &[entry(&alert)]))).onset);
    assert!(!world.one(inbox, Ok(&listing(50, &[entry(&alert)]))).onset);
    let processed = InboxAlert { processed: true, ..alert.clone() };
    assert!(!World::started().one(&[processed], Ok(&listing(20, &[entry(&alert)]))).onset);
}

#[test]
fn an_alert_only_listed_is_an_onset_when_the_list_before_was_read_lately() {
    let alert = entry(&delivered("X", 0, 0, &[]));
    let listed = |asked| listing(asked, std::slice::from_ref(&alert));
    let mut world = World::started();
    let first = world.one(&[], Ok(&listed(90)));
    assert!(first.onset);
    let again = world.one(&[], Ok(&listed(120)));
    assert_eq!((again.onset, again.received_at), (false, first.received_at));
    assert!(!World::started().one(&[], Ok(&listed(91))).onset, "after a gap nothing is witnessed");
}

#[test]
fn an_open_alert_is_told_of_until_its_absence_is_proven() {
    let alert = entry(&delivered("X", 0, 0, &[]));
    let mut world = World::started();
    assert_eq!(world.one(&[], Ok(&listing(30, &[alert]))).state, AlertState::Firing);
    assert_eq!(world.one(&[], Err(&unreadable())).state, AlertState::Unconfirmed);
    let young = AlertListing { up_for: Duration::ZERO, ..listing(60, &[]) };
    assert_eq!(world.one(&[], Ok(&young)).state, AlertState::Unconfirmed);
    assert_eq!(world.one(&[], Ok(&listing(90, &[]))).state, AlertState::Clear);
    assert!(world.cycle(&[], Ok(&listing(120, &[]))).is_empty());

    let delivered = delivered("Y", 100, 110, &[]);
    assert_eq!(world.one(&[delivered], Err(&unreadable())).state, AlertState::Unconfirmed);
    assert_eq!(
        world.one(&[], Ok(&listing(150, &[]))).state,
        AlertState::Clear,
        "gone from the inbox"
    );
}

#[test]
fn without_alertmanager_there_are_no_alerts() {
    let world = World::new();
    let seen = view(ViewInput {
        inbox: &[delivered("X", 0, 0, &[])],
        listing: None,
        known: &world.known,
        learnt_receivers: &world.learnt,
        routing: world.routing(),
    });
    assert!(seen.view.alerts.is_empty() && seen.view.failure.is_none());
}
