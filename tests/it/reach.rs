//! W06: servers that let in only who brings what they demand. Each demand has its twin: without it the server is not read,
//! and the error names the key that is missing.

mod cli;
mod files;
mod names;
mod outward;
mod queries;
mod server;
mod tls;

use std::time::Duration;

use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::monitor::{Monitor, Observation};

use self::server::Server;
use crate::support::tools::root;

fn parsed(yaml: &str) -> Config {
    Config::parse(yaml, &|_| None).unwrap_or_else(|errors| panic!("{errors}\n{yaml}")).0
}

fn warnings(yaml: &str) -> Vec<String> {
    let (_, warnings) =
        Config::parse(yaml, &|_| None).unwrap_or_else(|errors| panic!("{errors}\n{yaml}"));
    warnings.iter().map(ToString::to_string).collect()
}

fn refused(yaml: &str) -> String {
    Config::parse(yaml, &|_| None).expect_err(yaml).to_string()
}

fn monitor(yaml: &str) -> Monitor {
    let config = parsed(yaml);
    let interval = Duration::from_secs(30);
    Monitor::new(config.monitor, config.alertmanager, interval, Clock::start()).expect("a monitor")
}

/// The number of series that the one rule reads, or why none.
fn read(seen: &Observation) -> Result<usize, String> {
    let points = &seen.readings[0].points;
    points.as_ref().map(Vec::len).map_err(|failure| failure.text.clone())
}

/// One rule on a Prometheus at `url`, with these keys beside it in `monitor`; no Alertmanager.
fn prometheus(url: &str, keys: &str) -> String {
    let rule = "{name: g, metric: g, comparison: gt, threshold: 1}";
    let comma = if keys.is_empty() { "" } else { ", " };
    format!(
        "monitor: {{prometheus_url: \"{url}\", metrics: [{rule}]{comma}{keys}}}\nalertmanager: {{enabled: false}}\n"
    )
}

async fn read_with(url: &str, keys: &str) -> Result<usize, String> {
    read(&monitor(&prometheus(url, keys)).observe(&[], None).await)
}

async fn listed(url: &str, keys: &str) -> Result<usize, String> {
    let comma = if keys.is_empty() { "" } else { ", " };
    let yaml = format!(
        "monitor: {{prometheus_url: \"http://127.0.0.1:9\"}}\nalertmanager: {{url: \"{url}\"{comma}{keys}}}\n"
    );
    let seen = monitor(&yaml).observe(&[], None).await;
    let listing = seen.listing.expect("an Alertmanager");
    listing.map(|listing| listing.alerts.len()).map_err(|failure| failure.text)
}

#[track_caller]
fn says(result: &Result<usize, String>, words: &[&str]) {
    let error = result.as_ref().expect_err("must be refused");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

async fn demands(header: &'static str, value: &'static str, answer: (u16, &'static str)) -> Server {
    Server::plain(move |asked| (asked.header(header) != value).then_some(answer)).await
}

/// Case 08: Mimir and Cortex refuse every query without a tenant.
#[tokio::test]
async fn w06_a_tenant_header_opens_mimir_and_its_alertmanager() {
    let mimir = demands("x-scope-orgid", "team-charter", (401, "no org id\n")).await;
    let url = format!("http://{}/prometheus", mimir.address);
    let tenant = "http: {headers: {X-Scope-OrgID: team-charter}}";
    assert_eq!(read_with(&url, tenant).await, Ok(1));
    let without = read_with(&url, "").await;
    says(&without, &["401", "no org id", "set monitor.http.headers to {X-Scope-OrgID: <tenant>}"]);
    assert_eq!(listed(&url, tenant).await, Ok(0));
    says(&listed(&url, "").await, &["no org id", "set alertmanager.http.headers"]);
    // A tenant may be a number, and the header may be written in any case.
    let numbered = demands("x-scope-orgid", "17", (401, "no org id")).await;
    let url = format!("http://{}", numbered.address);
    assert_eq!(read_with(&url, "http: {headers: {x-scope-orgid: 17}}").await, Ok(1));
}

#[tokio::test]
async fn w06_a_header_may_come_from_a_file_and_is_printed_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, "ApiKey-s3cret\n").expect("written");
    let gate = Server::plain(|asked| {
        // The worst that a server can do with a secret.
        (asked.header("x-api-key") != "ApiKey-s3cret").then_some((403, "you sent ApiKey-wrong1"))
    })
    .await;
    let url = format!("http://{}", gate.address);
    let keys = format!("http: {{headers: {{X-Api-Key: {{file: {}}}}}}}", key.display());
    assert_eq!(read_with(&url, &keys).await, Ok(1));
    let config = parsed(&prometheus(&url, &keys));
    assert!(!format!("{config:?} {:?}", config.monitor).contains("s3cret"));
    let wrong = read_with(&url, "http: {headers: {X-Api-Key: ApiKey-wrong1}}").await;
    says(&wrong, &["403", "you sent ***"]);
    assert!(!wrong.expect_err("refused").contains("wrong1"));
}

#[tokio::test]
async fn w06_basic_auth_with_a_password_or_a_file() {
    // me:pa#ss/w@rd:?
    let gate = demands("authorization", "Basic bWU6cGEjc3Mvd0ByZDo/", (401, "who are you?")).await;
    let url = format!("http://{}", gate.address);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "pa#ss/w@rd:?\n").expect("written");
    for password in
        ["password: 'pa#ss/w@rd:?'".to_owned(), format!("password_file: {}", file.display())]
    {
        let keys = format!("http: {{basic_auth: {{username: me, {password}}}}}");
        assert_eq!(read_with(&url, &keys).await, Ok(1), "{password}");
        assert_eq!(listed(&url, &keys).await, Ok(0), "{password}");
        let printed = parsed(&prometheus(&url, &keys)).to_yaml().expect("prints");
        assert!(printed.contains("username: me") && !printed.contains("pa#ss"), "{printed}");
    }
    says(
        &read_with(&url, "").await,
        &["401", "No credentials are configured", "monitor.http.basic_auth"],
    );
    says(
        &listed(&url, "").await,
        &["No credentials are configured", "alertmanager.http.basic_auth"],
    );
    let wrong = read_with(&url, "http: {basic_auth: {username: me, password: wrong}}").await;
    says(&wrong, &["401", "does not accept the credentials that monitor has"]);
}

/// Case 05: OpenShift's Alertmanager behind a proxy that asks for a service account's token, which the kubelet renews.
#[tokio::test]
async fn w06_a_bearer_token_from_a_file_is_read_anew_when_it_is_renewed() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "first").expect("written");
    let gate = Server::plain(|asked| {
        let is_fine = asked.header("authorization") == "Bearer second";
        (!is_fine).then_some((401, "Unauthorized"))
    })
    .await;
    let url = format!("http://{}", gate.address);
    let file = format!("{{bearer_token_file: {}}}", token.display());
    let metrics = prometheus(&url, &format!("http: {file}"));
    let legacy = prometheus(&url, &format!("bearer_token_file: {}", token.display()));
    let alerts = format!(
        "monitor: {{prometheus_url: \"http://127.0.0.1:9\"}}\nalertmanager: {{url: \"{url}\", http: {file}}}"
    );
    let (mut metrics, mut legacy, mut alerts) =
        (monitor(&metrics), monitor(&legacy), monitor(&alerts));
    let listing = async |alerts: &mut Monitor| {
        alerts.observe(&[], None).await.listing.expect("an Alertmanager").map_err(|f| f.text)
    };
    says(&read(&metrics.observe(&[], None).await), &["401", "does not accept"]);
    assert!(listing(&mut alerts).await.expect_err("the old token").contains("does not accept"));
    std::fs::write(&token, "second").expect("written");
    assert_eq!(read(&metrics.observe(&[], None).await), Ok(1));
    assert_eq!(read(&legacy.observe(&[], None).await), Ok(1));
    listing(&mut alerts).await.expect("the renewed token");
    // While it is being replaced the last one is good enough.
    std::fs::remove_file(&token).expect("removed");
    assert_eq!(read(&metrics.observe(&[], None).await), Ok(1));
    says(&listed(&url, "").await, &["set alertmanager.http.bearer_token_file"]);
}

#[tokio::test]
async fn w06_a_proxy_with_a_user_and_password_reaches_what_has_no_name_here() {
    let proxy = Server::plain(|asked| {
        let is_fine = asked.header("proxy-authorization") == "Basic bWU6cHc=";
        (!is_fine).then_some((407, "Proxy Authentication Required"))
    })
    .await;
    let url = "http://prometheus.invalid:9090";
    let keys = |user: &str| format!("http: {{proxy: \"http://{user}127.0.0.1:{}\"}}", proxy.port());
    assert_eq!(read_with(url, &keys("me:pw@")).await, Ok(1));
    assert!(proxy.asked().iter().all(|asked| asked.uri.host() == Some("prometheus.invalid")));
    says(&read_with(url, &keys("")).await, &["407", "give them in monitor.http.proxy"]);
    says(&read_with(url, "").await, &["no answer", "prometheus.invalid"]);
    let printed = parsed(&prometheus(url, &keys("me:pw@"))).to_yaml().expect("prints");
    assert!(!printed.contains("me:pw"), "{printed}");
}

/// What a server says when a redirect is followed is not what was asked for, and the credentials would go along.
#[tokio::test]
async fn w06_no_redirect_takes_credentials_to_another_host() {
    let other = Server::plain(|_| None).await;
    let to: &'static str = format!("http://{}/api/v1/query", other.address).leak();
    for status in [301, 302, 307, 308] {
        let gate = Server::plain(move |_| Some((status, to))).await;
        let url = format!("http://{}", gate.address);
        let keys = "http: {bearer_token: s3cret, headers: {X-Api-Key: '0123456789'}}";
        says(&read_with(&url, keys).await, &["redirects are not followed"]);
        assert_eq!(gate.asked()[0].header("authorization"), "Bearer s3cret");
        assert_eq!(gate.asked()[0].header("x-api-key"), "0123456789");
    }
    assert!(other.asked().is_empty(), "{:?}", other.asked());
    let url = format!("http://{}", other.address);
    assert_eq!(read_with(&url, "http: {bearer_token: s3cret}").await, Ok(1));
}

/// One block, so one set of mistakes, in every section.
#[test]
fn w06_the_block_is_refused_alike_in_every_section() {
    for section in ["monitor", "alertmanager", "slack", "github", "execute"] {
        for (block, key) in [
            (
                "{bearer_token: a, basic_auth: {username: b, password: c}}",
                "http, line 1: http.bearer_token and http.basic_auth",
            ),
            (
                "{bearer_token: a, headers: {authorization: Token-x}}",
                "http, line 1: http.bearer_token and http.headers.Authorization",
            ),
            ("{basic_auth: {username: b}}", "http.basic_auth"),
            ("{basic_auth: {password: b}}", "http.basic_auth"),
            ("{headers: {Host: a}}", "http.headers.Host"),
            ("{headers: {'a b': c}}", "http.headers.a b"),
            ("{headers: {A: \"x\\ny\"}}", "http.headers.A"),
            ("{ca_file: /nowhere/ca.crt}", "http.ca_file"),
            ("{cert_file: /nowhere/a.crt}", "http.cert_file"),
            ("{server_name: 10.0.0.1}", "http.server_name"),
            ("{server_name: a, proxy: 'http://b'}", "http.server_name"),
            ("{proxy: 'ftp://b'}", "http.proxy"),
            ("{bearer: a}", "http.bearer"),
        ] {
            let text = refused(&format!("{section}: {{http: {block}}}"));
            assert!(text.contains(&format!("{section}.{key}")), "{section} {block}: {text}");
        }
        // Cases 05 and 08 write the keys beside the block.
        let text = refused(&format!("{section}: {{headers: {{A: b}}}}"));
        assert!(text.contains("did you mean http.headers?"), "{text}");
    }
    for (section, token) in [
        ("monitor", "bearer_token"),
        ("execute", "charter_api_key"),
        ("slack", "token"),
        ("github", "token"),
    ] {
        let beside = "http: {basic_auth: {username: a, password: b}}";
        let text = refused(&format!("{section}: {{{token}: x, {beside}}}"));
        assert!(
            text.contains(&format!("{token} and http.basic_auth are given together")),
            "{text}"
        );
        parsed(&format!("{section}: {{{token}: x, http: {{headers: {{A: b}}}}}}"));
        parsed(&format!("{section}: {{{beside}}}"));
    }
}

/// The examples of docs/DEPLOYMENT.md and of the shipped configuration are taken as they stand.
#[test]
fn w06_the_examples_of_the_documents_are_accepted() {
    let authority = server::Authority::new();
    let folder = authority.folder.path().display().to_string();
    let (chain, key) = authority.issue(&["mape-k"]);
    for (name, text) in
        [("client.crt", chain), ("client.key", key), ("password", "pw".into()), ("key", "k".into())]
    {
        authority.write(name, &text);
    }
    for name in ["token", "service-ca.crt"] {
        std::fs::copy(
            authority.path(if name == "token" { "key" } else { "ca.crt" }),
            authority.path(name),
        )
        .expect("copied");
    }
    let here = |text: &str| {
        let folders =
            ["/etc/mape-k", "/var/run/secrets/kubernetes.io/serviceaccount", "/run/secrets"];
        folders.iter().fold(text.to_owned(), |text, from| text.replace(from, &folder))
    };
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect(path);
    let page = read("docs/DEPLOYMENT.md");
    let (_, section) =
        page.split_once("### Reach a server behind authentication").expect("the section");
    let section = section.split("\n### ").next().expect("its text");
    let examples: Vec<&str> =
        section.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let config = parsed(&here(example));
        assert!(config.monitor.http.is_some(), "{example}");
    }
    let shipped = read("config/mape_k_config.yaml");
    let (_, block) = shipped.split_once("  #   http:\n").expect("the block");
    let block: String = block
        .lines()
        .map_while(|line| line.strip_prefix("  #     "))
        .fold("monitor:\n  http:\n".to_owned(), |text, line| text + "    " + line + "\n");
    // One of two that exclude each other each time.
    let without = |word: &str| {
        let lines = block.lines().filter(|line| !line.contains(word));
        lines.fold(String::new(), |text, line| text + line + "\n")
    };
    for (one, other) in [("bearer_token", "proxy"), ("basic_auth", "server_name")] {
        let text: String = without(one)
            .lines()
            .filter(|line| !line.contains(other))
            .fold(String::new(), |text, line| text + line + "\n");
        let config = parsed(&here(
            &text.replace("monitor:\n", "monitor:\n  prometheus_url: https://prometheus\n"),
        ));
        let http = config.monitor.http.expect("a block");
        assert!(
            http.headers.len() == 2 && http.ca_file.is_some() && http.cert_file.is_some(),
            "{text}"
        );
    }
}
