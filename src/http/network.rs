//! The network: a client for one server with its TLS, proxy and server name, built anew when a file of it changes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HOST, HeaderValue};
use reqwest::{Client, Proxy, Request, Response, redirect};
use url::Url;

use super::{Failure, HttpSettings, HttpTransport, causes, failure, tls};

/// The `http` block asks for something that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("{} cannot be used: {cause}", path.display())]
    File { key: &'static str, path: PathBuf, cause: String },
    #[error("given without {other}; accepted: both or none")]
    Alone { key: &'static str, other: &'static str },
    #[error("not usable as a proxy: {0}")]
    Proxy(String),
    #[error("no HTTP client: {0}. Check the system's CA certificates")]
    Client(String),
}

impl SetupError {
    /// The key inside the block that it is about; none: it is about none of them.
    #[must_use]
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::File { key, .. } | Self::Alone { key, .. } => Some(key),
            Self::Proxy(_) => Some("proxy"),
            Self::Client(_) => None,
        }
    }
}

/// How connections are made and kept.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// Without a connection by then nothing was sent, which is worth knowing before the whole call times out.
    pub connect_within: Duration,
    /// False: a fresh one each time, since one that was closed while idle looks like a lost answer.
    pub are_kept: bool,
}

impl Default for Connections {
    fn default() -> Self {
        Self { connect_within: Duration::from_secs(10), are_kept: true }
    }
}

/// The real network towards one server.
#[derive(Debug)]
pub struct Http {
    /// Builds requests.
    builder: Client,
    /// Sends them.
    current: Mutex<Current>,
    settings: HttpSettings,
    connections: Connections,
    /// Where the URL points, for when the request is addressed to the server name instead.
    host: String,
}

#[derive(Debug)]
struct Current {
    client: Client,
    files: Stamp,
}

/// Makes the way to the server at a URL.
pub trait Reach:
    Fn(&Url, Option<&HttpSettings>) -> Result<Arc<dyn HttpTransport>, SetupError>
{
}

impl<F: Fn(&Url, Option<&HttpSettings>) -> Result<Arc<dyn HttpTransport>, SetupError>> Reach for F {}

/// The way over the network.
pub fn network(
    url: &Url,
    settings: Option<&HttpSettings>,
) -> Result<Arc<dyn HttpTransport>, SetupError> {
    Ok(Arc::new(Http::reaching(url, settings, Connections::default())?))
}

/// Modification time and size of the files of the settings.
type Stamp = Vec<Option<(SystemTime, u64)>>;

impl Http {
    /// A client for the server at `url`.
    pub fn reaching(
        url: &Url,
        settings: Option<&HttpSettings>,
        connections: Connections,
    ) -> Result<Self, SetupError> {
        let settings = settings.cloned().unwrap_or_default();
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let files = stamp(&settings);
        let client = client(&settings, connections, &host)?;
        let current = Mutex::new(Current { client: client.clone(), files });
        Ok(Self { builder: client, current, settings, connections, host })
    }

    /// Certificates are renewed in place: the client is built anew when a file has changed, and stays when it cannot be.
    fn current(&self) -> Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let files = stamp(&self.settings);
        if files != current.files {
            match client(&self.settings, self.connections, &self.host) {
                Ok(client) => current.client = client,
                Err(error) => {
                    tracing::warn!(host = self.host, %error, "a renewed certificate is not used; the one before stays in use");
                }
            }
            current.files = files;
        }
        current.client.clone()
    }
}

#[async_trait]
impl HttpTransport for Http {
    fn client(&self) -> &Client {
        &self.builder
    }

    async fn send(&self, mut request: Request) -> Result<Response, Failure> {
        if let Some(name) = &self.settings.server_name {
            address_to(&mut request, name);
        }
        self.current().execute(request).await.map_err(|error| failure(&error))
    }
}

fn client(
    settings: &HttpSettings,
    connections: Connections,
    host: &str,
) -> Result<Client, SetupError> {
    let mut builder = Client::builder()
        .connect_timeout(connections.connect_within)
        // A redirect would carry the credentials to a host that nobody configured.
        .redirect(redirect::Policy::none())
        // One owner of retries, which is above: a refusal to serve must come back, not be sent again below.
        .retry(reqwest::retry::never())
        .user_agent(concat!("mape-k/", env!("CARGO_PKG_VERSION")));
    if !connections.are_kept {
        builder = builder.pool_max_idle_per_host(0);
    }
    if let Some(tls) = tls::of_settings(settings)? {
        builder = builder.tls_backend_preconfigured(tls);
    }
    if let Some(url) = &settings.proxy {
        builder = builder.proxy(proxy(url)?);
    } else if settings.server_name.is_some() {
        // A proxy of the environment would be asked for the server name, which need not be known there.
        builder = builder.no_proxy().dns_resolver(RealHost(host.to_owned()));
    }
    builder.build().map_err(|error| SetupError::Client(causes(&error)))
}

/// Everything goes through this proxy, with the user and password of its URL.
fn proxy(url: &Url) -> Result<Proxy, SetupError> {
    Proxy::all(url.clone()).map_err(|error| SetupError::Proxy(causes(&error)))
}

/// The client asks for and verifies the name that it connects to. So it connects to the server name, which [`RealHost`]
/// resolves to where the URL points; the server sees the URL's host as before.
fn address_to(request: &mut Request, name: &str) {
    let url = request.url();
    let Some(host) = url.host_str().filter(|_| url.scheme() == "https") else { return };
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let Ok(authority) = HeaderValue::from_str(&authority) else { return };
    if request.url_mut().set_host(Some(name)).is_ok() {
        request.headers_mut().entry(HOST).or_insert(authority);
    }
}

/// Resolves every name to the addresses of one host, as they are at that moment.
#[derive(Debug)]
struct RealHost(String);

impl Resolve for RealHost {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn stamp(settings: &HttpSettings) -> Stamp {
    let files = [&settings.ca_file, &settings.cert_file, &settings.key_file];
    files.into_iter().flatten().map(|path| stamp_of(path)).collect()
}

fn stamp_of(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
