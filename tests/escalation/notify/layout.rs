//! How a message looks, and that it never goes beyond what Slack takes.

use mape_k::domain::decision::Sev;
use mape_k::domain::message::{Form, Message};
use serde_json::Value;

use super::Scene;
use super::fake_slack::Asked;
use super::messages::{alert, at, entry, thread, with_form};

async fn sent(message: &Message) -> Asked {
    let scene = Scene::bot().await;
    scene.tell(message).await.result.expect("delivered");
    scene.slack.asked_once()
}

async fn golden(name: &str, message: &Message) {
    let body = sent(message).await.body;
    insta::assert_snapshot!(name, serde_json::to_string_pretty(&body).expect("JSON"));
}

#[tokio::test]
async fn b25_sev_1() {
    let mut message = alert(Sev::Sev1, "payments");
    message.is_partial = true;
    message.entries[0].deployment = Some(
        "1a2b3c4 by ada, \"Use the new gateway\" (#812 Use the new gateway), 15 min before: apps/payments/deploy.yaml"
            .to_owned(),
    );
    message.entries.push(entry(2, "checkout", Sev::Sev2));
    golden("sev_1", &message).await;
}

#[tokio::test]
async fn b25_sev_2() {
    golden("sev_2", &alert(Sev::Sev2, "web")).await;
}

#[tokio::test]
async fn b25_sev_3() {
    golden("sev_3", &alert(Sev::Sev3, "batch")).await;
}

#[tokio::test]
async fn b25_sev_4_as_a_summary() {
    golden("sev_4_summary", &with_form(alert(Sev::Sev4, "toys"), Form::Summary)).await;
}

#[tokio::test]
async fn b25_an_end_in_the_thread() {
    let mut message =
        with_form(alert(Sev::Sev1, "payments"), Form::Ended(Some(thread("C1", "1.2"))));
    message.title = "payments is well again".to_owned();
    message.entries[0].ended_at = Some(at(600));
    golden("ended", &message).await;
}

#[tokio::test]
async fn b25_what_others_wrote_calls_nobody_and_makes_no_link() {
    let mut message = alert(Sev::Sev2, "web");
    let hostile = "<!channel> <@U123> <https://evil.example|click> & @here\nsecond line";
    message.title = hostile.to_owned();
    message.root_cause = hostile.to_owned();
    message.actions = vec![hostile.to_owned()];
    let entry = &mut message.entries[0];
    entry.service = hostile.to_owned();
    entry.findings = vec![hostile.to_owned()];
    entry.runbook_url = Some("https://a.example/|<!channel>?a=1&b=2".to_owned());
    let asked = sent(&message).await;
    let header = asked.body["blocks"][0]["text"].clone();
    assert_eq!(header["type"], "plain_text", "Slack reads no markup there");
    for block in asked.blocks().iter().skip(1) {
        let texts = block["text"].is_object().then_some(&block["text"]);
        for text in texts.into_iter().chain(block["elements"].as_array().into_iter().flatten()) {
            assert_eq!(text["verbatim"], Value::Bool(true), "names are not made into mentions");
            let text = text["text"].as_str().expect("a text");
            for left in ["<!", "<@", "<https://evil"] {
                assert!(!text.contains(left), "{left} in {text}");
            }
        }
    }
    let fallback = asked.body["text"].as_str().expect("a text");
    assert!(fallback.contains("&lt;!channel&gt;") && !fallback.contains("<!"), "{fallback}");
    assert!(asked.shown().contains("<https://a.example/%7C%3C!channel%3E?a=1&amp;b=2|"));
}

/// Slack's limits: blocks, characters of a section, of a header, and of all together.
fn assert_within_limits(asked: &Asked) {
    let units = |text: &str| text.encode_utf16().count();
    let blocks = asked.blocks();
    assert!(blocks.len() <= 50, "{} blocks", blocks.len());
    for block in &blocks {
        let text = block["text"]["text"].as_str().or(block["elements"][0]["text"].as_str());
        let text = text.expect("a text");
        let most = if block["type"] == "header" { 150 } else { 3_000 };
        assert!(!text.is_empty() && units(text) <= most, "{} characters: {text}", units(text));
    }
    // Refused with msg_blocks_too_long from about 11,000 on.
    assert!(units(&asked.shown()) <= 10_000, "{} characters", units(&asked.shown()));
    assert!(units(asked.body["text"].as_str().expect("a text")) <= 4_000);
}

#[tokio::test]
async fn b25_two_hundred_incidents_are_one_message_with_a_pointer_to_the_rest() {
    let mut message = alert(Sev::Sev1, "everything");
    message.entries = (1..=200)
        .map(|number| {
            let severity = if number == 200 { Sev::Sev1 } else { Sev::Sev3 };
            entry(number, &format!("service-{number}"), severity)
        })
        .collect();
    let asked = sent(&message).await;
    assert_within_limits(&asked);
    let shown = asked.shown();
    let listed = shown.matches("INC-").count();
    assert!(listed >= 10, "only {listed} are shown");
    assert!(shown.contains(&format!("… and {} more: `mape-k status`", 200 - listed)), "{shown}");
    assert!(shown.contains("INC-20261122_025012-200"), "the worst is shown");
}

#[tokio::test]
async fn b25_texts_without_end_are_cut_and_nothing_is_left_out_in_silence() {
    let long = "<&> a crash 💥 ".repeat(2_000);
    let mut message = alert(Sev::Sev1, "payments");
    message.title.clone_from(&long);
    message.root_cause.clone_from(&long);
    message.impact.clone_from(&long);
    message.actions = vec![long.clone(); 60];
    for number in 1..=30 {
        let mut one = entry(number, &long, Sev::Sev2);
        one.findings = vec![long.clone(); 60];
        one.recommendations = vec![long.clone(); 60];
        one.namespace = Some(long.clone());
        one.deployment = Some(long.clone());
        one.runbook_url = Some(format!("https://runbooks.example/{long}"));
        message.entries.push(one);
    }
    let asked = sent(&message).await;
    assert_within_limits(&asked);
    let shown = asked.shown();
    assert!(shown.contains("INC-20261122_025012-001") && shown.contains("more: `mape-k status`"));
    assert!(!shown.contains("&am…") && !shown.contains("&l…"), "no entity is cut in two");
    for form in [Form::Summary, Form::Update(None), Form::Ended(None)] {
        assert_within_limits(&sent(&with_form(message.clone(), form)).await);
    }
}

#[tokio::test]
async fn b25_a_message_without_words_is_still_one_that_slack_takes() {
    let mut message = alert(Sev::Sev2, "web");
    message.root_cause.clear();
    message.impact.clear();
    message.actions.clear();
    message.entries.clear();
    message.cycle_id.clear();
    assert_within_limits(&sent(&message).await);
}
