//! Accepts connections for one router, with TLS or without, and bounds everything a peer can hold: how many connections,
//! how long a handshake or a header may take and how large one may be, how long a connection may live, how long closing
//! may last.
//!
//! Leaves out what is answered (the routers) and who binds the listener and starts this (the daemon).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::tls::Tls;

/// Connections open at once on one listener: a few per Alertmanager, Prometheus and person, far below the usual 1,024
/// file descriptors. Beyond it new ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 512;

/// For a whole request head; also how long a kept-alive connection may idle. Longer than Prometheus' usual 15 s.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// A browser behind two proxies sends some 30. Beyond it the answer is 431.
const MAX_HEADERS: usize = 64;

/// A request head within it is read, one of twice its size is answered 431; between the two it depends on how the bytes
/// arrive. Browsers stay below it, and all connections together hold 16 MiB at most. Bodies pass through it in pieces.
const BUFFER_BYTES: usize = 16 * 1024;

/// Two round trips and some arithmetic.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// A connection is asked to close after this, so that a peer that never reads an answer does not hold its place.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);

/// How long a closing connection may finish what it has in hand: less than the 10 s that stopping may take.
const CLOSING: Duration = Duration::from_secs(5);

/// A listener that is out of file descriptors gets time to recover instead of a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves `router` until `shutdown`; then lets answers in hand finish, for a bounded time.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    serve_all(listener, router, None, shutdown).await;
}

/// [`serve`] for peers that speak TLS; whoever does not is hung up on.
pub async fn serve_tls(
    listener: TcpListener,
    router: Router,
    tls: Tls,
    shutdown: CancellationToken,
) {
    serve_all(listener, router, Some(tls), shutdown).await;
}

async fn serve_all(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => {
                note(ended);
                continue;
            }
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let router = router.clone().layer(Extension(ConnectInfo(peer)));
                let (tls, shutdown) = (tls.clone(), shutdown.clone());
                connections.spawn(async move {
                    match tls {
                        None => connection(stream, router, shutdown).await,
                        Some(tls) => encrypted(stream, &tls, router, shutdown).await,
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    let place = places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

/// Shakes hands first. That is the peer's time, so it is spent in the connection's own task.
async fn encrypted(stream: TcpStream, tls: &Tls, router: Router, shutdown: CancellationToken) {
    let handshake = tokio::time::timeout(HANDSHAKE_TIME, tls.0.accept(stream));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = shutdown.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => connection(stream, router, shutdown).await,
        // Scanners, plain HTTP, or a client that does not trust the certificate.
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// One connection from its first byte to its end.
async fn connection<S>(stream: S, router: Router, shutdown: CancellationToken)
where
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
    let ended = tokio::select! {
        ended = served.as_mut() => Some(ended),
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
