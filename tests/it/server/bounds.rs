//! S14: oversize, slow and malformed requests, byte by byte over TCP: each is answered or hung up on in bounded time,
//! changes nothing, and keeps nobody else waiting.

use std::time::Duration;

use mape_k::domain::policy::Approval;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Surface;
use super::decisions::{kept, policy, store};

/// Ten times the longest bound, that on a request head.
const IN_BOUNDED_TIME: Duration = Duration::from_secs(300);

/// Sends the pieces and nothing more, and reads until the server hangs up.
async fn exchange(surface: &Surface, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(surface.address).await.expect("a connection");
    for piece in pieces {
        // A server that has answered already may have closed its end.
        if stream.write_all(piece).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let reading = async {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..read]);
        }
    };
    tokio::time::timeout(IN_BOUNDED_TIME, reading).await.expect("an end in bounded time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn approve(headers: &str) -> String {
    let id = uuid::Uuid::from_u128(1);
    format!(
        "POST /api/v1/policies/{id}/approve HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\n{headers}\r\n"
    )
}

async fn surface() -> Surface {
    let surface = Surface::start().await;
    store(&surface.knowledge, policy(1, Approval::Pending)).await;
    surface
}

async fn nothing_was_decided(surface: &Surface) {
    let kept = kept(&surface.knowledge, uuid::Uuid::from_u128(1)).await;
    assert_eq!(kept.approval, Approval::Pending);
    assert_eq!(surface.get("/api/v1/state").await.0, StatusCode::OK, "others are served");
}

#[tokio::test]
async fn s14_an_oversize_body_is_413_whether_its_length_is_told_or_not() {
    let surface = surface().await;
    let large = vec![b' '; 20_000];
    let told = exchange(&surface, &[approve("content-length: 20000\r\n").as_bytes(), &large]).await;
    assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
    let head = approve("transfer-encoding: chunked\r\n");
    let chunked =
        exchange(&surface, &[head.as_bytes(), b"4e20\r\n", &large, b"\r\n0\r\n\r\n"]).await;
    assert!(chunked.starts_with("HTTP/1.1 413 "), "{chunked}");
    nothing_was_decided(&surface).await;
}

#[tokio::test]
async fn s14_malformed_json_is_400() {
    let surface = surface().await;
    let nested = "[".repeat(10_000);
    for body in ["", "{", "{\"revision\": 2, \"by\":", "nonsense", "\u{0}\u{1}", "[]", &nested] {
        let head = approve(&format!("content-length: {}\r\n", body.len()));
        let answer = exchange(&surface, &[head.as_bytes(), body.as_bytes()]).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:.20}: {answer}");
        assert!(answer.contains(r#"{"error":"#), "{answer}");
    }
    nothing_was_decided(&surface).await;
}

#[tokio::test]
async fn s14_what_is_no_http_is_hung_up_on() {
    let surface = surface().await;
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..], b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n"]
    {
        let answer = exchange(&surface, &[bytes]).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{bytes:?}: {answer}");
    }
    nothing_was_decided(&surface).await;
}

#[tokio::test]
async fn s14_too_many_or_too_large_headers_are_431() {
    let surface = surface().await;
    let many = "x-many: y\r\n".repeat(65);
    let large = format!("x-large: {}\r\n", "y".repeat(40_000));
    for headers in [many, large] {
        for start in ["GET /api/v1/state", "POST /webhooks/alerts", "GET /health"] {
            let request = format!("{start} HTTP/1.1\r\nhost: mape-k\r\n{headers}\r\n");
            let answer = exchange(&surface, &[request.as_bytes()]).await;
            let expected = "HTTP/1.1 431 Request Header Fields Too Large\r\n";
            assert!(answer.starts_with(expected), "{start} {headers:.20}: {answer}");
        }
    }
    let enough = format!("x-enough: {}\r\n", "y".repeat(100)).repeat(50);
    let request = format!("GET /health HTTP/1.1\r\nconnection: close\r\nhost: m\r\n{enough}\r\n");
    let answer = exchange(&surface, &[request.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn s14_a_slow_body_is_408() {
    let surface = surface().await;
    let began = tokio::time::Instant::now();
    let head = approve("content-length: 32\r\n");
    let answer = exchange(&surface, &[head.as_bytes(), b"{\"revision\": 2"]).await;
    println!("a slow body: answered after {:.1} s", began.elapsed().as_secs_f64());
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    nothing_was_decided(&surface).await;
}

#[tokio::test]
async fn s14_a_slow_head_is_hung_up_on() {
    let surface = surface().await;
    let began = tokio::time::Instant::now();
    let answer = exchange(&surface, &[b"GET /api/v1/state HTTP/1.1\r\nhost: map"]).await;
    println!("a slow head: closed after {:.1} s", began.elapsed().as_secs_f64());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    nothing_was_decided(&surface).await;
}
