//! S13: the daemon on PostgreSQL heals, and goes on after its end.

use super::world::World;

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
