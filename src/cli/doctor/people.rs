//! Can people be notified? Asks each notifier's server; with `--notify`, whether it confirms a test message.

use std::sync::Arc;
use std::time::Instant;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::{ANSWER, Check};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::address;
use crate::domain::decision::{Channel, Sev};
use crate::domain::message::{Form, Message, NotifierName};
use crate::http::{Access, Answer, Endpoint, Failure, network};
use crate::metrics::Metrics;
use crate::notify::{Notifiers, Setup};

/// An answer of Slack or Alertmanager to a short question.
const MAX_ANSWER: usize = 1 << 20;

pub(super) async fn notifiers(config: &Config, clock: Clock, notify: bool) -> Vec<Check> {
    let names = config.notifiers();
    if names.is_empty() {
        return vec![Check::fix(
            "notifiers",
            "no notifier is configured: nobody is notified of anything",
            "Set slack.enabled or notify.alertmanager.enabled",
        )];
    }
    if notify {
        return test(config, clock).await;
    }
    let mut checks = Vec::new();
    for name in names {
        let began = Instant::now();
        let check = match name {
            NotifierName::Slack => slack(config).await,
            NotifierName::Alertmanager => alertmanager(config).await,
        };
        checks.push(check.took(began.elapsed()));
    }
    checks
}

async fn slack(config: &Config) -> Check {
    let settings = &config.slack;
    // A webhook's address is a secret, and nothing but a message can be asked of it.
    let subject = match &settings.token {
        Some(_) => format!("notifier slack at {}", address::redacted(&settings.api_url)),
        None => "notifier slack by its webhook".to_owned(),
    };
    let access =
        Access { section: "slack", http: settings.http.as_deref(), token: settings.token.as_ref() };
    let (method, path): (_, &[&str]) = match settings.token {
        Some(_) => (Method::POST, &["auth.test"]),
        None => (Method::GET, &[]),
    };
    match ask(&settings.server(), access, method, path).await {
        Err(error) => {
            Check::fix(subject, error, "Check the network on the way to it, and slack.http")
        }
        Ok(answer) => {
            let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
            let refused = said.as_ref().filter(|said| said["ok"] == false);
            match refused.and_then(|said| said["error"].as_str()) {
                Some(error) => Check::fix(
                    subject,
                    format!("it refuses the token: {error}"),
                    "Give slack.token (SLACK_BOT_TOKEN) a valid bot token",
                ),
                None if answer.status.is_server_error() => Check::fix(
                    subject,
                    format!("it answers {}", answer.status),
                    "Look again later; `mape-k doctor --notify` sends a test message",
                ),
                None => {
                    Check::ok(subject, "it answers; `mape-k doctor --notify` sends a test message")
                }
            }
        }
    }
}

async fn alertmanager(config: &Config) -> Check {
    let settings = &config.notify.alertmanager;
    let url = settings.url.as_ref().unwrap_or(&config.alertmanager.url);
    let subject = format!("notifier alertmanager at {}", address::redacted(url));
    let access =
        Access { section: "notify.alertmanager", http: settings.http.as_deref(), token: None };
    match ask(url, access, Method::GET, &["api", "v2", "status"]).await {
        Err(error) => Check::fix(subject, error, "Check that it runs, and notify.alertmanager.url"),
        Ok(answer) if answer.status == StatusCode::OK => {
            Check::ok(subject, "it answers; `mape-k doctor --notify` sends a test alert")
        }
        Ok(answer) => Check::fix(
            subject,
            format!("GET /api/v2/status answers {}", answer.status),
            "Check that notify.alertmanager.url is an Alertmanager's, with its credentials in notify.alertmanager.http",
        ),
    }
}

async fn ask(
    url: &Url,
    access: Access<'_>,
    method: Method,
    path: &[&str],
) -> Result<Answer, String> {
    let wire = network(url, access.http).map_err(|error| error.to_string())?;
    let endpoint = Endpoint::new(wire, url.clone(), access);
    let at = endpoint.below(path.iter().copied());
    let request = endpoint.request(method, at).timeout(ANSWER);
    endpoint.exchange(request, MAX_ANSWER).await.map_err(|failure| match failure {
        Failure::NotSent(why) | Failure::Broken(why) => endpoint.hide(why),
        Failure::TimedOut => format!("no answer within {} s", ANSWER.as_secs()),
    })
}

/// One message through all of them; only what a server confirms counts. Nothing is kept for later.
async fn test(config: &Config, clock: Clock) -> Vec<Check> {
    let setup = Setup {
        slack: &config.slack,
        notify: &config.notify,
        alertmanager_url: &config.alertmanager.url,
        interval: config.orchestrator.loop_interval,
        reports_dir: None,
        rehearsal: config.rehearsal,
        environment: config.orchestrator.environment.as_deref(),
        metrics: Metrics::new(clock.now()),
    };
    let notifiers = match Notifiers::new(setup) {
        Ok(notifiers) => Arc::new(notifiers),
        Err(error) => return vec![Check::told("notifiers", error.to_string())],
    };
    let message = Message {
        form: Form::Summary,
        severity: Sev::Sev4,
        channel: Channel::Infrastructure,
        at: clock.now(),
        cycle_id: "doctor".to_owned(),
        title: "mape-k doctor: a test message".to_owned(),
        root_cause: "Somebody ran `mape-k doctor --notify`. Nothing is wrong.".to_owned(),
        impact: "None.".to_owned(),
        actions: Vec::new(),
        confidence: 100,
        is_partial: false,
        entries: Vec::new(),
    };
    let attempts = notifiers.names().map(|name| {
        let message = &message;
        let notifiers = notifiers.clone();
        async move {
            let began = tokio::time::Instant::now();
            let result = notifiers.attempt(name, message).await;
            let subject = format!("notifier {}", name.as_str());
            let check = match result {
                Ok(_) => Check::ok(subject, "it has confirmed a test message"),
                Err(error) => {
                    Check::told(subject, format!("a test message was not confirmed: {error}"))
                }
            };
            check.took(began.elapsed())
        }
    });
    futures::future::join_all(attempts).await
}
