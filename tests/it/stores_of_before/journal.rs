//! Each state in which a process may have left an action: nothing is sent twice, what is unknown is looked for by what the
//! record kept, and what has to be undone is undone under its own key.

use mape_k::actuators::charter::Call;
use mape_k::domain::follow_ups::FollowUps;
use mape_k::domain::ledger::{End, Ledger};
use mape_k::domain::target::{System, Target};
use serde_json::{Value, json};

use super::{baseline, each, execution, is_given_a_result, lists, states, states_are, throttle};
use super::{undo_key_of, world};
use crate::the_loop::world::World;

async fn ledger(world: &World) -> Ledger {
    world.knowledge().fact("ledger").await.expect("the store").expect("one")
}

/// It was not begun: not sent after the upgrade either, and a person hears of it.
#[tokio::test]
async fn r11_what_was_not_sent_is_not_sent() {
    for case in ["pending", "intent", "validated", "validated policy"] {
        each(async |form| {
            let mut world = world(&[case], form).await;
            world.start().await;
            // Nothing is wrong any more, so that its record may be closed by now.
            let told =
                async || world.items("needs").await.iter().any(|e| e["reason"] == "action_failed");
            world.until("told", told).await;
            world.cycles(2).await;
            assert!(states(&world).await.iter().all(|s| s == "refused"), "{case} {form:?}");
            let execution = execution(&world).await;
            assert_eq!(execution["status"], "failed", "{case} {form:?}");
            let error = execution["actions"][0]["error"].to_string();
            assert!(error.contains("not sent"), "{case} {form:?}: {error}");
            assert_eq!(world.changes(), [""; 0], "{case} {form:?}");
            let ends: Vec<End> = ledger(&world).await.entries.iter().map(|e| e.end).collect();
            assert!(ends.iter().all(|end| *end == End::Unsent), "{case} {form:?}: {ends:?}");
            world.stop().await;
        })
        .await;
    }
}

/// The size before it was in the record: with it, and the size asked for, Charter's state can tell.
#[tokio::test]
async fn r11_a_lost_change_of_size_is_found_by_the_size_that_was_kept() {
    for case in ["sent size", "unknown size"] {
        for (replicas, is_there) in [(5, true), (3, false), (7, false)] {
            each(async |form| {
                let mut world = world(&[case], form).await;
                world.charter.world().replicas = replicas;
                world.start().await;
                let what = format!("{case} {form:?}, Charter has {replicas}");
                match replicas {
                    5 => {
                        world
                            .until(&what, async || !world.items("outcomes").await.is_empty())
                            .await;
                        assert_eq!(states(&world).await, ["closed"], "{what}");
                    }
                    3 => states_are(&world, &["refused"]).await,
                    // Somebody else's size: nobody can tell, and nothing is touched.
                    _ => {
                        world.until(&what, async || world.is_open("outcome_unknown").await).await;
                        world.cycles(2).await;
                        let state = states(&world).await;
                        assert!(
                            matches!(state[0].as_str(), "unknown" | "closed"),
                            "{what} {state:?}"
                        );
                    }
                }
                assert_eq!(!world.items("outcomes").await.is_empty(), is_there, "{what}");
                world.cycles(2).await;
                assert_eq!(world.changes(), [""; 0], "{what}");
                world.stop().await;
            })
            .await;
        }
    }
}

/// The ids that Charter listed before it were in the record: an equal policy under another id is ours.
#[tokio::test]
async fn r11_a_lost_policy_is_found_by_the_ids_that_were_kept() {
    for (case, body) in [
        ("sent policy", baseline()),
        ("unknown policy", baseline()),
        ("sent temporary", throttle()),
    ] {
        for is_there in [true, false] {
            let body = &body;
            each(async |form| {
                let mut world = world(&[case], form).await;
                let both = [("theirs", body.clone()), ("new", body.clone())];
                lists(&world, if is_there { &both } else { &both[..1] });
                world.start().await;
                let what = format!("{case} {form:?} {is_there}");
                if is_there {
                    let found = async || {
                        execution(&world).await["actions"][0]["prior"]["policy_id"] == json!("new")
                    };
                    world.until(&what, found).await;
                    assert_ne!(states(&world).await, ["refused"], "{what}");
                } else {
                    states_are(&world, &["refused"]).await;
                }
                world.cycles(2).await;
                assert_eq!(world.changes(), [""; 0], "{what}");
                let active = world.charter.policies().iter().all(|p| p["status"] == "active");
                assert!(active, "{what}: somebody else's was touched");
                world.stop().await;
            })
            .await;
        }
    }
}

/// A restart leaves no trace: a person's, its service left alone, and never sent again.
#[tokio::test]
async fn r11_a_lost_restart_stays_a_persons() {
    for case in ["sent restart", "unknown restart"] {
        each(async |form| {
            let mut world = world(&[case], form).await;
            world.start().await;
            world.until("told", async || world.is_open("outcome_unknown").await).await;
            world.cycles(2).await;
            assert_ne!(states(&world).await, ["refused"], "{case} {form:?}");
            assert_eq!(world.changes(), [""; 0], "{case} {form:?}");
            let entry = ledger(&world).await.entries.remove(0);
            assert_eq!(entry.target, Target::service("enforcer"));
            world.stop().await;
        })
        .await;
    }
}

/// Half a transaction: undone last first, the size that was kept restored and the id that was kept rolled back.
#[tokio::test]
async fn r11_half_a_transaction_is_undone_by_what_was_kept() {
    each(async |form| {
        let mut world = world(&["applied half"], form).await;
        world.charter.world().replicas = 5;
        lists(&world, &[("ours", baseline())]);
        world.start().await;
        states_are(&world, &["undone", "undone", "refused"]).await;
        assert_eq!(world.changes(), ["rollback", "scale 3"], "{form:?}");
        let keys =
            [Call::Scale, Call::Rollback].map(|call| world.charter.seen_of(call)[0].key.clone());
        assert_eq!(keys, [undo_key_of(&world, 0).await, undo_key_of(&world, 1).await], "{form:?}");
        world.cycles(3).await;
        assert_eq!(world.changes().len(), 2, "{form:?}: undone twice");
        assert_eq!(execution(&world).await["status"], "rolled_back");
        world.stop().await;
    })
    .await;
}

/// The size was changed by somebody else meanwhile: it is theirs.
#[tokio::test]
async fn r11_a_size_that_is_not_ours_any_more_is_left_alone() {
    each(async |form| {
        let mut world = world(&["applied half"], form).await;
        world.charter.world().replicas = 7;
        lists(&world, &[("ours", baseline())]);
        world.start().await;
        states_are(&world, &["undo_failed", "undone", "refused"]).await;
        world.until("told", async || world.is_open("outcome_unknown").await).await;
        assert_eq!(world.changes(), ["rollback"], "{form:?}");
        assert!(ledger(&world).await.tripped(System::Charter).is_some(), "{form:?}");
        world.stop().await;
    })
    .await;
}

#[tokio::test]
async fn r11_an_undo_that_was_cut_is_gone_on_with_under_its_own_key() {
    each(async |form| {
        let mut world = world(&["undo sent size"], form).await;
        world.charter.world().replicas = 5;
        world.start().await;
        states_are(&world, &["undone"]).await;
        world.cycles(2).await;
        assert_eq!(world.changes(), ["scale 3"], "{form:?}");
        assert_eq!(world.charter.seen_of(Call::Scale)[0].key, undo_key_of(&world, 0).await);
        world.stop().await;
    })
    .await;
    each(async |form| {
        let mut world = world(&["undo sent policy"], form).await;
        lists(&world, &[("ours", baseline()), ("theirs", baseline())]);
        world.start().await;
        states_are(&world, &["undone"]).await;
        world.cycles(2).await;
        assert_eq!(world.changes(), ["rollback"], "{form:?}");
        assert_eq!(world.charter.policies()[0]["status"], "rolled_back");
        assert_eq!(world.charter.seen_of(Call::Rollback)[0].key, undo_key_of(&world, 0).await);
        world.stop().await;
    })
    .await;
}

/// It had taken effect before the upgrade, unseen.
#[tokio::test]
async fn r11_an_undo_that_had_taken_effect_is_not_repeated() {
    for (case, replicas) in [("undo sent size", 3), ("undo sent policy", 5)] {
        each(async |form| {
            let mut world = world(&[case], form).await;
            world.charter.world().replicas = replicas;
            world.start().await;
            states_are(&world, &["undone"]).await;
            world.cycles(2).await;
            assert_eq!(world.changes(), [""; 0], "{case} {form:?}");
            world.stop().await;
        })
        .await;
    }
}

/// The verdict is given on the target that was kept.
#[tokio::test]
async fn r11_what_was_being_verified_gets_its_result() {
    for (case, target) in [
        ("applied all", "charter"),
        ("judging", "charter"),
        ("judging service", "charter/enforcer"),
    ] {
        each(async |form| {
            let mut world = world(&[case], form).await;
            world.charter.world().replicas = 5;
            world.start().await;
            is_given_a_result(&world, "success", target).await;
            states_are(&world, &["closed"]).await;
            let end = ledger(&world).await.entries[0].end;
            assert!(matches!(end, End::Judged(_)), "{case} {form:?}: {end:?}");
            assert_eq!(world.changes(), [""; 0], "{case} {form:?}");
            world.stop().await;
        })
        .await;
    }
    // What is still broken counts on Charter as a whole, whatever the stored violation says of its target.
    each(async |form| {
        let mut world = world(&["judging", "violation"], form).await;
        world.charter.world().replicas = 5;
        world.latency(1.5);
        world.start().await;
        is_given_a_result(&world, "ineffective", "charter").await;
        world.stop().await;
    })
    .await;
}

#[tokio::test]
async fn r11_an_undo_that_is_owed_is_made_once() {
    each(async |form| {
        let mut world = world(&["owed undo"], form).await;
        lists(&world, &[("ours", baseline()), ("theirs", baseline())]);
        world.start().await;
        states_are(&world, &["undone"]).await;
        world.cycles(3).await;
        assert_eq!(world.changes(), ["rollback"], "{form:?}");
        assert_eq!(world.charter.seen_of(Call::Rollback)[0].key, undo_key_of(&world, 0).await);
        let left: FollowUps =
            world.knowledge().fact(FollowUps::FACT).await.expect("the store").expect("one");
        let targets: Vec<String> = left.undone.iter().map(|u| u.target.to_string()).collect();
        assert_eq!(
            (left.undoings.len(), targets),
            (0, vec!["charter/auditor".into(), "charter".into()])
        );
        world.stop().await;
    })
    .await;
}

/// A success that was still watched, and had closed Charter's breaker: back, it is none, and the breaker is open again.
#[tokio::test]
async fn r11_a_watched_success_is_corrected_when_its_violation_is_back() {
    each(async |form| {
        let mut world = world(&["watched success"], form).await;
        world.charter.world().replicas = 5;
        world.latency(1.5);
        world.start().await;
        let corrected = async || world.items("outcomes").await[0]["outcome_type"] == "ineffective";
        world.until("corrected", corrected).await;
        let outcome = world.items("outcomes").await.remove(0);
        assert_eq!(
            (&outcome["target"], &outcome["recurred"]["was"]),
            (&json!("charter"), &json!("success"))
        );
        assert!(ledger(&world).await.tripped(System::Charter).is_some(), "{form:?}");
        let surplus: Value =
            world.knowledge().fact("surplus").await.expect("the store").expect("one");
        assert_eq!(surplus["original"], 3, "{form:?}: what was added is not forgotten");
        world.stop().await;
    })
    .await;
}
