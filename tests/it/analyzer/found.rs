//! R03, R07: findings of the cluster among the violations, by what could be read.

use std::sync::Arc;

use chrono::TimeDelta;
use mape_k::analyzer::cluster::confined;
use mape_k::analyzer::{Changes, Found, Settings, Tracker, analyze};
use mape_k::domain::alert::AlertView;
use mape_k::domain::analysis::{PatternKind, RootCause};
use mape_k::domain::cluster::{
    Claim, ClusterReading, Condition, Kind, Owner, Pod, RestartPolicy, UnreadObject,
};
use mape_k::domain::cycle::Trigger;
use mape_k::domain::finding::{Finding, FindingKind, FindingSeverity};
use mape_k::domain::reading::{FailureKind, Point, ReadFailure, RuleReading, Snapshot};
use mape_k::domain::rule::Rule;
use mape_k::domain::target::{Systems, TargetLabels};
use mape_k::domain::time::Time;
use mape_k::domain::violation::Violation;
use mape_k::domain::{Cause, Labels};
use uuid::Uuid;

/// A cluster with one claim and what is found on it; nothing else is configured.
struct World {
    tracker: Tracker,
    now: Time,
    /// `None`: Kubernetes is off.
    reading: Option<ClusterReading>,
    found: Vec<Finding>,
    readings: Vec<RuleReading>,
    treated: bool,
    ids: u128,
}

fn finding(kind: FindingKind, since: Time) -> Finding {
    Finding {
        kind,
        severity: FindingSeverity::High,
        priority: None,
        service: "shop".to_owned(),
        namespace: Some("shop".to_owned()),
        owner: "PersistentVolumeClaim/data".to_owned(),
        pods: Vec::new(),
        ready: None,
        desired: None,
        restarts: 0,
        within_rollout: false,
        data_at_risk: None,
        reason: "The claim data is not bound.".to_owned(),
        exit_code: None,
        log_lines: Vec::new(),
        since,
        recommendation: String::new(),
        record: None,
        fingerprint: None,
        headline: String::new(),
        anchor: None,
    }
}

impl World {
    fn new() -> Self {
        let now = Time::from_timestamp(1_700_000_000, 0).expect("a valid time");
        let claim = Claim {
            namespace: "shop".to_owned(),
            name: "data".to_owned(),
            labels: Labels::new(),
            phase: "Pending".to_owned(),
            storage_class: String::new(),
            created_at: None,
        };
        let mut reading = ClusterReading {
            read_at: Some(now),
            expected: Kind::ALL.into_iter().collect(),
            ..ClusterReading::default()
        };
        reading.cluster.claims.push(Arc::new(claim));
        Self {
            tracker: Tracker::new(Settings::default(), now, Vec::new()),
            now,
            reading: Some(reading),
            found: vec![finding(FindingKind::ClaimPending, now)],
            readings: Vec::new(),
            treated: true,
            ids: 0,
        }
    }

    fn reading(&mut self) -> &mut ClusterReading {
        self.reading.as_mut().expect("it is on")
    }

    fn observe(&mut self) -> Changes {
        self.now += TimeDelta::seconds(30);
        let snapshot = Snapshot {
            at: self.now,
            readings: self.readings.clone(),
            alerts: AlertView::default(),
            sources: Vec::new(),
            history: Vec::new(),
        };
        let violations = self.found.iter().map(|finding| {
            finding.as_violation(self.treated.then(|| Cause::new(finding.kind.as_str())))
        });
        let found = Found { violations: violations.collect(), reading: self.reading.as_ref() };
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        self.tracker.observe(&snapshot, &found, Trigger::Scheduled, &mut new_id)
    }

    fn cycle(&mut self) -> (Changes, Vec<RootCause>) {
        let changes = self.observe();
        let analysis = analyze(&self.tracker, Uuid::nil(), "cycle", self.now);
        assert!(analysis.patterns.iter().all(|p| p.kind == PatternKind::Sustained), "{analysis:?}");
        assert_eq!(analysis.violations, 0, "findings are counted by themselves");
        (changes, analysis.root_causes)
    }

    fn active(&self) -> Vec<&Violation> {
        self.tracker.active().collect()
    }

    fn restart(&mut self) {
        let unsaved = self.tracker.unsaved();
        let stored = unsaved.into_iter().filter_map(|(_, record)| record.cloned()).collect();
        self.tracker = Tracker::new(Settings::default(), self.now, stored);
    }
}

#[test]
fn a_finding_is_evidence_only_where_it_names_a_cause() {
    for treated in [false, true] {
        let mut world = World::new();
        world.treated = treated;
        let roots: Vec<usize> = (0..4).map(|_| world.cycle().1.len()).collect();
        let expected = if treated { [0, 0, 1, 1] } else { [0; 4] };
        assert_eq!(roots, expected, "treated: {treated}");
        let [violation] = &world.active()[..] else { panic!("{:?}", world.active()) };
        assert_eq!(violation.counts(), treated);
        let target = violation.target.as_ref().map(ToString::to_string);
        assert_eq!(target.as_deref(), Some("kubernetes/shop/persistentvolumeclaim/data"));
        assert!(world.tracker.fleets(world.now, std::time::Duration::from_hours(1)).is_empty());
    }
}

#[test]
fn what_could_not_be_read_neither_opens_nor_clears_and_what_could_clears() {
    type Blind<'a> = (&'a str, Box<dyn Fn(&mut ClusterReading) + 'a>, bool);
    let failure = ReadFailure { kind: FailureKind::Server, text: "403".to_owned() };
    let unread = |namespace: &str| UnreadObject {
        kind: Kind::Claims,
        namespace: namespace.to_owned(),
        name: "other".to_owned(),
        cause: "spec: invalid".to_owned(),
    };
    let blind: [Blind<'_>; 6] = [
        ("claims", Box::new(|r| _ = r.failures.insert(Kind::Claims, failure.clone())), true),
        ("their pods", Box::new(|r| _ = r.failures.insert(Kind::Pods, failure.clone())), true),
        ("a claim there", Box::new(|r| r.unread.push(unread("shop"))), true),
        ("a claim of anywhere", Box::new(|r| r.unread.push(unread(""))), true),
        ("a claim elsewhere", Box::new(|r| r.unread.push(unread("bank"))), false),
        ("nodes", Box::new(|r| _ = r.failures.insert(Kind::Nodes, failure.clone())), false),
    ];
    for (what, hide, is_hidden) in blind {
        let mut world = World::new();
        world.cycle();
        hide(world.reading());
        world.found.clear();
        let (changes, _) = world.cycle();
        assert_eq!(changes.cleared.is_empty(), is_hidden, "{what}");
        assert_eq!(changes.vanished, Vec::<String>::new(), "{what}");
        assert!(world.active().iter().all(|v| !v.confirmed), "{what}");
        assert_eq!(world.active().len(), usize::from(is_hidden), "{what}");
        // Seen again, and well.
        world.reading().failures.clear();
        world.reading().unread.clear();
        let (changes, _) = world.cycle();
        assert_eq!(changes.cleared.len(), usize::from(is_hidden), "{what}");
        assert!(world.active().is_empty(), "{what}");
    }
}

#[test]
fn what_is_gone_or_looked_for_no_more_has_vanished_and_is_no_success() {
    type Gone<'a> = (&'a str, Box<dyn Fn(&mut World)>);
    let gone: [Gone<'_>; 3] = [
        ("its owner is deleted", Box::new(|w| w.reading().cluster.claims.clear())),
        ("its kind is not asked for", Box::new(|w| _ = w.reading().expected.remove(&Kind::Claims))),
        ("Kubernetes is off", Box::new(|w| w.reading = None)),
    ];
    for (what, happens) in gone {
        let mut world = World::new();
        world.cycle();
        let fp = world.active()[0].fingerprint.clone();
        world.found.clear();
        happens(&mut world);
        let (changes, _) = world.cycle();
        assert_eq!(changes.vanished, [fp], "{what}");
        assert!(changes.cleared.is_empty() && world.active().is_empty(), "{what}");
    }
}

#[test]
fn a_finding_that_no_longer_counts_has_not_recovered() {
    let mut world = World::new();
    world.cycle();
    let fp = world.active()[0].fingerprint.clone();
    world.found[0].severity = FindingSeverity::Critical;
    assert_eq!(world.cycle().0.vanished, Vec::<String>::new());
    // A rollout is under way, or no action of the configuration treats it any more.
    world.found[0].severity = FindingSeverity::Info;
    assert_eq!(world.cycle().0.vanished, std::slice::from_ref(&fp));
    assert_eq!(world.cycle().0.vanished, Vec::<String>::new(), "said once");
    world.found[0].severity = FindingSeverity::High;
    world.cycle();
    world.treated = false;
    assert_eq!(world.cycle().0.vanished, [fp]);
    assert_eq!(world.active().len(), 1);
}

#[test]
fn a_finding_outlives_a_restart_with_its_target_and_never_flaps() {
    let mut world = World::new();
    world.cycle();
    let before = world.active()[0].clone();
    world.restart();
    world
        .reading()
        .failures
        .insert(Kind::Claims, ReadFailure { kind: FailureKind::Server, text: "403".to_owned() });
    world.found.clear();
    world.cycle();
    let after = world.active()[0].clone();
    assert_eq!((after.id, &after.target, after.confirmed), (before.id, &before.target, false));
    world.reading().failures.clear();
    for _ in 0..8 {
        world.found = vec![finding(FindingKind::ClaimPending, world.now)];
        world.cycle();
        assert!(!world.active()[0].flapping);
        world.found.clear();
        world.cycle();
        assert!(world.active().is_empty(), "clear at once");
    }
}

fn pod(name: &str) -> Pod {
    Pod {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        uid: name.to_owned(),
        labels: Labels::new(),
        owner: Some(Owner { kind: "Deployment".to_owned(), name: "cart".to_owned() }),
        restart_policy: RestartPolicy::Always,
        is_hook: false,
        is_critical: false,
        node: None,
        phase: "Running".to_owned(),
        reason: String::new(),
        message: String::new(),
        created_at: None,
        delete_by: None,
        conditions: Vec::new(),
        init_containers: Vec::new(),
        containers: Vec::new(),
        claims: Vec::new(),
        gates: Vec::new(),
    }
}

/// What a rule says of a pod is put down to its workload, for an hour after the pod is gone; a pod that nobody knows stays
/// itself, and `exported_pod` is the pod that the series is about.
#[test]
fn a_rule_on_a_pod_is_about_its_workload() {
    let mut world = World::new();
    world.found.clear();
    let label = |name: &str| name.to_owned();
    let rule = Rule {
        target: Some(TargetLabels {
            kind: "Pod".to_owned(),
            namespace_label: Some(label("namespace")),
            name_label: label("pod"),
        }),
        ..super::world::rule("slow")
    };
    let now = world.now;
    let point = |pods: &[(&str, &str)]| Point {
        labels: pods
            .iter()
            .chain(&[("namespace", "shop")])
            .map(|(name, value)| (label(name), label(value)))
            .collect(),
        value: 2.0,
        sampled_at: now + TimeDelta::seconds(30),
    };
    let points = vec![
        point(&[("pod", "cart-1")]),
        point(&[("pod", "kube-state-metrics-0"), ("exported_pod", "cart-2")]),
        point(&[("pod", "cart-unknown")]),
    ];
    world.readings = vec![RuleReading {
        rule: Arc::new(rule),
        points: Ok(points),
        empty_is_clear: false,
        label_change: None,
    }];
    for name in ["cart-1", "cart-2"] {
        world.reading().cluster.pods.push(Arc::new(pod(name)));
    }
    world.observe();
    let targets = |world: &World| -> Vec<String> {
        let mut all: Vec<String> =
            world.active().iter().map(|v| v.target.as_ref().expect("one").to_string()).collect();
        all.sort();
        all
    };
    let workload = "kubernetes/shop/deployment/cart";
    let expected = [workload, workload, "kubernetes/shop/pod/cart-unknown"];
    assert_eq!(targets(&world), expected);
    world.reading().cluster.pods.clear();
    for value in [0.5, 2.0] {
        let points = world.readings[0].points.as_mut().expect("read");
        for point in points {
            point.value = value;
            point.sampled_at = world.now + TimeDelta::seconds(30);
        }
        world.observe();
    }
    assert_eq!(targets(&world), expected, "the pods are gone, and remembered");
    let foreign = Systems::default();
    let named = Labels::from([(label("cluster"), label("elsewhere"))]);
    let rule = world.readings[0].rule.target.clone();
    assert_eq!(foreign.target(None, &named, rule.as_ref()), None, "another cluster's is nobody's");
}

/// R05: what decides whether a node's incident may absorb a workload's.
#[test]
fn r05_a_workload_suffers_on_one_node_alone_when_all_its_unready_pods_are_there() {
    let on = |name: &str, node: Option<&str>| Pod { node: node.map(str::to_owned), ..pod(name) };
    let is_ready = |pod: Pod| {
        let ready = Condition {
            name: "Ready".to_owned(),
            status: Some(true),
            reason: String::new(),
            message: String::new(),
            since: None,
        };
        Pod { conditions: vec![ready], ..pod }
    };
    for (what, other, is_confined) in [
        ("there too", on("cart-2", Some("n1")), true),
        ("well elsewhere", is_ready(on("cart-2", Some("n2"))), true),
        ("unready elsewhere", on("cart-2", Some("n2")), false),
        ("on no node yet", on("cart-2", None), false),
    ] {
        let mut world = World::new();
        world.reading().cluster.pods = vec![Arc::new(on("cart-1", Some("n1"))), Arc::new(other)];
        let found: Vec<String> = confined(world.reading())
            .into_iter()
            .map(|(workload, node)| format!("{workload} on {node}"))
            .collect();
        let expected = ["kubernetes/shop/deployment/cart on kubernetes/node/n1".to_owned()];
        assert_eq!(found, if is_confined { &expected[..] } else { &[] }, "{what}");
    }
}
