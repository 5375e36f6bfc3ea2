//! A server that lets in only who brings what it demands, and remembers how it was asked: plain, by TLS, or as a proxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ResolvesServerCertUsingSni, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::monitor::fake::{scalar, unix_now, vector};

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub query: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What is refused, and how; `None` is let in.
pub type Refusal = Option<(u16, &'static str)>;

pub struct Server {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub async fn plain(refuse: impl Fn(&Asked) -> Refusal + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        Self::on(listener, address, refuse)
    }

    pub async fn tls(
        config: ServerConfig,
        refuse: impl Fn(&Asked) -> Refusal + Clone + Send + Sync + 'static,
    ) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = tcp.local_addr().expect("an address");
        Self::on(Encrypted { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) }, address, refuse)
    }

    fn on<L: Listener<Addr = SocketAddr>>(
        listener: L,
        address: SocketAddr,
        refuse: impl Fn(&Asked) -> Refusal + Clone + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let app = Router::new().fallback(async move |request: Request| {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
            let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes())
                .chain(url::form_urlencoded::parse(&body));
            let query =
                pairs.filter(|(key, _)| key == "query").map(|(_, value)| value.into_owned());
            let query = query.last().unwrap_or_default();
            let asked =
                Asked { method: parts.method, uri: parts.uri, headers: parts.headers, query };
            log.lock().expect("no panic before").push(asked.clone());
            match refuse(&asked) {
                Some((status, text)) => refused(status, text),
                None => answer(&asked),
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, asked }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic before").clone()
    }
}

fn refused(status: u16, text: &'static str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    if status.is_redirection() {
        return (status, [("location", text)]).into_response();
    }
    (status, text).into_response()
}

/// Prometheus, Alertmanager, Charter, Slack and GitHub at once, in which nothing is wrong but the one series.
fn answer(asked: &Asked) -> Response {
    let now = unix_now();
    let row = |value: &str| vector(&[(r#"{"component":"a"}"#, value)]);
    let body = match (asked.uri.path(), asked.query.as_str()) {
        (path, _) if path.ends_with("/api/v2/alerts/groups") => "[]".to_owned(),
        (path, _) if path.ends_with("/api/v2/alerts") => "[]".to_owned(),
        (path, _) if path.ends_with("/api/v2/status") => {
            r#"{"uptime":"2026-01-01T00:00:00Z"}"#.to_owned()
        }
        (path, _) if path.ends_with("/commits") => "[]".to_owned(),
        (path, _) if path.ends_with("/chat.postMessage") => {
            r#"{"ok":true,"channel":"C1","ts":"1.2"}"#.to_owned()
        }
        ("/api/v1/policies", _) => "[]".to_owned(),
        ("/services/T0/B0/X0", _) => "ok".to_owned(),
        ("/metrics", _) => {
            "# TYPE \"my.metric\" gauge\n{\"my.metric\",\"my.label\"=\"x\",component=\"a\"} 1.5\n"
                .to_owned()
        }
        (_, "time()") => scalar(now),
        (_, query) if query.contains("timestamp(") => row(&now.to_string()),
        _ => row("1.5"),
    };
    body.into_response()
}

struct Encrypted {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.expect("a connection");
            // Who is refused in the handshake is nobody's request.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// A private authority, with its files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub folder: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let authority = Self { issuer, folder: tempfile::tempdir().expect("a folder") };
        authority.write("ca.crt", &authority.issuer.pem());
        authority
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Certificate and key as PEM.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// A server with a certificate of this authority for these names.
    pub fn server(&self, names: &[&str]) -> ServerConfig {
        config(&self.issue(names))
    }

    /// The same, which lets in only clients with a certificate of this authority.
    pub fn server_for_clients(&self, names: &[&str]) -> ServerConfig {
        let (chain, key) = parsed(&self.issue(names));
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients.build().expect("a verifier"))
            .with_single_cert(chain, key)
            .expect("a certificate")
    }

    /// The same, which has its certificate only for who asks for this name (SNI), as behind a router.
    pub fn server_by_name(&self, name: &str) -> ServerConfig {
        let (chain, key) = parsed(&self.issue(&[name]));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = provider.key_provider.load_private_key(key).expect("a key");
        let mut by_name = ResolvesServerCertUsingSni::new();
        by_name.add(name, CertifiedKey::new(chain, key)).expect("a name");
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(by_name))
    }
}

pub fn config(pem: &(String, String)) -> ServerConfig {
    let (chain, key) = parsed(pem);
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate")
}

fn parsed(
    (chain, key): &(String, String),
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    (chain.collect::<Result<_, _>>().expect("certificates"), key)
}
