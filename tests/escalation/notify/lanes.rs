//! Rate limits and order: a channel that was told to wait is not called, and a SEV-1 waits for nobody.

use std::time::Duration;

use mape_k::domain::decision::Sev;
use mape_k::domain::message::Form;
use tokio::time::Instant;

use super::Scene;
use super::fake_slack::Reply;
use super::messages::{alert, alert_at, thread, with_form};

#[tokio::test]
async fn a_channel_that_wants_silence_is_not_called_and_the_others_are() {
    let scene = Scene::bot().await;
    scene.slack.answers(|asked| match asked.channel() {
        "#infrastructure-alerts" => Reply::Wait(30),
        _ => Reply::Fine,
    });
    let told = scene.tell(&alert(Sev::Sev2, "web")).await;
    assert!(told.backed_up && told.result.expect_err("429").contains("30 s"));
    assert_eq!(scene.slack.asked().len(), 1);
    let told = scene.tell(&alert_at(Sev::Sev3, "batch", 1, 2)).await;
    assert!(told.backed_up && told.result.expect_err("held").contains("not sent"));
    assert!(scene.slack.asked().is_empty(), "it was called before its time");
    assert!(scene.tell(&alert(Sev::Sev1, "payments")).await.result.is_ok());
    let limited = r#"mape_k_notifications_total{notifier="slack",result="rate_limited"}"#;
    assert!((scene.metric(limited) - 2.0).abs() < 1e-9);
}

#[tokio::test]
async fn a_channel_is_called_again_when_its_silence_is_over() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::Wait(1));
    assert!(scene.tell(&alert(Sev::Sev3, "batch")).await.result.is_err());
    scene.slack.always(Reply::Fine);
    let silence_ends = Instant::now() + Duration::from_secs(1);
    tokio::time::sleep_until(silence_ends).await;
    assert!(scene.tell(&alert(Sev::Sev3, "batch")).await.result.is_ok());
}

#[tokio::test]
async fn a_sev_1_is_sent_in_the_same_channel_although_a_sev_3_was_told_to_wait() {
    let scene = Scene::webhook().await;
    scene.slack.always(Reply::Wait(30));
    assert!(scene.tell(&alert(Sev::Sev3, "batch")).await.result.is_err());
    scene.slack.always(Reply::Fine);
    assert!(scene.tell(&alert(Sev::Sev2, "web")).await.result.is_err(), "held");
    assert!(scene.tell(&alert(Sev::Sev1, "payments")).await.result.is_ok());
    assert_eq!(scene.slack.asked().len(), 2);
}

#[tokio::test]
async fn a_sev_1_that_is_told_to_wait_honours_it_and_holds_all() {
    let scene = Scene::webhook().await;
    scene.slack.always(Reply::Wait(30));
    assert!(scene.tell(&alert(Sev::Sev1, "payments")).await.backed_up);
    assert_eq!(scene.slack.asked().len(), 1, "too long a wait to be tried again at once");
    assert!(scene.tell(&alert_at(Sev::Sev1, "login", 1, 2)).await.backed_up);
    assert!(scene.slack.asked().is_empty());
}

#[tokio::test]
async fn a_sev_1_that_is_told_to_wait_shortly_is_sent_once_more_after_it() {
    let scene = Scene::bot().await;
    let first = std::sync::atomic::AtomicBool::new(true);
    scene.slack.answers(move |_| {
        let is_first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        if is_first { Reply::Wait(1) } else { Reply::Fine }
    });
    let told = scene.tell(&alert(Sev::Sev1, "payments")).await;
    assert!(told.result.is_ok() && told.took >= Duration::from_secs(1));
    assert_eq!(scene.slack.asked().len(), 2);
    scene.slack.always(Reply::Wait(1));
    assert!(scene.tell(&alert_at(Sev::Sev1, "login", 1, 2)).await.backed_up);
    assert_eq!(scene.slack.asked().len(), 2, "once more, not for ever");
}

#[tokio::test]
async fn a_sev_1_does_not_wait_behind_a_sev_3_that_hangs() {
    let scene = Scene::bot().await;
    scene.slack.answers(|asked| match asked.channel() {
        "#critical-alerts" => Reply::Fine,
        _ => Reply::Never,
    });
    let messages = [alert(Sev::Sev3, "batch"), alert_at(Sev::Sev1, "payments", 0, 2)];
    let deadline = Instant::now() + Duration::from_secs(2);
    let told = scene.notifiers.deliver(&messages, deadline).await;
    assert!(told[0][0].result.is_err() && told[0][0].backed_up);
    assert!(told[1][0].result.is_ok());
    assert_eq!(scene.files(), ["backup_20261122_025012_SEV-3.json"]);
}

#[tokio::test]
async fn messages_of_one_channel_go_out_by_severity_and_edits_last() {
    let scene = Scene::bot().await;
    let edit = Form::Edit(thread("#infrastructure-alerts", "1.2"));
    let messages = [
        with_form(alert_at(Sev::Sev2, "edited", 0, 1), edit),
        alert_at(Sev::Sev3, "batch", 0, 2),
        alert_at(Sev::Sev2, "web", 0, 3),
        alert_at(Sev::Sev2, "shop", 0, 4),
    ];
    let told = scene.tell_all(&messages).await;
    assert!(told.iter().all(|delivery| delivery.result.is_ok()));
    let shown: Vec<String> =
        scene.slack.asked().iter().map(super::fake_slack::Asked::shown).collect();
    let place = |service: &str| {
        let says = |text: &String| text.contains(&format!("{service} is down"));
        shown.iter().position(says).unwrap_or_else(|| panic!("{service}: {shown:#?}"))
    };
    // SEV-2 has a worker of its own.
    assert!(place("web") < place("shop") && place("batch") < place("edited"));
}
