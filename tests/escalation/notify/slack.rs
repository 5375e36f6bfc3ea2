//! What goes to Slack: both ways in, channels, threads, edits, test mode, refusals, secrets.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use mape_k::clock::Clock;
use mape_k::domain::decision::Sev;
use mape_k::domain::message::Form;
use mape_k::domain::secret::Secret;
use mape_k::metrics::Metrics;
use mape_k::notify::Notifiers;
use mape_k::notify::settings::Slack;

use super::fake_slack::Reply;
use super::messages::{alert, thread, with_form};
use super::post::Post;
use super::{Scene, TOKEN, both, setup, soon};

#[tokio::test]
async fn b23_nothing_to_tell_is_no_call_and_no_file() {
    let scene = Scene::bot().await;
    assert!(scene.notifiers.deliver(&[], soon()).await.is_empty());
    let resent = scene.notifiers.resend(&|_| true, alert(Sev::Sev1, "pay").at, soon()).await;
    assert!(resent.is_empty());
    assert!(scene.slack.asked().is_empty() && scene.files().is_empty());
}

#[tokio::test]
async fn b23_with_no_notifier_enabled_nothing_is_sent_or_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let metrics = Metrics::new(Clock::start().now());
    let off = Slack::default();
    let notifiers = Post::new(&setup(&off, &metrics, Some(folder.path())));
    assert!(notifiers.is_empty());
    let told = notifiers.deliver(&[alert(Sev::Sev1, "pay")], soon()).await;
    assert_eq!(told, vec![Vec::new()]);
    assert!(super::files(folder.path()).is_empty());
}

#[tokio::test]
async fn b24_an_alert_is_posted_with_the_bots_token_and_confirmed_with_its_thread() {
    let scene = Scene::bot().await;
    let told = scene.tell(&alert(Sev::Sev1, "payments")).await;
    let asked = scene.slack.asked_once();
    assert_eq!(asked.path, "/api/chat.postMessage");
    assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(asked.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(asked.channel(), "#critical-alerts");
    let place = told.result.expect("delivered").expect("a thread");
    assert_eq!((place.channel.as_str(), place.ts.as_str()), ("C0CRITICAL-ALERTS", "1763.000001"));
    assert!(scene.files().is_empty());
    let delivered = r#"mape_k_notifications_total{notifier="slack",result="delivered"}"#;
    assert!((scene.metric(delivered) - 1.0).abs() < 1e-9);
    let timed = r#"mape_k_notification_duration_seconds_count{notifier="slack"}"#;
    assert!((scene.metric(timed) - 1.0).abs() < 1e-9);
}

#[tokio::test]
async fn b24_less_than_sev_1_goes_to_the_infrastructure_channel() {
    let scene = Scene::bot().await;
    scene.tell(&alert(Sev::Sev2, "web")).await;
    assert_eq!(scene.slack.asked_once().channel(), "#infrastructure-alerts");
}

#[tokio::test]
async fn b24_updates_and_ends_are_told_in_the_thread_and_edits_change_the_message() {
    let scene = Scene::bot().await;
    let message = alert(Sev::Sev1, "payments");
    let place = scene.tell(&message).await.result.expect("delivered").expect("a thread");
    scene.slack.asked();
    for form in [Form::Update(Some(place.clone())), Form::Ended(Some(place.clone()))] {
        let told = scene.tell(&with_form(message.clone(), form)).await;
        assert_eq!(told.result.expect("delivered"), Some(place.clone()), "the thread stays");
        let asked = scene.slack.asked_once();
        assert_eq!(asked.path, "/api/chat.postMessage");
        assert_eq!(
            (asked.channel(), &asked.body["thread_ts"]),
            ("C0CRITICAL-ALERTS", &place.ts.clone().into())
        );
    }
    let told = scene.tell(&with_form(message, Form::Edit(place.clone()))).await;
    assert_eq!(told.result.expect("delivered"), Some(place.clone()));
    let asked = scene.slack.asked_once();
    assert_eq!(asked.path, "/api/chat.update");
    assert_eq!((asked.channel(), &asked.body["ts"]), ("C0CRITICAL-ALERTS", &place.ts.into()));
}

#[tokio::test]
async fn an_edit_that_fails_is_said_and_has_no_backup() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::No("message_not_found"));
    let edit = with_form(alert(Sev::Sev2, "web"), Form::Edit(thread("C1", "1.2")));
    let told = scene.tell(&edit).await;
    assert!(told.result.expect_err("refused").contains("message_not_found"));
    assert!(!told.backed_up && scene.files().is_empty());
}

#[tokio::test]
async fn b24_an_incoming_webhook_has_messages_of_their_own_and_no_edits() {
    let scene = Scene::webhook().await;
    let message = alert(Sev::Sev1, "payments");
    let told = scene.tell(&message).await;
    assert_eq!(told.result, Ok(None), "confirmed, without a thread");
    let asked = scene.slack.asked_once();
    assert_eq!(asked.path, "/services/T0SECRET/B0/xyz");
    assert!(asked.body.get("channel").is_none(), "the webhook has its own");
    assert!(!asked.headers.contains_key("authorization"));
    let edit = with_form(message.clone(), Form::Edit(thread("C1", "1.2")));
    assert_eq!(scene.notifiers.deliver(&[edit], soon()).await, [[]], "nothing was told");
    assert!(scene.slack.asked().is_empty());
    for form in [Form::Update(Some(thread("C1", "1.2"))), Form::Ended(None)] {
        assert_eq!(scene.tell(&with_form(message.clone(), form)).await.result, Ok(None));
        assert!(scene.slack.asked_once().body.get("thread_ts").is_none());
    }
}

#[tokio::test]
async fn in_test_mode_everything_goes_to_the_test_channel_and_says_so() {
    let scene = Scene::with(|slack, _| slack.test_mode = true).await;
    let message = alert(Sev::Sev1, "payments");
    let place = scene.tell(&message).await.result.expect("delivered").expect("a thread");
    let asked = scene.slack.asked_once();
    assert_eq!(asked.channel(), "#test-alerts");
    assert!(asked.shown().starts_with("[TEST] SEV-1"), "{}", asked.shown());
    assert!(asked.body["text"].as_str().expect("a text").starts_with("[TEST]"));
    // A thread that began before test mode is left alone.
    let elsewhere = thread("C0CRITICAL-ALERTS", "1.2");
    let edit = with_form(message.clone(), Form::Edit(elsewhere.clone()));
    assert_eq!(scene.notifiers.deliver(&[edit], soon()).await, [[]], "nothing was told");
    assert!(scene.slack.asked().is_empty());
    scene.tell(&with_form(message.clone(), Form::Ended(Some(elsewhere)))).await;
    let asked = scene.slack.asked_once();
    assert_eq!((asked.channel(), asked.body.get("thread_ts")), ("#test-alerts", None));
    // Its own threads are used.
    scene.tell(&with_form(message, Form::Ended(Some(place.clone())))).await;
    assert_eq!(scene.slack.asked_once().body["thread_ts"], place.ts);
}

#[tokio::test]
async fn b07_a_refusal_names_slacks_code_and_what_to_do() {
    let scene = Scene::bot().await;
    let cases = [
        ("not_in_channel", "Invite the bot"),
        ("channel_not_found", "slack.channels"),
        ("invalid_auth", "slack.token"),
        ("missing_scope", "it needs chat:write"),
        ("is_archived", "archived"),
        ("something_new", "errors of the method"),
    ];
    for (code, advice) in cases {
        scene.slack.always(Reply::No(code));
        let error = scene.tell(&alert(Sev::Sev2, "web")).await.result.expect_err("refused");
        assert!(error.contains(code) && error.contains(advice), "{error}");
    }
    let refused = r#"mape_k_notifications_total{notifier="slack",result="refused"}"#;
    assert!((scene.metric(refused) - 6.0).abs() < 1e-9);
}

#[tokio::test]
async fn b24_a_channel_that_takes_nothing_is_stood_in_for_by_the_other() {
    let cases = [
        (Sev::Sev1, "channel_not_found", "#critical-alerts", "#infrastructure-alerts"),
        (Sev::Sev2, "is_archived", "#infrastructure-alerts", "#critical-alerts"),
    ];
    for (severity, code, wrong, other) in cases {
        let scene = Scene::bot().await;
        scene.slack.answers(
            move |asked| {
                if asked.channel() == wrong { Reply::No(code) } else { Reply::Fine }
            },
        );
        let place = scene.tell(&alert(severity, "payments")).await.result.expect("told");
        assert!(place.expect("a thread").channel.starts_with("C0"));
        let asked = scene.slack.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[1].channel(), other);
        let shown = asked[1].shown();
        assert!(shown.contains(wrong) && shown.contains(code), "why it is here: {shown}");
        assert!(scene.files().is_empty());
    }
}

#[tokio::test]
async fn b24_when_neither_channel_takes_it_the_first_error_stands() {
    let scene = Scene::bot().await;
    scene.slack.answers(|asked| match asked.channel() {
        "#critical-alerts" => Reply::No("not_in_channel"),
        _ => Reply::Status(500, "upstream"),
    });
    let told = scene.tell(&alert(Sev::Sev1, "payments")).await;
    assert!(told.backed_up && told.result.expect_err("refused").contains("not_in_channel"));
    assert_eq!(scene.slack.asked().len(), 2);
    // Nothing leaves the test channel.
    let test = Scene::with(|slack, _| slack.test_mode = true).await;
    test.slack.always(Reply::No("channel_not_found"));
    assert!(test.tell(&alert(Sev::Sev1, "payments")).await.result.is_err());
    assert_eq!(test.slack.asked().len(), 1);
}

#[tokio::test]
async fn what_a_notifier_does_not_send_is_no_delivery_of_its() {
    let (scene, alertmanager) = both().await;
    scene.slack.always(Reply::No("message_not_found"));
    for form in [Form::Edit(thread("C1", "1.2")), Form::Update(Some(thread("C1", "1.2")))] {
        let message = with_form(alert(Sev::Sev2, "web"), form);
        let told = scene.notifiers.deliver(&[message], soon()).await;
        assert_eq!(told[0].len(), 1, "{told:?}");
        assert!(told[0][0].result.is_err(), "the Alertmanager has confirmed nothing");
    }
    assert!(alertmanager.asked().is_empty());
}

#[tokio::test]
async fn b07_an_answer_that_confirms_nothing_is_a_failure() {
    let scene = Scene::bot().await;
    for body in [r#"{"ok":true}"#, "ok", "<html>a proxy</html>", r#"{"ok":false}"#, ""] {
        scene.slack.always(Reply::Status(200, body));
        let told = scene.tell(&alert(Sev::Sev2, "web")).await;
        assert!(told.result.is_err() && told.backed_up, "{body} was taken for a confirmation");
    }
    let webhook = Scene::webhook().await;
    for (status, body) in [(200, "<html>a proxy</html>"), (404, "no_service"), (302, "")] {
        webhook.slack.always(Reply::Status(status, body));
        let told = webhook.tell(&alert(Sev::Sev2, "web")).await;
        assert!(told.result.is_err() && told.backed_up, "{status} {body} was taken for one");
    }
}

/// What is logged in this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn b26_no_secret_stands_in_a_message_file_log_or_error() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    // With a single subscriber tracing asks only the thread that meets a callsite first, and that may be another test's.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    for scene in [Scene::bot().await, Scene::webhook().await] {
        let mut said = String::new();
        for reply in [Reply::Fine, Reply::Quote, Reply::No("invalid_auth")] {
            scene.slack.always(reply);
            let told = scene.tell(&alert(Sev::Sev1, "payments")).await;
            write!(said, "{told:?}").expect("memory");
        }
        for asked in scene.slack.asked() {
            said += &asked.body.to_string();
        }
        assert_eq!(scene.files().len(), 2);
        for file in scene.files() {
            said += &std::fs::read_to_string(scene.file(&file)).expect("a backup");
        }
        write!(said, "{:?}", scene.notifiers).expect("memory");
        said += &String::from_utf8_lossy(&log.0.lock().expect("no panic"));
        assert!(said.contains("people were not notified"), "the log is captured: {said}");
        for secret in [TOKEN, "T0SECRET", "B0/xyz"] {
            assert!(!said.contains(secret), "{secret} stands in:\n{said}");
        }
    }
}

#[tokio::test]
async fn b26_a_webhook_that_nobody_listens_at_is_not_named_in_the_error() {
    let scene = Scene::with(|slack, _| {
        slack.token = None;
        let url = "http://127.0.0.1:9/services/T0SECRET/B0/xyz".to_owned();
        slack.webhook_url = Some(Secret::new(url));
    })
    .await;
    let error = scene.tell(&alert(Sev::Sev1, "payments")).await.result.expect_err("refused");
    assert!(error.contains("slack.webhook_url") && !error.contains("T0SECRET"), "{error}");
}

#[test]
fn slack_that_is_enabled_without_a_way_in_is_refused_with_what_to_give() {
    let metrics = Metrics::new(Clock::start().now());
    let refused = |slack: &Slack| {
        Notifiers::new(setup(slack, &metrics, None)).expect_err("refused").to_string()
    };
    let mut slack = Slack { enabled: true, ..Slack::default() };
    assert!(refused(&slack).contains("slack.webhook_url"));
    slack.webhook_url = Some(Secret::new("hooks.slack.com/T0SECRET".to_owned()));
    assert!(!refused(&slack).contains("T0SECRET"));
    slack.token = Some(Secret::new("xoxb-a\nb".to_owned()));
    assert!(refused(&slack).contains("slack.token"));
}
