//! TLS towards servers outside: which certificates are trusted, and which one is shown.
//!
//! What rustls would refuse although other clients take it, a server's own certificate that says of itself that it is an
//! authority (`openssl req -x509` makes those), is accepted when exactly this certificate was configured.

use std::path::Path;
use std::sync::Arc;

use rustls_platform_verifier::Verifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use super::HttpSettings;
use super::network::SetupError;

/// A bundle of every public authority has some 250 KB.
const MAX_BYTES: u64 = 4 << 20;

#[derive(Debug)]
struct Known {
    certificates: Vec<CertificateDer<'static>>,
    otherwise: Arc<dyn ServerCertVerifier>,
    /// A known certificate counts whatever name and time it carries.
    by_itself: bool,
}

/// Trusts the certificates of this PEM text beside what the system trusts; a server's very own counts by being the same,
/// whatever name, purpose or time it carries: who has its file knows it, and only who holds its key can show it.
pub fn trusting(pem: &[u8]) -> Result<ClientConfig, String> {
    let certificates = certificates(pem)?;
    let otherwise = Verifier::new_with_extra_roots(certificates.clone(), provider())
        .map_err(|error| error.to_string())?;
    let known = Known { certificates, otherwise: Arc::new(otherwise), by_itself: true };
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(known))
        .with_no_client_auth();
    Ok(config)
}

/// `None`: the settings ask for nothing that the client does not do by itself.
pub(super) fn of_settings(settings: &HttpSettings) -> Result<Option<ClientConfig>, SetupError> {
    let HttpSettings { ca_file, cert_file, key_file, .. } = settings;
    if ca_file.is_none() && cert_file.is_none() && key_file.is_none() {
        return Ok(None);
    }
    let verifier: Arc<dyn ServerCertVerifier> = match ca_file {
        Some(path) => only(path)?,
        None => Arc::new(
            Verifier::new(provider()).map_err(|error| SetupError::Client(error.to_string()))?,
        ),
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Client(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => {
            let failed = |key, path: &Path| {
                let path = path.to_owned();
                move |cause: String| SetupError::File { key, path, cause }
            };
            let chain = certificates(&read("cert_file", cert_file)?)
                .map_err(failed("cert_file", cert_file))?;
            let key = PrivateKeyDer::from_pem_slice(&read("key_file", key_file)?)
                .map_err(|error| format!("it holds no private key in PEM form ({error})"))
                .map_err(failed("key_file", key_file))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("it is not the key of cert_file: {error}"))
                .map_err(failed("key_file", key_file))?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(_), None) => return Err(SetupError::Alone { key: "cert_file", other: "key_file" }),
        (None, Some(_)) => return Err(SetupError::Alone { key: "key_file", other: "cert_file" }),
    };
    Ok(Some(config))
}

/// Trusts the authorities of this file and no others.
fn only(path: &Path) -> Result<Arc<dyn ServerCertVerifier>, SetupError> {
    let failed = |cause: String| SetupError::File { key: "ca_file", path: path.to_owned(), cause };
    let certificates = certificates(&read("ca_file", path)?).map_err(failed)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| failed(error.to_string()))?;
    }
    let otherwise = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(Known { certificates, otherwise, by_itself: false }))
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, SetupError> {
    use std::io::Read as _;
    let failed = |cause: String| SetupError::File { key, path: path.to_owned(), cause };
    let metadata = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() {
        return Err(failed("it is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(certificates)
}

/// Named instead of taken from the process: another library may have set another one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn is_valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let Ok(seconds) = i64::try_from(now.as_secs()) else { return false };
    let (Ok((_, parsed)), Ok(now)) =
        (parse_x509_certificate(certificate), ASN1Time::from_timestamp(seconds))
    else {
        return false;
    };
    parsed.validity().is_valid_at(now)
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_known = self.certificates.iter().any(|known| known == end_entity);
        if is_known && self.by_itself {
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            self.otherwise.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match &verified {
            Err(error) if is_known && error.to_string().contains("CaUsedAsEndEntity") => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                if is_valid_at(end_entity, now) {
                    Ok(ServerCertVerified::assertion())
                } else {
                    Err(rustls::CertificateError::Expired.into())
                }
            }
            _ => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.otherwise.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.otherwise.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.otherwise.supported_verify_schemes()
    }
}
