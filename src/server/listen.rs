//! Accepts connections for one router, with TLS or without, and bounds everything a peer can hold: how long a handshake or
//! a header may take and how large one may be, how long a connection may live, how long closing may last.
//!
//! Leaves out how many connections there may be and which one makes room for another (`places`), how long a write may wait
//! (`patience`), what is answered (the routers) and who binds the listener and starts this (the daemon).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection_limiter::{Activity, Admission, AnswerBody, ConnectionLimiter, MOST, Place};
use super::host::{LocalAddress, is_own_loopback};
use super::log_throttle::LogThrottle;
use super::patience::Patient;
use super::tls::Tls;

/// For a whole request head; also how long a kept-alive connection may idle. Longer than Prometheus' usual 15 s.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// For the first head of a connection, which a client has at hand; a handshake comes before it.
const FIRST_HEAD: Duration = Duration::from_secs(5);

/// Nothing could be written for so long: the peer does not read.
const WRITE_TIME: Duration = Duration::from_secs(30);

/// A browser behind two proxies sends some 30. Beyond it the answer is 431.
const MAX_HEADERS: usize = 64;

/// A request head within it is read, one of twice its size is answered 431; between the two it depends on how the bytes
/// arrive. Browsers stay below it, and all connections together hold 16 MiB at most. Bodies pass through it in pieces.
const BUFFER_BYTES: usize = 16 * 1024;

/// Two round trips and some arithmetic.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// A connection is asked to close after this, so that one that reads ever so slowly does not hold its place.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);

/// How long a closing connection may finish what it has in hand: less than the 10 s that stopping may take.
const CLOSING: Duration = Duration::from_secs(5);

/// A listener that is out of file descriptors gets time to recover instead of a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves `router` until `shutdown`; then lets answers in hand finish, for a bounded time.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    serve_within(MOST, listener, router, None, shutdown).await;
}

/// [`serve`] for peers that speak TLS; the connection of any other is closed.
pub async fn serve_tls(
    listener: TcpListener,
    router: Router,
    tls: Tls,
    shutdown: CancellationToken,
) {
    serve_within(MOST, listener, router, Some(tls), shutdown).await;
}

/// Either with at most so many connections at once.
pub async fn serve_within(
    most: usize,
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) {
    let places = ConnectionLimiter::new(most);
    let (refused, failed) = (LogThrottle::default(), LogThrottle::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => {
                note(ended);
                continue;
            }
            accepted = accept(&listener) => accepted,
        };
        match accepted {
            Ok(arrived) => {
                // Closed at once: whoever waited here would keep a file descriptor all the same.
                let Some(place) = admit(&places, &arrived, &mut connections).await else {
                    if let Some(closed) = refused.count(Instant::now()) {
                        let peer = arrived.peer;
                        tracing::warn!(%peer, closed, most, "connections were closed at once: their address has as many as one may have, or all of its connections are being answered or carried a token; `closed` counts them since the last such line, at most one a minute");
                    }
                    continue;
                };
                let (tls, shutdown, router) = (tls.clone(), shutdown.clone(), router.clone());
                connections.spawn(hold(place, arrived, router, tls, shutdown));
            }
            // The peer has gone away again: nothing to wait for.
            Err(error) if is_peers(&error) => tracing::debug!(%error, "a peer did not wait"),
            Err(error) => {
                if let Some(failed) = failed.count(Instant::now()) {
                    tracing::warn!(%error, failed, "connections could not be accepted; `failed` counts them since the last such line, at most one a minute");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
}

/// A connection as it was accepted.
#[derive(Debug)]
struct Arrived {
    stream: TcpStream,
    peer: SocketAddr,
    local: IpAddr,
}

async fn accept(listener: &TcpListener) -> std::io::Result<Arrived> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?.ip();
    Ok(Arrived { stream, peer, local })
}

/// Errors of one connection, after which the next one can be accepted.
fn is_peers(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | InvalidInput | NotConnected)
}

/// A place for it, which another connection may have to leave first.
async fn admit(
    places: &ConnectionLimiter,
    arrived: &Arrived,
    connections: &mut JoinSet<()>,
) -> Option<Place> {
    let ip = arrived.peer.ip();
    let own = is_own_loopback(ip) || ip == arrived.local;
    loop {
        match places.take(ip, own) {
            Admission::Granted(place) => return Some(place),
            Admission::Full => return None,
            // One that was told to close has nothing to finish. Each turn ends a connection, so there are no more than those.
            Admission::Closing => note(connections.join_next().await?),
        }
    }
}

/// One connection for as long as it may keep its place.
async fn hold(
    place: Place,
    Arrived { stream, peer, local }: Arrived,
    router: Router,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) {
    // Cancelled by the first request whose head has been read.
    let asked = CancellationToken::new();
    let known = Known { activity: place.activity(), peer, local, asked: asked.clone() };
    let router = router.layer(from_fn_with_state(known, answer));
    let stream = Patient::new(stream, WRITE_TIME);
    let served = async {
        match tls {
            None => connection(stream, router, asked, shutdown).await,
            Some(tls) => encrypted(stream, &tls, router, asked, shutdown).await,
        }
    };
    tokio::select! {
        biased;
        () = place.close().cancelled_owned() => {
            tracing::debug!(%peer, "an idle connection was closed to make room for another");
        }
        () = served => {}
    }
}

/// What the listener knows of the connection of a request.
#[derive(Clone, Debug)]
struct Known {
    activity: Activity,
    peer: SocketAddr,
    local: IpAddr,
    asked: CancellationToken,
}

/// Answers one request, during which its connection is not idle.
async fn answer(State(known): State<Known>, mut request: Request, next: Next) -> Response {
    known.asked.cancel();
    let Some(answering) = known.activity.begin() else {
        // Told to close in this very moment: nothing is begun, and the peer may send it again.
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(known.peer));
    extensions.insert(LocalAddress(known.local));
    extensions.insert(known.activity);
    let response = next.run(request).await;
    response.map(|body| Body::new(AnswerBody::new(body, answering)))
}

/// Shakes hands first. That is the peer's time, so it is spent in the connection's own task.
async fn encrypted(
    stream: Patient,
    tls: &Tls,
    router: Router,
    asked: CancellationToken,
    shutdown: CancellationToken,
) {
    let handshake = tokio::time::timeout(HANDSHAKE_TIME, tls.acceptor.accept(stream));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = shutdown.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => connection(stream, router, asked, shutdown).await,
        // Scanners, plain HTTP, or a client that does not trust the certificate.
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// One connection from its first byte to its end.
async fn connection<S>(
    stream: S,
    router: Router,
    asked: CancellationToken,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(BUFFER_BYTES);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let silent = async {
        tokio::time::sleep(FIRST_HEAD).await;
        if asked.is_cancelled() {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = served.as_mut() => Some(ended),
        () = silent => return,
        () = shutdown.cancelled() => None,
        () = tokio::time::sleep(CONNECTION_LIFE) => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        served.as_mut().graceful_shutdown();
        // One that does not close in time is dropped: its socket closes with it.
        tokio::time::timeout(CLOSING, served).await.unwrap_or(Ok(()))
    };
    // Peers go away in the middle of things: that is theirs to know, not an operator's.
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A panic while answering costs its own connection only, and is a defect that a person must see.
fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "answering a request panicked: this is a defect of mape-k, please report it");
    }
}
