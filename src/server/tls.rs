//! TLS certificates of a listener: loaded, checked, and reloaded while connections continue.

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
use crate::observability::metrics::{Metrics, ReloadSource};
use crate::support::watched_files::ReloadResult;
use crate::support::watched_files::{
    DisplayPath, ReadError, ReloadTrigger, Reloadable, SecretBytes, WatchedFiles,
};

/// TLS configuration of a listener, which follows its files.
#[derive(Debug)]
pub struct Tls {
    paths: TlsFiles,
    files: WatchedFiles,
    config: RwLock<Arc<ServerConfig>>,
    metrics: Arc<Metrics>,
}

/// Error of the files of `listen.tls`.
#[derive(Debug)]
pub enum Error {
    /// A file cannot be read.
    Unreadable(ReadError),
    /// The file does not have the expected PEM content.
    Pem(PathBuf, pem::Error),
    /// Certificate and key are valid by themselves but do not belong together.
    Pair(PathBuf, PathBuf, rustls::Error),
    /// No certificate of the file can sign client certificates.
    ClientCa(PathBuf, String),
}

impl Tls {
    /// Loads the files, and sets the metric of the certificate's expiry.
    pub fn load(paths: TlsFiles, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let watched = [&paths.certificate, &paths.key].into_iter().chain(&paths.client_ca);
        let files = WatchedFiles::new(watched.cloned().collect());
        let config = server_config(&paths, &files.read().map_err(Error::Unreadable)?, &metrics)?;
        Ok(Self { paths, files, config: RwLock::new(Arc::new(config)), metrics })
    }

    /// Performs the TLS handshake.
    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&*self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

impl Reloadable for Tls {
    /// Uses the changed files for new handshakes. If they are invalid, the previous certificate stays in use.
    fn reload(&self, trigger: ReloadTrigger) -> Option<ReloadResult> {
        let contents = self.files.read_if_changed(trigger)?.map_err(Error::Unreadable);
        let config = contents.and_then(|contents| server_config(&self.paths, &contents, &self.metrics));
        let result = match config {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!("new TLS certificates are in use");
                ReloadResult::Success
            }
            Err(error) => {
                tracing::error!(%error, "new TLS certificates are refused; the old ones stay in use");
                ReloadResult::Failure
            }
        };
        self.metrics.record_reload(ReloadSource::Certificate, result);
        Some(result)
    }
}

/// Builds the configuration from the files' contents, and sets the metric of the certificate's expiry.
fn server_config(
    paths: &TlsFiles,
    contents: &[SecretBytes],
    metrics: &Metrics,
) -> Result<ServerConfig, Error> {
    let [certificate, key, client_ca @ ..] = contents else {
        return Err(Error::Pem(paths.certificate.clone(), pem::Error::NoItemsFound));
    };
    let chain = certificates(&paths.certificate, certificate)?;
    let expiry = chain.first().and_then(|leaf| not_after(leaf));
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| Error::Pem(paths.key.clone(), e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mismatch = |error| Error::Pair(paths.certificate.clone(), paths.key.clone(), error);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(mismatch)?;
    let builder = match paths.client_ca.as_deref().zip(client_ca.first()) {
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
    let mut config = builder.with_single_cert(chain, key).map_err(mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let expiry = expiry.and_then(|expiry| i64::try_from(expiry).ok()).unwrap_or_default();
    metrics.certificate_not_after.with_label_values(&["listen"]).set(expiry);
    Ok(config)
}

/// Parses all certificates of a file. A file without one is an error.
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
                write!(f, "{} does not hold the expected PEM: {error}", DisplayPath(path))
            }
            Self::Pair(certificate, key, error) => {
                let (certificate, key) = (DisplayPath(certificate), DisplayPath(key));
                write!(f, "{certificate} and {key} cannot be used together: {error}")
            }
            Self::ClientCa(path, error) => {
                write!(
                    f,
                    "{} holds no certificate that can sign client certificates: {error}",
                    DisplayPath(path)
                )
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
