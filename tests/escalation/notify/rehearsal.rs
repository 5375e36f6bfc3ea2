//! Issue 14: whoever is told of a rehearsal sees at once that it is one.

use mape_k::domain::decision::Sev;
use serde_json::Value;

use super::fake_slack::Reply;
use super::messages::{alert, alert_at, at, entry};
use super::{Scene, both, both_at, soon};

const MARK: &str = "[REHEARSAL 30x] ";

fn content(scene: &Scene, file: &str) -> Value {
    let text = std::fs::read_to_string(scene.file(file)).expect("a backup");
    serde_json::from_str(&text).expect("JSON")
}

fn title(scene: &Scene, file: &str) -> String {
    content(scene, file)["message"]["title"].as_str().expect("a title").to_owned()
}

#[tokio::test]
async fn s14_everything_that_people_are_sent_begins_with_the_speed() {
    for (rehearsal, mark) in [(Some(30.0), MARK), (None, "")] {
        let (scene, alertmanager) = both_at(rehearsal).await;
        let first = format!("{mark}SEV-1: payments is down");
        scene.tell(&alert(Sev::Sev1, "payments")).await;
        let asked = scene.slack.asked_once();
        assert!(asked.text().starts_with(&first), "{}", asked.text());
        assert!(asked.shown().starts_with(&first), "{}", asked.shown());

        let refreshed =
            scene.notifiers.refresh(&[entry(2, "web", Sev::Sev2)], at(30), soon()).await;
        assert_eq!(refreshed, Some(Ok(())));
        let asked = alertmanager.asked();
        assert_eq!(asked.len(), 2, "the message and the refresh: {asked:?}");
        for posted in asked {
            let posted = &posted.body[0];
            let summary = posted["annotations"]["summary"].as_str().expect("a summary");
            assert!(summary.starts_with(&format!("{mark}SEV-")), "{summary}");
            let label = rehearsal.map_or(Value::Null, |_| "30x".into());
            assert_eq!(posted["labels"]["rehearsal"], label, "{posted}");
        }

        // A title without its severity gets it from Slack, and the mark still comes first in the backup.
        scene.slack.always(Reply::Status(500, "upstream"));
        let mut plain = alert_at(Sev::Sev2, "web", 1, 3);
        plain.title = "web is slow".to_owned();
        scene.tell(&plain).await;
        let name = "backup_20261122_025013_SEV-2.json";
        assert_eq!(title(&scene, name), format!("{mark}web is slow"));
        // What is told late says it once, alone or in a summary.
        scene.slack.always(Reply::Fine);
        scene.slack.asked();
        scene.notifiers.resend(&|_| true, at(60), soon()).await;
        let again = scene.slack.asked_once().shown();
        assert_eq!(again.matches("REHEARSAL").count(), usize::from(rehearsal.is_some()), "{again}");
        scene.slack.always(Reply::Status(500, "upstream"));
        scene.tell(&alert_at(Sev::Sev2, "web", 90, 4)).await;
        scene.slack.always(Reply::Fine);
        scene.slack.asked();
        scene.notifiers.resend(&|_| false, at(150), soon()).await;
        let summary = scene.slack.asked_once();
        assert!(summary.text().starts_with(&format!("{mark}SEV-2: 1 message")), "{summary:?}");
    }
}

/// Of a name that is taken the second one has a number.
fn waits(name: &str) -> bool {
    name.ends_with("SEV-1.json") || name.ends_with("SEV-1-2.json")
}

/// A rehearsal beside production's folder of reports tells nothing of production's, and production nothing of its.
#[tokio::test]
async fn s14_neither_tells_what_the_other_could_not() {
    let (rehearsal, _) = both_at(Some(30.0)).await;
    let (production, _) = both().await;
    for (from, to) in [(&rehearsal, &production), (&production, &rehearsal)] {
        from.slack.always(Reply::Status(500, "upstream"));
        from.tell(&alert(Sev::Sev1, "payments")).await;
        from.slack.always(Reply::Fine);
        from.slack.asked();
        let name = from.files().into_iter().find(|name| waits(name));
        let name = name.expect("a backup");
        std::fs::create_dir_all(to.file("")).expect("made");
        std::fs::copy(from.file(&name), to.file(&name)).expect("copied");
        to.notifiers.begin().await;
        to.notifiers.resend(&|_| true, at(60), soon()).await;
        assert!(to.slack.asked().is_empty());
        from.notifiers.resend(&|_| true, at(60), soon()).await;
        assert_eq!(from.slack.asked().len(), 1, "its own is told");
    }
    let keeps = |scene: &Scene| scene.files().iter().any(|name| waits(name));
    assert!(keeps(&rehearsal) && !keeps(&production), "production's waits for production");
}
