//! S13: the daemon on PostgreSQL heals, and goes on after its end; a storm of alerts leaves others their turn.

use std::time::Duration;

use serde_json::json;
use sqlx::{query_scalar, raw_sql};

use super::world::World;
use crate::support::postgres::connect;

#[tokio::test]
async fn s13_on_postgresql_a_fault_is_healed_across_a_crash_and_a_restart() {
    let mut world = World::new().await;
    world.on_postgres().await;
    world.start().await;
    world.latency(1.5);
    world.until("scaled", async || world.changes() == ["scale 5"]).await;
    world
        .until("the execution is stored", async || {
            world.items("executions").await.first().is_some_and(|e| e["status"] == "completed")
        })
        .await;
    world.crash().await;
    world.latency(0.2);
    world.start().await;
    world.until("judged", async || !world.items("outcomes").await.is_empty()).await;
    world.stop().await;
    world.start().await;
    world.cycles(3).await;
    let outcomes = world.items("outcomes").await;
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    assert_eq!(outcomes[0]["outcome_type"], "success");
    assert_eq!(world.changes(), ["scale 5"], "nothing is done twice");
    assert!(world.open_escalations().await.is_empty());
    world.stop().await;
}

/// One long commit would keep the lease and the journal of every replica waiting.
#[tokio::test]
async fn s13_what_waits_in_a_storm_is_stored_in_commits_that_leave_others_their_turn() {
    let mut world = World::new().await;
    let url = world.on_postgres().await;
    world.interval(Duration::from_hours(1));
    world.start().await;
    world.until("a first cycle", async || world.iteration() > 0).await;
    let mut admin = connect(&url).await;
    raw_sql("BEGIN; SELECT FROM mape_k.lease FOR UPDATE").execute(&mut admin).await.expect("held");
    let alert = |n: usize| {
        let labels = json!({"alertname": "Odd", "severity": "warning", "n": n.to_string()});
        (n.to_string(), labels)
    };
    let alerts: Vec<_> = (0..2_000).map(alert).collect();
    let sent = alerts.chunks(100).map(|payload| world.deliver_all("firing", payload));
    let release = async {
        let all = async || world.metric("mape_k_alerts_received_total").await == 2_000;
        world.until("all of them wait", all).await;
        raw_sql("ROLLBACK").execute(&mut admin).await.expect("let go");
    };
    tokio::join!(futures::future::join_all(sent), release);
    // What one transaction wrote has its number.
    let largest: i64 = query_scalar(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM mape_k.records
         WHERE collection = 'alerts' GROUP BY xmin::text) AS commits",
    )
    .fetch_one(&mut admin)
    .await
    .expect("counted");
    assert!((100..=1_100).contains(&largest), "{largest}");
    world.stop().await;
}
