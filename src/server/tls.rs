//! TLS certificates of a listener: loaded, checked, and reloaded while connections continue.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::TlsFiles;
use super::cert_expiry::not_after;
use crate::observability::metrics::{Metrics, ReloadSource};
use crate::support::pem::{self, PemCertificate, PemError};
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
    Pem(PathBuf, PemError),
    /// There are no files.
    Missing,
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
        let (config, expiry) = server_config(&paths, &files.read().map_err(Error::Unreadable)?)?;
        record_expiry(&metrics, expiry);
        Ok(Self { paths, files, config: RwLock::new(Arc::new(config)), metrics })
    }

    /// Performs the TLS handshake. Returns `None` if the peer has closed the connection before its first byte, as a probe
    /// of the port does.
    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<Option<TlsStream<TcpStream>>> {
        match stream.peek(&mut [0]).await {
            Ok(1..) => {}
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
        let config = Arc::clone(&*self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await.map(Some)
    }
}

impl Reloadable for Tls {
    /// Uses the changed files for new handshakes. If they are invalid, the previous certificate stays in use.
    fn reload(&self, trigger: ReloadTrigger) -> Option<ReloadResult> {
        let contents = self.files.read_if_changed(trigger)?.map_err(Error::Unreadable);
        let config = contents.and_then(|contents| server_config(&self.paths, &contents));
        let result = match config {
            Ok((config, expiry)) => {
                record_expiry(&self.metrics, expiry);
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

fn record_expiry(metrics: &Metrics, expiry: Option<u64>) {
    let expiry = expiry.and_then(|expiry| i64::try_from(expiry).ok()).unwrap_or_default();
    metrics.certificate_not_after.with_label_values(&["listen"]).set(expiry);
}

/// Builds the configuration from the files' contents. Also returns the expiry of the certificate, in seconds since the Unix
/// epoch.
fn server_config(paths: &TlsFiles, contents: &[SecretBytes]) -> Result<(ServerConfig, Option<u64>), Error> {
    let [certificate, key, client_ca @ ..] = contents else {
        return Err(Error::Missing);
    };
    let chain = pem::certificates(certificate).map_err(|e| Error::Pem(paths.certificate.clone(), e))?;
    let chain: Vec<_> = chain.into_iter().map(|certificate| certificate.der).collect();
    let expiry = chain.first().and_then(|leaf| not_after(leaf));
    let key = pem::private_key(key).map_err(|e| Error::Pem(paths.key.clone(), e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mismatch = |error| Error::Pair(paths.certificate.clone(), paths.key.clone(), error);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(mismatch)?;
    let builder = match paths.client_ca.as_deref().zip(client_ca.first()) {
        None => builder.with_no_client_auth(),
        Some((path, contents)) => {
            let refuse = |error: &dyn std::fmt::Display| Error::ClientCa(path.to_owned(), error.to_string());
            let mut roots = RootCertStore::empty();
            for PemCertificate { line, der } in
                pem::certificates(contents).map_err(|error| Error::Pem(path.to_owned(), error))?
            {
                roots.add(der).map_err(|error| refuse(&format_args!("line {line}: {error}")))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| refuse(&error))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(mismatch)?;
    if paths.client_ca.is_some() {
        // A resumed session keeps the client certificate of its first handshake and does not verify it again. Without
        // sessions no connection outlives a certificate or a root of clients.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, expiry))
}

/// Returns the time until the client certificate of a connection ends, if the connection has one.
pub(super) fn client_certificate_time_left(stream: &TlsStream<TcpStream>) -> Option<Duration> {
    let expiry = not_after(stream.get_ref().1.peer_certificates()?.first()?)?;
    // notAfter is the last valid second.
    let end = UNIX_EPOCH + Duration::from_secs(expiry + 1);
    Some(end.duration_since(SystemTime::now()).unwrap_or_default())
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Missing => f.write_str("listen.tls names no files"),
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
