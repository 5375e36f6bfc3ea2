//! TLS for the listeners: reads certificate and key once and says which of the two files is wrong.
//!
//! Leaves out accepting (`listen`). A renewed certificate is read by the next start.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use chrono::TimeDelta;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::settings::TlsFiles;
use crate::domain::time::Time;

/// A chain of ten certificates is 20 kB; this bounds what a wrong path can make us read.
const MAX_BYTES: u64 = 1024 * 1024;

/// Public authorities renew theirs 30 days before; who has not done it by now has forgotten it.
const RENEW_WITHIN: TimeDelta = TimeDelta::days(14);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} (api.tls.{key}) cannot be read: {cause}", .path.display())]
    Unread { key: &'static str, path: PathBuf, cause: std::io::Error },
    #[error("{} (api.tls.cert) holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} (api.tls.key) holds no private key in PEM form without a password", .0.display())]
    NoKey(PathBuf),
    #[error(
        "{} (api.tls.key) does not fit the first certificate of {} (api.tls.cert): {cause}", .key.display(), .cert.display()
    )]
    Mismatch { cert: PathBuf, key: PathBuf, cause: rustls::Error },
    #[error("{} (api.tls.cert) has expired at {at}: no client accepts it. Renew it", .path.display())]
    Expired { path: PathBuf, at: Time },
    #[error("TLS could not be set up: {0}")]
    Setup(rustls::Error),
}

impl Error {
    /// The key below `api.tls` that names the wrong file.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Unread { key, .. } => key,
            Self::NoCertificate(_) | Self::Expired { .. } | Self::Setup(_) => "cert",
            Self::NoKey(_) | Self::Mismatch { .. } => "key",
        }
    }
}

/// Certificate and key, ready to accept connections.
#[derive(Clone)]
pub struct Tls {
    pub(super) acceptor: TlsAcceptor,
    expires_at: Option<Time>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    pub fn load(files: &TlsFiles) -> Result<Self, Error> {
        let pem = read("cert", &files.cert)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|_| Error::NoCertificate(files.cert.clone()))?;
        if chain.is_empty() {
            return Err(Error::NoCertificate(files.cert.clone()));
        }
        // rustls has a certificate of its own reading; what only this one cannot read has no expiry to be told.
        let expires_at = X509Certificate::from_der(&chain[0]).ok().and_then(|(_, certificate)| {
            Time::from_timestamp(certificate.validity().not_after.timestamp(), 0)
        });
        let key = PrivateKeyDer::from_pem_slice(&read("key", &files.key)?)
            .map_err(|_| Error::NoKey(files.key.clone()))?;
        // Named instead of taken from the process: another library may have set another one.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::Setup)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|cause| Error::Mismatch {
                cert: files.cert.clone(),
                key: files.key.clone(),
                cause,
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if let Some(at) = expires_at.filter(|at| *at < Time::from(SystemTime::now())) {
            return Err(Error::Expired { path: files.cert.clone(), at });
        }
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), expires_at })
    }

    /// What there is to say of a certificate that was about to expire when it was read.
    #[must_use]
    pub fn expires_soon(&self) -> Option<String> {
        let at = self.expires_at?;
        let left = at - Time::from(SystemTime::now());
        (left < RENEW_WITHIN).then(|| format!("it expires at {at}, in {} days", left.num_days()))
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|cause| Error::Unread { key, path: path.to_owned(), cause })?;
    Ok(bytes)
}
