//! Our alerts at a real Alertmanager: listed with their origin, ended by their time, kept when it is away.

use std::time::Duration;

use chrono::TimeDelta;
use mape_k::clock::Clock;
use mape_k::domain::decision::Sev;
use mape_k::domain::message::{Form, Message};
use mape_k::domain::time::Time;
use mape_k::metrics::Metrics;
use mape_k::notify::Setup;
use mape_k::notify::settings::{Alertmanager as Settings, Settings as Notify, Slack};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::messages::{alert, with_form};
use super::post::Post;
use super::{files, soon};
use crate::support::alertmanager::Alertmanager;
use crate::support::eventually::eventually;

const WITHIN: Duration = Duration::from_secs(30);

fn notifiers(url: &str) -> (Post, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = Url::parse(url).expect("a URL");
    let notify = Notify { alertmanager: Settings { enabled: true, url: None, http: None } };
    let setup = Setup {
        environment: None,
        slack: &Slack::default(),
        notify: &notify,
        alertmanager_url: &url,
        interval: Duration::from_secs(30),
        reports_dir: Some(folder.path()),
        rehearsal: None,
        metrics: Metrics::new(Clock::start().now()),
    };
    (Post::new(&setup), folder)
}

/// An alert as of now.
fn fresh(severity: Sev, service: &str) -> Message {
    let mut message = alert(severity, service);
    message.at = now();
    message.entries[0].since = now() - TimeDelta::seconds(240);
    message
}

fn now() -> Time {
    Clock::start().now()
}

async fn listed(server: &Alertmanager, count: usize) -> Vec<Value> {
    eventually(WITHIN, &format!("{count} alerts are listed"), async || {
        let alerts = server.alerts().await?;
        if alerts.len() == count { Ok(alerts) } else { Err(format!("{alerts:#?}")) }
    })
    .await
}

#[tokio::test]
async fn b38_an_escalation_stands_at_a_real_alertmanager_as_ours_and_ends_there() {
    let server = Alertmanager::start("http://127.0.0.1:9/", None).await;
    let (notifiers, folder) = notifiers(&server.server.url());
    let mut message = fresh(Sev::Sev1, "payments");
    message.entries[0].deployment = Some("1a2b3c4 by ada (#812)".to_owned());
    let told = notifiers.deliver(std::slice::from_ref(&message), soon()).await;
    assert_eq!(told[0][0].result, Ok(None));
    let alerts = listed(&server, 1).await;
    assert_eq!(
        alerts[0]["labels"],
        json!({
            "alertname": "MapeKEscalation",
            "origin": "mape-k",
            "severity": "critical",
            "sev": "SEV-1",
            "service": "payments",
            "class": "availability",
            "incident": "INC-20261122_025012-001",
            "namespace": "production",
        })
    );
    // The shipped routes send what has this origin to people, never to the daemon's webhook.
    assert_eq!(alerts[0]["receivers"], json!([{ "name": "people" }]));
    let annotations = &alerts[0]["annotations"];
    assert!(annotations["summary"].as_str().expect("a text").starts_with("SEV-1 payments: "));
    assert!(annotations["description"].as_str().expect("a text").contains("ada (#812)"));
    assert!(annotations["runbook_url"].as_str().expect("a text").starts_with("https://"));
    let starts: Time = alerts[0]["startsAt"].as_str().expect("a time").parse().expect("a time");
    assert!((starts - message.entries[0].since).num_seconds().abs() < 1);

    // An edit and an update are no calls: the refresh says it.
    for form in [Form::Update(None), Form::Edit(super::messages::thread("C1", "1.2"))] {
        let told = notifiers.deliver(&[with_form(message.clone(), form)], soon()).await;
        assert_eq!(told, [[]]);
    }
    let ended = with_form(Message { at: now(), ..message }, Form::Ended(None));
    assert_eq!(notifiers.deliver(&[ended], soon()).await[0][0].result, Ok(None));
    listed(&server, 0).await;
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn b38_what_stands_is_refreshed_and_ends_by_itself_when_it_is_not() {
    let server = Alertmanager::start("http://127.0.0.1:9/", None).await;
    let (notifiers, _folder) = notifiers(&server.server.url());
    let mut entry = fresh(Sev::Sev2, "web").entries.remove(0);
    // Told for the last time so long ago that its five minutes are over in three seconds.
    let long_ago = now() - TimeDelta::seconds(297);
    entry.since = long_ago;
    let told = notifiers.refresh(std::slice::from_ref(&entry), long_ago, soon()).await;
    assert_eq!(told, Some(Ok(())));
    assert_eq!(listed(&server, 1).await[0]["labels"]["severity"], "warning");
    listed(&server, 0).await;
    // Told again it stands again; its end ends it.
    notifiers.refresh(std::slice::from_ref(&entry), now(), soon()).await;
    listed(&server, 1).await;
    entry.ended_at = Some(now());
    notifiers.refresh(&[entry], now(), soon()).await;
    listed(&server, 0).await;
}

#[tokio::test]
async fn b38_one_impossible_time_does_not_take_the_others_with_it() {
    let server = Alertmanager::start("http://127.0.0.1:9/", None).await;
    let (notifiers, _folder) = notifiers(&server.server.url());
    let mut odd = fresh(Sev::Sev2, "odd").entries.remove(0);
    odd.incident = "INC-20261122_025012-002".to_owned();
    odd.ended_at = Some(odd.since - TimeDelta::seconds(60));
    odd.service = "x".repeat(5_000);
    let fine = fresh(Sev::Sev3, "fine").entries.remove(0);
    assert_eq!(notifiers.refresh(&[odd, fine], now(), soon()).await, Some(Ok(())));
    assert_eq!(listed(&server, 1).await[0]["labels"]["service"], "fine");
}

#[tokio::test]
async fn b38_an_alertmanager_that_is_away_leaves_a_backup_and_is_told_when_it_is_back() {
    let mut server = Alertmanager::start("http://127.0.0.1:9/", None).await;
    let (notifiers, folder) = notifiers(&server.server.url());
    server.server.stop().await;
    let message = fresh(Sev::Sev1, "payments");
    let told = notifiers.deliver(std::slice::from_ref(&message), soon()).await;
    let error = told[0][0].result.clone().expect_err("nobody listens");
    assert!(told[0][0].backed_up && error.contains("notify.alertmanager.url"), "{error}");
    let refreshed = notifiers.refresh(&message.entries, now(), soon()).await;
    assert!(refreshed.expect("there is one").is_err());
    server.server.start().await;
    // Over by now: told in a summary that ends by itself.
    let resent = notifiers.resend(&|_| false, now() + TimeDelta::seconds(60), soon()).await;
    assert_eq!(resent[0].1.result, Ok(None));
    let alerts = listed(&server, 1).await;
    assert_eq!(alerts[0]["labels"]["class"], "summary");
    assert_eq!(alerts[0]["labels"]["severity"], "warning", "what is late calls nobody out of bed");
    assert!(alerts[0]["annotations"]["description"].as_str().expect("a text").contains("payments"));
    assert!(files(folder.path())[0].ends_with("_SEV-1.sent.json"));
}
