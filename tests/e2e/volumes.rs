//! What is on the volumes outlives the container: a restart, and a new container in its place.

use serde_json::Value;

use crate::eventually::eventually;
use crate::stack::{MAPE_K, SOON, compose, container, json, list};

pub async fn d01_what_was_learned_outlives_its_container() {
    let before = newest().await.expect("an outcome");
    let first = container("mape-k");
    compose(&["restart", "mape-k"]).expect("restarted");
    answers().await;
    assert_eq!(container("mape-k"), first, "the same container");
    assert_eq!(newest().await, Ok(before.clone()));

    compose(&["up", "-d", "--no-build", "--no-deps", "--force-recreate", "mape-k"])
        .expect("replaced");
    answers().await;
    assert_ne!(container("mape-k"), first, "another container");
    assert_eq!(newest().await, Ok(before));
}

async fn answers() {
    eventually(SOON, "the daemon answers again", async || json(&format!("{MAPE_K}/health")).await)
        .await;
}

async fn newest() -> Result<Value, String> {
    let outcomes = list("outcomes?limit=1").await?;
    outcomes.first().map(|outcome| outcome["id"].clone()).ok_or_else(|| "no outcome".to_owned())
}
