//! What cannot be delivered waits in a file: each kind of failure, names, content, bounds, a disk that will not.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mape_k::clock::Clock;
use mape_k::domain::decision::Sev;
use mape_k::domain::message::{Form, Message};
use mape_k::domain::secret::Secret;
use mape_k::http::{Connections, Failure, Http, HttpTransport};
use mape_k::metrics::Metrics;
use mape_k::notify::Notifiers;
use mape_k::notify::settings::Slack;
use reqwest::{Client, Request, Response};
use serde_json::Value;
use tokio::time::Instant;

use super::fake_slack::Reply;
use super::messages::{alert, alert_at, at, entry, with_form};
use super::post::Post;
use super::{Scene, TOKEN, files, setup, soon};

fn content(scene: &Scene, file: &str) -> Value {
    let text = std::fs::read_to_string(scene.file(file)).expect("a backup");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn b05_a_500_leaves_a_backup_with_the_whole_message_and_why() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::Status(500, "upstream"));
    let message = alert(Sev::Sev1, "payments");
    let told = scene.tell(&message).await;
    assert!(told.backed_up);
    let error = told.result.expect_err("a 500");
    assert!(error.contains("500") && error.contains("chat.postMessage"), "{error}");
    assert_eq!(scene.files(), ["backup_20261122_025012_SEV-1.json"]);
    // Issue 14, §2: its owner's alone.
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    };
    let file = scene.file("backup_20261122_025012_SEV-1.json");
    assert_eq!([mode(&file), mode(file.parent().expect("a folder"))], [0o600, 0o700]);
    let content = content(&scene, "backup_20261122_025012_SEV-1.json");
    assert_eq!(content["notifier"], "slack");
    assert_eq!(content["error"], error);
    let kept: Message = serde_json::from_value(content["message"].clone()).expect("a message");
    assert_eq!(kept, message);
    assert!((scene.metric("mape_k_notifications_backed_up") - 1.0).abs() < 1e-9);
}

#[cfg(unix)]
#[tokio::test]
async fn b05_only_its_owner_can_read_a_backup() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::bot().await;
    scene.slack.always(Reply::Status(500, "upstream"));
    scene.tell(&alert(Sev::Sev1, "payments")).await;
    let file = scene.file("backup_20261122_025012_SEV-1.json");
    let mode = std::fs::metadata(file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn b06_no_answer_leaves_a_backup_and_the_deadline_holds() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::Never);
    let messages = [alert(Sev::Sev1, "payments"), alert_at(Sev::Sev1, "login", 1, 2)];
    let began = Instant::now();
    let deadline = began + Duration::from_millis(500);
    let told = scene.notifiers.deliver(&messages, deadline).await;
    assert!(told.iter().all(|each| each[0].backed_up && each[0].result.is_err()));
    assert_eq!(
        scene.files(),
        ["backup_20261122_025012_SEV-1.json", "backup_20261122_025013_SEV-1.json"]
    );
    let late = r#"mape_k_notifications_total{notifier="slack",result="timeout"}"#;
    assert!((scene.metric(late) - 2.0).abs() < 1e-9);
}

#[tokio::test]
async fn b07_ok_false_and_a_closed_connection_leave_a_backup_each() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::No("not_in_channel"));
    assert!(scene.tell(&alert(Sev::Sev2, "web")).await.backed_up);
    assert_eq!(scene.files(), ["backup_20261122_025012_SEV-2.json"]);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    let closing = Scene::with(|slack, _| {
        slack.api_url = format!("http://{address}/api").parse().expect("a URL");
    })
    .await;
    let told = closing.tell(&alert(Sev::Sev2, "web")).await;
    assert!(told.backed_up && told.result.expect_err("closed").contains("slack.api_url"));
    assert_eq!(closing.files(), ["backup_20261122_025012_SEV-2.json"]);
}

/// A way to Slack with a defect in it.
#[derive(Debug)]
struct Panicking {
    http: Http,
    is_broken: AtomicBool,
}

#[async_trait]
impl HttpTransport for Panicking {
    fn client(&self) -> &Client {
        self.http.client()
    }

    async fn send(&self, request: Request) -> Result<Response, Failure> {
        assert!(!self.is_broken.load(Ordering::Relaxed), "a defect with {TOKEN} in its text");
        self.http.send(request).await
    }
}

#[tokio::test]
async fn b07_a_panic_is_a_failed_delivery_with_a_backup_and_the_next_message_goes() {
    let scene = Scene::bot().await;
    let http = Http::reaching(&scene.slack.url, None, Connections::default()).expect("a client");
    let wire = Arc::new(Panicking { http, is_broken: AtomicBool::new(true) });
    let settings = Slack {
        enabled: true,
        api_url: scene.slack.url.join("api").expect("a URL"),
        token: Some(Secret::new(TOKEN.to_owned())),
        ..Slack::default()
    };
    let setup = setup(&settings, &scene.metrics, Some(scene.folder.path()));
    let new = || {
        Notifiers::with_transport(wire.clone(), setup.clone()).expect("settings that can notify")
    };
    let notifiers = Post::of(new(), new(), &scene.metrics);
    let told = notifiers.deliver(&[alert(Sev::Sev1, "payments")], soon()).await;
    assert!(told[0][0].backed_up);
    let error = told[0][0].result.clone().expect_err("a panic");
    assert!(error.contains("panicked") && !error.contains(TOKEN), "{error}");
    assert_eq!(scene.files(), ["backup_20261122_025012_SEV-1.json"]);
    wire.is_broken.store(false, Ordering::Relaxed);
    let told = notifiers.deliver(&[alert_at(Sev::Sev1, "login", 1, 2)], soon()).await;
    assert!(told[0][0].result.is_ok());
}

#[tokio::test]
async fn b26_a_secret_that_is_a_common_word_leaves_a_backup_that_can_be_read() {
    let scene =
        Scene::with(|slack, _| slack.token = Some(Secret::new("severity".to_owned()))).await;
    scene.slack.always(Reply::Quote);
    let mut message = alert(Sev::Sev1, "payments");
    message.root_cause = "the severity of it".to_owned();
    let told = scene.tell(&message).await;
    assert!(told.backed_up && !told.result.expect_err("a 500").contains("severity"));
    let content = content(&scene, &scene.files()[0]);
    assert_eq!(content["message"]["severity"], "SEV-1");
    assert_eq!(content["message"]["root_cause"], "the *** of it");
    scene.slack.always(Reply::Fine);
    let resent = scene.notifiers.resend(&|_| true, at(60), soon()).await;
    assert!(resent[0].1.result.is_ok());
}

#[tokio::test]
async fn b05_a_message_that_is_too_large_is_kept_without_its_least_severe_incidents() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::Status(500, "upstream"));
    let mut message = alert(Sev::Sev1, "payments");
    message.entries = (0..3_000).map(|n| entry(n, "batch", Sev::Sev3)).collect();
    for entry in &mut message.entries {
        entry.findings.push("x".repeat(2_000));
    }
    message.entries.push(entry(3_000, "payments", Sev::Sev1));
    assert!(scene.tell(&message).await.backed_up);
    scene.slack.always(Reply::Fine);
    let kept = content(&scene, &scene.files()[0]);
    let kept: Message = serde_json::from_value(kept["message"].clone()).expect("a message");
    assert_eq!(kept.entries[0].service, "payments", "the worst is kept");
    assert!(kept.impact.starts_with("1501 more incidents: mape-k status. "), "{}", kept.impact);
    let resent = scene.notifiers.resend(&|_| true, at(60), soon()).await;
    assert!(resent[0].1.result.is_ok());
    assert_eq!(scene.files(), ["backup_20261122_025012_SEV-1.sent.json"]);
}

#[tokio::test]
async fn b07_backups_of_one_second_do_not_collide() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::Status(500, "upstream"));
    let forms = [Form::Alert, Form::Update(None), Form::Ended(None), Form::Summary];
    let numbered = (1..).zip(forms);
    let messages: Vec<Message> = numbered
        .map(|(number, form)| with_form(alert_at(Sev::Sev1, "payments", 0, number), form))
        .collect();
    let told = scene.tell_all(&messages).await;
    assert!(told.iter().all(|delivery| delivery.backed_up));
    assert_eq!(
        scene.files(),
        [
            "backup_20261122_025012_SEV-1-2.json",
            "backup_20261122_025012_SEV-1-3.json",
            "backup_20261122_025012_SEV-1-4.json",
            "backup_20261122_025012_SEV-1.json",
        ]
    );
}

#[tokio::test]
async fn b07_a_name_is_not_used_again_when_its_backup_was_sent() {
    let scene = Scene::bot().await;
    let message = alert(Sev::Sev1, "payments");
    for _ in 0..2 {
        scene.slack.always(Reply::Status(500, "upstream"));
        scene.tell(&message).await;
        scene.slack.always(Reply::Fine);
        scene.notifiers.resend(&|_| true, at(60), soon()).await;
    }
    assert_eq!(
        scene.files(),
        ["backup_20261122_025012_SEV-1-2.sent.json", "backup_20261122_025012_SEV-1.sent.json"]
    );
}

#[tokio::test]
async fn b07_a_disk_that_takes_no_backup_loses_no_message() {
    let scene = Scene::bot().await;
    std::fs::write(scene.folder.path().join("incidents"), "a file, not a folder").expect("written");
    scene.slack.always(Reply::Status(500, "upstream"));
    let told = scene.tell(&alert(Sev::Sev1, "payments")).await;
    assert!(!told.backed_up && told.result.is_err());
    // The file is a copy: the outbox has the message.
    scene.slack.always(Reply::Fine);
    assert!(scene.notifiers.resend(&|_| true, at(60), soon()).await[0].1.result.is_ok());
}

#[tokio::test]
async fn b07_without_a_folder_the_message_waits_all_the_same() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::Status(500, "upstream"));
    let settings = Slack {
        enabled: true,
        api_url: scene.slack.url.join("api").expect("a URL"),
        token: Some(Secret::new(TOKEN.to_owned())),
        ..Slack::default()
    };
    let notifiers = Post::new(&setup(&settings, &scene.metrics, None));
    let told = notifiers.deliver(&[alert(Sev::Sev1, "payments")], soon()).await;
    assert!(told[0][0].result.is_err() && !told[0][0].backed_up);
    scene.slack.always(Reply::Fine);
    assert!(notifiers.resend(&|_| true, at(60), soon()).await[0].1.result.is_ok());
}

#[tokio::test]
async fn what_a_killed_process_left_half_written_is_no_backup_and_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let incidents = folder.path().join("incidents");
    std::fs::create_dir(&incidents).expect("made");
    std::fs::write(incidents.join(".backup-a1b2c3"), "{\"notifier\":").expect("written");
    std::fs::write(incidents.join("notes.txt"), "mine").expect("written");
    let metrics = Metrics::new(Clock::start().now());
    let settings = Slack::default();
    Post::new(&setup(&settings, &metrics, Some(folder.path()))).begin().await;
    assert_eq!(files(folder.path()), ["notes.txt"]);
}

#[tokio::test]
async fn at_most_five_hundred_wait_and_the_least_severe_oldest_is_given_up_in_plain_sight() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::No("channel_not_found"));
    let told = scene.tell(&alert(Sev::Sev3, "batch")).await;
    assert!(told.backed_up);
    let text = std::fs::read(scene.file(&scene.files()[0])).expect("a backup");
    for second in 0..499 {
        let name = format!("backup_20261121_{second:06}_SEV-2.json");
        std::fs::write(scene.file(&name), &text).expect("written");
    }
    scene.tell(&alert_at(Sev::Sev1, "payments", 1, 2)).await;
    let files = scene.files();
    assert!(files.contains(&"backup_20261122_025012_SEV-3.dropped.json".to_owned()));
    assert!(files.contains(&"backup_20261122_025013_SEV-1.json".to_owned()));
}
