//! What an incident is called and how bad it is without a catalogue; and many of them at once.

use std::time::{Duration, Instant};

use mape_k::domain::catalogue::{Catalogue, Tier};
use mape_k::domain::decision::Sev;
use mape_k::domain::finding::{Finding, FindingKind};
use mape_k::domain::incident::Absence;
use mape_k::domain::need::{Need, NeedReason as Reason};
use mape_k::domain::reading::Source;
use mape_k::domain::rule::{Comparison, Severity};
use mape_k::domain::target::Systems;
use mape_k::domain::violation::Violation;
use mape_k::domain::{Cause, Labels};
use mape_k::incidents::evidence::{self, Anchors};
use uuid::Uuid;

use super::one::{anchor, need, open};
use super::world::{World, finding, night, noon, replicas};

/// The first user: a cluster, a Slack token, no catalogue.
#[test]
fn r05_without_a_catalogue_what_is_down_for_ten_minutes_is_sev_3_and_all_else_is_kept() {
    let mut world = World::new(noon());
    world.catalogue = Catalogue::default();
    let findings = [
        replicas("cart", 0, 3, noon()),
        replicas("shop", 1, 3, noon()),
        finding("api", FindingKind::CrashLoop, noon()),
    ];
    assert!(world.cycles(19, &findings).is_empty(), "not yet");
    let told = world.cycles(2, &findings);
    let [message] = &told[..] else { panic!("{told:#?}") };
    assert_eq!(message.title, "SEV-3: cart: 0 of 3 pods ready; no configured action treats it");
    assert!(world.cycles(40, &findings[1..]).iter().all(|m| m.entries[0].service == "cart"));
    assert_eq!((world.severity_of("shop"), world.severity_of("api")), (Sev::Sev4, Sev::Sev4));
    // A need of one of them is at least SEV-2.
    let asked = Finding {
        anchor: Some(anchor("kubernetes/shop/deployment/api")),
        ..need(Reason::ApprovalNeeded, 9, "evict_pod waits for approval: mape-k approve 9", noon())
    };
    let told = world.cycle(&[findings[2].clone(), asked]);
    assert_eq!(told.alert().severity, Sev::Sev2);
}

/// A storm is one message, and the work grows with what is found.
#[test]
fn r05_a_storm_of_500_is_one_message_and_5000_are_bounded_work() {
    for count in [500_usize, 5_000] {
        let mut world = World::new(night());
        world.catalogue.default_tier = Some(Tier::P0);
        let findings: Vec<Finding> =
            (0..count).map(|n| replicas(&format!("service-{n}"), 0, 2, night())).collect();
        let told = world.cycle(&findings);
        assert_eq!(told.alert().entries.len(), count);
        world.pass(Duration::from_secs(30));
        let began = Instant::now();
        world.observe(&findings);
        let took = began.elapsed();
        println!("observe of {count} findings in as many incidents: {took:?}");
        assert!(took < Duration::from_mins(2), "the work is bounded");
        let began = Instant::now();
        world.absence = Box::new(|_| Absence::Unread);
        world.observe(&[]);
        println!("observe of {count} incidents that cannot be read: {:?}", began.elapsed());
        assert_eq!(open(&world).len(), count);
    }
}

fn violation(component: Option<&str>, source: Source, labels: &[(&str, &str)]) -> Violation {
    let labels: Labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let is_rule = source == Source::Prometheus;
    let name = if is_rule { "validation_latency" } else { "DiskFull" };
    Violation {
        id: Uuid::from_u128(1),
        fingerprint: format!("{name}-1"),
        severity: Severity::Critical,
        source,
        rule: name.to_owned(),
        metric: "charter_validation_latency_seconds".to_owned(),
        value: is_rule.then_some(3.5),
        threshold: is_rule.then_some(1.0),
        comparison: is_rule.then_some(Comparison::Gt),
        component: component.map(str::to_owned),
        target: Systems::default().target(component, &labels, None),
        labels,
        description: "the disk is full".to_owned(),
        cause: is_rule.then(|| Cause::new("validation_latency")),
        detected_at: night(),
        active_since: night(),
        cleared_at: None,
        flapping: false,
        actionable: is_rule,
        confirmed: true,
        no_evidence: None,
    }
}

/// Issue 16: `DiskFull` on db1 became "charter not healed".
#[test]
fn i16_a_title_names_what_the_evidence_is_about() {
    let on = |labels: &[(&str, &str)]| violation(None, Source::Alertmanager, labels);
    let cases = [
        (
            violation(Some("charter"), Source::Prometheus, &[]),
            "Charter: validation latency 3.5 s > 1 s",
        ),
        (
            violation(Some("enforcer"), Source::Prometheus, &[]),
            "enforcer: validation latency 3.5 s > 1 s",
        ),
        (violation(Some("checkout"), Source::Alertmanager, &[]), "checkout: DiskFull"),
        (on(&[("instance", "db1:9100")]), "db1: DiskFull"),
        (on(&[]), "DiskFull"),
    ];
    for (violation, title) in cases {
        let asked = Need {
            approval: None,
            id: Uuid::from_u128(2),
            reason: Reason::UnknownAlert,
            cause: None,
            component: violation.component.clone(),
            subject: violation.rule.clone(),
            detail: "critical alert without a known cause".to_owned(),
            evidence: vec![violation.fingerprint.clone()],
            opened_at: night(),
            closed_at: None,
            times_seen: 1,
            last_active_at: night(),
            target: None,
            incident: None,
        };
        let needs = [asked];
        let systems = Systems::default();
        let anchors = Anchors::of(&[], &[], [&violation].into_iter(), &systems);
        let mut findings = evidence::violations([&violation].into_iter(), &needs, &anchors);
        findings.extend(evidence::findings(&needs, None, &anchors));
        let mut world = World::new(night());
        let told = world.cycle(&findings);
        let expected = format!("SEV-2: {title}; its cause is not known, so nothing is planned");
        assert_eq!(told.alert().title, expected);
        assert_eq!(open(&world).len(), 1, "the alert and what is asked are one: {title}");
    }
}
