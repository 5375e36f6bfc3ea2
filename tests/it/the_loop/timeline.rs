//! R05: the timeline of an incident tells the whole story, and an answered approval resolves nothing.

use mape_k::domain::incident::{Happening, Incident};
use reqwest::StatusCode;
use serde_json::json;

use super::world::World;

async fn incidents(world: &World) -> Vec<Incident> {
    world.knowledge().page::<Incident>(None, None, 20).await.expect("the store answers").items
}

/// Do these come in this order, whatever stands between them?
fn tells(incident: &Incident, story: &[Happening]) -> bool {
    let mut lines = incident.timeline.iter();
    story.iter().all(|what| lines.any(|line| line.what == *what))
}

fn line(incident: &Incident, what: Happening) -> &str {
    let found = incident.timeline.iter().find(|line| line.what == what);
    &found.unwrap_or_else(|| panic!("no {what:?} in {:#?}", incident.timeline)).text
}

#[tokio::test]
async fn r05_an_incident_tells_its_story_from_the_proposal_to_the_result() {
    use Happening::{Answered, Applied, Approved, Held, Needed, Proposed, Result};
    let mut world = World::new().await;
    world.on_disk();
    world.ask_first();
    world.start().await;
    world.latency(1.5);
    world.until("it is pending", async || world.is_open("approval_needed").await).await;
    world.cycles(3).await;
    let waiting = incidents(&world).await;
    let [waiting] = waiting.as_slice() else { panic!("one incident: {waiting:#?}") };
    assert!(tells(waiting, &[Proposed, Held, Needed]), "{:#?}", waiting.timeline);
    let held = waiting.timeline.iter().filter(|line| line.what == Held).count();
    assert_eq!(held, 1, "once for each guard: {:#?}", waiting.timeline);
    let why = line(waiting, Held);
    assert!(why.starts_with("scale_up: waits for approval: "), "{why}");
    assert!(!tells(waiting, &[Approved]) && !tells(waiting, &[Applied]));
    assert_eq!(waiting.causes[0].cause.0, "validation_latency");
    let earliest = waiting.findings.iter().map(|f| f.since).min().expect("evidence");
    assert!(waiting.causes[0].since <= earliest, "a cause never begins after its effect");

    let pending = &world.items("policies?approval=pending").await[0];
    let hash = pending["plan_hash"].as_str().expect("a hash");
    assert!(line(waiting, Proposed).contains(&hash[..8]), "{}", line(waiting, Proposed));
    let approve = format!("/api/v1/policies/{}/approve", pending["id"].as_str().expect("an id"));
    let decision = json!({"revision": pending["revision"], "by": "sre"});
    assert_eq!(world.post(&approve, &decision).await, StatusCode::OK);
    world.until("executed", async || !world.changes().is_empty()).await;
    world.cycles(1).await;
    let acting = incidents(&world).await;
    let [acting] = acting.as_slice() else { panic!("the same incident: {acting:#?}") };
    assert_eq!((&acting.id, acting.ended_at), (&waiting.id, None), "an answer resolves nothing");
    assert!(tells(acting, &[Approved, Applied, Answered]), "{:#?}", acting.timeline);
    assert!(line(acting, Approved).contains("approved by sre, applying"));
    assert_eq!(line(acting, Applied).split(": ").next(), Some("scale_up to 5 replicas"));
    assert!(acting.heard_at() > waiting.heard_at(), "people are notified of it at once");
    let approval = line(acting, Answered);
    assert!(approval.starts_with("approval_needed ("), "{approval}");
    let asked = acting.timeline.iter().filter(|line| line.what == Needed).count();
    assert_eq!(asked, 1, "one line for one need: {:#?}", acting.timeline);

    world.latency(0.2);
    let resolved = async || {
        let all = incidents(&world).await;
        all.iter().any(|one| one.id == acting.id && one.ended_at.is_some() && tells(one, &[Result]))
    };
    world.until("it is resolved with its result", resolved).await;
    let over = incidents(&world).await;
    let over = over.iter().find(|one| one.id == acting.id).expect("it is kept");
    let story = [Proposed, Held, Approved, Applied, Result];
    assert!(tells(over, &story), "{:#?}", over.timeline);
    assert!(line(over, Result).starts_with("scale_up: success: "), "{}", line(over, Result));
    world.stop().await;
}

/// A rejection is told with who it was, and the treatment is linked to its incident.
#[tokio::test]
async fn r05_a_rejection_is_in_the_timeline_and_nothing_is_applied() {
    use mape_k::domain::treatment::Treatment;
    let mut world = World::new().await;
    world.ask_first();
    world.start().await;
    world.latency(1.5);
    world.until("it is pending", async || world.is_open("approval_needed").await).await;
    let pending = &world.items("policies?approval=pending").await[0];
    let reject = format!("/api/v1/policies/{}/reject", pending["id"].as_str().expect("an id"));
    let decision = json!({"revision": pending["revision"], "by": "sre"});
    assert_eq!(world.post(&reject, &decision).await, StatusCode::OK);
    world.cycles(3).await;
    let incidents = incidents(&world).await;
    let [incident] = incidents.as_slice() else { panic!("one incident: {incidents:#?}") };
    assert_eq!(line(incident, Happening::Rejected), "scale_up to 5 replicas: rejected by sre");
    assert!(!tells(incident, &[Happening::Applied]), "{:#?}", incident.timeline);
    let treatments = world.knowledge().page::<Treatment>(None, None, 20).await.expect("a page");
    let [treatment] = treatments.items.as_slice() else { panic!("{treatments:#?}") };
    assert_eq!(treatment.incident.as_ref(), Some(&incident.id));
    assert_eq!(treatment.target.as_ref().map(ToString::to_string).as_deref(), Some("charter"));

    // What was tried in an incident counts for as long as it lasts: a treatment without evidence of its own is stored again
    // before it would be taken for ended. One that has ended stays so.
    let gap = world.config.plan.incident_gap;
    let aged = |id: u128, age: std::time::Duration| Treatment {
        id: uuid::Uuid::from_u128(id),
        cause: mape_k::domain::Cause::new("memory_leak"),
        last_evidence_at: world.now() - age,
        ..treatment.clone()
    };
    let (lasts, ended) = (aged(5, gap.mul_f64(0.6)), aged(6, gap * 2));
    let mut batch = world.knowledge().batch();
    batch.put(&lasts);
    batch.put(&ended);
    world.knowledge().commit(batch).await.expect("a commit");
    let stored_at = async |one: &Treatment| {
        let read = world.knowledge().get::<Treatment>(&one.id.to_string()).await;
        read.expect("the store answers").expect("it is kept").0.last_evidence_at
    };
    let is_refreshed = async || stored_at(&lasts).await > lasts.last_evidence_at;
    world.until("it is stored as of now", is_refreshed).await;
    world.cycles(2).await;
    assert_eq!(stored_at(&ended).await, ended.last_evidence_at);
    world.stop().await;
}
