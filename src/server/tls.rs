//! Certificates of the data port: loaded, checked, and renewed while connections go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use ring::digest::{Context, SHA256};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::TlsFiles;
use super::der::not_after;
use crate::metrics::{Metrics, Reload};

/// The TLS side of a listener.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
    /// Of what was last read, good or bad: it is judged again only when it changes.
    seen: Mutex<Digest>,
    metrics: Arc<Metrics>,
}

/// Why certificates cannot be used.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// The file is not the PEM that it should be.
    Pem(PathBuf, pem::Error),
    /// Certificate and key are each readable, yet cannot serve together.
    Pair(PathBuf, PathBuf, rustls::Error),
    /// No certificate of the file can vouch for callers.
    ClientCa(PathBuf, String),
}

impl Tls {
    /// Loads the files and reports when the certificate ends.
    pub fn load(files: TlsFiles, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let contents = Contents::read(&files)?;
        let config = contents.config(&files, &metrics)?;
        let seen = Mutex::new(contents.digest());
        Ok(Self { files, config: RwLock::new(Arc::new(config)), seen, metrics })
    }

    /// Reads the files again. New handshakes use what they hold if it is sound; otherwise what was in use
    /// stays. `None`: nothing has changed since the last look. Blocks on the file system.
    pub fn reload(&self) -> Option<Reload> {
        let contents = Contents::read(&self.files);
        let digest = contents.as_ref().map_or(UNREADABLE, Contents::digest);
        if std::mem::replace(&mut *self.lock_seen(), digest) == digest {
            return None;
        }
        let config = contents.and_then(|contents| contents.config(&self.files, &self.metrics));
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

    /// Reloads every `interval`, for ever.
    pub(super) async fn watch(self: Arc<Self>, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let this = Arc::clone(&self);
            // It fails only when the runtime ends.
            let _ = tokio::task::spawn_blocking(move || this.reload()).await;
        }
    }

    /// Shakes hands.
    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&*self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }

    fn lock_seen(&self) -> MutexGuard<'_, Digest> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files, as read together.
struct Contents {
    certificate: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, Error> {
        let read = |path: &PathBuf| fs::read(path).map_err(|error| Error::Unreadable(path.clone(), error));
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?.into(),
            client_ca: files.client_ca.as_ref().map(read).transpose()?,
        })
    }

    fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        for file in [&self.certificate, &*self.key, self.client_ca.as_deref().unwrap_or_default()] {
            context.update(&file.len().to_be_bytes());
            context.update(file);
        }
        context.finish().as_ref().try_into().unwrap_or(UNREADABLE)
    }

    fn config(&self, files: &TlsFiles, metrics: &Metrics) -> Result<ServerConfig, Error> {
        let chain = certificates(&files.certificate, &self.certificate)?;
        let end = chain.first().and_then(|leaf| not_after(leaf));
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|e| Error::Pem(files.key.clone(), e))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pair = |error| Error::Pair(files.certificate.clone(), files.key.clone(), error);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(pair)?;
        let builder = match files.client_ca.as_deref().zip(self.client_ca.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((path, pem)) => {
                let refuse =
                    |error: &dyn std::fmt::Display| Error::ClientCa(path.to_owned(), error.to_string());
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
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Pem(path, error) => {
                write!(f, "{} does not hold the PEM expected of it: {error}", path.display())
            }
            Self::Pair(certificate, key, error) => {
                let (certificate, key) = (certificate.display(), key.display());
                write!(f, "{certificate} and {key} cannot be used together: {error}")
            }
            Self::ClientCa(path, error) => {
                write!(f, "{} holds no certificate that can sign callers': {error}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {}

type Digest = [u8; 32];

/// The digest of files that cannot be read.
const UNREADABLE: Digest = [0; 32];

#[cfg(test)]
mod tests;
