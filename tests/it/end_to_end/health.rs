//! `mape-k health`, the health check of an image that holds nothing but the binary: whom it asks, what it says, how it ends.

use std::time::Duration;

use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::charter::Charter;
use super::daemon::{Daemon, Settings};
use super::{SOON, SPEED};
use crate::fake_charter::FakeCharter;
use crate::support::eventually::eventually;
use crate::support::ports::free_port;
use crate::support::process::{Finished, Process};

async fn health(args: &[&str], env: &[(&str, &str)]) -> Finished {
    let args = [&["health"], args].concat();
    let finished = Process::start_mape_k(&args, env).finished(SOON).await;
    println!("$ mape-k {}\n{}{}", args.join(" "), finished.stdout, finished.stderr);
    finished
}

/// Something that answers /health so.
async fn answers(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(path("/health")).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn d06_health_asks_the_daemon_of_the_configuration_and_degraded_is_alive() {
    let charter = FakeCharter::start().await;
    let settings = Settings::scraping("http://127.0.0.1:9", &charter.base, SPEED);
    let daemon = Daemon::start(settings, &[]).await;
    let file = daemon.settings.write();
    let file = file.to_str().expect("a plain path");
    let said = eventually(SOON, "health names the source that cannot be read", async || {
        let finished = health(&["--config", file], &[]).await;
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        let named =
            finished.stdout.starts_with("degraded: ") && finished.stdout.contains("scrape (");
        if named { Ok(finished) } else { Err(finished.stdout) }
    })
    .await;
    assert_eq!(said.stdout.lines().count(), 1, "{said:?}");
}

/// As in Charter's container: no configuration, and nothing of it is missed.
#[tokio::test]
async fn d06_health_asks_charter_by_its_address_and_needs_no_configuration() {
    let charter = Charter::start().await;
    let missing = [("MAPE_K_CONFIG", "/nowhere/mape_k_config.yaml")];
    let said = health(&["--url", &charter.url()], &missing).await;
    assert_eq!((said.status.code(), said.stdout.as_str()), (Some(0), "ok\n"), "{said:?}");
    assert_eq!(said.stderr, "");
}

#[tokio::test]
async fn d06_health_of_nobody_fails_with_one_line_that_says_why() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let said = health(&["--url", &nobody], &[]).await;
    assert_eq!((said.status.code(), said.stdout.as_str()), (Some(1), ""), "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    assert!(said.stderr.contains(&format!("no daemon answers at {nobody}")), "{said:?}");
}

#[tokio::test]
async fn d06_health_of_a_stalled_loop_fails_and_names_it() {
    let stalled = json!({"status": "stalled", "components": {
        "loop": {"status": "stalled", "detail": "the loop has not moved for 301 s"}, "store": {"status": "ok"}}});
    let server = answers(ResponseTemplate::new(503).set_body_json(stalled)).await;
    let said = health(&["--url", &server.uri()], &[]).await;
    assert_eq!((said.status.code(), said.stdout.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.stderr.contains("loop (the loop has not moved for 301 s)"), "{said:?}");
    assert!(!said.stderr.contains("store"), "{said:?}");
}

#[tokio::test]
async fn d06_health_does_not_wait_for_an_answer_longer_than_a_health_check_does() {
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    let server = answers(late).await;
    let said = health(&["--url", &server.uri()], &[]).await;
    assert_eq!(said.status.code(), Some(1));
    assert!(said.stderr.contains("did not answer within 4 s"), "{said:?}");
}

/// Whoever answers there may be Charter: the daemon's tokens are none of its business.
#[tokio::test]
async fn d06_health_sends_no_token() {
    let server = answers(ResponseTemplate::new(200).set_body_json(json!({"status": "ok"}))).await;
    let token = [("MAPE_K_API_TOKEN", "operate-0123456789abcdef")];
    let said = health(&["--url", &server.uri()], &token).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let asked = server.received_requests().await.expect("recorded");
    assert_eq!(asked.len(), 1);
    assert!(!asked[0].headers.contains_key("authorization"), "{:?}", asked[0].headers);
}
