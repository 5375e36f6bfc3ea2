//! S14: by which names the daemon is read from its own machine without a token, and who may change something there.

use mape_k::domain::secret::Secret;
use mape_k::server::Settings;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Setup, Surface, from_address, read};

const READ: &str = "read-0123456789abcdef";

/// What tells more than a probe asks for.
const READS: [&str; 5] =
    ["/api/v1/state", "/api/v1/policies", "/api/v1/explain", "/api/v1/openapi.json", "/metrics"];

async fn get(surface: &Surface, path: &str, host: &str) -> StatusCode {
    let request = surface.http.get(surface.url(path)).header("host", host);
    request.send().await.expect("an answer").status()
}

/// Issue 14, DNS rebinding: a page whose name points at 127.0.0.1 reads through a browser on this machine, by that name.
#[tokio::test]
async fn s14_without_a_token_this_machine_reads_by_its_own_names_alone() {
    let surface = Surface::start().await;
    for path in READS {
        for host in [
            "evil.example",
            "evil.example:8001",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "user@localhost",
            "mape-k",
            "",
        ] {
            let status = get(&surface, path, host).await;
            assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{path} as {host:?}");
        }
        for host in
            ["localhost", "LOCALHOST:8001", "localhost.", "127.0.0.1:1", "[::1]:8001", "192.0.2.7"]
        {
            assert_ne!(
                get(&surface, path, host).await,
                StatusCode::MISDIRECTED_REQUEST,
                "{path} as {host:?}"
            );
        }
    }
    // Probes are answered by whatever name they use.
    for path in ["/health", "/ready"] {
        let status = get(&surface, path, "pod.of.a.mesh").await;
        assert!(matches!(status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE), "{status}");
    }
    for method in [Method::HEAD, Method::OPTIONS] {
        let url = surface.url("/api/v1/state");
        let request = surface.http.request(method.clone(), url).header("host", "evil.example");
        let status = request.send().await.expect("an answer").status();
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{method}");
    }
    let request = surface.http.get(surface.url("/api/v1/state")).header("host", "evil.example");
    let said = read(request.send().await.expect("an answer")).await.1["error"].to_string();
    assert!(said.contains("evil.example") && said.contains("api.allowed_hosts"), "{said}");
}

/// The same requests with a token, by a configured name, or from another machine, as Prometheus in Kubernetes sends them.
#[tokio::test]
async fn s14_a_token_a_configured_name_or_another_machine_reads_by_any_name() {
    let with = |allowed: &[&str], host: &str| Settings {
        allowed_hosts: allowed.iter().map(ToString::to_string).collect(),
        host: host.to_owned(),
        ..Settings::default()
    };
    for (api, name) in [
        (with(&["mape-k.example"], "0.0.0.0"), "Mape-K.example:8001"),
        (with(&[], "mape-k.local"), "mape-k.local"),
    ] {
        let surface = Setup { api, ..Setup::default() }.serve().await;
        assert_eq!(get(&surface, "/api/v1/state", name).await, StatusCode::OK);
        let other = get(&surface, "/api/v1/state", "evil.example").await;
        assert_eq!(other, StatusCode::MISDIRECTED_REQUEST);
    }

    let read_token = Some(Secret::new(READ.to_owned()));
    for api in [
        Settings { read_token: read_token.clone(), ..Settings::default() },
        Settings { token: read_token, ..Settings::default() },
    ] {
        let surface = Setup { api, ..Setup::default() }.serve().await;
        for path in ["/api/v1/state", "/metrics"] {
            let request = surface.http.get(surface.url(path)).bearer_auth(READ);
            let answer = request.header("host", "mape-k.example").send().await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
        }
        assert_eq!(
            get(&surface, "/metrics", "evil.example").await,
            StatusCode::MISDIRECTED_REQUEST
        );
    }
}

/// Issue 14: what a proxy on this machine sends on comes from anybody; without its headers the same request is this machine's.
#[tokio::test]
async fn s14_what_a_proxy_on_this_machine_sends_on_changes_nothing_without_a_token() {
    let surface = Surface::start().await;
    let pause = async |header: Option<(&str, &str)>| {
        let body = json!({"by": "ada", "reason": "x", "duration_seconds": 60});
        let mut request = surface.http.post(surface.url("/api/v1/pause")).json(&body);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        read(request.send().await.expect("an answer")).await
    };
    for header in [
        ("X-Forwarded-For", "192.0.2.7"),
        ("x-forwarded-host", "mape-k.example"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=192.0.2.7"),
        ("Via", "1.1 proxy"),
        ("X-Real-IP", "127.0.0.1"),
        ("x-forwarded-for", ""),
        ("X-Envoy-External-Address", "192.0.2.7"),
    ] {
        let (status, said) = pause(Some(header)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{header:?}: {said}");
        assert!(said["error"].to_string().contains("api.token"), "{said}");
    }
    assert!(surface.get("/api/v1/state").await.1["paused"].is_null());
    for header in [None, Some(("X-Request-Id", "7"))] {
        assert_eq!(pause(header).await.0, StatusCode::OK, "{header:?}");
    }
    // With a token it does not matter who sends it on.
    let token = Some(Secret::new(READ.to_owned()));
    let api = Settings { token, ..Settings::default() };
    let surface = Setup { api, ..Setup::default() }.serve().await;
    let body = json!({"by": "ada", "reason": "x", "duration_seconds": 60});
    let request = from_address(3).post(surface.url("/api/v1/pause")).json(&body);
    let request = request.bearer_auth(READ).header("x-forwarded-for", "192.0.2.7");
    assert_eq!(request.send().await.expect("an answer").status(), StatusCode::OK);
}
