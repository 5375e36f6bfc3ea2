//! S14: others who flood, hold on, or ask through somebody's browser keep nobody from reading or stopping the daemon.

use std::num::NonZeroU32;

use mape_k::domain::secret::Secret;
use mape_k::monitor::AlertmanagerSettings;
use mape_k::server::Settings;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::intake::fixture;
use super::{Setup, Surface, read};

const OPERATE: &str = "operate-0123456789abcdef";
const READ: &str = "read-0123456789abcdef";

async fn limited() -> Surface {
    let secret = |text: &str| Some(Secret::new(text.to_owned()));
    let rate_limit = NonZeroU32::new(20).expect("above zero");
    let api = Settings {
        token: secret(OPERATE),
        read_token: secret(READ),
        rate_limit,
        ..Settings::default()
    };
    let alertmanager =
        AlertmanagerSettings { webhook_token: secret(OPERATE), ..AlertmanagerSettings::default() };
    Setup { api, alertmanager, ..Setup::default() }.serve().await
}

async fn ask(surface: &Surface, token: &str) -> StatusCode {
    let request = surface.http.get(surface.url("/api/v1/state")).bearer_auth(token);
    request.send().await.expect("an answer").status()
}

/// Behind a NAT or a proxy everybody is one address.
#[tokio::test]
async fn s14_no_flood_from_an_address_holds_up_its_operate_token() {
    let surface = limited().await;
    for flooding in ["guess", READ] {
        let mut last = StatusCode::OK;
        for _ in 0..200 {
            last = ask(&surface, flooding).await;
            if last == StatusCode::TOO_MANY_REQUESTS {
                break;
            }
        }
        assert_eq!(last, StatusCode::TOO_MANY_REQUESTS, "{flooding}");
        assert_eq!(ask(&surface, OPERATE).await, StatusCode::OK, "beside {flooding}");
    }
    let body = json!({"by": "ada", "reason": "x", "duration_seconds": 60});
    let request = surface.http.post(surface.url("/api/v1/pause")).bearer_auth(OPERATE);
    let answer = request.json(&body).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}

/// With as many wrong tokens as there may be, the right one is served on; what was turned away is counted as such.
#[tokio::test]
async fn s14_wrong_webhook_tokens_hold_up_nobody_with_the_right_one() {
    let surface = limited().await;
    let deliver = async |token: &str| {
        let request = surface.alerts_request(fixture("webhook_critical_firing.json"));
        request.bearer_auth(token).send().await.expect("an answer").status()
    };
    for _ in 0..600 {
        assert_ne!(deliver("guess").await, StatusCode::OK);
    }
    // Twice the API's bound at once: one alert to a request is no flood.
    for _ in 0..40 {
        assert_eq!(deliver(OPERATE).await, StatusCode::OK);
    }
    assert!(surface.metric("mape_k_intake_rejections_total{reason=\"too_often\"}").await > 0);
    assert_eq!(surface.metric("mape_k_intake_rejections_total{reason=\"too_much\"}").await, 0);
}

/// Beyond the webhook's own bound a sender with every right is told to come back.
#[tokio::test]
async fn s14_the_webhook_has_a_bound_of_its_own_above_the_apis() {
    let api = Settings { rate_limit: NonZeroU32::MIN, ..Settings::default() };
    let surface = Setup { api, ..Setup::default() }.serve().await;
    let sent = (0..100).map(|_| surface.post_alerts(fixture("webhook_critical_firing.json")));
    let answers = futures::future::join_all(sent).await;
    let taken = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
    assert!((24..100).contains(&taken), "{taken} of 100 with 24 a second");
    let refused = answers.iter().find(|(status, _)| *status != StatusCode::OK).expect("one");
    assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE);
}

/// DNS rebinding: to the daemon the browser on this machine is local, whatever page speaks through it.
#[tokio::test]
async fn s14_without_a_token_no_web_page_changes_anything() {
    let surface = Surface::start().await;
    let port = surface.address.port();
    let pause = async |host: &str, origin: Option<&str>| -> (StatusCode, Value) {
        let body = json!({"by": "ada", "reason": "x", "duration_seconds": 60});
        let mut request = surface.http.post(surface.url("/api/v1/pause")).header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        read(request.json(&body).send().await.expect("an answer")).await
    };
    let own = format!("localhost:{port}");
    for (host, origin) in [
        ("evil.example", None),
        ("evil.example:8001", Some("http://evil.example:8001")),
        ("localhost.evil.example", None),
        ("127.0.0.1.evil.example", None),
        ("192.0.2.7:8001", None),
        ("", None),
        (&own, Some("https://evil.example")),
        (&own, Some("null")),
        (&own, Some("http://localhost:3000")),
    ] {
        let (status, said) = pause(host, origin).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{host} {origin:?}: {said}");
    }
    assert_eq!(surface.get("/api/v1/state").await.1["paused"], Value::Null);
    let same = format!("http://{own}");
    for (host, origin) in [
        (own.as_str(), None),
        ("LOCALHOST", None),
        ("127.0.0.1:1", None),
        ("[::1]:8001", None),
        (own.as_str(), Some(same.as_str())),
    ] {
        assert_eq!(pause(host, origin).await.0, StatusCode::OK, "{host} {origin:?}");
    }
}

/// As many as the listener has places, all from one address.
#[tokio::test]
async fn s14_idle_connections_of_one_address_lock_nobody_out() {
    let surface = Surface::start().await;
    let mut idle = Vec::new();
    for _ in 0..513 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.2:0".parse().expect("an address")).expect("bound");
        let mut stream: TcpStream = socket.connect(surface.address).await.expect("a connection");
        // One over the bound may have been closed already.
        let _ = stream.write_all(b"GET /health HTTP/1.1\r\nhost:").await;
        idle.push(stream);
    }
    assert_eq!(surface.get("/health").await.0, StatusCode::OK);
}
