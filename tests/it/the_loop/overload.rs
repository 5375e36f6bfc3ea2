//! A65: one fault that breaks several rules at once gets the remedy that heals it, and nothing beside it.

use mape_k::charter_sandbox::{self, Options};
use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::daemon::Daemon;
use mape_k::domain::execution::Execution;
use mape_k::domain::outcome::{Outcome, PendingVerification};
use mape_k::knowledge::Database;
use mape_k::monitor::MetricsSource;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::world::{COMPONENTS, PATIENCE, World};
use crate::support::eventually::eventually;

/// A65: latency, failures and throughput break in the same cycle; the first changing call is `scale_up`, and nothing
/// else happens while it is judged.
#[tokio::test]
async fn a65_everything_breaks_at_once_and_the_first_call_is_scale_up() {
    let mut world = World::new().await;
    world.start().await;
    world.cycles(2).await;
    {
        // In one moment: no cycle sees a part of it.
        let mut prometheus = world.prometheus.state();
        let latency = "westworld_charter_validation_latency_seconds";
        prometheus.set(latency, &json!({"validation_type": "policy"}), 2.0);
        for component in COMPONENTS {
            let labels = json!({"component": component});
            prometheus.set("westworld_charter_failure_rate", &labels, 0.5);
            prometheus.set("westworld_charter_throughput_ops_per_sec", &labels, 40.0);
        }
    }
    world.until("scaled", async || !world.changes().is_empty()).await;
    world.cycles(3).await;
    let verifications =
        world.knowledge().all::<PendingVerification>(None).await.expect("the store");
    assert_eq!(verifications.len(), 1, "it is being judged");
    assert_eq!(world.changes(), ["scale 5"], "another call while it is judged");
    let reports = world.reports().await;
    assert!(reports.iter().any(|r| r.opened == 7), "all seven in one cycle");
    world.latency(0.2);
    for component in COMPONENTS {
        world.failure_rate(component, 0.01);
        world.throughput(component, 500.0);
    }
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    let outcomes = world.items("outcomes").await;
    assert_eq!((outcomes.len(), &outcomes[0]["outcome_type"]), (1, &json!("success")));
    assert_eq!(world.changes(), ["scale 5"]);
    world.stop().await;
}

/// How many times as fast as life plant and loop run.
const SPEED: f64 = 60.0;

/// A65: the same against the reference Charter, whose overload heals by the scaling alone.
#[tokio::test]
async fn a65_an_overloaded_reference_charter_is_scaled_first_and_healed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let stop_charter = CancellationToken::new();
    let options = Options { sandbox: true, speed: SPEED, ..Options::default() };
    let plant = tokio::spawn(charter_sandbox::serve(
        listener,
        options,
        stop_charter.clone().cancelled_owned(),
    ));
    let mut config = Config::default();
    config.plan.auto_approve = true;
    config.monitor.source = MetricsSource::Scrape;
    config.monitor.scrape_url = Some(format!("{base}/metrics").parse().expect("a URL"));
    config.execute.charter_url = Some(base.parse().expect("a URL"));
    config.knowledge.database = Database::Memory;
    config.escalation.reports_dir = None;
    config.alertmanager.enabled = false;
    "127.0.0.1".clone_into(&mut config.api.host);
    config.api.port = 0;
    let daemon = Daemon::start(config.scaled(SPEED), Clock::start()).await.expect("it starts");
    let http = reqwest::Client::new();
    let cycle = |n: u64| {
        let handle = daemon.handle.clone();
        async move {
            eventually(PATIENCE, "a cycle", async || {
                let at = handle.view().iteration;
                if at >= n { Ok(()) } else { Err(at) }
            })
            .await;
        }
    };
    cycle(4).await;
    let fault = http.post(format!("{base}/sandbox/faults")).json(&json!({"fault": "overload"}));
    assert!(fault.send().await.expect("an answer").status().is_success());
    let outcome = eventually(PATIENCE, "a verdict", async || {
        let page = daemon.knowledge.page::<Outcome>(None, None, 10).await.expect("the store");
        page.items.into_iter().next_back().ok_or("none yet")
    })
    .await;
    let audit: Value = http
        .get(format!("{base}/sandbox/audit"))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let effects: Vec<&Value> =
        audit.as_array().expect("entries").iter().filter(|e| !e["effect"].is_null()).collect();
    println!("{outcome:?}\n{effects:?}");
    let executions = daemon.knowledge.all::<Execution>(None).await.expect("the store");
    let first = executions.last().expect("an execution");
    assert_eq!(first.actions[0].action.kind().as_str(), "scale_up");
    assert_eq!(outcome.execution_id, first.id, "the first to be judged is the first that was done");
    assert_eq!(outcome.outcome_type.as_str(), "success");
    assert_eq!(executions.len(), 1, "nothing else before its verdict");
    assert_eq!(effects.len(), 1, "{effects:?}");
    daemon.stopper().cancel();
    daemon.wait().await.expect("it stops in order");
    stop_charter.cancel();
    plant.await.expect("no panic").expect("it served");
}
