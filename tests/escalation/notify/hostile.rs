//! Text of others in a message is text: it formats, mentions, links and hides nothing. Harmless text is unchanged.

use mape_k::domain::decision::Sev;
use mape_k::domain::message::Message;

use super::Scene;
use super::fake_slack::{Asked, Reply};
use super::messages::alert;

/// Text of others in every place of a message that holds any.
fn saying(text: &str) -> Message {
    let mut message = alert(Sev::Sev2, "web");
    message.title = format!("SEV-2: {text}");
    for place in [&mut message.root_cause, &mut message.impact] {
        text.clone_into(place);
    }
    message.actions = vec![text.to_owned()];
    let entry = &mut message.entries[0];
    text.clone_into(&mut entry.service);
    entry.namespace = Some(text.to_owned());
    entry.findings = vec![text.to_owned()];
    entry.recommendations = vec![text.to_owned()];
    entry.deployment = Some(text.to_owned());
    message
}

/// As blocks, and as the text that goes where blocks are refused.
async fn sent(message: &Message) -> Vec<Asked> {
    let scene = Scene::bot().await;
    scene.slack.answers(|asked| {
        let has_blocks = asked.body.get("attachments").is_some();
        if has_blocks { Reply::No("invalid_blocks") } else { Reply::Fine }
    });
    scene.tell(message).await.result.expect("told");
    let asked = scene.slack.asked();
    assert_eq!(asked.len(), 2);
    asked
}

#[tokio::test]
async fn text_of_others_is_not_read_as_markup() {
    let cases = [
        ("*all is well*", "*all is well*"),
        ("`mape-k resume`", "`mape-k resume`"),
        ("_quietly_ done", "_quietly_"),
        ("~struck~ out", "~struck~"),
        ("see <https://evil.example|the runbook>", "<https://evil"),
        ("<!channel> and <!here|x>", "<!"),
        ("wake up @here", "@here"),
        ("done :white_check_mark: now", ":white_check_mark:"),
        ("reversed \u{202e}txet", "\u{202e}"),
        ("hid\u{200b}den", "\u{200b}"),
        ("esc \u{1b}[2J", "\u{1b}"),
        ("two\nlines", "two\nlines"),
        ("mode \u{430}uto", "\u{430}uto"),
    ];
    for (text, bad) in cases {
        for asked in sent(&saying(text)).await {
            for shown in [asked.shown().as_str(), asked.text()] {
                // The header is plain text, in which Slack reads nothing.
                let shown = shown.strip_prefix(&format!("SEV-2: {text}")).unwrap_or(shown);
                assert!(!shown.contains(bad), "{bad:?} stands in {shown:?}");
            }
        }
    }
}

/// A hidden character is shown, not swallowed: who compares two names sees that they differ.
#[tokio::test]
async fn what_hides_is_made_visible() {
    for (text, shown) in [("a\u{202e}b", "a\\u{202e}b"), ("\u{430}uto", "\\u{430}uto")] {
        for asked in sent(&saying(text)).await {
            assert!(asked.shown().contains(shown), "{}", asked.shown());
        }
    }
    // A name that is all of another alphabet looks like "cope" and is quoted.
    let mut message = alert(Sev::Sev2, "web");
    message.entries[0].service = "\u{441}\u{43e}\u{440}\u{435}".to_owned();
    let shown = sent(&message).await[0].shown();
    assert!(shown.contains("\"\\u{441}\\u{43e}\\u{440}\\u{435}\""), "{shown}");
}

#[tokio::test]
async fn harmless_text_is_unchanged() {
    let texts = [
        "scale_up of charter_policy at 10:30:15, 3 of 5 ready",
        "system:serviceaccount:shop:default has no access to [::1]:8001",
        "Für Größe 5 μs → 8 kΩ, 使用GPU, naïve café",
        "registry:5000/app:1.2@sha256:ab12 by ada@example.org",
        "kubectl logs -n production deploy/web --previous",
    ];
    for text in texts {
        for asked in sent(&saying(text)).await {
            let shown = asked.shown();
            // Severity and title; what; impact; the action; the finding; recommendation; deployment.
            assert!(shown.matches(text).count() >= 7, "{text} in {shown}");
        }
    }
}

/// The address of a page can be opened, and is all that the link shows.
#[tokio::test]
async fn links_in_messages_are_links() {
    let mut message = alert(Sev::Sev2, "web");
    message.entries[0].deployment = Some(
        "likely: 0123456789 by ada, 7 min before the onset: New index; files: a.yaml; \
         https://github.com/acme/shop/commit/0123456789"
            .to_owned(),
    );
    message.entries[0].findings =
        vec!["See the dashboard (https://grafana.example/d/_x_?a=1&b=*2*).".to_owned()];
    for asked in sent(&message).await {
        let shown = asked.shown();
        for link in [
            "<https://github.com/acme/shop/commit/0123456789>",
            "(<https://grafana.example/d/_x_?a=1&amp;b=*2*>).",
            "<https://runbooks.example/web?a=1&amp;b=2|what it means, what to do>",
        ] {
            assert!(shown.contains(link), "{link} in {shown}");
        }
    }
    for text in ["https://", "http://|x", "xhttps://a.example", "ftp://a.example"] {
        let asked = &sent(&saying(text)).await[0];
        assert!(!asked.shown().contains("<http") || asked.shown().contains("<https://runbooks"));
        assert_eq!(asked.shown().matches("<http").count(), 1, "only the runbook: {text}");
    }
}
