//! Issue 14, §2: the commands and the daemon's tokens.

use std::time::Duration;

use mape_k::cli::client::Client;
use mape_k::domain::secret::Secret;
use serde_json::{Value, json};

use super::server::Server;
use crate::support::process::Process;

const OPERATE: &str = "operate-0123456789abcdef";
const READ: &str = "read-0123456789abcdef";

#[tokio::test]
async fn s14_the_commands_read_with_the_read_token_and_decide_with_the_other() {
    let daemon = Server::plain(|_| Some((200, "{}"))).await;
    let url = format!("http://{}", daemon.address);
    let secret = |text: &str| Some(Secret::new(text.to_owned()));
    for (operate, read, to_read, to_decide) in [
        (Some(OPERATE), Some(READ), READ, OPERATE),
        (Some(OPERATE), None, OPERATE, OPERATE),
        (None, Some(READ), READ, ""),
        (None, None, "", ""),
    ] {
        let client =
            Client::new(&url, operate.and_then(secret)).reading_with(read.and_then(secret));
        let before = daemon.asked().len();
        client.get::<Value>("api/v1/state").await.expect("read");
        client.post::<Value>("api/v1/pause", json!({})).await.expect("decided");
        let asked = daemon.asked();
        let sent = |index: usize| asked[before + index].header("authorization").to_owned();
        let bearer =
            |token: &str| if token.is_empty() { String::new() } else { format!("Bearer {token}") };
        assert_eq!([sent(0), sent(1)], [bearer(to_read), bearer(to_decide)]);
    }
}

/// A foreign `--url`, or who answers in the daemon's place, may redirect to anywhere.
#[tokio::test]
async fn s14_the_commands_follow_no_redirect() {
    let other = Server::plain(|_| Some((200, "{}"))).await;
    let to: &'static str = format!("http://{}/api/v1/state", other.address).leak();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("mape_k_config.yaml");
    std::fs::write(&config, format!("api: {{token: {OPERATE}, read_token: {READ}}}"))
        .expect("written");
    let config = config.to_str().expect("a plain path");
    for status in [301, 302, 303, 307, 308] {
        let gate = Server::plain(move |_| Some((status, to))).await;
        let url = format!("http://{}", gate.address);
        for command in [&["status"][..], &["pause", "--by", "ada", "--reason", "why"]] {
            let arguments = [command, &["--config", config, "--url", &url]].concat();
            let finished =
                Process::start_mape_k(&arguments, &[]).finished(Duration::from_secs(60)).await;
            assert!(
                finished.stderr.contains("Redirects are not followed"),
                "{status}: {}",
                finished.stderr
            );
            assert!(!finished.status.success());
        }
        assert!(gate.asked().len() >= 2, "{status}");
    }
    assert!(other.asked().is_empty(), "{:?}", other.asked());
    // The twin: asked itself it would have answered.
    let client = Client::new(&format!("http://{}", other.address), None);
    client.get::<Value>("api/v1/state").await.expect("read");
    assert_eq!(other.asked().len(), 1);
}

/// The `authorization` of each request that `mape-k status` sends with this configuration and these arguments.
async fn sent(daemon: &Server, api: &str, arguments: &[&str], env: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("mape_k_config.yaml");
    let port = daemon.address.port();
    std::fs::write(&config, format!("api: {{port: {port}{api}}}")).expect("written");
    let config = config.to_str().expect("a plain path");
    let arguments = [&["status", "--config", config], arguments].concat();
    let before = daemon.asked().len();
    Process::start_mape_k(&arguments, env).finished(Duration::from_secs(60)).await;
    let asked = daemon.asked();
    asked[before..].iter().map(|asked| asked.header("authorization").to_owned()).collect()
}

/// Issue 14: the operate token stays at home where a question needs none, and where nobody named it for that address.
#[tokio::test]
async fn s14_the_operate_token_goes_with_a_question_only_where_it_is_needed() {
    let (bare, operate, read) = ("", format!("Bearer {OPERATE}"), format!("Bearer {READ}"));
    let with_token = format!(", host: 127.0.0.1, token: {OPERATE}");
    // Elsewhere.
    let of_another = format!(", host: 127.0.0.2, token: {OPERATE}");
    let open = Server::plain(|_| Some((200, "{}"))).await;
    let refuse = |status: u16| {
        Server::plain(move |asked| {
            // /health needs no token.
            let is_bare = asked.header("authorization").is_empty() && asked.uri.path() != "/health";
            Some(if is_bare { (status, "{\"error\": \"who?\"}") } else { (200, "{}") })
        })
    };
    let seen = sent(&open, &with_token, &[], &[]).await;
    assert!(!seen.is_empty() && seen.iter().all(|sent| sent == bare), "{seen:?}");
    for status in [401, 421, 429] {
        let closed = refuse(status).await;
        let seen = sent(&closed, &with_token, &[], &[]).await;
        assert!(seen.contains(&operate) && seen.iter().any(|sent| sent == bare), "{seen:?}");
        // The same address by --url is the configured one; another name for it may be another machine's.
        let url = format!("http://127.0.0.1:{}", closed.address.port());
        let seen = sent(&closed, &with_token, &["--url", &url], &[]).await;
        assert!(seen.contains(&operate), "{seen:?}");
        let url = format!("http://localhost:{}", closed.address.port());
        let seen = sent(&closed, &of_another, &["--url", &url], &[]).await;
        assert!(!seen.is_empty() && seen.iter().all(|sent| sent == bare), "{status}: {seen:?}");
        let arguments = ["--url", &url, "--token", OPERATE];
        let seen = sent(&closed, &of_another, &arguments, &[]).await;
        assert!(!seen.is_empty() && seen.iter().all(|sent| *sent == operate), "{seen:?}");
        let env = [("MAPE_K_API_TOKEN", OPERATE)];
        let seen = sent(&closed, "", &["--url", &url], &env).await;
        assert!(!seen.is_empty() && seen.iter().all(|sent| *sent == operate), "{seen:?}");
    }
    // 403 and 500 are answers that a token does not change.
    for status in [403, 500] {
        let closed = refuse(status).await;
        let seen = sent(&closed, &with_token, &[], &[]).await;
        assert!(!seen.is_empty() && seen.iter().all(|sent| sent == bare), "{seen:?}");
    }
    let both = format!("{with_token}, read_token: {READ}");
    let seen = sent(&open, &both, &[], &[]).await;
    assert!(!seen.is_empty() && seen.iter().all(|sent| *sent == read), "{seen:?}");
}

/// Issue 14: `--token` with what the token file holds is the configured token, and another one is not.
#[tokio::test]
async fn s14_a_token_given_twice_is_one_token() {
    let daemon = Server::plain(|_| Some((200, "{}"))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{OPERATE}\n")).expect("written");
    let api = format!(", token_file: {}, read_token: {READ}", file.display());
    let seen = sent(&daemon, &api, &["--token", OPERATE], &[]).await;
    assert!(!seen.is_empty() && seen.iter().all(|sent| *sent == format!("Bearer {READ}")));
    let seen = sent(&daemon, &api, &["--token", "another-0123456789"], &[]).await;
    assert!(!seen.is_empty() && seen.iter().all(|sent| sent == "Bearer another-0123456789"));
}
