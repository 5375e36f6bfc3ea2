//! Speaks to a running daemon's API for the commands that only ask or decide.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Host, Url};

use super::trust;
use crate::domain::address;
use crate::domain::secret::Secret;
use crate::http::{self, tls};
use crate::server;

/// The daemon answers within 10 s or says that it cannot.
const TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no daemon answers at {url}: {cause}. Start one with `mape-k run`, or name the address of a running one"
    )]
    Unreachable { url: String, cause: String },
    #[error(
        "something answers at {url}, but not with TLS that can be trusted: {cause}. Name the daemon's own certificate by --ca FILE or api.tls.cert; a daemon without api.tls is at http://"
    )]
    Tls { url: String, cause: String },
    #[error("{url} answered {status}: {text}")]
    Refused { url: String, status: StatusCode, text: String },
    #[error(
        "{url} answered {status}: it redirects to {to}. Redirects are not followed, since the token would go along; name the daemon's own address by --url"
    )]
    Redirected { url: String, status: StatusCode, to: String },
    #[error(
        "the answer of {url} is not that of a mape-k daemon: {cause}. Is another program listening there?"
    )]
    Nonsense { url: String, cause: String },
    #[error(
        "{} cannot be trusted: {cause}. Name a PEM file with certificates, by --ca or as api.tls.cert", .path.display()
    )]
    Certificates { path: PathBuf, cause: String },
    #[error("{url} answers and is not healthy: {unwell}")]
    Unwell { url: String, unwell: String },
    #[error("no proposal {0} is kept; `mape-k status` lists those that wait for a decision")]
    NoSuchPolicy(String),
    #[error(
        "{0:?} names no proposal: give an incident's id (INC-…), a policy's id, or at least 8 characters of a plan hash; `mape-k status` lists them"
    )]
    NoSubject(String),
    #[error("no incident {0} is open; `mape-k status` lists those that are")]
    NoIncident(String),
    #[error(
        "incident {0} asks for no approval now; `mape-k status` lists what waits for a decision"
    )]
    NothingAsked(String),
    #[error("{named} names several proposals; decide on one of them by its hash:\n{proposals}")]
    Ambiguous { named: String, proposals: String },
    #[error("the proposal no longer waits for a decision, and nothing was changed: {0}")]
    NotPending(String),
    #[error(
        "the proposal has changed, and nothing was decided. Proposed now: {now}. To decide on that: `mape-k {verb} {hash}`, or the same command with --yes"
    )]
    Stale { verb: &'static str, now: String, hash: String },
    #[error("nobody is named: give your name with --by, or set USER")]
    Nameless,
    #[error("the answer could not be printed: {0}")]
    Print(#[from] std::io::Error),
}

/// A page of a list, newest first.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// One running daemon.
#[derive(Clone)]
pub struct Client {
    base: String,
    token: Option<Secret>,
    /// Sent with GETs, even beside the operate token: reading needs no more. With a POST it would only be refused.
    read_token: Option<Secret>,
    reads: ReadsWithToken,
    http: reqwest::Client,
    /// The flags by which the caller named this daemon, as a shell takes them.
    flags: String,
}

/// When the operate token goes with a GET of a client without a read token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadsWithToken {
    /// It was given for this call.
    Always,
    /// It is the configuration's: sent where the daemon does not answer without it.
    WhenRefused,
    /// It is the configuration's, and the address is not.
    Never,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base()).finish_non_exhaustive()
    }
}

impl Client {
    #[must_use]
    pub fn new(base: &str, token: Option<Secret>) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        let http = builder(&base).build().unwrap_or_default();
        Self {
            base,
            token,
            read_token: None,
            reads: ReadsWithToken::Always,
            http,
            flags: String::new(),
        }
    }

    #[must_use]
    pub fn reading_with(self, read_token: Option<Secret>) -> Self {
        Self { read_token, ..self }
    }

    #[must_use]
    pub fn reading(self, reads: ReadsWithToken) -> Self {
        Self { reads, ..self }
    }

    #[must_use]
    pub fn without_tokens(self) -> Self {
        Self { token: None, read_token: None, ..self }
    }

    /// Trusts the certificates of this PEM file, too: the daemon's own, whatever it says of itself, or its authority's.
    pub fn trusting(self, path: &Path) -> Result<Self, ClientError> {
        let failed = |cause: String| ClientError::Certificates { path: path.to_owned(), cause };
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let http = builder(&self.base)
            .tls_backend_preconfigured(tls::trusting(&pem).map_err(failed)?)
            .build()
            .map_err(|error| failed(root_cause(&error)))?;
        Ok(Self { http, ..self })
    }

    /// A command that is printed for this daemon repeats these flags.
    #[must_use]
    pub fn named_by(self, flags: &[(&str, String)]) -> Self {
        let words = flags.iter().map(|(flag, value)| format!(" {flag} {}", quoted(value)));
        let flags = words.collect::<Vec<_>>().concat();
        Self { flags, ..self }
    }

    /// A command of ours as a person types it to reach this very daemon.
    #[must_use]
    pub fn command(&self, words: &str) -> String {
        format!("mape-k {words}{}", self.flags)
    }

    /// Its address without a password.
    #[must_use]
    pub fn base(&self) -> String {
        address::redact(&self.base)
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, None).await
    }

    /// Pages of a list, at most `pages`, until one holds nothing that is wanted; and whether there may be more of it.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        list: &str,
        pages: usize,
        is_wanted: impl Fn(&T) -> bool,
    ) -> Result<(Vec<T>, bool), ClientError> {
        let (mut all, mut after) = (Vec::new(), String::new());
        for _ in 0..pages {
            let page: Page<T> = self.get(&format!("api/v1/{list}limit=500{after}")).await?;
            let before = all.len();
            all.extend(page.items.into_iter().filter(&is_wanted));
            match page.next {
                Some(next) if all.len() > before => after = format!("&after={next}"),
                _ => return Ok((all, false)),
            }
        }
        Ok((all, true))
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Value,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// What /health says, which carries its report with 503 as well.
    pub async fn health(&self) -> Result<(StatusCode, Value), ClientError> {
        let (url, status, text) = self.send(Method::GET, "health", None).await?;
        match serde_json::from_str(&text) {
            Ok(report) if status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE => {
                Ok((status, report))
            }
            Ok(_) | Err(_) => Err(refused(url, status, &text)),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, ClientError> {
        let (url, status, text) = self.send(method, path, body).await?;
        if !status.is_success() {
            return Err(refused(url, status, &text));
        }
        serde_json::from_str(&text)
            .map_err(|error| ClientError::Nonsense { url, cause: error.to_string() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(String, StatusCode, String), ClientError> {
        let operate = self.token.as_ref();
        if method != Method::GET {
            return self.send_with(operate, method, path, body).await;
        }
        let token = match (&self.read_token, self.reads) {
            (Some(read), _) => Some(read),
            (None, ReadsWithToken::Always) => operate,
            (None, ReadsWithToken::WhenRefused | ReadsWithToken::Never) => None,
        };
        let answer = self.send_with(token, Method::GET, path, None).await?;
        // Without a token, by a name that it does not know, or after too many others from this address.
        let is_refused = matches!(
            answer.1,
            StatusCode::UNAUTHORIZED
                | StatusCode::MISDIRECTED_REQUEST
                | StatusCode::TOO_MANY_REQUESTS
        );
        let may_repeat = token.is_none() && self.reads == ReadsWithToken::WhenRefused;
        match operate.filter(|_| is_refused && may_repeat) {
            Some(operate) => self.send_with(Some(operate), Method::GET, path, None).await,
            None => Ok(answer),
        }
    }

    async fn send_with(
        &self,
        token: Option<&Secret>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(String, StatusCode, String), ClientError> {
        let mut request =
            self.http.request(method, format!("{}/{path}", self.base)).timeout(TIMEOUT);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let unreachable = |error: &reqwest::Error| {
            let (url, cause) = (self.base(), root_cause(error));
            if trust::failed(error) {
                ClientError::Tls { url, cause }
            } else {
                ClientError::Unreachable { url, cause }
            }
        };
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let to = http::shorten(&address::redact(to.unwrap_or("nowhere")), 200);
            return Err(ClientError::Redirected { url: self.base(), status, to });
        }
        let text = response.text().await.map_err(|error| unreachable(&error))?;
        Ok((format!("{}/{path}", self.base()), status, text))
    }
}

/// Did printing fail because nobody reads on?
#[must_use]
pub fn is_unread(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Print(cause)) if cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// By the address that the configuration names.
#[must_use]
pub fn configured_url(settings: &server::Settings) -> String {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    match settings.host.parse::<IpAddr>() {
        Ok(ip) => format!("{scheme}://{}", SocketAddr::new(ip, settings.port)),
        Err(_) => format!("{scheme}://{}:{}", settings.host, settings.port),
    }
}

/// Where a daemon with these settings is reached from its own machine.
#[must_use]
pub fn local_url(settings: &server::Settings) -> String {
    let port = settings.port;
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    match settings.host.parse::<IpAddr>() {
        // By the name that certificates have.
        Ok(ip) if ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST => {
            format!("{scheme}://localhost:{port}")
        }
        Ok(_) | Err(_) => configured_url(settings),
    }
}

/// This machine is asked straight: to a proxy, which the environment of a container may name, localhost is another one.
fn builder(base: &str) -> reqwest::ClientBuilder {
    let url = Url::parse(base).ok();
    let is_local = match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    // A redirect would carry the token to a host that nobody named.
    let builder = reqwest::Client::builder().redirect(redirect::Policy::none());
    if is_local { builder.no_proxy() } else { builder }
}

/// As a shell takes it as one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// reqwest's own text names the URL again; what went wrong is at the end of its chain of causes.
fn root_cause(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

fn refused(url: String, status: StatusCode, text: &str) -> ClientError {
    let error = serde_json::from_str::<Value>(text)
        .ok()
        .and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    match error {
        Some(text) => ClientError::Refused { url, status, text },
        None => {
            ClientError::Nonsense { url, cause: format!("status {status} without an error text") }
        }
    }
}
