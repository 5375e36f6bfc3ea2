//! W07: what Slack refuses one way is told another way, once: as text, in the other channel, anew; or it is kept and said
//! to be.

use mape_k::domain::decision::Sev;
use mape_k::domain::message::Form;
use serde_json::{Value, json};

use super::fake_slack::{Asked, Reply};
use super::messages::{alert, alert_at, at, entry, thread, with_form};
use super::{Scene, both, soon};

const CRITICAL: &str = "#critical-alerts";
const INFRASTRUCTURE: &str = "#infrastructure-alerts";

fn has_blocks(asked: &Asked) -> bool {
    asked.body.get("attachments").is_some_and(|list| list[0].is_object())
        || asked.body.get("blocks").is_some_and(|list| list[0].is_object())
}

/// One of the answers that Slack was seen to give.
fn recorded(file: &str, answer: &str) -> Reply {
    let all: Value = serde_json::from_str(file).expect("recorded answers");
    Reply::Status(200, Box::leak(all[answer].to_string().into_boxed_str()))
}

const INVALID_BLOCKS: &str = include_str!("../../fixtures/slack/invalid_blocks.json");
const DELETED_PARENT: &str = include_str!("../../fixtures/slack/deleted_parent.json");

/// What a person must find in a message that they read alone.
fn assert_says_all(asked: &Asked) {
    let shown = asked.shown();
    for part in ["SEV-1", "payments", "no ready pod of 2", "INC-20261122_025012-001"] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
}

/// Case 27, with the answer that was reported: blocks are refused, and the same message goes as text at once.
#[tokio::test]
async fn w07_refused_blocks_are_sent_again_as_text_at_once() {
    let reported = recorded(INVALID_BLOCKS, "body");
    let more = ["invalid_blocks_format", "msg_too_long", "invalid_attachments", "too_many_blocks"];
    let codes = more.map(Reply::No).into_iter().chain([reported]);
    for refusal in codes {
        let scene = Scene::bot().await;
        let said = format!("{refusal:?}");
        scene.slack.answers(
            move |asked| {
                if has_blocks(asked) { refusal.clone() } else { Reply::Fine }
            },
        );
        let told = scene.tell(&alert(Sev::Sev1, "payments")).await;
        assert!(told.result.is_ok() && !told.backed_up, "{said}: {told:?}");
        let asked = scene.slack.asked();
        assert_eq!(asked.len(), 2, "{said}: the blocks, the text");
        assert_eq!(asked[1].channel(), CRITICAL, "it stays where it belongs");
        assert!(!has_blocks(&asked[1]));
        assert_says_all(&asked[1]);
        for part in ["Customers cannot pay", "Roll back", "CrashLoopBackOff", "kubectl logs"] {
            assert!(asked[1].text().contains(part), "{part}: {}", asked[1].text());
        }
        assert_eq!(asked[1].body["parse"], "none", "text of others makes no mentions");
    }
    // The twin: blocks that are taken are all there is.
    let scene = Scene::bot().await;
    scene.tell(&alert(Sev::Sev1, "payments")).await.result.expect("told");
    assert!(has_blocks(&scene.slack.asked_once()));
}

#[tokio::test]
async fn w07_an_incoming_webhook_gets_the_text_too() {
    let scene = Scene::webhook().await;
    scene.slack.answers(
        |asked| {
            if has_blocks(asked) { Reply::No("invalid_blocks") } else { Reply::Fine }
        },
    );
    let told = scene.tell(&alert(Sev::Sev1, "payments")).await;
    assert_eq!(told.result, Ok(None));
    let asked = scene.slack.asked();
    assert_eq!(asked.len(), 2);
    assert_says_all(&asked[1]);
}

#[tokio::test]
async fn w07_a_text_that_is_too_long_is_cut_with_a_note() {
    let scene = Scene::bot().await;
    scene.slack.answers(|asked| {
        if has_blocks(asked) { Reply::No("msg_blocks_too_long") } else { Reply::Fine }
    });
    let mut message = alert(Sev::Sev1, "payments");
    message.entries = (1..=200).map(|n| entry(n, &format!("service-{n}"), Sev::Sev1)).collect();
    scene.tell(&message).await.result.expect("told");
    let asked = scene.slack.asked();
    let text = asked[1].text();
    assert!(text.encode_utf16().count() <= 4_000, "{} characters", text.len());
    assert!(text.contains("more: `mape-k status`"), "{text}");
}

/// "A layout that was refused is refused again": neither in the other channel nor from a backup is it tried again.
#[tokio::test]
async fn w07_a_refused_layout_is_not_tried_again() {
    let scene = Scene::bot().await;
    scene.slack.answers(|asked| {
        if has_blocks(asked) { Reply::No("invalid_blocks") } else { Reply::Status(503, "away") }
    });
    let told = scene.tell(&alert(Sev::Sev1, "payments")).await;
    assert!(told.backed_up, "{told:?}");
    assert_eq!(scene.slack.asked().iter().filter(|asked| has_blocks(asked)).count(), 1);
    scene.slack.always(Reply::Fine);
    scene.notifiers.resend(&|_| true, at(60), soon()).await;
    let again = scene.slack.asked_once();
    assert!(!has_blocks(&again), "{again:?}");
    // The next message is laid out as ever.
    scene.tell(&alert_at(Sev::Sev1, "payments", 90, 2)).await.result.expect("told");
    assert!(has_blocks(&scene.slack.asked_once()));
}

/// An edit keeps what it does not name: what was refused must not stay beside the text.
#[tokio::test]
async fn w07_an_edit_as_text_takes_the_old_blocks_away() {
    let scene = Scene::bot().await;
    scene.slack.answers(
        |asked| {
            if has_blocks(asked) { Reply::No("invalid_blocks") } else { Reply::Fine }
        },
    );
    let edit = with_form(alert(Sev::Sev1, "payments"), Form::Edit(thread("C1", "1.2")));
    assert_eq!(scene.tell(&edit).await.result, Ok(Some(thread("C1", "1.2"))));
    let asked = scene.slack.asked();
    assert!(asked.iter().all(Asked::is_edit) && asked.len() == 2);
    assert_eq!(asked[1].body["blocks"], json!([]));
    assert_eq!(asked[1].body["attachments"], json!([]));
}

/// Any refusal that does not pass by itself, known or never seen, is told once in the other channel, which says why.
#[tokio::test]
async fn w07_w03_a_refused_channel_is_stood_in_for_by_the_other_one() {
    let codes =
        ["channel_not_found", "is_archived", "not_in_channel", "restricted_action", "moon_is_full"];
    for code in codes {
        let scene = Scene::bot().await;
        scene.slack.answers(move |asked| {
            if asked.channel() == CRITICAL { Reply::No(code) } else { Reply::Fine }
        });
        let told = scene.tell(&alert(Sev::Sev1, "payments")).await;
        assert!(told.result.is_ok() && !told.backed_up, "{code}: {told:?}");
        let asked = scene.slack.asked();
        let channels: Vec<&str> = asked.iter().map(Asked::channel).collect();
        assert_eq!(channels, [CRITICAL, INFRASTRUCTURE], "{code}");
        let shown = asked[1].shown();
        assert!(shown.contains("This was meant for #critical-alerts"), "{shown}");
        assert!(shown.contains(code), "{shown}");
    }
}

#[tokio::test]
async fn w07_when_the_other_channel_refuses_too_it_is_kept_and_both_are_reported() {
    let scene = Scene::bot().await;
    scene.slack.answers(|asked| match asked.channel() {
        CRITICAL => Reply::No("is_archived"),
        _ => Reply::No("moon_is_full"),
    });
    let told = scene.tell(&alert(Sev::Sev1, "payments")).await;
    assert!(told.backed_up);
    let error = told.result.expect_err("refused");
    assert!(error.contains("is_archived") && error.contains("moon_is_full"), "{error}");
    assert_eq!(scene.slack.asked().len(), 2, "each once");
    assert_eq!(scene.files().len(), 1);
    // The twin: the same message is told from its file as soon as a channel takes it.
    scene.slack.always(Reply::Fine);
    scene.notifiers.resend(&|_| true, at(60), soon()).await;
    assert_eq!(scene.slack.asked_once().channel(), CRITICAL);
}

#[tokio::test]
async fn w03_an_error_that_nobody_knows_is_counted() {
    let scene = Scene::bot().await;
    let unknown = "mape_k_slack_unknown_errors_total";
    scene.slack.always(Reply::No("is_archived"));
    scene.tell(&alert(Sev::Sev1, "payments")).await;
    assert!(scene.metric(unknown).abs() < 1e-9, "that one is known");
    for code in ["moon_is_full", "tide_is_low"] {
        scene.slack.always(Reply::No(code));
        scene.tell(&alert(Sev::Sev1, "payments")).await;
    }
    assert!((scene.metric(unknown) - 4.0).abs() < 1e-9, "two errors in two channels");
}

/// What passes by itself is not answered by moving elsewhere: it is kept and sent again.
#[tokio::test]
async fn w07_what_passes_by_itself_waits_for_its_own_channel() {
    let replies = [
        Reply::No("internal_error"),
        Reply::No("fatal_error"),
        Reply::No("service_unavailable"),
        Reply::No("request_timeout"),
        Reply::No("ratelimited"),
        Reply::Status(502, "bad gateway"),
    ];
    for reply in replies {
        let scene = Scene::bot().await;
        let said = format!("{reply:?}");
        scene.slack.always(reply);
        let told = scene.tell(&alert(Sev::Sev2, "web")).await;
        assert!(told.backed_up, "{said}");
        assert_eq!(scene.slack.asked_once().channel(), INFRASTRUCTURE, "{said}");
    }
}

/// No channel helps against a token that is refused: the next notifier tells it, a file keeps it, and the report says so.
#[tokio::test]
async fn w07_a_refused_token_goes_to_the_next_notifier_and_a_backup_at_once() {
    for code in ["invalid_auth", "token_revoked", "account_inactive", "missing_scope"] {
        let (scene, alertmanager) = both().await;
        scene.slack.always(Reply::No(code));
        alertmanager.always(Reply::Status(200, ""));
        let told = scene.notifiers.deliver(&[alert(Sev::Sev1, "payments")], soon()).await;
        let [slack, other] = &told[0][..] else { panic!("two notifiers: {told:?}") };
        let error = slack.result.clone().expect_err("refused");
        assert!(error.contains(code) && error.contains("no other channel can help"), "{error}");
        assert!(slack.backed_up && other.result.is_ok(), "{told:?}");
        assert_eq!(scene.slack.asked().len(), 1, "{code}");
        assert_eq!(alertmanager.asked().len(), 1);
    }
}

/// Case 29, an edit: the message was deleted, and what would have been its text is told in a new one, where everything of
/// it goes on.
#[tokio::test]
async fn w07_an_edit_of_a_deleted_message_becomes_a_new_message() {
    let others = ["cant_update_message", "edit_window_closed"].map(Reply::No);
    for refusal in others.into_iter().chain([recorded(DELETED_PARENT, "update_of_deleted")]) {
        let code = format!("{refusal:?}");
        let scene = Scene::bot().await;
        let gone = thread("C0CRITICAL-ALERTS", "1.2");
        let ts = gone.ts.clone();
        scene.slack.answers(move |asked| {
            if asked.is_edit() && asked.body["ts"] == ts { refusal.clone() } else { Reply::Fine }
        });
        let edit = with_form(alert(Sev::Sev1, "payments"), Form::Edit(gone.clone()));
        let place = scene.tell(&edit).await.result.expect("told").expect("a place");
        assert_ne!(place, gone, "{code}");
        let asked = scene.slack.asked();
        assert_eq!(asked.len(), 2, "{code}");
        assert!(!asked[1].is_edit() && asked[1].body.get("thread_ts").is_none(), "{code}");
        assert_says_all(&asked[1]);
        assert!(asked[1].shown().contains("deleted in Slack"), "{}", asked[1].shown());
        // Whatever still names the old one goes to the new one: nothing is edited in vain again.
        assert_eq!(scene.tell(&edit).await.result, Ok(Some(place.clone())));
        let edited = scene.slack.asked_once();
        assert!(edited.is_edit() && edited.body["ts"] == place.ts);
        let end = with_form(alert(Sev::Sev1, "payments"), Form::Ended(Some(gone.clone())));
        scene.tell(&end).await.result.expect("told");
        assert_eq!(scene.slack.asked_once().body["thread_ts"], place.ts);
    }
}

/// Case 29, a reply: Slack puts it at the channel's root without an error. There it says everything itself.
#[tokio::test]
async fn w07_an_answer_that_lands_at_the_root_can_be_understood_alone() {
    for in_full in [true, false] {
        let scene = Scene::bot().await;
        let gone = thread("C0123456789", "1.2");
        scene.slack.answers(|asked| {
            if asked.body["thread_ts"] == "1.2" {
                recorded(DELETED_PARENT, "reply_to_deleted")
            } else {
                Reply::Fine
            }
        });
        let form = if in_full { Form::Update(Some(gone.clone())) } else { Form::Ended(Some(gone)) };
        let place = scene.tell(&with_form(alert(Sev::Sev1, "payments"), form)).await;
        let place = place.result.expect("told").expect("a place");
        let asked = scene.slack.asked();
        assert_eq!(asked.len(), 2, "the answer, and the rest of it");
        assert!(asked[1].is_edit() && asked[1].body["ts"] == place.ts, "{asked:?}");
        assert_says_all(&asked[1]);
        assert!(asked[1].shown().contains("deleted in Slack"));
        assert_eq!(asked[1].shown().contains("Roll back"), in_full, "what to do while it lasts");
    }
    // The twin: an answer that is in its thread stays short.
    let scene = Scene::bot().await;
    let here = thread("C0123456789", "1.2");
    let update = with_form(alert(Sev::Sev1, "payments"), Form::Update(Some(here.clone())));
    assert_eq!(scene.tell(&update).await.result, Ok(Some(here)));
    assert!(!scene.slack.asked_once().shown().contains("Roll back"));
}

/// A server between us and Slack may leave the message out of its answer: that is no sign of a lost thread.
#[tokio::test]
async fn an_answer_without_the_message_is_taken_for_one_in_its_thread() {
    let scene = Scene::bot().await;
    scene.slack.always(Reply::Status(200, r#"{"ok":true,"channel":"C1","ts":"9.9"}"#));
    let end = with_form(alert(Sev::Sev1, "payments"), Form::Ended(Some(thread("C1", "1.2"))));
    assert_eq!(scene.tell(&end).await.result, Ok(Some(thread("C1", "1.2"))));
    assert_eq!(scene.slack.asked().len(), 1);
}

#[tokio::test]
async fn w07_a_thread_that_is_refused_is_told_anew() {
    for code in ["thread_not_found", "message_not_found", "cannot_reply_to_message"] {
        let scene = Scene::bot().await;
        scene.slack.answers(move |asked| {
            if asked.body.get("thread_ts").is_some() { Reply::No(code) } else { Reply::Fine }
        });
        let gone = thread("C0123456789", "1.2");
        let end = with_form(alert(Sev::Sev1, "payments"), Form::Ended(Some(gone.clone())));
        let place = scene.tell(&end).await.result.expect("told").expect("a place");
        assert_ne!(place, gone);
        let asked = scene.slack.asked();
        assert_eq!((asked.len(), asked[1].channel()), (2, "C0123456789"));
        assert_says_all(&asked[1]);
    }
}

/// An archived channel takes its threads with it: their ends are told in the other one.
#[tokio::test]
async fn w07_an_answer_in_an_archived_channel_is_told_in_the_other() {
    let scene = Scene::bot().await;
    scene.slack.answers(|asked| {
        let is_critical = [CRITICAL, "C0CRITICAL-ALERTS"].contains(&asked.channel());
        if is_critical { Reply::No("is_archived") } else { Reply::Fine }
    });
    let here = thread("C0CRITICAL-ALERTS", "1.2");
    let end = with_form(alert(Sev::Sev1, "payments"), Form::Ended(Some(here)));
    let place = scene.tell(&end).await.result.expect("told").expect("a place");
    assert_eq!(place.channel, "C0INFRASTRUCTURE-ALERTS");
    let last = scene.slack.asked().pop().expect("asked");
    assert!(last.body.get("thread_ts").is_none());
    assert_says_all(&last);
}

/// Every refusal at once is still bounded, kept, and said.
#[tokio::test]
async fn w07_refused_in_every_way_it_is_kept_after_a_bounded_number_of_calls() {
    let scene = Scene::bot().await;
    scene.slack.answers(|asked| {
        if asked.body.get("thread_ts").is_some() {
            Reply::No("thread_not_found")
        } else if has_blocks(asked) {
            Reply::No("invalid_blocks")
        } else {
            Reply::No("restricted_action")
        }
    });
    let here = thread("C0123456789", "1.2");
    let end = with_form(alert(Sev::Sev1, "payments"), Form::Ended(Some(here)));
    let told = scene.tell(&end).await;
    assert!(told.backed_up);
    let error = told.result.expect_err("refused");
    for code in ["thread_not_found", "invalid_blocks", "restricted_action"] {
        assert!(error.contains(code), "{error}");
    }
    assert!(scene.slack.asked().len() <= 5);
}

/// Nothing counts as delivered that was not; what was, with a warning, counts.
#[tokio::test]
async fn w07_only_a_confirmation_counts() {
    let scene = Scene::bot().await;
    let nothing = [
        r#"{"ok":true,"channel":"C1"}"#,
        r#"{"ok":true,"channel":"C1","ts":""}"#,
        r#"{"ok":false,"warning":"missing_charset"}"#,
        r#"{"ok":false,"error":""}"#,
        "<!DOCTYPE html><title>Sign in to the proxy</title>",
    ];
    for body in nothing {
        scene.slack.always(Reply::Status(200, body));
        let told = scene.tell(&alert(Sev::Sev2, "web")).await;
        assert!(told.result.is_err() && told.backed_up, "{body} was taken for a confirmation");
    }
    let warned = r#"{"ok":true,"channel":"C1","ts":"1.2","warning":"missing_charset",
        "response_metadata":{"warnings":["missing_charset"]},"message":"of another shape"}"#;
    scene.slack.always(Reply::Status(200, warned));
    assert_eq!(scene.tell(&alert(Sev::Sev2, "web")).await.result, Ok(Some(thread("C1", "1.2"))));
}
