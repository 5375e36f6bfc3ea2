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

/// Another /health than the daemon's may name no component, or say one thing in its status and another in its body.
#[tokio::test]
async fn d06_health_that_is_neither_ok_nor_degraded_or_503_fails_and_says_what_was_answered() {
    for (code, status, said) in [
        (200, "unhealthy", "is not healthy: unhealthy"),
        (503, "unhealthy", "is not healthy: 503 Service Unavailable, unhealthy"),
        (503, "ok", "is not healthy: 503 Service Unavailable, ok"),
    ] {
        let server =
            answers(ResponseTemplate::new(code).set_body_json(json!({"status": status}))).await;
        let finished = health(&["--url", &server.uri()], &[]).await;
        assert_eq!((finished.status.code(), finished.stdout.as_str()), (Some(1), ""));
        assert!(finished.stderr.contains(said), "{finished:?}");
    }
}

/// Docker sets these in containers where its user has a proxy; to that proxy localhost is another machine.
#[tokio::test]
async fn d06_health_of_this_machine_is_asked_past_any_proxy() {
    let server = answers(ResponseTemplate::new(200).set_body_json(json!({"status": "ok"}))).await;
    let nobody = ["http_proxy", "HTTP_PROXY", "all_proxy"].map(|name| (name, "http://127.0.0.1:9"));
    let localhost = format!("http://localhost:{}", server.address().port());
    for url in [server.uri(), localhost] {
        let said = health(&["--url", &url], &nobody).await;
        assert_eq!((said.status.code(), said.stdout.as_str()), (Some(0), "ok\n"), "{said:?}");
    }
}

/// A file that is spoiled while the daemon runs by the one before: nobody is restarted for it. The defaults say whom to
/// ask, and whoever has that port on this machine may answer.
#[tokio::test]
async fn d06_health_by_a_configuration_that_cannot_be_read_asks_by_the_defaults_and_warns() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("mape_k_config.yaml");
    std::fs::write(&file, "api: {host: [127.0").expect("half of a file");
    let said = health(&["--config", file.to_str().expect("a plain path")], &[]).await;
    assert!(
        said.stderr
            .contains("the configuration is not used, only the command line and the defaults"),
        "{said:?}"
    );
    assert!(said.stderr.contains("mape_k_config.yaml"), "{said:?}");
    let asked = said.status.success() || said.stderr.contains("http://localhost:8001");
    assert!(asked, "{said:?}");
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
