//! R04: what became of messages reaches their incidents, at a stop too, and only those of the process that leads.

use std::sync::Arc;
use std::time::Duration;

use mape_k::clock::Clock;
use mape_k::daemon::{self, Daemon, assemble_in};
use mape_k::domain::cycle::CycleReport;
use mape_k::domain::decision::Sev;
use mape_k::domain::incident::Incident;
use mape_k::domain::message::{Notified, NotifierName};
use mape_k::domain::outbox::Outgoing;
use mape_k::knowledge::lease::Term;
use mape_k::knowledge::memory::MemoryStore;
use mape_k::knowledge::{Knowledge, Settings};
use tokio::time::Instant;

use super::town::Town;
use crate::cluster::WITHIN;
use crate::notify::fake_slack::Reply;
use crate::notify::messages::alert;
use crate::support::eventually::eventually;

/// Safety review 2: Slack confirms while the daemon stops, and the next process knows.
#[tokio::test]
async fn r04_what_is_confirmed_while_the_daemon_stops_is_taken_in_before_it_ends() {
    let town = Town::new().await;
    town.slack.always(Reply::Late(Duration::from_secs(2)));
    town.deployment("payments", 0, 2, 3);
    let config = town.loops.config.clone();
    let again = config.clone();
    let reads = move || Ok((again.clone(), Vec::new()));
    let daemon = Daemon::start_from(config.clone(), Clock::start(), Arc::new(reads)).await;
    let daemon = daemon.expect("it starts");
    eventually(WITHIN, "Slack is asked", async || {
        if town.slack.count() > 0 { Ok(()) } else { Err("not yet") }
    })
    .await;
    daemon.stopper().cancel();
    daemon.wait().await.expect("it stops in order");
    let knowledge = Knowledge::open(&config.knowledge).await.expect("the store");
    let incidents: Vec<Incident> = knowledge.all(None).await.expect("readable");
    let told = incidents.iter().find(|one| one.service == "payments").expect("an incident");
    let slack = told.notified.get(&NotifierName::Slack);
    assert!(matches!(slack, Some(Notified::Delivered { .. })), "{slack:?}");
    assert!(told.thread.is_some(), "it goes on in its thread");
    let reports: Vec<CycleReport> = knowledge.all(None).await.expect("readable");
    let results: Vec<_> = reports.iter().filter_map(|r| r.notification_result.as_ref()).collect();
    assert!(results.iter().any(|result| result.success && !result.pending), "{results:?}");
    assert!(knowledge.outbox().await.expect("readable").0.is_empty(), "nothing is left of it");
    knowledge.close().await;
}

/// Safety review 1: a pipeline that has not taken up the incidents takes in no answers about them.
#[tokio::test]
async fn r04_answers_are_taken_in_only_by_what_has_taken_up_under_the_present_term() {
    let town = Town::new().await;
    let store = Arc::new(MemoryStore::shared());
    let knowledge = Knowledge::with_store(store, &Settings::default(), "the test's");
    let config = Arc::new(town.loops.config.clone());
    let world = daemon::World::default();
    let parts = assemble_in(world, knowledge, &config, Clock::start()).await;
    let mut parts = parts.expect("the daemon is put together");
    let outbox = parts.background.outbox().clone();
    let entry = Outgoing::new("1".to_owned(), NotifierName::Slack, alert(Sev::Sev1, "payments"));
    outbox.put_unstored(vec![entry]);
    parts.background.work_off(parts.handle.now()).await;
    assert_eq!(town.posted().len(), 1);
    assert!(parts.cycle.take_in().await.is_none());
    assert_eq!(outbox.answered().len(), 1, "it is not lost on incidents that are not there");
    // The twin leads.
    let term = Term::until(1, Instant::now() + Duration::from_secs(3_600));
    parts.cycle.lead(term.clone()).await.expect("taken up");
    assert!(parts.cycle.take_in().await.is_some());
    assert!(outbox.answered().is_empty());
    // And not any more once its term is over.
    let entry = Outgoing::new("2".to_owned(), NotifierName::Slack, alert(Sev::Sev1, "search"));
    outbox.put_unstored(vec![entry]);
    parts.background.work_off(parts.handle.now()).await;
    term.end();
    assert!(parts.cycle.take_in().await.is_none());
    assert_eq!(outbox.answered().len(), 1);
}
