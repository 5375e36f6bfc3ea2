//! W06: the same block towards Slack, GitHub, Charter and the Alertmanager that is notified.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use mape_k::actuators::charter::{Call, CallObserver, CallStatus, Client};
use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::domain::decision::Sev;
use mape_k::domain::message::{Form, Message};
use mape_k::metrics::Metrics;
use mape_k::monitor::github::Github;
use mape_k::notify::{Notifiers, Setup};
use tokio::time::Instant;

use super::parsed;
use super::server::{Asked, Authority, Server};

struct Quiet;

impl CallObserver for Quiet {
    fn on_call(&self, _: Call, _: CallStatus, _: Duration) {}
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn message() -> Message {
    Message {
        form: Form::Alert,
        severity: Sev::Sev1,
        channel: Sev::Sev1.channel(),
        at: Clock::start().now(),
        cycle_id: "20261122_025012".to_owned(),
        title: "SEV-1: payments is down".to_owned(),
        root_cause: "no ready pod".to_owned(),
        impact: "customers cannot pay".to_owned(),
        actions: Vec::new(),
        confidence: 90,
        is_partial: false,
        entries: Vec::new(),
    }
}

/// Notifies by whatever the configuration turns on; what was answered, one for each.
async fn notify(config: &Config) -> Vec<Result<(), String>> {
    let notifiers = Notifiers::new(Setup {
        environment: None,
        slack: &config.slack,
        notify: &config.notify,
        alertmanager_url: &config.alertmanager.url,
        interval: Duration::from_secs(30),
        reports_dir: None,
        rehearsal: None,
        metrics: Metrics::new(Clock::start().now()),
    })
    .expect("notifiers");
    let mut answers = Vec::new();
    for name in notifiers.names() {
        let answer = notifiers.attempt(name, &message()).await;
        answers.push(answer.map(|_| ()).map_err(|error| error.to_string()));
    }
    answers
}

async fn commits(config: &Config) -> Result<(), String> {
    let clock = Clock::start();
    let github = Github::new(&config.github, clock).expect("GitHub");
    let since = clock.now() - TimeDelta::hours(1);
    let commits = github.commits("deploy", since, soon()).await;
    commits.map(|_| ()).map_err(|failure| failure.text)
}

async fn charter(config: &Config) -> Result<(), String> {
    let client = Client::new(&config.execute.charter().expect("it is on"), Arc::new(Quiet))
        .map_err(|error| error.to_string())?;
    client.policies().await.map(|_| ()).map_err(|error| error.to_string())
}

/// What a section sends by its `http` block arrives there, beside its own token.
async fn through(section: &str, config: &Config) -> Result<(), String> {
    match section {
        "github" => commits(config).await,
        "execute" => charter(config).await,
        _ => notify(config).await.remove(0),
    }
}

/// A configuration in which the section's server is at `url`, with these keys.
fn with(section: &str, url: &str, keys: &str) -> Config {
    let keys = if keys.is_empty() { String::new() } else { format!(", {keys}") };
    parsed(&match section {
        "slack" => format!("slack: {{enabled: true, api_url: \"{url}\", token: xoxb-1{keys}}}"),
        "webhook" => {
            format!("slack: {{enabled: true, webhook_url: \"{url}/services/T0/B0/X0\"{keys}}}")
        }
        "notify" => format!("notify: {{alertmanager: {{enabled: true, url: \"{url}\"{keys}}}}}"),
        // Taken from alertmanager, where the one that is notified is not named.
        "alertmanager" => {
            format!(
                "alertmanager: {{url: \"{url}\"{keys}}}\nnotify: {{alertmanager: {{enabled: true}}}}"
            )
        }
        "github" => format!(
            "github: {{enabled: true, owner: me, repository: mine, api_url: \"{url}\", token: ghp_1{keys}}}"
        ),
        _ => format!("execute: {{charter_url: \"{url}\", charter_api_key: the-key{keys}}}"),
    })
}

const SECTIONS: [&str; 6] = ["slack", "webhook", "notify", "alertmanager", "github", "execute"];

#[tokio::test]
async fn w06_headers_reach_every_server() {
    for section in SECTIONS {
        let gate = Server::plain(|asked| {
            (asked.header("x-gate-key") != "open-sesame").then_some((403, "closed to open-wrong"))
        })
        .await;
        let url = format!("http://{}", gate.address);
        let keys = "http: {headers: {X-Gate-Key: open-sesame}}";
        through(section, &with(section, &url, keys))
            .await
            .unwrap_or_else(|error| panic!("{section}: {error}"));
        let token = match section {
            "slack" => "Bearer xoxb-1",
            "github" => "Bearer ghp_1",
            "execute" => "Bearer the-key",
            _ => "",
        };
        assert_eq!(gate.asked()[0].header("authorization"), token, "{section}");
        let without = through(section, &with(section, &url, "")).await.expect_err(section);
        assert!(without.contains("403") || without.contains("closed"), "{section}: {without}");
        let wrong = with(section, &url, "http: {headers: {X-Gate-Key: open-wrong}}");
        let wrong = through(section, &wrong).await.expect_err(section);
        assert!(!wrong.contains("open-wrong"), "{section}: {wrong}");
    }
}

#[tokio::test]
async fn w06_a_private_authority_and_a_client_certificate_reach_every_server() {
    let authority = Authority::new();
    let ca = authority.path("ca.crt");
    let (chain, key) = authority.issue(&["mape-k"]);
    let (crt, key) = (authority.write("client.crt", &chain), authority.write("client.key", &key));
    let server = Server::tls(authority.server_for_clients(&["localhost"]), |_| None).await;
    let url = format!("https://localhost:{}", server.port());
    let name = |section: &'static str| match section {
        "webhook" => "slack",
        "alertmanager" | "notify" => "notify.alertmanager",
        section => section,
    };
    for section in SECTIONS {
        let mine = format!("cert_file: {}, key_file: {}", crt.display(), key.display());
        let keys = format!("http: {{ca_file: {}, {mine}}}", ca.display());
        through(section, &with(section, &url, &keys))
            .await
            .unwrap_or_else(|error| panic!("{section}: {error}"));
        let name = name(section);
        let without = through(section, &with(section, &url, "")).await.expect_err(section);
        assert!(without.contains(&format!("set {name}.http.ca_file")), "{section}: {without}");
        let keys = format!("http: {{ca_file: {}}}", ca.display());
        let without = through(section, &with(section, &url, &keys)).await.expect_err(section);
        assert!(without.contains(&format!("set {name}.http.cert_file")), "{section}: {without}");
    }
    assert_eq!(server.asked().len(), SECTIONS.len());
}

/// Charter's own key belongs to its API alone; what the way to it asks for is sent with every call.
#[tokio::test]
async fn w06_a_token_for_the_way_to_charter_is_sent_with_every_call() {
    let gate = Server::plain(|asked| {
        (asked.header("authorization") != "Bearer of-the-way").then_some((401, "who are you?"))
    })
    .await;
    let url = format!("http://{}", gate.address);
    let config =
        parsed(&format!("execute: {{charter_url: \"{url}\", http: {{bearer_token: of-the-way}}}}"));
    let client = Client::new(&config.execute.charter().expect("it is on"), Arc::new(Quiet))
        .expect("a client");
    let _ = client.health().await;
    charter(&config).await.expect("let in");
    let sent: Vec<Asked> = gate.asked();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|asked| asked.header("authorization") == "Bearer of-the-way"));
    let without = charter(&parsed(&format!("execute: {{charter_url: \"{url}\"}}"))).await;
    let without = without.expect_err("401");
    assert!(without.contains("401") && without.contains("execute.http"), "{without}");
}

/// The credentials of one Alertmanager are not sent to another one.
#[tokio::test]
async fn w06_an_alertmanager_of_its_own_gets_no_credentials_of_the_other() {
    let other = Server::plain(|_| None).await;
    let keys = "http: {basic_auth: {username: me, password: pw}}";
    let config = parsed(&format!(
        "alertmanager: {{url: \"http://am:9093\", {keys}}}\n\
         notify: {{alertmanager: {{enabled: true, url: \"http://{}\"}}}}",
        other.address
    ));
    assert_eq!(notify(&config).await, [Ok(())]);
    assert_eq!(other.asked()[0].header("authorization"), "");
    let config = with("alertmanager", &format!("http://{}", other.address), keys);
    assert_eq!(notify(&config).await, [Ok(())]);
    assert_eq!(other.asked()[1].header("authorization"), "Basic bWU6cHc=");
}

/// Issue 14: a header is hidden in what a server quotes only when its name says that it is a secret and it is long enough not to
/// be part of other words.
#[tokio::test]
async fn s14_only_headers_that_are_secrets_are_hidden_in_texts() {
    for (name, value, is_hidden) in [
        ("X-Gate-Key", "open-wrong", true),
        ("X-Authorization", "Bearer 0123456789", true),
        ("Cookie", "session=0123", true),
        ("X-Shared-Secret", "open-wrong", true),
        ("X-Region", "eu-central-1", false),
        ("X-Env", "prod", false),
        ("X-Api-Key", "prod", false),
        ("X-Auth-Token", "1234567", false),
    ] {
        let text: &'static str = format!("no {value} here, in prod").leak();
        let gate = Server::plain(move |_| Some((403, text))).await;
        let url = format!("http://{}", gate.address);
        let keys = format!("http: {{headers: {{{name}: \"{value}\"}}}}");
        for section in ["notify", "execute"] {
            let said = through(section, &with(section, &url, &keys)).await.expect_err("refused");
            assert_eq!(said.contains(value), !is_hidden, "{section}, {name}: {said}");
            assert!(said.contains("here, in prod"), "{section}, {name}: {said}");
        }
    }
}

/// Issue 14: a secret of three characters is in half of all words.
#[tokio::test]
async fn s14_a_very_short_secret_is_replaced_nowhere() {
    for (password, is_hidden) in [("pay", false), ("paym", true)] {
        let gate = Server::plain(|_| Some((403, "no payment"))).await;
        let url = format!("http://{}", gate.address);
        let keys = format!("http: {{basic_auth: {{username: me, password: {password}}}}}");
        let said = through("notify", &with("notify", &url, &keys)).await.expect_err("refused");
        assert_eq!(said.contains("no payment"), !is_hidden, "{said}");
    }
}
