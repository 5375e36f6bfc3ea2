//! S13: the daemon on PostgreSQL heals, goes on after its end, and does nothing once the store is another's.

use mape_k::knowledge::postgres::PostgresStore;
use mape_k::knowledge::store::Store;

use super::world::World;
use crate::support::eventually::eventually;
use crate::support::postgres::{address, connect};

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

#[tokio::test]
async fn s13_a_daemon_whose_store_another_has_taken_sends_nothing_and_says_so() {
    let mut world = World::new().await;
    let url = world.on_postgres().await;
    world.start().await;
    world.until("healthy", async || world.get("/ready").await.0.is_success()).await;
    let mut admin = connect(&url).await;
    let ours = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE application_name = 'mape-k' AND datname = current_database()";
    let other = eventually(super::world::PATIENCE, "another one has it", async || {
        sqlx::query(ours).execute(&mut admin).await.expect("cut");
        PostgresStore::open(&address(&url)).await
    })
    .await;
    world.latency(1.5);
    for _ in 0..2 {
        world.cycles(5).await;
        let (_, health) = world.get("/health").await;
        assert_eq!(health["status"], "degraded", "{health}");
        assert!(health.to_string().contains("another mape-k"), "{health}");
        // In the second round the store is free again, and still not ours.
        other.close().await;
    }
    assert_eq!(world.changes(), Vec::<String>::new());
    world.stop().await;
}
