//! S14: whoever holds every place of a listener, or all the memory for bodies, keeps nobody else out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mape_k::domain::secret::Secret;
use mape_k::monitor::AlertmanagerSettings;
use mape_k::server::Settings;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::intake::fixture;
use super::{ANSWER_WITHIN, Setup, Surface, from_address};
use crate::support::eventually::eventually;

const TOKEN: &str = "operate-0123456789abcdef";

/// More than a listener has places.
const CROWD: usize = 520;

const ASKS: &[u8] = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A connection to the surface from this address of the machine.
async fn connect(to: SocketAddr, from: IpAddr) -> std::io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

fn loopback(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// Asks over a connection that stays open; `None` when it does not answer.
async fn ask(stream: &mut TcpStream, request: &[u8]) -> Option<String> {
    stream.write_all(request).await.ok()?;
    let mut chunk = [0; 4096];
    let read = tokio::time::timeout(ANSWER_WITHIN, stream.read(&mut chunk)).await;
    let read = read.expect("an answer or an end in bounded time").ok().filter(|read| *read > 0)?;
    Some(String::from_utf8_lossy(&chunk[..read]).into_owned())
}

/// Both ends are in this process.
fn enough_files() {
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit of open files");
}

/// Connections from five addresses, more than there are places, each sending this first.
async fn crowd(surface: &Surface, first: &[u8]) -> Vec<TcpStream> {
    enough_files();
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let from = loopback(u8::try_from(2 + number % 5).expect("a small number"));
        let mut stream = connect(surface.address, from).await.expect("a connection");
        // One of those before it may have been closed for it.
        stream.write_all(first).await.ok();
        crowd.push(stream);
    }
    crowd
}

/// Issue 14: idle connections on every place: nothing sent, half a head, or an answer long ago. Probes get through.
#[tokio::test]
async fn s14_idle_connections_on_every_place_lock_nobody_out() {
    for first in [&b""[..], b"GET /health HTTP/1.1\r\nhost: local", ASKS] {
        let surface = Surface::start().await;
        let crowd = crowd(&surface, first).await;
        let url = surface.url("/health");
        for last in [1, 9, 2] {
            let answer = from_address(last).get(&url).send().await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK, "from 127.0.0.{last}");
        }
        drop(crowd);
        surface.stop().await;
    }
}

/// Issue 14: room is made by whoever has shown no token; a connection that carried one is kept, though it is the oldest.
#[tokio::test]
async fn s14_a_connection_that_carried_a_token_is_not_closed_for_others() {
    let token = Some(Secret::new(TOKEN.to_owned()));
    for (path, api, webhook) in
        [("GET /api/v1/state", token.clone(), None), ("POST /webhooks/alerts", None, token)]
    {
        let api = Settings { token: api, ..Settings::default() };
        let alertmanager =
            AlertmanagerSettings { webhook_token: webhook, ..AlertmanagerSettings::default() };
        let surface = Setup { api, alertmanager, ..Setup::default() }.serve().await;
        let with_token = format!(
            "{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 0\r\n\r\n"
        );
        let mut trusted = connect(surface.address, loopback(8)).await.expect("a connection");
        let mut stranger = connect(surface.address, loopback(8)).await.expect("a connection");
        let answer = ask(&mut trusted, with_token.as_bytes()).await.expect("an answer");
        assert!(!answer.starts_with("HTTP/1.1 401"), "{answer}");
        ask(&mut stranger, ASKS).await.expect("an answer");
        let _crowd = crowd(&surface, b"").await;
        let again = ask(&mut trusted, with_token.as_bytes()).await;
        assert!(again.is_some(), "{path}: closed, though it has a token");
        assert_eq!(ask(&mut stranger, ASKS).await, None, "{path}: the oldest one without a token");
    }
}

/// A POST to the webhook that says how long it is and sends no more than this.
async fn slow_post(surface: &Surface, from: IpAddr, length: usize, sent: &[u8]) -> TcpStream {
    let mut stream = connect(surface.address, from).await.expect("a connection");
    let head = format!(
        "POST /webhooks/alerts HTTP/1.1\r\nhost: mape-k\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("a head");
    let mut said = [0; 13];
    stream.read_exact(&mut said).await.expect("100 Continue, or 503");
    if said.ends_with(b"100 ") {
        stream.write_all(sent).await.expect("a part of the body");
    }
    stream
}

/// Issue 14: slow bodies of two addresses, many small or a few large ones, take all the memory for bodies. A third one's
/// alerts are stored, the two get no more than they have.
#[tokio::test]
async fn s14_slow_bodies_of_two_addresses_turn_nobody_elses_alerts_away() {
    enough_files();
    let max_body_bytes = 100_000;
    // As many small ones as there may be, or as many whole ones.
    for (length, sent, each) in [(500, 10, 128), (max_body_bytes, max_body_bytes - 1, 8)] {
        let alertmanager =
            AlertmanagerSettings { max_body_bytes, ..AlertmanagerSettings::default() };
        let surface = Setup { alertmanager, ..Setup::default() }.serve().await;
        let part = vec![b' '; sent];
        let mut slow = Vec::new();
        for _ in 0..each {
            for last in [2, 3] {
                slow.push(slow_post(&surface, loopback(last), length, &part).await);
            }
        }
        let from_one_more = async |last| {
            let request = from_address(last).post(surface.url("/webhooks/alerts"));
            let request = request.body(fixture("webhook_critical_firing.json"));
            request.send().await.expect("an answer").status()
        };
        if each < 128 {
            // Of the two themselves one more is refused, so the bound holds.
            eventually(Duration::from_secs(5), "what was sent has taken the memory", async || {
                match from_one_more(2).await {
                    StatusCode::SERVICE_UNAVAILABLE => Ok(()),
                    status => Err(status),
                }
            })
            .await;
        }
        for last in [4, 5] {
            assert_eq!(from_one_more(last).await, StatusCode::OK, "{length}: 127.0.0.{last}");
        }
        assert_eq!(surface.knowledge.inbox().await.expect("the inbox").len(), 1);
    }
}

/// Issue 14: connections that a sidecar hands over from another loopback address, which no token lets close, leave this
/// machine its places.
#[tokio::test]
async fn s14_what_a_sidecar_hands_over_takes_no_place_of_this_machine() {
    let token = Some(Secret::new(TOKEN.to_owned()));
    let api = Settings { token, ..Settings::default() };
    let surface = Setup { api, ..Setup::default() }.serve().await;
    let with_token = format!(
        "GET /api/v1/state HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    );
    enough_files();
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let from = loopback(u8::try_from(2 + number % 5).expect("a small number"));
        let mut stream = connect(surface.address, from).await.expect("a connection");
        if ask(&mut stream, with_token.as_bytes()).await.is_some() {
            crowd.push(stream);
        }
    }
    assert_eq!(crowd.len(), 512 - 32);
    let url = surface.url("/health");
    let answer = from_address(1).get(&url).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    from_address(6).get(&url).send().await.expect_err("no place is left for others");
}
