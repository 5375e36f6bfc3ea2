//! Temporary actions that the version before began end when they were meant to.

use mape_k::actuators::charter::Call;
use mape_k::domain::expiring_action::ExpiringAction;
use mape_k::domain::time::Time;

use super::{
    each, execution, is_given_a_result, lists, states, states_are, throttle, undo_key_of, world,
};
use crate::the_loop::world::World;

/// Ours is rolled back by the id that was kept, once, under the undo's own key; an equal one of somebody else's is not.
async fn ended_once(world: &World) {
    states_are(world, &["undone"]).await;
    world.cycles(3).await;
    assert_eq!(world.changes(), ["rollback"]);
    let sent = &world.charter.seen_of(Call::Rollback)[0];
    assert!(sent.path.contains("/ours/"), "{}", sent.path);
    assert_eq!(sent.key, undo_key_of(world, 0).await);
    assert_eq!(world.charter.policies()[1]["status"], "active");
    assert!(world.knowledge().all::<ExpiringAction>(None).await.expect("the store").is_empty());
    assert_eq!(execution(world).await["status"], "completed", "its end is no failure");
}

#[tokio::test]
async fn r11_a_temporary_action_ends_at_its_time() {
    for case in ["temporary due", "temporary not due", "temporary being ended"] {
        each(async |form| {
            let mut world = world(&[case], form).await;
            lists(&world, &[("ours", throttle()), ("theirs", throttle())]);
            world.start().await;
            ended_once(&world).await;
            let action = execution(&world).await["actions"][0].clone();
            let time = |name: &str| action[name].as_str().and_then(|at| at.parse::<Time>().ok());
            assert!(time("ended_at") >= time("expires_at"), "{case} {form:?}: too early: {action}");
            world.stop().await;
        })
        .await;
    }
}

#[tokio::test]
async fn r11_a_temporary_action_that_charter_ended_is_closed_without_a_call() {
    each(async |form| {
        let mut world = world(&["temporary due"], form).await;
        lists(&world, &[("theirs", throttle())]);
        world.start().await;
        states_are(&world, &["closed"]).await;
        world.cycles(2).await;
        assert_eq!(world.changes(), [""; 0], "{form:?}");
        world.stop().await;
    })
    .await;
}

/// Verified like any other, and followed to its end after that.
#[tokio::test]
async fn r11_a_temporary_action_in_force_is_verified_and_stays() {
    each(async |form| {
        let mut world = world(&["temporary judging"], form).await;
        lists(&world, &[("ours", throttle())]);
        world.start().await;
        is_given_a_result(&world, "success", "charter").await;
        world.cycles(2).await;
        assert_eq!(
            (states(&world).await, world.changes()),
            (vec!["judged".to_owned()], Vec::new())
        );
        assert_eq!(
            world.knowledge().all::<ExpiringAction>(None).await.expect("the store").len(),
            1
        );
        world.stop().await;
    })
    .await;
}
