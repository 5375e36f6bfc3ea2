//! When Slack is back: each backup is told once, the worst first, and what is over or old in one summary.

use std::time::Duration;

use mape_k::domain::decision::Sev;
use mape_k::domain::message::{Form, Message};
use tokio::time::Instant;

use super::fake_slack::{Asked, Reply};
use super::messages::{alert, alert_at, at, entry, thread, with_form};
use super::{Scene, both, soon};

async fn failed(scene: &Scene, messages: &[Message]) {
    scene.slack.always(Reply::Status(500, "upstream"));
    let told = scene.notifiers.deliver(messages, soon()).await;
    assert!(told.iter().flatten().all(|delivery| delivery.result.is_err()));
    scene.slack.asked();
    scene.slack.always(Reply::Fine);
}

fn shown(scene: &Scene) -> Vec<String> {
    scene.slack.asked().iter().map(Asked::shown).collect()
}

#[tokio::test]
async fn b07_a_backup_is_told_once_when_slack_is_back() {
    let scene = Scene::bot().await;
    let message = alert(Sev::Sev1, "payments");
    failed(&scene, std::slice::from_ref(&message)).await;
    let resent = scene.notifiers.resend(&|_| true, at(60), soon()).await;
    let (told, delivery) = &resent[0];
    assert_eq!(*told, message);
    let place = delivery.result.clone().expect("delivered").expect("a thread");
    assert_eq!(place.channel, "C0CRITICAL-ALERTS", "the incident can be followed from here");
    assert_eq!(scene.slack.asked().len(), 1);
    assert_eq!(scene.files(), ["backup_20261122_025012_SEV-1.sent.json"]);
    assert!(scene.metric("mape_k_notifications_backed_up").abs() < 1e-9);
    for _ in 0..3 {
        let resent = scene.notifiers.resend(&|_| true, at(120), soon()).await;
        assert!(resent.is_empty());
    }
    assert!(scene.slack.asked().is_empty());
}

#[tokio::test]
async fn b07_another_process_tells_what_an_earlier_one_could_not() {
    let scene = Scene::bot().await;
    failed(&scene, &[alert(Sev::Sev1, "payments")]).await;
    let other = Scene::bot().await;
    std::fs::create_dir(other.folder.path().join("incidents")).expect("made");
    let name = &scene.files()[0];
    std::fs::rename(scene.file(name), other.file(name)).expect("moved");
    other.notifiers.begin().await;
    other.notifiers.resend(&|_| true, at(60), soon()).await;
    assert_eq!(other.slack.asked().len(), 1);
}

#[tokio::test]
async fn b07_while_slack_stays_away_backups_wait_and_no_second_one_is_made() {
    let scene = Scene::bot().await;
    failed(&scene, &[alert(Sev::Sev1, "payments")]).await;
    scene.slack.always(Reply::Status(503, "still"));
    let resent = scene.notifiers.resend(&|_| true, at(60), soon()).await;
    assert!(resent[0].1.result.is_err() && resent[0].1.backed_up);
    assert_eq!(scene.files(), ["backup_20261122_025012_SEV-1.json"]);
}

#[tokio::test]
async fn b07_what_waits_is_sent_the_worst_first_then_the_oldest() {
    let scene = Scene::webhook().await;
    let messages = [
        alert_at(Sev::Sev3, "third", 0, 1),
        alert_at(Sev::Sev2, "second-b", 1, 2),
        alert_at(Sev::Sev1, "first", 9, 4),
        alert_at(Sev::Sev2, "second-c", 2, 3),
        alert_at(Sev::Sev3, "third-b", 2, 5),
    ];
    failed(&scene, &messages).await;
    scene.notifiers.resend(&|_| true, at(60), soon()).await;
    let told = shown(&scene);
    assert_eq!(told.len(), messages.len());
    let place = |service: &str| {
        let says = |text: &String| text.contains(&format!(": {service} is down"));
        told.iter().position(says).unwrap_or_else(|| panic!("{service}: {told:#?}"))
    };
    assert!(place("first") < place("second-b") && place("second-b") < place("second-c"));
    assert!(place("third") < place("third-b"));
}

#[tokio::test]
async fn b07_a_channel_that_fails_does_not_keep_the_other_from_being_told() {
    let scene = Scene::bot().await;
    let mut messages: Vec<Message> =
        (0..6).map(|n| alert_at(Sev::Sev1, "payments", n.into(), n + 1)).collect();
    messages.push(alert_at(Sev::Sev2, "web", 7, 9));
    failed(&scene, &messages).await;
    scene.slack.answers(|asked| match asked.channel() {
        "#critical-alerts" => Reply::No("internal_error"),
        _ => Reply::Fine,
    });
    scene.notifiers.resend(&|_| true, at(60), soon()).await;
    let asked = scene.slack.asked();
    assert_eq!(asked.len(), 2, "once for the failing channel, once for the other");
    assert!(scene.files().contains(&"backup_20261122_025019_SEV-2.sent.json".to_owned()));
}

#[tokio::test]
async fn b07_what_is_over_or_older_than_an_hour_is_told_in_one_summary() {
    let scene = Scene::bot().await;
    let messages = [
        alert_at(Sev::Sev1, "over", 3_600, 1),
        with_form(alert_at(Sev::Sev1, "over", 3_700, 1), Form::Ended(None)),
        alert_at(Sev::Sev2, "old", 0, 2),
        alert_at(Sev::Sev2, "open", 3_600, 3),
    ];
    failed(&scene, &messages).await;
    let is_open = |id: &str| !id.ends_with("001");
    let resent = scene.notifiers.resend(&is_open, at(3_900), soon()).await;
    assert_eq!(resent.len(), 4);
    let told = shown(&scene);
    assert_eq!(told.len(), 2, "one of its own, one summary: {told:#?}");
    assert!(told.iter().any(|text| text.contains("SEV-2: open is down")), "{told:#?}");
    let summary = told.iter().find(|text| text.contains("could not be sent in time"));
    let summary = summary.unwrap_or_else(|| panic!("a summary: {told:#?}"));
    assert!(summary.contains("3 messages that could not be sent in time"), "{summary}");
    assert_eq!(summary.matches("INC-").count(), 2, "an incident is listed once: {summary}");
    assert!(summary.contains("Resolved by now.") && summary.contains("Still open."), "{summary}");
    assert_eq!(scene.files().iter().filter(|file| file.ends_with(".sent.json")).count(), 3);
    scene.notifiers.resend(&is_open, at(3_930), soon()).await;
    assert!(scene.slack.asked().is_empty());
}

#[tokio::test]
async fn b07_a_summary_that_fails_is_told_the_next_time() {
    let scene = Scene::bot().await;
    failed(&scene, &[alert(Sev::Sev2, "web")]).await;
    scene.slack.always(Reply::Status(500, "still"));
    let resent = scene.notifiers.resend(&|_| false, at(60), soon()).await;
    assert!(resent[0].1.result.is_err());
    assert_eq!(scene.files(), ["backup_20261122_025012_SEV-2.json"]);
    scene.slack.always(Reply::Fine);
    scene.slack.asked();
    let resent = scene.notifiers.resend(&|_| false, at(150), soon()).await;
    assert!(resent[0].1.result.is_ok());
    assert!(scene.slack.asked_once().shown().contains("could not be sent in time"));
    assert_eq!(scene.files(), ["backup_20261122_025012_SEV-2.sent.json"]);
}

#[tokio::test]
async fn b07_the_end_of_what_was_told_is_told_in_its_thread() {
    let scene = Scene::bot().await;
    let ended = Form::Ended(Some(thread("C1", "1.2")));
    failed(&scene, &[with_form(alert(Sev::Sev1, "payments"), ended)]).await;
    scene.notifiers.resend(&|_| false, at(60), soon()).await;
    assert_eq!(scene.slack.asked_once().body["thread_ts"], "1.2");
}

#[tokio::test]
async fn b07_of_several_incidents_those_that_are_over_are_marked() {
    let scene = Scene::bot().await;
    let mut message = alert(Sev::Sev1, "payments");
    message.entries.push(entry(2, "checkout", Sev::Sev1));
    failed(&scene, &[message]).await;
    scene.notifiers.resend(&|id| id.ends_with("001"), at(60), soon()).await;
    let shown = scene.slack.asked_once().shown();
    let (open, over) = shown.split_once("INC-20261122_025012-002").expect("both are there");
    assert!(!open.contains("Resolved by now.") && over.contains("Resolved by now."), "{shown}");
}

#[tokio::test]
async fn b07_a_broken_file_is_set_aside_and_blocks_nobody() {
    let scene = Scene::bot().await;
    failed(&scene, &[alert(Sev::Sev2, "web")]).await;
    for (name, text) in [
        ("backup_20261122_020000_SEV-1.json", "{ half a"),
        ("backup_20261122_020001_SEV-1.json", r#"{"notifier":"pigeon"}"#),
    ] {
        std::fs::write(scene.file(name), text).expect("written");
    }
    scene.notifiers.begin().await;
    let resent = scene.notifiers.resend(&|_| true, at(60), soon()).await;
    assert_eq!(resent.len(), 1);
    assert_eq!(
        scene.files(),
        [
            "backup_20261122_020000_SEV-1.broken.json",
            "backup_20261122_020001_SEV-1.broken.json",
            "backup_20261122_025012_SEV-2.sent.json",
        ]
    );
}

#[tokio::test]
async fn the_newest_five_hundred_that_were_sent_are_kept() {
    let scene = Scene::bot().await;
    failed(&scene, &[alert(Sev::Sev2, "web")]).await;
    for second in 0..520 {
        let name = format!("backup_20261121_{second:06}_SEV-2.sent.json");
        std::fs::write(scene.file(&name), "{}").expect("written");
    }
    scene.notifiers.resend(&|_| true, at(60), soon()).await;
    let files = scene.files();
    assert_eq!(files.len(), 500);
    assert_eq!(files[0], "backup_20261121_000021_SEV-2.sent.json");
    assert_eq!(files[499], "backup_20261122_025012_SEV-2.sent.json");
}

#[tokio::test]
async fn b07_a_backup_that_was_told_and_cannot_be_renamed_is_not_told_again() {
    let scene = Scene::bot().await;
    failed(&scene, &[alert(Sev::Sev1, "payments")]).await;
    // No file takes the place of a folder.
    std::fs::create_dir(scene.file("backup_20261122_025012_SEV-1.sent.json")).expect("made");
    let resent = scene.notifiers.resend(&|_| true, at(60), soon()).await;
    assert!(resent[0].1.result.is_ok());
    let resent = scene.notifiers.resend(&|_| true, at(90), soon()).await;
    assert!(resent.is_empty());
    assert_eq!(scene.slack.asked().len(), 1);
}

/// Not for long: what hangs is not waited for.
fn shortly() -> Instant {
    Instant::now() + Duration::from_millis(300)
}

/// How often Slack is called for what waits, when it answers none.
async fn tried(scene: &Scene, second: i64) -> usize {
    scene.slack.always(Reply::Never);
    scene.notifiers.resend(&|_| true, at(second), shortly()).await;
    scene.slack.asked().len()
}

#[tokio::test]
async fn b07_after_a_time_out_a_message_waits_longer_each_time() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::Never);
    let told = scene.notifiers.deliver(&[alert(Sev::Sev1, "payments")], shortly()).await;
    assert!(told[0][0].backed_up);
    assert_eq!(scene.slack.asked().len(), 1);
    assert_eq!(tried(&scene, 30).await, 0, "it may have arrived");
    assert_eq!(tried(&scene, 61).await, 1, "after a minute");
    assert_eq!(tried(&scene, 122).await, 0, "the pause is twice as long");
    assert_eq!(tried(&scene, 182).await, 1);
    // New messages are tried at once.
    scene.slack.always(Reply::Fine);
    assert!(scene.tell(&alert_at(Sev::Sev1, "login", 190, 2)).await.result.is_ok());
}

/// A channel that times out is not asked once for each message that waits there; the twin fails for its own sake.
#[tokio::test]
async fn b07_what_waits_for_a_channel_that_fails_again_waits_with_it() {
    for (again, calls) in [(Reply::Status(500, "still"), 1), (Reply::No("msg_too_long"), 4)] {
        let scene = Scene::bot().await;
        failed(&scene, &[alert(Sev::Sev1, "payments"), alert_at(Sev::Sev1, "login", 1, 2)]).await;
        scene.slack.always(again.clone());
        scene.notifiers.resend(&|_| true, at(60), soon()).await;
        let asked = scene.slack.asked();
        let own = asked.iter().filter(|asked| asked.channel() == "#critical-alerts").count();
        assert_eq!(own, calls, "{again:?}: {asked:#?}");
    }
}

#[tokio::test]
async fn b07_the_pause_of_one_channel_is_not_that_of_another() {
    let scene = Scene::bot().await;
    failed(&scene, &[alert_at(Sev::Sev2, "web", 0, 2)]).await;
    scene.slack.always(Reply::Never);
    scene.notifiers.deliver(&[alert_at(Sev::Sev1, "payments", 1, 1)], shortly()).await;
    scene.slack.asked();
    scene.slack.always(Reply::Fine);
    scene.notifiers.resend(&|_| true, at(31), soon()).await;
    assert_eq!(scene.slack.asked_once().channel(), "#infrastructure-alerts");
}

#[tokio::test]
async fn b07_what_failed_in_a_cycle_is_not_tried_again_in_it() {
    let scene = Scene::bot().await;
    failed(&scene, &[alert(Sev::Sev1, "payments")]).await;
    scene.notifiers.resend(&|_| true, at(0), soon()).await;
    assert!(scene.slack.asked().is_empty());
    scene.notifiers.resend(&|_| true, at(30), soon()).await;
    assert_eq!(scene.slack.asked().len(), 1);
}

#[tokio::test]
async fn b07_one_notifier_that_hangs_keeps_no_time_from_the_other() {
    let (scene, alertmanager) = both().await;
    for server in [&scene.slack, &alertmanager] {
        server.always(Reply::Status(500, "upstream"));
    }
    scene.notifiers.deliver(&[alert(Sev::Sev1, "payments")], soon()).await;
    assert_eq!(scene.notifiers.waiting(), 2);
    alertmanager.asked();
    scene.slack.always(Reply::Never);
    alertmanager.always(Reply::Fine);
    let resent = scene.notifiers.resend(&|_| true, at(30), shortly()).await;
    assert_eq!(alertmanager.asked().len(), 1);
    assert_eq!(resent.len(), 2);
    assert_eq!(scene.notifiers.waiting(), 1);
    let waiting = scene.notifiers.waiting_incidents();
    assert_eq!(waiting.into_iter().collect::<Vec<_>>(), ["INC-20261122_025012-001"]);
}

#[tokio::test]
async fn b07_a_message_that_slack_does_not_take_holds_back_nobody_behind_it() {
    let scene = Scene::bot().await;
    let messages = [alert(Sev::Sev1, "payments"), alert_at(Sev::Sev1, "login", 1, 2)];
    failed(&scene, &messages).await;
    scene.slack.answers(|asked| {
        let is_too_long = asked.shown().contains("payments");
        if is_too_long { Reply::No("msg_blocks_too_long") } else { Reply::Fine }
    });
    let resent = scene.notifiers.resend(&|_| true, at(60), soon()).await;
    assert!(resent[0].1.result.is_err());
    assert!(resent[1].1.result.is_ok());
}
