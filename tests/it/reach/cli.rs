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
