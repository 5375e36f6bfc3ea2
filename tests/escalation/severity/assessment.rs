//! The assessment by rules, and the conservative decision in its place.

use mape_k::domain::catalogue::Tier;
use mape_k::domain::decision::{Channel, Sev};
use mape_k::domain::finding::FindingKind;
use mape_k::incidents::rules::{assess, fallback};

use super::world::{World, finding, minutes, night, noon, replicas, service, with};

#[test]
fn b04_the_fallback_names_every_service_and_unknown_when_there_is_none() {
    let decision =
        fallback(&[replicas("search", 1, 2, noon()), replicas("payments", 0, 2, noon())]);
    assert_eq!((decision.severity, decision.confidence), (Sev::Sev2, 50));
    assert!(decision.should_notify && decision.is_fallback);
    assert_eq!(decision.affected_services, ["payments", "search"]);
    assert_eq!(decision.root_cause, "Unable to assess escalation, conservative default");
    assert_eq!(decision.impact, "Potential incident detected");
    assert_eq!(decision.actions, ["Manual review required"]);
    assert_eq!(decision.channel, Channel::Infrastructure);
    assert_eq!(fallback(&[]).affected_services, ["unknown"]);
}

#[test]
fn b04_the_same_services_are_told_without_assessment_once_in_half_an_hour_also_over_a_restart() {
    let mut world = World::new(night());
    let findings = [replicas("payments", 0, 2, night()), replicas("toys", 0, 2, night())];
    let mut told = Vec::new();
    for cycle in 0..70 {
        world.observe(&findings);
        let case = world.board.case(&world.catalogue, false, world.now).expect("it stays due");
        let decision = world.board.decide_blindly(&findings, Some(&case), world.now);
        assert!(decision.is_fallback);
        let messages = world.tell(Some(&decision));
        if decision.should_notify {
            let entries: Vec<&str> =
                messages[0].entries.iter().map(|entry| entry.service.as_str()).collect();
            assert!(entries.contains(&"payments"), "{entries:?}");
            assert_eq!(messages[0].title, "SEV-2: not assessed: payments, toys");
            told.push(cycle);
        } else {
            assert!(messages.is_empty());
        }
        world.pass(std::time::Duration::from_secs(30));
        world.restart();
    }
    assert_eq!(told, [0, 60]);
    // Another set of services is another thing to hear of.
    let decision = world.board.decide_blindly(&findings[..1], None, world.now);
    assert!(decision.should_notify);
    // Assessed at last, it is what it is.
    let told = world.cycle(&findings);
    assert_eq!(told.alert().severity, Sev::Sev1);
}

#[test]
fn b20_the_assessment_tells_cause_impact_and_actions() {
    let mut world = World::new(noon());
    let mut payments = service("payments", Tier::P0);
    payments.depends_on = vec!["search".to_owned()];
    payments.runbook_url = Some("https://runbooks/payments".to_owned());
    world.catalogue = with(payments);
    let told = world.cycle(&[replicas("payments", 1, 2, noon()), replicas("search", 0, 2, noon())]);
    let decision = told.decision.as_ref().expect("a decision");
    assert_eq!(
        decision.root_cause,
        "search, which payments needs: Deployment/search: 0 of 2 replicas are ready"
    );
    assert_eq!(decision.impact, "payments (P0, degraded), search (P1, down)");
    assert_eq!(decision.actions, ["look at payments", "look at search"]);
    assert_eq!(decision.confidence, 90);
    let entries = &told.alert().entries;
    assert_eq!(entries[0].runbook_url.as_deref(), Some("https://runbooks/payments"));
    assert_eq!(entries[1].runbook_url.as_deref(), Some("docs/FINDINGS.md#replicas_missing"));
}

#[test]
fn b20_what_is_not_known_lowers_the_confidence() {
    let mut world = World::new(noon());
    world.observe(&[finding("stray", FindingKind::CrashLoop, noon())]);
    let whole = world.board.case(&world.catalogue, false, noon()).expect("a case");
    let partial = world.board.case(&world.catalogue, true, noon()).expect("a case");
    assert_eq!(assess(&whole).confidence, 70, "in no catalogue, replicas not counted");
    assert_eq!(assess(&partial).confidence, 40);
}

#[test]
fn b20_a_decision_is_never_milder_than_the_table() {
    let mut world = World::new(night());
    world.observe(&[replicas("payments", 0, 2, night() - minutes(1))]);
    let case = world.board.case(&world.catalogue, false, night()).expect("a case");
    let mut assessment = assess(&case);
    (assessment.severity, assessment.confidence) = (Sev::Sev4, 250);
    let decision = world.board.decide(&case, &assessment);
    assert_eq!((decision.severity, decision.confidence), (Sev::Sev1, 100));
    assert!(decision.should_notify);
}
