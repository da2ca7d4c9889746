//! Certificates of the data port: loaded, checked, and renewed while connections go on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::TlsFiles;
use super::cert_expiry::not_after;
use crate::observability::metrics::{Metrics, Reload};
use crate::support::watched_files::{
    DisplayPath, ReadError, ReloadTrigger, Reloadable, SecretBytes, WatchedFiles,
};

/// The TLS side of a listener.
#[derive(Debug)]
pub struct Tls {
    named: TlsFiles,
    files: WatchedFiles,
    config: RwLock<Arc<ServerConfig>>,
    metrics: Arc<Metrics>,
}

/// Why certificates cannot be used.
#[derive(Debug)]
pub enum Error {
    /// A file cannot be read.
    Unreadable(ReadError),
    /// The file is not the PEM that it should be.
    Pem(PathBuf, pem::Error),
    /// Certificate and key are each readable, yet cannot serve together.
    Pair(PathBuf, PathBuf, rustls::Error),
    /// No certificate of the file can vouch for callers.
    ClientCa(PathBuf, String),
}

impl Tls {
    /// Loads the files and reports when the certificate ends.
    pub fn load(named: TlsFiles, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let paths = [&named.certificate, &named.key].into_iter().chain(&named.client_ca);
        let files = WatchedFiles::new(paths.cloned().collect());
        let config = server_config(&named, &files.read().map_err(Error::Unreadable)?, &metrics)?;
        Ok(Self { named, files, config: RwLock::new(Arc::new(config)), metrics })
    }

    /// Shakes hands.
    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&*self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

impl Reloadable for Tls {
    /// New handshakes use what the files hold if it is sound; otherwise what was in use stays.
    fn reload(&self, trigger: ReloadTrigger) -> Option<Reload> {
        let contents = self.files.read_if_changed(trigger)?.map_err(Error::Unreadable);
        let config = contents.and_then(|contents| server_config(&self.named, &contents, &self.metrics));
        let result = match config {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!("new TLS certificates are in use");
                Reload::Success
            }
            Err(error) => {
                tracing::error!(%error, "new TLS certificates are refused; the old ones stay in use");
                Reload::Failure
            }
        };
        self.metrics.reloads.inc(result);
        Some(result)
    }
}

/// What the files say, and tells when the certificate ends.
fn server_config(
    named: &TlsFiles,
    contents: &[SecretBytes],
    metrics: &Metrics,
) -> Result<ServerConfig, Error> {
    let [certificate, key, client_ca @ ..] = contents else {
        return Err(Error::Pem(named.certificate.clone(), pem::Error::NoItemsFound));
    };
    let chain = certificates(&named.certificate, certificate)?;
    let end = chain.first().and_then(|leaf| not_after(leaf));
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| Error::Pem(named.key.clone(), e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pair = |error| Error::Pair(named.certificate.clone(), named.key.clone(), error);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(pair)?;
    let builder = match named.client_ca.as_deref().zip(client_ca.first()) {
        None => builder.with_no_client_auth(),
        Some((path, pem)) => {
            let refuse = |error: &dyn std::fmt::Display| Error::ClientCa(path.to_owned(), error.to_string());
            let mut roots = RootCertStore::empty();
            for root in certificates(path, pem)? {
                roots.add(root).map_err(|error| refuse(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| refuse(&error))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let end = end.and_then(|end| i64::try_from(end).ok()).unwrap_or_default();
    metrics.certificate_not_after.with_label_values(&["listen"]).set(end);
    Ok(config)
}

/// All certificates of a file; at least one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let chain =
        chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
    chain.map_err(|error| Error::Pem(path.to_owned(), error))
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Pem(path, error) => {
                write!(f, "{} does not hold the PEM expected of it: {error}", DisplayPath(path))
            }
            Self::Pair(certificate, key, error) => {
                let (certificate, key) = (DisplayPath(certificate), DisplayPath(key));
                write!(f, "{certificate} and {key} cannot be used together: {error}")
            }
            Self::ClientCa(path, error) => {
                write!(f, "{} holds no certificate that can sign callers': {error}", DisplayPath(path))
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
