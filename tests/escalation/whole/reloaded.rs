//! R09: what a reload does to the watches of the cluster.

use std::sync::{Arc, Mutex};

use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::daemon::Daemon;

use super::town::Town;
use crate::cluster::WITHIN;
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

#[tokio::test]
async fn r09_watches_stand_while_kubernetes_is_unchanged_and_are_made_anew_when_it_changes() {
    let town = Town::new().await;
    let source = Arc::new(Mutex::new(town.loops.config.clone()));
    let again = source.clone();
    let reads = move || Ok((again.lock().expect("whole").clone(), Vec::new()));
    let config = town.loops.config.clone();
    let daemon = Daemon::start_from(config, Clock::start(), Arc::new(reads)).await;
    let daemon = daemon.expect("it starts");
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
