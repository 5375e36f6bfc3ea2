//! Where the API server is and who we are to it: the pod's own service account, else a kubeconfig.

use std::path::Path;
use std::time::Duration;

use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use reqwest::header::{HeaderValue, USER_AGENT};

use super::failure::{causes, short};
use super::settings::Settings;

/// A TCP connection and a TLS handshake inside a cluster take milliseconds.
const CONNECT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "cannot use the kubeconfig {path}: {cause}. Correct kubernetes.kubeconfig (or KUBECONFIG), or set \
         kubernetes.enabled: false"
    )]
    Kubeconfig { path: String, cause: String },
    #[error(
        "there is no way to a Kubernetes API server. As a pod's service account: {in_cluster}. By the usual kubeconfig: \
         {kubeconfig}. Set kubernetes.kubeconfig, or kubernetes.enabled: false"
    )]
    NoCluster { in_cluster: String, kubeconfig: String },
    #[error(
        "no client for the Kubernetes API server at {server}: {cause}. Check its certificates and the credentials of the \
         kubeconfig or service account"
    )]
    Client { server: String, cause: String },
}

/// The way to the API server.
pub(super) struct Connection {
    pub client: Client,
    /// Its address as messages show it.
    pub server: String,
    /// Where the pod of this daemon is, by its service account; `None`: it is none.
    pub own_namespace: Option<String>,
}

pub(super) async fn client(settings: &Settings) -> Result<Connection, Error> {
    // Whichever way it goes, a pod protects its own namespace.
    let own_namespace = Config::incluster().ok().map(|config| config.default_namespace);
    let mut config = match &settings.kubeconfig {
        Some(path) => by_file(path).await.map_err(|error| Error::Kubeconfig {
            path: path.display().to_string(),
            cause: told(&error),
        })?,
        None => by_surroundings().await?,
    };
    config.connect_timeout = Some(CONNECT);
    // A failure is told, and the watcher owns the retries.
    config.default_retry = false;
    let agent = HeaderValue::from_static(concat!("mape-k/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    let server = shown(&config);
    let client = Client::try_from(config).map_err(|error| Error::Client {
        server: server.clone(),
        cause: super::failure::of_kube(&error).what,
    })?;
    Ok(Connection { client, server, own_namespace })
}

/// `KUBECONFIG` may name several files, and so may the key that stands for it.
async fn by_file(paths: &Path) -> Result<Config, KubeconfigError> {
    let mut whole = Kubeconfig::default();
    for path in std::env::split_paths(paths.as_os_str()) {
        whole = whole.merge(Kubeconfig::read_from(path)?)?;
    }
    Config::from_custom_kubeconfig(whole, &KubeConfigOptions::default()).await
}

async fn by_surroundings() -> Result<Config, Error> {
    let in_cluster: InClusterError = match Config::incluster() {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    Config::from_kubeconfig(&KubeConfigOptions::default()).await.map_err(|kubeconfig| {
        Error::NoCluster { in_cluster: short(&causes(&in_cluster)), kubeconfig: told(&kubeconfig) }
    })
}

/// A YAML error quotes the lines around it, and those of a kubeconfig are credentials.
fn told(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => {
            "it is not YAML of a kubeconfig (kubectl config view says where)".to_owned()
        }
        error => short(&causes(error)),
    }
}

/// Scheme, host and port: a URL may hold credentials too.
fn shown(config: &Config) -> String {
    let url = &config.cluster_url;
    let scheme = url.scheme_str().unwrap_or("https");
    let host = url.host().unwrap_or("an unnamed host");
    url.port()
        .map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}"))
}
