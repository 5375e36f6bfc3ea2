//! R04: a process that is killed between claim, sending and record, or whose last cycle ends late, loses no message.

use std::time::Duration;

use mape_k::domain::decision::Sev;
use mape_k::domain::outbox::Outgoing;
use mape_k::knowledge::Knowledge;
use tokio_util::sync::CancellationToken;

use super::fake_slack::Reply;
use super::files;
use super::messages::{alert, alert_at, at};
use super::outbox::{Cut, World, put};

/// R04: killed before and after each write of the claims and results of two messages, one of which covers a third.
#[tokio::test]
async fn r04_killed_at_any_write_it_loses_nothing_and_repeats_each_message_at_most_once() {
    let mut points = 0;
    for number in 0.. {
        for cut in [Cut::Before(number), Cut::After(number)] {
            let world = World::new().await;
            let (knowledge, process) = (world.knowledge(), world.process().await);
            let mut covered = alert(Sev::Sev2, "payments");
            covered.entries[0].news = vec!["scale_up was applied".to_owned()];
            world.slack.always(Reply::Status(500, "away"));
            put(&process, &knowledge, &[covered], at(0)).await;
            process.work_off(at(0)).await;
            world.slack.asked();
            world.slack.always(Reply::Fine);
            let messages = [alert(Sev::Sev1, "payments"), alert_at(Sev::Sev3, "batch", 1, 2)];
            put(&process, &knowledge, &messages, at(1)).await;
            world.cut(Some(cut));
            let is_killed = tokio::select! {
                () = process.work_off(at(1)) => false,
                () = world.is_cut() => true,
            };
            drop(process);
            world.cut(None);
            world.process().await.work_off(at(100)).await;
            let told = world.told();
            for words in ["payments is down", "batch is down", "scale_up was applied"] {
                let count = told.iter().filter(|text| text.contains(words)).count();
                assert!((1..=2).contains(&count), "{cut:?}: {words} {count} times: {told:#?}");
                assert!(is_killed || count == 1, "nothing is repeated without a crash");
            }
            assert!(!told.iter().any(|text| text.contains("SEV-2")), "it is covered: {told:#?}");
            assert!(world.stored().await.iter().all(Outgoing::is_delivered), "{cut:?}");
            world.process().await.work_off(at(2_000)).await;
            assert!(world.told().is_empty(), "{cut:?}: told once more");
            if !is_killed {
                println!("killed at {points} points");
                assert!(points >= 8, "a claim and a result of each message");
                return;
            }
            points += 1;
        }
    }
}

/// Safety review 7: what a cycle puts in while the daemon stops is kept once the loop has ended, not before.
#[tokio::test]
async fn r04_what_the_last_cycle_leaves_in_a_store_in_memory_is_kept_in_files() {
    let world = World::new().await;
    let knowledge = Knowledge::in_memory();
    let process = world.under(knowledge.clone(), true).await;
    world.slack.always(Reply::Status(500, "away"));
    put(&process, &knowledge, &[alert_at(Sev::Sev3, "batch", 0, 2)], at(0)).await;
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    stop.cancel();
    let last_cycle = async {
        // The drain is over, and the loop is not.
        tokio::time::sleep(Duration::from_secs(9)).await;
        put(&process, &knowledge, &[alert(Sev::Sev1, "payments")], at(1)).await;
        ended.cancel();
    };
    tokio::join!(process.run(stop, ended.clone()), last_cycle);
    let files = files(world.folder.path());
    assert_eq!(files.len(), 2, "each in a file, once: {files:?}");
    assert!(files.iter().any(|file| file.contains("SEV-1")), "{files:?}");
}
