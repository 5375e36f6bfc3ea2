//! Can people be notified? Asks each notifier's server; with `--notify`, whether it confirms a test message.

use std::sync::Arc;
use std::time::Instant;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
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

/// Longer than any error code of Slack.
const MAX_CODE: usize = 100;

/// What Slack's incoming webhooks answer to a message without a text.
const NO_TEXT: [&str; 2] = ["no_text", "missing_text_or_fallback_or_attachments"];

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
    let access =
        Access { section: "slack", http: settings.http.as_deref(), token: settings.token.as_ref() };
    let has_token = settings.token.is_some();
    // A webhook's address is a secret. It refuses a message without a text by that name, and nobody gets it.
    let (subject, path, fix): (_, &[&str], _) = if has_token {
        (
            format!("notifier slack at {}", address::redacted(&settings.api_url)),
            &["auth.test"],
            "Give slack.token (SLACK_BOT_TOKEN) a valid bot token, and check slack.api_url",
        )
    } else {
        (
            "notifier slack by its webhook".to_owned(),
            &[],
            "Give slack.webhook_url the address of an incoming webhook that exists",
        )
    };
    let answer = match ask(&settings.server(), access, Method::POST, path).await {
        Err(error) => {
            let fix = "Check the network on the way to it, and slack.http";
            return Check::fix(subject, error, fix);
        }
        Ok(answer) => answer,
    };
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = said["error"]
        .as_str()
        .map_or_else(|| String::from_utf8_lossy(&answer.body).trim().to_owned(), str::to_owned);
    let is_well = if has_token {
        answer.status.is_success() && said["ok"] == true
    } else {
        answer.status.is_success() || NO_TEXT.contains(&code.as_str())
    };
    if is_well {
        return Check::ok(subject, "it answers; `mape-k doctor --notify` sends a test message");
    }
    // Anything but a code may repeat the address.
    let is_code =
        code.len() < MAX_CODE && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let code = if is_code && !code.is_empty() { format!(": {code}") } else { String::new() };
    Check::fix(subject, format!("it answers {}{code}", answer.status), fix)
}

async fn alertmanager(config: &Config) -> Check {
    let settings = &config.notify.alertmanager;
    let url = settings.url.as_ref().unwrap_or(&config.alertmanager.url);
    let subject = format!("notifier alertmanager at {}", address::redacted(url));
    let access =
        Access { section: "notify.alertmanager", http: settings.http.as_deref(), token: None };
    match ask(url, access, Method::GET, &["api", "v2", "status"]).await {
        Err(error) => Check::fix(subject, error, "Check that it runs, and notify.alertmanager.url"),
        Ok(answer) if answer.status.is_success() => {
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
    let mut request = endpoint.request(method.clone(), at).timeout(ANSWER);
    if method == Method::POST {
        request = request.header(CONTENT_TYPE, "application/json").body("{}");
    }
    endpoint.exchange(request, MAX_ANSWER).await.map_err(|failure| match failure {
        Failure::NotSent(why) | Failure::Broken(why) => endpoint.hide(why),
        Failure::TimedOut => format!("no answer within {} s", ANSWER.as_secs()),
    })
}

/// One message into every channel of each of them; only what a server confirms counts. Nothing is kept for later.
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
    let message = |channel| Message {
        form: Form::Summary,
        severity: Sev::Sev4,
        channel,
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
    let places = notifiers.names().flat_map(|name| channels(config, name));
    let attempts = places.map(|(name, channel, place)| {
        let message = message(channel);
        let notifiers = notifiers.clone();
        async move {
            let began = tokio::time::Instant::now();
            let result = notifiers.attempt(name, &message).await;
            let subject = format!("notifier {}{place}", name.as_str());
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

/// Where its messages go: the channels of Slack; a webhook and an Alertmanager have one way.
fn channels(config: &Config, name: NotifierName) -> Vec<(NotifierName, Channel, String)> {
    let slack = &config.slack;
    let names = &slack.channels;
    let to = |channel, place: &str| (name, channel, format!(" channel {place}"));
    match name {
        NotifierName::Slack if slack.token.is_some() && slack.test_mode => {
            vec![to(Channel::Infrastructure, &names.test)]
        }
        NotifierName::Slack if slack.token.is_some() => {
            let mut all = vec![
                to(Channel::Critical, &names.critical),
                to(Channel::Infrastructure, &names.infrastructure),
            ];
            all.dedup_by(|one, other| one.2 == other.2);
            all
        }
        NotifierName::Slack | NotifierName::Alertmanager => {
            vec![(name, Channel::Infrastructure, String::new())]
        }
    }
}
