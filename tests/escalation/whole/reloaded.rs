//! R09: what a reload does to the watches of the cluster, and to those who are notified.

use std::sync::{Arc, Mutex};

use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::daemon::Daemon;
use mape_k::domain::decision::Sev;

use super::town::Town;
use crate::cluster::WITHIN;
use crate::notify::fake_slack::Asked;
use crate::support::eventually::eventually;

const DEPLOYMENTS: &str = "deployments";

async fn applies(daemon: &Daemon, source: &Mutex<Config>, change: impl FnOnce(&mut Config)) {
    let url = format!("http://{}/health", daemon.api);
    let expected = {
        let mut config = source.lock().expect("no test panicked while holding it");
        change(&mut config);
        config.hash()
    };
    daemon.reloads().ask();
    eventually(WITHIN, "the reload is in effect", async || {
        let answer = reqwest::get(&url).await.map_err(|error| error.to_string())?;
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let health: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let applies = health["config_hash"] == expected.as_str();
        if applies { Ok(()) } else { Err(text) }
    })
    .await;
}

/// A daemon that reads `source` again when it reloads.
async fn daemon(town: &Town) -> (Daemon, Arc<Mutex<Config>>) {
    let source = Arc::new(Mutex::new(town.loops.config.clone()));
    let again = source.clone();
    let reads = move || Ok((again.lock().expect("whole").clone(), Vec::new()));
    let config = town.loops.config.clone();
    let daemon = Daemon::start_from(config, Clock::start(), Arc::new(reads)).await;
    (daemon.expect("it starts"), source)
}

/// The bad day: a SEV-1 is open and nobody can be notified. The Slack that a reload adds is notified of it at once, and
/// one that a reload has removed of nothing more.
#[tokio::test]
async fn r09_a_slack_that_a_reload_adds_is_notified_of_the_sev_1_that_is_open() {
    let mut town = Town::new().await;
    town.loops.config.slack.enabled = false;
    town.deployment("payments", 0, 2, 3);
    let (daemon, source) = daemon(&town).await;
    let is_open = || {
        let people = &daemon.handle.view().people;
        people.incidents.iter().any(|one| one.severity == Sev::Sev1 && one.is_open())
    };
    let cycles = async |more: u64| {
        let from = daemon.handle.view().iteration;
        eventually(WITHIN, "more cycles", async || {
            let now = daemon.handle.view().iteration;
            if now >= from + more { Ok(()) } else { Err(now) }
        })
        .await;
    };
    eventually(WITHIN, "a SEV-1 is open", async || if is_open() { Ok(()) } else { Err("no") })
        .await;
    cycles(3).await;
    assert!(town.posted().is_empty(), "nobody is configured");

    applies(&daemon, &source, |config| config.slack.enabled = true).await;
    let posted = eventually(WITHIN, "Slack is notified", async || {
        let posted: Vec<String> = town.posted().iter().map(Asked::shown).collect();
        if posted.is_empty() { Err("nothing yet") } else { Ok(posted) }
    })
    .await;
    let [first] = posted.as_slice() else { panic!("once: {posted:#?}") };
    assert!(first.contains("SEV-1") && first.contains("payments"), "{first}");
    cycles(3).await;
    assert!(town.posted().is_empty(), "once");

    applies(&daemon, &source, |config| config.slack.enabled = false).await;
    town.deployment("payments", 2, 2, 3);
    eventually(WITHIN, "it is resolved", async || if is_open() { Err("no") } else { Ok(()) }).await;
    cycles(3).await;
    assert!(town.posted().is_empty(), "the one that was removed is notified of nothing more");
    daemon.stopper().cancel();
    daemon.wait().await.expect("it stops in order");
}

#[tokio::test]
async fn r09_watches_stand_while_kubernetes_is_unchanged_and_are_made_anew_when_it_changes() {
    let town = Town::new().await;
    let (daemon, source) = daemon(&town).await;
    let reads_all = async |what: &str| {
        eventually(WITHIN, what, async || {
            let view = daemon.handle.view();
            let is_read = view.last_status.is_some() && view.people.cluster_problem.is_none();
            if is_read { Ok(()) } else { Err(format!("{:?}", view.people.cluster_problem)) }
        })
        .await;
    };
    reads_all("the cluster is read").await;
    let lists = town.api.count(false, DEPLOYMENTS);
    assert!(lists > 0);

    applies(&daemon, &source, |config| config.plan.guardrails.budget.per_hour = 5).await;
    reads_all("it is still read").await;
    assert_eq!(town.api.count(false, DEPLOYMENTS), lists, "nothing is listed again");

    applies(&daemon, &source, |config| config.kubernetes.namespaces = vec!["shop".to_owned()])
        .await;
    eventually(WITHIN, "the other namespace is listed", async || {
        let asked = town.api.asked();
        let of_shop =
            |path: &str| path.contains("/namespaces/shop/") && path.ends_with(DEPLOYMENTS);
        if asked.iter().any(|one| of_shop(&one.path)) { Ok(()) } else { Err("not yet") }
    })
    .await;
    reads_all("it is read").await;

    applies(&daemon, &source, |config| config.kubernetes.enabled = false).await;
    let off = town.api.asked().len();
    let cycles = daemon.handle.view().iteration;
    eventually(WITHIN, "three cycles without the cluster", async || {
        let now = daemon.handle.view().iteration;
        if now >= cycles + 3 { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    let late = town.api.asked().len() - off;
    assert!(late <= 1, "nobody watches any more, and {late} requests came");
    daemon.stopper().cancel();
    daemon.wait().await.expect("it stops in order");
}
